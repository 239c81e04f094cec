"""What every bundle promises, read from its files alone."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import openvino
import pytest
import torch
import yaml
from monai.bundle import ConfigParser, ckpt_export, onnx_export, verify_net_in_out

from renalseg import __version__
from renalseg.training.run import config_files

ROOT = Path(__file__).parents[2]
BUNDLES = sorted(path.parent.parent for path in ROOT.glob("bundles/*/configs/metadata.json"))
KEYS = {
    "bundle_root", "dataset_dir", "output_dir", "device", "engine", "network_def", "network",
    "preprocessing", "dataset", "inferer", "postprocessing", "evaluator", "run",
}  # fmt: skip
FILES = (
    "LICENSE", "configs/inference.yaml", "configs/train.yaml", "configs/evaluate.yaml",
    "configs/multi_gpu_train.yaml", "configs/kits.yaml", "configs/metadata.json",
    "configs/logging.conf", "docs/README.md", "docs/data_license.txt",
)  # fmt: skip
DATA = ("folds.yaml", "ccrcc_kidneys.yaml")  # which no config is laid over
MAX_WEIGHTS_BYTES = 12_000_000

TRAINED = [path for path in BUNDLES if (path / "models/model.pt").exists()]

every_bundle = pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
every_trained_bundle = pytest.mark.parametrize("bundle", TRAINED, ids=lambda path: path.name)


def test_bundles_come_in_pairs() -> None:
    names = [path.name for path in BUNDLES]
    methods = {name.split("_")[1] for name in names} - {"unet"}  # that has another's localizer
    pairs = {f"{stage}_{m}" for stage in ("kidney", "tumor") for m in methods}
    assert names == sorted(pairs | {"tumor_unet"})
    assert {"kidney_sehdc", "tumor_sehdc"} <= {path.name for path in TRAINED}


@every_bundle
def test_files_are_complete_and_hold_no_code(bundle: Path) -> None:
    for name in FILES:
        assert (bundle / name).is_file(), name
    assert not list(bundle.rglob("*.py"))
    for path in (bundle / "configs").iterdir():
        assert "../" not in path.read_text(), path


@every_bundle
def test_config_has_the_keys(bundle: Path) -> None:
    config = yaml.safe_load((bundle / "configs/inference.yaml").read_text())
    assert set(config) >= KEYS
    assert ("kidney_dir" in config) == bundle.name.startswith("tumor_")


@every_bundle
def test_version_is_in_the_changelog(bundle: Path) -> None:
    metadata = json.loads((bundle / "configs/metadata.json").read_text())
    assert metadata["version"] in metadata["changelog"]
    assert metadata["monai_version"] == "1.6.1"


@every_bundle
def test_the_package_that_holds_the_code_is_a_requirement(bundle: Path) -> None:
    metadata = json.loads((bundle / "configs/metadata.json").read_text())
    assert metadata["required_packages_version"]["renalseg"] == __version__


def test_the_folds_of_the_bundle_part_their_patients() -> None:
    listed = yaml.safe_load((ROOT / "bundles/tumor_unet/configs/folds.yaml").read_text())
    patients = [patient for fold in listed["folds"] for patient in fold]
    assert len(listed["folds"]) == 5
    assert len(set(patients)) == len(patients)
    assert not set(patients) & set(listed["never"])
    assert {"kits 0", "kits 1"} <= set(listed["never"])


@every_trained_bundle
def test_every_weight_is_finite_half_precision_and_loads_without_code(bundle: Path) -> None:
    path = bundle / "models/model.pt"
    assert path.stat().st_size < MAX_WEIGHTS_BYTES
    weights = torch.load(path, weights_only=True)
    floats = [w for w in weights.values() if w.is_floating_point()]
    assert floats
    assert all(w.dtype == torch.float16 and torch.isfinite(w).all() for w in floats)


@every_trained_bundle
def test_parses_from_another_directory(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    parser = ConfigParser()
    parser.read_config(str(bundle / "configs/inference.yaml"))
    parser["bundle_root"] = str(bundle)
    parser["device"] = "$torch.device('cpu')"
    for part in ("network", "preprocessing", "inferer", "postprocessing"):
        assert parser.get_parsed_content(part) is not None


@every_bundle
def test_preprocessing_loads_what_other_programs_give(bundle: Path) -> None:
    config = yaml.safe_load((bundle / "configs/inference.yaml").read_text())
    first = config["preprocessing"]["transforms"][0]
    keys = ["image", "kidney"] if bundle.name.startswith("tumor_") else "image"
    assert first == {"_target_": "renalseg.inference.load.LoadCased", "keys": keys}


@every_bundle
@pytest.mark.parametrize("name", ["inference", "train"])
def test_a_mistake_ends_in_one_sentence(bundle: Path, name: str) -> None:
    config = yaml.safe_load((bundle / f"configs/{name}.yaml").read_text())
    assert config["initialize"] == ["$end_in_one_sentence()"]


@every_bundle
def test_training_and_inference_agree_on_the_network(bundle: Path) -> None:
    inference, train = (
        yaml.safe_load((bundle / f"configs/{name}.yaml").read_text())
        for name in ("inference", "train")
    )
    resolved = {
        key: train[value[1:]] if isinstance(value, str) and value.startswith("@") else value
        for key, value in train["network_def"].items()
    }
    expected = {
        key: inference[value[1:]] if isinstance(value, str) and value.startswith("@") else value
        for key, value in inference["network_def"].items()
    }
    assert resolved.items() <= expected.items()  # inference may add what holds no weights
    assert train.get("spacing") == inference.get("spacing")
    assert train.get("window") == inference.get("window")


def files_of(bundle: Path) -> dict[str, str]:
    """Arguments that MONAI's commands for bundles share."""
    return {
        "net_id": "network_def",
        "meta_file": str(bundle / "configs/metadata.json"),
        "config_file": str(bundle / "configs/inference.yaml"),
        "bundle_root": str(bundle),
    }


