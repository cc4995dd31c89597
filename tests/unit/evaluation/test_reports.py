"""What is written, compared and demanded of an evaluation of stored masks."""

import csv
import json
import re
from dataclasses import replace

import numpy as np
import pytest

from avscli.config import DataSelection, EvalOptions
from avscli.errors import DataError, OutputError, QualityGateError, UsageError
from avscli.evaluation.clips import clip_of_masks
from avscli.evaluation.report.compare import compare
from avscli.evaluation.report.gallery import NUM_WORST, Gallery
from avscli.evaluation.report.report_files import refuse_existing, require_gates, write_report
from avscli.evaluation.run import evaluate_masks
from tests.miniatures import write_picture

SIZE_HW = (12, 16)
NUM_CLIPS = 12


def write_masks(root, shift=0):
    """Clip k holds a block of 4 + k % 5 columns, moved to the right."""
    for k in range(NUM_CLIPS):
        for step in (1, 2):
            mask = np.zeros(SIZE_HW, np.uint8)
            mask[3:9, 2 + shift * (k % 3) : 6 + k % 5 + shift * (k % 3)] = 255
            write_picture(root / f"clip{k}" / f"clip{k}_{step}.png", mask)
    return root


@pytest.fixture
def report(tmp_path):
    true, predicted = write_masks(tmp_path / "true"), write_masks(tmp_path / "predicted", shift=1)
    options = EvalOptions(protocols=("avs", "avsbench"))
    return evaluate_masks(predicted, true, options, lambda _done: None)


def test_the_json_says_how_it_was_made(report, tmp_path):
    write_report(report, tmp_path / "out")
    told = json.loads((tmp_path / "out" / "eval.json").read_text())
    assert told["schema"] == "avs-eval-1"
    assert told["protocols"].keys() == {"avs", "avsbench"}
    assert told["data"]["sizes_hw"] == [list(SIZE_HW)]
    assert told["options"]["protocol_batch"] == 1
    assert len(told["clips"]) == NUM_CLIPS
    ious = [row["iou"] / row["num_sounding"] for row in told["clips"]]
    assert np.mean(ious) == pytest.approx(told["protocols"]["avs"]["scores"]["mean_iou"]["value"])


