"""NRRD and MetaImage files, and SimpleITK's images, whose world is LPS."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk  # noqa: N813

from renalseg.errors import InputError, what_ran_out
from renalseg.geometry import Array, lps_to_ras, spacing_of
from renalseg.volumes.stored import Stored, Values

READERS = {".nrrd": "NrrdImageIO", ".mha": "MetaImageIO"}
_NUMBERS = (
    *("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64"),
    *("Float32", "Float64"),
)
_HEADER = 1 << 16  # bytes that a header may have
_NRRD_ELSEWHERE = re.compile(rb"^data ?file *:", re.IGNORECASE | re.MULTILINE)
_MHA_WITHIN = re.compile(rb"^ElementDataFile\s*=\s*LOCAL\s*$", re.MULTILINE)


def open_itk(path: Path) -> Stored:
    """Opens an NRRD or MetaImage file; reads its header alone.

    Raises:
        InputError: It is none, its header is damaged, or its voxels lie in another file.
    """
    _refuse_other_files(path)
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.SetImageIO(READERS[path.suffix.lower()])
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise _damaged(path, error) from error

    def values() -> Values:
        try:
            return _values(reader.Execute())
        except RuntimeError as error:
            if what_ran_out(error):
                raise
            raise _damaged(path, error) from error

    return _stored(reader, str(path), values)


def of_simpleitk(image: Any, where: str) -> Stored:
    """Takes an image of SimpleITK.

    Args:
        image: A ``SimpleITK.Image``.
        where: What messages call it.
    """
    return _stored(image, where, lambda: _values(image))


def save_itk(
    values: npt.NDArray[np.uint8],
    affine: Array,
    path: Path,
    keys: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Writes a map (X, Y, Z) on a grid in RAS mm as NRRD or MetaImage, by the file's suffix.

    Args:
        values: The map.
        affine: (4, 4) from voxel centers to RAS mm.
        path: The file.
        keys: What an NRRD file's header also holds.
    """
    image = sitk.GetImageFromArray(np.ascontiguousarray(values.T))
    lps, spacing = lps_to_ras(affine), spacing_of(affine)
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    for key, value in keys.items():
        image.SetMetaData(key, value)
    sitk.WriteImage(image, str(path), useCompression=True)


def _stored(source: Any, where: str, values: Callable[[], Values]) -> Stored:
    """Takes the geometry of an image or of a reader, which have the same methods."""
    shape = tuple(int(size) for size in source.GetSize())
    affine = np.full((4, 4), np.nan)
    if len(shape) == 3:
        affine = np.eye(4)
        direction = np.reshape(source.GetDirection(), (3, 3))
        affine[:3, :3] = direction * np.asarray(source.GetSpacing())
        affine[:3, 3] = source.GetOrigin()
        affine = lps_to_ras(affine)
    kind = source.GetPixelIDValue()
    return Stored(where, shape, affine, values, _dtype(kind))


def _dtype(kind: int) -> np.dtype[np.generic]:
    """The type of the voxels; that of a structure where they are no single numbers."""
    names = {getattr(sitk, f"sitk{name}"): name.lower() for name in _NUMBERS}
    return np.dtype(names.get(kind, np.void))


def _values(image: Any) -> Values:
    return np.asarray(sitk.GetArrayFromImage(image).T, dtype=np.float32)


def _refuse_other_files(path: Path) -> None:
    """Refuses a header that names other files: nothing but the input itself is opened."""
    with path.open("rb") as file:
        header = file.read(_HEADER)
    if path.suffix.lower() == ".nrrd":
        text = header.replace(b"\r", b"").split(b"\n\n", 1)[0]
        within = not _NRRD_ELSEWHERE.search(text)
    else:
        within = _MHA_WITHIN.search(header) is not None
    if not within:
        raise InputError(
            f"expected the voxels behind the header, found none in {path}: it is damaged, or names "
            "another file; save it as one file"
        )


def _damaged(path: Path, error: Exception) -> InputError:
    kind = "NRRD" if path.suffix.lower() == ".nrrd" else "MetaImage"
    return InputError(
        f"expected a volume in {kind}, cannot read {path}: it is damaged, truncated or none "
        f"({type(error).__name__})"
    )
