"""A model that nnU-Net v2 trains here, as a stage: the same voxels as nnU-Net's own prediction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import numpy.typing as npt
import pytest
import torch

from renalseg.commands.main import main
from renalseg.errors import ConfigError
from renalseg.inference.foreign.nnunet import NnUNet
from renalseg.inference.foreign.nnunet_folder import KNOBS
from renalseg.labels import CYST, KIDNEY, TUMOR
from renalseg.output.folder import read_result
from renalseg.volumes.ct import read_ct
from renalseg.volumes.nifti import open_nifti
from tests.factories.nnunet import draw, train
from tests.factories.volumes import save

pytest.importorskip("nnunetv2", reason="pip install 'renalseg[nnunet]'")
pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
EXTENT = (168.0, 132.0, 156.0)  # mm: several tiles along each axis


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield train(tmp_path_factory.mktemp("nnunet"), monkeypatch)


def predict(
    model: Path, source: Path, out: Path, folds: Sequence[int] = (0, 1), mirroring: bool = False
) -> npt.NDArray[np.uint8]:
    """The label map (X, Y, Z) that nnUNetv2_predict writes of a file."""
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    predictor = nnUNetPredictor(device=CPU, use_mirroring=mirroring, allow_tqdm=False)
    predictor.initialize_from_trained_model_folder(str(model), tuple(folds))
    out.mkdir()
    predictor.predict_from_files_sequential([[str(source)]], [str(out / "ct")])
    return np.asarray(nib.load(out / "ct.nii.gz").dataobj).astype(np.uint8)


def segment(model: Path, source: Path, **values: object) -> npt.NDArray[np.uint8]:
    """What the model finds in the same file as a stage, with the axes of the file."""
    ct = read_ct(open_nifti(source), "ct")
    found = NnUNet(model, CPU, False, {**KNOBS, **values})(ct.image)
    assert torch.equal(found.affine, ct.image.affine)
    return ct.turn.back(found[0].numpy())


@pytest.mark.parametrize("axes", ["LPS", "RAS", "IPL"])
def test_the_voxels_are_those_of_nnunets_own_prediction(
    model: Path, tmp_path: Path, axes: str
) -> None:
    hu, _, grid = draw(axes, seed=9, extent=EXTENT)
    source = save(tmp_path / "ct.nii.gz", hu, grid.affine)
    expected = predict(model, source, tmp_path / "out")
    found = segment(model, source, axes=None if axes == "RAS" else axes)
    assert len(np.unique(expected)) > 1
    np.testing.assert_array_equal(found, expected)


def test_oblique_slices_mirroring_and_a_choice_of_folds(model: Path, tmp_path: Path) -> None:
    hu, _, grid = draw("LPS", seed=9, extent=EXTENT)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(0.2), -np.sin(0.2)], [np.sin(0.2), np.cos(0.2)]]
    source = save(tmp_path / "ct.nii.gz", hu, turn @ grid.affine)
    expected = predict(model, source, tmp_path / "out", folds=[1], mirroring=True)
    assert expected.any()
    np.testing.assert_array_equal(
        segment(model, source, folds=[1], mirroring=True, axes="LPS"), expected
    )


def test_a_run_with_it_writes_what_every_run_writes(model: Path, tmp_path: Path) -> None:
    hu, _, grid = draw("LPS", seed=9, extent=EXTENT)
    source = save(tmp_path / "ct.nii.gz", hu, grid.affine)
    arguments = ["run", str(source), str(tmp_path / "out"), "--method", f"nnunet:{model}"]
    assert main([*arguments, "--labels", "kidney=kidney,tumor=2+3", "--device", "cpu"]) == 0
    result = read_result(tmp_path / "out")
    assert result["tumor"] == result["localizer"] == "nnunet_Dataset007_Drawn"
    assert result["networks"][0].startswith("nnunet_Dataset007_Drawn 2.")
    assert result["overrides"]["tumor.labels"] == {"kidney": ["kidney"], "tumor": [2, 3]}
    (study,) = result["studies"]
    assert any("nnunet_Dataset007_Drawn is not of RenalSeg" in text for text in study["warnings"])
    assert (tmp_path / "out" / "ct.nii.gz").is_file()


def test_its_regions_are_kidney_tumor_and_cyst(model: Path) -> None:
    kinds = NnUNet(model, CPU, False, KNOBS).structures.kinds
    assert kinds == {1: KIDNEY, 2: TUMOR, 3: CYST}


def test_a_checkpoint_that_runs_code_is_not_loaded(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Harm:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "harm",)

    evil = tmp_path / "evil"
    (evil / "fold_0").mkdir(parents=True)
    for name in ("dataset.json", "plans.json"):
        (evil / name).write_bytes((model / name).read_bytes())
    good = torch.load(model / "fold_0" / "checkpoint_final.pth", weights_only=False)
    torch.save({**good, "logging": Harm()}, evil / "fold_0" / "checkpoint_final.pth")
    with pytest.raises(ConfigError, match="TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1"):
        NnUNet(evil, CPU, False, KNOBS)
    assert not (tmp_path / "harm").exists()
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    NnUNet(evil, CPU, False, KNOBS)
    assert (tmp_path / "harm").exists()


def test_another_network_is_refused(model: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / "fold_0").mkdir(parents=True)
    for name in ("dataset.json", "plans.json"):
        (other / name).write_bytes((model / name).read_bytes())
    torch.save({"trainer_name": "x"}, other / "fold_0" / "checkpoint_final.pth")
    with pytest.raises(ConfigError, match=f"nnunetv2 .* cannot load the model {other}"):
        NnUNet(other, CPU, False, KNOBS)
