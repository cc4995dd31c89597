"""What must hold after any command, whatever its input: ``faults_of``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from avscli.errors import ExitCode
from tests.fuzz.inputs import CANARY, Input
from tests.fuzz.sandbox import CPU_SECONDS, HOME, OUT, TEMPORARY, Ended

README = Path(__file__).parents[2] / "README.md"
_HALF_WRITTEN = re.compile(r"(\.partial|\.replaced|\.new|\.tmp)$")
_LINES = ("error: ", "hint: ", "warning: ")
# PyTorch makes an empty folder among temporary files when its optimisers are imported.
_LIBRARIES_LEAVE = f"{TEMPORARY}/torchinductor_"
_LOOSE = ("batch", "data")  # whose standard error tells more than problems
_EVAL_FILES = {"eval.json", "eval.csv", "eval.html"}

_WITH_RESULTS = (ExitCode.OK, ExitCode.PARTIAL, ExitCode.INCOMPLETE)

State = dict[str, str]


def codes_of_the_table() -> frozenset[int]:
    """Return the exit codes that README promises."""
    rows = re.findall(r"^\|(.*\|.*\|.*)\|$", README.read_text(encoding="utf-8"), re.MULTILINE)
    cells = [cell.strip() for row in rows for cell in row.split("|")]
    codes = frozenset(int(cell) for cell in cells if cell.isdecimal())
    assert codes >= set(map(int, ExitCode)), "README's table of exit codes was not found"
    return codes


ALLOWED = codes_of_the_table() - {ExitCode.INTERNAL, ExitCode.INTERRUPTED}


def state_of(folder: Path) -> State:
    """Return every path below a folder with what is in it, by its hash."""
    return {
        path.relative_to(folder).as_posix(): sha256(path.read_bytes()).hexdigest()
        if path.is_file()
        else "folder"
        for path in sorted(folder.rglob("*"))
    }


def faults_of(given: Input, ended: Ended, folder: Path, before: State) -> list[str]:
    """Return every property that does not hold, in one line each, named first.

    Args:
        given: the input.
        ended: how the command ended.
        folder: its world.
        before: `state_of` that, before the command began.
    """
    if ended.was_killed or ended.cpu_seconds > CPU_SECONDS:
        return [f"hang: {ended.seconds:.0f} s, {ended.cpu_seconds:.0f} s of processor time"]
    return [
        *_of_the_end(given, ended),
        *(f"{misdeed.split()[0].rstrip(':')}: {misdeed}" for misdeed in ended.misdeeds),
        *_of_the_files(given, folder, before),
    ]


def _of_the_end(given: Input, ended: Ended) -> Iterator[str]:
    words = ended.out + ended.err
    last = ended.err.strip().splitlines()[-2:]
    if ended.code < 0:
        yield f"crash: signal {-ended.code} {last}"
    elif "Traceback (most recent call last)" in words or "internal error" in words:
        told = [line for line in words.splitlines() if "internal error" in line]
        yield f"traceback: {(told or last)[0] if (told or last) else ''}"
    elif ended.code not in ALLOWED:
        yield f"exit code: {ended.code} {last}"
    else:
        yield from _of_the_words(given, ended)


def _of_the_words(given: Input, ended: Ended) -> Iterator[str]:
    lines = [line for line in ended.err.splitlines() if not line.endswith("× real time")]
    errors = [line for line in lines if line.startswith("error: ")]
    if bool(errors) != (ended.code not in _WITH_RESULTS) or len(errors) > 1:
        yield f"words: code {ended.code} with {len(errors)} lines of error"
    foreign = [line for line in lines if not line.startswith(_LINES)]
    if foreign and given.args[0] not in _LOOSE:
        yield f"words: not ours on standard error: {foreign[0][:200]!r}"
    if max(map(len, lines), default=0) > 2000:
        yield f"words: a line of {max(map(len, lines))} letters"


def _of_the_files(given: Input, folder: Path, before: State) -> Iterator[str]:
    after = {n: s for n, s in state_of(folder).items() if not n.startswith(_LIBRARIES_LEAVE)}
    if CANARY in after:
        yield "executed: code from the input"
    left = [name for name in after if name.startswith((f"{TEMPORARY}/", f"{HOME}/"))]
    if left:
        yield f"left over: {left[:3]}"
    half = [name for name in after if _HALF_WRITTEN.search(name) and name not in before]
    if half:
        yield f"half written: {half[:3]}"
    free = (OUT,) if given.writes else ()
    names = {n for n in after.keys() | before.keys() if n.split("/")[0] not in (*free, CANARY)}
    names -= {TEMPORARY, HOME, *left, *half}
    changed = sorted(name for name in names if after.get(name) != before.get(name))
    if changed:
        yield f"changed: {changed[:3]}"
    if given.writes and given.fresh:
        yield from _of_the_output(given, folder / OUT, before)


def _of_the_output(given: Input, output: Path, before: State) -> Iterator[str]:
    """Check that everything in a fresh output folder is whole."""
    if not output.exists():
        return
    if given.args[0] == "eval":
        yield from _of_an_evaluation(output)
        return
    for record in output.rglob("run.json"):
        yield from _of_a_run(record.parent)
    for checkpoint in output.rglob("*.safetensors"):
        yield from _of_a_checkpoint(checkpoint)
    known = {record.parent for record in output.rglob("run.json")}
    for path in output.rglob("*"):
        strange = path.is_file() and path.parent not in known and path.suffix != ".safetensors"
        if strange and f"{OUT}/{path.relative_to(output).as_posix()}" not in before:
            yield f"half written: {path.relative_to(output.parent)}"
    if given.args[0] == "segment" and not any(output.rglob("run.json")):
        yield "half written: an output folder without a run"


def _of_a_run(folder: Path) -> Iterator[str]:
    try:
        record = _strict((folder / "run.json").read_text(encoding="utf-8"))
        found = sorted(path.name for path in folder.iterdir())
        if found != record["files"]:
            yield f"torn: {found} instead of {record['files']}"
        lines = (folder / "frames.jsonl").read_text(encoding="utf-8").splitlines()
        if len([_strict(line) for line in lines]) != record["num_frames"] or not lines:
            yield f"torn: {len(lines)} lines for {record['num_frames']} frames"
        if (folder / "masks.coco.json").exists():
            coco = _strict((folder / "masks.coco.json").read_text(encoding="utf-8"))
            if len(coco["images"]) != record["num_analysed_frames"]:
                yield f"torn: {len(coco['images'])} images in masks.coco.json"
    except (OSError, ValueError, KeyError) as err:
        yield f"torn: {folder.name}: {err!r}"


def _of_an_evaluation(output: Path) -> Iterator[str]:
    found = {path.name for path in output.iterdir()}
    if found != _EVAL_FILES:
        yield f"torn: an evaluation of {sorted(found)}"
    else:
        try:
            _strict((output / "eval.json").read_text(encoding="utf-8"))
        except ValueError as err:
            yield f"torn: eval.json: {err}"


def _of_a_checkpoint(path: Path) -> Iterator[str]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="np") as file:
            file.keys()
    except (OSError, SafetensorError) as err:
        yield f"torn: {path.name}: {err}"


def _strict(text: str) -> dict[str, object]:
    """Read JSON as the standard has it: without NaN and infinities."""

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON")

    values: dict[str, object] = json.loads(text, parse_constant=refuse)
    return values
