from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    BasicTextSRStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    JPEGLSNearLossless,
    MediaStorageDirectoryStorage,
    RLELossless,
    generate_uid,
)

from renalseg.dicom.read.series import CTSeries, read_series
from renalseg.errors import InputError
from renalseg.geometry import slice_normal, to_index
from tests.factories.series import (
    BODY_HU,
    CASES,
    MARKER_HU,
    Case,
    Written,
    edit,
    edit_all,
    marker_centroid,
    write_case,
)


def refusal(folder: Path) -> str:
    """Read a folder that must be refused and give the message."""
    with pytest.raises(InputError) as caught:
        read_series(folder)
    assert caught.value.exit_code == 2
    return str(caught.value)


def hu_of(series: CTSeries) -> np.ndarray:
    return series.image[0].numpy()


@pytest.fixture
def written(tmp_path: Path) -> Written:
    return write_case(tmp_path / "ct")


# Geometry


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_every_voxel_comes_back_at_its_place(tmp_path: Path, case: Case) -> None:
    written = write_case(tmp_path, case)
    series = read_series(tmp_path)
    affine = series.image.affine.numpy()

    found = marker_centroid(hu_of(series), affine)
    np.testing.assert_allclose(found, written.marker, atol=1e-6)
    # A series may be written against its slice normal; it is always read along it.
    expected = written.hu if case.step > 0 else written.hu[:, :, ::-1]
    np.testing.assert_array_equal(hu_of(series), expected)
    np.testing.assert_allclose(
        affine @ [*to_index(affine, written.marker), 1], [*written.marker, 1], atol=1e-6
    )


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_headers_are_in_the_order_of_the_slices(tmp_path: Path, case: Case) -> None:
    write_case(tmp_path, case)
    series = read_series(tmp_path)
    normal = slice_normal(case.orientation)
    heights = [np.dot(header.ImagePositionPatient, normal) for header in series.headers]
    np.testing.assert_allclose(np.diff(heights), abs(case.step))
    assert all("PixelData" not in header for header in series.headers)


def test_image_is_float32_with_a_float64_affine(written: Written) -> None:
    image = read_series(written.folder).image
    assert tuple(image.shape) == (1, *written.hu.shape)
    assert str(image.dtype) == "torch.float32"
    assert str(image.affine.dtype) == "torch.float64"


def test_file_names_and_folders_do_not_matter(written: Written, tmp_path: Path) -> None:
    before = read_series(written.folder)
    for index, path in enumerate(reversed(written.paths)):
        deeper = tmp_path / "again" / str(index % 3)
        deeper.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, deeper / f"image_{index}")
    after = read_series(tmp_path / "again")
    np.testing.assert_array_equal(hu_of(after), hu_of(before))
    assert after.input_hash == before.input_hash


def test_slice_thickness_is_not_believed(written: Written) -> None:
    def lie(ds: Dataset) -> None:
        ds.SliceThickness = "7"
        ds.SpacingBetweenSlices = "9"

    edit_all(written.paths, lie)
    np.testing.assert_allclose(read_series(written.folder).image.affine.numpy(), written.affine)


# Hounsfield units


def test_rescale_is_applied_slice_by_slice(written: Written) -> None:
    for index, path in enumerate(written.paths):

        def rescale(ds: Dataset, index: int = index) -> None:
            stored = ds.pixel_array.astype(np.int32) - 1024
            ds.RescaleSlope, ds.RescaleIntercept = "0.5", str(-1024 - index)
            ds.PixelData = ((stored + 1024 + index) * 2).astype("<u2").tobytes()
            ds.BitsStored, ds.HighBit = 16, 15

        edit(path, rescale)
    np.testing.assert_array_equal(hu_of(read_series(written.folder)), written.hu)


def test_signed_pixels(written: Written) -> None:
    def sign(ds: Dataset) -> None:
        ds.PixelData = (ds.pixel_array.astype("<i2") - 1024).tobytes()
        ds.PixelRepresentation, ds.BitsStored, ds.HighBit = 1, 16, 15
        ds.RescaleIntercept = "0"

    edit_all(written.paths, sign)
    np.testing.assert_array_equal(hu_of(read_series(written.folder)), written.hu)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_declared_padding_becomes_air(written: Written, syntax: str) -> None:
    def pad(ds: Dataset) -> None:
        ds.add_new("PixelPaddingValue", "US", BODY_HU + 1024)
        ds.file_meta.TransferSyntaxUID = syntax

    edit_all(written.paths, pad)
    hu = hu_of(read_series(written.folder))
    assert (hu[written.hu == BODY_HU] == -1024).all()
    assert (hu[written.hu == MARKER_HU] == MARKER_HU).all()


