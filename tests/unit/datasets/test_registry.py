"""Kinds of data are strings in one place; what they offer is asked of their modules."""

import pytest

from avscli.datasets.registry import kind_of, kinds_for
from avscli.errors import UsageError


@pytest.mark.parametrize("use", ["check", "eval", "train"])
def test_every_registered_kind_has_a_module_that_offers_what_is_promised(use):
    assert kinds_for(use)
    for name in kinds_for(use):
        module = kind_of(name, use)
        assert callable(module.open_set)
        assert callable(module.checks)


def test_an_unknown_kind_names_those_there_are():
    with pytest.raises(UsageError, match="no kind of data 'avsbanch'") as caught:
        kind_of("avsbanch", "eval")
    assert "avsbench-s4" in caught.value.hint


def test_a_kind_without_files_cannot_be_checked():
    with pytest.raises(UsageError, match="scenes cannot check") as caught:
        kind_of("scenes", "check")
    assert "scenes" not in caught.value.hint
