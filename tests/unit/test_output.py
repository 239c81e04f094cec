from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from renalseg.output import complete_or_nothing


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "work" / "out"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write_and_fail(out: Path) -> None:
    with complete_or_nothing(out) as folder:
        (folder / "a.txt").write_text("later")
        raise RuntimeError("half way")


def test_complete_results_appear(out: Path) -> None:
    with complete_or_nothing(out) as folder:
        (folder / "a.txt").write_text("a")
        (folder / "b.txt").write_text("b")
    assert {path.name: path.read_text() for path in out.iterdir()} == {"a.txt": "a", "b.txt": "b"}


def test_nothing_appears_before_all_is_complete(out: Path) -> None:
    with complete_or_nothing(out) as folder:
        (folder / "a.txt").write_text("a")
        assert names(out) == []


def test_nothing_appears_when_the_work_fails(out: Path) -> None:
    with pytest.raises(RuntimeError, match="half way"):
        write_and_fail(out)
    assert names(out) == []


def test_earlier_results_survive_when_the_work_fails(out: Path) -> None:
    out.mkdir(parents=True)
    (out / "a.txt").write_text("earlier")
    with pytest.raises(RuntimeError, match="half way"):
        write_and_fail(out)
    assert (out / "a.txt").read_text() == "earlier"


def test_files_of_the_same_name_are_replaced(out: Path) -> None:
    out.mkdir(parents=True)
    (out / "a.txt").write_text("earlier")
    with complete_or_nothing(out) as folder:
        (folder / "a.txt").write_text("later")
    assert (out / "a.txt").read_text() == "later"


def test_other_files_stay(out: Path) -> None:
    out.mkdir(parents=True)
    (out / "other.txt").write_text("other")
    with complete_or_nothing(out) as folder:
        (folder / "a.txt").write_text("a")
    assert names(out) == ["a.txt", "other.txt"]


def test_no_hidden_folder_is_left(out: Path) -> None:
    with complete_or_nothing(out) as folder:
        (folder / "a.txt").write_text("a")
    assert names(out.parent) == ["out"]


def test_no_hidden_folder_is_left_when_the_work_fails(out: Path) -> None:
    with pytest.raises(RuntimeError, match="half way"):
        write_and_fail(out)
    assert names(out.parent) == ["out"]


def test_the_hidden_folder_lies_beside_the_output(out: Path) -> None:
    with complete_or_nothing(out) as folder:
        assert folder.parent == out.parent
        assert folder.name.startswith(".")


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EXDEV])
def test_a_parent_that_takes_no_folder_is_left_alone(
    out: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(path: Path, target: Path) -> Path:
        raise OSError(number, os.strerror(number), str(target))

    monkeypatch.setattr(Path, "rename", refuse)
    with complete_or_nothing(out) as folder:
        assert folder.parent == out
        (folder / "a.txt").write_text("a")
    assert names(out) == ["a.txt"]


def test_an_output_that_is_a_file_is_refused(out: Path) -> None:
    out.parent.mkdir()
    out.write_text("a file")
    with pytest.raises(FileExistsError), complete_or_nothing(out):
        pass


def test_a_relative_output_is_found_after_a_change_of_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    with complete_or_nothing(Path("out")) as folder:
        (folder / "a.txt").write_text("a")
        monkeypatch.chdir(tmp_path / "elsewhere")
    assert names(tmp_path / "out") == ["a.txt"]
