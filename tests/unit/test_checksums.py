from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from renalseg.checksums import MANIFEST, check_manifest, write_manifest
from renalseg.cli import main
from renalseg.errors import ConfigError


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    root = tmp_path / "kidney_x"
    for name in ("configs/inference.yaml", "configs/metadata.json", "models/model.pt", "LICENSE"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return root


def test_a_manifest_lists_configs_and_models(bundle: Path) -> None:
    lines = write_manifest(bundle).read_text().splitlines()
    assert [line[66:] for line in lines] == [
        "configs/inference.yaml",
        "configs/metadata.json",
        "models/model.pt",
    ]
    # by sha256sum, of the text "models/model.pt"
    assert lines[2][:64] == "787ecc93c9cdc52133fbcc69fdc6ad7a9091c60a1dcc1b43798553d73c6ac4a3"
    assert check_manifest(bundle)


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="sha256sum is absent")
def test_sha256sum_agrees(bundle: Path) -> None:
    write_manifest(bundle)
    command = ["sha256sum", "--check", "--strict", MANIFEST]
    assert subprocess.run(command, cwd=bundle, capture_output=True).returncode == 0
    (bundle / "models" / "model.pt").write_text("other")
    assert subprocess.run(command, cwd=bundle, capture_output=True).returncode == 1


def test_without_a_manifest_there_is_nothing_to_check(bundle: Path) -> None:
    assert not check_manifest(bundle)


def change(root: Path) -> None:
    (root / "models" / "model.pt").write_text("other weights")


def remove(root: Path) -> None:
    (root / "models" / "model.pt").unlink()


def add(root: Path) -> None:
    (root / "models" / "model.pt").rename(root / "models" / "model.ts")
    shutil.copy(root / "models" / "model.ts", root / "models" / "model.pt")


@pytest.mark.parametrize(("spoil", "named"), [(change, "pt"), (remove, "pt"), (add, "ts")])
def test_the_file_that_is_not_as_it_was_is_named(
    bundle: Path, spoil: Callable[[Path], None], named: str
) -> None:
    write_manifest(bundle)
    spoil(bundle)
    with pytest.raises(ConfigError, match=f"models/model.{named}"):
        check_manifest(bundle)


@pytest.mark.parametrize(
    "line", ["", "x  configs/inference.yaml", f"{'0' * 64}  ../other", f"{'0' * 64}  /etc/passwd"]
)
def test_a_broken_manifest_is_refused(bundle: Path, line: str) -> None:
    (bundle / MANIFEST).write_text(f"{line}\n")
    with pytest.raises(ConfigError, match=MANIFEST):
        check_manifest(bundle)


def test_the_command_writes_and_checks(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["manifest", "--check", str(bundle)]) == 2
    assert main(["manifest", str(bundle)]) == 0
    assert main(["manifest", "--check", str(bundle)]) == 0
    change(bundle)
    capsys.readouterr()
    assert main(["manifest", "--check", str(bundle)]) == 2
    assert str(bundle / "models" / "model.pt") in capsys.readouterr().err


def test_shipped_manifests_are_right(repository: Path) -> None:
    for manifest in repository.glob(f"bundles/*/{MANIFEST}"):
        assert check_manifest(manifest.parent)
