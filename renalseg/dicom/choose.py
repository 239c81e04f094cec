"""Settle what is done with each study of a folder: group, part, score and rank its series."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import starmap
from pathlib import Path

from renalseg.dicom.account import (
    NOT_CHOSEN,
    PROCESSED,
    REFUSED,
    FileAccount,
    SeriesAccount,
)
from renalseg.dicom.duplicates import drop_duplicates
from renalseg.dicom.grid import Grid, arrange
from renalseg.dicom.limits import check_slice, check_volume
from renalseg.dicom.scan import Scan
from renalseg.dicom.score import score
from renalseg.dicom.stacks import Stack, split_series
from renalseg.dicom.tags import Instance
from renalseg.errors import InputError

logger = logging.getLogger(__name__)

_NEEDED = ("RescaleSlope", "RescaleIntercept", "Rows", "Columns", "BitsAllocated")


@dataclass(eq=False)
class Candidate:
    """A series, or a part of one, that may be processed.

    Attributes:
        study: StudyInstanceUID.
        series: SeriesInstanceUID.
        instances: Its slices, without copies.
        part: What tells it from other parts of its series; None where it is the whole.
        grid: Its volume; None where its slices form none.
        score: Points by what they were given for; empty where it cannot be processed.
        reason: Why it cannot be processed; set late where only the pixels or the kidneys tell.
    """

    study: str
    series: str
    instances: tuple[Instance, ...]
    part: str | None = None
    grid: Grid | None = None
    score: Mapping[str, float] = field(default_factory=dict)
    reason: str | None = None

    @property
    def name(self) -> str:
        """How messages call it."""
        part = f", {self.part}" if self.part else ""
        return f"series {self.series}{part} ({len(self.instances)} slices)"


@dataclass(eq=False)
class StudyPlan:
    """The candidates of a study.

    Attributes:
        study: StudyInstanceUID.
        candidates: All series with their parts, in the order of their UIDs.
        refused: Whether the study was given up, though some candidates could be processed.
    """

    study: str
    candidates: tuple[Candidate, ...]
    refused: bool = False

    @property
    def best(self) -> Candidate | None:
        """What suits best among what can be processed; None if nothing can."""
        if self.refused:
            return None
        able = [candidate for candidate in self.candidates if candidate.reason is None]
        # The first among equals, so that the choice does not depend on the names of files.
        return max(able, key=lambda candidate: candidate.score["total"], default=None)

    @property
    def reason(self) -> str:
        """Why none of the candidates can be processed."""
        if len(self.candidates) == 1:
            return str(self.candidates[0].reason)
        reasons = "; ".join(f"{c.name}: {c.reason}" for c in self.candidates)
        return f"none of {len(self.candidates)} series or parts can be processed: {reasons}"

    def refuse(self, reason: str) -> None:
        """Give the study up; what suited best gets the reason."""
        best = self.best
        if best is not None:
            best.reason = reason
        self.refused = True

    def remarks(self) -> Iterator[str]:
        """Say of each candidate that is not the best why it is not processed."""
        best = self.best
        for candidate in self.candidates:
            if candidate is best or best is None:
                continue
            why = candidate.reason or f"{best.name} suits better"
            yield f"{candidate.name} was not processed: {why}"

    def series(self) -> tuple[SeriesAccount, ...]:
        """What becomes of each candidate, in their order, as far as it is known."""
        return tuple(map(self._account, self.candidates))

    def _account(self, candidate: Candidate) -> SeriesAccount:
        best, reason = self.best, candidate.reason
        status = PROCESSED if candidate is best else REFUSED
        if candidate is not best and reason is None:
            status = NOT_CHOSEN
            reason = f"{best.name} suits better" if best else "the study was refused"
        slices = len(candidate.instances)
        part, points = candidate.part, candidate.score
        return SeriesAccount(self.study, candidate.series, slices, status, reason, points, part)


@dataclass(eq=False)
class Plan:
    """What is to be done with a folder.

    Attributes:
        scan: What the folder holds.
        studies: The studies that hold CT slices, in the order of their UIDs.
        copies: Files that are copies of others.
    """

    scan: Scan
    studies: tuple[StudyPlan, ...]
    copies: tuple[Path, ...]

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is unusual about the folder, whichever study is looked at."""
        paths: dict[str, list[Path]] = {}
        for path, reason in self.scan.refused:
            paths.setdefault(reason, []).append(path)
        return tuple(starmap(_left_out, paths.items()))

    def series(self) -> tuple[SeriesAccount, ...]:
        """What becomes of each series, as far as it is known."""
        return tuple(account for study in self.studies for account in study.series())

    def files(self) -> FileAccount:
        """What becomes of each file, as far as it is known; each is counted once."""
        processed: set[Path] = set()
        for study in self.studies:
            if study.best is not None:
                processed.update(instance.path for instance in study.best.instances)
        skipped, refused = list(self.scan.skipped), list(self.scan.refused)
        skipped += [(path, "duplicate") for path in self.copies]
        seen = processed | set(self.copies)
        for study in self.studies:
            for candidate in sorted(study.candidates, key=lambda each: each.reason is None):
                own = sorted({instance.path for instance in candidate.instances} - seen)
                seen.update(own)
                if candidate.reason is not None:
                    refused += [(path, candidate.reason) for path in own]
                else:
                    kind = "CT of another series"
                    if study.best and study.best.series == candidate.series:
                        kind = "CT of another part of the series"
                    skipped += [(path, kind) for path in own]
        return FileAccount(
            len(processed),
            self._by_reason(skipped),
            self._by_reason(refused),
            self.scan.digest,
        )

    def _by_reason(self, account: list[tuple[Path, str]]) -> dict[str, list[str]]:
        reasons: dict[str, list[str]] = {}
        for path, reason in sorted(account, key=lambda entry: (entry[1], entry[0])):
            reasons.setdefault(reason, []).append(str(path.relative_to(self.scan.folder)))
        return reasons


