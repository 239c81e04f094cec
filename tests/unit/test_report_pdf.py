from __future__ import annotations

from datetime import datetime

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from renalseg.findings.measurements import measure
from renalseg.findings.nephrometry import add_nephrometry
from renalseg.findings.segments import split_segments
from renalseg.findings.sentences import Kind, Statement
from renalseg.labels import KIDNEY, TUMOR, ContrastPhase
from renalseg.report.blocks import ROOMS
from renalseg.report.content import Content, Section
from renalseg.report.pdf import draw_pages, make_pages
from renalseg.report.sections import sections_of
from renalseg.report.sheet import Sheet
from renalseg.report.text import defaults, drawable, width_of, wrap
from tests.factories.limits import SIDES
from tests.factories.pdf import count_pages, text_of
from tests.factories.scenes import ellipsoid, make_grid, series_on, volume

CREATED = datetime(2020, 1, 1)
LONG = "Wolfeschlegelsteinhausenbergerdorff-Featherstonehaugh, Maximiliane (山田 太郎, محمد) " * 2
CONCLUSION = Statement(Kind.CONCLUSION, "One tumor found: it is 22 mm long, in the left kidney.")
FACTS = {"Patient": LONG, "Patient ID": "X" * 64, "Study": "Брюшная полость", "Series": "1, A"}
TEXT = {"en": "Solid mass of 2.2 cm. " * 4, "de": "Solide Raumforderung von 2,2 cm. " * 4}


def pages(warnings: int, *, empty: bool = False, tumors: int = 1) -> tuple[Content, list[Section]]:
    """The arguments of `make_pages` for two kidneys, of which one lies 80 mm lower, and tumors."""
    grid = make_grid("LPS", extent=(144.0, 108.0, 200.0))
    hu = np.full(grid.shape, -1000, np.float32)
    hu[ellipsoid(grid, (7, -11, 130), (60, 45, 900))] = 40
    pred = np.zeros(grid.shape, np.uint8)
    if not empty:
        pred[ellipsoid(grid, (-28, -16, 156), (15, 14, 24))] = KIDNEY
        pred[ellipsoid(grid, (42, -16, 76), (15, 14, 24))] = KIDNEY
        places = ((-30, -4, 176), (42, -4, 96), (42, -4, 56))
        for place in places[:tumors]:
            pred[ellipsoid(grid, place, (11, 11, 11))] = TUMOR
    image = volume(hu, grid)
    segmented, found = split_segments(volume(pred, grid), image, sides=SIDES)
    series = series_on(grid, image)
    measured = add_nephrometry(segmented, grid.affine, measure(image, segmented, found))
    said = [Statement(Kind.WARNING, f"number {n}: {'it is odd ' * 12}") for n in range(warnings)]
    content = Content(
        [*said, CONCLUSION], measured, ContrastPhase.NEPHROGRAPHIC, FACTS, "RenalSeg. " * 9, TEXT
    )
    return content, list(sections_of(content, series, segmented))


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


@pytest.mark.parametrize(
    ("warnings", "empty", "tumors"), [(0, False, 1), (3, True, 0), (2, False, 0), (30, False, 3)]
)
def test_nothing_covers_anything(warnings: int, empty: bool, tumors: int) -> None:
    with defaults():
        for sheet in make_pages(*pages(warnings, empty=empty, tumors=tumors)):
            assert_nothing_overlaps(sheet)


def test_all_warnings_are_said_on_as_many_pages_as_they_take() -> None:
    assert count_pages(draw_pages(*pages(2), CREATED)) == 1
    pdf = draw_pages(*pages(30), CREATED)
    text = text_of(pdf)
    assert count_pages(pdf) > 1
    assert "Further warnings on the next page: " in text
    for number in range(30):
        assert f"number {number}:" in text


def test_without_segments_there_is_no_table() -> None:
    assert "Volume" in text_of(draw_pages(*pages(0), CREATED))
    assert "Volume" not in text_of(draw_pages(*pages(0, empty=True), CREATED))


def test_each_tumor_has_its_pictures_on_as_many_pages_as_they_take() -> None:
    pdf = draw_pages(*pages(0, tumors=3), CREATED)
    assert 1 < count_pages(pdf) <= 4
    text = text_of(pdf)
    for name in ("Left kidney tumor 1", "Right kidney tumor 1", "Right kidney tumor 2"):
        assert name in text
    assert text.count("Axial, image") == text.count("Sagittal") == 3


@pytest.mark.parametrize("tumors", [2, 4])
def test_pictures_take_the_height_that_needs_the_fewest_pages(
    tumors: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = []
    for rooms in (ROOMS, *((room,) for room in ROOMS)):
        monkeypatch.setattr("renalseg.report.pdf.ROOMS", rooms)
        counts.append(len(make_pages(*pages(0, tumors=tumors))))
    assert counts[0] == min(counts[1:])


def test_the_same_content_gives_the_same_bytes() -> None:
    assert draw_pages(*pages(1), CREATED) == draw_pages(*pages(1), CREATED)


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
