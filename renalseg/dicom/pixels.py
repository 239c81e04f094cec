"""Decode the pixels of slices and turn them into Hounsfield units."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset

from renalseg.dicom.tags import Instance, describe
from renalseg.errors import InputError, RetryableError

AIR_HU = -1024.0


def decode(instance: Instance) -> npt.NDArray[np.integer]:
    """Read the stored values of a slice.

    Args:
        instance: The slice.

    Returns:
        Stored values (Y, X), signed or unsigned as the file says.

    Raises:
        InputError: If the pixels are missing, truncated, not decodable, or not one gray frame.
    """
    ds = pydicom.dcmread(instance.path)
    if "PixelData" not in ds:
        raise InputError(
            f"{instance.path}: {describe('PixelData')} is missing; "
            "the file is truncated or stripped"
        )
    if ds.get("SamplesPerPixel", 1) != 1 or int(ds.get("NumberOfFrames") or 1) != 1:
        raise InputError(f"{instance.path}: expected one gray frame, found color or several frames")
    _check_length(instance, ds)
    try:
        return np.asarray(ds.pixel_array)
    except MemoryError as exc:
        raise RetryableError(f"out of memory while decoding {instance.path}") from exc
    except Exception as exc:
        # Each decoder plugin has its own errors for a damaged stream.
        syntax = getattr(ds.file_meta.get("TransferSyntaxUID"), "name", "unknown transfer syntax")
        raise InputError(
            f"{instance.path}: the pixels cannot be decoded ({syntax}): {exc}"
        ) from exc


def write_hu(
    instance: Instance, stored: npt.NDArray[np.integer], out: npt.NDArray[np.float32]
) -> None:
    """Turn stored values into HU by the slice's own rescale; padding and all below air become air.

    Args:
        instance: The slice.
        stored: Stored values (Y, X).
        out: Array (Y, X) that receives the HU.

    Raises:
        InputError: If the slice has no rescale, so that its HU are unknown, or another size than
            `out`.
    """
    if stored.shape != out.shape:
        raise InputError(
            f"{instance.path}: expected {out.shape} rows and columns, found {stored.shape}"
        )
    slope = instance.numbers("RescaleSlope", 1)[0]
    intercept = instance.numbers("RescaleIntercept", 1)[0]
    if slope == 0:
        raise InputError(f"{instance.path}: {describe('RescaleSlope')} is 0, so the HU are unknown")
    np.multiply(stored, np.float32(slope), out=out, casting="unsafe")
    out += np.float32(intercept)
    padding = _padding_range(instance)
    if padding is not None:
        out[(stored >= padding[0]) & (stored <= padding[1])] = AIR_HU
    # Some scanners fill the corners with -2000 and do not say so.
    np.maximum(out, AIR_HU, out=out)


def fingerprint(stored: npt.NDArray[np.integer]) -> str:
    """Hash stored values, whatever transfer syntax they came in."""
    little_endian = stored.astype(stored.dtype.newbyteorder("<"), copy=False)
    return hashlib.sha256(np.ascontiguousarray(little_endian).data).hexdigest()


def _check_length(instance: Instance, ds: Dataset) -> None:
    syntax = ds.file_meta.get("TransferSyntaxUID")
    if syntax is None or syntax.is_encapsulated:
        return
    pixels = instance.numbers("Rows", 1)[0] * instance.numbers("Columns", 1)[0]
    expected = int(pixels * instance.numbers("BitsAllocated", 1)[0]) // 8
    found = len(ds.PixelData)
    if found < expected:
        raise InputError(
            f"{instance.path}: truncated pixel data, expected {expected} bytes, found {found}"
        )


def _padding_range(instance: Instance) -> tuple[int, int] | None:
    """Give the lowest and highest stored value that mean "no measurement here", if any do."""
    if instance.header.get("PixelPaddingValue") is None:
        return None
    limits = [int(instance.numbers("PixelPaddingValue", 1)[0])]
    if instance.header.get("PixelPaddingRangeLimit") is not None:
        limits.append(int(instance.numbers("PixelPaddingRangeLimit", 1)[0]))
    if instance.header.get("PixelRepresentation") == 1:
        # Often written as an unsigned number although the pixels are signed: 63536 is -2000.
        limits = [limit - 0x10000 if limit > 0x7FFF else limit for limit in limits]
    return min(limits), max(limits)
