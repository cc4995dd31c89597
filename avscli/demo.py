"""A generated clip, segmented with the shipped weights and scored against its exact masks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from avscli.datasets.scenes import DEMO_SEED, plan_scene
from avscli.datatypes import SAMPLE_RATE_HZ
from avscli.errors import ExitCode, OutputError
from avscli.masks import decode_mask, mask_iou
from avscli.media.ffmpeg_jobs import mux
from avscli.outputs.disk import folder_for_results, output_errors
from avscli.outputs.run import Run
from avscli.pipeline import segment_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from avscli.config import SegmentOptions
    from avscli.datasets.scenes import ScenePlan
    from avscli.devices import Runtime
    from avscli.outputs.journal import JournalEntry
    from avscli.results import Progress

FPS = Fraction(25)
SIZE_HW = (360, 640)


@dataclass(frozen=True, slots=True)
class DemoReport:
    """How the shipped weights did on one generated clip.

    Attributes:
        clip: the generated video.
        output: the run's folder.
        mean_iou: over the frames in which something visible sounds; None when there are none.
        num_sounding_frames: how many those are.
        empty_share: of the frames in which nothing visible sounds, how many got no mask at all;
            None when there are none.
        num_silent_frames: how many those are.
        exit_code: as of ``avs segment``.
    """

    clip: str
    output: str
    mean_iou: float | None
    num_sounding_frames: int
    empty_share: float | None
    num_silent_frames: int
    exit_code: ExitCode = ExitCode.OK


def run_demo(
    folder: Path,
    runtime: Runtime,
    options: SegmentOptions,
    on_progress: Callable[[Progress], None],
    *,
    seconds: float,
    seed: int = DEMO_SEED,
) -> DemoReport:
    """Generate ``scene.mp4`` in a folder, segment it there, and score every frame.

    Raises:
        OutputError: the clip or the run's folder exists and may not be overwritten, or the disk
            is full.
    """
    plan = plan_scene(seed, num_frames=max(1, round(seconds * FPS)), fps=FPS, size_hw=SIZE_HW)
    clip = folder / "scene.mp4"
    if clip.exists() and not options.overwrite:
        raise OutputError(f"{clip} exists", hint="add --overwrite, or choose another folder")
    run_folder = folder / "avs_out"
    with folder_for_results(folder):
        with output_errors(clip):
            drawn = (plan.draw(index)[0] for index in range(plan.num_frames))
            mux(drawn, plan.waveform, clip, fps=FPS, sample_rate_hz=SAMPLE_RATE_HZ)
        try:
            report = segment_file(clip, run_folder, runtime, options, on_progress)
        except BaseException:
            clip.unlink(missing_ok=True)  # so that the demo can simply be run again
            raise
    return replace(_scored(plan, clip, run_folder / clip.name), exit_code=report.exit_code)


def _scored(plan: ScenePlan, clip: Path, output: Path) -> DemoReport:
    ious: list[float] = []
    kept_empty: list[bool] = []
    for entry in Run.open(output).frames():
        _, owners = plan.draw(entry.frame)
        truth = plan.sounding_mask(owners, entry.frame)
        mask = _mask(entry, truth.shape)
        if truth.any():
            ious.append(mask_iou(mask, truth))
        else:
            kept_empty.append(not mask.any())
    return DemoReport(
        clip=str(clip),
        output=str(output),
        mean_iou=float(np.mean(ious)) if ious else None,
        num_sounding_frames=len(ious),
        empty_share=float(np.mean(kept_empty)) if kept_empty else None,
        num_silent_frames=len(kept_empty),
    )


def _mask(entry: JournalEntry, size_hw: tuple[int, ...]) -> NDArray[np.bool_]:
    mask = np.zeros(size_hw, np.bool_)
    for each in entry.objects:
        mask |= decode_mask(each.mask.size_hw, each.mask.counts)
    return mask
