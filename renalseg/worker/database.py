"""The SQLite database of the worker: tables and changes."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from renalseg.errors import ConfigError, RetryableError, what_ran_out
from renalseg.runtime.staging import complete_file

VERSION = 4
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
# From each version to the next.
_UPGRADES = {
    1: """
ALTER TABLE job ADD COLUMN deliveries INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job ADD COLUMN waited REAL NOT NULL DEFAULT 0;
ALTER TABLE job ADD COLUMN sent TEXT NOT NULL DEFAULT '[]';
CREATE TABLE point (
    seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, id TEXT NOT NULL, date TEXT NOT NULL
);
""",
    2: """
ALTER TABLE job ADD COLUMN corrects INTEGER REFERENCES job (id);
CREATE TABLE result (job INTEGER PRIMARY KEY REFERENCES job (id), text TEXT NOT NULL);
CREATE INDEX job_study ON job (study_uid);
CREATE INDEX job_source ON job (series_uid);
""",
    3: """
CREATE TABLE seen (
    series TEXT PRIMARY KEY, files INTEGER NOT NULL, since REAL NOT NULL, done INTEGER NOT NULL
);
ALTER TABLE job ADD COLUMN step TEXT NOT NULL DEFAULT 'received';
UPDATE job SET step = 'segmented' WHERE state = 'storing';
UPDATE job SET step = 'forwarded' WHERE state = 'done';
""",
}
# A full or failing disk, or a lock held by another process: each may have passed by the next try.
_PASSING = frozenset(
    (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR,
     sqlite3.SQLITE_NOMEM)
)  # fmt: skip
# The same for a database that was opened before: its disk was removed.
_PASSING_LATER = _PASSING | {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}
_PRIMARY = 0xFF  # mask for the primary part of an extended result code
_T = TypeVar("_T")


class DatabaseError(RetryableError):
    """The database cannot be read or written at present."""


class Database:
    """A connection that several threads may use; other processes may read and write meanwhile.

    Args:
        path: File; created with its folder if missing, readable only by its owner.

    Raises:
        ConfigError: It was written by a newer version, or is not a database.
        DatabaseError: It is not usable at the moment.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path = path
        try:
            path.touch(mode=0o600)
            self._db = sqlite3.connect(
                path, timeout=30, isolation_level=None, check_same_thread=False
            )
            self._db.row_factory = sqlite3.Row
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")  # what is written survives a power cut
            with self.transaction():
                self._make(path)
        except (sqlite3.DatabaseError, OSError) as error:
            if _code(error) in _PASSING or what_ran_out(error) is not None:
                raise self._unusable(error) from error
            raise ConfigError(f"Expected a database of jobs at {path}: {error}") from error

    def close(self) -> None:
        """Closes the connection."""
        with self._lock:
            self._db.close()

    def copy(self, path: Path) -> None:
        """Writes a copy to a file, which appears when it is complete; others may write meanwhile.

        Raises:
            DatabaseError: The disk is full, or this database cannot be read.
        """
        with complete_file(path) as partial:
            partial.touch(mode=0o600)
            with closing(sqlite3.connect(partial)) as copy:
                self._try(lambda: self._db.backup(copy))

    def change(self, statement: str, *values: Any) -> sqlite3.Cursor:
        """Runs a statement.

        Raises:
            DatabaseError: For example, the disk is full, or another process holds a lock for 30
                seconds. The other methods raise the same.
        """
        return self._try(lambda: self._db.execute(statement, values))

    def change_each(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        """Runs a statement for each row of values."""
        self._try(lambda: self._db.executemany(statement, rows))

    def one(self, query: str, *values: Any) -> sqlite3.Row | None:
        """The first row of a query."""
        row: sqlite3.Row | None = self._try(lambda: self._db.execute(query, values).fetchone())
        return row

    def all(self, query: str, *values: Any) -> Sequence[sqlite3.Row]:
        """The rows of a query."""
        return self._try(lambda: self._db.execute(query, values).fetchall())

    def scalar(self, query: str, *values: Any) -> float:
        """The single number that a query returns; 0 if it returns none."""
        row = self.one(query, *values)
        return 0.0 if row is None or row[0] is None else float(row[0])

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Makes all changes in its body atomic."""
        with self._lock:
            self.change("BEGIN IMMEDIATE")
            try:
                yield
                self.change("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # SQLite rolls some back itself
                    self._db.execute("ROLLBACK")
                raise

    def _try(self, action: Callable[[], _T]) -> _T:
        with self._lock:
            try:
                return action()
            except sqlite3.DatabaseError as error:
                if _code(error) in _PASSING_LATER:
                    raise self._unusable(error) from error
                raise

    def _unusable(self, error: Exception) -> DatabaseError:
        return DatabaseError(f"The database {self._path} is not usable at the moment: {error}")

    def _make(self, path: Path) -> None:
        version = int(self.scalar("PRAGMA user_version"))
        if version > VERSION:
            raise ConfigError(f"Expected a database of version {VERSION} at {path}, got {version}")
        steps = [_UPGRADES[number] for number in range(max(version, 1), VERSION)]
        for script in steps if version else [_SCHEMA, *steps]:
            for statement in script.split(";"):
                self._db.execute(statement)
        self._db.execute(f"PRAGMA user_version = {VERSION}")


def _code(error: Exception) -> int | None:
    """The kind of an error of SQLite."""
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & _PRIMARY
