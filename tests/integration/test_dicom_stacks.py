"""What belongs to one volume: stations of the table, copies, strays, and slices that contradict."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from renalseg.dicom.read.choose import make_plan
from renalseg.dicom.read.plan import Plan, StudyPlan
from renalseg.dicom.read.scan import scan_folder
from renalseg.dicom.read.series import read_series
from renalseg.errors import InputError, plural
from tests.factories.folders import rename, write_phases, write_series
from tests.factories.series import BODY_HU, CASES, Written, edit, edit_all, write_case

STEP = 1.5


def plan_of(folder: Path) -> Plan:
    """Plan a folder; every file must be accounted for, once."""
    plan = make_plan(scan_folder(folder))
    files = plan.files()
    told = [p for account in (files.skipped, files.refused) for ps in account.values() for p in ps]
    assert len(told) == len(set(told))
    assert files.processed + len(told) == sum(path.is_file() for path in folder.rglob("*"))
    return plan


def study_of(folder: Path) -> StudyPlan:
    (study,) = plan_of(folder).studies
    return study


def move(ds: Dataset, by: float) -> None:
    x, y, z = ds.ImagePositionPatient
    ds.ImagePositionPatient = [x, y, float(z) + by]


def copy_slices(
    written: Written, indices: Sequence[int], change: Callable[[Dataset, int], object]
) -> list[Path]:
    """Store slices once more under UIDs of their own; `change` gets each and its number."""
    copies = []
    for number, index in enumerate(indices):
        path = written.folder / "copies" / f"{number:03d}.dcm"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(written.paths[index].read_bytes())

        def renamed(ds: Dataset, number: int = number) -> None:
            ds.SOPInstanceUID = rename(ds.SOPInstanceUID, number)
            ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
            change(ds, number)

        edit(path, renamed)
        copies.append(path)
    return copies


def noisy(ds: Dataset) -> None:
    """Change the pixels, as another acquisition would."""
    pixels = ds.pixel_array.copy()
    pixels[4:-4, 4:-4] += 3
    ds.PixelData = pixels.astype("<u2").tobytes()


def acquisitions(written: Written, border: int) -> None:
    for index, path in enumerate(written.paths):
        edit(path, lambda ds, n=1 + (index >= border): setattr(ds, "AcquisitionNumber", n))


# Stations of the table


@pytest.mark.parametrize("shared", [1, 2])
@pytest.mark.parametrize("telling", ["AcquisitionNumber", "AcquisitionTime", "InstanceNumber"])
def test_stations_that_share_slices_are_one_volume(
    tmp_path: Path, shared: int, telling: str
) -> None:
    written = write_case(tmp_path / "ct")

    def tell(ds: Dataset, number: int, station: int) -> None:
        ds.InstanceNumber = number + 1 + 100 * station
        if telling != "InstanceNumber":
            first = 1 if telling == "AcquisitionNumber" else 120000
            setattr(ds, telling, str(first + station))

    for index, path in enumerate(written.paths):
        edit(path, lambda ds, n=index: tell(ds, n, int(n >= 11)))

    def second(ds: Dataset, number: int) -> None:
        noisy(ds)
        tell(ds, 11 - shared + number, 1)

    copy_slices(written, range(11 - shared, 11), second)
    study = study_of(tmp_path)
    assert study.best is not None
    assert study.best.grid is not None
    assert study.best.grid.shape == (24, 20, 22)
    assert "2 table stations were joined" in study.best.grid.warnings[0]
    (remark,) = study.remarks()
    assert f"overlap of stations ({plural(shared, 'slice')}) was not processed" in remark
    np.testing.assert_array_equal(read_series(tmp_path).image[0].numpy(), written.hu)


def test_stations_whose_slices_lie_between_each_other_are_one_volume(tmp_path: Path) -> None:
    """The table did not stop at a multiple of the slices' distance."""
    written = write_case(tmp_path / "ct")
    acquisitions(written, 12)
    edit_all(written.paths[12:], lambda ds: move(ds, -0.5 - STEP))
    study = study_of(tmp_path)
    assert study.best is not None
    assert len(study.best.instances) == 21
    assert study.best.instances[-1].path == written.paths[-1]


def test_stations_with_a_gap_between_them_are_refused(tmp_path: Path) -> None:
    written = write_case(tmp_path / "ct")
    acquisitions(written, 11)
    edit_all(written.paths[11:], lambda ds: move(ds, 4 * STEP))
    with pytest.raises(InputError, match=r"missing slices: gap of 7\.50 mm"):
        read_series(tmp_path)


def test_two_phases_of_half_of_each_other_are_no_stations(tmp_path: Path) -> None:
    written = write_case(tmp_path / "ct")
    acquisitions(written, 16)

    def arterial(ds: Dataset, number: int) -> None:
        noisy(ds)
        ds.AcquisitionNumber = 2

    copy_slices(written, range(6, 16), arterial)
    study = study_of(tmp_path)
    assert [(each.part, len(each.instances)) for each in study.candidates] == [
        ("AcquisitionNumber 1", 16),
        ("AcquisitionNumber 2", 16),
    ]


