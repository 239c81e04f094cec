"""Two or three sentences for a radiologist's report, in English and German.

They say what was measured, what changed and what this study cannot show. They name no diagnosis.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from renalseg.findings.followup.comparison import Comparison
from renalseg.findings.followup.report_text import followup_text
from renalseg.findings.sentences import Judgment, missing_kidneys
from renalseg.labels import (
    CYST,
    KIDNEY,
    TUMOR,
    ContrastPhase,
    MeasuredSegment,
    Segment,
    Side,
    Third,
)

_SIDES = MappingProxyType({Side.LEFT: "linke", Side.RIGHT: "rechte"})
_THIRDS = MappingProxyType(
    {Third.UPPER: "oberen", Third.MIDDLE: "mittleren", Third.LOWER: "unteren"}
)
_STUDIES = MappingProxyType(
    {
        ContrastPhase.NONCONTRAST: ("Non-contrast CT", "Native CT der Nieren"),
        ContrastPhase.CORTICOMEDULLARY: (
            "CT in the corticomedullary phase",
            "CT der Nieren in kortikomedullärer Phase",
        ),
        ContrastPhase.NEPHROGRAPHIC: (
            "CT in the nephrographic phase",
            "CT der Nieren in nephrographischer Phase",
        ),
        ContrastPhase.EXCRETORY: (
            "CT in the excretory phase",
            "CT der Nieren in der Ausscheidungsphase",
        ),
        ContrastPhase.UNKNOWN: (
            "CT, contrast phase not recognized",
            "CT der Nieren, Kontrastmittelphase nicht bestimmbar",
        ),
    }
)
_COUNTS = ("", "eine", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun", "zehn")


def report_text(
    segments: Sequence[MeasuredSegment], judgment: Judgment, comparison: Comparison | None = None
) -> Mapping[str, str]:
    """Write the text of a report by language: "en" and "de".

    Args:
        segments: What was found, measured.
        judgment: The contrast phase, and what was not reported.
        comparison: What changed since an earlier study, if it was compared.
    """
    text = _found(segments, judgment)
    if comparison is None:
        return text
    changes = followup_text(comparison)
    return {name: f"{text[name]} {changes[name]}" for name in text}


def _found(segments: Sequence[MeasuredSegment], judgment: Judgment) -> Mapping[str, str]:
    if not any(segment.kind == KIDNEY for segment in segments):
        return {
            "en": "No kidney was found in the images.",
            "de": "Auf den Aufnahmen sind keine Nieren abgrenzbar.",
        }
    return {
        "en": " ".join(_english(segments, judgment)),
        "de": " ".join(_german(segments, judgment)),
    }


def _english(segments: Sequence[MeasuredSegment], judgment: Judgment) -> list[str]:
    kidneys = [
        f"{each.side.value} kidney {_bound(each, 'at least ')}{each.volume_ml:.0f} ml"
        for each in segments
        if each.kind == KIDNEY
    ]
    missing = [f"no {side.value} kidney found" for side in missing_kidneys(segments)]
    said = [f"{_STUDIES[judgment.phase][0]}: {', '.join(kidneys + missing)}."]
    tumors, cysts = (_of(segments, kind) for kind in (TUMOR, CYST))
    if not tumors:
        masses = "No solid mass was delineated"
    else:
        largest = tumors[0]
        where = f"the {largest.side.value} kidney"
        if largest.third is not None:
            where = f"the {largest.third.value} third of {where}"
        size = f"{_bound(largest, 'at least ')}{largest.longest_mm / 10:.1f} cm"
        if len(tumors) == 1:
            masses = f"Solid mass of {size} in {where}"
        else:
            counts = [
                f"{count} in the {side.value} kidney"
                for side in Side
                if (count := sum(each.side == side for each in tumors))
            ]
            masses = (
                f"{len(tumors)} solid masses ({', '.join(counts)}), the largest of {size} "
                f"in {where}"
            )
        masses += _score(largest, "R.E.N.A.L. score")
    if cysts:
        size = f"{cysts[0].longest_mm / 10:.1f} cm"
        masses += (
            f"; one cyst of {size}" if len(cysts) == 1 else f"; {len(cysts)} cysts up to {size}"
        )
    said.append(f"{masses}.")
    if judgment.withheld:
        said.append("Regions that were called tumor were not reported and need review.")
    elif judgment.phase == ContrastPhase.NONCONTRAST:
        said.append("Without contrast medium, solid masses as dense as the kidney are not visible.")
    return said


def _german(segments: Sequence[MeasuredSegment], judgment: Judgment) -> list[str]:
    kidneys = [
        f"{_SIDES[each.side]} Niere {_bound(each, 'mindestens ')}{each.volume_ml:.0f} ml"
        for each in segments
        if each.kind == KIDNEY
    ]
    missing = [f"{_SIDES[side]} Niere nicht abgrenzbar" for side in missing_kidneys(segments)]
    said = [f"{_STUDIES[judgment.phase][1]}: {', '.join(kidneys + missing)}."]
    tumors, cysts = (_of(segments, kind) for kind in (TUMOR, CYST))
    if not tumors:
        masses = "Keine solide Raumforderung abgrenzbar"
    else:
        largest = tumors[0]
        side = f"{_SIDES[largest.side]}n Niere"
        where = f"in der {side}"
        if largest.third is not None:
            where = f"im {_THIRDS[largest.third]} Drittel der {side}"
        size = f"{_bound(largest, 'mindestens ')}{_comma(largest.longest_mm / 10)} cm"
        if len(tumors) == 1:
            masses = f"{where[0].upper()}{where[1:]} solide Raumforderung von {size}"
        else:
            counts = " und ".join(
                f"{_count(count)} in der {_SIDES[side]}n Niere"
                for side in Side
                if (count := sum(each.side == side for each in tumors))
            )
            masses = f"Solide Raumforderungen: {counts}; die größte misst {size} und liegt {where}"
        masses += _score(largest, "R.E.N.A.L.-Score")
    if cysts:
        size = f"{_comma(cysts[0].longest_mm / 10)} cm"
        masses += (
            f"; eine Zyste von {size}"
            if len(cysts) == 1
            else f"; {_count(len(cysts))} Zysten bis {size}"
        )
    said.append(f"{masses}.")
    if judgment.withheld:
        said.append(
            "Als Tumor markierte Areale wurden nicht gewertet und sind am Bild zu überprüfen."
        )
    elif judgment.phase == ContrastPhase.NONCONTRAST:
        said.append("Nierenisodense solide Raumforderungen sind nativ nicht erkennbar.")
    return said


def _of(segments: Sequence[MeasuredSegment], kind: int) -> list[MeasuredSegment]:
    """The segments of a kind, the longest first."""
    found = [segment for segment in segments if segment.kind == kind]
    return sorted(found, key=lambda segment: -segment.longest_mm)


def _bound(segment: Segment, words: str) -> str:
    """Give words for a lower bound where a segment was measured and is cut."""
    return words if getattr(segment, "lower_bound", False) else ""


def _score(tumor: MeasuredSegment, name: str) -> str:
    scores = tumor.nephrometry
    return "" if scores is None or scores.renal is None else f" ({name} {scores.renal})"


def _comma(value: float) -> str:
    return f"{value:.1f}".replace(".", ",")


def _count(number: int) -> str:
    return _COUNTS[number] if number < len(_COUNTS) else str(number)
