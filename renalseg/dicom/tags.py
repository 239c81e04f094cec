"""Header values that the reader depends on, checked; a refusal names the tag and the file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from renalseg.errors import InputError


@dataclass(frozen=True)
class Instance:
    """One CT slice in a file.

    Attributes:
        path: The file.
        header: Its attributes without the pixels.
    """

    path: Path
    header: Dataset

    @property
    def uid(self) -> str:
        """SOPInstanceUID, the name of this slice in every other object."""
        return self.text("SOPInstanceUID")

    def text(self, keyword: str) -> str:
        """Give a text attribute that must be there.

        Raises:
            InputError: If the attribute is missing or empty.
        """
        value = str(self.header.get(keyword) or "").strip()
        if not value:
            raise InputError(
                f"{self.path}: {describe(keyword)} is missing; the file is stripped or damaged"
            )
        return value

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
        try:
            value = self.header.get(keyword)
            numbers = np.atleast_1d(np.array([] if value is None else value, dtype=np.float64))
        except (ValueError, TypeError) as exc:
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
