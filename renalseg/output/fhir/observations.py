"""Measurement groups of a structured report as observations of FHIR."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from highdicom.sr import CodedConcept, FindingSite, Measurement
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from renalseg.dicom.write.sr import CUT, EXTENT, PRESENCE
from renalseg.labels import KIDNEY_CODE, LATERALITY, SIDED_KIDNEY
from renalseg.output.fhir.elements import Json, Transaction, component, concept, system_of, uid

Group = Any  # of highdicom, whose annotations allow None where our reports have a value
_SIDED = {LATERALITY[side].value: code for side, code in SIDED_KIDNEY.items()}
_BOUNDED = (codes.SCT.Volume, codes.SCT.Diameter, codes.SCT.LongAxis)  # `labels.BOUNDED`
_IMAGING = concept(Code("imaging", "observation-category", "Imaging"))
_QUALITATIVE = concept(Code("C0034375", "UMLS", "Qualitative Evaluations"))
_CATEGORY = Code("276214006", "SCT", "Finding category")  # highdicom takes it for one


def add_group(made: Transaction, group: Group, shared: Json) -> Json:
    """Add the observations of a segment (TID 1411): one a value, then one that lists them.

    Args:
        made: Gets them.
        group: Of a report that was read.
        shared: What all observations have; of them `subject`.

    Returns:
        A reference to the last.
    """
    (site,) = group.finding_sites
    focus = made.add(_structure(group, site, shared["subject"]))
    shared = {
        "resourceType": "Observation",
        **shared,
        "category": [_IMAGING],
        "bodySite": _site(site),
        "focus": [focus | {"display": group.tracking_identifier}],
    }
    evaluations = dict(_evaluations(group))
    cut = evaluations.get(EXTENT) == CUT
    members = [made.add({**shared, **_measure(each, cut)}) for each in group.get_measurements()]
    qualitative = {**shared, "category": [_IMAGING, _QUALITATIVE]}
    members += [
        made.add({**qualitative, **component(name, value)}) for name, value in evaluations.items()
    ]
    whole = {
        **shared,
        "category": [_IMAGING, concept(codes.DCM.MeasurementGroup)],
        "code": concept(group.finding_category),
        "valueCodeableConcept": concept(group.finding_type),
        "hasMember": members,
    }
    if (third := site.topographical_modifier) is not None:
        whole["component"] = [component(codes.SCT.TopographicalModifier, third)]
    return made.add(whole)


def add_not_found(made: Transaction, group: Group, shared: Json) -> Json:
    """Add the observation that something was not found (TID 1501), and give a reference to it.

    By the guide it would have the value "Mass", and a member that says that there is none: whoever
    reads the first alone would see a mass. Here the value is "Not detected".
    """
    (site,) = group.finding_sites
    return made.add(
        {
            "resourceType": "Observation",
            **shared,
            "category": [_IMAGING],
            "code": concept(group.finding_type),
            "valueCodeableConcept": concept(dict(_evaluations(group))[PRESENCE]),
            "bodySite": _site(site),
        }
    )


def _evaluations(group: Group) -> Iterator[tuple[CodedConcept, CodedConcept]]:
    for each in group.get_qualitative_evaluations():
        if each.name != _CATEGORY:
            yield each.name, each.value


def _measure(measurement: Measurement, cut: bool) -> Json:
    """Give what is special of a measure; size is a lower bound where the segment is cut."""
    unit = measurement.unit
    value = {"value": measurement.value, "unit": unit.meaning}
    value |= {"system": system_of(unit), "code": unit.value}
    if cut and measurement.name in _BOUNDED:
        value["comparator"] = ">="
    modifiers = dict(_modifiers(measurement[0]))
    method = modifiers.pop(codes.SCT.MeasurementMethod, None)
    # mean and standard deviation of a density, in each phase, have one code: the text differs
    text = (each.meaning for each in modifiers.values())
    found: Json = {"code": concept(measurement.name, *text), "valueQuantity": value}
    if method is not None:
        found["method"] = concept(method)
    if modifiers:
        found["component"] = [component(*each) for each in modifiers.items()]
    return found


def _modifiers(item: Dataset) -> Iterator[tuple[CodedConcept, CodedConcept]]:
    """Give names and values of the modifiers of a measure."""
    for part in item.get("ContentSequence", ()):
        if part.RelationshipType == "HAS CONCEPT MOD":
            yield part.name, part.value


def _structure(group: Group, site: Any, patient: Json) -> Json:
    """Give a tracked kidney or lesion, one for all studies that call it the same."""
    tracked = uid(group.tracking_uid) | {"type": concept(codes.DCM.TrackingUniqueIdentifier)}
    return {
        "resourceType": "BodyStructure",
        "identifier": [tracked],
        "morphology": concept(group.finding_type),
        "location": concept(site.value),
        "locationQualifier": [concept(site.laterality)],
        "description": group.tracking_identifier,
        "patient": patient,
    }


def _site(site: FindingSite) -> Json:
    """Give a site by a code that has its side: an observation of R4 has no other place for it."""
    side = site.laterality
    return concept(Code(*(KIDNEY_CODE if side is None else _SIDED[side.value])))
