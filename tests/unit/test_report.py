from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from renalseg.commands.summary import print_result
from renalseg.errors import InputError

TUMOR: dict[str, Any] = {
    "label": "Left kidney tumor 1", "volume_ml": 12.34, "longest_mm": 31.6,
    "longest_axial_mm": 29.1, "mean_hu": 61.2, "third": "lower", "exophytic_percent": 41.7,
    "size": "up to 4 cm",
}  # fmt: skip
KIDNEY: dict[str, Any] = {
    "label": "Left kidney", "volume_ml": 150.0, "longest_mm": 110.0, "longest_axial_mm": 60.0,
    "mean_hu": 104.0, "third": None, "exophytic_percent": None, "size": None,
}  # fmt: skip
STUDY = {
    "finding": "tumor found", "segments": [KIDNEY, TUMOR], "files": ["a.seg.dcm"],
    "pictures": ["b.png"], "seconds": {"read": 1.0, "write": 2.5}, "supersedes": ["1.2", "1.3"],
}  # fmt: skip
RUN = {"localizer": "kidney_one", "tumor": "tumor_two", "device": "cpu"}


def print_of(folder: Path, result: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> str:
    (folder / "result.json").write_text(json.dumps(result))
    print_result(folder)
    return capsys.readouterr().out


def test_measures_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed = print_of(tmp_path, {**RUN, "studies": [STUDY]}, capsys)
    (row,) = (line for line in printed.splitlines() if "tumor 1" in line)
    cells = re.split(r"\s{2,}", row.strip())
    assert cells == ["Left kidney tumor 1", "12.3", "32", "29", "61", "lower", "42", "up to 4 cm"]
    for expected in ("tumor found (kidney_one, tumor_two)", "a.seg.dcm", "b.png", "2 earlier"):
        assert expected in printed


def test_warnings_are_printed_before_the_conclusion(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = [
        {"kind": "Please review", "text": "The tumor is [bold] odd"},
        {"kind": "Warning", "text": "slices are thick"},
        {"kind": "Conclusion", "text": "One tumor found."},
    ]
    printed = print_of(tmp_path, {**RUN, "studies": [{**STUDY, "statements": said}]}, capsys)
    assert printed.startswith(
        "Please review: The tumor is [bold] odd\nWarning: slices are thick\nOne tumor found.\n"
    )


def test_a_result_of_an_older_version_still_prints_its_warnings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = print_of(tmp_path, {**RUN, "studies": [{**STUDY, "warnings": ["thick"]}]}, capsys)
    assert printed.startswith("Warning: thick\nTumor found.\n")


def test_an_empty_table_is_not_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nothing = {**STUDY, "finding": "no kidney found", "segments": []}
    printed = print_of(tmp_path, {**RUN, "studies": [nothing]}, capsys)
    assert "no kidney found (kidney_one, tumor_two)" in printed
    assert "structure" not in printed


def test_a_refiner_is_named_between_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = print_of(tmp_path, {**RUN, "refiner": "tumor_r", "studies": [STUDY]}, capsys)
    assert "(kidney_one, tumor_r, tumor_two)" in printed


def test_a_folder_without_a_result_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"result\.json"):
        print_result(tmp_path)


def test_a_result_without_a_list_of_studies_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InputError, match="list of studies"):
        print_of(tmp_path, {**RUN, **STUDY}, capsys)
