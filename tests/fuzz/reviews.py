"""Reviews that fit a run, damaged, applied to damaged runs: the kind `reviews`."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

from avscli.errors import DataError
from avscli.review.decisions import decision_of
from avscli.review.replay import FoundObject, replay
from tests.fuzz.corpus import CLIPS, Corpus
from tests.fuzz.inputs import IN, Input, copy, harm, harm_json, harm_json_lines, put
from tests.fuzz.mutators import dump_json, mutate_json
from tests.fuzz.sandbox import OUT


def reviews(draw: Random, corpus: Corpus, folder: Path) -> Input:
    """``avs review --apply`` of damaged reviews, to damaged runs, and on full disks."""
    run, path = folder / IN / "run", folder / IN / "review.json"
    name = draw.choice(CLIPS)
    copy(corpus.batch / name, run)
    lines = (run / "frames.jsonl").read_bytes().splitlines()
    entries = [json.loads(line) for line in lines]
    told, limit = "", None
    match draw.choice(("review", "review", "review", "run", "run", "disk")):
        case "run":
            chosen = draw.choice(("frames.jsonl", "frames.jsonl", "run.json", "confidence.csv"))
            harms = {".jsonl": harm_json_lines, ".json": harm_json, ".csv": harm}
            told = f"{chosen}: {harms[Path(chosen).suffix](draw, run / chosen)}"
        case "disk":
            limit = int(4096 * 2 ** draw.uniform(-4.0, 4.0))
            told = f"files of at most {limit} bytes"
    document = _review(draw, run, entries, corpus.clips / name)
    data = json.dumps(document).encode()
    if not told:
        part = draw.choice(("run", "decisions", "decisions", "decisions", ""))
        if part:
            document[part], told = mutate_json(draw, document[part])
        else:
            document, told = mutate_json(draw, document)
        data = dump_json(draw, document)
    put(path, data)
    args = ["review", f"{IN}/run", "--apply", f"{IN}/review.json", "-o", OUT, "-q"]
    args += draw.choice(([], [], [], ["--overlay"]))
    return Input(tuple(args), told, max_file_bytes=limit)


def _review(
    draw: Random, run: Path, entries: Sequence[dict[str, Any]], clip: Path
) -> dict[str, object]:
    """Return a review that fits a run, however that is damaged."""
    identity = {
        "source": clip.name,
        "source_sha256": sha256(clip.read_bytes()).hexdigest(),
        "journal_sha256": sha256((run / "frames.jsonl").read_bytes()).hexdigest(),
    }
    analysed = [entry for entry in entries if not entry["interpolated"]]
    frames = [entry["frame"] for entry in analysed]
    shown: dict[int, list[int]] = defaultdict(list)
    for entry in analysed:
        for each in entry["objects"]:
            shown[each["track_id"]].append(entry["frame"])
    objects = [FoundObject(track, "dog", tuple(where)) for track, where in shown.items()]
    decisions: list[dict[str, object]] = []
    for _ in range(draw.randrange(12)):
        one = _decision(draw, [*shown, 100, 101], frames)
        try:
            replay(objects, frames, [decision_of(each) for each in (*decisions, one)])
        except DataError:
            if draw.random() < 0.97:
                continue
        decisions.append(one)
    return {"format": "avs-review", "version": 1, "run": identity, "decisions": decisions}


def _decision(draw: Random, tracks: Sequence[int], frames: Sequence[int]) -> dict[str, object]:
    first, last = sorted((draw.choice(frames), draw.choice(frames)))
    one: dict[str, object] = {"object": draw.choice(tracks)}
    ends, new = {"first_frame": first, "last_frame": last}, {"new_object": draw.choice((100, 101))}
    name = {"name": draw.choice(("dog", "sounding_object", "<b>", "n" * 100))}
    fields = {
        "accept": one,
        "reject": one,
        "trim": one | ends,
        "extend": one | ends,
        "rename": draw.choice((one | name, one | name | ends | new)),
        "merge": one | {"into": draw.choice(tracks)},
        "split": one | new | {"first_frame": first},
        "off_screen": ends,
    }
    what = draw.choice((*fields, "trim", "extend", "extend", "split", "split"))
    return {"do": what, **fields[what]}
