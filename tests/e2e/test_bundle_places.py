"""A bundle runs alone from wherever its user stands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

AFFINE = np.diag([-3.0, -3.0, 3.0, 1.0])


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    folder = tmp_path / "cases"
    folder.mkdir()
    hu = np.random.default_rng(0).normal(40, 20, (40, 36, 24)).astype(np.int16)
    nib.save(nib.Nifti1Image(hu, AFFINE), folder / "one.nii.gz")
    return folder


@pytest.mark.parametrize("place", ["repository root", "bundle root", "elsewhere"])
def test_kidney_bundle_runs(place: str, cases: Path, repository: Path, tmp_path: Path) -> None:
    root = repository / "bundles" / "kidney_sehdc"
    cwd, config, bundle_root = {
        "repository root": (repository, "bundles/kidney_sehdc/configs/inference.yaml", root.name),
        "bundle root": (root, "configs/inference.yaml", "."),
        "elsewhere": (tmp_path, root / "configs/inference.yaml", root),
    }[place]
    if place == "repository root":
        bundle_root = f"bundles/{bundle_root}"
    process = subprocess.run(
        [
            *(sys.executable, "-m", "monai.bundle", "run", "--config_file", config),
            *("--bundle_root", bundle_root, "--dataset_dir", cases),
            *("--output_dir", tmp_path / "out", "--device", "$torch.device('cpu')"),
        ],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert process.returncode == 0, process.stderr[-2000:]
    pred = nib.load(tmp_path / "out" / "one.nii.gz")
    assert pred.shape == (40, 36, 24)
    np.testing.assert_allclose(pred.affine, AFFINE)
    assert pred.get_data_dtype() == np.uint8
