from __future__ import annotations

from datetime import datetime

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from renalseg.dicom.read.planes import SourcePlanes
from renalseg.dicom.read.series import CTSeries
from renalseg.findings.measurements import measure
from renalseg.findings.segments import split_segments
from renalseg.findings.sentences import Kind, Statement
from renalseg.labels import KIDNEY, TUMOR
from renalseg.report.panels import choose_panels
from renalseg.report.pdf import Facts, draw_page, make_pages
from renalseg.report.sheet import Sheet
from renalseg.report.text import defaults, drawable, width_of, wrap
from renalseg.report.view import AXIAL, CORONAL, SAGITTAL, look
from tests.factories.limits import SIDES
from tests.factories.pdf import count_pages, text_of
from tests.factories.scenes import ellipsoid, make_grid, volume

LONG = "Wolfeschlegelsteinhausenbergerdorff-Featherstonehaugh, Maximiliane (山田 太郎, محمد) " * 2
CONCLUSION = Statement(Kind.CONCLUSION, "One tumor found: it is 22 mm long, in the left kidney.")
FACTS = Facts(
    {"Patient": LONG, "Patient ID": "X" * 64, "Study": "Брюшная полость", "Series": "1, A"},
    "Nephrographic phase.",
    "RenalSeg with the networks one and two. " * 3,
    "Window center 40, width 400 HU.",
    datetime(2020, 1, 1),
)


def pages(warnings: int, *, empty: bool = False) -> tuple:  # type: ignore[type-arg]
    """The arguments of `make_pages` for two kidneys, of which one lies 80 mm lower, and a tumor."""
    grid = make_grid("LPS", extent=(144.0, 108.0, 200.0))
    hu = np.full(grid.shape, -1000, np.float32)
    hu[ellipsoid(grid, (7, -11, 130), (60, 45, 900))] = 40
    pred = np.zeros(grid.shape, np.uint8)
    if not empty:
        pred[ellipsoid(grid, (-28, -16, 156), (15, 14, 24))] = KIDNEY
        pred[ellipsoid(grid, (42, -16, 76), (15, 14, 24))] = KIDNEY
        pred[ellipsoid(grid, (-30, -4, 176), (11, 11, 11))] = TUMOR
    image = volume(hu, grid)
    segmented, found = split_segments(volume(pred, grid), image, sides=SIDES)
    series = CTSeries(image, (), "", (), {}, SourcePlanes.regular(grid.shape))
    view = look(series.image, segmented)
    panels = choose_panels(view, found, (AXIAL, CORONAL, SAGITTAL))
    said = [Statement(Kind.WARNING, f"number {n}: {'it is odd ' * 12}") for n in range(warnings)]
    return FACTS, view, panels, measure(image, segmented, found), [*said, CONCLUSION]


def assert_nothing_overlaps(sheet: Sheet) -> None:
    """Holds that no text or picture covers another or leaves the sheet."""
    FigureCanvasAgg(sheet.figure).draw()
    renderer = sheet.figure.canvas.get_renderer()
    texts = [each for each in sheet.figure.findobj(Text) if each.axes is None and each.get_text()]
    found = [(each.get_text(), each.get_window_extent(renderer)) for each in texts]
    found += [("picture", axes.get_window_extent(renderer)) for axes in sheet.figure.axes]
    size = sheet.figure.get_size_inches() * sheet.figure.dpi
    boxes = [(name, np.asarray(box.get_points())) for name, box in found]
    for number, (name, (low, high)) in enumerate(boxes):
        assert (low > -1).all(), name
        assert (high < size + 1).all(), name
        for other, (below, above) in boxes[:number]:
            shared = np.minimum(high, above) - np.maximum(low, below)
            assert (shared < 4).any(), f"{name!r} covers {other!r}"


@pytest.mark.parametrize(("warnings", "empty"), [(0, False), (3, True), (30, False)])
def test_nothing_covers_anything(warnings: int, empty: bool) -> None:
    with defaults():
        for sheet in make_pages(*pages(warnings, empty=empty)):
            assert_nothing_overlaps(sheet)


def test_all_warnings_are_said_on_as_many_pages_as_they_take() -> None:
    assert count_pages(draw_page(*pages(2))) == 1
    pdf = draw_page(*pages(30))
    text = text_of(pdf)
    assert count_pages(pdf) > 1
    assert "Further warnings on the next page: " in text
    for number in range(30):
        assert f"number {number}:" in text


def test_without_segments_there_is_no_table() -> None:
    assert "Volume" in text_of(draw_page(*pages(0)))
    assert "Volume" not in text_of(draw_page(*pages(0, empty=True)))


def test_lines_are_as_wide_as_they_are_said_to_be() -> None:
    for text in (LONG, "山田太郎" * 20, "Брюшная полость " * 9):
        lines = wrap(text, 60, 9)
        assert len(lines) > 1
        assert all(width_of(line, 9) <= 60 for line in lines)
    letters = "".join(wrap("山田太郎" * 20, 60, 9))
    assert letters == "山田太郎" * 20


def test_what_no_font_has_is_named() -> None:
    assert drawable("สมชาย x") == "[5 Thai letters: no font] x"
    assert drawable("Müller 山田 Ωμέγα") == "Müller 山田 Ωμέγα"
    assert "\x1b" not in drawable("a\x1b[31m")
    assert drawable(drawable("محمد")) == drawable("محمد")
