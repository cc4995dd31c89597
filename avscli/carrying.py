"""``--fps auto``: look at some frames, and carry what is seen there to those between.

What moves is followed from frame to frame, and every frame is heard. Then, block by block::

    frame       0 . . . . . . . 8 . . . . . . . 16   looked at: one every half a second
    carried     0 ─────▶ 4 ◀─── 8 ─────▶ 12 ◀── 16   do both ends say the same of the middle?
    looked at   0       [4]     8               16   where not, the middle is looked at; and again
    result      0 1 2 3  4 ...  8 9 ...         16   between two looks: both, the nearer one more

So what costs looks is that the answer changes, whatever changed it. Both ends of a gap agree when

- neither is near the point where a mask comes or goes (`UNSURE_LOGITS`),
- no sound between them differs, for anything in view, from what is heard at the ends
  (`OTHER_SOUND`): what a sound lights up or puts out between two looks is looked at,
- their masks, carried to the middle, are alike (`ALIKE`).

Nothing is carried over a cut. Frames that are too quiet, or whose sound no source could make, are
not looked at anyway; the first and the last of the others always are. So sound decides at every
frame. A picture that stays is looked at once, as long as its sound stays.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from avscli.config import SILENCE_DBFS
from avscli.datatypes import LEAST_SOURCE
from avscli.masks import foreground_log_odds
from avscli.motion import Motion, carried, is_still, joined
from avscli.objects.naming import SourceProbabilities
from avscli.postprocess import StepOutput, split_steps
from avscli.preprocess import prepare_unseen, with_pictures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from avscli.datatypes import Clip, NetworkInput, NetworkOutput, NetworkSpec
    from avscli.masks import Logits, MaskRule
    from avscli.motion import Flow, Grey
    from avscli.preprocess import EncodedSound, PreparedBatch

    Forward = Callable[[NetworkInput], NetworkOutput]

# Measured by benchmarks/carrying.py; docs/performance.md has the numbers.
LONGEST_SECONDS = 0.5  # between two looks: half of what a frame hears
ALIKE = 0.85  # intersection over union of what two looks say of the frame between them
OTHER_SOUND = 0.15  # of probability, that something in view makes what is heard
UNSURE_LOGITS = 1.5  # calibrated, around the point at which a region is kept
BLOCK_SECONDS = 1.0
BLOCK_FRAMES = 32  # of a block: at source size they are held until the overlay has them


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Some frames in a row before any is looked at.

    Attributes:
        clips: of one frame each.
        sound: theirs, without pictures.
        motions: of each.
    """

    clips: list[Clip]
    sound: PreparedBatch
    motions: list[Motion]


@dataclass(slots=True, eq=False)
class _Frame:
    """A frame of a block.

    Attributes:
        place: in its block.
        heard: what is said without a look; of a network that names no sources, the level alone.
        motion: from the frame before.
        base: whose look this frame's is, mostly its own; None where there is none.
        look: of a base.
    """

    place: int
    heard: StepOutput
    motion: Motion
    base: _Frame | None = None
    look: StepOutput | None = None

    @property
    def seconds(self) -> float:
        return self.heard.analysed.stamp.pts_seconds

    @property
    def needs_no_look(self) -> bool:
        """Whether nothing could be marked here, whatever the picture."""
        sources = self.heard.sources
        if sources is None:
            return False
        is_silent = self.heard.audio_dbfs < SILENCE_DBFS
        return is_silent or float(sources.sound.max()) < LEAST_SOURCE

    @property
    def seen(self) -> StepOutput:
        assert self.base is not None, "asked of frames that were looked at"
        assert self.base.look is not None, "bases are"
        return self.base.look

    def stays_as(self, other: _Frame) -> bool:
        """Whether picture and sound are those of another frame."""
        mine, theirs = self.heard.sources, other.heard.sources
        if (
            mine is None
            or theirs is None
            or not is_still(self.motion.picture, other.motion.picture)
        ):
            return False
        return float(np.abs(mine.sound - theirs.sound).max()) <= OTHER_SOUND


_Gap = list[_Frame]  # from one look to the next, both included


class _Ways(NamedTuple):
    """From a frame between two looks to both."""

    to_first: Flow
    to_last: Flow


def read_blocks(
    clips: Iterable[Clip], spec: NetworkSpec, sound: EncodedSound | None
) -> Iterator[Block]:
    """Gather clips of one frame each, hear them and follow what moves.

    Args:
        clips: in time order.
        spec: of the network.
        sound: of the file, as in `avscli.preprocess.prepare`.
    """
    block: list[Clip] = []
    before: Grey | None = None
    for clip in clips:
        if block and (len(block) == BLOCK_FRAMES or _seconds(clip, block[0]) >= BLOCK_SECONDS):
            made = _block(block, spec, sound, before)
            before, block = made.motions[-1].picture, []
            yield made
        block.append(clip)
    if block:
        yield _block(block, spec, sound, before)


