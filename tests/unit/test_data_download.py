from __future__ import annotations

import errno
import hashlib
import io
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from renalseg.data import download
from renalseg.data.download import Download, Stopped
from renalseg.errors import ConfigError, RetryableError, exit_code_for
from renalseg.runtime.checksums import sha256_of
from tests.factories.server import Site, serve

CONTENT = bytes(range(256)) * 40


@pytest.fixture
def site() -> Iterator[Site]:
    with serve(Site({"/file": CONTENT})) as running:
        yield running


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "_LONGEST_WAIT_S", 0.0)


def fetch(site: Site, folder: Path) -> bytes:
    return Download(f"{site.url}/file", folder / "file").run().read_bytes()


def test_a_file_comes_into_its_part(site: Site, tmp_path: Path) -> None:
    assert fetch(site, tmp_path) == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["file.part"]


def test_a_part_is_gone_on_from(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(CONTENT[:100])
    assert fetch(site, tmp_path) == CONTENT
    assert site.asked == [("/file", "bytes=100-")]


def test_a_cut_connection_is_taken_up_where_it_ended(site: Site, tmp_path: Path) -> None:
    site.faults["/file"] = ["cut", "cut"]
    assert fetch(site, tmp_path) == CONTENT
    half, rest = len(CONTENT) // 2, len(CONTENT) - len(CONTENT) // 4
    assert [asked for _, asked in site.asked] == [None, f"bytes={half}-", f"bytes={rest}-"]


def test_a_server_without_ranges_gives_the_file_anew(site: Site, tmp_path: Path) -> None:
    site.ranges = False
    (tmp_path / "file.part").write_bytes(b"other" * 10)
    assert fetch(site, tmp_path) == CONTENT


def test_a_whole_part_is_kept(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(CONTENT)
    assert fetch(site, tmp_path) == CONTENT
    assert len(site.asked) == 1


def test_a_part_that_is_too_long_is_fetched_anew(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(CONTENT + b"more")
    assert fetch(site, tmp_path) == CONTENT


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_passing_fault_is_tried_again(site: Site, tmp_path: Path, status: int) -> None:
    site.faults["/file"] = [status, status]
    assert fetch(site, tmp_path) == CONTENT


def test_a_lasting_fault_ends_as_retryable(site: Site, tmp_path: Path) -> None:
    site.faults["/file"] = [503] * 20
    with pytest.raises(RetryableError, match=r"tried 6 times.*503.*run the same command to resume"):
        fetch(site, tmp_path)
    assert len(site.asked) == 6


@pytest.mark.parametrize("status", [403, 404])
def test_what_no_try_mends_ends_at_once(site: Site, tmp_path: Path, status: int) -> None:
    site.faults["/file"] = [status]
    with pytest.raises(ConfigError, match=rf"{site.url}/file.*{status}"):
        fetch(site, tmp_path)


def test_a_server_that_is_not_there_ends_as_retryable(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(RetryableError, match="refused"):
        Download(f"http://127.0.0.1:{port}/file", tmp_path / "file").run()


def test_a_hash_that_a_redirect_names_is_kept(site: Site, tmp_path: Path) -> None:
    site.faults["/file"] = ["redirect"]
    site.hashes["/file"] = hashlib.sha256(CONTENT).hexdigest()
    one = Download(f"{site.url}/file", tmp_path / "file")
    assert sha256_of(one.run()) == one.sha256


def test_a_proxy_of_the_environment_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "http://kidneys.invalid/file"
    with serve(Site({url: CONTENT})) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url.replace("//", "//user:p%40ss@"))
        monkeypatch.delenv("no_proxy", raising=False)
        assert Download(url, tmp_path / "file").run().read_bytes() == CONTENT
    assert [asked for asked, _ in proxy.asked] == [url]


def test_redirects_without_end_are_refused(site: Site, tmp_path: Path) -> None:
    site.faults["/file"] = ["redirect"] * 99
    site.hashes["/file"] = "0" * 64
    with pytest.raises(ConfigError, match="redirects in a row"):
        fetch(site, tmp_path)


def test_a_stop_keeps_what_came(site: Site, tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        Download(f"{site.url}/file", tmp_path / "file", stop).run()
    assert (tmp_path / "file.part").stat().st_size > 0


def test_progress_counts_what_was_there_too(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(CONTENT[:100])
    calls: list[tuple[int, int]] = []
    Download(f"{site.url}/file", tmp_path / "file", progress=lambda *call: calls.append(call)).run()
    assert sum(came for came, _ in calls) == sum(expected for _, expected in calls) == len(CONTENT)


def test_a_full_disk_is_retryable_and_not_tried_again(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(io.BytesIO):
        def write(self, data: Any) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "open", lambda path, mode: Full())
    with pytest.raises(OSError, match="No space") as raised:
        fetch(site, tmp_path)
    assert exit_code_for(raised.value) == 75
    assert len(site.asked) == 1
