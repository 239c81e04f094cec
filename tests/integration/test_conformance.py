"""The rules of docs/conformance.md: IHE's profile AI Results, and programs that check reports."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import highdicom as hd
import pytest
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from renalseg.dicom.read.series import CTSeries
from renalseg.labels import KIDNEY
from tests.factories.series import write_case
from tests.integration.test_dicom_seg import errors_of
from tests.integration.test_phases_run import run, write
from tests.integration.test_results import groups_of, read, said
from tests.integration.test_results import write as write_results

KINDS = ("seg", "labelmap", "rtstruct", "sr", "pdf", "sc")
NO_TUMOR = (0, KIDNEY, 0, KIDNEY)  # nor a second kidney
PIXELMED = Path("/usr/share/java/pixelmed.jar")  # Debian: libpixelmed-java
_LIMITS = [f"-Djdk.xml.xpath{name}Limit=0" for name in ("ExprOp", "TotalOp", "ExprGrp")]


def code_of(item: Dataset) -> str:
    return str(item.ConceptCodeSequence[0].CodeValue)


def tree(item: Dataset) -> list[Dataset]:
    """An item and all that it contains."""
    return [item, *(one for part in item.get("ContentSequence", ()) for one in tree(part))]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> tuple[CTSeries, Path]:
    folder = tmp_path_factory.mktemp("conformance")
    write_case(folder / "in")
    series, _ = write_results(folder / "in", folder / "out", KINDS)
    return series, folder / "out"


@pytest.fixture(scope="module")
def report(results: tuple[CTSeries, Path]) -> hd.sr.Comprehensive3DSR:
    return hd.sr.srread(next(results[1].glob("*.sr.dcm")))


def test_the_root_is_an_imaging_measurement_report(report: hd.sr.Comprehensive3DSR) -> None:
    assert report.SOPClassUID == "1.2.840.10008.5.1.4.1.1.88.34"  # Comprehensive 3D SR
    assert report.ConceptNameCodeSequence[0].CodeValue == "126000"
    (template,) = report.ContentTemplateSequence
    assert (template.MappingResource, template.TemplateIdentifier) == ("DCMR", "1500")
    (procedure,) = said(report, "Procedure reported")
    assert code_of(procedure) == "25045-6"  # of the CT, not of the algorithm
    assert said(report, "Language of Content Item and Descendants")


def test_nobody_takes_it_for_verified(report: hd.sr.Comprehensive3DSR) -> None:
    flags = report.PreliminaryFlag, report.CompletionFlag, report.VerificationFlag
    assert flags == ("PRELIMINARY", "COMPLETE", "UNVERIFIED")
    assert [code_of(item) for item in said(report, "Observer Type")] == [codes.DCM.Device.value]


@pytest.mark.parametrize("kind", KINDS)
def test_every_object_names_the_algorithm_as_equipment(
    results: tuple[CTSeries, Path], report: hd.sr.Comprehensive3DSR, kind: str
) -> None:
    series, out = results
    made = read(out, kind)
    (equipment,) = (
        item
        for item in made.ContributingEquipmentSequence
        if item.PurposeOfReferenceCodeSequence[0].CodeValue == codes.DCM.ProcessingEquipment.value
        and item.Manufacturer == "RenalSeg"
    )
    assert equipment.ManufacturerModelName == "RenalSeg drawn"
    assert equipment.SoftwareVersions == made.SoftwareVersions
    assert equipment.DeviceUID == said(report, "Device Observer UID")[0].UID
    assert made.StudyInstanceUID == series.headers[0].StudyInstanceUID
    assert made.PatientID == series.headers[0].PatientID


def test_every_group_is_tracked_coded_placed_and_says_what_made_it(
    report: hd.sr.Comprehensive3DSR,
) -> None:
    for group in groups_of(report):
        for name in ("Tracking Identifier", "Tracking Unique Identifier", "Finding category"):
            assert len(said(group, name)) == 1
        (finding,) = said(group, "Finding")
        assert code_of(finding) in {"64033007", "4147007"}
        (site,) = said(group, "Finding Site")
        assert code_of(site) == "64033007"
        assert len(said(site, "Laterality")) == 1
        (name,), (version,) = said(group, "Algorithm Name"), said(group, "Algorithm Version")
        assert name.TextValue == "RenalSeg drawn"
        assert version.TextValue in report.SoftwareVersions
        assert said(group, "Referenced Segment")
        assert said(group, "Source Series for Segmentation")


def test_every_value_has_a_unit_and_every_code_a_scheme(report: hd.sr.Comprehensive3DSR) -> None:
    items = tree(report)
    schemes = {item.CodingSchemeDesignator for item in report.CodingSchemeIdentificationSequence}
    found = {
        code.CodingSchemeDesignator
        for item in items
        for keyword in ("ConceptNameCodeSequence", "ConceptCodeSequence")
        for code in item.get(keyword, ())
    }
    assert found - schemes == {"DCM", "SCT", "LN", "RFC5646"}  # of DICOM's own
    for item in items:
        if item.ValueType == "NUM":
            (value,) = item.MeasuredValueSequence
            assert value.MeasurementUnitsCodeSequence[0].CodingSchemeDesignator == "UCUM"


def test_every_segment_says_what_it_is_where_and_what_made_it(
    results: tuple[CTSeries, Path],
) -> None:
    for kind in ("seg", "labelmap"):
        for segment in read(results[1], kind).SegmentSequence:
            if kind == "labelmap" and segment.SegmentNumber == 0:
                continue  # the background
            assert segment.SegmentAlgorithmType == "AUTOMATIC"
            (algorithm,) = segment.SegmentationAlgorithmIdentificationSequence
            assert algorithm.AlgorithmName == "RenalSeg drawn"
            assert segment.TrackingUID
            assert segment.TrackingID
            assert segment.SegmentedPropertyCategoryCodeSequence
            assert segment.RecommendedDisplayCIELabValue


@pytest.fixture(scope="module")
def phases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a study of two contrast phases."""
    folder = tmp_path_factory.mktemp("phases")
    labels = write(folder / "in", "arterial")
    write(folder / "in", "plain", SeriesDescription="native")
    run(folder, labels)
    (path,) = (folder / "out").glob("*.sr.dcm")
    return path


