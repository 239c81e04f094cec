"""What other programs read of a segmentation, whose source has wrong or missing distances."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import highdicom as hd
import nibabel as nib
import numpy as np
import pytest
from pydicom.dataset import Dataset

from renalseg.dicom.read.series import read_series
from renalseg.dicom.write.derived import Origin
from renalseg.dicom.write.seg import build_seg
from renalseg.labels import KIDNEY, Segment, Side
from tests.factories.series import MARKER_HU, edit_all, write_case

LEFT = Segment(1, "Left kidney", KIDNEY, Side.LEFT, 1.0)
STEP = 1.5  # mm
WRONG: dict[str, dict[str, str | None]] = {
    "spacing negative": {"SpacingBetweenSlices": "-5"},
    "spacing half": {"SpacingBetweenSlices": "0.75"},
    "spacing zero": {"SpacingBetweenSlices": "0"},
    "thickness missing": {"SliceThickness": None},
    "thickness empty": {"SliceThickness": ""},
    "both wrong": {"SliceThickness": "5", "SpacingBetweenSlices": "2.5"},
}


def change(ds: Dataset, values: dict[str, str | None]) -> None:
    for keyword, value in values.items():
        if value is None:
            delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)


def volume_by_dcmqi(seg: Path, out: Path) -> float:
    program = shutil.which("segimage2itkimage")
    if program is None:
        pytest.skip("segimage2itkimage (package dcmqi) is not installed")
    out.mkdir()
    command = [program, "--inputDICOM", seg, "--outputDirectory", out, "-p", "x", "-t", "nii"]
    subprocess.run(command, check=True, capture_output=True)
    image = nib.load(out / "x-1.nii.gz")
    voxel = abs(np.linalg.det(image.affine[:3, :3]))
    return float(np.count_nonzero(np.asarray(image.dataobj)) * voxel)


@pytest.mark.parametrize("name", WRONG)
def test_other_programs_read_the_true_volume(tmp_path: Path, name: str) -> None:
    written = write_case(tmp_path / "ct")
    edit_all(written.paths, lambda ds: change(ds, WRONG[name]))
    series = read_series(written.folder)
    labels = (series.image[0].numpy() == MARKER_HU).astype(np.uint8)
    seg = build_seg(Origin(series, "drawn", "1"), labels, [LEFT])
    seg.save_as(tmp_path / "a.seg.dcm")
    true = np.count_nonzero(written.hu == MARKER_HU) * 0.8 * 0.8 * STEP
    assert true > 0
    volume = hd.seg.segread(tmp_path / "a.seg.dcm").get_volume(combine_segments=True)
    assert np.count_nonzero(volume.array) * volume.voxel_volume == pytest.approx(true, rel=1e-3)
    assert volume_by_dcmqi(tmp_path / "a.seg.dcm", tmp_path / "itk") == pytest.approx(
        true, rel=1e-3
    )
