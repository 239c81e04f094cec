"""Training stacks of slices for a 2.5D network."""

from __future__ import annotations

from typing import Any

from torch import Generator

from renalseg.synthesis.patches import SyntheticPatches


class SliceStacks(SyntheticPatches):
    """Endless thin patches, an odd number of slices, whose center slice holds kidney.

    The arguments are those of `SyntheticPatches`.
    """

    def draw(self, generator: Generator) -> dict[str, Any]:
        """One stack: `image` (1, *roi_size) float32 HU, `label` (1, *roi_size) uint8, `case`."""
        while True:
            stack = super().draw(generator)
            if stack["label"][..., self.roi_size[2] // 2].any():
                return stack
