"""Whole-file jobs for the ffmpeg program; the only place that drives it.

Commands are composed with ffmpeg-python and run here with the program that imageio-ffmpeg brings,
so nothing needs to be installed on the system.
"""

from __future__ import annotations

import errno
import os
import subprocess
import wave
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

import ffmpeg
import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

from avscli.errors import MediaError, OutputError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_PICTURE: NDArray[np.uint8] = np.empty(0, np.uint8)


def mux(
    frames: Iterable[NDArray[np.uint8]],
    waveform: NDArray[np.float32],
    target: Path,
    *,
    fps: Fraction,
    sample_rate_hz: int,
) -> None:
    """Write pictures and sound as an H.264/AAC MP4 that browsers play.

    The target appears whole or not at all. Frames go to the program one by one.

    Args:
        frames: at least one [H, W, 3] uint8 RGB picture, all of one even size.
        waveform: [M] float32 in [-1, 1], mono.
        target: the file to write, in an existing folder.
        fps: exact frame rate.
        sample_rate_hz: of the waveform.

    Raises:
        OutputError: the program cannot write the target.
        ValueError: there is no frame.
    """
    iterator = iter(frames)
    first = next(iterator, _NO_PICTURE)
    if first.size == 0:
        raise ValueError("a video needs at least one frame")
    height, width, _ = first.shape
    with _made_beside(target) as unfinished:
        sound = unfinished.with_name("sound.wav")
        write_wav(sound, waveform, sample_rate_hz)
        picture_input = ffmpeg.input(
            "pipe:",
            format="rawvideo",
            pix_fmt="rgb24",
            video_size=(width, height),
            framerate=str(fps),
        )
        output = ffmpeg.output(
            picture_input,
            ffmpeg.input(str(sound)),
            str(unfinished),
            format="mp4",
            vcodec="libx264",
            crf=16,
            pix_fmt="yuv420p",
            acodec="aac",
            audio_bitrate="128k",
            movflags="+faststart",
        )
        pictures = (frame.tobytes() for frame in chain([first], iterator))
        complaint = _run(output, target, pictures)
        if complaint:
            raise OutputError(
                f"cannot write {target}: {complaint}",
                hint="check the folder and permissions, or choose another output",
            )


def remux(source: Path, target: Path) -> None:
    """Copy the video and audio streams of any file the program reads into a Matroska file.

    For sources whose container PyAV does not know: the program has a few more demuxers. The
    streams are not decoded, so their codecs must still be ones that PyAV decodes.

    Args:
        source: the file to read.
        target: the .mkv file to write, in an existing folder; appears whole or not at all.

    Raises:
        MediaError: the program cannot read the source either.
        OutputError: the disk is full.
    """
    with _made_beside(target) as unfinished:
        # As in `open_input`: what the file refers to may not reach the network.
        given = ffmpeg.input(f"file:{source}", protocol_whitelist="file")
        output = ffmpeg.output(
            given["v?"], given["a?"], str(unfinished), format="matroska", codec="copy"
        )
        complaint = _run(output, target)
        if complaint:
            raise MediaError(
                f"cannot read {source} with the ffmpeg program either: {complaint}",
                hint="check that the file is a complete video",
            )


@contextmanager
def _made_beside(target: Path) -> Iterator[Path]:
    """Give a temporary folder on the target's disk and move the file of its name into place."""
    try:
        with TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as folder:
            yield Path(folder) / target.name
            (Path(folder) / target.name).replace(target)
    except OSError as err:
        raise OutputError(
            f"cannot write {target}: {err.strerror}",
            hint="check the folder, free space and permissions, or choose another output",
        ) from err


def _run(job: ffmpeg.nodes.OutputStream, target: Path, chunks: Iterable[bytes] = ()) -> str:
    """Run a composed command, feeding it `chunks`; return its complaint, empty on success."""
    quiet = job.global_args("-loglevel", "error", "-nostats")
    command = ffmpeg.compile(quiet, cmd=imageio_ffmpeg.get_ffmpeg_exe())
    # Complaints go to a file: nobody reads a pipe while we are busy writing the other one.
    with TemporaryFile() as complaints:
        with subprocess.Popen(  # noqa: S603 – our own program, no shell
            command, stdin=subprocess.PIPE, stderr=complaints
        ) as process:
            assert process.stdin is not None
            try:
                # A program that gave up closes the pipe; its exit status says so below.
                with suppress(BrokenPipeError):
                    for chunk in chunks:
                        process.stdin.write(chunk)
                    process.stdin.close()
                status = process.wait()
            finally:
                process.kill()
                with suppress(BrokenPipeError):
                    process.stdin.close()
        complaints.seek(0)
        text = complaints.read().decode(errors="replace").strip()
    # The program ends with its error code, negated, in the eight bits of an exit status.
    if (code := 256 - status) in _FULL:
        full = OSError(code, os.strerror(code))
        raise OutputError(
            f"cannot write {target}: {full.strerror}", hint="free some space, then run again"
        ) from full
    return (text or f"exit status {status}").splitlines()[-1] if status else ""


def write_wav(path: Path, waveform: NDArray[np.float32], sample_rate_hz: int) -> None:
    """Write [M] float32 in [-1, 1] as a mono WAV of 16 bits."""
    with wave.open(str(path), "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(sample_rate_hz)
        wav.writeframes((waveform.clip(-1.0, 1.0) * 32767).round().astype("<i2").tobytes())
