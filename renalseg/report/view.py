"""What a picture of a result shows: planes through what matters most, with outlines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import nibabel as nib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from monai.data import MetaTensor

from renalseg.components import bounding_box, grow_box
from renalseg.geometry import spacing_of, to_world
from renalseg.labels import TUMOR, Segment

WINDOW = (-160.0, 240.0)  # HU, soft tissue
AROUND_MM = 60.0


class Plane(NamedTuple):
    """How a volume with axes R, A, S is cut and shown.

    Attributes:
        name: For people.
        cut: Axis that is cut.
        across: Axis to the right of the picture, reversed where it is R: radiologists face the
            patient.
        up: Axis upward.
    """

    name: str
    cut: int
    across: int
    up: int


AXIAL, CORONAL, SAGITTAL = (
    Plane("axial", 2, 0, 1),
    Plane("coronal", 1, 0, 2),
    Plane("sagittal", 0, 1, 2),
)


@dataclass(frozen=True)
class View:
    """What was found and its surroundings, with axes near R, A, S.

    Attributes:
        hu: (X, Y, Z).
        numbers: Segment numbers (X, Y, Z).
        spacing: mm (3,).
        center: Voxel through which the planes are cut.
        index: The same voxel in the image that was given.
    """

    hu: npt.NDArray[np.float32]
    numbers: npt.NDArray[np.uint8]
    spacing: npt.NDArray[np.float64]
    center: Sequence[int]
    index: npt.NDArray[np.int64]

    @property
    def extent(self) -> npt.NDArray[np.float64]:
        """Size (3,) in mm."""
        return np.asarray(np.array(self.hu.shape) * self.spacing)

    def draw(self, axes: Axes, plane: Plane, segments: Sequence[Segment]) -> None:
        """Draws a plane with the outlines of segments, and the letters of the patient's sides."""
        across, up = plane.across, plane.up
        shown = np.take(self.hu, self.center[plane.cut], axis=plane.cut)
        labels = np.take(self.numbers, self.center[plane.cut], axis=plane.cut)
        low, high = WINDOW
        sides = (0, self.extent[across], 0, self.extent[up])
        axes.imshow(shown.T, cmap="gray", vmin=low, vmax=high, origin="lower", extent=sides)
        for segment in segments:
            _outline(axes, labels == segment.number, segment, self.spacing[[across, up]])
        right, left = ("R", "L") if across == 0 else ("P", "A")
        if across == 0:
            axes.invert_xaxis()
        for x, letter in ((0.02, right), (0.98, left)):
            axes.text(x, 0.5, letter, color="white", transform=axes.transAxes, ha="center")
        axes.set_axis_off()


def look(image: MetaTensor, segmented: npt.NDArray[np.uint8], segments: Sequence[Segment]) -> View:
    """Chooses what to show: through the largest tumor, else the largest kidney, else the middle.

    Args:
        image: HU (1, X, Y, Z), affine in RAS mm.
        segmented: Segment numbers (X, Y, Z).
        segments: The segments.
    """
    affine = np.asarray(image.affine, dtype=np.float64)
    turn = nib.orientations.io_orientation(affine)
    back = nib.orientations.inv_ornt_aff(turn, segmented.shape)
    hu = nib.orientations.apply_orientation(image[0].numpy(), turn)
    numbers = nib.orientations.apply_orientation(segmented, turn)
    spacing = spacing_of(affine @ back)
    start = np.zeros(3)
    found = bounding_box(numbers > 0)
    if found is not None:
        box = grow_box(found, AROUND_MM / spacing, numbers.shape)
        hu, numbers = hu[box], numbers[box]
        start = np.array([part.start for part in box])
    center = _center(numbers, segments)
    index = np.rint(to_world(back, start + center)).astype(np.int64)
    return View(hu, numbers, spacing, center, index)


def _center(numbers: npt.NDArray[np.uint8], segments: Sequence[Segment]) -> list[int]:
    """Voxel with the largest cut through the largest tumor, or kidney."""
    wanted = [s for s in segments if s.kind == TUMOR] or list(segments)
    if not wanted:
        return [n // 2 for n in numbers.shape]
    largest = max(wanted, key=lambda segment: segment.volume_ml)
    mask = numbers == largest.number
    box = bounding_box(mask)
    assert box is not None  # a segment that is listed has voxels
    local = mask[box]
    return [
        box[axis].start + int(local.sum(axis=tuple(a for a in range(3) if a != axis)).argmax())
        for axis in range(3)
    ]


def _outline(
    axes: Axes, mask: npt.NDArray[np.bool_], segment: Segment, spacing: npt.NDArray[np.float64]
) -> None:
    if not mask.any():
        return
    x, y = ((np.arange(n) + 0.5) * mm for n, mm in zip(mask.shape, spacing, strict=True))
    axes.contour(
        x, y, mask.T.astype(float), levels=[0.5], colors=[color_of(segment)], linewidths=1.3
    )


def color_of(segment: Segment) -> tuple[float, float, float]:
    """Give the display color (red, green, blue), each 0 to 1."""
    red, green, blue = segment.rgb
    return (red / 255, green / 255, blue / 255)
