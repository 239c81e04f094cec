from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from renalseg.grids import Grid
from renalseg.labels import KIDNEY, TUMOR
from renalseg.report.overlay import save_overlay
from renalseg.results.segments import split_segments
from tests.factories.scenes import ellipsoid, make_grid, volume


def draw(grid: Grid, path: Path, *, empty: bool = False) -> np.ndarray:
    """The picture of a left kidney with a tumor in front and above, (rows, columns, RGBA)."""
    hu = np.full(grid.shape, -1000, np.float32)
    hu[ellipsoid(grid, (7, -11, 130), (60, 45, 900))] = 40
    pred = np.zeros(grid.shape, np.uint8)
    if not empty:
        pred[ellipsoid(grid, (-28, -16, 126), (15, 14, 24))] = KIDNEY
        pred[ellipsoid(grid, (-30, -4, 146), (11, 11, 11))] = TUMOR
    image = volume(hu, grid)
    save_overlay(image, *split_segments(volume(pred, grid), image), path)
    return np.asarray(imread(path))


@pytest.mark.parametrize("codes", ["LPS", "PIR"])
def test_a_patient_looks_the_same_whichever_way_the_series_runs(codes: str, tmp_path: Path) -> None:
    expected = draw(make_grid("RAS"), tmp_path / "drawn.png")
    np.testing.assert_array_equal(draw(make_grid(codes), tmp_path / "other.png"), expected)


def test_a_mirrored_patient_looks_different(tmp_path: Path) -> None:
    grid = make_grid("RAS")
    mirrored = Grid(grid.shape, np.diag([-1.0, 1.0, 1.0, 1.0]) @ grid.affine)
    one, other = draw(grid, tmp_path / "a.png"), draw(mirrored, tmp_path / "b.png")
    assert one.shape != other.shape or not np.array_equal(one, other)


def test_a_picture_without_findings_is_made_in_a_new_folder(tmp_path: Path) -> None:
    picture = draw(make_grid("LPS"), tmp_path / "new" / "a.png", empty=True)
    assert min(picture.shape[:2]) > 100
