"""Anatomies from real label maps: a torso whose kidneys are replaced by those of KiTS cases."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from scipy import ndimage
from torch import Generator, Tensor

from renalseg.synthesis.fields import chance, smooth_field, uniform
from renalseg.synthesis.hilum import paint_hilum
from renalseg.synthesis.phantom_painter import Painter
from renalseg.synthesis.template import Torso
from renalseg.synthesis.tissues import Anatomy, Tissue, bounding_box, with_depth

KITS_TISSUES = {1: Tissue.KIDNEY, 2: Tissue.TUMOR, 3: Tissue.CYST}
MIN_KIDNEY_ML = 40.0
_AIR_MM = 24.0  # kept around the body, with the table in it
_BUILD_MM = 90.0  # distance between the nodes of the field that deforms a torso
HARD = (Tissue.CORTICAL_BONE, Tissue.AIR)  # what an implanted kidney must not replace


def load_kits_kidneys(labels: Path, spacing_mm: float) -> list[tuple[int, np.ndarray]]:
    """The kidneys of a KiTS case, with their tumors and cysts.

    Args:
        labels: KiTS label map (1 kidney, 2 tumor, 3 cyst).
        spacing_mm: Size of the isotropic voxels of the result.

    Returns:
        For each kidney its world side and its tissue map in its own box, 0 outside it.
    """
    image = nib.as_closest_canonical(nib.load(labels))
    values = np.asanyarray(image.dataobj).astype(np.uint8)
    zoom = [float(z) / spacing_mm for z in image.header.get_zooms()]
    index = [
        np.minimum(((np.arange(max(1, round(n * f))) + 0.5) / f).astype(int), n - 1)
        for n, f in zip(values.shape, zoom, strict=True)
    ]
    values = values[np.ix_(*index)]
    parts, count = ndimage.label(values > 0)
    sizes = ndimage.sum_labels(values > 0, parts, range(1, count + 1)) * spacing_mm**3 / 1000
    middle = values.shape[0] / 2
    found = []
    for part in np.argsort(sizes)[::-1][:2]:
        if sizes[part] < MIN_KIDNEY_ML:
            continue
        box = ndimage.find_objects(parts)[part]
        own = values[box] * (parts[box] == part + 1)
        tissue = np.zeros_like(own)
        for value, kind in KITS_TISSUES.items():
            tissue[own == value] = kind
        side = 1 if (box[0].start + box[0].stop) / 2 > middle else -1
        found.append((side, tissue))
    return found


def implant(torso: Torso, cases: Sequence[Path], generator: Generator) -> Anatomy:
    """Implants kidneys from KiTS cases into a torso; sometimes one is missing or lies low.

    Args:
        torso: Where the kidneys go.
        cases: KiTS label maps to draw from.
        generator: Source of all randomness.
    """
    tissue, centers = _warp(torso, generator)
    noise = smooth_field(tissue.shape, (torso.spacing_mm,) * 3, 14.0, generator)[0]
    painter = Painter(tissue.shape, (torso.spacing_mm,) * 3, noise, tissue)
    missing = int(uniform(generator, 0, 24))  # 0 and 1: one side has no kidney
    for i, (side, center) in enumerate(sorted(centers.items())):
        if i == missing:
            continue
        kidney = _draw_kidney(cases, side, torso.spacing_mm, generator)
        shift = torch.randn(3, generator=generator).numpy() * [4.0, 4.0, 9.0]
        if chance(generator, 0.04):
            shift[2] -= uniform(generator, 40, 90)  # ptotic or pelvic kidney
        corner = np.round(center + shift / torso.spacing_mm - np.array(kidney.shape) / 2)
        # a third of the kidneys touch their neighbors
        fat = uniform(generator, 0, 1.5) if chance(generator, 0.35) else uniform(generator, 2, 9)
        _place(tissue, kidney, corner.astype(int), fat / torso.spacing_mm)
        paint_hilum(painter, side, generator)
    if chance(generator, 0.7):
        _paint_table(painter, generator)
    room = round(_AIR_MM / torso.spacing_mm)
    box = bounding_box((tissue != Tissue.AIR) & (tissue != Tissue.TABLE), room)
    return with_depth(tissue[box].contiguous(), (torso.spacing_mm,) * 3)


def _warp(torso: Torso, generator: Generator) -> tuple[Tensor, dict[int, np.ndarray]]:
    """Deforms a torso, adds fat and muscles, and returns where its kidneys would lie."""
    tissue = torso.tissue.clone()
    _lay_wall_and_fat(tissue, torso, generator)
    amplitude = uniform(generator, 0, 7.0) / torso.spacing_mm
    spacing = (torso.spacing_mm,) * 3
    field = smooth_field(tissue.shape, spacing, _BUILD_MM, generator, channels=3).mul_(amplitude)
    size = uniform(generator, 0.95, 1.22)  # the map is of a slender patient
    scale = [size * uniform(generator, 0.94, 1.06) for _ in range(3)]
    center = [(n - 1) / 2 for n in tissue.shape]
    axes = [
        (torch.arange(n) - c) / s + c for n, c, s in zip(tissue.shape, center, scale, strict=True)
    ]
    index = torch.zeros_like(tissue, dtype=torch.int32)
    for axis, line in enumerate(axes):  # voxels beyond the torso repeat its border
        shape = [-1 if a == axis else 1 for a in range(3)]
        own = (line.reshape(shape) + field[axis]).round_().clamp_(0, tissue.shape[axis] - 1)
        index.mul_(tissue.shape[axis]).add_(own.int())
    moved = tissue.reshape(-1)[index]
    centers = {}
    for side, voxel in torso.kidneys.items():
        at = tuple(round(float(v)) for v in voxel)
        shift = np.array([float(field[(axis, *at)]) for axis in range(3)])
        centers[side] = (voxel - shift - center) * scale + center
    return moved, centers


def _paint_table(painter: Painter, generator: Generator) -> None:
    """Paints a curved table under the back."""
    body = torch.nonzero((painter.tissue != Tissue.AIR).any(dim=2).any(dim=0))
    rows = painter.tissue.shape[1]
    back = (float(body.min()) - (rows - 1) / 2) * painter.spacing[1] if len(body) else 0.0
    top, thick = back - uniform(generator, 0, 10), uniform(generator, 2, 5)
    bow, half = uniform(generator, 0, 25), uniform(generator, 180, 230)
    painter.paint(
        Tissue.TABLE,
        lambda x, y, z: (
            ((y - top + thick - bow * (x / half) ** 2).abs() < thick) & (x.abs() < half)
        ),
        over=(Tissue.AIR,),
    )


def _draw_kidney(
    cases: Sequence[Path], side: int, spacing_mm: float, generator: Generator
) -> np.ndarray:
    while True:
        case = cases[int(torch.randint(len(cases), (), generator=generator))]
        kidneys = load_kits_kidneys(case, spacing_mm)
        own = [k for s, k in kidneys if s == side] or [k[::-1] for _, k in kidneys]
        if own:
            return own[0]


def _place(tissue: Tensor, kidney: np.ndarray, corner: np.ndarray, fat: float) -> None:
    """Writes the kidney and a ring of fat, `fat` voxels wide, around it."""
    margin = int(np.ceil(fat))
    grown = np.pad(kidney, margin)
    corner = corner - margin
    low = np.maximum(corner, 0)
    high = np.minimum(corner + grown.shape, tissue.shape)
    if (high <= low).any():
        return
    part = torch.from_numpy(
        grown[tuple(slice(a - c, b - c) for a, b, c in zip(low, high, corner, strict=True))].copy()
    )
    view = tissue[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    free = ~torch.isin(view, torch.tensor(HARD, dtype=view.dtype))
    outside = torch.from_numpy(ndimage.distance_transform_edt((part == 0).numpy()))
    view[(part == 0) & (outside < fat) & free & (view != Tissue.MUSCLE)] = int(Tissue.VISCERAL)
    inside = (part > 0) & free
    view[inside] = part[inside]


def _lay_wall_and_fat(tissue: Tensor, torso: Torso, generator: Generator) -> None:
    """Adds the muscles of the wall and the fat under the skin, which the label map lacks."""
    outside = torso.outside_mm
    noise = smooth_field(outside.shape, (torso.spacing_mm,) * 3, 110.0, generator)[0]
    wall = uniform(generator, 4, 15) * (1 + 0.25 * noise)
    skin = wall + uniform(generator, 3, 38) * (1 + 0.35 * noise).clamp(min=0.2)
    free = (tissue == Tissue.AIR) & (outside > -2)
    tissue[free & (outside < wall)] = int(Tissue.MUSCLE)
    tissue[free & (outside >= wall) & (outside < skin)] = int(Tissue.FAT)
