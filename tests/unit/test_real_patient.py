from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Generator, Tensor

from renalseg.data.case_lists import LabeledCase
from renalseg.grids import Grid, resample
from renalseg.labels import TUMOR
from renalseg.synthesis.kidneys import SyntheticKidneys
from renalseg.synthesis.patches import SliceStacks, SyntheticPatches
from renalseg.synthesis.patient import Piece
from renalseg.training import real_patient
from renalseg.training.prepared import prepare
from renalseg.training.real_patient import RealPatient, interpolate
from tests.factories.kits import SPACING, patient, write_case

HU, TRUTH = patient()
MIDDLE = torch.tensor([20.5, 14.5, 11.5])  # of what is kept of the volume


def make(root: Path, hu: Any = None, label: Any = None) -> RealPatient:
    folder = write_case(root, 0, hu, label)
    case = LabeledCase("case", folder / "imaging.nii.gz", folder / "segmentation.nii.gz")
    return RealPatient(prepare(case, root / "cache"))


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> RealPatient:
    return make(tmp_path_factory.mktemp("kits"))


def straight(size: tuple[int, ...], spacing: tuple[float, ...]) -> Tensor:
    axes = [(torch.arange(n) - (n - 1) / 2) * mm for n, mm in zip(size, spacing, strict=True)]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))


def cut(
    patient: RealPatient,
    center: Tensor,
    size: tuple[int, ...],
    spacing: tuple[float, ...],
    monkeypatch: pytest.MonkeyPatch,
    move: Callable[[Tensor], Tensor] = lambda grid: grid,
) -> Piece:
    """A piece on a grid that is not deformed, but by `move`."""
    monkeypatch.setattr(real_patient, "draw_grid", lambda n, mm, *_: move(straight(n, mm)))
    return patient.pieces([center], size, [spacing], Generator(), (1, 0, 0, 0))[0]


def test_a_piece_on_the_patients_own_grid_is_the_patient(
    real: RealPatient, monkeypatch: pytest.MonkeyPatch
) -> None:
    piece = cut(real, MIDDLE, (42, 30, 24), SPACING, monkeypatch)
    np.testing.assert_allclose(piece.image.numpy(), HU[1:-1, 1:-1], atol=0.05)
    expected = np.where(TRUTH == 3, 1, TRUTH)[1:-1, 1:-1]  # cysts count as kidney
    np.testing.assert_array_equal(piece.label.numpy(), expected)
    assert (piece.image.dtype, piece.label.dtype) == (torch.float32, torch.uint8)


def test_a_finer_grid_interpolates_linearly(
    real: RealPatient, monkeypatch: pytest.MonkeyPatch
) -> None:
    spacing = (3.0, 2.0, 2.5)
    piece = cut(real, MIDDLE, (20, 18, 16), spacing, monkeypatch)
    index = straight((20, 18, 16), spacing).numpy() / np.array(SPACING).reshape(3, 1, 1, 1)
    index += MIDDLE.numpy().reshape(3, 1, 1, 1)
    expected = ndimage.map_coordinates(HU[1:-1, 1:-1].astype(float), index, order=1)
    np.testing.assert_allclose(piece.image.numpy(), expected, atol=0.1)


def test_the_tumor_is_on_the_right_of_the_patient(
    real: RealPatient, monkeypatch: pytest.MonkeyPatch
) -> None:
    piece = cut(real, MIDDLE, (42, 30, 24), SPACING, monkeypatch)
    x, y, z = (piece.label == TUMOR).nonzero().double().mean(dim=0).tolist()
    assert x > 25  # R
    assert y < 15  # posterior
    assert z < 12  # inferior


def test_beyond_the_volume_is_air(real: RealPatient, monkeypatch: pytest.MonkeyPatch) -> None:
    far = cut(real, MIDDLE + 500, (8, 8, 8), SPACING, monkeypatch)
    assert (far.image == -1000).all()
    assert not far.label.any()
    edge = cut(real, torch.tensor([20.5, 14.5, 23.0]), (4, 4, 9), SPACING, monkeypatch)
    assert (edge.image[..., 5:] < -999).all()
    assert (edge.image[..., :4] > -200).all()


