"""The default method on the sample as a tilted, unevenly moving scanner would have made it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
import torch
from scipy.spatial.transform import Rotation

from renalseg.evaluation.overlap import dice
from renalseg.synthesis.sample import draw_sample
from tests.e2e.conftest import SEED, Program
from tests.factories.stacks import Stack, resliced, stack_of, write_stack

SIZE, MM = 256, 1.56
EVEN = [2.5] * 95
UNEVEN = [1.5] * 68 + [3.0] * 45


def scanned(tilt: float, steps: list[float]) -> Stack:
    """Slices around the middle of the sample, tilted about the patient's left-right axis."""
    stack = stack_of(
        Rotation.from_euler("x", tilt, degrees=True).as_matrix(),
        steps,
        pixel_spacing=(MM, MM),
        size=(SIZE, SIZE),
        tilt_degrees=abs(tilt),
        # the table moves along the patient
        tilt_direction=np.copysign(np.pi / 2, tilt),
        corner=(0, 0, 0),
    )
    middle = np.mean([stack.world(i).mean(axis=(0, 1)) for i in range(stack.shape[2])], axis=0)
    return stack.moved([0, 0, 125] - middle * [-1, -1, 1])


def labels_on(stack: Stack, seg_file: Path) -> npt.NDArray[np.bool_]:
    """Pixels (X, Y, S) of all segments on the slices of a stack, placed by position alone."""
    seg = pydicom.dcmread(seg_file)
    found = np.zeros(stack.shape, dtype=bool)
    for frame, pixels in zip(seg.PerFrameFunctionalGroupsSequence, seg.pixel_array, strict=True):
        position = np.array(frame.PlanePositionSequence[0].ImagePositionPatient, dtype=float)
        distance = np.linalg.norm(stack.positions - position, axis=1)
        assert distance.min() < 1e-3
        found[:, :, distance.argmin()] |= pixels.T > 0
    return found


@pytest.mark.slow
def test_kidneys_are_found_as_well_as_by_an_upright_scanner(
    tmp_path: Path, program: Program
) -> None:
    image, label = draw_sample(SEED, (SIZE, SIZE, 100), (MM, MM, 2.5))
    affine = np.asarray(image.affine)
    hu, truth = image[0].numpy().astype(np.int16), label[0].numpy()
    scores = []
    for name, stack in {"upright": scanned(0, EVEN), "tilted": scanned(20, UNEVEN)}.items():
        write_stack(tmp_path / name, stack, resliced(stack, hu, affine, order=1), seed=name)
        out = tmp_path / f"{name}_out"
        done = program("-m", "renalseg.commands.main", "run", tmp_path / name, out)
        assert done.returncode == 0, done.stderr
        (seg_file,) = out.glob("*.seg.dcm")
        expected = resliced(stack, truth, affine, order=0) > 0
        found = torch.from_numpy(labels_on(stack, seg_file))
        scores.append(dice(found, torch.from_numpy(expected)))
    upright, tilted = scores
    assert upright > 0.9
    assert tilted > upright - 0.02
