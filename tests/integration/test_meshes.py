"""Surfaces of a run, of a DICOM series and of a volume, read as other programs read them."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh

from renalseg import settings
from renalseg.commands.main import main
from renalseg.errors import ConfigError
from renalseg.labels import KIDNEY, Side, rgb_of
from renalseg.output.folder import read_result
from renalseg.settings import Settings
from tests.factories.road import run_with
from tests.factories.series import CASES, write_case
from tests.factories.volumes import TURNS, drawn, save, turned
from tests.integration.test_volumes_run import Both

OUTPUTS = ("stl", "obj", "glb")


def study_of(out: Path) -> dict[str, Any]:
    (study,) = read_result(out)["studies"]
    return study


def gltf(path: Path) -> dict[str, Any]:
    """The description in a GLB file."""
    content = path.read_bytes()
    length = int.from_bytes(content[12:16], "little")
    return json.loads(content[20 : 20 + length])


@pytest.fixture(scope="module")
def series_out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("meshes")
    write_case(folder / "in", CASES["oblique"])
    run_with(folder / "in", folder / "out", Both(OUTPUTS))
    return folder / "out"


def test_each_segment_has_a_closed_surface_of_its_volume(series_out: Path) -> None:
    study = study_of(series_out)
    assert sorted(path.name for path in series_out.iterdir()) == sorted(
        [*study["files"], "result.json"]
    )
    (scene,) = series_out.glob("*.glb")
    for segment in study["segments"]:
        end = segment["label"].lower().replace(" ", "_")
        found = [
            trimesh.load(scene.with_name(f"{scene.stem}-{end}.{kind}")) for kind in OUTPUTS[:2]
        ]
        for mesh in found:
            assert mesh.is_watertight
            assert mesh.volume / 1000 == pytest.approx(segment["volume_ml"], rel=0.03)
        np.testing.assert_allclose(found[0].bounds, found[1].bounds, atol=1e-4)
    assert len(study["files"]) == 2 * len(study["segments"]) + 1


def test_slicer_is_told_that_files_are_in_lps(series_out: Path) -> None:
    for path in series_out.glob("*.stl"):
        assert b"SPACE=LPS" in path.read_bytes()[:80]
    for path in series_out.glob("*.obj"):
        assert path.read_text().startswith("# SPACE=LPS")


def test_a_scene_has_names_colors_and_the_patient_upright(series_out: Path) -> None:
    (path,) = series_out.glob("*.glb")
    study, content = study_of(series_out), gltf(path)
    labels = [segment["label"] for segment in study["segments"]]
    assert [material["name"] for material in content["materials"]] == labels
    assert {node["name"] for node in content["nodes"]} >= set(labels)
    for segment, material in zip(study["segments"], content["materials"], strict=True):
        *linear, alpha = material["pbrMetallicRoughness"]["baseColorFactor"]
        shown = [
            255 * (1.055 * value ** (1 / 2.4) - 0.055) for value in linear if value > 0.0031308
        ]
        rgb = rgb_of(segment["kind"], Side(segment["side"]), segment["number"])
        np.testing.assert_allclose(shown, rgb, atol=2)  # of 8 bits in linear light
        assert (alpha < 1) == (segment["kind"] == KIDNEY)
    scene = trimesh.load(path)
    for label in labels:
        in_mm = trimesh.load(path.with_name(f"{path.stem}-{label.lower().replace(' ', '_')}.stl"))
        x, y, z = in_mm.bounds.T / 1000  # L, P, S in meters
        moved = scene.geometry[label].copy().apply_transform(scene.graph.get(label)[0])
        np.testing.assert_allclose(moved.bounds.T, [x, z, sorted(-y)], atol=1e-6)
        assert moved.volume > 0


def test_a_volume_has_the_surfaces_of_its_series(tmp_path: Path) -> None:
    write_case(tmp_path / "dicom")
    run_with(tmp_path / "dicom", tmp_path / "one", Both(("stl",)))
    save(tmp_path / "ct.nii.gz", *turned(*drawn(), TURNS[29]))
    run_with(tmp_path / "ct.nii.gz", tmp_path / "two", Both(("stl",)))
    ones = sorted((tmp_path / "one").glob("*.stl"))
    twos = sorted((tmp_path / "two").glob("*.stl"))
    assert len(ones) == len(twos) >= 2
    for first, second in zip(ones, twos, strict=True):
        a, b = trimesh.load(first), trimesh.load(second)
        np.testing.assert_allclose(a.bounds, b.bounds, atol=1e-2)
        assert a.volume == pytest.approx(b.volume, rel=1e-3)


def test_a_new_result_takes_the_place_of_old_surfaces(tmp_path: Path) -> None:
    write_case(tmp_path / "in")
    run_with(tmp_path / "in", tmp_path / "out", Both(OUTPUTS))
    run_with(tmp_path / "in", tmp_path / "out", Both(("nifti",)))
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".gz", ".json"}


def test_without_the_packages_surfaces_are_refused_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def find(name: str) -> object:
        return None if name == "trimesh" else importlib.util.find_spec(name)

    monkeypatch.setattr(settings, "find_spec", find)
    assert main(["run", str(tmp_path), str(tmp_path / "out"), "--outputs", "glb"]) == 2
    assert "trimesh for stl, obj and glb, found none: pip install 'renalseg[mesh]'" in (
        capsys.readouterr().err
    )
    with pytest.raises(ConfigError, match="mesh"):
        Settings.resolve(outputs="stl")
    assert Settings.resolve(outputs="seg").outputs == ("seg",)
