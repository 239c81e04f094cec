"""Draws the intensities of a CT from a tissue map, by contrast phase and scanner.

Label-driven synthesis in the manner of SynthSeg (Billot et al. 2023): every tissue gets a new
mean and texture for each image, in ranges that the contrast phase sets.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from renalseg.synthesis.fields import chance, smooth_field, uniform
from renalseg.synthesis.renal_appearance import PARENCHYMA_HU, paint_cyst, paint_kidney, paint_tumor
from renalseg.synthesis.scanner import PHASE_SHARES, Phase, Scanner, draw_phase, scan
from renalseg.synthesis.tissues import Anatomy, Tissue

__all__ = ["PHASE_SHARES", "Phase", "Scanner", "draw_ct", "draw_phase", "tissue_range"]

AIR_HU = -1000.0
_BLOOD_HU = 12  # half range of the mean of blood without contrast

# Mean HU in the four phases, half range of the mean between patients, texture amplitude (HU).
_HU: dict[Tissue, tuple[Sequence[float], float, float]] = {
    Tissue.FAT: ([-105] * 4, 12, 5),
    Tissue.VISCERAL: ([-100] * 4, 12, 10),
    Tissue.MUSCLE: ([44, 54, 58, 56], 20, 7),
    Tissue.CORTICAL_BONE: ([390] * 4, 180, 60),
    Tissue.MARROW: ([160, 170, 180, 180], 75, 45),
    Tissue.CARTILAGE: ([95] * 4, 35, 10),
    Tissue.LUNG: ([-830] * 4, 60, 40),
    Tissue.LIVER: ([54, 72, 110, 98], 25, 7),
    Tissue.SPLEEN: ([45, 105, 118, 100], 22, 9),
    Tissue.ARTERY: ([42, 280, 160, 120], 50, 4),
    Tissue.VEIN: ([42, 100, 155, 118], 45, 8),
    Tissue.BOWEL: ([30, 50, 60, 60], 35, 30),
    Tissue.GAS: ([-800] * 4, 150, 40),
    Tissue.PANCREAS: ([38, 95, 90, 80], 22, 12),
    Tissue.GALLBLADDER: ([10] * 4, 12, 3),
    Tissue.ORGAN: ([42, 80, 90, 80], 30, 12),
    Tissue.FLUID: ([12] * 4, 12, 4),
    Tissue.KIDNEY: ([33, 105, 165, 165], 8, 6),
    Tissue.PELVIS: ([6, 8, 20, 380], 10, 6),
    Tissue.URETER: ([6, 8, 20, 380], 10, 6),
    Tissue.TUMOR: ([33, 95, 90, 75], 8, 12),
    Tissue.CYST: ([8] * 4, 10, 2),
    Tissue.TABLE: ([-150] * 4, 80, 10),
}


def tissue_range(tissue: Tissue, phase: Phase) -> tuple[float, float]:
    """Returns the range of a tissue's mean in HU, before the scanner's own error."""
    if tissue == Tissue.KIDNEY:
        cortex, medulla, spread = PARENCHYMA_HU[phase]
        return min(cortex, medulla) - spread, max(cortex, medulla) + spread
    means, spread, _ = _HU[tissue]
    if tissue in (Tissue.ARTERY, Tissue.VEIN) and phase == Phase.NON_CONTRAST:
        spread = _BLOOD_HU
    return means[phase] - spread, means[phase] + spread


def draw_ct(
    anatomy: Anatomy,
    generator: Generator,
    phase: Phase | None = None,
    scanner: Scanner | None = None,
) -> Tensor:
    """Draws a CT of an anatomy.

    Args:
        anatomy: Tissue map, depth map and spacing.
        generator: Source of all randomness.
        phase: Contrast phase; drawn if None.
        scanner: Scanner effects; drawn if None.

    Returns:
        (X, Y, Z) float32, HU.
    """
    phase = draw_phase(generator) if phase is None else phase
    scanner = Scanner.draw(generator) if scanner is None else scanner
    shape, spacing = anatomy.tissue.shape, anatomy.spacing
    tissue = anatomy.tissue.int()
    mean, texture = _draw_tissues(phase, generator)
    coarse = smooth_field(shape, spacing, uniform(generator, 8, 20), generator)[0]
    fine = smooth_field(shape, spacing, uniform(generator, 4, 7), generator)[0]
    hu = mean[tissue] + texture[tissue] * (0.6 * coarse + 0.6 * fine)
    fields = (coarse, fine)
    _paint_visceral(hu, tissue, fine, phase, generator)
    _paint_muscle(hu, tissue, fine, generator)
    _paint_bowel(hu, tissue, coarse, generator)
    urine_hu = float(mean[Tissue.PELVIS])
    paint_kidney(hu, tissue, anatomy.depth, fields, spacing, phase, urine_hu, generator)
    paint_cyst(hu, tissue, generator)
    paint_tumor(hu, tissue, anatomy.depth, fields, spacing, phase, generator)
    return scan(hu, spacing, scanner, generator)


def _draw_tissues(phase: Phase, generator: Generator) -> tuple[Tensor, Tensor]:
    """Mean and texture amplitude of each tissue in one patient, HU."""
    mean = torch.full((len(Tissue),), AIR_HU)
    texture = torch.zeros(len(Tissue))
    for kind, (_, _, amplitude) in _HU.items():
        low, high = tissue_range(kind, phase)
        mean[kind] = uniform(generator, low, high)
        texture[kind] = amplitude * uniform(generator, 0.3, 1.7)
    if chance(generator, 0.12):  # fatty liver
        mean[Tissue.LIVER] -= uniform(generator, 20, 55)
    if phase == Phase.EXCRETORY:  # from the first contrast in the calices to a full ureter
        mean[Tissue.PELVIS] *= uniform(generator, 0.2, 2.2)
    mean[Tissue.URETER] = mean[Tissue.PELVIS]
    return mean, texture


def _paint_visceral(
    hu: Tensor, tissue: Tensor, field: Tensor, phase: Phase, generator: Generator
) -> None:
    """Paints mesentery, vessels and unopacified loops between the organs."""
    soft = (tissue == Tissue.VISCERAL) & (field > uniform(generator, 0.5, 1.9))
    hu[soft] = uniform(generator, -20, 60 + 40 * (phase != Phase.NON_CONTRAST))


def _paint_muscle(hu: Tensor, tissue: Tensor, field: Tensor, generator: Generator) -> None:
    """Paints fat strands in and between the muscles of many patients."""
    if chance(generator, 0.5):
        fat = (tissue == Tissue.MUSCLE) & (field > uniform(generator, 0.7, 2.0))
        hu[fat] = uniform(generator, -90, 10)


def _paint_bowel(hu: Tensor, tissue: Tensor, field: Tensor, generator: Generator) -> None:
    """Paints gas and, in some patients, oral contrast into the content of the bowel."""
    bowel = tissue == Tissue.BOWEL
    if chance(generator, 0.5):
        hu[bowel & (field > uniform(generator, 0.5, 1.5))] = uniform(generator, -950, -500)
    if chance(generator, 0.2):
        hu[bowel & (field < uniform(generator, -0.8, 0.5))] = uniform(generator, 120, 350)
