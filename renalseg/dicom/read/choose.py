"""Decide what is done with each study of a folder: group, split, score and rank its series."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import starmap
from pathlib import Path
from typing import NamedTuple

from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset

from renalseg.dicom.read.accounts import (
    NOT_CHOSEN,
    PROCESSED,
    REFUSED,
    FileAccount,
    SeriesAccount,
)
from renalseg.dicom.read.duplicates import drop_duplicates, drop_equal_slices
from renalseg.dicom.read.hounsfield import check_pixels, refuse_other_units
from renalseg.dicom.read.pixels import Correction, check_values
from renalseg.dicom.read.scan import Scan
from renalseg.dicom.read.series_points import score
from renalseg.dicom.read.series_warnings import remarks
from renalseg.dicom.read.size_limits import check_slice, check_volume
from renalseg.dicom.read.slice_grid import OrderedSlices, arrange
from renalseg.dicom.read.stacks import MANY, Stack, split_series
from renalseg.dicom.read.stations import goes_on_in
from renalseg.dicom.read.wanted import find_wanted
from renalseg.dicom.tags import Instance, describe
from renalseg.dicom.write.source import source_headers
from renalseg.errors import InputError, some_of

logger = logging.getLogger(__name__)

_MOST_REMARKS = 10  # on series that are not processed


class Source(NamedTuple):
    """The data of an examined candidate that is read and written.

    Attributes:
        correction: The mistake in its values that is undone.
        headers: Headers of its slices in order, for the objects that are written.
    """

    correction: Correction
    headers: tuple[Dataset, ...]


@dataclass(eq=False)
class Candidate:
    """A series, or a part of one, that may be processed.

    Attributes:
        study: StudyInstanceUID.
        series: SeriesInstanceUID.
        instances: Its slices, without copies.
        part: What distinguishes it from other parts of its series; None if it is the whole series.
        grid: Its volume; None if its slices form none.
        score: Points by trait; empty if it cannot be processed.
        reason: Why it cannot be processed; set late if only the pixels or kidneys show it.
        source: Its data; None until it is examined, which only the best candidate is.
    """

    study: str
    series: str
    instances: tuple[Instance, ...]
    part: str | None = None
    grid: OrderedSlices | None = None
    score: Mapping[str, float] = field(default_factory=dict)
    reason: str | None = None
    source: Source | None = None

    def examine(self) -> Source:
        """Examine what a run needs besides the geometry: the pixels and the headers to write.

        Raises:
            InputError: If it cannot be processed.
        """
        if self.reason is not None or self.grid is None:
            raise InputError(f"{self.name}: {self.reason}")
        if self.source is None:
            self.source = Source(check_pixels(self.instances), source_headers(self.grid))
        return self.source

    def warnings(self) -> tuple[str, ...]:
        """Return warnings about it for people; it must have been examined."""
        if self.grid is None or self.source is None:
            return ()
        remark = self.source.correction.remark
        return (*([remark] if remark else []), *self.grid.warnings, *remarks(self.grid))

    @property
    def name(self) -> str:
        """Return its name in messages."""
        part = f", {self.part}" if self.part else ""
        return f"series {self.series}{part} ({len(self.instances)} slices)"


@dataclass(eq=False)
class StudyPlan:
    """The candidates of a study.

    Attributes:
        study: StudyInstanceUID.
        candidates: All series with their parts, in the order of their UIDs.
        refused: Whether the study was given up although some candidates could be processed.
        wanted: SeriesInstanceUID of the only series that may be processed; None for any.
        refusal: Why no series may be; None where one may.
    """

    study: str
    candidates: tuple[Candidate, ...]
    refused: bool = False
    wanted: str | None = None
    refusal: str | None = None

    @property
    def best(self) -> Candidate | None:
        """Return the best candidate that can be processed; None if none can."""
        if self.refused or self.refusal is not None:
            return None
        able = [candidate for candidate in self._asked if candidate.reason is None]
        # The first among equals, so that the choice does not depend on the names of files.
        return max(able, key=lambda candidate: candidate.score["total"], default=None)

    def settle(self) -> Candidate | None:
        """Examine the best candidate; if it cannot be processed after all, the next best.

        `inspect` and a run both use this, so that they choose the same.

        Returns:
            The best candidate that can be processed; None if none can.
        """
        while (best := self.best) is not None:
            try:
                best.examine()
            except InputError as error:
                logger.warning("%s is refused: %s", best.name, error)
                best.reason = str(error)
            else:
                return best
        return None

    @property
    def _asked(self) -> tuple[Candidate, ...]:
        """Return the allowed candidates: all, or the parts of the requested series."""
        if self.wanted is None:
            return self.candidates
        return tuple(each for each in self.candidates if each.series == self.wanted)

    @property
    def reason(self) -> str:
        """Why none of the candidates can be processed."""
        if self.refusal is not None:
            return self.refusal
        asked = self._asked
        if len(asked) == 1:
            return str(asked[0].reason)
        reasons = some_of(f"{each.name}: {each.reason}" for each in asked)
        return f"none of {len(asked)} series or parts can be processed: {reasons}"

    def refuse(self, reason: str) -> None:
        """Give the study up; the best candidate gets the reason."""
        best = self.best
        if best is not None:
            best.reason = reason
        self.refused = True

    def remarks(self) -> Iterator[str]:
        """Say why each candidate but the best is not processed."""
        best = self.best
        if best is None:
            return
        others = [candidate for candidate in self.candidates if candidate is not best]
        for candidate in others[:_MOST_REMARKS]:
            why = self._why_not(candidate) or f"{best.name} suits better"
            if best.grid and candidate.grid and goes_on_in(best.grid, candidate.grid):
                why += "; it adjoins what was processed, so the scan may go on there"
            yield f"{candidate.name} was not processed: {why}"
        if len(others) > _MOST_REMARKS:
            rest = len(others) - _MOST_REMARKS
            yield f"{rest} more series or parts were not processed; result.json says why of each"

    def _why_not(self, candidate: Candidate) -> str | None:
        """Why a candidate may not be processed, whatever the others are."""
        if candidate.reason is None and candidate not in self._asked:
            return f"series {self.wanted} was asked for"
        return candidate.reason

    def series(self) -> tuple[SeriesAccount, ...]:
        """Return the account of each candidate, in order, as far as it is known."""
        return tuple(map(self._account, self.candidates))

    def _account(self, candidate: Candidate) -> SeriesAccount:
        best, reason = self.best, self._why_not(candidate)
        status = PROCESSED if candidate is best else REFUSED
        if candidate is not best and candidate.reason is None:
            status = NOT_CHOSEN
            better = f"{best.name} suits better" if best else "the study was refused"
            reason = reason or better
        slices = len(candidate.instances)
        part, points = candidate.part, candidate.score
        return SeriesAccount(self.study, candidate.series, slices, status, reason, points, part)


@dataclass(eq=False)
class Plan:
    """The plan for a folder.

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
        """Return warnings about the folder that concern all studies."""
        paths: dict[str, list[Path]] = {}
        for path, reason in self.scan.refused:
            paths.setdefault(reason, []).append(path)
        return tuple(starmap(_left_out, paths.items()))

    def series(self) -> tuple[SeriesAccount, ...]:
        """Return the account of each series, as far as it is known."""
        return tuple(account for study in self.studies for account in study.series())

    def files(self) -> FileAccount:
        """Return the account of each file, as far as it is known; each is counted once."""
        processed: set[Path] = set()
        for study in self.studies:
            if study.best is not None:
                processed.update(instance.path for instance in study.best.instances)
        skipped, refused = list(self.scan.skipped), list(self.scan.refused)
        # of a multi-frame file only some frames may be copies
        copies = set(self.copies) - processed
        skipped += [(path, "duplicate") for path in copies]
        seen = processed | copies
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
    """Say why files were left out, once per reason."""
    if len(paths) == 1:
        return f"{paths[0]} was left out, it could not be told to any series: {reason}"
    return (
        f"{len(paths)} files were left out, they could not be told to any series: {reason} "
        f"(the first is {paths[0]})"
    )


