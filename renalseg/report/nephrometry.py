"""The picture of nephrometry: tumor, sinus and polar lines in a plane along the kidney."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from scipy import ndimage

from renalseg.findings.nephrometry import Anatomy, anatomy, place_of
from renalseg.findings.nephrometry.frame import STEP
from renalseg.geometry import Array, to_index, to_world
from renalseg.intake.ct import CT
from renalseg.labels import MeasuredSegment
from renalseg.report.content import Picture
from renalseg.report.view import WINDOW, color_of, outline

_AROUND_MM = 12.0
_GRID_MM = 0.7
_ACROSS_MM = 2.0  # between the two nearest points across the long axis: less shows no direction
_SINUS, _LINES, _DISTANCE = "#ffe14d", "#ffffff", "#ff5050"


def nephrometry_picture(
    ct: CT,
    segmented: npt.NDArray[np.uint8],
    segments: Sequence[MeasuredSegment],
    tumor: MeasuredSegment,
) -> Picture | None:
    """Gives the plane of a tumor along its kidney; None where nephrometry was not assessed.

    Args:
        ct: The source.
        segmented: Segment numbers (X, Y, Z) on the grid of its image.
        segments: The segments.
        tumor: One of them.
    """
    if tumor.nephrometry is None or tumor.nephrometry.renal is None:
        return None
    affine = np.asarray(ct.image.affine, dtype=np.float64)
    found = anatomy(segmented, affine, segments, tumor.side)
    if not isinstance(found, Anatomy):
        return None
    plane = ScoredPlane(ct, segmented, segments, tumor, found)
    return Picture(plane.caption, plane.size, plane.draw)


class ScoredPlane:
    """The plane along the kidney's axis through tumor and sinus where they are nearest.

    Args:
        ct: The source.
        segmented: Segment numbers (X, Y, Z) on the grid of its image.
        segments: The segments.
        tumor: Whose plane it is.
        kidney: Frame and sinus.
    """

    def __init__(
        self,
        ct: CT,
        segmented: npt.NDArray[np.uint8],
        segments: Sequence[MeasuredSegment],
        tumor: MeasuredSegment,
        kidney: Anatomy,
    ) -> None:
        self.ct, self.segmented, self.segments = ct, segmented, segments
        self.tumor, self.kidney = tumor, kidney
        self.affine = np.asarray(ct.image.affine, dtype=np.float64)
        self.place = place_of(kidney, segmented, self.affine, tumor.number)
        across = (self.place.nearest[1] - self.place.nearest[0])[:2]
        if np.linalg.norm(across) < _ACROSS_MM:
            across = kidney.sinus.toward
        self.across = across / np.linalg.norm(across)
        if self._direction()[0] > 0:  # the patient's right is on the left
            self.across = -self.across
        tissue = np.argwhere(kidney.frame.numbers) * STEP
        level = (tissue[:, :2] - self.place.nearest[0][:2]) @ self.across
        self.left, self.right = level.min() - _AROUND_MM, level.max() + _AROUND_MM
        self.low, self.high = (
            tissue[:, 2].min() - _AROUND_MM,
            tissue[:, 2].max() + _AROUND_MM,
        )

    @property
    def caption(self) -> str:
        """What the picture shows."""
        return (
            f"Along the kidney: polar lines (white), sinus (yellow), {self.place.sinus:.0f} mm "
            "away (red)"
        )

    @property
    def size(self) -> tuple[float, float]:
        """Width and height in mm."""
        return float(self.right - self.left), float(self.high - self.low)

    def draw(self, axes: Axes) -> None:
        """Draws CT, outlines, sinus, polar lines and the shortest distance."""
        x = np.arange(self.left, self.right, _GRID_MM)
        z = np.arange(self.low, self.high, _GRID_MM)
        start = self.place.nearest[0][:2]
        flat = start + x[:, None] * self.across
        places = np.concatenate(
            [
                np.broadcast_to(flat[:, None], (len(x), len(z), 2)),
                np.broadcast_to(z[None, :, None], (len(x), len(z), 1)),
            ],
            axis=-1,
        )
        index = to_index(self.affine, to_world(self.kidney.frame.affine, places / STEP))
        index = np.moveaxis(index, -1, 0)
        hu = ndimage.map_coordinates(self.ct.image[0].numpy(), index, order=1, cval=WINDOW[0])
        labels = ndimage.map_coordinates(self.segmented, index, order=0)
        own = np.moveaxis(places / STEP, -1, 0)
        sinus = ndimage.map_coordinates(self.kidney.sinus.mask.astype(np.uint8), own, order=0)
        extent = (0, len(x) * _GRID_MM, 0, len(z) * _GRID_MM)
        low, high = WINDOW
        axes.imshow(hu.T, cmap="gray", vmin=low, vmax=high, origin="lower", extent=extent)
        spacing = np.array([_GRID_MM, _GRID_MM])
        for segment in self.segments:
            outline(axes, labels == segment.number, color_of(segment), spacing)
        outline(axes, sinus > 0, _SINUS, spacing, "dashed")
        for line in self.kidney.sinus.lines:
            axes.axhline(line - self.low, color=_LINES, linewidth=0.8, linestyle="dashed")
        ends = self.place.nearest
        axes.plot(
            (ends[:, :2] - start) @ self.across - self.left,
            ends[:, 2] - self.low,
            color=_DISTANCE,
            linewidth=1.6,
        )
        axes.set_axis_off()

    def _direction(self) -> Array:
        """RAS unit vector (3,) to the right of the picture."""
        axes = self.kidney.frame.affine[:3, :2] / STEP
        return np.asarray(axes @ self.across)