# Phases


@pytest.mark.parametrize("phases", [2, 3])
@pytest.mark.parametrize("telling", ["AcquisitionNumber", "TemporalPositionIdentifier", "KVP"])
def test_phases_between_each_other_are_split(tmp_path: Path, phases: int, telling: str) -> None:
    def between(ds: Dataset, index: int, phase: int) -> None:
        setattr(ds, telling, phase + 1)
        ds.InstanceNumber = index + 1
        move(ds, STEP * phase / phases)

    write_phases(tmp_path, between, phases)
    series = read_series(tmp_path)
    assert series.image.shape[-1] == 22
    assert len(set(series.image[0, 5, 5, 1:-1].tolist())) == 1
    assert series.skipped["CT of another part of the series"] == 22 * (phases - 1)


def test_phases_between_each_other_are_split_by_their_numbers(tmp_path: Path) -> None:
    def between(ds: Dataset, index: int, phase: int) -> None:
        ds.InstanceNumber = 22 * phase + index + 1
        move(ds, 0.75 * phase)

    write_phases(tmp_path, between)
    assert read_series(tmp_path).image.shape[-1] == 22


def test_a_monitoring_slice_between_the_slices_of_the_scan_is_left_out(tmp_path: Path) -> None:
    written = write_case(tmp_path / "ct")

    def monitor(ds: Dataset, number: int) -> None:
        ds.AcquisitionNumber = 7
        move(ds, 0.4)

    copy_slices(written, [9], monitor)
    series = read_series(tmp_path)
    np.testing.assert_array_equal(series.image[0].numpy(), written.hu)
    assert "AcquisitionNumber 7 (1 slice) was not processed" in " ".join(series.warnings)


# The same slice again


@pytest.mark.parametrize("which", [range(22), [9], range(3, 9)])
@pytest.mark.parametrize("renumbered", [False, True])
def test_equal_slices_under_other_uids_are_read_once(
    tmp_path: Path, which: Sequence[int], renumbered: bool
) -> None:
    written = write_case(tmp_path / "ct")

    def change(ds: Dataset, number: int) -> None:
        if renumbered:
            ds.InstanceNumber = 500 + number

    copy_slices(written, which, change)
    series = read_series(tmp_path)
    np.testing.assert_array_equal(series.image[0].numpy(), written.hu)
    assert "with equal pixels at the same place: each was read once" in series.warnings[0]
    assert dict(series.skipped) == {"duplicate": len(which)}


def test_the_same_slices_are_kept_whatever_the_files_are_called(tmp_path: Path) -> None:
    written = write_case(tmp_path / "ct")
    copy_slices(written, range(22), lambda ds, number: None)
    first = read_series(tmp_path).input_hash
    for number, path in enumerate(sorted(tmp_path.rglob("*.dcm"), reverse=True)):
        path.rename(tmp_path / f"{number:03d}")
    assert read_series(tmp_path).input_hash == first


@pytest.mark.parametrize("number", [10, 999])
def test_a_slice_that_contradicts_another_of_its_acquisition_is_refused(
    tmp_path: Path, number: int
) -> None:
    written = write_case(tmp_path / "ct")

    def other(ds: Dataset, _: int) -> None:
        noisy(ds)
        ds.InstanceNumber = number

    copy_slices(written, [9], other)
    with pytest.raises(InputError, match=r"(?s)CT0010\.dcm.*000\.dcm|000\.dcm.*CT0010\.dcm"):
        read_series(tmp_path)


def test_two_phases_that_were_stored_twice_are_two_phases(tmp_path: Path) -> None:
    def tell(ds: Dataset, index: int, phase: int) -> None:
        ds.AcquisitionNumber = phase + 1

    for written in write_phases(tmp_path, tell):
        copy_slices(written, range(22), lambda ds, number: None)
    study = study_of(tmp_path)
    assert [len(each.instances) for each in study.candidates] == [22, 22]
    assert study.best is not None


# Far away


@pytest.mark.parametrize("far", [60.0, -300.0])
@pytest.mark.parametrize("count", [1, 6])
def test_slices_far_away_are_left_out_and_told(tmp_path: Path, far: float, count: int) -> None:
    written = write_case(tmp_path / "ct")

    def away(ds: Dataset, number: int) -> None:
        noisy(ds)
        ds.InstanceNumber = number
        move(ds, far)

    copy_slices(written, [0] * count, away)
    series = read_series(tmp_path)
    np.testing.assert_array_equal(series.image[0].numpy(), written.hu)
    (warning,) = [text for text in series.warnings if "apart at z=" in text]
    assert f"far from the other {len(written.paths)}" in warning


