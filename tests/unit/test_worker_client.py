from __future__ import annotations

import base64
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from renalseg.errors import ConfigError, RetryableError
from renalseg.worker.http import Connection, GoneError
from renalseg.worker.orthanc.client import Orthanc
from tests.factories.fake_orthanc import FakeOrthanc, serve


@pytest.fixture
def server() -> Iterator[FakeOrthanc]:
    with serve(FakeOrthanc()) as running:
        yield running


@pytest.mark.parametrize(
    ("environment", "sent"),
    [
        ({}, None),
        (
            {"RENALSEG_ORTHANC_USER": "u", "RENALSEG_ORTHANC_PASSWORD": "p"},
            "Basic dTpw",
        ),
        ({"RENALSEG_ORTHANC_TOKEN": "t"}, "Bearer t"),
    ],
)
def test_credentials(server: FakeOrthanc, environment: dict[str, str], sent: str | None) -> None:
    Orthanc(Connection(server.url, environment)).check()
    ((_, _, headers),) = server.requests
    assert {name.title(): value for name, value in headers.items()}.get("Authorization") == sent


@pytest.mark.parametrize("password", ["plain", "with: colon", 'q"u\\o$te{x}', "Grüße €", " "])
@pytest.mark.parametrize("file", [False, True])
def test_a_password_of_any_characters(
    server: FakeOrthanc, tmp_path: Path, password: str, file: bool
) -> None:
    (tmp_path / "password").write_text(password + "\n", encoding="utf-8")
    given = {"PASSWORD_FILE": str(tmp_path / "password")} if file else {"PASSWORD": password}
    environment = {f"RENALSEG_ORTHANC_{name}": value for name, value in given.items()}
    Orthanc(Connection(server.url, {**environment, "RENALSEG_ORTHANC_USER": "worker"})).check()
    sent = server.requests[-1][2]["Authorization"].removeprefix("Basic ")
    assert base64.b64decode(sent).decode("utf-8") == f"worker:{password}"


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"USER": "a:b"}, "no colon"),
        ({"TOKEN": "a\nb"}, "printable ASCII"),
        ({"USER": "a", "PASSWORD_FILE": "/no/file"}, "at /no/file"),
    ],
)
def test_credentials_that_cannot_be_sent(environment: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Connection("http://x", {f"RENALSEG_ORTHANC_{k}": v for k, v in environment.items()})


def test_wrong_credentials_are_said_and_not_shown(server: FakeOrthanc) -> None:
    server.faults["/system"] = [401]
    environment = {"RENALSEG_ORTHANC_USER": "u", "RENALSEG_ORTHANC_PASSWORD": "open sesame"}
    with pytest.raises(ConfigError, match="401: check RENALSEG_ORTHANC_USER") as raised:
        Orthanc(Connection(server.url, environment)).check()
    assert "sesame" not in str(raised.value)


@pytest.mark.parametrize("url", ["127.0.0.1:8042", "ftp://here", "http://", ""])
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(ConfigError, match="such as http://127"):
        Connection(url)


def test_an_address_with_a_password_is_refused_and_not_shown() -> None:
    with pytest.raises(ConfigError, match="without a password") as raised:
        Connection("http://user:sesame@127.0.0.1:8042")
    assert "sesame" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "exposed"),
    [("http://pacs:8042", True), ("https://pacs", False), ("http://127.0.0.1:8042", False)],
)
def test_whether_a_password_is_exposed(url: str, exposed: bool) -> None:
    assert Connection(url, {"RENALSEG_ORTHANC_TOKEN": "t"}).exposed is exposed
    assert not Connection(url).exposed


def test_no_answer_may_be_tried_again() -> None:
    with pytest.raises(RetryableError, match=r"http://127\.0\.0\.1:1 does not answer"):
        Orthanc(Connection("http://127.0.0.1:1")).check()


def test_a_redirect_is_not_followed_with_the_password(server: FakeOrthanc) -> None:
    server.faults["/system"] = [302]
    with pytest.raises(RetryableError, match="302"):
        Orthanc(Connection(server.url, {"RENALSEG_ORTHANC_TOKEN": "t"})).check()


def test_an_answer_that_fails_once_is_asked_for_again(server: FakeOrthanc) -> None:
    server.faults["/system"] = [503]
    assert Orthanc(Connection(server.url)).check() == "1.12"


