"""The compose file against its schema, and against the files that its services read."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from deploy.compose.accounts import write
from renalseg.commands.main import _parser
from tests.factories.deployment import DEPLOY, load


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return load("compose/compose.yaml")


@pytest.mark.parametrize("name", ["compose.yaml", "compose.gpu.yaml", "compose.tls.yaml"])
def test_compose_files_follow_the_compose_specification(name: str) -> None:
    pytest.importorskip("check_jsonschema", reason="brings the schema of the specification")
    jsonschema = pytest.importorskip("jsonschema")
    vendor = files("check_jsonschema") / "builtin_schemas" / "vendor"
    schema = json.loads((vendor / "compose-spec.json").read_text())
    validator = jsonschema.validators.validator_for(schema)(schema)
    errors = [error.message for error in validator.iter_errors(load(f"compose/{name}"))]
    assert errors == []
    assert not validator.is_valid({"services": {"a": {"imagge": "b"}}})


@pytest.mark.parametrize("service", ["orthanc", "worker", "viewer"])
def test_services_are_hardened(service: str, compose: dict[str, Any]) -> None:
    found = compose["services"][service]
    assert found["read_only"] is True
    assert found["cap_drop"] == ["ALL"]
    assert found["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in found
    assert {"mem_limit", "pids_limit", "healthcheck"} <= set(found)


def test_ports_are_on_loopback_until_somebody_says_else(compose: dict[str, Any]) -> None:
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert len(ports) == 3
    assert all(port.startswith(("127.0.0.1:", "${DICOM_BIND:-127.0.0.1}:")) for port in ports)


def test_the_worker_reaches_nothing_but_orthanc(compose: dict[str, Any]) -> None:
    assert compose["services"]["worker"]["networks"] == ["inside"]
    assert compose["networks"]["inside"] == {"internal": True}
    assert "ports" not in compose["services"]["worker"]


def test_there_is_no_default_password(compose: dict[str, Any]) -> None:
    """Both read files that accounts.py makes, and without which nothing starts."""
    files = {name: secret["file"] for name, secret in compose["secrets"].items()}
    assert set(files.values()) == {"./accounts/orthanc.json", "./accounts/worker-password"}
    ignored = (DEPLOY.parent / ".gitignore").read_text().splitlines()
    assert "/deploy/compose/accounts/" in ignored
    worker = compose["services"]["worker"]
    assert worker["secrets"] == ["worker-password"]
    path = worker["environment"]["RENALSEG_ORTHANC_PASSWORD_FILE"]
    assert path == "/run/secrets/worker-password"
    assert "PASSWORD=" not in (DEPLOY / "compose/example.env").read_text()
    for service in compose["services"].values():
        names = service.get("environment", {})
        assert not [name for name in names if name.endswith(("PASSWORD", "TOKEN"))]


def test_accounts_hold_any_character_and_only_their_owner_opens_them(tmp_path: Path) -> None:
    passwords = {"worker": 'q"u\\o$te €', "viewer": "v", "admin": "a"}
    write(passwords, tmp_path / "accounts")
    assert (tmp_path / "accounts").stat().st_mode & 0o777 == 0o700
    users = json.loads((tmp_path / "accounts/orthanc.json").read_text(encoding="utf-8"))
    assert users == {"RegisteredUsers": passwords}
    given = (tmp_path / "accounts/worker-password").read_text(encoding="utf-8")
    assert given == passwords["worker"]
    with pytest.raises(SystemExit, match="password for viewer without"):
        write({**passwords, "viewer": "${HOME}"}, tmp_path / "other")


def test_tls_overlay_changes_the_transport_alone() -> None:
    plain, tls = load("compose/plain.json"), load("compose/tls.json")
    assert (plain["SslEnabled"], plain["DicomTlsEnabled"]) == (False, False)
    assert (tls["SslEnabled"], tls["DicomTlsEnabled"]) == (True, True)
    assert tls["DicomTlsRemoteCertificateRequired"] is True
    assert tls["DicomModalities"]["pacs"].pop("UseDicomTls") is True
    assert tls["DicomModalities"] == plain["DicomModalities"]
    shared = set(load("compose/orthanc.json")) & {*plain, *tls}
    assert shared == set()  # Orthanc refuses a section in two files


def test_every_variable_of_the_example_is_used(compose: dict[str, Any]) -> None:
    example = (DEPLOY / "compose/example.env").read_text()
    named = set(re.findall(r"^([A-Z_]+)=", example, re.MULTILINE))
    used = set(re.findall(r"\$\{([A-Z_]+)[:}]", json.dumps(compose)))
    assert named <= used
    assert used - named == {"RENALSEG_DEVICE", "RENALSEG_METHOD"}


def test_the_worker_is_stopped_after_its_own_grace(compose: dict[str, Any]) -> None:
    worker = compose["services"]["worker"]
    (grace,) = (int(o.split("=")[1]) for o in worker["command"] if o.startswith("--grace="))
    assert int(worker["stop_grace_period"].removesuffix("s")) > grace


def test_files_that_are_mounted_are_there(compose: dict[str, Any]) -> None:
    volumes = [
        volume for service in compose["services"].values() for volume in service.get("volumes", [])
    ]
    sources = [volume.split(":")[0] for volume in volumes]
    for source in sources:
        if source.startswith("."):
            assert (DEPLOY / "compose" / source).is_file()
        else:
            assert source in compose["volumes"]


def test_orthanc_takes_images_from_the_pacs_alone() -> None:
    config = {**load("compose/orthanc.json"), **load("compose/plain.json")}
    allowed = {name: value for name, value in config.items() if name.startswith("DicomAlways")}
    assert set(allowed.values()) == {False}
    assert config["AuthenticationEnabled"] is True
    assert config["DicomCheckCalledAet"] is True
    assert config["DicomCheckModalityHost"] is True
    assert [modality["AllowStore"] for modality in config["DicomModalities"].values()] == [True]


def test_the_viewer_reads_what_its_server_passes_on() -> None:
    config = (DEPLOY / "compose/app-config.js").read_text()
    roots = set(re.findall(r"(?:qido|wado)Root: '([^']+)'", config))
    server = (DEPLOY / "compose/viewer.conf").read_text()
    assert roots == {load("compose/orthanc.json")["DicomWeb"]["Root"].rstrip("/")}
    assert f"location {roots.pop()}/ " in server
    assert "limit_except GET { deny all; }" in server


def test_jobs_of_the_worker_are_listed_inside_its_container(
    compose: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both commands find one folder, by nothing but the environment of the container."""
    worker = compose["services"]["worker"]
    program, *entry = worker["entrypoint"]
    assert program == "renalseg"
    monkeypatch.setenv("HOME", "/tmp")
    for name, value in worker["environment"].items():
        monkeypatch.setenv(name, str(value))
    running = _parser().parse_args([*entry, *worker["command"]])
    for action in ([], ["list"], ["show", "1"], ["retry", "1"]):
        assert _parser().parse_args(["jobs", *action]).folder == running.folder
    mounted = [volume.split(":")[1] for volume in worker["volumes"]]
    assert str(running.folder) in mounted
