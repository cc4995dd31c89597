"""Opening data sets for evaluation."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from avscli.datasets.contract import HasSideBySide, VideoSet
from avscli.datasets.registry import kind_of
from avscli.errors import DataError
from avscli.evaluation.network.altered import altered_clips
from avscli.evaluation.network.samples import EvaluationSet, EvaluationVideos

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from avscli.config import DataSelection
    from avscli.datasets.contract import LabelledSet
    from avscli.datasets.labelled import LabelledClip
    from avscli.datasets.problems import Problem
    from avscli.evaluation.network.samples import Evaluated

NUM_COUPLES = 150  # of pictures side by side


def open_data(selection: DataSelection) -> Evaluated:
    """Open a data set and look for every file that will be read.

    Raises:
        DataError: it is not as its format says, or a file is missing.
        UsageError: no such kind, or what the selection asks for it has not.
    """
    data = kind_of(selection.kind, "eval").open_set(selection)
    if isinstance(data, VideoSet):
        _refuse(map(data.problems, range(len(data.videos))), selection)
        return EvaluationVideos(_facts(data, selection), data.videos)
    return evaluation_set(data, selection)


def evaluation_set(data: LabelledSet, selection: DataSelection) -> EvaluationSet:
    """Look for every file of an opened set of labelled clips.

    Raises:
        DataError: a file is missing.
    """
    _refuse(map(data.missing, range(len(data))), selection)
    limit = selection.limit
    couples = min(NUM_COUPLES, NUM_COUPLES if limit is None else limit)
    return EvaluationSet(
        facts=_facts(data, selection),
        num_samples=len(data),
        samples=partial(_samples, data),
        altered=partial(altered_clips, data),
        side_by_side=partial(data.side_by_side, couples)
        if isinstance(data, HasSideBySide)
        else None,
        class_names=data.class_names,
    )


def _facts(data: LabelledSet | VideoSet, selection: DataSelection) -> dict[str, object]:
    return {**data.facts} | ({} if selection.limit is None else {"limit": selection.limit})


def _samples(data: LabelledSet) -> Iterator[LabelledClip]:
    for index in range(len(data)):
        clip = data.read(index)
        yield clip if data.evaluated_steps is None else clip.padded_to(data.evaluated_steps)


def _refuse(problems: Iterable[list[Problem]], selection: DataSelection) -> None:
    """Stop at the first problem of any item."""
    for of_item in problems:
        if of_item:
            copy = f"{selection.kind} {selection.root}"
            raise DataError(
                of_item[0].message, hint=f"every problem of the copy: avs data check {copy}"
            )
