"""The section of both kidneys: pictures, volumes beside normal ones, and what was not assessed."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import NamedTuple

from renalseg.findings.unassessed import unassessed
from renalseg.intake.ct import CT
from renalseg.labels import KIDNEY, ContrastPhase, MeasuredSegment, Side, bounded
from renalseg.report.content import Column, Picture, Row, Section, Table, Text
from renalseg.report.panels import plane_picture
from renalseg.report.view import AXIAL, CORONAL, Plane, View


class Normal(NamedTuple):
    """What is usual for a kidney.

    Attributes:
        women: The middle half of the volumes of women, in ml.
        men: Likewise.
        length_mm: Mean and standard deviation of the length.
    """

    women: tuple[int, int]
    men: tuple[int, int]
    length_mm: tuple[float, float]


NORMAL = MappingProxyType(
    {
        Side.LEFT: Normal((125, 165), (160, 203), (111.3, 12.6)),
        Side.RIGHT: Normal((121, 156), (154, 197), (108.5, 12.2)),
    }
)
SOURCES = (
    "Usual: middle half of 930 women and 885 men without kidney disease, in MRI (Dabers et al., "
    "J Clin Med 2024, 13:769); length ± SD of 1040 adults, in CT (Glodny et al., BMC Urol 2009, "
    "9:19). Kidneys grow with body size and shrink in old age."
)
_BESIDE, _ROW = 0.42, 2  # share of the width, and pictures of a row


def kidney_section(
    ct: CT,
    view: View,
    segments: Sequence[MeasuredSegment],
    phase: ContrastPhase,
    *,
    lead: str,
    alone: bool,
) -> Section:
    """Gives the section of both kidneys.

    Args:
        ct: The source.
        view: CT and segments.
        segments: All segments.
        phase: Contrast phase of the series.
        lead: What is said first.
        alone: Whether no lesion has a section, so that the kidneys get larger pictures.
    """
    found = [segment for segment in segments if segment.kind == KIDNEY]
    words: list[Table | Text] = [kidney_table(found)] if found else []
    if alone:  # else each lesion has them beside its own
        words += _phases(found)
    words.append(Text("Not assessed: " + "; ".join(unassessed(segments, phase)) + "."))
    if alone:
        pictures = [
            picture
            for plane in (AXIAL, CORONAL)
            for picture in _pictures(ct, view, segments, plane, _ROW)
        ]
        return Section(
            "Kidneys", lead, None, tuple(pictures), (Column(1.0, tuple(words)),), large=True
        )
    (picture,) = _pictures(ct, view, segments, CORONAL, 1)
    columns = (Column(_BESIDE, (picture,)), Column(1 - _BESIDE, tuple(words)))
    return Section("Kidneys", lead, None, (), columns)


def _phases(kidneys: Sequence[MeasuredSegment]) -> list[Table]:
    """The densities of the kidneys by contrast phase, where the study has several."""
    compared = [kidney for kidney in kidneys if kidney.enhancement is not None]
    if not compared:
        return []
    densities: dict[str, dict[str, str]] = {}
    for kidney in compared:
        assert kidney.enhancement is not None
        for value in kidney.enhancement.values:
            said = f"{value.mean_hu:.0f} ± {value.sd_hu:.0f} HU"
            densities.setdefault(value.phase, {})[kidney.label] = said
    names = [kidney.label for kidney in compared]
    rows = tuple(
        Row((phase.capitalize(), *(said.get(name, "") for name in names)))
        for phase, said in densities.items()
    )
    return [Table(("By contrast phase", *names), rows)]


def _pictures(
    ct: CT, view: View, segments: Sequence[MeasuredSegment], plane: Plane, most: int
) -> list[Picture]:
    cuts = view.cuts(plane, segments, most)
    return [plane_picture(view, cut, segments, ct) for cut in cuts]


def kidney_table(kidneys: Sequence[MeasuredSegment]) -> Table:
    """Gives volume, length and density of each kidney beside what is usual for its side."""
    rows = []
    for kidney in kidneys:
        usual = NORMAL[kidney.side]
        cut = kidney.lower_bound
        volume = bounded(f"{kidney.volume_ml:.1f} ml", cut)
        length = bounded(f"{kidney.longest_mm:.0f} mm", cut)
        density = f"{kidney.mean_hu:.0f} ± {kidney.sd_hu:.0f} HU"
        rows.append(Row((kidney.label, volume, length, density), kidney.rgb))
        women, men = (f"{low} to {high}" for low, high in (usual.women, usual.men))
        mean, spread = usual.length_mm
        rows.append(
            Row(("usual, women / men", f"{women} / {men}", f"{mean:.0f} ± {spread:.0f}", ""))
        )
    return Table(("", "Volume", "Length", "Mean ± SD"), tuple(rows), SOURCES)