def test_label_and_image_stay_aligned_when_deformed(tmp_path: Path) -> None:
    label = np.minimum(TRUTH, 1)
    hu = (100 * label).astype(np.int16)
    patches = SyntheticPatches(
        [make(tmp_path, hu, label)], (24, 20, 22), (4.0, 5.0, 5.0), near_kidney=1.0, reach_mm=20.0
    )
    for patch in islice(patches, 6):
        shown, truth = patch["image"] > 50, patch["label"] > 0
        assert truth.sum() > 300
        assert (shown & truth).sum() > 0.9 * (shown | truth).sum()


def test_a_mirrored_grid_mirrors_image_and_label(
    real: RealPatient, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = torch.tensor([-1.0, 1.0, 1.0]).view(3, 1, 1, 1)
    piece = cut(real, MIDDLE, (42, 30, 24), SPACING, monkeypatch, lambda grid: grid * mirror)
    np.testing.assert_allclose(piece.image.flip(0).numpy(), HU[1:-1, 1:-1], atol=0.05)
    assert (piece.label == TUMOR).nonzero()[:, 0].max() < 20


def test_a_part_of_the_volume_gives_what_the_whole_gives(
    real: RealPatient, monkeypatch: pytest.MonkeyPatch
) -> None:
    spacing = (9.0, 9.0, 9.0)  # coarser than the CT, so that a filter reads beyond the grid
    whole = np.load(real.folder / "image.npy")
    center = torch.tensor([21.0, 14.0, 12.0])
    piece = cut(real, center, (4, 4, 4), spacing, monkeypatch)
    expected = interpolate(
        torch.from_numpy(whole), SPACING, straight((4, 4, 4), spacing), center, spacing
    )
    # the averages begin elsewhere
    assert (piece.image - expected).abs().mean() < 40


def test_what_is_even_stays_as_it_is_on_a_coarser_grid() -> None:
    even = torch.full((23, 17, 11), 60.0)
    grid = straight((5, 4, 3), (3.0, 3.1, 2.9))
    drawn = interpolate(
        even, (1.0, 0.7, 0.5), grid, torch.tensor([11.0, 8.0, 5.0]), (3.0, 3.1, 2.9)
    )
    inner = drawn[1:-1, 1:-1, 1:-1]
    torch.testing.assert_close(inner, torch.full_like(inner, 60.0))


def test_a_slope_stays_where_it_is_on_a_coarser_grid() -> None:
    slope = torch.arange(60.0).view(60, 1, 1).expand(60, 40, 40).clone()
    grid = straight((9, 3, 3), (4.0, 4.0, 4.0))
    drawn = interpolate(slope, (1.0, 1.0, 1.0), grid, torch.tensor([29.0, 20, 20]), (4.0, 4.0, 4.0))
    torch.testing.assert_close(drawn[:, 1, 1], 29 + 4.0 * torch.arange(-4, 5))


def test_noise_is_averaged_as_in_preprocessing() -> None:
    noise = 100 * torch.randn((96, 96, 96), generator=Generator().manual_seed(0))
    source = Grid((96, 96, 96), np.eye(4))
    preprocessed = resample(noise[None], source, source.respaced((4.0, 4.0, 4.0)))
    grid = straight((20, 20, 20), (3.8, 3.8, 3.8))  # which meets no regular part of the volume
    drawn = interpolate(noise, (1, 1, 1), grid, torch.tensor([47.5] * 3), (4.0, 4.0, 4.0))
    assert drawn.std().item() == pytest.approx(preprocessed.std().item(), rel=0.2)


@pytest.mark.parametrize("stream", [SyntheticPatches, SliceStacks])
def test_streams_draw_from_real_patients(real: RealPatient, stream: Any) -> None:
    drawn = stream([real], (16, 14, 5), (5.0, 5.0, 5.0), near_kidney=1.0, reach_mm=10.0, seed=2)
    for patch in islice(drawn, 3):
        assert patch["image"].shape == patch["label"].shape == (1, 16, 14, 5)
        assert (patch["label"] > 0).any()


def test_pairs_of_kidneys_are_drawn_from_real_patients(real: RealPatient) -> None:
    pairs = SyntheticKidneys([real], (24, 20, 24))
    for pair in islice(pairs, 3):
        assert sorted(int((item["label"] == TUMOR).any()) for item in pair) == [0, 1]


def test_pieces_repeat_by_seed(real: RealPatient) -> None:
    one, other = (
        next(iter(SyntheticPatches([real], (12, 12, 12), (6.0, 6.0, 6.0), seed=3)))["image"]
        for _ in range(2)
    )
    assert torch.equal(one, other)
