"""How fast ``avs segment`` is on a generated clip, and where its time goes.

    python benchmarks/speed.py [--seconds 10] [--size 1280x720] [--rounds 1] > speed.json

End to end, every variant runs in a process of its own, all variants in turn per round, and the
best round of each counts. Real-time factor: working seconds per second of video; below 1 it keeps
up with playing. Then every part of the work runs alone on the same clip in this process.

A machine that does other work leaves ratios and shares, not seconds: compare CPU times there. The
parts run the network on one thread, because OpenMP threads that wait for each other on a busy
machine burn CPU time without doing anything. All intermediate results of the parts are kept:
count on 60 MB per second of a 1280×720 clip. An overlay by itself decodes the clip; in a run it
gets the frames that were decoded for the network.
"""

from __future__ import annotations

import argparse
import time
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import torch
from runs import Run, generate_clip, segment
from setting import describe, show, table

from avscli.config import DEFAULT_WEIGHTS, SegmentOptions
from avscli.masks import NUM_COLOURS, MaskRule
from avscli.media.frames import FrameReader
from avscli.media.planes import PlaneMaker
from avscli.media.probe import probe
from avscli.media.reader import read_clips
from avscli.outputs.coco import Provenance, write_coco
from avscli.outputs.confidence import ConfidenceSink
from avscli.outputs.journal import JournalSink
from avscli.outputs.overlay import OverlaySink
from avscli.outputs.tint import Tint
from avscli.pipeline import open_runtime
from avscli.postprocess import finish, in_time_order, split_steps
from avscli.preprocess import EncodedSound, prepare
from avscli.results import RecordedSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from avscli.datatypes import Clip, MediaInfo
    from avscli.devices import Runtime
    from avscli.postprocess import StepOutput
    from avscli.results import FramePrediction

START, NATIVE = "one frame", "native, all outputs, fp32"
VARIANTS = {
    START: ["--precision", "fp32", "--end", "0.001"],
    NATIVE: ["--precision", "fp32"],
    "bf16": ["--precision", "bf16"],
    "without overlay": ["--precision", "fp32", "--write", "coco,csv"],
    "--fps 5": ["--precision", "fp32", "--fps", "5"],
    "--fps auto": ["--precision", "fp32", "--fps", "auto"],
    "--fps auto, bf16": ["--precision", "bf16", "--fps", "auto"],
    "--fps auto, bf16, without overlay": [
        *("--precision", "bf16", "--fps", "auto", "--write", "coco,csv")
    ],
    "--fps 5 without overlay": ["--precision", "fp32", "--fps", "5", "--write", "coco,csv"],
    "8 clips a pass": ["--precision", "fp32", "--batch-clips", "8"],
    "one network thread": ["--precision", "fp32"],
    "waiting threads sleep": ["--precision", "fp32"],
}
# The network's threads share the cores with two decoders and an encoder.
ENVIRONMENTS = {
    "one network thread": {"OMP_NUM_THREADS": "1"},
    "waiting threads sleep": {"OMP_WAIT_POLICY": "PASSIVE"},
}
Costs = dict[str, dict[str, float]]


def end_to_end(clip: Path, folder: Path, *, weights: str, rounds: int) -> Costs:
    """Return per variant its costs, and their ratios to those of the native one.

    CPU seconds are those beyond a run on a single frame, which is start-up and loading.
    """
    best: dict[str, Run] = {}
    for _ in range(rounds):
        for name, options in VARIANTS.items():
            arguments = [*options, "--weights", weights]
            run = segment(clip, folder / "out", arguments, ENVIRONMENTS.get(name))
            if name not in best or _working(run) < _working(best[name]):
                best[name] = run
    media_seconds = best[NATIVE].report["source"]["duration_seconds"]
    start, native = best.pop(START), best[NATIVE]
    return {
        name: {
            "real_time_factor": _working(run) / media_seconds,
            "video_seconds_per_second": media_seconds / _working(run),
            "wall_ratio": _working(run) / _working(native),
            "cpu_seconds": run.cpu_seconds - start.cpu_seconds,
            "cpu_ratio": (run.cpu_seconds - start.cpu_seconds)
            / (native.cpu_seconds - start.cpu_seconds),
            "start_seconds": run.process_seconds - _working(run),
            "peak_rss_mb": run.peak_rss_mb,
        }
        for name, run in best.items()
    }


def _working(run: Run) -> float:
    """Wall seconds from the probed file to the finished folder, without start-up and loading."""
    return float(run.report["timings_seconds"]["total"])


