from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from renalseg.errors import ConfigError, InputError
from renalseg.inference.choice import Choice
from renalseg.settings import Settings
from tests.factories.case_scores import make_score, tumor_free
from tests.factories.scenes import make_grid, volume
from tools.accuracy import cards, measure
from tools.accuracy.kept import Kept
from tools.accuracy.measure import CASES_FILE, RESULT_FILE, measure_accuracy
from tools.accuracy.report import MARK, markdown
from tools.accuracy.suites.chain import chain_row, summarize_chain
from tools.accuracy.suites.slices import summarize_slices
from tools.accuracy.suites.suite import Labeled, Record, Suite
from tools.markdown import check_marks, marks

GRID = make_grid("LPS")
CASE = Labeled(
    volume(np.zeros(GRID.shape, np.float32), GRID), volume(np.zeros(GRID.shape, np.uint8), GRID)
)


class FakeModels:
    """Stands for the bundles of a method."""

    def __init__(self, choice: Choice) -> None:
        self.choice = choice

    def __enter__(self) -> FakeModels:
        return self

    def __exit__(self, *exception: object) -> None:
        pass


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What was measured: method and case, in the one suite that has data."""
    calls: list[tuple[str, str]] = []

    def count(models: Any, name: str, case: Any) -> Record:
        calls.append((models.choice.algorithm, name))
        return {"case": name, "dice": 0.5}

    def summarize(records: Sequence[Record]) -> dict[str, Any]:
        return {"mean": sum(record["dice"] for record in records) / len(records)}

    def suite(data_dir: Path, number: int) -> Suite:
        return Suite("one", dict.fromkeys("abc"[:number], lambda: CASE), count, dict, summarize)

    def absent(data_dir: Path, number: int) -> Suite:
        raise InputError("its data is not there")

    monkeypatch.setattr(measure, "SUITES", {"one": suite, "other": absent})
    monkeypatch.setattr(measure, "Models", FakeModels)
    return calls


def test_each_method_is_measured_on_each_case(done: list[Any], tmp_path: Path) -> None:
    content = measure_accuracy(
        tmp_path, tmp_path / "out", methods=["sehdc", "sehdc+msvnet"], count=2, device="cpu"
    )
    assert done == [
        *(("sehdc", "a"), ("sehdc+msvnet", "a")),
        *(("sehdc", "b"), ("sehdc+msvnet", "b")),
    ]
    assert [method["method"] for method in content["methods"]] == ["sehdc", "sehdc+msvnet"]
    assert set(content["methods"][1]["bundles"]) == {"kidney_sehdc", "tumor_msvnet"}
    assert json.loads((tmp_path / "out" / RESULT_FILE).read_text()) == content
    with (tmp_path / "out" / CASES_FILE).open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["method"], row["suite"], row["case"], row["dice"]) for row in rows[:2]] == [
        ("sehdc", "one", "a", "0.5000"),
        ("sehdc", "one", "b", "0.5000"),
    ]


@pytest.mark.parametrize(("again", "calls"), [(False, ["a", "b", "c"]), (True, ["a", "b", *"abc"])])
def test_finished_cases_are_not_done_again(
    again: bool, calls: list[str], done: list[Any], tmp_path: Path
) -> None:
    arguments: dict[str, Any] = {"methods": ["sehdc"], "device": "cpu"}
    measure_accuracy(tmp_path, tmp_path / "out", count=2, **arguments)
    content = measure_accuracy(tmp_path, tmp_path / "out", count=3, again=again, **arguments)
    assert [name for _, name in done] == calls
    assert len(content["methods"][0]["suites"]["one"]["cases"]) == 3


def test_data_of_no_suite_is_an_error(done: list[Any], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=str(tmp_path)):
        measure_accuracy(
            tmp_path, tmp_path / "out", methods=["sehdc"], suites=["other"], device="cpu"
        )


def test_nothing_to_draw_is_an_error(done: list[Any], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="got 0"):
        measure_accuracy(tmp_path, tmp_path, count=0)


def test_a_record_counts_for_its_own_weights(tmp_path: Path) -> None:
    bundles = tmp_path / "bundles"
    for part in ("configs/inference.yaml", "models/model.pt"):
        for name in ("kidney_one", "tumor_one"):
            path = bundles / name / part
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)
    settings = Settings(Choice(bundles, "kidney_one", "tumor_one", torch.device("cpu")))
    Kept(tmp_path, settings).put("suite", "3D-CT 1", {"dice": float("nan")})
    assert Kept(tmp_path, settings).get("suite", "3D-CT 2") is None
    found = Kept(tmp_path, settings).get("suite", "3D-CT 1")
    assert found is not None
    assert found["dice"] != found["dice"]
    (bundles / "tumor_one" / "models" / "model.pt").write_text("other weights")
    assert Kept(tmp_path, settings).get("suite", "3D-CT 1") is None


def suite_of(records: Sequence[Record], summarize: Any, row: Any) -> dict[str, Any]:
    return {"summary": summarize(records), "cases": [row(record) for record in records]}


def contents() -> dict[str, Any]:
    """Of one method, as accuracy.json has them."""
    scores = [make_score("one", tumor=0.5), make_score("two", tumor=0.7), tumor_free("none", 1)]
    chain = [
        {"localizer_dice": 0.9, "facts": {"phase": "portal"}, "score": asdict(s)} for s in scores
    ]
    cut: Record = {"patient": "p", "dice": 0.4, "sensitivity": 0.3, "tumor_pixels": 9}
    cut["precision"] = float("nan")
    return {
        "conditions": {"threads": 2},
        "methods": [
            {
                "method": "sehdc",
                "bundles": {"kidney_sehdc": "0.2.0", "tumor_sehdc": "0.1.0"},
                "suites": {
                    "phases": suite_of(chain[:1], summarize_chain, chain_row),
                    "real_ct": suite_of(chain[2:], summarize_chain, chain_row),
                    "synthetic": suite_of(chain, summarize_chain, chain_row),
                    "slices": suite_of([cut], summarize_slices, dict),
                },
            }
        ],
    }


def test_the_tables_show_each_suite() -> None:
    lines = markdown(contents()).splitlines()
    assert "| sehdc | none | 0.90 | 0.95 | 0.47 | 1 | 1.0 |" in lines
    assert "| sehdc | one | 0.90 | 0.90 | 0.50 | 0 | 0.0 |" in lines
    assert "2 synthetic CTs with tumors, and 1 without:" in lines
    (row,) = (line for line in lines if line.startswith("| sehdc | 0.92"))
    assert "| 0.60 (0.50 to 0.70) | 2 of 2 | 0 of 0 | 2 of 2 |" in row
    assert (
        "| method | with contrast (2): tumor Dice | with contrast (2): found, over 2 cm |" in lines
    )
    assert "| sehdc | 0.60 (0.50 to 0.70) | 2 of 2 |" in lines
    assert "| sehdc | 0.40 | 0.40 | 0.30 | - | 0 | 0.40 | 0.30 | - | 0 of 0 |" in lines
    assert "Measured with threads 2, kidney_sehdc 0.2.0, tumor_sehdc 0.1.0." in lines


def test_the_cards_get_the_results_of_their_bundles(tmp_path: Path) -> None:
    begin, end = marks(cards.MARK)
    for name in ("kidney_sehdc", "tumor_sehdc"):
        for part, text in (
            ("docs/README.md", f"# {name}\n{begin}\n{end}\n"),
            ("configs/metadata.json", "{}"),
        ):
            path = tmp_path / name / part
            path.parent.mkdir(parents=True)
            path.write_text(text)
    measured = contents()
    bundles = {"kidney_sehdc": "0.2.0", "tumor_unet": "0.5.0", "tumor_sehdc": "0.1.0"}
    ensemble = {"method": "unet|sehdc", "bundles": bundles, "suites": {}}
    measured["methods"].append(ensemble)  # has no card
    assert len(cards.write_cards(measured, tmp_path)) == 2
    kidney, tumor = (
        (tmp_path / name / "docs" / "README.md").read_text().splitlines()
        for name in ("kidney_sehdc", "tumor_sehdc")
    )
    assert "| none | 0.900 |" in kidney
    assert "| of them portal (3) | 0.900 |" in kidney
    assert "| tumor Dice of the 2 with tumors | 0.600 (0.500 to 0.700) |" in tumor
    assert "| of them with contrast (2) | 0.600 (0.500 to 0.700) |" in tumor
    assert "| none: false tumors | 1, 1.0 ml |" in tumor
    assert any(line.startswith("On 1 real KiTS19 slices of 1 patients") for line in tumor)
    metadata = json.loads((tmp_path / "tumor_sehdc" / "configs" / "metadata.json").read_text())
    name = "tumor_dice_synthetic_after_kidney_sehdc"
    assert metadata["eval_metrics"][name] == 0.6


def test_a_card_without_a_place_is_an_error(tmp_path: Path) -> None:
    card = tmp_path / "kidney_sehdc" / "docs" / "README.md"
    card.parent.mkdir(parents=True)
    card.write_text("# no marks\n")
    with pytest.raises(ConfigError, match="results: begin"):
        cards.write_cards(contents(), tmp_path)
    with pytest.raises(ConfigError, match=r"README\.md"):
        cards.check_cards(tmp_path)


def test_the_page_on_accuracy_has_a_place(repository: Path) -> None:
    page = repository / "docs" / "accuracy.md"
    assert page.is_file()
    check_marks(page, MARK)
