"""Densities of kidneys and lesions by contrast phase, and what follows from them.

A rise by less than 10 HU is no enhancement, one by 20 HU or more is; what lies between is not
decisive (Silverman et al. 2019, Bosniak classification). The scanner's noise and partial volume
change a mean by some HU.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from renalseg.components import Mask, bounding_box, grow_box
from renalseg.labels import (
    CYST,
    KIDNEY,
    TUMOR,
    ContrastPhase,
    Enhancement,
    MeasuredSegment,
    PhaseValue,
)

NO_RISE_HU, RISE_HU = 10.0, 20.0
FAT_HU, CALCIFIED_HU, FLUID_HU = -20.0, 130.0, (-10.0, 20.0)
_SMOOTH = (3, 3, 1)  # voxels, over which noise is averaged before it is compared
_ENOUGH = 30  # voxels, below which the outermost ones count as well
_DENSE_HU = 5.0  # a share of less says nothing

Shares = tuple[float, float, float]  # fat, calcified, fluid, in percent


class Values(NamedTuple):
    """What one series shows of a segment.

    Attributes:
        mean_hu: Mean.
        sd_hu: Standard deviation.
        shares: Of fat, calcification and fluid.
    """

    mean_hu: float
    sd_hu: float
    shares: Shares


def measure_values(hu: npt.NDArray[np.float32], mask: Mask) -> Values | None:
    """Measures a segment without its outermost voxels; None if it is empty.

    Args:
        hu: (X, Y, Z), slices along Z.
        mask: Likewise.
    """
    box = bounding_box(mask)
    if box is None:
        return None
    box = grow_box(box, (1, 1, 0), mask.shape)
    inner = ndimage.binary_erosion(mask[box], np.ones((3, 3, 1)))
    inner = inner if inner.sum() >= _ENOUGH else mask[box]
    values = hu[box][inner].astype(np.float64)
    smooth = ndimage.uniform_filter(hu[box], _SMOOTH)[inner]
    fluid = (smooth > FLUID_HU[0]) & (smooth < FLUID_HU[1])
    fat, calcified, thin = (
        100 * float(part.mean()) for part in (smooth < FAT_HU, smooth > CALCIFIED_HU, fluid)
    )
    return Values(float(values.mean()), float(values.std()), (fat, calcified, thin))


def enhancement_of(values: Mapping[ContrastPhase, Values], kind: int) -> Enhancement:
    """Compares the phases of one segment.

    Args:
        values: What each phase that is recognized shows of it.
        kind: Of the segment; what a lesion consists of is no question of a kidney.
    """
    order = [phase for phase in ContrastPhase if phase in values]
    listed = tuple(
        PhaseValue(phase, round(values[phase].mean_hu, 1), round(values[phase].sd_hu, 1))
        for phase in order
    )
    plain = values.get(ContrastPhase.NONCONTRAST)
    enhanced = [values[phase].mean_hu for phase in order if phase != ContrastPhase.NONCONTRAST]
    if plain is None or not enhanced:
        return Enhancement(listed)
    fat = calcified = fluid = None
    if kind != KIDNEY:
        fat, calcified = (round(share, 1) for share in plain.shares[:2])
        # without contrast medium, solid tissue is often as thin as fluid, which stays so with it
        fluid = round(min(values[phase].shares[2] for phase in order), 1)
    rise = max(enhanced) - plain.mean_hu
    gone = max(enhanced) - enhanced[-1]
    return Enhancement(
        listed,
        round(rise, 1),
        round(100 * rise / plain.mean_hu, 1) if plain.mean_hu > _DENSE_HU else None,
        round(100 * gone / rise, 1) if len(enhanced) > 1 and rise >= RISE_HU else None,
        fat,
        calcified,
        fluid,
    )


def described(enhancement: Enhancement) -> str:
    """Say how a segment enhances and what it consists of; "" without a non-contrast series."""
    if enhancement.absolute_hu is None:
        return ""
    share = enhancement.relative_percent
    said = f"a rise by {enhancement.absolute_hu:.0f} HU"
    said += "" if share is None else f" ({share:.0f} %)"
    parts = {
        "washout": enhancement.washout_percent,
        "fat": enhancement.fat_percent,
        "calcified": enhancement.calcified_percent,
        "fluid": enhancement.fluid_percent,
    }
    known = [f"{name} {value:.0f} %" for name, value in parts.items() if value is not None]
    return ", ".join([f"Enhancement: {said}", *known]) + "."


def remarks(segments: Sequence[MeasuredSegment]) -> list[str]:
    """Says where enhancement speaks against what a lesion is called, a sentence each."""
    said = []
    for segment in segments:
        rise = None if segment.enhancement is None else segment.enhancement.absolute_hu
        if rise is None or segment.kind == KIDNEY:
            continue
        if segment.kind == TUMOR and rise < NO_RISE_HU:
            said.append(f"{segment.label} does not enhance ({rise:.0f} HU), as cysts do not.")
        elif segment.kind == TUMOR and rise < RISE_HU:
            said.append(f"{segment.label} enhances by {rise:.0f} HU, which decides nothing.")
        elif segment.kind == CYST and rise >= RISE_HU:
            said.append(f"{segment.label} enhances by {rise:.0f} HU, which fluid does not.")
    return said
