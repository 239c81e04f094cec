"""Header values that the reader depends on, checked, and the UIDs that are derived.

A refusal names the tag and the file.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import UID

from renalseg.errors import InputError
from renalseg.runtime.harmless import one_line

MAX_LENGTH = 64
# Components with leading zeros are wrong (PS3.5, 9.1) and common in what anonymizers write. They
# do no harm, so they pass. [0-9] and not \d, which other scripts' digits match.
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")


class SourceFrame(NamedTuple):
    """A frame of a multi-frame object.

    Attributes:
        sop_class: SOPClassUID of the object.
        uid: SOPInstanceUID of the object.
        number: Of the frame, from 1.
    """

    sop_class: str
    uid: str
    number: int


class PixelsAt(NamedTuple):
    """Where a file holds its pixels.

    Attributes:
        offset: Of the first byte of their value, from the start of the file.
        vr: Value representation, "OB" or "OW".
        declared: Length of the value in bytes as the file says; None where that is left open.
        there: Number of bytes from the offset to the end of the file.
    """

    offset: int
    vr: str
    declared: int | None
    there: int


@dataclass(frozen=True)
class Instance:
    """One CT slice: a file, or a frame of one.

    Attributes:
        path: The file.
        header: The slice's attributes without the pixels. Those of a frame are flat, as a file of
            one slice has them, with a SOPInstanceUID of its own.
        source: The frame; None where the file is the slice.
        flaw: What is wrong with the file, so that the slice cannot be processed.
        pixels: Where the pixels are in the file; None where that is deflated.
        frames: Number of frames in the file.
    """

    path: Path
    header: Dataset
    source: SourceFrame | None = None
    flaw: str | None = None
    pixels: PixelsAt | None = None
    frames: int = 1

    @property
    def uid(self) -> str:
        """SOPInstanceUID, the name of this slice."""
        return self.text("SOPInstanceUID")

    def value(self, keyword: str) -> Any:
        """Give an attribute as pydicom does, None if it is missing.

        Raises:
            InputError: If it is damaged.
        """
        try:
            return self.header.get(keyword)
        except Exception as exc:
            # Values are parsed when they are asked for, with errors of many kinds.
            raise InputError(
                f"{self.path}: {describe(keyword)} is damaged ({type(exc).__name__})"
            ) from exc

    def optional(self, keyword: str) -> str:
        """Give a text attribute on one line without the blanks around it, "" if it is missing."""
        value = self.value(keyword)
        return "" if value is None else one_line(str(value).strip(" \0"))

    def words(self, keyword: str) -> tuple[str, ...]:
        """Give the values of an attribute that may hold several, in capitals."""
        value = self.value(keyword)
        if value is None or value == "":
            return ()
        several = not isinstance(value, str) and isinstance(value, Iterable)
        items = value if several else (value,)
        return tuple(one_line(str(item).strip().upper()) for item in items)

    def text(self, keyword: str) -> str:
        """Give a text attribute that must be there.

        Raises:
            InputError: If the attribute is missing or empty.
        """
        value = self.optional(keyword)
        if not value:
            raise InputError(
                f"{self.path}: {describe(keyword)} is missing; the file is stripped or damaged"
            )
        return value

    def check_uid(self, keyword: str) -> None:
        """Refuse a UID that is none; one that is missing passes.

        The header is read again where results are written, so its value is checked as it is.

        Raises:
            InputError: If the value is no UID (DICOM PS3.5, 9.1). The message does not quote it.
        """
        value = self.value(keyword)
        if value is None or value == "" or is_uid(str(value)):
            return
        raise InputError(
            f"{self.path}: {describe(keyword)} should be digits and dots, {MAX_LENGTH} at most, "
            f"found {len(str(value))} characters that are not a UID"
        )

    def numbers(self, keyword: str, count: int) -> npt.NDArray[np.float64]:
        """Give an attribute that must hold so many finite numbers.

        Args:
            keyword: DICOM keyword.
            count: Number of values expected.

        Returns:
            The values (count,).

        Raises:
            InputError: If the attribute is missing or holds something else.
        """
        value = self.value(keyword)
        try:
            numbers = np.atleast_1d(np.array([] if value is None else value, dtype=np.float64))
        except (ValueError, TypeError, OverflowError) as exc:
            raise InputError(f"{self.path}: {describe(keyword)} is not numeric") from exc
        if numbers.size == 0:
            raise InputError(f"{self.path}: {describe(keyword)} is missing")
        if numbers.shape != (count,) or not np.isfinite(numbers).all():
            raise InputError(
                f"{self.path}: {describe(keyword)} should hold {count} numbers, "
                f"found {numbers.tolist()}"
            )
        return numbers


def describe(keyword: str) -> str:
    """Name a tag for a message, such as "PixelSpacing (0028,0030)"."""
    return f"{keyword} {Tag(tag_for_keyword(keyword) or 0)}"


def is_uid(text: str) -> bool:
    """Say whether a text is a UID: digits and dots, 64 characters at most (DICOM PS3.5, 9.1).

    Args:
        text: A value without padding. Leading zeros of a component are let pass.
    """
    return len(text) <= MAX_LENGTH and _UID.fullmatch(text) is not None


def derive_uid(*parts: str) -> UID:
    """Derive a UID from texts: the same texts give the same UID, other texts another one.

    Args:
        parts: What the UID stands for, such as the input's hash, the software version and the kind
            of object.

    Returns:
        A UID under the UUID root 2.25 (DICOM PS3.5, B.2).
    """
    # Lengths keep ("ab", "c") apart from ("a", "bc").
    text = "".join(f"{len(part)}:{part}" for part in parts)
    digest = hashlib.sha256(text.encode()).digest()
    return UID(f"2.25.{uuid.UUID(bytes=digest[:16], version=5).int}")
