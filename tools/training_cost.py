"""What a training by the recipe for KiTS costs on GPUs, estimated without one.

    python -m tools training-cost

Multiplications and the bytes that the backward pass needs are counted exactly, on tensors without
values. Hours are estimates: those of nnU-Net, which were published for an A100, times the ratio of
these counts, and of the bandwidth of the GPUs, which explains what the same table states for other
GPUs (V100, RTX 2080 Ti, Quadro RTX 6000) within a fifth.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from monai.bundle import ConfigParser
from monai.networks.nets import DynUNet
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from renalseg.inference.methods import BUNDLES
from renalseg.training.run import config_files
from tools.markdown import put_between, table

# documentation/expected_epoch_times.md of github.com/MIC-DKFZ/nnUNet: Task003_Liver 3d_fullres,
# with dummy loading, 250 iterations of two patches of 128^3, on an A100 of 40 GB.
REFERENCE_S = 41.1 / 250
BANDWIDTH = {"A100": 1555.0, "RTX 4090": 1008.0, "RTX 3090": 936.0}  # GB/s
_BYTES_PER_WEIGHT = 20  # itself, gradient, two moments, moving average, float32 each
_CONTEXT = 1e9  # of CUDA, with workspaces of cuDNN


class Cost(NamedTuple):
    """What an iteration of a training needs.

    Attributes:
        multiplications: Of convolutions and matrix products, forward and backward.
        saved: Bytes that the forward pass keeps for the backward pass.
        weights: Their number.
    """

    multiplications: float
    saved: float
    weights: int

    @property
    def memory(self) -> float:
        """Bytes of GPU memory, estimated."""
        return self.saved + self.weights * _BYTES_PER_WEIGHT + _CONTEXT


def measure(network: nn.Module, shape: Sequence[int]) -> Cost:
    """Counts an iteration in bfloat16, without computing anything.

    Args:
        network: On the CPU; it loses its values.
        shape: Of the input, (B, C, *spatial).
    """
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if not isinstance(tensor, nn.Parameter):
            kept[storage._cdata] = storage.nbytes()
        return tensor

    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        fake = _faked(network.train(), mode)
        x = torch.empty(*shape)
        counter = FlopCounterMode(display=False)
        with counter:
            with (
                torch.autocast("cpu", torch.bfloat16),
                saved_tensors_hooks(keep, lambda tensor: tensor),
            ):
                outputs = fake(x)
            outputs = [outputs] if isinstance(outputs, Tensor) else outputs
            torch.stack([one.float().mean() for one in outputs]).sum().backward()
    weights = sum(weight.numel() for weight in network.parameters())
    return Cost(counter.get_total_flops() / 2, sum(kept.values()), weights)


def reference() -> Cost:
    """The same of the network and patch of nnU-Net's table."""
    strides = [1, 2, 2, 2, 2, 2]
    network = DynUNet(
        spatial_dims=3,
        in_channels=1,
        out_channels=3,
        kernel_size=[3] * 6,
        strides=strides,
        upsample_kernel_size=strides[1:],
        filters=[32, 64, 128, 256, 320, 320],
        deep_supervision=True,
        deep_supr_num=4,
    )
    return measure(network, (2, 1, 128, 128, 128))


def hours(cost: Cost, of: Cost, iterations: int, gpu: str) -> float:
    """Hours of a training on a GPU, estimated.

    Args:
        cost: Of its iteration.
        of: `reference`.
        iterations: Of the training.
        gpu: Of `BANDWIDTH`.
    """
    ratio = max(cost.multiplications / of.multiplications, cost.saved / of.saved)
    return iterations * REFERENCE_S * ratio * BANDWIDTH["A100"] / BANDWIDTH[gpu] / 3600


def input_shape(config: Mapping[str, Any]) -> list[int]:
    """The (B, C, *spatial) of a batch of a training."""
    if "box_size" in config:  # two kidneys along S
        x, y, z = config["box_size"]
        return [config["batch_size"], 1, x, y, 2 * z]
    if "field" in config:  # a stack and a mask
        return [config["batch_size"], config["slices"] + 1, *config["field"]]
    if "size" in config:
        return [config["batch_size"], config["slices"], config["size"], config["size"]]
    return [config["batch_size"], 1, *config["roi_size"]]


def report(bundles: Sequence[Path], overlay: str) -> str:
    """A table with a row for each bundle."""
    rows, of = [], reference()
    for bundle in bundles:
        files = [str(path) for path in config_files(bundle, [overlay])]
        config = ConfigParser.load_config_files(files)
        parser = ConfigParser(config)
        shape = input_shape(config)
        cost = measure(parser.get_parsed_content("network_def"), shape)
        iterations = config["epochs"] * config["epoch_length"]
        rows.append(
            [
                bundle.name,
                " x ".join(map(str, shape)),
                f"{cost.weights / 1e6:.1f}",
                f"{iterations * shape[0]:,}".replace(",", " "),
                f"{cost.multiplications / shape[0] / 1e9:.0f}",
                f"{cost.memory / 1e9:.1f}",
                f"{cost.saved / math.prod(shape) * shape[1] / 1e3:.2f}",
                *(_rounded(hours(cost, of, iterations, gpu)) for gpu in BANDWIDTH),
            ]
        )
    heads = ["bundle", "batch, channels, voxels", "10^6 weights", "samples", "10^9 multiplications"]
    heads += ["GB", "of it per 10^6 voxels", *(f"hours, {gpu}" for gpu in BANDWIDTH)]
    return "\n".join(table(heads, rows, slice(2, None)))


def _rounded(value: float) -> str:
    """With two digits."""
    return f"{value:.{max(0, 1 - math.floor(math.log10(value)))}f}"


def _faked(network: nn.Module, mode: FakeTensorMode) -> nn.Module:
    for module in network.modules():
        for name, weight in list(module._parameters.items()):
            if weight is not None:
                module._parameters[name] = nn.Parameter(mode.from_tensor(weight.detach()))
        for name, buffer in list(module._buffers.items()):
            if buffer is not None:
                module._buffers[name] = mode.from_tensor(buffer)
    return network


def add_training_cost_command(tools: Any) -> None:
    """Adds `training-cost` to the subcommands of a parser."""
    parser: argparse.ArgumentParser = tools.add_parser(
        "training-cost", help="estimate hours and memory of trainings on GPUs"
    )
    parser.add_argument("--config", default="kits", help="overlay of train.yaml")
    page = "document whose table between the marks training-cost is renewed"
    parser.add_argument("--page", type=Path, help=page)
    parser.add_argument("-v", "--verbose", action="store_true", help="show tracebacks")
    parser.set_defaults(action=_run)


def _run(options: argparse.Namespace) -> None:
    bundles = sorted(p.parents[1] for p in BUNDLES.glob(f"*/configs/{options.config}.yaml"))
    text = report(bundles, options.config)
    if options.page is None:
        print(text)  # noqa: T201
    else:
        put_between(options.page, "training-cost", text)
