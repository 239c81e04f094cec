from __future__ import annotations

import json
import shutil
import subprocess
from datetime import datetime
from pathlib import Path

import highdicom as hd
import nibabel as nib
import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from pydicom.dataset import Dataset

from renalseg.dicom.read.segmentation import read_seg
from renalseg.dicom.read.series import CTSeries, read_series
from renalseg.dicom.write.ct import write_ct_series
from renalseg.dicom.write.derived import Origin
from renalseg.dicom.write.seg import build_seg
from renalseg.errors import InputError
from renalseg.geometry import affine_from_dicom, to_index, to_world
from renalseg.grids import Grid
from renalseg.labels import KIDNEY, TUMOR, Segment, Side
from tests.factories.series import CASES, Case, Written, edit_all, write_case

SEGMENTS = (
    Segment(1, "Left kidney", KIDNEY, Side.LEFT, 1.0),
    Segment(2, "Right kidney", KIDNEY, Side.RIGHT, 1.0),
    Segment(3, "Left kidney tumor 1", TUMOR, Side.LEFT, 0.1),
)


def segment_map(series: CTSeries) -> npt.NDArray[np.uint8]:
    """Draw two kidneys and a tumor by world position; the upper and lower slices stay empty."""
    shape = series.image.shape[1:]
    affine = series.image.affine.numpy()
    world = to_world(affine, np.stack(np.indices(shape), axis=-1))
    offset = world - to_world(affine, (np.array(shape) - 1) / 2)
    segmented = np.zeros(shape, dtype=np.uint8)
    box = (abs(offset[..., 1]) < 3) & (abs(offset[..., 2]) < 4)
    segmented[box & (offset[..., 0] < -1.5) & (offset[..., 0] > -5)] = 1
    segmented[box & (offset[..., 0] > 1.5) & (offset[..., 0] < 4)] = 2
    segmented[(segmented == 1) & (offset[..., 1] > 0) & (offset[..., 2] > 1)] = 3
    return segmented


def write_seg(folder: Path, out: Path) -> tuple[CTSeries, npt.NDArray[np.uint8], Path]:
    series = read_series(folder)
    segmented = segment_map(series)
    seg = build_seg(Origin(series, "sehdc", "0.1.0"), segmented, SEGMENTS)
    out.mkdir(exist_ok=True)
    seg.save_as(out / "result.seg.dcm")
    return series, segmented, out / "result.seg.dcm"


def errors_of(path: Path) -> list[str]:
    """Give what dciodvfy calls an error."""
    program = shutil.which("dciodvfy")
    if program is None:
        pytest.skip("dciodvfy (package dicom3tools) is not installed")
    done = subprocess.run([program, path], capture_output=True, text=True, check=False)
    lines = (done.stdout + done.stderr).splitlines()
    assert any("Warning" not in line for line in lines), "dciodvfy did not name the object"
    return [line for line in lines if line.startswith("Error")]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    return write_case(tmp_path / "ct")


