"""The choice of what goes on from a localizer: what can be kidneys, and not what is largest.

Besides the kidneys a localizer finds bladder, bowel, vessels or muscles in scans of more than the
abdomen, and these may be larger than a kidney.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from monai.data import MetaTensor

from renalseg.components import Box, around, gap_mm, grow_box, part_boxes, within
from renalseg.findings.plausibility.kidneys import (
    Traits,
    doubts,
    measure_traits,
    reaches_end,
    why_not,
)
from renalseg.findings.plausibility.scene import Found, make_scene, sides_in
from renalseg.geometry import Array, voxel_volume_mm3
from renalseg.labels import Side
from renalseg.limits import Plausibility

NEAR_MM = 15.0  # pieces of a torn kidney are not farther apart
_MOST = 2  # kidneys
_SHARED = 0.5  # so much of the shorter kidney of a pair lies at the levels of the other
_SMALLEST = 0.25  # of a pair, by volume


def choose_kidneys(image: MetaTensor, mask: MetaTensor, limits: Plausibility) -> MetaTensor:
    """Keeps at most two of the pieces that a localizer found, and what was torn off them.

    The two with the fewest doubts stay, and of equals the larger ones. That two are no pair counts
    as one more doubt. A piece with too many doubts, but nothing impossible, stays only as the other
    half of a pair, because its outline may be at fault. If no piece can be a kidney, the largest
    stay: the check of the findings says why they are none.

    Args:
        image: HU (1, X, Y, Z), affine in RAS mm with orthogonal axes.
        mask: (1, X, Y, Z) uint8 on its grid; what was found is not 0.
        limits: Of the method.

    Returns:
        The mask without the other pieces; itself if all stay.
    """
    labels = mask[0].cpu().numpy()
    found = Found.of(labels)
    if found is None or found.pieces.max() <= _MOST:
        return mask
    affine = np.asarray(image.affine, dtype=np.float64)
    stays = np.zeros(found.pieces.max() + 1, labels.dtype)
    stays[_Pieces(image[0].cpu().numpy(), affine, found, limits).kept()] = 1
    chosen = np.zeros_like(labels)
    np.multiply(stays[found.pieces], labels[found.box], out=chosen[found.box])
    return MetaTensor(torch.from_numpy(chosen)[None], affine=mask.affine)


class _Candidate(NamedTuple):
    """What may be a kidney.

    Attributes:
        numbers: Of its pieces.
        traits: See `measure_traits`.
        doubts: How many of them are unusual.
        possible: Whether no trait is impossible.
        likely: Whether it can be a kidney: there are not too many doubts either.
        side: Of the body.
        levels: Its planes along the body.
    """

    numbers: tuple[int, ...]
    traits: Traits
    doubts: int
    possible: bool
    likely: bool
    side: Side
    levels: slice

    @property
    def volume_ml(self) -> float:
        """Its size."""
        return self.traits["volume_ml"]

    @property
    def hull_ml(self) -> float:
        """The size of its convex hull."""
        return self.volume_ml / self.traits["solidity"]

    def pairs_with(self, other: _Candidate) -> bool:
        """Whether the two are as kidneys are: one on each side, at the same levels, of one size."""
        first, second = self.levels, other.levels
        shared = min(first.stop, second.stop) - max(first.start, second.start)
        shorter = min(first.stop - first.start, second.stop - second.start)
        small, large = sorted((self.volume_ml, other.volume_ml))
        alike = shared >= _SHARED * shorter and small >= _SMALLEST * large
        return self.side != other.side and alike


class _Pieces:
    """The connected pieces of a localizer's mask.

    Each is judged among the planes around it: far from there the spine is another column.
    """

    def __init__(
        self, hu: npt.NDArray[np.float32], affine: Array, found: Found, limits: Plausibility
    ) -> None:
        self._hu, self._affine, self._found, self._limits = hu, affine, found, limits
        self._boxes = part_boxes(found.pieces)
        self._spacing = np.linalg.norm(affine[:3, :3], axis=0)
        self._ml = np.bincount(found.pieces.ravel()) * voxel_volume_mm3(affine) / 1000

    def kept(self) -> list[int]:
        """The numbers of those that stay."""
        numbers = range(1, len(self._ml))
        judged = {number: self._judge((number,)) for number in numbers}
        seen = {number: each for number, each in judged.items() if each is not None}
        large = [each for n, each in seen.items() if self._ml[n] >= self._limits.least_ml]
        mended = (self._mended(*two) for two in combinations(large, 2))
        chosen = _choose([*large, *(each for each in mended if each is not None)])
        if not chosen:
            return list(numbers[:_MOST])
        for number, piece in seen.items():  # the largest first
            if not any(number in each.numbers for each in chosen):
                chosen = [self._mended(each, piece) or each for each in chosen]
        return [number for each in chosen for number in each.numbers]

    def _judge(self, numbers: tuple[int, ...]) -> _Candidate | None:
        """Looks at pieces as if they were one; None if too little of them is seen."""
        box = self._around(numbers)
        own = np.isin(self._found.pieces[box], numbers).astype(np.int32)
        there = within(box, self._found.box)
        alone = Found(there, own, np.zeros_like(own))
        scene = make_scene(self._hu, self._affine, alone, self._limits.step_mm)
        if not scene.pieces.any():
            return None
        traits, cut = measure_traits(scene, 1, self._limits.layer_mm), reaches_end(scene, 1)
        along = int(np.argmax(np.abs(self._affine[2, :3])))
        return _Candidate(
            numbers,
            traits,
            len(doubts(traits, self._limits.usual, cut=cut)),
            not doubts(traits, self._limits.possible, cut=cut),
            not why_not(traits, self._limits, cut=cut, elsewhere=False),
            sides_in(scene)[1],
            there[along],
        )

    def _mended(self, first: _Candidate, second: _Candidate) -> _Candidate | None:
        """Both as one, if they are pieces of one torn kidney.

        Then they have one density, and each continues the shape of the other. What merely lies near
        adds far more to the convex hull of both than it fills.
        """
        large, small = sorted((first, second), key=lambda each: -each.volume_ml)
        apart = abs(large.traits["median_hu"] - small.traits["median_hu"])
        if apart > large.traits["spread_hu"] or not self._near(large.numbers, small.numbers):
            return None
        both = self._judge(large.numbers + small.numbers)
        if both is None or not both.likely:
            return None
        filled = small.volume_ml / max(both.hull_ml - large.hull_ml, 1e-6)
        return both if filled >= self._limits.possible.solidity[0] else None

    def _near(self, first: Sequence[int], second: Sequence[int]) -> bool:
        shape, reach = self._found.pieces.shape, NEAR_MM / self._spacing
        part = grow_box(self._around(second), reach, shape)
        there = self._found.pieces[part]
        one, other = (np.argwhere(np.isin(there, n)) for n in (first, second))
        return bool(len(one)) and gap_mm(one * self._spacing, other * self._spacing) < NEAR_MM

    def _around(self, numbers: Sequence[int]) -> Box:
        """The box of pieces."""
        return around([self._boxes[number - 1] for number in numbers])


def _choose(candidates: Sequence[_Candidate]) -> list[_Candidate]:
    """Chooses at most two, or none if none can be a kidney."""
    likely = [each for each in candidates if each.likely]
    pairs = [
        (first, second)
        for first, second in combinations([each for each in candidates if each.possible], 2)
        if not {*first.numbers} & {*second.numbers}
        and (first.likely or second.likely)
        and ((first.likely and second.likely) or first.pairs_with(second))
    ]

    def cost(pair: tuple[_Candidate, _Candidate]) -> tuple[int, float]:
        first, second = pair
        odd = not first.pairs_with(second)
        return first.doubts + second.doubts + odd, -first.volume_ml - second.volume_ml

    if pairs:
        first, second = min(pairs, key=cost)
        return [first, second]
    return sorted(likely, key=lambda each: (each.doubts, -each.volume_ml))[:1]
