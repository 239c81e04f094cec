"""The default method on a real CT, which only measures and never trains."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import renalseg
from renalseg.cases import load_nifti
from renalseg.evaluation.overlap import dice
from tests.e2e.test_application import labels_of


@pytest.mark.data
@pytest.mark.slow
def test_both_kidneys_of_a_portal_venous_ct(data_dir: Path, tmp_path: Path) -> None:
    folder = data_dir / "ct" / "ircadb17"
    result = renalseg.segment(folder / "dicom", tmp_path, device="cpu")
    (seg,) = (path for path in result.paths if path.name.endswith(".seg.dcm"))
    found = torch.from_numpy(labels_of(seg, folder / "dicom"))
    silver = load_nifti(folder / "kidney_silver.nii.gz", torch.uint8)[0].as_tensor()
    assert dice(found, silver) >= 0.9
