"""What is taken from a folder, passed over and refused; every file is accounted for."""

from __future__ import annotations

import os
import shutil
import stat
from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, JPEGLSLossless, RLELossless, generate_uid

from renalseg.dicom.read import header
from renalseg.dicom.read.accounts import NOT_CHOSEN, PROCESSED, REFUSED
from renalseg.dicom.read.choose import make_plan
from renalseg.dicom.read.files import LINK_OUT, LINK_WITHIN, NO_PERMISSION, SPECIAL
from renalseg.dicom.read.outcome import FolderOutcome, StudyOutcome
from renalseg.dicom.read.pixels import decode, write_hu
from renalseg.dicom.read.plan import Plan
from renalseg.dicom.read.scan import scan_folder
from renalseg.dicom.read.series import read_best, read_series
from renalseg.errors import InputError, RetryableError
from renalseg.volumes import size_limits as limits
from tests.factories.folders import write_series
from tests.factories.series import CASES, Written, edit, edit_all, write_case
from tests.factories.stacks import stack_of, write_stack


def plan_of(folder: Path) -> Plan:
    """Plan a folder; every file must be accounted for, once."""
    plan = make_plan(scan_folder(folder))
    files = plan.files()
    told = [
        path for account in (files.skipped, files.refused) for paths in account.values()
        for path in paths
    ]  # fmt: skip
    assert len(told) == len(set(told))
    links = sum(path.is_symlink() for path in folder.rglob("*"))
    there = [p for p in folder.rglob("*") if not p.is_dir() and not p.is_symlink()]
    assert files.processed + len(told) == len(there) + links
    return plan


@pytest.fixture
def written(tmp_path: Path) -> Written:
    return write_case(tmp_path / "ct")


# Several studies and series


def test_the_best_series_of_each_study_is_processed(tmp_path: Path) -> None:
    write_series(tmp_path / "a", 1, "1.2.3", slices=26)
    write_series(tmp_path / "b", 2, "1.2.3")
    write_series(tmp_path / "c", 3, "1.2.4")
    plan = plan_of(tmp_path)
    assert [study.study for study in plan.studies] == ["1.2.3", "1.2.4"]
    assert [len(study.best.instances) for study in plan.studies if study.best] == [26, 22]
    assert sorted(series.status for series in plan.series()) == [NOT_CHOSEN, PROCESSED, PROCESSED]
    assert all(series.score["total"] > 0 for series in plan.series())
    assert plan.files().processed == 48
    assert {k: len(v) for k, v in plan.files().skipped.items()} == {"CT of another series": 22}


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ({}, {"ImageType": ["DERIVED", "SECONDARY"]}),
        ({"BodyPartExamined": "ABDOMEN"}, {"BodyPartExamined": "CHEST"}),
        ({"BodyPartExamined": ""}, {"BodyPartExamined": "HEAD"}),
        ({"BodyPartExamined": "", "SeriesDescription": "Abd"}, {"BodyPartExamined": ""}),
        ({"ConvolutionKernel": "B30f"}, {"ConvolutionKernel": "B70f"}),
        ({"ConvolutionKernel": "STANDARD"}, {"ConvolutionKernel": "LUNG"}),
        ({"ConvolutionKernel": ["Br40d", "3"]}, {"ConvolutionKernel": ["Br64d", "3"]}),
        ({"ConvolutionKernel": "FC08"}, {"ConvolutionKernel": "FC52"}),
        ({"SeriesDescription": "portal venous"}, {"SeriesDescription": "native"}),
        ({"ContrastBolusAgent": "Iodine"}, {}),
        ({"slices": 23}, {}),
    ],
)
def test_what_makes_a_series_suit(
    tmp_path: Path, better: dict[str, object], worse: dict[str, object]
) -> None:
    for name, values in (("better", better), ("worse", worse)):
        for folder in ("x", "y"):  # whichever UID comes first
            seed = 1 if (name == "better") == (folder == "x") else 2
            write_series(tmp_path / folder / name, seed, **values)
    for folder in ("x", "y"):
        (study,) = plan_of(tmp_path / folder).studies
        assert study.best is not None
        assert {each.path.parent.name for each in study.best.instances} == {"better"}


