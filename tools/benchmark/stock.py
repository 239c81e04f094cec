"""The same study through MONAI's own transforms, as in most bundles of the model zoo."""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser
from monai.inferers import SlidingWindowInferer
from monai.transforms import (
    Activationsd,
    AsDiscreted,
    Compose,
    EnsureChannelFirstd,
    Invertd,
    LoadImaged,
    Orientationd,
    SaveImaged,
    ScaleIntensityRanged,
    Spacingd,
)
from torch import Tensor, nn

from renalseg.runtime.memory import peak_mib, reset_peak
from tools.benchmark.networks import eager_cost

CLASSES = 3  # background, kidney, tumor


@dataclass(frozen=True)
class Stock:
    """One run of the pipeline of MONAI's transforms.

    Attributes:
        seconds: Of each step, with a network that costs nothing.
        windows: Number of windows for the network.
        window_seconds: Of the network for one window, in eager torch, float32.
        peak_mib: Largest resident memory of the process, which has more loaded; None if the system
            cannot tell.
    """

    seconds: dict[str, float]
    windows: int
    window_seconds: float
    peak_mib: float | None

    @property
    def rest_seconds(self) -> float:
        """All but the network."""
        return sum(self.seconds.values())

    @property
    def total_seconds(self) -> float:
        """With the network: seconds of one window times the number of windows."""
        return self.rest_seconds + self.windows * self.window_seconds


class StandIn(nn.Module):
    """Replaces a network: returns logits at once, with higher classes for brighter voxels.

    Shape:
        input (B, 1, X, Y, Z) in -1 .. 1; output (B, `CLASSES`, X, Y, Z).
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        """Logits that make a label map of connected regions, which compresses like a real one."""
        self.calls += 1
        return torch.cat([torch.zeros_like(x), x - 0.3, 2 * x - 1.0], dim=1)


def measure_stock(study: Path, bundle: Path, device: torch.device) -> Stock:
    """Runs the pipeline on a study.

    Args:
        study: Folder with the DICOM files of one series.
        bundle: A localizer that slides a window; its spacing, window and network are used.
        device: Where the volume and the network go.
    """
    config = _config(bundle)
    counted = reset_peak()
    seconds: dict[str, float] = {}
    stand_in = StandIn()
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        steps = _steps(config, stand_in, device, folder)
        case: Any = {"image": str(study)}
        for name, step in steps.items():
            start = time.perf_counter()
            case = step(case)
            seconds[name] = time.perf_counter() - start
    peak = peak_mib() if counted else None
    del case
    network = config.get_parsed_content("network_def").to(device).eval()
    example = torch.randn(1, 1, *config["roi_size"], device=device)
    return Stock(seconds, stand_in.calls, eager_cost(network, example)[0], peak)


def _config(bundle: Path) -> ConfigParser:
    parser = ConfigParser()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*[Cc]onfig.*", category=UserWarning)
        parser.read_config(str(bundle / "configs" / "inference.yaml"))
    parser["network_def#out_channels"] = CLASSES
    return parser


def _steps(
    config: ConfigParser, network: nn.Module, device: torch.device, folder: str
) -> dict[str, Callable[[Any], Any]]:
    low, high = config["window"]
    resample = Compose(
        [
            Orientationd(keys="image", axcodes="RAS"),
            Spacingd(keys="image", pixdim=config["spacing"], mode="bilinear"),
            ScaleIntensityRanged("image", a_min=low, a_max=high, b_min=-1, b_max=1, clip=True),
        ]
    )
    inferer = SlidingWindowInferer(
        config["roi_size"], overlap=0.5, mode="gaussian", cval=-1.0, progress=False
    )

    def infer(case: dict[str, Any]) -> dict[str, Any]:
        logits = inferer(case["image"][None].to(device), network)
        return case | {"pred": logits[0]}

    return {
        "load": Compose([LoadImaged("image", reader="ITKReader"), EnsureChannelFirstd("image")]),
        "preprocess": resample,
        "slide": infer,
        "restore": Compose(
            [
                Activationsd("pred", softmax=True),
                Invertd("pred", transform=resample, orig_keys="image", nearest_interp=False),
                AsDiscreted("pred", argmax=True),
            ]
        ),
        "save": SaveImaged("pred", output_dir=folder, separate_folder=False, print_log=False),
    }
