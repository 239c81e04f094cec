"""What is in an output folder after the process was killed, at any moment, and after the next."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from renalseg.output.folder import complete_or_nothing
from renalseg.runtime.staging import PREFIX, Staging, remove_abandoned

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs signals and locks of POSIX")

NEW = {"a.seg.dcm": "new", "b.txt": "new", "result.json": "new"}
EARLIER = {"a.seg.dcm": "earlier", "other.txt": "earlier", "result.json": "earlier"}

# Writes NEW, and dies by SIGKILL before the call of that number that changes a folder.
PROGRAM = """
import os, signal, sys
from pathlib import Path
from renalseg.output.folder import complete_or_nothing

out, fatal = Path(sys.argv[1]), int(sys.argv[2])
calls = 0
def deadly(name):
    real = getattr(os, name)
    def call(*arguments, **options):
        global calls
        calls += 1
        if calls == fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **options)
    setattr(os, name, call)
for name in ("mkdir", "rename", "replace", "unlink", "rmdir", "open", "fsync"):
    deadly(name)
with complete_or_nothing(out) as folder:
    for name in ("a.seg.dcm", "b.txt", "result.json"):
        (folder / name).write_text("new")
print("done", calls)
"""


def content(folder: Path) -> dict[str, str]:
    """Texts of the files in a folder, without hidden folders."""
    if not folder.exists():
        return {}
    paths = (path for path in folder.iterdir() if not path.name.startswith(PREFIX))
    return {path.name: path.read_text() for path in paths}


def hidden(*folders: Path) -> list[Path]:
    return [path for folder in folders if folder.exists() for path in folder.glob(PREFIX + "*")]


def is_whole(found: dict[str, str], before: dict[str, str]) -> bool:
    """All new, or all as before, or no result at all that a reader would take for one."""
    return found in (before, {**before, **NEW}) or "result.json" not in found


def found_by_the_next_run(out: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    with suppress(KeyboardInterrupt), complete_or_nothing(out):
        found = content(out)
        raise KeyboardInterrupt
    return found


def kill_at_every_call(tmp_path: Path, before: dict[str, str]) -> list[dict[str, str]]:
    """Kills a run at each of its calls; after each, the next run must find a clean place."""
    states = []
    for fatal in range(1, 200):
        out = tmp_path / str(fatal) / "out"
        if before:
            out.mkdir(parents=True)
            for name, text in before.items():
                (out / name).write_text(text)
        run = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(out), str(fatal)], capture_output=True, text=True
        )
        if run.returncode == 0:
            assert content(out) == {**before, **NEW}
            return states
        assert run.returncode == -signal.SIGKILL, run.stderr
        states.append(content(out))
        assert is_whole(states[-1], before)
        assert found_by_the_next_run(out) in (before, {**before, **NEW})
        assert hidden(out, out.parent) == []
    raise AssertionError("the run never ended")


def test_a_new_output_is_whole_or_absent_whenever_the_process_is_killed(tmp_path: Path) -> None:
    states = kill_at_every_call(tmp_path, {})
    assert {} in states
    assert NEW in states
    assert all(state in ({}, NEW) for state in states)


@pytest.mark.slow
def test_earlier_results_come_back_whenever_the_process_is_killed(tmp_path: Path) -> None:
    states = kill_at_every_call(tmp_path, EARLIER)
    assert any("result.json" not in state for state in states), "never killed between two moves"


def test_what_a_living_process_writes_is_left_alone(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from renalseg.runtime.staging import Staging\n"
        "print(Staging(Path(sys.argv[1])).folder, flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        folder = Path(run.stdout.readline().strip())
        remove_abandoned(tmp_path)
        assert (folder / "files").is_dir()
        run.kill()
    remove_abandoned(tmp_path)
    assert not folder.exists()


def test_what_this_process_writes_is_left_alone(tmp_path: Path) -> None:
    first = Staging(tmp_path)
    remove_abandoned(tmp_path)
    assert first.files.is_dir()
    first.remove()
    assert hidden(tmp_path) == []


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "lock").touch()
    (tmp_path / "precious" / "data").mkdir()
    link = tmp_path / f"{PREFIX}x"
    link.symlink_to(tmp_path / "precious")
    remove_abandoned(tmp_path)
    assert (tmp_path / "precious" / "data").is_dir()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root may give away")
def test_a_folder_of_another_user_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / f"{PREFIX}x"
    folder.mkdir()
    (folder / "lock").touch()
    os.chown(folder, 12345, 12345)
    remove_abandoned(tmp_path)
    assert folder.is_dir()


def test_an_empty_folder_of_who_was_killed_at_once_is_removed(tmp_path: Path) -> None:
    (tmp_path / f"{PREFIX}x").mkdir()
    remove_abandoned(tmp_path)
    assert hidden(tmp_path) == []
