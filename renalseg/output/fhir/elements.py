"""Parts of FHIR's resources: codes, identifiers, references, and the bundle that creates them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from highdicom.sr import CodedConcept
from pydicom.sr.coding import Code

from renalseg.dicom.write.sr_phases import SCHEME, SCHEME_UID

Json = dict[str, Any]
UIDS = "urn:dicom:uid"
_URIS = "urn:ietf:rfc:3986"
_HL7 = "http://terminology.hl7.org/CodeSystem"
_SYSTEMS = {
    "SCT": "http://snomed.info/sct",
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
    "UCUM": "http://unitsofmeasure.org",
    "UMLS": f"{_HL7}/umls",
    "observation-category": f"{_HL7}/observation-category",
    "v2-0074": f"{_HL7}/v2-0074",
    "v2-0203": f"{_HL7}/v2-0203",
    SCHEME: f"urn:oid:{SCHEME_UID}",
}


@dataclass
class Transaction:
    """Entries of a bundle that creates resources, each if the server has none with its identifier.

    Attributes:
        report: SOPInstanceUID; the same report and order of entries give the same UUIDs.
        entries: In the order in which they were added.
    """

    report: str
    entries: list[Json] = field(default_factory=list)

    def add(self, resource: Json) -> Json:
        """Add a resource, which gets an identifier if it has none, and give a reference to it."""
        number = f"{self.report} {len(self.entries)}"
        own = {"system": _URIS, "value": uuid5(NAMESPACE_OID, number).urn}
        # Not the identifier: servers put the address of what they made wherever a fullUrl stands.
        url = uuid5(NAMESPACE_OID, f"{number} entry").urn
        resource.setdefault("identifier", [own])
        known, *_ = resource["identifier"]
        request = {
            "method": "POST",
            "url": resource["resourceType"],
            "ifNoneExist": f"identifier={known['system']}|{known['value']}",
        }
        self.entries.append({"fullUrl": url, "resource": resource, "request": request})
        return {"reference": url}


def concept(code: CodedConcept | Code, *more: str) -> Json:
    """Give a coded concept of DICOM.

    Args:
        code: Of a scheme that FHIR has a system for.
        more: What tells it from others with this code; for people.
    """
    coding = {"system": system_of(code), "code": code.value, "display": code.meaning}
    return {"coding": [coding], "text": ", ".join((code.meaning, *more))}


def system_of(code: CodedConcept | Code) -> str:
    """Give what FHIR calls a coding scheme."""
    return _SYSTEMS[code.scheme_designator]


def component(name: CodedConcept | Code, value: CodedConcept) -> Json:
    """Give a part of an observation that is a coded value."""
    return {"code": concept(name), "valueCodeableConcept": concept(value)}


def uid(value: str) -> Json:
    """Give a UID of DICOM as an identifier."""
    return {"system": UIDS, "value": f"urn:oid:{value}"}


def reference(kind: str, identifier: Json) -> Json:
    """Refer to a resource that the destination has, by its identifier."""
    return {"type": kind, "identifier": identifier}
