"""What README's first command installs: avs and its weights, without this checkout.

The source distribution is built, the wheel from it, and the wheel is installed into an
environment of its own, which borrows its dependencies from the one that runs the tests.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

import avscli
from tests.conftest import Outcome
from tests.e2e.results import require_refusal

pytestmark = pytest.mark.weights

ROOT = Path(avscli.__file__).parents[1]


@dataclass(frozen=True)
class Installed:
    """An environment with the wheel in it.

    Attributes:
        wheel: the file.
        folder: of the environment.
    """

    wheel: Path
    folder: Path

    @property
    def site_packages(self) -> Path:
        return Path(sysconfig.get_path("purelib", "venv", vars={"base": str(self.folder)}))

    def run(self, *command: object, cwd: Path) -> Outcome:
        """Run a command of the environment; nothing but the wheel may lend it avscli."""
        clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
        program, *args = map(str, command)
        done = subprocess.run(
            [self.folder / "bin" / program, *args],
            capture_output=True,
            text=True,
            check=False,
            cwd=cwd,
            env=clean,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)


def python(*args: object) -> None:
    done = subprocess.run(
        [sys.executable, *map(str, args)], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("wheel")
    python("-m", "hatchling", "build", "-t", "sdist", "-d", folder)
    (source,) = folder.glob("*.tar.gz")
    pip = ("-m", "pip", "--disable-pip-version-check")
    python(*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", folder, source)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv", with_pip=False)
    made = Installed(wheel, folder / "venv")
    python(*pip, "--python", made.folder / "bin" / "python", "install", "--no-deps", wheel)
    # A folder named in a .pth file is searched last, and .pth files in it are not read: the
    # editable installation that lies there stays unseen.
    lent = made.site_packages / "lent.pth"
    lent.write_text(f"{sysconfig.get_path('purelib')}\n{sysconfig.get_path('platlib')}\n")
    return made


def test_the_wheel_holds_every_module_recipe_and_weight_and_nothing_else(
    installed: Installed,
) -> None:
    with zipfile.ZipFile(installed.wheel) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    package = {
        p
        for p in (ROOT / "avscli").rglob("*.*")
        if p.suffix in (".py", ".toml", ".typed", ".html", ".css", ".js", ".csv")
    }
    weights = {p for p in (ROOT / "weights").iterdir() if p.is_file()}
    expected = {p.relative_to(ROOT).as_posix() for p in package}
    assert names == expected | {f"avscli/_weights/{p.name}" for p in weights}


def test_it_is_the_wheel_that_runs(installed: Installed, tmp_path: Path) -> None:
    where = installed.run("python", "-c", "import avscli; print(avscli.__file__)", cwd=tmp_path)
    assert Path(where.out.strip()) == installed.site_packages / "avscli" / "__init__.py"
    version = installed.run("avs", "--version", cwd=tmp_path)
    assert version.out.startswith(f"avs {avscli.__version__}")


def test_the_installed_weights_verify(installed: Installed, tmp_path: Path) -> None:
    outcome = installed.run("avs", "models", "verify", "--json", cwd=tmp_path)
    assert outcome.code == 0, outcome.err
    verified = json.loads(outcome.out)
    assert verified["name"] == "pcmanet-mini"
    assert verified["passed"] is True


def test_the_installed_demo_marks_what_sounds(installed: Installed, tmp_path: Path) -> None:
    outcome = installed.run("avs", "demo", "--seconds", 1, "--json", cwd=tmp_path)
    assert outcome.code == 0, outcome.err
    report = json.loads(outcome.out)
    assert report["num_sounding_frames"] > 0
    assert report["mean_iou"] > 0.5  # 0.84 over the first two seconds of the scene
    assert (tmp_path / "avs_demo" / "avs_out" / "scene.mp4" / "overlay.mp4").is_file()


@pytest.mark.parametrize("command", [("models", "verify"), ("demo",)], ids=" ".join)
@pytest.mark.parametrize("lost", ["", "index.toml", "pcmanet-mini.safetensors"])
def test_an_installation_that_lost_its_weights_says_so_and_what_to_do(
    lost: str, command: tuple[str, ...], installed: Installed, tmp_path: Path
) -> None:
    there = installed.site_packages / "avscli" / "_weights" / lost
    aside = there.rename(installed.folder / "aside")
    try:
        outcome = installed.run("avs", *command, cwd=tmp_path)
    finally:
        aside.rename(there)
    assert "weights" in require_refusal(outcome, 5)
    assert outcome.err.endswith("hint: reinstall avscli\n")
    assert list(tmp_path.iterdir()) == []
