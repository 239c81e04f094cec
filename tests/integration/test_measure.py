"""`renalseg measure`: what a person edited in a viewer is matched, measured and reported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import highdicom as hd
import nibabel as nib
import numpy as np
import numpy.typing as npt
import pydicom
import pytest

from renalseg.commands.main import main
from renalseg.data.corrections import CONSENT, INDEX
from renalseg.labels import CYST, KIDNEY, TUMOR
from renalseg.output.stored import read_stored
from tests.factories.edited import masks_of, write_edited
from tests.factories.pdf import text_of
from tests.factories.times import BEFORE, body, write_time
from tests.integration.test_dicom_seg import errors_of
from tests.integration.test_results import groups_of

Masks = dict[int, npt.NDArray[np.bool_]]
LEFT, RIGHT, GREAT, SMALL = 1, 2, 3, 4  # segments of our result


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CT with its result."""
    folder = tmp_path_factory.mktemp("study")
    write_time(folder, body(), BEFORE)
    return folder


def ours(root: Path) -> Path:
    (path,) = (root / "out").glob("*.seg.dcm")
    return path


def entry(folder: Path) -> dict[str, Any]:
    (found,) = json.loads((folder / "result.json").read_text())["studies"]
    return found  # type: ignore[no-any-return]


def segments(folder: Path) -> dict[str, dict[str, Any]]:
    return {each["label"]: each for each in entry(folder)["segments"]}


def measure(root: Path, tmp_path: Path, masks: Masks, program: str, *more: str) -> tuple[int, str]:
    """Writes an edited SEG and measures it; gives the exit code and the UID of the SEG."""
    uid = write_edited(ours(root), tmp_path / "edited.dcm", masks, program)
    places = [str(root / "ct"), str(tmp_path / "edited.dcm"), str(tmp_path / "new")]
    return main(["measure", *places, "--result", str(root / "out"), *more]), uid


@pytest.mark.parametrize("program", ["ohif", "slicer"])
def test_what_nobody_changed_is_measured_alike(root: Path, tmp_path: Path, program: str) -> None:
    masks = masks_of(pydicom.dcmread(ours(root)))
    numbering = {5: LEFT, 2: SMALL, 9: RIGHT, 7: GREAT} if program == "ohif" else {
        1: LEFT, 2: RIGHT, 3: GREAT, 4: SMALL
    }  # fmt: skip
    edited = {number: masks[own] for number, own in numbering.items()}
    code, uid = measure(root, tmp_path, edited, program)
    assert code == 0
    corrected = entry(tmp_path / "new")["corrected"]
    assert corrected["seg"] == uid
    assert corrected["changed_ml"] == 0
    assert {int(new): old for new, old in corrected["segments"].items()} == {
        own: [number] for number, own in numbering.items()
    }
    before, after = segments(root / "out"), segments(tmp_path / "new")
    assert list(after) == list(before)
    for name, segment in after.items():
        for measured in ("volume_ml", "longest_mm", "mean_hu", "third", "nephrometry", "kind"):
            assert segment[measured] == before[name][measured], (name, measured)


def test_an_edit_moves_measures_and_keeps_tracking(root: Path, tmp_path: Path) -> None:
    masks = masks_of(pydicom.dcmread(ours(root)))
    levels = np.flatnonzero(masks[GREAT].any(axis=(1, 2)))
    masks[GREAT][levels[0] : levels[2]] = False  # the two lowest slices of the tumor are erased
    code, uid = measure(root, tmp_path, masks, "ohif", "--person", "Doe^Jane")
    assert code == 0
    before, after = segments(root / "out"), segments(tmp_path / "new")
    lost = before["Right kidney tumor 1"]["volume_ml"] - after["Right kidney tumor 1"]["volume_ml"]
    voxel = 2.5**3 / 1000
    assert lost > 10 * voxel
    assert entry(tmp_path / "new")["corrected"]["changed_ml"] == pytest.approx(lost, abs=2e-3)
    (seg_path,) = (tmp_path / "new").glob("*.seg.dcm")
    new, old = pydicom.dcmread(seg_path), pydicom.dcmread(ours(root))
    assert [item.TrackingUID for item in new.SegmentSequence] == [
        item.TrackingUID for item in old.SegmentSequence
    ]
    assert {item.SegmentAlgorithmType for item in new.SegmentSequence} == {"SEMIAUTOMATIC"}
    assert new.SOPInstanceUID not in (old.SOPInstanceUID, uid)