def _left_out(reason: str, paths: Sequence[Path]) -> str:
    """Say of files why they were left out, once for all that share the reason."""
    if len(paths) == 1:
        return f"{paths[0]} was left out, it could not be told to any series: {reason}"
    return (
        f"{len(paths)} files were left out, they could not be told to any series: {reason} "
        f"(the first is {paths[0]})"
    )


def make_plan(scan: Scan, *, allow_gaps: bool = False) -> Plan:
    """Group slices by study and series, part series into stacks, and score them.

    Args:
        scan: What the folder holds.
        allow_gaps: Whether a series in which slices are missing may be processed, as far as the
            kidneys lie elsewhere.
    """
    series: dict[tuple[str, str], list[Instance]] = {}
    for instance in scan.instances:
        uids = (instance.optional("StudyInstanceUID"), instance.text("SeriesInstanceUID"))
        series.setdefault(uids, []).append(instance)
    clashes = _clashes(series)
    studies: dict[str, list[Candidate]] = {}
    copies: list[Path] = []
    for (study, uid), instances in sorted(series.items()):
        candidates = studies.setdefault(study, [])
        try:
            if uid in clashes:
                raise InputError(clashes[uid])
            unique, same = _unique(instances)
            copies += same
            stacks = split_series(unique)
        except InputError as error:
            flaws = [instance.flaw for instance in instances if instance.flaw is not None]
            reason = flaws[0] if flaws else str(error)
            candidates.append(Candidate(study, uid, tuple(instances), reason=reason))
            continue
        parts = [_candidate(study, uid, stack, allow_gaps) for stack in stacks]
        _refuse_fragments(parts)
        candidates += parts
    for candidate in (candidate for found in studies.values() for candidate in found):
        logger.info("%s: %s", candidate.name, candidate.reason or dict(candidate.score))
    plans = tuple(StudyPlan(study, tuple(found)) for study, found in studies.items())
    return Plan(scan, plans, tuple(dict.fromkeys(copies)))


def _clashes(series: Mapping[tuple[str, str], Sequence[Instance]]) -> dict[str, str]:
    """Say of each series that shares a SOPInstanceUID with another one, which."""
    owners: dict[str, tuple[str, str]] = {}
    clashes: dict[str, str] = {}
    for key, instances in series.items():
        for instance in instances:
            uid = instance.optional("SOPInstanceUID")
            owner = owners.setdefault(uid, key)
            if uid and owner != key:
                message = f"conflicting instances: SOPInstanceUID {uid} is in two series"
                clashes[owner[1]] = clashes[key[1]] = f"{message}, {owner[1]} and {key[1]}"
    return clashes


def _unique(instances: Sequence[Instance]) -> tuple[list[Instance], list[Path]]:
    for instance in instances:
        instance.text("StudyInstanceUID")
        instance.text("SOPInstanceUID")
    flawless = [instance for instance in instances if instance.flaw is None]
    unique, copies = drop_duplicates(flawless)
    flawed = [instance for instance in instances if instance.flaw is not None]
    return [*unique, *flawed], [copy.path for copy in copies]


def _refuse_fragments(parts: Sequence[Candidate]) -> None:
    """Refuse small parts of a series: they must not stand in where the large one is refused."""
    most = max(len(part.instances) for part in parts)
    for part in parts:
        if 2 * len(part.instances) < most:
            part.reason = part.reason or (
                f"{len(part.instances)} slices are a fragment beside the {most} of another part"
            )


def _candidate(study: str, uid: str, stack: Stack, allow_gaps: bool) -> Candidate:
    candidate = Candidate(study, uid, stack.instances, stack.part)
    try:
        for instance in stack.instances:
            if instance.flaw is not None:
                raise InputError(instance.flaw)
            for keyword in _NEEDED:
                instance.numbers(keyword, 1)
            check_slice(instance)
        candidate.grid = arrange(stack.instances, allow_gaps=allow_gaps)
        check_volume(candidate.grid.shape)
        candidate.score = score(stack.instances, candidate.grid)
    except InputError as error:
        candidate.reason = str(error)
    return candidate
