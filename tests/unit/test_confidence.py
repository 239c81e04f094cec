"""How sure a result is of a lesion."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from renalseg.evidence import LESIONS, Evidence, opinion_of
from renalseg.findings.confidence import (
    Calibration,
    add_confidence,
    sentences_for_review,
)
from renalseg.findings.plausibility import Doubt
from renalseg.inference.calibration import calibration_of
from renalseg.inference.choice import Choice, Member
from renalseg.inference.methods import default_numbers
from renalseg.labels import CYST, KIDNEY, TUMOR, Confidence, MeasuredSegment, Side
from renalseg.limits import Confirmation, ReviewLimits
from renalseg.output.lesion_table import rows_of
from tests.factories.bundles import write_bundle

LIMITS = ReviewLimits(probability=0.5, agreement_percent=25)
AFFINE = np.diag([2.0, 2.0, 3.0, 1.0])
SURE = Calibration(intercept=0.0, slope=1.0)


def line(*values: float, dtype: torch.dtype = torch.uint8) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32).to(dtype)[:, None, None]


def labels(*values: int) -> MetaTensor:
    return MetaTensor(line(*values)[None], affine=torch.from_numpy(AFFINE))


def confidence(
    *outputs: float,
    opinions: tuple[MetaTensor, ...] = (),
    calibration: Calibration | str = SURE,
    doubts: tuple[Doubt, ...] = (),
    kind: int = TUMOR,
) -> Confidence:
    """Of a lesion in the last two of four voxels along a line."""
    probs = torch.stack(
        [line(*(outputs if each == kind else (0,) * 4), dtype=torch.float16) for each in LESIONS]
    )
    evidence = Evidence((MetaTensor(probs, affine=torch.from_numpy(AFFINE)),), opinions)
    segments = [
        MeasuredSegment(1, "Left kidney", KIDNEY, Side.LEFT, 1.0, 8.0, 8.0, 30.0, 1.0),
        MeasuredSegment(2, "Left kidney tumor 1", kind, Side.LEFT, 1.0, 8.0, 8.0, 30.0, 1.0),
    ]
    segmented = line(1, 1, 2, 2).numpy()
    kidney, lesion = add_confidence(
        segmented, AFFINE, segments, evidence, calibration, LIMITS, doubts
    )
    assert kidney.confidence is None
    assert lesion.confidence is not None
    return lesion.confidence


def test_outputs_are_those_over_the_lesion() -> None:
    found = confidence(0, 1, 0.5, 0.75)
    assert (found.mean_output, found.peak_output) == (0.625, 0.75)
    assert found.agreement_percent is None


def test_a_calibration_makes_a_probability_of_the_mean() -> None:
    assert confidence(0, 0, 0.75, 0.75).probability == 0.75
    strict = Calibration(intercept=-2.0, slope=1.0)
    found = confidence(0, 0, 0.5, 0.5, calibration=strict)
    assert (found.probability, found.reason) == (0.12, None)
    assert found.review == ("is real with a probability of 0.12 only",)


def test_without_a_calibration_there_is_no_probability_but_a_reason() -> None:
    found = confidence(0, 0, 0.1, 0.1, calibration="it is new")
    assert (found.probability, found.reason, found.review) == (None, "it is new", ())


def test_outputs_of_0_and_1_have_a_probability() -> None:
    assert 0 < SURE.probability(0.0) < 0.01
    assert 0.99 < SURE.probability(1.0) < 1


def test_networks_without_cysts_say_nothing_of_one() -> None:
    blind = opinion_of(labels(1, 1, 1, 1))
    found = confidence(0, 0, 1, 1, opinions=(blind,), kind=CYST)
    assert (found.mean_output, found.agreement_percent, found.review) == (1, None, ())


@pytest.mark.parametrize(
    ("opinions", "percent", "reviewed"),
    [
        ((labels(0, 0, 2, 2),), 100, False),
        ((labels(0, 0, 3, 1), labels(1, 1, 1, 1)), 25, False),
        ((labels(2, 2, 1, 1),), 0, True),
    ],
)
def test_other_networks_agree_where_they_find_a_lesion(
    opinions: tuple[MetaTensor, ...], percent: float, reviewed: bool
) -> None:
    found = confidence(0, 0, 1, 1, opinions=tuple(map(opinion_of, opinions)))
    assert found.agreement_percent == percent
    assert bool(found.review) == reviewed


def test_doubts_about_its_shape_are_reasons_for_review() -> None:
    doubts = (((2, 0, 0), "is scattered"), ((0, 0, 0), "is another one"))
    assert confidence(0, 0, 1, 1, doubts=doubts).review == ("is scattered",)


def test_sentences_name_the_lesion_and_say_nothing_twice() -> None:
    review = ("is scattered", "is odd")
    tumor = MeasuredSegment(
        *(1, "Left kidney tumor 1", TUMOR, Side.LEFT, 1.0, 8.0, 8.0, 30.0, 1.0),
        confidence=Confidence(0.5, 0.5, review=review),
    )
    said = sentences_for_review([tumor], [((0, 0, 0), "is scattered")])
    assert said == ["Left kidney tumor 1 is odd."]


def test_the_table_has_it() -> None:
    given = {"mean_output": 0.5, "peak_output": 0.9, "agreement_percent": None}
    given |= {"probability": None, "reason": "why", "review": ["a", "b"]}  # type: ignore[dict-item]
    segment = {"number": 1, "label": "Left kidney tumor 1", "kind": TUMOR, "confidence": given}
    study = {"study": "s", "segments": [segment]}
    (row,) = rows_of(study, {}, "s")
    assert (row["mean_output"], row["probability"], row["probability_reason"]) == (0.5, None, "why")
    assert (row["review"], row["review_reasons"]) == (True, "a; b")
    (row,) = rows_of({"study": "s", "segments": [{**segment, "confidence": None}]}, {}, "s")
    assert row["review"] is None


# The calibration of a bundle


def choice(folder: Path, metadata: str, fingerprint: str = "f") -> Choice:
    root = write_bundle(folder / "tumor_x")
    (root / "configs" / "metadata.json").write_text(metadata)
    networks = ("kidney_x 1 k", f"tumor_x 1 {fingerprint}")
    return Choice(folder, "kidney_x", "tumor_x", torch.device("cpu"), networks=networks)


FITTED = '{"version": "1", "calibration": {"fingerprint": "f", "intercept": 1, "slope": 2}}'


def test_a_calibration_is_that_of_its_weights(tmp_path: Path) -> None:
    assert calibration_of(choice(tmp_path, FITTED)) == Calibration(1, 2)


def test_other_weights_have_none(tmp_path: Path) -> None:
    assert "with these weights" in str(calibration_of(choice(tmp_path, FITTED, "g")))


def test_a_bundle_may_have_none(tmp_path: Path) -> None:
    assert calibration_of(choice(tmp_path, "{}")) == "tumor_x was not calibrated"


def test_it_holds_after_a_refiner_that_only_outlines_the_kidneys(tmp_path: Path) -> None:
    outlines = replace(default_numbers(), confirmation=Confirmation(min_share=0.0))
    changed = replace(choice(tmp_path, FITTED), refiner="tumor_x", numbers=outlines)
    assert calibration_of(changed) == Calibration(1, 2)


@pytest.mark.parametrize(
    "change",
    [
        {"others": (Member(None, "tumor_y"),)},
        {"refiner": "tumor_x"},
        {"overrides": {"tumor.threshold": 1}},
    ],
)
def test_it_holds_for_the_bundle_alone(tmp_path: Path, change: dict[str, object]) -> None:
    changed = Choice(**{**vars(choice(tmp_path, FITTED)), **change})
    assert isinstance(calibration_of(changed), str)
