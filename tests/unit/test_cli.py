"""One handler turns every failure into its exit code and one line."""

import json
import os
import re
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer

from avscli import cli, errors
from avscli.commands import batch
from avscli.commands._options import parse_artifacts, parse_fps, parse_time
from avscli.errors import AvscliError, ExitCode
from tests.conftest import Avs
from tests.networks_for_tests import save_tiny


def subclasses(kind: type[AvscliError]) -> list[type[AvscliError]]:
    return [kind, *(deeper for child in kind.__subclasses__() for deeper in subclasses(child))]


def app_that_raises(error: BaseException) -> typer.Typer:
    app = typer.Typer()

    @app.command()
    def fail(traceback: bool = False) -> None:
        raise error

    return app


def documented_codes() -> set[int]:
    """Return the codes in README's table, which has two columns of them."""
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    table = text.partition("### Exit codes\n")[2].partition("\nResults go to")[0]
    return {int(code) for code in re.findall(r"\| (\d+) \|", table)}


def test_exit_codes_are_those_the_readme_promises() -> None:
    signals = {128 + number for number in (signal.SIGHUP, signal.SIGPIPE, signal.SIGTERM)}
    assert documented_codes() == set(ExitCode) | signals


@pytest.mark.parametrize("kind", subclasses(AvscliError), ids=lambda kind: kind.__name__)
def test_every_error_has_a_code_a_line_and_a_hint(
    avs: Avs, monkeypatch: pytest.MonkeyPatch, kind: type[AvscliError]
) -> None:
    monkeypatch.setattr(cli, "app", app_that_raises(kind("it broke\nbadly", hint="mend it")))
    outcome = avs()
    assert outcome.code == kind.exit_code
    assert (outcome.out, outcome.err) == ("", "error: it broke badly\nhint: mend it\n")
    assert kind is AvscliError or kind.exit_code not in (ExitCode.OK, ExitCode.INTERNAL)


def test_an_error_without_a_hint_is_one_line(avs: Avs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "app", app_that_raises(errors.MediaError("it broke")))
    assert avs().err == "error: it broke\n"


def test_a_bug_is_said_to_be_one(avs: Avs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "app", app_that_raises(KeyError("frame")))
    outcome = avs()
    assert outcome.code == ExitCode.INTERNAL
    assert outcome.err.startswith("internal error: KeyError: 'frame'\nhint: ")
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize("error", [errors.MediaError("it broke"), KeyError("frame")], ids=repr)
def test_the_whole_traceback_comes_before_the_message_when_asked_for(
    avs: Avs, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(cli, "app", app_that_raises(error))
    outcome = avs("--traceback")
    assert outcome.code == getattr(error, "exit_code", ExitCode.INTERNAL)
    assert outcome.err.startswith("Traceback (most recent call last)")
    assert "error: " in outcome.err.splitlines()[-1 if outcome.code != ExitCode.INTERNAL else -2]


def test_ctrl_c_says_so(avs: Avs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "app", app_that_raises(KeyboardInterrupt()))
    outcome = avs()
    assert (outcome.code, outcome.out) == (130, "")
    assert outcome.err == "interrupted; nothing half-written was left behind\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_unwinds_once_whatever_comes_after_it(number: int) -> None:
    ending = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
    before = {other: signal.getsignal(other) for other in ending}
    try:
        with pytest.raises((SystemExit, KeyboardInterrupt)) as ended:
            cli._stop(number, None)
        assert {signal.getsignal(other) for other in before} == {signal.SIG_IGN}
    finally:
        for other, handler in before.items():
            signal.signal(other, handler)
    if number == signal.SIGINT:
        assert ended.type is KeyboardInterrupt
    else:
        assert isinstance(ended.value, SystemExit)
        assert ended.value.code == 128 + number


def test_the_version_is_one_line(avs: Avs) -> None:
    outcome = avs("--version")
    assert (outcome.code, outcome.out, outcome.err) == (0, "avs 0.1.0\n", "")


@pytest.mark.parametrize("flag", ["--help", "-h"])
@pytest.mark.parametrize("command", [[], ["segment"], ["demo"], ["models"], ["doctor"], ["train"]])
def test_every_command_explains_itself(avs: Avs, command: list[str], flag: str) -> None:
    outcome = avs(*command, flag)
    assert (outcome.code, outcome.err) == (0, "")
    assert "Usage: avs" in outcome.out


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--threshold", "2", "--threshold must lie in (0, 1), got 2.0"),
        ("--min-area", "1", "--min-area is a share of the frame in [0, 1), got 1.0"),
        ("--batch-clips", "0", "--batch-clips must be at least 1, got 0"),
        ("--audio-track", "-1", "--audio-track counts from 0, got -1"),
        ("--fps", "2000", "--fps must lie in (0, 1000] or be 'native' or 'auto', got 2000.0"),
    ],
)
@pytest.mark.parametrize("command", ["segment", "batch"])
def test_options_of_a_file_are_the_same_for_one_and_for_many(
    avs: Avs, command: str, option: str, value: str, says: str
) -> None:
    outcome = avs(command, "absent.mp4", option, value)
    assert (outcome.code, outcome.err.splitlines()[0]) == (2, f"error: {says}")


