"""What a strip of frames shows, read back from its JPEG."""

import cv2
import numpy as np

from avscli.outputs.strip import FALSE_RGB, FRAME_WIDTH, HIT_RGB, MISSED_RGB, strip_jpeg


def decoded(jpeg: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)[..., ::-1].astype(int)


def test_hits_false_and_missed_pixels_have_their_colours_and_void_has_none():
    mask = np.zeros((1, 80, 80), bool)
    target = np.zeros((1, 80, 80), np.uint8)
    mask[0, :, :40] = True
    target[0, :40] = 1
    target[0, 60:] = 255
    strip = decoded(strip_jpeg(mask, target))
    places = {(30, 30): HIT_RGB, (100, 30): FALSE_RGB, (30, 130): MISSED_RGB}
    for (row, column), colour in places.items():
        assert strip[row, column].argmax() == np.argmax(colour)
        assert np.ptp(strip[row, column]) > 50
    for row, column in ((100, 130), (150, 30), (150, 130)):
        assert np.ptp(strip[row, column]) < 12  # the grey of no picture


def test_frames_lie_side_by_side_over_their_pictures():
    pictures = np.stack([np.full((90, 160, 3), value, np.uint8) for value in (20, 220)])
    nothing = np.zeros((2, 90, 160), bool)
    strip = decoded(strip_jpeg(nothing, nothing.astype(np.uint8), pictures))
    assert strip.shape == (90, 2 * FRAME_WIDTH, 3)
    assert abs(strip[45, 80] - 20).max() < 4
    assert abs(strip[45, 240] - 220).max() < 4
