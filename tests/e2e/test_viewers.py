"""What a person sees: the colors lie where the label is, in OHIF and in the page of a report.

The label comes from the files on disk, the place of the slice from its gray values; neither viewer
is asked. `make test-view` fetches what the tests need.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pytest
import torch
from monai.data import MetaTensor
from scipy import ndimage

from renalseg.cases import load_nifti
from renalseg.dicom.read.series import CTSeries, read_series
from renalseg.findings.segments import split_segments
from renalseg.labels import KIDNEY, TUMOR, Segment
from renalseg.report.images import image_names
from renalseg.settings import Settings
from renalseg.synthesis.sample import write_sample
from tests.factories.browser import browser_page, screenshot
from tests.factories.limits import SIDES
from tests.factories.ohif import serving
from tests.factories.orthanc import DICOMWEB, MISSING, running
from tests.factories.results import write_as_run
from tests.factories.screenshots import (
    Plane,
    as_shown,
    find_slice,
    read_rgb,
    shares_in_color,
)

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.slow

SEED = 12  # a tumor of 6 cm in the left kidney
OHIF = os.environ.get("OHIF_DIST", "")
PICTURES = os.environ.get("SCREENSHOTS", "")  # a folder that keeps the screenshots


@dataclass(frozen=True)
class Study:
    """A synthetic CT with its true label as the result.

    Attributes:
        folder: Holds `dicom`, `seg` and `report`.
        series: As read.
        segmented: Segment numbers (X, Y, Z).
        segments: The segments.
        page: The page of the report.
    """

    folder: Path
    series: CTSeries
    segmented: npt.NDArray[np.uint8]
    segments: Sequence[Segment]
    page: Path

    def planes(self, across: tuple[slice, slice] = (slice(None), slice(None))) -> dict[int, Plane]:
        """Axial planes, or a part of each, as a viewer shows them."""
        hu = self.series.image[0].numpy()
        x, y = across
        return {z: as_shown(hu[x, y, z]) for z in range(hu.shape[2])}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("study")
    write_sample(folder, SEED)
    series = read_series(folder / "dicom")
    truth = load_nifti(folder / "label.nii.gz", torch.uint8)
    assert torch.allclose(truth.affine, series.image.affine, atol=1e-3)
    pred = MetaTensor(truth.as_tensor(), affine=series.image.affine)
    settings = Settings.resolve(device="cpu", report=folder / "report")
    write_as_run(series, pred, folder / "seg", settings)
    (page,) = (folder / "report").glob("*.html")
    segmented, segments = split_segments(pred, series.image, sides=SIDES)
    return Study(folder, series, segmented, segments, page)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return Path(PICTURES) if PICTURES else tmp_path


def check_colors(
    rgb: Plane, study: Study, across: tuple[slice, slice] = (slice(None), slice(None))
) -> int:
    """Holds the colors of a picture against the label of the slice that it shows; gives its Z."""
    planes = study.planes(across)
    z, found = find_slice(rgb, planes)
    assert found.likeness > 0.97  # the CT as it is, neither mirrored nor turned
    x, y = across
    numbers = study.segmented[x, y, z].T
    colors = {segment.number: segment.rgb for segment in study.segments}
    assert {KIDNEY, TUMOR} <= {s.kind for s in study.segments if s.number in numbers}
    shape = rgb.shape[:2]
    body = ndimage.binary_fill_holes(found.place(planes[z], shape, order=0) > 5)
    label = found.place(numbers, shape, order=0)
    for number, (covered, inside) in shares_in_color(rgb, label, body, colors).items():
        assert covered > 0.98, f"segment {number} without its color"
        assert inside > 0.98, f"color of segment {number} beside it"
    for wrong in (label[:, ::-1], np.roll(label, 12, axis=0)):
        assert min(min(pair) for pair in shares_in_color(rgb, wrong, body, colors).values()) < 0.9
    return z


def test_the_page_of_a_report_shows_the_label_where_it_is(study: Study, pictures: Path) -> None:
    with browser_page() as page:
        requests: list[str] = []
        errors: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(study.page.as_uri())
        page.wait_for_function("document.documentElement.dataset.viewer === 'ready'")
        screenshot(page, pictures / "page.png", height=1290)
        page.locator("[data-layout=axial]").dispatch_event("click")
        page.evaluate("renalsegViewer.setCrosshairWidth(0)")
        outlined = read_rgb(page.locator("#view").screenshot(path=pictures / "page-outlines.png"))
        page.locator("#view").dispatch_event("keydown", {"key": "f"})
        rgb = read_rgb(page.locator("#view").screenshot(path=pictures / "page-axial.png"))
        page.locator("#view").dispatch_event("keydown", {"key": "3"})
        assert page.locator("[aria-pressed=true]").inner_text() == "Coronal"
        assert page.locator("h1").inner_text().startswith("One tumor found")
        readout = page.locator("#readout").inner_text()
        total = study.series.slices
        assert re.fullmatch(rf"Image \d+ of {total}: -?\d+ HU, Left kidney tumor 1", readout)
    assert errors == []
    loaded = [url for url in requests if not url.startswith(("data:", "blob:"))]
    assert loaded == [study.page.as_uri()]
    z = check_colors(rgb, study, shown_by(study))
    check_outlines(outlined, rgb, study, z)
    assert readout.startswith(f"Image {image_names(study.series)[z]}:")


def check_outlines(outlined: Plane, filled: Plane, study: Study, z: int) -> None:
    """Holds that outlines leave the inside of each segment as gray as the CT, and follow it."""
    x, y = shown_by(study)
    planes = study.planes((x, y))
    _, found = find_slice(filled, planes)
    numbers = study.segmented[x, y, z].T
    colors = {
        segment.number: segment.rgb for segment in study.segments if segment.number in numbers
    }
    shape = outlined.shape[:2]
    body = ndimage.binary_fill_holes(found.place(planes[z], shape, order=0) > 5)
    label = found.place(numbers, shape, order=0)
    for number, (covered, inside) in shares_in_color(outlined, label, body, colors).items():
        assert covered < 0.1, f"segment {number} is covered"
        assert inside > 0.98, f"outline of segment {number} away from it"


def shown_by(study: Study) -> tuple[slice, slice]:
    """The part of the CT that the page has: 30 mm, 39 voxels, around what was found."""
    x, y = (np.flatnonzero(study.segmented.any(axis=axes)) for axes in ((1, 2), (0, 2)))
    return slice(max(0, x[0] - 39), x[-1] + 40), slice(max(0, y[0] - 39), y[-1] + 40)


def test_ohif_shows_the_segmentation_where_the_label_is(
    study: Study, pictures: Path, tmp_path: Path, repository: Path
) -> None:
    dist = ohif()
    (tmp_path / "send").mkdir()
    for path in (study.folder / "seg").glob("*.seg.dcm"):
        (tmp_path / "send" / path.name).hardlink_to(path)
    config = repository / "deploy" / "compose" / "app-config.js"
    with running(tmp_path / "orthanc") as orthanc:
        orthanc.send(study.folder / "dicom")
        orthanc.send(tmp_path / "send")
        with serving(dist, config, orthanc) as address, browser_page() as page:
            uid = study.series.headers[0].StudyInstanceUID
            page.goto(f"{address}/segmentation?StudyInstanceUIDs={uid}")
            # Events, not clicks: a click waits until the page is still, which it hardly is.
            page.locator("[data-cy=confirm-and-hide-button]").dispatch_event("click")
            page.get_by_text("W:").first.wait_for()
            page.get_by_text("S:900").first.dispatch_event("dblclick")
            page.locator("[data-cy=yes-hydrate-btn]").dispatch_event("click")
            page.locator("[data-cy=yes-hydrate-btn]").wait_for(state="detached")
            shown = show_tumor(page, study)
            image = screenshot(page, pictures / "ohif.png")
            pane = page.locator("[data-cy=viewport-pane]").first.bounding_box()
    assert pane is not None
    left, top = round(pane["x"]), round(pane["y"])
    right, bottom = left + round(pane["width"]), top + round(pane["height"])
    # without its frame, and the words above and below the patient
    rgb = read_rgb(image)[top + 100 : bottom - 60, left + 4 : right - 24]
    assert check_colors(rgb, study) == shown


def show_tumor(page: Page, study: Study) -> int:
    """Chooses the tumor in the list of segments until its slice is shown; gives the slice."""
    words = page.locator("[data-cy=viewport-overlay-bottom-right]").first
    for _ in range(30):  # a click while the segments are still being loaded is lost
        page.get_by_text("Left kidney tumor 1", exact=True).first.dispatch_event("click")
        page.wait_for_timeout(3000)
        number = re.search(r"I:\s*(\d+)", words.inner_text())
        slices = {str(header.InstanceNumber): z for z, header in enumerate(study.series.headers)}
        tumors = [segment.number for segment in study.segments if segment.kind == TUMOR]
        if number and np.isin(study.segmented[:, :, slices[number[1]]], tumors).any():
            return slices[number[1]]
    raise AssertionError(f"waited for a slice with the tumor, found {words.inner_text()!r}")


def ohif() -> Path:
    """The viewer's files; skips the test where something is not there."""
    if MISSING or not DICOMWEB.exists():
        pytest.skip("needs Orthanc with DICOMweb, and dcmsend (Debian: orthanc-dicomweb, dcmtk)")
    if not (Path(OHIF) / "index.html").is_file() or not OHIF:
        pytest.skip("needs OHIF: OHIF_DIST is the folder dist of the npm package @ohif/app 3.13.2")
    return Path(OHIF)
