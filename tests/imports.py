"""Who imports whom in a package, read from its source: for the rules of tests/unit/test_layers.py.

import-linter knows layers and circles, but not whether an import runs when its module is imported
or only when a function is called, and that decides whether ``avs --help`` waits for torch.
"""

from __future__ import annotations

import ast
from collections import deque
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path


@dataclass(frozen=True)
class Import:
    """One name that one module imports.

    Attributes:
        importer: dotted name of the module.
        target: dotted name of the module that is imported; of another package as it is written.
        line: of the statement, counts from 1.
        runs_first: the statement runs when the importer is imported: it is neither inside a
            function nor for types alone.
    """

    importer: str
    target: str
    line: int
    runs_first: bool


def modules_of(package: Path) -> dict[str, Path]:
    """Return every module of a package by its dotted name; a folder's is its ``__init__.py``."""
    named = {}
    for path in sorted(package.rglob("*.py")):
        parts = (package.name, *path.relative_to(package).with_suffix("").parts)
        named[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return named


def imports_of(package: Path) -> list[Import]:
    """Return every import in a package, in whatever form and wherever it is written."""
    modules = modules_of(package)
    found = []
    for importer, path in modules.items():
        folder = importer if path.name == "__init__.py" else importer.rpartition(".")[0]
        for statement, runs_first in _statements(ast.parse(path.read_text("utf-8"))):
            for written in _written(statement, folder):
                # ``from a import b`` may mean the module a.b or something inside the module a.
                target = written if written in modules else written.rpartition(".")[0]
                ours = target if target in modules else written
                found.append(Import(importer, ours, statement.lineno, runs_first))
    return found


def circle_of(imports: Iterable[Import]) -> list[str]:
    """Return modules of which each imports the next and the last the first; empty for none."""
    graph: dict[str, set[str]] = {}
    for each in imports:
        if each.target != each.importer:
            graph.setdefault(each.importer, set()).add(each.target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as err:
        circle: list[str] = err.args[1]
        return circle[::-1]
    return []


def way_to(library: str, start: str, imports: Sequence[Import]) -> list[str]:
    """Return the shortest chain of imports from a module to a library; empty for none.

    Only imports count that run when ``start`` is imported, those of folders on the way included.
    """
    targets: dict[str, list[str]] = {}
    for each in imports:
        if each.runs_first:
            targets.setdefault(each.importer, []).extend(_run_by(each.target))
    chains = deque([name] for name in _run_by(start))
    seen = set(_run_by(start))
    while chains:
        chain = chains.popleft()
        if chain[-1] == library:
            return chain
        for name in targets.get(chain[-1], ()):
            if name not in seen:
                seen.add(name)
                chains.append([*chain, name])
    return []


def _run_by(name: str) -> list[str]:
    """Importing ``a.b.c`` runs ``a``, ``a.b`` and ``a.b.c``."""
    parts = name.split(".")
    return [".".join(parts[: i + 1]) for i in range(len(parts))]


def _statements(
    node: ast.AST, *, runs_first: bool = True
) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, runs_first
        elif isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            yield from _statements(ast.Module(child.body, []), runs_first=False)
            yield from _statements(ast.Module(child.orelse, []), runs_first=runs_first)
        else:
            waits = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            yield from _statements(child, runs_first=runs_first and not waits)


def _written(statement: ast.Import | ast.ImportFrom, folder: str) -> Iterator[str]:
    """Yield the absolute names of what a statement in a module of a folder imports."""
    names = [alias.name for alias in statement.names]
    if isinstance(statement, ast.Import):
        yield from names
        return
    base = statement.module
    if statement.level:
        above = folder.split(".")[: len(folder.split(".")) + 1 - statement.level]
        base = ".".join([*above, *filter(None, [statement.module])])
    yield from (f"{base}.{name}" for name in names)
