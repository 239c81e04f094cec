"""What the worker asks of an Orthanc server, over its REST API."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import urllib3

from renalseg.errors import ConfigError, InputError, RetryableError

PREFIX = "RENALSEG_ORTHANC_"
STOW = "dicomweb:"  # before the name of a target that takes STOW-RS; others take C-STORE
_CHUNK = 1 << 20  # bytes
_SECONDS = urllib3.Timeout(connect=5, read=120)
_STORED = ("Success", "AlreadyStored")


class GoneError(InputError):
    """Orthanc no longer has what was asked for."""


@dataclass(frozen=True)
class Page:
    """A part of Orthanc's log of changes.

    Attributes:
        changes: Kind and Orthanc id of each, in order.
        last: Number of the last of them, to go on from.
        done: Whether there are no more for now.
    """

    changes: tuple[tuple[str, str], ...]
    last: int
    done: bool


@dataclass(frozen=True)
class Series:
    """A series as Orthanc knows it.

    Attributes:
        id: Orthanc's name for it.
        stable: Whether nothing has arrived for as long as Orthanc's StableAge.
        tags: Its DICOM values by keyword, as far as Orthanc keeps them.
        instances: Orthanc ids.
        study: Orthanc id.
    """

    id: str
    stable: bool
    tags: Mapping[str, str]
    instances: tuple[str, ...]
    study: str


@dataclass(frozen=True)
class Instance:
    """One file of a series: its Orthanc id, SOP instance UID, size in bytes and MD5."""

    id: str
    uid: str
    size: int
    md5: str


class Orthanc:
    """A connection to an Orthanc server.

    Args:
        url: Such as ``http://127.0.0.1:8042``.
        environ: Holds the credentials: RENALSEG_ORTHANC_USER and _PASSWORD, or _TOKEN (sent as
            bearer); RENALSEG_ORTHANC_CA is a file with the certificates to trust.

    Raises:
        ConfigError: The address is none, or holds a password, which the list of processes shows.
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
            headers=headers, timeout=_SECONDS, retries=False, ca_certs=ca, maxsize=8
        )

    def check(self) -> str:
        """The version of Orthanc.

        Raises:
            ConfigError: It refuses the credentials.
            RetryableError: It does not answer.
        """
        return str(self._json("GET", "/system")["Version"])

    def last_change(self) -> int:
        """Number of the newest change."""
        return int(self._json("GET", "/changes?last")["Last"])

    def changes(self, since: int, limit: int = 200) -> Page:
        """The changes after number `since`, oldest first, `limit` at most."""
        found = self._json("GET", f"/changes?since={since}&limit={limit}")
        changes = tuple((change["ChangeType"], change["ID"]) for change in found["Changes"])
        last = found["Changes"][-1]["Seq"] if changes else since
        return Page(changes, int(last), bool(found["Done"]))

    def series(self, series: str) -> Series:
        """What is known of a series.

        Raises:
            GoneError: It was deleted.
        """
        found = self._json("GET", f"/series/{series}")
        return Series(
            id=series,
            stable=bool(found["IsStable"]),
            tags=found["MainDicomTags"],
            instances=tuple(found["Instances"]),
            study=found["ParentStudy"],
        )

    def sender(self, series: str) -> str:
        """Application entity that sent a series, empty where it came another way."""
        try:
            return self._text(f"/series/{series}/metadata/RemoteAET")
        except GoneError:
            return ""

    def series_of(self, instance: str) -> str:
        """Orthanc id of the series of an instance.

        Raises:
            GoneError: It was deleted.
        """
        return str(self._json("GET", f"/instances/{instance}")["ParentSeries"])

    def study_uid(self, study: str) -> str:
        """Study instance UID."""
        return str(self._json("GET", f"/studies/{study}")["MainDicomTags"]["StudyInstanceUID"])

    def instances(self, series: str) -> list[Instance]:
        """The files of a series, in order of their UIDs."""
        found = self._json("GET", f"/series/{series}/instances")
        files = [
            Instance(
                id=item["ID"],
                uid=item["MainDicomTags"]["SOPInstanceUID"],
                size=int(item["FileSize"]),
                md5=self._text(f"/instances/{item['ID']}/attachments/dicom/md5"),
            )
            for item in found
        ]
        return sorted(files, key=lambda file: file.uid)

    def patient(self, series: str) -> tuple[str, ...]:
        """Name and id of the patient, for nothing but to keep them out of messages."""
        tags = self._json("GET", f"/series/{series}/patient")["MainDicomTags"]
        return tuple(tags.get(keyword, "") for keyword in ("PatientName", "PatientID"))

    def fetch(self, instance: Instance, path: Path) -> None:
        """Writes a file.

        Raises:
            GoneError: It was deleted.
            RetryableError: What came is not what Orthanc has, or Orthanc is away.
            OSError: It cannot be written.
        """
        digest = hashlib.md5(usedforsecurity=False)
        with path.open("wb") as file:
            response = self._send("GET", f"/instances/{instance.id}/file", stream=True)
            try:
                for part in response.stream(_CHUNK):
                    digest.update(part)
                    file.write(part)
            except urllib3.exceptions.HTTPError as error:
                raise RetryableError(f"{instance.uid} broke off: {error}") from error
            finally:
                response.release_conn()
        if digest.hexdigest() != instance.md5:
            raise RetryableError(
                f"Expected {instance.uid} with MD5 {instance.md5}, got {digest.hexdigest()}"
            )

    def store(self, path: Path) -> str:
        """Stores a DICOM file, and gives its Orthanc id; one that is there already stays.

        Raises:
            RetryableError: Orthanc does not take it.
        """
        answer = json.loads(self._send("POST", "/instances", body=path.read_bytes()).data)
        if isinstance(answer, dict) and answer.get("Status") in _STORED:
            return str(answer["ID"])
        raise RetryableError(f"Orthanc did not store {path.name}: {str(answer)[:200]}")

    def forward(self, target: str, instances: Sequence[str]) -> None:
        """Has Orthanc send instances on, with the address and the secrets that it has.

        Args:
            target: Name in its DicomModalities (C-STORE), or ``dicomweb:`` and a name in the
                servers of its DICOMweb plugin (STOW-RS).
            instances: Orthanc ids.

        Raises:
            RetryableError: Orthanc does not know the target, or that does not take them.
        """
        name = quote(target.removeprefix(STOW))
        stow = target.startswith(STOW)
        path = f"/dicom-web/servers/{name}/stow" if stow else f"/modalities/{name}/store"
        try:
            self._json("POST", path, {"Resources": list(instances), "Synchronous": True})
        except GoneError as error:
            raise RetryableError(f"Orthanc knows no target {target}, or lacks a result") from error

    def delete(self, instance: str, manufacturer: str) -> bool:
        """Deletes an instance if it is of a manufacturer; tells whether it did."""
        try:
            if self._text(f"/instances/{instance}/content/0008-0070").strip(" \0") != manufacturer:
                return False
            self._send("DELETE", f"/instances/{instance}")
        except GoneError:
            return False
        return True

    def _text(self, path: str) -> str:
        return self._send("GET", path).data.decode("utf-8", "replace")

    def _json(self, method: str, path: str, body: Any = None) -> Any:
        response = self._send(method, path, body=None if body is None else json.dumps(body))
        try:
            return json.loads(response.data)
        except ValueError as error:
            raise RetryableError(f"Expected JSON from {self.url}{path}: {error}") from error

    def _send(
        self, method: str, path: str, *, body: bytes | str | None = None, stream: bool = False
    ) -> urllib3.BaseHTTPResponse:
        try:
            response = self._pool.request(
                method, self.url + path, body=body, preload_content=not stream, redirect=False
            )
        except urllib3.exceptions.HTTPError as error:
            raise RetryableError(f"Orthanc at {self.url} does not answer: {error}") from error
        status = response.status
        if 200 <= status < 300:
            return response
        response.release_conn()
        if status == 404:
            raise GoneError(f"Orthanc has no {path}")
        if status in (401, 403):
            raise ConfigError(
                f"Orthanc answers {method} {path} with {status}: check {PREFIX}USER and "
                f"{PREFIX}PASSWORD, or {PREFIX}TOKEN"
            )
        raise RetryableError(f"Orthanc answers {method} {path} with {status}")


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
