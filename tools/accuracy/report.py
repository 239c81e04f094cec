"""What `python -m tools accuracy` measured, as tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tools.markdown import table

MARK = "accuracy"  # of the tables in a document

Content = Mapping[str, Any]


def markdown(content: Content) -> str:
    """One table per suite, and the versions of the bundles.

    Args:
        content: Of accuracy.json.
    """
    methods = content["methods"]
    parts = (
        *(("phases", _phases), ("real_ct", _real_ct)),
        *(("synthetic", _synthetic), ("slices", _slices)),
    )
    lines: list[str] = []
    for name, part in parts:
        measured = [m for m in methods if name in m["suites"]]
        if measured:
            lines += [*part(measured), ""]
    versions = {bundle: version for m in methods for bundle, version in m["bundles"].items()}
    said = [f"{name} {value}" for name, value in content["conditions"].items()]
    said += [f"{bundle} {version}" for bundle, version in sorted(versions.items())]
    return "\n".join([*lines, f"Measured with {', '.join(said)}.", ""])


def _phases(methods: Sequence[Content]) -> Iterable[str]:
    heads = (
        *("method", "CT", "kidney Dice, localizer", "kidney Dice", "tumor Dice"),
        *("false tumors", "ml"),
    )
    rows = [
        (
            *(m["method"], row["case"]),
            *(
                number(row[name])
                for name in ("localizer_dice", "kits19_kidney_dice", "kits19_tumor_dice")
            ),
            *(f"{row['false_positives']:.0f}", number(row["false_positives_ml"], 1)),
        )
        for m in methods
        for row in m["suites"]["phases"]["cases"]
    ]
    yield "A real patient with a tumor of 2.4 cm, in three contrast phases:"
    yield ""
    yield from table(heads, rows, slice(2, None))


def _real_ct(methods: Sequence[Content]) -> Iterable[str]:
    heads = (
        *("method", "CT", "kidney Dice, localizer", "kidney Dice", "kidney surface Dice"),
        *("false tumors", "ml"),
    )
    rows = [
        (
            *(m["method"], row["case"]),
            *(number(row[name]) for name in ("localizer_dice", "kits19_kidney_dice")),
            number(row["kits23_kidney_and_masses_surface_dice"]),
            *(f"{row['false_positives']:.0f}", number(row["false_positives_ml"], 1)),
        )
        for m in methods
        for row in m["suites"]["real_ct"]["cases"]
    ]
    yield "Real CTs without tumors:"
    yield ""
    yield from table(heads, rows, slice(2, None))


def _synthetic(methods: Sequence[Content]) -> Iterable[str]:
    summaries = {m["method"]: m["suites"]["synthetic"]["summary"] for m in methods}
    first = next(iter(summaries.values()))
    sizes = [part["name"] for part in first["by_size"]]
    heads = (
        *("method", "kidney Dice", "tumor Dice", "tumors found, over 2 cm", *sizes),
        *("false tumors per scan", "in scans without tumor"),
    )
    rows = [
        (
            method,
            *(estimate(s["kits19"]["kidney"]), estimate(s["tumor_dice"])),
            *(found(part) for part in (s["over_2_cm"], *s["by_size"])),
            estimate(s["false_positives"], 2),
            estimate(s["tumor_free_false_positives"], 2),
        )
        for method, s in summaries.items()
    ]
    free = first["tumor_free"]
    yield f"{first['cases'] - free} synthetic CTs with tumors, and {free} without:"
    yield ""
    yield from table(heads, rows, slice(1, None))
    yield ""
    yield "Those with tumors, by contrast:"
    yield ""
    yield from _by_contrast(summaries)


def _by_contrast(summaries: Mapping[str, Content]) -> Iterable[str]:
    """The tumors that each method finds, with and without contrast."""
    groups = next(iter(summaries.values()))["by_contrast"]
    heads = [
        f"{name} ({part['scans']}): {what}"
        for name, part in groups.items()
        for what in ("tumor Dice", "found, over 2 cm")
    ]
    rows = [
        (
            method,
            *(
                cell
                for part in summary["by_contrast"].values()
                for cell in (estimate(part["tumor_dice"]), found(part["over_2_cm"]))
            ),
        )
        for method, summary in summaries.items()
    ]
    yield from table(("method", *heads), rows, slice(1, None))


def _slices(methods: Sequence[Content]) -> Iterable[str]:
    summaries = {m["method"]: m["suites"]["slices"]["summary"] for m in methods}
    first = next(iter(summaries.values()))
    heads = (
        *("method", "Dice, mean", "median", "sensitivity", "precision", "missed"),
        *("Dice, mean of patients", "sensitivity", "precision", "false, in those without"),
    )
    rows = [
        (
            method,
            *(number(s["mean"]["dice"]), number(s["median_dice"])),
            *(number(s["mean"][name]) for name in ("sensitivity", "precision")),
            str(s["missed"]),
            estimate(s["mean_of_patients"]["dice"]),
            *(number(s["mean_of_patients"][n]["value"]) for n in ("sensitivity", "precision")),
            f"{s['tumor_free_with_tumor']} of {s['tumor_free']}",
        )
        for method, s in summaries.items()
    ]
    yield (
        f"{first['slices']} real slices with tumors of {first['patients']} patients, with the "
        f"kidney mask given, and {first['tumor_free']} without; tumor:"
    )
    yield ""
    yield from table(heads, rows, slice(1, None))


def number(value: float | None, digits: int = 2) -> str:
    """A measure as text; a NaN is written as null, and read as None."""
    return "-" if value is None or value != value else f"{value:.{digits}f}"


def estimate(mean: Content, digits: int = 2) -> str:
    """A mean with its interval as text."""
    text = number(mean["value"], digits)
    ends = [number(mean[end], digits) for end in ("low", "high")]
    return text if "-" in ends else f"{text} ({ends[0]} to {ends[1]})"


def found(part: Content) -> str:
    """How many lesions of a range were found, as text."""
    return f"{part['found']} of {part['lesions']}"
