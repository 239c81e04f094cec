"""HTTP to a server: address, credentials, and outages, logged once."""

from __future__ import annotations

import base64
import json
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import urllib3

from renalseg.errors import ConfigError, InputError, RetryableError

PREFIX = "RENALSEG_ORTHANC_"
DICOMWEB = "RENALSEG_DICOMWEB_"
PREFIXES = (PREFIX, DICOMWEB)
"""Of variables that hold secrets."""
_CHUNK = 1 << 20  # bytes
SECONDS = urllib3.Timeout(connect=5, read=120)
_MISSING_SECONDS = 0.3  # before a second request for what was not found
_AWAY = (502, 503, 504)  # a proxy reports that the server is away
# Every request may be repeated: a file that is stored again is recognized by its UID.
AGAIN = urllib3.Retry(
    total=2, backoff_factor=0.3, allowed_methods=None,
    status_forcelist=_AWAY, raise_on_status=False,
)  # fmt: skip

_log = logging.getLogger(__name__)


class GoneError(InputError):
    """The server does not have what was requested, or not yet."""


class UnreachableError(RetryableError):
    """The server does not answer; the request is not to blame."""


class AnswerError(RetryableError):
    """The server answers, but not as expected; the request may be to blame."""


class FormError(AnswerError):
    """The server answers with JSON of another form."""


@dataclass(frozen=True)
class Access:
    """Address of a server, and what it wants to see.

    Attributes:
        url: Without a slash at its end.
        prefix: Of the environment variables it was read from.
        headers: With the credentials.
        ca: File with the certificates to trust; None for those of the system.
    """

    url: str
    prefix: str
    headers: Mapping[str, str]
    ca: str | None

    @classmethod
    def of(cls, url: str, environ: Mapping[str, str], prefix: str = PREFIX) -> Access:
        """Reads the variables of a server.

        Args:
            url: Such as ``http://127.0.0.1:8042``.
            environ: Holds the credentials, each after the prefix: USER and PASSWORD or
                PASSWORD_FILE, or TOKEN (sent as bearer); CA is a file with certificates.
            prefix: Such as ``RENALSEG_ORTHANC_``.

        Raises:
            ConfigError: The address is invalid, or holds a password, which the process list would
                show; or a file is not there.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError("Expected the address of a server, such as http://127.0.0.1:8042")
        if parts.username or parts.password:
            raise ConfigError(
                f"Expected an address without a password: set {prefix}USER and {prefix}PASSWORD"
            )
        ca = environ.get(f"{prefix}CA") or None
        if ca and not Path(ca).is_file():
            raise ConfigError(f"Expected a file with certificates, found none at {ca}")
        return cls(url.rstrip("/"), prefix, _authorization(environ, prefix), ca)

    @property
    def exposed(self) -> bool:
        """Whether a secret goes over a network unencrypted."""
        parts = urlsplit(self.url)
        return bool(self.headers) and parts.scheme == "http" and not _is_local(parts.hostname or "")

    def error(self, name: str, request: str, status: int) -> Exception:
        """The error for an answer that is not a success.

        Args:
            name: Of the server.
            request: Method and path.
            status: Of the answer.
        """
        if status == 404:
            return GoneError(f"{name} has no {request.partition(' ')[2]}")
        if status in (401, 403):
            return ConfigError(
                f"{name} answers {request} with {status}: check {self.prefix}USER and "
                f"{self.prefix}PASSWORD, or {self.prefix}TOKEN"
            )
        kind = UnreachableError if status in _AWAY else AnswerError
        return kind(f"{name} answers {request} with {status}")


class Connection:
    """Requests to an Orthanc server.

    Args:
        url: Such as ``http://127.0.0.1:8042``.
        environ: Holds the credentials, as for `Access.of`.

    Raises:
        ConfigError: As in `Access.of`.
    """

    def __init__(self, url: str, environ: Mapping[str, str] | None = None) -> None:
        self.access = Access.of(url, environ or {})
        self.url, self.exposed = self.access.url, self.access.exposed
        self._pool = urllib3.PoolManager(
            headers=self.access.headers, timeout=SECONDS, retries=AGAIN,
            ca_certs=self.access.ca, maxsize=16,
        )  # fmt: skip

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
        raise self.access.error("Orthanc", f"{method} {path}", response.status)

    def _request(
        self, method: str, path: str, body: bytes | str | None, stream: bool
    ) -> urllib3.BaseHTTPResponse:
        try:
            return self._pool.request(
                method, self.url + path, body=body, preload_content=not stream, redirect=False
            )
        except urllib3.exceptions.HTTPError as error:
            raise UnreachableError(f"Orthanc at {self.url} does not answer: {error}") from error


def _authorization(environ: Mapping[str, str], prefix: str) -> dict[str, str]:
    """The header with the credentials, whatever characters they have."""
    token = environ.get(f"{prefix}TOKEN")
    if token:
        if not (token.isascii() and token.isprintable()):
            raise ConfigError(f"Expected printable ASCII in {prefix}TOKEN, found other characters")
        return {"Authorization": f"Bearer {token}"}
    user = environ.get(f"{prefix}USER")
    if not user:
        return {}
    if ":" in user:
        raise ConfigError(f"Expected no colon in {prefix}USER, where it ends the name (RFC 7617)")
    both = f"{user}:{_password(environ, prefix)}".encode("utf-8", "surrogateescape")
    return {"Authorization": f"Basic {base64.b64encode(both).decode()}"}


def _password(environ: Mapping[str, str], prefix: str) -> str:
    path = environ.get(f"{prefix}PASSWORD_FILE")
    if not path:
        return environ.get(f"{prefix}PASSWORD", "")
    try:
        return Path(path).read_text(encoding="utf-8").removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"Expected a password in UTF-8 at {path}: {error}") from error


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
