"""Judges from a few values whether they are Hounsfield units.

A CT number is fixed by water and air (PS3.3 C.11.1.1.2, HU). Nearly every CT of a body shows air
around the patient, fat and soft tissue, which reveal a scale that is shifted, wrapped or wrong.
"""

from __future__ import annotations

import numpy as np

from renalseg.geometry import Array

AIR_HU = -1024.0
"""What lies below becomes this: some scanners fill the corners with -2000 and do not say so."""
SAMPLED_SLICES = 2
SAMPLED_SIDE = 128  # voxels a side of a slice that are looked at, at most about twice as many

# HU, wide enough for any tube voltage, for virtual images of 40 keV, and for contrast.
_BELOW_AIR, _AIR, _DARK = -1200.0, -925.0, -500.0
_AIR_PEAK = (-1020.0, -940.0)
_FAT = (-220.0, -40.0)
_TISSUE = (-200.0, 300.0)
_SOFT, _SOFT_PEAK = (-30.0, 300.0), (-20.0, 160.0)
_MAX_BELOW_AIR = 0.05  # of all, besides what is the same everywhere, which is padding
_MIN_DARK = 0.02  # of all: there is air, or lung, or bowel
_MIN_AIR = 0.05  # of what is dark; the rest is lung and what lies on the table
_MIN_BRIGHT = 0.02  # of all
_MIN_TISSUE = 0.5  # of what is not dark
_MIN_FAT = 0.01  # of tissue
_MAX_AT_LEAST = 0.02  # of all at the least value, unless that is air: a display window cuts there


def fault_of(hu: Array) -> str | None:
    """Say why values cannot be the HU of a body.

    Args:
        hu: (N,) of some slices, before what is below air becomes air.

    Returns:
        The fault; None if they may be HU. A field of view inside the body, or what lies
        outside of it set to any value, needs no air.
    """
    least = float(hu.min())
    if ((hu < _BELOW_AIR) & (hu != least)).mean() > _MAX_BELOW_AIR:
        return "values below that of air"
    dark = hu < _DARK
    air = float((hu < _AIR).sum() / max(1, dark.sum()))
    bright = hu[~dark]
    if len(bright) < _MIN_BRIGHT * len(hu) and air > _MIN_AIR:
        return None  # an empty scanner: nothing contradicts
    tissue = bright[(bright >= _TISSUE[0]) & (bright < _TISSUE[1])]
    if len(tissue) < _MIN_TISSUE * max(1, len(bright)):
        share = 100 * len(tissue) / max(1, len(bright))
        return f"tissue in {share:.0f} % of what is not air"
    if dark.mean() > _MIN_DARK and air < _MIN_AIR:
        return "no air among the dark values"
    soft = tissue[(tissue >= _SOFT[0]) & (tissue < _SOFT[1])]
    counts, edges = np.histogram(soft, bins=33, range=_SOFT)
    peak = float(edges[counts.argmax()]) + 5
    if not len(soft) or not _SOFT_PEAK[0] <= peak < _SOFT_PEAK[1]:
        return f"soft tissue at {peak:.0f}"
    fat = float(((tissue >= _FAT[0]) & (tissue < _FAT[1])).mean())
    if fat < _MIN_FAT and dark.mean() <= _MIN_DARK:
        return "neither air nor fat"
    if least > _AIR and (hu == least).mean() > _MAX_AT_LEAST:
        return (
            f"nothing below {least:g}, where {100 * (hu == least).mean():.0f} % of the values lie"
        )
    return None


def has_all(hu: Array) -> bool:
    """Return whether air, fat and soft tissue are all present, which makes a correction certain.

    Electron densities, too, are near HU + 1024, but they have no air at 24.
    """
    if not (hu < _DARK).any():
        return False
    low, high = _AIR_PEAK
    if not low < np.median(hu[hu < _DARK]) < high:
        return False
    return all(((hu >= low) & (hu < high)).mean() > _MIN_FAT for low, high in (_FAT, _SOFT))


def expected_hu(values: Array, fault: str) -> str:
    """Says that values are no HU, for a message.

    Args:
        values: (N,) those that were looked at.
        fault: Of `fault_of`.
    """
    return (
        "expected Hounsfield units with air near -1000, fat near -100 and soft tissue from 0 to 80,"
        f" found {fault}: values from {values.min():g} to {values.max():g}, most often "
        f"{_peaks(values)}"
    )


def _peaks(values: Array) -> str:
    """The two values that are most frequent, as far apart as air and tissue are."""
    whole, counts = np.unique(np.rint(values / 10) * 10, return_counts=True)
    first = whole[counts.argmax()]
    others = np.where(np.abs(whole - first) > 50, counts, 0)
    second = [] if not others.any() else [whole[others.argmax()]]
    return " and ".join(f"{value:g}" for value in (first, *second))