def test_the_report_names_the_edited_segmentation_and_who_edited(
    root: Path, tmp_path: Path
) -> None:
    masks = masks_of(pydicom.dcmread(ours(root)))
    _, uid = measure(root, tmp_path, masks, "slicer", "--person", "Doe^Jane")
    new = tmp_path / "new"
    (path,) = new.glob("*.sr.dcm")
    (old,) = (root / "out").glob("*.sr.dcm")
    report = hd.sr.srread(path)
    assert report.VerificationFlag == "UNVERIFIED"
    assert uid in {evidence[2] for evidence in report.get_evidence()}
    (predecessor,) = report.PredecessorDocumentsSequence
    named = predecessor.ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert named.ReferencedSOPInstanceUID == pydicom.dcmread(old).SOPInstanceUID
    people = [item.PersonName for item in report.ContentSequence if item.ValueType == "PNAME"]
    assert people == ["Doe^Jane"]
    assert len(groups_of(report)) == 4
    assert "Doe" not in (new / "result.json").read_text()
    assert entry(new)["statements"][0]["kind"] == "Corrected"
    (pdf,) = new.glob("*.pdf.dcm")
    said = " ".join(text_of(pydicom.dcmread(pdf).EncapsulatedDocument).split())
    assert "Segmentation corrected by a person" in said
    for each in new.glob("*.dcm"):
        assert errors_of(each) == []


def test_segments_may_overlap_and_a_new_one_says_what_it_is(root: Path, tmp_path: Path) -> None:
    """The kidney is drawn with its tumor in it, and a cyst is new."""
    masks = masks_of(pydicom.dcmread(ours(root)))
    masks[RIGHT] = masks[RIGHT] | masks[GREAT]
    level, row, column = (int(value) for value in np.argwhere(masks[LEFT]).mean(axis=0))
    masks[6] = np.zeros_like(masks[LEFT])
    masks[6][level - 2 : level + 2, row - 4 : row, column - 3 : column + 3] = True
    code, _ = measure(root, tmp_path, masks, "ohif", "--kind", "6=cyst")
    assert code == 0
    before, after = segments(root / "out"), segments(tmp_path / "new")
    assert after["Right kidney"]["volume_ml"] == before["Right kidney"]["volume_ml"]
    assert after["Left kidney cyst 1"]["kind"] == CYST
    assert after["Left kidney cyst 1"]["volume_ml"] == pytest.approx(96 * 2.5**3 / 1000, abs=1e-3)
    assert after["Left kidney cyst 1"]["tracking"] is None
    assert after["Left kidney tumor 1"]["tracking"] is not None


def test_a_segment_that_says_nothing_is_refused(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    masks = masks_of(pydicom.dcmread(ours(root)))
    masks[6] = np.zeros_like(masks[LEFT])
    masks[6][3:5, 2:5, 2:5] = True
    code, _ = measure(root, tmp_path, masks, "ohif")
    assert code == 2
    assert "segment 6" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_a_tumor_that_was_erased_is_gone(root: Path, tmp_path: Path) -> None:
    masks = masks_of(pydicom.dcmread(ours(root)))
    masks[LEFT] = masks[LEFT] | masks.pop(SMALL)
    assert measure(root, tmp_path, masks, "ohif")[0] == 0
    assert list(segments(tmp_path / "new")) == [
        "Left kidney",
        "Right kidney",
        "Right kidney tumor 1",
    ]


def test_a_corrected_result_is_read_again(root: Path, tmp_path: Path) -> None:
    """As the next comparison or correction does; JSON has made texts of its numbers."""
    masks = masks_of(pydicom.dcmread(ours(root)))
    _, uid = measure(root, tmp_path, masks, "ohif")
    correction = read_stored(tmp_path / "new", root / "ct").findings.correction
    assert correction is not None
    assert correction.seg == uid
    assert correction.segments == {number: (number,) for number in (LEFT, RIGHT, GREAT, SMALL)}


# Training


def test_corrections_are_kept_where_the_site_consents(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    masks = masks_of(pydicom.dcmread(ours(root)))
    assert measure(root, tmp_path, masks, "ohif")[0] == 0
    call = ["data", "corrections", str(root / "ct"), str(tmp_path / "new"), str(tmp_path / "kits")]
    monkeypatch.delenv(CONSENT, raising=False)
    assert main(call) == 2
    assert CONSENT in capsys.readouterr().err
    assert not (tmp_path / "kits").exists()

    monkeypatch.setenv(CONSENT, "true")
    assert main(call) == 0
    case = tmp_path / "kits" / "case_00000"
    label = np.asarray(nib.load(case / "segmentation.nii.gz").dataobj)
    ml = abs(np.linalg.det(nib.load(case / "imaging.nii.gz").affine[:3, :3])) / 1000
    for kind in (KIDNEY, TUMOR):
        drawn = sum(each["volume_ml"] for each in entry(root / "out")["segments"]
                    if each["kind"] == kind)  # fmt: skip
        assert (label == kind).sum() * ml == pytest.approx(drawn, abs=0.01)
    index = (tmp_path / "kits" / INDEX).read_text()
    assert str(entry(tmp_path / "new")["corrected"]["seg"]) not in index
    assert main(call) == 0
    assert [path.name for path in (tmp_path / "kits").glob("case_*")] == ["case_00000"]


def test_what_nobody_corrected_is_not_kept(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CONSENT, "true")
    places = [str(root / "ct"), str(root / "out"), str(tmp_path / "kits")]
    assert main(["data", "corrections", *places]) == 2