class Parts:
    """Runs the parts of the work one after the other and keeps what each cost."""

    def __init__(self, clip: Path, folder: Path, runtime: Runtime) -> None:
        self.costs: Costs = {}
        self._folder, self._runtime, self._spec = folder, runtime, runtime.spec
        self._options = SegmentOptions()
        self._media = probe(clip)
        self._size_hw = self._media.height, self._media.width
        self._rule = MaskRule.of(self._spec)

    def run(self) -> Costs:
        """Run all parts; the CPU share of each is of their sum."""
        with self._timed("decode, resize"):
            clips = list(read_clips(self._media, self._spec, self._options.read, _ignore))
        steps = self._network(clips)
        with self._timed("masks, confidence"):
            predictions = list(finish(in_time_order(steps), self._size_hw, self._rule, self._spec))
        self._tables(predictions)
        self._overlay(predictions)
        total = sum(cost["cpu_seconds"] for cost in self.costs.values())
        for cost in self.costs.values():
            cost["cpu_share"] = cost["cpu_seconds"] / total
            cost["cpu_ms_per_frame"] = 1000 * cost["cpu_seconds"] / len(predictions)
        return self.costs

    def _network(self, clips: list[Clip]) -> list[StepOutput]:
        iterator = iter(clips)
        batches = list(iter(lambda: list(islice(iterator, self._runtime.clips_at_once)), []))
        self._runtime.forward(prepare(batches[0], self._spec).inputs)  # first pass plans kernels
        assert self._runtime.sound_encoder is not None
        sound = EncodedSound(self._runtime.sound_encoder, self._spec)
        with self._timed("sound encoder, normalise"):
            prepared = [prepare(batch, self._spec, sound, looks_at_all=False) for batch in batches]
        with self._timed("network"):  # less its sound encoder
            outputs = [self._runtime.forward(batch.inputs) for batch in prepared]
        return [
            step
            for output, batch, of_batch in zip(outputs, batches, prepared, strict=True)
            for step in split_steps(output, batch, of_batch.levels_dbfs)
        ]

    def _tables(self, predictions: list[FramePrediction]) -> None:
        journal_sink, csv_sink = JournalSink(self._folder), ConfidenceSink(self._folder)
        with self._timed("RLE, journal, csv"), journal_sink as journal, csv_sink as csv:
            for prediction in predictions:
                journal.write(prediction)
                csv.write(prediction)
        with self._timed("coco"):
            source = RecordedSource.of(self._media, "")
            names = self._spec.categories
            write_coco(self._folder, source, names, (), Provenance("", "", "", "", ""))

    def _overlay(self, predictions: list[FramePrediction]) -> None:
        with self._timed("overlay: decode again"):
            to_planes = PlaneMaker(self._media)
            for image in FrameReader(self._media, self._options.read, _ignore):
                frame = to_planes(image)
        tint = Tint(NUM_COLOURS, self._media.height)
        with self._timed("overlay: blend"):
            for prediction in predictions:
                tint.blend((frame.y, frame.u, frame.v), prediction.label_map)
        overlay = _overlay_sink(self._folder, self._media)
        with self._timed("overlay: encode, mux"), overlay as sink:
            for prediction in predictions:
                sink.write(prediction)
        # The sink does all three; what is left after the other two is its encoding.
        encoding = self.costs["overlay: encode, mux"]
        for other in ("overlay: decode again", "overlay: blend"):
            for key in encoding:
                encoding[key] -= self.costs[other][key]

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.costs[name] = {
            "wall_seconds": time.perf_counter() - wall,
            "cpu_seconds": time.process_time() - cpu,
        }


def _overlay_sink(folder: Path, media: MediaInfo) -> OverlaySink:
    read = SegmentOptions().read
    return OverlaySink(
        folder, media, read, categories={1: "person"}, on_warning=_ignore, on_offset=_ignore
    )


def _ignore(_what: object) -> None:
    """Leave warnings about the generated clip unsaid: there are none."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10.0, help="length of the clip")
    parser.add_argument("--size", default="1280x720", help="WIDTHxHEIGHT of the clip, even")
    parser.add_argument("--clip-fps", type=int, default=30, help="frame rate of the clip")
    parser.add_argument("--rounds", type=int, default=1, help="runs per variant; the best counts")
    parser.add_argument("--weights", default=DEFAULT_WEIGHTS)
    parser.add_argument("--threads", type=int, default=1, help="of the network, for the parts")
    arguments = parser.parse_args()
    width, height = map(int, arguments.size.split("x"))

    setting = describe()
    with TemporaryDirectory() as name:
        folder = Path(name)
        clip = folder / "scene.mp4"
        size_hw = (height, width)
        generate_clip(clip, seconds=arguments.seconds, size_hw=size_hw, fps=arguments.clip_fps)
        variants = end_to_end(clip, folder, weights=arguments.weights, rounds=arguments.rounds)
        torch.set_num_threads(arguments.threads)
        options = SegmentOptions(device="cpu", precision="fp32")
        parts = Parts(clip, folder, open_runtime(arguments.weights, options, _ignore)).run()
    result = {"arguments": vars(arguments), "end_to_end": variants, "parts": parts, **setting}
    show(
        result,
        table(["end to end", *variants[NATIVE]], [[n, *v.values()] for n, v in variants.items()]),
        table(["part alone", *parts["network"]], [[n, *v.values()] for n, v in parts.items()]),
    )


if __name__ == "__main__":
    main()
