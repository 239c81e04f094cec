"""The manifests have the fields that ``holoscan package`` writes and ``holoscan run`` reads."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

from renalseg import __version__
from renalseg.errors import ConfigError
from tools.image.manifests import FOLDERS, application_manifest, package_manifest

ROOT = Path(__file__).parents[2]
CONFIG = {
    "method": "sehdc",
    "application": {"title": "RenalSeg", "inputFormats": ["file"], "outputFormats": ["file"]},
    "resources": {"cpu": 2, "memory": "4Gi", "gpu": 1, "gpuMemory": "6Gi"},
}
# holoscan-cli 4.2, packager/manifest_files.py
APP_FIELDS = {
    "apiVersion", "command", "environment", "input", "liveness", "output", "readiness", "sdk",
    "sdkVersion", "timeout", "version", "workingDirectory",
}  # fmt: skip
PKG_FIELDS = {
    "apiVersion", "applicationRoot", "modelRoot", "models", "resources", "version",
    "platformConfig",
}  # fmt: skip


@pytest.fixture
def environment() -> dict[str, str]:
    """As of an image whose paths are not those of the shipped one."""
    paths = {name: f"/work/{name.lower()}" for name in FOLDERS}
    return {
        **paths,
        "HOLOSCAN_WORKDIR": "/work",
        "HOLOSCAN_INPUT_PATH": "/work/in",
        "HOLOSCAN_APPLICATION": "/srv/app",
        "HOLOSCAN_MODEL_PATH": "/srv/models",
        "HOLOSCAN_TIMEOUT": "60",
        "HOME": "/root",
    }


def write_bundle(folder: Path, name: str, **metadata: str) -> None:
    (folder / name / "configs").mkdir(parents=True)
    (folder / name / "configs" / "metadata.json").write_text(json.dumps(metadata))


def test_application_manifest_says_how_to_run(environment: dict[str, str]) -> None:
    manifest = application_manifest(CONFIG, environment)
    assert set(manifest) >= APP_FIELDS
    assert json.loads(manifest["command"]) == ["python3", "-u", "/srv/app"]
    assert manifest["environment"] == {name: environment[name] for name in FOLDERS}
    assert manifest["input"] == {"path": "in/", "formats": ["file"]}
    assert manifest["output"] == {"path": "holoscan_output_path/", "formats": ["file"]}
    assert manifest["workingDirectory"] == "/work"
    assert manifest["timeout"] == 60
    assert (manifest["readiness"], manifest["liveness"]) == (None, None)


def test_application_manifest_names_the_versions(environment: dict[str, str]) -> None:
    manifest = application_manifest(CONFIG, environment)
    assert (manifest["apiVersion"], manifest["version"]) == ("1.0.0", __version__)
    assert (manifest["sdk"], manifest["sdkVersion"]) == (
        "monai-deploy",
        version("monai-deploy-app-sdk"),
    )


def test_package_manifest_lists_the_bundles(environment: dict[str, str], tmp_path: Path) -> None:
    for name in ("tumor_b", "kidney_a"):
        write_bundle(tmp_path, name, version="1.2.3", task="find", monai_version="1.6.1", extra="x")
    (tmp_path / "README.md").touch()
    manifest = package_manifest(CONFIG, environment, tmp_path, gpu=True)
    assert set(manifest) >= PKG_FIELDS
    assert manifest["applicationRoot"] == "/srv/app"
    assert manifest["modelRoot"] == "/srv/models"
    assert manifest["models"] == {
        "kidney_a": "/srv/models/kidney_a",
        "tumor_b": "/srv/models/tumor_b",
    }
    about = {"version": "1.2.3", "task": "find", "monai_version": "1.6.1"}
    assert manifest["bundles"] == {"kidney_a": about, "tumor_b": about}


@pytest.mark.parametrize(
    ("gpu", "resources", "platform"),
    [
        (True, {"cpu": 2, "memory": "4Gi", "gpu": 1, "gpuMemory": "6Gi"}, "dgpu"),
        (False, {"cpu": 2, "memory": "4Gi", "gpu": 0}, None),
    ],
)
def test_an_image_without_cuda_asks_for_no_gpu(
    gpu: bool,
    resources: dict[str, Any],
    platform: str | None,
    environment: dict[str, str],
    tmp_path: Path,
) -> None:
    write_bundle(tmp_path, "kidney_a", version="1", task="find", monai_version="1.6.1")
    manifest = package_manifest(CONFIG, environment, tmp_path, gpu=gpu)
    assert manifest["resources"] == resources
    assert manifest["platformConfig"] == platform


def test_a_missing_variable_is_named(environment: dict[str, str]) -> None:
    del environment["HOLOSCAN_LOGS_PATH"]
    with pytest.raises(ConfigError, match="HOLOSCAN_LOGS_PATH"):
        application_manifest(CONFIG, environment)


@pytest.mark.parametrize(
    ("config", "expected"),
    [({}, "section 'application'"), ({"application": {"title": ""}}, "application.title")],
)
def test_an_application_without_a_title_is_refused(
    config: dict[str, Any], expected: str, environment: dict[str, str]
) -> None:
    with pytest.raises(ConfigError, match=expected):
        application_manifest(config, environment)


def test_a_folder_without_bundles_is_refused(environment: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="found none"):
        package_manifest(CONFIG, environment, tmp_path, gpu=True)


def test_broken_metadata_is_refused_by_name(environment: dict[str, str], tmp_path: Path) -> None:
    write_bundle(tmp_path, "kidney_a")
    (tmp_path / "kidney_a/configs/metadata.json").write_text("{")
    with pytest.raises(ConfigError, match=r"kidney_a/configs/metadata\.json"):
        package_manifest(CONFIG, environment, tmp_path, gpu=True)


def test_the_shipped_configuration_and_bundles_are_enough(environment: dict[str, str]) -> None:
    config = yaml.safe_load((ROOT / "app/app.yaml").read_text())
    assert application_manifest(config, environment)["title"] == "RenalSeg"
    manifest = package_manifest(config, environment, ROOT / "bundles", gpu=True)
    assert len(manifest["models"]) == 11
    assert set(manifest["resources"]) == {"cpu", "memory", "gpu"}
