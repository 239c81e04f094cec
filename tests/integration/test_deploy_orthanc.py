"""The Orthanc configuration of deploy/compose in a real Orthanc, on loopback and other ports."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from deploy.compose.accounts import write
from renalseg.errors import ConfigError, RetryableError
from renalseg.worker.http import AnswerError, Connection
from renalseg.worker.orthanc.client import Orthanc
from tests.factories.deployment import DEPLOY, load
from tests.factories.series import write_case

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
PROGRAMS = ("Orthanc", "dcmsend", "echoscu")
MISSING = [name for name in PROGRAMS if shutil.which(name) is None]
PACS = "HOSPITAL"
PASSWORDS = {"worker": 'any "character" \\ $HOME :€ü', "viewer": "{look}", "admin": "'all'"}

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

    def ask(self, method: str, path: str, user: str | None = "admin") -> tuple[int, bytes]:
        """Status and body of an answer to an account, or to nobody."""
        url = f"http://127.0.0.1:{self.http}{path}"
        request = urllib.request.Request(url, method=method)
        if user:
            token = base64.b64encode(f"{user}:{PASSWORDS[user]}".encode()).decode()
            request.add_header("Authorization", f"Basic {token}")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return int(answer.status), answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return int(error.code), b""

    def status(self, path: str, user: str | None = "admin") -> int:
        """The status alone."""
        return self.ask("GET", path, user)[0]

    def dcmtk(self, program: str, caller: str, called: str, *arguments: object) -> int:
        """The exit code of a DICOM tool that calls the server."""
        command = [program, "-aet", caller, "-aec", called, "127.0.0.1", self.dicom, *arguments]
        done = subprocess.run(list(map(str, command)), capture_output=True, timeout=60, check=False)
        return done.returncode


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def shipped(folder: Path, transport: str, **changed: Any) -> Iterator[Server]:
    """An Orthanc with the shipped configuration, but for what a test on one machine must change."""
    write(PASSWORDS, folder / "accounts")
    http, dicom = free_port(), free_port()
    settings = {
        **load("compose/orthanc.json"),
        **load(f"compose/{transport}.json"),
        **json.loads((folder / "accounts" / "orthanc.json").read_text(encoding="utf-8")),
        "HttpPort": http,
        "DicomPort": dicom,
        "RemoteAccessAllowed": False,
        "LuaScripts": [str(DEPLOY / "compose" / "accounts.lua")],
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "Plugins": [str(PLUGIN.resolve())],
        **changed,
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    environment = {
        "PATH": os.environ["PATH"],
        "PACS_AET": PACS,
        "PACS_HOST": "127.0.0.1",
        "PACS_PORT": str(free_port()),
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            ["Orthanc", folder / "orthanc.json"], env=environment, stdout=log, stderr=log
        )
    try:
        wait(http, process, folder / "log")
        yield Server(http, dicom, settings)
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with shipped(tmp_path_factory.mktemp("orthanc"), "plain") as found:
        yield found


def wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    limit = time.monotonic() + 60
    while time.monotonic() < limit and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 10).close()
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(log.read_text())


def test_only_who_knows_the_password_gets_in(server: Server) -> None:
    assert server.status("/system", None) == 401
    for user in PASSWORDS:
        assert server.status("/system", user) == 200


def test_dicomweb_is_where_the_viewer_looks_for_it(server: Server) -> None:
    root = server.settings["DicomWeb"]["Root"]
    assert server.status(f"{root}studies", "viewer") == 200
    assert server.status(f"{root}studies?limit=1", "viewer") == 200
    assert server.status(f"{root}studies", None) == 401


def test_the_modality_of_the_environment_is_known(server: Server) -> None:
    assert server.status("/modalities/pacs") == 200


@pytest.mark.parametrize(
    ("user", "method", "path"),
    [
        ("worker", "DELETE", "/series/x"),
        ("worker", "PUT", "/modalities/other"),
        ("worker", "POST", "/tools/shutdown"),
        ("worker", "GET", "/modalities/pacs"),
        ("viewer", "GET", "/changes"),
        ("viewer", "GET", "/series"),
        ("viewer", "POST", "/instances"),
        ("viewer", "POST", "/dicom-web/studies"),
        ("viewer", "DELETE", "/series/x"),
    ],
)
def test_an_account_is_turned_away_from_what_it_does_not_need(
    server: Server, user: str, method: str, path: str
) -> None:
    assert server.ask(method, path, user)[0] == 403


def test_the_worker_has_the_rights_that_it_needs(server: Server, tmp_path: Path) -> None:
    environment = {"RENALSEG_ORTHANC_USER": "worker"}
    environment["RENALSEG_ORTHANC_PASSWORD"] = PASSWORDS["worker"]
    orthanc = Orthanc(Connection(f"http://127.0.0.1:{server.http}", environment))
    before = orthanc.last_change().last
    (path, *_) = write_case(tmp_path / "ct", seed="worker").paths
    instance = orthanc.store(path)
    assert orthanc.changes(before).changes
    series = orthanc.series(orthanc.series_of(instance))
    assert orthanc.sender(series.id) == ""
    assert orthanc.study(series.study).uid
    assert orthanc.studies_of_patient(series.id)
    assert orthanc.instance(instance).uid
    assert orthanc.patient(series.id)
    (file,) = orthanc.instances(series.id)
    orthanc.fetch(file, tmp_path / "back.dcm")
    with pytest.raises(AnswerError, match="with 500"):  # nobody listens there
        orthanc.forward("pacs", [instance])
    with pytest.raises(ConfigError, match="with 403"):
        orthanc.delete(instance, "RenalSeg")
    assert server.ask("DELETE", f"/series/{series.id}")[0] == 200


def test_a_ct_of_the_pacs_is_stored(server: Server, tmp_path: Path) -> None:
    folder = write_case(tmp_path / "ct").folder
    called = server.settings["DicomAet"]
    assert server.dcmtk("dcmsend", PACS, called, "--scan-directories", folder) == 0
    status, body = server.ask("GET", "/statistics")
    assert (status, json.loads(body)["CountInstances"]) == (200, 22)


def test_others_are_turned_away(server: Server, tmp_path: Path) -> None:
    folder = write_case(tmp_path / "ct").folder
    called = server.settings["DicomAet"]
    assert server.dcmtk("echoscu", PACS, called) == 0
    assert server.dcmtk("echoscu", PACS, "ANOTHER") != 0
    assert server.dcmtk("dcmsend", "STRANGER", called, "--scan-directories", folder) != 0


def test_the_pacs_is_turned_away_from_another_address(tmp_path: Path) -> None:
    modalities = {
        "pacs": {**load("compose/plain.json")["DicomModalities"]["pacs"], "Host": "192.0.2.1"}
    }
    with shipped(tmp_path, "plain", DicomModalities=modalities) as server:
        assert server.dcmtk("echoscu", PACS, server.settings["DicomAet"]) != 0


def openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def authority(folder: Path, name: str) -> Path:
    """The certificate of a new authority; its key lies beside it."""
    key, certificate = folder / f"{name}.key", folder / f"{name}.crt"
    new = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}")
    openssl(*new, "-keyout", key, "-out", certificate)
    return certificate


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[Server]:
    """The shipped configuration with TLS, and certificates of an authority `ca`.

    Orthanc's own HTTPS is off: that of Debian 12 ends at the first request, with a segmentation
    fault in its web server.
    """
    if shutil.which("openssl") is None:
        pytest.skip("not installed: openssl")
    ca = authority(tmp_path, "ca")
    key, request = tmp_path / "orthanc.key", tmp_path / "orthanc.csr"
    certificate = tmp_path / "orthanc.crt"
    (tmp_path / "names").write_text("subjectAltName=IP:127.0.0.1")
    new = ("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=orthanc")
    openssl(*new, "-keyout", key, "-out", request)
    signed = ("x509", "-req", "-days", "2", "-CA", ca, "-CAkey", ca.with_suffix(".key"))
    openssl(*signed, "-CAcreateserial", "-extfile", tmp_path / "names", "-in", request,
            "-out", certificate)  # fmt: skip
    both = tmp_path / "https.pem"
    both.write_text(key.read_text() + certificate.read_text())
    paths = {
        name: value.replace("/etc/orthanc/tls", str(tmp_path))
        for name, value in load("compose/tls.json").items()
        if isinstance(value, str)
    }
    with shipped(tmp_path, "tls", **paths, SslEnabled=False) as found:
        yield found


@contextmanager
def https(server: Server, certificate: Path) -> Iterator[str]:
    """The address of a proxy that speaks TLS, as hospitals put before an Orthanc."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            token = self.headers["Authorization"].removeprefix("Basic ")
            user = base64.b64decode(token).decode().partition(":")[0]
            status, body = server.ask("GET", self.path, user)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    proxy.socket = context.wrap_socket(proxy.socket, server_side=True)
    thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"https://127.0.0.1:{proxy.server_port}"
    finally:
        proxy.shutdown()
        proxy.server_close()
        thread.join()