def make_plan(scan: Scan, *, allow_gaps: bool = False, wanted: str | None = None) -> Plan:
    """Group slices by study and series, split series into stacks, and score them.

    Args:
        scan: What the folder holds.
        allow_gaps: Whether a series in which slices are missing may be processed, as far as the
            kidneys lie elsewhere.
        wanted: The only series of each study that may be processed, see
            `renalseg.dicom.read.wanted.find_wanted`; None for the one that suits best.
    """
    series: dict[tuple[str, str], list[Instance]] = {}
    for instance in scan.instances:
        uids = (instance.optional("StudyInstanceUID"), instance.text("SeriesInstanceUID"))
        series.setdefault(uids, []).append(instance)
    clashes = _clashes(series)
    studies = _take_single_slices(series)
    copies: list[Path] = []
    for (study, uid), instances in sorted(series.items()):
        candidates = studies.setdefault(study, [])
        try:
            if uid in clashes:
                raise InputError(clashes[uid])
            unique, same, said = _unique(instances)
            copies += same
            stacks = split_series(unique)
        except InputError as error:
            flaws = [instance.flaw for instance in instances if instance.flaw is not None]
            reason = flaws[0] if flaws else str(error)
            candidates.append(Candidate(study, uid, tuple(instances), reason=reason))
            continue
        stacks = [stack._replace(warnings=(*said, *stack.warnings)) for stack in stacks]
        parts = [_candidate(study, uid, stack, allow_gaps) for stack in stacks]
        _refuse_fragments(parts)
        candidates += parts
    for candidate in (candidate for found in studies.values() for candidate in found):
        logger.info("%s: %s", candidate.name, candidate.reason or dict(candidate.score))
    plans = tuple(_study(study, found, wanted) for study, found in sorted(studies.items()))
    # Validation messages of pydicom quote values, which may name a patient.
    with disable_value_validation():
        for plan in plans:
            plan.settle()
    return Plan(scan, plans, tuple(dict.fromkeys(copies)))


