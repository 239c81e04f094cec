"""Plausibility of what the networks found: kidneys, and tumors in them.

Networks label something in every image. This package examines the labels as a reader would:
density, size, shape, surrounding fat, position relative to the spine, and the contrast phase. It
knows no network and no file.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from monai.data import MetaTensor

from renalseg.components import Mask
from renalseg.findings.plausibility.kidneys import measure_traits, reaches_end, why_not
from renalseg.findings.plausibility.phase import phase_of, read_signs
from renalseg.findings.plausibility.scene import Found, Scene, make_scene, on_side, sides_in
from renalseg.findings.plausibility.tumors import Region, reasons_for_review, why_kidney
from renalseg.findings.sentences import Judgment
from renalseg.geometry import voxel_volume_mm3
from renalseg.labels import BACKGROUND, KIDNEY, ContrastPhase, Side
from renalseg.limits import Plausibility

NOT_ENHANCED = (
    "The kidneys do not enhance: solid tumors as dense as the kidney cannot be seen in this scan."
)
_MOST_REASONS = 3  # that are said of one piece


Doubt = tuple[tuple[int, ...], str]
"""Index (3,) of a voxel of a tumor, and why a person should look at it."""


class Judged(NamedTuple):
    """The reportable findings.

    Attributes:
        pred: Labels (1, X, Y, Z) uint8 without what is not plausible.
        judgment: What the result says about itself.
        doubts: What a person should check in reported tumors: an index (3,) in each, and a reason.
    """

    pred: MetaTensor
    judgment: Judgment
    doubts: tuple[Doubt, ...] = ()


def judge(
    image: MetaTensor, pred: MetaTensor, limits: Plausibility, *, elsewhere: bool = False
) -> Judged:
    """Removes what cannot be a kidney, and returns implausible tumors to the kidney.

    Args:
        image: HU (1, X, Y, Z), affine in RAS mm with orthogonal axes.
        pred: (1, X, Y, Z) uint8 on its grid: 0 background, 1 kidney, 2 tumor.
        limits: Limits of the method.
        elsewhere: Whether the header names a body part far from the kidneys, which counts as a
            doubt.
    """
    labels = pred[0].cpu().numpy()
    found = Found.of(labels)
    if found is None:
        return Judged(pred, Judgment())
    affine = np.asarray(image.affine, dtype=np.float64)
    scene = make_scene(image[0].cpu().numpy(), affine, found, limits.step_mm)
    ml = voxel_volume_mm3(affine) / 1000
    pieces = _Pieces(scene, np.bincount(found.pieces.ravel()) * ml, limits, elsewhere)
    if not pieces.kept:
        empty = MetaTensor(torch.zeros_like(pred.as_tensor()), affine=pred.affine)
        return Judged(empty, Judgment(reason="; ".join(pieces.reasons())))
    phase = phase_of(read_signs(scene, list(pieces.kidneys()), limits.phase), limits.phase)
    volumes = np.bincount(found.tumors.ravel()) * ml
    given_back, said, doubted = _judge_tumors(pieces, volumes, phase, limits)
    local = labels[found.box].copy()
    local[np.isin(found.tumors, given_back)] = KIDNEY
    local[(local > 0) & ~np.isin(found.pieces, pieces.kept)] = BACKGROUND
    kept = labels.copy()
    kept[found.box] = local
    review = [_sentence(f"{why}: no kidney, not reported") for why in pieces.reasons()]
    review += map(_sentence, said)
    if phase == ContrastPhase.NONCONTRAST:
        review.append(NOT_ENHANCED)
    judged = MetaTensor(torch.from_numpy(kept)[None], affine=pred.affine)
    start = np.array([part.start for part in found.box])
    doubts = tuple(
        (tuple((np.argwhere(found.tumors == number)[0] + start).tolist()), reason)
        for number, reason in doubted
    )
    return Judged(judged, Judgment(phase, review=tuple(review)), doubts)


class _Pieces:
    """The connected pieces of the findings, and which of them can be kidneys.

    Small pieces are not judged: they go with the largest of their side.

    Attributes:
        scene: Where they lie.
        kept: Numbers of the pieces that are reported.
    """

    def __init__(
        self, scene: Scene, volumes: np.ndarray, limits: Plausibility, elsewhere: bool
    ) -> None:
        self.scene = scene
        self.volumes = volumes
        self.sides = sides_in(scene)
        self._why: dict[int, list[str]] = {}
        largest: dict[Side, int] = {}
        self.kept = []
        for number, side in self.sides.items():  # the largest first
            if side not in largest or volumes[number] >= limits.least_ml:
                traits = measure_traits(scene, number, limits.layer_mm)
                cut = reaches_end(scene, number)
                self._why[number] = why_not(traits, limits, cut=cut, elsewhere=elsewhere)
            first = largest.setdefault(side, number)
            if not self._why.get(number, self._why[first]):
                self.kept.append(number)
        unseen = set(range(1, len(volumes))) - set(self.sides)  # too small for the coarse grid
        self.kept += sorted(unseen) if self.kept else []

    def reasons(self) -> list[str]:
        """Why pieces are no kidneys, a text each."""
        return [
            f"what was found on the {self.sides[number].value} ({self.volumes[number]:.0f} ml) has "
            f"{', '.join(why[:_MOST_REASONS])}"
            for number, why in self._why.items()
            if why
        ]

    def on(self, side: Side) -> Mask:
        """Returns the mask (X, Y, Z) that is reported on a side, with its tumors."""
        kept = {number: self.sides[number] for number in self.kept if number in self.sides}
        return on_side(self.scene, kept, side)

    def kidneys(self) -> Iterator[Mask]:
        """Returns the reported mask of each side that has one."""
        return (mask for side in Side if (mask := self.on(side)).any())


def _judge_tumors(
    pieces: _Pieces, volumes: np.ndarray, phase: ContrastPhase, limits: Plausibility
) -> tuple[list[int], list[str], list[tuple[int, str]]]:
    """Returns the regions that are not tumors, sentences for review, and reasons by region."""
    scene = pieces.scene
    sides = {side: pieces.on(side) for side in Side}
    given_back: dict[tuple[Side, str], list[int]] = defaultdict(list)
    said, doubted = [], []
    for number in range(1, len(volumes)):
        mask = scene.tumors == number
        piece = int(scene.pieces[mask].max(initial=0))
        if piece not in pieces.kept or piece not in pieces.sides:
            continue
        side = pieces.sides[piece]
        (other,) = (mask for each, mask in sides.items() if each != side)
        region = Region(mask, sides[side], other)
        why = why_kidney(region, scene, phase, limits.tumor)
        if why is not None:
            given_back[side, why].append(number)
            continue
        for reason in reasons_for_review(region, scene, phase, limits.tumor):
            said.append(f"the tumor of {volumes[number]:.1f} ml on the {side.value} {reason}")
            doubted.append((number, reason))
    back = [_not_reported(side, why, volumes[ns]) for (side, why), ns in given_back.items()]
    return [n for numbers in given_back.values() for n in numbers], back + said, doubted


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _not_reported(side: Side, why: str, volumes: np.ndarray) -> str:
    what, were = f"a region of {volumes[0]:.0f} ml", "was"
    if len(volumes) > 1:
        what, were = f"{len(volumes)} regions of {volumes.sum():.0f} ml together", "were"
    return f"{what} in the {side.value} kidney {were} called tumor {why}: not reported"