@pytest.mark.parametrize("native", [1.0, 1.5, 3.0])
@pytest.mark.parametrize(
    "enhanced",
    [
        {"SeriesDescription": "ABD PORTAL VENOUS 5.0"},
        {"SeriesDescription": "Nephrographic"},
        {"SeriesDescription": "Abdomen 5.0", "ContrastBolusAgent": "Iomeron"},
    ],
)
def test_thick_slices_with_contrast_suit_better_than_thin_ones_without(
    tmp_path: Path, native: float, enhanced: dict[str, object]
) -> None:
    for seed, (step, values) in enumerate(
        ((native, {"SeriesDescription": "nativ"}), (5, enhanced))
    ):
        steps = [step] * int(245 / step)
        stack = stack_of(np.eye(3), steps, size=(8, 8))
        hu = np.zeros(stack.shape, np.int16)  # water in air
        hu[:2] = -1000
        paths = write_stack(tmp_path / str(step), stack, hu, seed=seed)
        values = {"StudyInstanceUID": "1.2.3", "ConvolutionKernel": "B31f", **values}
        edit_all(paths, lambda ds, values=values: ds.update(_dataset(values)))
    (study,) = plan_of(tmp_path).studies
    assert study.best is not None
    assert len(study.best.instances) == 50


def _dataset(values: dict[str, object]) -> Dataset:
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def test_thin_axial_slices_suit_better_than_thick_or_coronal_ones(tmp_path: Path) -> None:
    for number, name in enumerate(("normal", "coronal", "sagittal")):
        case = write_case(tmp_path / name, CASES[name], seed=number, slices=22 + number)
        edit_all(case.paths, lambda ds: setattr(ds, "StudyInstanceUID", "1.2.3"))
    (study,) = plan_of(tmp_path).studies
    assert study.best is not None
    assert {each.path.parent.name for each in study.best.instances} == {"normal"}


def test_damaged_pixels_of_the_best_give_way_to_the_next_best(tmp_path: Path) -> None:
    best = write_series(tmp_path / "a", 1, slices=30)
    write_series(tmp_path / "b", 2)
    edit_all(best.paths, lambda ds: ds.compress(RLELossless, generate_instance_uid=False))
    best.paths[7].write_bytes(best.paths[7].read_bytes()[:-60])
    outcome = FolderOutcome(plan_of(tmp_path))
    series = read_best(outcome.studies[0])
    assert series.image.shape[-1] == 22
    assert "CT0008.dcm" in " ".join(series.warnings)
    assert {each.status for each in outcome.left.series()} == {PROCESSED, REFUSED}
    assert sum(map(len, outcome.left.files().refused.values())) == 30
    # The plan stays as it was; what came of it stands beside it.
    assert {each.status for each in outcome.plan.series()} == {PROCESSED, NOT_CHOSEN}
    assert outcome.plan.files().refused == {}


def test_what_is_planned_cannot_be_changed(written: Written) -> None:
    plan = plan_of(written.folder)
    (study,) = plan.studies
    (candidate,) = study.candidates
    for each, name in ((plan, "studies"), (study, "candidates"), (candidate, "reason")):
        with pytest.raises(FrozenInstanceError):
            setattr(each, name, None)


def test_a_study_that_is_given_up_leaves_its_plan_as_it_was(written: Written) -> None:
    (study,) = plan_of(written.folder).studies
    outcome = StudyOutcome(study)
    outcome.refuse("a gap at the kidneys")
    assert outcome.left.best is None
    assert outcome.left.reason == "a gap at the kidneys"
    assert [(each.status, each.reason) for each in outcome.left.series()] == [
        (REFUSED, "a gap at the kidneys")
    ]
    assert outcome.plan is study
    assert study.best is study.candidates[0]
    assert [each.status for each in study.series()] == [PROCESSED]


# Damage


def test_truncated_pixels_are_found_by_headers_alone(written: Written) -> None:
    data = written.paths[7].read_bytes()
    written.paths[7].write_bytes(data[:-10])
    plan = plan_of(written.folder)
    (study,) = plan.studies
    assert study.best is None
    assert "CT0008.dcm: truncated pixel data, expected 960 bytes, found 950" in study.reason


def test_a_header_that_ends_early_refuses_the_file_alone(written: Written) -> None:
    path = written.folder / "broken.dcm"
    path.write_bytes(written.paths[0].read_bytes()[:300])
    series = read_series(written.folder)
    assert series.image.shape[-1] == 22
    (warning,) = series.warnings
    assert "broken.dcm was left out because it belongs to no series" in warning
    assert list(plan_of(written.folder).files().refused.values()) == [["broken.dcm"]]


