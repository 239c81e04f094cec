"""Warnings about a series that is processed nevertheless."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import (
    JPEG2000,
    JPEG2000MC,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSNearLossless,
)

from renalseg.dicom.read.codecs import RETIRED
from renalseg.dicom.read.slice_grid import OrderedSlices
from renalseg.dicom.tags import Instance
from renalseg.geometry import spacing_of

MIN_VALIDATED_SLICES = 20
MAX_VALIDATED_STEP_MM = 5.0
# Attributes that a complete series has and a stripped one lacks; none is needed to process it.
_EXPECTED = ("PatientID", "PatientPosition", "Manufacturer", "FrameOfReferenceUID")
# Attributes that must be there but may be empty; in what is written they are.
_TYPE_2 = (
    *("PatientName", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID"),
    *("AccessionNumber", "ReferringPhysicianName"),
)
_LOSSY = frozenset(
    {*RETIRED, JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless, JPEG2000, JPEG2000MC}
)


def remarks(grid: OrderedSlices) -> tuple[str, ...]:
    """List the warnings about a series.

    Args:
        grid: The series in order.

    Returns:
        One sentence per finding; none quotes a value that could name a patient.
    """
    first = grid.instances[0]
    return (*_range_remarks(grid), *_header_remarks(first), *_compression_remarks(grid))


def _range_remarks(grid: OrderedSlices) -> Iterator[str]:
    slices = len(grid.instances)
    if slices < MIN_VALIDATED_SLICES:
        yield f"{slices} slices are outside the validated range (at least {MIN_VALIDATED_SLICES})"
    step = spacing_of(grid.affine)[2] * np.diff(grid.planes.levels).max()
    if np.round(step, 3) > MAX_VALIDATED_STEP_MM:
        yield (
            f"slices {step:.2f} mm apart are outside the validated range "
            f"(at most {MAX_VALIDATED_STEP_MM:g} mm)"
        )


def _header_remarks(first: Instance) -> Iterator[str]:
    missing = [keyword for keyword in _EXPECTED if not first.optional(keyword)]
    missing += [keyword for keyword in _TYPE_2 if keyword not in first.header]
    if missing:
        yield f"the source lacks {', '.join(missing)}"
    if "FrameOfReferenceUID" in missing:
        yield "the result gets a FrameOfReferenceUID made from the source's SeriesInstanceUID"
    position = first.optional("PatientPosition") or "HFS"
    if position != "HFS":
        yield f"patient position {position}: left and right are taken from patient coordinates"
    units = first.optional("RescaleType") or "HU"
    if units not in ("HU", "US"):
        yield f"the pixels are labeled {units}, not HU; they were read as HU"


def _compression_remarks(grid: OrderedSlices) -> Iterator[str]:
    for instance in grid.instances:
        syntax = getattr(instance.header, "file_meta", Dataset()).get("TransferSyntaxUID")
        if instance.optional("LossyImageCompression") == "01" or syntax in _LOSSY:
            yield "the pixels were compressed with loss"
            return
