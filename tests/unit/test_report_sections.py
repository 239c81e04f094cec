"""What the sections of a report say and show, of a drawn patient."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from renalseg.findings.measurements import longest_in_slice, measure
from renalseg.findings.sentences import NOT_REPORTED, Kind, Statement
from renalseg.findings.unassessed import unassessed
from renalseg.labels import (
    CYST,
    KIDNEY,
    TUMOR,
    ContrastPhase,
    Enhancement,
    MeasuredSegment,
    PhaseValue,
    Segment,
    Side,
    Third,
)
from renalseg.report.content import Content, Section, Table, Text
from renalseg.report.images import image_range
from renalseg.report.key_images import key_images
from renalseg.report.lesions import MOST, lesion_section, place_of
from renalseg.report.sections import sections_of
from renalseg.report.view import look
from renalseg.scores import Component, Nephrometry
from tests.factories.scenes import ellipsoid, make_grid, series_on

CONCLUSION = Statement(Kind.CONCLUSION, "It is so.")
NEPHROGRAPHIC = ContrastPhase.NEPHROGRAPHIC
CODES = ("LPS", "LPI", "PIR", "RAS")


def drawn(codes: str = "LPS") -> tuple[np.ndarray, list[MeasuredSegment], object]:
    """Two kidneys, and a tumor that is longest along the axis from right to left."""
    grid = make_grid(codes, (2.0, 2.0, 4.0))
    segmented = ellipsoid(grid, (-28, -16, 126), (20, 14, 30)).astype(np.uint8)
    segmented[ellipsoid(grid, (42, -16, 126), (15, 14, 30))] = 2
    segmented[ellipsoid(grid, (-30, -4, 150), (17, 9, 13))] = 3
    series = series_on(grid)
    found = [
        Segment(1, "Left kidney", KIDNEY, Side.LEFT, 60.0),
        Segment(2, "Right kidney", KIDNEY, Side.RIGHT, 50.0),
        Segment(3, "Left kidney tumor 1", TUMOR, Side.LEFT, 8.0),
    ]
    return segmented, measure(series.image, segmented, found), series


def sections(segments: list[MeasuredSegment], *said: Statement) -> list[Section]:
    segmented, _, series = drawn()
    kept = np.where(np.isin(segmented, [each.number for each in segments]), segmented, 0)
    content = Content([*said, CONCLUSION], segments, NEPHROGRAPHIC, {}, "RenalSeg")
    return list(sections_of(content, series, kept.astype(np.uint8)))  # type: ignore[arg-type]


def tables(section: Section) -> list[Table]:
    blocks = [block for column in section.columns for block in column.blocks]
    return [block for block in blocks if isinstance(block, Table)]


def words(section: Section) -> str:
    blocks = [block for column in section.columns for block in column.blocks]
    return " ".join(block.text for block in blocks if isinstance(block, Text))


@pytest.mark.parametrize("codes", CODES)
def test_the_diameters_of_key_images_end_on_the_lesion_and_have_its_length(codes: str) -> None:
    segmented, segments, series = drawn(codes)
    tumor = segments[2]
    view = look(series.image, segmented)  # type: ignore[attr-defined]
    pictures = key_images(view, series, segments, tumor)  # type: ignore[arg-type]
    assert [picture.caption.split(",")[0] for picture in pictures] == [
        "Axial", "Coronal", "Sagittal",
    ]  # fmt: skip
    lengths = []
    for picture in pictures:
        figure = Figure()
        FigureCanvasAgg(figure)
        axes = figure.add_axes((0, 0, 1, 1))
        picture.draw(axes)
        (said,) = [text.get_text() for text in axes.texts if text.get_text().endswith(" mm")]
        lines = [np.asarray(line.get_xydata()) for line in axes.lines]
        long = [float(np.linalg.norm(np.diff(line, axis=0))) for line in lines]
        assert any(length == pytest.approx(float(said.split()[0]), abs=0.5) for length in long)
        lengths.append(float(said.split()[0]))
        (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
        assert picture.size == pytest.approx((abs(right - left), high - low))
    assert lengths[0] == round(tumor.longest_axial_mm)
    assert lengths[2] < min(lengths[:2])


@pytest.mark.parametrize("codes", ["LPS", "PIR"])
def test_the_longest_diameter_of_a_slice_is_that_of_its_voxels(codes: str) -> None:
    segmented, _, _ = drawn(codes)
    spacing = np.array([2.0, 3.0, 4.0])
    mask = segmented == 3
    for along in range(3):
        found = longest_in_slice(mask, spacing, along)
        across = [axis for axis in range(3) if axis != along]
        best = 0.0
        for level in range(mask.shape[along]):
            points = np.argwhere(np.take(mask, level, axis=along)) * spacing[across]
            if len(points):
                apart = np.linalg.norm(points[:, None] - points[None], axis=-1)
                best = max(best, float(apart.max()))
        assert found.length_mm == pytest.approx(best)
        plane = np.take(mask, found.level, axis=along)
        assert all(plane[tuple(end)] for end in found.ends.round().astype(int))


def test_a_single_voxel_has_no_diameter() -> None:
    mask = np.zeros((3, 3, 3), bool)
    mask[1, 2, 0] = True
    found = longest_in_slice(mask, np.ones(3), 2)
    assert (found.length_mm, found.level) == (0.0, 0)
    np.testing.assert_array_equal(found.ends, [[1, 2], [1, 2]])


def test_images_of_a_lesion_are_named_by_the_first_and_the_last() -> None:
    segmented, _, series = drawn()
    levels = np.flatnonzero((segmented == 3).any(axis=(0, 1))) + 1
    total = segmented.shape[2]
    expected = f"{levels[0]} to {levels[-1]} of {total}"
    assert image_range(series, segmented, 3) == expected  # type: ignore[arg-type]
    for header in series.headers:  # type: ignore[attr-defined]
        header.InstanceNumber = total + 1 - header.InstanceNumber
    expected = f"{total + 1 - levels[-1]} to {total + 1 - levels[0]} of {total}"
    assert image_range(series, segmented, 3) == expected  # type: ignore[arg-type]


def test_each_lesion_comes_before_the_kidneys_tumors_first() -> None:
    _, segments, _ = drawn()
    cyst = replace(segments[2], label="Left kidney cyst 1", kind=CYST, longest_mm=99.0)
    titles = [section.title for section in sections([*segments, cyst])]
    assert titles[:3] == ["Left kidney tumor 1", "Left kidney cyst 1", "Kidneys"]
    many = [replace(segments[2], label=f"tumor {n}") for n in range(MOST + 2)]
    titles = [section.title for section in sections([*segments[:2], *many])]
    assert titles[MOST : MOST + 2] == ["Smaller ones: 2", "Kidneys"]


def test_what_is_not_reported_is_said_with_the_picture_of_the_kidneys() -> None:
    _, segments, _ = drawn()
    kidneys, *_ = sections(segments[:2])
    assert kidneys.lead == "No tumor or cyst is reported."
    assert kidneys.large
    assert kidneys.pictures[0].caption.split(",")[0] == "Axial"
    review = Statement(Kind.REVIEW, f"A region of 12 ml looks like the kidney{NOT_REPORTED}")
    kidneys, *_ = sections(segments[:2], review)
    assert kidneys.lead.endswith(
        "Something was called tumor and is not reported: see the review above."
    )
    kidneys, *_ = sections(segments[1:2])
    assert kidneys.lead.startswith("No left kidney was found.")


def test_kidneys_stand_beside_what_is_usual_with_its_source() -> None:
    _, segments, _ = drawn()
    _, kidneys, *_ = sections(segments)
    (table,) = tables(kidneys)
    assert table.rows[0].cells[:2] == ("Left kidney", f"{segments[0].volume_ml:.1f} ml")
    assert table.rows[1].cells == ("usual, women / men", "125 to 165 / 160 to 203", "111 ± 13", "")
    assert "J Clin Med 2024" in table.note
    assert "BMC Urol 2009" in table.note
    assert "Not assessed: renal vein and vena cava" in words(kidneys)


def test_phases_of_a_lesion_stand_beside_those_of_its_kidney() -> None:
    segmented, segments, series = drawn()
    phases = (ContrastPhase.NONCONTRAST, NEPHROGRAPHIC)
    plain, late = (
        PhaseValue(phase, hu, 9.0) for phase, hu in zip(phases, (33.0, 95.0), strict=True)
    )
    kidney = replace(segments[0], enhancement=Enhancement((plain, replace(late, mean_hu=160.0))))
    tumor = replace(segments[2], enhancement=Enhancement((plain, late), 62.0, 187.9, None, 0, 0, 4))
    view = look(series.image, segmented)  # type: ignore[attr-defined]
    section = lesion_section(
        series,
        segmented,
        view,
        [kidney, segments[1], tumor],
        tumor,
        NEPHROGRAPHIC,  # type: ignore[arg-type]
    )
    _, table = tables(section)
    assert table.headings[0] == "By contrast phase"
    assert [row.cells for row in table.rows] == [
        ("Noncontrast", "33 ± 9", "33"),
        ("Nephrographic", "95 ± 9", "160"),
    ]
    assert table.note == "Enhancement: a rise by 62 HU (188 %), fat 0 %, calcified 0 %, fluid 4 %."


def test_a_lesion_is_placed_in_words() -> None:
    _, segments, _ = drawn()
    tumor = replace(segments[2], third=Third.UPPER, nephrometry=None)
    assert place_of(tumor) == "left kidney, upper third"
    for renal, rim, words in (("7ph", 3.0, "posterior, medial"), ("5x", -3.0, "lateral")):
        scores = Nephrometry(renal, "7p", 2.0, {"rim": Component(rim)})
        placed = place_of(replace(tumor, nephrometry=scores))
        assert placed == f"left kidney, upper third, {words}"


@pytest.mark.parametrize("phase", list(ContrastPhase))
def test_every_phase_says_what_it_hides(phase: ContrastPhase) -> None:
    _, segments, _ = drawn()
    said = "; ".join(unassessed(segments, phase))
    hidden = {
        ContrastPhase.NONCONTRAST: "without contrast medium",
        ContrastPhase.CORTICOMEDULLARY: "in the medulla",
        ContrastPhase.EXCRETORY: "of the collecting system",
        ContrastPhase.UNKNOWN: "was not recognized",
    }
    assert [key for key, text in hidden.items() if text in said] == [phase] * (phase in hidden)
    assert "enhancement: no other series" in said
    compared = replace(segments[0], enhancement=Enhancement((), 40.0))
    assert "enhancement" not in "; ".join(unassessed([compared, *segments[1:]], phase))
    assert unassessed((), phase) == ("the kidneys: none was found",)


def test_kidneys_without_a_lesion_say_how_dense_they_are_in_each_phase() -> None:
    _, (left, right, _), _ = drawn()
    values = (PhaseValue(ContrastPhase.NONCONTRAST, 31.2, 8.0), PhaseValue(NEPHROGRAPHIC, 140, 20))
    left = replace(left, enhancement=Enhancement(values))
    right = replace(right, enhancement=Enhancement(values[1:]))
    (section,) = [each for each in sections([left, right]) if each.title == "Kidneys"]
    _, phases = tables(section)
    assert phases.headings == ("By contrast phase", "Left kidney", "Right kidney")
    assert [row.cells for row in phases.rows] == [
        ("Noncontrast", "31 ± 8 HU", ""),
        ("Nephrographic", "140 ± 20 HU", "140 ± 20 HU"),
    ]