def test_a_gap_is_told_together_with_the_broken_file(written: Written) -> None:
    data = written.paths[7].read_bytes()
    written.paths[7].write_bytes(data[:300])
    with pytest.raises(InputError, match=r"gap of 3\.00 mm.*CT0008\.dcm was left out"):
        read_series(written.folder)


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SOPInstanceUID"])
def test_a_slice_without_its_names_refuses_its_series(written: Written, keyword: str) -> None:
    edit(written.paths[3], lambda ds: delattr(ds, keyword))
    plan = plan_of(written.folder)
    assert all(series.status == REFUSED for series in plan.series() if series.slices == 1) or all(
        study.best is None for study in plan.studies
    )
    assert any(keyword in str(series.reason) for series in plan.series())


def test_a_file_that_may_not_be_read_is_refused(written: Written) -> None:
    written.paths[-1].chmod(0)
    if os.access(written.paths[-1], os.R_OK):
        pytest.skip("this user may read everything")
    assert list(plan_of(written.folder).files().refused) == [NO_PERMISSION]


def test_one_instance_in_two_series_is_a_conflict(tmp_path: Path) -> None:
    first = write_series(tmp_path / "a", 1)
    second = write_series(tmp_path / "b", 2)
    uid = pydicom.dcmread(first.paths[3]).SOPInstanceUID
    edit(second.paths[3], lambda ds: setattr(ds, "SOPInstanceUID", uid))
    (study,) = plan_of(tmp_path).studies
    assert study.best is None
    assert f"conflicting instances: SOPInstanceUID {uid} is in two series" in study.reason


# What is never opened, or passed over


def test_links_out_of_the_folder_are_never_followed(tmp_path: Path, written: Written) -> None:
    outside = write_series(tmp_path / "outside", 9)
    (written.folder / "folder").symlink_to(outside.folder)
    (written.folder / "file.dcm").symlink_to(outside.paths[0])
    (written.folder / "dangling").symlink_to(tmp_path / "nothing")
    (written.folder / "within.dcm").symlink_to(written.paths[0])
    plan = plan_of(written.folder)
    assert len(plan.studies) == 1
    skipped = {reason: list(paths) for reason, paths in plan.files().skipped.items()}
    assert skipped == {
        LINK_OUT: ["dangling", "file.dcm", "folder"],
        LINK_WITHIN: ["within.dcm"],
    }


def test_the_folder_itself_may_be_a_link(tmp_path: Path, written: Written) -> None:
    (tmp_path / "link").symlink_to(written.folder)
    assert read_series(tmp_path / "link").image.shape[-1] == 22


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
def test_pipes_are_never_opened(written: Written) -> None:
    os.mkfifo(written.folder / "pipe")
    assert dict(plan_of(written.folder).files().skipped) == {SPECIAL: ["pipe"]}


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "localizer"),
        ({"ImageType": ["DERIVED", "SECONDARY", "MIP"]}, "intensity projection"),
        ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, "picture of a screen"),
        ({"SamplesPerPixel": 3}, "picture of a screen"),
    ],
)
def test_ct_that_is_no_volume_is_counted(
    tmp_path: Path, values: dict[str, object], reason: str
) -> None:
    write_series(tmp_path / "a", 1, **values)
    plan = plan_of(tmp_path)
    assert plan.studies == ()
    assert {k: len(v) for k, v in plan.files().skipped.items()} == {reason: 22}


def test_several_patients_are_always_refused(tmp_path: Path) -> None:
    write_series(tmp_path / "a", 1, "1.2.3", PatientID="SECRET-1")
    write_series(tmp_path / "b", 2, "1.2.4", PatientID="SECRET-2")
    with pytest.raises(InputError, match="found 2 different PatientID") as caught:
        scan_folder(tmp_path)
    assert "SECRET" not in str(caught.value)


ANN = {"PatientID": "", "PatientName": "Doe^Ann", "PatientBirthDate": "19600101"}


