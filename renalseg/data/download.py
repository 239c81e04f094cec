"""Atomic, resumable downloads over HTTP."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import IO
from urllib.parse import unquote, urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3

from renalseg import __version__
from renalseg.errors import ConfigError, RetryableError

PART = ".part"

_CHUNK = 1 << 20
_TIMEOUT_S = 60
_TRIES = 6
_REDIRECTS = 10
_LONGEST_WAIT_S = 60.0
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_SHA256 = re.compile(r'"?([0-9a-f]{64})"?')


class Stopped(Exception):  # noqa: N818 - nothing is wrong
    """The download was told to end; the part so far is kept."""


class Download:
    """The download of one file.

    Args:
        url: Where it is.
        path: Where it goes; `path` with `.part` appended holds it until it is whole.
        stop: Ends the download when it is set.
        progress: Called with the bytes that arrived and those still expected.

    Attributes:
        sha256: Of the file, as the server reports it; None before that, or if it never does. The
            hosts of large files do, in the header X-Linked-Etag.
    """

    def __init__(
        self,
        url: str,
        path: Path,
        stop: threading.Event | None = None,
        progress: Callable[[int, int], None] = lambda came, expected: None,
    ) -> None:
        self.url = url
        self.path = path
        self.part = path.with_name(path.name + PART)
        self.stop = stop or threading.Event()
        self.progress = progress
        self.sha256: str | None = None
        self._expected: int | None = None

    def run(self) -> Path:
        """Fetches the file into `part`, for the caller to check and rename.

        Raises:
            ConfigError: The server has no such file, or refuses it.
            RetryableError: The connection failed repeatedly without progress.
            OSError: The file cannot be written; if the disk is full, what arrived is kept.
            Stopped: `stop` was set.
        """
        self.part.parent.mkdir(parents=True, exist_ok=True)
        tries = 0
        while True:
            before = self._size()
            try:
                self._fetch()
                return self.part
            except _Interrupted as problem:
                tries = 1 if self._size() > before else tries + 1
                if tries >= _TRIES:
                    raise RetryableError(
                        f"Expected {self.url}, tried {tries} times, the last ended with: {problem}."
                        f" What arrived is kept in {self.part}; run the same command to resume"
                    ) from problem
                self._wait(problem.wait_s or min(2.0**tries, _LONGEST_WAIT_S))

    def _fetch(self) -> None:
        """Uses one connection; returns when the part is complete."""
        start = self._size()
        headers = {"User-Agent": f"renalseg/{__version__}", "Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        with self._open(headers) as response:
            if response.status == 416:  # nothing is missing, or the part is longer than the file
                total = _total(response.headers.get("Content-Range"))
                if total != start:
                    self.part.unlink()
                    raise _Interrupted(f"{start} bytes are here, expected {total} in all")
                return
            if response.status != 206 or _first(response.headers.get("Content-Range")) != start:
                start = 0  # the server sends the file from its beginning
            length = response.headers.get("Content-Length")
            total = None if length is None else start + int(length)
            if total is not None and self._expected is None:
                self._expected = total
                self.progress(start, total)
            with self.part.open("ab" if start else "wb") as file:
                self._copy(response, file)
        if total is not None and self._size() != total:
            raise _Interrupted(f"the connection ended after {self._size()} of {total} bytes")

    def _copy(self, response: urllib3.BaseHTTPResponse, file: IO[bytes]) -> None:
        try:
            for chunk in response.stream(_CHUNK, decode_content=False):
                file.write(chunk)
                self.progress(len(chunk), 0)
                if self.stop.is_set():
                    raise Stopped
        except urllib3.exceptions.HTTPError as error:
            raise _Interrupted(str(error)) from error

    def _open(self, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
        """Requests the file; redirects are followed here because their headers matter."""
        url = self.url
        for _ in range(_REDIRECTS):
            try:
                response = _pool(_proxy_for(url)).request(
                    *("GET", url), headers=headers, timeout=_TIMEOUT_S,
                    retries=False, redirect=False, preload_content=False,
                    enforce_content_length=False,  # so that everything that arrived is kept
                )  # fmt: skip
            except urllib3.exceptions.HTTPError as error:
                raise _Interrupted(str(error)) from error
            if found := _SHA256.fullmatch(response.headers.get("X-Linked-Etag", "")):
                self.sha256 = found[1]
            target = response.get_redirect_location()
            if not target:
                return self._judged(response)
            response.close()
            url = urljoin(url, target)
        raise ConfigError(f"Expected a file at {self.url}, found {_REDIRECTS} redirects in a row")

    def _judged(self, response: urllib3.BaseHTTPResponse) -> urllib3.BaseHTTPResponse:
        if response.status == 416 or 200 <= response.status < 300:
            return response
        response.close()
        answer = f"HTTP {response.status} {response.reason}"
        if response.status in _PASSING:
            wait = response.headers.get("Retry-After", "")
            raise _Interrupted(answer, float(wait) if wait.isdigit() else None)
        raise ConfigError(f"Expected a file at {self.url}, the server answers: {answer}")

    def _size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _wait(self, seconds: float) -> None:
        if self.stop.wait(seconds):
            raise Stopped


class _Interrupted(Exception):  # noqa: N818 - always handled
    """A connection failed in a way that a retry may fix."""

    def __init__(self, message: str, wait_s: float | None = None) -> None:
        super().__init__(message)
        self.wait_s = wait_s


def _proxy_for(url: str) -> str | None:
    """The proxy that the environment or the system names for an address."""
    parts = urlsplit(url)
    return None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)


@cache
def _pool(proxy: str | None) -> urllib3.PoolManager:
    if proxy is None:
        return urllib3.PoolManager()
    parts = urllib3.util.parse_url(proxy)
    secret = urllib3.make_headers(proxy_basic_auth=unquote(parts.auth)) if parts.auth else None
    address = f"{parts.scheme or 'http'}://{parts.netloc}"
    return urllib3.ProxyManager(address, proxy_headers=secret)


def _first(content_range: str | None) -> int | None:
    """5 of "bytes 5-9/10"."""
    found = re.match(r"bytes (\d+)-", content_range or "")
    return int(found[1]) if found else None


def _total(content_range: str | None) -> int | None:
    """10 of "bytes 5-9/10" and of "bytes */10"."""
    found = re.search(r"/(\d+)$", content_range or "")
    return int(found[1]) if found else None
