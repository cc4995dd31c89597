"""Opening data sets for evaluation."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from avscli.datasets.contract import HasSideBySide
from avscli.datasets.registry import kind_of
from avscli.errors import DataError
from avscli.evaluation.network.altered import altered_clips
from avscli.evaluation.network.samples import EvaluationSet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from avscli.config import DataSelection
    from avscli.datasets.contract import LabelledSet
    from avscli.datasets.labelled import LabelledClip

NUM_COUPLES = 150  # of pictures side by side


def open_data(selection: DataSelection) -> EvaluationSet:
    """Open a data set and look for every file that will be read.

    Raises:
        DataError: it is not as its format says, or a file is missing.
        UsageError: no such kind, or what the selection asks for it has not.
    """
    data = kind_of(selection.kind, "eval").open_set(selection)
    _require_files(data, selection)
    limit = selection.limit
    couples = min(NUM_COUPLES, NUM_COUPLES if limit is None else limit)
    return EvaluationSet(
        facts={**data.facts} | ({} if limit is None else {"limit": limit}),
        num_samples=len(data),
        samples=partial(_samples, data),
        altered=partial(altered_clips, data),
        side_by_side=partial(data.side_by_side, couples)
        if isinstance(data, HasSideBySide)
        else None,
        class_names=data.class_names,
    )


def _samples(data: LabelledSet) -> Iterator[LabelledClip]:
    for index in range(len(data)):
        clip = data.read(index)
        yield clip if data.evaluated_steps is None else clip.padded_to(data.evaluated_steps)


def _require_files(data: LabelledSet, selection: DataSelection) -> None:
    for index in range(len(data)):
        if problems := data.missing(index):
            raise DataError(
                problems[0].message,
                hint=f"every problem of the copy: avs data check {data.kind} {selection.root}",
            )
