"""The bound on the size of a slice, checked against its header before any pixel is read."""

from __future__ import annotations

from renalseg.dicom.tags import Instance
from renalseg.errors import InputError
from renalseg.volumes.size_limits import MAX_SIDE


def check_slice(instance: Instance) -> None:
    """Refuse a slice whose declared size no CT has.

    Raises:
        InputError: If it has more than `MAX_SIDE` rows or columns, or none.
    """
    rows, columns = (int(instance.numbers(name, 1)[0]) for name in ("Rows", "Columns"))
    if not (0 < rows <= MAX_SIDE and 0 < columns <= MAX_SIDE):
        raise InputError(
            f"{instance.path}: expected 1 to {MAX_SIDE} rows and columns, found {rows} rows and "
            f"{columns} columns, which need {4 * rows * columns:,} bytes a slice"
        )
