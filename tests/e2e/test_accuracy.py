"""The measurement of accuracy, on real CTs and on CTs drawn from real label maps."""

from __future__ import annotations

from pathlib import Path

import pytest

from renalseg.labels import KIDNEY, TUMOR
from renalseg.settings import DEFAULT_METHOD
from tools.accuracy.measure import measure_accuracy
from tools.accuracy.suites.synthetic import draw_case

pytestmark = [pytest.mark.data, pytest.mark.slow]


def test_both_kidneys_of_a_portal_venous_ct_are_measured(data_dir: Path, tmp_path: Path) -> None:
    content = measure_accuracy(
        data_dir, tmp_path, methods=[DEFAULT_METHOD], suites=["real_ct"], device="cpu"
    )
    rows = content["methods"][0]["suites"]["real_ct"]["cases"]
    portal = next(row for row in rows if row["case"] == "3D-IRCADb 17")
    assert portal["localizer_dice"] >= 0.9
    assert portal["lesions"] == 0


@pytest.mark.parametrize(("tumors", "values"), [(True, [0, KIDNEY, TUMOR]), (False, [0, KIDNEY])])
def test_a_synthetic_ct_is_drawn(tumors: bool, values: list[int], data_dir: Path) -> None:
    case = draw_case(data_dir, 0, tumors)
    assert case.label.unique().tolist() == values
    assert not case.label[..., [0, -1]].any(), "kidneys are cut"
    soft = case.image[case.label == KIDNEY]
    assert -50 < float(soft.median()) < 300
