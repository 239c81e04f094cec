"""Stacks of both kidneys: where they come from, what they show, and what is put into them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Generator

from renalseg.errors import ConfigError, InputError
from renalseg.labels import CYST, KIDNEY, TUMOR
from renalseg.synthesis.pair_appearance import (
    Canvas,
    Parenchyma,
    draw_parenchyma,
    noise,
    paint_pair,
    tumor_hu,
)
from renalseg.synthesis.pair_lesions import implant, lesion_shapes, place
from renalseg.synthesis.pairs import KidneyPairs, draw_plane, sample
from renalseg.synthesis.scanner import Phase
from renalseg.synthesis.slabs import Slab, load_slabs
from tests.factories import slabs

PORTAL = Parenchyma(Phase.PORTAL, 160.0, 130.0)


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def canvas(seed: int = 0, slices: int = 5) -> Canvas:
    return Canvas((*slabs.SIZE, slices), slabs.SPACING, seeded(seed))


def pairs(*given: Slab, **settings: float) -> KidneyPairs:
    return KidneyPairs(given, slabs.SIZE, slabs.SPACING, **settings)


# Slabs


def test_lesions_are_spans_of_slices_with_their_volume() -> None:
    tumor, cyst = slabs.drawn().lesions
    assert (tumor.kind, tumor.first, tumor.last) == (TUMOR, 3, 9)
    assert (cyst.kind, cyst.first, cyst.last) == (CYST, 3, 9)
    voxels = int((slabs.kidneys() == TUMOR).sum())
    assert tumor.volume_ml == pytest.approx(voxels * np.prod(slabs.SPACING) / 1000)


def test_folds_part_patients_and_the_test_is_in_no_split(tmp_path: Path) -> None:
    folder = slabs.save_all(tmp_path)
    slabs.save(slabs.drawn("drawn 9"), folder / "test.npz")
    parts = [
        {slab.patient for slab in load_slabs(folder, folder / "folds.yaml", 0, split)}
        for split in ("training", "validation")
    ]
    assert parts == [{"drawn 0", "real 0"}, {"drawn 1", "real 1"}]


def test_splits_folds_and_folders_that_are_not_there_are_refused(tmp_path: Path) -> None:
    folder = slabs.save_all(tmp_path)
    for fold, split in ((2, "training"), (0, "test")):
        with pytest.raises(ConfigError, match=f"got '{split}' and {fold}"):
            load_slabs(folder, folder / "folds.yaml", fold, split)
    with pytest.raises(InputError, match="Expected slabs"):
        load_slabs(tmp_path / "empty", folder / "folds.yaml", 0, "training")


# What is drawn


def test_tumors_follow_the_kidneys_of_their_patient() -> None:
    depth = torch.full((*slabs.SIZE, 1), 2.0)

    def mean(cortex: float) -> float:
        parenchyma = Parenchyma(Phase.CORTICOMEDULLARY, cortex, cortex - 80)
        found = [tumor_hu(depth, parenchyma, canvas(seed, 1)).median() for seed in range(40)]
        return float(torch.stack(found).median())

    assert mean(230.0) > mean(120.0) + 20


@pytest.mark.parametrize("phase", list(Phase))
def test_each_tissue_is_where_its_label_is(phase: Phase) -> None:
    slab = slabs.drawn()
    label = slab.label[..., 4:9]
    depth, tumor_depth = slab.depth[..., 4:9] / 4, slab.tumor_depth[..., 4:9] / 4
    found = []
    for seed in range(12):
        parenchyma = draw_parenchyma(seeded(seed), np.eye(4)[phase].tolist())
        assert parenchyma.phase == phase
        hu = paint_pair(label, depth, tumor_depth, parenchyma, canvas(seed))
        assert torch.isfinite(hu).all()
        found.append([float(hu[label == kind].median()) for kind in (0, KIDNEY, CYST)])
    fat, kidney, cyst = np.median(found, axis=0)
    assert fat < -40
    assert cyst < kidney + (20 if phase == Phase.NON_CONTRAST else -60)


def test_noise_hangs_together_from_slice_to_slice_as_in_thin_slices() -> None:
    correlations = []
    for seed in range(30):
        drawn = noise(canvas(seed), 10.0)
        pair = torch.stack([drawn[..., 0].flatten(), drawn[..., 1].flatten()])
        correlations.append(float(torch.corrcoef(pair)[0, 1]))
        assert float(drawn.std()) == pytest.approx(10, rel=0.1)
    assert np.median(correlations) > 0.3
    assert min(correlations) < 0.1


# What is put into kidneys


def test_shapes_are_the_largest_lesion_of_every_other_slice() -> None:
    shapes = lesion_shapes(slabs.kidneys(), slabs.SPACING, 5)
    assert {shape.kind for shape in shapes} == {TUMOR, CYST}
    assert all(shape.mask.shape[2] == 5 for shape in shapes)
    tumor = next(shape for shape in shapes if shape.kind == TUMOR)
    assert tumor.area_mm2 == pytest.approx(int(slabs.disc((15, 32), 7).sum()) * 1.25**2)


def test_a_lesion_is_placed_at_a_kidney_and_clear_of_other_lesions() -> None:
    label = slabs.kidneys(5)
    shapes = lesion_shapes(slabs.kidneys(), slabs.SPACING, 5)
    found = [place(label, shapes, TUMOR, seeded(seed), small=True) for seed in range(20)]
    placed = [mask for mask in found if mask is not None]
    assert len(placed) > 10
    for mask in placed:
        assert not (mask & (label > KIDNEY)).any()
        assert (mask & (label == KIDNEY)).any()


def test_nothing_is_placed_without_a_kidney_or_a_shape() -> None:
    shapes = lesion_shapes(slabs.kidneys(), slabs.SPACING, 5)
    empty = torch.zeros(*slabs.SIZE, 5, dtype=torch.uint8)
    assert place(empty, shapes, TUMOR, seeded(), small=True) is None
    assert place(slabs.kidneys(5), [], TUMOR, seeded(), small=True) is None


def test_an_implant_changes_the_image_where_it_changes_the_label() -> None:
    shapes = lesion_shapes(slabs.kidneys(), slabs.SPACING, 5)
    label = slabs.kidneys(5, lesions=False)
    hu = torch.where(label > 0, 150.0, -100.0)
    changed = 0
    for seed in range(8):
        after, labels = implant(hu, label, shapes, canvas(seed))
        lesion = labels > KIDNEY
        changed += bool(lesion.any())
        near = torch.nn.functional.max_pool3d(lesion.float()[None], (9, 9, 1), 1, (4, 4, 0))[0] > 0
        assert torch.equal(after[~near], hu[~near])
        if (labels == CYST).any():
            assert float(after[labels == CYST].median()) < 100
    assert changed >= 6


# Stacks


def test_a_plane_without_change_samples_what_is_there() -> None:
    volume = torch.rand(*slabs.SIZE, 3)
    voxels = torch.stack(torch.meshgrid(*map(torch.arange, slabs.SIZE), indexing="ij")).float()
    found = sample(volume, [2, 0], voxels, "bilinear")
    torch.testing.assert_close(found, volume[..., [2, 0]], atol=1e-4, rtol=0)


def test_a_part_of_a_plane_samples_the_same_as_the_whole() -> None:
    volume, generator = torch.rand(*slabs.SIZE, 1), seeded(0)
    voxels = draw_plane((30, 20), (1.0, 1.0), generator) + torch.tensor([40.0, 5.0])[:, None, None]
    frame = torch.tensor([[0.0, 0.0], slabs.SIZE]).T[:, None, :]  # takes the whole volume in
    whole = sample(volume, [0], torch.cat([voxels, frame.expand(2, 30, 2)], dim=2), "bilinear")
    torch.testing.assert_close(
        sample(volume, [0], voxels, "bilinear"), whole[:, :20], atol=1e-4, rtol=0
    )


def test_beyond_the_volume_is_what_surrounds_it() -> None:
    volume, far = torch.rand(*slabs.SIZE, 1), torch.full((2, 3, 4), -50.0)
    assert sample(volume, [0], far, "bilinear", -1000.0).eq(-1000).all()


def test_planes_stay_near_their_middle() -> None:
    for seed in range(20):
        points = draw_plane(slabs.SIZE, slabs.SPACING, seeded(seed))
        assert points.shape == (2, *slabs.SIZE)
        assert points.mean(dim=(1, 2)).abs().max() < 25


@pytest.mark.parametrize("real", [0.0, 1.0])
def test_stacks_hold_kidney_in_their_middle(real: float) -> None:
    stream = pairs(slabs.drawn(), slabs.real(), real=real)
    for seed in range(10):
        stack = stream.draw(seeded(seed))
        assert stack["image"].shape == stack["label"].shape == (1, *slabs.SIZE, 5)
        assert stack["image"].dtype == torch.float32
        assert stack["label"].dtype == torch.uint8
        assert (stack["label"][..., 2] > 0).any()
        assert stack["case"] == (1 if real else 0)


def test_a_stream_is_a_function_of_its_seed() -> None:
    stream = pairs(slabs.drawn(), slabs.real(lesions=True))
    first, second = (stream.draw(seeded(3)) for _ in range(2))
    assert torch.equal(first["image"], second["image"])


def test_label_maps_alone_and_real_slabs_alone_can_train() -> None:
    assert pairs(slabs.drawn()).draw(seeded())["case"] == 0
    assert pairs(slabs.real(lesions=True)).draw(seeded())["case"] == 0


def test_lesions_of_every_size_are_drawn_alike() -> None:
    small, large = slabs.drawn("a"), slabs.drawn("b")
    large.label[..., 1:11][slabs.disc((25, 32), 24)] = TUMOR
    stream = pairs(small, large, real=0.0)
    cases = [stream.draw(seeded(seed))["case"] for seed in range(40)]
    assert 8 < sum(cases) < 32


def test_a_patient_with_many_slices_is_not_drawn_as_often() -> None:
    many = [slabs.real("many") for _ in range(16)]
    weights = pairs(*many, slabs.real("one")).weights
    assert float(weights[:16].sum()) == pytest.approx(4.0)
    assert float(weights[16]) == 1.0


def test_a_volume_counts_by_its_slices() -> None:
    label = slabs.kidneys(9, lesions=False)
    volume = Slab("volume", label, slabs.SPACING, (150 * (label > 0)).short())
    assert pairs(volume, slabs.real("one")).weights.tolist() == [3.0, 1.0]


def test_the_mask_of_a_stack_is_the_outline_of_its_label_or_what_a_localizer_found() -> None:
    label = slabs.kidneys(5)
    found = torch.zeros_like(label)
    found[:48] = 1
    slab = Slab("real", label, slabs.SPACING, (150 * (label > 0)).short(), found=found)
    alike = 0
    for seed in range(20):
        stack = pairs(slab).draw(seeded(seed))
        outline = (stack["label"] > 0).to(torch.uint8)
        alike += torch.equal(stack["mask"], outline)
        assert (stack["mask"][stack["label"] > KIDNEY] == 1).all()  # no lesion is beyond it
    assert 2 < alike < 14


def test_vessels_come_out_of_concave_kidneys_with_contrast_alone() -> None:
    label = torch.zeros(*slabs.SIZE, 5, dtype=torch.uint8)
    label[slabs.disc((48, 32), 22)] = KIDNEY
    label[48:, 26:38] = 0  # its hilum
    depth = torch.full(label.shape, 2.0)
    hilum = torch.zeros(label.shape, dtype=torch.bool)
    hilum[50:66, 28:36] = True

    def bright(phase: Phase) -> float:
        parenchyma = draw_parenchyma(seeded(), np.eye(4)[phase].tolist())
        shares = [
            paint_pair(label, depth, depth, parenchyma, canvas(seed))[hilum] > 60
            for seed in range(30)
        ]
        return float(torch.stack(shares).float().mean())

    assert bright(Phase.PORTAL) > bright(Phase.NON_CONTRAST) + 0.1
