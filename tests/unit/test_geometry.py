from __future__ import annotations

import numpy as np
import pytest

from renalseg.geometry import (
    affine_from_dicom,
    axis_codes,
    dicom_from_affine,
    lps_to_ras,
    slice_normal,
    spacing_of,
    to_index,
    to_world,
    voxel_volume_mm3,
)
from tests.factories.series import CASES, Case

AXIAL = (1, 0, 0, 0, 1, 0)


def test_pixel_spacing_is_between_rows_then_between_columns() -> None:
    affine = affine_from_dicom(AXIAL, (0, 0, 0), (1.1, 0.6), (0, 0, 2.5))
    np.testing.assert_allclose(spacing_of(affine), [0.6, 1.1, 2.5])


def test_patient_left_is_negative_x_in_ras() -> None:
    # In DICOM the first column of a supine axial slice lies on the patient's right.
    affine = affine_from_dicom(AXIAL, (-100, -50, 10), (1, 1), (0, 0, 2))
    np.testing.assert_allclose(to_world(affine, (0, 0, 0)), [100, 50, 10])
    np.testing.assert_allclose(to_world(affine, (1, 0, 0)), [99, 50, 10])
    np.testing.assert_allclose(to_world(affine, (0, 1, 0)), [100, 49, 10])
    np.testing.assert_allclose(to_world(affine, (0, 0, 1)), [100, 50, 12])


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("normal", ("L", "P", "S")),
        ("reversed", ("L", "P", "I")),
        ("coronal", ("L", "I", "P")),
        ("sagittal", ("P", "I", "R")),
        ("feet_first", ("R", "P", "S")),
        ("prone", ("R", "A", "S")),
        ("decubitus", ("P", "R", "S")),
    ],
)
def test_axis_codes(name: str, codes: tuple[str, str, str]) -> None:
    assert axis_codes(CASES[name].affine) == codes


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_dicom_and_affine_are_inverse(case: Case) -> None:
    geometry = dicom_from_affine(case.affine)
    np.testing.assert_allclose(geometry.orientation, case.orientation, atol=1e-12)
    np.testing.assert_allclose(geometry.pixel_spacing, case.pixel_spacing)
    np.testing.assert_allclose(geometry.slice_step @ slice_normal(case.orientation), case.step)
    np.testing.assert_allclose(affine_from_dicom(*geometry), case.affine, atol=1e-12)


def test_lps_to_ras_is_its_own_inverse() -> None:
    affine = CASES["oblique"].affine
    np.testing.assert_array_equal(lps_to_ras(lps_to_ras(affine)), affine)


def test_world_and_index_are_inverse() -> None:
    affine = CASES["oblique"].affine
    indices = np.array([[0, 0, 0], [3.5, 7, 11]])
    np.testing.assert_allclose(to_index(affine, to_world(affine, indices)), indices, atol=1e-12)


def test_voxel_volume_of_a_left_handed_grid_is_positive() -> None:
    assert voxel_volume_mm3(CASES["reversed"].affine) == pytest.approx(0.8 * 0.8 * 1.5)


def test_normal_of_a_coronal_plane_points_to_posterior() -> None:
    np.testing.assert_allclose(slice_normal((1, 0, 0, 0, 0, -1)), [0, 1, 0], atol=1e-15)