# Geometry


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_frames_lie_on_the_source_slices(tmp_path: Path, case: Case) -> None:
    written = write_case(tmp_path / "ct", case)
    _, segmented, path = write_seg(written.folder, tmp_path)
    seg = pydicom.dcmread(path)
    sources = {}
    for source in written.paths:
        header = pydicom.dcmread(source)
        sources[header.SOPInstanceUID] = header

    found = 0
    for frame, pixels in zip(seg.PerFrameFunctionalGroupsSequence, seg.pixel_array, strict=True):
        reference = frame.DerivationImageSequence[0].SourceImageSequence[0]
        source = sources[reference.ReferencedSOPInstanceUID]
        position = frame.PlanePositionSequence[0].ImagePositionPatient
        np.testing.assert_allclose(position, source.ImagePositionPatient, atol=1e-6)
        found += int(pixels.sum())
    assert found == np.count_nonzero(segmented)
    assert seg.FrameOfReferenceUID == source.FrameOfReferenceUID


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_segments_come_back_at_their_place(tmp_path: Path, case: Case) -> None:
    written = write_case(tmp_path / "ct", case)
    series, segmented, path = write_seg(written.folder, tmp_path)
    volume = hd.seg.segread(path).get_volume(combine_segments=True)
    # The volume has its own axes: compare by place, in DICOM's LPS.
    indices = np.argwhere(volume.array > 0)
    lps = volume.map_indices_to_reference(indices)
    ours = to_index(series.image.affine.numpy(), lps * [-1, -1, 1])
    nearest = np.rint(ours).astype(int)
    np.testing.assert_allclose(ours, nearest, atol=1e-4)
    np.testing.assert_array_equal(segmented[tuple(nearest.T)], volume.array[tuple(indices.T)])
    assert len(indices) == np.count_nonzero(segmented)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_segmentation_is_read_back_on_its_grid(tmp_path: Path, case: Case) -> None:
    written = write_case(tmp_path / "ct", case)
    series, segmented, path = write_seg(written.folder, tmp_path)
    kinds = np.array([0, KIDNEY, KIDNEY, TUMOR], np.uint8)[segmented]
    grid = Grid.of(series.image)
    np.testing.assert_array_equal(read_seg(path, grid), kinds)
    # the same place with axes in another order and direction, as KiTS stores its labels
    turned = nib.Nifti1Image(kinds, grid.affine).as_reoriented(np.array([[2, -1], [0, 1], [1, -1]]))
    x, y, z = turned.shape
    found = read_seg(path, Grid((x, y, z), turned.affine))
    np.testing.assert_array_equal(found, np.asanyarray(turned.dataobj))


def test_a_segmentation_on_another_grid_is_refused(written: Written, tmp_path: Path) -> None:
    series, _, path = write_seg(written.folder, tmp_path)
    grid = Grid.of(series.image)
    with pytest.raises(InputError, match="on the grid of its label"):
        read_seg(path, Grid(grid.shape, grid.affine + 0.4 * np.eye(4, k=3)))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["normal", "reversed", "anisotropic", "oblique", "coronal"])
def test_dcmqi_reads_the_same_voxels(tmp_path: Path, name: str) -> None:
    program = shutil.which("segimage2itkimage")
    if program is None:
        pytest.skip("segimage2itkimage (package dcmqi) is not installed")
    written = write_case(tmp_path / "ct", CASES[name])
    series, segmented, path = write_seg(written.folder, tmp_path)
    out = tmp_path / "itk"
    out.mkdir()
    command = [program, "--inputDICOM", path, "--outputDirectory", out, "-p", "x"]
    subprocess.run([*command, "-t", "nii", "--mergeSegments"], check=True, capture_output=True)

    image = nib.load(out / "x-1.nii.gz")
    array = np.asarray(image.dataobj)
    indices = np.argwhere(array > 0)
    ours = to_index(series.image.affine.numpy(), to_world(image.affine, indices))
    nearest = np.rint(ours).astype(int)
    np.testing.assert_allclose(ours, nearest, atol=1e-3)
    np.testing.assert_array_equal(segmented[tuple(nearest.T)], array[tuple(indices.T)])
    assert len(indices) == np.count_nonzero(segmented)
    labels = json.loads((out / "x-meta.json").read_text())["segmentAttributes"]
    assert [item["SegmentLabel"] for group in labels for item in group] == [
        segment.label for segment in SEGMENTS
    ]


# Content


def test_codes_and_sides(written: Written, tmp_path: Path) -> None:
    _, _, path = write_seg(written.folder, tmp_path)
    left, right, tumor = pydicom.dcmread(path).SegmentSequence
    for item, side in ((left, "7771000"), (right, "24028007")):
        assert item.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "123037004"
        organ = item.SegmentedPropertyTypeCodeSequence[0]
        assert organ.CodeValue == "64033007"
        assert organ.SegmentedPropertyTypeModifierCodeSequence[0].CodeValue == side
    assert tumor.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "49755003"
    assert tumor.SegmentedPropertyTypeCodeSequence[0].CodeValue == "4147007"
    region = tumor.AnatomicRegionSequence[0]
    assert region.CodeValue == "64033007"
    assert region.AnatomicRegionModifierSequence[0].CodeValue == "7771000"


