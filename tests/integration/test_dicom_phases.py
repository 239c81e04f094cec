"""Series that hold several phases or geometries are split; one that is complete is processed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from renalseg.dicom.read.choose import make_plan
from renalseg.dicom.read.scan import scan_folder
from renalseg.dicom.read.series import read_series
from renalseg.errors import InputError
from tests.factories.folders import rename, write_phases
from tests.factories.series import BODY_HU, CASES, edit, edit_all, write_case

Change = Callable[[Dataset, int, int], object]


def _acquisition(ds: Dataset, index: int, phase: int) -> None:
    ds.AcquisitionNumber = phase + 1


def _temporal(ds: Dataset, index: int, phase: int) -> None:
    ds.TemporalPositionIdentifier = phase + 1


def _kernel(ds: Dataset, index: int, phase: int) -> None:
    ds.ConvolutionKernel = ("B30f", "B70f")[phase]


def _time_of_each_slice(ds: Dataset, index: int, phase: int) -> None:
    ds.AcquisitionTime = f"1200{phase:02d}.{index:03d}"


def _number(ds: Dataset, index: int, phase: int) -> None:
    ds.InstanceNumber = 100 * phase + index


def _back_and_forth(ds: Dataset, index: int, phase: int) -> None:
    order = index if phase % 2 == 0 else 21 - index
    ds.ContentTime = f"1200{phase:02d}.{order:03d}"


TELLING: dict[str, Change] = {
    "acquisition": _acquisition,
    "temporal position": _temporal,
    "kernel": _kernel,
    "time of each slice": _time_of_each_slice,
    "instance number": _number,
    "back and forth": _back_and_forth,
}


@pytest.mark.parametrize("tell_apart", TELLING.values(), ids=TELLING)
def test_phases_are_split_and_one_is_read(tmp_path: Path, tell_apart: Change) -> None:
    write_phases(tmp_path, tell_apart)
    series = read_series(tmp_path)
    assert series.image.shape[-1] == 22
    body = series.image[0, 5, 5, 1:-1].numpy()  # one phase is 10 HU brighter: they must not mix
    assert len(set(body.tolist())) == 1
    assert body[0] in (BODY_HU, BODY_HU + 10)
    assert "was not processed" in " ".join(series.warnings)
    assert dict(series.skipped) == {"CT of another part of the series": 22}


def test_the_complete_phase_is_read_where_the_other_lacks_a_slice(tmp_path: Path) -> None:
    first, _ = write_phases(tmp_path, _acquisition)
    first.paths[9].unlink()
    series = read_series(tmp_path)
    assert series.image[0, 5, 5, 5] == BODY_HU + 10
    assert "AcquisitionNumber 1 (21 slices) was not processed: missing slices" in " ".join(
        series.warnings
    )


def test_no_phase_is_complete(tmp_path: Path) -> None:
    for phase in write_phases(tmp_path, _acquisition):
        phase.paths[9].unlink()
    with pytest.raises(InputError, match="none of 2 series or parts can be processed"):
        read_series(tmp_path)


def test_phases_between_each_other_are_split_by_acquisition(tmp_path: Path) -> None:
    """At half the distance the slices of both would pass for one fine series."""

    def between(ds: Dataset, index: int, phase: int) -> None:
        ds.AcquisitionNumber = phase + 1
        x, y, z = ds.ImagePositionPatient
        ds.ImagePositionPatient = [x, y, z + 0.75 * phase]

    write_phases(tmp_path, between)
    assert read_series(tmp_path).image.shape[-1] == 22


def test_a_scan_in_blocks_is_one_stack(tmp_path: Path) -> None:
    """Step-and-shoot scanners count each stop of the table as an acquisition."""
    for index, path in enumerate(write_case(tmp_path).paths):
        edit(path, lambda ds, index=index: setattr(ds, "AcquisitionNumber", index // 4 + 1))
    series = read_series(tmp_path)
    assert series.image.shape[-1] == 22
    assert series.warnings == ()


def test_monitoring_slices_give_way_to_the_scan(tmp_path: Path) -> None:
    written = write_case(tmp_path / "scan")
    edit_all(written.paths, lambda ds: setattr(ds, "AcquisitionNumber", 2))
    source = written.paths[5].read_bytes()
    for copy in range(6):
        path = tmp_path / f"monitor{copy}.dcm"
        path.write_bytes(source)

        def change(ds: Dataset, copy: int = copy) -> None:
            ds.AcquisitionNumber = 1
            ds.SOPInstanceUID = rename(ds.SOPInstanceUID, copy)

        edit(path, change)
    np.testing.assert_array_equal(read_series(tmp_path).image[0].numpy(), written.hu)


def test_a_fragment_never_stands_in_for_the_series(tmp_path: Path) -> None:
    written = write_case(tmp_path)
    for path in (*written.paths[:4], written.paths[12]):
        edit(path, lambda ds: setattr(ds, "FrameOfReferenceUID", "1.2.3"))
    with pytest.raises(InputError, match=r"gap of 3\.00 mm"):
        read_series(tmp_path)


def test_mixed_frames_of_reference_are_told_as_parts(tmp_path: Path) -> None:
    low = write_case(tmp_path / "low")
    high = write_case(tmp_path / "high", CASES["coronal"])
    edit_all(high.paths, lambda ds: setattr(ds, "FrameOfReferenceUID", "1.2.3"))
    for copy, path in enumerate(high.paths):
        edit(path, lambda ds, n=copy: setattr(ds, "SOPInstanceUID", rename(ds.SOPInstanceUID, n)))
    (study,) = make_plan(scan_folder(tmp_path)).studies
    assert [each.part for each in study.candidates] == ["geometry 1 of 2", "geometry 2 of 2"]
    assert study.best is not None
    assert {each.path.parent for each in study.best.instances} == {low.folder}
