"""Draws the intensities of a CT from a tissue map, by contrast phase and scanner.

Label-driven synthesis in the manner of SynthSeg (Billot et al. 2023): every tissue gets a new
mean and texture for each image, in ranges that the contrast phase sets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import torch
from torch import Generator, Tensor

from renalseg.synthesis.fields import chance, gaussian_blur, smooth_field, uniform
from renalseg.synthesis.tissues import Anatomy, Tissue

AIR_HU = -1000.0


class Phase(IntEnum):
    """Contrast phase of an abdominal CT."""

    NON_CONTRAST = 0
    CORTICOMEDULLARY = 1
    PORTAL = 2
    EXCRETORY = 3


# Mean HU in the four phases, half range of the mean between patients, texture amplitude (HU).
_HU: dict[Tissue, tuple[Sequence[float], float, float]] = {
    Tissue.FAT: ([-105] * 4, 12, 5),
    Tissue.VISCERAL: ([-100] * 4, 12, 10),
    Tissue.MUSCLE: ([50, 56, 60, 58], 14, 6),
    Tissue.CORTICAL_BONE: ([420] * 4, 160, 60),
    Tissue.MARROW: ([170, 180, 190, 190], 70, 45),
    Tissue.CARTILAGE: ([95] * 4, 35, 10),
    Tissue.LUNG: ([-830] * 4, 60, 40),
    Tissue.LIVER: ([52, 72, 110, 98], 25, 7),
    Tissue.SPLEEN: ([45, 105, 118, 100], 22, 7),
    Tissue.ARTERY: ([42, 280, 160, 120], 40, 4),
    Tissue.VEIN: ([42, 100, 155, 118], 35, 8),
    Tissue.BOWEL: ([35, 50, 60, 60], 35, 30),
    Tissue.GAS: ([-800] * 4, 150, 40),
    Tissue.PANCREAS: ([40, 95, 90, 80], 20, 10),
    Tissue.GALLBLADDER: ([10] * 4, 10, 3),
    Tissue.ORGAN: ([45, 80, 90, 80], 28, 10),
    Tissue.FLUID: ([12] * 4, 12, 4),
    Tissue.KIDNEY: ([33, 105, 165, 165], 8, 6),
    Tissue.PELVIS: ([5, 10, 25, 330], 12, 8),
    Tissue.TUMOR: ([33, 95, 90, 75], 8, 12),
    Tissue.CYST: ([8] * 4, 9, 2),
    Tissue.TABLE: ([-150] * 4, 80, 10),
}


@dataclass(frozen=True)
class Scanner:
    """What the scanner adds.

    Attributes:
        blur_mm: Standard deviation of the in-plane point spread.
        blur_z_mm: The same along z, from the slice thickness.
        noise_hu: Standard deviation of the noise after its own smoothing.
        noise_grain: Standard deviation of that smoothing, in voxels.
    """

    blur_mm: float = 0.7
    blur_z_mm: float = 0.9
    noise_hu: float = 12.0
    noise_grain: float = 0.6

    @staticmethod
    def draw(generator: Generator) -> Scanner:
        """A scanner and protocol within what hospitals use."""
        return Scanner(
            blur_mm=uniform(generator, 0.4, 1.1),
            blur_z_mm=uniform(generator, 0.3, 1.8),
            noise_hu=uniform(generator, 4.0, 30.0),
            noise_grain=uniform(generator, 0.3, 0.9),
        )


PHASE_SHARES = (0.17, 0.25, 0.43, 0.15)  # portal-venous most often, as in clinical renal CT


def draw_phase(generator: Generator, shares: Sequence[float] = PHASE_SHARES) -> Phase:
    """A contrast phase; `shares` are those of the four phases."""
    weights = torch.tensor(list(shares))
    return Phase(int(torch.multinomial(weights, 1, generator=generator)))


def draw_ct(
    anatomy: Anatomy,
    generator: Generator,
    phase: Phase | None = None,
    scanner: Scanner | None = None,
) -> Tensor:
    """A CT of the anatomy.

    Args:
        anatomy: Tissue map, depth map and spacing.
        generator: Source of all randomness.
        phase: Contrast phase; drawn if None.
        scanner: Blur and noise; drawn if None.

    Returns:
        (X, Y, Z) float32, HU.
    """
    phase = draw_phase(generator) if phase is None else phase
    scanner = Scanner.draw(generator) if scanner is None else scanner
    shape, spacing = anatomy.tissue.shape, anatomy.spacing
    tissue = anatomy.tissue.int()
    mean = torch.full((len(Tissue),), AIR_HU)
    texture = torch.zeros(len(Tissue))
    for kind, (means, spread, amplitude) in _HU.items():
        mean[kind] = means[phase] + uniform(generator, -spread, spread)
        texture[kind] = amplitude * uniform(generator, 0.3, 1.7)
    coarse = smooth_field(shape, spacing, uniform(generator, 8, 20), generator)[0]
    fine = smooth_field(shape, spacing, uniform(generator, 4, 7), generator)[0]
    hu = mean[tissue] + texture[tissue] * (0.6 * coarse + 0.6 * fine)
    _paint_visceral(hu, tissue, fine, phase, generator)
    _paint_bowel(hu, tissue, coarse, generator)
    _paint_kidney(hu, tissue, anatomy.depth, coarse + fine, phase, generator)
    _paint_tumor(hu, tissue, anatomy.depth, coarse, phase, generator)
    return _scan(hu, spacing, scanner, generator)


def _paint_visceral(
    hu: Tensor, tissue: Tensor, field: Tensor, phase: Phase, generator: Generator
) -> None:
    """Mesentery, vessels and unopacified loops between the organs."""
    soft = (tissue == Tissue.VISCERAL) & (field > uniform(generator, 0.5, 1.6))
    hu[soft] = uniform(generator, 0, 60 + 40 * (phase != Phase.NON_CONTRAST))


def _paint_bowel(hu: Tensor, tissue: Tensor, field: Tensor, generator: Generator) -> None:
    """Gas and, in some patients, oral contrast in the content of the bowel."""
    bowel = tissue == Tissue.BOWEL
    if chance(generator, 0.5):
        hu[bowel & (field > uniform(generator, 0.5, 1.5))] = uniform(generator, -950, -500)
    if chance(generator, 0.2):
        hu[bowel & (field < uniform(generator, -0.8, 0.5))] = uniform(generator, 120, 350)


def _paint_kidney(
    hu: Tensor, tissue: Tensor, depth: Tensor, field: Tensor, phase: Phase, generator: Generator
) -> None:
    """Cortex and medulla: the outer layer and the columns between pyramids enhance first."""
    kidney = tissue == Tissue.KIDNEY
    if not kidney.any():
        return
    cortex, medulla = {
        Phase.NON_CONTRAST: (33.0, 32.0),
        Phase.CORTICOMEDULLARY: (180.0, 85.0),
        Phase.PORTAL: (180.0, 140.0),
        Phase.EXCRETORY: (155.0, 160.0),
    }[phase]
    spread = 5 if phase == Phase.NON_CONTRAST else 40
    cortex += uniform(generator, -spread, spread)
    medulla += uniform(generator, -spread, spread) * 0.8
    if phase == Phase.NON_CONTRAST:
        medulla = cortex + uniform(generator, -4, 4)
    thickness = uniform(generator, 4.0, 8.0)
    # the field breaks the medulla into pyramids with columns of cortex between them
    inside = (depth[kidney].float() - thickness + uniform(generator, 1, 6) * field[kidney]) / 2.0
    weight = inside.clamp(0, 1)
    hu[kidney] += cortex * (1 - weight) + medulla * weight - hu[kidney].mean()


def _paint_tumor(
    hu: Tensor, tissue: Tensor, depth: Tensor, field: Tensor, phase: Phase, generator: Generator
) -> None:
    """Enhancing, hypovascular and necrotic tumors, some with a rim."""
    tumor = tissue == Tissue.TUMOR
    if not tumor.any():
        return
    high = {
        Phase.NON_CONTRAST: 45,
        Phase.CORTICOMEDULLARY: 165,
        Phase.PORTAL: 130,
        Phase.EXCRETORY: 110,
    }[phase]
    base = uniform(generator, 20 if phase == Phase.NON_CONTRAST else 40, high)
    values = base + uniform(generator, 3, 28) * field[tumor]
    inside = depth[tumor].float()
    if chance(generator, 0.4):  # necrosis: an irregular core without enhancement, above water
        core = inside + 3.0 * field[tumor] > uniform(generator, 7, 15)
        values[core] = uniform(generator, 22, 42) + 9.0 * field[tumor][core]
    if chance(generator, 0.2):
        values[inside <= 2] += uniform(generator, 10, 50)
    hu[tumor] = values


def _scan(hu: Tensor, spacing: Sequence[float], scanner: Scanner, generator: Generator) -> Tensor:
    sigma = [scanner.blur_mm / spacing[0], scanner.blur_mm / spacing[1]]
    hu = gaussian_blur(hu, [*sigma, scanner.blur_z_mm / spacing[2]])
    noise = torch.randn(hu.shape, generator=generator)
    grain = scanner.noise_grain
    noise = gaussian_blur(noise, [grain, grain, grain / 2])
    return (hu + noise * (scanner.noise_hu / noise.std())).clamp_(min=-1024.0)
