from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import pytest

from app.mercure import NOTIFICATION, add_notification

KIDNEY = {"number": 1, "label": "Left kidney", "kind": 1, "side": "left", "volume_ml": 180.4}
TUMOR = {"number": 2, "label": "Left kidney tumor 1", "kind": 2, "side": "left", "volume_ml": 9.6}


def notified(folder: Path, *studies: dict[str, Any]) -> dict[str, Any]:
    content = {"version": "0.1.0", "use": "research use only", "studies": list(studies)}
    (folder / "result.json").write_text(json.dumps(content))
    add_notification(folder)
    result = json.loads((folder / "result.json").read_text())
    assert {name: result[name] for name in content} == content
    return result[NOTIFICATION]


def test_a_tumor_asks_for_a_notification_that_says_what_was_found(tmp_path: Path) -> None:
    found = notified(tmp_path, {"finding": "tumor found", "segments": [KIDNEY, TUMOR]})
    assert found["requested"] is True
    assert found["text"] == (
        "RenalSeg 0.1.0, research use only; "
        "tumor found: Left kidney 180 ml, Left kidney tumor 1 10 ml"
    )


def test_a_lower_bound_is_told(tmp_path: Path) -> None:
    cut = {**KIDNEY, "lower_bound": True}
    found = notified(tmp_path, {"finding": "no tumor found", "segments": [cut]})
    assert found["text"].endswith("no tumor found: Left kidney ≥ 180 ml")


@pytest.mark.parametrize("finding", ["no tumor found", "no kidney found", "refused"])
def test_what_is_no_tumor_asks_for_none(finding: str, tmp_path: Path) -> None:
    found = notified(tmp_path, {"finding": finding, "segments": []})
    assert found["requested"] is False
    assert found["text"].endswith(f"; {finding}")


def test_all_studies_are_told_and_one_tumor_is_enough(tmp_path: Path) -> None:
    found = notified(tmp_path, {"finding": "no tumor found"}, {"finding": "tumor found"})
    assert found["requested"] is True
    assert found["text"].endswith("; no tumor found; tumor found")


def test_the_folder_holds_nothing_else_afterwards(tmp_path: Path) -> None:
    notified(tmp_path, {"finding": "no tumor found"})
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


def test_what_a_person_should_look_at_is_counted(tmp_path: Path) -> None:
    study = {"finding": "tumor found", "segments": [TUMOR], "review": ["one", "two"]}
    found = notified(tmp_path, study)
    assert found["text"].endswith("; tumor found: Left kidney tumor 1 10 ml (2 to review)")


def test_a_full_disk_leaves_the_result_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr("renalseg.runtime.staging.sync", full)
    text = json.dumps({"version": "0.1.0", "use": "research use only", "studies": []})
    (tmp_path / "result.json").write_text(text)
    with pytest.raises(OSError, match="No space left"):
        add_notification(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]
    assert (tmp_path / "result.json").read_text() == text