def test_a_part_far_away_is_a_gap(tmp_path: Path) -> None:
    written = write_case(tmp_path / "ct")
    edit_all(written.paths[18:], lambda ds: move(ds, 100))
    with pytest.raises(InputError, match=r"missing slices: gap of 101\.50 mm"):
        read_series(tmp_path)


def test_a_scout_in_the_series_is_left_out(tmp_path: Path) -> None:
    written = write_case(tmp_path / "ct")
    scout = write_case(tmp_path / "scout", CASES["coronal"])
    for path in scout.paths[1:]:
        path.unlink()
    edit(scout.paths[0], lambda ds: setattr(ds, "SOPInstanceUID", rename("1.2", 1)))
    series = read_series(tmp_path)
    np.testing.assert_array_equal(series.image[0].numpy(), written.hu)
    assert "geometry 2 of 2 (1 slice) was not processed" in " ".join(series.warnings)


# A name of its own for each slice


def name_each(paths: Sequence[Path], keyword: str) -> None:
    for number, path in enumerate(paths):
        edit(path, lambda ds, n=number: setattr(ds, keyword, rename("1.2.3", n)))


@pytest.mark.parametrize(
    "keyword", ["FrameOfReferenceUID", "SeriesInstanceUID", "StudyInstanceUID"]
)
def test_a_uid_for_each_slice_is_one_refusal_that_names_the_cause(
    tmp_path: Path, keyword: str
) -> None:
    name_each(write_case(tmp_path).paths, keyword)
    plan = plan_of(tmp_path)
    (study,) = plan.studies
    assert study.best is None
    assert f"{keyword} (" in study.reason
    assert "22" in study.reason
    assert len(study.reason) < 300
    assert len(plan.series()) == 1
    assert len(plan.files().refused) == 1


def test_slices_of_their_own_beside_a_series_do_not_stop_it(tmp_path: Path) -> None:
    write_series(tmp_path / "good", 1)
    name_each(write_series(tmp_path / "bad", 2).paths, "SeriesInstanceUID")
    study = study_of(tmp_path)
    assert study.best is not None
    assert {each.path.parent.name for each in study.best.instances} == {"good"}
    (remark,) = study.remarks()
    assert "22 that each have their own" in remark


def test_a_geometry_for_each_slice_is_one_refusal(tmp_path: Path) -> None:
    for number, path in enumerate(write_case(tmp_path).paths):
        edit(path, lambda ds, n=number: setattr(ds, "PixelSpacing", [0.8 + 0.01 * n] * 2))
    study = study_of(tmp_path)
    assert "each of 22 slices has its own orientation, spacing or size" in study.reason


def test_many_series_that_are_not_processed_are_counted(tmp_path: Path) -> None:
    write_series(tmp_path / "good", 0, slices=30)
    for seed in range(1, 15):
        write_series(tmp_path / str(seed), seed, slices=3)
    remarks = list(study_of(tmp_path).remarks())
    assert len(remarks) == 11
    assert remarks[-1].startswith("not processed either: 4 more series or parts")


# Studies and series


def test_one_series_uid_in_two_studies_is_two_series(tmp_path: Path) -> None:
    write_series(tmp_path / "a", 1)
    later = write_series(tmp_path / "b", 1, "1.2.4", RescaleIntercept="-1014")
    name_each(later.paths, "SOPInstanceUID")
    plan = plan_of(tmp_path)
    assert [study.study for study in plan.studies] == ["1.2.3", "1.2.4"]
    for study, folder in zip(plan.studies, "ab", strict=True):
        assert study.best is not None
        assert {each.path.parent.name for each in study.best.instances} == {folder}


def test_a_series_that_goes_on_under_another_uid_is_told(tmp_path: Path) -> None:
    written = write_case(tmp_path)
    edit_all(written.paths[12:], lambda ds: setattr(ds, "SeriesInstanceUID", "1.2.3.9"))
    study = study_of(tmp_path)
    assert study.best is not None
    assert len(study.best.instances) == 12
    (remark,) = study.remarks()
    assert "adjoins" in remark


def test_slices_that_arrive_late_are_part_of_the_volume(tmp_path: Path) -> None:
    written = write_case(tmp_path / "ct", slices=30)
    waiting = [(path, path.read_bytes()) for path in written.paths[20:]]
    for path, _ in waiting:
        path.unlink()
    early = read_series(tmp_path)
    for path, content in waiting:
        (tmp_path / "late" / path.name).parent.mkdir(exist_ok=True)
        (tmp_path / "late" / path.name).write_bytes(content)
    late = read_series(tmp_path)
    assert (early.image.shape[-1], late.image.shape[-1]) == (20, 30)
    assert early.input_hash != late.input_hash
    assert late.image[0, 5, 5, 25] == BODY_HU
