"""The compose file against its schema, and against the files that its services read."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from typing import Any

import pytest

from renalseg.commands.main import _parser
from tests.factories.deployment import DEPLOY, load


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return load("compose/compose.yaml")


@pytest.mark.parametrize("name", ["compose.yaml", "compose.gpu.yaml"])
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
    for service in ("orthanc", "worker"):
        password = compose["services"][service]["environment"]["RENALSEG_ORTHANC_PASSWORD"]
        assert re.fullmatch(r"\$\{RENALSEG_ORTHANC_PASSWORD:\?[^}]+\}", password)
    example = (DEPLOY / "compose/example.env").read_text()
    assert re.search(r"^RENALSEG_ORTHANC_PASSWORD=$", example, re.MULTILINE)


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
    config = load("compose/orthanc.json")
    allowed = {name: value for name, value in config.items() if name.startswith("DicomAlways")}
    assert set(allowed.values()) == {False}
    assert config["AuthenticationEnabled"] is True
    assert config["DicomCheckCalledAet"] is True
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
