"""Contours of a structure set, filled again by a rule of its own and placed by position alone."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import nibabel as nib
import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from matplotlib.path import Path as Polygon
from pydicom.dataset import Dataset
from scipy.spatial.transform import Rotation

from renalseg.dicom.read.series import CTSeries, read_series
from renalseg.dicom.write.derived import Origin
from renalseg.dicom.write.rtstruct import build_rtstruct
from renalseg.geometry import to_index, to_world
from renalseg.labels import LABELS, Segment
from tests.factories.series import CASES, write_case
from tests.factories.stacks import Stack, stack_of, write_stack
from tests.integration.test_dicom_seg import SEGMENTS, errors_of, segment_map

Volume = npt.NDArray[np.uint8]


def save(series: CTSeries, segmented: Volume, out: Path) -> Dataset:
    """Write and read a structure set of segment numbers (columns, rows, S)."""
    build_rtstruct(Origin(series, "sehdc", "0.1.0"), segmented, SEGMENTS).save_as(out)
    return pydicom.dcmread(out)


def filled(structures: Dataset, sources: Mapping[str, Dataset], number: int) -> npt.NDArray:
    """Voxels (columns, rows, S) whose centers lie in the contours of a region."""
    slices = {uid: index for index, uid in enumerate(sources)}
    first = next(iter(sources.values()))
    shape = (first.Columns, first.Rows, len(sources))
    mask = np.zeros(shape, bool)
    centers = np.indices(shape[:2]).reshape(2, -1).T
    (region,) = (r for r in structures.ROIContourSequence if r.ReferencedROINumber == number)
    for contour in region.ContourSequence:
        assert contour.ContourGeometricType == "CLOSED_PLANAR"
        points = np.array(contour.ContourData, float).reshape(-1, 3)
        assert len(points) == contour.NumberOfContourPoints >= 3
        uid = contour.ContourImageSequence[0].ReferencedSOPInstanceUID
        source = sources[uid]
        offset = points - np.array(source.ImagePositionPatient, float)
        row, column = np.array(source.ImageOrientationPatient, float).reshape(2, 3)
        assert np.abs(offset @ np.cross(row, column)).max() < 2e-3  # on the plane of its slice
        place = np.stack([offset @ row, offset @ column], axis=1) / source.PixelSpacing[::-1]
        inside = Polygon(place).contains_points(centers).reshape(shape[:2])
        assert not (inside & mask[..., slices[uid]]).any()  # whoever joins them gets the same
        mask[..., slices[uid]] |= inside
    return mask


def dice(one: npt.NDArray, other: npt.NDArray) -> float:
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))


def sources_of(series: CTSeries, paths: list[Path]) -> dict[str, Dataset]:
    """The source files by UID, in the order of the series."""
    read = {(header := pydicom.dcmread(path)).SOPInstanceUID: header for path in paths}
    return {header.SOPInstanceUID: read[header.SOPInstanceUID] for header in series.headers}


@pytest.mark.parametrize("name", CASES)
def test_contours_give_the_voxels_back(tmp_path: Path, name: str) -> None:
    written = write_case(tmp_path / "ct", CASES[name])
    series = read_series(written.folder)
    segmented = segment_map(series)
    structures = save(series, segmented, tmp_path / "rt.dcm")
    sources = sources_of(series, written.paths)
    for segment in SEGMENTS:
        found = filled(structures, sources, segment.number)
        assert dice(found, segmented == segment.number) == 1


def shells(stack: Stack) -> Volume:
    """A shell with an island in its hole, a ball with two holes, and a lone voxel beside it."""
    world = np.stack([stack.world(index) for index in range(stack.shape[2])], axis=2)
    offset = world - world.reshape(-1, 3).mean(axis=0)

    def far(center: tuple[float, float, float]) -> npt.NDArray:
        return np.linalg.norm(offset - center, axis=-1)

    segmented = np.zeros(stack.shape, np.uint8)
    segmented[(far((-9, 0, 0)) < 8) & (far((-9, 0, 0)) > 4)] = 1
    segmented[far((-9, 0, 0)) < 2] = 1
    segmented[far((9, 0, 0)) < 8] = 2
    segmented[far((6, 1, 0)) < 2] = 0
    segmented[far((12, -1, 0)) < 2.5] = 3
    segmented[0, 0, 4] = segmented[1, 1, 4] = 3
    return segmented


ROTATIONS = {
    "upright": np.eye(3),
    "oblique": Rotation.from_euler("xyz", [20, 30, -40], degrees=True).as_matrix(),
}


@pytest.mark.parametrize("steps", [[2.0] * 15, [1.5] * 8 + [3.0] * 7], ids=["even", "uneven"])
@pytest.mark.parametrize("tilt", [0, 20])
@pytest.mark.parametrize("rotation", ROTATIONS.values(), ids=ROTATIONS)
def test_holes_and_islands_come_back_on_any_slices(
    tmp_path: Path, rotation: npt.NDArray, tilt: float, steps: list[float]
) -> None:
    stack = stack_of(
        rotation, steps, pixel_spacing=(1.1, 0.9), size=(48, 30), tilt_degrees=tilt
    ).shuffled([*range(8, 16), *range(8)])
    hu = np.full(stack.shape, 40, np.int16)
    hu[:2] = -1000
    paths = write_stack(tmp_path / "ct", stack, hu)
    series = read_series(tmp_path / "ct")
    sources = sources_of(series, paths)
    order = [paths.index(Path(header.filename)) for header in sources.values()]
    segmented = shells(stack)[..., order]
    structures = save(series, segmented, tmp_path / "rt.dcm")
    for segment in SEGMENTS:
        found = filled(structures, sources, segment.number)
        assert dice(found, segmented == segment.number) == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["normal", "reversed", "anisotropic", "prone", "feet_first"])
def test_plastimatch_reads_the_same_voxels(tmp_path: Path, name: str) -> None:
    program = shutil.which("plastimatch")
    if program is None:
        pytest.skip("plastimatch is not installed")
    written = write_case(tmp_path / "ct", CASES[name])
    series = read_series(written.folder)
    segmented = segment_map(series)
    save(series, segmented, tmp_path / "rt.dcm")
    places = ["--input", tmp_path / "rt.dcm", "--referenced-ct", written.folder]
    wanted = ["--output-prefix", tmp_path / "out", "--prefix-format", "nii.gz"]
    subprocess.run([program, "convert", *places, *wanted], check=True, capture_output=True)
    for segment in SEGMENTS:
        image = nib.load(tmp_path / "out" / f"{segment.label}.nii.gz")
        indices = np.argwhere(np.asarray(image.dataobj))
        ours = to_index(series.image.affine.numpy(), to_world(image.affine, indices))
        nearest = np.rint(ours).astype(int)
        np.testing.assert_allclose(ours, nearest, atol=1e-3)
        assert (segmented[tuple(nearest.T)] == segment.number).all()
        assert len(indices) == np.count_nonzero(segmented == segment.number)


def test_names_colors_codes_and_references(tmp_path: Path) -> None:
    written = write_case(tmp_path / "ct")
    series = read_series(written.folder)
    structures = save(series, segment_map(series), tmp_path / "rt.dcm")
    header = series.headers[0]
    (frame,) = structures.ReferencedFrameOfReferenceSequence
    (study,) = frame.RTReferencedStudySequence
    (source,) = study.RTReferencedSeriesSequence
    assert frame.FrameOfReferenceUID == structures.FrameOfReferenceUID == header.FrameOfReferenceUID
    assert study.ReferencedSOPInstanceUID == structures.StudyInstanceUID == header.StudyInstanceUID
    assert source.SeriesInstanceUID == header.SeriesInstanceUID
    listed = {item.ReferencedSOPInstanceUID for item in source.ContourImageSequence}
    assert listed == {each.SOPInstanceUID for each in series.headers}

    names = [item.ROIName for item in structures.StructureSetROISequence]
    assert names == [segment.label for segment in SEGMENTS]
    shown = [tuple(item.ROIDisplayColor) for item in structures.ROIContourSequence]
    assert shown == [segment.rgb for segment in SEGMENTS]
    for segment, item in zip(SEGMENTS, structures.RTROIObservationsSequence, strict=True):
        check_codes(segment, item)


def check_codes(segment: Segment, item: Dataset) -> None:
    info = LABELS[segment.kind]
    (category,), (kind,) = (
        item.SegmentedPropertyCategoryCodeSequence,
        item.RTROIIdentificationCodeSequence,
    )
    assert category.CodeValue == info.category.value
    assert (kind.CodeValue, kind.CodingSchemeDesignator) == (info.type.value, "SCT")
    if info.region is None:
        (side,) = kind.SegmentedPropertyTypeModifierCodeSequence
    else:
        (region,) = item.AnatomicRegionSequence
        assert region.CodeValue == info.region.value
        (side,) = region.AnatomicRegionModifierSequence
    assert side.CodeMeaning.lower() == segment.side.value
    assert item.RTROIInterpretedType == ("ORGAN" if info.name == "kidney" else "")


def test_dciodvfy_finds_no_error(tmp_path: Path) -> None:
    series = read_series(write_case(tmp_path / "ct").folder)
    save(series, segment_map(series), tmp_path / "rt.dcm")
    assert errors_of(tmp_path / "rt.dcm") == []
