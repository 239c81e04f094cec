"""HTTP to an Orthanc server: address, credentials, and outages, logged once."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import urllib3

from renalseg.errors import ConfigError, InputError, RetryableError

PREFIX = "RENALSEG_ORTHANC_"
_CHUNK = 1 << 20  # bytes
_SECONDS = urllib3.Timeout(connect=5, read=120)
_MISSING_SECONDS = 0.3  # before a second request for what was not found
_AWAY = (502, 503, 504)  # a proxy reports that Orthanc is away
# Every request may be repeated: a file that is stored again is recognized by its UID.
_AGAIN = urllib3.Retry(
    total=2, backoff_factor=0.3, allowed_methods=None,
    status_forcelist=_AWAY, raise_on_status=False,
)  # fmt: skip

_log = logging.getLogger(__name__)


class GoneError(InputError):
    """Orthanc does not have what was requested, or not yet."""


class UnreachableError(RetryableError):
    """Orthanc does not answer; the request is not to blame."""


class AnswerError(RetryableError):
    """Orthanc answers, but not as expected; the request may be to blame."""


class FormError(AnswerError):
    """Orthanc answers with JSON of another form."""


class Connection:
    """Requests to one server.

    Args:
        url: Such as ``http://127.0.0.1:8042``.
        environ: Holds the credentials: RENALSEG_ORTHANC_USER and _PASSWORD, or _TOKEN (sent as
            bearer); RENALSEG_ORTHANC_CA is a file with the certificates to trust.

    Attributes:
        url: Without a slash at its end.
        exposed: Whether a secret goes over a network unencrypted.

    Raises:
        ConfigError: The address is invalid, or holds a password, which the process list would show.
    """

    def __init__(self, url: str, environ: Mapping[str, str] | None = None) -> None:
        environ = environ or {}
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError("Expected the address of Orthanc, such as http://127.0.0.1:8042")
        if parts.username or parts.password:
            raise ConfigError(
                f"Expected an address without a password: set {PREFIX}USER and {PREFIX}PASSWORD"
            )
        self.url = url.rstrip("/")
        ca = environ.get(f"{PREFIX}CA") or None
        if ca and not Path(ca).is_file():
            raise ConfigError(f"Expected a file with certificates, found none at {ca}")
        headers = _authorization(environ)
        self.exposed = bool(headers) and parts.scheme == "http" and not _is_local(parts.hostname)
        self._pool = urllib3.PoolManager(
            headers=headers, timeout=_SECONDS, retries=_AGAIN, ca_certs=ca, maxsize=16
        )

    def text(self, path: str, *, patient: bool = True) -> str:
        """The content at a path, as text.

        Args:
            path: After the address, with its slash.
            patient: Whether to ask again if nothing is there: servers that share a database may lag
                behind.

        Raises:
            GoneError: Nothing is there.
            ConfigError: The server refuses the credentials.
            UnreachableError: It does not answer.
            AnswerError: It answers with an error. The other methods raise the same.
        """
        return self.send("GET", path, patient=patient).data.decode("utf-8", "replace")

    def json(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        raw: bytes | None = None,
        patient: bool = True,
    ) -> Any:
        """The answer to a request, read as JSON; `body` is sent as JSON, `raw` as it is."""
        sent = raw if body is None else json.dumps(body)
        response = self.send(method, path, body=sent, patient=patient)
        try:
            return json.loads(response.data)
        except (ValueError, RecursionError) as error:
            raise FormError(f"Expected JSON from {self.url}{path}: {error}") from error

    def parts(self, path: str) -> Iterator[bytes]:
        """The content at a path in pieces, so that it does not have to fit into memory."""
        response = self.send("GET", path, stream=True)
        try:
            yield from response.stream(_CHUNK)
        except urllib3.exceptions.HTTPError as error:
            raise UnreachableError(f"{self.url}{path} was cut off: {error}") from error
        finally:
            response.release_conn()

    def send(
        self,
        method: str,
        path: str,
        *,
        body: bytes | str | None = None,
        stream: bool = False,
        patient: bool = True,
    ) -> urllib3.BaseHTTPResponse:
        """Sends a request and returns a successful answer."""
        response = self._request(method, path, body, stream)
        if response.status == 404 and method == "GET" and patient:
            response.release_conn()
            time.sleep(_MISSING_SECONDS)
            response = self._request(method, path, body, stream)
        if 200 <= response.status < 300:
            return response
        response.release_conn()
        raise _error(method, path, response.status)

    def _request(
        self, method: str, path: str, body: bytes | str | None, stream: bool
    ) -> urllib3.BaseHTTPResponse:
        try:
            return self._pool.request(
                method, self.url + path, body=body, preload_content=not stream, redirect=False
            )
        except urllib3.exceptions.HTTPError as error:
            raise UnreachableError(f"Orthanc at {self.url} does not answer: {error}") from error


def _error(method: str, path: str, status: int) -> Exception:
    """The error for an answer that is not a success."""
    if status == 404:
        return GoneError(f"Orthanc has no {path}")
    if status in (401, 403):
        return ConfigError(
            f"Orthanc answers {method} {path} with {status}: check {PREFIX}USER and "
            f"{PREFIX}PASSWORD, or {PREFIX}TOKEN"
        )
    kind = UnreachableError if status in _AWAY else AnswerError
    return kind(f"Orthanc answers {method} {path} with {status}")


def _authorization(environ: Mapping[str, str]) -> dict[str, str]:
    token = environ.get(f"{PREFIX}TOKEN")
    if token:
        return {"Authorization": f"Bearer {token}"}
    user = environ.get(f"{PREFIX}USER")
    if user:
        secret = environ.get(f"{PREFIX}PASSWORD", "")
        return dict(urllib3.make_headers(basic_auth=f"{user}:{secret}"))
    return {}


def _is_local(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")


class Trouble:
    """Remembers current troubles, so that the log has one line instead of one per try."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kinds: dict[str, type[BaseException]] = {}

    def begins(self, what: str, error: BaseException) -> None:
        """Notes a trouble; logs it if it is new or has changed."""
        with self._lock:
            known = self._kinds.get(what)
            self._kinds[what] = type(error)
        if known is not type(error):
            _log.warning("waiting for %s: %s", what, error or type(error).__name__)

    def is_over(self, what: str) -> None:
        """Notes that a trouble is over; logs it if there was one."""
        with self._lock:
            known = self._kinds.pop(what, None)
        if known is not None:
            _log.info("%s works again", what)

    def any(self) -> bool:
        """Whether there is any trouble."""
        with self._lock:
            return bool(self._kinds)
