"""Exit codes, and every exception that avscli raises on purpose."""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """What the process tells the shell; README.md has the table."""

    OK = 0
    INTERNAL = 1
    USAGE = 2
    BAD_MEDIA = 3
    NO_AUDIO = 4
    BAD_WEIGHTS = 5
    DEVICE = 6
    BAD_OUTPUT = 7
    PARTIAL = 8
    QUALITY_GATE = 9
    MISSING_EXTRA = 10
    INCOMPLETE = 11
    INTERRUPTED = 130


class AvscliError(Exception):
    """An error a person can act on: one line saying what and where, one saying what to do.

    Args:
        message: what went wrong, with the offending value.
        hint: what to try next; empty when there is nothing to add.
    """

    exit_code: ClassVar[ExitCode] = ExitCode.INTERNAL

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(AvscliError):
    """Options that contradict each other or lie outside their range."""

    exit_code = ExitCode.USAGE


class MediaError(AvscliError):
    """A file that is missing, unreadable, corrupt, or without video."""

    exit_code = ExitCode.BAD_MEDIA


class UnknownContainerError(MediaError):
    """A file in a container that PyAV's libraries do not know, or no media at all."""


class EncryptedMediaError(MediaError):
    """A file whose picture or sound is there, and locked."""


class DataError(AvscliError):
    """A data set whose files or tables are not as its format says."""

    exit_code = ExitCode.BAD_MEDIA


class NoAudioError(AvscliError):
    """A video without an audio track: nothing in it can be said to sound."""

    exit_code = ExitCode.NO_AUDIO


class WeightsError(AvscliError):
    """A checkpoint that is missing, damaged, or not one of ours."""

    exit_code = ExitCode.BAD_WEIGHTS


class UnknownNetworkError(WeightsError):
    """A network or checkpoint name nobody registered."""


class CheckpointMismatchError(WeightsError):
    """A state dict that does not fit the network its metadata names."""


class DeviceError(AvscliError):
    """A compute device that is absent, failing, or out of memory."""

    exit_code = ExitCode.DEVICE


class OutputError(AvscliError):
    """An output that exists already, cannot be written, or did not fit on the disk."""

    exit_code = ExitCode.BAD_OUTPUT


class ExtraOutputError(AvscliError):
    """An output beside the masks that could not be made, though the disk has room for it."""

    exit_code = ExitCode.INCOMPLETE


class QualityGateError(AvscliError):
    """A score that is worse than asked for."""

    exit_code = ExitCode.QUALITY_GATE


class MissingExtraError(AvscliError):
    """An optional dependency that is needed and not installed."""

    exit_code = ExitCode.MISSING_EXTRA