def test_the_table_of_clips_has_a_row_each(report, tmp_path):
    write_report(report, tmp_path)
    with (tmp_path / "eval.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["clip_id"] for row in rows] == sorted(f"clip{k}" for k in range(NUM_CLIPS))
    assert float(rows[0]["mean_iou"]) == 1.0


def test_the_page_asks_for_nothing_from_elsewhere(report, tmp_path):
    write_report(report, tmp_path)
    page = (tmp_path / "eval.html").read_text(encoding="utf-8")
    assert set(re.findall(r'(?:src|href)="(data:[a-z/]*)', page)) == {"data:", "data:image/jpeg"}
    assert not re.search(r'(src|href)="(?!data:)|url\(|@import|<script', page)
    for plot in ("plot-reliability", "plot-f-curve", "plot-classes", "worst"):
        assert f'id="{plot}"' in page


def test_names_from_a_data_set_are_text_on_the_page(report, tmp_path):
    hostile = "<script>alert('&')</script>"
    strip = replace(report.worst[0], caption=hostile)
    write_report(replace(report, worst=[strip], data={"kind": hostile}), tmp_path)
    page = (tmp_path / "eval.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert(&#39;&amp;&#39;)&lt;/script&gt;") == 5


def test_results_are_replaced_only_when_asked(report, tmp_path):
    refuse_existing(tmp_path, overwrite=False)
    write_report(report, tmp_path)
    with pytest.raises(OutputError, match="exists already"):
        refuse_existing(tmp_path, overwrite=False)
    refuse_existing(tmp_path, overwrite=True)


def test_gates_name_every_score_that_is_worse(report):
    require_gates(report.scores, {"mean_iou": 0.1, "f_score": None})
    with pytest.raises(QualityGateError, match=r"mean_iou is 0\.\d+, asked for at least 0\.99"):
        require_gates(report.scores, {"mean_iou": 0.99})
    with pytest.raises(QualityGateError, match="asked for at least nan"):
        require_gates(report.scores, {"mean_iou": float("nan")})
    with pytest.raises(QualityGateError, match="kept_empty is unknown"):
        require_gates(report.scores, {"kept_empty": 0.5})
    assert QualityGateError.exit_code == 9


def test_the_worst_clips_are_kept_and_no_more():
    gallery = Gallery()
    masks = np.ones((1, 8, 8), np.uint8)
    for k in range(40):
        gallery.add(clip_of_masks(f"clip{k}", masks, masks), ((k * 7) % 40) / 40)
    worst = gallery.worst()
    assert [-clip.minus_iou for clip in worst] == [k / 40 for k in range(NUM_WORST)]
    assert all(clip.jpeg.startswith(b"\xff\xd8") for clip in worst)


def test_a_clip_that_comes_in_parts_is_shown_with_its_own_score():
    gallery = Gallery()
    masks = np.ones((1, 8, 8), np.uint8)
    for k in range(NUM_WORST):
        gallery.add(clip_of_masks(f"clip{k}", masks, masks), 0.5)
    gallery.add(clip_of_masks("long", masks, masks), 0.1)
    gallery.add(clip_of_masks("long", masks, masks, continues=True), 0.4)
    assert (gallery.worst()[0].clip_id, gallery.worst()[0].minus_iou) == ("long", -0.4)
    gallery.add(clip_of_masks("long", masks, masks, continues=True), 0.9)
    gallery.add(clip_of_masks("other", masks, masks), 0.6)
    assert "long" not in {clip.clip_id for clip in gallery.worst()}


@pytest.fixture
def two_reports(tmp_path):
    true = write_masks(tmp_path / "true")
    folders = []
    for name, shift in (("worse", 2), ("better", 1)):
        predicted = write_masks(tmp_path / name, shift=shift)
        done = evaluate_masks(predicted, true, EvalOptions(), lambda _done: None)
        write_report(done, tmp_path / f"{name}_eval")
        folders.append(tmp_path / f"{name}_eval" / "eval.json")
    return folders


def test_a_comparison_tells_differences_with_their_intervals(two_reports):
    told = compare(*two_reports)["scores"]["mean_iou"]
    assert told["difference"] == pytest.approx(told["second"] - told["first"])
    low, high = told["interval"]
    assert 0 < low < told["difference"] < high
    same = compare(two_reports[0], two_reports[0])["scores"]["mean_iou"]
    assert same["difference"] == 0.0
    assert tuple(same["interval"]) == (0.0, 0.0)


def test_reports_of_different_clips_are_not_compared(two_reports):
    told = json.loads(two_reports[0].read_text())
    told["clips"][0]["clip_id"] = "another"
    two_reports[0].write_text(json.dumps(told))
    with pytest.raises(DataError, match="another"):
        compare(*two_reports)


def drop_sums(path, *names):
    """Make an eval.json what a version wrote that did not know these sums."""
    told = json.loads(path.read_text())
    told["tool"] = "avs 0.0.9"
    told["clips"] = [{k: v for k, v in row.items() if k not in names} for row in told["clips"]]
    path.write_text(json.dumps(told))


@pytest.mark.parametrize("older", [0, 1])
def test_a_report_of_an_older_version_is_compared_in_the_scores_it_has(two_reports, older):
    whole = compare(*two_reports)
    assert whole["not_compared"] == []
    drop_sums(two_reports[older], "boundary_f", "alarm_area")
    told = compare(*two_reports)
    left_out = {"boundary_f", "j_and_boundary_f", "false_positive_area"}
    assert set(told["not_compared"]) == left_out
    assert told["scores"] == {k: v for k, v in whole["scores"].items() if k not in left_out}


def test_a_report_of_a_newer_version_is_compared_in_the_scores_known_here(two_reports):
    whole = compare(*two_reports)
    told = json.loads(two_reports[0].read_text())
    for row in told["clips"]:
        row["loudness"] = {"dbfs": -20}
    two_reports[0].write_text(json.dumps(told))
    assert compare(*two_reports) == whole


def test_reports_without_a_common_score_are_refused_by_their_versions(two_reports):
    drop_sums(two_reports[0], "num_sounding", "num_quiet", "hit", "found")
    with pytest.raises(DataError, match=r"of avs 0\.0\.9, .* of avs \d.*no score"):
        compare(*two_reports)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "cannot read"),
        ("{}", "schema"),
        ("[]", "no eval.json"),
        ('{"schema": "avs-eval-0", "tool": "avs 0.0.9", "clips": []}', r"avs-eval-0.*avs 0\.0\.9"),
        ('{"schema": "avs-eval-1", "clips": {}}', "clips is not a list"),
        ('{"schema": "avs-eval-1", "clips": [{"kind": "a", "category": null}]}', "no clip_id"),
        ('{"schema": "avs-eval-1", "clips": [{"clip_id": "a", "iou": "much"}]}', r"\[0\]\.iou"),
    ],
)
def test_what_is_no_report_is_told(two_reports, text, told):
    two_reports[1].write_text(text)
    with pytest.raises(DataError, match=told):
        compare(*two_reports)


@pytest.mark.parametrize(
    "options",
    [
        {"protocol_batch": 0},
        {"threshold": 1.0},
        {"num_classes": 1},
        {"tolerance_seconds": -0.1},
        {"tolerance_seconds": float("nan")},
    ],
)
def test_options_out_of_range_are_refused(options):
    with pytest.raises(UsageError):
        EvalOptions(**options)


def test_pairs_belong_to_avsmix(tmp_path):
    with pytest.raises(UsageError, match="--pairs"):
        DataSelection("scenes", pairs=tmp_path)


def test_the_semantic_protocol_needs_classes(tmp_path):
    with pytest.raises(UsageError, match="avss"):
        evaluate_masks(tmp_path, tmp_path, EvalOptions(protocols=("avss",)), lambda _done: None)
