"""Access to the entries of result.json, for display."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from renalseg.findings.sentences import Kind, Statement
from renalseg.labels import MeasuredSegment

_STAGE = re.compile(r"(localizer|refiner|tumor)(?:_(\d+))?")


def stages_of(result: Mapping[str, Any]) -> dict[str, str]:
    """Names of the bundles that a result names, by stage, in the order in which they ran."""
    found = {stage: match for stage in result if (match := _STAGE.fullmatch(stage))}
    order = sorted(found, key=lambda stage: (int(found[stage][2] or 1), found[stage][1]))
    return {stage: result[stage] for stage in order}


def statements_of(entry: Mapping[str, Any]) -> list[Statement]:
    """Returns all statements of a study's entry, in order; older results list only warnings."""
    if "statements" in entry:
        return [Statement(Kind(each["kind"]), each["text"]) for each in entry["statements"]]
    warnings = [Statement(Kind.WARNING, text) for text in entry.get("warnings", ())]
    return [*warnings, Statement(Kind.CONCLUSION, f"{entry['finding'].capitalize()}.")]


def segments_of(entry: Mapping[str, Any]) -> Sequence[MeasuredSegment]:
    """The segments that the entry of a study lists."""
    return msgspec.convert(entry["segments"], list[MeasuredSegment])