@pytest.mark.parametrize(
    ("one", "other", "refused"),
    [
        (ANN, ANN, False),
        (ANN, {**ANN, "PatientName": "Roe^Bob"}, True),
        (ANN, {**ANN, "PatientBirthDate": "19600102"}, True),
        (ANN, {**ANN, "PatientName": "Roe^Bob", "PatientID": "7"}, True),
        (ANN, {**ANN, "PatientName": "DOE^ANN^^", "PatientID": "7"}, False),
        (ANN, {**ANN, "PatientName": "Doe^Ann^Mary"}, False),
        (ANN, {**ANN, "PatientName": ""}, False),
        ({"PatientName": "Doe^Ann"}, {"PatientName": "Married^Ann"}, False),
        (
            {"PatientName": "Doe^Ann", "PatientBirthDate": "19600101"},
            {"PatientName": "Roe^Bob", "PatientBirthDate": "19700101"},
            True,
        ),
    ],
)
def test_two_people_are_told_apart_without_an_id(
    tmp_path: Path, one: dict[str, object], other: dict[str, object], refused: bool
) -> None:
    write_series(tmp_path / "a", 1, "1.2.3", **one)
    write_series(tmp_path / "b", 2, "1.2.4", **other)
    if not refused:
        assert len(plan_of(tmp_path).studies) == 2
        return
    with pytest.raises(InputError, match="expected one patient") as error:
        scan_folder(tmp_path)
    assert not any(word in str(error.value) for word in ("Doe", "Ann", "Roe", "Bob", "19"))


def test_read_only_input(written: Written) -> None:
    for path in written.paths:
        path.chmod(stat.S_IREAD)
    written.folder.chmod(stat.S_IREAD | stat.S_IEXEC)
    try:
        assert read_series(written.folder).image.shape[-1] == 22
    finally:
        written.folder.chmod(stat.S_IRWXU)


# Forms of files


def test_files_without_preamble_are_read(written: Written) -> None:
    def bare(path: Path) -> None:
        ds = pydicom.dcmread(path)
        del ds.file_meta
        ds.save_as(path, implicit_vr=True, little_endian=True, enforce_file_format=False)
        data = path.read_bytes()
        path.write_bytes(data[132:] if data[128:132] == b"DICM" else data)

    for path in written.paths:
        bare(path)
    np.testing.assert_array_equal(read_series(written.folder).image[0].numpy(), written.hu)


def test_big_endian(written: Written) -> None:
    for path in written.paths:
        little = pydicom.dcmread(path)
        stored = little.pixel_array
        big = Dataset()
        big.update({element.tag: element for element in little})
        big.file_meta = little.file_meta
        big.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
        big.PixelData = stored.astype(">u2").tobytes()
        pydicom.dcmwrite(
            path, big, implicit_vr=False, little_endian=False, enforce_file_format=True
        )
    np.testing.assert_array_equal(read_series(written.folder).image[0].numpy(), written.hu)


def test_deflated(written: Written) -> None:
    edit_all(
        written.paths,
        lambda ds: setattr(ds.file_meta, "TransferSyntaxUID", "1.2.840.10008.1.2.1.99"),
    )
    np.testing.assert_array_equal(read_series(written.folder).image[0].numpy(), written.hu)


def test_huge_and_private_values_are_not_kept(written: Written) -> None:
    def swell(ds: Dataset) -> None:
        ds.private_block(0x0041, "SOMEBODY", create=True).add_new(0x01, "OB", bytes(1 << 20))
        ds.add_new("ICCProfile", "OB", bytes(1 << 20))
        ds.StudyDescription = "kept"

    edit_all(written.paths, swell)
    first = read_series(written.folder).headers[0]
    assert "ICCProfile" not in first
    assert first.StudyDescription == "kept"
    assert not any(element.tag.is_private for element in first)


# Bombs


def test_a_declared_size_beyond_any_ct_is_refused(written: Written) -> None:
    def swell(ds: Dataset) -> None:
        ds.Rows = ds.Columns = 65535

    edit_all(written.paths, swell)
    with pytest.raises(InputError, match="truncated pixel data, expected 8,589,672,450 bytes"):
        read_series(written.folder)


def test_a_compressed_bomb_is_refused_before_it_is_decoded(written: Written) -> None:
    edit_all(written.paths, lambda ds: ds.compress(RLELossless, generate_instance_uid=False))
    edit_all(written.paths, lambda ds: (setattr(ds, "Rows", 60000), setattr(ds, "Columns", 60000)))
    with pytest.raises(InputError, match="which need 14,400,000,000 bytes a slice"):
        read_series(written.folder)


