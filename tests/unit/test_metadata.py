from __future__ import annotations

from pathlib import Path

import pytest

from renalseg.errors import ConfigError
from renalseg.inference.metadata import describe_bundle, fingerprint, read_metadata
from tests.factories.bundles import write_bundle


def test_a_bundle_is_told_by_name_version_and_fingerprint(tmp_path: Path) -> None:
    root = write_bundle(tmp_path / "kidney_tiny", version="4.5.6")
    name, version, mark = describe_bundle(root).split()
    assert (name, version) == ("kidney_tiny", "4.5.6")
    assert mark == fingerprint([root])
    assert len(mark) == 16


@pytest.mark.parametrize("name", ["configs/inference.yaml", "models/model.pt"])
def test_what_decides_the_result_changes_the_fingerprint(tmp_path: Path, name: str) -> None:
    root = write_bundle(tmp_path / "kidney_tiny")
    before = fingerprint([root])
    (root / "docs.md").write_text("of no account")
    assert fingerprint([root]) == before
    with (root / name).open("ab") as file:
        file.write(b"#")
    assert fingerprint([root]) != before


def test_a_bundle_without_weights_has_none(tmp_path: Path) -> None:
    root = write_bundle(tmp_path / "kidney_tiny")
    (root / "models" / "model.pt").unlink()
    with pytest.raises(ConfigError, match=r"models/model\.pt in the bundle"):
        fingerprint([root])


@pytest.mark.parametrize("text", ["{", "[]", None])
def test_metadata_that_cannot_be_read_is_named(tmp_path: Path, text: str | None) -> None:
    path = write_bundle(tmp_path / "kidney_tiny") / "configs" / "metadata.json"
    if text is None:
        path.unlink()
    else:
        path.write_text(text)
    with pytest.raises(ConfigError, match=str(path)):
        read_metadata(tmp_path / "kidney_tiny")
