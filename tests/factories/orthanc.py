"""A real Orthanc for tests: Debian's, on loopback, with what it stores in a folder."""

from __future__ import annotations

import io
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pydicom
import urllib3
from pydicom.dataset import Dataset

MISSING = [name for name in ("Orthanc", "dcmsend") if not shutil.which(name)]
DICOMWEB = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
USER, PASSWORD = "integration", "not a secret"
AET, SENDER = "ORTHANC", "SCANNER"


class RealOrthanc:
    """An Orthanc server that can be killed and started again with what it has stored.

    Args:
        folder: Where it keeps its configuration and all that it stores.
        stable_age: Seconds without news until a series is stable.
        options: More of its configuration.
    """

    def __init__(self, folder: Path, stable_age: int = 1, **options: Any) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.port, self.dicom_port = _free_port(), _free_port()
        self.configuration = {
            "Name": "test",
            "StorageDirectory": str(folder / "storage"),
            "IndexDirectory": str(folder / "storage"),
            "HttpPort": self.port,
            "DicomPort": self.dicom_port,
            "DicomAet": AET,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": True,
            "RegisteredUsers": {USER: PASSWORD},
            "DicomAlwaysAllowStore": False,
            "DicomAlwaysAllowEcho": False,
            "DicomModalities": {"scanner": [SENDER, "127.0.0.1", _free_port()]},
            "StableAge": stable_age,
            "Plugins": [str(DICOMWEB.resolve())] if DICOMWEB.exists() else [],
            **options,
        }
        self._process: subprocess.Popen[bytes] | None = None
        headers = urllib3.make_headers(basic_auth=f"{USER}:{PASSWORD}")
        self._pool = urllib3.PoolManager(headers=headers, retries=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        return {"RENALSEG_ORTHANC_USER": USER, "RENALSEG_ORTHANC_PASSWORD": PASSWORD}

    def start(self) -> None:
        path = self.folder / "orthanc.json"
        path.write_text(json.dumps(self.configuration))
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(["Orthanc", path], stdout=log, stderr=log)
        wait_for(self._answers, f"Orthanc to start; see {self.folder / 'log'}")

    def kill(self) -> None:
        """End it at once, as a power cut does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def send(self, folder: Path) -> None:
        """Send all files of a folder by C-STORE."""
        subprocess.run(
            [
                "dcmsend", "--scan-directories", "--recurse", "-aet", SENDER, "-aec", AET,
                "127.0.0.1", str(self.dicom_port), folder,
            ],
            check=True, capture_output=True,
        )  # fmt: skip

    def get(self, path: str) -> Any:
        return json.loads(self._pool.request("GET", self.url + path).data)

    def post(self, path: str, body: Any) -> Any:
        return json.loads(self._pool.request("POST", self.url + path, body=json.dumps(body)).data)

    def delete(self, path: str) -> None:
        self._pool.request("DELETE", self.url + path)

    def series(self, modality: str) -> list[str]:
        return self.post("/tools/find", {"Level": "Series", "Query": {"Modality": modality}})

    def datasets(self, modality: str) -> list[Dataset]:
        """All objects of a modality."""
        return [
            pydicom.dcmread(io.BytesIO(self._file(instance)))
            for series in self.series(modality)
            for instance in self.get(f"/series/{series}")["Instances"]
        ]

    def _file(self, instance: str) -> bytes:
        return self._pool.request("GET", f"{self.url}/instances/{instance}/file").data

    def _answers(self) -> bool:
        try:
            return self._pool.request("GET", f"{self.url}/system").status == 200
        except urllib3.exceptions.HTTPError:
            return False


@contextmanager
def running(folder: Path, **options: Any) -> Iterator[RealOrthanc]:
    """An Orthanc that runs meanwhile."""
    orthanc = RealOrthanc(folder, **options)
    orthanc.start()
    try:
        yield orthanc
    finally:
        orthanc.kill()


def wait_for(condition: Callable[[], object], what: str, seconds: float = 180) -> None:
    """Wait until a condition holds."""
    limit = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > limit:
            raise AssertionError(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
