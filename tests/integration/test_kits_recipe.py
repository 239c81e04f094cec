"""The recipe for KiTS, `--config kits`, trains every bundle and validates it on whole CTs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from renalseg.commands.main import main
from renalseg.inference.bundle import Bundle
from renalseg.synthesis.library import save_anatomy
from renalseg.training.history import read_history
from renalseg.training.record import read_record
from renalseg.training.run import config_files
from tests.factories.anatomies import box_anatomy
from tests.factories.kits import write_case

BUNDLES = Path(__file__).parents[2] / "bundles"
TRAINING, VALIDATION, TEST = (2, 3), (12, 14), (0,)  # of fold 0
SMALL: dict[str, dict[str, Any]] = {
    "kidney_convlstm": {"roi_size": [96, 96, 8], "width": 4},
    "kidney_mrb": {"roi_size": [48, 48, 3], "width": 4},
    "kidney_msvnet": {"roi_size": [32, 32, 16], "width": 4},
    "kidney_resvnet": {"roi_size": [32, 32, 32], "width": 4},
    "kidney_sehdc": {"roi_size": [32, 32, 16], "width": 4, "spacing": [4.0, 4.0, 5.0]},
    "tumor_convlstm": {"roi_size": [96, 96, 8], "width": 4},
    "tumor_mrb": {"roi_size": [32, 32, 32], "width": 4},
    "tumor_msvnet": {"size": 32, "width": 4},
    "tumor_resvnet": {"box_size": [32, 32, 16], "width": 4},
    "tumor_sehdc": {"roi_size": [32, 32, 16], "width": 4, "spacing": [2.0, 2.0, 5.0]},
    "tumor_unet": {"field": [96, 64], "channels": [4, 8, 8, 8]},
}
SHORT = {"epochs": 2, "epoch_length": 2, "batch_size": 2, "workers": 0, "val_cases": 12}
SHORT |= {"val_every": 1, "cts_every": 2, "cts": 1}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A KiTS folder, and a library beside it."""
    root = tmp_path_factory.mktemp("data")
    for number in (*TRAINING, *VALIDATION, *TEST):
        write_case(root / "kits19", number)
    (root / "library").mkdir()
    for i in range(2):
        save_anatomy(root / "library" / f"box_{i}.npz", box_anatomy())
    return root


def train(name: str, data: Path, out: Path, **settings: Any) -> int:
    sources = [data / "kits19", *([] if name == "tumor_unet" else [data / "library"])]
    knobs = SHORT | SMALL[name] | settings
    return main(
        [
            *("train", str(BUNDLES / name), str(out), "--config", "kits"),
            *("--data", *map(str, sources)),
            *(part for key, value in knobs.items() for part in ("--set", f"{key}={value}")),
        ]
    )


def check_training(name: str, out: Path) -> None:
    checkpoint = torch.load(out / "checkpoint.pt", weights_only=False)
    assert checkpoint["trainer"]["iteration"] == 4
    assert all(w.isfinite().all() for w in checkpoint["network"].values())
    first, last = read_history(out)
    assert "dice" in first
    assert "cts" not in first
    scores = {"kidney_dice"} | ({"tumor_dice", "lesion_f1"} if name.startswith("tumor") else set())
    assert {key[4:] for key in last if key.startswith("cts_")} == scores
    assert all(0 <= value <= 1 for key, value in last.items() if key.startswith("cts"))
    assert checkpoint["whole"]["best"] == pytest.approx(last["cts"], abs=1e-5)
    average = checkpoint["average"]
    best = torch.load(out / "best.pt", weights_only=True)
    assert all(torch.equal(weight, average[f"module.{key}"]) for key, weight in best.items())
    assert not (out / "validating.pt").exists()
    held_out = set(read_record(out)["held_out"])
    assert {f"case_{number:05d}" for number in VALIDATION} <= held_out
    assert not held_out & {f"case_{number:05d}" for number in (*TRAINING, *TEST)}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(SMALL))
def test_a_bundle_trains_by_the_recipe_and_exports(name: str, data: Path, tmp_path: Path) -> None:
    assert train(name, data, tmp_path / "train") == 0
    check_training(name, tmp_path / "train")
    assert main(["export", str(tmp_path / "train"), str(BUNDLES / name)]) == 0
    Bundle(tmp_path / "bundles" / f"{name}_trained", torch.device("cpu"))


def test_another_fold_is_another_training(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folds = tmp_path / "folds.yaml"
    folds.write_text("folds: [[2], [3]]\n")
    for fold, expected in ((0, 0), (1, 2)):
        settings = {"fold": fold, "folds": folds, "cts_every": 0, "val_every": 0, "epochs": 1}
        assert train("tumor_sehdc", data, tmp_path / "train", **settings) == expected
    assert "Expected the fold with which the training in" in capsys.readouterr().err


def test_real_cts_and_drawn_ones_have_their_share(data: Path, tmp_path: Path) -> None:
    """In what the stream of the parsed configs draws from, and with what deformation."""
    from monai.bundle import ConfigParser

    name = "tumor_sehdc"
    parser = ConfigParser(
        ConfigParser.load_config_files([str(p) for p in config_files(BUNDLES / name, ["kits"])])
    )
    for key, value in (SHORT | SMALL[name] | {"real": 0.9}).items():
        parser[key] = value
    parser["data"] = [str(data / "kits19"), str(data / "library")]
    stream = parser.get_parsed_content("train::dataset")
    drawn = stream.weights[len(TRAINING) :]  # the library comes last
    assert drawn.sum() / stream.weights.sum() == pytest.approx(0.1)
    assert stream.deformation.elastic_mm == 0
    patch = stream.numbered(0)
    assert patch["image"].shape == (1, 32, 32, 16)
    assert np.isfinite(patch["image"]).all()


def test_each_bundle_has_the_recipe_after_what_all_share() -> None:
    trained = {path.parents[1] for path in BUNDLES.glob("*/configs/train.yaml")}
    assert {path.name for path in trained} == set(SMALL)
    for bundle in trained:
        files = config_files(bundle, ["kits"])
        shared = BUNDLES / "recipes" / "kits.yaml"
        assert files == [bundle / "configs/train.yaml", shared, bundle / "configs/kits.yaml"]
        common, own = (yaml.safe_load(path.read_text()) for path in files[1:])
        assert not [name for name, value in own.items() if common.get(name) == value]
        samples = {"epochs": 0, "epoch_length": 0, "batch_size": 0}
        for path in files:
            content = yaml.safe_load(path.read_text())
            samples |= {name: content[name] for name in samples if name in content}
        assert np.prod(list(samples.values())) >= 250_000
