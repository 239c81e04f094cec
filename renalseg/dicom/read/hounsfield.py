"""Checks that the values of a series are Hounsfield units, by its header and its pixels.

A CT number is fixed by water and air (PS3.3 C.11.1.1.2, HU). Nearly every CT of a body shows air
around the patient, fat and soft tissue, which reveal a scale that is shifted, wrapped or wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from renalseg.dicom.read.pixels import AS_STORED, Correction, PixelReader, rescale
from renalseg.dicom.tags import Instance, describe
from renalseg.errors import InputError
from renalseg.geometry import Array

SAMPLED_SLICES = 2
_SAMPLED_SIDE = 128  # pixels a side of a slice that are looked at, at most about twice as many
_MAX_SCALES = 8  # kinds of rescale in one series that are looked at each on its own

# Units that a CT may have besides HU, by the fourth value of ImageType (PS3.3 C.8.2.1.1.1, and what
# vendors write). Virtual monoenergetic images (VMI) and those without a material are in HU.
_MAPS = (
    *("IODINE", "MATERIAL", "MAT_SPECIFIC", "MAT_FRACTIONAL", "MAT_VALUE_BASED", "ZEFF", "Z_EFF"),
    *("EFF_ATOMIC_NUM", "EFFECTIVE_Z", "ELECTRON_DENSITY", "PERFUSION"),
)
_NOT_A_MAP = ("REMOVED", "VNC", "NO_IODINE", "NONIODINE")

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


class _Scale(NamedTuple):
    """Conversion from stored values to HU."""

    slope: float
    intercept: float
    signed: bool
    bits: int


def refuse_other_units(instance: Instance) -> None:
    """Refuse a slice whose header says that its values are not HU.

    RescaleType may be missing only where it is HU (PS3.3 C.8.2.1).

    Raises:
        InputError: If it names another unit, or a map of a material.
    """
    units = instance.optional("RescaleType").upper() or "HU"
    if units != "HU":
        raise InputError(
            f"expected a CT in Hounsfield units, found {describe('RescaleType')} "
            f"{_harmless(units)} in {instance.path}"
        )
    for word in instance.words("ImageType"):
        if any(name in word for name in _MAPS) and not any(name in word for name in _NOT_A_MAP):
            raise InputError(
                f"expected a CT in Hounsfield units, found a map of another quantity: "
                f"{describe('ImageType')} {_harmless(word)} in {instance.path}"
            )


def check_pixels(instances: Sequence[Instance]) -> Correction:
    """Examine some pixels of a series to determine how they become HU.

    Two slices are read, and few of their pixels: some milliseconds, or about 60 if compressed.

    Args:
        instances: All slices in order.

    Returns:
        The necessary correction; `AS_STORED` if there is none.

    Raises:
        InputError: If the values are not HU and the cause is uncertain, or the pixels cannot be
            read.
    """
    scales: dict[_Scale, list[Instance]] = {}
    for instance in instances:
        scales.setdefault(_scale(instance), []).append(instance)
    groups = list(scales.values()) if len(scales) <= _MAX_SCALES else [list(instances)]
    corrections = {_check_group(group, max(1, SAMPLED_SLICES // len(groups))) for group in groups}
    if len(corrections) > 1:
        raise InputError(
            f"expected one scale of HU in the series, found several ({instances[0].path}): "
            f"its slices differ in {describe('RescaleIntercept')} or in how they are stored"
        )
    return corrections.pop()


def _check_group(group: Sequence[Instance], count: int) -> Correction:
    places = np.linspace(0, len(group) - 1, min(count, len(group)) + 2)[1:-1]
    chosen = [group[index] for index in np.rint(places).astype(int)]
    with PixelReader() as reader:
        stored = [_thin(reader.decode(instance)) for instance in chosen]

    def values(correction: Correction) -> Array:
        parts = [
            rescale(each, one, np.empty(one.shape, np.float32), correction).ravel()
            for each, one in zip(chosen, stored, strict=True)
        ]
        return np.concatenate(parts).astype(np.float64)

    found = values(AS_STORED)
    fault = fault_of(found)
    if fault is None:
        return AS_STORED
    for correction in _possible(chosen, stored):
        corrected = values(correction)
        if fault_of(corrected) is None and _has_all(corrected):
            return correction
    raise InputError(
        "expected Hounsfield units with air near -1000, fat near -100 and soft tissue from 0 to 80,"
        f" found {fault}: values from {found.min():g} to {found.max():g}, most often "
        f"{_peaks(found)} ({group[0].path})"
    )


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


def _has_all(hu: Array) -> bool:
    """Return whether air, fat and soft tissue are all present, which makes a correction certain.

    Electron densities, too, are near HU + 1024, but they have no air at 24.
    """
    if not (hu < _DARK).any():
        return False
    low, high = _AIR_PEAK
    if not low < np.median(hu[hu < _DARK]) < high:
        return False
    return all(((hu >= low) & (hu < high)).mean() > _MIN_FAT for low, high in (_FAT, _SOFT))


def _possible(
    chosen: Sequence[Instance], stored: Sequence[npt.NDArray[np.integer]]
) -> list[Correction]:
    """Yield corrections of mistakes that are known from real files."""
    scale = _scale(chosen[0])
    wraps = [False]
    if not scale.signed and max(int(each.max()) for each in stored) >= 1 << (scale.bits - 1):
        wraps.append(True)
    shifts = [0.0]
    if scale.intercept == 0:
        shifts.append(-1024.0)
    elif scale.intercept == -1024:
        shifts.append(1024.0)
    return [Correction(shift, wrap) for wrap in wraps for shift in shifts][1:]


def _scale(instance: Instance) -> _Scale:
    slope, intercept, signed, bits = (
        float(instance.numbers(name, 1)[0])
        for name in ("RescaleSlope", "RescaleIntercept", "PixelRepresentation", "BitsStored")
    )
    return _Scale(slope, intercept, bool(signed), int(bits))


def _thin(stored: npt.NDArray[np.integer]) -> npt.NDArray[np.integer]:
    rows, columns = (max(1, side // _SAMPLED_SIDE) for side in stored.shape)
    return stored[::rows, ::columns]


def _peaks(values: Array) -> str:
    """The two values that are most frequent, as far apart as air and tissue are."""
    whole, counts = np.unique(np.rint(values / 10) * 10, return_counts=True)
    first = whole[counts.argmax()]
    others = np.where(np.abs(whole - first) > 50, counts, 0)
    second = [] if not others.any() else [whole[others.argmax()]]
    return " and ".join(f"{value:g}" for value in (first, *second))


def _harmless(text: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "_-" else "?" for letter in text[:16])
