"""The ``avs`` program: builds the Typer app, and turns errors into exit codes in one place."""

from __future__ import annotations

import signal
import sys
from traceback import print_exc
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from avscli import __version__, console
from avscli.commands import batch, data, demo, doctor, export, models, review, segment, train
from avscli.commands import eval as eval_command
from avscli.errors import AvscliError, ExitCode, UsageError

if TYPE_CHECKING:
    from types import FrameType

# Typer brings its own click, under a name that changes; all its usage errors share this base.
_ParsingError: type[typer.BadParameter] = typer.BadParameter.__mro__[1]
_ENDING_SIGNALS = [
    signal.SIGINT,
    signal.SIGTERM,
    *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []),
]

app = typer.Typer(
    name="avs",
    help="Audio-visual segmentation: mark what makes the sound, pixel by pixel, in any video.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(name="segment")(segment.segment)
app.command(name="batch")(batch.batch)
app.command(name="eval")(eval_command.evaluate)
app.command(name="export")(export.export)
app.command(name="review")(review.review)
app.command(name="demo")(demo.demo)
app.command(name="train")(train.train)
app.command(name="doctor")(doctor.doctor)
app.add_typer(models.app, name="models")
app.add_typer(data.app, name="data")


def _print_version(wanted: bool) -> None:
    if wanted:
        console.result(f"avs {__version__}")
        raise typer.Exit


@app.callback()
def _global_options(
    traceback: Annotated[  # noqa: ARG001 – main() looks for it, also when parsing failed
        bool, typer.Option("--traceback", help="Show the whole traceback of an error.")
    ] = False,
    version: Annotated[  # noqa: ARG001
        bool,
        typer.Option("--version", help="Show the version.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    return


def main() -> NoReturn:
    """Run ``avs`` and exit with a code of `ExitCode`, or as the signal that ended it demands."""
    for number in _ENDING_SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup and background jobs have it
            signal.signal(number, _stop)
    with console.standard_streams():
        code = _run()
    sys.exit(code)


def _run() -> int:
    try:
        # Standing alone, Typer would print its own kind of error and be silent on Ctrl-C.
        code = app(prog_name="avs", standalone_mode=False) or ExitCode.OK
        sys.stdout.flush()  # Typer's help
    except _ParsingError as err:
        if message := err.format_message():  # empty when Typer has shown the help instead
            told = message.replace("Value error, ", "")  # pydantic's words for who reads its code
            console.error(UsageError(told, hint="see the options with --help"))
        return ExitCode.USAGE
    except AvscliError as err:
        if "--traceback" in sys.argv:
            print_exc()
        console.error(err)
        return err.exit_code
    except Exception as err:  # noqa: BLE001 – the one place where bugs become an exit code
        if "--traceback" in sys.argv:
            print_exc()
        console.bug(err)
        return ExitCode.INTERNAL
    if code == ExitCode.INTERRUPTED:
        console.interrupted()
    return code


def _stop(number: int, _frame: FrameType | None) -> None:
    # A terminal that closes sends SIGHUP twice, and people press Ctrl-C again: cleaning up must not
    # be ended by the second.
    for other in _ENDING_SIGNALS:
        signal.signal(other, signal.SIG_IGN)
    raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)
