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
from renalseg.volumes.hounsfield import SAMPLED_SIDE, SAMPLED_SLICES, expected_hu, fault_of, has_all

_MAX_SCALES = 8  # kinds of rescale in one series that are looked at each on its own

# Units that a CT may have besides HU, by the fourth value of ImageType (PS3.3 C.8.2.1.1.1, and what
# vendors write). Virtual monoenergetic images (VMI) and those without a material are in HU.
_MAPS = (
    *("IODINE", "MATERIAL", "MAT_SPECIFIC", "MAT_FRACTIONAL", "MAT_VALUE_BASED", "ZEFF", "Z_EFF"),
    *("EFF_ATOMIC_NUM", "EFFECTIVE_Z", "ELECTRON_DENSITY", "PERFUSION"),
)
_NOT_A_MAP = ("REMOVED", "VNC", "NO_IODINE", "NONIODINE")


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
        if fault_of(corrected) is None and has_all(corrected):
            return correction
    raise InputError(f"{expected_hu(found, fault)} ({group[0].path})")


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
    rows, columns = (max(1, side // SAMPLED_SIDE) for side in stored.shape)
    return stored[::rows, ::columns]


def _harmless(text: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "_-" else "?" for letter in text[:16])
