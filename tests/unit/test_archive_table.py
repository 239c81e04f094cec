"""The table of an archive, sorted by what is worth looking at first."""

from __future__ import annotations

from pathlib import Path

from renalseg.output.archive_table import put_review_first, put_rows, read_rows


def test_what_asks_for_review_comes_first(tmp_path: Path) -> None:
    path = tmp_path / "archive.csv"
    lines: dict[str, dict[str, object]] = {
        "fine": {"exit_code": 0, "review": 0},
        "sure": {"exit_code": 0, "review": 0, "probability": 0.9},
        "unsure": {"exit_code": 0, "review": 0, "probability": 0.4},
        "refused": {"exit_code": 2},
        "odd": {"exit_code": 0, "review": 1, "probability": 0.9},
        "odder": {"exit_code": 0, "review": 2},
    }
    for study, line in lines.items():
        put_rows(path, study, [{"study": study, **line}])
    assert put_review_first(path) == 2
    studies = [row["study"] for row in read_rows(path)]
    assert studies == ["odder", "odd", "refused", "unsure", "sure", "fine"]


def test_a_table_of_an_older_version_is_sorted_by_what_it_has(tmp_path: Path) -> None:
    path = tmp_path / "archive.csv"
    path.write_text("study,exit_code\na,0\nb,2\n")
    assert put_review_first(path) == 0
    assert [row["study"] for row in read_rows(path)] == ["b", "a"]
