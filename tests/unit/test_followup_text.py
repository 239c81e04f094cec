"""What changed, for a report: what was measured, and no more, in both languages."""

from __future__ import annotations

from dataclasses import replace

import pytest

from renalseg.findings.followup.change import OUTLINE, Change, Measure
from renalseg.findings.followup.comparison import Comparison, Lesion, Moved
from renalseg.findings.followup.report_text import followup_text
from renalseg.findings.report_text import report_text
from renalseg.findings.sentences import Judgment
from renalseg.labels import CYST, TUMOR, ContrastPhase, Side
from tests.unit.test_report_text import LEFT, RIGHT


def measure(prior: float, now: float, error: float) -> Measure:
    change = now - prior
    return Measure(prior, now, change, None, None, error, abs(change) <= error)


TUMOR_GREW = Change(
    *(3, "Right kidney tumor 1", TUMOR, 3, "Right kidney tumor 1", TUMOR, Side.RIGHT),
    longest_mm=measure(29, 35, 3),
    volume_ml=measure(14.1, 24.4, 4),
    error_source=OUTLINE,
    doubling_days=461.0,
)
NEW = Lesion(4, "Left kidney cyst 1", CYST, Side.LEFT, 18, 3.0)
COMPARED = Comparison(365, lesions=(TUMOR_GREW,), new=(NEW,))


def test_what_grew_and_what_is_new() -> None:
    assert followup_text(COMPARED) == {
        "en": (
            "Compared with the study 12 months earlier: solid mass of the right kidney from 2.9 to "
            "3.5 cm (volume 14.1 to 24.4 ml; doubling time 15 months). New: cyst of the left "
            "kidney, 1.8 cm."
        ),
        "de": (
            "Im Vergleich mit der Untersuchung 12 Monate zuvor: solide Raumforderung (rechte "
            "Niere) von 2,9 auf 3,5 cm (Volumen 14,1 auf 24,4 ml; Verdopplungszeit 15 Monate). "
            "Neu: Zyste (linke Niere), 1,8 cm."
        ),
    }


def test_what_lies_within_the_error_is_called_unchanged() -> None:
    same = replace(TUMOR_GREW, longest_mm=measure(29, 30, 3), volume_ml=measure(14, 15, 4))
    text = followup_text(Comparison(None, lesions=(same,)))
    assert text["en"] == (
        "Compared with an earlier study: solid mass of the right kidney unchanged within the error "
        "(2.9 and 3.0 cm)."
    )
    assert text["de"] == (
        "Im Vergleich mit einer früheren Untersuchung: solide Raumforderung (rechte Niere) im "
        "Rahmen des Messfehlers unverändert (2,9 und 3,0 cm)."
    )


def test_only_the_volume_may_be_certain() -> None:
    text = followup_text(
        Comparison(1000, lesions=(replace(TUMOR_GREW, longest_mm=measure(29, 31, 3)),))
    )
    assert "2.7 years earlier" in text["en"]
    assert "from 2.9 to 3.1 cm, within the error (volume 14.1 to 24.4 ml;" in text["en"]
    assert "2,7 Jahre zuvor" in text["de"]
    assert "auf 3,1 cm, im Rahmen des Messfehlers (Volumen" in text["de"]


@pytest.mark.parametrize(("days", "en", "de"), [(1, "1 day", "1 Tag"), (-40, "40 days", "40 Tage")])
def test_days_and_studies_the_other_way_round(days: int, en: str, de: str) -> None:
    text = followup_text(Comparison(days, gone=(NEW,)))
    when, then = ("later", "danach") if days < 0 else ("earlier", "zuvor")
    assert (
        f"the study {en} {when}: no lesion in both studies. No longer delineated: cyst"
        in (text["en"])
    )
    assert (
        f"{de} {then}: keine Läsion in beiden Untersuchungen. Nicht mehr abgrenzbar: "
        in (text["de"])
    )


def test_what_was_cut_left_out_or_not_compared_is_said() -> None:
    cut = replace(TUMOR_GREW, lower_bound=True)
    sides = {Side.LEFT: Moved(reason="no kidney"), Side.RIGHT: Moved(1.0, 1.0, 90.0, "ct")}
    text = followup_text(Comparison(365, lesions=(*[TUMOR_GREW] * 3, cut, cut), sides=sides))
    assert "cut by the scan" not in text["en"]  # three are told
    assert "; 2 more lesions. Not compared: the left kidney." in text["en"]
    assert "; 2 weitere Läsionen. Nicht verglichen: linke Niere." in text["de"]
    alone = followup_text(Comparison(365, lesions=(cut,)))
    assert alone["en"].endswith("right kidney cut by the scan, change not assessed.")
    assert alone["de"].endswith("(rechte Niere) angeschnitten, Änderung nicht beurteilt.")


def test_a_report_ends_with_it() -> None:
    judgment = Judgment(ContrastPhase.NEPHROGRAPHIC)
    plain = report_text([LEFT, RIGHT], judgment)
    for name, text in report_text([LEFT, RIGHT], judgment, COMPARED).items():
        assert text == f"{plain[name]} {followup_text(COMPARED)[name]}"
