"""Training in several processes, one per GPU, started by torchrun."""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

_PATIENCE = timedelta(hours=12)  # in which one process may validate on whole CTs


def rank() -> int:
    """Returns the number of this process among all; 0 for a single one."""
    return int(os.environ.get("RANK", "0"))


def seed(weights: str | Path | None = None) -> int:
    """Returns a seed that no other process has, and no training from other weights.

    Args:
        weights: The file that the training starts from, if any: whoever goes on from earlier
            weights wants other cases than those that made them.
    """
    base = 0
    if weights is not None and Path(weights).is_file():  # what loads it names one that is missing
        base = zlib.crc32(Path(weights).read_bytes())
    return base + 1_000_003 * rank()


def local_device() -> torch.device:
    """Returns the GPU of this process; the CPU without one."""
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("cpu")


def start() -> None:
    """Joins the process group that torchrun describes in the environment."""
    if torch.cuda.is_available():
        torch.cuda.set_device(local_device())
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    distributed.init_process_group(backend, timeout=_PATIENCE)


def stop() -> None:
    """Leaves the process group."""
    distributed.destroy_process_group()


def parallel(network: nn.Module) -> nn.Module:
    """Averages the gradients of a network over all processes, where there are several.

    They start from the weights of the first process.
    """
    return DistributedDataParallel(network) if distributed.is_initialized() else network


def bare(network: nn.Module) -> nn.Module:
    """Returns the unwrapped network, as it is saved."""
    return network.module if isinstance(network, DistributedDataParallel) else network


def mean_over_all(values: Sequence[float]) -> float | None:
    """The mean of the values of all processes, the same in each; None where no process has one.

    All processes must call it together.
    """
    summed, count = sum(values), float(len(values))
    if distributed.is_initialized():
        both = torch.tensor([summed, count], dtype=torch.float64, device=local_device())
        distributed.all_reduce(both)
        summed, count = both.tolist()
    return summed / count if count else None
