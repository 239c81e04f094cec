"""The view of a picture: planes through the main findings, with outlines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import nibabel as nib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from monai.data import MetaTensor

from renalseg.components import bounding_box, grow_box
from renalseg.geometry import spacing_of
from renalseg.labels import CYST, KIDNEY, TUMOR, Segment

WINDOW = (-160.0, 240.0)  # HU, soft tissue
AROUND_MM = 60.0
EDGE = (withStroke(linewidth=1.6, foreground="black"),)
LETTERS = MappingProxyType(
    {"color": "white", "size": 8, "weight": "bold", "path_effects": EDGE, "clip_on": True}
)
_WELL = 0.6  # of its largest cut: how much the plane shows that is chosen for a kidney
_ALSO = 0.3  # of its largest cut: how much another segment must show not to need its own plane


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
PLANES = (AXIAL, CORONAL, SAGITTAL)


class Cut(NamedTuple):
    """One plane at one place.

    Attributes:
        plane: Its direction.
        at: Index along the axis that is cut.
        shows: The segments that it was chosen for.
    """

    plane: Plane
    at: int
    shows: tuple[Segment, ...]


@dataclass(frozen=True)
class View:
    """The findings and their surroundings, with axes near R, A, S.

    Attributes:
        hu: (X, Y, Z).
        numbers: Segment numbers (X, Y, Z).
        spacing: mm (3,).
        start: Its first voxel (3,) in the whole volume with axes near R, A, S.
        turn: (3, 2) nibabel orientation of the image that was given.
        shape: Of that image.
    """

    hu: npt.NDArray[np.float32]
    numbers: npt.NDArray[np.uint8]
    spacing: npt.NDArray[np.float64]
    start: npt.NDArray[np.int64]
    turn: npt.NDArray[np.float64]
    shape: tuple[int, ...]

    @property
    def extent(self) -> npt.NDArray[np.float64]:
        """Size (3,) in mm."""
        return np.asarray(np.array(self.hu.shape) * self.spacing)

    def size(self, plane: Plane) -> tuple[float, float]:
        """Width and height of a plane in mm."""
        return float(self.extent[plane.across]), float(self.extent[plane.up])

    def index(self, cut: Cut) -> tuple[int, int]:
        """Axis of the image that was given, and the index along it, at which a cut lies."""
        axis = int(np.flatnonzero(self.turn[:, 0] == cut.plane.cut)[0])
        index = int(self.start[cut.plane.cut]) + cut.at
        return axis, index if self.turn[axis, 1] > 0 else self.shape[axis] - 1 - index

    def cuts(self, plane: Plane, segments: Sequence[Segment], most: int) -> list[Cut]:
        """Chooses planes that together show the largest tumor, the kidneys and further tumors.

        Each shows the first of what is still missing at its largest, and as much else as it can;
        so two kidneys at one height share a plane, and one that lies lower gets its own.

        Args:
            plane: The direction.
            segments: All segments.
            most: How many planes at most; the kidneys have theirs before a second tumor does.
        """
        waiting = _by_rank(segments)
        if not waiting:
            return [Cut(plane, self.numbers.shape[plane.cut] // 2, ())]
        shares = {segment.number: self._shares(segment, plane) for segment in waiting}
        chosen: list[Cut] = []
        while waiting and len(chosen) < most:
            own = shares[waiting[0].number]
            rest = np.array([shares[segment.number] for segment in waiting])
            worth = (rest >= _ALSO).sum(axis=0) + rest.mean(axis=0) + own
            well = 1.0 if waiting[0].kind == TUMOR else _WELL  # of a tumor, its largest cut
            at = int(np.where(own >= well, worth, -1).argmax())
            shown = [segment for segment in waiting if shares[segment.number][at] >= _ALSO]
            chosen.append(Cut(plane, at, tuple(shown)))
            waiting = [segment for segment in waiting if segment not in shown]
        return chosen

    def _shares(self, segment: Segment, plane: Plane) -> npt.NDArray[np.float64]:
        """How much of a segment each plane shows, as a share of the most that any shows."""
        across = tuple(axis for axis in range(3) if axis != plane.cut)
        areas = (self.numbers == segment.number).sum(axis=across)
        return np.asarray(areas / max(1, int(areas.max())))

    def draw(self, axes: Axes, cut: Cut, segments: Sequence[Segment]) -> None:
        """Draws a plane with the outlines of segments, and the letters of the patient's sides."""
        plane = cut.plane
        across, up = plane.across, plane.up
        shown, labels = (np.moveaxis(v, plane.cut, 0)[cut.at] for v in (self.hu, self.numbers))
        low, high = WINDOW
        sides = (0, self.extent[across], 0, self.extent[up])
        axes.imshow(
            shown.T, cmap="gray", vmin=low, vmax=high, origin="lower", extent=sides,
            interpolation="bilinear",
        )  # fmt: skip
        for segment in segments:
            mask = labels == segment.number
            outline(axes, mask, color_of(segment), self.spacing[[across, up]])
        if across == 0:
            axes.invert_xaxis()
        right, left = ("R", "L") if across == 0 else ("P", "A")
        for x, letter, side in ((0.02, right, "left"), (0.98, left, "right")):
            write(axes, (x, 0.98), letter, ha=side, va="top", transform=axes.transAxes)
        axes.set_axis_off()


