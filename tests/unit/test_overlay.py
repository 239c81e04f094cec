from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from matplotlib.text import Text

from renalseg.dicom.read.series import read_series
from renalseg.findings.segments import split_segments
from renalseg.findings.sentences import Kind, Statement
from renalseg.labels import KIDNEY, TUMOR
from renalseg.report.overlay import Picture, make_picture, save_overlay
from renalseg.report.sheet import Sheet
from renalseg.report.text import defaults
from renalseg.report.view import AXIAL, CORONAL, look
from tests.factories.limits import SIDES
from tests.factories.scenes import ellipsoid, make_grid, volume
from tests.factories.series import write_case

SAID = (
    Statement(Kind.REVIEW, "The tumor reaches the end of the scan, so look at the slices there."),
    Statement(Kind.WARNING, "tumor_msvnet reaches a tumor Dice of 0.49 on synthetic CTs"),
    Statement(Kind.CONCLUSION, "One tumor found."),
)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    write_case(folder)
    return folder


def scene(source: Path, codes: str = "RAS", *, empty: bool = False, lower: float = 0.0) -> Picture:
    """A left kidney with a tumor in front and above, and a right one that lies `lower` mm lower."""
    grid = make_grid(codes, extent=(144.0, 108.0, 200.0))
    hu = np.full(grid.shape, -1000, np.float32)
    hu[ellipsoid(grid, (7, -11, 130), (60, 45, 900))] = 40
    pred = np.zeros(grid.shape, np.uint8)
    if not empty:
        pred[ellipsoid(grid, (-28, -16, 156), (15, 14, 24))] = KIDNEY
        pred[ellipsoid(grid, (42, -16, 156 - lower), (15, 14, 24))] = KIDNEY
        pred[ellipsoid(grid, (-30, -4, 176), (11, 11, 11))] = TUMOR
    image = volume(hu, grid)
    series = replace(read_series(source), image=image)
    series = replace(series, planes=type(series.planes).regular(grid.shape), headers=series.headers)
    series = replace(series, headers=(series.headers * grid.shape[2])[: grid.shape[2]])
    return Picture(
        series, *split_segments(volume(pred, grid), image, sides=SIDES), SAID, "RenalSeg"
    )


def pixels(picture: Picture, path: Path) -> np.ndarray:
    """The picture, (rows, columns, RGBA)."""
    save_overlay(picture, path)
    return np.asarray(imread(path))


def boxes(sheet: Sheet) -> list[tuple[str, np.ndarray]]:
    """All texts and pictures of a sheet with their corners (2, 2) in pixels."""
    renderer = sheet.figure.canvas.get_renderer()
    texts = [each for each in sheet.figure.findobj(Text) if each.axes is None and each.get_text()]
    found = [(each.get_text(), each.get_window_extent(renderer)) for each in texts]
    found += [("picture", axes.get_window_extent(renderer)) for axes in sheet.figure.axes]
    return [(name, np.asarray(box.get_points())) for name, box in found]


def assert_nothing_overlaps(sheet: Sheet) -> None:
    """Holds that no text or picture covers another or leaves the sheet."""
    size = sheet.figure.get_size_inches() * sheet.figure.dpi
    found = boxes(sheet)
    assert len(found) > 3
    for number, (name, (low, high)) in enumerate(found):
        assert (low > -1).all(), name
        assert (high < size + 1).all(), name
        for other, (below, above) in found[:number]:
            shared = np.minimum(high, above) - np.maximum(low, below)
            assert (shared < 2).any(), f"{name!r} covers {other!r}"


@pytest.mark.parametrize("codes", ["LPS", "PIR"])
def test_a_patient_looks_the_same_whichever_way_the_series_runs(
    codes: str, source: Path, tmp_path: Path
) -> None:
    one = look_of(scene(source, "RAS"))
    np.testing.assert_array_equal(look_of(scene(source, codes)), one)


def look_of(picture: Picture) -> np.ndarray:
    """The picture without its captions: the numbers of the slices depend on the source."""
    with defaults():
        sheet = make_picture(picture)
        for text in sheet.figure.texts:
            text.set_visible(False)
        return sheet.pixels()


def test_a_mirrored_patient_looks_different(source: Path) -> None:
    one, other = scene(source), scene(source)
    mirrored = np.ascontiguousarray(other.segmented[::-1])
    assert not np.array_equal(look_of(one), look_of(replace(other, segmented=mirrored)))


def test_a_picture_without_findings_is_made_in_a_new_folder(source: Path, tmp_path: Path) -> None:
    picture = pixels(scene(source, "LPS", empty=True), tmp_path / "new" / "a.png")
    assert min(picture.shape[:2]) > 100


@pytest.mark.parametrize("lower", [0.0, 80.0])
def test_both_kidneys_and_the_tumor_are_on_planes(source: Path, lower: float) -> None:
    picture = scene(source, lower=lower)
    view = look(picture.ct.image, picture.segmented)
    for plane in (AXIAL, CORONAL):
        cuts = view.cuts(plane, picture.segments, 4)
        for segment in picture.segments:
            areas = (view.numbers == segment.number).sum(
                axis=tuple(axis for axis in range(3) if axis != plane.cut)
            )
            best = max(areas[cut.at] for cut in cuts)
            assert best > 0.3 * areas.max(), f"{segment.label} is on no {plane.name} plane"
    assert len(view.cuts(AXIAL, picture.segments, 4)) == (2 if lower == 0 else 3)


def test_a_tumor_is_shown_at_its_largest(source: Path) -> None:
    picture = scene(source)
    view = look(picture.ct.image, picture.segmented)
    tumor = picture.segments[-1]
    cut = view.cuts(AXIAL, picture.segments, 4)[0]
    areas = (view.numbers == tumor.number).sum(axis=(0, 1))
    assert tumor in cut.shows
    assert areas[cut.at] == areas.max()


@pytest.mark.parametrize("empty", [True, False])
def test_nothing_covers_anything(source: Path, empty: bool) -> None:
    with defaults():
        sheet = make_picture(scene(source, empty=empty, lower=80))
        sheet.pixels()
        assert_nothing_overlaps(sheet)


def test_the_picture_says_what_the_result_says(source: Path) -> None:
    with defaults():
        words = " ".join(name for name, _ in _drawn(make_picture(scene(source))))
    places = [words.index(statement.text[:40]) for statement in SAID]
    assert places == sorted(places)
    for expected in ("Left kidney ", "Right kidney ", "Left kidney tumor 1 ", "RenalSeg"):
        assert expected in words


def _drawn(sheet: Sheet) -> list[tuple[str, np.ndarray]]:
    sheet.pixels()
    return boxes(sheet)
