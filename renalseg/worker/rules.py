"""Which series the worker takes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from renalseg.errors import ConfigError
from renalseg.worker.client import Instance, Series

OWN_MANUFACTURER = "RenalSeg"
OWN_SERIES_NUMBER = 900  # and up: what the application writes


@dataclass(frozen=True)
class Rule:
    """Rules for a series to become a job. Patterns are regular expressions, found anywhere.

    Attributes:
        min_slices: Fewer are left alone, such as localizers.
        description: Pattern for SeriesDescription.
        body_part: Pattern for BodyPartExamined.
        sender: Pattern for the application entity that sent it.
    """

    min_slices: int = 20
    description: str | None = None
    body_part: str | None = None
    sender: str | None = None

    def __post_init__(self) -> None:
        """Checks the patterns.

        Raises:
            ConfigError: One is no regular expression.
        """
        for pattern in (self.description, self.body_part, self.sender):
            try:
                re.compile(pattern or "")
            except re.error as error:
                message = f"Expected a regular expression, got {pattern!r}: {error}"
                raise ConfigError(message) from error

    def objection(self, series: Series, sender: str = "") -> str | None:
        """Why a series is left alone, None if it is taken.

        Results are series too, and raise the same events: all are of other modalities or carry the
        maker and the numbers of the application's own.
        """
        tags = series.tags
        modality = tags.get("Modality", "")
        if modality != "CT":
            return f"modality {modality or 'unknown'}"
        if tags.get("Manufacturer") == OWN_MANUFACTURER and _number(tags) >= OWN_SERIES_NUMBER:
            return "a result of RenalSeg"
        if len(series.instances) < self.min_slices:
            return f"{len(series.instances)} slices, fewer than {self.min_slices}"
        wanted = {
            "series description": (self.description, tags.get("SeriesDescription", "")),
            "body part": (self.body_part, tags.get("BodyPartExamined", "")),
            "sender": (self.sender, sender),
        }
        for name, (pattern, value) in wanted.items():
            if pattern and not re.search(pattern, value, re.IGNORECASE):
                return f"{name} does not match"
        return None


def content_hash(instances: Iterable[Instance]) -> str:
    """SHA-256 of which instances a series holds, and of what is in them; their order is nothing."""
    lines = sorted(f"{instance.uid} {instance.size} {instance.md5}\n" for instance in instances)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _number(tags: Mapping[str, str]) -> int:
    value = tags.get("SeriesNumber", "")
    return int(value) if re.fullmatch(r"\s*\d+\s*", value) else 0
