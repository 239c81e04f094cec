"""A picture of the result: outlines on three planes through what matters most."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from monai.data import MetaTensor

from renalseg.components import bounding_box, grow_box
from renalseg.geometry import spacing_of
from renalseg.labels import LABELS, TUMOR, Segment

WINDOW = (-160.0, 240.0)  # HU, soft tissue
AROUND_MM = 60.0
_BACKGROUND = "#111111"
# (name, axis that is cut, axis to the right, axis upward) of volumes with axes R, A, S
_PLANES = (("axial", 2, 0, 1), ("coronal", 1, 0, 2), ("sagittal", 0, 1, 2))


def save_overlay(
    image: MetaTensor,
    segmented: npt.NDArray[np.uint8],
    segments: Sequence[Segment],
    path: Path,
) -> None:
    """Saves a PNG with an axial, a coronal and a sagittal plane.

    The planes go through the largest tumor, or the largest kidney where there is no tumor, or the
    middle of the volume. The patient's right is on the left of the picture, as radiologists see it.

    Args:
        image: HU (1, X, Y, Z), affine in RAS mm.
        segmented: Segment numbers (X, Y, Z).
        segments: The segments.
        path: PNG; its folder is made.
    """
    affine = np.asarray(image.affine, dtype=np.float64)
    turn = nib.orientations.io_orientation(affine)
    hu = nib.orientations.apply_orientation(image[0].numpy(), turn)
    numbers = nib.orientations.apply_orientation(segmented, turn)
    spacing = spacing_of(affine @ nib.orientations.inv_ornt_aff(turn, segmented.shape))
    found = bounding_box(numbers > 0)
    if found is not None:  # the picture shows what was found and its surroundings
        box = grow_box(found, AROUND_MM / spacing, numbers.shape)
        hu, numbers = hu[box], numbers[box]
    center = _center(numbers, segments)
    extent = np.array(hu.shape) * spacing

    widths = [extent[across] for _, _, across, _ in _PLANES]
    height = 4.6
    figure = Figure(
        figsize=(height * sum(widths) / extent[1:].max() + 0.4, height + 0.7),
        dpi=110,
        facecolor=_BACKGROUND,
        layout="constrained",
    )
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 3, width_ratios=widths)
    for axes, (name, cut, across, up) in zip(panels, _PLANES, strict=True):
        plane = np.take(hu, center[cut], axis=cut)
        labels = np.take(numbers, center[cut], axis=cut)
        low, high = WINDOW
        sides = (0, extent[across], 0, extent[up])
        axes.imshow(plane.T, cmap="gray", vmin=low, vmax=high, origin="lower", extent=sides)
        for segment in segments:
            _outline(axes, labels == segment.number, segment, spacing[[across, up]])
        right, left = ("R", "L") if across == 0 else ("P", "A")
        if across == 0:
            axes.invert_xaxis()
        for x, letter in ((0.02, right), (0.98, left)):
            axes.text(x, 0.5, letter, color="white", transform=axes.transAxes, ha="center")
        axes.set_title(name, color="white", fontsize=10)
        axes.set_axis_off()
    _legend(figure, segments)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, facecolor=_BACKGROUND)


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
    axes: object, mask: npt.NDArray[np.bool_], segment: Segment, spacing: npt.NDArray[np.float64]
) -> None:
    if not mask.any():
        return
    x, y = ((np.arange(n) + 0.5) * mm for n, mm in zip(mask.shape, spacing, strict=True))
    axes.contour(x, y, mask.T.astype(float), levels=[0.5], colors=[_color(segment)], linewidths=1.3)  # type: ignore[attr-defined]


def _legend(figure: Figure, segments: Sequence[Segment]) -> None:
    shown = [
        Line2D([], [], color=_color(s), lw=2, label=f"{s.label}  {s.volume_ml:.1f} ml")
        for s in segments
    ]
    if shown:
        figure.legend(
            handles=shown,
            loc="outside lower center",
            ncols=min(4, len(shown)),
            frameon=False,
            labelcolor="white",
            fontsize=9,
        )
    else:
        figure.suptitle("no kidney found", color="white")


def _color(segment: Segment) -> tuple[float, float, float]:
    red, green, blue = LABELS[segment.kind].rgb
    return (red / 255, green / 255, blue / 255)
