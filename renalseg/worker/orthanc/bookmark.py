"""The position in Orthanc's change log, and whether it is still the same log.

Orthanc numbers its changes, but its database has no identity. So the worker keeps some of the
changes that it has read, the points. A log with another change under the number of a point is
another log: Orthanc's database was replaced, or an older copy was restored. A point may also
vanish, because Orthanc drops the changes of what is deleted.
"""

from __future__ import annotations

import logging

from renalseg.worker.jobs import Jobs
from renalseg.worker.orthanc.client import Change, Orthanc

_log = logging.getLogger(__name__)


class Bookmark:
    """The position in the log.

    Args:
        orthanc: The server whose log it is.
        jobs: Keep the position.
    """

    def __init__(self, orthanc: Orthanc, jobs: Jobs) -> None:
        self.orthanc = orthanc
        self.jobs = jobs

    def find(self, *, backlog: bool) -> int:
        """Finds the number of the change after which to continue.

        Args:
            backlog: Whether the very first call returns the beginning of the log, not its end.

        Raises:
            RenalSegError: Orthanc does not answer as expected.
        """
        cursor = self.jobs.cursor()
        if cursor is None:
            return self._begin(backlog)
        points = self.jobs.points()
        if not cursor or (points and self._state(points[0]) is True):
            return cursor
        first = next(iter(self.orthanc.changes(0, 1).changes), None)
        if first is None or first.seq > cursor:
            return self._go_on_at(0)  # nothing that was read is left: all of the log is new
        if not points:
            return self._trust(cursor, first)
        return self._search(cursor, points, first)

    def _begin(self, backlog: bool) -> int:
        last = None if backlog else next(iter(self.orthanc.last_change().changes), None)
        cursor = 0 if last is None else last.seq
        self.jobs.take_in(cursor, point=last)
        return cursor

    def _trust(self, cursor: int, first: Change) -> int:
        """Assumes the same log if no point is known, as after an upgrade."""
        if self.orthanc.last_change().last < cursor:
            return self._go_on_at(0)
        self.jobs.go_on_at(cursor, first)
        return cursor

    def _search(self, cursor: int, points: list[Change], first: Change) -> int:
        """Continues after the newest point that is still there, or from the beginning."""
        other = False
        for point in points:
            state = self._state(point)
            if state is True:
                return self._go_on_at(point.seq)
            other = other or state is False
        if other or first.date > points[0].date:
            return self._go_on_at(0)
        # All changes of the points were deleted, and what is left is older.
        self.jobs.go_on_at(cursor, first)
        return cursor

    def _go_on_at(self, number: int) -> int:
        where = f"again from change {number}" if number else "from its beginning"
        _log.warning("Orthanc's change log is not the one read before; reading it %s", where)
        self.jobs.go_on_at(number)
        return number

    def _state(self, point: Change) -> bool | None:
        """Whether a change is as it was read; None if it is gone."""
        found = self.orthanc.changes(point.seq - 1, 1).changes
        if not found or found[0].seq != point.seq:
            return None
        return found[0] == point
