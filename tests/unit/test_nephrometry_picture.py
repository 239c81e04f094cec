"""The picture of nephrometry on the page, of a drawn kidney."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from renalseg.findings.measurements import measure
from renalseg.findings.nephrometry import Anatomy, add_nephrometry, anatomy
from renalseg.labels import KIDNEY, TUMOR, MeasuredSegment, Segment, Side
from renalseg.report.lesions import nephrometry_table
from renalseg.report.nephrometry import ScoredPlane, nephrometry_picture
from renalseg.scores import Component, Nephrometry
from tests.factories.scenes import series_on, volume
from tests.unit.test_nephrometry import GRID, ball, kidney

SEGMENTED = kidney(GRID).astype(np.uint8)
SEGMENTED[ball(GRID, (-14, 0, -30), 10)] = 2


@pytest.fixture(scope="module")
def segments() -> list[MeasuredSegment]:
    found = [
        Segment(1, "Left kidney", KIDNEY, Side.LEFT, 90.0),
        Segment(2, "Left kidney tumor 1", TUMOR, Side.LEFT, 4.0),
    ]
    image = volume(np.zeros(GRID.shape, np.float32), GRID)
    return add_nephrometry(SEGMENTED, GRID.affine, measure(image, SEGMENTED, found))


def test_the_plane_holds_tumor_lines_and_the_shortest_distance(
    segments: list[MeasuredSegment],
) -> None:
    found = anatomy(SEGMENTED, GRID.affine, segments, Side.LEFT)
    assert isinstance(found, Anatomy)
    plane = ScoredPlane(series_on(GRID), SEGMENTED, segments, segments[1], found)
    figure = Figure()
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    plane.draw(axes)
    lower, upper, shortest = (np.asarray(line.get_xydata()) for line in axes.lines)
    assert upper[0, 1] - lower[0, 1] == pytest.approx(40, abs=1.5)
    length = np.linalg.norm(np.diff(shortest, axis=0))
    assert length == pytest.approx(plane.place.sinus, abs=0.1)
    wide, high = plane.size
    assert ((shortest >= 0) & (shortest <= [wide, high])).all()


def test_only_what_was_assessed_has_a_picture(segments: list[MeasuredSegment]) -> None:
    picture = nephrometry_picture(series_on(GRID), SEGMENTED, segments, segments[1])
    assert picture is not None
    assert picture.caption.startswith("Along the kidney: polar lines (white), sinus (yellow), ")
    plain = replace(segments[1], nephrometry=Nephrometry(reason="The kidney is cut by the scan"))
    others = [segments[0], plain]
    assert nephrometry_picture(series_on(GRID), SEGMENTED, others, plain) is None


def test_the_table_has_measures_points_and_scores() -> None:
    scores = Nephrometry("7ph", "9p", 2.34, {"sinus": Component(3.4, 3, 1)})
    table = nephrometry_table(scores)
    assert table.headings == ("Nephrometry", "Measure", "R.E.N.A.L.", "PADUA")
    assert [row.cells for row in table.rows] == [
        ("N To sinus", "3 mm", "3", "1"),
        ("Score", "C-index 2.3", "7ph", "9p"),
    ]
    size = Component(22.4, 1, 1)
    table = nephrometry_table(Nephrometry(components={"size": size}, reason="No sinus"))
    assert [row.cells for row in table.rows] == [("R Longest", "22 mm", "1", "1")]
    assert table.note == "Not assessed: No sinus."
