"""An archive on a local cluster of Ray, with bundles of one weight."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from renalseg import cluster
from renalseg.archive import SUMMARY_FILE
from renalseg.commands.main import main
from renalseg.errors import ConfigError
from tests.factories.bundles import CONFIG, write_bundles
from tests.factories.series import write_case

ROOT = Path(__file__).parents[2]


class Deadly:
    """A transform that kills its process, as long as there are lives in a folder to take."""

    def __init__(self, lives: str) -> None:
        self.lives = Path(lives)

    def __call__(self, data: dict[str, Any]) -> dict[str, Any]:
        for life in self.lives.glob("*"):
            life.unlink(missing_ok=True)
            os.kill(os.getpid(), signal.SIGKILL)
        return data


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    """The command for three studies, of which the second has no images."""
    for name in ("a", "c"):
        write_case(tmp_path / "in" / name)
    (tmp_path / "in" / "b").mkdir()
    bundles = write_bundles(tmp_path / "bundles")
    deadly = f"{{_target_: {__name__}.Deadly, lives: {tmp_path / 'lives'}}}"
    config = CONFIG.replace("transforms: []", f"transforms: [{deadly}]")
    (bundles / "kidney_tiny" / "configs" / "inference.yaml").write_text(config)
    given = ["archive", tmp_path / "in", tmp_path / "out", "--engine", "ray", "--cores", "1"]
    return [*map(str, given), "--method", "tiny", "-m", str(bundles), "--outputs", "nifti"]


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    patience = {"RAY_agent_register_timeout_ms": "120000", "RENALSEG_DEVICE": "cpu"}
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **patience}
    return subprocess.run(
        [sys.executable, "-m", "renalseg.commands.main", *command],
        capture_output=True, text=True, env=environment, timeout=500, check=False,
    )  # fmt: skip


def codes(folder: Path) -> dict[str, int]:
    """The exit code of each study, as the table of the archive has it."""
    with (folder / "out" / SUMMARY_FILE).open(newline="") as file:
        return {row["study"]: int(row["exit_code"]) for row in csv.DictReader(file)}


@pytest.mark.slow
def test_the_death_of_a_process_loses_nothing(command: list[str], tmp_path: Path) -> None:
    lives = tmp_path / "lives"
    lives.mkdir()
    for number in range(2 * cluster.TRIES):  # every try of both studies
        (lives / str(number)).touch()
    done = run(command)
    assert done.returncode == 75, done.stderr
    assert codes(tmp_path) == {"a": 75, "b": 2, "c": 75}
    assert not list((tmp_path / "out").rglob("*.nii.gz"))

    for life in lives.glob("*"):
        life.unlink()
    (lives / "last").touch()
    done = run(command)
    assert done.returncode == 2, done.stderr  # that of the study without images
    assert codes(tmp_path) == {"a": 0, "b": 2, "c": 0}
    assert sorted(path.parent.name for path in (tmp_path / "out").rglob("*.nii.gz")) == ["a", "c"]
    assert not list((tmp_path / "out").glob(".renalseg-*"))


def test_without_ray_it_says_what_to_install(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(command) == 2
    assert "found none: pip install 'renalseg[ray]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("gpus", "wanted", "cores"),
    [(0, None, 4), (0, 16, 16), (0, 17, None), (1, None, 2), (1, 3, None), (0, 0, None)],
)
def test_a_study_gets_the_cores_that_one_machine_has(
    gpus: int, wanted: int | None, cores: int | None
) -> None:
    nodes = [
        {"Alive": True, "Resources": {"CPU": 16.0}},
        {"Alive": True, "Resources": {"CPU": 2.0, "GPU": 1.0}},
        {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}},
        {"Alive": True, "Resources": {}},
    ]
    if cores is None:
        with pytest.raises(ConfigError, match=f"found {2 if gpus else 16} cores at most"):
            cluster._cores(nodes, gpus, wanted)
    else:
        assert cluster._cores(nodes, gpus, wanted) == cores
