"""The table of lesions: columns as they are documented, and files that others read."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from renalseg.commands.lesions import read_rows
from renalseg.commands.main import main
from renalseg.errors import ConfigError, InputError
from renalseg.labels import KIDNEY, TUMOR, ContrastPhase, MeasuredSegment, Side, Third
from renalseg.output.lesion_table import (
    COLUMNS,
    NAMES,
    cells_of,
    find_rows,
    write_dictionary,
    write_table,
)

ROOT = Path(__file__).parents[2]
KIDNEY_ROW = MeasuredSegment(1, "Left kidney", KIDNEY, Side.LEFT, 151.3, 112.0, 60.0, 120.5, 30.0)
TUMOR_ROW = MeasuredSegment(
    *(2, "Left kidney tumor 1", TUMOR, Side.LEFT, 8.25, 26.0, 25.0, 90.0, 20.0),
    *(Third.UPPER, 35.5, "up to 4 cm", True, "81 of 129"),
)


def run_of(*studies: str) -> dict[str, Any]:
    entries = [
        {
            **{"study": study, "series": f"{study}.nii.gz", "finding": "tumor found"},
            "phase": ContrastPhase.NEPHROGRAPHIC,
            "segments": [asdict(KIDNEY_ROW), asdict(TUMOR_ROW)],
        }
        for study in studies
    ]
    return {"algorithm": "m", "fingerprint": "f", "version": "0", "studies": entries}


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_each_segment_is_a_row_with_all_columns() -> None:
    kidney, tumor = find_rows(run_of("a"))
    assert tuple(kidney) == tuple(tumor) == NAMES
    assert (kidney["kind"], kidney["third"], kidney["lower_bound"]) == ("kidney", None, False)
    assert (tumor["record_id"], tumor["segment"]) == ("a-2", "Left kidney tumor 1")
    assert (tumor["third"], tumor["exophytic_percent"], tumor["size"]) == (
        *("upper", 35.5),
        "up to 4 cm",
    )
    assert (tumor["phase"], tumor["method"], tumor["fingerprint"]) == ("nephrographic", "m", "f")


def test_studies_of_a_folder_are_named_as_in_the_table_of_the_archive() -> None:
    assert {row["study"] for row in find_rows(run_of("1.2"), "case")} == {"case"}
    assert {row["study"] for row in find_rows(run_of("1.2", "1.3"), "case")} == {
        *("case/1.2", "case/1.3"),
    }


def test_csv_holds_no_formula_and_no_none(tmp_path: Path) -> None:
    write_table(tmp_path / "t.csv", find_rows(run_of("=HYPERLINK(1)", "b")))
    rows = read_csv(tmp_path / "t.csv")
    assert rows[0]["study"] == "'=HYPERLINK(1)"
    assert rows[0]["record_id"] == "'=HYPERLINK(1)-1"
    assert (rows[0]["third"], rows[0]["lower_bound"], rows[1]["lower_bound"]) == ("", "0", "1")
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


def test_parquet_has_types_and_meanings(tmp_path: Path) -> None:
    rows = find_rows(run_of("a"))
    write_table(tmp_path / "t.parquet", rows)
    table = pq.read_table(tmp_path / "t.parquet")
    assert table.to_pylist() == rows
    meaning = table.schema.field("volume_ml").metadata[b"meaning"]
    assert meaning == b"Volume (ml)"
    write_table(tmp_path / "empty.parquet", [])
    assert pq.read_table(tmp_path / "empty.parquet").num_rows == 0


def test_another_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a table in \.csv or \.parquet, got .*t\.xlsx"):
        write_table(tmp_path / "t.xlsx", [])
    assert not list(tmp_path.iterdir())


def test_the_dictionary_has_a_variable_for_each_column(tmp_path: Path) -> None:
    write_dictionary(tmp_path / "d.csv")
    rows = read_csv(tmp_path / "d.csv")
    assert len(rows[0]) == 18
    assert [row["Variable / Field Name"] for row in rows] == list(NAMES)
    assert rows[0]["Variable / Field Name"] == "record_id"  # REDCap's own name of a record
    by_name = {row["Variable / Field Name"]: row for row in rows}
    choices = "Choices, Calculations, OR Slider Labels"
    assert by_name["third"][choices] == "upper, upper | middle, middle | lower, lower"
    assert by_name["lower_bound"]["Field Type"] == "yesno"
    assert by_name["volume_ml"]["Text Validation Type OR Show Slider Number"] == "number"
    assert by_name["series"]["Identifier?"] == "y"
    for name in NAMES:
        assert name.isidentifier()
        assert name == name.lower()
        assert len(name) <= 26
    for column in COLUMNS:  # REDCap takes codes of letters, digits and underscores alone
        assert all(str(choice).isidentifier() for choice in column.choices)


def test_every_value_is_one_of_its_choices() -> None:
    for row in map(cells_of, find_rows(run_of("a"))):
        for column in COLUMNS:
            if column.choices and row[column.name]:
                assert row[column.name] in column.choices


def test_the_guide_lists_the_columns() -> None:
    text = (ROOT / "docs" / "how-to" / "tables.md").read_text(encoding="utf-8")
    listed = [line.split(" | ") for line in text.splitlines() if line.startswith("| `")]
    assert [line[0].strip("| `") for line in listed] == list(NAMES)
    assert [line[-1].removesuffix(" |") for line in listed] == [c.meaning for c in COLUMNS]


def test_the_command_reads_a_run_or_an_archive(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder, studies in {"one": ("1.2",), "two": ("1.3", "1.4")}.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "result.json").write_text(json.dumps(run_of(*studies)))
    table, dictionary = tmp_path / "t.csv", tmp_path / "d.csv"
    words = ["lesions", str(tmp_path), str(table), "--dictionary", str(dictionary)]
    assert main(words) == 0
    assert capsys.readouterr().out == f"{table}: 6 rows\n"
    assert {row["study"] for row in read_csv(table)} == {"one", "two/1.3", "two/1.4"}
    assert dictionary.is_file()
    assert {row["study"] for row in read_rows(tmp_path / "two")} == {"1.3", "1.4"}


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Expected result\.json in .* found none"):
        list(read_rows(tmp_path))
    (tmp_path / "result.json").write_text('{"studies": [{"finding": "x", "segments": [1]}]}')
    with pytest.raises(InputError, match="found others"):
        list(read_rows(tmp_path))
