"""A file that is complete, or as it was before."""

from __future__ import annotations

from pathlib import Path

import pytest

from renalseg.runtime.staging import PREFIX, complete_file


def test_a_file_takes_its_name_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "new" / "table.csv"
    with complete_file(path) as file:
        file.write_text("a")
        assert not path.exists()
    assert path.read_text() == "a"
    assert [each.name for each in path.parent.iterdir()] == ["table.csv"]


def test_what_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("old")

    def fail() -> None:
        with complete_file(path) as file:
            file.write_text("half")
            raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space"):
        fail()
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["table.csv"]


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    left = tmp_path / f"{PREFIX}left"
    left.mkdir()  # killed before it was locked
    with complete_file(tmp_path / "a") as file:
        file.touch()
    assert not left.exists()


def test_what_a_killed_process_can_have_back_stays(tmp_path: Path) -> None:
    left = tmp_path / f"{PREFIX}left"
    (left / "old").mkdir(parents=True)
    (left / "old" / "result.json").write_text("{}")  # moved away, and nothing put in its place
    (left / "lock").write_text('{"target": "study", "names": ["result.json"]}')
    with complete_file(tmp_path / "archive.csv") as file:
        file.touch()
    assert (left / "old" / "result.json").is_file()
