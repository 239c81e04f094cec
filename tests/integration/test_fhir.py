"""The structured report as FHIR R4, beside the report itself."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import highdicom as hd
import pytest
from fhir.resources.R4B.bundle import Bundle

from renalseg import settings
from renalseg.errors import ConfigError
from renalseg.labels import KIDNEY, TUMOR
from renalseg.output.fhir import SUFFIX
from renalseg.output.fhir import report as mapping
from renalseg.settings import Settings
from tests.factories.series import edit_all, write_case
from tests.integration.test_results import entry_of, groups_of, said, write

OUTPUTS = ("seg", "sr", "fhir")
Json = dict[str, Any]


def text_of(out: Path) -> str:
    (path,) = out.glob(f"*{SUFFIX}")
    return path.read_text(encoding="utf-8")


def resources(out: Path, kind: str) -> list[Json]:
    found = [entry["resource"] for entry in json.loads(text_of(out))["entry"]]
    return [each for each in found if each["resourceType"] == kind]


def code(value: Json) -> str:
    return str(value["coding"][0]["code"])


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fhir")
    write_case(folder / "in")
    write(folder / "in", folder / "out", OUTPUTS)
    return folder / "out"


def test_the_bundle_is_valid_and_listed_as_a_file(out: Path) -> None:
    bundle = Bundle.model_validate_json(text_of(out))
    assert bundle.type == "transaction"
    assert [name for name in entry_of(out)["files"] if name.endswith(SUFFIX)]
    kinds = Counter(entry.resource.get_resource_type() for entry in bundle.entry)
    assert (kinds["DiagnosticReport"], kinds["Device"], kinds["BodyStructure"]) == (1, 1, 3)


def test_every_resource_is_made_once_and_every_reference_leads_somewhere(out: Path) -> None:
    entries = json.loads(text_of(out))["entry"]
    urls = {entry["fullUrl"] for entry in entries}
    known = {entry["request"]["ifNoneExist"] for entry in entries}
    assert len(urls) == len(known) == len(entries)
    identifiers = [each for entry in entries for each in entry["resource"]["identifier"]]
    assert not urls & {each["value"] for each in identifiers}  # servers rewrite these addresses

    def references(value: Any) -> set[str]:
        if isinstance(value, list):
            return set().union(*map(references, value))
        if not isinstance(value, dict):
            return set()
        own = {value["reference"]} if "reference" in value else set()
        return own.union(*map(references, value.values()))

    assert references(entries) == urls - {entries[-1]["fullUrl"]}  # all but the report's own


@pytest.fixture
def server() -> Iterator[str]:
    """Address of a stand-in for a FHIR server: creates what has an identifier that it lacks."""
    known: set[str] = set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            kind, token = self.headers["Content-Type"], self.headers["Authorization"]
            assert (self.path, kind, token) == ("/r4", "application/fhir+json", "Bearer secret")
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answers = []
            for entry in Bundle.model_validate_json(body).entry:
                wanted = entry.request.ifNoneExist
                status = "200 OK" if wanted in known else "201 Created"
                answers.append({"response": {"status": status}})
                known.add(wanted)
            self.send_response(200)
            self.end_headers()
            answer = {"resourceType": "Bundle", "type": "transaction-response", "entry": answers}
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *args: object) -> None:
            pass

    http = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{http.server_port}"
    http.shutdown()
    http.server_close()
    thread.join()


@pytest.mark.skipif(shutil.which("curl") is None, reason="not installed: curl")
def test_the_guide_posts_it_and_again_without_a_change(
    out: Path, server: str, repository: Path
) -> None:
    guide = (repository / "docs/conformance.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^    (curl .*)$", guide, re.MULTILINE)
    (path,) = out.glob(f"*{SUFFIX}")
    assert "seg_out/NAME.fhir.json https://fhir.example.org" in line
    line = line.replace("seg_out/NAME.fhir.json https://fhir.example.org", f"'{path}' {server}")
    environment = {**os.environ, "TOKEN": "secret", "no_proxy": "127.0.0.1"}
    entries = json.loads(text_of(out))["entry"]
    for status in ("201 Created", "200 OK"):
        done = subprocess.run(["sh", "-c", line], env=environment, capture_output=True, check=True)
        answers = json.loads(done.stdout)["entry"]
        assert [each["response"]["status"] for each in answers] == [status] * len(entries)


def test_each_value_of_the_report_is_an_observation(out: Path) -> None:
    """The same codes, values, units and modifiers, of the same structures."""
    wanted: Counter[tuple[object, ...]] = Counter()
    for group in groups_of(hd.sr.srread(next(out.glob("*.sr.dcm")))):
        uid = said(group, "Tracking Unique Identifier")[0].UID
        for item in group.ContentSequence:
            if item.ValueType == "NUM":
                (value,) = item.MeasuredValueSequence
                modifiers = sorted(
                    part.ConceptCodeSequence[0].CodeValue
                    for part in item.get("ContentSequence", ())
                )
                unit = value.MeasurementUnitsCodeSequence[0].CodeValue
                name = item.ConceptNameCodeSequence[0].CodeValue
                wanted[uid, name, float(value.NumericValue), unit, *modifiers] += 1
    structures = {
        entry["fullUrl"]: entry["resource"]["identifier"][0]["value"].removeprefix("urn:oid:")
        for entry in json.loads(text_of(out))["entry"]
        if entry["resource"]["resourceType"] == "BodyStructure"
    }
    found: Counter[tuple[object, ...]] = Counter()
    for each in resources(out, "Observation"):
        if quantity := each.get("valueQuantity"):
            values = [part["valueCodeableConcept"] for part in each.get("component", ())]
            values += [each["method"]] if "method" in each else []
            uid = structures[each["focus"][0]["reference"]]
            amount = quantity["value"], quantity["code"]
            found[uid, code(each["code"]), *amount, *sorted(map(code, values))] += 1
            assert quantity["system"] == "http://unitsofmeasure.org"
    assert found == wanted
    assert sum(found.values()) > 15


def test_a_lesion_has_its_finding_its_side_its_third_and_its_members(out: Path) -> None:
    groups = [each for each in resources(out, "Observation") if "hasMember" in each]
    (tumor,) = (each for each in groups if code(each["valueCodeableConcept"]) == "4147007")
    (entry,) = (each for each in entry_of(out)["segments"] if each["kind"] == TUMOR)
    sided = {"left": "18639004", "right": "9846003"}
    assert code(tumor["bodySite"]) == sided[entry["side"]]
    assert tumor["focus"][0]["display"] == entry["label"]
    (third,) = tumor["component"]
    assert code(third["code"]) == "106233006"
    assert len(tumor["hasMember"]) > len(groups[0]["hasMember"]) > 5


def test_all_is_preliminary_and_names_program_version_and_method(out: Path) -> None:
    (device,) = resources(out, "Device")
    report = hd.sr.srread(next(out.glob("*.sr.dcm")))
    assert [each["value"] for each in device["version"]] == list(report.SoftwareVersions)
    assert device["deviceName"][0]["name"] == "RenalSeg drawn"
    (diagnostic,) = resources(out, "DiagnosticReport")
    observed = resources(out, "Observation")
    assert {each["status"] for each in (diagnostic, *observed)} == {"preliminary"}
    assert all("device" in each for each in observed)
    assert "Research use only" in diagnostic["conclusion"]
    uid = report.StudyInstanceUID
    assert diagnostic["imagingStudy"][0]["identifier"]["value"] == f"urn:oid:{uid}"
    assert diagnostic["identifier"][0]["value"] == f"urn:oid:{report.SOPInstanceUID}"


def test_of_the_patient_it_has_the_id_and_the_order_alone(tmp_path: Path) -> None:
    case = write_case(tmp_path / "in")
    secret = {
        "PatientName": "Doe^Jane", "PatientBirthDate": "19510203", "PatientSex": "F",
        "ReferringPhysicianName": "Roe^Richard", "OtherPatientIDs": "OTHER-17",
        "InstitutionName": "St. Elsewhere", "StudyDescription": "Flank pain",
        "PatientComments": "Private",
    }  # fmt: skip
    known = {"PatientID": "P-4711", "IssuerOfPatientID": "Ward", "AccessionNumber": "A-99"}
    values = secret | known
    edit_all(case.paths, lambda header: [setattr(header, *each) for each in values.items()])
    write(tmp_path / "in", tmp_path / "out", OUTPUTS)
    text = text_of(tmp_path / "out")
    pieces = [piece for value in secret.values() for piece in value.split("^")]
    assert [piece for piece in (*pieces, "1951-02-03") if len(piece) > 1 and piece in text] == []
    (report,) = resources(tmp_path / "out", "DiagnosticReport")
    assert sorted(report["subject"]) == ["identifier", "type"]
    assert report["subject"]["identifier"]["value"] == "P-4711"
    assert report["subject"]["identifier"]["assigner"] == {"display": "Ward"}
    assert report["basedOn"][0]["identifier"]["value"] == "A-99"


def test_without_id_date_and_order_it_says_none(tmp_path: Path) -> None:
    case = write_case(tmp_path / "in")
    dates = {f"{kind}Date": "" for kind in ("Study", "Series", "Acquisition", "Content")}
    empty = {"PatientID": "", "AccessionNumber": " ", **dates}
    edit_all(case.paths, lambda header: [setattr(header, *each) for each in empty.items()])
    write(tmp_path / "in", tmp_path / "out", OUTPUTS)
    (report,) = resources(tmp_path / "out", "DiagnosticReport")
    assert report["subject"] == {"type": "Patient", "display": "Unknown"}
    assert "basedOn" not in report
    assert "effectiveDateTime" not in report


def test_what_was_not_found_is_no_finding(tmp_path: Path) -> None:
    write_case(tmp_path / "in")
    write(tmp_path / "in", tmp_path / "out", OUTPUTS, (0, KIDNEY, KIDNEY, KIDNEY))
    observed = resources(tmp_path / "out", "Observation")
    (mass,) = (each for each in observed if code(each["code"]) == "4147007")
    assert code(mass["valueCodeableConcept"]) == "260415000"
    values = [code(each["valueCodeableConcept"]) for each in observed if "hasMember" in each]
    assert values == ["64033007", "64033007"]


def test_sizes_of_what_is_cut_are_lower_bounds(tmp_path: Path) -> None:
    write_case(tmp_path / "in")
    write(tmp_path / "in", tmp_path / "out", OUTPUTS, to_the_end=True)
    cut = {each["label"] for each in entry_of(tmp_path / "out")["segments"] if each["lower_bound"]}
    assert cut
    compared = {
        (each["focus"][0]["display"], each["code"]["coding"][0]["display"])
        for each in resources(tmp_path / "out", "Observation")
        if "comparator" in each.get("valueQuantity", {})
    }
    assert compared == {
        (label, name) for label in cut for name in ("Volume", "Diameter", "Long axis")
    }


def test_a_rerun_gives_the_same_text(out: Path, tmp_path: Path) -> None:
    write_case(tmp_path / "in")
    write(tmp_path / "in", tmp_path / "out", OUTPUTS)
    assert text_of(tmp_path / "out") == text_of(out)


def test_a_failure_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(mapping, "to_fhir", fail)
    write_case(tmp_path / "in")
    with pytest.raises(OSError, match="No space"):
        write(tmp_path / "in", tmp_path / "out", OUTPUTS)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_it_needs_the_report_and_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="Expected sr with fhir"):
        Settings.resolve(outputs="seg,fhir")
    assert Settings.resolve(outputs="fhir,sr,seg").outputs == OUTPUTS

    def find(name: str) -> object:
        return None if name == "fhir" else importlib.util.find_spec(name)

    monkeypatch.setattr(settings, "find_spec", find)
    with pytest.raises(ConfigError, match=r"fhir\.resources for fhir.*'renalseg\[fhir\]'"):
        Settings.resolve(outputs="seg,sr,fhir")
