"""Atomic, resumable downloads over HTTP."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from renalseg import __version__
from renalseg.errors import ConfigError, RetryableError

PART = ".part"

_CHUNK = 1 << 20
_TIMEOUT_S = 60
_TRIES = 6
_LONGEST_WAIT_S = 60.0
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_SHA256 = re.compile(r'"?([0-9a-f]{64})"?')


class Stopped(Exception):  # noqa: N818 - nothing is wrong
    """A download was asked to end; its part so far is kept."""


class Download:
    """The download of one file.

    Args:
        url: Where it is.
        path: Where it goes; `path` with `.part` appended holds it until it is whole.
        stop: Ends the download when it is set.
        progress: Gets how many bytes came, and how many more are expected in all.

    Attributes:
        sha256: Of the file, as the server says; None until it does, or where it does not. The
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
            RetryableError: The connection failed again and again without progress.
            OSError: The file cannot be written; a full disk keeps what came.
            Stopped: By `stop`.
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
                        f" What came is kept in {self.part}; the same command goes on from there"
                    ) from problem
                self._wait(problem.wait_s or min(2.0**tries, _LONGEST_WAIT_S))

    def _fetch(self) -> None:
        """One connection; returns when the part is whole."""
        start = self._size()
        headers = {"User-Agent": f"renalseg/{__version__}", "Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        response = self._open(Request(self.url, headers=headers))
        with response:
            if response.status == 416:  # nothing is left, or the part is longer than the file
                total = _total(response.headers.get("Content-Range"))
                if total != start:
                    self.part.unlink()
                    raise _Interrupted(f"{start} bytes are here, but {total} in all")
                return
            if response.status != 206 or _first(response.headers.get("Content-Range")) != start:
                start = 0  # the server gives the file from its beginning
            length = response.headers.get("Content-Length")
            total = None if length is None else start + int(length)
            if total is not None and self._expected is None:
                self._expected = total
                self.progress(start, total)
            with self.part.open("ab" if start else "wb") as file:
                for chunk in _chunks(response):
                    file.write(chunk)
                    self.progress(len(chunk), 0)
                    if self.stop.is_set():
                        raise Stopped
        if total is not None and self._size() != total:
            raise _Interrupted(f"the connection ended after {self._size()} of {total} bytes")

    def _open(self, request: Request) -> Any:
        seen = _Redirects()
        try:
            response = build_opener(seen).open(request, timeout=_TIMEOUT_S)
        except HTTPError as error:
            response = self._judged(error)
        except _BROKEN as error:
            raise _Interrupted(str(getattr(error, "reason", error)) or repr(error)) from error
        for headers in (*seen.headers, response.headers):
            if found := _SHA256.fullmatch(headers.get("X-Linked-Etag", "")):
                self.sha256 = found[1]
        return response

    def _judged(self, error: HTTPError) -> HTTPError:
        if error.code == 416:
            return error
        error.close()
        if error.code in _PASSING:
            wait = error.headers.get("Retry-After", "")
            raise _Interrupted(str(error), float(wait) if wait.isdigit() else None) from error
        raise ConfigError(f"Expected a file at {self.url}, the server answers: {error}") from error

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


# URLError and TimeoutError are OSErrors, as a full disk is, which must not be tried again
_BROKEN = (URLError, TimeoutError, ConnectionError, HTTPException)


class _Redirects(HTTPRedirectHandler):
    """Redirect handler that keeps the headers of redirects."""

    def __init__(self) -> None:
        self.headers: list[Any] = []

    def redirect_request(
        self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Request | None:
        """Follows, and keeps the headers."""
        self.headers.append(headers)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _chunks(response: Any) -> Iterator[bytes]:
    while True:
        try:
            chunk = response.read(_CHUNK)
        except (*_BROKEN, OSError) as error:
            raise _Interrupted(str(error) or repr(error)) from error
        if not chunk:
            return
        yield chunk


def _first(content_range: str | None) -> int | None:
    """5 of "bytes 5-9/10"."""
    found = re.match(r"bytes (\d+)-", content_range or "")
    return int(found[1]) if found else None


def _total(content_range: str | None) -> int | None:
    """10 of "bytes 5-9/10" and of "bytes */10"."""
    found = re.search(r"/(\d+)$", content_range or "")
    return int(found[1]) if found else None
