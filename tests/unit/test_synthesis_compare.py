from __future__ import annotations

import numpy as np
import pytest

from tools.compare_synthesis import Slice, coupling, measure, renal_table


def slice_of(case: str, kidney_hu: float, tumor_hu: float, grain_hu: float = 0.0) -> Slice:
    """Kidney beside tumor, the tumor with blotches of 2 mm."""
    image, label = np.zeros((60, 60)), np.zeros((60, 60), np.uint8)
    label[5:30, 5:55], label[30:55, 5:55] = 1, 2
    blotches = np.kron(np.random.default_rng(0).normal(size=(30, 30)), np.ones((2, 2)))
    image[label == 1] = kidney_hu
    image[label == 2] = (tumor_hu + grain_hu * blotches)[label == 2]
    return Slice(case, image, label, 1.0)


def test_coupling_is_that_of_patients_not_of_slices() -> None:
    together = [slice_of(str(i), 100 + 10 * i, 50 + 5 * i) for i in range(5)]
    assert coupling(together) == pytest.approx(1)
    # many slices of one patient that says otherwise are one patient
    other = [slice_of("other", 160, 20)] * 20
    assert 0 < coupling([*together, *other]) < 1
    assert coupling(
        [slice_of(str(i), 100 + 10 * i, 90 - 5 * i) for i in range(5)]
    ) == pytest.approx(-1)


def test_texture_is_seen_in_the_tumor_alone() -> None:
    even, uneven = (measure([slice_of("a", 150, 90, grain)]) for grain in (0.0, 40.0))
    name = "texture in the tumor (1 to 3 mm)"
    assert uneven[name][2] > even[name][2] + 5
    assert uneven["kidney, standard deviation"][2] == even["kidney, standard deviation"][2] == 0


def test_slices_with_few_pixels_do_not_count() -> None:
    small = slice_of("small", 150, 90)
    small.label[35:] = 0
    found = measure([small])
    assert "kidney, mean" in found
    assert "tumor, mean" not in found


def test_table_has_a_row_for_each_measure() -> None:
    measured = measure([slice_of("a", 150, 90)])
    lines = renal_table(measured, measured).splitlines()
    assert len(lines) == 2 + len(measured)
    assert "| kidney, mean | 150, 150, 150, 150, 150 | 150, 150, 150, 150, 150 |" in lines
