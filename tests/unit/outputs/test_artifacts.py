"""The table of what a run writes: it is complete, and help and documents tell the same."""

from pathlib import Path

import pytest

from avscli.commands.segment import segment
from avscli.config import CHOSEN_ARTIFACTS, ArtifactName, SegmentOptions
from avscli.outputs.artifacts import ARTIFACTS, Artifact, wanted

ROOT = Path(__file__).parents[3]
ALWAYS = {"objects", "events"}
each_artifact = pytest.mark.parametrize("artifact", ARTIFACTS.values(), ids=ARTIFACTS)


@pytest.mark.parametrize("write", [(), ("csv",), ("coco", "overlay"), CHOSEN_ARTIFACTS])
def test_a_run_makes_what_is_chosen_and_what_is_always_made(
    write: tuple[ArtifactName, ...],
) -> None:
    assert set(wanted(SegmentOptions(write=write))) == ALWAYS | set(write)


def test_every_choice_is_in_the_table_and_no_two_rows_share_a_file() -> None:
    assert set(ARTIFACTS) == ALWAYS | set(CHOSEN_ARTIFACTS)
    assert len({artifact.file_name for artifact in ARTIFACTS.values()}) == len(ARTIFACTS)


@each_artifact
def test_an_artifact_is_made_in_one_way(artifact: Artifact) -> None:
    assert (artifact.sink is None) != (artifact.write is None)


@each_artifact
def test_help_readme_and_formats_tell_of_an_artifact(artifact: Artifact) -> None:
    assert artifact.file_name in (segment.__doc__ or "")
    assert f"`{artifact.file_name}`" in (ROOT / "README.md").read_text(encoding="utf-8")
    formats = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    assert f"\n## {artifact.file_name}\n" in formats
