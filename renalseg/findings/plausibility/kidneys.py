"""Checks whether a piece can be a kidney."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from types import MappingProxyType

import numpy as np
from scipy.spatial import ConvexHull, QhullError

from renalseg.components import Box, Mask, bounding_box, grow_box
from renalseg.findings.plausibility.scene import AIR_HU, BONE_HU, FAT_HU, Scene, depth_in
from renalseg.limits import KidneyRange, Plausibility

_INSIDE_BONE_HU = 400.0  # enhanced cortex and vessels are less dense
_ENOUGH = 30  # voxels that say something about density
Traits = Mapping[str, float]

_SAID = MappingProxyType(
    {
        "volume_ml": "a volume of {:.0f} ml",
        "length_mm": "a length of {:.0f} mm",
        "median_hu": "a density of {:.0f} HU",
        "spread_hu": "densities that differ by {:.0f} HU",
        "bone_inside": "{:.0%} bone in it",
        "fat_around": "{:.0%} fat around it",
        "bone_around": "{:.0%} bone around it",
        "air_around": "{:.0%} air around it",
        "solidity": "a ragged shape (it fills {:.0%} of its hull)",
        "flat_face": "a side that is cut straight",
        "midline_share": "its full width on the midline of the body",
        "lateral_mm": "a position {:.0f} mm lateral to the spine",
        "forward_mm": "a position {:.0f} mm in front of the spine",
        "spine": "no spine next to it",
    }
)


def measure_traits(scene: Scene, number: int, layer_mm: tuple[float, float]) -> Traits:
    """The traits of one piece, by the names of `KidneyRange`.

    Args:
        scene: What was found.
        number: Of the piece; at least one voxel of the scene belongs to it.
        layer_mm: From where to where the layer around it goes.
    """
    whole = bounding_box(scene.pieces == number)
    if whole is None:
        raise ValueError(f"expected the piece {number} in the scene, found none")
    box = grow_box(whole, layer_mm[1] / scene.spacing, scene.hu.shape)
    piece, hu = scene.pieces[box] == number, scene.hu[box]
    return {
        "volume_ml": float(piece.sum()) * scene.voxel_ml,
        **_shape(piece, scene, box),
        **_density(piece, scene.tumors[box] > 0, hu, scene),
        **_surroundings(piece, scene.pieces[box] > 0, hu, scene, layer_mm),
        **_place(piece, box, scene),
    }


def _shape(piece: Mask, scene: Scene, box: Box) -> Traits:
    inner = depth_in(piece, scene.spacing) > scene.spacing.max() * 1.01
    surface = np.argwhere(piece & ~inner) * scene.spacing
    offset = surface - surface.mean(axis=0)
    axes = np.linalg.eigh(offset.T @ offset)[1]
    try:
        hull = float(ConvexHull(surface).volume)
    except QhullError:  # flat
        hull = np.inf
    return {
        "length_mm": float(np.ptp(offset @ axes[:, -1])),
        "solidity": float(piece.sum()) * scene.voxel_ml * 1000 / hull,
        "flat_face": _flat_face(piece, scene, box),
    }


def _flat_face(piece: Mask, scene: Scene, box: Box) -> float:
    """The ends of a grown thing are small; what the scan itself cuts does not count."""
    largest = 0.0
    for axis in range(3):
        sections = piece.sum(axis=tuple(other for other in range(3) if other != axis))
        filled = np.flatnonzero(sections)
        last = scene.hu.shape[axis] - 1
        for end, edge, cut in ((0, 0, scene.ends[axis][0]), (-1, last, scene.ends[axis][1])):
            if not (cut and filled[end] + box[axis].start == edge):
                largest = max(largest, float(sections[filled[end]] / sections.max()))
    return largest


def _density(piece: Mask, tumor: Mask, hu: np.ndarray, scene: Scene) -> Traits:
    """Measures HU of the tissue below the surface, or of all tissue if there is too little."""
    below = depth_in(piece, scene.spacing) > scene.spacing.min() * 1.01
    masks = (piece & below & ~tumor, piece & below, piece)
    values = next((hu[mask] for mask in masks if mask.sum() >= _ENOUGH), hu[piece])
    low, median, high = np.percentile(values, (25, 50, 75))
    return {
        "median_hu": float(median),
        "spread_hu": float(high - low),
        "bone_inside": float((hu[piece] > _INSIDE_BONE_HU).mean()),
    }


def _surroundings(
    piece: Mask, found: Mask, hu: np.ndarray, scene: Scene, layer_mm: tuple[float, float]
) -> Traits:
    away = depth_in(~piece, scene.spacing)
    layer = hu[(away > layer_mm[0]) & (away <= layer_mm[1]) & ~found]
    if not layer.size:
        return {"fat_around": 0.0, "bone_around": 0.0, "air_around": 0.0}
    return {
        "fat_around": float(((layer > FAT_HU[0]) & (layer < FAT_HU[1])).mean()),
        "bone_around": float((layer > BONE_HU).mean()),
        "air_around": float((layer < AIR_HU).mean()),
    }


def _place(piece: Mask, box: Box, scene: Scene) -> Traits:
    x, y, bone = scene.spine
    center = [
        np.average(np.arange(n), weights=piece.sum(axis=tuple({0, 1, 2} - {axis}))) + part.start
        for axis, (n, part) in enumerate(zip(piece.shape, box, strict=True))
    ]
    sections = piece.sum(axis=(1, 2))
    middle = round(scene.middle) - box[0].start
    there = sections[middle] if 0 <= middle < len(sections) else 0
    return {
        "midline_share": float(there / sections.max()),
        "lateral_mm": float(abs(center[0] - x) * scene.spacing[0]),
        "forward_mm": float((center[1] - y) * scene.spacing[1]),
        "spine": bone,
    }


def reaches_end(scene: Scene, number: int) -> bool:
    """Whether the scan ends within a piece, so that volume and length say less."""
    box = bounding_box(scene.pieces == number)
    return box is not None and any(
        (part.start == 0 and first) or (part.stop == size and last)
        for part, size, (first, last) in zip(box, scene.hu.shape, scene.ends, strict=True)
    )


def doubts(traits: Traits, ranges: KidneyRange, *, cut: bool = False) -> list[str]:
    """Lists the traits outside of their ranges, in words.

    Args:
        traits: Of a piece.
        ranges: From where to where each goes.
        cut: Whether the scan ends within it: it is larger than was seen.
    """
    outside = []
    for field in fields(ranges):
        low, high = getattr(ranges, field.name)
        value = traits[field.name]
        small = cut and field.name in ("volume_ml", "length_mm")
        if value > high or (value < low and not small):
            outside.append(_SAID[field.name].format(value))
    return outside


def why_not(traits: Traits, limits: Plausibility, *, cut: bool, elsewhere: bool) -> list[str]:
    """Lists why a piece cannot be a kidney, in words; empty if it can.

    Args:
        traits: Of the piece.
        limits: Of the method.
        cut: Whether the scan ends within it.
        elsewhere: Whether the header names a part of the body far from the kidneys.
    """
    impossible = doubts(traits, limits.possible, cut=cut)
    unusual = doubts(traits, limits.usual, cut=cut)
    unusual += ["a scan of another part of the body"] * elsewhere
    if impossible or len(unusual) > limits.most_doubts:
        return [*impossible, *(text for text in unusual if text not in impossible)]
    return []
