from __future__ import annotations

import torch
from torch import Generator

from renalseg.synthesis.scanner import Scanner, scan

SPACING = (1.0, 1.0, 2.0)
STILL = Scanner(blur_mm=0.0, blur_z_mm=0.0, noise_hu=0.0)


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def body() -> torch.Tensor:
    hu = torch.full((40, 40, 10), -1000.0)
    hu[8:32, 8:32] = 50.0
    return hu


def test_an_ideal_scanner_changes_nothing() -> None:
    assert torch.allclose(scan(body(), SPACING, STILL, seeded()), body(), atol=1e-3)


def test_the_noise_has_the_spread_that_is_asked_for() -> None:
    noisy = Scanner(blur_mm=0.0, blur_z_mm=0.0, noise_hu=20.0)
    flat = torch.zeros((40, 40, 40))
    assert abs(scan(flat, SPACING, noisy, seeded()).std().item() - 20.0) < 0.5


def test_a_calibration_error_shifts_all_values() -> None:
    shifted = scan(body(), SPACING, Scanner(0.0, 0.0, 0.0, offset_hu=-9.0), seeded())
    assert torch.allclose(shifted[20, 20], torch.tensor(41.0), atol=1e-3)


def test_a_sharp_kernel_overshoots_at_edges() -> None:
    soft = scan(body(), SPACING, Scanner(1.0, 0.0, 0.0), seeded())
    sharp = scan(body(), SPACING, Scanner(1.0, 0.0, 0.0, sharpness=1.0), seeded())
    assert soft.max() < 51
    assert sharp.max() > 60


def test_metal_is_the_brightest_and_casts_streaks_in_its_slices_only() -> None:
    metal = scan(body(), SPACING, Scanner(0.0, 0.0, 0.0, metal=1), seeded(3))
    places = (metal >= 3000).nonzero()
    assert len(places) > 0
    assert (body()[tuple(places.T)] == 50).all()  # in the body
    touched = (metal - body()).abs().amax(dim=(0, 1)) > 1
    assert touched.any()
    assert not touched.all()
    slices = touched.nonzero().flatten()
    away = ((metal - body()).abs() > 5) & (metal < 3000)
    assert away[:, :, slices].any()


def test_values_stay_within_what_a_scanner_stores() -> None:
    wild = Scanner(1.0, 1.0, 30.0, sharpness=1.2, metal=3)
    hu = scan(body(), SPACING, wild, seeded(5))
    assert hu.min() >= -1024
    assert hu.max() <= 3071


def test_drawn_scanners_differ() -> None:
    generator = seeded()
    assert len({Scanner.draw(generator) for _ in range(5)}) == 5
