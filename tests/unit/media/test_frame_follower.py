"""Frames decoded once serve two, in bounded memory and without one waiting for the other."""

import hashlib
from itertools import islice
from pathlib import Path

import pytest

from avscli.config import ReadOptions
from avscli.datatypes import MediaInfo
from avscli.media.frame_follower import FrameFollower
from avscli.media.frames import FrameReader, StampedImage
from avscli.media.probe import probe
from tests.builders import make_video


class CountingReader(FrameReader):
    """Notes how often the file is decoded from its start."""

    num_decodings = 0

    def afresh(self) -> FrameReader:
        self.num_decodings += 1
        return super().afresh()


@pytest.fixture
def media(tmp_path: Path) -> MediaInfo:
    return probe(make_video(tmp_path / "a.mp4", b_frames=2))


def open_reader(media: MediaInfo, **range_options: float) -> CountingReader:
    return CountingReader(media, ReadOptions(**range_options), pytest.fail)


def frame_bytes(media: MediaInfo) -> int:
    """Decoders pad rows, so that this is more than the picture has."""
    image = next(iter(open_reader(media))).image
    return sum(plane.buffer_size for plane in image.planes)


def seen(image: StampedImage) -> tuple[int, int, str]:
    pixels = image.image.to_ndarray().tobytes()
    return image.stamp.index, image.stamp.pts, hashlib.sha256(pixels).hexdigest()


@pytest.mark.parametrize("behind", [1, 7, 30])
@pytest.mark.parametrize("room", [0, 5, 30])
@pytest.mark.parametrize("range_options", [{}, {"start_seconds": 0.2, "end_seconds": 0.8}])
def test_the_frames_are_those_of_the_leader_however_far_behind(
    media: MediaInfo, behind: int, room: int, range_options: dict[str, float]
) -> None:
    expected = [seen(image) for image in open_reader(media, **range_options)]
    reader = open_reader(media, **range_options)
    follower = FrameFollower(reader, held_bytes=room * frame_bytes(media))
    frames, taken = iter(follower), []
    for number, image in enumerate(reader, start=1):
        follower.keep(image)
        if number >= behind:
            taken += map(seen, islice(frames, 1))
    taken += map(seen, frames)
    assert taken == expected
    assert follower.time_base == reader.time_base


@pytest.mark.parametrize(("room", "num_decodings"), [(6, 0), (5, 1)])
def test_a_file_is_decoded_again_only_where_there_is_no_room(
    media: MediaInfo, room: int, num_decodings: int
) -> None:
    reader = open_reader(media)
    follower = FrameFollower(reader, held_bytes=room * frame_bytes(media))
    frames = iter(follower)
    for number, image in enumerate(reader, start=1):
        follower.keep(image)
        if number >= 6:
            next(frames)
    assert len(list(islice(frames, 5))) == 5
    assert reader.num_decodings == num_decodings


def test_what_is_closed_holds_nothing(media: MediaInfo) -> None:
    reader = open_reader(media)
    follower = FrameFollower(reader)
    images = iter(reader)
    follower.keep(next(images))
    follower.close()
    follower.keep(next(images))
    assert not follower._held
