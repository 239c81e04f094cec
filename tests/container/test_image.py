"""The image as platforms run it: hardened, past its entry point, and as a mercure module."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pydicom
import pytest

from renalseg import __version__
from tests.factories.containers import HARDENED, Engine
from tests.factories.dockerfile import variables

ROOT = Path(__file__).parents[2]
INPUT, OUTPUT = "/var/holoscan/input", "/var/holoscan/output"
SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
pytestmark = pytest.mark.slow


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """A folder that the user of the container may write to."""
    return owned(tmp_path / "output", 1000)


def owned(folder: Path, user: int) -> Path:
    folder.mkdir()
    for path in (*folder.parents[:3], folder):
        path.chmod(path.stat().st_mode | 0o755)
    os.chown(folder, user, user)
    return folder


def mounts(study: Path, output: Path) -> tuple[str, str]:
    return (f"--volume={study}:{INPUT}:ro", f"--volume={output}:{OUTPUT}")


def segmentation(output: Path) -> Path:
    (path,) = output.glob("*.seg.dcm")
    assert pydicom.dcmread(path, stop_before_pixels=True).SOPClassUID == SEGMENTATION
    return path


def result(output: Path) -> dict[str, Any]:
    return json.loads((output / "result.json").read_text())


@pytest.fixture(scope="session")
def reference(
    engine: Engine, image: str, study: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The output of the container as its entry point makes it."""
    output = owned(tmp_path_factory.mktemp("reference") / "output", 1000)
    done = engine.run(image, flags=(*HARDENED, *mounts(study, output)))
    assert done.returncode == 0, done.stderr
    return output


def test_the_hardened_container_segments_the_sample(reference: Path) -> None:
    path = segmentation(reference)
    assert path.stat().st_uid == 1000
    assert result(reference)["version"] == __version__
    assert not list(reference.glob(".*"))


def test_a_refused_input_ends_with_2_and_leaves_nothing(
    engine: Engine, image: str, tmp_path: Path, output: Path
) -> None:
    study = owned(tmp_path / "study", 0)
    (study / "notes.txt").write_text("no DICOM")
    done = engine.run(image, flags=(*HARDENED, *mounts(study, output)))
    assert done.returncode == 2, done.stderr
    assert "renalseg: error:" in done.stderr
    assert list(output.iterdir()) == []


