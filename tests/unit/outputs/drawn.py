"""Builders of sources and predictions that need no video file."""

from fractions import Fraction
from pathlib import Path

import numpy as np

from avscli.datatypes import FrameStamp, MediaInfo, Orientation
from avscli.results import FrameConfidence, FramePrediction, FrameState, HeardSound, SoundingObject

SIZE_HW = (45, 61)


def make_media(path: Path = Path("clip.mp4")) -> MediaInfo:
    return MediaInfo(
        path=path,
        opened_path=path,
        container="mp4",
        video_codec="h264",
        height=SIZE_HW[0],
        width=SIZE_HW[1],
        frame_rate=Fraction(30000, 1001),
        num_frames=None,
        duration_seconds=1.5,
        start_seconds=0.0,
        orientation=Orientation(90),
        sample_aspect_ratio=Fraction(1),
        pixel_format="yuv420p",
        interlaced=False,
        audio=None,
        num_audio_tracks=0,
    )


def blob(seed: int, *, label: int = 1) -> np.ndarray:
    """A ragged label map with holes, different for every seed."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(SIZE_HW, np.uint8)
    top, left = rng.integers(0, 20, 2)
    labels[top : top + 20, left : left + 30] = label * (rng.random((20, 30)) > 0.2)
    return labels


def make_prediction(
    index: int,
    label_map: np.ndarray | None = None,
    *,
    state: FrameState = "sounding",
    interpolated: bool = False,
    audio_dbfs: float = -23.125,
    flags: tuple[str, ...] = (),
) -> FramePrediction:
    labels = np.zeros(SIZE_HW, np.uint8) if label_map is None else label_map
    marked = bool(labels.any())
    present = np.unique(labels[labels > 0]).tolist()
    numbers = np.zeros(256, np.uint8)
    numbers[present] = np.arange(1, len(present) + 1)
    return FramePrediction(
        stamp=FrameStamp(index, index * 512, index * 512 / 15360),
        object_map=numbers[labels],
        objects=tuple(SoundingObject(label, label, 1.0, 0.875, label) for label in present),
        heard=(HeardSound("Speech", 0.9375),),
        state=state,
        interpolated=interpolated,
        confidence=FrameConfidence(
            score=0.875,
            mean_probability=0.875 if marked else None,
            entropy=0.25,
            stage_agreement=0.5,
            temporal_iou=None if index == 0 else 0.75,
            area_share=float((labels > 0).mean()),
            num_components=int(marked),
            audio_dbfs=audio_dbfs,
            selected=(1.0, 0.5, 0.25),
            flags=flags,
        ),
    )
