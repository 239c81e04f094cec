"""The pictures of the guides are of what ships today; `make pictures` renews them."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tests.pictures import FOLDER, PICTURES, save, software, stamp_of


@pytest.mark.parametrize("name", PICTURES)
def test_the_pictures_are_of_this_version_and_method(name: str) -> None:
    assert stamp_of(FOLDER / name) == software(), "run `make pictures`"


def test_a_picture_carries_the_software_that_made_it(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    assert stamp_of(tmp_path / "a.png") is None
    save(tmp_path / "a.png", tmp_path / "b.png", "RenalSeg 1; m 2")
    assert stamp_of(tmp_path / "b.png") == "RenalSeg 1; m 2"
