"""nnU-Net's predictor with the network that it plans for KiTS, on the same volume.

RenalSeg does not require nnU-Net v2, and it must not be installed in the same environment: its
dependencies would replace torch and slow the import of MONAI. It is installed in a separate folder,
see requirements-bench.txt.
"""

from __future__ import annotations

import contextlib
import io
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tools.machine import finish

INSTALL = (
    "nnU-Net is not measured: pip install --no-deps --target DIR -r requirements-bench.txt, "
    "then python -m tools bench --nnunet DIR"
)
PATCH = (128, 128, 128)  # voxels
SPACING = (0.78125, 0.78125, 0.78125)  # mm
MIRRORED_AXES = (0, 1, 2)  # nnU-Net's default: the mean of eight passes
_NETWORK = "dynamic_network_architectures.architectures.unet.PlainConvUNet"
_DATASET = {"labels": {"background": 0, "kidney": 1, "tumor": 2}}
_PLANS: dict[str, Any] = {
    # the part of the plans that the predictor reads: 3d_fullres as nnU-Net v2 plans KiTS23
    "dataset_name": "KiTS",
    "plans_name": "nnUNetPlans",
    "configurations": {
        "3d_fullres": {
            "patch_size": list(PATCH),
            "spacing": list(SPACING),
            "architecture": {
                "network_class_name": _NETWORK,
                "arch_kwargs": {
                    "n_stages": 6,
                    "features_per_stage": [32, 64, 128, 256, 320, 320],
                    "conv_op": "torch.nn.modules.conv.Conv3d",
                    "kernel_sizes": [[3, 3, 3]] * 6,
                    "strides": [[1, 1, 1], *[[2, 2, 2]] * 5],
                    "n_conv_per_stage": [2] * 6,
                    "n_conv_per_stage_decoder": [2] * 5,
                    "conv_bias": True,
                    "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
                    "norm_op_kwargs": {"eps": 1e-05, "affine": True},
                    "nonlin": "torch.nn.LeakyReLU",
                    "nonlin_kwargs": {"inplace": True},
                },
                "_kw_requires_import": ["conv_op", "norm_op", "nonlin"],
            },
        }
    },
}


@dataclass(frozen=True)
class NnUNet:
    """One network of nnU-Net's 3d_fullres configuration on a whole volume, extrapolated.

    Attributes:
        version: Of nnunetv2.
        grid: Voxels of the volume at the plan's spacing.
        tiles: Tiles of its sliding window in that grid.
        tile_seconds: Measured for one tile, with all mirrored passes.
    """

    version: str
    grid: tuple[int, ...]
    tiles: int
    tile_seconds: float

    @property
    def seconds(self) -> float:
        """Of all tiles, without reading, resampling and writing."""
        return self.tiles * self.tile_seconds

    @property
    def unmirrored_seconds(self) -> float:
        """The same without mirroring, which some turn off: one pass of a tile instead of eight."""
        passes: int = 2 ** len(MIRRORED_AXES)
        return self.seconds / passes


def plan_grid(shape: Sequence[int], spacing: Sequence[float]) -> tuple[int, ...]:
    """Voxels of a volume at the plan's spacing.

    Args:
        shape: (X, Y, Z) in voxels.
        spacing: (X, Y, Z) in mm.
    """
    return tuple(
        round(size * mm / planned)
        for size, mm, planned in zip(shape, spacing, SPACING, strict=True)
    )


def measure_nnunet(
    folder: Path | None, shape: Sequence[int], spacing: Sequence[float], device: torch.device
) -> NnUNet:
    """Times one tile and counts the tiles of a volume.

    Args:
        folder: Where nnU-Net is installed, if not in this environment; its packages come after the
            installed ones, so torch is the same.
        shape: (X, Y, Z) of the volume in voxels.
        spacing: (X, Y, Z) in mm.
        device: Where it runs.

    Raises:
        ImportError: nnU-Net is not there.
    """
    if folder is not None and str(folder) not in sys.path:
        sys.path.append(str(folder))
    with contextlib.redirect_stdout(io.StringIO()):  # its messages are for its own users
        from nnunetv2.inference import sliding_window_prediction

        predictor = _predictor(device)
        grid = plan_grid(shape, spacing)
        padded = [max(pair) for pair in zip(grid, PATCH, strict=True)]
        steps = sliding_window_prediction.compute_steps_for_sliding_window(
            padded, PATCH, predictor.tile_step_size
        )
        tile_seconds = _time_tile(predictor, device)
    return NnUNet(_version(folder), grid, math.prod(map(len, steps)), tile_seconds)


def _version(folder: Path | None) -> str:
    from importlib.metadata import distributions

    places = sys.path if folder is None else [*sys.path, str(folder)]
    found = next(iter(distributions(name="nnunetv2", path=places)), None)
    return found.version if found else "unknown"


def _predictor(device: torch.device) -> Any:
    """nnU-Net's predictor with random weights; its defaults are unchanged."""
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    plans = PlansManager(_PLANS)
    plan = plans.get_configuration("3d_fullres")
    network = get_network_from_plans(
        plan.network_arch_class_name,
        plan.network_arch_init_kwargs,
        plan.network_arch_init_kwargs_req_import,
        1,
        plans.get_label_manager(_DATASET).num_segmentation_heads,
        deep_supervision=False,
    )
    predictor = nnUNetPredictor(device=device, allow_tqdm=False)
    predictor.manual_initialization(
        network, plans, plan, None, _DATASET, "nnUNetTrainer", MIRRORED_AXES
    )
    return predictor


def _time_tile(predictor: Any, device: torch.device) -> float:
    """Seconds of one tile, after an unmirrored warm-up."""
    tile = torch.randn(1, *PATCH)
    mirroring = predictor.use_mirroring
    predictor.use_mirroring = False
    predictor.predict_sliding_window_return_logits(tile)
    predictor.use_mirroring = mirroring
    finish(device)
    start = time.perf_counter()
    predictor.predict_sliding_window_return_logits(tile)
    finish(device)
    return time.perf_counter() - start
