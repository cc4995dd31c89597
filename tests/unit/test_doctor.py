"""The doctor names every problem, and ends with the code of the first."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from avscli.doctor import PACKAGES, examine, facts_as_rows, require_healthy
from avscli.errors import DeviceError, ExitCode, WeightsError

ROOT = Path(__file__).parents[2]


def test_problems_are_told_together_once_each_with_the_first_ones_code() -> None:
    damaged = WeightsError("weights are damaged", hint="reinstall avscli")
    with pytest.raises(WeightsError) as caught:
        require_healthy([damaged, damaged, DeviceError("no such device")])
    assert str(caught.value) == "weights are damaged; no such device"
    assert caught.value.exit_code == ExitCode.BAD_WEIGHTS
    assert caught.value.hint == "reinstall avscli"


def test_every_package_that_the_project_needs_is_looked_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = {line.partition(">")[0].strip() for line in project["dependencies"]}
    assert set(PACKAGES) == needed - {"typer", "rich"}, "without those two there is no avs"


@pytest.mark.parametrize("reason", ["no module", "libGL.so.1: cannot open shared object file"])
@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_a_package_that_cannot_be_imported_is_named_and_all_others_are_shown(
    monkeypatch: pytest.MonkeyPatch, package: str, reason: str
) -> None:
    def broken_import(name: str) -> None:
        if name == PACKAGES[package]:
            raise ImportError(reason)

    monkeypatch.setattr("avscli.doctor.import_module", broken_import)
    facts, problems = examine("cpu", pytest.fail)
    (problem,) = problems
    assert problem.exit_code == ExitCode.MISSING_EXTRA
    assert str(problem) == f"{package} is installed and cannot be imported: {reason}"
    assert package in problem.hint
    packages = facts["packages"]
    assert isinstance(packages, dict)
    assert [name for name, found in packages.items() if found == "broken"] == [package]
    assert facts["problems"] == [str(problem)]
    assert "self_test" not in facts, "which cannot run"


def test_the_doctor_comes_without_any_package_that_could_be_missing() -> None:
    code = f"""
import sys
for name in {[name.partition(".")[0] for name in PACKAGES.values()]}:
    sys.modules[name] = None  # importing it raises ImportError
sys.argv = ["avs", "doctor"]
from avscli.cli import main
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == ExitCode.MISSING_EXTRA, done.stderr
    assert "torch broken" in done.stdout
    error, hint = done.stderr.splitlines()
    assert error.count("cannot be imported") == len(PACKAGES)
    assert hint == "hint: pip install --force-reinstall torch"


def test_people_see_no_python() -> None:
    facts = {"packages": {"av": "18", "torch": "2"}, "encoders": ["aac", "libx264"], "weights": []}
    assert facts_as_rows(facts) == [
        ("packages", "av 18\ntorch 2"),
        ("encoders", "aac\nlibx264"),
        ("weights", "none"),
    ]
