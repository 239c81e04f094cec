"""Enhanced multi-frame CT reads like the files of its slices, and results refer to its frames."""

from __future__ import annotations

import shutil
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
import torch
from monai.data import MetaTensor
from pydicom.dataset import Dataset
from pydicom.uid import (
    EnhancedCTImageStorage,
    JPEGLSLossless,
    LegacyConvertedEnhancedCTImageStorage,
    RLELossless,
)

from renalseg.dicom.read.series import read_series
from renalseg.dicom.write.derived import Origin
from renalseg.dicom.write.seg import build_seg
from renalseg.errors import InputError
from renalseg.inference.choice import Choice
from renalseg.labels import KIDNEY, Segment, Side
from renalseg.output.place import all_at_once
from renalseg.settings import Settings
from tests.factories.enhanced import write_enhanced
from tests.factories.results import as_found
from tests.factories.series import CASES, Case, Written, write_case


@pytest.fixture
def written(tmp_path: Path) -> Written:
    return write_case(tmp_path / "single")


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_frames_read_like_files(tmp_path: Path, case: Case, shared: bool) -> None:
    written = write_case(tmp_path / "single", case)
    write_enhanced(tmp_path / "multi" / "ct.dcm", written.paths, shared_orientation=shared)
    single, multi = read_series(written.folder), read_series(tmp_path / "multi")
    np.testing.assert_array_equal(multi.image.numpy(), single.image.numpy())
    np.testing.assert_allclose(multi.image.affine, single.image.affine)


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless])
def test_compressed_frames(tmp_path: Path, written: Written, syntax: str) -> None:
    def compress(ds: Dataset) -> None:
        ds.compress(syntax, generate_instance_uid=False)

    write_enhanced(tmp_path / "multi" / "ct.dcm", written.paths, change=compress)
    multi = read_series(tmp_path / "multi")
    np.testing.assert_array_equal(multi.image[0].numpy(), written.hu)


def test_legacy_converted_ct_is_read(tmp_path: Path, written: Written) -> None:
    def convert(ds: Dataset) -> None:
        ds.SOPClassUID = LegacyConvertedEnhancedCTImageStorage

    write_enhanced(tmp_path / "multi" / "ct.dcm", written.paths, change=convert)
    assert read_series(tmp_path / "multi").image.shape[-1] == len(written.paths)


def test_frames_of_several_files_make_one_series(tmp_path: Path, written: Written) -> None:
    write_enhanced(tmp_path / "multi" / "low.dcm", written.paths[:9])
    write_enhanced(tmp_path / "multi" / "high.dcm", written.paths[9:])
    multi = read_series(tmp_path / "multi")
    np.testing.assert_array_equal(multi.image[0].numpy(), written.hu)


def test_two_phases_in_one_object_are_split(tmp_path: Path, written: Written) -> None:
    second = write_case(tmp_path / "second")
    for path in second.paths:
        ds = pydicom.dcmread(path)
        ds.AcquisitionNumber = 2
        ds.RescaleIntercept = "-1014"
        ds.save_as(path)
    write_enhanced(tmp_path / "multi" / "ct.dcm", [*written.paths, *second.paths])
    multi = read_series(tmp_path / "multi")
    np.testing.assert_array_equal(multi.image[0].numpy(), written.hu)
    assert "AcquisitionNumber 2 (22 slices) was not processed" in " ".join(multi.warnings)


def test_a_copy_of_the_file_is_a_duplicate(tmp_path: Path, written: Written) -> None:
    path = write_enhanced(tmp_path / "multi" / "ct.dcm", written.paths)
    shutil.copyfile(path, path.with_name("copy.dcm"))
    series = read_series(tmp_path / "multi")
    assert dict(series.skipped) == {"duplicate": 1}


def test_a_truncated_file_is_refused_by_name(tmp_path: Path, written: Written) -> None:
    path = write_enhanced(tmp_path / "multi" / "ct.dcm", written.paths)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"ct\.dcm: truncated pixel data"):
        read_series(tmp_path / "multi")


