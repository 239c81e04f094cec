"""The fit of a calibration: Platt's method, and how well it holds for other patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize

from renalseg.findings.confidence import Calibration, log_odds
from renalseg.geometry import Array
from tools.calibration.lesions import Lesions

_POINTS = 4  # of the picture, for equally many lesions each


def fit(lesions: Lesions) -> Calibration:
    """Fits by Platt's method, whose targets keep the slope finite where the kinds are apart."""
    odds = np.array([log_odds(output) for output in lesions.outputs])
    found, false = lesions.real.sum(), (1 - lesions.real).sum()
    target = np.where(lesions.real == 1, (found + 1) / (found + 2), 1 / (false + 2))

    def loss(weights: Array) -> float:
        logits = weights[0] + weights[1] * odds
        return float((np.logaddexp(0, logits) - target * logits).sum())

    intercept, slope = minimize(loss, np.array([0.0, 1.0]), method="Nelder-Mead").x
    return Calibration(round(float(intercept), 3), round(float(slope), 3))


def held_out(lesions: Lesions) -> Array:
    """Gives the probability of each lesion by a fit to those of the other patients."""
    probabilities = np.zeros(len(lesions.real))
    for patient in np.unique(lesions.patients):
        own = lesions.patients == patient
        others = fit(Lesions(*(values[~own] for values in lesions)))
        probabilities[own] = [others.probability(output) for output in lesions.outputs[own]]
    return probabilities


def report(lesions: Lesions) -> dict[str, Any]:
    """Gives the fit and how well it holds: for other patients, for its own, and without a fit."""
    fitted, share = fit(lesions), lesions.real.mean()
    own = np.array([fitted.probability(output) for output in lesions.outputs])
    return {
        **asdict(fitted),
        "lesions": len(lesions.real),
        "real": int(lesions.real.sum()),
        "patients": len(np.unique(lesions.patients)),
        "brier": _brier(held_out(lesions), lesions.real),
        "brier_in_sample": _brier(own, lesions.real),
        "brier_of_the_share": _brier(np.full_like(own, share), lesions.real),
    }


def _brier(probabilities: Array, real: Array) -> float:
    return round(float(((probabilities - real) ** 2).mean()), 3)


def draw(lesions: Lesions, path: Path) -> None:
    """Draws how often lesions were real against the probability that others give them."""
    import matplotlib.pyplot as plt

    probabilities = held_out(lesions)
    groups: Sequence[Array] = np.array_split(np.argsort(probabilities), _POINTS)
    figure, axes = plt.subplots(figsize=(4, 4), layout="constrained")
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    for group in groups:
        share, count = lesions.real[group].mean(), len(group)
        error = np.sqrt(share * (1 - share) / count)
        axes.errorbar(probabilities[group].mean(), share, yerr=error, fmt="o", color="C0")
    title = f"{len(probabilities)} lesions, {_POINTS} groups of equal size"
    axes.set(xlabel="calibrated probability", ylabel="share that is real", title=title)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    figure.savefig(path, dpi=100)
    plt.close(figure)