@pytest.mark.parametrize("padding", [("SS", -900), ("US", 0x10000 - 900)])
def test_padding_of_signed_pixels(written: Written, padding: tuple[str, int]) -> None:
    def pad(ds: Dataset) -> None:
        stored = ds.pixel_array.astype("<i2") - 1024
        stored[:2] = -900
        ds.PixelData = stored.tobytes()
        ds.PixelRepresentation, ds.BitsStored, ds.HighBit = 1, 16, 15
        ds.RescaleIntercept = "0"
        ds.add_new("PixelPaddingValue", *padding)

    edit_all(written.paths, pad)
    assert (hu_of(read_series(written.folder))[:, :2] == -1024).all()


def test_undeclared_padding_becomes_air(written: Written) -> None:
    def pad(ds: Dataset) -> None:
        ds.RescaleIntercept = "-3024"

    edit(written.paths[0], pad)
    assert hu_of(read_series(written.folder))[:, :, 0].min() == -1024


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless])
def test_lossless_compression(written: Written, syntax: str) -> None:
    before = read_series(written.folder)
    edit_all(written.paths, lambda ds: ds.compress(syntax, generate_instance_uid=False))
    after = read_series(written.folder)
    np.testing.assert_array_equal(hu_of(after), hu_of(before))
    assert after.input_hash == before.input_hash
    assert not after.warnings


def test_lossy_compression_warns(written: Written) -> None:
    def compress(ds: Dataset) -> None:
        ds.compress(JPEGLSNearLossless, jls_error=2, generate_instance_uid=False)

    edit_all(written.paths, compress)
    assert "compressed with loss" in " ".join(read_series(written.folder).warnings)


# What is refused


def test_no_such_folder(tmp_path: Path) -> None:
    assert "expected a folder or a file, found none" in refusal(tmp_path / "absent")


def test_empty_folder(tmp_path: Path) -> None:
    assert "no files" in refusal(tmp_path)


def test_folder_without_ct_says_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing here")
    assert "1 x not DICOM" in refusal(tmp_path)


def test_missing_slices(written: Written) -> None:
    written.paths[10].unlink()
    message = refusal(written.folder)
    assert "gap of 3.00 mm at z=-126.50 mm" in message
    assert "CT0010.dcm" in message


def test_mixed_patients_and_no_id_in_the_message(written: Written) -> None:
    def other(ds: Dataset) -> None:
        ds.PatientID = "SECRET-77"

    edit(written.paths[5], other)
    message = refusal(written.folder)
    assert "expected one patient, found 2" in message
    assert "SECRET" not in message


def test_several_studies(written: Written, tmp_path: Path) -> None:
    write_case(written.folder / "second", seed=1)
    message = refusal(written.folder)
    for path in (written.paths[0], written.folder / "second" / "CT0001.dcm"):
        assert pydicom.dcmread(path).StudyInstanceUID in message


@pytest.mark.parametrize("keyword", ["RescaleSlope", "RescaleIntercept"])
def test_no_rescale(written: Written, keyword: str) -> None:
    edit(written.paths[3], lambda ds: delattr(ds, keyword))
    message = refusal(written.folder)
    assert keyword in message
    assert "CT0004.dcm" in message


@pytest.mark.parametrize(
    "keyword", ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"]
)
def test_missing_geometry(written: Written, keyword: str) -> None:
    edit(written.paths[3], lambda ds: delattr(ds, keyword))
    message = refusal(written.folder)
    assert keyword in message
    assert "CT0004.dcm" in message


@pytest.mark.parametrize("keep", [0.999, 0.8, 0.5, 0.2])
def test_truncated_file(written: Written, keep: float) -> None:
    data = written.paths[7].read_bytes()
    written.paths[7].write_bytes(data[: int(len(data) * keep)])
    assert "CT0008.dcm" in refusal(written.folder)


def test_truncated_compressed_file(written: Written) -> None:
    edit_all(written.paths, lambda ds: ds.compress(RLELossless, generate_instance_uid=False))
    data = written.paths[7].read_bytes()
    written.paths[7].write_bytes(data[:-60])
    assert "CT0008.dcm" in refusal(written.folder)


def test_duplicate_positions(written: Written) -> None:
    def copy(ds: Dataset) -> None:
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        ds.RescaleIntercept = float(ds.RescaleIntercept) + 1  # equal ones are read once

    shutil.copyfile(written.paths[4], written.folder / "again.dcm")
    edit(written.folder / "again.dcm", copy)
    assert "one slice per position" in refusal(written.folder)