def test_an_orthanc_that_keeps_no_md5(server: FakeOrthanc, tmp_path: Path) -> None:
    server.md5 = False
    server.add("a", 2)
    orthanc = Orthanc(Connection(server.url))
    first, _ = orthanc.instances("a")
    assert first.md5 == ""
    orthanc.fetch(first, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"slice 0 of a"


def test_what_is_not_there(server: FakeOrthanc) -> None:
    with pytest.raises(GoneError, match="/series/x"):
        Orthanc(Connection(server.url)).series("x")


def test_an_answer_that_is_no_json(server: FakeOrthanc) -> None:
    server.answer = lambda *_: b"<html>"  # type: ignore[method-assign]
    with pytest.raises(RetryableError, match="Expected JSON from http"):
        Orthanc(Connection(server.url)).check()


def test_certificates_that_are_not_there() -> None:
    with pytest.raises(ConfigError, match="found none at /no/ca"):
        Connection("https://pacs", {"RENALSEG_ORTHANC_CA": "/no/ca"})


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    if shutil.which("openssl") is None:
        pytest.skip("not installed: openssl")
    path = tmp_path / "both.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext"),
            *("subjectAltName=IP:127.0.0.1", "-keyout", path, "-out", tmp_path / "cert.pem"),
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    path.write_text(path.read_text() + (tmp_path / "cert.pem").read_text())
    return path


@pytest.fixture
def secure(certificate: Path) -> Iterator[str]:
    """Address of a server that speaks TLS, with a certificate that nobody has signed."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"Version": "1"}')

        def log_message(self, *args: object) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    http = HTTPServer(("127.0.0.1", 0), Handler)
    http.socket = context.wrap_socket(http.socket, server_side=True)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"https://127.0.0.1:{http.server_port}"
    http.shutdown()
    http.server_close()
    thread.join()


def test_a_certificate_that_is_trusted(secure: str, certificate: Path) -> None:
    ca = certificate.with_name("cert.pem")
    assert Orthanc(Connection(secure, {"RENALSEG_ORTHANC_CA": str(ca)})).check() == "1"


def test_a_certificate_that_is_not_trusted_gets_no_password(secure: str) -> None:
    with pytest.raises(RetryableError, match="CERTIFICATE_VERIFY_FAILED"):
        Orthanc(Connection(secure, {"RENALSEG_ORTHANC_TOKEN": "t"})).check()


def test_a_file_that_is_larger_than_was_said_is_not_read_to_its_end(
    server: FakeOrthanc, tmp_path: Path
) -> None:
    server.md5 = False
    server.add("a", 1)
    orthanc = Orthanc(Connection(server.url))
    (first,) = orthanc.instances("a")
    server.files["a"]["a-0"] = bytes(50 << 20)
    with pytest.raises(RetryableError, match="with 12 bytes, got"):
        orthanc.fetch(first, tmp_path / "a")
    assert (tmp_path / "a").stat().st_size < 5 << 20


@pytest.mark.parametrize("answer", [[], {}, 7, {"Status": "Success"}, {"Status": "Failure"}, "ok"])
def test_an_object_counts_as_stored_only_if_orthanc_says_so(
    server: FakeOrthanc, tmp_path: Path, answer: object
) -> None:
    (tmp_path / "a.dcm").touch()
    server.shapes["/instances"] = answer
    with pytest.raises(RetryableError, match=r"did not store a\.dcm"):
        Orthanc(Connection(server.url)).store(tmp_path / "a.dcm")


def test_a_target_that_takes_a_part_has_not_taken_it(server: FakeOrthanc) -> None:
    server.shapes["/modalities"] = {"InstancesCount": 2, "FailedInstancesCount": 1}
    with pytest.raises(RetryableError, match="pacs did not take every result"):
        Orthanc(Connection(server.url)).forward("pacs", ["a", "b"])


def test_names_from_orthanc_stay_in_their_part_of_the_address(server: FakeOrthanc) -> None:
    with pytest.raises(GoneError):
        Orthanc(Connection(server.url)).series("../tools/shutdown?x=")
    assert {path for _, path, _ in server.requests} == {"/series/..%2Ftools%2Fshutdown%3Fx%3D"}
