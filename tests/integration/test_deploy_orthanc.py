"""The Orthanc configuration of deploy/compose in a real Orthanc, on loopback and other ports."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.factories.deployment import load
from tests.factories.series import write_case

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
PROGRAMS = ("Orthanc", "dcmsend", "echoscu")
MISSING = [name for name in PROGRAMS if shutil.which(name) is None]
USER, PASSWORD, PACS = "engineer", "only a test", "HOSPITAL"

pytestmark = pytest.mark.skipif(
    bool(MISSING) or not PLUGIN.exists(),
    reason=f"absent: {', '.join(MISSING) or 'the DICOMweb plug-in of Orthanc'}",
)


@dataclass(frozen=True)
class Server:
    """A running Orthanc."""

    http: int
    dicom: int
    settings: dict[str, Any]

    def get(self, path: str, *, known: bool = True) -> tuple[int, bytes]:
        """Status and body of an answer, asked for with or without the credentials."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.http}{path}")
        if known:
            token = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
            request.add_header("Authorization", f"Basic {token}")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return int(answer.status), answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return int(error.code), b""

    def status(self, path: str, *, known: bool = True) -> int:
        """The status alone."""
        return self.get(path, known=known)[0]

    def dcmtk(self, program: str, caller: str, called: str, *arguments: object) -> int:
        """The exit code of a DICOM tool that calls the server."""
        command = [program, "-aet", caller, "-aec", called, "127.0.0.1", self.dicom, *arguments]
        done = subprocess.run(list(map(str, command)), capture_output=True, timeout=60, check=False)
        return done.returncode


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An Orthanc with the shipped configuration, but for what a test on one machine must change."""
    folder = tmp_path_factory.mktemp("orthanc")
    http, dicom = free_port(), free_port()
    changed = {
        "HttpPort": http,
        "DicomPort": dicom,
        "RemoteAccessAllowed": False,
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "Plugins": [str(PLUGIN.resolve())],
    }
    settings = {**load("compose/orthanc.json"), **changed}
    (folder / "orthanc.json").write_text(json.dumps(settings))
    environment = {
        "PATH": os.environ["PATH"],
        "RENALSEG_ORTHANC_USER": USER,
        "RENALSEG_ORTHANC_PASSWORD": PASSWORD,
        "PACS_AET": PACS,
        "PACS_HOST": "127.0.0.1",
        "PACS_PORT": str(free_port()),
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            ["Orthanc", folder / "orthanc.json"], env=environment, stdout=log, stderr=log
        )
    try:
        found = Server(http, dicom, settings)
        wait(found, process, folder / "log")
        yield found
    finally:
        process.terminate()
        process.wait(timeout=30)


def wait(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    limit = time.monotonic() + 60
    while time.monotonic() < limit and process.poll() is None:
        try:
            if server.status("/system") == 200:
                return
        except urllib.error.URLError:
            time.sleep(0.1)
    raise AssertionError(log.read_text())


def test_only_who_knows_the_password_gets_in(server: Server) -> None:
    assert server.status("/system", known=False) == 401
    assert server.status("/system") == 200


def test_dicomweb_is_where_the_viewer_looks_for_it(server: Server) -> None:
    root = server.settings["DicomWeb"]["Root"]
    assert server.status(f"{root}studies") == 200
    assert server.status(f"{root}studies", known=False) == 401


def test_the_modality_of_the_environment_is_known(server: Server) -> None:
    assert server.status("/modalities/pacs") == 200


def test_a_ct_of_the_pacs_is_stored(server: Server, tmp_path: Path) -> None:
    folder = write_case(tmp_path / "ct").folder
    called = server.settings["DicomAet"]
    assert server.dcmtk("dcmsend", PACS, called, "--scan-directories", folder) == 0
    status, body = server.get("/statistics")
    assert (status, json.loads(body)["CountInstances"]) == (200, 22)


def test_others_are_turned_away(server: Server, tmp_path: Path) -> None:
    folder = write_case(tmp_path / "ct").folder
    called = server.settings["DicomAet"]
    assert server.dcmtk("echoscu", PACS, called) == 0
    assert server.dcmtk("echoscu", PACS, "ANOTHER") != 0
    assert server.dcmtk("dcmsend", "STRANGER", called, "--scan-directories", folder) != 0
