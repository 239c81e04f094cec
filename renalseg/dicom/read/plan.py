"""What is planned for each study of a folder: its candidates, and which of them is processed."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
    names_by_reason,
)
from renalseg.dicom.read.hounsfield import check_pixels
from renalseg.dicom.read.pixels import Correction
from renalseg.dicom.read.scan import Scan
from renalseg.dicom.read.series_warnings import remarks
from renalseg.dicom.read.slice_grid import OrderedSlices
from renalseg.dicom.read.stations import goes_on_in
from renalseg.dicom.tags import Instance
from renalseg.dicom.write.source import source_headers
from renalseg.errors import InputError, plural, some_of

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


@dataclass(frozen=True, eq=False)
class Candidate:
    """A series, or a part of one, that may be processed.

    Attributes:
        study: StudyInstanceUID.
        series: SeriesInstanceUID.
        instances: Its slices, without copies.
        part: What distinguishes it from other parts of its series; None if it is the whole series.
        grid: Its volume; None if its slices form none.
        score: Points by trait; empty if it cannot be processed.
        reason: Why it cannot be processed; None if nothing is known against it.
        source: Its data; None if it is not examined, as only the best candidate is.
    """

    study: str
    series: str
    instances: tuple[Instance, ...]
    part: str | None = None
    grid: OrderedSlices | None = None
    score: Mapping[str, float] = field(default_factory=dict)
    reason: str | None = None
    source: Source | None = None

    def examined(self) -> Candidate:
        """Return it with its data, or with the reason why it cannot be processed.

        This is what a run needs besides the geometry: the pixels and the headers to write.
        """
        if self.grid is None or self.reason is not None or self.source is not None:
            return self
        try:
            # Validation messages of pydicom quote values, which may name a patient.
            with disable_value_validation():
                source = Source(check_pixels(self.instances), source_headers(self.grid))
        except InputError as error:
            logger.warning("%s is refused: %s", self.name, error)
            return replace(self, reason=str(error))
        return replace(self, source=source)

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
        return f"series {self.series}{part} ({plural(len(self.instances), 'slice')})"


@dataclass(frozen=True, eq=False)
class StudyPlan:
    """The candidates of a study, of which the best is processed.

    Attributes:
        study: StudyInstanceUID.
        candidates: All series with their parts, in the order of their UIDs.
        wanted: SeriesInstanceUID of the only series that may be processed; None for any.
        refusal: Why no series may be; None where one may.
    """

    study: str
    candidates: tuple[Candidate, ...]
    wanted: str | None = None
    refusal: str | None = None

    @property
    def best(self) -> Candidate | None:
        """Return the best candidate that can be processed; None if none can."""
        if self.refusal is not None:
            return None
        able = [candidate for candidate in self._asked if candidate.reason is None]
        # The first among equals, so that the choice does not depend on the names of files.
        return max(able, key=lambda candidate: candidate.score["total"], default=None)

    def settled(self) -> StudyPlan:
        """Return the plan with its best candidate examined, and reasons for those that fail it.

        `inspect` and a run both use this, so that they choose the same.
        """
        plan = self
        while (best := plan.best) is not None and best.source is None:
            plan = plan._with(best, best.examined())
        return plan

    def without(self, candidate: Candidate, reason: str) -> StudyPlan:
        """Return the plan with the reason why one of its candidates cannot be processed."""
        return self._with(candidate, replace(candidate, reason=reason))

    def _with(self, candidate: Candidate, other: Candidate) -> StudyPlan:
        candidates = (other if each is candidate else each for each in self.candidates)
        return replace(self, candidates=tuple(candidates))

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
            yield f"not processed either: {rest} more series or parts; see result.json"

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


@dataclass(frozen=True, eq=False)
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
            names_by_reason(skipped, self.scan.folder),
            names_by_reason(refused, self.scan.folder),
            self.scan.digest,
        )


def _left_out(reason: str, paths: Sequence[Path]) -> str:
    """Say why files were left out, once per reason."""
    if len(paths) == 1:
        return f"{paths[0]} was left out because it belongs to no series: {reason}"
    return (
        f"{len(paths)} files were left out because they belong to no series: {reason} "
        f"(the first is {paths[0]})"
    )
