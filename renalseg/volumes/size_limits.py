"""Bounds on memory, checked against what headers declare before any voxel is read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from renalseg.errors import InputError, RetryableError
from renalseg.runtime.memory import available_bytes, total_bytes

MAX_SIDE = 4096  # voxels; no CT slice has more rows or columns
BYTES_PER_VOXEL = 7
"""Bytes per voxel: the float32 image and the uint8 maps of kidneys, labels and segments."""


def bytes_needed(shape: Sequence[int]) -> int:
    """Give the bytes that a volume of this shape takes, with its label maps."""
    return BYTES_PER_VOXEL * int(np.prod([int(n) for n in shape], dtype=object))


def check_volume(shape: Sequence[int]) -> None:
    """Refuse a volume that this machine, or this process, could never hold.

    Args:
        shape: (X, Y, Z).

    Raises:
        InputError: If it needs more than there is.
    """
    needed, total = bytes_needed(shape), total_bytes()
    if total is not None and needed > total:
        raise InputError(f"{_need(shape, needed)}, there are {total:,} in all")


def check_free(shape: Sequence[int]) -> None:
    """Stop before a volume is read that does not fit into what is free now.

    Args:
        shape: (X, Y, Z).

    Raises:
        RetryableError: If it needs more than is free.
    """
    needed, free = bytes_needed(shape), available_bytes()
    if free is not None and needed > free:
        raise RetryableError(f"out of memory: {_need(shape, needed)}, {free:,} are free now")


def _need(shape: Sequence[int], needed: int) -> str:
    columns, rows, slices = shape
    return f"{slices} slices of {columns} x {rows} pixels need {needed:,} bytes of memory"