def test_conflicting_instances(written: Written) -> None:
    def change(ds: Dataset) -> None:
        ds.PixelData = bytes(len(ds.PixelData))

    shutil.copyfile(written.paths[4], written.folder / "again.dcm")
    edit(written.folder / "again.dcm", change)
    message = refusal(written.folder)
    assert "conflicting instances" in message
    assert pydicom.dcmread(written.paths[4]).SOPInstanceUID in message


def move(written: Written, where: Callable[[int], npt.ArrayLike]) -> None:
    """Move slice i by `where(i)`, in LPS mm."""
    for index, path in enumerate(written.paths):

        def shift(ds: Dataset, index: int = index) -> None:
            moved = np.asarray(ds.ImagePositionPatient, dtype=float) + where(index)
            ds.ImagePositionPatient = moved.round(9).tolist()

        edit(path, shift)


def test_a_slice_shifted_sideways(written: Written) -> None:
    move(written, lambda index: (0.5 * (index == 9), 0, 0))
    assert "one shifted sideways by 0.50 mm" in refusal(written.folder)


def test_shear_that_no_gantry_can_make(written: Written) -> None:
    move(written, lambda index: (0, 1.6 * index, 0))
    assert "shifted against the last by 46.8 degrees" in refusal(written.folder)


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("ImageOrientationPatient", [0, 1, 0, 0, 0, -1]),
        ("PixelSpacing", [0.9, 0.9]),
        ("FrameOfReferenceUID", "1.2.3"),
        ("Rows", 10),
    ],
)
def test_mixed_geometry(written: Written, keyword: str, value: object) -> None:
    """The series is split: what is complete without the odd slice is processed, else nothing."""
    edit(written.paths[-1], lambda ds: setattr(ds, keyword, value))
    series = read_series(written.folder)
    assert series.image.shape[-1] == 21
    assert "geometry 2 of 2 (1 slice) was not processed" in " ".join(series.warnings)
    edit(written.paths[9], lambda ds: setattr(ds, keyword, value))
    message = refusal(written.folder)
    assert "none of 2 series or parts can be processed" in message
    assert "gap of 3.00 mm" in message


def test_orientation_that_is_not_orthonormal(written: Written) -> None:
    def bend(ds: Dataset) -> None:
        ds.ImageOrientationPatient = [1, 0, 0, 0.2, 1, 0]

    edit_all(written.paths, bend)
    assert "unit vectors at a right angle" in refusal(written.folder)


def test_one_slice(tmp_path: Path) -> None:
    for path in write_case(tmp_path).paths[1:]:
        path.unlink()
    assert "at least 2 CT slices" in refusal(tmp_path)


# What is processed with a warning, or passed over


def test_gantry_tilt_warns(written: Written) -> None:
    move(written, lambda index: (0, 0.4 * index, 0))
    series = read_series(written.folder)
    assert "gantry tilt of 14.9 degrees" in " ".join(series.warnings)
    assert series.to_slices(np.zeros(series.image.shape[1:], np.uint8)).shape == written.hu.shape


@pytest.mark.parametrize(
    ("shift", "words"), [(0.01, "not quite evenly spaced"), (0.1, "unevenly spaced (1.600 mm")]
)
def test_uneven_steps_warn(written: Written, shift: float, words: str) -> None:
    move(written, lambda index: (0, 0, shift * (index == 9)))
    assert words in " ".join(read_series(written.folder).warnings)


def test_ordinary_series_has_no_warning(written: Written) -> None:
    series = read_series(written.folder)
    assert series.warnings == ()
    assert dict(series.skipped) == {}


def test_few_slices_warn(tmp_path: Path) -> None:
    write_case(tmp_path, slices=10)
    assert "10 slices are outside the validated range" in " ".join(read_series(tmp_path).warnings)


def test_unusual_patient_position_warns(tmp_path: Path) -> None:
    write_case(tmp_path, CASES["feet_first"])
    assert "patient position FFS" in " ".join(read_series(tmp_path).warnings)


def test_duplicate_files_are_read_once(written: Written) -> None:
    before = read_series(written.folder)
    shutil.copyfile(written.paths[4], written.folder / "again.dcm")
    after = read_series(written.folder)
    assert after.image.shape == before.image.shape
    assert after.input_hash == before.input_hash
    assert dict(after.skipped) == {"duplicate": 1}


