"""Decode the pixels of slices and turn them into Hounsfield units."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from renalseg.dicom.read.codecs import as_decoded, stream_size
from renalseg.dicom.read.files import open_regular
from renalseg.dicom.read.size_limits import check_slice
from renalseg.dicom.tags import Instance, describe
from renalseg.errors import InputError, RetryableError
from renalseg.volumes.hounsfield import AIR_HU


class Correction(NamedTuple):
    """A mistake in the values of a series that is undone.

    Attributes:
        shift: Added to all HU.
        wrapped: Whether signed values were stored as if they were unsigned.
    """

    shift: float = 0.0
    wrapped: bool = False

    @property
    def remark(self) -> str | None:
        """Return the warning about it; None if nothing is corrected."""
        causes = []
        if self.wrapped:
            causes.append("its signed values are declared as unsigned, and were read as signed")
        if self.shift:
            tag = describe("RescaleIntercept")
            causes.append(f"{tag} does not fit its values, which were shifted by {self.shift:+g}")
        return f"the series is not in HU as it is stored: {'; '.join(causes)}" if causes else None


AS_STORED = Correction()


class PixelReader:
    """Reads the stored values of slices, and keeps the file of the last one open.

    The frames of a multi-frame file are read one by one, so that memory holds one of them. As a
    context manager it closes the file.
    """

    def __init__(self) -> None:
        self._open = ExitStack()
        self._path: Path | None = None
        self._source: BinaryIO | Dataset | None = None

    def __enter__(self) -> PixelReader:
        """Itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Closes the file."""
        self._open.close()

    def decode(self, instance: Instance) -> npt.NDArray[np.integer]:
        """Read the stored values of a slice.

        Args:
            instance: The slice.

        Returns:
            Stored values (Y, X), signed or unsigned as the file says.

        Raises:
            InputError: If the pixels are missing, truncated, not decodable, of another size than
                the header says, or not one gray frame.
            RetryableError: If memory ran out.
        """
        if instance.flaw is not None:
            raise InputError(instance.flaw)
        check_slice(instance)
        if instance.value("SamplesPerPixel") not in (None, 1):
            raise InputError(f"{instance.path}: expected gray pixels, found color")
        syntax = transfer_syntax(instance.header)
        try:
            return self._decode(instance, syntax)
        except MemoryError as exc:
            raise RetryableError(f"out of memory while decoding {instance.path}") from exc
        except (InputError, RetryableError, PermissionError):
            raise
        except Exception as exc:
            # Each decoder plugin has its own errors for a damaged stream.
            raise InputError(
                f"{instance.path}: the pixels cannot be decoded ({syntax.name}): {exc}"
            ) from exc

    def _decode(self, instance: Instance, syntax: UID) -> npt.NDArray[np.integer]:
        from pydicom.pixels import get_decoder
        from pydicom.pixels.utils import as_pixel_options

        decoded = as_decoded(syntax)

        source = self._of(instance, syntax)
        options: dict[str, Any] = as_pixel_options(
            instance.header,
            number_of_frames=instance.frames,
            transfer_syntax_uid=decoded,
            pixel_keyword="PixelData",
            pixel_vr=instance.pixels.vr if instance.pixels else "OW",
        )
        index = instance.source.number - 1 if instance.source else 0
        if syntax.is_encapsulated:
            self._check_stream(instance, source, index)
        self._rewind(instance)
        stored, _ = get_decoder(decoded).as_array(
            source, index=index, validate=False, raw=True, **options
        )
        return np.asarray(stored)

    def _of(self, instance: Instance, syntax: UID) -> Any:
        """Return the decoder's source: the file, or its content if it is deflated."""
        if self._path != instance.path:
            self._open.close()
            self._path = None
            file = self._open.enter_context(open_regular(instance.path))
            if syntax == DeflatedExplicitVRLittleEndian:
                self._source = pydicom.dcmread(file)
                self._check_inflated(instance, self._source)
            else:
                self._source = file
            self._path = instance.path
        return self._source

    def _rewind(self, instance: Instance) -> None:
        if instance.pixels is not None and not isinstance(self._source, Dataset):
            assert self._source is not None
            self._source.seek(instance.pixels.offset)

    def _check_stream(self, instance: Instance, source: BinaryIO, index: int) -> None:
        """Refuse a compressed frame whose size differs from the header's, before decoding it."""
        from pydicom.encaps import get_frame

        self._rewind(instance)
        declared = int(instance.header.Rows), int(instance.header.Columns)
        found = stream_size(get_frame(source, index, number_of_frames=instance.frames))
        if found is not None and found != declared:
            raise InputError(
                f"{instance.path}: expected {declared[0]} rows and {declared[1]} columns, "
                f"found {found[0]} and {found[1]} in the compressed pixels"
            )

    @staticmethod
    def _check_inflated(instance: Instance, dataset: Dataset) -> None:
        if "PixelData" not in dataset:
            raise InputError(f"{instance.path}: {describe('PixelData')} is missing")
        expected = slice_bytes(instance) * instance.frames
        if len(dataset.PixelData) < expected:
            raise InputError(
                f"{instance.path}: truncated pixel data, expected {expected:,} bytes, "
                f"found {len(dataset.PixelData):,}"
            )


