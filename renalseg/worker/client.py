"""What the worker asks of an Orthanc server, over its REST API."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from renalseg.errors import RetryableError
from renalseg.worker.http import Connection, GoneError

STOW = "dicomweb:"  # before the name of a target that takes STOW-RS; others take C-STORE
_STORED = ("Success", "AlreadyStored")
_AT_ONCE = 4  # requests: each of the many small ones mostly waits


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
    """One file of a series.

    Attributes:
        id: Orthanc's name for it.
        uid: SOPInstanceUID.
        size: In bytes.
        md5: Empty where Orthanc is told not to keep it (StoreMD5ForAttachments).
    """

    id: str
    uid: str
    size: int
    md5: str


class Orthanc:
    """An Orthanc server.

    Every method raises RetryableError where it does not answer, and ConfigError where it refuses
    the credentials.

    Args:
        connection: To it.
    """

    def __init__(self, connection: Connection) -> None:
        self._http = connection

    def check(self) -> str:
        """The version of Orthanc."""
        return str(self._http.json("GET", "/system")["Version"])

    def last_change(self) -> int:
        """Number of the newest change."""
        return int(self._http.json("GET", "/changes?last")["Last"])

    def changes(self, since: int, limit: int = 200) -> Page:
        """The changes after number `since`, oldest first, `limit` at most."""
        found = self._http.json("GET", f"/changes?since={since}&limit={limit}")
        changes = tuple((change["ChangeType"], change["ID"]) for change in found["Changes"])
        last = found["Changes"][-1]["Seq"] if changes else since
        return Page(changes, int(last), bool(found["Done"]))

    def series(self, series: str) -> Series:
        """What is known of a series.

        Raises:
            GoneError: It was deleted.
        """
        found = self._http.json("GET", f"/series/{series}")
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
            return self._http.text(f"/series/{series}/metadata/RemoteAET")
        except GoneError:
            return ""

    def series_of(self, instance: str) -> str:
        """Orthanc id of the series of an instance.

        Raises:
            GoneError: It was deleted.
        """
        return str(self._http.json("GET", f"/instances/{instance}")["ParentSeries"])

    def study_uid(self, study: str) -> str:
        """Study instance UID."""
        return str(self._http.json("GET", f"/studies/{study}")["MainDicomTags"]["StudyInstanceUID"])

    def instances(self, series: str) -> list[Instance]:
        """The files of a series, in order of their UIDs."""
        found = self._http.json("GET", f"/series/{series}/instances")
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            sums = pool.map(self._md5, [item["ID"] for item in found])
            files = [
                Instance(
                    id=item["ID"],
                    uid=item["MainDicomTags"]["SOPInstanceUID"],
                    size=int(item["FileSize"]),
                    md5=md5,
                )
                for item, md5 in zip(found, sums, strict=True)
            ]
        return sorted(files, key=lambda file: file.uid)

    def _md5(self, instance: str) -> str:
        try:
            return self._http.text(f"/instances/{instance}/attachments/dicom/md5")
        except GoneError:
            return ""

    def patient(self, series: str) -> tuple[str, ...]:
        """Name and id of the patient, for nothing but to keep them out of messages."""
        tags = self._http.json("GET", f"/series/{series}/patient")["MainDicomTags"]
        return tuple(tags.get(keyword, "") for keyword in ("PatientName", "PatientID"))

    def fetch_all(self, instances: Sequence[Instance], folder: Path) -> Generator[None]:
        """Writes files to a folder, several at once, and yields for each; may be left early.

        Raises:
            GoneError: One was deleted.
            RetryableError: What came of one is not what Orthanc has.
            OSError: One cannot be written.
        """
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            files = [
                pool.submit(self.fetch, instance, folder / f"{number:05d}.dcm")
                for number, instance in enumerate(instances)
            ]
            try:
                for file in files:
                    file.result()
                    yield
            finally:
                for file in files:
                    file.cancel()

    def fetch(self, instance: Instance, path: Path) -> None:
        """Writes a file.

        Raises:
            GoneError: It was deleted.
            RetryableError: What came is not what Orthanc has.
            OSError: It cannot be written.
        """
        digest = hashlib.md5(usedforsecurity=False)
        with path.open("wb") as file:
            for part in self._http.parts(f"/instances/{instance.id}/file"):
                digest.update(part)
                file.write(part)
        if instance.md5 and digest.hexdigest() != instance.md5:
            raise RetryableError(
                f"Expected {instance.uid} with MD5 {instance.md5}, got {digest.hexdigest()}"
            )

    def store(self, path: Path) -> str:
        """Stores a DICOM file, and gives its Orthanc id; one that is there already stays.

        Raises:
            RetryableError: Orthanc does not take it.
        """
        answer = json.loads(self._http.send("POST", "/instances", body=path.read_bytes()).data)
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
            self._http.json("POST", path, {"Resources": list(instances), "Synchronous": True})
        except GoneError as error:
            raise RetryableError(f"Orthanc knows no target {target}, or lacks a result") from error

    def delete(self, instance: str, manufacturer: str) -> bool:
        """Deletes an instance if it is of a manufacturer; tells whether it did."""
        try:
            if (
                self._http.text(f"/instances/{instance}/content/0008-0070").strip(" \0")
                != manufacturer
            ):
                return False
            self._http.send("DELETE", f"/instances/{instance}")
        except GoneError:
            return False
        return True
