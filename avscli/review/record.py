"""Who decided what, as run.json of a corrected run has it; and the classes it comes to have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from avscli import __version__
from avscli.results import ReviewOfObject, ReviewRecord
from avscli.review.decisions import decision_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from avscli.outputs.run import Run
    from avscli.review.decisions import Review
    from avscli.review.replay import Reviewed


def decided_categories(run: Run, result: Reviewed) -> tuple[dict[int, str], dict[int, int]]:
    """Return names by category, new ones counting on, and categories by object."""
    categories, category_of = dict(run.categories), {}
    numbers = {name: number for number, name in reversed(categories.items())}
    for each in result.objects:
        if each.frames:
            number = numbers.setdefault(each.name, max(categories, default=0) + 1)
            categories[number] = each.name
            category_of[each.object] = number
    return categories, category_of


def review_record(
    run: Run, review: Review, result: Reviewed, categories: Mapping[int, str]
) -> ReviewRecord:
    """Return how a run was corrected.

    Args:
        run: that was reviewed.
        review: of it.
        result: of the review's decisions.
        categories: of the corrected run, names by id.
    """
    known, earlier = run.record.checkpoint.spec.categories, run.record.review
    decided = {
        each.track_id
        for each in (() if earlier is None else earlier.objects)
        if each.decided_by == "reviewer"
    } | {each.object for each in result.objects if each.decisions}
    return ReviewRecord(
        review_sha256=review.sha256,
        tool={"name": "avs", "version": __version__},
        run_id=run.record.run_id,
        journal_sha256=review.run.journal_sha256,
        new_categories=tuple(each for each in categories.items() if each[0] not in known),
        objects=tuple(
            ReviewOfObject(
                track_id=each.object,
                state=each.state,
                decided_by="reviewer" if each.object in decided else "network",
                decisions=each.decisions,
            )
            for each in result.objects
        ),
        off_screen=result.off_screen,
        decisions=tuple(decision_json(each) for each in review.decisions),
        earlier=earlier,
    )
