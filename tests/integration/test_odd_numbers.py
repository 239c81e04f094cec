"""Numbers of a header that no CT has: refused or cleaned, by inspect as by a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from pydicom.config import RAISE
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.valuerep import validate_value

from renalseg.commands.inspect import inspect_folder
from renalseg.dicom.read.series import read_series
from renalseg.errors import InputError
from tests.factories.hostile import Element, build, parse
from tests.factories.road import run_with
from tests.factories.series import MARKER_HU, Written, write_case
from tests.integration.test_run import Bright

STEP = 1.5  # mm, of the series
ALL = ("seg", "labelmap", "rtstruct", "sr", "pdf", "sc")

# Neither needed nor wrong: the run goes on, and nothing of them is in a result.
CLEANED = {
    "SliceThickness": ("", "0", "-5", "2.5", "abc", "1,5", "nan", "inf", "1e400", "1\\2"),
    "SpacingBetweenSlices": ("", "0", "-5", "0.75", "abc", "1,5", "nan", "inf", "1e400", "1\\2"),
    "WindowCenter": ("", "abc", "1,5", "nan"),
    "WindowWidth": ("0", "-1", "abc"),
    "StudyDate": ("2020-13-99", "99999999", "abc"),
    "StudyTime": ("25:61", "999999", "abc"),
    "SeriesDate": ("20201399",),
    "AcquisitionDate": ("garbage", "20200230"),
    "AcquisitionTime": ("-1",),
    "ContentDate": ("0",),
    "ContentTime": ("noon", "240000"),
    "PatientBirthDate": ("19000000", "unknown"),
    "PatientAge": ("abc", "-01Y", "1000"),
    "PatientSize": ("1,80", "nan", "abc"),
    "PatientWeight": ("inf", "80 kg", "1e400"),
    "PatientSex": ("??", "male"),
    "SeriesNumber": ("1,5", "abc", "99999999999999999999"),
    "InstanceNumber": ("x", "1,5", "99999999999999999999", ""),
    "AcquisitionNumber": ("abc", "1,5"),
    "KVP": ("abc", "1,5"),
    "LossyImageCompression": ("XX", "1"),
    "LossyImageCompressionRatio": ("1,5", "abc"),
    "HighBit": (99,),
}
# The geometry or the HU are unknown.
REFUSED = {
    "RescaleSlope": ("0", "-1", "nan", "inf", "abc", "1,0", "1\\1", "", "1e308", "0.5", "2"),
    "RescaleIntercept": ("nan", "abc", "", "1e300", "-600", "500"),
    "RescaleType": ("MGML", "Z_EFF", "US", "HU_MOD", "PCT"),
    "PixelSpacing": (
        *("0\\0.8", "0\\0", "nan\\0.8", "-0.8\\-0.8", "0.8", "0,8\\0,8", "", "abc\\1"),
        *("1e-9\\1e-9", "1e9\\1e9", "0.8\\0.8\\0.8"),
    ),
    "ImageOrientationPatient": (
        *("1\\0\\0\\0\\2\\0", "1\\0\\0\\1\\0\\0", "0\\0\\0\\0\\0\\0", "nan\\0\\0\\0\\1\\0", "1"),
        *("1\\0\\0\\0.1\\1\\0", "", "1e200\\0\\0\\0\\1e200\\0"),
    ),
    "ImagePositionPatient": ("0\\0", "nan\\0\\0", "abc\\0\\0", "", "1e300\\0\\0", "0\\0\\1e300"),
    "Rows": (0, 65535, 5000),
    "Columns": (0, 65535),
    "BitsStored": (0, 17, 255),
    "BitsAllocated": (0, 12, 1),
    "PixelRepresentation": (2,),
    "NumberOfFrames": ("0", "2", "abc", "-1"),
}
NEEDED = (
    *("RescaleSlope", "RescaleIntercept", "PixelSpacing", "ImageOrientationPatient", "Rows"),
    *("ImagePositionPatient", "Columns", "BitsStored", "BitsAllocated", "PixelRepresentation"),
)


def put(path: Path, keyword: str, value: str | int | None) -> None:
    """Set an attribute of a file to whatever bytes; None takes it away."""
    tag = tag_for_keyword(keyword)
    assert tag is not None
    elements = [element for element in parse(path.read_bytes()) if element.tag != tag]
    if value is not None:
        content = value.to_bytes(2, "little") if isinstance(value, int) else value.encode()
        content += b" " * (len(content) % 2)
        elements.append(Element(tag, dictionary_VR(tag).encode(), content))
    path.write_bytes(build(sorted(elements, key=lambda element: element.tag)))


def run(folder: Path, out: Path) -> str | None:
    """Run on a folder with all outputs; gives the reason for a refusal."""
    models = Bright()
    models.settings = replace(models.settings, outputs=ALL)
    try:
        run_with(folder, out, models)
    except InputError as error:
        reason = str(error)
    else:
        return None
    assert not list(out.glob("*"))
    return reason


def told(folder: Path) -> bool:
    """Whether inspect says that a run would process a folder."""
    try:
        return inspect_folder(folder)["exit_code"] == 0
    except InputError:
        return False


def pairs(table: dict[str, tuple[str | int, ...]]) -> list[tuple[str, str | int]]:
    return [(keyword, value) for keyword, values in table.items() for value in values]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    return write_case(tmp_path / "ct", slices=12)


@pytest.mark.parametrize("turn", range(max(map(len, CLEANED.values()))))
def test_numbers_that_nobody_needs_stop_nothing(
    written: Written, tmp_path: Path, turn: int
) -> None:
    for path in written.paths:
        for keyword, values in CLEANED.items():
            put(path, keyword, values[turn % len(values)])
    assert told(written.folder)
    assert run(written.folder, tmp_path / "out") is None
    check_seg(tmp_path / "out", written)
    for path in (tmp_path / "out").glob("*.dcm"):
        assert malformed(pydicom.dcmread(path)) == []


@pytest.mark.parametrize(("keyword", "value"), pairs(REFUSED))
@pytest.mark.parametrize("which", ["all", "one"])
def test_a_number_on_which_all_depends_is_refused(
    written: Written, tmp_path: Path, keyword: str, value: str | int, which: str
) -> None:
    for path in written.paths if which == "all" else written.paths[5:6]:
        put(path, keyword, value)
    reason = run(written.folder, tmp_path / "out")
    assert reason is not None
    assert not told(written.folder)


@pytest.mark.parametrize("keyword", NEEDED)
def test_what_all_depends_on_must_be_there(written: Written, tmp_path: Path, keyword: str) -> None:
    for path in written.paths:
        put(path, keyword, None)
    reason = run(written.folder, tmp_path / "out")
    assert reason is not None
    assert keyword in reason
    assert not told(written.folder)


@pytest.mark.parametrize("keyword", ["SliceThickness", "SpacingBetweenSlices", "HighBit"])
def test_what_nothing_depends_on_may_be_missing(
    written: Written, tmp_path: Path, keyword: str
) -> None:
    for path in written.paths:
        put(path, keyword, None)
    assert told(written.folder)
    assert run(written.folder, tmp_path / "out") is None
    check_seg(tmp_path / "out", written)


def test_directions_that_are_rounded_are_one_orientation(written: Written, tmp_path: Path) -> None:
    for index, path in enumerate(written.paths):
        put(path, "ImageOrientationPatient", f"1\\0.000{index:02}\\0\\0\\0.9996\\0")
    assert told(written.folder)
    assert run(written.folder, tmp_path / "out") is None
    check_seg(tmp_path / "out", written)


def test_a_rescale_of_its_own_for_each_slice_is_applied(written: Written) -> None:
    for index, path in enumerate(written.paths):
        dataset = pydicom.dcmread(path)
        dataset.RescaleIntercept = str(-1024 - 10 * index)
        dataset.PixelData = (dataset.pixel_array + np.uint16(10 * index)).tobytes()
        dataset.save_as(path)
    series = read_series(written.folder)
    np.testing.assert_array_equal(series.image[0].numpy(), written.hu)


def check_seg(out: Path, written: Written) -> None:
    """The segmentation has the distances that the positions have, and the marker's volume."""
    (path,) = out.glob("*.seg.dcm")
    seg = hd.seg.segread(path)
    measures = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert float(measures.SliceThickness) == pytest.approx(STEP, abs=1e-6)
    assert float(measures.SpacingBetweenSlices) == pytest.approx(STEP, abs=1e-6)
    volume = seg.get_volume(combine_segments=True)
    assert np.count_nonzero(volume.array) == np.count_nonzero(written.hu == MARKER_HU)
    assert volume.spacing == pytest.approx((STEP, 0.8, 0.8), abs=1e-3)


def malformed(dataset: Dataset) -> list[str]:
    """Elements whose value is none of its VR."""
    found = []
    for element in dataset.iterall():
        if element.VR in ("DA", "TM", "DT", "AS", "DS", "IS"):
            values = element.value if element.VM > 1 else [element.value]
            try:
                for value in values:
                    validate_value(element.VR, str(value or ""), RAISE)
            except ValueError:
                found.append(element.keyword)
    return found
