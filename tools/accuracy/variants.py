"""Variants of a method, and the time and accuracy of each on labeled CTs."""

from __future__ import annotations

import importlib.util
import multiprocessing
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch
from monai.data import MetaTensor

from renalseg.evaluation.overlap import kits19_dice
from renalseg.inference.models import Models
from renalseg.labels import TUMOR
from renalseg.runtime.memory import peak_mib, reset_peak
from renalseg.settings import Settings
from tools.accuracy import start_process
from tools.accuracy.scored_cases import ScoredCase

PLAIN, DEFAULT = "plain", "default"

# Values that replace those of inference.yaml; a bundle without the knob has no such choice. Half is
# bfloat16 on a CPU, float16 on a GPU.
_ANYWHERE: Mapping[str, Mapping[str, Any]] = {
    PLAIN: {"engine": "torch", "amp": False, "overlap": 0.5},
    "torch half": {"engine": "torch", "amp": True, "overlap": 0.5},
}
# The engine is the bundle's own: "auto", or torch where its input differs from CT to CT.
_OPENVINO: Mapping[str, Mapping[str, Any]] = {
    "openvino float32": {"amp": False, "overlap": 0.5},
    "openvino half": {"amp": True, "overlap": 0.5},
}


def variants_for(device: torch.device) -> dict[str, Mapping[str, Any]]:
    """The variants that a device can run: name and overrides, the reference first."""
    openvino = device.type == "cpu" and importlib.util.find_spec("openvino") is not None
    return {**_ANYWHERE, **(_OPENVINO if openvino else {}), DEFAULT: {}}


@dataclass(frozen=True)
class Score:
    """Time and accuracy of a variant on a case.

    Attributes:
        case: Its name.
        seconds: Of both bundles.
        kidney: Dice of kidney with tumor.
        tumor: Dice; None if no tumor is labeled.
    """

    case: str
    seconds: float
    kidney: float
    tumor: float | None


@dataclass(frozen=True)
class Measured:
    """A variant on all cases.

    Attributes:
        method: Name.
        variant: Name.
        peak_mib: Largest memory of the process while it segmented.
        scores: One per case.
    """

    method: str
    variant: str
    peak_mib: float
    scores: tuple[Score, ...]


def measure_apart(
    settings: Settings, variant: str, overrides: Mapping[str, Any], cases: Sequence[ScoredCase]
) -> Measured:
    """Like `measure`, in a separate process, so that no other variant is in its memory."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, initializer=start_process) as pool:
        return pool.submit(measure, settings, variant, overrides, cases).result()


def measure(
    settings: Settings, variant: str, overrides: Mapping[str, Any], cases: Sequence[ScoredCase]
) -> Measured:
    """Segments all cases; the first one twice, since the first time converts and allocates.

    Args:
        settings: The method.
        variant: Its name.
        overrides: Values that replace those of the bundles' inference.yaml.
        cases: One or more.
    """
    with Models(settings.choice, overrides) as models:
        _segment(models, cases[0].image())
        results = [_score(models, case) for case in cases]
    scores, peaks = zip(*results, strict=True)
    return Measured(settings.choice.algorithm, variant, max(peaks), scores)


def _score(models: Models, case: ScoredCase) -> tuple[Score, float]:
    """The score of a case, and the peak memory in MiB without the label."""
    image = case.image()
    reset_peak()
    start = time.perf_counter()
    pred = _segment(models, image)
    seconds, peak = time.perf_counter() - start, peak_mib()
    truth = case.truth(image)
    dice = kits19_dice(pred, truth)
    labeled = bool((truth == TUMOR).any())
    return Score(case.name, seconds, dice["kidney"], dice["tumor"] if labeled else None), peak


def _segment(models: Models, image: MetaTensor) -> MetaTensor:
    return models.find_tumors(image, models.find_kidneys(image))
