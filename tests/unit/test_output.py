from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from renalseg.errors import ConfigError, InputError
from renalseg.output import folder as output
from renalseg.output.folder import complete_or_nothing, read_result
from renalseg.runtime import staging


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
        assert not out.exists()
    assert names(out) == ["a.txt"]


def test_nothing_appears_in_a_folder_before_all_is_complete(out: Path) -> None:
    out.mkdir(parents=True)
    with complete_or_nothing(out) as folder:
        (folder / "a.txt").write_text("a")
        assert names(out) == []
    assert names(out) == ["a.txt"]


def test_nothing_appears_when_the_work_fails(out: Path) -> None:
    with pytest.raises(RuntimeError, match="half way"):
        write_and_fail(out)
    assert not out.exists()


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
    assert names(out.parent) == []


@pytest.mark.parametrize("there", [True, False])
def test_the_hidden_folder_lies_beside_the_output(out: Path, there: bool) -> None:
    if there:
        out.mkdir(parents=True)
    with complete_or_nothing(out) as folder:
        (hidden,) = (path for path in out.parent.iterdir() if path != out)
        assert hidden in folder.parents
        assert hidden.name.startswith(".")


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EXDEV])
def test_a_parent_that_takes_no_folder_is_left_alone(
    out: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    rename = Path.rename

    def refuse(path: Path, target: Path) -> Path:
        if target.parent == out.parent:
            raise OSError(number, os.strerror(number), str(target))
        return rename(path, target)

    out.mkdir(parents=True)
    monkeypatch.setattr(Path, "rename", refuse)
    with complete_or_nothing(out) as folder:
        assert out in folder.parents
        (folder / "a.txt").write_text("a")
    assert names(out) == ["a.txt"]


def test_an_output_that_is_a_file_is_refused(out: Path) -> None:
    out.parent.mkdir()
    out.write_text("a file")
    with pytest.raises(ConfigError, match=f"output folder, got {out}"), complete_or_nothing(out):
        pass


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_an_output_that_cannot_be_written_is_refused(out: Path) -> None:
    out.mkdir(parents=True, mode=0o500)
    with pytest.raises(ConfigError, match=f"output folder, got {out}"), complete_or_nothing(out):
        pass


def test_a_new_output_gets_the_permissions_of_any_new_folder(out: Path) -> None:
    with complete_or_nothing(out) as folder:
        (folder / "a.txt").write_text("a")
    (out.parent / "usual").mkdir()
    assert out.stat().st_mode == (out.parent / "usual").stat().st_mode


def test_an_output_stays_the_same_folder(out: Path) -> None:
    """Somebody may watch it, or have mounted it."""
    out.mkdir(parents=True)
    before = out.stat().st_ino
    with complete_or_nothing(out) as folder:
        (folder / "a.txt").write_text("a")
    assert out.stat().st_ino == before


def test_the_result_goes_first_and_comes_last(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So where it is, what it names is there, at every moment."""
    out.mkdir(parents=True)
    for name in ("result.json", "zz.seg.dcm"):
        (out / name).write_text("earlier")
    seen = []
    rename = Path.rename

    def watched(path: Path, target: Path) -> Path:
        moved = rename(path, target)
        if out in (path.parent, target.parent):
            seen.append({path.name: path.read_text() for path in out.iterdir()})
        return moved

    with complete_or_nothing(out) as folder:
        for name in ("result.json", "zz.seg.dcm"):
            (folder / name).write_text("later")
        monkeypatch.setattr(Path, "rename", watched)
    assert seen == [
        {"zz.seg.dcm": "earlier"},
        {},
        {"zz.seg.dcm": "later"},
        {"zz.seg.dcm": "later", "result.json": "later"},
    ]


@pytest.mark.parametrize("failing", [1, 2, 3, 4])
def test_earlier_results_survive_when_a_move_fails(
    out: Path, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    out.mkdir(parents=True)
    for name in ("result.json", "zz.seg.dcm"):
        (out / name).write_text("earlier")
    moves = []
    rename = Path.rename

    def fail(path: Path, target: Path) -> Path:
        if out in (path.parent, target.parent):
            moves.append(path)
            if len(moves) == failing:
                raise OSError(errno.EIO, "broken disk")
        return rename(path, target)

    def write() -> None:
        with complete_or_nothing(out) as folder:
            for name in ("aa.seg.dcm", "result.json", "zz.seg.dcm"):
                (folder / name).write_text("later")
            monkeypatch.setattr(Path, "rename", fail)

    with pytest.raises(OSError, match="broken disk"):
        write()
    assert {path.name: path.read_text() for path in out.iterdir()} == {
        "result.json": "earlier",
        "zz.seg.dcm": "earlier",
    }
    assert names(out.parent) == ["out"]


def test_all_is_on_the_disk_before_it_moves(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr(staging, "sync", lambda path: synced.append(path.name))
    monkeypatch.setattr(output, "_move", lambda *_: synced.append("moved"))
    with complete_or_nothing(out) as folder:
        (folder / "a.txt").write_text("a")
        (folder / "below").mkdir()
        (folder / "below" / "b.txt").write_text("b")
    assert sorted(synced[:-1]) == ["a.txt", "b.txt", "below", "files"]
    assert synced[-1] == "moved"


def test_a_relative_output_is_found_after_a_change_of_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    with complete_or_nothing(Path("out")) as folder:
        (folder / "a.txt").write_text("a")
        monkeypatch.chdir(tmp_path / "elsewhere")
    assert names(tmp_path / "out") == ["a.txt"]


@pytest.mark.parametrize(
    "text",
    ["", "{", "5", "[]", "{}", '{"studies": {}}', '{"studies": [1]}', '{"studies": [{}]}', None],
)
def test_a_file_that_is_no_result_is_refused(out: Path, text: str | None) -> None:
    out.mkdir(parents=True)
    if text is not None:
        (out / "result.json").write_text(text)
    with pytest.raises(InputError, match=r"result\.json"):
        read_result(out)
