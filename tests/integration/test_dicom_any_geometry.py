"""What lies anywhere in a series of any geometry comes back in the same voxels of the SEG."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor
from scipy.spatial.transform import Rotation

from renalseg.dicom.read.segmentation import read_seg
from renalseg.dicom.read.series import CTSeries, read_series
from renalseg.dicom.write.derived import Origin
from renalseg.dicom.write.seg import build_seg
from renalseg.findings.segments import split_segments
from renalseg.geometry import to_world
from renalseg.grids import Grid
from renalseg.labels import KIDNEY, LATERALITY, Segment, Side
from tests.factories.limits import SIDES
from tests.factories.stacks import AIR_HU, Stack, stack_of, write_stack

MARKER_HU = 40  # soft tissue
KIDNEYS = [Segment(1, "Left kidney", KIDNEY, Side.LEFT, 1.0)]


class Marked(NamedTuple):
    """A series with one bright voxel."""

    stack: Stack
    voxel: tuple[int, int, int]  # column, row, number of the file

    @property
    def place(self) -> npt.NDArray[np.float64]:
        """World coordinates (3,) of the marker, RAS mm."""
        column, row, number = self.voxel
        return self.stack.world(number)[column, row]


@st.composite
def rotations(draw: st.DrawFn) -> npt.NDArray[np.float64]:
    """Axial, coronal and sagittal in every direction, and anything between them."""
    main = Rotation.create_group("O")[draw(st.integers(0, 23))]
    angles = draw(st.one_of(st.just((0, 0, 0)), st.tuples(*[st.floats(-0.8, 0.8)] * 3)))
    return (Rotation.from_euler("xyz", angles) * main).as_matrix()


@st.composite
def steps(draw: st.DrawFn) -> list[float]:
    """Even, not quite even, of two spacings, or with slices out of place; never with a gap."""
    usual = draw(st.floats(0.5, 6.0))
    kind = draw(st.sampled_from(["even", "jitter", "change", "anyhow"]))
    if kind == "change":
        other = usual * draw(st.floats(0.3, 3.0))
        return [usual] * draw(st.integers(6, 9)) + [other] * draw(st.integers(6, 9))
    count = draw(st.integers(1, 10))
    spread = {"even": 0.0, "jitter": 0.005, "anyhow": 0.19}[kind]
    return [usual * (1 + draw(st.floats(-spread, spread))) for _ in range(count)]


@st.composite
def marked_series(draw: st.DrawFn) -> Marked:
    mm = st.floats(0.4, 2.0)
    stack = stack_of(
        draw(rotations()),
        draw(steps()),
        pixel_spacing=(draw(mm), draw(mm)),
        size=(draw(st.integers(2, 7)), draw(st.integers(2, 7))),
        tilt_degrees=draw(st.one_of(st.just(0.0), st.floats(0, 30))),
        tilt_direction=draw(st.floats(0, 2 * np.pi)),
        corner=draw(st.tuples(*[st.floats(-300, 300)] * 3)),
    )
    stack = stack.shuffled(draw(st.permutations(range(stack.shape[2]))))
    column, row, number = (draw(st.integers(0, n - 1)) for n in stack.shape)
    return Marked(stack, (column, row, number))


def read_marked(folder: Path, marked: Marked) -> tuple[CTSeries, list[str]]:
    """Write and read a series; give it and the SOP instance UIDs of its files."""
    hu = np.full(marked.stack.shape, AIR_HU, dtype=np.int16)
    hu[marked.voxel] = MARKER_HU
    paths = write_stack(folder, marked.stack, hu)
    return read_series(folder), [pydicom.dcmread(path).SOPInstanceUID for path in paths]


def check(marked: Marked) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        series, uids = read_marked(folder / "ct", marked)
        labels = (series.image[0].numpy() == MARKER_HU).astype(np.uint8)
        _check_place(series, labels, marked)
        seg = build_seg(Origin(series, "any", "0.1.0"), series.to_slices(labels), KIDNEYS)
        seg.save_as(folder / "seg.dcm")
        _check_seg(pydicom.dcmread(folder / "seg.dcm"), uids, marked)


def _check_place(series: CTSeries, labels: npt.NDArray[np.uint8], marked: Marked) -> None:
    """The image shows the marker once, where it lies in the patient, on axes at right angles."""
    (voxel,) = np.argwhere(labels)
    affine = series.image.affine.numpy()
    steps = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    np.testing.assert_allclose(steps.T @ steps, np.eye(3), atol=2e-3)
    # half a pixel in the plane; half a millimeter, or half of a quarter of a step, above it
    off = steps.T @ (to_world(affine, voxel) - marked.place)
    pixel = np.array(marked.stack.pixel_spacing[::-1])
    assert (np.abs(off[:2]) <= 0.51 * pixel).all()
    extent = float(np.ptp(marked.stack.positions * [-1, -1, 1] @ steps[:, 2]))
    assert abs(off[2]) <= max(0.51, 0.13 * extent / (marked.stack.shape[2] - 1))


def _check_seg(seg: pydicom.Dataset, uids: list[str], marked: Marked) -> None:
    """The SEG has one frame, on the marker's slice, with one pixel, at its row and column."""
    column, row, number = marked.voxel
    (frame,) = seg.PerFrameFunctionalGroupsSequence
    (reference,) = frame.DerivationImageSequence[0].SourceImageSequence
    assert reference.ReferencedSOPInstanceUID == uids[number]
    position = np.array(frame.PlanePositionSequence[0].ImagePositionPatient, dtype=float)
    np.testing.assert_allclose(position, marked.stack.positions[number], atol=1e-4)
    shared = seg.SharedFunctionalGroupsSequence[0]
    orientation = shared.PlaneOrientationSequence[0].ImageOrientationPatient
    np.testing.assert_allclose(orientation, marked.stack.orientation, atol=1e-6)
    spacing = shared.PixelMeasuresSequence[0].PixelSpacing
    np.testing.assert_allclose(spacing, marked.stack.pixel_spacing, atol=1e-6)
    pixels = seg.pixel_array.reshape(seg.Rows, seg.Columns)
    assert np.argwhere(pixels).tolist() == [[row, column]]