def write(axes: Axes, place: tuple[float, float], text: str, **options: Any) -> None:
    """Writes on a picture, white on a dark edge so that it can be read on bone and on air."""
    x, y = place
    axes.text(x, y, text, **{**LETTERS, **options})


def look(image: MetaTensor, segmented: npt.NDArray[np.uint8]) -> View:
    """Turns a volume to axes near R, A, S and crops it to what was found and `AROUND_MM` around.

    Args:
        image: HU (1, X, Y, Z), affine in RAS mm.
        segmented: Segment numbers (X, Y, Z).
    """
    affine = np.asarray(image.affine, dtype=np.float64)
    turn = nib.orientations.io_orientation(affine)
    back = nib.orientations.inv_ornt_aff(turn, segmented.shape)
    hu = nib.orientations.apply_orientation(image[0].numpy(), turn)
    numbers = nib.orientations.apply_orientation(segmented, turn)
    spacing = spacing_of(affine @ back)
    start = np.zeros(3, np.int64)
    found = bounding_box(numbers)
    if found is not None:
        box = grow_box(found, AROUND_MM / spacing, numbers.shape)
        hu, numbers = hu[box], numbers[box]
        start = np.array([part.start for part in box], np.int64)
    return View(hu, numbers, spacing, start, turn, segmented.shape)


def _by_rank(segments: Sequence[Segment]) -> list[Segment]:
    """The largest tumor, the kidneys, then the other tumors; cysts need no plane of their own."""

    def rank(segment: Segment) -> tuple[int, float]:
        kind = 1 if segment.kind == KIDNEY else 2
        return (0 if segment is largest else kind, -segment.volume_ml)

    tumors = [segment for segment in segments if segment.kind == TUMOR]
    largest = max(tumors, key=lambda tumor: tumor.volume_ml, default=None)
    return sorted((s for s in segments if s.kind != CYST), key=rank)


def outline(
    axes: Axes,
    mask: npt.NDArray[np.bool_],
    color: str | tuple[float, float, float],
    spacing: npt.NDArray[np.float64],
    style: str = "solid",
) -> None:
    """Draws the outline of a mask on a plane whose axes are in mm.

    Args:
        axes: The plane.
        mask: (across, up).
        color: Of the line.
        spacing: mm (2,) across and up.
        style: Of the line.
    """
    if not mask.any():
        return
    x, y = ((np.arange(-1, n + 1) + 0.5) * mm for n, mm in zip(mask.shape, spacing, strict=True))
    edge = np.pad(mask, 1).T.astype(float)  # closed where the mask ends with the picture
    axes.contour(x, y, edge, levels=[0.5], colors=[color], linewidths=0.9, linestyles=style)


def color_of(segment: Segment) -> tuple[float, float, float]:
    """Give the display color (red, green, blue), each 0 to 1."""
    red, green, blue = segment.rgb
    return (red / 255, green / 255, blue / 255)
