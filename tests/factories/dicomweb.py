"""Servers that speak DICOMweb: Debian's Orthanc with its plugin, and tiny_pacs from PyPI."""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import urllib3
import yaml

from tests.factories.orthanc import DICOMWEB, MISSING, PASSWORD, USER, running, wait_for

TOKEN = "not-a-secret-either"
ABSENT = {
    "orthanc": bool(MISSING) or not DICOMWEB.exists(),
    "tiny_pacs": None in map(importlib.util.find_spec, ("tiny_pacs_dicomweb", "waitress")),
}


@dataclass
class Archive:
    """A running server.

    Attributes:
        url: Of its DICOMweb.
        environment: With what it wants to see.
    """

    url: str
    environment: dict[str, str]


@contextmanager
def archive(kind: str, folder: Path) -> Iterator[Archive]:
    """A server of a kind that runs meanwhile, and keeps what it has there."""
    prefix = "RENALSEG_DICOMWEB_"
    if kind == "orthanc":
        with running(folder) as orthanc:
            known = {f"{prefix}USER": USER, f"{prefix}PASSWORD": PASSWORD}
            yield Archive(f"{orthanc.url}/dicom-web", known)
        return
    port = _free_port()
    with _tiny_pacs(folder, port):
        yield Archive(f"http://127.0.0.1:{port}/dicomweb", {f"{prefix}TOKEN": TOKEN})


@contextmanager
def _tiny_pacs(folder: Path, port: int) -> Iterator[None]:
    folder.mkdir(parents=True)
    settings = {
        "ae": {"port": _free_port()},
        "components": {
            "HttpServer": {"on": True, "port": port},
            "DICOMWeb": {"on": True, "auth": "token", "tokens": [TOKEN]},
        },
    }
    (folder / "pacs.yaml").write_text(yaml.safe_dump(settings))
    call = [sys.executable, "-m", "tiny_pacs", "run", "-c", folder / "pacs.yaml"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(call, stdout=log, stderr=log)
    try:
        wait_for(lambda: _answers(port), f"tiny_pacs to start; see {folder / 'log'}")
        yield
    finally:
        process.kill()
        process.wait()


def _answers(port: int) -> bool:
    try:
        url = f"http://127.0.0.1:{port}/dicomweb/studies"
        return urllib3.request("GET", url, retries=False).status == 401
    except urllib3.exceptions.HTTPError:
        return False


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
