"""Client of Orthanc's REST API."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote

from renalseg.worker.http import AnswerError, Connection, FormError, GoneError
from renalseg.worker.server import AT_ONCE, Instance, Study

STOW = "dicomweb:"  # prefix of targets that take STOW-RS; others take C-STORE
_STORED = ("Success", "AlreadyStored")


@dataclass(frozen=True)
class Change:
    """A line of Orthanc's log of changes. All fields together distinguish one log from another.

    Attributes:
        seq: Number, from 1; deleting a series removes its changes.
        kind: Such as "StableSeries".
        id: Orthanc id of what changed.
        date: When, as Orthanc writes it.
    """

    seq: int
    kind: str
    id: str
    date: str


@dataclass(frozen=True)
class Page:
    """A part of Orthanc's log of changes.

    Attributes:
        changes: In order.
        last: Number of the last one, from which to continue.
        done: Whether there are no more at present.
    """

    changes: tuple[Change, ...]
    last: int
    done: bool


@dataclass(frozen=True)
class Series:
    """A series as Orthanc knows it.

    Attributes:
        id: Orthanc's name for it.
        stable: Whether nothing has arrived for as long as Orthanc's StableAge.
        tags: Its DICOM values by keyword, as far as Orthanc stores them.
        instances: Orthanc ids.
        study: Orthanc id.
    """

    id: str
    stable: bool
    tags: Mapping[str, str]
    instances: tuple[str, ...]
    study: str


class Orthanc:
    """An Orthanc server.

    Every method raises UnreachableError if it does not answer, AnswerError if the answer is an
    error or JSON of another form, and ConfigError if it refuses the credentials.

    Args:
        connection: To it.
    """

    name = "Orthanc"

    def __init__(self, connection: Connection) -> None:
        self._http = connection

    def check(self) -> str:
        """The version of Orthanc."""
        with _form("/system"):
            return str(self._http.json("GET", "/system")["Version"])

    def last_change(self) -> Page:
        """The newest change left in the log; the last number if there is none."""
        return self._page("/changes?last", -1)

    def changes(self, since: int, limit: int = 200) -> Page:
        """The changes after number `since`, oldest first, `limit` at most."""
        return self._page(f"/changes?since={since}&limit={limit}", since)

    @contextmanager
    def _about(self, path: str, *, patient: bool = True) -> Iterator[dict[str, Any]]:
        """What Orthanc says at a path; the body reads it, and another form is an error."""
        found = self._http.json("GET", path, patient=patient)
        with _form(path):
            yield found

    def _page(self, path: str, since: int) -> Page:
        with self._about(path) as found:
            changes = tuple(map(_change, found["Changes"]))
            numbers = [since, *(change.seq for change in changes)]
            if any(after <= before for before, after in pairwise(numbers)):
                raise ValueError("change numbers do not increase")  # would be read forever
            last = int(found["Last"]) if since < 0 and not changes else numbers[-1]
            return Page(changes, last, bool(found["Done"]))

    def series(self, series: str) -> Series:
        """Returns what Orthanc knows about a series.

        Raises:
            GoneError: It was deleted.
        """
        with self._about(f"/series/{quote(series, safe='')}") as found:
            return Series(
                id=series,
                stable=bool(found["IsStable"]),
                tags=_tags(found),
                instances=tuple(map(_text, found["Instances"])),
                study=_text(found["ParentStudy"]),
            )

    def sender(self, series: str) -> str:
        """Application entity that sent a series; empty if it arrived another way."""
        try:
            return self._http.text(f"/series/{quote(series, safe='')}/metadata/RemoteAET")
        except GoneError:
            return ""

    def series_of(self, instance: str) -> str:
        """Orthanc id of the series of an instance.

        Raises:
            GoneError: It was deleted.
        """
        # there may be a thousand of them
        with self._about(f"/instances/{quote(instance, safe='')}", patient=False) as found:
            return _text(found["ParentSeries"])

    def study(self, study: str) -> Study:
        """Returns what Orthanc knows about a study."""
        with self._about(f"/studies/{quote(study, safe='')}") as found:
            tags = _tags(found)
            return Study(tags["StudyInstanceUID"], tags.get("StudyDate", "").strip())

    def studies_of_patient(self, series: str) -> list[Study]:
        """The studies of the patient of a series; none where the patient has no ID.

        Orthanc takes all that comes without a PatientID for one patient.
        """
        with self._about(f"/series/{quote(series, safe='')}/patient") as found:
            studies = list(map(_text, found["Studies"]))
            known = _tags(found).get("PatientID", "").strip()
        return [self.study(study) for study in studies] if known else []

    def instance(self, instance: str) -> Instance:
        """A file.

        Raises:
            GoneError: It was deleted.
        """
        with self._about(f"/instances/{quote(instance, safe='')}") as found:
            uid, size = _tags(found)["SOPInstanceUID"], int(found["FileSize"])
        file = Instance(instance, uid, size, "")
        return replace(file, md5=self._md5(file))

    def value(self, instance: str, *path: str) -> str:
        """A value of a file, by tags such as 0008-0070 and numbers of items; empty if missing."""
        where = "/".join(("/instances", quote(instance, safe=""), "content", *path))
        try:
            return self._http.text(where, patient=False).strip(" \0")
        except GoneError:
            return ""

    def items(self, instance: str, sequence: str) -> int:
        """How many items a sequence of a file has, by its tag."""
        path = f"/instances/{quote(instance, safe='')}/content/{sequence}"
        try:
            return len(self._http.json("GET", path, patient=False))
        except GoneError:
            return 0

    def instances(self, series: str) -> list[Instance]:
        """The files of a series, in order of their UIDs."""
        path = f"/series/{quote(series, safe='')}/instances"
        found = self._http.json("GET", path)
        with _form(path):
            files = [
                Instance(
                    _text(item["ID"]), _tags(item)["SOPInstanceUID"], int(item["FileSize"]), ""
                )
                for item in found
            ]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            sums = list(pool.map(self._md5, files))
        # Orthanc keeps the sums of all files or of none. A single missing sum would change the
        # content of the series, so it is requested again.
        kept = any(sums)
        sums = [self._md5(file, kept) if kept and not md5 else md5
                for file, md5 in zip(files, sums, strict=True)]  # fmt: skip
        files = [replace(file, md5=md5) for file, md5 in zip(files, sums, strict=True)]
        return sorted(files, key=lambda file: file.uid)

    def _md5(self, file: Instance, patient: bool = False) -> str:
        path = f"/instances/{quote(file.id, safe='')}/attachments/dicom/md5"
        try:
            return self._http.text(path, patient=patient)
        except GoneError:
            return ""

    def patient(self, series: str) -> tuple[str, ...]:
        """Name and ID of the patient, used only to keep them out of messages."""
        with self._about(f"/series/{quote(series, safe='')}/patient") as found:
            tags = _tags(found)
        return tuple(tags.get(keyword, "") for keyword in ("PatientName", "PatientID"))

    def fetch(self, instance: Instance, path: Path) -> None:
        """Writes a file.

        Raises:
            GoneError: It was deleted.
            AnswerError: The file did not arrive as Orthanc has it.
            OSError: It cannot be written.
        """
        digest = hashlib.md5(usedforsecurity=False)
        size = 0
        with path.open("wb") as file:
            for part in self._http.parts(f"/instances/{quote(instance.id, safe='')}/file"):
                digest.update(part)
                size += file.write(part)
                if size > instance.size:
                    break  # more than announced, and possibly endless
        if instance.md5 and digest.hexdigest() != instance.md5:
            raise AnswerError(
                f"Expected {instance.uid} with MD5 {instance.md5}, got {digest.hexdigest()}"
            )
        if size != instance.size:
            raise AnswerError(f"Expected {instance.uid} with {instance.size} bytes, got {size}")

    def store(self, path: Path) -> str:
        """Stores a DICOM file and returns its Orthanc id; an existing one stays.

        Raises:
            AnswerError: Orthanc rejects it.
        """
        answer = self._http.json("POST", "/instances", raw=path.read_bytes())
        if isinstance(answer, dict) and answer.get("Status") in _STORED and "ID" in answer:
            return str(answer["ID"])
        raise AnswerError(f"Orthanc did not store {path.name}: {str(answer)[:200]}")

    def forward(self, target: str, instances: Sequence[str]) -> None:
        """Makes Orthanc forward instances, with its own address and credentials for the target.

        Args:
            target: Name in its DicomModalities (C-STORE), or ``dicomweb:`` and a name in the
                servers of its DICOMweb plugin (STOW-RS).
            instances: Orthanc ids.

        Raises:
            AnswerError: Orthanc does not know the target, or the target rejects them.
        """
        name = quote(target.removeprefix(STOW))
        stow = target.startswith(STOW)
        path = f"/dicom-web/servers/{name}/stow" if stow else f"/modalities/{name}/store"
        try:
            answer = self._http.json(
                "POST", path, {"Resources": list(instances), "Synchronous": True}
            )
        except GoneError as error:
            raise GoneError(f"Orthanc has no target {target}, or lacks a result") from error
        if isinstance(answer, dict) and answer.get("FailedInstancesCount"):
            raise AnswerError(f"{target} did not take every result")

    def delete(self, instance: str, manufacturer: str) -> bool:
        """Deletes an instance if it is from a manufacturer; returns whether it did."""
        try:
            if self.value(instance, "0008-0070") != manufacturer:
                return False
            self._http.send("DELETE", f"/instances/{quote(instance, safe='')}")
        except GoneError:
            return False
        return True


@contextmanager
def _form(path: str) -> Iterator[None]:
    """Raises FormError for an answer that lacks the form that Orthanc documents."""
    try:
        yield
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise FormError(
            f"Expected the JSON that Orthanc documents for {path}, found another form "
            f"({type(error).__name__})"
        ) from error


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(type(value))
    return value


def _change(entry: Any) -> Change:
    kind, name, date = (str(entry[key]) for key in ("ChangeType", "ID", "Date"))
    return Change(int(entry["Seq"]), kind, name, date)


def _tags(entry: Any) -> dict[str, str]:
    """Values by keyword; those that are not text are left out."""
    return {key: value for key, value in entry["MainDicomTags"].items() if isinstance(value, str)}
