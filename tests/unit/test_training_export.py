from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from renalseg.commands.main import main
from renalseg.data.case_lists import Fold
from renalseg.errors import ConfigError, InputError
from renalseg.inference.bundle import Bundle
from renalseg.runtime.checksums import check_manifest, write_manifest
from renalseg.training.export import as_ensemble, export_bundle, replace_weights, set_value
from renalseg.training.record import RECORD, write_record
from tests.factories.bundles import CONFIG, write_bundle

KNOBS = "window: [0.0, 1.0]   # HU; paper: 0 2\nspacing: [1.0, 1.0, 2.0]\n"
METADATA = {
    "version": "0.3.2",
    "name": "shipped",
    "task": "Segment",
    "caution": "misses tumors",
    "eval_metrics": {"kidney_dice_synthetic": 0.49},
    "network_data_format": {"inputs": {"image": {"spatial_shape": [1.0, 1.0, 2.0]}}},
}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    root = write_bundle(tmp_path / "shipped" / "kidney_tiny", config=KNOBS + CONFIG)
    (root / "configs" / "metadata.json").write_text(json.dumps(METADATA))
    write_manifest(root)
    return root


@pytest.fixture
def training(tmp_path: Path) -> Path:
    return write_training(tmp_path / "train", 1)


def write_training(folder: Path, channels: int, **settings: Any) -> Path:
    folder.mkdir()
    network = torch.nn.Conv3d(channels, 1, 1)
    torch.nn.init.constant_(network.weight, 3.0)
    torch.save(network.state_dict(), folder / "best.pt")
    (folder / "history.csv").write_text("epoch,loss,dice,dice_kidney\n1,1.0,0.5,0.5\n2,1,0.8,0.8\n")
    inference = {"window": [0.5, 1.5], "spacing": [3.0, 3.0, 4.0]}
    write_record(folder, inference | settings, ["/home/jane/kits19", "build/library"])
    return folder


