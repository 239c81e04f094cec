"""Calibrates a tumor bundle: how often are the lesions that it finds real?

    python -m tools calibrate LESIONS.csv bundles/tumor_unet --picture reliability.png

LESIONS.csv has a line for each tumor and cyst that the bundle found in patients that trained
nothing: `patient`, `mean_output` as in lesions.csv, and `real`, 1 or 0. The fit goes into the
bundle's metadata, with the fingerprint of the weights and settings that it holds for.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize

from renalseg.errors import ConfigError
from renalseg.findings.confidence import Calibration, log_odds
from renalseg.geometry import Array
from renalseg.inference.metadata import METADATA_FILE, fingerprint, read_metadata
from renalseg.runtime.checksums import renew_manifest
from renalseg.runtime.staging import complete_file

_COLUMNS = ("patient", "mean_output", "real")
_BINS = 4  # of equally many lesions, in the picture


class Lesions(NamedTuple):
    """Lesions of validation patients.

    Attributes:
        patients: Whose each is, (N,).
        outputs: Mean output of the network over each, (N,).
        real: Whether it is real, (N,).
    """

    patients: Array
    outputs: Array
    real: Array


def add_calibrate_command(tools: Any) -> None:
    """Adds ``calibrate`` to the tools."""
    tool = tools.add_parser("calibrate", help="fit how often a bundle's lesions are real")
    tool.add_argument("lesions", type=Path, help="CSV with patient, mean_output and real")
    tool.add_argument("bundle", type=Path, help="the tumor bundle, whose metadata get the fit")
    tool.add_argument("--picture", type=Path, metavar="PNG", help="reliability, as a picture")
    tool.add_argument("-v", "--verbose", action="store_true", help="show tracebacks of errors")
    tool.set_defaults(action=_calibrate)


def read_lesions(path: Path) -> Lesions:
    """Reads the table.

    Raises:
        ConfigError: A column or a value is missing, or all lesions are real, or none.
    """
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    try:
        patients = np.array([row["patient"] for row in rows])
        outputs, real = (np.array([float(row[name]) for row in rows]) for name in _COLUMNS[1:])
    except (KeyError, ValueError) as error:
        raise ConfigError(f"Expected {', '.join(_COLUMNS)} in each line of {path}") from error
    if set(real) != {0, 1}:
        raise ConfigError(f"Expected real lesions (1) and false ones (0) in {path}, found one kind")
    return Lesions(patients, outputs, real)


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
    """Gives the fit and how well it holds for patients that it was not fitted to."""
    brier = float(((held_out(lesions) - lesions.real) ** 2).mean())
    share = lesions.real.mean()
    return {
        **asdict(fit(lesions)),
        "lesions": len(lesions.real),
        "real": int(lesions.real.sum()),
        "patients": len(np.unique(lesions.patients)),
        "brier": round(brier, 3),
        "brier_of_the_share": round(float(share * (1 - share)), 3),
    }


def draw(lesions: Lesions, path: Path) -> None:
    """Draws how often lesions were real against the probability that others give them."""
    import matplotlib.pyplot as plt

    probabilities = held_out(lesions)
    groups: Sequence[Array] = np.array_split(np.argsort(probabilities), _BINS)
    figure, axes = plt.subplots(figsize=(4, 4), layout="constrained")
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    for group in groups:
        share, count = lesions.real[group].mean(), len(group)
        error = np.sqrt(share * (1 - share) / count)
        axes.errorbar(probabilities[group].mean(), share, yerr=error, fmt="o", color="C0")
        axes.annotate(f" n = {count}", (probabilities[group].mean(), share))
    axes.set(xlabel="calibrated probability", ylabel="share that is real", xlim=(0, 1))
    axes.set_ylim(-0.02, 1.02)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def _calibrate(options: argparse.Namespace) -> None:
    lesions, metadata = read_lesions(options.lesions), read_metadata(options.bundle)
    fitted = {"fingerprint": fingerprint([options.bundle]), **report(lesions)}
    text = json.dumps({**metadata, "calibration": fitted}, indent=2, ensure_ascii=False)
    with complete_file(options.bundle / METADATA_FILE) as file:
        file.write_text(text + "\n", encoding="utf-8")
    renew_manifest(options.bundle)
    if options.picture is not None:
        draw(lesions, options.picture)
    sys.stdout.write(json.dumps(fitted, indent=2) + "\n")
