"""Read the header of a DICOM file: everything before the pixels, without huge values."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian

from renalseg.dicom.read.enhanced import PER_FRAME
from renalseg.dicom.read.files import open_regular
from renalseg.dicom.tags import PixelsAt, is_uid
from renalseg.errors import InputError

HUGE_BYTES = 64 * 1024  # a value beyond it is not read; headers of CT have none
MAX_INFLATED_BYTES = 512 * 1024 * 1024  # of a deflated file
_PIXEL_DATA = 0x7FE00010
_OFFSET_TABLES = (0x7FE00001, 0x7FE00002)  # of compressed frames
_FRAMES = 0x5200  # group of the functional groups
_UNDEFINED = 0xFFFFFFFF


@dataclass(frozen=True)
class Header:
    """Content of a file before its pixels.

    Attributes:
        dataset: Attributes without pixels, private elements, overlays and huge values.
        pixels: Where the pixels are; None where the file is deflated, or ends before them.
        deflated: Whether all but the file meta information is compressed.
    """

    dataset: Dataset
    pixels: PixelsAt | None
    deflated: bool


def read_header(path: Path) -> Header | None:
    """Read a file's header.

    Files without the preamble of the file format (PS3.10, 7.1) are known by their first element.

    Args:
        path: A regular file.

    Returns:
        The header, or None for a file that is not DICOM.

    Raises:
        InputError: If the file is DICOM and damaged.
        OSError: If it cannot be read.
    """
    with open_regular(path) as file:
        if not _is_dicom(file):
            return None
        try:
            _check_inflated(path, file)
            file.seek(0)
            dataset = pydicom.dcmread(
                file, stop_before_pixels=True, force=True, defer_size=HUGE_BYTES
            )
            if PER_FRAME in dataset:  # long, and needed
                file.seek(0)
                dataset = pydicom.dcmread(file, stop_before_pixels=True, force=True)
            dataset.buffer = None  # of a deflated file, all of it
            _drop_bulk(dataset)
            if (syntax := _syntax(dataset)) and not is_uid(syntax):
                raise InputError(f"{path}: the file is damaged, its transfer syntax is not a UID")
            deflated = syntax == DeflatedExplicitVRLittleEndian
            pixels = None if deflated else _find_pixels(file, dataset)
        except (OSError, MemoryError, InputError):
            raise
        except Exception as exc:
            # pydicom lets errors of many kinds escape from a damaged file; each means the same.
            raise InputError(
                f"{path}: the file is damaged, its header cannot be read ({type(exc).__name__})"
            ) from exc
    return Header(dataset, pixels, deflated)


def _is_dicom(file: BinaryIO) -> bool:
    start = file.read(140)
    if start[128:132] == b"DICM":
        return True
    # Without preamble: an element of group 2 or 8 with a low number comes first, and a short value.
    if len(start) < 16:
        return False
    for order in "<>":
        group, element = struct.unpack(f"{order}HH", start[:4])
        if group in (0x0002, 0x0008) and element <= 0x0018:
            explicit = start[4:6].isalpha() and start[4:6].isupper()
            bytes_of_length = (f"{order}H", start[6:8]) if explicit else (f"{order}I", start[4:8])
            return bool(struct.unpack(*bytes_of_length)[0] <= 1024)
    return False


def _check_inflated(path: Path, file: BinaryIO) -> None:
    """Refuse a deflated file that would fill the memory; pydicom inflates it at once."""
    file.seek(0)
    start = file.read(1024)
    if DeflatedExplicitVRLittleEndian.encode() not in start:
        return
    # The length of group 2 comes first and says where the rest begins (PS3.10, table 7.1-1).
    if start[128:136] != b"DICM\2\0\0\0":
        raise InputError(f"{path}: the file is damaged, its file meta information has no length")
    (length,) = struct.unpack("<I", start[140:144])
    file.seek(144 + length)
    inflater, total = zlib.decompressobj(-zlib.MAX_WBITS), 0
    while not inflater.eof and (chunk := inflater.unconsumed_tail or file.read(1 << 20)):
        total += len(inflater.decompress(chunk, 1 << 22))
        if total > MAX_INFLATED_BYTES:
            raise InputError(
                f"{path}: the file inflates to more than {MAX_INFLATED_BYTES:,} bytes, "
                "which no CT needs"
            )


def _drop_bulk(dataset: Dataset) -> None:
    """Drop private elements and overlays: they may be huge, and must never reach a result."""
    # in file order: access by tag would read a skipped value
    for tag, raw in list(dataset.items()):
        deferred = getattr(raw, "value", b"") is None and getattr(raw, "length", 0) > 0
        bulk = tag.group >= 0x5000 and tag.group != _FRAMES and tag not in _OFFSET_TABLES
        if tag.is_private or bulk or deferred:
            del dataset[tag]


def _syntax(dataset: Dataset) -> str:
    return str((getattr(dataset, "file_meta", None) or Dataset()).get("TransferSyntaxUID") or "")


def _find_pixels(file: BinaryIO, dataset: Dataset) -> PixelsAt | None:
    """Read the tag and length of the pixels, before which pydicom has stopped."""
    implicit, little = dataset.original_encoding
    order = "<" if little else ">"
    start = file.read(8 if implicit else 12)
    offset = file.tell()
    there = file.seek(0, 2) - offset
    if len(start) < (8 if implicit else 12):
        return None
    group, element = struct.unpack(f"{order}HH", start[:4])
    if (group << 16 | element) != _PIXEL_DATA:
        return None
    (length,) = struct.unpack(f"{order}I", start[-4:])
    vr = "OW" if implicit else start[4:6].decode("ascii")
    return PixelsAt(offset, vr, None if length == _UNDEFINED else int(length), there)
