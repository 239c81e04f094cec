"""The calibration of a tumor bundle, from its metadata."""

from __future__ import annotations

from renalseg.errors import ConfigError
from renalseg.findings.confidence import NOT_CALIBRATED, Calibration
from renalseg.inference.choice import Choice
from renalseg.inference.metadata import read_metadata


def calibration_of(choice: Choice) -> Calibration | str:
    """Finds the calibration of a run, or says why there is none.

    `calibration` in the metadata of the tumor bundle holds it, with the fingerprint of the bundle
    that it was fitted for: other weights or settings need another one. It is that of the bundle
    alone, whatever outlines the kidneys before it. A refiner that also takes lesions away, and an
    ensemble, need their own.

    Args:
        choice: What runs.
    """
    confirms = choice.refiner is not None and choice.numbers.confirmation.min_share > 0
    if choice.others or confirms:
        return NOT_CALIBRATED
    name = choice.named_stages["tumor"]
    if choice.overrides:
        return f"{name} was not calibrated with the values that were set"
    try:
        stored = read_metadata(choice.references["tumor"].folder).get("calibration")
    except ConfigError:  # also of a model from elsewhere
        stored = None
    if stored is None:
        return f"{name} was not calibrated"
    if [stored["fingerprint"]] != [line.split()[-1] for line in choice.networks[-1:]]:
        return f"{name} was not calibrated with these weights and settings"
    return Calibration(stored["intercept"], stored["slope"])