def test_past_the_entry_point_as_monai_deploy_express_runs_it(
    engine: Engine, image: str, study: Path, reference: Path, tmp_path: Path, output: Path
) -> None:
    """Input is nested, with a JSON file beside each image."""
    nested = owned(tmp_path / "payload", 0) / "dcm" / "study" / "series"
    shutil.copytree(study, nested)
    for path in list(nested.iterdir()):
        path.with_name(f"{path.name}.json").write_text("{}")
    done = engine.run(
        image,
        "cd /var/holoscan && exec python3 -P -u /opt/holoscan/app/",
        flags=(
            "--user=1000:1000", '--entrypoint=["/bin/bash","-c"]',
            f"--env=HOLOSCAN_INPUT_PATH={INPUT}/", f"--env=HOLOSCAN_OUTPUT_PATH={OUTPUT}/",
            "--env=HOLOSCAN_MODEL_PATH=/opt/holoscan/models/",
            *mounts(tmp_path / "payload", output),
        ),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert segmentation(output).read_bytes() == segmentation(reference).read_bytes()


def test_as_a_module_of_mercure(
    engine: Engine, image: str, study: Path, reference: Path, tmp_path: Path
) -> None:
    """Under a user that the image does not know; flat, with .tags and task.json beside."""
    flat = owned(tmp_path / "in", 0)
    output = owned(tmp_path / "out", 10101)
    for path in study.iterdir():
        shutil.copy(path, flat / f"{path.stem}#{path.stem}.dcm")
        (flat / f"{path.stem}#{path.stem}.tags").write_text('{"Modality": "CT"}')
    (flat / "task.json").write_text('{"id": "1", "process": {"settings": {}}}')
    names = {
        "MERCURE_IN_DIR": "/tmp/data", "MERCURE_OUT_DIR": "/tmp/output",
        "HOLOSCAN_INPUT_PATH": "/tmp/data", "HOLOSCAN_OUTPUT_PATH": "/tmp/output",
    }  # fmt: skip
    done = engine.run(
        image,
        flags=(
            "--user=10101:10101", *(f"--env={name}={value}" for name, value in names.items()),
            f"--volume={flat}:/tmp/data", f"--volume={output}:/tmp/output",
        ),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert segmentation(output).read_bytes() == segmentation(reference).read_bytes()
    notification = result(output)["__mercure_notification"]
    assert f"RenalSeg {__version__}" in notification["text"]
    assert isinstance(notification["requested"], bool)


def test_mercure_does_not_take_it_for_a_package_that_needs_root(engine: Engine, image: str) -> None:
    done = engine.run(image, "/etc/monai/app.json", flags=(*HARDENED, "--entrypoint=cat"))
    assert done.returncode != 0


@pytest.mark.parametrize(("name", "field"), [("app", "command"), ("pkg", "models")])
def test_show_prints_the_manifests(engine: Engine, image: str, name: str, field: str) -> None:
    done = engine.run(image, "show", name)
    manifest = json.loads(done.stdout)
    assert manifest["version"] == __version__
    assert manifest[field]


def test_the_image_asks_for_no_gpu_and_has_the_bundles(engine: Engine, image: str) -> None:
    manifest = json.loads(engine.run(image, "show", "pkg").stdout)
    assert manifest["resources"]["gpu"] == 0
    names = sorted(path.parent.name for path in (ROOT / "bundles").glob("*/SHA256SUMS"))
    assert sorted(manifest["models"]) == names
    done = engine.run(image, *manifest["models"].values(), flags=(*HARDENED, "--entrypoint=ls"))
    assert done.returncode == 0, done.stderr


def test_extract_copies_models_to_a_mounted_folder(
    engine: Engine, image: str, tmp_path: Path
) -> None:
    export = owned(tmp_path / "export", 1000)
    owned(export / "models", 1000)
    flags = (*HARDENED, f"--volume={export}:/var/run/holoscan/export")
    done = engine.run(image, "extract", flags=flags)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in export.iterdir()] == ["models"]
    assert (export / "models/kidney_sehdc/models/model.pt").read_bytes() == (
        ROOT / "bundles/kidney_sehdc/models/model.pt"
    ).read_bytes()


def test_the_image_says_what_the_dockerfile_says(engine: Engine, image: str) -> None:
    (found,) = json.loads(engine.podman("image", "inspect", image).stdout)
    config = found["Config"]
    environment = dict(variable.split("=", 1) for variable in config["Env"])
    expected = variables(ROOT / "Dockerfile", "ENV")
    assert {name: environment[name] for name in expected if name.endswith("_PATH")} == {
        name: value for name, value in expected.items() if name.endswith("_PATH")
    }
    assert config["User"] == "1000:1000"
    assert config["Entrypoint"] == ["/var/holoscan/tools"]
    assert set(config["Labels"]) >= set(variables(ROOT / "Dockerfile", "LABEL"))
    assert config["Labels"]["org.monai.deploy.app-sdk"] == "4.0.0"


def test_the_image_has_the_other_commands_too(engine: Engine, image: str) -> None:
    done = engine.run(image, "--version", flags=(*HARDENED, "--entrypoint=renalseg"))
    assert done.stdout.strip() == __version__


def test_the_bill_of_materials_is_what_is_installed(engine: Engine, image: str) -> None:
    """And no pip is, neither of the application's Python nor of the base's."""
    listed = (
        "import re; from importlib.metadata import distributions as found; "
        "print(*(re.sub('[-_.]+', '-', d.name).lower() + '==' + d.version for d in found()))"
    )
    done = engine.run(image, "-c", listed, flags=(*HARDENED, "--entrypoint=python3"))
    path = "/opt/holoscan/docs/sbom.cdx.json"
    bill = json.loads(engine.run(image, path, flags=(*HARDENED, "--entrypoint=cat")).stdout)
    packages = [part for part in bill["components"] if part["type"] == "library"]
    assert set(done.stdout.split()) == {
        f"{part['name']}=={part['version']}" for part in packages
    } | {f"renalseg=={__version__}"}
    for python in ("/opt/venv/bin/python3", "/usr/bin/python3"):
        flags = (*HARDENED, f"--entrypoint={python}")
        assert "No module named pip" in engine.run(image, "-m", "pip", flags=flags).stderr
