from __future__ import annotations

import hashlib
import json
import re
from importlib.resources import files
from typing import Any

import numpy as np
import pytest

from renalseg.findings.measurements import measure
from renalseg.findings.sentences import Kind, Statement
from renalseg.geometry import to_world
from renalseg.labels import (
    KIDNEY,
    TUMOR,
    ContrastPhase,
    MeasuredSegment,
    Segment,
    Side,
    Third,
    rgb_of,
)
from renalseg.report.content import Content, Row, Table
from renalseg.report.entries import segments_of
from renalseg.report.html.page import make_page
from renalseg.report.html.sections import table_html
from tests.factories.scenes import ellipsoid, make_grid, series_on

ENTRY: dict[str, Any] = {
    "number": 1, "label": "Left kidney", "kind": KIDNEY, "side": "left", "volume_ml": 12.34,
}  # fmt: skip
MEASURES = {"longest_mm": 31.6, "longest_axial_mm": 29.1, "mean_hu": 61.2, "sd_hu": 20.0}


def text_of(html: str) -> list[str]:
    return [re.sub("<[^>]*>", "", cell) for cell in re.findall("<t[hd][^>]*>(.*?)</t[hd]>", html)]


def page(sentence: str = "One tumor found.", **facts: str) -> str:
    """A left kidney that is bent around its centroid, and a tumor."""
    grid = make_grid("LPS")
    bent = ellipsoid(grid, (-28, -16, 126), (24, 14, 30))
    bent &= ~ellipsoid(grid, (-20, -16, 126), (22, 40, 20))
    segmented = bent.astype(np.uint8)
    segmented[ellipsoid(grid, (-30, -4, 166), (11, 11, 11))] = 2
    series = series_on(grid)
    found = [
        Segment(1, "Left kidney", KIDNEY, Side.LEFT, 90.0),
        Segment(2, "Left kidney tumor 1", TUMOR, Side.LEFT, 5.0),
    ]
    segments = measure(series.image, segmented, found)
    said = [Statement(Kind.WARNING, "slices <thick>"), Statement(Kind.CONCLUSION, sentence)]
    text = {"en": "A <b>", "de": "Ein <b>"}
    content = Content(said, segments, ContrastPhase.NEPHROGRAPHIC, facts, "R <2>", text)
    return make_page(content, series, segmented)


@pytest.fixture(scope="module")
def made() -> str:
    return page()


def settings_of(html: str) -> dict[str, Any]:
    (found,) = re.findall(r'<script id="settings"[^>]*>(.*?)</script>', html)
    return json.loads(found)


def test_a_table_has_its_headings_rows_and_note() -> None:
    rows = (Row(("Left <1>", "12.3 ml"), (1, 2, 3)), Row(("", "")))
    html = table_html(Table(("Segment", "Volume & more"), rows, "It is <so>."))
    assert text_of(html) == ["Segment", "Volume &amp; more", "Left &lt;1&gt;", "12.3 ml", "", ""]
    assert "rgb(1 2 3)" in html
    assert "It is &lt;so&gt;." in html


def test_the_page_has_the_sections_of_the_report(made: str) -> None:
    titles = [re.sub("<[^>]*>", "", title) for title in re.findall("<h2>(.*?)</h2>", made)]
    assert titles[0].startswith("Left kidney tumor 1 ")
    assert titles[1].startswith("Kidneys")
    captions = re.findall("<figcaption>(.*?)</figcaption>", made)
    assert captions[0].startswith("Axial, image ")
    assert captions[1:3] == ["Coronal", "Sagittal"]
    cells = text_of(made)
    assert cells[cells.index("Longest diameter") + 1].endswith(" mm (up to 4 cm)")
    assert '<p lang="de">Ein &lt;b&gt;</p>' in made
    assert "R &lt;2&gt;" in made


def test_the_viewer_names_images_as_others_do(made: str) -> None:
    images = settings_of(made)["images"]
    grid = make_grid("LPS")
    levels = np.array(images["levels"])
    for index in (0, 7, grid.shape[2] - 1):
        place = to_world(grid.affine, [3, 4, index])
        level = float(np.dot(images["along"], [*place, 1]))
        name = images["names"][int(np.abs(levels - level).argmin())]
        assert name == f"{index + 1} of {grid.shape[2]}"


def test_segments_are_those_of_the_result_file() -> None:
    (segment,) = segments_of(
        {"segments": [{**ENTRY, **MEASURES, "third": "lower", "of a later version": 1}]}
    )
    assert isinstance(segment, MeasuredSegment)
    assert (segment.side, segment.third) == (Side.LEFT, Third.LOWER)


def test_a_page_holds_all_it_needs_and_loads_nothing(made: str) -> None:
    assert len(made) < 25e6
    own = made.replace(
        files("renalseg.report.html").joinpath("niivue/niivue.umd.js").read_text(), ""
    )
    assert re.findall(r"""(?:src|href)\s*=\s*["'](?!data:image/png;base64,)""", own) == []
    assert re.findall(r"https?://|@import|url\(|fetch\(|XMLHttpRequest", own) == []
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', own)
    assert policy.startswith("default-src 'none';")
    assert "http" not in policy
    assert " *" not in policy


def test_the_same_result_gives_the_same_page(made: str) -> None:
    assert page() == made


def test_words_cannot_become_elements() -> None:
    made = page("A <script>", Study="</dl>")
    assert "<h1>A &lt;script&gt;</h1>" in made
    assert made.index("slices &lt;thick&gt;") < made.index("<h1>")
    assert "<dd>&lt;/dl&gt;</dd>" in made


def test_the_viewer_goes_to_places_within_the_segments(made: str) -> None:
    settings = settings_of(made)
    kidney, tumor = settings["segments"]
    assert settings["place"] == tumor["place"]
    np.testing.assert_allclose(tumor["place"], (-30, -4, 166), atol=4)
    grid = make_grid("LPS")
    world = to_world(grid.affine, np.argwhere(ellipsoid(grid, (-20, -16, 126), (22, 40, 20))))
    assert np.abs(world - kidney["place"]).max(axis=1).min() > 0.1  # not in the hollow
    assert [tuple(each["rgb"]) for each in settings["segments"]] == [
        rgb_of(KIDNEY, Side.LEFT, 1), rgb_of(TUMOR, Side.LEFT, 2),
    ]  # fmt: skip


def test_the_viewer_is_the_file_that_its_license_names() -> None:
    folder = files("renalseg.report.html").joinpath("niivue")
    found = hashlib.sha256(folder.joinpath("niivue.umd.js").read_bytes()).hexdigest()
    assert found in folder.joinpath("LICENSE").read_text()
