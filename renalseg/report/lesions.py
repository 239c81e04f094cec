"""The section of a tumor or cyst: key images, measures, phases and nephrometry."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from renalseg.findings.enhancement import described
from renalseg.findings.sentences import PHASES
from renalseg.intake.ct import CT
from renalseg.labels import KIDNEY, Confidence, ContrastPhase, MeasuredSegment, bounded
from renalseg.report.content import Column, Row, Section, Table
from renalseg.report.images import image_range
from renalseg.report.key_images import key_images
from renalseg.report.nephrometry import nephrometry_picture
from renalseg.report.view import View
from renalseg.scores import QUANTITIES, Nephrometry

MOST = 12  # lesions that have a section of their own
_FACES = {"a": "anterior", "p": "posterior"}
_PICTURE, _MEASURES, _SCORES = 0.24, 0.38, 0.38  # of the width


def lesion_section(
    ct: CT,
    segmented: npt.NDArray[np.uint8],
    view: View,
    segments: Sequence[MeasuredSegment],
    lesion: MeasuredSegment,
    phase: ContrastPhase,
) -> Section:
    """Gives the section of one lesion.

    Args:
        ct: The source.
        segmented: Segment numbers (X, Y, Z) on the grid of its image.
        view: Of both.
        segments: All segments.
        lesion: One of them.
        phase: Contrast phase of the series.
    """
    images = image_range(ct, segmented, lesion.number)
    kidney = next((s for s in segments if s.kind == KIDNEY and s.side == lesion.side), None)
    measures: list[Table] = [_measures(lesion, images, phase)]
    if lesion.enhancement is not None:
        measures.append(_phases(lesion, kidney))
    columns = [Column(_MEASURES, tuple(measures))]
    if lesion.nephrometry is not None:
        columns.append(Column(_SCORES, (nephrometry_table(lesion.nephrometry),)))
    picture = nephrometry_picture(ct, segmented, segments, lesion)
    if picture is not None:
        columns.insert(0, Column(_PICTURE, (picture,)))
    return Section(
        lesion.label,
        f"{bounded(f'{lesion.longest_mm:.0f} mm', lesion.lower_bound)}, {place_of(lesion)}",
        lesion.rgb,
        key_images(view, ct, segments, lesion),
        tuple(columns),
    )


def place_of(lesion: MeasuredSegment) -> str:
    """Say where a lesion lies: side, third, in front or behind, toward or away from the hilum."""
    place = [f"{lesion.side.value} kidney"]
    if lesion.third is not None:
        place.append(f"{lesion.third.value} third")
    scores = lesion.nephrometry
    if scores is not None and scores.renal is not None:
        face = scores.renal.rstrip("h")[-1]
        place += [_FACES[face]] if face in _FACES else []
        place.append("medial" if scores.components["rim"].value > 0 else "lateral")
    return ", ".join(place)


def _measures(lesion: MeasuredSegment, images: str, phase: ContrastPhase) -> Table:
    cut = lesion.lower_bound
    longest = bounded(f"{lesion.longest_mm:.0f} mm", cut)
    share = lesion.exophytic_percent
    values = {
        "Longest diameter": f"{longest} ({lesion.size})" if lesion.size else longest,
        "Longest axial": bounded(f"{lesion.longest_axial_mm:.0f} mm", cut),
        "Volume": bounded(f"{lesion.volume_ml:.1f} ml", cut),
        "Outside of the kidney": "" if share is None else f"{share:.0f} %",
        "Images": images,
        "Largest area": "" if lesion.image is None else f"image {lesion.image}",
        "Mean ± SD": f"{lesion.mean_hu:.0f} ± {lesion.sd_hu:.0f} HU",
        "Probability": "" if lesion.confidence is None else probability_of(lesion.confidence),
    }
    rows = tuple(Row((name, value)) for name, value in values.items() if value)
    return Table(("Measure", PHASES[phase].rstrip(".")), rows)


def probability_of(confidence: Confidence) -> str:
    """Say how probable it is that a lesion is real, and whether a person should look."""
    known = confidence.probability is not None
    said = f"{confidence.probability:.2f}" if known else "not calibrated"
    return f"{said}, please review" if confidence.review else said


def _phases(lesion: MeasuredSegment, kidney: MeasuredSegment | None) -> Table:
    """The densities of a lesion by contrast phase beside those of its kidney."""
    assert lesion.enhancement is not None
    own = {each.phase: each for each in lesion.enhancement.values}
    others = kidney.enhancement.values if kidney is not None and kidney.enhancement else ()
    beside = {each.phase: f"{each.mean_hu:.0f}" for each in others}
    rows = tuple(
        Row((phase.capitalize(), f"{each.mean_hu:.0f} ± {each.sd_hu:.0f}", beside.get(phase, "")))
        for phase, each in own.items()
    )
    headings = ("By contrast phase", "HU", "Kidney HU")
    return Table(headings, rows, described(lesion.enhancement))


def nephrometry_table(scores: Nephrometry) -> Table:
    """Gives the components of the scores with their measures and points, the scores last."""
    rows = [
        Row(
            (
                " ".join(filter(None, (quantity.renal, quantity.short))),
                f"{component.value:.0f} {quantity.unit}",
                "" if component.renal is None else str(component.renal),
                "" if component.padua is None else str(component.padua),
            )
        )
        for name, component in scores.components.items()
        for quantity in (QUANTITIES[name],)
    ]
    if scores.renal is not None:
        index = "" if scores.c_index is None else f"C-index {scores.c_index:.1f}"
        rows.append(Row(("Score", index, scores.renal, scores.padua or "")))
    note = (
        "Collecting system and vessels are not segmented: both are taken as touched where the "
        "sinus is."
    )
    if scores.reason is not None:
        note = f"Not assessed: {scores.reason}."
    return Table(("Nephrometry", "Measure", "R.E.N.A.L.", "PADUA"), tuple(rows), note)
