"""A bundle of the model zoo's style as a stage: the same voxels as ``monai.bundle run`` gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
import pytest
import torch
from monai.bundle import run

from renalseg.errors import ConfigError
from renalseg.inference.foreign.kinds import load_foreign
from renalseg.inference.foreign.zoo import ZooBundle
from renalseg.inference.foreign.zoo_folder import KNOBS, files
from renalseg.inference.references import Reference
from renalseg.labels import CYST, KIDNEY, TUMOR
from renalseg.settings import Settings
from renalseg.volumes.ct import read_ct
from renalseg.volumes.nifti import open_nifti
from tests.factories.bundles import write_bundles
from tests.factories.nnunet import draw
from tests.factories.volumes import save
from tests.factories.zoo import write_zoo_bundle

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    hu, _, grid = draw("LPS", seed=9)
    return save(tmp_path_factory.mktemp("cts") / "ct.nii.gz", hu, grid.affine)


def load(root: Path, **values: Any) -> ZooBundle:
    return ZooBundle(root, CPU, False, {**KNOBS, **values})


def run_alone(root: Path, source: Path, out: Path) -> npt.NDArray[np.uint8]:
    """The label map, or the masks (X, Y, Z, C), that the bundle itself writes of a file."""
    run(
        "run",
        config_file=str(root / "configs" / "inference.json"),
        bundle_root=str(root),
        dataset_dir=str(source.parent),
        output_dir=str(out),
    )
    return np.asarray(nib.load(out / "ct_pred.nii.gz").dataobj).astype(np.uint8)


def segment(root: Path, source: Path, **values: Any) -> npt.NDArray[np.uint8]:
    ct = read_ct(open_nifti(source), "ct")
    found = load(root, **values)(ct.image)
    assert found.dtype == torch.uint8
    assert torch.equal(found.affine, ct.image.affine)
    return ct.turn.back(found[0].numpy())


def test_the_voxels_are_those_of_the_bundle_alone(tmp_path: Path, source: Path) -> None:
    root = write_zoo_bundle(tmp_path / "zoo")
    alone = run_alone(root, source, tmp_path / "out")
    assert set(np.unique(alone)) >= {1, 2, 4}  # of random weights
    found = segment(root, source)
    np.testing.assert_array_equal(found, np.where(alone == 4, 0, alone))
    assert not (root / "eval").exists()  # nothing is saved
    np.testing.assert_array_equal(segment(root, source, axes="IPR"), found)  # it turns to RAS


def test_the_labels_can_be_said(tmp_path: Path, source: Path) -> None:
    root = write_zoo_bundle(tmp_path / "zoo")
    alone = run_alone(root, source, tmp_path / "out")
    found = segment(root, source, labels={"kidney": "Liver", "tumor": [1, 2]})
    expected = np.select([alone == 4, (alone == 1) | (alone == 2)], [KIDNEY, TUMOR], 0)
    np.testing.assert_array_equal(found, expected)


def test_a_scripted_network_gives_the_same(tmp_path: Path, source: Path) -> None:
    expected = segment(write_zoo_bundle(tmp_path / "weights"), source)
    found = segment(write_zoo_bundle(tmp_path / "scripted", scripted=True), source)
    assert (found != expected).mean() < 1e-3  # fused operations round otherwise


def test_masks_are_painted_tumors_last(tmp_path: Path, source: Path) -> None:
    channels = {"0": "kidney", "1": "tumor", "2": "cyst", "3": "vein", "4": "artery"}
    root = write_zoo_bundle(tmp_path / "zoo", channels, masks=True)
    masks = run_alone(root, source, tmp_path / "out") > 0
    assert masks.shape[3] == 5
    kidney, tumor, cyst = (masks[..., channel] for channel in range(3))
    expected = np.select([tumor, cyst, kidney], [TUMOR, CYST, KIDNEY], 0)
    np.testing.assert_array_equal(segment(root, source), expected)


def test_what_is_not_brought_back_is_brought_back(tmp_path: Path, source: Path) -> None:
    root = write_zoo_bundle(tmp_path / "zoo", inverts=False)
    alone = run_alone(root, source, tmp_path / "out")
    found = segment(root, source)
    assert found.shape == alone.shape
    assert (found != np.where(alone == 4, 0, alone)).mean() < 0.02  # nearest voxels, ties aside


def test_values_of_its_config_can_be_set(tmp_path: Path, source: Path) -> None:
    root = write_zoo_bundle(tmp_path / "zoo")
    reference = Reference("bundle", root)
    values = {"tumor": {"spacing": [6.0, 6.0, 6.0], "margin_mm": None, "unknown": 1}}
    stage = load_foreign({"tumor": reference}, values, CPU, False)["tumor"]
    ct = read_ct(open_nifti(source), "ct")
    coarse = ct.turn.back(stage(ct.image, ct.image)[0].numpy())
    assert (coarse != segment(root, source)).any()


def test_the_settings_take_a_bundle_of_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_zoo_bundle(tmp_path / "some_ct_model")
    bundles = write_bundles(tmp_path / "bundles")
    monkeypatch.chdir(tmp_path)
    choices: dict[str, Any] = {"method": "tiny", "tumor": "bundle:some_ct_model", "device": "cpu"}
    choice = Settings.resolve(bundles=bundles, **choices).choice
    assert choice.named_stages["tumor"] == "bundle_some_ct_model"
    assert choice.networks[-1].startswith("bundle_some_ct_model 0.5.1 ")
    assert [path.name for path in files(root)] == ["inference.json", "metadata.json", "model.pt"]
    set_ = Settings.resolve(
        bundles=bundles, overrides={"tumor.spacing": [2.0, 2.0, 2.0]}, **choices
    )
    assert set_.choice.fingerprint != choice.fingerprint
    with pytest.raises(ConfigError, match=r"Unknown name 'tumor\.spacings'.*tumor\.spacing"):
        Settings.resolve(bundles=bundles, overrides={"tumor.spacings": 1}, **choices)


def test_two_inputs_are_refused(tmp_path: Path) -> None:
    root = write_zoo_bundle(tmp_path / "zoo", inputs=3)
    with pytest.raises(ConfigError, match=r"one input channel, CT, .*metadata\.json, found 3"):
        load(root)


def test_other_organs_are_refused(tmp_path: Path) -> None:
    root = write_zoo_bundle(tmp_path / "zoo", {"0": "background", "1": "spleen"})
    with pytest.raises(ConfigError, match=r"label for kidney, tumor or cyst in .*spleen=1"):
        load(root)


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a MONAI bundle, with one of inference\.json"):
        load(tmp_path)
    root = write_zoo_bundle(tmp_path / "zoo")
    (root / "models" / "model.pt").unlink()
    with pytest.raises(ConfigError, match=r"models/model\.pt or models/model\.ts"):
        load(root)


@pytest.mark.parametrize("format_", [None, {}, {"inputs": {}, "outputs": {}}])
def test_metadata_that_do_not_say_what_it_finds_are_refused(
    tmp_path: Path, format_: object
) -> None:
    root = write_zoo_bundle(tmp_path / "zoo")
    text = json.dumps({"version": "1", "network_data_format": format_})
    (root / "configs" / "metadata.json").write_text(text)
    with pytest.raises(ConfigError, match="one output with a channel_def"):
        load(root)


def test_weights_of_another_network_are_refused_in_a_sentence(tmp_path: Path) -> None:
    root = write_zoo_bundle(tmp_path / "zoo")
    torch.save({"weight": torch.zeros(1)}, root / "models" / "model.pt")
    with pytest.raises(ConfigError, match=f"The bundle {root} cannot run here: ") as raised:
        load(root)
    assert "\n" not in str(raised.value)


def test_a_config_without_a_part_is_refused(tmp_path: Path) -> None:
    root = write_zoo_bundle(tmp_path / "zoo")
    path = root / "configs" / "inference.json"
    content = json.loads(path.read_text())
    del content["inferer"]
    path.write_text(json.dumps(content))
    with pytest.raises(ConfigError, match=r"cannot run here: .*inferer"):
        load(root)
