"""What files hold, remembered within a budget of memory."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class FileCache(Generic[_Key, _Value]):
    """Reads each file once, while the budget lasts; what is unused for longest is forgotten.

    `functools.lru_cache` counts entries, and pictures differ in size a hundredfold.

    Args:
        read: from a key to what its file holds, which nobody changes.
        num_bytes_of: what it takes in memory.
        most_bytes: of all that is remembered; what is larger by itself is read anew each time.
    """

    def __init__(
        self,
        read: Callable[[_Key], _Value],
        num_bytes_of: Callable[[_Value], int],
        *,
        most_bytes: int,
    ) -> None:
        self._read, self._num_bytes_of, self._most_bytes = read, num_bytes_of, most_bytes
        self._kept: OrderedDict[_Key, _Value] = OrderedDict()
        self.num_bytes = 0

    def __call__(self, key: _Key) -> _Value:
        """Return what the file of a key holds."""
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        value = self._kept[key] = self._read(key)
        self.num_bytes += self._num_bytes_of(value)
        while self.num_bytes > self._most_bytes:
            _, forgotten = self._kept.popitem(last=False)
            self.num_bytes -= self._num_bytes_of(forgotten)
        return value