def test_https_is_trusted_by_the_authority_of_the_hospital_alone(
    secure: Server, tmp_path: Path
) -> None:
    given = {
        "RENALSEG_ORTHANC_USER": "worker",
        "RENALSEG_ORTHANC_PASSWORD_FILE": str(tmp_path / "accounts" / "worker-password"),
    }
    right, wrong = tmp_path / "ca.crt", authority(tmp_path, "other")
    with https(secure, Path(secure.settings["SslCertificate"])) as url:
        assert Orthanc(Connection(url, {**given, "RENALSEG_ORTHANC_CA": str(right)})).check()
        for environment in (given, {**given, "RENALSEG_ORTHANC_CA": str(wrong)}):
            with pytest.raises(RetryableError, match="CERTIFICATE_VERIFY_FAILED"):
                Orthanc(Connection(url, environment)).check()
        with pytest.raises(RetryableError):
            Orthanc(Connection(url.replace("https", "http"), given)).check()


def test_dicom_tls_wants_a_certificate_of_the_hospital(secure: Server, tmp_path: Path) -> None:
    called = secure.settings["DicomAet"]
    files = [tmp_path / name for name in ("orthanc.key", "orthanc.crt")]
    other = authority(tmp_path, "other")
    trusted = ("+cf", tmp_path / "ca.crt")
    assert secure.dcmtk("echoscu", PACS, called, "+tls", *files, *trusted) == 0
    strangers = ("+tls", other.with_suffix(".key"), other, *trusted)
    assert secure.dcmtk("echoscu", PACS, called, *strangers) != 0
    assert secure.dcmtk("echoscu", PACS, called) != 0