def _localizer(ds: Dataset) -> None:
    ds.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    ds.SeriesInstanceUID = generate_uid()


def _report(ds: Dataset) -> None:
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = BasicTextSRStorage
    ds.Modality = "SR"


def _directory(ds: Dataset) -> None:
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage


def _pet(ds: Dataset) -> None:
    ds.Modality = "PT"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_localizer, "localizer"),
        (_report, "Basic Text SR Storage"),
        (_directory, "DICOMDIR"),
        (_pet, "modality PT"),
    ],
)
def test_other_objects_are_counted(
    written: Written, change: Callable[[Dataset], None], reason: str
) -> None:
    shutil.copyfile(written.paths[0], written.folder / "other")
    edit(written.folder / "other", change)
    series = read_series(written.folder)
    assert dict(series.skipped) == {reason: 1}
    assert series.image.shape[-1] == len(written.paths)


def test_other_files_are_counted(written: Written) -> None:
    (written.folder / "CT0001.dcm.json").write_text("{}")
    (written.folder / "empty").touch()
    assert dict(read_series(written.folder).skipped) == {"not DICOM": 2}


def test_best_of_several_series(tmp_path: Path) -> None:
    def same_study(ds: Dataset) -> None:
        ds.StudyInstanceUID = "1.2.3"

    thin = write_case(tmp_path / "b", seed=1, slices=26)
    thick = write_case(tmp_path / "a", seed=2, slices=22)
    derived = write_case(tmp_path / "c", CASES["coronal"], seed=3, slices=40)
    edit_all([*thin.paths, *thick.paths, *derived.paths], same_study)
    edit_all(derived.paths, lambda ds: setattr(ds, "ImageType", ["DERIVED", "SECONDARY"]))

    series = read_series(tmp_path)
    assert series.image.shape[-1] == 26
    assert dict(series.skipped) == {"CT of another series": 62}
    for other in (thick, derived):
        uid = pydicom.dcmread(other.paths[0]).SeriesInstanceUID
        assert any(f"series {uid}" in warning for warning in series.warnings)


def test_series_without_geometry_gives_way_to_one_with_it(tmp_path: Path) -> None:
    screens = write_case(tmp_path / "a", seed=1, slices=40)
    volume = write_case(tmp_path / "b", seed=2)
    edit_all([*screens.paths, *volume.paths], lambda ds: setattr(ds, "StudyInstanceUID", "1.2.3"))
    edit(screens.paths[0], lambda ds: delattr(ds, "ImagePositionPatient"))
    assert read_series(tmp_path).image.shape[-1] == len(volume.paths)


def strip(ds: Dataset) -> None:
    """Take away what careless de-identification takes away."""
    for keyword in ("FrameOfReferenceUID", "PatientPosition", "Manufacturer", "StudyID"):
        delattr(ds, keyword)
    ds.PatientID = ""


def test_stripped_series_is_read_with_warnings(written: Written) -> None:
    edit_all(written.paths, strip)
    text = " ".join(read_series(written.folder).warnings)
    assert "lacks PatientID, PatientPosition, Manufacturer, FrameOfReferenceUID" in text


def test_private_elements_do_not_stay(written: Written) -> None:
    def add(ds: Dataset) -> None:
        ds.private_block(0x0041, "SOMEBODY", create=True).add_new(0x01, "OB", bytes(5000))

    edit_all(written.paths, add)
    header = read_series(written.folder).headers[0]
    assert not any(element.tag.is_private for element in header)


def test_progress(written: Written) -> None:
    calls: list[tuple[int, int]] = []
    read_series(written.folder, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(index, 22) for index in range(1, 23)]


def test_input_is_not_changed(written: Written) -> None:
    before = {path: path.read_bytes() for path in written.paths}
    read_series(written.folder)
    assert {path: path.read_bytes() for path in sorted(written.folder.iterdir())} == before


def test_input_hash_depends_on_the_pixels(written: Written) -> None:
    def change(ds: Dataset) -> None:
        ds.PixelData = bytes([ds.PixelData[0] ^ 1]) + ds.PixelData[1:]

    before = read_series(written.folder).input_hash
    edit(written.paths[0], change)
    assert read_series(written.folder).input_hash != before


@pytest.mark.data
def test_real_series_without_frame_of_reference(data_dir: Path) -> None:
    series = read_series(data_dir / "ct" / "ircadb17" / "dicom")
    assert tuple(series.image.shape) == (1, 512, 512, 119)
    assert "FrameOfReferenceUID" in " ".join(series.warnings)
