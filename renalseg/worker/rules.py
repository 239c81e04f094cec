"""Which series the worker accepts."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from renalseg.errors import ConfigError, plural
from renalseg.worker.server import Instance

OWN_MANUFACTURER = "RenalSeg"
OWN_SERIES_NUMBER = 900  # and up: series that the application writes


@dataclass(frozen=True)
class Rule:
    """Rules for a series to become a job. Patterns are regular expressions, found anywhere.

    Attributes:
        min_slices: Series with fewer are skipped, such as localizers.
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
            ConfigError: One is not a regular expression.
        """
        for pattern in (self.description, self.body_part, self.sender):
            try:
                re.compile(pattern or "")
            except re.error as error:
                message = f"Expected a regular expression, got {pattern!r}: {error}"
                raise ConfigError(message) from error

    def objection(self, tags: Mapping[str, str], slices: int, sender: str = "") -> str | None:
        """Why a series is skipped; None if it is accepted.

        Results are series too, and raise the same events. They are recognized by their modality, or
        by the application's manufacturer and series numbers.

        Args:
            tags: DICOM values of the series by keyword.
            slices: Number of its instances.
            sender: Application entity that sent it.
        """
        modality = tags.get("Modality", "")
        if modality != "CT":
            return f"modality {modality or 'unknown'}"
        if is_own(tags):
            return "a result of RenalSeg"
        if slices < self.min_slices:
            return f"{plural(slices, 'slice')}, fewer than {self.min_slices}"
        wanted = {
            "series description": (self.description, tags.get("SeriesDescription", "")),
            "body part": (self.body_part, tags.get("BodyPartExamined", "")),
            "sender": (self.sender, sender),
        }
        for name, (pattern, value) in wanted.items():
            if pattern and not re.search(pattern, value, re.IGNORECASE):
                return f"{name} does not match"
        return None


def is_own(tags: Mapping[str, str]) -> bool:
    """Whether a series is one that the application writes."""
    return tags.get("Manufacturer") == OWN_MANUFACTURER and _number(tags) >= OWN_SERIES_NUMBER


def content_hash(instances: Iterable[Instance]) -> str:
    """SHA-256 of the instances of a series and of their content; their order does not matter."""
    lines = sorted(f"{instance.uid} {instance.size} {instance.md5}\n" for instance in instances)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _number(tags: Mapping[str, str]) -> int:
    value = tags.get("SeriesNumber", "")
    return int(value) if re.fullmatch(r"\s*\d+\s*", value) else 0
