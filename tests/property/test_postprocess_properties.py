"""What must hold for every order of arrival and every stack of logits."""

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from avscli.datatypes import AnalysedFrame, FrameStamp
from avscli.masks import foreground_probability
from avscli.postprocess import StepOutput, in_time_order, mean_entropy_bits

LOGITS = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 5)),
    elements=st.floats(-1e4, 1e4, width=32),
)


@given(st.integers(0, 30).flatmap(lambda n: st.permutations(range(n))))
def test_any_order_of_arrival_becomes_time_order(arrival: Sequence[int]) -> None:
    steps = [StepOutput(AnalysedFrame(FrameStamp(i, i, float(i)), i), (), 0.0) for i in arrival]
    assert [s.analysed.sequence for s in in_time_order(steps)] == sorted(arrival)


@given(LOGITS, st.floats(0.1, 10.0))
def test_probability_and_entropy_stay_in_their_ranges(
    logits: np.ndarray, temperature: float
) -> None:
    probability = foreground_probability(logits, temperature)
    assert ((probability >= 0.0) & (probability <= 1.0)).all()
    assert 0.0 <= mean_entropy_bits(probability) <= 1.0 + 1e-6
