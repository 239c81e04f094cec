"""Densities by contrast phase in the structured report."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from renalseg.dicom.write.sr_phases import PHASE, SCHEME, phase_measurements
from renalseg.labels import ContrastPhase, Enhancement, PhaseValue

VALUES = (
    PhaseValue(ContrastPhase.NONCONTRAST, 34.5, 9.1),
    PhaseValue(ContrastPhase.CORTICOMEDULLARY, 150.2, 30.4),
    PhaseValue(ContrastPhase.EXCRETORY, 80.1, 12.0),
)


def items(enhancement: Enhancement | None) -> list[Dataset]:
    return [measurement[0] for measurement in phase_measurements(enhancement)]


def modifiers(item: Dataset) -> dict[str, str]:
    return {
        part.ConceptNameCodeSequence[0].CodeValue: part.ConceptCodeSequence[0].CodeValue
        for part in item.get("ContentSequence", ())
        if part.RelationshipType == "HAS CONCEPT MOD"
    }


def test_each_phase_has_its_density_under_the_code_of_dicom() -> None:
    found = items(Enhancement(VALUES))
    assert len(found) == 6
    for value, pair in zip(VALUES, zip(found[::2], found[1::2], strict=True), strict=True):
        for item, number, derivation in (
            (pair[0], value.mean_hu, codes.SCT.Mean),
            (pair[1], value.sd_hu, codes.SCT.StandardDeviation),
        ):
            (measured,) = item.MeasuredValueSequence
            assert float(measured.NumericValue) == number
            assert measured.MeasurementUnitsCodeSequence[0].CodeValue == "[hnsf'U]"
            (name,) = item.ConceptNameCodeSequence
            assert (name.CodeValue, name.CodingSchemeDesignator) == ("112031", "DCM")
            assert modifiers(item) == {
                "121401": derivation.value, PHASE.value: value.phase.upper()
            }  # fmt: skip


def test_what_follows_from_the_phases_has_no_phase() -> None:
    found = items(Enhancement(VALUES, 115.7, 335.4, 60.6, 0.0, None, 1.5))[6:]
    numbers = {
        item.ConceptNameCodeSequence[0].CodeValue: float(item.MeasuredValueSequence[0].NumericValue)
        for item in found
    }
    assert numbers == {
        "ENHANCEMENT": 115.7, "RELATIVE": 335.4, "WASHOUT": 60.6, "FAT": 0.0, "FLUID": 1.5
    }  # fmt: skip
    assert {item.ConceptNameCodeSequence[0].CodingSchemeDesignator for item in found} == {SCHEME}
    assert not any(map(modifiers, found))


def test_a_study_of_one_phase_has_none() -> None:
    assert items(None) == []


@pytest.mark.parametrize("phase", [each for each in ContrastPhase if each != ContrastPhase.UNKNOWN])
def test_every_phase_fits_into_a_code_value(phase: ContrastPhase) -> None:
    (item, _) = items(Enhancement((PhaseValue(phase, 1.0, 1.0),)))
    assert len(modifiers(item)[PHASE.value]) <= 16
