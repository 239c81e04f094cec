"""The cost of a method's networks alone, and in plain torch."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from renalseg.dicom.read.series import read_series
from renalseg.inference.engine import OpenVINOEngine
from renalseg.inference.models import Models
from renalseg.settings import Settings
from tools.machine import finish

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Windows:
    """The inputs of one shape that a network received during a job.

    Attributes:
        bundle: Of the network.
        shape: (B, C, X, Y, Z), or (B, C, X, Y) of networks of slices.
        count: How many there were.
        seconds: Of all of them.
        eager_seconds: Of one of them in eager torch, float32.
        flops: Multiplications and additions in convolutions and matrix products, of one of them.
    """

    bundle: str
    shape: Shape
    count: int
    seconds: float
    eager_seconds: float | None = None
    flops: float | None = None


class Recorder(nn.Module):
    """A network that keeps the seconds of each of its calls.

    Args:
        network: Torch's or an engine.

    Attributes:
        seconds: Of each call, by the shape of its input.
        examples: The first input of each shape.

    Shape:
        as the network's.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.seconds: dict[Shape, list[float]] = {}
        self.examples: dict[Shape, Tensor] = {}

    def forward(self, x: Tensor) -> Tensor:
        """The network's output."""
        shape = tuple(x.shape)
        if shape not in self.examples:
            self.examples[shape] = x.clone()
        finish(x.device)
        start = time.perf_counter()
        output: Tensor = self.network(x)
        finish(x.device)
        self.seconds.setdefault(shape, []).append(time.perf_counter() - start)
        return output

    def windows(self, bundle: str, eager: bool) -> Iterator[Windows]:
        """The recorded windows, by shape.

        Args:
            bundle: Of the network.
            eager: Whether the network is also timed in torch, and its operations counted.
        """
        for shape, seconds in self.seconds.items():
            cost = eager_cost(torch_network(self.network), self.examples[shape]) if eager else ()
            yield Windows(bundle, shape, len(seconds), sum(seconds), *cost)


def torch_network(network: nn.Module) -> nn.Module:
    """The torch network behind an engine."""
    inner = network.network if isinstance(network, OpenVINOEngine) else network
    assert isinstance(inner, nn.Module)
    return inner


def measure_networks(settings: Settings, study: Path, eager: bool = True) -> tuple[Windows, ...]:
    """Runs the bundles of a method on a study and records their networks.

    They run twice, and only the second run counts, because the first one compiles.

    Args:
        settings: Bundles and device.
        study: Folder with the DICOM files.
        eager: Whether the networks are also timed in torch, and their operations counted.
    """
    with Models(settings.choice, overrides={"progress": False}) as models:
        image = read_series(study).image
        bundles = models.bundles
        networks = [bundle.network for bundle in bundles]
        for _ in range(2):
            recorders = [Recorder(network) for network in networks]
            for bundle, recorder in zip(bundles, recorders, strict=True):
                bundle.network = recorder
            models.find_tumors(image, models.find_kidneys(image))
    return tuple(
        windows
        for name, recorder in zip(settings.choice.stages, recorders, strict=True)
        for windows in recorder.windows(name, eager)
    )


@torch.inference_mode()
def eager_cost(network: nn.Module, x: Tensor, repeat: int = 2) -> tuple[float, float]:
    """Seconds of a network in eager torch, float32, the best of several calls; and its operations.

    Args:
        network: In evaluation mode.
        x: Its input. The values matter if the work depends on them.
        repeat: Measured calls, after one that counts the operations.

    Returns:
        Seconds; multiplications and additions in convolutions and matrix products.
    """
    with FlopCounterMode(display=False) as counter:
        network(x)
    best = float("inf")
    for _ in range(repeat):
        finish(x.device)
        start = time.perf_counter()
        network(x)
        finish(x.device)
        best = min(best, time.perf_counter() - start)
    return best, float(counter.get_total_flops())
