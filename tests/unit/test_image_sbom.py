"""The bill of materials of the image, and the digests of the images that others make."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from renalseg import __version__
from renalseg.errors import ConfigError
from tools.image.digests import FILES, IMAGE, pin
from tools.image.sbom import bill, main

ROOT = Path(__file__).parents[2]
LOCK = f"""\
numpy==2.4.6 \\
    --hash=sha256:{"a" * 64} \\
    --hash=sha256:{"b" * 64}
torch==2.13.0+cpu \\
    --hash=sha256:{"c" * 64}
"""


def test_the_bill_has_packages_and_weights_with_their_hashes(tmp_path: Path) -> None:
    pytest.importorskip("cyclonedx_py")
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    (tmp_path / "cpu.lock").write_text(LOCK)
    for name in ("one.json", "two.json"):
        arguments = {"lock": tmp_path / "cpu.lock", "bundles": ROOT / "bundles"}
        main([f"--{key}={value}" for key, value in {**arguments, "out": tmp_path / name}.items()])
    text = (tmp_path / "one.json").read_text()
    assert text == (tmp_path / "two.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None

    content = json.loads(text)
    assert content["metadata"]["component"]["version"] == __version__
    parts = {part["name"]: part for part in content["components"]}
    assert parts["torch"]["purl"] == "pkg:pypi/torch@2.13.0%2Bcpu"
    (source,) = parts["numpy"]["externalReferences"]
    assert {each["content"][0] for each in source["hashes"]} == {"a", "b"}
    models = {name for name, part in parts.items() if part["type"] == "machine-learning-model"}
    assert models == {path.parent.name for path in (ROOT / "bundles").glob("*/SHA256SUMS")}
    sums = (ROOT / "bundles/tumor_unet/SHA256SUMS").read_text().splitlines()
    assert f"{parts['tumor_unet']['hashes'][0]['content']}  models/model.pt" in sums
    assert parts["tumor_unet"]["licenses"] == [{"license": {"id": "CC-BY-NC-SA-4.0"}}]


def test_a_folder_without_bundles_makes_no_bill(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="found none"):
        bill(tmp_path / "cpu.lock", tmp_path)


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A skopeo that answers with what stands in a file, and copies of the files with images."""
    program = tmp_path / "bin/skopeo"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ncat {tmp_path}/answer || exit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path / "answer"


@pytest.mark.skipif(os.name != "posix", reason="skopeo is a shell script here")
def test_digests_are_written_behind_all_tags_and_renewed(registry: Path) -> None:
    root = registry.parent
    for digit in "12":
        registry.write_text(f"sha256:{digit * 64}\n")
        assert len(pin(root)) == 4
        found = [match for name in FILES for match in IMAGE.findall((root / name).read_text())]
        assert {digest for _, digest in found} == {f"@sha256:{digit * 64}"}
    assert {image.split("/")[-1].split(":")[0] for image, _ in found} >= {"orthanc", "app"}


@pytest.mark.skipif(os.name != "posix", reason="skopeo is a shell script here")
def test_a_registry_that_does_not_answer_changes_nothing(registry: Path) -> None:
    with pytest.raises(ConfigError, match="Expected the digest of docker"):
        pin(registry.parent)
    assert all((registry.parent / name).read_text() == (ROOT / name).read_text() for name in FILES)
