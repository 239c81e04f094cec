"""Intensities of slabs that hold little more than both kidneys.

Faster than `renalseg.synthesis.appearance`, which draws whole bodies, with more detail in kidneys:
columns of cortex between the pyramids, tumors whose contrast follows that of their own patient's
kidneys, and noise that is correlated between slices, as in thin slices.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from renalseg.labels import CYST, KIDNEY, TUMOR
from renalseg.synthesis.fields import chance, gaussian_blur, smooth_field, uniform
from renalseg.synthesis.scanner import Phase, draw_phase
from renalseg.transforms.localizer_errors import close, grow

# Cortex, and by how much the medulla is darker, HU, each drawn from a range.
_CORTEX = {
    Phase.NON_CONTRAST: ((22, 46), (-4, 4)),
    Phase.CORTICOMEDULLARY: ((105, 250), (20, 150)),
    Phase.PORTAL: ((95, 215), (-2, 45)),
    Phase.EXCRETORY: ((85, 185), (-25, 25)),
}
_LEAST_MEDULLA = 20.0


class Parenchyma(NamedTuple):
    """How the kidneys of a patient enhance.

    Attributes:
        phase: Contrast phase.
        cortex: HU.
        medulla: HU.
    """

    phase: Phase
    cortex: float
    medulla: float


class Canvas(NamedTuple):
    """A grid to draw on, and its randomness.

    Attributes:
        shape: (X, Y, Z).
        spacing: mm along x, y, z.
        generator: Source of all randomness.
    """

    shape: Sequence[int]
    spacing: Sequence[float]
    generator: Generator

    def uniform(self, low: float, high: float) -> float:
        """Draws a number uniformly."""
        return uniform(self.generator, low, high)

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return chance(self.generator, probability)

    def field(self, low_mm: float, high_mm: float) -> Tensor:
        """Draws smooth noise of unit variance, with a grain drawn from a range in mm."""
        length = self.uniform(low_mm, high_mm)
        return smooth_field(self.shape, self.spacing, length, self.generator)[0] * 1.4


def draw_parenchyma(generator: Generator, phases: Sequence[float]) -> Parenchyma:
    """Draws how the kidneys of a patient enhance; `phases` are the shares of the four phases."""
    phase = draw_phase(generator, phases)
    cortex, less = (uniform(generator, *part) for part in _CORTEX[phase])
    return Parenchyma(phase, cortex, max(_LEAST_MEDULLA, cortex - less))


def paint_pair(
    label: Tensor, depth: Tensor, tumor_depth: Tensor, parenchyma: Parenchyma, canvas: Canvas
) -> Tensor:
    """A CT of kidneys with tumors and cysts in fat, among blobs of other tissue.

    Args:
        label: (X, Y, Z) uint8: 1 kidney, 2 tumor, 3 cyst.
        depth: mm below the surface of everything labeled.
        tumor_depth: mm below the surface of the tumor.
        parenchyma: How the kidneys enhance.
        canvas: The grid of the label.

    Returns:
        (X, Y, Z) float32, HU, with the effects of a scanner.
    """
    hu = _surroundings(parenchyma.phase, canvas)
    if parenchyma.phase != Phase.NON_CONTRAST and canvas.chance(0.6):
        _add_hilum(hu, label, parenchyma.cortex, canvas)
    hu = torch.where(label == KIDNEY, kidney_hu(depth, parenchyma, canvas), hu)
    if (label == TUMOR).any():
        hu = torch.where(label == TUMOR, tumor_hu(tumor_depth, parenchyma, canvas), hu)
    if (label == CYST).any():
        hu = torch.where(label == CYST, cyst_hu(canvas), hu)
    return _scan(hu, canvas)


def _surroundings(phase: Phase, canvas: Canvas) -> Tensor:
    """Fat, blobs of organs and vessels, and some gas or bone."""
    enhanced = phase != Phase.NON_CONTRAST
    hu = torch.full(tuple(canvas.shape), canvas.uniform(-118, -85))
    for grain, threshold, low, high, more in (
        ((10, 45), (0, 1.3), 10, 60, 110),
        ((4, 14), (0.9, 2), 10, 75, 160),
    ):
        blob = canvas.field(*grain) > canvas.uniform(*threshold)
        hu[blob] = canvas.uniform(low, high) + enhanced * canvas.uniform(0, more)
    rare = canvas.field(3, 10) > canvas.uniform(1.6, 2.4)
    hu[rare] = canvas.uniform(-300, -100) if canvas.chance(0.5) else canvas.uniform(150, 500)
    return hu + canvas.uniform(0, 12) * canvas.field(2, 6)


def _add_hilum(hu: Tensor, label: Tensor, cortex: float, canvas: Canvas) -> None:
    """Vessels that come out of the kidneys where these are concave; they change `hu`."""
    whole, pixels = (label > 0).to(torch.uint8)[None], int(canvas.uniform(6, 15))
    hilum = (grow(close(whole, pixels) - whole, 3)[0] > 0) & (label == 0)
    for share in (canvas.uniform(0.5, 0.95), canvas.uniform(0.8, 1.5)):  # veins, arteries
        vessel = canvas.field(3, 9).abs() < canvas.uniform(0.1, 0.6)
        hu[hilum & vessel] = cortex * share


def kidney_hu(depth: Tensor, parenchyma: Parenchyma, canvas: Canvas) -> Tensor:
    """Cortex, pyramids with columns between them, and the sinus with fat, urine and vessels.

    Args:
        depth: (X, Y, Z) mm below the surface.
        parenchyma: How it enhances.
        canvas: The grid.
    """
    draw, (phase, cortex, medulla) = canvas.uniform, parenchyma
    coarse, fine, grain = canvas.field(6, 14), canvas.field(2.5, 6), canvas.field(1.2, 2.5)
    inner = (depth - draw(3.5, 8.5) + draw(0.5, 3) * coarse + draw(0, 1.5) * fine) / draw(0.8, 3)
    weight = inner.clamp(0, 1)
    if canvas.chance(0.75):  # a field is 0 on sheets, as columns are
        weight = weight * ((canvas.field(9, 17).abs() - draw(0.12, 0.5)) / draw(0.1, 0.3)).clamp(
            0, 1
        )
    hu = cortex * (1 - weight) + medulla * weight + draw(0, 6) * fine
    hu = hu + draw(0, 8) * canvas.field(20, 60)
    sinus = draw(7, 14)
    if canvas.chance(0.65):
        hu[(depth > sinus) & (fine > draw(0.3, 1.6))] = draw(-90, 30)
    if canvas.chance(0.6):
        bright = phase == Phase.EXCRETORY and canvas.chance(0.75)
        plain = draw(0, 30) if canvas.chance(0.7) else draw(30, 75)
        urine = draw(120, 600) if bright else plain
        hu[(depth > sinus - draw(0, 3)) & (coarse > draw(0.4, 1.6))] = urine
    if phase == Phase.EXCRETORY and canvas.chance(0.6):
        hu[(depth > draw(6, 10)) & (grain > draw(1.2, 2.0))] = draw(150, 500)  # calices
    if phase != Phase.NON_CONTRAST and canvas.chance(0.5):
        vessel = (grain - draw(0, 1.5)).abs() < draw(0.1, 0.4)
        hu[(depth > sinus - 2) & vessel & (fine < draw(-0.2, 0.8))] = cortex * draw(0.7, 1.4)
    if canvas.chance(0.08):
        hu[(depth > sinus - 3) & (grain > draw(2.0, 2.6))] = draw(200, 900)  # stones
    if canvas.chance(0.08):
        hu[(depth < sinus) & (coarse < -draw(1.6, 2.2))] = draw(30, 80)  # scars
    return hu


def tumor_hu(depth: Tensor, parenchyma: Parenchyma, canvas: Canvas) -> Tensor:
    """Draws tumors: clear cell, bright and uneven; papillary, like medulla; cystic, scarred, fatty.

    Args:
        depth: (X, Y, Z) mm below the surface of the tumor.
        parenchyma: How the patient's kidneys enhance, which the tumor follows.
        canvas: The grid.
    """
    draw = canvas.uniform
    coarse, fine, grain = canvas.field(5, 12), canvas.field(2.5, 6), canvas.field(1.2, 2.5)
    base, uneven = _tumor_level(parenchyma, canvas)
    enhanced = parenchyma.phase != Phase.NON_CONTRAST
    share, kind = draw(0, 1), draw(0, 1)
    hu = (
        base
        + uneven * (share * coarse + (1 - share) * fine)
        + draw(0, 20 if enhanced else 6) * grain
    )
    if kind < 0.36:
        core = (depth + draw(2, 6) * coarse > draw(3, 16)) & (fine < draw(0.4, 2))
        hu = torch.where(core, draw(8, 48) + draw(3, 10) * (fine + grain), hu)
    elif kind < 0.46:
        septa = (coarse.abs() < draw(0.08, 0.35)) | (depth < draw(1, 4))
        hu = torch.where(septa, hu, draw(0, 30) + 3 * fine)
    elif kind < 0.50:
        hu[fine > draw(0.3, 1.0)] = draw(-90, -15)
    elif kind < 0.56:
        hu[(coarse + 0.6 * fine).abs() < draw(0.1, 0.4)] = base * draw(0.4, 0.7)
    if canvas.chance(0.25):
        hu[depth < draw(1.2, 3)] += draw(-45, 60) * (1 if enhanced else 0.3)
    if canvas.chance(0.05):
        hu[grain > draw(1.5, 2.2)] = draw(140, 500)
    return hu


def _tumor_level(parenchyma: Parenchyma, canvas: Canvas) -> tuple[float, float]:
    """Draws the mean and unevenness of a tumor, HU."""
    draw, (phase, cortex, medulla) = canvas.uniform, parenchyma
    kind = draw(0, 1)
    if phase == Phase.NON_CONTRAST:
        base, uneven = cortex + (1 if kind < 0.5 else -1) * draw(6, 16), draw(0, 10)
    elif kind < 0.5:
        base, uneven = cortex * draw(0.6, 1.2) + draw(-10, 10), draw(10, 45)
    elif kind < 0.7:
        like = min(medulla + draw(-35, 15), cortex - 18)
        base = like if medulla < cortex - 15 else draw(35, max(50, cortex - 25))
        uneven = draw(1, 12)
    elif kind < 0.86:
        base, uneven = draw(0.35, 0.85) * cortex + draw(0, 20), draw(3, 30)
    else:
        base, uneven = draw(32, min(105, max(45, cortex - 15))), draw(1, 20)
    return max(base, 18.0), uneven


def cyst_hu(canvas: Canvas) -> Tensor:
    """Draws water, sometimes dense, sometimes with thin septa."""
    draw = canvas.uniform
    base = draw(-6, 24) if canvas.chance(0.86) else draw(25, 75)
    hu = base + draw(0, 3) * canvas.field(2.5, 6)
    if canvas.chance(0.15):
        hu[canvas.field(5, 12).abs() < draw(0.04, 0.12)] = draw(30, 90)
    return hu


def _scan(hu: Tensor, canvas: Canvas) -> Tensor:
    """Adds point spread, sharpness, thick slices, noise and a calibration error."""
    draw = canvas.uniform
    blur = draw(0.3, 0.95)
    hu = gaussian_blur(hu, [blur, blur, 0.0])
    if canvas.chance(0.25):
        wide = draw(0.7, 1.3)
        hu = hu + draw(0.3, 1.2) * (hu - gaussian_blur(hu, [wide, wide, 0.0]))
    if canvas.chance(0.35):
        share = draw(0.1, 0.33)
        ends = torch.cat([hu[..., :1], hu, hu[..., -1:]], dim=-1)
        hu = (1 - 2 * share) * hu + share * (ends[..., :-2] + ends[..., 2:])
    return hu + noise(canvas, draw(1, 30)) + draw(-8, 8)


def noise(canvas: Canvas, sd_hu: float) -> Tensor:
    """Draws scanner noise (X, Y, Z), usually correlated between slices, as in thin ones."""
    grain = canvas.uniform(0.2, 1.1)
    alike = canvas.uniform(0.3, 0.95) if canvas.chance(0.75) else 0.0
    fresh = gaussian_blur(
        torch.randn(tuple(canvas.shape), generator=canvas.generator), [grain, grain, 0]
    )
    fresh = fresh / fresh.std()
    slices = [fresh[..., 0]]
    for z in range(1, fresh.shape[-1]):
        slices.append(alike * slices[-1] + (1 - alike**2) ** 0.5 * fresh[..., z])
    return torch.stack(slices, dim=-1) * sd_hu
