"""From one file to its masks, overlay and report: the module to read first.

probe ─▶ clips (decoding ahead, in a thread) ─▶ network ─▶ masks in time order ─▶ sinks
      │ source is hashed in its own thread                    overlay encodes in its own thread
      └────── frames at source size, held until their masks are known ──────▲
"""

from __future__ import annotations

import warnings
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from avscli import __version__
from avscli.carrying import Carrier, read_blocks
from avscli.checkpoints import load_network, read_golden
from avscli.config import DEFAULT_WEIGHTS, SegmentOptions
from avscli.datatypes import BALANCED
from avscli.devices import Runtime, choose_device, start
from avscli.errors import UsageError, WeightsError
from avscli.masks import MaskRule
from avscli.media.fallback import probed
from avscli.media.prefetch import prefetch
from avscli.media.reader import read_clips
from avscli.media.source_hash import SourceHash
from avscli.outputs.artifacts import Finished, Making, artifact_sinks, wanted, write_artifacts
from avscli.outputs.coco import Provenance
from avscli.outputs.journal import JOURNAL_NAME, JournalSink, read_journal
from avscli.outputs.run_folder import RunFolder, file_names
from avscli.outputs.run_record import RUN_RECORD_NAME, write_run_record
from avscli.outputs.tracks import summed_objects
from avscli.postprocess import finish, in_time_order, split_steps
from avscli.preprocess import EncodedSound, prepare
from avscli.report_builder import ReportBuilder
from avscli.results import RecordedSource
from avscli.shipped import find_checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from avscli.datatypes import Clip
    from avscli.media.reader import ClipReader
    from avscli.outputs.sink import FrameSink
    from avscli.postprocess import StepOutput
    from avscli.preprocess import PreparedBatch
    from avscli.results import FramePrediction, Progress, SegmentationReport

BATCHES_AHEAD = 1  # decoded and prepared while the network works on the one before
BLOCKS_AHEAD = 1  # likewise, of `--fps auto`


def open_runtime(weights: str, options: SegmentOptions, warn: Callable[[str], None]) -> Runtime:
    """Load weights onto the device the options ask for, ready to run.

    Raises:
        DeviceError: an explicitly named device does not work.
        UsageError: a threshold for a network that does not use one, or a preference for which the
            weights have none.
        WeightsError: unknown, damaged or mismatching weights.
    """
    fallbacks: list[str] = []
    device = choose_device(options.device, fallbacks.append)
    path = find_checkpoint(weights)
    golden = None
    if options.precision == "auto":
        with suppress(WeightsError):  # other people's checkpoints have none; auto then stays exact
            golden = read_golden(path)
    network = load_network(weights, device)
    given = {
        "--prefer": None if options.prefer == BALANCED else options.prefer,
        "--threshold": options.threshold,
        "--region-threshold": options.region_threshold,
    }
    for option, value in given.items():
        if value is not None and network.spec.task == "semantic":
            raise UsageError(
                f"{option} has no meaning for {weights}: it names classes",
                hint=f"leave {option} out; each pixel takes its most probable class",
            )
    # Refused before any file is opened:
    network.spec.operating_point(options.prefer)
    if options.read.fps == "auto" and network.spec.clip_length > 1:
        raise UsageError(
            f"--fps auto has no meaning for {weights}: it sees {network.spec.clip_length} frames "
            "together, so none of them can be left out",
            hint="analyse fewer frames a second, for instance --fps 5",
        )
    runtime = start(
        network,
        device,
        precision=options.precision,
        batch_clips=options.batch_clips,
        golden=golden,
        warn=warn,
    )
    for message in fallbacks:
        runtime.tell(message)
    return runtime


def segment_file(
    source: Path,
    output_root: Path,
    runtime: Runtime,
    options: SegmentOptions,
    on_progress: Callable[[Progress], None],
) -> SegmentationReport:
    """Segment the sounding objects of one file into ``<output_root>/<name.ext>/``.

    Memory does not grow with the file's length. The folder appears whole or not at all; an output
    that cannot be made is left out, and the report says why: the masks are there without it.

    Raises:
        MediaError: the file is missing, unreadable or without video.
        NoAudioError: it has no sound, and the options do not allow that.
        OutputError: the folder exists, cannot be written, or the disk is full.
    """
    assert runtime.checkpoint is not None, "load_network fills it in"
    with (
        probed(source, audio_track=options.read.audio_track) as media,
        RunFolder(output_root, source, overwrite=options.overwrite) as folder,
        SourceHash(source) as source_hash,
    ):
        run = ReportBuilder(media, runtime.checkpoint, options, runtime.warn)
        reader = read_clips(media, runtime.spec, options.read, run.warn)
        making = _making(folder, reader, run)
        with ExitStack() as stack:
            predictions = stack.enter_context(closing(predict_frames(reader, runtime, options)))
            sinks = [stack.enter_context(sink) for sink in _sinks(making)]
            for prediction in predictions:
                for sink in sinks:
                    sink.write(prediction)
                run.count(prediction)
                source_hash.check()
                on_progress(run.progress())
            run.mark("frames")
        run.mark("closing")
        objects = summed_objects(read_journal(folder / JOURNAL_NAME), making.spec.categories)
        run.mark("objects")
        run.source_sha256 = source_hash.hexdigest(
            lambda share: on_progress(replace(run.progress(), hashed_share=share))
        )
        run.mark("hashing")
        recorded = RecordedSource.of(media, run.source_sha256)
        done = Finished(folder, recorded, making.spec.categories, objects, _provenance(run))
        write_artifacts(wanted(options), done, run.fail_output)
        run.mark("artifacts")
        report = run.report(
            output_root / source.name,
            files=tuple(sorted(file_names(folder) | {RUN_RECORD_NAME})),
            objects=objects,
            device=runtime.facts(),
            device_warnings=tuple(runtime.warnings),
            is_truncated=reader.truncated,
        )
        write_run_record(folder, report)
    return report


