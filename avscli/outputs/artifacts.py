"""What a run writes beside its journal and its record: `ARTIFACTS`, the one table of it.

Each is made either frame by frame, beside the network, or from the finished journal. One that
cannot be made is left out and told (`avscli.outputs.extra`). A new output is a row here, and a name
in `config.ArtifactName` if ``--write`` chooses it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from avscli.config import CHOSEN_ARTIFACTS
from avscli.outputs.coco import COCO_NAME, write_coco
from avscli.outputs.confidence import CONFIDENCE_NAME, ConfidenceSink
from avscli.outputs.events_vtt import EVENTS_NAME, write_events
from avscli.outputs.extra import ExtraSink, extra_output
from avscli.outputs.objects_csv import OBJECTS_NAME, write_objects
from avscli.outputs.overlay import OVERLAY_NAME, OverlaySink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from avscli.config import SegmentOptions
    from avscli.datatypes import NetworkSpec
    from avscli.media.reader import ClipReader
    from avscli.outputs.coco import Provenance
    from avscli.outputs.sink import FrameSink
    from avscli.results import ObjectSummary, RecordedSource


@dataclass(frozen=True, slots=True)
class Making:
    """A run in progress, as far as its artifacts need to know it.

    Attributes:
        folder: receives them.
        reader: of the source.
        spec: of the network.
        options: of the run.
        on_warning: told what the user should know.
        on_offset: told the source seconds at which the overlay's time line starts.
        on_failure: told the name of an artifact that could not be made, and why.
    """

    folder: Path
    reader: ClipReader
    spec: NetworkSpec
    options: SegmentOptions
    on_warning: Callable[[str], None]
    on_offset: Callable[[float], None]
    on_failure: Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Finished:
    """What is known once the journal is whole.

    Attributes:
        folder: of the run; has the journal, and receives the artifacts.
        source: that was segmented.
        categories: names of what objects can be, by id.
        objects: what sounds, and when.
        provenance: where the masks come from.
    """

    folder: Path
    source: RecordedSource
    categories: Mapping[int, str]
    objects: tuple[ObjectSummary, ...]
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file of a run.

    Attributes:
        file_name: in the run's folder.
        what: is in it, for people.
        sink: makes what writes it frame by frame; None where `write` does.
        write: writes it beside the finished journal; None where `sink` does.
        source_share: its likely size over that of the source; 0 where that hardly matters.
    """

    file_name: str
    what: str
    sink: Callable[[Making], FrameSink] | None = None
    write: Callable[[Finished], object] | None = None
    source_share: float = 0.0


def _overlay(making: Making) -> OverlaySink:
    return OverlaySink(
        making.folder,
        making.reader.media,
        making.options.read,
        frames=making.reader.followed(),
        most_rows=making.options.overlay_height,
        categories=making.spec.categories if making.options.labels else None,
        on_warning=making.on_warning,
        on_offset=making.on_offset,
    )


# By the name that --write and failed_outputs know, in the order in which they are made.
ARTIFACTS: Mapping[str, Artifact] = {
    "csv": Artifact(
        CONFIDENCE_NAME,
        "how sure each frame is",
        sink=lambda making: ConfidenceSink(making.folder),
    ),
    "overlay": Artifact(
        OVERLAY_NAME,
        "the video with its objects tinted and named",
        sink=_overlay,
        source_share=1.0,
    ),
    "objects": Artifact(
        OBJECTS_NAME,
        "a row per object",
        write=lambda done: write_objects(done.folder / OBJECTS_NAME, done.objects),
    ),
    "events": Artifact(
        EVENTS_NAME,
        "a subtitle per interval in which an object sounds",
        write=lambda done: write_events(done.folder / EVENTS_NAME, done.objects),
    ),
    "coco": Artifact(
        COCO_NAME,
        "COCO instances of the analysed frames",
        write=lambda done: write_coco(
            done.folder, done.source, done.categories, done.objects, done.provenance
        ),
    ),
}


def wanted(options: SegmentOptions) -> dict[str, Artifact]:
    """Return what a run with these options makes: what is chosen, and what always is."""
    return {
        name: artifact
        for name, artifact in ARTIFACTS.items()
        if name not in CHOSEN_ARTIFACTS or name in options.write
    }


def artifact_sinks(making: Making) -> Iterator[FrameSink]:
    """Yield what writes frame by frame; a failure costs the artifact and nothing else."""
    for name, artifact in wanted(making.options).items():
        if artifact.sink is not None:
            yield ExtraSink(
                artifact.sink(making),
                making.folder / artifact.file_name,
                partial(making.on_failure, name),
            )


def write_artifacts(
    artifacts: Mapping[str, Artifact], done: Finished, on_failure: Callable[[str, str], None]
) -> None:
    """Write what is made from the finished journal; a failure costs the artifact and nothing else.

    Args:
        artifacts: by name; those that are written frame by frame are passed over.
        done: the run.
        on_failure: told the name of an artifact that could not be made, and why.

    Raises:
        OutputError: the disk is full or gone.
    """
    for name, artifact in artifacts.items():
        if artifact.write is not None:
            with extra_output(done.folder / artifact.file_name, partial(on_failure, name)):
                artifact.write(done)
