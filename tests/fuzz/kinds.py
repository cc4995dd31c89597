"""Damaged files of every kind, with the command that reads them: ``KINDS``.

A kind is a function of a `random.Random`, the corpus, and an empty folder that it fills; the
command then runs in that folder. What it reads lies in ``in/``, what it writes in ``out/``.
"""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from random import Random

from tests.fuzz.corpus import CLIPS, RUN_OPTIONS, Corpus
from tests.fuzz.inputs import CANARY, IN, Input, Kind, copy, harm, harm_json, harm_json_lines, put
from tests.fuzz.mutators import damaged, dump_json, mutate_json, mutate_lines
from tests.fuzz.reviews import reviews
from tests.fuzz.sandbox import OUT

# --- videos ---------------------------------------------------------------------------------


def video(draw: Random, corpus: Corpus, folder: Path) -> Input:
    """``avs segment`` of a damaged video."""
    videos = corpus.videos
    source = draw.choice(videos)
    others = [draw.choice(videos).read_bytes()]
    others += [path.read_bytes() for path in videos if path.suffix == source.suffix][:2]
    data, told = damaged(draw, source.read_bytes(), others)
    name = draw.choice((f"clip{source.suffix}", f"clip{source.suffix}", "clip", "clip.mp4"))
    put(folder / IN / name, data)
    args = ["segment", f"{IN}/{name}", "-o", OUT, "-w", str(corpus.weights), "-q"]
    return Input((*args, *_segment_options(draw)), f"{source.name}: {told}")


def _segment_options(draw: Random) -> list[str]:
    options = ["--fps", draw.choice(("2", "4", "native"))]
    options += draw.choice(([], [], ["--no-audio", "empty"]))
    options += draw.choice(([], [], [], ["--start", "0.1"], ["--end", "0.3"]))
    options += draw.choice(([], [], [], ["--audio-track", "1"]))
    options += draw.choice(([], [], ["--write", "coco,csv"], ["--write", "overlay"]))
    return options + draw.choice(([], [], ["--json"]))


# --- stored masks ---------------------------------------------------------------------------


def masks(draw: Random, corpus: Corpus, folder: Path) -> Input:
    """``avs eval`` of damaged masks: runs, COCO files, pictures."""
    # The side that stays whole fits, or every error would be about it.
    run = corpus.batch / CLIPS[0]
    harmed = draw.choice(("pred", "gt", "gt"))
    sides = {"pred": run, "gt": corpus.truth("ours.coco.json")}
    sides[harmed] = draw.choice((run, *corpus.truths) if harmed == "pred" else corpus.truths)
    told = []
    for side, whole in sides.items():
        place = folder / IN / side / whole.name
        copy(whole, place)
        if side == harmed:
            told.append(f"{whole.name}: {_harm_masks(draw, place)}")
    paths = [f"{IN}/{side}/{whole.name}" for side, whole in sides.items()]
    args = ["eval", "--pred", paths[0], "--gt", paths[1], "-o", OUT, "-q"]
    args += draw.choice(([], [], ["--classes", "3"], ["--protocol", "avs,avsbench"]))
    args += draw.choice(([], [], ["--classes", "3", "--protocol", "avss"], ["--json"]))
    return Input(tuple(args), "; ".join(told))


def _harm_masks(draw: Random, place: Path) -> str:
    if place.is_file():
        return harm_json(draw, place)
    files = sorted(path for path in place.rglob("*") if path.is_file())
    chosen = draw.choice([f for f in files if f.suffix in (".png", ".jsonl", ".json")])
    if chosen.suffix == ".jsonl":
        return harm_json_lines(draw, chosen)
    if chosen.suffix == ".json":
        return harm_json(draw, chosen)
    if draw.random() < 0.1:
        chosen.rename(chosen.with_name(draw.choice(("1e9.png", "x.png", "9" * 50 + ".png"))))
        return "renamed"
    return harm(draw, chosen)


# --- data sets and reports ------------------------------------------------------------------


