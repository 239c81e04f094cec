"""Folders of cases for bundles that run alone."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.data import MetaTensor
from monai.engines import SupervisedEvaluator
from monai.handlers import StatsHandler
from monai.inferers import Inferer
from torch import nn
from torch.utils.data import DataLoader, Dataset

from renalseg.errors import InputError
from renalseg.grids import Grid
from renalseg.inference.bundle import Case, empty_prediction, make_case, segment_case

SUFFIX = ".nii.gz"


class CaseFolder(Dataset[Case]):
    """The cases of a folder: every ``*.nii.gz`` and every folder with a DICOM series.

    Args:
        folder: Where the cases are.
        transform: The bundle's preprocessing.
        kidney_dir: For a tumor bundle, the kidney masks, ``<case>.nii.gz`` on the grid of the case.

    Raises:
        InputError: The folder is missing or holds no case, or a case has no kidney mask.
    """

    def __init__(
        self,
        folder: str | Path,
        transform: Callable[[Case], Any],
        kidney_dir: str | Path | None = None,
    ) -> None:
        self.transform = transform
        self.paths = find_cases(Path(folder))
        self.kidneys: list[Path] | None = None
        if kidney_dir is not None:
            self.kidneys = [Path(kidney_dir) / (name_of(path) + SUFFIX) for path in self.paths]
            absent = [str(path) for path in self.kidneys if not path.is_file()]
            if absent:
                raise InputError(f"Expected a kidney mask for every case, not found: {absent}")

    def __len__(self) -> int:
        """Number of cases."""
        return len(self.paths)

    def __getitem__(self, index: int) -> Case:
        """The `items` of a case as its preprocessing gives them, its `name` and its `grid`."""
        if index >= len(self):
            raise IndexError(index)
        path = self.paths[index]
        image = load_case(path)
        kidney = None if self.kidneys is None else load_nifti(self.kidneys[index], torch.uint8)
        items = self.transform(make_case(image, kidney))
        return {"name": name_of(path), "grid": Grid.of(image), "items": items}


def find_cases(folder: Path) -> list[Path]:
    """The case files and folders of a folder, in the order of their names."""
    if not folder.is_dir():
        raise InputError(f"Expected a folder of cases, found none at {folder}")
    paths = sorted(
        path
        for path in folder.iterdir()
        if not path.name.startswith(".")  # such as what another program has not written yet
        and (path.name.endswith(SUFFIX) or (path.is_dir() and any(path.iterdir())))
    )
    if not paths:
        raise InputError(
            f"Expected *{SUFFIX} files or folders with a DICOM series in {folder}, found none"
        )
    return paths


def name_of(path: Path) -> str:
    """The name of a case."""
    return path.name.removesuffix(SUFFIX)


def load_case(path: Path) -> MetaTensor:
    """HU (1, X, Y, Z) float32 of a NIfTI file or a DICOM folder, affine in RAS mm."""
    if path.is_dir():
        from renalseg.dicom.read.series import read_series

        return read_series(path).image
    return load_nifti(path, torch.float32)


def load_nifti(path: Path, dtype: torch.dtype) -> MetaTensor:
    """A NIfTI volume (1, X, Y, Z).

    Raises:
        InputError: It cannot be read, is not three-dimensional, or its axes are not orthogonal.
    """
    try:
        image: Any = nib.load(path)
        values = np.asanyarray(image.dataobj)
    except (OSError, EOFError, zlib.error, nib.filebasedimages.ImageFileError) as error:
        raise InputError(f"Expected a NIfTI volume, cannot read {path}: {error}") from error
    while values.ndim > 3 and values.shape[-1] == 1:
        values = values[..., 0]
    if values.ndim != 3:
        raise InputError(f"Expected a volume with 3 axes, found shape {values.shape} in {path}")
    with np.errstate(invalid="ignore"):
        steps = image.affine[:3, :3] / np.linalg.norm(image.affine[:3, :3], axis=0)
    if not np.abs(steps.T @ steps - np.eye(3)).max() <= 1e-3:  # NaN, of a zero axis, fails too
        raise InputError(f"Expected orthogonal axes, found a sheared affine in {path}")
    numpy_dtype = torch.empty(0, dtype=dtype).numpy().dtype
    tensor = torch.from_numpy(np.ascontiguousarray(values, dtype=numpy_dtype))
    return MetaTensor(tensor[None], affine=torch.from_numpy(np.array(image.affine, np.float64)))


def save_nifti(pred: MetaTensor, path: Path) -> None:
    """Writes a label map (1, X, Y, Z) atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name.removesuffix(SUFFIX)}.part{SUFFIX}")
    image = nib.Nifti1Image(pred[0].cpu().numpy(), np.asarray(pred.affine, np.float64))
    image.header.set_xyzt_units("mm")
    nib.save(image, partial)
    partial.replace(path)


def make_evaluator(
    *,
    device: torch.device,
    dataset: CaseFolder,
    network: nn.Module,
    inferer: Inferer,
    postprocessing: Callable[[Any], Case],
    output_dir: str | Path,
    handlers: Sequence[object] = (),
) -> SupervisedEvaluator:
    """An evaluator that segments the cases of a folder and writes ``<case>.nii.gz`` for each.

    Args:
        device: Where the network is.
        dataset: The preprocessed cases.
        network: Gives the logits.
        inferer: Runs the network.
        postprocessing: From logits to labels on the source grid.
        output_dir: Where the label maps go.
        handlers: Further MONAI handlers; the output of an iteration has `name` and `pred`.
    """

    def iterate(engine: Engine, case: Case) -> dict[str, object]:
        pred = segment_case(
            case["items"],
            network=network,
            inferer=inferer,
            postprocessing=postprocessing,
            device=device,
        )
        if pred is None:
            grid = case["grid"]
            zeros = torch.zeros((1, *grid.shape))
            pred = empty_prediction(MetaTensor(zeros, affine=torch.from_numpy(grid.affine)))
        return {"name": case["name"], "pred": pred}

    evaluator = SupervisedEvaluator(
        device=device,
        # one case as it is: torch's own collation would turn the affines of grids into tensors
        val_data_loader=DataLoader(dataset, batch_size=None, collate_fn=_as_it_is),
        network=network,
        epoch_length=len(dataset),
        iteration_update=iterate,
        val_handlers=[StatsHandler(iteration_log=False, epoch_log=False), *handlers],
        decollate=False,
    )

    @evaluator.on(Events.ITERATION_COMPLETED)
    def save(engine: Engine) -> None:
        output: Any = engine.state.output
        path = Path(output_dir) / (output["name"] + SUFFIX)
        save_nifti(output["pred"], path)
        engine.logger.info("%d/%d %s", engine.state.iteration, len(dataset), path)

    return evaluator


def _as_it_is(case: Any) -> Any:
    return case