@given(marked_series())
def test_a_marker_comes_back_in_its_voxel(marked: Marked) -> None:
    check(marked)


@pytest.mark.slow
@settings(max_examples=200)
@given(marked_series())
def test_many_markers_come_back_in_their_voxels(marked: Marked) -> None:
    check(marked)


# Segmentations read back


@pytest.mark.parametrize("steps", [[2.0] * 15, [1.5] * 8 + [3.0] * 7], ids=["even", "uneven"])
@pytest.mark.parametrize("tilt", [0, 20])
def test_a_segmentation_is_read_back_on_the_grid_of_the_image(
    tmp_path: Path, steps: list[float], tilt: float
) -> None:
    stack = stack_of(np.eye(3), steps, pixel_spacing=(1.1, 0.9), tilt_degrees=tilt)
    column, row, slice_ = np.indices(stack.shape)
    hu = np.full(stack.shape, AIR_HU, dtype=np.int16)
    hu[(abs(column - 9) < 4) & (abs(row - 12) < 5) & (abs(slice_ - 8) < 5)] = MARKER_HU
    write_stack(tmp_path / "ct", stack, hu)
    series = read_series(tmp_path / "ct")
    expected = (series.image[0].numpy() > (AIR_HU + MARKER_HU) / 2).astype(np.uint8)
    build_seg(Origin(series, "any", "0.1.0"), series.to_slices(expected), KIDNEYS).save_as(
        tmp_path / "ct.seg.dcm"
    )
    found = read_seg(tmp_path / "ct.seg.dcm", Grid.of(series.image))
    # nearest frame and interpolation differ at most on the edge, between source slices
    on_slices = np.zeros(found.shape, dtype=bool)
    on_slices[:, :, series.planes.levels] = True
    np.testing.assert_array_equal(found[on_slices], expected[on_slices])
    assert np.abs(found.sum() / expected.sum() - 1) < 0.06


