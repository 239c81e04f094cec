"""Small CT series whose every voxel is known, in all the orientations that a reader must get right.

Each case holds a body of soft tissue and one marker on the patient's left, anterior and upper side,
so that no mirrored reading can pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset

from renalseg.dicom.write.ct import write_ct_series
from renalseg.geometry import Array, affine_from_dicom, slice_normal, to_index, to_world

SHAPE = (24, 20, 22)
BODY_HU = 40
MARKER_HU = 1000
# From the center of the volume toward left, anterior and superior, RAS mm.
MARKER_OFFSET = np.array([-5.0, 3.5, 4.0])


@dataclass(frozen=True)
class Case:
    """Geometry of a series.

    Attributes:
        orientation: ImageOrientationPatient (6,).
        pixel_spacing: Between rows, between columns, in mm.
        step: Signed distance from one written slice to the next along the slice normal, in mm.
        patient_position: PatientPosition.
    """

    orientation: tuple[float, ...] = (1, 0, 0, 0, 1, 0)
    pixel_spacing: tuple[float, float] = (0.8, 0.8)
    step: float = 1.5
    patient_position: str = "HFS"

    @property
    def affine(self) -> Array:
        """Voxel-to-RAS affine of the array as written."""
        normal = slice_normal(self.orientation)
        corner = (-31.5, 12.25, -140.0)
        return affine_from_dicom(self.orientation, corner, self.pixel_spacing, self.step * normal)


def _oblique() -> tuple[float, ...]:
    cos_z, sin_z = np.cos(0.3), np.sin(0.3)
    cos_x, sin_x = np.cos(-0.4), np.sin(-0.4)
    about_z = np.array([[cos_z, -sin_z, 0], [sin_z, cos_z, 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, cos_x, -sin_x], [0, sin_x, cos_x]])
    rotation = about_z @ about_x
    return (*rotation[:, 0], *rotation[:, 1])


CASES = {
    "normal": Case(),
    "reversed": Case(step=-1.5),
    "anisotropic": Case(pixel_spacing=(1.1, 0.6)),
    "oblique": Case(orientation=_oblique(), pixel_spacing=(0.9, 0.7)),
    "coronal": Case(orientation=(1, 0, 0, 0, 0, -1), pixel_spacing=(1.1, 0.6)),
    "sagittal": Case(orientation=(0, 1, 0, 0, 0, -1), pixel_spacing=(0.9, 0.7)),
    "feet_first": Case(orientation=(-1, 0, 0, 0, 1, 0), step=-1.5, patient_position="FFS"),
    "decubitus": Case(orientation=(0, 1, 0, -1, 0, 0), patient_position="HFDL"),
    "prone": Case(orientation=(-1, 0, 0, 0, -1, 0), patient_position="HFP"),
}


@dataclass(frozen=True)
class Written:
    """A series on disk and what is true of it.

    Attributes:
        folder: Folder of the files.
        paths: The files in the order of the array's last axis.
        hu: Volume (X, Y, Z) as written.
        affine: Voxel-to-RAS affine of `hu`.
        marker: World coordinates (3,) of the marker's centroid, RAS mm.
    """

    folder: Path
    paths: list[Path]
    hu: npt.NDArray[np.int16]
    affine: Array
    marker: Array


def phantom(affine: Array, shape: tuple[int, int, int] = SHAPE) -> npt.NDArray[np.int16]:
    """Draw the body and its marker on a grid, (X, Y, Z) in HU."""
    hu = np.full(shape, -1000, dtype=np.int16)
    hu[3:-3, 3:-3, 1:-1] = BODY_HU
    center = to_world(affine, (np.array(shape) - 1) / 2)
    x, y, z = np.rint(to_index(affine, center + MARKER_OFFSET)).astype(int)
    hu[x - 1 : x + 2, y : y + 2, z : z + 2] = MARKER_HU
    return hu


def marker_centroid(hu: npt.NDArray[np.generic], affine: Array) -> Array:
    """Locate the marker (3,) in world coordinates."""
    return to_world(affine, np.argwhere(hu > (BODY_HU + MARKER_HU) / 2).mean(axis=0))


def write_case(
    folder: Path, case: Case | None = None, *, slices: int = 22, **options: object
) -> Written:
    """Write a case into a folder; options go to `write_ct_series`."""
    affine = (case or Case()).affine
    hu = phantom(affine, (*SHAPE[:2], slices))
    position = (case or Case()).patient_position
    paths = write_ct_series(folder, hu, affine, patient_position=position, **options)  # type: ignore[arg-type]
    return Written(folder, paths, hu, affine, marker_centroid(hu, affine))


def edit(path: Path, change: Callable[[Dataset], object]) -> None:
    """Change a DICOM file in place."""
    dataset = pydicom.dcmread(path)
    change(dataset)
    dataset.save_as(path)


def edit_all(paths: list[Path], change: Callable[[Dataset], object]) -> None:
    """Change several DICOM files in place."""
    for path in paths:
        edit(path, change)
