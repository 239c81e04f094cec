"""Surface Dice at a tolerance of a few voxels, without distance maps.

KiTS23 computes it with DeepMind's surface-distance (Nikolov et al. 2021, doi:10.2196/26151): the
surface is that of marching cubes between the voxel centers, an element for each corner that eight
voxels share, with its area. MONAI has the table of these areas, and the same numbers in
`compute_surface_dice` with `use_subvoxels`. That looks for the nearest element of each one, which
takes minutes and gigabytes for kidneys in slices of 0.5 mm; here each element asks only whether
there is one within the tolerance.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import numpy.typing as npt

from renalseg.components import Mask, bounding_box

Flat = npt.NDArray[np.int64]
_INSIDE = 255  # code of a corner all of whose voxels are in the mask


def surface_dice(pred: Mask, label: Mask, tolerance_mm: float, spacing: npt.ArrayLike) -> float:
    """Returns the share of both surfaces' areas within a tolerance of the other surface.

    Args:
        pred: (X, Y, Z).
        label: (X, Y, Z).
        tolerance_mm: Largest distance that counts as equal.
        spacing: mm along the array axes.

    Returns:
        0 to 1; NaN where both are empty.
    """
    from monai.metrics.utils import create_table_neighbour_code_to_surface_area

    box = bounding_box(pred | label)
    if box is None:
        return float("nan")
    steps = np.asarray(spacing, dtype=np.float64)
    table, kernel = create_table_neighbour_code_to_surface_area(tuple(steps.tolist()))
    reach = (tolerance_mm // steps).astype(int)
    # room for the surface around the box, and for the offsets around the surface
    padding = [(n + 1, n + 1) for n in reach.tolist()]
    codes = [_codes(np.pad(mask[box], padding), kernel.numpy()[0, 0]) for mask in (pred, label)]
    offsets = _offsets(reach, steps, tolerance_mm, codes[0].shape)
    surfaces = [(code != 0) & (code != _INSIDE) for code in codes]
    right = complete = 0.0
    for code, own, other in zip(codes, surfaces, surfaces[::-1], strict=True):
        where = np.flatnonzero(own)
        areas = table.numpy()[code.ravel()[where]].astype(np.float64)
        right += areas[_any_near(where, offsets, other.ravel())].sum()
        complete += areas.sum()
    return float(right / complete)


def _codes(mask: Mask, kernel: npt.NDArray[np.number]) -> npt.NDArray[np.uint8]:
    """For each corner between voxels, which of its eight voxels are in the mask, as bits."""
    codes = np.zeros([n - 1 for n in mask.shape], np.uint8)
    for corner, bit in np.ndenumerate(kernel):
        part = tuple(slice(i, i + n) for i, n in zip(corner, codes.shape, strict=True))
        codes |= np.where(mask[part], np.uint8(bit), np.uint8(0))
    return codes


def _offsets(
    reach: npt.NDArray[np.int_],
    spacing: npt.NDArray[np.float64],
    tolerance_mm: float,
    shape: tuple[int, ...],
) -> Flat:
    """Steps in a flattened volume to all corners within the tolerance, the nearest first."""
    steps = np.array(list(product(*(range(-n, n + 1) for n in reach.tolist()))))
    distances = np.linalg.norm(steps * spacing, axis=1)
    steps = steps[np.argsort(distances)][: int((distances <= tolerance_mm).sum())]
    strides = np.array([shape[1] * shape[2], shape[2], 1])
    return np.asarray(steps @ strides, dtype=np.int64)


def _any_near(where: Flat, offsets: Flat, surface: Mask) -> Mask:
    """Whether a flattened surface holds one of the corners that lie near to each given one."""
    near = np.zeros(len(where), dtype=bool)
    for offset in offsets:
        open_ones = np.flatnonzero(~near)
        near[open_ones] = surface[where[open_ones] + offset]
    return near
