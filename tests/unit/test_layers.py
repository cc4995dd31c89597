"""The rules of docs/architecture.md, and that its table and README's tree tell what is there.

A module imports only lower layers or its own folder, no modules import each other in a circle, a
library is used only where it belongs, and what answers ``avs --help`` imports no torch.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest

import avscli
from tests.imports import Import, circle_of, imports_of, modules_of, way_to

PACKAGE = Path(avscli.__file__).parent
ROOT = PACKAGE.parent
LAYERS = [
    {"errors", "json_values"},
    {"datatypes"},
    {"results", "config"},
    {"media", "audio", "metrics", "masks", "motion"},
    {"objects"},
    {"networks", "datasets", "outputs", "preprocess", "postprocess", "shipped"}
    | {"arithmetic", "passes"},
    {"checkpoints", "devices", "report_builder", "carrying"},
    {"pipeline", "conversion"},
    {"evaluation"},
    {"training", "batch", "demo", "doctor", "exports", "review"},
    {"console"},
    {"commands"},
    {"cli"},
    {"supervised"},
]
RANK = {name: rank for rank, row in enumerate(LAYERS) for name in row}
ENTRANCES = {"avscli", "avscli.__main__"}  # above every layer, and imported by none
ONLY_IN = {
    "typer": {"cli", "commands"},
    "rich": {"console"},
    "tqdm": {"training"},
    "av": {"media"},
    "ffmpeg": {"media"},
    "imageio_ffmpeg": {"media"},
    "pycocotools": {"masks", "outputs", "metrics"},
    "cv2": {"masks", "motion", "objects", "outputs", "metrics", "training", "exports", "review"},
    "scipy": {"objects"},
    "ray": {"batch"},
    "jinja2": {"evaluation", "review"},
    "click": set(),
}
TORCH_FREE = (
    "errors",
    "datatypes",
    "results",
    "config",
    "media",
    "networks.registry",
    "commands",
    "console",
    "cli",
)


def part_of(module: str) -> str:
    """Return the file or folder of the package that a module belongs to."""
    return module.split(".")[1] if "." in module else ""


def complaints_about(package: Path) -> list[str]:
    """Return every breach of the rules, as ``module:line says what``."""
    imports = imports_of(package)
    found = [
        f"{part} has no layer; add it to LAYERS and to docs/architecture.md"
        for part in sorted({part_of(name) for name in modules_of(package)} - {"", "__main__"})
        if part not in RANK
    ]
    inner = [each for each in imports if each.importer not in ENTRANCES]
    found += [
        f"{each.importer}:{each.line} imports {each.target}"
        for each in inner
        if points_up(each) or is_out_of_place(each)
    ]
    if circle := circle_of(each for each in inner if each.target not in ENTRANCES):
        found.append(f"a circle: {' -> '.join(circle)}")
    for module in torch_free_modules(package):
        if chain := way_to("torch", module, imports):
            found.append(f"torch comes with {' -> '.join(chain)}")
    return found


def points_up(each: Import) -> bool:
    if each.target in ENTRANCES or not each.target.startswith("avscli."):
        return False
    me, other = part_of(each.importer), part_of(each.target)
    return me != other and RANK.get(other, 0) >= RANK.get(me, len(LAYERS))


def is_out_of_place(each: Import) -> bool:
    library = each.target.split(".")[0]
    return library in ONLY_IN and part_of(each.importer) not in ONLY_IN[library]


def torch_free_modules(package: Path) -> list[str]:
    prefixes = tuple(f"avscli.{name}." for name in TORCH_FREE)
    return ["avscli", *(name for name in modules_of(package) if f"{name}.".startswith(prefixes))]


def test_the_package_keeps_the_rules() -> None:
    assert complaints_about(PACKAGE) == []


PLANTED = {
    "a module of a higher layer, by its full name": (
        "masks.py",
        "import avscli.cli",
        "avscli.masks:{line} imports avscli.cli",
    ),
    "a name of a higher layer": (
        "masks.py",
        "from avscli.cli import main",
        "avscli.masks:{line} imports avscli.cli",
    ),
    "a module of a higher layer, from the package": (
        "masks.py",
        "from avscli import cli",
        "avscli.masks:{line} imports avscli.cli",
    ),
    "a folder of a higher layer, from the package, under another name": (
        "masks.py",
        "from avscli import errors, training as t",
        "avscli.masks:{line} imports avscli.training",
    ),
    "a higher layer inside a function": (
        "media/probe.py",
        "def late():\n    from avscli import cli",
        "avscli.media.probe:{line} imports avscli.cli",
    ),
    "a higher layer by a relative name": (
        "media/probe.py",
        "def late():\n    from .. import cli",
        "avscli.media.probe:{line} imports avscli.cli",
    ),
    "a higher layer for its types": (
        "masks.py",
        "if TYPE_CHECKING:\n    from avscli.pipeline import segment_file",
        "avscli.masks:{line} imports avscli.pipeline",
    ),
    "a stranger of the same row": (
        "audio/loudness.py",
        "from avscli import masks",
        "avscli.audio.loudness:{line} imports avscli.masks",
    ),
    "a library that belongs elsewhere": (
        "masks.py",
        "def late():\n    from rich.table import Table",
        "avscli.masks:{line} imports rich.table.Table",
    ),
    "a part without a layer": ("extra.py", "", "extra has no layer"),
    "a circle of two modules in a folder": (
        "media/containers.py",
        "from avscli.media import frames",
        "avscli.media.containers -> avscli.media.frames",
    ),
    "a circle of types": (
        "media/containers.py",
        "if TYPE_CHECKING:\n    from avscli.media.frames import Nobody",
        "avscli.media.containers -> avscli.media.frames",
    ),
    "a circle that waits for a function": (
        "media/containers.py",
        "def late():\n    from avscli.media.frames import nobody",
        "avscli.media.containers -> avscli.media.frames",
    ),
    "torch in a module that must answer at once": (
        "errors.py",
        "import torch",
        "torch comes with avscli.errors -> torch",
    ),
    "torch from another module": (
        "commands/doctor.py",
        "from avscli import masks, checkpoints",
        "torch comes with avscli.commands.doctor -> avscli.checkpoints -> torch",
    ),
    "torch from a folder on the way": (
        "media/__init__.py",
        "try:\n    from torch import Tensor\nexcept ImportError:\n    pass",
        "torch comes with avscli.media -> torch",
    ),
    "torch from the package itself": (
        "__init__.py",
        "from avscli.checkpoints import load_network as loaded",
        "torch comes with avscli -> avscli.checkpoints -> torch",
    ),
}


@pytest.mark.parametrize("what", PLANTED)
def test_the_rules_catch(what: str, tmp_path: Path) -> None:
    file, code, complaint = PLANTED[what]
    copy = tmp_path / "avscli"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    path = copy / file
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    path.write_text("\n".join([*lines, code]) + "\n", "utf-8")
    expected = complaint.format(line=len(lines) + len(code.splitlines()))
    assert expected in "\n".join(complaints_about(copy))


def test_an_import_of_torch_for_types_or_in_a_function_keeps_the_rules(tmp_path: Path) -> None:
    copy = tmp_path / "avscli"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    with (copy / "errors.py").open("a", encoding="utf-8") as file:
        file.write("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch\n")
        file.write("def late():\n    import torch\n")
    assert complaints_about(copy) == []


def test_python_too_imports_what_must_answer_at_once_without_torch() -> None:
    names = torch_free_modules(PACKAGE)
    code = f"import importlib, sys\nfor name in {names}: importlib.import_module(name)\n"
    subprocess.run(
        [sys.executable, "-c", f"{code}assert 'torch' not in sys.modules"], check=True, cwd=ROOT
    )


def test_the_table_of_layers_is_the_one_that_is_enforced() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    rows = re.findall(r"^\| (\d+) \| (.+?) \|", page, flags=re.MULTILINE)
    assert [(int(n), set(re.findall(r"`(\w+)`", names))) for n, names in rows] == list(
        enumerate(LAYERS)
    )


def test_the_tree_of_the_readme_names_every_module_and_folder_and_nothing_else() -> None:
    files = [*PACKAGE.rglob("*.py"), *ROOT.glob("benchmarks/*.py")]
    modules = {path.relative_to(ROOT).as_posix() for path in files}
    inner = {name for name in modules if re.fullmatch(r"avscli/.+/__init__\.py", name)}
    anything = [*PACKAGE.rglob("*.*"), *ROOT.glob("*/*.*"), *ROOT.glob("[td]*s/*/*.*")]
    folders = {f"{path.parent.relative_to(ROOT).as_posix()}/" for path in anything}
    hidden = {name for name in folders if re.search(r"(^|/)(\.|__pycache__)", name)}
    assert named_in_the_readme() == (modules - inner) | (folders - hidden)


def named_in_the_readme() -> set[str]:
    """Return the path of every module and folder in the tree of README.md.

    A line that begins with a folder opens it; other names on it, and on lines below that begin
    with no name, lie in that folder; ``a_{b,c}.py`` are two.
    """
    page = (ROOT / "README.md").read_text("utf-8")
    named: set[str] = set()
    open_folders: list[str] = []
    for line in page.split("## Where things are", 1)[1].split("```")[1].splitlines():
        marks, folder, rest = re.fullmatch(r"([│├└─ ]*)([\w.]+/)?(.*)", line).groups()  # type: ignore[union-attr]
        depth = len(marks) // 4
        if folder:
            open_folders[depth:] = [folder]
            named.add("".join(open_folders))
        elif "─" in marks:
            del open_folders[depth:]
        for written in re.findall(r"[\w{},]+(?:\.py|/)", rest):
            parts = [part.split(",") for part in re.split(r"[{}]", written)]
            named |= {"".join([*open_folders, *chosen]) for chosen in product(*parts)}
    return named
