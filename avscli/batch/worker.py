"""The process that does jobs: loads the network once, then one file after the other.

It is told ``{"weights":…,"options":{…},"cores":[…]}`` first and jobs from then on, and answers
with one of ``ready``, ``unusable``, ``started``, ``advanced`` and ``result`` per line.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections import deque
from typing import TYPE_CHECKING

from avscli.batch.child import Message, Parent
from avscli.batch.jobs import Job, JobResult, options_from_json, run_job, to_json
from avscli.errors import AvscliError

if TYPE_CHECKING:
    from collections.abc import Callable

    from avscli.config import SegmentOptions
    from avscli.devices import Runtime
    from avscli.results import Progress

SPEAK_EVERY_SECONDS = 0.5
_MOST_WARNINGS = 20


def main() -> None:
    """Do what the parent says until it is gone, or until this process is no longer clean."""
    parent = Parent()
    messages = parent.messages()
    setup = next(messages)
    _keep_to(setup["cores"])
    options = options_from_json(setup["options"])
    runtime, message = try_to_open(setup["weights"], options)
    parent.answer(message)
    if runtime is None:
        return
    for message in messages:
        job = Job(**message)
        parent.answer({"event": "started", "key": job.key})
        result, is_clean = do_job(job, runtime, options, _speaker(parent))
        parent.answer({"event": "result", "result": to_json(result), "is_clean": is_clean})
        if not is_clean:
            return


def try_to_open(weights: str, options: SegmentOptions) -> tuple[Runtime | None, Message]:
    """Load a network, and return it with a message that it is ready, or None with the reason."""
    from avscli.pipeline import open_runtime

    # The runtime goes on to warn here while it works; that is in the results of files.
    warnings: deque[str] = deque(maxlen=_MOST_WARNINGS)
    try:
        runtime = open_runtime(weights, options, warnings.append)
    except AvscliError as err:
        kind = type(err).__name__
        return None, {"event": "unusable", "kind": kind, "message": str(err), "hint": err.hint}
    return runtime, {"event": "ready", "device": runtime.facts(), "warnings": list(warnings)}


def do_job(
    job: Job, runtime: Runtime, options: SegmentOptions, on_progress: Callable[[Progress], None]
) -> tuple[JobResult, bool]:
    """Do a job, bugs of ours included; also say whether this process may go on."""
    try:
        result = run_job(job, runtime, options, on_progress)
    except Exception as err:  # noqa: BLE001 – a bug costs one file and this process, not the batch
        traceback.print_exc()
        words = " ".join(f"{type(err).__name__}: {err}".split())
        return JobResult("crashed", message=f"internal error: {words}"), False
    # PyAV 18 keeps a file open whose header did not fit on the disk: start afresh after failures
    # to write. A device that ran out of memory may not get all of it back.
    return result, not result.can_pass


def _speaker(parent: Parent) -> Callable[[Progress], None]:
    spoke = time.monotonic()

    def speak(progress: Progress) -> None:
        nonlocal spoke
        if time.monotonic() - spoke >= SPEAK_EVERY_SECONDS:
            spoke = time.monotonic()
            parent.answer({"event": "advanced", "seconds": progress.media_seconds_done})

    return speak


def _keep_to(cores: list[int]) -> None:
    """Use these cores only: every library counts what it may use, PyTorch and FFmpeg too."""
    if cores and sys.platform == "linux":
        os.sched_setaffinity(0, cores)


if __name__ == "__main__":
    main()
