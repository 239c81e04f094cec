"""Probabilities of lesions as files: in DICOM on the source slices, of a volume on its grid."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import numpy.typing as npt
import pydicom
import pytest
import torch
from monai.data import MetaTensor
from pydicom.dataset import Dataset

from renalseg.evidence import Evidence, with_evidence
from renalseg.output.label_maps import maps_of
from renalseg.output.study import NO_PROBABILITIES
from tests.factories.road import run_with
from tests.factories.series import CASES, write_case
from tests.factories.volumes import TURNS, drawn, save, turned
from tests.integration.test_dicom_seg import errors_of
from tests.integration.test_volumes_run import Both, stored


class Probable(Both):
    """A tumor has the probability 1 in the marker, and 0.5 in all else of the body."""

    def find_tumors(self, image: MetaTensor, kidney: MetaTensor) -> MetaTensor:
        probs = torch.zeros((2, *image.shape[1:]), dtype=torch.float16)
        probs[0] = torch.from_numpy(probability_of(image[0].numpy()))
        kept = MetaTensor(probs, affine=image.affine)
        return with_evidence(super().find_tumors(image, kidney), Evidence((kept,)))


def probability_of(hu: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
    return np.where(hu > 500, 1.0, np.where(hu > 0, 0.5, 0.0))


def fractional(folder: Path) -> Path:
    (path,) = folder.glob("*.probability.dcm")
    return path


@pytest.mark.parametrize("name", ["normal", "reversed", "oblique", "prone"])
def test_a_series_gives_a_fractional_segmentation(tmp_path: Path, name: str) -> None:
    written = write_case(tmp_path / "ct", CASES[name])
    run_with(written.folder, tmp_path / "out", Probable(("seg", "probability")))
    seg = pydicom.dcmread(fractional(tmp_path / "out"))
    assert (seg.SegmentationType, seg.SegmentationFractionalType) == ("FRACTIONAL", "PROBABILITY")
    (segment,) = seg.SegmentSequence  # a cyst is probable nowhere
    assert segment.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Mass"
    sources = {source.SOPInstanceUID: source for source in map(pydicom.dcmread, written.paths)}
    total = 0
    for frame, pixels in zip(seg.PerFrameFunctionalGroupsSequence, seg.pixel_array, strict=True):
        reference = frame.DerivationImageSequence[0].SourceImageSequence[0]
        source = sources[reference.ReferencedSOPInstanceUID]
        hu = source.pixel_array * float(source.RescaleSlope) + float(source.RescaleIntercept)
        expected = np.rint(seg.MaximumFractionalValue * probability_of(hu))
        np.testing.assert_array_equal(pixels, expected)
        total += np.count_nonzero(pixels)
    assert total == np.count_nonzero(written.hu > 0)


def test_it_conforms_and_a_rerun_gives_the_same(tmp_path: Path) -> None:
    written = write_case(tmp_path / "ct")
    for out in ("one", "two"):
        run_with(written.folder, tmp_path / out, Probable(("probability",)))
    one, two = (fractional(tmp_path / out) for out in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    assert errors_of(one) == []


def test_a_volume_gives_its_probabilities(tmp_path: Path) -> None:
    hu, affine = turned(*drawn(CASES["oblique"]), TURNS[13])
    save(tmp_path / "ct.nii.gz", hu, affine)
    run_with(tmp_path / "ct.nii.gz", tmp_path / "out", Probable(("nifti", "probability")))
    found = nib.load(tmp_path / "out" / "ct-tumor_probability.nii.gz")
    np.testing.assert_allclose(found.get_fdata(), probability_of(hu), atol=1 / 255)
    np.testing.assert_allclose(found.affine, affine, atol=1e-4)
    entry = stored(tmp_path / "out")
    assert maps_of(entry) == ["ct.nii.gz"]
    assert set(entry["files"]) == {"ct.nii.gz", "ct-tumor_probability.nii.gz"}


def test_a_model_without_probabilities_says_so(tmp_path: Path) -> None:
    run_with(write_case(tmp_path / "ct").folder, tmp_path / "out", Both(("seg", "probability")))
    assert not list((tmp_path / "out").glob("*probability*"))
    assert NO_PROBABILITIES in stored(tmp_path / "out")["warnings"]


def numbers_of(item: Dataset) -> dict[str, float]:
    """The numbers of a report by the meaning of their concepts, of the last group that has them."""
    found = {}
    for child in item.get("ContentSequence", ()):
        if child.ValueType == "NUM" and child.MeasuredValueSequence:
            value = child.MeasuredValueSequence[0].NumericValue
            found[child.ConceptNameCodeSequence[0].CodeMeaning] = float(value)
        found |= numbers_of(child)
    return found


def test_result_and_report_say_how_sure_they_are(tmp_path: Path) -> None:
    run_with(write_case(tmp_path / "ct").folder, tmp_path / "out", Probable(("seg", "sr")))
    kidney, *_, tumor = stored(tmp_path / "out")["segments"]
    assert kidney["confidence"] is None
    assert (tumor["confidence"]["mean_output"], tumor["confidence"]["probability"]) == (1.0, None)
    assert "was not calibrated" in tumor["confidence"]["reason"]
    (path,) = (tmp_path / "out").glob("*.sr.dcm")
    numbers = numbers_of(pydicom.dcmread(path))
    assert numbers["Mean output of the network, no probability"] == 1.0
    assert "Calibrated probability that it is real" not in numbers
