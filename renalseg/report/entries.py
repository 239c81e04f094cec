"""Access to the entries of result.json, for display."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from renalseg.findings.sentences import Kind, Statement
from renalseg.labels import MeasuredSegment


def stages_of(result: Mapping[str, Any]) -> list[str]:
    """Names of the bundles that a result names, in the order in which they ran."""
    return [result[stage] for stage in ("localizer", "refiner", "tumor") if stage in result]


def statements_of(entry: Mapping[str, Any]) -> list[Statement]:
    """Returns all statements of a study's entry, in order; older results list only warnings."""
    if "statements" in entry:
        return [Statement(Kind(each["kind"]), each["text"]) for each in entry["statements"]]
    warnings = [Statement(Kind.WARNING, text) for text in entry.get("warnings", ())]
    return [*warnings, Statement(Kind.CONCLUSION, f"{entry['finding'].capitalize()}.")]


def segments_of(entry: Mapping[str, Any]) -> Sequence[MeasuredSegment]:
    """The segments that the entry of a study lists."""
    return msgspec.convert(entry["segments"], list[MeasuredSegment])
