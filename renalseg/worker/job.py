"""Jobs, their states, and the delays between tries."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """State of a job."""

    QUEUED = "queued"
    RUNNING = "running"
    RETRY = "retry"
    """Failed; will be retried when it is due."""
    STORING = "storing"
    """Computed; its results lie in the scratch folder until they are stored."""
    FORWARDING = "forwarding"
    """Stored; its results wait to be sent to the targets."""
    DONE = "done"
    REFUSED = "refused"
    """The application says that it cannot be segmented; retrying does not help."""
    DEAD = "dead"
    """Failed too often; needs a person's attention."""
    SUPERSEDED = "superseded"
    """More slices of the series arrived; a newer job has all of them."""


WAITING = (State.QUEUED, State.RETRY)
DELIVERING = (State.STORING, State.FORWARDING)
UNFINISHED = (*WAITING, State.RUNNING, *DELIVERING)


class Step(StrEnum):
    """The last step that a job has behind it; each is tried on its own until it succeeds."""

    RECEIVED = "received"
    SEGMENTED = "segmented"
    STORED = "stored"
    FORWARDED = "forwarded"


NEXT = {
    Step.RECEIVED: State.QUEUED,
    Step.SEGMENTED: State.STORING,
    Step.STORED: State.FORWARDING,
    Step.FORWARDED: State.QUEUED,
}
"""The state in which a job that ended is taken up again after each step; after the last, anew."""


@dataclass(frozen=True)
class Arrival:
    """The content of a future job: a series with its present instances.

    Its attributes are those of `Job`.
    """

    series: str
    series_uid: str
    study_uid: str
    input_hash: str
    slices: int
    bytes: int
    corrects: int | None = None


@dataclass(frozen=True)
class Job:
    """A job; times are seconds since 1970.

    Attributes:
        id: Number, in order of arrival.
        series: Orthanc id of the series.
        series_uid: SeriesInstanceUID.
        study_uid: StudyInstanceUID.
        input_hash: Hash of the content; two jobs of one series never share it.
        slices: Number of instances.
        bytes: Their size, and that of what has to be fetched with them.
        corrects: The job of the CT whose result a person edited, where the series is the edited
            segmentation; None of a CT.
        state: What it does or waits for.
        step: What it has behind it.
        tries: How often it was started.
        created: When it was queued.
        due: When it may start.
        started: When it was last started.
        ended: When it last ended.
        device: What it runs on, or ran.
        pid: Process of the application.
        born: When that process began, in the system's count; distinguishes it from a later one with
            this pid.
        exit_code: Of the application.
        message: Why it is in this state.
        finding: What was found.
        results: Orthanc ids of the results.
        superseded_by: The job with more of the series.
        deliveries: Failed attempts to store its results, and since they are stored, to send them.
        waited: Seconds that its results have waited between these attempts.
        sent: Targets that have its results.
    """

    id: int
    series: str
    series_uid: str
    study_uid: str
    input_hash: str
    slices: int
    bytes: int
    corrects: int | None
    state: State
    step: Step
    tries: int
    created: float
    due: float
    started: float | None
    ended: float | None
    device: str | None
    pid: int | None
    born: str | None
    exit_code: int | None
    message: str | None
    finding: str | None
    results: tuple[str, ...]
    superseded_by: int | None
    deliveries: int
    waited: float
    sent: tuple[str, ...]


@dataclass(frozen=True)
class Backoff:
    """When a failed job is tried again.

    Attributes:
        first: Seconds before the second try; they double each time.
        longest: Seconds at most.
        tries: Number of tries after which a job is dead.
        longest_store: Seconds at most between tries to store what was computed.
        store: Seconds for which storing is tried.
    """

    first: float = 30.0
    longest: float = 3600.0
    tries: int = 6
    longest_store: float = 900.0
    store: float = 7 * 86400.0

    def delay(self, tries: int, chance: Callable[[], float] = random.random) -> float:
        """Seconds after try number `tries`: half fixed, half random, so that jobs spread out."""
        return _drawn(self.first, tries, self.longest, chance)

    def store_delay(self, tries: int, chance: Callable[[], float] = random.random) -> float:
        """Seconds after try number `tries` to store results."""
        return _drawn(self.first, tries, self.longest_store, chance)


def _drawn(first: float, tries: int, longest: float, chance: Callable[[], float]) -> float:
    whole = min(longest, first * 2.0 ** min(tries - 1, 60))
    return whole * (1 + chance()) / 2
