"""What a network is evaluated on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from avscli.datasets.contract import SideBySide
    from avscli.datasets.labelled import LabelledClip
    from avscli.datasets.labelled_video import LabelledVideo


class Altered(NamedTuple):
    """A clip, and the same with other sounds.

    Attributes:
        right: as it is.
        others: by what was done to the sound: ``muted``, ``swapped``, ``shifted``.
    """

    right: LabelledClip
    others: dict[str, LabelledClip]


@dataclass(frozen=True, slots=True)
class EvaluationSet:
    """An opened data set; its clips are read when asked for, one by one.

    Attributes:
        facts: what it is, for the report.
        num_samples: how many clips there are.
        samples: reads them.
        altered: reads the sounding ones with other sounds.
        side_by_side: couples of pictures in one frame; None where the set has no single pictures.
        class_names: by label, background first; empty for one kind of mask.
    """

    facts: Mapping[str, object]
    num_samples: int
    samples: Callable[[], Iterable[LabelledClip]]
    altered: Callable[[], Iterable[Altered]]
    side_by_side: Callable[[], Iterable[SideBySide]] | None = None
    class_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EvaluationVideos:
    """An opened set of real videos.

    Attributes:
        facts: what it is, for the report.
        videos: with their labelled seconds.
    """

    facts: Mapping[str, object]
    videos: Sequence[LabelledVideo]

    @property
    def num_samples(self) -> int:
        """How many seconds are labelled."""
        return sum(len(video.seconds) for video in self.videos)


Evaluated = EvaluationSet | EvaluationVideos