def decode(instance: Instance) -> npt.NDArray[np.integer]:
    """Read the stored values (Y, X) of one slice; see `PixelReader.decode`."""
    with PixelReader() as reader:
        return reader.decode(instance)


def transfer_syntax(header: Dataset) -> UID:
    """Return a file's transfer syntax, inferred from its encoding if it is missing."""
    told = (getattr(header, "file_meta", None) or Dataset()).get("TransferSyntaxUID")
    if told:
        return UID(told)
    implicit, little = header.original_encoding
    if implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if little else ExplicitVRBigEndian


def slice_bytes(instance: Instance) -> int:
    """Return the uncompressed size of a slice's pixels in bytes."""
    names = ("Rows", "Columns", "BitsAllocated")
    rows, columns, bits = (int(instance.numbers(name, 1)[0]) for name in names)
    return rows * columns * bits // 8


def rescale(
    instance: Instance,
    stored: npt.NDArray[np.integer],
    out: npt.NDArray[np.float32],
    correction: Correction = AS_STORED,
) -> npt.NDArray[np.float32]:
    """Turn stored values into HU by the slice's own rescale; padding becomes air.

    Args:
        instance: The slice.
        stored: Stored values (Y, X), or some of them.
        out: Array of the same shape that receives the HU.
        correction: What is wrong with the series.

    Returns:
        `out`.

    Raises:
        InputError: If the slice has no rescale, so that its HU are unknown.
    """
    slope = np.float32(instance.numbers("RescaleSlope", 1)[0])
    np.multiply(stored, slope, out=out, casting="unsafe")
    out += np.float32(instance.numbers("RescaleIntercept", 1)[0] + correction.shift)
    if correction.wrapped:
        turn = 1 << int(instance.numbers("BitsStored", 1)[0])
        out[stored >= turn // 2] -= slope * np.float32(turn)
    padding = padding_range(instance)
    if padding is not None:
        out[(stored >= padding[0]) & (stored <= padding[1])] = AIR_HU
    return out


def write_hu(
    instance: Instance,
    stored: npt.NDArray[np.integer],
    out: npt.NDArray[np.float32],
    correction: Correction = AS_STORED,
) -> None:
    """Turn stored values into HU by the slice's own rescale; padding and all below air become air.

    Args:
        instance: The slice.
        stored: Stored values (Y, X).
        out: Array (Y, X) that receives the HU.
        correction: What is wrong with the series.

    Raises:
        InputError: If the slice has no rescale, so that its HU are unknown, or another size than
            `out`.
    """
    if stored.shape != out.shape:
        raise InputError(
            f"{instance.path}: expected {out.shape} rows and columns, found {stored.shape}"
        )
    rescale(instance, stored, out, correction)
    np.maximum(out, AIR_HU, out=out)


def check_values(instance: Instance) -> None:
    """Refuse a slice whose header does not say how its pixels become HU.

    Raises:
        InputError: If the rescale is missing or turns more into less, the bits are no pixel's, or
            the padding is no number.
    """
    slope = float(instance.numbers("RescaleSlope", 1)[0])
    for keyword in ("RescaleIntercept", "Rows", "Columns"):
        instance.numbers(keyword, 1)
    if slope <= 0:
        raise InputError(
            f"{instance.path}: expected {describe('RescaleSlope')} above 0, found {slope:g}: "
            "the HU are unknown"
        )
    allocated, stored, signed = (
        float(instance.numbers(keyword, 1)[0])
        for keyword in ("BitsAllocated", "BitsStored", "PixelRepresentation")
    )
    if (
        allocated not in (8, 16, 32)
        or not 1 <= stored <= allocated
        or stored % 1
        or signed not in (0, 1)
    ):
        raise InputError(
            f"{instance.path}: expected pixels of 8, 16 or 32 bits, signed or not, found "
            f"{describe('BitsAllocated')} {allocated:g}, {describe('BitsStored')} {stored:g}, "
            f"{describe('PixelRepresentation')} {signed:g}"
        )
    padding_range(instance)


def fingerprint(stored: npt.NDArray[np.integer]) -> str:
    """Hash stored values, whatever transfer syntax they came in."""
    little_endian = stored.astype(stored.dtype.newbyteorder("<"), copy=False)
    return hashlib.sha256(np.ascontiguousarray(little_endian).data).hexdigest()


def padding_range(instance: Instance) -> tuple[int, int] | None:
    """Return the lowest and highest stored value that mean "no measurement here", if any.

    Raises:
        InputError: If they are no numbers.
    """
    if instance.value("PixelPaddingValue") is None:
        return None
    limits = [int(instance.numbers("PixelPaddingValue", 1)[0])]
    if instance.value("PixelPaddingRangeLimit") is not None:
        limits.append(int(instance.numbers("PixelPaddingRangeLimit", 1)[0]))
    if instance.value("PixelRepresentation") == 1:
        # Often written as an unsigned number although the pixels are signed: 63536 is -2000.
        limits = [limit - 0x10000 if limit > 0x7FFF else limit for limit in limits]
    return min(limits), max(limits)