def content(root: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_new_bundle_has_the_settings_of_the_training(
    bundle: Path, training: Path, tmp_path: Path
) -> None:
    before = content(bundle)
    new = export_bundle(training, bundle, tmp_path / "mine" / "kidney_mine")
    text = (new / "configs" / "inference.yaml").read_text()
    assert text.startswith("window: [0.5, 1.5]   # HU; paper: 0 2\nspacing: [3.0, 3.0, 4.0]\n")
    loaded = Bundle(new, torch.device("cpu"))
    assert all(w.item() == 3.0 for n, w in loaded.network.named_parameters() if n[-6:] == "weight")
    assert check_manifest(new)
    assert content(bundle) == before


def test_a_new_bundle_has_no_name_score_or_warning_of_the_shipped_one(
    bundle: Path, training: Path, tmp_path: Path
) -> None:
    new = export_bundle(training, bundle, tmp_path / "kidney_mine")
    metadata = json.loads((new / "configs" / "metadata.json").read_text())
    assert metadata["version"] == "0.1.0"
    assert metadata["name"] == "kidney_mine"
    assert "caution" not in metadata
    assert metadata["eval_metrics"] == {"dice_kidney_validation_patches": 0.8}
    assert metadata["task"] == "Segment"
    assert metadata["network_data_format"]["inputs"]["image"]["spatial_shape"] == [3.0, 3.0, 4.0]
    card = (new / "docs" / "README.md").read_text()
    assert "training of kidney_tiny 0.3.2" in card
    assert "| data | kits19, library |" in card
    for path in new.rglob("*"):
        assert path.is_dir() or b"jane" not in path.read_bytes()


def test_the_command_makes_a_bundle_beside_the_training(
    bundle: Path, training: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = tmp_path / "bundles" / "kidney_tiny_trained"
    assert main(["export", str(training), str(bundle)]) == 0
    assert capsys.readouterr().out == f"{new}\n"
    assert main(["export", str(training), str(bundle)]) == 2
    assert f"{new} is there already" in capsys.readouterr().err


def test_weights_of_another_width_are_refused_and_nothing_is_left(
    bundle: Path, tmp_path: Path
) -> None:
    training = write_training(tmp_path / "wide", 2)
    with pytest.raises(ConfigError, match=r"weights of .*wide cannot be exported.*size mismatch"):
        export_bundle(training, bundle, tmp_path / "mine" / "kidney_mine")
    assert not list((tmp_path / "mine").iterdir())


def test_a_setting_that_the_bundle_lacks_is_refused(bundle: Path, tmp_path: Path) -> None:
    training = write_training(tmp_path / "train", 1, size=3)
    with pytest.raises(ConfigError, match="a line with size"):
        export_bundle(training, bundle, tmp_path / "kidney_mine")


@pytest.mark.parametrize("name", ["tumor_mine", "kidney_", "mine"])
def test_the_name_says_the_stage(name: str, bundle: Path, training: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"begins with kidney_, got .*{name}"):
        export_bundle(training, bundle, tmp_path / name)


def test_a_training_that_does_not_say_what_it_is_for_is_refused(
    bundle: Path, training: Path, tmp_path: Path
) -> None:
    (training / RECORD).unlink()
    with pytest.raises(ConfigError, match=f"Expected {training / RECORD}"):
        export_bundle(training, bundle, tmp_path / "kidney_mine")


def test_a_maintainer_replaces_weights_and_settings(bundle: Path, training: Path) -> None:
    assert main(["export", str(training), str(bundle), "--replace"]) == 0
    assert check_manifest(bundle)
    assert yaml.safe_load((bundle / "configs/inference.yaml").read_text())["window"] == [0.5, 1.5]
    assert json.loads((bundle / "configs/metadata.json").read_text()) == METADATA
    assert [path.name for path in bundle.parent.iterdir()] == ["kidney_tiny"]
    replace_weights(training, bundle)


def test_a_training_is_not_resumed_with_other_settings(training: Path) -> None:
    write_record(training, {"window": (0.5, 1.5)}, "kits19")
    with pytest.raises(ConfigError, match=r"Expected window \[0\.5, 1\.5\].*got \[0\.0, 9\.0\]"):
        write_record(training, {"window": [0.0, 9.0]}, "kits19")


def test_values_are_set_and_comments_stay() -> None:
    text = "# head\na: 1   # one\nnet: {_target_: x.Y, width: 8, n: '@a'}  # a net\n"
    text = set_value(text, "a", [1.5, None])
    text = set_value(text, "net::width", 24)
    assert text == (
        "# head\na: [1.5, null]   # one\nnet: {_target_: x.Y, width: 24, n: '@a'}  # a net\n"
    )
    assert set_value("a: 1   # one\n", "a", 0.5, "from validation") == "a: 0.5  # from validation\n"


def test_trainings_of_folds_are_averaged_in_one_bundle(bundle: Path, tmp_path: Path) -> None:
    config = bundle / "configs" / "inference.yaml"
    text = config.read_text()
    definition = "{_target_: torch.nn.Conv3d, in_channels: 1, out_channels: 1, kernel_size: 1}"
    text = text.replace(f"network: {definition}", 'network: "@network_def"')
    text = text.replace(
        "  transforms:\n",
        "  transforms:\n  - {_target_: Activationsd, keys: pred, sigmoid: true}\n",
    )
    config.write_text(f"network_def: {definition}\n{text}")
    write_manifest(bundle)
    trainings = [write_training(tmp_path / f"fold{i}", 1) for i in range(3)]
    for folder, weight in zip(trainings, (1.0, 2.0, 6.0), strict=True):
        state = {"weight": torch.full((1, 1, 1, 1, 1), weight), "bias": torch.zeros(1)}
        torch.save(state, folder / "best.pt")
    also = [str(path) for path in trainings[1:]]
    out = tmp_path / "bundles" / "kidney_tiny_trained"
    assert main(["export", str(trainings[0]), str(bundle), "--also", *also]) == 0
    network = Bundle(out, torch.device("cpu")).network
    x = torch.tensor([-0.5, 0.25, 1.0]).reshape(1, 1, 3, 1, 1)
    expected = torch.stack([torch.sigmoid(weight * x) for weight in (1.0, 2.0, 6.0)]).mean(dim=0)
    torch.testing.assert_close(torch.sigmoid(network(x)), expected)
    card = (out / "docs" / "README.md").read_text()
    assert "Weights of 3 trainings of kidney_tiny 0.3.2" in card
    assert "| networks | 3, whose probabilities are averaged |" in card


def test_trainings_with_other_settings_do_not_go_together(
    bundle: Path, training: Path, tmp_path: Path
) -> None:
    other = write_training(tmp_path / "other", 1, window=[0.0, 9.0])
    with pytest.raises(ConfigError, match=r"same settings.*0\.5, 1\.5.*0\.0, 9\.0"):
        export_bundle([training, other], bundle, tmp_path / "kidney_mine")


def test_an_ensemble_needs_to_know_what_the_logits_are() -> None:
    with pytest.raises(ConfigError, match="an Activationsd with sigmoid or softmax"):
        as_ensemble("network_def: {_target_: x.Y}\n", 2)


def test_a_training_is_not_resumed_with_another_fold(training: Path) -> None:
    write_record(training, {}, "kits19")
    with pytest.raises(ConfigError, match="Expected the fold"):
        write_record(training, {}, "kits19", Fold(frozenset({"case_00002"})))
