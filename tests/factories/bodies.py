"""Bodies of simple shapes: what a CT shows of an abdomen, a head, a leg or a phantom of water."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from monai.data import MetaTensor

from renalseg.labels import KIDNEY, TUMOR, ContrastPhase

SHAPE, SPACING = (140, 110, 90), 2.5  # voxels and mm; the origin of the world is in the middle
SPINE = (0.0, -60.0)  # mm, x and y of its middle
Place = Sequence[float]


@dataclass
class Body:
    """A CT that is filled shape by shape; mm in RAS.

    Attributes:
        scale: A child is smaller than 1.
        hu: (X, Y, Z).
        labels: What a network found, (X, Y, Z).
    """

    scale: float = 1.0
    hu: npt.NDArray[np.float32] = field(init=False)
    labels: npt.NDArray[np.uint8] = field(init=False)

    def __post_init__(self) -> None:
        """Starts with air."""
        self.hu = np.full(SHAPE, -1000, np.float32)
        self.labels = np.zeros(SHAPE, np.uint8)
        self.grid = [
            (np.arange(n) - (n - 1) / 2) * SPACING for n in SHAPE
        ]  # the anatomy is that of an adult; scale only changes the voxels

    def within(self, center: Place, radii: Place) -> npt.NDArray[np.bool_]:
        """The voxels of an ellipsoid; an infinite radius makes it a cylinder."""
        x, y, z = np.meshgrid(*self.grid, indexing="ij", sparse=True)
        (cx, cy, cz), (rx, ry, rz) = center, radii
        inside = ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 + ((z - cz) / rz) ** 2 < 1
        return np.asarray(inside)

    def fill(self, center: Place, radii: Place, hu: float, label: int | None = None) -> None:
        """Fills an ellipsoid."""
        inside = self.within(center, radii)
        self.hu[inside] = hu
        if label is not None:
            self.labels[inside] = label

    def trunk(self, aorta: float = 45, bone: float = 350) -> None:
        """Skin fat, muscle, the fat of the belly, the spine, the aorta and the back."""
        endless = np.inf
        self.fill((0, 0, 0), (165, 120, endless), -105)
        self.fill((0, 0, 0), (150, 105, endless), 50)
        self.fill((0, 5, 0), (135, 85, endless), -100)
        for side in (-1, 1):
            self.fill((side * 40, -88, 0), (30, 18, endless), 55)  # the muscles of the back
            self.fill((side * 40, -50, -20), (16, 16, 90), 55)  # psoas
        self.fill((0, *SPINE[1:], 0), (24, 19, endless), bone)
        self.fill((0, -88, 0), (14, 12, endless), bone)
        levels = np.remainder(self.grid[2], 33) < 9  # discs
        inside = self.within((0, *SPINE[1:], 0), (24, 19, endless)) & levels
        self.hu[inside] = 80
        self.fill((-12, -26, 0), (11, 11, endless), aorta)

    def kidney(
        self,
        side: int,
        cortex: float = 160,
        medulla: float = 150,
        center: Place = (65, -35, 0),
        radii: Place = (27, 24, 55),
    ) -> None:
        """A kidney with its sinus of fat; `side` is 1 for the right, -1 for the left."""
        x, y, z = center
        inner = [max(r - 7, 1) for r in radii]
        self.fill((side * x, y, z), radii, cortex, KIDNEY)
        self.fill((side * x, y, z), inner, medulla)
        sinus = self.within((side * (x - 12), y + 6, z), (14, 9, 20))
        self.hu[sinus & (self.labels == KIDNEY)] = -60
        self.labels[sinus] = 0

    def tumor(self, center: Place, radius: float, hu: float) -> None:
        """A ball that is called tumor."""
        self.fill(center, (radius,) * 3, hu, TUMOR)

    def volumes(self, noise: float = 8, seed: int = 0) -> tuple[MetaTensor, MetaTensor]:
        """The CT and the labels, (1, X, Y, Z), with noise."""
        spacing = SPACING * self.scale
        affine = np.diag([spacing, spacing, spacing, 1.0])
        affine[:3, 3] = -(np.array(SHAPE) - 1) / 2 * spacing
        grain = np.random.default_rng(seed).normal(0, noise, SHAPE).astype(np.float32)
        world = torch.from_numpy(affine)
        image = MetaTensor(torch.from_numpy(self.hu + grain)[None], affine=world)
        return image, MetaTensor(torch.from_numpy(self.labels.copy())[None], affine=world)


PLAIN, EARLY, LATE = (
    ContrastPhase.NONCONTRAST,
    ContrastPhase.CORTICOMEDULLARY,
    ContrastPhase.NEPHROGRAPHIC,
)
DENSITIES = {PLAIN: (45, 32, 32, 34), EARLY: (300, 190, 90, 120), LATE: (150, 160, 150, 90)}


def breathed(phase: ContrastPhase, right: float = 0.0, left: float = 0.0) -> Body:
    """A body in a phase whose kidneys have moved up by some mm, with a tumor in the right one."""
    aorta, cortex, medulla, tumor = DENSITIES[phase]  # HU
    body = Body()
    body.trunk(aorta)
    body.kidney(1, cortex, medulla, center=(65, -35, right))
    body.kidney(-1, cortex, medulla, center=(65, -35, left), radii=(26, 23, 52))
    body.tumor((85, -35, right + 30), 15, tumor)
    return body
