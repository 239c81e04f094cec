from __future__ import annotations

from pathlib import Path
from typing import Any

import monai.bundle
import pytest
import torch

from renalseg.errors import ConfigError
from renalseg.training.record import write_record
from tests.factories.bundles import write_bundle
from tools.train_all import find_bundles, main, parse_knobs, train_all

HEADER = "epoch,loss,learning_rate,dice\n"


@pytest.fixture
def bundles(tmp_path: Path) -> Path:
    for name in ("kidney_a", "tumor_a"):
        bundle = write_bundle(tmp_path / "bundles" / name)
        (bundle / "configs" / "train.yaml").write_text("epochs: 2\nwidth: 8\n")
    return tmp_path / "bundles"


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What MONAI is asked to run; each writes a history and weights, but a bad width fails."""
    asked: list[dict[str, Any]] = []

    def run(**settings: Any) -> None:
        asked.append(settings)
        if settings.get("width") == "bad" and "kidney" in settings["bundle_root"]:
            raise RuntimeError("outer") from ConfigError("Expected a width")
        out = Path(settings["output_dir"])
        out.mkdir(parents=True)
        (out / "history.csv").write_text(HEADER + "1,1.5,0.1,0.5\n2,1.0,0.1,0.75\n")
        write_record(out, {}, "library")
        weights = {"weight": torch.ones(1, 1, 1, 1, 1), "bias": torch.zeros(1)}
        torch.save(weights, out / "best.pt")

    monkeypatch.setattr(monai.bundle, "run", run)
    return asked


def test_knobs_are_read_as_yaml() -> None:
    words = ["--epochs", "3", "--roi_size=[8, 8, 8]", "--start_from", "null"]
    assert parse_knobs(words) == {"epochs": 3, "roi_size": [8, 8, 8], "start_from": None}


@pytest.mark.parametrize("words", [["epochs", "3"], ["--epochs"]])
def test_other_words_are_refused(words: list[str]) -> None:
    with pytest.raises(ConfigError, match="epochs"):
        parse_knobs(words)


def test_all_bundles_are_found(bundles: Path) -> None:
    assert [path.name for path in find_bundles([], bundles)] == ["kidney_a", "tumor_a"]


def test_an_unknown_bundle_is_named_with_those_there_are(bundles: Path) -> None:
    with pytest.raises(ConfigError, match=r"kidney_b.*kidney_a, tumor_a"):
        find_bundles(["kidney_b"], bundles)


def test_bundles_are_trained_with_the_knobs_into_folders_of_their_own(
    bundles: Path, runs: list[dict[str, Any]], tmp_path: Path
) -> None:
    train_all(find_bundles([], bundles), tmp_path / "out", {"width": 4})
    assert [Path(run["output_dir"]).name for run in runs] == ["kidney_a", "tumor_a"]
    assert all(run["width"] == 4 for run in runs)


def test_the_best_dice_is_said(bundles: Path, runs: list[dict[str, Any]], tmp_path: Path) -> None:
    (outcome,) = train_all([bundles / "tumor_a"], tmp_path, {})
    assert "2 epochs, best Dice 0.750 in epoch 2" in outcome.text


def test_a_complete_training_is_left_as_it_is(
    bundles: Path, runs: list[dict[str, Any]], tmp_path: Path
) -> None:
    for _ in range(2):
        (outcome,) = train_all([bundles / "tumor_a"], tmp_path, {})
    assert len(runs) == 1
    assert "before" in outcome.text


def test_a_failure_is_told_by_its_cause_and_the_next_one_is_trained(
    bundles: Path, runs: list[dict[str, Any]], tmp_path: Path
) -> None:
    first, second = train_all(find_bundles([], bundles), tmp_path, {"width": "bad"})
    assert first.text == "failed: Expected a width"
    assert (first.exit_code, second.exit_code) == (2, 0)


def test_weights_are_exported_when_asked(
    bundles: Path, runs: list[dict[str, Any]], tmp_path: Path
) -> None:
    folders = ["--bundle_dir", str(bundles), "--output_dir", str(tmp_path / "out")]
    assert main(["tumor_a", "--export", *folders]) == 0
    assert (tmp_path / "out" / "bundles" / "tumor_a_trained" / "models" / "model.pt").is_file()
    assert not (tmp_path / "out" / "bundles" / "kidney_a_trained").exists()


def test_the_program_ends_with_the_code_of_a_failure(
    bundles: Path, runs: list[dict[str, Any]], tmp_path: Path
) -> None:
    folders = ["--bundle_dir", str(bundles), "--output_dir", str(tmp_path / "out")]
    assert main([*folders, "--width", "bad"]) == 2
    assert main([*folders, "nothing"]) == 2
