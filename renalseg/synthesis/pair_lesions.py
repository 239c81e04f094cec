"""Tumors and cysts of KiTS shapes, implanted into synthetic and real kidneys without lesions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from scipy import ndimage
from torch import Generator, Tensor
from torch.nn import functional

from renalseg.labels import BACKGROUND, CYST, KIDNEY, TUMOR
from renalseg.synthesis.fields import chance, gaussian_blur, uniform
from renalseg.synthesis.pair_appearance import Canvas, Parenchyma, cyst_hu, noise, tumor_hu
from renalseg.synthesis.scanner import Phase

_SMALL_MM2, _LARGE_MM2 = (60.0, 700.0), (400.0, 4000.0)  # of the middle slice
_LEAST_PIXELS = 30  # of a lesion in the middle slice, where it counts as placed
_LEAST_KIDNEY = 150  # pixels of kidney in the middle slice, below which nothing is placed
_HARD_HU = 160.0  # HU outside the kidney: bone and vessels, into which no lesion grows
_CONTRAST_HU = 60.0  # of the cortex


class Shape(NamedTuple):
    """Consecutive slices of one lesion.

    Attributes:
        kind: `TUMOR` or `CYST`.
        mask: (X, Y, Z) bool, in its own box.
        area_mm2: Of the middle slice.
    """

    kind: int
    mask: Tensor
    area_mm2: float


def lesion_shapes(label: Tensor, spacing: Sequence[float], slices: int) -> list[Shape]:
    """The lesions of a label map, from every other slice that they are in.

    Args:
        label: (X, Y, Z) uint8, on the grid that they are placed in.
        spacing: mm along x, y, z.
        slices: Number of slices of a shape, odd.
    """
    half, shapes = slices // 2, []
    for kind in (TUMOR, CYST):
        lesions = (label == kind).numpy()
        for z in range(half, lesions.shape[2] - half, 2):
            numbered, count = ndimage.label(lesions[..., z])
            if not count:
                continue
            largest = 1 + int(np.bincount(numbered.ravel())[1:].argmax())
            x, y = ndimage.find_objects(numbered)[largest - 1]
            mask = lesions[x, y, z - half : z + half + 1].copy()
            area = float((numbered == largest).sum()) * spacing[0] * spacing[1]
            shapes.append(Shape(kind, torch.from_numpy(mask), area))
    return [shape for shape in shapes if _SMALL_MM2[0] < shape.area_mm2 < _LARGE_MM2[1]]


def place(
    label: Tensor, shapes: Sequence[Shape], kind: int, generator: Generator, *, small: bool
) -> Tensor | None:
    """Draws the position of a lesion at the surface of a kidney or within it.

    Args:
        label: (X, Y, Z) uint8.
        shapes: To draw from.
        kind: `TUMOR` or `CYST`.
        generator: Source of all randomness.
        small: Draw only from shapes of up to 3 cm.

    Returns:
        (X, Y, Z) bool, clear of other lesions; None if it does not fit.
    """
    kidney = (label[..., label.shape[-1] // 2] == KIDNEY).numpy()
    low, high = _SMALL_MM2 if small else _LARGE_MM2
    fitting = [s for s in shapes if s.kind == kind and low < s.area_mm2 < high]
    if kidney.sum() < _LEAST_KIDNEY or not fitting:
        return None
    mask = _turned(fitting[int(torch.randint(len(fitting), (), generator=generator))], generator)
    depth = ndimage.distance_transform_edt(kidney)
    band = np.argwhere((depth > 0) & (depth < uniform(generator, 1, 8)))
    center = band[int(torch.randint(len(band), (), generator=generator))]
    placed = torch.zeros(label.shape, dtype=torch.bool)
    _paste(placed, mask, center - np.array(mask.shape[:2]) // 2)
    placed &= label <= KIDNEY
    middle = placed[..., label.shape[-1] // 2]
    inside = float((middle & torch.from_numpy(kidney)).sum())
    enough = middle.sum() >= _LEAST_PIXELS and inside >= 0.25 * float(middle.sum())
    return placed if enough else None


def _turned(shape: Shape, generator: Generator) -> Tensor:
    """Rotates and scales a shape in its slices; (X, Y, Z) bool."""
    scale = float(np.exp(uniform(generator, -0.3, 0.25)))
    slices = shape.mask.permute(2, 0, 1).numpy().astype(np.float32)
    turned = ndimage.rotate(slices, uniform(generator, 0, 360), axes=(1, 2), order=1)
    size = [max(2, round(n * scale)) for n in turned.shape[1:]]
    scaled = functional.interpolate(torch.from_numpy(turned)[None], size=size, mode="bilinear")
    return scaled[0].permute(1, 2, 0) > 0.5


def _paste(target: Tensor, mask: Tensor, corner: np.ndarray) -> None:
    low = [max(0, int(c)) for c in corner]
    high = [min(n, int(c) + m) for c, n, m in zip(corner, target.shape, mask.shape, strict=False)]
    if any(b <= a for a, b in zip(low, high, strict=True)):
        return
    (x, y), (cx, cy) = [slice(a, b) for a, b in zip(low, high, strict=True)], corner
    part = mask[x.start - int(cx) : x.stop - int(cx), y.start - int(cy) : y.stop - int(cy)]
    target[x, y] |= part


def implant(
    hu: Tensor, label: Tensor, shapes: Sequence[Shape], canvas: Canvas
) -> tuple[Tensor, Tensor]:
    """Adds one or two lesions to a real slab, as the contrast of its kidneys allows.

    Args:
        hu: (X, Y, Z) float32.
        label: (X, Y, Z) uint8.
        shapes: To draw from.
        canvas: Its grid.
    """
    middle, generator = label.shape[-1] // 2, canvas.generator
    kidney = label[..., middle] == KIDNEY
    if not kidney.any():
        return hu, label
    cortex, medulla = (float(hu[..., middle][kidney].quantile(q)) for q in (0.8, 0.25))
    contrast = cortex > _CONTRAST_HU
    phase = Phase.PORTAL if contrast else Phase.NON_CONTRAST
    sd_hu = _noise_of(hu[..., middle], kidney)
    for _ in range(1 if chance(generator, 0.75) else 2):
        kind = TUMOR if chance(generator, 0.66 if contrast else 0.2) else CYST
        mask = place(label, shapes, kind, generator, small=chance(generator, 0.75))
        if mask is None:
            continue
        mask &= (label != BACKGROUND) | (hu < _HARD_HU)
        depth = depth_in_slices(mask) * canvas.spacing[0]
        parenchyma = Parenchyma(phase, cortex, medulla)
        drawn = tumor_hu(depth, parenchyma, canvas) if kind == TUMOR else cyst_hu(canvas)
        edge, blur = uniform(generator, 0.4, 0.9), uniform(generator, 0.3, 0.7)
        share = gaussian_blur(mask.float(), [edge, edge, 0.0])
        drawn = gaussian_blur(drawn, [blur, blur, 0.0]) + noise(canvas, sd_hu)
        hu = hu * (1 - share) + drawn * share
        label = torch.where(mask, torch.tensor(kind, dtype=label.dtype), label)
    return hu, label


def depth_in_slices(mask: Tensor) -> Tensor:
    """Pixels from each voxel of a mask (X, Y, Z) to its outside, in its own slice; float32."""
    depth = torch.zeros(mask.shape)
    if mask.any():
        x, y = ndimage.find_objects(mask.any(-1).numpy().astype(np.uint8))[0]
        for z in range(mask.shape[-1]):
            padded = np.pad(mask[x, y, z].numpy(), 1)  # what lies beyond its box is outside
            depth[x, y, z] = torch.from_numpy(ndimage.distance_transform_edt(padded)[1:-1, 1:-1])
    return depth


def _noise_of(hu: Tensor, kidney: Tensor) -> float:
    """Standard deviation of the pixel noise in the kidneys of a slice (X, Y)."""
    fine = hu - gaussian_blur(hu[..., None], [1.2, 1.2, 0.0])[..., 0]
    inner = torch.from_numpy(ndimage.binary_erosion(kidney.numpy(), iterations=2))
    values = fine[inner if inner.any() else kidney]
    return 1.5 * 1.48 * float(values.abs().median())
