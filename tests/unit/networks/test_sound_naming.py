"""Learned names and tags, joined."""

import pytest
import torch

from avscli.audio.audioset import audioset_names
from avscli.networks.pcmanet.sound_naming import SoundNaming, TagEvidence

CLASSES = ("dog", "horse", "scene_bell")
QUIET = -9.0


def tags_of(**logits: float) -> torch.Tensor:
    tags = torch.full((1, 527), QUIET)
    for name, logit in logits.items():
        tags[0, audioset_names().index(name)] = logit
    return tags


def evidence_of(recordings: tuple[float, float, float], tags: tuple[float, float]) -> TagEvidence:
    evidence = TagEvidence(CLASSES)
    evidence.recordings.copy_(torch.tensor(recordings))
    evidence.tags.copy_(torch.tensor(tags))
    return evidence


def test_either_side_can_say_that_a_class_sounds() -> None:
    evidence = evidence_of((0.8, 0.1, 0.2), (1.3, -0.5))
    learned, tags = torch.tensor([[1.0, -2.0, 0.5]]), tags_of(Horse=0.7, Rain=-1.0)
    dog = 0.8 * 1.0 + 0.1 * (QUIET - 0.7) + 0.2
    horse = 0.8 * -2.0 + 0.1 * (0.7 + 1.0) + 0.2
    expected = [
        1 - (1 - torch.sigmoid(torch.tensor(of_recordings)))
        * (1 - torch.sigmoid(torch.tensor(1.3 * own - 0.5)))
        for of_recordings, own in ((dog, QUIET), (horse, 0.7))
    ]  # fmt: skip
    joined = evidence(learned, tags).sigmoid()
    torch.testing.assert_close(joined[0, :2], torch.stack(expected))


def test_a_class_that_no_name_stands_for_is_told_by_recordings_alone() -> None:
    evidence = evidence_of((0.8, 0.1, 0.2), (1.3, -0.5))
    learned = torch.tensor([[1.0, -2.0, 0.5]])
    for tags in (tags_of(), tags_of(Bell=5.0)):
        assert evidence(learned, tags)[0, 2] == 0.5


def test_what_is_learned_is_doubted_where_tags_hear_something_else() -> None:
    evidence = evidence_of((1.0, 0.3, 0.0), (1.0, 0.0))
    learned = torch.tensor([[2.0, -9.0, -9.0]])
    alone, with_rain = (evidence(learned, tags)[0, 0] for tags in (tags_of(), tags_of(Rain=3.0)))
    assert with_rain < alone - 2.0
    assert evidence(learned, tags_of(Music=3.0))[0, 0] == alone


@pytest.mark.parametrize("hears_tags", [False, True])
def test_a_shift_has_all_classes_said_to_be_likelier(hears_tags: bool) -> None:
    torch.manual_seed(0)
    naming = SoundNaming(6, CLASSES, hears_tags=hears_tags).eval()
    moments, tags = torch.rand(4, 1, 6), torch.randn(4, 1, 527)
    with torch.inference_mode():
        before = naming(moments, tags if hears_tags else None)
        naming.add_shift(0.7)
        after = naming(moments, tags if hears_tags else None)
    torch.testing.assert_close(after, before + 0.7)
