"""Every method, and a pair of two methods, from DICOM to SEG."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from renalseg.cases import load_nifti
from renalseg.evaluation.overlap import dice
from tests.e2e.conftest import Program, Run
from tests.e2e.test_application import labels_of

# Kidney Dice that the weights of each method reach on this sample, less a margin.
LEAST = [
    ("convlstm", 0.6),
    ("mrb", 0.75),
    ("msvnet", 0.45),
    ("resvnet", 0.85),
    ("sehdc", 0.9),
]


def check(run: Run, localizer: str, tumor: str, least: float) -> None:
    assert run.process.returncode == 0, run.process.stderr
    assert (run.result["localizer"], run.result["tumor"]) == (localizer, tumor)
    found = torch.from_numpy(labels_of(run.seg, run.source))
    truth = load_nifti(run.source / "label.nii.gz", torch.uint8)[0].as_tensor()
    assert dice(found, truth) >= least


@pytest.mark.slow
@pytest.mark.parametrize(("method", "least"), LEAST)
def test_a_method_segments_the_sample(
    method: str, least: float, sample: Path, program: Program, tmp_path: Path
) -> None:
    process = program("-m", "app", "-i", sample, "-o", tmp_path, "--method", method)
    check(Run(sample, tmp_path, process), f"kidney_{method}", f"tumor_{method}", least)


@pytest.mark.slow
def test_two_methods_make_a_pair(sample: Path, program: Program, tmp_path: Path) -> None:
    choice = ("--localiser", "kidney_resvnet", "--tumor", "tumor_mrb")
    process = program(
        "-m", "renalseg.commands.monai_deploy", "exec", "app", "-i", sample, "-o", tmp_path, *choice
    )
    check(Run(sample, tmp_path, process), "kidney_resvnet", "tumor_mrb", 0.75)
