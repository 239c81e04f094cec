"""The SQLite database of the worker: its tables, and how they are changed."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from renalseg.errors import ConfigError

VERSION = 1
_SCHEMA = """
CREATE TABLE job (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    series TEXT NOT NULL, series_uid TEXT NOT NULL, study_uid TEXT NOT NULL,
    input_hash TEXT NOT NULL, slices INTEGER NOT NULL, bytes INTEGER NOT NULL,
    state TEXT NOT NULL, tries INTEGER NOT NULL DEFAULT 0,
    created REAL NOT NULL, due REAL NOT NULL, started REAL, ended REAL,
    device TEXT, pid INTEGER, born TEXT,
    exit_code INTEGER, message TEXT, finding TEXT,
    results TEXT NOT NULL DEFAULT '[]',
    superseded_by INTEGER REFERENCES job (id),
    UNIQUE (series, input_hash)
);
CREATE INDEX job_due ON job (state, due);
CREATE TABLE event (job INTEGER NOT NULL, at REAL NOT NULL, state TEXT NOT NULL, message TEXT);
CREATE INDEX event_job ON event (job);
CREATE TABLE arrived (instance TEXT PRIMARY KEY, at REAL NOT NULL);
CREATE TABLE cursor (only INTEGER PRIMARY KEY CHECK (only = 1), change INTEGER NOT NULL);
"""


class Database:
    """A connection that several threads may use; other processes may read and write meanwhile.

    Args:
        path: File; made with its folder if it is not there, for its owner alone.

    Raises:
        ConfigError: It was written by another version, or is no database.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            path.touch(mode=0o600)
            self._db = sqlite3.connect(
                path, timeout=30, isolation_level=None, check_same_thread=False
            )
            self._db.row_factory = sqlite3.Row
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")  # what is noted outlives a power cut
            with self.transaction():
                self._make(path)
        except (sqlite3.DatabaseError, OSError) as error:
            raise ConfigError(f"Expected a database of jobs at {path}: {error}") from error

    def close(self) -> None:
        """Closes the connection."""
        with self._lock:
            self._db.close()

    def change(self, statement: str, *values: Any) -> sqlite3.Cursor:
        """Runs a statement."""
        with self._lock:
            return self._db.execute(statement, values)

    def change_each(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        """Runs a statement for each row of values."""
        with self._lock:
            self._db.executemany(statement, rows)

    def one(self, query: str, *values: Any) -> sqlite3.Row | None:
        """The first row of a query."""
        with self._lock:
            row: sqlite3.Row | None = self._db.execute(query, values).fetchone()
            return row

    def all(self, query: str, *values: Any) -> Sequence[sqlite3.Row]:
        """The rows of a query."""
        with self._lock:
            return self._db.execute(query, values).fetchall()

    def scalar(self, query: str, *values: Any) -> float:
        """The one number that a query gives, 0 where it gives none."""
        row = self.one(query, *values)
        return 0.0 if row is None or row[0] is None else float(row[0])

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Makes what is changed meanwhile happen as a whole or not at all."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def _make(self, path: Path) -> None:
        version = int(self.scalar("PRAGMA user_version"))
        if version == 0:
            for statement in _SCHEMA.split(";"):
                self._db.execute(statement)
            self._db.execute(f"PRAGMA user_version = {VERSION}")
        elif version != VERSION:
            raise ConfigError(f"Expected a database of version {VERSION} at {path}, got {version}")
