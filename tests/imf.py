"""An IMF composition: a playlist (XML) that names one MXF file of pictures and one of sound.

PyAV's libraries come without a demuxer for it, the ffmpeg program has one.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest

from tests.builders import make_video, tone

_FPS, _SAMPLE_RATE = 25, 48_000
_PLAYLIST = """<?xml version="1.0" encoding="UTF-8"?>
<CompositionPlaylist xmlns="http://www.smpte-ra.org/schemas/2067-3/2016">
  <Id>{id}</Id><ContentTitle>Test</ContentTitle><EditRate>25 1</EditRate>
  <SegmentList><Segment><Id>{id}</Id><SequenceList>{sequences}</SequenceList></Segment></SegmentList>
</CompositionPlaylist>
"""
_SEQUENCE = """
<{kind} xmlns="http://www.smpte-ra.org/schemas/2067-2/2016">
  <Id>{id}</Id><TrackId>{id}</TrackId>
  <ResourceList><Resource>
    <Id>{id}</Id><EditRate>{rate} 1</EditRate><IntrinsicDuration>{length}</IntrinsicDuration>
    <TrackFileId>{id}</TrackFileId>
  </Resource></ResourceList>
</{kind}>
"""
_ASSET = "<Asset><Id>{id}</Id><ChunkList><Chunk><Path>{path}</Path></Chunk></ChunkList></Asset>"


def make_imf(folder: Path, *, seconds: float = 1.2, picture: str = "picture.mxf") -> Path:
    """Write a composition of drawn frames (64 × 96, 25 fps) and `tone(440)`.

    Args:
        folder: to create; holds the playlist, its asset map and both tracks.
        seconds: length of both tracks.
        picture: where the asset map says that the pictures are.

    Returns:
        The playlist.
    """
    _require_demuxer()
    folder.mkdir()
    make_video(
        folder / "picture.mxf",
        seconds=seconds,
        fps=_FPS,
        size_hw=(64, 96),
        codec="mpeg2video",
        audio=None,
    )
    _write_sound(folder / "sound.mxf", seconds)
    image = _SEQUENCE.format(
        kind="MainImageSequence", id=_urn(1), rate=_FPS, length=round(seconds * _FPS)
    )
    sound = _SEQUENCE.format(
        kind="MainAudioSequence",
        id=_urn(2),
        rate=_SAMPLE_RATE,
        length=round(seconds * _SAMPLE_RATE),
    )
    assets = _ASSET.format(id=_urn(1), path=picture) + _ASSET.format(id=_urn(2), path="sound.mxf")
    (folder / "ASSETMAP.xml").write_text(
        f"<AssetMap><AssetList>{assets}</AssetList></AssetMap>", encoding="utf-8"
    )
    playlist = folder / "CPL.xml"
    playlist.write_text(_PLAYLIST.format(id=_urn(0), sequences=image + sound), encoding="utf-8")
    return playlist


def _require_demuxer() -> None:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-h", "demuxer=imf"]
    if b"Demuxer imf" not in subprocess.run(command, capture_output=True, check=False).stdout:
        pytest.skip("the ffmpeg program of this platform has no IMF demuxer")


def _write_sound(path: Path, seconds: float) -> None:
    times = np.arange(round(seconds * _SAMPLE_RATE)) / _SAMPLE_RATE
    samples = (tone(440)(times) * 32767).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
    frame.sample_rate = _SAMPLE_RATE
    with av.open(str(path), "w", format="mxf_opatom") as container:
        stream = container.add_stream("pcm_s16le", rate=_SAMPLE_RATE, layout="mono")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _urn(number: int) -> str:
    return f"urn:uuid:00000000-0000-4000-8000-{number:012d}"
