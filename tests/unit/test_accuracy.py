from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from renalseg.cases import save_nifti
from renalseg.errors import ConfigError, InputError, RenalSegError
from renalseg.inference.choice import Choice
from renalseg.settings import Settings
from tests.factories.scenes import make_grid, volume
from tools.accuracy import gate, variants, verdict_tables
from tools.accuracy.gate import MARK
from tools.accuracy.scored_cases import ScoredCase
from tools.accuracy.variants import DEFAULT, PLAIN, Measured, Score, measure, variants_for
from tools.accuracy.verdict import judge, require_fit_defaults
from tools.markdown import check_marks

GRID = make_grid("LPS")
CPU = torch.device("cpu")
SETTINGS = Settings(Choice(Path("bundles"), "kidney_one", "tumor_one", CPU))


def write(path: Path, **voxels: int) -> Path:
    """A label map with so many voxels of each value: v2=5 are five of value 2."""
    values = np.zeros(GRID.shape, np.uint8)
    flat, start = values.ravel(), 0
    for name, count in voxels.items():
        flat[start : start + count] = int(name[1:])
        start += count
    save_nifti(volume(values, GRID), path)
    return path


def case_of(folder: Path, label: str = "", **voxels: int) -> ScoredCase:
    path = write(folder / "case" / "label.nii.gz", **voxels)
    ct = write(folder / "case" / "ct.nii.gz", v40=99)
    return ScoredCase.parse(str(ct), f"{path}{label}")


def score(kidney: float, tumor: float | None, seconds: float = 1.0) -> Score:
    return Score("a", seconds, kidney, tumor)


def measured(variant: str, *scores: Score, method: str = "one") -> Measured:
    return Measured(method, variant, 100.0, scores)


@pytest.mark.parametrize(
    ("label", "kidney", "tumor"),
    [("", {1}, {2}), (":2,3", {2, 3}, set()), (":2,3:9", {2, 3}, {9})],
)
def test_the_values_of_a_label_can_be_given(
    label: str, kidney: set[int], tumor: set[int], tmp_path: Path
) -> None:
    case = case_of(tmp_path, label, v1=1)
    assert (case.name, case.label.name) == ("case/ct", "label.nii.gz")
    assert (case.kidney, case.tumor) == (kidney, tumor)


@pytest.mark.parametrize("label", [":", ":a", ":2,", ":2:", ":2:3:4", ".absent"])
def test_a_label_that_cannot_be_meant_is_refused(label: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="PATH:KIDNEY"):
        case_of(tmp_path, label, v1=1)


def test_the_truth_holds_the_given_values_alone(tmp_path: Path) -> None:
    case = case_of(tmp_path, ":2,3:9", v1=50, v2=4, v3=5, v9=6)
    truth = case.truth(case.image())
    assert truth.dtype == torch.uint8
    assert torch.bincount(truth.flatten())[1:].tolist() == [9, 6]


def test_a_label_without_kidney_is_refused(tmp_path: Path) -> None:
    case = case_of(tmp_path, ":7", v1=50)
    with pytest.raises(InputError, match=r"\[7\]"):
        case.truth(case.image())


def test_a_label_on_another_grid_is_refused(tmp_path: Path) -> None:
    case = case_of(tmp_path, v1=50)
    image = case.image()
    moved = image.affine + torch.tensor([[0, 0, 0, 1.0]] + [[0] * 4] * 3)
    with pytest.raises(InputError, match="CT and label on one grid"):
        case.truth(MetaTensor(image.as_tensor(), affine=moved))


def test_the_plain_run_comes_first_and_the_shipped_one_is_changed_in_nothing() -> None:
    names = list(variants_for(CPU))
    assert names[0] == PLAIN
    assert variants_for(CPU)[PLAIN] == {"engine": "torch", "amp": False, "overlap": 0.5}
    assert variants_for(CPU)[DEFAULT] == {}
    assert "openvino half" in names


def test_a_gpu_has_no_openvino() -> None:
    assert list(variants_for(torch.device("cuda"))) == [PLAIN, "torch half", DEFAULT]


class FakeModels:
    """Finds the first 10 voxels, the last of them tumor; keeps what it was made with."""

    made: Mapping[str, Any] | None = None
    runs = 0

    def __init__(self, settings: Settings, overrides: Mapping[str, Any]) -> None:
        FakeModels.made, FakeModels.runs = overrides, 0

    def __enter__(self) -> FakeModels:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def find_kidneys(self, image: MetaTensor) -> MetaTensor:
        FakeModels.runs += 1
        kidney = torch.zeros(image.shape, dtype=torch.uint8)
        kidney.view(-1)[:10] = 1
        return MetaTensor(kidney, affine=image.affine)

    def find_tumors(self, image: MetaTensor, kidney: MetaTensor) -> MetaTensor:
        kidney.view(-1)[9] = 2
        return kidney


