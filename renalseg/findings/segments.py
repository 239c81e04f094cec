"""From a label map to segments: left and right kidney, and one per tumor and cyst."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from monai.data import MetaTensor

from renalseg.components import bounding_box, components
from renalseg.geometry import Array, to_world, voxel_volume_mm3
from renalseg.labels import CYST, KIDNEY, LABELS, TUMOR, Segment, Side
from renalseg.limits import Sides

_MAX_SEGMENTS = 255


def split_segments(
    pred: MetaTensor, image: MetaTensor, sides: Sides
) -> tuple[npt.NDArray[np.uint8], list[Segment]]:
    """Numbers what was found: left kidney, right kidney, tumors, then cysts, large to small.

    Args:
        pred: (1, X, Y, Z) uint8: 0 background, 1 kidney, 2 tumor, 3 cyst.
        image: HU (1, X, Y, Z) on the same grid, affine in RAS mm.
        sides: How the method tells left from right.

    Returns:
        The segment map (X, Y, Z) uint8, and the segments in the order of their numbers.
    """
    labels = pred[0].cpu().numpy()
    affine = np.asarray(pred.affine, dtype=np.float64)
    # in memory slice by slice, as it is written
    segmented = np.zeros(labels.shape[::-1], dtype=np.uint8).transpose()
    box = bounding_box(labels)
    if box is None:
        return segmented, []
    local, view = labels[box], segmented[box]
    beyond = _world_x(local.shape, box, affine) > _midline(image, box, sides)  # RAS: the right
    on_right = _right_side(local, beyond, sides.whole_share)
    ml = voxel_volume_mm3(affine) / 1000
    segments: list[Segment] = []

    def add(where: npt.NDArray[np.bool_], label: str, kind: int, side: Side) -> None:
        if where.any() and len(segments) < _MAX_SEGMENTS:
            number = len(segments) + 1
            view[where] = number
            segments.append(Segment(number, label, kind, side, float(where.sum() * ml)))

    for side, own in ((Side.LEFT, ~on_right), (Side.RIGHT, on_right)):
        add((local == KIDNEY) & own, f"{side.value.capitalize()} kidney", KIDNEY, side)
    for kind in (TUMOR, CYST):
        counts = {Side.LEFT: 0, Side.RIGHT: 0}
        numbered, sizes = components(local == kind)
        for number in range(1, len(sizes) + 1):
            where = numbered == number
            side = Side.RIGHT if on_right[where].mean() > 0.5 else Side.LEFT
            counts[side] += 1
            name = f"{side.value.capitalize()} kidney {LABELS[kind].name} {counts[side]}"
            add(where, name, kind, side)
    return segmented, segments


def _right_side(
    labels: npt.NDArray[np.uint8], beyond: npt.NDArray[np.bool_], whole_share: float
) -> npt.NDArray[np.bool_]:
    """Which voxels belong to the right side, of those that lie there, beyond the midline.

    A component belongs as a whole to the side where its kidney lies, because a large tumor may
    reach over the midline; one whose kidney lies on both sides (a horseshoe kidney) is divided
    there.
    """
    right = beyond.copy()
    numbered, sizes = components(labels > 0)
    kidney = labels == KIDNEY
    without = np.bincount(numbered[kidney], minlength=len(sizes) + 1) == 0
    counted = kidney | without[numbered]  # a tumor apart from any kidney speaks for itself
    voxels = np.bincount(numbered[counted]).clip(min=1)
    share = np.bincount(numbered[counted], weights=beyond[counted]) / voxels
    for number, part in enumerate(share):
        if number and (part > whole_share or part < 1 - whole_share):
            right[numbered == number] = part > 0.5
    return right


def _world_x(shape: tuple[int, ...], box: tuple[slice, ...], affine: Array) -> Array:
    """World x (X, Y, Z) of the voxels of a box, in mm; broadcast from its three axes."""
    axes = [np.arange(n) + part.start for n, part in zip(shape, box, strict=True)]
    steps = affine[0, :3]
    x = affine[0, 3] + steps[0] * axes[0][:, None, None] + steps[1] * axes[1][None, :, None]
    return np.asarray(x + steps[2] * axes[2][None, None, :], dtype=np.float64)


def _midline(image: MetaTensor, box: tuple[slice, ...], sides: Sides) -> float:
    """World x of the middle of the body near the kidneys, in mm."""
    affine = np.asarray(image.affine, dtype=np.float64)
    # the whole field of view across, the kidneys' extent along the axis nearest to S
    along = int(np.argmax(np.abs(affine[2, :3])))
    step = sides.body_step
    span = [slice(None, None, step)] * 3
    span[along] = slice(box[along].start, box[along].stop, step)
    body = torch.nonzero(image.as_tensor()[0][tuple(span)] > sides.body_hu).double()
    if not len(body):
        return float(to_world(affine, (np.array(image.shape[1:]) - 1) / 2)[0])
    index = body.mean(dim=0).numpy() * step
    index[along] += box[along].start
    return float(to_world(affine, index)[0])
