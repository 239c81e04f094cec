from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from renalseg.commands.main import main
from renalseg.errors import ConfigError
from renalseg.inference.bundle import Bundle
from renalseg.runtime.checksums import MANIFEST, check_manifest, renew_manifest, write_manifest
from tests.factories.bundles import write_bundle

BUNDLE_FOLDER = Path(__file__).parents[2] / "bundles"


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


BUNDLES = [path.parents[1] for path in sorted(BUNDLE_FOLDER.glob("*/configs/metadata.json"))]


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
def test_every_bundle_ships_the_checksums_of_all_its_files(bundle: Path) -> None:
    """`renalseg manifest bundles/*` writes them; no line end was changed on the way here."""
    assert check_manifest(bundle)
    text = (bundle / MANIFEST).read_bytes()
    assert b"\r" not in text
    listed = {line[66:] for line in text.decode().splitlines()}
    assert {"configs/inference.yaml", "configs/metadata.json", "models/model.pt"} <= listed


def test_there_are_eleven_bundles() -> None:
    assert len(BUNDLES) == 11


def test_git_leaves_the_line_ends_of_what_is_checked(repository: Path) -> None:
    names = [
        path.relative_to(repository).as_posix()
        for bundle in BUNDLES
        for path in (bundle / MANIFEST, *bundle.glob("configs/*"), *bundle.glob("models/*"))
    ]
    done = subprocess.run(
        ["git", "check-attr", "text", "--", *names], cwd=repository, capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip("no git, or no checkout of it")
    assert [line for line in done.stdout.splitlines() if not line.endswith(": text: unset")] == []


def test_a_changed_bundle_does_not_load(tmp_path: Path) -> None:
    root = write_bundle(tmp_path / "kidney_tiny")
    write_manifest(root)
    assert Bundle(root, torch.device("cpu")).version == "1.0.0"
    with (root / "configs" / "inference.yaml").open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    with pytest.raises(ConfigError, match=r"inference\.yaml is not the file.*renalseg manifest"):
        Bundle(root, torch.device("cpu"))


def test_all_folders_of_bundles_can_be_given(repository: Path) -> None:
    assert main(["manifest", "--check", *map(str, (repository / "bundles").iterdir())]) == 0


def test_what_changes_a_bundle_renews_its_checksums(bundle: Path) -> None:
    assert renew_manifest(bundle) is None
    write_manifest(bundle)
    change(bundle)
    assert renew_manifest(bundle) == bundle / MANIFEST
    assert check_manifest(bundle)


@pytest.mark.parametrize("name", ["methods", "recipes"])
def test_what_lies_beside_the_bundles_gets_no_manifest(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    assert main(["manifest", str(tmp_path / name)]) == 0
    assert not list((tmp_path / name).iterdir())
