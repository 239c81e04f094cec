from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import torch

from renalseg.inference.choice import Choice
from renalseg.labels import KIDNEY, Segment, Side
from renalseg.output.result import Result
from renalseg.output.study import REFUSED, StudyResult, weak_bundles
from renalseg.pipeline import STAGES, stage
from renalseg.runtime.memory import peak_mib
from renalseg.runtime.progress import steps
from renalseg.settings import Settings

SETTINGS = Settings(Choice(Path("bundles"), "kidney_a", "tumor_b", torch.device("cpu")))
STUDY = StudyResult(
    study="1.1",
    series="1.2",
    finding="no tumor found",
    segments=(Segment(1, "Left kidney", KIDNEY, Side.LEFT, 151.26),),
    files=("1.2.seg.dcm",),
    seconds={"read": 1.23456},
)


def test_a_study_describes_its_segments() -> None:
    (segment,) = STUDY.to_dict()["segments"]
    assert segment == {
        **{"number": 1, "label": "Left kidney", "kind": KIDNEY},
        **{"side": "left", "volume_ml": 151.26, "tracking": None},
    }


def test_a_study_holds_files_and_seconds() -> None:
    content = json.loads(json.dumps(STUDY.to_dict()))
    assert content["files"] == ["1.2.seg.dcm"]
    assert content["seconds"] == {"read": 1.23}
    assert content["reason"] is None


def test_a_result_holds_all_studies_and_what_ran() -> None:
    refused = StudyResult("1.3", "", REFUSED, reason="gap of 3 mm")
    content = json.loads(Result(Path("out"), SETTINGS, (STUDY, refused)).to_json())
    assert [study["finding"] for study in content["studies"]] == ["no tumor found", "refused"]
    assert content["studies"][1]["reason"] == "gap of 3 mm"
    assert (content["localizer"], content["algorithm"]) == ("kidney_a", "a+b")


def test_the_files_of_a_result_end_with_its_account() -> None:
    result = Result(Path("out"), SETTINGS, (STUDY,))
    assert result.paths == (Path("out/1.2.seg.dcm"), Path("out/result.json"))


def test_a_stage_is_announced_and_timed(capsys: pytest.CaptureFixture[str]) -> None:
    timings: dict[str, float] = {}
    with stage("read", timings):
        time.sleep(0.01)
    assert timings["read"] >= 0.01
    assert capsys.readouterr().err == STAGES["read"] + "\n"


def test_a_stage_that_fails_has_no_time() -> None:
    timings: dict[str, float] = {}
    with pytest.raises(RuntimeError), stage("read", timings):
        raise RuntimeError
    assert timings == {}


def test_no_bar_is_drawn_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    with steps("slices") as update:
        update(1, 2)
        update(2, 2)
    assert capsys.readouterr().err == ""


def test_peak_memory_is_that_of_a_process_with_libraries() -> None:
    assert 50 < peak_mib() < 100_000


def test_a_bundle_with_a_low_measured_dice_runs_with_a_warning(tmp_path: Path) -> None:
    metrics: dict[str, dict[str, float]] = {
        "kidney_good": {"kidney_dice_synthetic": 0.9},
        "tumor_blind": {},
        "tumor_new": {},
    }
    measured = {"kidney_good": 0.0, "kidney_good_and_tumor_new": 0.4, "kidney_best": 0.8}
    metrics["tumor_blind"] = {
        f"tumor_dice_synthetic_after_{before}": dice for before, dice in measured.items()
    }
    for name, values in metrics.items():
        (tmp_path / name / "configs").mkdir(parents=True)
        text = json.dumps({"eval_metrics": values})
        (tmp_path / name / "configs" / "metadata.json").write_text(text)

    def warnings_of(localizer: str, tumor: str, refiner: str | None = None) -> list[str]:
        return weak_bundles(Choice(tmp_path, localizer, tumor, torch.device("cpu"), refiner))

    (warning,) = warnings_of("kidney_good", "tumor_blind")
    assert warning.startswith("tumor_blind reaches a tumor Dice of 0.00")
    (warning,) = warnings_of("kidney_good", "tumor_blind", "tumor_new")
    assert warning.startswith("tumor_blind reaches a tumor Dice of 0.40")
    assert warnings_of("kidney_best", "tumor_blind") == []
    (warning,) = warnings_of("kidney_other", "tumor_blind")
    assert warning.startswith("tumor_blind was not measured after kidney_other: do not rely")
    assert warnings_of("kidney_good", "tumor_new") == []
    text = json.dumps({"caution": "sees tumors everywhere"})
    (tmp_path / "tumor_new" / "configs" / "metadata.json").write_text(text)
    said = ["tumor_new sees tumors everywhere"]
    assert warnings_of("kidney_good", "tumor_new") == said
    assert warnings_of("kidney_absent", "tumor_new") == said
