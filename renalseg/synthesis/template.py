"""The torso that kidneys are implanted into, read from a real label map."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from scipy import ndimage
from scipy.spatial import ConvexHull, Delaunay
from torch import Tensor

from renalseg.synthesis.tissues import Tissue

# Structure names of TotalSegmentator, by prefix or substring.
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
        outside_mm: (X, Y, Z) int8, mm outside the hull of all organs, bones and back muscles,
            negative inside.
        kidneys: World side (-1 left, +1 right) to the center of its kidney, in voxels.
        spacing_mm: Size of a voxel.
    """

    tissue: Tensor
    outside_mm: Tensor
    kidneys: dict[int, np.ndarray]
    spacing_mm: float


def load_torso(labels: Path, reach_mm: float = 210.0) -> Torso:
    """Reads a TotalSegmentator label map.

    Args:
        labels: NIfTI with isotropic voxels; the .json next to it has the names.
        reach_mm: Extent of the torso that is kept above and below the kidneys.
    """
    image = nib.as_closest_canonical(nib.load(labels))
    values = np.asanyarray(image.dataobj)
    names = json.loads(labels.with_suffix("").with_suffix(".json").read_text(encoding="utf-8"))
    ids = {name: int(value) for value, name in names.items()}
    mm = float(image.header.get_zooms()[0])
    middle = np.argwhere(values == ids["kidney_left"])[:, 2].mean()
    low = max(0, int(middle - reach_mm / mm))
    values = values[:, :, low : int(middle + reach_mm / mm)]
    pad = int(60 / mm)  # room for the wall, fat and air around what is labeled
    values = np.pad(values, ((pad, pad), (pad, pad), (0, 0)))
    table = np.zeros(256, np.uint8)
    for name, value in ids.items():
        table[value] = _tissue_of(name)
    kidneys = {
        side: np.argwhere(values == ids[name]).mean(axis=0)
        for side, name in ((-1, "kidney_left"), (1, "kidney_right"))
    }
    tissue = table[values]
    outside = _outside_hull(values > 0, mm)
    tissue[(outside < 0) & (tissue == Tissue.AIR)] = Tissue.VISCERAL
    marrow = ndimage.binary_erosion(tissue == Tissue.CORTICAL_BONE, iterations=max(1, int(2 / mm)))
    tissue[marrow] = Tissue.MARROW
    return Torso(
        torch.from_numpy(tissue),
        torch.from_numpy(outside),
        kidneys,
        mm,
    )


def _tissue_of(name: str) -> Tissue:
    if name.startswith("kidney"):
        return Tissue.VISCERAL  # the kidneys of the template are removed
    for keys, tissue in _BY_NAME:
        if any(key in name for key in keys):
            return tissue
    return Tissue.ORGAN


def _outside_hull(labeled: np.ndarray, spacing_mm: float) -> np.ndarray:
    """Distance outside the convex hulls of the axial slices, smoothed along the body; mm, int8."""
    body = np.zeros_like(labeled)
    grid = np.stack(np.meshgrid(*map(np.arange, labeled.shape[:2]), indexing="ij"), axis=-1)
    for z in range(labeled.shape[2]):
        points = np.argwhere(labeled[:, :, z])
        if len(points) < 10:
            continue
        hull = Delaunay(points[ConvexHull(points).vertices])
        body[:, :, z] = hull.find_simplex(grid.reshape(-1, 2)).reshape(grid.shape[:2]) >= 0
    signed = ndimage.distance_transform_edt(~body, sampling=spacing_mm)
    signed -= ndimage.distance_transform_edt(body, sampling=spacing_mm)
    smooth = ndimage.gaussian_filter(signed.astype(np.float32), 6.0 / spacing_mm)
    return np.asarray(np.clip(np.round(smooth), -127, 127).astype(np.int8))
