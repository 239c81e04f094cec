"""Folders of cases for bundles that run alone."""

from __future__ import annotations

from collections import Counter
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

from renalseg.errors import InputError, plural, some_of
from renalseg.grids import Grid
from renalseg.inference.bundle import Case, empty_prediction, make_case, segment_case
from renalseg.output.archive_table import write_table
from renalseg.runtime.staging import complete_file
from renalseg.volumes.files import FORMATS, KITS_IMAGE, SUFFIXES, is_volume, stem_of
from renalseg.volumes.tensors import load_nifti, load_volume

SUFFIX = FORMATS["nifti"]
TABLE_FILE = "cases.csv"
_COLUMNS = ("case", "file", "problem")


class CaseFolder(Dataset[Case]):
    """The cases of a folder: volumes, KiTS cases and DICOM series, see `find_cases`.

    Args:
        folder: Where the cases are.
        transform: The bundle's preprocessing.
        kidney_dir: For a tumor bundle, the kidney masks, ``<case>.nii.gz`` on the grid of the case.

    Raises:
        InputError: The folder is missing or holds no case, or no case has a kidney mask.
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
            if not any(path.is_file() for path in self.kidneys):
                absent = some_of(map(str, self.kidneys))
                raise InputError(f"Expected a kidney mask for every case, not found: {absent}")

    def __len__(self) -> int:
        """Number of cases."""
        return len(self.paths)

    def __getitem__(self, index: int) -> Case:
        """The `items` of a case as its preprocessing gives them, its `name` and its `grid`.

        Raises:
            InputError: The case or its kidney mask cannot be read, or they do not fit.
        """
        if index >= len(self):
            raise IndexError(index)
        path = self.paths[index]
        image = load_case(path)
        kidney = None if self.kidneys is None else load_nifti(self.kidneys[index], torch.uint8)
        try:
            case = make_case(image, kidney)
        except ValueError as error:
            raise InputError(f"{error} ({path})") from error
        return {"name": name_of(path), "grid": Grid.of(image), "items": self.transform(case)}


def find_cases(folder: Path) -> list[Path]:
    """The cases of a folder, in the order of their names.

    A case is a volume (NIfTI, NRRD, MetaImage), a folder with a DICOM series, or a folder in the
    layout of KiTS, whose volume is ``<case>/imaging.nii.gz``.

    Raises:
        InputError: There is none, or two have the same name.
    """
    if not folder.is_dir():
        raise InputError(f"Expected a folder of cases, found none at {folder}")
    paths = sorted(
        _image_of(path)
        for path in folder.iterdir()
        if not path.name.startswith(".")  # such as what another program has not written yet
        and (is_volume(path) or (path.is_dir() and any(path.iterdir())))
    )
    if not paths:
        raise InputError(
            f"Expected volumes ({', '.join(SUFFIXES)}) or folders with a DICOM series or "
            f"{KITS_IMAGE}{SUFFIX} in {folder}, found none"
        )
    twice = [name for name, count in Counter(map(name_of, paths)).items() if count > 1]
    if twice:
        raise InputError(f"Expected each case once in {folder}, found several: {some_of(twice)}")
    return paths


def _image_of(path: Path) -> Path:
    """The volume of a case in the layout of KiTS; any other case itself."""
    nested = (path / f"{KITS_IMAGE}{suffix}" for suffix in SUFFIXES)
    return next((each for each in nested if each.is_file()), path)


def name_of(path: Path) -> str:
    """The name of a case."""
    stem = stem_of(path)
    return path.parent.name if stem == KITS_IMAGE else stem


def load_case(path: Path) -> MetaTensor:
    """HU (1, X, Y, Z) float32 of a volume or a DICOM folder, affine in RAS mm."""
    if path.is_dir():
        from renalseg.dicom.read.series import read_series

        return read_series(path).image
    return load_volume(path, torch.float32)


def save_nifti(pred: MetaTensor, path: Path) -> None:
    """Writes a label map (1, X, Y, Z) atomically."""
    image = nib.Nifti1Image(pred[0].cpu().numpy(), np.asarray(pred.affine, np.float64))
    image.header.set_xyzt_units("mm")
    with complete_file(path) as file:
        nib.save(image, file)


class CaseEvaluator(SupervisedEvaluator):
    """Segments all cases that can be read, and says at the end which could not.

    Attributes:
        problems: By the name of the case.
    """

    problems: dict[str, str]

    def run(self, global_epoch: int = 1) -> None:  # type: ignore[override]  # as MONAI's
        """Runs over all cases.

        Raises:
            InputError: A case could not be read; the others are done.
        """
        self.problems = {}
        super().run(global_epoch)
        if self.problems:
            said = some_of(f"{name}: {problem}" for name, problem in self.problems.items())
            total = plural(self.state.epoch_length or 0, "case")
            raise InputError(f"{len(self.problems)} of {total} could not be segmented: {said}")


def make_evaluator(
    *,
    device: torch.device,
    dataset: CaseFolder,
    network: nn.Module,
    inferer: Inferer,
    postprocessing: Callable[[Any], Case],
    output_dir: str | Path,
    handlers: Sequence[object] = (),
) -> CaseEvaluator:
    """An evaluator that segments the cases of a folder and writes ``<case>.nii.gz`` for each.

    A case that cannot be read does not end it: `TABLE_FILE` in the same folder says why.

    Args:
        device: Where the network is.
        dataset: The preprocessed cases.
        network: Gives the logits.
        inferer: Runs the network.
        postprocessing: From logits to labels on the source grid.
        output_dir: Where the label maps go.
        handlers: Further MONAI handlers; the output of an iteration has `name` and `pred`, which is
            None if the case could not be read.
    """

    def iterate(engine: Engine, case: Case) -> dict[str, object]:
        if "problem" in case:
            return {**case, "pred": None}
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

    evaluator = CaseEvaluator(
        device=device,
        # one case as it is: torch's own collation would turn the affines of grids into tensors
        val_data_loader=DataLoader(_Tolerant(dataset), batch_size=None, collate_fn=_as_it_is),
        network=network,
        epoch_length=len(dataset),
        iteration_update=iterate,
        val_handlers=[StatsHandler(iteration_log=False, epoch_log=False), *handlers],
        decollate=False,
    )
    rows: list[dict[str, object]] = []

    @evaluator.on(Events.STARTED)
    def start(engine: Engine) -> None:
        rows.clear()

    @evaluator.on(Events.ITERATION_COMPLETED)
    def save(engine: Engine) -> None:
        output: Any = engine.state.output
        name, problem = output["name"], output.get("problem", "")
        path = Path(output_dir) / (name + SUFFIX)
        if problem:
            evaluator.problems[name] = problem
        else:
            save_nifti(output["pred"], path)
        rows.append({"case": name, "file": "" if problem else path.name, "problem": problem})
        engine.logger.info("%d/%d %s", engine.state.iteration, len(dataset), problem or path)

    @evaluator.on(Events.COMPLETED)
    def tell(engine: Engine) -> None:
        write_table(Path(output_dir) / TABLE_FILE, rows, _COLUMNS)

    return evaluator


class _Tolerant(Dataset[Case]):
    """The cases of a folder; of one that cannot be read, its name and the `problem`."""

    def __init__(self, cases: CaseFolder) -> None:
        self.cases = cases

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, index: int) -> Case:
        try:
            return self.cases[index]
        except InputError as error:
            return {"name": name_of(self.cases.paths[index]), "problem": str(error)}


def _as_it_is(case: Any) -> Any:
    return case