def test_description_of_the_object(written: Written, tmp_path: Path) -> None:
    series, _, path = write_seg(written.folder, tmp_path)
    seg = pydicom.dcmread(path)
    assert seg.SegmentationType == "BINARY"
    assert seg.SeriesNumber == 900
    assert seg.SeriesDescription == "RenalSeg 0.1.0 sehdc (research use)"
    assert seg.StudyInstanceUID == series.headers[0].StudyInstanceUID
    assert seg.PatientID == series.headers[0].PatientID
    assert seg.PatientName == series.headers[0].PatientName
    item = seg.SegmentSequence[2]
    assert item.SegmentAlgorithmType == "AUTOMATIC"
    assert item.SegmentationAlgorithmIdentificationSequence[0].AlgorithmVersion == "0.1.0"
    assert item.TrackingID == "Left kidney tumor 1"
    assert item.TrackingUID == Origin(series, "sehdc", "0.1.0").tracking_uid(SEGMENTS[2].label)
    assert len(item.RecommendedDisplayCIELabValue) == 3


def test_empty_frames_are_left_out(written: Written, tmp_path: Path) -> None:
    _, segmented, path = write_seg(written.folder, tmp_path)
    expected = sum(int((segmented == number).any(axis=(0, 1)).sum()) for number in (1, 2, 3))
    assert int(pydicom.dcmread(path).NumberOfFrames) == expected


def test_rerun_gives_the_same_bytes(written: Written, tmp_path: Path) -> None:
    first = write_seg(written.folder, tmp_path / "a")[2].read_bytes()
    assert write_seg(written.folder, tmp_path / "b")[2].read_bytes() == first


def test_uids_depend_on_the_software(written: Written) -> None:
    series = read_series(written.folder)
    segmented = segment_map(series)
    uids = set()
    software = [
        ("sehdc", "0.1.0", ()),
        ("sehdc", "0.2.0", ()),
        ("mrb", "0.1.0", ()),
        ("mrb", "0.1.0", ("kidney_mrb 1.0 aa", "tumor_mrb 1.0 bb")),
        ("mrb", "0.1.0", ("kidney_mrb 1.0 aa", "tumor_mrb 1.0 cc")),
    ]
    for algorithm, version, networks in software:
        seg = build_seg(Origin(series, algorithm, version, networks), segmented, SEGMENTS)
        uids |= {seg.SOPInstanceUID, seg.SeriesInstanceUID}
    assert len(uids) == 2 * len(software)
    assert list(seg.SoftwareVersions) == ["0.1.0", "kidney_mrb 1.0 aa", "tumor_mrb 1.0 cc"]


def test_creation_time_can_be_given(written: Written) -> None:
    series = read_series(written.folder)
    when = datetime(2024, 5, 6, 7, 8, 9)
    seg = build_seg(Origin(series, "sehdc", "0.1.0"), segment_map(series), SEGMENTS, created=when)
    assert (str(seg.ContentDate), str(seg.ContentTime)) == ("20240506", "070809")


def test_source_headers_are_not_changed(written: Written) -> None:
    series = read_series(written.folder)
    before = [header.to_json() for header in series.headers]
    build_seg(Origin(series, "sehdc", "0.1.0"), segment_map(series), SEGMENTS)
    assert [header.to_json() for header in series.headers] == before


def _strip(ds: Dataset) -> None:
    """Take away what careless de-identification takes away."""
    for keyword in (
        "FrameOfReferenceUID",
        "PositionReferenceIndicator",
        "PatientPosition",
        "Manufacturer",
        "PatientName",
        "PatientBirthDate",
        "PatientSex",
        "StudyID",
        "StudyDate",
        "StudyTime",
        "AccessionNumber",
        "ReferringPhysicianName",
    ):
        delattr(ds, keyword)
    ds.PatientID = ""


def test_stripped_source(written: Written, tmp_path: Path) -> None:
    edit_all(written.paths, _strip)
    first = write_seg(written.folder, tmp_path / "a")[2]
    again = write_seg(written.folder, tmp_path / "b")[2]
    seg = pydicom.dcmread(first)
    assert seg.FrameOfReferenceUID == pydicom.dcmread(again).FrameOfReferenceUID
    assert seg.PatientID == ""
    assert errors_of(first) == []


