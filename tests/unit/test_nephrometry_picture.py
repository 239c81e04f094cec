"""The picture of nephrometry on the page, of a drawn kidney."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imread

from renalseg.findings.measurements import measure
from renalseg.findings.nephrometry import add_nephrometry
from renalseg.labels import KIDNEY, TUMOR, MeasuredSegment, Segment, Side
from renalseg.report.html.measures import nephrometry_table
from renalseg.report.html.nephrometry import nephrometry_planes
from renalseg.report.html.pictures import draw_pictures
from tests.factories.scenes import volume
from tests.unit.test_html_page import series_on, text_of
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
    (plane,) = nephrometry_planes(series_on(GRID), SEGMENTED, segments)
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


def test_the_last_picture_of_the_page_is_that_of_the_scores(
    segments: list[MeasuredSegment],
) -> None:
    scores = segments[1].nephrometry
    assert scores is not None
    *others, last = draw_pictures(series_on(GRID), SEGMENTED, segments)
    assert f"left kidney tumor 1, R.E.N.A.L. {scores.renal}. White: polar lines" in last.caption
    assert imread(io.BytesIO(last.png)).shape[:2] == (last.height, last.width)
    plain = [replace(segment, nephrometry=None) for segment in segments]
    assert len(list(draw_pictures(series_on(GRID), SEGMENTED, plain))) == len(others)


def test_the_table_has_scores_measures_and_points() -> None:
    entry = {
        **{"number": 2, "label": "Left kidney tumor 1", "kind": TUMOR, "side": "left"},
        "nephrometry": {
            **{"renal": "7ph", "padua": "9p", "c_index": 2.34, "reason": None},
            "components": {"sinus": {"value": 3.4, "renal": 3, "padua": 1}},
        },
    }
    cells = text_of(nephrometry_table([entry]))
    assert cells[:5] == ["Segment", "R.E.N.A.L.", "PADUA", "C-index", "To sinusmm"]
    assert cells[5:] == ["Left kidney tumor 1", "7ph", "9p", "2.3", "3 (3 / 1)"]
    assert nephrometry_table([{**entry, "nephrometry": None}]) == ""
