"""The sentences for a report say what was measured, and no more, in both languages."""

from __future__ import annotations

from dataclasses import replace

import pytest

from renalseg.findings.report_text import report_text
from renalseg.findings.sentences import Judgment
from renalseg.labels import CYST, KIDNEY, TUMOR, ContrastPhase, MeasuredSegment, Side, Third
from renalseg.scores import Nephrometry

LEFT = MeasuredSegment(1, "Left kidney", KIDNEY, Side.LEFT, 151.3, 112, 60, 120, 30)
RIGHT = MeasuredSegment(2, "Right kidney", KIDNEY, Side.RIGHT, 160.4, 115, 61, 120, 30)
TUMOR_LEFT = MeasuredSegment(
    *(3, "Left kidney tumor 1", TUMOR, Side.LEFT, 8.2, 31.4, 25, 90, 20),
    third=Third.LOWER,
    nephrometry=Nephrometry(renal="7ph"),
)
TUMOR_RIGHT = MeasuredSegment(4, "Right tumor", TUMOR, Side.RIGHT, 2.0, 12, 11, 90, 20)
CYST_LEFT = MeasuredSegment(5, "Left kidney cyst 1", CYST, Side.LEFT, 3.0, 18, 17, 5, 9)
NEPHROGRAPHIC = Judgment(ContrastPhase.NEPHROGRAPHIC)


def test_one_mass() -> None:
    assert report_text([LEFT, RIGHT, TUMOR_LEFT], NEPHROGRAPHIC) == {
        "en": (
            "CT in the nephrographic phase: left kidney 151 ml, right kidney 160 ml. Solid mass of "
            "3.1 cm in the lower third of the left kidney (R.E.N.A.L. score 7ph)."
        ),
        "de": (
            "CT der Nieren in nephrographischer Phase: linke Niere 151 ml, rechte Niere 160 ml. Im "
            "unteren Drittel der linken Niere solide Raumforderung von 3,1 cm "
            "(R.E.N.A.L.-Score 7ph)."
        ),
    }


def test_masses_of_both_sides_and_cysts() -> None:
    cysts = [CYST_LEFT, replace(CYST_LEFT, longest_mm=24.0)]
    text = report_text([LEFT, RIGHT, TUMOR_LEFT, TUMOR_RIGHT, *cysts], NEPHROGRAPHIC)
    assert text["en"].endswith(
        "2 solid masses (1 in the left kidney, 1 in the right kidney), the largest of 3.1 cm in "
        "the lower third of the left kidney (R.E.N.A.L. score 7ph); 2 cysts up to 2.4 cm."
    )
    assert text["de"].endswith(
        "Solide Raumforderungen: eine in der linken Niere und eine in der rechten Niere; die "
        "größte misst 3,1 cm und liegt im unteren Drittel der linken Niere (R.E.N.A.L.-Score 7ph)"
        "; zwei Zysten bis 2,4 cm."
    )


def test_without_contrast_medium_nothing_is_ruled_out() -> None:
    text = report_text([LEFT], Judgment(ContrastPhase.NONCONTRAST))
    assert text["en"] == (
        "Non-contrast CT: left kidney 151 ml, no right kidney found. No solid mass was delineated. "
        "Without contrast medium, solid masses as dense as the kidney are not visible."
    )
    assert text["de"] == (
        "Native CT der Nieren: linke Niere 151 ml, rechte Niere nicht abgrenzbar. Keine solide "
        "Raumforderung abgrenzbar. Nierenisodense solide Raumforderungen sind nativ nicht "
        "erkennbar."
    )


def test_what_was_withheld_is_said() -> None:
    review = ("A region of 9 ml in the left kidney was called tumor: not reported.",)
    text = report_text([LEFT, RIGHT], Judgment(ContrastPhase.EXCRETORY, review=review))
    assert text["en"].endswith("were not reported and need review.")
    assert text["de"].endswith("wurden nicht gewertet und sind am Bild zu überprüfen.")
    assert "Ausscheidungsphase" in text["de"]


def test_what_is_cut_is_a_lower_bound() -> None:
    cut = [replace(segment, lower_bound=True) for segment in (LEFT, TUMOR_LEFT)]
    text = report_text([cut[0], RIGHT, cut[1]], NEPHROGRAPHIC)
    assert "left kidney at least 151 ml" in text["en"]
    assert "mass of at least 3.1 cm" in text["en"]
    assert "linke Niere mindestens 151 ml" in text["de"]
    assert "Raumforderung von mindestens 3,1 cm" in text["de"]


@pytest.mark.parametrize("phase", ContrastPhase)
def test_every_phase_has_words_and_two_or_three_sentences(phase: ContrastPhase) -> None:
    for text in report_text([LEFT, RIGHT, CYST_LEFT], Judgment(phase)).values():
        assert 2 <= text.count(". ") + 1 <= 3


def test_no_kidney() -> None:
    assert report_text([], Judgment(reason="it has bone inside")) == {
        "en": "No kidney was found in the images.",
        "de": "Auf den Aufnahmen sind keine Nieren abgrenzbar.",
    }
