"""Anatomies from real label maps: a torso whose kidneys are replaced by those of KiTS cases."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from scipy import ndimage
from scipy.spatial import ConvexHull, Delaunay
from torch import Generator, Tensor

from renalseg.synthesis.depth import with_depth
from renalseg.synthesis.fields import chance, uniform
from renalseg.synthesis.tissues import Anatomy, Tissue

KITS_TISSUES = {1: Tissue.KIDNEY, 2: Tissue.TUMOR, 3: Tissue.CYST}
MIN_KIDNEY_ML = 40.0
HARD = (Tissue.CORTICAL_BONE, Tissue.AIR)  # what an implanted kidney must not replace

# Structure names of TotalSegmentator, by how they begin or what they contain.
_BY_NAME: tuple[tuple[tuple[str, ...], Tissue], ...] = (
    (("costal_cartilages",), Tissue.CARTILAGE),
    (
        (
            *("vertebrae", "rib_", "sternum", "hip_", "sacrum", "scapula"),
            *("humerus", "clavicula", "femur", "skull"),
        ),
        Tissue.CORTICAL_BONE,
    ),
    (("lung_", "trachea"), Tissue.LUNG),
    (("autochthon", "iliopsoas", "gluteus"), Tissue.MUSCLE),
    (("aorta", "artery", "brachiocephalic_trunk"), Tissue.ARTERY),
    (("vena", "vein"), Tissue.VEIN),
    (("colon", "small_bowel", "duodenum", "stomach", "esophagus"), Tissue.BOWEL),
    (("liver",), Tissue.LIVER),
    (("spleen",), Tissue.SPLEEN),
    (("pancreas",), Tissue.PANCREAS),
    (("gallbladder",), Tissue.GALLBLADDER),
    (("urinary_bladder", "spinal_cord"), Tissue.FLUID),
)


@dataclass(frozen=True)
class Torso:
    """A torso without kidneys.

    Attributes:
        tissue: (X, Y, Z) uint8, `Tissue`, axes R, A, S, isotropic.
        body_depth: (X, Y, Z) uint8, mm below the skin.
        kidneys: World side (-1 left, +1 right) to the center of its kidney, in voxels.
        spacing_mm: Size of a voxel.
    """

    tissue: Tensor
    body_depth: Tensor
    kidneys: dict[int, np.ndarray]
    spacing_mm: float


def load_torso(labels: Path, reach_mm: float = 210.0) -> Torso:
    """Reads a TotalSegmentator label map.

    Args:
        labels: NIfTI with isotropic voxels; its names stand in the .json beside it.
        reach_mm: How far above and below the kidneys the torso is kept.
    """
    image = nib.as_closest_canonical(nib.load(labels))
    values = np.asanyarray(image.dataobj)
    names = json.loads(labels.with_suffix("").with_suffix(".json").read_text())
    ids = {name: int(value) for value, name in names.items()}
    mm = float(image.header.get_zooms()[0])
    middle = np.argwhere(values == ids["kidney_left"])[:, 2].mean()
    low = max(0, int(middle - reach_mm / mm))
    values = values[:, :, low : int(middle + reach_mm / mm)]
    pad = int(30 / mm)  # skin and air around what is labeled
    values = np.pad(values, ((pad, pad), (pad, pad), (0, 0)))
    table = np.zeros(256, np.uint8)
    for name, value in ids.items():
        table[value] = _tissue_of(name)
    kidneys = {
        side: np.argwhere(values == ids[name]).mean(axis=0)
        for side, name in ((-1, "kidney_left"), (1, "kidney_right"))
    }
    tissue = table[values]
    hull = _hull(values > 0, grow=int(9 / mm))
    depth = ndimage.distance_transform_edt(hull, sampling=mm)
    tissue[hull & (tissue == Tissue.AIR)] = Tissue.VISCERAL
    marrow = ndimage.binary_erosion(tissue == Tissue.CORTICAL_BONE, iterations=max(1, int(2 / mm)))
    tissue[marrow] = Tissue.MARROW
    return Torso(
        torch.from_numpy(tissue),
        torch.from_numpy(np.minimum(depth, 255).astype(np.uint8)),
        kidneys,
        mm,
    )


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
    """A torso with kidneys from KiTS cases; sometimes one kidney is missing or lies low.

    Args:
        torso: Where the kidneys go.
        cases: KiTS label maps to draw from.
        generator: Source of all randomness.
    """
    tissue = torso.tissue.clone()
    _lay_fat_and_wall(tissue, torso.body_depth, generator)
    missing = int(uniform(generator, 0, 24))  # 0 and 1: one side has no kidney
    for i, (side, center) in enumerate(sorted(torso.kidneys.items())):
        if i == missing:
            continue
        kidney = _draw_kidney(cases, side, torso.spacing_mm, generator)
        shift = torch.randn(3, generator=generator).numpy() * [4.0, 4.0, 9.0]
        if chance(generator, 0.04):
            shift[2] -= uniform(generator, 40, 90)  # ptotic or pelvic kidney
        corner = np.round(center + shift / torso.spacing_mm - np.array(kidney.shape) / 2)
        _place(tissue, kidney, corner.astype(int), uniform(generator, 2, 9) / torso.spacing_mm)
    return with_depth(tissue, (torso.spacing_mm,) * 3)


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


def _lay_fat_and_wall(tissue: Tensor, body_depth: Tensor, generator: Generator) -> None:
    """Skin fat and the muscles of the wall, which the label map does not hold."""
    filler = tissue == Tissue.VISCERAL
    fat = uniform(generator, 3, 22)
    wall = fat + uniform(generator, 5, 16)
    tissue[filler & (body_depth < fat)] = int(Tissue.FAT)
    tissue[filler & (body_depth >= fat) & (body_depth < wall)] = int(Tissue.MUSCLE)


def _tissue_of(name: str) -> Tissue:
    if name.startswith("kidney"):
        return Tissue.VISCERAL  # the template's own kidneys make room
    for keys, tissue in _BY_NAME:
        if any(key in name for key in keys):
            return tissue
    return Tissue.ORGAN


def _hull(labeled: np.ndarray, grow: int) -> np.ndarray:
    """Convex hull of each axial slice, grown in plane: the body outline."""
    body = np.zeros_like(labeled)
    grid = np.stack(np.meshgrid(*map(np.arange, labeled.shape[:2]), indexing="ij"), axis=-1)
    for z in range(labeled.shape[2]):
        points = np.argwhere(labeled[:, :, z])
        if len(points) < 10:
            continue
        hull = Delaunay(points[ConvexHull(points).vertices])
        body[:, :, z] = hull.find_simplex(grid.reshape(-1, 2)).reshape(grid.shape[:2]) >= 0
    disc = np.hypot(*np.mgrid[-grow : grow + 1, -grow : grow + 1]) <= grow
    return np.asarray(ndimage.binary_dilation(body, disc[:, :, None]))
