"""The app for MONAI Label, as the server of PyPI's monailabel runs it in its own environment."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import urllib3

from renalseg.commands.main import main
from renalseg.labels import CYST, KIDNEY, TUMOR
from tests.factories.bundles import write_bundles
from tests.factories.deployment import DEPLOY
from tests.factories.volumes import drawn, save

MONAILABEL = os.environ.get("MONAILABEL", "")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not MONAILABEL, reason="MONAILABEL names no command: make test-monailabel"),
]
LIMIT_S = 600
LABELS = {"kidney": KIDNEY, "tumor": TUMOR, "cyst": CYST}


@dataclass(frozen=True)
class Server:
    """A server that runs.

    Attributes:
        url: Where it is.
        studies: Its folder of images.
        bundles: Of the method "tiny".
    """

    url: str
    studies: Path
    bundles: Path

    def infer(self, image: str, output: str) -> urllib3.BaseHTTPResponse:
        fields = {"params": "{}"}
        url = f"{self.url}/infer/tiny?image={image}&output={output}"
        return urllib3.request("POST", url, fields=fields, timeout=LIMIT_S, retries=False)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("monailabel")
    hu, affine = drawn()
    save(folder / "studies" / "ct.nii.gz", hu, affine)
    save(folder / "studies" / "mask.nii.gz", (hu > 0).astype(np.uint8), affine)
    bundles = write_bundles(folder / "bundles")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    app = shutil.copytree(DEPLOY / "monailabel", folder / "app")  # the server writes its log there
    command = [MONAILABEL, "start_server", "--app", str(app)]
    command += ["--studies", str(folder / "studies"), "--host", "127.0.0.1", "--port", port]
    command += ["--conf", "renalseg", str(Path(sys.executable).with_name("renalseg"))]
    command += ["--conf", "models", "tiny", "--conf", "device", "cpu"]
    path = f"{Path(MONAILABEL).parent}{os.pathsep}{os.environ['PATH']}"  # it asks for its python
    environment = {**os.environ, "PATH": path, "RENALSEG_BUNDLES": str(bundles)}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(url, process, folder / "log")
        yield Server(url, folder / "studies", bundles)
    finally:
        process.terminate()
        process.wait(timeout=60)


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Waits until the server answers."""
    end = time.monotonic() + LIMIT_S
    while time.monotonic() < end and process.poll() is None:
        try:
            urllib3.request("GET", f"{url}/info/", retries=False, timeout=60)
        except urllib3.exceptions.HTTPError:
            time.sleep(1)
        else:
            return
    pytest.fail(log.read_text()[-4000:])


def test_the_server_lists_the_methods_as_models(server: Server) -> None:
    info: Any = urllib3.request("GET", f"{server.url}/info/").json()
    assert info["name"] == "RenalSeg"
    assert list(info["models"]) == ["tiny"]
    assert info["models"]["tiny"]["type"] == "segmentation"
    assert info["models"]["tiny"]["labels"] == LABELS
    assert info["datastore"]["total"] == 2


def test_its_label_map_is_that_of_a_run(server: Server, tmp_path: Path) -> None:
    answer = server.infer("ct", "image")
    assert answer.status == 200, answer.data
    (tmp_path / "answer.nii.gz").write_bytes(answer.data)
    run = ["run", str(server.studies / "ct.nii.gz"), str(tmp_path / "out"), "--method", "tiny"]
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("RENALSEG_BUNDLES", str(server.bundles))
        assert main([*run, "--device", "cpu"]) == 0
    found, expected = (
        nib.load(path) for path in (tmp_path / "answer.nii.gz", tmp_path / "out" / "ct.nii.gz")
    )
    voxels = np.asarray(expected.dataobj)
    assert (voxels == KIDNEY).any()
    np.testing.assert_array_equal(found.dataobj, voxels)
    np.testing.assert_allclose(found.affine, expected.affine)


def test_it_says_what_was_found(server: Server) -> None:
    said = server.infer("ct", "json").json()
    assert said["label_names"] == LABELS
    (study,) = said["studies"]
    assert study["finding"]
    assert {segment["kind"] for segment in study["segments"]} <= set(LABELS.values())


def test_a_refused_image_is_answered_with_the_reason(server: Server) -> None:
    answer = server.infer("mask", "json")
    assert answer.status == 422
    said = json.loads(answer.data)["detail"]
    assert said.startswith("renalseg: error: ")
    assert "8 bits" in said
