"""Segmentations for 3D Slicer, read by slicerio, which its developers maintain, and by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import slicerio

from renalseg.evaluation.predictions import file_in
from renalseg.geometry import lps_to_ras, to_index, to_world
from renalseg.labels import KIDNEY, LABELS, LATERALITY, Side, rgb_of
from renalseg.output.folder import read_result
from tests.factories.road import run_with
from tests.factories.series import CASES, write_case
from tests.factories.volumes import TURNS, drawn, save, turned
from tests.integration.test_volumes_run import Both


def read(out: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What slicerio reads, and what result.json says of the one study."""
    (path,) = out.glob("*.seg.nrrd")
    (study,) = read_result(out)["studies"]
    assert study["files"] == [path.name]
    return slicerio.read_segmentation(str(path)), study


def points_in_slicer(node: Any, segment_id: str) -> npt.NDArray[np.float64]:
    """Centers (N, 3) in RAS mm of the voxels of a segment, as Slicer places them."""
    import slicer
    from vtkmodules.util.numpy_support import vtk_to_numpy
    from vtkmodules.vtkCommonMath import vtkMatrix4x4

    mask, matrix = slicer.vtkOrientedImageData(), vtkMatrix4x4()
    node.GetBinaryLabelmapRepresentation(segment_id, mask)
    mask.GetImageToWorldMatrix(matrix)
    values = vtk_to_numpy(mask.GetPointData().GetScalars()).reshape(mask.GetDimensions()[::-1]).T
    to_ras = [[matrix.GetElement(row, column) for column in range(4)] for row in range(4)]
    return to_world(to_ras, np.argwhere(values) + mask.GetExtent()[::2])


@pytest.mark.parametrize("case", ["normal", "oblique", "reversed"])
def test_slicer_reads_names_colors_codes_and_voxels(tmp_path: Path, case: str) -> None:
    written = write_case(tmp_path / "in", CASES[case])
    run_with(tmp_path / "in", tmp_path / "out", Both(("seg.nrrd",)))
    found, study = read(tmp_path / "out")
    voxels, lps = found["voxels"], np.asarray(found["ijkToLPS"])
    for item, segment in zip(found["segments"], study["segments"], strict=True):
        kind, side, number = segment["kind"], Side(segment["side"]), segment["number"]
        info = LABELS[kind]
        assert (item["name"], item["labelValue"]) == (segment["label"], number)
        np.testing.assert_allclose(
            np.array(item["color"]) * 255, rgb_of(kind, side, number), atol=1e-2
        )
        words = item["terminology"]
        assert words["category"][:2] == ["SCT", info.category.value]
        assert words["type"][:2] == ["SCT", info.type.value]
        where = words["typeModifier"] if kind == KIDNEY else words["anatomicRegionModifier"]
        assert where[:2] == ["SCT", LATERALITY[side].value]
        if info.region is not None:
            assert words["anatomicRegion"][:2] == ["SCT", info.region.value]
        inside = np.argwhere(voxels == number)
        np.testing.assert_array_equal(
            np.reshape(item["extent"], (3, 2)).T, [inside.min(axis=0), inside.max(axis=0)]
        )
        expected = written.hu > 500 if kind != KIDNEY else (written.hu > 0) & (written.hu <= 500)
        index = to_index(written.affine, to_world(lps_to_ras(lps), inside))
        np.testing.assert_allclose(index, np.rint(index), atol=1e-3)
        assert expected[tuple(np.rint(index).astype(int).T)].all()
    assert (voxels > 0).sum() == (written.hu > 0).sum()


def test_a_volume_keeps_its_axes(tmp_path: Path) -> None:
    hu, affine = turned(*drawn(CASES["oblique"]), TURNS[13])
    save(tmp_path / "ct.nii.gz", hu, affine)
    run_with(tmp_path / "ct.nii.gz", tmp_path / "out", Both(("seg.nrrd",)))
    found, _ = read(tmp_path / "out")
    np.testing.assert_array_equal(found["voxels"] > 0, hu > 0)
    np.testing.assert_allclose(lps_to_ras(found["ijkToLPS"]), affine, atol=1e-4)


def test_segment_numbers_are_not_taken_for_labels(tmp_path: Path) -> None:
    save(tmp_path / "ct.nii.gz", *drawn())
    run_with(tmp_path / "ct.nii.gz", tmp_path / "out", Both(("nrrd", "seg.nrrd")))
    assert file_in(tmp_path / "out") == tmp_path / "out" / "ct.nrrd"


@pytest.mark.slow
@pytest.mark.parametrize("case", ["normal", "oblique"])
def test_slicers_own_libraries_load_it(tmp_path: Path, case: str) -> None:
    slicer = pytest.importorskip("slicer", reason="pip install slicer-core")
    save(tmp_path / "ct.nii.gz", *drawn(CASES[case]))
    run_with(tmp_path / "ct.nii.gz", tmp_path / "out", Both(("seg.nrrd",)))
    expected, study = read(tmp_path / "out")
    scene, node = slicer.vtkMRMLScene(), slicer.vtkMRMLSegmentationNode()
    scene.AddNode(node)
    storage = slicer.vtkMRMLSegmentationStorageNode()
    storage.SetFileName(str(tmp_path / "out" / "ct.seg.nrrd"))
    assert storage.ReadData(node)
    loaded = node.GetSegmentation()
    assert loaded.GetNumberOfSegments() == len(study["segments"])
    to_ras = lps_to_ras(np.asarray(expected["ijkToLPS"]))
    for index, segment in enumerate(study["segments"]):
        kind, side, number = segment["kind"], Side(segment["side"]), segment["number"]
        found = loaded.GetNthSegment(index)
        assert (found.GetName(), found.GetLabelValue()) == (segment["label"], number)
        color = np.array(rgb_of(kind, side, number)) / 255
        np.testing.assert_allclose(found.GetColor(), color, atol=1e-5)
        assert f"^{LABELS[kind].type.value}^" in found.GetTerminology()
        inside = to_world(to_ras, np.argwhere(expected["voxels"] == number))
        points = points_in_slicer(node, loaded.GetNthSegmentID(index))
        np.testing.assert_allclose(points, inside, atol=1e-6)
