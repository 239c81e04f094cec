from __future__ import annotations

from dataclasses import replace

import pytest

from renalseg.findings.sentences import (
    PHASES,
    Judgment,
    Kind,
    cut_off,
    finding,
    missing_kidneys,
    sentences,
    statements,
)
from renalseg.labels import CYST, KIDNEY, TUMOR, ContrastPhase, MeasuredSegment, Side, Third

LEFT = MeasuredSegment(1, "Left kidney", KIDNEY, Side.LEFT, 150, 110, 60, 100, 20)
RIGHT = MeasuredSegment(2, "Right kidney", KIDNEY, Side.RIGHT, 150, 110, 60, 100, 20)


def tumor(longest_mm: float, third: Third | None = Third.LOWER) -> MeasuredSegment:
    return MeasuredSegment(
        *(3, "Left kidney tumor 1", TUMOR, Side.LEFT, 10, longest_mm, 20, 60, 9),
        third=third,
        size="4 to 7 cm",
    )


def cyst(longest_mm: float) -> MeasuredSegment:
    return MeasuredSegment(4, "Right kidney cyst 1", CYST, Side.RIGHT, 10, longest_mm, 20, 8, 9)


def test_findings() -> None:
    assert finding([LEFT, cyst(30)]) == "no tumor found"
    assert finding([]) == "no kidney found"
    assert finding([LEFT]) == "no tumor found"
    assert finding([LEFT, tumor(30)]) == "tumor found"


def test_sides_without_a_kidney() -> None:
    assert missing_kidneys([]) == [Side.LEFT, Side.RIGHT]
    assert missing_kidneys([RIGHT, tumor(30)]) == [Side.LEFT]


@pytest.mark.parametrize(
    ("segments", "text"),
    [
        ([LEFT, RIGHT], "No tumor found."),
        ([RIGHT], "No tumor found. No left kidney found."),
        (
            [LEFT, RIGHT, tumor(44.4)],
            "One tumor found: it is 44 mm long (4 to 7 cm), in the lower third of the left kidney.",
        ),
        (
            [LEFT, tumor(20), tumor(61, None)],
            "2 tumors found: the largest is 61 mm long (4 to 7 cm), in the left kidney. "
            "No right kidney found.",
        ),
        ([LEFT, RIGHT, cyst(12.2)], "No tumor found. One cyst, 12 mm long, in the right kidney."),
        (
            [LEFT, RIGHT, tumor(44.4), cyst(12.2), cyst(30)],
            "One tumor found: it is 44 mm long (4 to 7 cm), in the lower third of the left kidney. "
            "2 cysts, the largest 30 mm long, in the right kidney.",
        ),
    ],
)
def test_sentences(segments: list[MeasuredSegment], text: str) -> None:
    judgment = Judgment(ContrastPhase.NEPHROGRAPHIC)
    assert sentences(segments, judgment) == f"{text} Nephrographic phase."


def test_lower_bounds_are_said() -> None:
    assert cut_off([LEFT, RIGHT]) is None
    cut = [replace(LEFT, lower_bound=True), RIGHT, replace(tumor(35), lower_bound=True, size=None)]
    text = sentences(cut, Judgment())
    assert text.startswith("One tumor found: it is at least 35 mm long, in the lower third")
    assert cut_off(cut) == (
        "Left kidney, left kidney tumor 1: cut by the end of the scan or of the field of view; "
        "volume and diameters are lower bounds."
    )


def test_without_a_kidney_nothing_is_said_of_tumors() -> None:
    text = sentences([], Judgment())
    assert text.startswith("No kidney found.")
    assert "No tumor found" not in text


def test_the_reason_why_it_is_no_kidney_is_said() -> None:
    text = sentences([], Judgment(reason="the right one has 698 HU"))
    assert text.startswith("No kidney found: the right one has 698 HU. Tumors are")


def test_the_conclusion_comes_after_what_speaks_against_relying_on_it() -> None:
    judgment = Judgment(ContrastPhase.NEPHROGRAPHIC, review=("look at it",))
    said = statements([LEFT, RIGHT], judgment, ["look at it", "thick", "lossy", "thick"])
    assert said == (
        (Kind.REVIEW, "look at it"),
        (Kind.WARNING, "thick"),
        (Kind.WARNING, "lossy"),
        (Kind.CONCLUSION, "No tumor found. Nephrographic phase."),
    )


def test_each_phase_has_words_of_its_own() -> None:
    assert set(PHASES) == set(ContrastPhase)
    assert len(set(PHASES.values())) == len(ContrastPhase)
