"""Intensities of kidney, tumors and cysts by contrast phase.

In the 46 real KiTS19 slices (means of the 14 cases, HU): kidney 82 to 173 with a spread of 29 to 82
inside it, tumor 32 to 131 with a spread of 19 to 67.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from renalseg.synthesis.fields import chance, smooth_field, uniform
from renalseg.synthesis.scanner import Phase
from renalseg.synthesis.tissues import Tissue

# Cortex and medulla, HU; the half range of both between patients.
PARENCHYMA_HU = {
    Phase.NON_CONTRAST: (27.0, 27.0, 13.0),
    Phase.CORTICOMEDULLARY: (172.0, 82.0, 45.0),
    Phase.PORTAL: (165.0, 130.0, 45.0),
    Phase.EXCRETORY: (145.0, 148.0, 40.0),
}
# Maximum enhancement of tumors, HU.
_TUMOR_HIGH = {
    Phase.NON_CONTRAST: 48.0,
    Phase.CORTICOMEDULLARY: 185.0,
    Phase.PORTAL: 140.0,
    Phase.EXCRETORY: 115.0,
}
_SINUS_MM = 6.0  # minimum depth of fat, urine and stones below the capsule


def paint_kidney(
    hu: Tensor,
    tissue: Tensor,
    depth: Tensor,
    fields: tuple[Tensor, Tensor],
    spacing: Sequence[float],
    phase: Phase,
    urine_hu: float,
    generator: Generator,
) -> None:
    """Paints cortex, medulla, and the part of the sinus that kidney labels include; in place.

    The outer layer and the columns between the pyramids enhance first.

    Args:
        hu: (X, Y, Z) float32, holding only the texture of the kidney so far.
        tissue: (X, Y, Z) int, `Tissue`.
        depth: (X, Y, Z) uint8, mm below the surface of the kidney.
        fields: Coarse and fine noise of unit variance, (X, Y, Z).
        spacing: mm along x, y, z.
        phase: Contrast phase.
        urine_hu: Of the collecting system.
        generator: Source of all randomness.
    """
    kidney = tissue == Tissue.KIDNEY
    if not kidney.any():
        return
    cortex, medulla, spread = PARENCHYMA_HU[phase]
    cortex += uniform(generator, -spread, spread)
    medulla += uniform(generator, -spread, spread) * 0.8
    if phase == Phase.NON_CONTRAST:
        medulla = cortex + uniform(generator, -4, 4)
    thickness = uniform(generator, 4.0, 8.0)
    mm, coarse, fine = depth[kidney].float(), fields[0][kidney], fields[1][kidney]
    # the field breaks the medulla into pyramids with columns of cortex between them
    inside = (mm - thickness + uniform(generator, 1, 6) * (coarse + fine)) / 2.0
    weight = inside.clamp(0, 1)
    values = hu[kidney]
    values += cortex * (1 - weight) + medulla * weight - values.mean()
    sinus = mm > uniform(generator, _SINUS_MM, 13)
    if chance(generator, 0.65):
        fat = sinus & (fine > uniform(generator, 0.7, 1.7))
        values[fat] = uniform(generator, -80, 30)
    if chance(generator, 0.5):
        urine = sinus & (coarse > uniform(generator, 0.6, 1.8))
        values[urine] = urine_hu + 3.0 * fine[urine]
    hu[kidney] = values
    if chance(generator, 0.08):
        _paint_stones(hu, kidney & (depth > _SINUS_MM), spacing, generator)


def _paint_stones(
    hu: Tensor, sinus: Tensor, spacing: Sequence[float], generator: Generator
) -> None:
    places = torch.nonzero(sinus)
    for _ in range(int(uniform(generator, 1, 4)) if len(places) else 0):
        center = places[int(torch.randint(len(places), (), generator=generator))].tolist()
        reach = [max(1, round(uniform(generator, 1.0, 4.0) / mm)) for mm in spacing]
        box = tuple(slice(max(0, c - r), c + r) for c, r in zip(center, reach, strict=True))
        hu[box] = torch.where(sinus[box], uniform(generator, 250, 1300), hu[box])


def paint_tumor(
    hu: Tensor,
    tissue: Tensor,
    depth: Tensor,
    fields: tuple[Tensor, Tensor],
    spacing: Sequence[float],
    phase: Phase,
    generator: Generator,
) -> None:
    """Paints enhancing, hypovascular, cystic and necrotic tumors, some with a rim; in place.

    Args:
        hu: (X, Y, Z) float32.
        tissue: (X, Y, Z) int, `Tissue`.
        depth: (X, Y, Z) uint8, mm below the surface of the tumor.
        fields: Coarse and fine noise of unit variance, (X, Y, Z).
        spacing: mm along x, y, z.
        phase: Contrast phase.
        generator: Source of all randomness.
    """
    tumor = tissue == Tissue.TUMOR
    if not tumor.any():
        return
    mm, coarse, fine = depth[tumor].float(), fields[0][tumor], fields[1][tumor]
    share = uniform(generator, 0, 1)
    field = share * coarse + (1 - share) * fine
    low, high = (15 if phase == Phase.NON_CONTRAST else 35), _TUMOR_HIGH[phase]
    base = uniform(generator, low, high)
    values = base + uniform(generator, 3, 34) * field
    texture = smooth_field(tissue.shape, spacing, uniform(generator, 2.0, 4.0), generator)[0]
    values += uniform(generator, 0, 26) * texture[tumor]  # of vessels and hemorrhage
    kind = uniform(generator, 0, 1)
    if kind < 0.4:  # necrosis: an irregular, uneven core without enhancement, denser than water
        core = mm + 3.0 * coarse > uniform(generator, 5, 15)
        core &= fine < uniform(generator, 0.6, 2.0)  # islands and strands are viable
        uneven = uniform(generator, 6, 16) * (fine + coarse) + 8.0 * texture[tumor]
        values[core] = uniform(generator, 14, 48) + uneven[core]
    elif kind < 0.48:  # cystic, with septa
        septa = coarse.abs() < uniform(generator, 0.08, 0.3)
        values = torch.where(septa | (mm <= 2), values, uniform(generator, 2, 28) + 4.0 * fine)
    elif kind < 0.52:  # fat, as in an angiomyolipoma
        values[fine > uniform(generator, 0.3, 1.0)] = uniform(generator, -90, -20)
    if chance(generator, 0.2):
        values[mm <= 2] += uniform(generator, 10, 60)
    if chance(generator, 0.08):
        values[fine > uniform(generator, 1.5, 2.2)] = uniform(generator, 140, 600)
    hu[tumor] = values


def paint_cyst(hu: Tensor, tissue: Tensor, generator: Generator) -> None:
    """Paints cysts in place; in some patients dense ones, hemorrhagic or proteinaceous.

    Args:
        hu: (X, Y, Z) float32, where cysts are still water.
        tissue: (X, Y, Z) int, `Tissue`.
        generator: Source of all randomness.
    """
    if chance(generator, 0.08):
        hu[tissue == Tissue.CYST] += uniform(generator, 30, 60)