def tables(draw: Random, corpus: Corpus, folder: Path) -> Input:
    """A damaged copy of a data set, checked and scored; damaged eval.json, compared."""
    if draw.random() < 0.3:
        return _compared(draw, corpus, folder)
    root = folder / IN / "mix"
    copy(corpus.avsmix, root)
    files = sorted(path for path in root.rglob("*") if path.is_file())
    by_suffix = {suffix: [f for f in files if f.suffix == suffix] for suffix in (".csv", ".png")}
    by_suffix[".wav"] = [f for f in files if f.suffix == ".wav"]
    chosen = draw.choice(by_suffix[draw.choice((".csv", ".csv", ".csv", ".png", ".wav"))])
    if chosen.suffix == ".csv":
        text = chosen.read_text(encoding="utf-8")
        data, told = mutate_lines(draw, text)
        chosen.write_bytes(data)
    else:
        told = harm(draw, chosen)
    told = f"{chosen.name}: {told}"
    if draw.random() < 0.6:
        return Input(("data", "check", "avsmix", str(root), "-q"), told, writes=False)
    args = ("eval", "--data", "avsmix", "--root", str(root), "-w", str(corpus.weights))
    return Input((*args, "--limit", "3", "-o", OUT, "-q"), told)


def _compared(draw: Random, corpus: Corpus, folder: Path) -> Input:
    names = [f"{IN}/a.json", f"{IN}/b.json"]
    for name in names:
        copy(corpus.evaluation / "eval.json", folder / name)
    told = harm_json(draw, folder / draw.choice(names))
    return Input(("eval", "--compare", *names), f"eval.json: {told}", writes=False)


# --- checkpoints ----------------------------------------------------------------------------


def weights(draw: Random, corpus: Corpus, folder: Path) -> Input:
    """Safetensors with damaged metadata, headers and tensors, shown, verified and used."""
    whole = draw.choice((corpus.bare_weights, corpus.weights, corpus.weights))
    place = folder / IN / "w.safetensors"
    place.parent.mkdir()
    told = _harm_safetensors(draw, whole.read_bytes(), place)
    name = f"{IN}/w.safetensors"
    golden = folder / IN / "w.golden.safetensors"
    if draw.random() < 0.3:
        data = (corpus.weights.with_name("tiny.golden.safetensors")).read_bytes()
        golden.write_bytes(damaged(draw, data, ())[0] if draw.random() < 0.3 else data)
    match draw.choice(("info", "verify", "segment", "segment")):
        case "info":
            return Input(("models", "info", name, "--json"), told, writes=False)
        case "verify":
            return Input(("models", "verify", name), told, writes=False)
    clip = str(corpus.clips / CLIPS[1])
    args = ("segment", clip, "-o", OUT, "-w", name, "--fps", "2", "-q", "--write", "coco")
    return Input(args, told)


def _harm_safetensors(draw: Random, data: bytes, place: Path) -> str:
    length = int.from_bytes(data[:8], "little")
    header, tensors = json.loads(data[8 : 8 + length]), data[8 + length :]
    part = draw.choice(("metadata", "metadata", "metadata", "header", "bytes", "file"))
    if part == "metadata":
        metadata, told = mutate_json(draw, json.loads(header["__metadata__"]["avscli"]))
        text = dump_json(draw, metadata).decode("utf-8", "replace")
        header["__metadata__"]["avscli"] = text
        head = json.dumps(header).encode()
    elif part == "header":
        header, told = mutate_json(draw, header)
        head = dump_json(draw, header)
    elif part == "bytes":
        head, told = damaged(draw, data[8 : 8 + length], ())
    else:
        # The whole file, its length field and the first tensors being what matters.
        start, told = damaged(draw, data[: 8 + length + 4096], ())
        place.write_bytes(start + (tensors[4096:] if draw.random() < 0.7 else b""))
        return f"{part}: {told}"
    place.write_bytes(len(head).to_bytes(8, "little") + head + tensors)
    return f"{part}: {told}"


def pickles(draw: Random, corpus: Corpus, folder: Path) -> Input:
    """``avs models convert`` of damaged and of hostile pickles: nothing in them may run."""
    if draw.random() < 0.5:
        data, told = _hostile(draw)
    else:
        whole = draw.choice(corpus.pickles)
        data = whole.read_bytes()
        if zipfile.is_zipfile(BytesIO(data)) and draw.random() < 0.6:
            data, told = _harm_zip(draw, data)
        else:
            data, told = damaged(draw, data, ())
        told = f"{whole.name}: {told}"
    put(folder / IN / "x.pth", data)
    (folder / OUT).mkdir()
    match draw.choice(("convert", "convert", "vggish", "weights", "start")):
        case "vggish":
            args = ("models", "convert", f"{IN}/x.pth", f"{OUT}/x.safetensors")
            args = (*args, "--clip-length", "10", "--vggish", f"{IN}/x.pth")
        case "weights":
            args = ("models", "info", f"{IN}/x.pth")
        case "start":
            args = ("train", "-c", "s4", "--data", "scenes=2", "--start-backbone", f"{IN}/x.pth")
            args = (*args, "--steps", "1", "--backbone", "mobilenet_v2", "-o", f"{OUT}/run", "-q")
        case _:
            args = ("models", "convert", f"{IN}/x.pth", f"{OUT}/x.safetensors")
            args = (*args, "--clip-length", "5")
    return Input(args, told)