@pytest.mark.skipif(os.name != "posix", reason="is about other systems")
def test_a_batch_elsewhere_is_refused_at_once(avs: Avs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "os", SimpleNamespace(name="nt"))
    outcome = avs("batch", "absent")
    assert outcome.code == ExitCode.USAGE
    assert outcome.err.startswith("error: avs batch needs a POSIX system")


@pytest.mark.parametrize("command", [[], ["models"]])
def test_no_command_shows_the_help(avs: Avs, command: list[str]) -> None:
    outcome = avs(*command)
    assert (outcome.code, outcome.err) == (2, "")
    assert "Usage: avs" in outcome.out


def test_a_mistyped_option_is_named(avs: Avs) -> None:
    outcome = avs("segment", "a.mp4", "--treshold", "0.5")
    assert outcome.code == 2
    lines = outcome.err.splitlines()
    assert lines[0].startswith("error: No such option: --treshold")
    assert lines[1:] == ["hint: see the options with --help"]


# --- the values of options ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0.0), ("90", 90.0), ("1.5", 1.5), ("1:30", 90.0), ("01:00:00.25", 3600.25)],
)
def test_times_are_read_as_people_write_them(text: str, seconds: float) -> None:
    assert parse_time(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-1", "1:-1", "nan", "inf", "1:2:3:4", "1:", "1,5"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="is not a time"):
        parse_time(text)


@pytest.mark.parametrize("text", ["", "0", "-1", "nan", "fast", "Native"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="native"):
        parse_fps(text)


def test_artifacts_come_in_one_order_and_once() -> None:
    assert parse_artifacts("csv, coco,csv") == ("coco", "csv")
    assert parse_artifacts("") == ()
    with pytest.raises(typer.BadParameter, match="'png' is not one of: coco, overlay, csv"):
        parse_artifacts("coco,png")


# --- models and doctor ----------------------------------------------------------------------


def test_models_info_reads_any_checkpoint(avs: Avs, tmp_path) -> None:
    path = save_tiny(tmp_path / "tiny.safetensors")
    facts = json.loads(avs("models", "info", path, "--json").out)
    assert facts["name"] == "tiny"
    assert facts["spec"]["network"] == "pcmanet"
    plain = avs("models", "info", path)
    assert plain.code == 0
    assert "random weights" in plain.out


def test_models_verify_needs_a_golden(avs: Avs, tmp_path) -> None:
    outcome = avs("models", "verify", save_tiny(tmp_path / "tiny.safetensors"))
    assert (outcome.code, outcome.out) == (5, "")
    assert outcome.err.startswith("error: no golden to verify with")


@pytest.mark.weights
def test_models_list_names_what_is_shipped(avs: Avs) -> None:
    outcome = avs("models", "list", "--json")
    assert outcome.code == 0
    assert "pcmanet-mini" in [entry["name"] for entry in json.loads(outcome.out)]
    told = avs("models", "list").out
    assert "pcmanet-mini" in told
    assert "tpavi" in told
    assert "catr" in told


@pytest.mark.weights
def test_shipped_weights_verify(avs: Avs) -> None:
    outcome = avs("models", "verify", "--json")
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)["passed"] is True


@pytest.mark.weights
def test_doctor_finds_this_machine_healthy(avs: Avs) -> None:
    outcome = avs("doctor", "--json")
    facts = json.loads(outcome.out)
    assert facts["problems"] == []
    assert outcome.code == 0
    assert set(facts) >= {"avs", "python", "packages", "encoders", "weights", "self_test"}
