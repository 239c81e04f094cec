"""Contrast phase from the pixels of aorta, cortex, medulla and renal pelvis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from monai.data import MetaTensor
from scipy import ndimage

from renalseg.components import Mask, bounding_box, grow_box
from renalseg.findings.plausibility.scene import (
    Found,
    Scene,
    depth_in,
    make_scene,
    on_side,
    sides_in,
)
from renalseg.geometry import Array
from renalseg.labels import ContrastPhase, Side
from renalseg.limits import PhaseLimits, Plausibility

_CORTEX_MM, _MEDULLA_MM = (2.4, 5.5), 9.0  # below the surface of the kidney
_ENOUGH_ML = 3.0  # of a tissue, below which its density says nothing
_BEFORE_MM = (10.0, 90.0)  # where the aorta lies, in front of the middle of the spine
_BESIDE_MM = 40.0
_VESSEL_MM, _ALONG_MM = 9.0, 40.0  # the aorta is as even as this is wide and long
_EVEN_HU = 15.0  # a column of vertebrae and discs changes more than this along the body
_VESSEL_HU = (0.0, 600.0)


class Signs(NamedTuple):
    """HU that distinguish the phases; nan if not seen.

    Attributes:
        aorta: Of the brightest vessel before the spine.
        cortex: Of the outer layer of the kidneys.
        medulla: Of the tissue within.
        kidney: Of all tissue below the surface.
        urine_ml: Volume of contrast medium in the pelvis of the kidney that has least of it.
    """

    aorta: float
    cortex: float
    medulla: float
    kidney: float
    urine_ml: float


def recognize(
    image: MetaTensor, labels: npt.NDArray[np.uint8], limits: Plausibility
) -> ContrastPhase:
    """Determines the phase of a CT in which the kidneys are known.

    Args:
        image: HU (1, X, Y, Z), affine in RAS mm with orthogonal axes.
        labels: (X, Y, Z) on its grid: 0 background, 1 kidney, 2 tumor, 3 cyst.
        limits: Of the method.
    """
    found = Found.of(labels)
    if found is None:
        return ContrastPhase.UNKNOWN
    affine = np.asarray(image.affine, dtype=np.float64)
    scene = make_scene(image[0].numpy(), affine, found, limits.step_mm)
    sides = sides_in(scene)
    kidneys = [mask for side in Side if (mask := on_side(scene, sides, side)).any()]
    return phase_of(read_signs(scene, kidneys, limits.phase), limits.phase)


def read_signs(scene: Scene, kidneys: list[Mask], limits: PhaseLimits) -> Signs:
    """Measures the signs.

    Args:
        scene: What was found.
        kidneys: A mask of each, (X, Y, Z), with its tumors.
        limits: Of the method.
    """
    aorta, (low, high) = _aorta(scene), _CORTEX_MM
    parts = [_Part.of(scene, kidney) for kidney in kidneys]
    cortex = _median(scene, [p.hu[p.tissue & (p.depth > low) & (p.depth < high)] for p in parts])
    inner = [p.hu[p.tissue & (p.depth > _MEDULLA_MM) & (p.hu > 0)] for p in parts]  # no sinus fat
    below = [p.hu[p.tissue & (p.depth > low)] for p in parts]
    bright = np.nanmax([aorta, cortex, 150.0]) + limits.urine_hu
    excreted = [float((p.hu[p.within] > bright).sum()) * scene.voxel_ml for p in parts]
    medulla, kidney = _median(scene, inner), _median(scene, below)
    return Signs(aorta, cortex, medulla, kidney, min(excreted, default=0.0))


def phase_of(signs: Signs, limits: PhaseLimits) -> ContrastPhase:
    """Determines the phase from the signs.

    Args:
        signs: What was seen.
        limits: Of the method.
    """
    aorta, cortex, medulla, kidney, urine_ml = signs
    if not kidney >= limits.kidney_hu:  # nan is no evidence either
        # diseased kidneys may stay dark where the vessels show that contrast medium was given
        plain = kidney < limits.kidney_hu and not aorta >= limits.aorta_hu
        return ContrastPhase.NONCONTRAST if plain else ContrastPhase.UNKNOWN
    layered = cortex - medulla > limits.medulla_hu
    if urine_ml >= limits.urine_ml and not layered:
        return ContrastPhase.EXCRETORY
    if layered and aorta - cortex > limits.first_pass_hu:
        return ContrastPhase.CORTICOMEDULLARY
    return ContrastPhase.NEPHROGRAPHIC


class _Part(NamedTuple):
    """A kidney in its box.

    Attributes:
        hu: (X, Y, Z).
        tissue: Kidney without its tumors, or all of it where they leave too little.
        depth: Of each voxel below the surface, mm.
        within: The kidney and what it encloses, where its pelvis lies, without its surface.
    """

    hu: npt.NDArray[np.float32]
    tissue: Mask
    depth: Array
    within: Mask

    @staticmethod
    def of(scene: Scene, kidney: Mask) -> _Part:
        """Crops a mask (X, Y, Z) and the scene to what there is of it."""
        whole = bounding_box(kidney)
        if whole is None:
            raise ValueError("expected a kidney, got an empty mask")
        box = grow_box(whole, (2, 2, 2), kidney.shape)
        mask, hu = kidney[box], scene.hu[box]
        tissue = mask & (scene.tumors[box] == 0)
        if tissue.sum() * scene.voxel_ml < _ENOUGH_ML:
            tissue = mask
        closed = ndimage.binary_closing(mask, iterations=2)
        within = depth_in(closed, scene.spacing) > _CORTEX_MM[1]
        return _Part(hu, tissue, depth_in(mask, scene.spacing), within)


def _median(scene: Scene, parts: Sequence[npt.NDArray[np.float32]]) -> float:
    values = np.concatenate(parts)
    return float(np.median(values)) if len(values) * scene.voxel_ml > _ENOUGH_ML else float("nan")


def _aorta(scene: Scene) -> float:
    """HU of the brightest column before the spine that is as wide, long and even as the aorta.

    Without contrast medium that is any muscle or vessel: then it is as dark as these.
    """
    x, y, _ = scene.spine
    across, forward, along = scene.spacing
    beside = round(_BESIDE_MM / across)
    front = [round(mm / forward) for mm in _BEFORE_MM]
    part = scene.hu[
        max(0, round(x) - beside) : round(x) + beside + 1,
        max(0, round(y) + front[0]) : max(0, round(y) + front[1]),
        scene.levels,
    ]
    if min(part.shape, default=0) < 2:
        return float("nan")
    size = [max(1, round(_VESSEL_MM / mm)) for mm in (across, forward)]
    disc = ndimage.uniform_filter(part, [*size, 1])
    uneven = ndimage.uniform_filter(part**2, [*size, 1]) - disc**2
    length = min(part.shape[2], max(2, round(_ALONG_MM / along)))
    column = ndimage.uniform_filter1d(disc, length, axis=2)
    change = ndimage.uniform_filter1d(disc**2, length, axis=2) - column**2
    inside = ndimage.uniform_filter1d(uneven, length, axis=2)
    even = (change < _EVEN_HU**2) & (inside < np.maximum(30.0, 0.12 * column) ** 2)
    even &= (column > _VESSEL_HU[0]) & (column < _VESSEL_HU[1])
    middle = slice(length // 2, part.shape[2] - (length - 1) // 2)
    seen = column[:, :, middle][even[:, :, middle]]
    return float(seen.max()) if seen.size else float("nan")
