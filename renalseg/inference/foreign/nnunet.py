"""Model folders of nnU-Net v2, run by its own predictor.

Isensee et al., "nnU-Net: a self-configuring method for deep learning-based biomedical image
segmentation", Nature Methods 18 (2021). The package nnunetv2 is imported only to run a model.
"""

from __future__ import annotations

import io
import os
import pickle
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor

from renalseg.errors import EXIT_RETRYABLE, ConfigError, exit_code_for
from renalseg.geometry import spacing_of
from renalseg.grids import Grid
from renalseg.inference.foreign import nnunet_folder
from renalseg.inference.foreign.nnunet_folder import PACKAGE
from renalseg.inference.foreign.structures import Structures, find_structures
from renalseg.inference.metadata import read_json
from renalseg.volumes.turn import Turn

_SAFE, _UNSAFE = "TORCH_FORCE_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"
# The losses of its training, which a checkpoint holds besides tensors. NumPy 1 had the other name.
_SCALAR: Any = np.float64(0).__reduce__()[0]
_NUMBERS: tuple[Any, ...] = (
    _SCALAR,
    (_SCALAR, "numpy.core.multiarray.scalar"),
    np.dtype,
    *(type(np.dtype(kind)) for kind in "fd"),
)


class NnUNet:
    """A model of nnU-Net v2.

    Args:
        folder: The model folder.
        device: Where it runs.
        progress: Whether to show a bar over the tiles.
        values: Values of `renalseg.inference.foreign.nnunet_folder.KNOBS`.

    Raises:
        ConfigError: nnunetv2 is not installed, the folder is none of its model folders, or it
            takes other images than CT alone.
    """

    def __init__(
        self, folder: Path, device: torch.device, progress: bool, values: Mapping[str, Any]
    ) -> None:
        nnunet_folder.version(folder)
        nnunet_folder.files(folder)
        dataset, plans = (
            read_json(folder / name, "JSON of nnU-Net") for name in ("dataset.json", "plans.json")
        )
        self.name = str(folder)
        nnunet_folder.require_one_channel(dataset, folder)
        names = nnunet_folder.label_values(dataset, folder)
        self.structures: Structures = find_structures(names, values["labels"], str(folder))
        self.axes = nnunet_folder.training_axes(plans, values["axes"], folder)
        folds = nnunet_folder.choose_folds(folder, values["folds"], values["checkpoint"])
        with _quiet():
            self._predictor = _load(folder, folds, device, progress, values)

    def __call__(self, image: MetaTensor) -> MetaTensor:
        """Segments a volume (1, X, Y, Z) in HU: labels of `renalseg.labels`, uint8 on its grid."""
        grid = Grid.of(image)
        turn = Turn(grid.affine, grid.shape, self.axes)
        # as its SimpleITKIO reads a file with these axes: the last axis first
        array = turn.forth(image[0].cpu().numpy()).T[None]
        spacing = spacing_of(turn.turned_affine)[::-1].tolist()
        with _quiet():
            found = self._predictor.predict_single_npy_array(
                np.ascontiguousarray(array, np.float32), {"spacing": spacing}
            )
        labels = turn.back(self.structures.of_values(np.asarray(found)).T)
        return MetaTensor(torch.from_numpy(labels.copy())[None], affine=image.affine)


def _load(
    folder: Path,
    folds: tuple[int | str, ...],
    device: torch.device,
    progress: bool,
    values: Mapping[str, Any],
) -> Any:
    """nnU-Net's predictor with the networks of the folds."""
    # as many threads as torch has; read when nnunetv2 is imported
    os.environ.setdefault("nnUNet_def_n_proc", str(torch.get_num_threads()))
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    predictor = nnUNetPredictor(
        tile_step_size=values["step_size"],
        use_mirroring=values["mirroring"],
        device=device,
        allow_tqdm=progress,
    )
    try:
        with _tensors_only():
            predictor.initialize_from_trained_model_folder(str(folder), folds, values["checkpoint"])
    except pickle.UnpicklingError as error:
        raise ConfigError(
            f"The checkpoints in {folder} hold more than tensors, so that loading them can run "
            f"code. If you trust where they come from, set {_UNSAFE}=1 ({_first_line(error)})"
        ) from error
    except Exception as error:
        if exit_code_for(error) == EXIT_RETRYABLE:
            raise
        raise ConfigError(
            f"{PACKAGE} {nnunet_folder.version(folder)} cannot load the model {folder}: "
            f"{_first_line(error)}"
        ) from error
    previous = predictor.configuration_manager.previous_stage_name
    if previous is not None:
        raise ConfigError(
            f"Expected a model of nnU-Net that sees CT alone, found one in {folder} that also "
            f"needs what {previous} finds"
        )
    return predictor


@contextmanager
def _tensors_only() -> Iterator[None]:
    """Has torch load tensors and numbers alone, unless its own variable allows everything."""
    before = os.environ.get(_SAFE)
    with ExitStack() as stack:
        if not os.environ.get(_UNSAFE):
            stack.enter_context(torch.serialization.safe_globals([*_NUMBERS]))
            os.environ[_SAFE] = "1"
        try:
            yield
        finally:
            if before is None:
                os.environ.pop(_SAFE, None)
            else:
                os.environ[_SAFE] = before


@contextmanager
def _quiet() -> Iterator[None]:
    """Drops what nnU-Net prints for its own users, and its warnings."""
    with redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
