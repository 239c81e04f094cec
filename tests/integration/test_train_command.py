"""`renalseg train`: the training of a bundle with one line for each mistake."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from renalseg.commands.main import main
from renalseg.synthesis.library import save_anatomy
from tests.factories.anatomies import box_anatomy

BUNDLE = Path(__file__).parents[2] / "bundles" / "kidney_sehdc"
SMALL = ("roi_size=[32,32,16]", "width=4", "epoch_length=2", "workers=0", "val_every=0")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("library")
    save_anatomy(folder / "box_0.npz", box_anatomy())
    return folder


def train(out: Path, library: Path, *settings: str, config: str | None = None) -> int:
    knobs = [part for setting in (*SMALL, *settings) for part in ("--set", setting)]
    overlay = ["--config", config] if config else []
    return main(["train", str(BUNDLE), str(out), "--data", str(library), *overlay, *knobs])


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines of standard error that are no log."""
    return [x for x in capsys.readouterr().err.splitlines() if x.startswith("renalseg:")]


def test_a_bundle_trains_and_one_cycle_has_an_end(
    library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(tmp_path, library, "epochs=1") == 0
    stored = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert stored["trainer"]["iteration"] == 2
    assert train(tmp_path, library, "epochs=9") == 2
    (line,) = lines(capsys)
    assert "at most 3 iterations" in line
    assert "--start_from" in line
    assert "Traceback" not in line


@pytest.mark.parametrize(
    ("settings", "config", "message"),
    [
        (["epochs=1", "data=absent"], None, "Expected training data at"),
        (["epoch=1"], None, r"found epoch; known are"),
        (["epochs=1"], "papers", r"papers\.yaml, found evaluate\.yaml, inference\.yaml"),
        (["epochs=1", f"start_from={BUNDLE / 'models/model.pt'}"], None, "do not fit"),
    ],
)
def test_a_mistake_is_said_in_one_line(
    settings: list[str],
    config: str | None,
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert train(tmp_path / "out", tmp_path / "absent", *settings, config=config) == 2
    (line,) = lines(capsys)
    assert re.search(message, line)
    assert len(line) < 700
