"""An Orthanc of a few lines, for tests that need no DICOM: it has series, and a log of changes."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CT_TAGS = {"Modality": "CT", "SeriesDescription": "arterial", "BodyPartExamined": "ABDOMEN"}
PATIENT = {"PatientName": "Roe^Jane", "PatientID": "MRN4711"}


@dataclass
class FakeOrthanc:
    """What the server has and does.

    Attributes:
        tags: Of each series.
        files: Of each series, contents by instance.
        stable: Series that are.
        changes: Kind and name, in order.
        stored: What was posted, by the name that it was given.
        manufacturer: Of what was posted.
        md5: Whether it keeps the MD5 of files.
        forwarded: Paths that instances were sent on by, with the instances.
        faults: By the beginning of a path, statuses of the next answers.
        requests: Method, path and headers of each.
        year: Of the dates of changes; an Orthanc that takes the place of another has a later one.
        shapes: By the beginning of a path, what is answered instead.
        patient: Of all series.
        studies: Of which study a series is, if not "study".
        dates: StudyDate of a study.
        contents: Values and items in files, by instance, tags and numbers.
    """

    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    stable: set[str] = field(default_factory=set)
    changes: list[tuple[str, str]] = field(default_factory=list)
    stored: dict[str, bytes] = field(default_factory=dict)
    manufacturer: str = "RenalSeg"
    md5: bool = True
    forwarded: list[tuple[str, list[str]]] = field(default_factory=list)
    faults: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    url: str = ""
    year: int = 2000
    shapes: dict[str, Any] = field(default_factory=dict)
    patient: dict[str, str] = field(default_factory=lambda: dict(PATIENT))
    studies: dict[str, str] = field(default_factory=dict)
    dates: dict[str, str] = field(default_factory=dict)
    contents: dict[str, Any] = field(default_factory=dict)

    def requests_of(self, method: str, path: str) -> list[str]:
        """Paths of the requests of a method that begin so."""
        return [at for how, at, _ in self.requests if how == method and at.startswith(path)]

    def replace_database(self) -> None:
        """All is gone, and the log begins anew, later."""
        for kept in (self.tags, self.files, self.stable, self.changes, self.stored):
            kept.clear()
        self.year += 1

    def delete(self, series: str) -> None:
        """A series goes, and its changes with it; the numbers of the others stay."""
        names = {series, *self.files.pop(series)}
        del self.tags[series]
        self.changes = [("", "") if name in names else (kind, name) for kind, name in self.changes]

    def receive(self, series: str, slices: int, *, first: int = 0, **tags: str) -> None:
        """Slices arrive, and the series is not stable."""
        self.tags[series] = {**CT_TAGS, "SeriesInstanceUID": f"1.2.{series}", **tags}
        self.stable.discard(series)
        files = self.files.setdefault(series, {})
        for number in range(first, first + slices):
            files[f"{series}-{number}"] = f"slice {number} of {series}".encode()
            self.changes.append(("NewInstance", f"{series}-{number}"))

    def settle(self, series: str, *, silently: bool = False) -> None:
        """A series becomes stable; silently where Orthanc was restarted meanwhile."""
        self.stable.add(series)
        if not silently:
            self.changes.append(("StableSeries", series))

    def add(self, series: str, slices: int = 20, **tags: str) -> None:
        """A whole series arrives."""
        self.receive(series, slices, first=0, **tags)
        self.settle(series)

    def answer(self, method: str, path: str, body: bytes) -> Any:
        """JSON or bytes, None for what is not there."""
        for start, shape in self.shapes.items():
            if path.startswith(start):
                return shape
        for pattern, function in _ROUTES:
            match = re.fullmatch(pattern, f"{method} {path}")
            if match:
                return function(self, body, *match.groups())
        return None


def _left(server: FakeOrthanc, since: int = 0) -> list[dict[str, Any]]:
    """The changes after a number that were not deleted."""
    return [
        {"ChangeType": kind, "ID": name, "Seq": number, "Date": f"{server.year}0101T{number:06d}"}
        for number, (kind, name) in enumerate(server.changes[since:], start=since + 1)
        if kind
    ]


def _page(server: FakeOrthanc, body: bytes, since: str, limit: str) -> Any:
    after = _left(server, int(since))
    found = after[: int(limit)]
    last = found[-1]["Seq"] if found else int(since)
    return {"Changes": found, "Done": len(after) <= int(limit), "Last": last}


def _last(server: FakeOrthanc, body: bytes) -> Any:
    found = _left(server)[-1:]
    last = found[0]["Seq"] if found else len(server.changes)
    return {"Changes": found, "Done": True, "Last": last}


def _series(server: FakeOrthanc, body: bytes, name: str) -> Any:
    if name not in server.tags:
        return None
    return {
        "IsStable": name in server.stable,
        "MainDicomTags": server.tags[name],
        "Instances": list(server.files[name]),
        "ParentStudy": server.studies.get(name, "study"),
    }


def _study(server: FakeOrthanc, body: bytes, name: str) -> Any:
    uid = "1.1" if name == "study" else f"1.1.{name}"
    return {"MainDicomTags": {"StudyInstanceUID": uid, "StudyDate": server.dates.get(name, "")}}


def _patient(server: FakeOrthanc, body: bytes) -> Any:
    studies = sorted({server.studies.get(name, "study") for name in server.tags})
    return {"MainDicomTags": server.patient, "Studies": studies}


def _instances(server: FakeOrthanc, body: bytes, name: str) -> Any:
    if name not in server.files:
        return None
    return [
        {"ID": file, "FileSize": len(content), "MainDicomTags": {"SOPInstanceUID": f"9.{file}"}}
        for file, content in server.files[name].items()
    ]


def _file(server: FakeOrthanc, body: bytes, name: str) -> Any:
    return server.files.get(name.rpartition("-")[0], {}).get(name, server.stored.get(name))


def _md5(server: FakeOrthanc, body: bytes, name: str) -> Any:
    content = _file(server, body, name)
    return hashlib.md5(content).hexdigest().encode() if server.md5 else None


def _instance(server: FakeOrthanc, body: bytes, name: str) -> Any:
    content = _file(server, body, name)
    tags = {"SOPInstanceUID": f"9.{name}"}
    return content and {
        "ParentSeries": name.rpartition("-")[0], "FileSize": len(content), "MainDicomTags": tags
    }  # fmt: skip


def _store(server: FakeOrthanc, body: bytes) -> Any:
    name = f"result-{hashlib.md5(body).hexdigest()[:8]}"
    known = name in server.stored
    server.stored[name] = body
    return {"ID": name, "Status": "AlreadyStored" if known else "Success"}


def _forward(server: FakeOrthanc, body: bytes, path: str) -> Any:
    server.forwarded.append((path, json.loads(body)["Resources"]))
    return {}


_ROUTES: list[tuple[str, Any]] = [
    ("GET /system", lambda server, body: {"Version": "1.12"}),
    (r"GET /changes\?last", _last),
    (r"GET /changes\?since=(\d+)&limit=(\d+)", _page),
    ("GET /series/([^/]+)", _series),
    ("GET /series/([^/]+)/instances", _instances),
    ("GET /series/[^/]+/patient", _patient),
    ("GET /series/[^/]+/metadata/RemoteAET", lambda server, body: b"SCANNER"),
    ("GET /studies/([^/]+)", _study),
    ("GET /instances/([^/]+)", _instance),
    ("GET /instances/([^/]+)/file", _file),
    ("GET /instances/([^/]+)/attachments/dicom/md5", _md5),
    (
        "GET /instances/[^/]+/content/0008-0070",
        lambda server, body: server.manufacturer.encode(),
    ),
    (
        "GET /instances/([^/]+/content/.+)",
        lambda server, body, path: server.contents.get(path),
    ),
    ("POST /instances", _store),
    ("POST /(modalities/pacs/store|dicom-web/servers/pacs/stow)", _forward),
    ("DELETE /instances/([^/]+)", lambda server, body, name: server.stored.pop(name) and {}),
]


@contextmanager
def serve(server: FakeOrthanc) -> Iterator[FakeOrthanc]:
    """Runs the server, and fills `server.url`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            server.requests.append((self.command, self.path, dict(self.headers)))
            fault = next(
                (
                    f
                    for start, f in list(server.faults.items())
                    if self.path.startswith(start) and f
                ),
                None,
            )
            answer = None if fault else server.answer(self.command, self.path, body)
            content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(fault.pop(0) if fault else 404 if answer is None else 200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            with suppress(ConnectionError):  # of a client that has read enough
                self.wfile.write(content)

        do_GET = do_POST = do_DELETE = handle_any  # noqa: N815

        def log_message(self, *args: Any) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    server.url = f"http://127.0.0.1:{http.server_port}"
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