def test_a_variant_is_scored_against_the_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(variants, "Models", FakeModels)
    cases = [
        case_of(tmp_path / "a", v1=9, v2=1),
        case_of(tmp_path / "b", ":2", v2=30),
        case_of(tmp_path / "c", v1=10),
    ]
    result = measure(SETTINGS, "any", {"amp": False}, cases)
    assert [(s.kidney, s.tumor) for s in result.scores] == [(1.0, 1.0), (0.5, None), (1.0, None)]
    assert all(s.seconds > 0 for s in result.scores)
    assert (result.method, result.variant, FakeModels.made) == ("one", "any", {"amp": False})
    assert result.peak_mib > 10
    assert FakeModels.runs == 4  # one more to warm up


def test_deltas_are_those_of_the_means() -> None:
    plain = measured(PLAIN, score(0.9, 0.5, 4.0), score(0.8, None, 2.0), score(0.7, 0.3, 3.0))
    half = measured("half", score(0.93, 0.4, 2.0), score(0.8, None, 1.0), score(0.7, 0.3, 1.5))
    first, second = judge([plain, half])
    assert (first.kidney_delta, first.tumor_delta, first.word) == (0.0, 0.0, "reference")
    assert (first.kidney, first.tumor) == pytest.approx((0.8, 0.4))
    assert (second.kidney_delta, second.tumor_delta) == pytest.approx((0.01, -0.05))
    assert (first.seconds, second.seconds) == (3.0, 1.5)


def test_each_method_is_held_to_its_own_plain_run() -> None:
    verdicts = judge(
        [
            measured(PLAIN, score(0.9, None)),
            measured(DEFAULT, score(0.9, None)),
            measured(PLAIN, score(0.5, None), method="two"),
            measured(DEFAULT, score(0.51, None), method="two"),
        ]
    )
    assert [v.kidney_delta for v in verdicts] == pytest.approx([0, 0, 0, 0.01])


@pytest.mark.parametrize(
    ("kidney", "tumor", "word"),
    [
        (0.900, 0.500, "fit"),
        (0.950, 0.600, "fit"),
        (0.898, 0.498, "fit"),
        (0.8979, 0.500, "not fit"),
        (0.900, 0.4979, "not fit"),
        (0.990, 0.4979, "not fit"),
        (0.900, None, "fit"),
        (0.8979, None, "not fit"),
    ],
)
def test_a_variant_may_lose_two_thousandths(kidney: float, tumor: float | None, word: str) -> None:
    plain = score(0.9, None if tumor is None else 0.5)
    _, verdict = judge([measured(PLAIN, plain), measured("half", score(kidney, tumor))])
    assert verdict.word == word


def test_a_shipped_default_that_loses_ends_in_an_error() -> None:
    plain, lossy = score(0.9, 0.5), score(0.9, 0.4)
    require_fit_defaults(
        judge([measured(PLAIN, plain), measured("half", lossy), measured(DEFAULT, plain)])
    )
    with pytest.raises(RenalSegError, match="exceeded in one") as raised:
        require_fit_defaults(judge([measured(PLAIN, plain), measured(DEFAULT, lossy)]))
    assert raised.value.exit_code == 1


def verdicts_of_two() -> list[Any]:
    return judge([measured(PLAIN, score(0.9, 0.5)), measured(DEFAULT, score(0.8, None, 0.5))])


def test_the_table_shows_means_deltas_and_cases() -> None:
    lines = verdict_tables.markdown(verdicts_of_two(), {"threads": 2}).splitlines()
    assert "threads 2" in lines[0]
    assert "| one | plain | 1.00 | 100 | 0.9000 | +0.0000 | 0.5000 | +0.0000 | reference |" in lines
    assert "| one | default | 0.50 | 100 | 0.8000 | -0.1000 | - | - | not fit |" in lines
    assert "| one | default | 0.8000 / - |" in lines


def test_json_holds_all_numbers() -> None:
    stored = json.loads(verdict_tables.to_json(verdicts_of_two(), verdict_tables.conditions(CPU)))
    assert stored["conditions"]["torch"] == torch.__version__
    assert [row["fit"] for row in stored["variants"]] == [True, False]
    assert stored["variants"][1]["measured"]["scores"][0]["kidney"] == 0.8


def test_the_page_on_performance_has_a_place(repository: Path) -> None:
    page = repository / "docs" / "performance.md"
    assert page.is_file()
    check_marks(page, MARK)


def test_what_is_measured_is_written_before_a_lossy_default_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fake(settings: Settings, variant: str, *rest: object) -> Measured:
        return measured(variant, score(0.9 if variant != DEFAULT else 0.5, None), method="resvnet")

    monkeypatch.setattr(gate, "measure_apart", fake)
    case = case_of(tmp_path, v1=5)
    page, numbers = tmp_path / "page.md", tmp_path / "numbers.json"
    with pytest.raises(RenalSegError, match="resvnet"):
        gate.run_gate(
            [(str(case.ct), str(case.label))],
            samples=0,
            methods=["resvnet"],
            device="cpu",
            markdown=page,
            json=numbers,
        )
    assert "| resvnet | default |" in page.read_text()
    assert len(json.loads(numbers.read_text())["variants"]) == len(variants_for(CPU))


def test_a_gate_without_cases_is_refused() -> None:
    with pytest.raises(ConfigError, match="got none"):
        gate.run_gate([], samples=0)
