from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from renalseg.errors import ConfigError, InputError
from renalseg.worker.locks import device_lock, only_worker
from renalseg.worker.process import Ended, born, end_orphan, run
from renalseg.worker.scratch import NoRoomError, Scratch


def python(
    program: str, watch: Callable[[], str | None] = lambda: None, keep: tuple[int, ...] = ()
) -> Ended:
    return run(
        [sys.executable, "-c", program],
        environment=os.environ,
        folder=Path("/"),
        keep=keep,
        on_start=lambda pid, began: None,
        watch=watch,
    )


def gone(pid: int) -> bool:
    """Whether a process has ended, waiting a little for it."""
    limit = time.monotonic() + 5
    while born(pid) is not None and time.monotonic() < limit:
        time.sleep(0.05)
    return born(pid) is None


def test_exit_code_and_last_words() -> None:
    ended = python("import sys; print('one\\n\\ntwo  \\n\\n', file=sys.stderr); sys.exit(75)")
    assert ended == Ended(75, "two")


def test_an_error_stands_over_what_is_said_after_it() -> None:
    said = "error: one\\nrenalseg: error: gap of 5 mm\\nbye"
    assert python(f"import sys; print('{said}', file=sys.stderr)").words == (
        "renalseg: error: gap of 5 mm"
    )


def test_a_flood_of_words_fills_no_memory() -> None:
    ended = python("import sys; sys.stderr.write('x' * 5_000_000); sys.exit(1)")
    assert ended == Ended(1, "x" * 500)


def test_words_that_are_no_text() -> None:
    assert python("import sys; sys.stderr.buffer.write(b'\\xff\\xfe')").words == "\ufffd\ufffd"


def test_a_reason_to_end_it() -> None:
    ended = python("import time; time.sleep(60)", watch=lambda: "enough")
    assert (ended.code, ended.why) == (-15, "enough")


def test_a_program_that_does_not_listen_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("renalseg.worker.process._MERCY_SECONDS", 0.3)
    program = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(60)"
    start = time.monotonic()
    ended = python(program, watch=lambda: "enough" if time.monotonic() - start > 0.5 else None)
    assert ended.code == -9


def test_what_it_started_ends_with_it(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    program = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"],
                         stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL)
open({str(note)!r}, "w").write(str(child.pid))
"""
    assert python(program).code == 0
    assert gone(int(note.read_text()))


def test_an_orphan_is_ended() -> None:
    orphan = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True
    )
    began = born(orphan.pid)
    assert began is not None
    assert end_orphan(orphan.pid, began)
    assert orphan.wait() == -15


def test_another_process_of_the_same_number_is_spared() -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True
    )
    try:
        assert not end_orphan(other.pid, "1")
        assert not end_orphan(None, None)
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_a_database_has_one_worker(tmp_path: Path) -> None:
    database = tmp_path / "jobs.db"
    second = only_worker(database)
    with only_worker(database), pytest.raises(ConfigError, match="found another one"):
        second.__enter__()
    with only_worker(database):
        pass


@pytest.fixture
def lock_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


@pytest.mark.usefixtures("lock_folder")
def test_a_gpu_has_one_job() -> None:
    with device_lock("cuda:1", lambda: True) as first:
        assert first is not None
        with device_lock("cuda:1", lambda: True) as second:
            assert second is None
        with device_lock("cuda:0", lambda: True) as other:
            assert other is not None


@pytest.mark.usefixtures("lock_folder")
@pytest.mark.parametrize("name", ["auto", "cuda", "cuda:0"])
def test_names_of_the_first_gpu_are_one(name: str) -> None:
    with device_lock("cuda:0", lambda: True), device_lock(name, lambda: True) as second:
        assert second is None


def test_the_cpu_has_no_lock() -> None:
    with device_lock("cpu", lambda: True) as lock:
        assert lock is None


@pytest.mark.usefixtures("lock_folder")
def test_the_application_holds_the_lock_when_the_worker_is_gone() -> None:
    with device_lock("cuda:0", lambda: True) as lock:
        assert lock is not None
        child = subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(60)"], pass_fds=(lock,)
        )
    try:
        with device_lock("cuda:0", lambda: True) as again:
            assert again is None
    finally:
        child.kill()
        child.wait()
    with device_lock("cuda:0", lambda: True) as after:
        assert after is not None


def test_each_slot_has_its_share(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path, 1000, slots=2)
    with scratch.folder(0, 500) as first, scratch.folder(1, 500) as second:
        assert first != second
        (first / "input" / "a").write_bytes(bytes(300))
        assert (scratch.used(), scratch.used(second)) == (300, 0)
        assert first.stat().st_mode & 0o077 == 0
    assert not first.exists()
    with pytest.raises(InputError, match="at most 500 bytes"), scratch.folder(0, 501):
        pass


def test_what_a_killed_worker_left_is_removed(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path, 1000, slots=1)
    with scratch.folder(0, 0) as folder:
        (folder / "tmp" / "a").touch()
        scratch.clear()
        assert not folder.exists()
        assert list(scratch.root.iterdir()) == []


def test_a_scratch_folder_has_one_worker(tmp_path: Path) -> None:
    first, second = (Scratch(tmp_path, 1000, slots=1) for _ in range(2))
    with first.only(), pytest.raises(ConfigError, match="found another one"):
        second.only().__enter__()
    with second.only():
        pass


def test_a_scratch_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "scratch").touch()
    with pytest.raises(ConfigError, match="Expected a scratch folder at"):
        Scratch(tmp_path, 1000, slots=1).only().__enter__()


def test_what_is_not_the_workers_is_never_removed(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path, 1000, slots=1)
    others = [
        scratch.root / "slot-0" / "a.dcm",
        scratch.root / "slot-0-abcdefgh" / "a.dcm",
        scratch.root / "kept-1" / "a.dcm",
        scratch.root / "thesis" / "a.tex",
        scratch._place("key") / "output" / "a.dcm",
    ]
    for path in others:
        path.parent.mkdir(parents=True)
        path.touch()
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / ".renalseg-worker").touch()
    (scratch.root / "slot-1-abcdefgh").symlink_to(outside)
    scratch.clear()
    scratch.drop("key")
    with scratch.folder(0, 10) as folder:
        assert folder not in [path.parent for path in others]
    scratch.clear()
    assert all(path.exists() for path in others)
    assert scratch.kept("key") is None
    assert (outside / ".renalseg-worker").exists()
    assert (scratch.root / "slot-1-abcdefgh").is_symlink()


def test_results_are_kept_until_they_are_dropped(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path, 1000, slots=1)
    with scratch.folder(0, 0) as folder:
        (folder / "output" / "a.dcm").write_text("result")
        scratch.keep(folder, "key")
    scratch.clear()
    kept = scratch.kept("key")
    assert kept is not None
    assert (kept / "a.dcm").read_text() == "result"
    assert (scratch.kept("other"), scratch.keeps()) == (None, True)
    scratch.drop("key")
    assert (scratch.kept("key"), scratch.keeps()) == (None, False)
    assert list(scratch.root.iterdir()) == []


def test_a_disk_without_room_is_said(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path, 1 << 40, slots=1)
    with pytest.raises(NoRoomError, match="bytes free in"), scratch.folder(0, 1 << 39):
        pass
