"""Real-image mode: tumors and cysts of KiTS cases implanted into the kidneys of a real CT.

In the manner of synthetic liver tumors (Hu et al. 2023, "Label-free liver tumor segmentation"):
the shape comes from a label map, the place is drawn on the surface of the kidney, the intensities
are those of the engine for the contrast phase of the image, and edges and noise are the image's.
A lesion grows only into fat and does not displace its surroundings.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from scipy import ndimage
from torch import Generator, Tensor
from torch.nn import functional

from renalseg.components import largest_part
from renalseg.errors import InputError
from renalseg.labels import KIDNEY, TUMOR
from renalseg.synthesis.fields import gaussian_blur, smooth_field, uniform
from renalseg.synthesis.renal_appearance import paint_cyst, paint_tumor
from renalseg.synthesis.scanner import Phase
from renalseg.synthesis.tissues import Tissue, bounding_box
from renalseg.synthesis.torso import load_kits_kidneys

_FAT_HU = (-160.0, -30.0)
_EDGE_MM = 0.8  # standard deviation of a scanner's point spread
_ROOM_MM = 6.0  # room around a lesion for its edge
_LEAST_ML = 0.2
_CYST_HU = (-2.0, 22.0)
# Minimum median of kidneys with contrast, and distance of quartiles while the cortex enhances.
_CONTRAST_HU, _ARTERIAL_SPREAD_HU = 75.0, 65.0


class Lesion(NamedTuple):
    """The shape of one tumor or cyst.

    Attributes:
        tissue: `Tissue.TUMOR` or `Tissue.CYST`.
        mask: (X, Y, Z) bool, axes R, A, S, in its own box.
        spacing_mm: Size of its isotropic voxels.
    """

    tissue: Tissue
    mask: Tensor
    spacing_mm: float


def load_lesions(labels: Path, spacing_mm: float = 1.0) -> Iterator[Lesion]:
    """The tumors and cysts of a KiTS label map, of at least 0.2 ml."""
    for _, kidney in load_kits_kidneys(labels, spacing_mm):
        for tissue in (Tissue.TUMOR, Tissue.CYST):
            parts, _ = ndimage.label(kidney == tissue)
            for number, box in enumerate(ndimage.find_objects(parts), start=1):
                mask = parts[box] == number
                if mask.sum() * spacing_mm**3 / 1000 >= _LEAST_ML:
                    yield Lesion(tissue, torch.from_numpy(mask), spacing_mm)


def implant_lesions(
    image: Tensor,
    label: Tensor,
    spacing: Sequence[float],
    lesions: Sequence[Lesion],
    generator: Generator,
) -> tuple[Tensor, Tensor]:
    """A CT with lesions in its kidneys, and their label.

    Args:
        image: (X, Y, Z) float32, HU.
        label: (X, Y, Z) uint8 on the same grid: 1 kidney, 2 tumor.
        spacing: mm along x, y, z.
        lesions: What to implant, one after another, each somewhere on the surface of a kidney.
        generator: Source of all randomness.

    Returns:
        Image and label like those given. A lesion that does not fit is left out.

    Raises:
        InputError: The label holds no kidney.
    """
    image, label = image.clone(), label.clone()
    kidney = label == KIDNEY
    if not kidney.any():
        raise InputError("Expected a label with a kidney (1) to implant into, found none")
    phase = guess_phase(image, kidney)
    noise_hu = _noise_of(image, kidney)
    for lesion in lesions:
        placed = _place(image, label, spacing, lesion, generator)
        if placed is None:
            continue
        box, inside = placed
        ideal = _draw(lesion.tissue, inside, spacing, phase, generator)
        sigma = [_EDGE_MM / mm for mm in spacing]
        share = gaussian_blur(inside.float(), sigma)
        grain = torch.randn(ideal.shape, generator=generator)
        grain = gaussian_blur(grain, [0.6, 0.6, 0.3])
        drawn = gaussian_blur(ideal, sigma) + grain * (noise_hu / grain.std())
        image[box] = (1 - share) * image[box] + share * drawn
        label[box][inside] = TUMOR if lesion.tissue == Tissue.TUMOR else KIDNEY
    return image, label


def guess_phase(image: Tensor, kidney: Tensor) -> Phase:
    """Guesses the contrast phase from the kidneys of an image.

    Args:
        image: HU.
        kidney: Mask on the same grid.
    """
    values = gaussian_blur(image, [1.0, 1.0, 0.5])[kidney]
    few = values[:: max(1, len(values) // 100_000)]
    low, middle, high = torch.quantile(few, torch.tensor([0.25, 0.5, 0.75]))
    if middle < _CONTRAST_HU:
        return Phase.NON_CONTRAST
    return Phase.CORTICOMEDULLARY if high - low > _ARTERIAL_SPREAD_HU else Phase.PORTAL


def _noise_of(image: Tensor, kidney: Tensor) -> float:
    """Standard deviation of the pixel noise in the kidneys, HU."""
    fine = image - gaussian_blur(image, [1.2, 1.2, 0.0])
    inner = torch.from_numpy(ndimage.binary_erosion(kidney.numpy(), iterations=2))
    values = fine[inner if inner.any() else kidney]
    # the median ignores the borders of cortex and medulla
    return 1.48 * float(values.abs().median())


def _place(
    image: Tensor, label: Tensor, spacing: Sequence[float], lesion: Lesion, generator: Generator
) -> tuple[tuple[slice, ...], Tensor] | None:
    """Draws the box of a lesion, and its mask there; None if it does not fit."""
    shape = _turn(lesion, spacing, generator)
    kidney = label == KIDNEY
    kidney_box = bounding_box(kidney, 2)
    if kidney_box is None:
        return None
    inner = torch.from_numpy(ndimage.binary_erosion(kidney[kidney_box].numpy()))
    surface = torch.nonzero(kidney[kidney_box] & ~inner)
    corner = torch.tensor([part.start for part in kidney_box])
    point = surface[int(torch.randint(len(surface), (), generator=generator))] + corner
    middle = torch.nonzero(kidney).double().mean(dim=0)
    # from half outside the kidney to wholly inside it
    inward = uniform(generator, -0.1, 0.45) * torch.tensor(shape.shape)
    center = point + torch.sign(middle - point) * inward
    room = [round(_ROOM_MM / mm) for mm in spacing]
    low = [round(float(c) - n / 2) - r for c, n, r in zip(center, shape.shape, room, strict=True)]
    padded = functional.pad(shape.float(), [r for r in reversed(room) for _ in range(2)]) > 0
    if any(a < 0 or a + n > m for a, n, m in zip(low, padded.shape, label.shape, strict=True)):
        return None
    box = tuple(slice(a, a + n) for a, n in zip(low, padded.shape, strict=True))
    smooth = gaussian_blur(image[box], [1.0, 1.0, 0.5])
    fat = (smooth > _FAT_HU[0]) & (smooth < _FAT_HU[1])
    inside = padded & (kidney[box] | fat)
    largest = largest_part(inside.numpy())
    if largest is None:
        return None
    inside = torch.from_numpy(largest)
    enough = inside.sum() > 0.5 * shape.sum() and (inside & kidney[box]).any()
    return (box, inside) if enough else None


def _turn(lesion: Lesion, spacing: Sequence[float], generator: Generator) -> Tensor:
    """Rotates and scales a lesion on the grid of the image; (X, Y, Z) bool."""
    mask = lesion.mask.float()
    order = torch.randperm(3, generator=generator).tolist()
    mask = mask.permute(order)
    mask = mask.flip([axis for axis in range(3) if uniform(generator, 0, 1) < 0.5])
    scale = uniform(generator, 0.8, 1.2) * lesion.spacing_mm
    size = [max(1, round(n * scale / mm)) for n, mm in zip(mask.shape, spacing, strict=True)]
    return functional.interpolate(mask[None, None], size=size, mode="trilinear")[0, 0] > 0.5


def _draw(
    tissue: Tissue, inside: Tensor, spacing: Sequence[float], phase: Phase, generator: Generator
) -> Tensor:
    """Draws the intensities of a lesion in its box, also beyond its border; HU."""
    shape = inside.shape
    tissues = torch.where(inside, int(tissue), 0)
    depth = ndimage.distance_transform_edt(inside.numpy(), sampling=tuple(spacing))
    hu = torch.full(shape, uniform(generator, *_CYST_HU))
    fields = tuple(
        smooth_field(shape, spacing, uniform(generator, *mm), generator)[0]
        for mm in ((8.0, 20.0), (4.0, 7.0))
    )
    if tissue == Tissue.CYST:
        paint_cyst(hu, tissues, generator)
    else:
        mm = torch.from_numpy(np.minimum(depth, 255).astype(np.uint8))
        paint_tumor(hu, tissues, mm, (fields[0], fields[1]), spacing, phase, generator)
        # so that the blur at the edge mixes the lesion with the image around it
        hu[~inside] = hu[inside].mean()
    return hu
