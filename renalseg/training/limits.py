"""A bundle on whole CTs that did not train it, and the limits of its postprocessing that fit."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from monai.data import MetaTensor
from monai.inferers import Inferer
from torch import Tensor

from renalseg.cases import load_nifti
from renalseg.components import bounding_box
from renalseg.data.case_lists import LabeledCase
from renalseg.data.volumes import open_pair
from renalseg.evaluation.lesions import match_lesions
from renalseg.evaluation.overlap import dice, kits19_dice
from renalseg.findings.plausibility.candidates import choose_kidneys
from renalseg.inference.bundle import Bundle, empty_prediction, make_case, segment_case
from renalseg.inference.methods import default_numbers
from renalseg.labels import TUMOR
from renalseg.runtime.progress import steps
from renalseg.transforms import DropSmallTumorsd

SIZES = ("min_tumor_mm3", "min_lesion_mm3")
"""The names under which bundles have the volume from which a tumor counts."""

_MM3 = (0.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 3000.0)
_THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)  # of the probability, for bundles that have one
Limits = Mapping[str, float]


class Tally:
    """What a choice of limits reaches on all cases."""

    def __init__(self) -> None:
        self.dice: list[float] = []
        self.found = self.lesions = self.false = 0

    def add(self, pred: MetaTensor, label: MetaTensor) -> None:
        """Scores the labels (1, X, Y, Z) of a case."""
        self.dice.append(kits19_dice(pred, label)["tumor"])
        masks = [(volume[0] == TUMOR).numpy() for volume in (pred, label)]
        detections = match_lesions(masks[0], masks[1], label.affine.numpy())
        self.found += sum(lesion.found for lesion in detections.lesions)
        self.lesions += len(detections.lesions)
        self.false += len(detections.false_positives_ml)

    @property
    def mean_dice(self) -> float:
        """Mean tumor Dice of the cases with a tumor in label or prediction; 1 without any."""
        known = [value for value in self.dice if not math.isnan(value)]
        return float(np.mean(known)) if known else 1.0

    @property
    def f1(self) -> float:
        """Harmonic mean of the share of lesions found and the share of findings that are true."""
        either = self.lesions + self.found + self.false
        return 2 * self.found / either if either else 1.0


class Outcome(NamedTuple):
    """What whole CTs say about a bundle.

    Attributes:
        limits: Names and values for inference.yaml; none for a localizer.
        scores: Names and values for eval_metrics.
        text: The same for people.
    """

    limits: Limits
    scores: Mapping[str, float]
    text: str


def try_localizer(bundle: Bundle, cases: Sequence[LabeledCase]) -> Outcome:
    """Measures the kidneys that a localizer finds in whole CTs."""
    found = []
    with steps("case") as update:
        for case in cases:
            image, label = _load(case)
            kidney = choose_kidneys(image, bundle(image), default_numbers().plausibility)
            found.append(dice(kidney.as_tensor(), label.as_tensor()))
            update(len(found), len(cases))
    mean = float(np.mean(found))
    text = f"kidney Dice {mean:.3f} in {len(cases)} whole CTs"
    return Outcome({}, {"kidney_dice_validation_cts": round(mean, 4)}, text)


def choose_limits(bundles: Mapping[float | None, Bundle], cases: Sequence[LabeledCase]) -> Outcome:
    """Chooses the limits with the highest sum of tumor Dice and F1 of lesions in whole CTs.

    The kidneys of the labels take the place of a localizer's.

    Args:
        bundles: One tumor bundle, with each threshold of the probability that is tried, or once
            with None where it has no threshold. Its smallest tumor is one of 0 mm3.
        cases: That did not train it.
    """
    tallies = {(threshold, mm3): Tally() for threshold in bundles for mm3 in _MM3}
    first = next(iter(bundles.values()))
    with steps("case") as update:
        for done, case in enumerate(cases, 1):
            image, label = _load(case)
            mask = (label.as_tensor() > 0).to(torch.uint8)
            kidney = MetaTensor(mask, affine=image.affine)
            for threshold, whole in _predictions(bundles, first, image, kidney):
                pred, truth = _where_labeled(whole, label)
                for mm3 in _MM3:
                    kept = DropSmallTumorsd("pred", mm3)({"pred": pred})["pred"]
                    tallies[threshold, mm3].add(kept, truth)
            update(done, len(cases))
    best = max(tallies, key=lambda key: tallies[key].mean_dice + tallies[key].f1)
    chosen, tally = dict(zip(("threshold", "mm3"), best, strict=True)), tallies[best]
    scores = {"tumor_dice": tally.mean_dice, "lesion_f1": tally.f1}
    return Outcome(
        {name: value for name, value in chosen.items() if value is not None},
        {f"{name}_validation_cts": round(value, 4) for name, value in scores.items()},
        f"tumor Dice {tally.mean_dice:.3f}, {tally.found} of {tally.lesions} tumors found, "
        f"{tally.false} false ones in {len(cases)} whole CTs, with the kidneys of the labels",
    )


def thresholds_of(config: Mapping[str, object]) -> tuple[float | None, ...]:
    """The thresholds to try for the bundle with this inference.yaml."""
    return _THRESHOLDS if "threshold" in config else (None,)


class _Once(Inferer):
    """An inferer that computes the logits of each image of a case once, and gives copies later."""

    def __init__(self, inferer: Inferer) -> None:
        self.inferer = inferer
        self.logits: list[Tensor] = []
        self.next = 0

    def __call__(
        self, inputs: Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Tensor:
        """Gives the logits of the next image of the case."""
        if self.next == len(self.logits):
            self.logits.append(self.inferer(inputs, network))
        self.next += 1
        return self.logits[self.next - 1].clone()


def _predictions(
    bundles: Mapping[float | None, Bundle], first: Bundle, image: MetaTensor, kidney: MetaTensor
) -> list[tuple[float | None, MetaTensor]]:
    """The labels of a case with each threshold; the network runs once."""
    once = _Once(first.inferer)
    found = []
    for threshold, bundle in bundles.items():
        once.next = 0
        pred = segment_case(
            bundle.preprocessing(make_case(image, kidney)),
            network=first.network,
            inferer=once,
            postprocessing=bundle.postprocessing,
            device=first.device,
        )
        found.append((threshold, empty_prediction(image) if pred is None else pred))
    return found


def _where_labeled(pred: MetaTensor, label: MetaTensor) -> tuple[MetaTensor, MetaTensor]:
    """The part of both that either labels, because the rest takes time and says nothing."""
    box = bounding_box(((pred > 0) | (label > 0))[0].numpy())
    if box is None:
        return pred, label
    parts = (volume.as_tensor()[(slice(None), *box)] for volume in (pred, label))
    first, second = (MetaTensor(part, affine=label.affine) for part in parts)
    return first, second


def _load(case: LabeledCase) -> tuple[MetaTensor, MetaTensor]:
    """Image and label on one grid; that of KiTS' labels may be half a voxel off."""
    open_pair(case)
    image = load_nifti(case.image, torch.float32)
    label = load_nifti(case.label, torch.uint8)
    return image, MetaTensor(label.as_tensor(), affine=image.affine)
