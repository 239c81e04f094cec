"""Bundles on whole CTs that did not train them, and the limits of postprocessing that fit."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

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
from renalseg.inference.methods import LOCALIZER, default_numbers
from renalseg.labels import TUMOR
from renalseg.runtime.progress import steps
from renalseg.transforms import DropSmallTumorsd

SIZES = ("min_tumor_mm3", "min_lesion_mm3")
"""The names under which bundles have the volume from which a tumor counts."""

_MM3 = (0.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 3000.0)
_THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)  # of the probability, for bundles that have one
Limits = Mapping[str, float]
Measured = TypeVar("Measured")
MakeBundle = Callable[[Mapping[str, Any]], Bundle]
"""Makes a bundle with some values of its inference.yaml replaced."""


class Tally:
    """What a choice of limits reaches on all cases."""

    def __init__(self) -> None:
        self.dice: list[float] = []
        self.kidney_dice: list[float] = []
        self.found = self.lesions = self.false = 0

    def add(self, pred: MetaTensor, label: MetaTensor) -> None:
        """Scores the labels (1, X, Y, Z) of a case."""
        dices = kits19_dice(pred, label)
        self.dice.append(dices["tumor"])
        self.kidney_dice.append(dices["kidney"])
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
    def score(self) -> float:
        """What is to be high: the mean of tumor Dice and F1."""
        return (self.mean_dice + self.f1) / 2

    @property
    def f1(self) -> float:
        """Harmonic mean of the share of lesions found and the share of findings that are true."""
        either = self.lesions + self.found + self.false
        return 2 * self.found / either if either else 1.0


class Outcome(NamedTuple):
    """What whole CTs say about a bundle.

    Attributes:
        limits: Names and values for inference.yaml; none for a localizer.
        scores: Names and values: `kidney_dice`, and of tumor bundles `tumor_dice` and `lesion_f1`.
        score: What the choice of weights and limits goes by.
        cases: Number of whole CTs.
        text: The same for people.
    """

    limits: Limits
    scores: Mapping[str, float]
    score: float
    cases: int
    text: str


def bundle_with(
    bundle: Path, device: torch.device, inference: Mapping[str, Any], weights: Path
) -> MakeBundle:
    """Makes a bundle with the settings and weights of a training in place of its own.

    Args:
        bundle: The bundle that was trained.
        device: Where its network runs.
        inference: What the training sets in its inference.yaml.
        weights: A state dict.
    """
    own = {**inference, "network::weights": str(weights)}
    return lambda overrides: Bundle(bundle, device, overrides={**own, **overrides})


def measure(
    name: str,
    settings: Mapping[str, Any],
    folds: Sequence[tuple[MakeBundle, Sequence[LabeledCase]]],
) -> Outcome:
    """Measures a bundle on whole CTs.

    Args:
        name: Of the bundle, which begins with its stage.
        settings: Its inference.yaml.
        folds: Makes the bundle, and cases that did not train it; several of both where a bundle
            comes from the trainings of several folds, each measured on its own cases.
    """
    if name.startswith(LOCALIZER):
        return try_localizer(*((make({}), cases) for make, cases in folds))
    size = size_name(settings)
    return choose_limits(
        *(
            ({t: make({size: 0.0, "threshold": t}) for t in thresholds_of(settings)}, cases)
            for make, cases in folds
        )
    )


def try_localizer(*folds: tuple[Bundle, Sequence[LabeledCase]]) -> Outcome:
    """Measures the kidneys that a localizer finds in whole CTs.

    Args:
        folds: The localizer, or that of each fold, and cases that did not train it.
    """
    found: list[float] = []
    with steps("case") as update:
        for bundle, case, count in _every(folds):
            image, label = _load(case)
            kidney = choose_kidneys(image, bundle(image), default_numbers().plausibility)
            found.append(dice(kidney.as_tensor(), label.as_tensor()))
            update(len(found), count)
    mean = float(np.mean(found))
    text = f"kidney Dice {mean:.3f} in {len(found)} whole CTs"
    return Outcome({}, {"kidney_dice": round(mean, 4)}, mean, len(found), text)


def choose_limits(
    *folds: tuple[Mapping[float | None, Bundle], Sequence[LabeledCase]],
) -> Outcome:
    """Chooses the limits with the highest mean of tumor Dice and F1 of lesions in whole CTs.

    The kidneys of the labels take the place of a localizer's.

    Args:
        folds: A tumor bundle, or that of each fold, with each threshold of the probability that is
            tried, or once with None where it has no threshold, and cases that did not train it.
            Its smallest tumor is one of 0 mm3.
    """
    tallies = {(threshold, mm3): Tally() for threshold in folds[0][0] for mm3 in _MM3}
    with steps("case") as update:
        for done, (bundles, case, count) in enumerate(_every(folds), 1):
            image, label = _load(case)
            mask = (label.as_tensor() > 0).to(torch.uint8)
            kidney = MetaTensor(mask, affine=image.affine)
            for threshold, whole in _predictions(bundles, image, kidney):
                pred, truth = _where_labeled(whole, label)
                for mm3 in _MM3:
                    kept = DropSmallTumorsd("pred", mm3)({"pred": pred})["pred"]
                    tallies[threshold, mm3].add(kept, truth)
            update(done, count)
    best = max(tallies, key=lambda key: tallies[key].score)
    chosen, tally = dict(zip(("threshold", "mm3"), best, strict=True)), tallies[best]
    scores = {
        "kidney_dice": float(np.nanmean(tally.kidney_dice)),
        "tumor_dice": tally.mean_dice,
        "lesion_f1": tally.f1,
    }
    return Outcome(
        {name: value for name, value in chosen.items() if value is not None},
        {name: round(value, 4) for name, value in scores.items()},
        tally.score,
        len(tally.dice),
        f"tumor Dice {tally.mean_dice:.3f}, {tally.found} of {tally.lesions} tumors found, "
        f"{tally.false} false ones in {len(tally.dice)} whole CTs, with the kidneys of the labels",
    )


def _every(
    folds: Sequence[tuple[Measured, Sequence[LabeledCase]]],
) -> Iterator[tuple[Measured, LabeledCase, int]]:
    """What measures each case, the case, and the number of all cases."""
    count = sum(len(cases) for _, cases in folds)
    for measured, cases in folds:
        for case in cases:
            yield measured, case, count


def size_name(settings: Mapping[str, object]) -> str:
    """The name of the volume from which a tumor counts, in the inference.yaml of a bundle."""
    return next(name for name in SIZES if name in settings)


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
    bundles: Mapping[float | None, Bundle], image: MetaTensor, kidney: MetaTensor
) -> list[tuple[float | None, MetaTensor]]:
    """The labels of a case with each threshold; the network runs once."""
    first = next(iter(bundles.values()))
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
