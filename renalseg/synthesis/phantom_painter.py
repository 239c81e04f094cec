"""Paints implicit shapes into a tissue map."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from renalseg.synthesis.tissues import Tissue

Shape = Callable[[Tensor, Tensor, Tensor], Tensor]


class Painter:
    """A tissue map under construction; what is painted later covers what was painted before.

    Args:
        shape: (X, Y, Z).
        spacing: mm along x, y, z.
        roughness: (X, Y, Z) smooth noise that makes surfaces irregular.
        tissue: A map to continue, changed in place; air if None.
    """

    def __init__(
        self,
        shape: Sequence[int],
        spacing: Sequence[float],
        roughness: Tensor,
        tissue: Tensor | None = None,
    ) -> None:
        self.spacing = (float(spacing[0]), float(spacing[1]), float(spacing[2]))
        empty = torch.zeros(tuple(shape), dtype=torch.uint8)
        self.tissue = empty if tissue is None else tissue
        self._roughness = roughness
        self._axes = [
            (torch.arange(n, dtype=torch.float32) - (n - 1) / 2) * mm
            for n, mm in zip(shape, self.spacing, strict=True)
        ]

    def paint(
        self,
        tissue: Tissue,
        shape: Shape,
        over: Sequence[Tissue] = (),
        expand: bool = False,
    ) -> None:
        """Paints where a function of world coordinates is true, `over` some tissues or all.

        The function gets x (X, 1, 1), y (1, Y, 1) and z (1, 1, Z) in mm. It may ignore axes when
        `over` is given or `expand` is set, because its result is broadcast.
        """
        x, y, z = self._axes
        where = shape(x[:, None, None], y[None, :, None], z[None, None, :])
        self._fill(self.tissue, where.expand(self.tissue.shape), tissue, over)

    def ellipsoid(
        self,
        tissue: Tissue,
        center: Sequence[float],
        radii: Sequence[float],
        rough: float = 0.0,
        over: Sequence[Tissue] = (),
        lean: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        """An ellipsoid; `lean` shifts x and y by that many mm per mm along z."""
        reach = [r * (1 + 2 * rough) for r in radii]
        reach[0] += abs(lean[0]) * reach[2]
        reach[1] += abs(lean[1]) * reach[2]
        box = self._box(
            [c - r for c, r in zip(center, reach, strict=True)],
            [c + r for c, r in zip(center, reach, strict=True)],
        )
        if box is None:
            return
        (x, y, z), noise, view = self._local(box)
        dz = z - center[2]
        distance = (
            ((x - center[0] - lean[0] * dz) / radii[0]) ** 2
            + ((y - center[1] - lean[1] * dz) / radii[1]) ** 2
            + (dz / radii[2]) ** 2
        )
        self._fill(view, distance < 1 + rough * noise, tissue, over)

    def tube(
        self,
        tissue: Tissue,
        start: Sequence[float],
        end: Sequence[float],
        radius: float,
        rough: float = 0.0,
        over: Sequence[Tissue] = (),
    ) -> None:
        """A straight tube with round ends."""
        reach = radius * (1 + 2 * rough)
        box = self._box(
            [min(a, b) - reach for a, b in zip(start, end, strict=True)],
            [max(a, b) + reach for a, b in zip(start, end, strict=True)],
        )
        if box is None:
            return
        axes, noise, view = self._local(box)
        along = [b - a for a, b in zip(start, end, strict=True)]
        length2 = max(sum(d * d for d in along), 1e-6)
        offset = [axis - a for axis, a in zip(axes, start, strict=True)]
        zero = torch.zeros(())
        dot = sum((o * d for o, d in zip(offset, along, strict=True)), zero)
        t = (dot / length2).clamp(0, 1)
        distance2 = sum(((o - t * d) ** 2 for o, d in zip(offset, along, strict=True)), zero)
        self._fill(view, distance2 < (radius * (1 + 0.5 * rough * noise)) ** 2, tissue, over)

    def _box(self, low: Sequence[float], high: Sequence[float]) -> tuple[slice, ...] | None:
        box = []
        for axis, a, b in zip(self._axes, low, high, strict=True):
            first = int(torch.searchsorted(axis, a))
            last = int(torch.searchsorted(axis, b, right=True))
            if first >= last:
                return None
            box.append(slice(first, last))
        return tuple(box)

    def _local(self, box: tuple[slice, ...]) -> tuple[tuple[Tensor, ...], Tensor, Tensor]:
        x, y, z = (axis[part] for axis, part in zip(self._axes, box, strict=True))
        axes = (x[:, None, None], y[None, :, None], z[None, None, :])
        return axes, self._roughness[box], self.tissue[box]

    @staticmethod
    def _fill(view: Tensor, where: Tensor, tissue: Tissue, over: Sequence[Tissue]) -> None:
        if over:
            where = where & torch.isin(view, torch.tensor(list(over), dtype=view.dtype))
        view[where] = int(tissue)