def test_a_stream_of_another_size_than_declared_is_refused(written: Written) -> None:
    edit_all(written.paths, lambda ds: ds.compress(JPEGLSLossless, generate_instance_uid=False))

    def claim(ds: Dataset) -> None:
        ds.Rows = ds.Columns = 1000

    edit_all(written.paths, claim)
    with pytest.raises(InputError, match="found 20 and 24 in the compressed pixels"):
        read_series(written.folder)


def test_a_deflated_bomb_is_refused(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(header, "MAX_INFLATED_BYTES", 1 << 20)

    def inflate(ds: Dataset) -> None:
        ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99"
        ds.add_new(0x00420011, "OB", bytes(1 << 22))

    edit(written.paths[3], inflate)
    assert written.paths[3].stat().st_size < 1 << 16
    with pytest.raises(InputError, match=r"CT0004.*inflates to more than 1,048,576 bytes"):
        read_series(written.folder)


def test_a_volume_beyond_all_memory_is_refused_with_the_bytes(
    written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "total_bytes", lambda: 1000)
    with pytest.raises(InputError, match=r"22 slices of 24 x 20 pixels need 73,920 bytes"):
        read_series(written.folder)


def test_a_volume_beyond_the_free_memory_may_be_tried_again(
    written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "available_bytes", lambda: 1000)
    with pytest.raises(RetryableError, match=r"need 73,920 bytes of memory, 1,000 are free now"):
        read_series(written.folder)


# Names


def test_names_keep_their_character_set(written: Written) -> None:
    def name(ds: Dataset) -> None:
        ds.SpecificCharacterSet = "ISO_IR 192"
        ds.PatientName = "Müller^Jürgen"

    edit_all(written.paths, name)
    first = read_series(written.folder).headers[0]
    assert first.SpecificCharacterSet == "ISO_IR 192"
    assert str(first.PatientName) == "Müller^Jürgen"


# The most that each way of loss may cost, in HU; the file of 8 bits has steps of 32 HU.
LOSSES = {
    **{"JPEG2000TransferSyntax": 5, "JPEGLSLossyTransferSyntax": 1},
    **{"JPEGProcess1TransferSyntax": 65, "JPEGProcess2": 36},
    **{"JPEGProcess6": 36, "JPEGProcess10": 36},
}


@pytest.mark.data
def test_every_transfer_syntax_of_real_files_decodes_alike(data_dir: Path, tmp_path: Path) -> None:
    folder = data_dir / "interop" / "ctimage_all_transfer_syntaxes"

    def hu_of(path: Path) -> np.ndarray:
        shutil.rmtree(tmp_path, ignore_errors=True)
        tmp_path.mkdir()
        shutil.copyfile(path, tmp_path / "ct.dcm")
        (instance,) = scan_folder(tmp_path).instances
        hu = np.empty((512, 512), np.float32)
        write_hu(instance, decode(instance), hu)
        return hu

    reference = hu_of(folder / "CTImage.dcm")
    assert reference.max() == 1378
    paths = sorted(folder.glob("CTImage.dcm_*"))
    assert len(paths) == 15
    for path in paths:
        names = [name for name in LOSSES if path.name.startswith(f"CTImage.dcm_{name}")]
        most = LOSSES[names[0]] if names else 0
        assert np.abs(hu_of(path) - reference).max() <= most, path.name


def test_scan_tells_how_far_it_is(written: Written) -> None:
    calls: list[tuple[int, int]] = []
    scan_folder(written.folder, progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (22, 22)


def test_a_copy_with_another_name_is_a_duplicate_in_another_syntax_too(written: Written) -> None:
    copy = written.folder / "again.dcm"
    shutil.copyfile(written.paths[4], copy)
    edit(copy, lambda ds: ds.compress(RLELossless, generate_instance_uid=False))
    assert dict(plan_of(written.folder).files().skipped) == {"duplicate": ["again.dcm"]}


def test_study_uids_are_those_of_the_files(written: Written) -> None:
    uid = generate_uid()
    edit_all(written.paths, lambda ds: setattr(ds, "StudyInstanceUID", uid))
    assert [study.study for study in plan_of(written.folder).studies] == [uid]
