"""A lock that ends with whoever holds it, however that ends: `hold`."""

from __future__ import annotations

import sys
import time

_POLL_SECONDS = 0.05


def hold(descriptor: int, *, patience_seconds: float = 0.0) -> bool:
    """Lock an open file or folder until every copy of its descriptor is closed.

    Child processes that inherit the descriptor hold the lock as well, and the system lets go of it
    when the last of them is gone, by SIGKILL too. The package filelock does neither: it locks a
    file of its own, which would lie among the results, and for its own process only.

    Args:
        descriptor: of what to lock.
        patience_seconds: how long to wait for others to let go.

    Returns:
        Whether it is held now; False when somebody else holds it.

    Raises:
        OSError: the file system knows no locks.
    """
    if sys.platform == "win32":  # folders cannot be locked there: two runs at once are not noticed
        return True
    import fcntl

    deadline = time.monotonic() + patience_seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_SECONDS)
        else:
            return True
