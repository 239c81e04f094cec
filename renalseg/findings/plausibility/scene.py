"""The scene of the plausibility check: a coarse copy of the CT around the findings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, TypeVar

import nibabel as nib
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from renalseg.components import Box, Mask, bounding_box, components
from renalseg.geometry import Array
from renalseg.labels import TUMOR, Side

FAT_HU, BONE_HU, AIR_HU = (-150.0, -40.0), 180.0, -400.0
_BODY_HU = -300.0
_NEAR_MM = 30.0  # so much above and below what was found belongs to the scene
_SPINE_MM = 15.0  # the blur that makes one hill of a vertebra
_AXIAL_MM = 40.0  # the spine is not farther from the middle of the body

Labels = npt.NDArray[np.int32]
_Number = TypeVar("_Number", np.float32, np.int32)


@dataclass(frozen=True, eq=False)
class Scene:
    """A volume around what was found, its axes to R, A and S.

    Attributes:
        hu: (X, Y, Z) float32.
        pieces: Connected pieces of what was found, from 1, the largest first; (X, Y, Z).
        tumors: Connected pieces of `TUMOR`, likewise.
        spacing: Mm along x, y and z.
        ends: Whether the first and last planes of x, y and z are the ends of the scan.
    """

    hu: npt.NDArray[np.float32]
    pieces: Labels
    tumors: Labels
    spacing: Array
    ends: tuple[tuple[bool, bool], ...]

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel."""
        return float(np.prod(self.spacing)) / 1000

    @cached_property
    def levels(self) -> slice:
        """The planes between the lowest and the highest voxel of what was found."""
        box = bounding_box(self.pieces)
        return slice(0, self.hu.shape[2]) if box is None else box[2]

    @cached_property
    def middle(self) -> float:
        """Index x of the middle of the body."""
        body = (self.hu[:, :, self.levels] > _BODY_HU).sum(axis=(1, 2))
        x = np.arange(len(body))
        return float((x * body).sum() / body.sum()) if body.any() else (len(body) - 1) / 2

    @cached_property
    def spine(self) -> tuple[float, float, float]:
        """Index x and y of the spine, and how much of the planes is bone there, 0 to 1.

        Ribs and the blades of the pelvis run obliquely; a column of bone through all planes is the
        spine.
        """
        bone = (self.hu[:, :, self.levels] > BONE_HU).mean(axis=2)
        hill = ndimage.gaussian_filter(bone, _SPINE_MM / self.spacing[:2])
        away = np.abs(np.arange(len(hill)) - self.middle) * self.spacing[0]
        hill[away > _AXIAL_MM] = 0
        x, y = np.unravel_index(int(hill.argmax()), hill.shape)
        return float(x), float(y), float(hill.max())


@dataclass(frozen=True, eq=False)
class Found:
    """The components of a label map (X, Y, Z), within the box of all of them.

    Attributes:
        box: Where they lie.
        pieces: What is connected, from 1, the largest first.
        tumors: What is connected of `TUMOR`, likewise.
    """

    box: Box
    pieces: Labels
    tumors: Labels

    @staticmethod
    def of(labels: npt.NDArray[np.uint8]) -> Found | None:
        """The components, or None if there is no label."""
        box = bounding_box(labels)
        if box is None:
            return None
        local = labels[box]
        tumors = local == TUMOR
        numbered = components(tumors)[0] if tumors.any() else np.zeros(local.shape, np.int32)
        return Found(box, components(local > 0)[0], numbered)


class _Axis(NamedTuple):
    """Which voxels of an array axis belong to a scene.

    Attributes:
        picked: Every so many, from first to last; the first of what was found is among them.
        place: Where what was found lies in them.
        ends: Whether they start and stop where the scan does.
        flipped: Whether the axis runs against R, A or S.
    """

    picked: slice
    place: slice
    ends: tuple[bool, bool]
    flipped: bool

    @staticmethod
    def of(part: slice, size: int, near: int, step: int, flipped: bool) -> _Axis:
        """Picks voxels of an axis of some size, up to `near` voxels before and behind a part."""
        start, stop = max(0, part.start - near), min(size, part.stop + near)
        first = start + (part.start - start) % step
        before = (part.start - first) // step
        place = slice(before, before - (part.start - part.stop) // step)
        return _Axis(slice(first, stop, step), place, (start == 0, stop == size), flipped)


def make_scene(
    image: npt.NDArray[np.float32], affine: Array, found: Found, step_mm: float
) -> Scene:
    """Takes every so many voxels of the planes around what was found.

    Args:
        image: HU (X, Y, Z).
        affine: To RAS mm; its axes stand at right angles.
        found: What was found on the same grid.
        step_mm: About how far apart the voxels are.
    """
    orientation = nib.orientations.io_orientation(affine)
    order = np.argsort(orientation[:, 0])
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    every = np.maximum(1, np.round(step_mm / spacing)).astype(int)
    near = [*image.shape]  # whole planes, and not all of them
    near[order[2]] = int(np.ceil(_NEAR_MM / spacing[order[2]]))
    axes = [
        _Axis.of(*values, bool(orientation[number, 1] < 0))
        for number, values in enumerate(
            zip(found.box, image.shape, near, every.tolist(), strict=True)
        )
    ]

    def turn(volume: npt.NDArray[_Number]) -> npt.NDArray[_Number]:
        flips = tuple(slice(None, None, -1 if axes[n].flipped else 1) for n in order)
        return np.ascontiguousarray(volume.transpose(order)[flips])

    def spread(local: Labels) -> Labels:
        coarse = np.zeros(hu.shape, np.int32)
        steps = tuple(slice(None, None, step) for step in every.tolist())
        coarse[tuple(axis.place for axis in axes)] = local[steps]
        return coarse

    hu = image[tuple(axis.picked for axis in axes)]
    ends = tuple(axes[n].ends[::-1] if axes[n].flipped else axes[n].ends for n in order)
    scaled = np.asarray((spacing * every)[order], dtype=np.float64)
    return Scene(turn(hu), turn(spread(found.pieces)), turn(spread(found.tumors)), scaled, ends)


def depth_in(mask: Mask, spacing: Array) -> Array:
    """Distance (X, Y, Z) of each voxel of a mask from what is outside of it, in mm."""
    depth = np.zeros(mask.shape)
    box = bounding_box(mask)
    if box is not None:
        padded = np.pad(mask[box], 1)
        depth[box] = ndimage.distance_transform_edt(padded, sampling=spacing)[1:-1, 1:-1, 1:-1]
    return depth


def on_side(scene: Scene, sides: Mapping[int, Side], side: Side) -> Mask:
    """Returns the mask (X, Y, Z) of the pieces of a side.

    Args:
        scene: Where they lie.
        sides: The sides of the pieces that count, by their numbers.
        side: Which one.
    """
    return np.isin(scene.pieces, [number for number, each in sides.items() if each == side])


def sides_in(scene: Scene) -> dict[int, Side]:
    """Returns the side of each piece by the spine, or by the middle of the body without one."""
    x, _, bone = scene.spine
    middle = x if bone > 0 else scene.middle
    box = bounding_box(scene.pieces)
    if box is None:
        return {}
    pieces, start = scene.pieces[box], max(0, int(np.ceil(middle)) - box[0].start)
    counts = np.bincount(pieces.ravel())
    right = np.bincount(pieces[start:].ravel(), minlength=len(counts))
    return {
        number: Side.RIGHT if 2 * right[number] > counts[number] else Side.LEFT
        for number in range(1, len(counts))
        if counts[number]
    }