def test_malformed_patient_values_do_not_stop_the_result(written: Written, tmp_path: Path) -> None:
    def spoil(ds: Dataset) -> None:
        ds["PatientBirthDate"]._value = "unknown"
        ds["PatientSex"]._value = "X"

    edit_all(written.paths, spoil)
    seg = pydicom.dcmread(write_seg(written.folder, tmp_path)[2])
    assert (seg.PatientBirthDate, seg.PatientSex) == ("", "")


@pytest.mark.parametrize(
    ("charset", "name"), [("ISO_IR 100", "Müller^Jörg"), ("ISO_IR 192", "山田^太郎")]
)
def test_character_set_is_kept(
    written: Written, tmp_path: Path, charset: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    def rename(ds: Dataset) -> None:
        ds.SpecificCharacterSet = charset
        ds.PatientName = name

    edit_all(written.paths, rename)
    seg = pydicom.dcmread(write_seg(written.folder, tmp_path)[2])
    assert (seg.SpecificCharacterSet, str(seg.PatientName)) == (charset, name)
    assert name not in caplog.text


def test_patient_name_is_never_logged(
    written: Written, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    edit_all(written.paths, lambda ds: setattr(ds, "PatientName", "SECRETNAME"))
    series = read_series(written.folder)
    build_seg(Origin(series, "sehdc", "0.1.0"), segment_map(series), SEGMENTS)
    assert "SECRETNAME" not in caplog.text
    assert not any("SECRETNAME" in str(warning.message) for warning in recwarn)


# Standards


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_dciodvfy_finds_no_error_in_the_series(tmp_path: Path, case: Case) -> None:
    assert errors_of(write_case(tmp_path, case).paths[0]) == []


def test_dciodvfy_finds_no_error_in_the_segmentation(written: Written, tmp_path: Path) -> None:
    assert errors_of(write_seg(written.folder, tmp_path)[2]) == []


# Arguments that are refused


@pytest.mark.parametrize(
    ("segments", "message"),
    [((), "at least one segment"), (SEGMENTS[1:], "numbered 1 to 2"), (SEGMENTS[:2], "holds 3")],
)
def test_segments_must_fit_the_map(
    written: Written, segments: tuple[Segment, ...], message: str
) -> None:
    series = read_series(written.folder)
    with pytest.raises(ValueError, match=message):
        build_seg(Origin(series, "sehdc", "0.1.0"), segment_map(series), segments)


def test_map_must_have_the_shape_of_the_series(written: Written) -> None:
    series = read_series(written.folder)
    turned = segment_map(series).transpose(2, 1, 0)
    with pytest.raises(ValueError, match=r"shape \(24, 20, 22\)"):
        build_seg(Origin(series, "sehdc", "0.1.0"), turned, SEGMENTS)


def test_map_must_be_uint8(written: Written) -> None:
    series = read_series(written.folder)
    with pytest.raises(ValueError, match="uint8"):
        build_seg(
            Origin(series, "sehdc", "0.1.0"),
            segment_map(series).astype(np.int32),  # type: ignore[arg-type]
            SEGMENTS,
        )


def test_series_cannot_be_written_sheared(tmp_path: Path) -> None:
    affine = affine_from_dicom((1, 0, 0, 0, 1, 0), (0, 0, 0), (1, 1), (0, 0.5, 2))
    with pytest.raises(ValueError, match="shears"):
        write_ct_series(tmp_path, np.zeros((4, 4, 4), dtype=np.int16), affine)


def test_written_series_is_a_function_of_its_seed(tmp_path: Path) -> None:
    first, again = write_case(tmp_path / "a", seed=5), write_case(tmp_path / "b", seed=5)
    other = write_case(tmp_path / "c", seed=6)
    for one, two, three in zip(first.paths, again.paths, other.paths, strict=True):
        assert one.read_bytes() == two.read_bytes()
        assert pydicom.dcmread(one).SOPInstanceUID != pydicom.dcmread(three).SOPInstanceUID