@pytest.mark.parametrize(
    ("keyword", "message"),
    [
        ("PerFrameFunctionalGroupsSequence", "functional groups for each"),
        ("SharedFunctionalGroupsSequence", "ImageOrientationPatient"),
        ("PixelData", "PixelData"),
    ],
)
def test_what_lacks_its_groups_is_refused(
    tmp_path: Path, written: Written, keyword: str, message: str
) -> None:
    path = write_enhanced(
        tmp_path / "multi" / "ct.dcm", written.paths, change=lambda ds: delattr(ds, keyword)
    )
    with pytest.raises(InputError, match=message) as caught:
        read_series(tmp_path / "multi")
    assert str(path) in str(caught.value)


def test_a_frame_without_rescale_is_refused(tmp_path: Path, written: Written) -> None:
    def strip(ds: Dataset) -> None:
        del ds.PerFrameFunctionalGroupsSequence[4].PixelValueTransformationSequence

    write_enhanced(tmp_path / "multi" / "ct.dcm", written.paths, change=strip)
    with pytest.raises(InputError, match="RescaleSlope"):
        read_series(tmp_path / "multi")


def test_segmentation_refers_to_the_frames(tmp_path: Path) -> None:
    written = write_case(tmp_path / "single", CASES["reversed"])
    path = write_enhanced(tmp_path / "multi" / "ct.dcm", written.paths)
    series = read_series(tmp_path / "multi")
    segmented = (series.image[0].numpy() > 500).astype(np.uint8)
    segments = [Segment(1, "Left kidney", KIDNEY, Side.LEFT, 1.0)]
    build_seg(Origin(series, "test", "1"), segmented, segments).save_as(tmp_path / "seg.dcm")

    source = pydicom.dcmread(path)
    seg = hd.seg.segread(tmp_path / "seg.dcm")
    assert seg.get_source_image_uids() == [
        (source.StudyInstanceUID, source.SeriesInstanceUID, source.SOPInstanceUID)
    ]
    for frame in seg.PerFrameFunctionalGroupsSequence:
        (reference,) = frame.DerivationImageSequence[0].SourceImageSequence
        assert reference.ReferencedSOPClassUID == EnhancedCTImageStorage
        groups = source.PerFrameFunctionalGroupsSequence[reference.ReferencedFrameNumber - 1]
        np.testing.assert_allclose(
            frame.PlanePositionSequence[0].ImagePositionPatient,
            groups.PlanePositionSequence[0].ImagePositionPatient,
        )
    numbers = range(1, source.NumberOfFrames + 1)
    found = seg.get_pixels_by_source_frame(
        source.SOPInstanceUID,
        list(numbers),
        assert_missing_frames_are_empty=True,
        combine_segments=True,
    )
    np.testing.assert_array_equal(found.transpose(2, 1, 0), written.hu > 500)


def test_no_reference_names_a_frame_as_an_object(tmp_path: Path, written: Written) -> None:
    write_enhanced(tmp_path / "multi" / "ct.dcm", written.paths)
    series = read_series(tmp_path / "multi")
    segmented = (series.image[0].numpy() > 500).astype(np.uint8)
    segments = [Segment(1, "Left kidney", KIDNEY, Side.LEFT, 1.0)]
    seg = build_seg(Origin(series, "test", "1"), segmented, segments)
    text = str(seg)
    assert not any(uid in text for uid in series.frames)


def test_every_result_refers_to_the_frames(tmp_path: Path, written: Written) -> None:
    path = write_enhanced(tmp_path / "multi" / "ct.dcm", written.paths)
    outputs = ("labelmap", "seg", "rtstruct", "sr", "pdf", "sc")
    settings = Settings(
        Choice(tmp_path, "kidney_x", "tumor_x", torch.device("cpu")), outputs=outputs
    )
    series = read_series(path.parent)
    pred = MetaTensor((series.image.as_tensor() > 500).byte(), affine=series.image.affine)
    with all_at_once(tmp_path / "out") as place:
        place.write(series, as_found(series, pred, settings), settings, {})
    objects = sorted((tmp_path / "out").glob("*.dcm"))
    assert len(objects) == len(outputs)
    source = pydicom.dcmread(path).SOPInstanceUID
    for derived in objects:
        text = str(pydicom.dcmread(derived))
        assert not any(uid in text for uid in series.frames), derived.name
        assert source in text or derived.name.endswith(".sc.dcm")