def segment(
    path: str | Path,
    *,
    weights: str = DEFAULT_WEIGHTS,
    options: SegmentOptions | None = None,
    warn: Callable[[str], None] = warnings.warn,
) -> Generator[FramePrediction, None, None]:
    """Yield one prediction per source frame of a video, in time order, without writing files.

    Args:
        path: the video.
        weights: a shipped name or a .safetensors path.
        options: range, threshold, device …; the defaults of ``avs segment`` when None.
        warn: told what the user should know, once each.

    Raises:
        AvscliError: as ``avs segment`` would exit.
    """
    options = options or SegmentOptions()
    with probed(Path(path), audio_track=options.read.audio_track) as media:
        runtime = open_runtime(weights, options, warn)
        reader = read_clips(media, runtime.spec, options.read, warn)
        yield from predict_frames(reader, runtime, options)


def predict_frames(
    reader: ClipReader, runtime: Runtime, options: SegmentOptions
) -> Generator[FramePrediction, None, None]:
    """Yield one prediction per source frame of the range, in time order.

    Close the generator when leaving early; it stops the decoding thread.
    """
    size_hw = reader.media.height, reader.media.width
    rule = mask_rule(runtime, options)
    with closing(predict_steps(reader, runtime, rule)) as steps:
        yield from finish(steps, size_hw, rule, runtime.spec, runtime.warn)


def predict_steps(
    reader: ClipReader, runtime: Runtime, rule: MaskRule, *, looks_at_all: bool = False
) -> Generator[StepOutput, None, None]:
    """Yield what the network says about each analysed frame, in time order.

    Batches run while the next ones are decoded; close the generator when leaving early.

    Args:
        reader: of the file.
        runtime: of the network.
        rule: how logits become masks, which says where a look is needed if the reader carries.
        looks_at_all: also where nothing can come of it, for those who ask what the network says
            of silence.
    """
    if reader.carries:
        carrier = Carrier(runtime.forward, runtime.spec, rule)
        blocks = read_blocks(reader, runtime.spec, _encoded_sound(runtime))
        with closing(prefetch(blocks, depth=BLOCKS_AHEAD)) as blocks_ahead:
            for block in blocks_ahead:
                yield from carrier.steps(block)
        return
    batches = _batches(reader, runtime, looks_at_all=looks_at_all)
    with closing(prefetch(batches, depth=BATCHES_AHEAD)) as ahead:
        yield from in_time_order(
            step
            for clips, prepared in ahead
            for step in split_steps(runtime.forward(prepared.inputs), clips, prepared.levels_dbfs)
        )


def mask_rule(runtime: Runtime, options: SegmentOptions) -> MaskRule:
    """Return how logits become masks: as the options say, else as the checkpoint does."""
    return MaskRule.of(
        runtime.spec,
        prefer=options.prefer,
        threshold=options.threshold,
        region_threshold=options.region_threshold,
        min_area=options.min_area,
    )


def _batches(
    reader: ClipReader, runtime: Runtime, *, looks_at_all: bool
) -> Iterator[tuple[list[Clip], PreparedBatch]]:
    clips, sound = iter(reader), _encoded_sound(runtime)
    while batch := list(islice(clips, runtime.clips_at_once)):
        yield batch, prepare(batch, runtime.spec, sound, looks_at_all=looks_at_all)


def _encoded_sound(runtime: Runtime) -> EncodedSound | None:
    encoder = runtime.sound_encoder
    return None if encoder is None else EncodedSound(encoder, runtime.spec)


def _sinks(making: Making) -> Iterator[FrameSink]:
    yield JournalSink(making.folder)
    yield from artifact_sinks(making)


def _making(folder: Path, reader: ClipReader, run: ReportBuilder) -> Making:
    return Making(
        folder,
        reader=reader,
        spec=run.checkpoint.spec,
        options=run.options,
        on_warning=run.warn,
        on_offset=run.note_overlay_offset,
        on_failure=run.fail_output,
    )


def _provenance(run: ReportBuilder) -> Provenance:
    return Provenance(
        run_id=run.run_id,
        tool=f"avs {__version__}",
        date_created=run.date_created,
        checkpoint_sha256=run.checkpoint.sha256,
        options_sha256=run.options_sha256,
    )