def _harm_zip(draw: Random, data: bytes) -> tuple[bytes, str]:
    """Damage one member of an archive and seal it again, so that what is inside is read."""
    told, out = "", BytesIO()
    with zipfile.ZipFile(BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        names = old.namelist()
        chosen = next(n for n in names if n.endswith("data.pkl"))
        if draw.random() < 0.3:
            chosen = draw.choice(names)
        for name in names:
            content = old.read(name)
            if name == chosen and content:
                content, told = damaged(draw, content, ())
            new.writestr(name, content)
    return out.getvalue(), f"{chosen}: {told}"


class _Call:
    """Something whose unpickling calls a function."""

    def __init__(self, module: str, name: str, *args: object) -> None:
        self.target, self.args = f"c{module}\n{name}\n".encode(), args

    def pickled(self) -> bytes:
        return self.target + pickle.dumps(self.args, 0).rstrip(b".") + b"R"


_LEAVE_A_MARK = f"touch {CANARY}"
_CALLS = (
    _Call("os", "system", _LEAVE_A_MARK),
    _Call("posix", "system", _LEAVE_A_MARK),
    _Call("subprocess", "getoutput", _LEAVE_A_MARK),
    _Call("builtins", "eval", f"open({CANARY!r}, 'w')"),
    _Call("builtins", "exec", f"open({CANARY!r}, 'w')"),
    _Call("builtins", "open", CANARY, "w"),
    _Call("pathlib", "Path.touch", CANARY),
    _Call("torch.hub", "load", f"./{CANARY}", "x"),
    _Call("torch", "save", 1, CANARY),
    _Call("numpy", "save", CANARY, 1),
    _Call("runpy", "run_path", CANARY),
    _Call("webbrowser", "open", f"file:{CANARY}"),
    _Call("torch.jit.frontend", "exec", f"open({CANARY!r}, 'w')"),
    _Call("torch.serialization", "load", CANARY),
)
_LEGACY_MAGIC = pickle.dumps(0x1950A86A20F9469CFC6C, 2)


def _hostile(draw: Random) -> tuple[bytes, str]:
    call = draw.choice(_CALLS)
    body = call.pickled()
    wrapped = draw.choice(
        (
            body + b".",
            b"(dS'w'\n" + body + b"s.",  # a dict that holds what is called
            b"c__builtin__\ngetattr\n(" + body + b"S'x'\ntR.",
            b"(" + body * 3 + b"l.",
            b"\x80\x02}q\x00X\x01\x00\x00\x00w" + body + b"s.",
        )
    )
    if draw.random() < 0.3:
        wrapped = damaged(draw, wrapped, ())[0]
    form = draw.choice(("zip", "zip", "legacy", "bare", "deep"))
    told = f"hostile {form}: {call.target.decode().split()[1]}"
    match form:
        case "zip":
            out = BytesIO()
            with zipfile.ZipFile(out, "w") as archive:
                archive.writestr("x/data.pkl", wrapped)
                archive.writestr("x/version", "3\n")
                archive.writestr("x/byteorder", "little")
            return out.getvalue(), told
        case "legacy":
            return _LEGACY_MAGIC + pickle.dumps(1001, 2) + pickle.dumps({}, 2) + wrapped, told
        case "deep":
            return b"(" * 100_000 + wrapped, told
    return wrapped, told


# --- runs and batches -----------------------------------------------------------------------


def runs(draw: Random, corpus: Corpus, folder: Path) -> Input:
    """Damaged journals, records and manifests: resumed, combined, evaluated, replaced."""
    command = draw.choice(("plan", "plan", "plan", "combine", "combine", "evaluate", "replace"))
    if command == "combine" and draw.random() < 0.15:
        command = "batch"
    place = folder / (IN if command == "evaluate" else OUT)
    copy(corpus.batch, place)
    names = ["run.json", "frames.jsonl"]
    if command in ("plan", "batch"):
        names = ["manifest.jsonl", "manifest.jsonl", "manifest.jsonl", *names]
    chosen = draw.choice([path for name in names for path in sorted(place.rglob(name))])
    harm = harm_json_lines if chosen.suffix == ".jsonl" else harm_json
    told = f"{command} {chosen.name}: {harm(draw, chosen)}"
    shared = ("-o", OUT, "-w", str(corpus.weights), *RUN_OPTIONS)
    batch = ("batch", str(corpus.clips), *shared)
    match command:
        case "plan":
            extra = draw.choice(((), (), ("--resume", "force"), ("--resume", "off")))
            extra += draw.choice(((), ("--hash", "full"), ("--json",), ("--shard", "1/2")))
            return Input((*batch, "--dry-run", *extra), told, writes=False)
        case "combine" | "batch":
            return Input((*batch, "--combine", "-q"), told, fresh=False)
        case "evaluate":
            args = ("eval", "--pred", IN, "--gt", str(corpus.batch), "-o", OUT, "-q")
            return Input(args, told)
    clip = str(corpus.clips / CLIPS[0])
    return Input(("segment", clip, *shared, "--overwrite", "-q"), told, fresh=False)


def lists(draw: Random, corpus: Corpus, folder: Path) -> Input:
    """``avs batch @list.txt`` of damaged lists, in any encoding."""
    # Names without a slash: one that stands alone, after damage, would be the whole disk.
    for name in CLIPS:
        copy(corpus.clips / name, folder / name)
    lines = list(CLIPS)
    lines += draw.sample(
        [
            *("", "# a remark", "missing.mp4", "*.mp4", "-", "@list.txt", "."),
            *("a\tb", "x" * 5000, '"a b.mp4"', f'"{CLIPS[0]}"', f"file:{CLIPS[0]}"),
        ],
        draw.randrange(4),
    )
    draw.shuffle(lines)
    data, told = mutate_lines(draw, "\n".join(lines))
    put(folder / IN / "list.txt", data)
    args = ("batch", f"@{IN}/list.txt", "-o", OUT, "-w", str(corpus.weights), "--dry-run")
    return Input(args, told, writes=False)


# --- disks ----------------------------------------------------------------------------------


def disk(draw: Random, corpus: Corpus, folder: Path) -> Input:
    """Whole inputs, and a system that lets no file grow beyond a random size."""
    limit = (
        int(4096 * 2 ** draw.uniform(0.0, 4.0)) if draw.random() < 0.5 else draw.randint(1, 4096)
    )
    told = f"files of at most {limit} bytes"
    clip = str(corpus.clips / draw.choice(CLIPS))
    fresh, before = True, draw.random() < 0.3
    match draw.choice(("segment", "segment", "eval", "combine")):
        case "eval":
            pred, truth = str(corpus.batch / CLIPS[0]), str(corpus.truth("ours.coco.json"))
            args: tuple[str, ...] = ("eval", "--pred", pred, "--gt", truth, "-o", OUT, "-q")
            if before:
                copy(corpus.evaluation, folder / OUT)
                args = (*args, "--overwrite")
        case "combine":
            copy(corpus.batch, folder / OUT)
            args = ("batch", str(corpus.clips), "-o", OUT, "-w", str(corpus.weights))
            args, fresh = (*args, *RUN_OPTIONS, "--combine", "-q"), False
        case _:
            args = ("segment", clip, "-o", OUT, "-w", str(corpus.weights), "-q", *RUN_OPTIONS)
            if before:
                copy(corpus.batch, folder / OUT)
                args, fresh = (*args, "--overwrite"), False
    return Input(args, told, fresh=fresh, max_file_bytes=limit)


KINDS: dict[str, Kind] = {
    kind.__name__: kind
    for kind in (video, masks, tables, weights, pickles, runs, reviews, lists, disk)
}
SHARES = {"video": 8, "masks": 4, "tables": 2, "weights": 2, "pickles": 2, "runs": 3, "reviews": 2}
"""How often each kind is drawn, in relation to the others; 1 where it is not named."""


def drawn_kind(draw: Random, names: Sequence[str]) -> str:
    """Draw one of some kinds."""
    return draw.choices(names, [SHARES.get(name, 1) for name in names])[0]