def network_of(bundle: Path) -> torch.nn.Module:
    parser = ConfigParser()
    parser.read_config(str(bundle / "configs/inference.yaml"))
    parser["bundle_root"] = str(bundle)
    parser["device"] = "$torch.device('cpu')"
    parser["engine"] = "torch"
    network: torch.nn.Module = parser.get_parsed_content("network")
    return network


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.slow
@every_bundle
def test_network_takes_and_gives_what_the_metadata_says(bundle: Path) -> None:
    verify_net_in_out(device="cpu", **files_of(bundle))


@every_trained_bundle
def test_exported_network_gives_the_same_logits(bundle: Path, tmp_path: Path) -> None:
    exported = tmp_path / "model.ts"
    ckpt_export(
        filepath=str(exported), ckpt_file=str(bundle / "models/model.pt"), **files_of(bundle)
    )
    network = network_of(bundle)
    metadata = json.loads((bundle / "configs/metadata.json").read_text())
    image = metadata["network_data_format"]["inputs"]["image"]
    size = (37, 50, 19)[: len(image["spatial_shape"])]  # no multiples: padding is exported too
    x = torch.randn((1, image["num_channels"], *size), generator=seeded())
    with torch.inference_mode():
        torch.testing.assert_close(torch.jit.load(exported)(x), network(x), atol=1e-4, rtol=1e-4)


@pytest.mark.slow
@every_trained_bundle
def test_the_onnx_export_gives_the_same_logits(bundle: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    exported = tmp_path / "model.onnx"
    onnx_export(
        filepath=str(exported), ckpt_file=str(bundle / "models/model.pt"), **files_of(bundle)
    )
    metadata = json.loads((bundle / "configs/metadata.json").read_text())
    image = metadata["network_data_format"]["inputs"]["image"]
    x = torch.randn((1, image["num_channels"], *image["spatial_shape"]), generator=seeded())
    with torch.inference_mode():
        expected = network_of(bundle)(x).numpy()
    compiled = openvino.Core().compile_model(exported, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    (logits,) = compiled([x.numpy()]).values()
    assert np.abs(logits - expected).mean() < 1e-3 * np.abs(expected).max()
    assert ((logits > 0) != (expected > 0)).mean() < 1e-3


def names_used(parser: ConfigParser, name: str) -> set[str]:
    """The names of a config, top level, that go into one of them."""
    used: set[str] = set()
    rest = [name]
    while rest:
        one = rest.pop()
        if one not in used and one in parser.config:
            used.add(one)
            text = json.dumps(parser.config[one], default=str)
            rest += re.findall(r"[@%](\w+)", text)
    return used


@every_bundle
def test_no_overlay_of_the_training_takes_a_knob_away(bundle: Path) -> None:
    config = str(bundle / "configs/train.yaml")
    alone = ConfigParser(ConfigParser.load_config_files(config))
    knobs = {name for name, value in alone.config.items() if not is_component(value)}
    used = names_used(alone, "train") & knobs
    assert {"dataset_dir", "start_from", "learning_rate"} <= used
    overlays = {path.name for path in (bundle / "configs").glob("*.yaml")} - {
        "train.yaml", "inference.yaml", "evaluate.yaml", *DATA,
    }  # fmt: skip
    assert "multi_gpu_train.yaml" in overlays
    for name in overlays:
        files = config_files(bundle, [name.removesuffix(".yaml")])
        both = ConfigParser.load_config_files([str(path) for path in files])
        assert used <= names_used(ConfigParser(both), "train"), name


def is_component(value: object) -> bool:
    return "_target_" in json.dumps(value, default=str)