def test_a_segmentation_of_tilted_slices_is_read_on_any_grid(tmp_path: Path) -> None:
    stack = stack_of(np.eye(3), [2.0] * 15, pixel_spacing=(1.1, 0.9), tilt_degrees=20)
    ball_at = stack.world(7)[12, 10]
    world = np.stack([stack.world(index) for index in range(16)], axis=2)
    hu = np.where(np.linalg.norm(world - ball_at, axis=-1) < 7, MARKER_HU, AIR_HU)
    write_stack(tmp_path / "ct", stack, hu.astype(np.int16))
    series = read_series(tmp_path / "ct")
    labels = (series.image[0].numpy() == MARKER_HU).astype(np.uint8)
    build_seg(Origin(series, "any", "0.1.0"), series.to_slices(labels), KIDNEYS).save_as(
        tmp_path / "ct.seg.dcm"
    )

    affine = np.diag([-0.5, 0.5, 0.5, 1.0])
    affine[:3, 3] = ball_at - [-10, 10, 10]
    upright = np.moveaxis(np.indices((41, 41, 41)), 0, -1)
    ball = np.linalg.norm(to_world(affine, upright) - ball_at, axis=-1) < 7
    found = read_seg(tmp_path / "ct.seg.dcm", Grid((41, 41, 41), affine)) > 0
    assert 2 * (found & ball).sum() / (found.sum() + ball.sum()) > 0.93


# Left and right


def turned(about: str, degrees: float) -> npt.NDArray[np.float64]:
    return Rotation.from_euler(about, degrees, degrees=True).as_matrix()


LYING = {
    "supine": turned("z", 0),
    "prone": turned("z", 180),
    "feet first": turned("y", 180),
    "on the left": turned("z", 90),
    "on the right": turned("z", -90),
    "coronal": turned("x", -90),
    "sagittal": turned("xz", [-90, 90]),  # type: ignore[arg-type]
    "oblique": turned("xyz", [20, 30, -40]),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("tilt", [0, 25])
@pytest.mark.parametrize("lying", LYING.values(), ids=LYING)
def test_sides_are_those_of_the_patient(
    tmp_path: Path, lying: npt.NDArray[np.float64], tilt: float
) -> None:
    steps = [2.0] * 8 + [3.0] * 7
    stack = stack_of(lying, steps, pixel_spacing=(1.6, 1.3), size=(28, 24), tilt_degrees=tilt)
    world = np.stack([stack.world(index) for index in range(len(stack.positions))], axis=2)
    offset = world - world.reshape(-1, 3).mean(axis=0)
    hu = np.full(stack.shape, AIR_HU, dtype=np.int16)
    hu[np.abs(offset).max(axis=-1) < 14] = 40
    kidneys = {  # RAS: x grows to the right; the left one is the larger
        Side.LEFT: np.linalg.norm(offset - [-7, -2, 1], axis=-1) < 5,
        Side.RIGHT: np.linalg.norm(offset - [7, -2, 1], axis=-1) < 4,
    }
    for where in kidneys.values():
        hu[where] = 200
    write_stack(tmp_path / "ct", stack, hu)

    series = read_series(tmp_path / "ct")
    found = MetaTensor((series.image.as_tensor() == 200).byte(), affine=series.image.affine)
    numbers, segments = split_segments(found, series.image, sides=SIDES)
    build_seg(Origin(series, "any", "0.1.0"), series.to_slices(numbers), segments).save_as(
        tmp_path / "seg.dcm"
    )
    seg = pydicom.dcmread(tmp_path / "seg.dcm")
    for item, (side, where) in zip(seg.SegmentSequence, kidneys.items(), strict=True):
        organ = item.SegmentedPropertyTypeCodeSequence[0]
        code = organ.SegmentedPropertyTypeModifierCodeSequence[0].CodeValue
        assert code == LATERALITY[side].value
        np.testing.assert_array_equal(pixels_of(seg, item.SegmentNumber, stack), where)


def pixels_of(seg: pydicom.Dataset, number: int, stack: Stack) -> npt.NDArray[np.bool_]:
    """Pixels (X, Y, S) of a segment on the slices of a stack, placed by position alone."""
    found = np.zeros(stack.shape, dtype=bool)
    for frame, pixels in zip(seg.PerFrameFunctionalGroupsSequence, seg.pixel_array, strict=True):
        if frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber == number:
            position = np.array(frame.PlanePositionSequence[0].ImagePositionPatient, dtype=float)
            distance = np.linalg.norm(stack.positions - position, axis=1)
            assert distance.min() < 1e-4
            found[:, :, distance.argmin()] = pixels.T
    return found
