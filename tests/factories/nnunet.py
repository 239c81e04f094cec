"""Model folders of nnU-Net v2: trained for some seconds on drawn cases, or only their files."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Sequence
from multiprocessing.pool import ThreadPool
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from renalseg.grids import Grid
from renalseg.volumes.turn import Turn
from tests.factories.scenes import ellipsoid, make_grid
from tests.factories.volumes import save

REGIONS = {"background": 0, "kidney": [1, 2, 3], "masses": [2, 3], "tumor": 2}
"""As nnU-Net's own conversion of KiTS23 has them."""
_CASES = 5  # fewer cannot be split into nnU-Net's folds
_EXTENT = (128.0, 96.0, 96.0)  # mm along R, A, S
_HU = (0.0, 180.0, 70.0, 10.0)  # of background, kidney, tumor and cyst


def draw(
    codes: str, seed: int = 0, extent: Sequence[float] = _EXTENT
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint8], Grid]:
    """HU and labels of two kidneys, of which the right one has a tumor and a cyst.

    Args:
        codes: The direction in which each axis grows, such as "LPS"; the patient stays the same.
        seed: Of noise and place.
        extent: mm along R, A, S.
    """
    rng = np.random.default_rng(seed)
    grid = make_grid("LPS", spacing=(2.0, 2.0, 3.0), center=(0, 0, 0), extent=extent)
    x, y, z = rng.uniform(-4, 4, 3)
    labels = np.zeros(grid.shape, np.uint8)
    labels[ellipsoid(grid, (-34 + x, -10 + y, z), (18, 16, 34))] = 1
    labels[ellipsoid(grid, (34 + x, -10 + y, 6 + z), (16, 14, 30))] = 1
    labels[ellipsoid(grid, (46 + x, -4 + y, 20 + z), (13, 13, 13))] = 2
    labels[ellipsoid(grid, (32 + x, -6 + y, -16 + z), (10, 10, 10))] = 3
    hu = np.array(_HU)[labels] + rng.normal(0, 12, grid.shape)
    hu[~ellipsoid(grid, (0, 0, 0), (70, 46, 200))] = -1000
    turn = Turn(grid.affine, grid.shape, codes)
    turned = Grid(turn.turned_shape, turn.turned_affine)  # type: ignore[arg-type]
    return turn.forth(hu.round().astype(np.int16)), turn.forth(labels), turned


def train(root: Path, monkeypatch: pytest.MonkeyPatch, iterations: int = 4) -> Path:
    """Trains two folds for one short epoch with nnU-Net itself; gives the model folder."""
    from nnunetv2.experiment_planning import plan_and_preprocess_api as api
    from nnunetv2.run.run_training import get_trainer_from_args

    places = {name: root / name for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")}
    for name, folder in places.items():
        folder.mkdir(parents=True)
        monkeypatch.setenv(name, str(folder))
    monkeypatch.setenv("nnUNet_n_proc_DA", "1")
    monkeypatch.setenv("nnUNet_compile", "false")
    # threads: each of its processes would import all of this again
    pools = SimpleNamespace(Pool=ThreadPool)
    monkeypatch.setattr(multiprocessing, "get_context", lambda method=None: pools)
    dataset = places["nnUNet_raw"] / "Dataset007_Drawn"
    for number in range(_CASES):
        hu, labels, grid = draw("LPS", seed=number)
        save(dataset / "imagesTr" / f"case_{number}_0000.nii.gz", hu, grid.affine)
        save(dataset / "labelsTr" / f"case_{number}.nii.gz", labels, grid.affine)
    write_dataset(dataset, regions_class_order=[1, 3, 2], numTraining=_CASES, file_ending=".nii.gz")
    api.extract_fingerprints([7], num_processes=1, verbose=False)
    api.plan_experiments([7])
    _make_small(places["nnUNet_preprocessed"] / dataset.name / "nnUNetPlans.json")
    api.preprocess([7], configurations=["3d_fullres"], num_processes=[1], verbose=False)
    monkeypatch.setenv("nnUNet_n_proc_DA", "0")
    for fold in (0, 1):
        trainer = get_trainer_from_args("7", "3d_fullres", fold, device=torch.device("cpu"))
        trainer.num_epochs, trainer.num_iterations_per_epoch = 1, iterations
        trainer.num_val_iterations_per_epoch = 1
        trainer.run_training()
    return Path(trainer.output_folder_base)


def _make_small(plans: Path) -> None:
    """Has the planned network fewer features, so that a step takes no seconds."""
    content = json.loads(plans.read_text())
    network = content["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]
    network["features_per_stage"] = [min(size, 16) for size in network["features_per_stage"]]
    plans.write_text(json.dumps(content))


def write_dataset(folder: Path, labels: Any = None, channels: int = 1, **more: Any) -> None:
    """Writes a dataset.json."""
    content = {
        "channel_names": {str(number): "CT" for number in range(channels)},
        "labels": REGIONS if labels is None else labels,
        **more,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset.json").write_text(json.dumps(content))


def write_model(folder: Path, **dataset: Any) -> Path:
    """Writes the files of a model with two folds, whose checkpoints are empty."""
    write_dataset(folder, **{"regions_class_order": [1, 3, 2], **dataset})
    (folder / "plans.json").write_text(json.dumps({"image_reader_writer": "NibabelIOWithReorient"}))
    for fold in (0, 1):
        (folder / f"fold_{fold}").mkdir(exist_ok=True)
        (folder / f"fold_{fold}" / "checkpoint_final.pth").write_bytes(b"")
    return folder
