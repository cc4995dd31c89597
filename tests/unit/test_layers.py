"""The import rule of docs/architecture.md: a module imports only lower layers or its own."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import avscli

PACKAGE = Path(avscli.__file__).parent
MODULES = sorted(
    p for p in PACKAGE.rglob("*.py") if p not in (PACKAGE / "__init__.py", PACKAGE / "__main__.py")
)
LAYERS = [
    {"errors"},
    {"datatypes"},
    {"config"},
    {"media", "audio", "metrics", "masks"},
    {"networks", "datasets", "outputs", "preprocess", "postprocess", "shipped"},
    {"checkpoints", "devices", "report_builder"},
    {"pipeline", "conversion"},
    {"evaluation"},
    {"training", "batch", "review", "exports", "demo", "doctor"},
    {"console"},
    {"commands"},
    {"cli"},
]
RANK = {name: rank for rank, row in enumerate(LAYERS) for name in row}
ONLY_IN = {
    "typer": {"cli", "commands"},
    "rich": {"console"},
    "tqdm": {"training"},
    "av": {"media"},
    "ffmpeg": {"media"},
    "imageio_ffmpeg": {"media"},
    "pycocotools": {"masks", "outputs", "metrics"},
    "cv2": {"masks", "outputs", "metrics", "training"},
    "ray": {"batch"},
    "click": set(),
}
TORCH_FREE = {"errors", "datatypes", "config", "media", "commands", "console", "cli"}


def layer_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_names(path: Path) -> Iterator[tuple[str, bool]]:
    """Yield (dotted name, imported at module level and at run time) for every import."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node in tree.body) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "", node in tree.body


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    me = layer_of(path)
    assert me in RANK, f"{me} has no layer; add it to LAYERS"
    for name, at_module_level in imported_names(path):
        head, *rest = name.split(".")
        if head == "avscli" and rest and rest[0] in RANK and rest[0] != me:
            assert RANK[rest[0]] < RANK[me], f"{me} may not import {name}"
        assert me in ONLY_IN.get(head, {me}), f"{head} belongs to {ONLY_IN[head]}, not {me}"
        if head == "torch" and at_module_level:
            torch_free = me in TORCH_FREE or path.name == "registry.py"
            assert not torch_free, f"{me} must not import torch at module level"


def test_the_rule_sees_planted_violations(tmp_path: Path) -> None:
    planted = tmp_path / "planted.py"
    planted.write_text("import torch\ndef f():\n    from avscli.cli import main\n")
    assert list(imported_names(planted)) == [("torch", True), ("avscli.cli", False)]
