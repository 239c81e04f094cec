"""A procedural abdomen: an anatomically plausible patient made from formulas and a seed.

It needs no data, so the embedded sample is made from it. Training uses it along with real label
maps. The world is RAS in mm with its origin in front of the second lumbar vertebra.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from renalseg.synthesis.fields import chance, smooth_field, uniform
from renalseg.synthesis.phantom_kidney import paint_kidney
from renalseg.synthesis.phantom_painter import Painter, Shape
from renalseg.synthesis.tissues import Anatomy, Tissue, with_depth


def draw_phantom(
    generator: Generator,
    shape: Sequence[int] = (260, 200, 170),
    spacing: Sequence[float] = (1.5, 1.5, 1.5),
    tumor_side: int | None = None,
) -> Anatomy:
    """A patient with two kidneys, a tumor and cysts.

    Args:
        generator: Source of all randomness.
        shape: (X, Y, Z); the origin of the world lies at its center.
        spacing: mm along x, y, z.
        tumor_side: +1 for a tumor in the right kidney, -1 in the left; drawn if None.

    Returns:
        The anatomy, with axes R, A, S.
    """
    painter = Painter(shape, spacing, smooth_field(shape, spacing, 28.0, generator)[0])
    body = _Body(generator)
    body.paint_trunk(painter, generator)
    body.paint_skeleton(painter, generator)
    _paint_organs(painter, generator)
    _paint_bowel(painter, generator)
    vessels = _paint_vessels(painter, generator)
    side = tumor_side or (1 if chance(generator, 0.5) else -1)
    for kidney_side in (1, -1):
        paint_kidney(painter, generator, kidney_side, vessels, with_tumor=kidney_side == side)
    return with_depth(painter.tissue, painter.spacing)


class _Body:
    """Sizes of one patient that several structures share."""

    def __init__(self, generator: Generator) -> None:
        self.width = uniform(generator, 145, 185)
        self.height = uniform(generator, 98, 130)
        self.skin_fat = uniform(generator, 8, 30)
        self.wall = uniform(generator, 8, 14)
        self.spine_y = -0.46 * self.height

    def paint_trunk(self, painter: Painter, generator: Generator) -> None:
        """Skin fat, the muscles of the wall, the cavity, the lung bases and the table."""
        table_y = -self.height - uniform(generator, 2, 6)
        painter.paint(
            Tissue.TABLE,
            lambda x, y, z: ((y - table_y + 12 - (x / 160) ** 2 * 14).abs() < 4) & (x.abs() < 200),
        )
        painter.paint(Tissue.FAT, self._outline(0.0))
        painter.paint(Tissue.MUSCLE, self._outline(self.skin_fat))
        painter.paint(Tissue.VISCERAL, self._outline(self.skin_fat + self.wall))
        dome = uniform(generator, 85, 115)
        cavity = self._outline(self.skin_fat + self.wall + 2)
        painter.paint(
            Tissue.LUNG,
            lambda x, y, z: (
                cavity(x, y, z)
                & (z > dome + 25 - ((x.abs() - 75) / 45) ** 2 * -14 - ((y + 10) / 50) ** 2 * 14)
            ),
        )
        spine = self.spine_y
        for side in (-1, 1):  # erector spinae, quadratus lumborum and psoas
            painter.ellipsoid(Tissue.MUSCLE, (side * 36, spine - 33, 0), (32, 19, 900))
            painter.ellipsoid(Tissue.MUSCLE, (side * 64, spine - 12, -60), (17, 12, 90))
            painter.ellipsoid(
                Tissue.MUSCLE, (side * 43, spine + 4, -80), (19, 20, 115), lean=(side * -0.12, 0)
            )

    def paint_skeleton(self, painter: Painter, generator: Generator) -> None:
        """Vertebrae with discs, arches and processes, and the lower ribs with cartilage."""
        y0, pitch, offset = self.spine_y, uniform(generator, 31, 37), uniform(generator, 0, 34)

        def along(z: Tensor) -> Tensor:
            return torch.remainder(z + offset, pitch) / pitch  # 0..1 within a vertebra and disc

        def column(radius: float, low: float, high: float) -> Shape:
            return lambda x, y, z: (
                ((x / 1.25) ** 2 + (y - y0) ** 2 < radius**2) & (along(z) > low) & (along(z) < high)
            )

        painter.paint(Tissue.CARTILAGE, column(17, -1, 2))
        painter.paint(Tissue.CORTICAL_BONE, column(19, 0.22, 1.0))
        painter.paint(Tissue.MARROW, column(17, 0.25, 0.97))
        painter.paint(
            Tissue.CORTICAL_BONE,
            lambda x, y, z: (x**2 + (y - y0 + 31) ** 2 < 15**2) & (along(z) > 0.35),
        )
        painter.paint(Tissue.FLUID, lambda x, y, z: x**2 + (y - y0 + 29) ** 2 < 9.5**2)
        painter.paint(
            Tissue.CORTICAL_BONE,
            lambda x, y, z: (
                ((x.abs() < 3.5) & (y < y0 - 42) & (y > y0 - 68) & (along(z) > 0.5))
                | ((x.abs() < 48) & ((y - y0 + 26).abs() < 5) & ((along(z) - 0.7).abs() < 0.13))
            ),
        )
        self._paint_ribs(painter, generator)

    def _paint_ribs(self, painter: Painter, generator: Generator) -> None:
        inset = self.skin_fat + 0.5 * self.wall
        a, b = self.width - inset, self.height - inset
        start, slope = uniform(generator, 20, 50), uniform(generator, 40, 70)

        def rib(top: float, thick: float, back: float, front: float) -> Shape:
            def inside(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
                radial = ((x / a) ** 2 + (y / b) ** 2).sqrt() - 1
                drop = slope * (y / b + 1) / 2  # ribs fall from the spine to the front
                across = (radial * 0.5 * (a + b)) ** 2
                tube = (across + ((z - top + drop) / 1.6) ** 2 < thick**2) & (x.abs() > 25)
                return tube & (y >= back) & (y < front)

            return inside

        for i in range(6):
            top, end = start + 27 * i, (0.75 if i > 1 else 0.1) * b
            painter.paint(Tissue.CORTICAL_BONE, rib(top, 5.5, -math.inf, end))
            painter.paint(Tissue.MARROW, rib(top, 3.2, -math.inf, end))
            if i > 1:
                painter.paint(Tissue.CARTILAGE, rib(top, 5.0, end, math.inf))

    def _outline(self, inset: float) -> Shape:
        a, b = self.width - inset, self.height - inset
        # the back is flatter than the front: a higher power behind
        return lambda x, y, z: (
            (x.abs() / a) ** 2.4 + (y.abs() / b) ** torch.where(y < 0, 3.2, 2.2) < 1
        )


def _paint_organs(painter: Painter, generator: Generator) -> None:
    def near(*center: float, by: float = 7.0) -> tuple[float, ...]:
        return tuple(c + uniform(generator, -by, by) for c in center)

    def about(*radii: float) -> tuple[float, ...]:
        scale = uniform(generator, 0.88, 1.12)
        return tuple(r * scale * uniform(generator, 0.92, 1.08) for r in radii)

    inside = (Tissue.VISCERAL, Tissue.LUNG)
    painter.ellipsoid(Tissue.LIVER, near(78, 12, 68), about(68, 72, 72), rough=0.2, over=inside)
    painter.ellipsoid(Tissue.LIVER, near(5, 48, 82), about(72, 32, 34), rough=0.2, over=inside)
    for _ in range(5):  # hepatic and portal veins
        painter.tube(
            Tissue.VEIN,
            near(30, 10, 60),
            near(100, 15, 75, by=35),
            uniform(generator, 2.5, 5),
            over=(Tissue.LIVER,),
        )
    painter.ellipsoid(Tissue.SPLEEN, near(-104, -28, 72), about(28, 42, 48), rough=0.2, over=inside)
    stomach, size = near(-52, 42, 66), about(46, 34, 44)
    painter.ellipsoid(Tissue.ORGAN, stomach, size, rough=0.2, over=inside)
    painter.ellipsoid(
        Tissue.BOWEL, stomach, tuple(r - 5 for r in size), rough=0.2, over=(Tissue.ORGAN,)
    )
    level = stomach[1] + uniform(generator, 0, 18)  # gas over the fluid level of a supine patient
    painter.paint(
        Tissue.GAS, lambda x, y, z: (y > level) & (x < 0), over=(Tissue.BOWEL,), expand=True
    )
    soft = (Tissue.VISCERAL,)
    painter.ellipsoid(Tissue.PANCREAS, near(-18, 14, 30), about(55, 11, 14), rough=0.3, over=soft)
    painter.ellipsoid(Tissue.PANCREAS, near(28, 18, 14), about(17, 14, 24), rough=0.3, over=soft)
    painter.ellipsoid(
        Tissue.GALLBLADDER, near(62, 48, 26), about(14, 16, 26), over=(Tissue.LIVER, *soft)
    )
    for side in (-1, 1):
        painter.ellipsoid(Tissue.ORGAN, near(side * 34, -32, 52, by=4), about(3, 12, 14), over=soft)


def _paint_bowel(painter: Painter, generator: Generator) -> None:
    soft = (Tissue.VISCERAL,)
    for side in (1, -1):  # ascending and descending colon
        x = side * uniform(generator, 92, 110)
        y = uniform(generator, -18, 12)
        top = uniform(generator, 0, 40) + (25 if side < 0 else -15)
        _loop(painter, generator, (x, y, -220), (x, y, top), uniform(generator, 14, 24), gas=0.7)
    y = uniform(generator, 48, 66)
    _loop(painter, generator, (85, y, 0), (0, y + 6, -25), uniform(generator, 13, 21), gas=0.8)
    _loop(painter, generator, (0, y + 6, -25), (-85, y, 25), uniform(generator, 13, 21), gas=0.8)
    _loop(painter, generator, (34, 10, 25), (38, -2, -35), uniform(generator, 11, 15), gas=0.2)
    _loop(painter, generator, (38, -2, -35), (-20, 4, -40), uniform(generator, 10, 14), gas=0.2)
    for _ in range(int(uniform(generator, 14, 30))):
        start = [
            uniform(generator, -75, 75),
            uniform(generator, 0, 60),
            uniform(generator, -150, 0),
        ]
        end = [p + uniform(generator, -45, 45) for p in start]
        radius = uniform(generator, 8, 14)
        _loop(painter, generator, start, end, radius, gas=0.15)
    painter.ellipsoid(Tissue.FLUID, (0, 30, -230), (45, 40, 40), over=soft)


def _loop(
    painter: Painter,
    generator: Generator,
    start: Sequence[float],
    end: Sequence[float],
    radius: float,
    gas: float,
) -> None:
    """A piece of bowel: wall, content, and gas in front with the given probability."""
    painter.tube(Tissue.ORGAN, start, end, radius, rough=0.35, over=(Tissue.VISCERAL,))
    painter.tube(Tissue.BOWEL, start, end, radius - 2.5, rough=0.35, over=(Tissue.ORGAN,))
    if chance(generator, gas):
        lift = [0.0, radius * uniform(generator, 0.1, 0.5), 0.0]
        low, high = ([a + b for a, b in zip(p, lift, strict=True)] for p in (start, end))
        painter.tube(
            Tissue.GAS,
            low,
            high,
            radius * uniform(generator, 0.4, 0.75),
            rough=0.35,
            over=(Tissue.BOWEL,),
        )


def _paint_vessels(painter: Painter, generator: Generator) -> dict[Tissue, tuple[float, ...]]:
    """Aorta and vena cava; returns where the renal vessels leave them."""
    y = -14 + uniform(generator, -5, 5)
    aorta, cava = (-14 + uniform(generator, -4, 4), y), (20 + uniform(generator, -4, 4), y + 4)
    r_aorta, r_cava = uniform(generator, 8.5, 12.5), uniform(generator, 9, 14)
    painter.tube(Tissue.ARTERY, (*aorta, -400), (*aorta, 400), r_aorta, rough=0.05)
    painter.tube(Tissue.VEIN, (*cava, -400), (*cava, 400), r_cava, rough=0.15)
    mesenteric = (aorta[0] + 6, y + r_aorta + 16)
    painter.tube(Tissue.ARTERY, (*mesenteric, -90), (aorta[0], y, 34), 3.5)
    painter.tube(Tissue.VEIN, (mesenteric[0] + 14, mesenteric[1], -90), (26, y + 24, 40), 5.0)
    calcified = uniform(generator, 0, 2 * math.pi)
    if chance(generator, 0.4):
        spot = (aorta[0] + r_aorta * math.cos(calcified), y + r_aorta * math.sin(calcified), -30)
        painter.ellipsoid(Tissue.CORTICAL_BONE, spot, (3, 3, 9))
    return {Tissue.ARTERY: (*aorta, 8.0), Tissue.VEIN: (*cava, 4.0)}
