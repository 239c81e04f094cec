"""The table of kidneys, tumors and cysts: its columns, its rows, and the files that hold it."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from renalseg.errors import ConfigError
from renalseg.labels import LABELS, ContrastPhase, Side, Third
from renalseg.output.archive_table import study_names
from renalseg.runtime.harmless import csv_cell
from renalseg.runtime.staging import complete_file
from renalseg.scores import QUANTITIES

LESIONS_FILE = "lesions.csv"
Row = dict[str, Any]


class Column(NamedTuple):
    """A column of the table.

    Attributes:
        name: In the table, and of the variable in REDCap.
        type: Of its values.
        meaning: For people; what REDCap shows.
        choices: The values that it may have, if they are few.
    """

    name: str
    type: type[str] | type[float] | type[bool]
    meaning: str
    choices: Sequence[str] = ()


_UNITS = {"mm": "mm", "%": "percent"}  # in names
_MEASURED = ("size", "exophytic")  # what nephrometry takes from other columns
COLUMNS = (
    Column("record_id", str, "Study and number of the segment"),
    Column("study", str, "Study, as in archive.csv"),
    Column("series", str, "SeriesInstanceUID, or name of the volume's file"),
    Column("segment", str, "Name of the segment"),
    Column("kind", str, "Kind of structure", [label.name for label in LABELS.values()]),
    Column("side", str, "Side of the patient", list(Side)),
    Column("volume_ml", float, "Volume (ml)"),
    Column("longest_mm", float, "Longest diameter (mm)"),
    Column("longest_axial_mm", float, "Longest diameter in an axial slice (mm)"),
    Column("mean_hu", float, "Mean of the CT's values (HU)"),
    Column("sd_hu", float, "Standard deviation of the CT's values (HU)"),
    Column("third", str, "Third of the kidney, of a tumor or cyst", list(Third)),
    Column("exophytic_percent", float, "Share outside of the kidney, of a tumor or cyst (%)"),
    Column("size", str, "Size category of a tumor by the cut-offs of TNM"),
    Column("lower_bound", bool, "Cut by the scan: volume and diameters are lower bounds"),
    Column("probability", float, "Calibrated probability that a tumor or cyst is real"),
    Column("probability_reason", str, "Why there is no probability"),
    Column("mean_output", float, "Mean output of the networks over it, no probability"),
    Column("peak_output", float, "Highest output of the networks in it, no probability"),
    Column("agreement_percent", float, "Share that other networks of the method call a lesion (%)"),
    Column("review", bool, "Whether a person should look at it"),
    Column("review_reasons", str, "Why"),
    Column("image", str, "Source slice that shows most of it"),
    Column("phase", str, "Contrast phase, from the pixels", list(ContrastPhase)),
    *(
        Column(f"{phase}_hu", float, f"Mean of the CT's values, {phase} series of the study (HU)")
        for phase in ContrastPhase
        if phase != ContrastPhase.UNKNOWN
    ),
    Column("absolute_hu", float, "Rise from the non-contrast series to the brightest (HU)"),
    Column("relative_percent", float, "The same as a share of the non-contrast value (%)"),
    Column("washout_percent", float, "Share of the rise that is gone in the last phase (%)"),
    Column("fat_percent", float, "Share below -20 HU, non-contrast series (%)"),
    Column("calcified_percent", float, "Share above 130 HU, non-contrast series (%)"),
    Column("fluid_percent", float, "Share from -10 to 20 HU in all phases (%)"),
    Column("renal", str, "R.E.N.A.L. nephrometry score of a tumor"),
    Column("padua", str, "PADUA score of a tumor"),
    Column("c_index", float, "Centrality index of a tumor"),
    *(
        Column(f"{name}_{_UNITS[each.unit]}", float, f"{each.meaning} ({each.unit})")
        for name, each in QUANTITIES.items()
        if name not in _MEASURED
    ),
    *(
        Column(f"renal_{each.renal.lower()}", float, f"Points of {each.renal} in R.E.N.A.L.")
        for each in QUANTITIES.values()
        if each.renal
    ),
    *(
        Column(f"padua_{name}", float, f"Points of {each.padua} in PADUA")
        for name, each in QUANTITIES.items()
        if each.padua
    ),
    Column("nephrometry_reason", str, "Why nephrometry was not assessed"),
    Column("method", str, "Method that found it"),
    Column("fingerprint", str, "Fingerprint of weights, settings and numbers"),
    Column("version", str, "Version of RenalSeg"),
)
NAMES = tuple(column.name for column in COLUMNS)


def find_rows(run: Mapping[str, Any], folder: str | None = None) -> list[Row]:
    """Gives the rows of all studies of a run.

    Args:
        run: What result.json says.
        folder: Name of the folder in an archive that holds the studies; without one, they are
            called as result.json has it.
    """
    studies = run["studies"]
    names = [study["study"] for study in studies]
    names = names if folder is None else study_names(folder, names)
    pairs = zip(studies, names, strict=True)
    return [row for study, name in pairs for row in rows_of(study, run, name)]


def rows_of(study: Mapping[str, Any], run: Mapping[str, Any], name: str) -> Iterator[Row]:
    """Gives a row for each kidney, tumor and cyst of a study, in the order of its segments.

    Args:
        study: Its entry in result.json.
        run: What result.json says of the run.
        name: What the study is called.

    Yields:
        Values by the names of `COLUMNS`; None where a measure does not apply.
    """
    own = {
        "study": name,
        "method": run.get("algorithm"),
        **{key: run.get(key) for key in ("fingerprint", "version")},
        **{key: study.get(key) for key in ("series", "phase")},
    }
    for segment in study["segments"]:
        enhancement = segment.get("enhancement") or {"values": []}
        known = {
            **segment,
            **enhancement,
            **{f"{value['phase']}_hu": value["mean_hu"] for value in enhancement["values"]},
            **_nephrometry(segment.get("nephrometry") or {"components": {}}),
            **_confidence(segment.get("confidence")),
            **own,
            "record_id": f"{name}-{segment['number']}",
            "segment": segment["label"],
            "kind": LABELS[segment["kind"]].name,
        }
        yield {column.name: _plain(known.get(column.name)) for column in COLUMNS}


def _confidence(confidence: Mapping[str, Any] | None) -> Row:
    if confidence is None:
        return {}
    review = confidence["review"]
    return {
        **confidence,
        "probability_reason": confidence["reason"],
        "review": bool(review),
        "review_reasons": "; ".join(review) or None,
    }


def _nephrometry(scores: Mapping[str, Any]) -> Row:
    row = {name: scores.get(name) for name in ("renal", "padua", "c_index")}
    row["nephrometry_reason"] = scores.get("reason")
    for name, component in scores["components"].items():
        quantity = QUANTITIES[name]
        row[f"{name}_{_UNITS[quantity.unit]}"] = component["value"]
        row[f"renal_{quantity.renal.lower()}"] = component["renal"]
        row[f"padua_{name}"] = component["padua"]
    return row


def _plain(value: Any) -> Any:
    """A member of an enumeration as its text; anything else as it is."""
    return str(value) if isinstance(value, str) else value


def cells_of(row: Row) -> Row:
    """Turns a row into the cells of a CSV file: 1 and 0 for yes and no, no None."""
    values = {name: int(value) if isinstance(value, bool) else value for name, value in row.items()}
    return {name: "" if value is None else value for name, value in values.items()}


def write_table(path: Path, rows: Iterable[Row]) -> None:
    """Writes a table as CSV or Parquet, by the file's suffix, all of it or nothing.

    Raises:
        ConfigError: The suffix is another, or pyarrow is not installed.
        OSError: It cannot be written.
    """
    if path.suffix not in (".csv", ".parquet"):
        raise ConfigError(f"Expected a table in .csv or .parquet, got {path}")
    with complete_file(path) as file:
        if path.suffix == ".csv":
            _write_csv(file, NAMES, map(cells_of, rows))
        else:
            _write_parquet(file, list(rows))


def write_dictionary(path: Path) -> None:
    """Writes the data dictionary with which REDCap makes a project for the table.

    Raises:
        OSError: It cannot be written.
    """
    with complete_file(path) as file:
        _write_csv(file, _REDCAP, map(_variable, COLUMNS))


_FORM = "renalseg_lesions"
_NAME, _TYPE, _CHOICES, _CHECK = (
    "Variable / Field Name",
    "Field Type",
    "Choices, Calculations, OR Slider Labels",
    "Text Validation Type OR Show Slider Number",
)
_REDCAP = (
    *(_NAME, "Form Name", "Section Header", _TYPE, "Field Label", _CHOICES, "Field Note", _CHECK),
    *("Text Validation Min", "Text Validation Max", "Identifier?"),
    *("Branching Logic (Show field only if...)", "Required Field?", "Custom Alignment"),
    *("Question Number (surveys only)", "Matrix Group Name", "Matrix Ranking?"),
    "Field Annotation",
)
_IDENTIFIERS = ("record_id", "study", "series")  # files are often named after patients


def _variable(column: Column) -> Row:
    kind = "yesno" if column.type is bool else "dropdown" if column.choices else "text"
    return {
        _NAME: column.name,
        "Form Name": _FORM,
        _TYPE: kind,
        "Field Label": column.meaning,
        _CHOICES: " | ".join(f"{choice}, {choice}" for choice in column.choices),
        _CHECK: "number" if column.type is float else "",
        "Identifier?": "y" if column.name in _IDENTIFIERS else "",
    }


def _write_csv(path: Path, names: Sequence[str], rows: Iterable[Row]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names, restval="")
        writer.writeheader()
        writer.writerows({key: csv_cell(value) for key, value in row.items()} for row in rows)


def _write_parquet(path: Path, rows: list[Row]) -> None:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise ConfigError("Expected pyarrow for Parquet: pip install pyarrow") from error
    types = {str: pa.string(), float: pa.float64(), bool: pa.bool_()}
    schema = pa.schema(
        [
            pa.field(column.name, types[column.type], metadata={"meaning": column.meaning})
            for column in COLUMNS
        ]
    )
    parquet.write_table(pa.Table.from_pylist(rows, schema=schema), path)