def _study(study: str, candidates: Sequence[Candidate], wanted: str | None) -> StudyPlan:
    plan = StudyPlan(study, tuple(candidates))
    if wanted is not None:
        try:
            plan.wanted = find_wanted(candidates, wanted)
        except InputError as error:
            plan.refusal = str(error)
    return plan


def _take_single_slices(
    series: dict[tuple[str, str], list[Instance]],
) -> dict[str, list[Candidate]]:
    """Remove slices that each have a study or series of their own before grouping.

    They become one candidate, so that one reason stands for all.

    Args:
        series: Slices by the UIDs of study and series; loses what is taken.

    Returns:
        The candidates by study.
    """
    taken: dict[str, list[Candidate]] = {}
    sizes = Counter(study for (study, _), instances in series.items() for _ in instances)
    single = [key for key in series if sizes[key[0]] == 1]
    groups = [(single, "StudyInstanceUID")]
    for study in sizes:
        own = [key for key in series if key[0] == study and len(series[key]) == 1]
        groups.append(([key for key in own if key not in single], "SeriesInstanceUID"))
    for keys, keyword in groups:
        if len(keys) < MANY:
            continue
        study, uid = min(keys)
        instances = tuple(each for key in sorted(keys) for each in series.pop(key))
        reason = (
            f"expected slices that share a {describe(keyword)}, found {len(keys)} that have one "
            "of their own each: a program named each slice anew; export the study again"
        )
        taken.setdefault(study, []).append(Candidate(study, uid, instances, reason=reason))
    return taken


def _clashes(series: Mapping[tuple[str, str], Sequence[Instance]]) -> dict[str, str]:
    """Find the series that share a SOPInstanceUID with another one."""
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


def _unique(instances: Sequence[Instance]) -> tuple[list[Instance], list[Path], list[str]]:
    """Return a series without copies, the copies' files, and warnings about them."""
    for instance in instances:
        instance.text("StudyInstanceUID")
        instance.text("SOPInstanceUID")
    flawless = [instance for instance in instances if instance.flaw is None]
    unique, copies = drop_duplicates(flawless)
    unique, equal = drop_equal_slices(unique)
    flawed = [instance for instance in instances if instance.flaw is not None]
    said = []
    if equal:
        slices = "1 slice is" if len(equal) == 1 else f"{len(equal)} slices are"
        said.append(
            f"{slices} there once more under another SOPInstanceUID, with equal pixels at the "
            "same place: each was read once"
        )
    return [*unique, *flawed], [copy.path for copy in (*copies, *equal)], said


def _refuse_fragments(parts: Sequence[Candidate]) -> None:
    """Refuse small parts of a series: they must not replace a large one that is refused."""
    most = max(len(part.instances) for part in parts)
    for part in parts:
        if 2 * len(part.instances) < most:
            part.reason = part.reason or (
                f"{len(part.instances)} slices are a fragment beside the {most} of another part"
            )


def _candidate(study: str, uid: str, stack: Stack, allow_gaps: bool) -> Candidate:
    candidate = Candidate(study, uid, stack.instances, stack.part, reason=stack.reason)
    if stack.reason is not None:
        return candidate
    try:
        for instance in stack.instances:
            if instance.flaw is not None:
                raise InputError(instance.flaw)
            refuse_other_units(instance)
            check_values(instance)
            check_slice(instance)
        grid = arrange(stack.instances, allow_gaps=allow_gaps)
        candidate.grid = grid._replace(warnings=(*stack.warnings, *grid.warnings))
        check_volume(candidate.grid.shape)
        candidate.score = score(stack.instances, candidate.grid)
    except InputError as error:
        candidate.reason = str(error)
    return candidate
