from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import highdicom as hd
import nibabel as nib
import numpy as np
import pydicom
import pytest
from highdicom.seg import SegmentAlgorithmTypeValues, SegmentationTypeValues, SegmentDescription
from pydicom.sr.codedict import codes

from renalseg.commands.main import main
from renalseg.data.case_lists import kits_cases
from renalseg.data.volumes import open_pair, read_hu, read_label
from renalseg.dicom.write.ct import write_ct_series
from renalseg.geometry import to_world

AFFINE = np.diag([-0.8, -0.8, 2.5, 1.0])
SHAPE = (40, 32, 20)
STUDY = {"StudyInstanceUID": "1.2.826.0.1.3680043.8.498.7"}
TYPES = {"Kidney": codes.SCT.Kidney, "Mass": codes.SCT.Mass, "Liver": codes.SCT.Liver}


def volumes() -> tuple[np.ndarray, np.ndarray]:
    """HU and label (X, Y, Z): a kidney with a tumor at one end."""
    label = np.zeros(SHAPE, np.uint8)
    label[8:20, 10:24, 4:16] = 1
    label[8:12, 10:14, 4:8] = 2
    hu = np.full(SHAPE, -1000, np.int16)
    hu[2:-2, 2:-2] = 20
    hu[label == 1], hu[label == 2] = 150, 90
    return hu, label


def write_seg(folder: Path, paths: list[Path], label: np.ndarray, *names: str) -> Path:
    """A SEG in which the first segment has all that is labeled, as a kidney with its tumor may."""
    frames = label.transpose(2, 1, 0)
    masks = np.stack([frames >= number + 1 for number in range(len(names))], axis=-1)
    seg = hd.seg.Segmentation(
        [pydicom.dcmread(path) for path in paths],
        masks.astype(np.uint8),
        SegmentationTypeValues.BINARY,
        [
            SegmentDescription(
                number, name, codes.SCT.Organ, TYPES[name], SegmentAlgorithmTypeValues.MANUAL
            )
            for number, name in enumerate(names, 1)
        ],
        **{"series_instance_uid": hd.UID(), "series_number": 300, "instance_number": 1},
        **{"sop_instance_uid": hd.UID(), "manufacturer": "C4KC", "manufacturer_model_name": "x"},
        **{"software_versions": "1", "device_serial_number": "1"},
    )
    folder.mkdir(parents=True)
    seg.save_as(folder / "1-1.dcm")
    return folder


@pytest.fixture
def patient(tmp_path: Path) -> Path:
    """As the archive's retriever lays it out: two phases, and the SEG of the first."""
    hu, label = volumes()
    patient = tmp_path / "tcia" / "C4KC-KiTS" / "KiTS-00007"
    study = patient / "01-01-2000-NA-threephase"
    paths = write_ct_series(study / "2.0-arterial", hu, AFFINE, seed="a", attributes=STUDY)
    write_ct_series(study / "3.0-late", hu[..., :12] + 5, AFFINE, seed="b", attributes=STUDY)
    write_seg(study / "300.0-Segmentation", paths, label, "Kidney", "Mass")
    return patient


def center(values: Any, affine: Any) -> np.ndarray:
    return to_world(np.asarray(affine), np.argwhere(values).mean(axis=0))


def test_image_and_label_of_the_labeled_phase_are_written(patient: Path, tmp_path: Path) -> None:
    assert main(["data", "c4kc", str(tmp_path / "tcia"), str(tmp_path / "kits")]) == 0
    (case,) = kits_cases(tmp_path / "kits")
    assert case.name == "case_00007"
    open_pair(case)
    written, label = read_hu(case.image), read_label(case.label)
    hu, truth = volumes()
    affine = nib.load(case.label).affine
    assert sorted(written.ravel()) == sorted(hu.ravel())
    for kind in (1, 2):
        assert (label == kind).sum() == (truth == kind).sum()
        found, expected = center(label == kind, affine), center(truth == kind, AFFINE)
        np.testing.assert_allclose(found, expected, atol=1e-3)
    np.testing.assert_array_equal(written[label == 2], 90)
    assert main(["data", "check", str(tmp_path / "kits")]) == 0


def test_a_second_call_keeps_what_is_there(
    patient: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["data", "c4kc", str(tmp_path / "tcia"), str(tmp_path / "kits")]
    assert main(arguments) == 0
    shutil.rmtree(patient.parent)
    (patient / "empty").mkdir(parents=True)
    assert main(arguments) == 0
    assert "0 cases converted, 1 were there, 0 cannot" in capsys.readouterr().err


def test_a_broken_patient_is_named_and_the_others_are_converted(
    patient: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (8, 9):
        shutil.copytree(patient, patient.with_name(f"KiTS-{number:05d}"))
    seg = next(patient.with_name("KiTS-00008").rglob("1-1.dcm"))
    seg.write_bytes(seg.read_bytes()[:2000])
    shutil.rmtree(next(patient.with_name("KiTS-00009").rglob("2.0-arterial")))
    assert main(["data", "c4kc", str(tmp_path / "tcia"), str(tmp_path / "kits")]) == 2
    said = capsys.readouterr().err
    assert "case_00008: " in said
    assert "case_00009: " in said
    assert "1 cases converted, 0 were there, 2 cannot" in said
    assert [path.name for path in (tmp_path / "kits").iterdir()] == ["case_00007"]


def test_segments_of_other_organs_are_refused(
    patient: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (study,) = patient.iterdir()
    shutil.rmtree(study / "300.0-Segmentation")
    paths = sorted((study / "2.0-arterial").iterdir())
    write_seg(study / "300.0-Segmentation", paths, volumes()[1], "Kidney", "Liver")
    arguments = ["data", "c4kc", str(tmp_path / "tcia"), str(tmp_path / "kits")]
    assert main([*arguments, "--cases", "0-9"]) == 2
    assert "kidney, mass or cyst" in capsys.readouterr().err
    assert main([*arguments, "--cases", "100"]) == 2
    assert "Expected folders KiTS-00000 and so on" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.data
def test_a_real_patient_is_converted(data_dir: Path, tmp_path: Path) -> None:
    """Its labels lie on the tissues that they name."""
    folder = data_dir / "ct" / "kits0" / "arterial"
    study = tmp_path / "tcia" / "KiTS-00000" / "study"
    shutil.copytree(folder, study / "arterial")
    paths = sorted((study / "arterial").iterdir())
    places = [float(pydicom.dcmread(p, stop_before_pixels=True).SliceLocation) for p in paths]
    paths = [path for _, path in sorted(zip(places, paths, strict=True), reverse=True)]
    stored = np.asanyarray(nib.load(data_dir / "ct" / "kits0" / "arterial_label.nii.gz").dataobj)
    label = stored.transpose(2, 1, 0).astype(np.uint8)  # columns, rows, slices from the top
    write_seg(study / "seg", paths, label, "Kidney", "Mass")
    assert main(["data", "c4kc", str(tmp_path / "tcia"), str(tmp_path / "kits")]) == 0
    (case,) = kits_cases(tmp_path / "kits")
    values, hu = read_label(case.label), read_hu(case.image)
    assert (values == 2).sum() == (label == 2).sum()
    assert 100 < np.median(hu[values == 1]) < 300
    assert 80 < np.median(hu[values == 2]) < 300
