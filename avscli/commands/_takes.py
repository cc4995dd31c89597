"""Commands that are given options objects, built from what was typed: `takes`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps

Command = Callable[..., None]


def takes(**builders: Callable[..., object]) -> Callable[[Command], Command]:
    """Let Typer see the parameters of builders where a command takes what they build.

    Several commands share one builder, so that an option is declared and read in one place.

    Args:
        builders: by the name of the command's parameter; their own are options with defaults.
    """
    parts = {name: _parameters(builder) for name, builder in builders.items()}

    def decorate(command: Command) -> Command:
        shown = [
            part.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for name, own in _parameters(command).items()
            for part in (parts[name].values() if name in parts else [own])
        ]

        @wraps(command)
        def run(**typed: object) -> None:
            built = {
                name: build(**{part: typed.pop(part) for part in parts[name]})
                for name, build in builders.items()
            }
            command(**typed, **built)

        # What Typer reads instead of the function's own.
        run.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in shown}
        return run

    return decorate


def _parameters(function: Callable[..., object]) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(function, eval_str=True).parameters)
