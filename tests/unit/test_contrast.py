"""Contrast and phase by the words of the header, in the languages of scanners."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from renalseg.dicom.read.contrast import Contrast, contrast_of
from renalseg.dicom.tags import Instance


def told(**values: object) -> Contrast | None:
    header = Dataset()
    for keyword, value in values.items():
        setattr(header, keyword, value)
    return contrast_of(Instance(Path("ct.dcm"), header))


@pytest.mark.parametrize(
    ("description", "contrast"),
    [
        ("ABD NATIVE 3.0", Contrast.NATIVE),
        ("Abdomen nativ 5.0 B30f", Contrast.NATIVE),
        ("W/O CONTRAST", Contrast.NATIVE),
        ("NON-CONTRAST", Contrast.NATIVE),
        ("Sans injection", Contrast.NATIVE),
        ("ohne KM", Contrast.NATIVE),
        ("senza mdc", Contrast.NATIVE),
        ("sin contraste", Contrast.NATIVE),
        ("zonder contrast", Contrast.NATIVE),
        ("без контраста", Contrast.NATIVE),
        ("単純", Contrast.NATIVE),
        ("平扫", Contrast.NATIVE),
        ("ABD PORTAL VENOUS 5.0", Contrast.VENOUS),
        ("ABD_PV_5.0", Contrast.VENOUS),
        ("Abdomen portalvenös", Contrast.VENOUS),
        ("Temps portal", Contrast.VENOUS),
        ("fase nefrografica", Contrast.VENOUS),
        ("fase venosa", Contrast.VENOUS),
        ("faza żylna", Contrast.VENOUS),
        ("венозная фаза", Contrast.VENOUS),
        ("腹部造影 門脈相", Contrast.VENOUS),
        ("Abdomen 70s", Contrast.VENOUS),
        ("ABD ART 1.0", Contrast.ARTERIAL),
        ("Corticomedullary", Contrast.ARTERIAL),
        ("动脉期", Contrast.ARTERIAL),
        ("Uro 10 min", Contrast.LATE),
        ("Spätphase", Contrast.LATE),
        ("excretory", Contrast.LATE),
        ("Abdomen C+", Contrast.SOME),
        ("avec injection", Contrast.SOME),
        ("KM i.v.", Contrast.SOME),
        ("arterial and portal venous", Contrast.SOME),
        ("VENTRICLE", None),
        ("ARTIFACT REDUCTION", None),
        ("PARTIAL LATERAL PLATE", None),
        ("NEPHROSTOMY CHECK", None),
        ("Abdomen 5.0 B70s", None),
        ("with oral contrast", None),
        ("ABD W WO CONTRAST", None),
        ("", None),
    ],
)
def test_descriptions(description: str, contrast: Contrast | None) -> None:
    assert told(SeriesDescription=description) is contrast


def test_a_native_description_goes_before_an_agent_that_all_series_of_a_study_carry() -> None:
    assert told(SeriesDescription="nativ", ContrastBolusAgent="Iomeron") is Contrast.NATIVE
    assert told(SeriesDescription="Abd 5.0", ContrastBolusAgent="Iomeron") is Contrast.SOME


def test_the_description_goes_before_the_protocol_of_the_whole_study() -> None:
    both = {"ProtocolName": "Abdomen nativ portal"}
    assert told(SeriesDescription="portal 5.0", **both) is Contrast.VENOUS
    assert told(SeriesDescription="5.0", **both) is None
    assert told(SeriesDescription="5.0", ProtocolName="Portal") is Contrast.VENOUS


@pytest.mark.parametrize("agent", ["NONE", "No", "oral", "N/A", "ohne"])
def test_an_agent_that_is_none_or_was_drunk_is_none(agent: str) -> None:
    assert told(ContrastBolusAgent=agent) is None


def test_an_agent_by_mouth_is_none() -> None:
    assert told(ContrastBolusAgent="Gastrografin", ContrastBolusRoute="ORAL") is None


def test_enhanced_ct_lists_its_agents() -> None:
    assert told(ContrastBolusAgentSequence=Items([Dataset()])) is Contrast.SOME
    assert told(ContrastBolusAgentSequence=Items([])) is None