@pytest.mark.slow
def test_dciodvfy_and_dcmtk_read_a_report_of_contrast_phases(phases: Path) -> None:
    assert errors_of(phases) == []
    program = shutil.which("dsrdump")
    if program is None:
        pytest.skip("dsrdump (package dcmtk) is not installed")
    done = subprocess.run([program, "+Pc", phases], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    for phase in ("NONCONTRAST", "CORTICOMEDULLARY"):
        assert done.stdout.count(f'=({phase},99RENALSEG,"') >= 6  # mean and deviation of three


@pytest.mark.slow
@pytest.mark.parametrize("name", ["phases", "no tumor", "tumor"])
def test_the_validator_of_the_connectathon_finds_no_error(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """PixelMed's, which takes half a minute to start.

    It holds every measurement group against TID 1411, and misses the region in those of TID 1501.
    """
    if not PIXELMED.exists() or shutil.which("java") is None:
        pytest.skip("PixelMed (package libpixelmed-java) or Java is not installed")
    if name == "phases":
        path = request.getfixturevalue("phases")
    else:
        write_case(tmp_path / "in")
        kinds = {"kinds": NO_TUMOR} if name == "no tumor" else {}
        write_results(tmp_path / "in", tmp_path / "out", ("seg", "sr"), **kinds)
        (path,) = (tmp_path / "out").glob("*.sr.dcm")
    program = ["java", *_LIMITS, "-cp", PIXELMED, "com.pixelmed.validate.DicomSRValidator", path]
    done = subprocess.run(program, capture_output=True, text=True, check=True)
    said = (done.stdout + done.stderr).splitlines()
    assert "Found Root Template TID_1500 (MeasurementReport)" in said
    assert "IOD validation complete" in said
    groups = groups_of(hd.sr.srread(path))
    without = [
        number
        for number, group in enumerate(groups, start=1)
        if group.ContentTemplateSequence[0].TemplateIdentifier == "1501"
    ]
    assert bool(without) == (name == "no tumor")
    known = tuple(f"within 1.9.{number}: " for number in without)
    errors = [line for line in said if line.startswith("Error")]
    assert [line for line in errors if not any(each in line for each in known)] == []
    missing = "Missing conditional content item"
    assert all("Template 1411 " in line and line.endswith(missing) for line in errors)