def _seconds(clip: Clip, since: Clip) -> float:
    return clip.analysed[0].stamp.pts_seconds - since.analysed[0].stamp.pts_seconds


def _block(
    clips: list[Clip], spec: NetworkSpec, sound: EncodedSound | None, before: Grey | None
) -> Block:
    motions = []
    for clip in clips:
        motions.append(Motion.into(clip.frames[0], before))
        before = motions[-1].picture
    return Block(clips, prepare_unseen(clips, spec, sound), motions)


class Carrier:
    """Turns blocks into steps, in time order and memory of one block.

    Args:
        forward: of the network, whose clips have one step.
        spec: of the network.
        rule: how logits become masks.
    """

    def __init__(self, forward: Forward, spec: NetworkSpec, rule: MaskRule) -> None:
        self._forward, self._spec, self._rule = forward, spec, rule
        self._last: _Frame | None = None  # of the block before

    def steps(self, block: Block) -> Iterator[StepOutput]:
        """Yield what is said of the frames of the next block."""
        frames = [
            _Frame(place, heard, motion)
            for place, (heard, motion) in enumerate(
                zip(self._heard(block), block.motions, strict=True)
            )
        ]
        before = [] if self._last is None else [self._last]
        gaps = [gap for stretch in _stretches(before + frames) for gap in _divided(stretch)]
        self._look_at_ends(gaps, block)
        carried_to = {step.analysed.sequence: step for step in self._between(gaps, block)}
        self._last = frames[-1] if frames[-1].base else None
        for frame in frames:
            step = frame.heard if frame.base is None else _held(frame)
            yield carried_to.get(frame.heard.analysed.sequence, step)

    def _heard(self, block: Block) -> Iterator[StepOutput]:
        """Yield what can be said of each frame without a look."""
        inputs, levels = block.sound.inputs, block.sound.levels_dbfs
        if not self._spec.source_classes:  # such networks may look at every frame that they hear
            for clip, level in zip(block.clips, levels[:, 0].tolist(), strict=True):
                yield StepOutput(clip.analysed[0], stage_logits=(), audio_dbfs=level)
            return
        nothing_to_see = replace(inputs, silent=torch.ones_like(inputs.valid))
        yield from split_steps(self._forward(nothing_to_see), block.clips, levels)

    def _look_at_ends(self, gaps: Sequence[_Gap], block: Block) -> None:
        """See what is at both ends of every gap, mostly by a look."""
        for first, *others in gaps:
            last = others[-1] if others else first
            first.base = first.base or first
            stays = all(each.stays_as(first.base) for each in others)
            last.base = last.base or (first.base if stays else last)
        ends = [end for gap in gaps for end in (gap[0], gap[-1])]
        self._look([end for end in ends if end.base is end], block)
        unsure = [end for end in ends if end.base is not end and self._is_unsure(end.seen)]
        for end in unsure:
            end.base = end
        self._look(unsure, block)

    def _between(self, gaps: Iterable[_Gap], block: Block) -> Iterator[StepOutput]:
        """Yield steps of all frames between looks, after as many looks as that takes."""
        open_gaps = [gap for gap in gaps if len(gap) > 2]
        while open_gaps:
            divided = []
            for gap in open_gaps:
                ways = _ways(gap)
                if self._ends_agree(gap, ways):
                    yield from self._mixed(gap, ways)
                else:
                    divided.append(gap)
            middles = [gap[len(gap) // 2] for gap in divided]
            for middle in middles:
                middle.base = middle
            self._look(middles, block)
            halves = ((gap[: len(gap) // 2 + 1], gap[len(gap) // 2 :]) for gap in divided)
            open_gaps = [half for both in halves for half in both if len(half) > 2]

    def _look(self, frames: Iterable[_Frame], block: Block) -> None:
        chosen = {frame.place: frame for frame in frames if frame.look is None}
        if not chosen:
            return
        places = sorted(chosen)
        clips = [block.clips[place] for place in places]
        inputs = block.sound.inputs.of_each(lambda values: values[places])
        output = self._forward(with_pictures(inputs, clips, self._spec))
        looks = split_steps(output, clips, block.sound.levels_dbfs[places])
        for place, look in zip(places, looks, strict=True):
            chosen[place].look = look

    def _ends_agree(self, gap: _Gap, ways: Sequence[_Ways]) -> bool:
        first, last = gap[0].seen, gap[-1].seen
        if self._is_unsure(first) or self._is_unsure(last) or _hears_another(gap):
            return False
        middle = ways[len(gap) // 2 - 1]
        one = self._labels(carried(first.stage_logits[0], middle.to_first))
        other = self._labels(carried(last.stage_logits[0], middle.to_last))
        union = np.count_nonzero(one | other)
        return bool(np.count_nonzero((one == other) & (one > 0)) >= ALIKE * union)

    def _labels(self, logits: Logits) -> NDArray[np.uint8]:
        return self._rule.label_map(logits, logits.shape[1:])

    def _is_unsure(self, look: StepOutput) -> bool:
        """Whether a little more or less would let a mask come or go."""
        odds = float(foreground_log_odds(look.stage_logits[0]).max())
        cutoff = max(self._rule.cutoff, self._rule.region_cutoff)
        return abs(odds - cutoff) < UNSURE_LOGITS * self._rule.temperature

    def _mixed(self, gap: _Gap, ways: Iterable[_Ways]) -> Iterator[StepOutput]:
        """Yield steps of the frames between two looks: of both, by how near they are in time."""
        first, last = gap[0].seen, gap[-1].seen
        shows = any(self._labels(look.stage_logits[0]).any() for look in (first, last))
        for frame, way, share in zip(gap[1:-1], ways, _shares(gap), strict=True):
            mix = partial(_mix, way, share)
            stages = tuple(map(mix, first.stage_logits, last.stage_logits))
            picture = None
            if first.sources is not None and last.sources is not None:
                picture = first.sources.picture  # nobody asks for it where nothing shows
                picture = mix(picture, last.sources.picture) if shows else picture
            yield _said(frame, replace(first, stage_logits=stages), picture)


def _stretches(frames: Iterable[_Frame]) -> Iterator[_Gap]:
    """Yield the longest runs of frames that need a look and are not parted by a cut."""
    run: list[_Frame] = []
    for frame in frames:
        if run and (frame.needs_no_look or frame.motion.is_cut):
            yield run
            run = []
        if not frame.needs_no_look:
            run.append(frame)
    if run:
        yield run


def _divided(stretch: _Gap) -> Iterator[_Gap]:
    """Yield gaps of LONGEST_SECONDS at most; each begins where the one before ends."""
    begins = 0
    for end in range(1, len(stretch)):
        is_last = end == len(stretch) - 1
        if is_last or stretch[end + 1].seconds - stretch[begins].seconds > LONGEST_SECONDS:
            yield stretch[begins : end + 1]
            begins = end
    if len(stretch) == 1:
        yield stretch


def _ways(gap: _Gap) -> list[_Ways]:
    """Return the ways of all frames between the ends, following what moves frame by frame."""
    back = (frame.motion.back for frame in gap[1:-1])
    ahead = (frame.motion.ahead for frame in gap[:1:-1])
    to_first = accumulate(back, lambda way, step: joined(step, way))
    to_last = reversed([*accumulate(ahead, lambda way, step: joined(step, way))])
    return list(map(_Ways, to_first, to_last))


def _shares(gap: _Gap) -> NDArray[np.float32]:
    """Return [n] how far each of the frames between the ends is on the way from first to last."""
    times = np.array([frame.seconds for frame in gap])
    return np.asarray((times[1:-1] - times[0]) / max(times[-1] - times[0], 1e-9), np.float32)


def _mix(way: _Ways, share: np.float32, first: Logits, last: Logits) -> NDArray[np.float32]:
    """Return maps [C, h, w] of a frame between two looks."""
    mixed = (1 - share) * carried(first, way.to_first) + share * carried(last, way.to_last)
    return np.asarray(mixed, np.float32)


def _hears_another(gap: _Gap) -> bool:
    """Whether a sound between two looks tells more of what they show than theirs do."""
    looks = [end.seen.sources for end in (gap[0], gap[-1])]
    between = [frame.heard.sources for frame in gap[1:-1]]
    sources = [each for each in (*looks, *between) if each is not None]
    if len(sources) < len(gap):
        return False
    first, last, *others = sources
    shares = _shares(gap)[:, None]
    expected = (1 - shares) * first.sound + shares * last.sound  # [n, K]
    change = np.stack([each.sound for each in others]) - expected
    in_view = (change @ look.picture.reshape(len(look.sound), -1) for look in (first, last))
    return any(float(np.abs(each).max()) > OTHER_SOUND for each in in_view)


def _held(frame: _Frame) -> StepOutput:
    """Return the look at a frame, or at an earlier one that looked the same."""
    look = frame.seen
    if frame.base is frame:
        return look
    return _said(frame, look, None if look.sources is None else look.sources.picture)


def _said(frame: _Frame, look: StepOutput, picture: NDArray[np.float32] | None) -> StepOutput:
    """Return what was seen elsewhere as said of a frame, with the frame's own sound."""
    heard = frame.heard
    sources = None
    if picture is not None and heard.sources is not None:
        sources = SourceProbabilities(picture, heard.sources.sound)
    return replace(
        look,
        analysed=heard.analysed,
        audio_dbfs=heard.audio_dbfs,
        sources=sources,
        heard=heard.heard,
        is_carried=True,
    )
