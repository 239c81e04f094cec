from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import trimesh

from renalseg.findings.mesh import Mesh, surface_of
from renalseg.geometry import Array, lps_to_ras, to_index, voxel_volume_mm3

SPACINGS = [(0.8, 0.8, 0.8), (0.7, 0.7, 1.5), (0.9, 0.9, 5.0)]


def grid(spacing: npt.ArrayLike, mm: float = 60) -> tuple[tuple[int, ...], Array]:
    """Shape and affine of an upright volume of so many mm a side, toward L, P and S."""
    steps = np.array(spacing)
    affine = np.diag([*(steps * [-1, -1, 1]), 1.0])
    affine[:3, 3] = (30, -12, -140)
    return tuple(np.rint(mm / steps).astype(int)), affine


def ball(shape: tuple[int, ...], spacing: npt.ArrayLike, radius: float) -> npt.NDArray[np.bool_]:
    at = (np.moveaxis(np.indices(shape), 0, -1) - (np.array(shape) - 1) / 2) * spacing
    return np.asarray(np.linalg.norm(at, axis=-1) < radius)


def as_trimesh(surface: Mesh) -> trimesh.Trimesh:
    return trimesh.Trimesh(surface.vertices, surface.faces, process=False)


@pytest.mark.parametrize("radius", [25, 10, 4])
@pytest.mark.parametrize("spacing", SPACINGS)
def test_a_surface_is_closed_and_holds_the_volume_of_its_voxels(
    spacing: tuple[float, ...], radius: float
) -> None:
    shape, affine = grid(spacing)
    mask = ball(shape, spacing, radius)
    mesh = as_trimesh(surface_of(mask, affine))
    assert mesh.is_watertight
    assert mesh.is_winding_consistent
    assert mesh.volume == pytest.approx(mask.sum() * voxel_volume_mm3(affine), rel=0.02)


def test_a_single_voxel_has_a_surface_of_its_volume() -> None:
    mask = np.zeros((9, 9, 9), bool)
    mask[4, 4, 4] = True
    mesh = as_trimesh(surface_of(mask, np.diag([0.7, 0.7, 1.5, 1])))
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(0.7 * 0.7 * 1.5, rel=0.1)


def test_a_segment_that_the_scan_cuts_is_closed_there() -> None:
    shape, affine = grid((0.8, 0.8, 1.5))
    mask = ball(shape, (0.8, 0.8, 1.5), 20)[..., shape[2] // 2 :]
    mesh = as_trimesh(surface_of(mask, affine))
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(mask.sum() * voxel_volume_mm3(affine), rel=0.02)


@pytest.mark.parametrize("spacing", SPACINGS)
def test_a_surface_is_smooth_and_near_the_true_one(spacing: tuple[float, ...]) -> None:
    shape, affine = grid(spacing)
    surface = surface_of(ball(shape, spacing, 20), affine)
    center = surface.vertices.mean(axis=0)
    distance = np.linalg.norm(surface.vertices - center, axis=1)
    assert np.abs(distance - 20).max() < 0.75
    mesh = as_trimesh(surface)
    # steps of voxels would have right angles
    assert np.degrees(mesh.face_adjacency_angles).max() < 20


@pytest.mark.parametrize("flip", [(1, 1, 1), (-1, 1, 1), (-1, -1, -1)])
def test_a_surface_lies_where_its_voxels_do_and_faces_outward(flip: tuple[int, ...]) -> None:
    turn = trimesh.transformations.euler_matrix(0.3, -0.4, 0.5)
    affine = turn @ np.diag([0.8, 0.9, 1.5, 1]) @ np.diag([*flip, 1])
    affine[:3, 3] = (30, -12, -140)
    mask = np.zeros((40, 36, 24), bool)
    mask[8:20, 10:16, 5:12] = True  # of unequal sides, off the middle
    surface = surface_of(mask, affine)
    index = to_index(lps_to_ras(affine), surface.vertices)
    np.testing.assert_allclose(index.min(axis=0), (7.5, 9.5, 4.5), atol=0.5)
    np.testing.assert_allclose(index.max(axis=0), (19.5, 15.5, 11.5), atol=0.5)
    assert as_trimesh(surface).volume > 0


def test_no_voxels_have_no_surface() -> None:
    with pytest.raises(ValueError, match="found none"):
        surface_of(np.zeros((4, 4, 4), bool), np.eye(4))
