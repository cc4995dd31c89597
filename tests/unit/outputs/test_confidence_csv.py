"""confidence.csv as a spreadsheet reads it."""

import csv
import math
from pathlib import Path

from avscli.outputs.confidence import CONFIDENCE_NAME, ConfidenceSink
from tests.unit.outputs.drawn import blob, make_prediction


def test_every_frame_is_one_row_with_the_documented_columns(tmp_path: Path) -> None:
    with ConfidenceSink(tmp_path) as sink:
        sink.write(make_prediction(0, blob(0), flags=("flicker", "low_agreement")))
        sink.write(make_prediction(1, state="silent", interpolated=True, audio_dbfs=-math.inf))
    with (tmp_path / CONFIDENCE_NAME).open(newline="") as file:
        first, second = csv.DictReader(file)
    assert list(first) == [
        "frame", "time", "interpolated", "state", "score", "area_share", "num_components",
        "mean_probability", "entropy", "stage_agreement", "temporal_iou", "audio_dbfs",
        "selected", "flags",
    ]  # fmt: skip
    assert first["flags"] == "flicker;low_agreement"
    assert first["selected"] == "1.000000;0.500000;0.250000"
    assert float(first["area_share"]) == round(float((blob(0) > 0).mean()), 6)
    assert (first["temporal_iou"], second["temporal_iou"]) == ("", "0.750000")
    assert second["mean_probability"] == ""
    assert float(second["audio_dbfs"]) == -math.inf
    assert (second["interpolated"], second["state"]) == ("true", "silent")
    assert float(second["time"]) == 0.033333
