"""The kidneys of the procedural abdomen, with their vessels, a tumor and cysts."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Generator

from renalseg.synthesis.fields import chance, uniform
from renalseg.synthesis.phantom_painter import Painter
from renalseg.synthesis.tissues import Tissue

SOFT = (
    Tissue.VISCERAL,
    Tissue.LIVER,
    Tissue.SPLEEN,
    Tissue.BOWEL,
    Tissue.GAS,
    Tissue.ORGAN,
    Tissue.PANCREAS,
    Tissue.LUNG,
    Tissue.VEIN,
    Tissue.GALLBLADDER,
)
KIDNEY = (Tissue.KIDNEY, Tissue.PELVIS)


def paint_kidney(
    painter: Painter,
    generator: Generator,
    side: int,
    vessels: dict[Tissue, tuple[float, ...]],
    with_tumor: bool,
) -> None:
    """One kidney in its perirenal fat.

    Args:
        painter: The map to paint into.
        generator: Source of all randomness.
        side: +1 right, -1 left.
        vessels: Where the renal artery and vein leave the aorta and the vena cava, in mm.
        with_tumor: Whether it has a tumor.
    """
    center = (
        side * uniform(generator, 58, 70),
        uniform(generator, -42, -28),
        uniform(generator, -14, 12) - 8 * (side > 0),
    )
    radii = (
        uniform(generator, 24, 31),
        uniform(generator, 21, 27),
        uniform(generator, 48, 60),
    )
    lean = (side * uniform(generator, -0.28, -0.1), uniform(generator, -0.2, 0.0))
    gap = uniform(generator, 3, 10)
    painter.ellipsoid(
        Tissue.VISCERAL, center, tuple(r + gap for r in radii), 0.1, over=SOFT, lean=lean
    )
    painter.ellipsoid(Tissue.KIDNEY, center, radii, rough=0.14, lean=lean)
    hilum = (center[0] - side * radii[0] * 0.8, center[1] + radii[1] * 0.3, center[2])
    painter.ellipsoid(  # the sinus opens to the middle and is filled with fat
        Tissue.VISCERAL,
        hilum,
        (radii[0] * 0.75, radii[1] * 0.45, radii[2] * 0.42),
        rough=0.35,
        over=(Tissue.KIDNEY,),
    )
    pelvis = (hilum[0] + side * 5, hilum[1], hilum[2])
    painter.ellipsoid(Tissue.URETER, pelvis, (11, 5.5, 12), rough=0.3, over=SOFT)
    for angle in (-1.0, 0.0, 1.0):  # calices
        tip = (
            center[0] + side * 2 * math.cos(angle),
            center[1],
            center[2] + radii[2] * 0.55 * math.sin(angle),
        )
        painter.tube(Tissue.PELVIS, pelvis, tip, 3.0, rough=0.3, over=(Tissue.VISCERAL, *KIDNEY))
    painter.tube(Tissue.ARTERY, vessels[Tissue.ARTERY], hilum, 3.0, over=(Tissue.VISCERAL,))
    painter.tube(Tissue.VEIN, vessels[Tissue.VEIN], hilum, 4.5, over=(Tissue.VISCERAL,))
    painter.tube(  # ureter
        Tissue.URETER,
        (hilum[0], hilum[1] + 2, hilum[2] - 8),
        (side * 38, center[1] + 14, -230),
        2.4,
        over=(Tissue.VISCERAL,),
    )
    _paint_cysts(painter, generator, side, center, radii, lean)
    if with_tumor:
        radius = uniform(generator, 11, 36)
        where = _on_surface(generator, side, center, radii, lean, uniform(generator, 0.65, 1.05))
        shape = tuple(radius * uniform(generator, 0.85, 1.15) for _ in range(3))
        painter.ellipsoid(
            Tissue.TUMOR, where, shape, rough=0.22, over=(*SOFT, *KIDNEY, Tissue.CYST)
        )


def _paint_cysts(
    painter: Painter,
    generator: Generator,
    side: int,
    center: Sequence[float],
    radii: Sequence[float],
    lean: Sequence[float],
) -> None:
    for _ in range(3):
        if chance(generator, 0.45):
            radius = uniform(generator, 4, 17)
            where = _on_surface(generator, side, center, radii, lean, uniform(generator, 0.6, 1.1))
            painter.ellipsoid(Tissue.CYST, where, (radius,) * 3, rough=0.06, over=(*SOFT, *KIDNEY))


def _on_surface(
    generator: Generator,
    side: int,
    center: Sequence[float],
    radii: Sequence[float],
    lean: Sequence[float],
    depth: float,
) -> tuple[float, float, float]:
    """A point at `depth` (1 = the surface) in a direction that avoids the hilum."""
    azimuth = uniform(generator, -1.9, 1.9)  # 0 is lateral
    height = uniform(generator, -0.85, 0.85)
    ring = math.sqrt(1 - height**2)
    dz = depth * radii[2] * height
    return (
        center[0] + side * depth * radii[0] * ring * math.cos(azimuth) + lean[0] * dz,
        center[1] + depth * radii[1] * ring * math.sin(azimuth) + lean[1] * dz,
        center[2] + dz,
    )
