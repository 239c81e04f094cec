"""All files of one study, read as users read them; the label map is drawn, not predicted."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pydicom
import pytest
import torch
from monai.data import MetaTensor
from pydicom.dataset import Dataset

from renalseg.commands.summary import print_result
from renalseg.dicom.read.segmentation import read_seg
from renalseg.dicom.read.series import CTSeries, read_series
from renalseg.dicom.write.derived import say
from renalseg.findings.sentences import Kind, Statement
from renalseg.grids import Grid
from renalseg.inference.choice import Choice
from renalseg.labels import CYST, KIDNEY, TUMOR
from renalseg.output.place import all_at_once
from renalseg.output.result import Result
from renalseg.output.study import StudyResult
from renalseg.scores import QUANTITIES
from renalseg.settings import Settings
from tests.factories.pdf import count_pages, text_of
from tests.factories.results import as_found
from tests.factories.series import CASES, edit_all, write_case
from tests.factories.stacks import stack_of, write_stack
from tests.integration.test_dicom_seg import errors_of, segment_map

ALL = ("seg", "labelmap", "rtstruct", "sr", "pdf", "sc")
CHECKED = ("seg", "rtstruct", "sr", "pdf", "sc")  # dciodvfy does not know LABELMAP
PRED = np.array([0, KIDNEY, KIDNEY, TUMOR], np.uint8)
NOTHING = np.zeros(4, np.uint8)


def write(
    folder: Path,
    out: Path,
    outputs: Sequence[str] = ("seg", "sr", "pdf"),
    kinds: Sequence[int] = tuple(PRED),
    *,
    to_the_end: bool = False,
    **choices: Any,
) -> tuple[CTSeries, StudyResult]:
    """Write the results of a series in which kidneys and a tumor are drawn.

    Args:
        folder: The series.
        out: Gets the results.
        outputs: What is written.
        kinds: What background, left and right kidney and the tumor are predicted as.
        to_the_end: Whether what was found goes on to the last slice.
        choices: More settings.
    """
    series = read_series(folder)
    drawn = segment_map(series)
    if to_the_end:
        top = np.flatnonzero(drawn.any(axis=(0, 1)))[-1]
        drawn[..., top:] = drawn[..., top, None]
    pred = np.asarray(kinds, np.uint8)[drawn]
    choice = Choice(folder, "kidney_drawn", "tumor_drawn", torch.device("cpu"))
    settings = Settings(choice, outputs=tuple(outputs), **choices)
    labels = MetaTensor(torch.from_numpy(pred)[None], affine=series.image.affine)
    with all_at_once(out) as place:
        study = place.write(series, as_found(series, labels, settings), settings, {"read": 1.0})
        Result(out, settings, (study,)).write(place.folder)
    return series, study


def entry_of(out: Path) -> dict[str, Any]:
    """What result.json says of the one study."""
    (entry,) = json.loads((out / "result.json").read_text())["studies"]
    return entry


def read(out: Path, kind: str) -> Dataset:
    (path,) = out.glob(f"*.{kind}.dcm")
    return pydicom.dcmread(path)


def pdf_of(out: Path) -> bytes:
    document = read(out, "pdf")
    return bytes(document.EncapsulatedDocument[: document.EncapsulatedDocumentLength])


def groups_of(report: hd.sr.Comprehensive3DSR) -> list[Dataset]:
    """The measurement groups of a report."""
    (measurements,) = (
        item
        for item in report.ContentSequence
        if item.ConceptNameCodeSequence[0].CodeMeaning == "Imaging Measurements"
    )
    return list(measurements.ContentSequence)


def said(group: Dataset, meaning: str) -> list[Dataset]:
    """The items of a group under a name."""
    return [
        item
        for item in group.ContentSequence
        if item.ConceptNameCodeSequence[0].CodeMeaning == meaning
    ]


def numbers(group: Dataset) -> dict[str, float]:
    """The measures of a group by name and derivation."""
    found = {}
    for item in group.ContentSequence:
        if item.ValueType == "NUM":
            derived = [
                part.ConceptCodeSequence[0].CodeMeaning
                for part in item.get("ContentSequence", ())
                if part.ConceptNameCodeSequence[0].CodeMeaning == "Derivation"
            ]
            name = " ".join([item.ConceptNameCodeSequence[0].CodeMeaning, *derived])
            found[name] = float(item.MeasuredValueSequence[0].NumericValue)
    return found


def nephrometry_of(entry: dict[str, Any]) -> dict[str, float]:
    """The measures and points of nephrometry that a report has of an entry in result.json."""
    scores = entry["nephrometry"]
    found: dict[str, float] = {}
    for name, component in scores["components"].items():
        quantity = QUANTITIES[name]
        if name not in ("size", "exophytic"):
            found[quantity.meaning] = component["value"]
        if component["renal"] is not None:
            found[f"R.E.N.A.L. points: {quantity.renal}"] = component["renal"]
        if component["padua"] is not None:
            found[f"PADUA points: {quantity.padua}"] = component["padua"]
    if scores["c_index"] is not None:
        found["Centrality index"] = scores["c_index"]
    return found


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> tuple[CTSeries, StudyResult, Path]:
    folder = tmp_path_factory.mktemp("all")
    write_case(folder / "in")
    return *write(folder / "in", folder / "out", ALL), folder / "out"


Everything = tuple[CTSeries, StudyResult, Path]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_case(tmp_path / "in").folder


# What is written


def test_each_object_is_a_series_of_its_own_in_the_study(everything: Everything) -> None:
    series, result, out = everything
    assert sorted(path.name for path in out.iterdir()) == sorted([*result.files, "result.json"])
    found = {kind: read(out, kind) for kind in ALL}
    assert {kind: int(item.SeriesNumber) for kind, item in found.items()} == {
        "seg": 900, "sr": 901, "pdf": 902, "sc": 903, "labelmap": 904, "rtstruct": 905
    }  # fmt: skip
    assert len({item.SeriesInstanceUID for item in found.values()}) == 6
    for item in found.values():
        assert item.StudyInstanceUID == series.headers[0].StudyInstanceUID
        assert "(research use)" in item.SeriesDescription
        assert item.PatientName == series.headers[0].PatientName
        assert item.SOPInstanceUID.startswith("2.25.")


@pytest.mark.parametrize("kinds", [PRED, (0, 1, 1, 1), (0, 1, 0, 0), NOTHING])
def test_dciodvfy_finds_no_error(source: Path, tmp_path: Path, kinds: Sequence[int]) -> None:
    write(source, tmp_path / "out", CHECKED, kinds)
    paths = list((tmp_path / "out").glob("*.dcm"))
    assert len(paths) == (5 if any(kinds) else 3)
    assert {path.name: errors_of(path) for path in paths} == {path.name: [] for path in paths}


def test_only_what_is_asked_for_is_written(source: Path, tmp_path: Path) -> None:
    _, result = write(source, tmp_path / "out", ["pdf"])
    (report,) = result.files
    assert report.endswith(".pdf.dcm")
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == [report, "result.json"]


def test_a_labelmap_holds_the_same_voxels(everything: Everything) -> None:
    series, _, out = everything
    (path,) = out.glob("*.labelmap.dcm")
    volume = hd.seg.segread(path).get_volume(combine_segments=True)
    binary = hd.seg.segread(next(out.glob("*.seg.dcm"))).get_volume(combine_segments=True)
    np.testing.assert_array_equal(volume.match_geometry(binary).array, binary.array)
    assert read(out, "labelmap").SegmentationType == "LABELMAP"
    assert np.count_nonzero(volume.array) == np.count_nonzero(segment_map(series))


def test_empty_frames_are_written_on_request(source: Path, tmp_path: Path) -> None:
    series, _ = write(source, tmp_path / "all", ["seg", "labelmap"], empty_frames=True)
    write(source, tmp_path / "few", ["seg", "labelmap"])
    seg, labelmap = (read(tmp_path / "all", kind) for kind in ("seg", "labelmap"))
    assert int(seg.NumberOfFrames) == 3 * len(series.headers)
    assert int(labelmap.NumberOfFrames) == len(series.headers)
    assert seg.pixel_array.sum() == read(tmp_path / "few", "seg").pixel_array.sum()
    assert seg.SOPInstanceUID != read(tmp_path / "few", "seg").SOPInstanceUID


def test_the_capture_is_a_color_picture(everything: Everything) -> None:
    capture = read(everything[2], "sc")
    assert (capture.PhotometricInterpretation, capture.SamplesPerPixel) == ("RGB", 3)
    pixels = capture.pixel_array.astype(int)
    assert np.ptp(pixels, axis=-1).max() > 60  # outlines in color on gray


def test_a_rerun_writes_the_same_bytes(source: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(source, tmp_path / name, ALL)
    for first in (tmp_path / "a").glob("*.dcm"):
        assert first.read_bytes() == (tmp_path / "b" / first.name).read_bytes()


# The structured report


def test_the_report_says_what_the_result_says(everything: Everything) -> None:
    _, _, out = everything
    entries = entry_of(out)["segments"]
    groups = groups_of(hd.sr.srread(next(out.glob("*.sr.dcm"))))
    assert len(groups) == len(entries) == 3
    for entry, group in zip(entries, groups, strict=True):
        expected = {
            "Volume": entry["volume_ml"],
            "Diameter Maximum": entry["longest_mm"],
            "Long axis": entry["longest_axial_mm"],
            "Attenuation Coefficient Mean": entry["mean_hu"],
            "Attenuation Coefficient Standard Deviation": entry["sd_hu"],
        }
        if entry["kind"] == TUMOR:
            expected["Share that lies outside of the kidney"] = entry["exophytic_percent"]
            expected |= nephrometry_of(entry)
            (size,) = said(group, "Size category")
            assert size.ConceptCodeSequence[0].CodeMeaning == entry["size"] == "up to 4 cm"
        assert numbers(group) == expected
        (site,) = said(group, "Finding Site")
        modifiers = {
            item.ConceptNameCodeSequence[0].CodeMeaning: item.ConceptCodeSequence[0].CodeMeaning
            for item in site.ContentSequence
        }
        assert modifiers["Laterality"].lower() == entry["side"]
        third = {None: None, "upper": "Superior", "middle": "Intermediate", "lower": "Inferior"}
        assert modifiers.get("Topographical modifier") == third[entry["third"]]


def test_a_cyst_is_told_from_a_tumor_in_every_file(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    series, study = write(source, out, kinds=(0, KIDNEY, KIDNEY, CYST))
    entry = entry_of(out)["segments"][2]
    assert (entry["label"], entry["kind"]) == (f"{entry['side'].capitalize()} kidney cyst 1", CYST)
    assert study.finding == "no tumor found"
    described = read(out, "seg").SegmentSequence[2]
    assert described.SegmentedPropertyTypeCodeSequence[0].CodeValue == "367643001"
    assert described.AnatomicRegionSequence[0].CodeMeaning == "Kidney"
    *_, cyst, tumor = groups_of(hd.sr.srread(next(out.glob("*.sr.dcm"))))
    assert said(cyst, "Finding")[0].ConceptCodeSequence[0].CodeMeaning == "Cyst"
    assert numbers(cyst)["Volume"] == entry["volume_ml"]
    assert said(tumor, "Presence")[0].ConceptCodeSequence[0].CodeMeaning == "Not detected"
    page = text_of(pdf_of(out))
    assert "kidney cyst 1" in page
    assert "One cyst," in page
    read_back = read_seg(next(out.glob("*.seg.dcm")), Grid.of(series.image))
    assert (read_back == CYST).sum() == (segment_map(series) == 3).sum() > 0


def test_units_are_coded(everything: Everything) -> None:
    group = groups_of(hd.sr.srread(next(everything[2].glob("*.sr.dcm"))))[2]
    units = [
        item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue
        for item in group.ContentSequence
        if item.ValueType == "NUM"
    ]
    points = ["1"] * 4  # of size and exophytic share, in R.E.N.A.L. and in PADUA
    assert units == ["ml", "mm", "mm", "[hnsf'U]", "[hnsf'U]", "%", *points]


def test_report_and_segmentation_speak_of_the_same_structures(everything: Everything) -> None:
    seg = read(everything[2], "seg")
    report = hd.sr.srread(next(everything[2].glob("*.sr.dcm")))
    for segment, group in zip(seg.SegmentSequence, groups_of(report), strict=True):
        assert segment.TrackingUID == said(group, "Tracking Unique Identifier")[0].UID
        assert said(group, "Tracking Identifier")[0].TextValue == segment.TrackingID
        (reference,) = said(group, "Referenced Segment")[0].ReferencedSOPSequence
        assert reference.ReferencedSOPInstanceUID == seg.SOPInstanceUID
        assert reference.ReferencedSegmentNumber == segment.SegmentNumber


def test_highdicom_finds_the_groups_by_segment(everything: Everything) -> None:
    report = hd.sr.srread(next(everything[2].glob("*.sr.dcm")))
    found = report.content.get_volumetric_roi_measurement_groups(
        finding_type=hd.sr.CodedConcept("4147007", "SCT", "Mass")
    )
    assert [group.referenced_segment.referenced_segment_numbers[0] for group in found] == [3]


def test_the_evidence_is_complete(everything: Everything) -> None:
    series, _, out = everything
    report = read(out, "sr")
    (study,) = report.CurrentRequestedProcedureEvidenceSequence
    found = {
        item.ReferencedSOPInstanceUID
        for part in study.ReferencedSeriesSequence
        for item in part.ReferencedSOPSequence
    }
    expected = {str(header.SOPInstanceUID) for header in series.headers}
    assert found == expected | {read(out, "seg").SOPInstanceUID}


def test_the_report_is_complete_and_not_verified(everything: Everything) -> None:
    report = read(everything[2], "sr")
    assert (report.CompletionFlag, report.VerificationFlag) == ("COMPLETE", "UNVERIFIED")
    assert "PredecessorDocumentsSequence" not in report
    texts = [item.TextValue for item in report.ContentSequence if item.ValueType == "TEXT"]
    assert any(text.startswith("RenalSeg 0.") for text in texts)  # the observer, with its version


def test_the_procedure_is_that_of_the_source(source: Path, tmp_path: Path) -> None:
    def order(ds: Dataset) -> None:
        ds.ProcedureCodeSequence = [hd.sr.CodedConcept("CTABD", "99LOCAL", "CT of the abdomen")]

    edit_all(list(source.iterdir()), order)
    write(source, tmp_path / "out")
    report = hd.sr.srread(next((tmp_path / "out").glob("*.sr.dcm")))
    (procedure,) = said(report, "Procedure reported")
    assert procedure.ConceptCodeSequence[0].CodeMeaning == "CT of the abdomen"


# Not found is said


@pytest.mark.parametrize(
    ("kinds", "finding", "missing", "sentence"),
    [
        ((0, 1, 1, 1), "no tumor found", ["Tumor"], "No tumor found."),
        (
            (0, 1, 0, 1),
            "no tumor found",
            ["Right kidney", "Tumor"],
            "No tumor found. No right kidney found.",
        ),
        (NOTHING, "no kidney found", ["Left kidney", "Right kidney"], "No kidney found."),
    ],
)
def test_what_is_not_found_is_said_in_every_file(
    source: Path, tmp_path: Path, kinds: Sequence[int], finding: str, missing: list[str],
    sentence: str,
) -> None:  # fmt: skip
    _, result = write(source, tmp_path / "out", kinds=kinds)
    assert entry_of(tmp_path / "out")["finding"] == result.finding == finding
    report = hd.sr.srread(next((tmp_path / "out").glob("*.sr.dcm")))
    absent = [
        said(group, "Tracking Identifier")[0].TextValue
        for group in groups_of(report)
        if said(group, "Presence")
    ]
    assert absent == missing
    for group in groups_of(report)[-len(missing) :]:
        assert said(group, "Presence")[0].ConceptCodeSequence[0].CodeMeaning == "Not detected"
    assert said(report, "Conclusion")[0].TextValue.startswith(sentence)
    assert sentence in text_of(pdf_of(tmp_path / "out"))
    has_seg = bool(list((tmp_path / "out").glob("*.seg.dcm")))
    assert has_seg is (finding != "no kidney found")


def test_a_cut_kidney_is_said_in_every_file(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, report = tmp_path / "out", tmp_path / "report"
    _, result = write(source, out, ("seg", "sr", "pdf", "sc"), report=report, to_the_end=True)
    entry = entry_of(out)
    assert [each["lower_bound"] for each in entry["segments"]] == [
        each.lower_bound for each in result.segments
    ]
    cut = next(each for each in result.segments if each.lower_bound)
    (said_once,) = [text for text in entry["warnings"] if "lower bounds" in text]
    assert cut.label in said_once
    document = hd.sr.srread(next(out.glob("*.sr.dcm")))
    texts = [str(item.get("TextValue", "")) for item in document.ContentSequence]
    assert any(said_once in text for text in texts)
    group = groups_of(document)[cut.number - 1]
    assert said(group, "Extent in the scan")[0].ConceptCodeSequence[0].CodeValue == "CUT"
    text = " ".join(text_of(pdf_of(out)).split())
    assert "volume and diameters are lower bounds" in text
    assert f"≥ {cut.volume_ml:.1f}" in text
    (page,) = report.glob("*.html")
    assert f"≥ {cut.volume_ml:.1f}" in page.read_text()
    print_result(out)
    assert f"≥ {cut.volume_ml:.1f}" in capsys.readouterr().out


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_no_terminal_is_too_narrow_for_the_measures(
    everything: Everything,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    columns: int,
) -> None:
    _, result, out = everything
    monkeypatch.setenv("COLUMNS", str(columns))
    print_result(out)
    text = capsys.readouterr().out
    assert "…" not in text
    (headings,) = [line.split() for line in text.splitlines() if line.startswith("structure")]
    assert headings == ["structure", "ml", "mm", "mm", "HU", "third", "%", "size", "image"]
    for segment in result.segments:
        (row,) = [line for line in text.splitlines() if line.startswith(f"{segment.label}  ")]
        assert f"{segment.volume_ml:.1f}" in row
        assert row.rstrip().endswith(segment.image or "")


# The page


def test_the_page_is_one_and_says_what_matters(everything: Everything) -> None:
    series, result, out = everything
    pdf = pdf_of(out)
    assert count_pages(pdf) == 1
    text = text_of(pdf)
    tumor = result.segments[2]
    for expected in (
        "Research use only, not for diagnosis.",
        "One tumor found",
        str(series.headers[0].PatientID),
        "Left kidney tumor 1",
        f"{tumor.volume_ml:.1f}",
        f"{tumor.mean_hu:.0f} ± {tumor.sd_hu:.0f}",
        "kidney_drawn",
    ):
        assert expected in text


def test_every_object_says_the_warnings_before_the_conclusion(source: Path, tmp_path: Path) -> None:
    edit_all(list(source.iterdir()), lambda ds: setattr(ds, "LossyImageCompression", "01"))
    out = tmp_path / "out"
    series, result = write(source, out, ALL, kinds=(0, 1, 1, 1))
    *warnings, conclusion = result.statements
    assert {warning.text for warning in warnings} == set(series.warnings) != set()
    assert conclusion.text.startswith("No tumor found.")
    assert [each["text"] for each in entry_of(out)["statements"]] == [
        statement.text for statement in result.statements
    ]
    report = hd.sr.srread(next(out.glob("*.sr.dcm")))
    texts = [item for item in report.ContentSequence if item.ValueType == "TEXT"][
        -len(warnings) - 1 :
    ]
    assert [item.TextValue for item in texts[:-1]] == [warning.text for warning in warnings]
    assert {item.ConceptNameCodeSequence[0].CodeMeaning for item in texts[:-1]} == {"Warning"}
    assert texts[-1].TextValue.startswith(conclusion.text)
    said = [f"{kind}: {text}" for kind, text in result.statements]
    for kind in ("seg", "labelmap", "sc"):
        assert read(out, kind).ImageComments.splitlines() == said
    assert read(out, "rtstruct").StructureSetDescription.splitlines() == said
    page = text_of(pdf_of(out))
    places = [page.index(statement.text[:30]) for statement in result.statements]
    assert places == sorted(places)


def test_more_warnings_than_an_image_holds_leave_the_conclusion(source: Path) -> None:
    image = Dataset()
    said = [Statement(Kind.WARNING, f"{number} " + "x" * 3000) for number in range(5)]
    say(image, [*said, Statement(Kind.CONCLUSION, "No tumor found.")])
    lines = image.ImageComments.splitlines()
    assert len(image.ImageComments) <= 10240
    assert lines[0].startswith("Warning: 0 ")
    assert "Further warnings in the structured report: " in lines[-2]
    assert lines[-1] == "Conclusion: No tumor found."


def test_dcmtk_takes_the_page_out(everything: Everything, tmp_path: Path) -> None:
    program = shutil.which("dcm2pdf")
    if program is None:
        pytest.skip("dcm2pdf (package dcmtk) is not installed")
    (path,) = everything[2].glob("*.pdf.dcm")
    subprocess.run([program, path, tmp_path / "page.pdf"], check=True)
    assert (tmp_path / "page.pdf").read_bytes() == pdf_of(everything[2])


def _rename(charset: str, name: str) -> Callable[[Dataset], None]:
    def rename(ds: Dataset) -> None:
        ds.SpecificCharacterSet = charset
        ds.PatientName = name
        ds.ReferringPhysicianName = name

    return rename


@pytest.mark.parametrize(
    ("charset", "name", "shown"),
    [
        ("ISO_IR 100", "Müller^Jörg", "Müller, Jörg"),
        ("ISO_IR 192", "山田^太郎", "山田, 太郎"),
        ("ISO_IR 192", "Yamada^Tarou=山田^太郎=やまだ^たろう", "Yamada, Tarou (山田, 太郎)"),
        ("ISO_IR 192", "=김^철수", "김, 철수"),
        ("ISO_IR 192", "Петров-Водкин^Кузьма", "Петров-Водкин, Кузьма"),
        ("ISO_IR 192", "الأحمد^فاطمة", "فاطمة"),
        ("ISO_IR 192", "C3L-00189^", "C3L-00189\n"),
        ("ISO_IR 192", "^Given^^Dr.", "Dr. Given\n"),
        ("ISO_IR 192", "Somchai=สมชาย", "Somchai ([5 Thai letters:"),
        ("ISO_IR 100", "$_alpha{^x", "$_alpha{, x"),
    ],
)
def test_names_are_kept_as_they_are(
    source: Path, tmp_path: Path, charset: str, name: str, shown: str,
    caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder,
) -> None:  # fmt: skip
    edit_all(list(source.iterdir()), _rename(charset, name))
    recwarn.clear()
    write(source, tmp_path / "out", ALL)
    for kind in ALL:
        found = read(tmp_path / "out", kind)
        assert (found.SpecificCharacterSet, str(found.PatientName)) == (charset, name)
        assert str(found.ReferringPhysicianName) == name
    assert shown in text_of(pdf_of(tmp_path / "out"))
    family = max(name.replace("=", "^").split("^"), key=len)
    assert family not in caplog.text
    assert [str(each.message) for each in recwarn if family in str(each.message)] == []
    assert not any("Glyph" in str(warning.message) for warning in recwarn)


def _strip(ds: Dataset) -> None:
    for keyword in ("PatientName", "PatientBirthDate", "PatientSex", "StudyID", "StudyDate"):
        delattr(ds, keyword)
    for keyword in ("StudyTime", "AccessionNumber", "ReferringPhysicianName", "Manufacturer"):
        delattr(ds, keyword)
    del ds.FrameOfReferenceUID
    ds.PatientID = ""


def test_a_stripped_source_gives_valid_objects(source: Path, tmp_path: Path) -> None:
    edit_all(list(source.iterdir()), _strip)
    write(source, tmp_path / "out", CHECKED)
    for path in (tmp_path / "out").glob("*.dcm"):
        assert errors_of(path) == []


@pytest.mark.parametrize("name", ["coronal", "oblique", "decubitus"])
def test_any_orientation_has_a_page(tmp_path: Path, name: str) -> None:
    write_case(tmp_path / "in", CASES[name])
    write(tmp_path / "in", tmp_path / "out", ("pdf",))
    assert count_pages(pdf_of(tmp_path / "out")) == 1


def test_tilted_slices_have_all_results(tmp_path: Path) -> None:
    stack = stack_of(np.eye(3), [2.0] * 15, pixel_spacing=(1.1, 0.9), tilt_degrees=20)
    hu = np.full(stack.shape, 40, np.int16)
    hu[:2] = -1000
    write_stack(tmp_path / "in", stack, hu)
    series, result = write(tmp_path / "in", tmp_path / "out", ALL)
    assert not series.planes.is_grid
    assert len(result.files) == 6
    sources = {header.SOPInstanceUID: header.ImagePositionPatient for header in series.headers}
    for frame in read(tmp_path / "out", "seg").PerFrameFunctionalGroupsSequence:
        uid = frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        position = frame.PlanePositionSequence[0].ImagePositionPatient
        np.testing.assert_allclose(position, sources[uid], atol=1e-6)
    assert ", image " in text_of(pdf_of(tmp_path / "out"))


# Superseding


@pytest.fixture
def late(tmp_path: Path) -> Callable[[], None]:
    """A series of which the uppermost slice comes late; the call brings it."""
    paths = write_case(tmp_path / "in").paths
    waiting = tmp_path / "waiting.dcm"
    paths[-1].rename(waiting)
    return lambda: waiting.rename(paths[-1]) and None


def test_late_slices_supersede_the_result(late: Callable[[], None], tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    write(source, out)
    earlier = {path.name: pydicom.dcmread(path) for path in out.glob("*.dcm")}
    late()
    write(source, out)
    assert {path.name for path in out.glob("*.dcm")} == set(earlier)
    entry = entry_of(out)
    assert sorted(entry["supersedes"]) == sorted(item.SOPInstanceUID for item in earlier.values())
    report = read(out, "sr")
    (study,) = report.PredecessorDocumentsSequence
    (reference,) = study.ReferencedSeriesSequence[0].ReferencedSOPSequence
    (old,) = (item for item in earlier.values() if item.Modality == "SR")
    assert reference.ReferencedSOPInstanceUID == old.SOPInstanceUID
    assert study.StudyInstanceUID == old.StudyInstanceUID
    assert report.SOPInstanceUID != old.SOPInstanceUID
    assert errors_of(next(out.glob("*.sr.dcm"))) == []


def test_a_rerun_supersedes_what_the_run_did(late: Callable[[], None], tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    write(source, out)
    late()
    _, first = write(source, out)
    before = {path.name: path.read_bytes() for path in out.glob("*.dcm")}
    _, again = write(source, out)
    assert {path.name: path.read_bytes() for path in out.glob("*.dcm")} == before
    assert again.supersedes == first.supersedes != ()


def test_files_of_a_superseded_result_do_not_stay(late: Callable[[], None], tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    write(source, out, ALL)
    late()
    write(source, out, kinds=NOTHING)
    kinds = sorted(path.name.split(".")[-2] for path in out.glob("*.dcm"))
    assert kinds == ["pdf", "sr"]


def test_another_series_supersedes_nothing(source: Path, tmp_path: Path) -> None:
    write(source, tmp_path / "out")
    write_case(tmp_path / "other", seed=7)
    _, result = write(tmp_path / "other", tmp_path / "out")
    assert result.supersedes == ()
    assert len(list((tmp_path / "out").glob("*.sr.dcm"))) == 2
