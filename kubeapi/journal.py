"""The objects on disk: one SQLite file, one row an object, every write committed before the client hears of it.

A process may be killed at any point: what was answered for is there when the next one starts. (Write-ahead log without
a sync a commit: a power cut may lose the last moments, never the file.) One process at a time has the file.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

from kubeapi.errors import StatusError

if TYPE_CHECKING:
    from kubeapi.store import Store

FILE = "objects.sqlite"
FORMAT = 1

_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
    api_group TEXT NOT NULL, plural TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL,
    PRIMARY KEY (api_group, plural, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS progress (id INTEGER PRIMARY KEY CHECK (id = 1), version INTEGER NOT NULL);
INSERT OR IGNORE INTO progress VALUES (1, 1);
"""
_PUT = "INSERT INTO objects VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value"
_DELETE = "DELETE FROM objects WHERE api_group = ? AND plural = ? AND key = ?"
_PROGRESS = "UPDATE progress SET version = ?"


class JournalError(OSError):
    """The directory can't be used: it says why, and what to do."""


class Journal:
    """Writes go in as they happen; `load` brings them back."""

    def __init__(self, directory: Path):
        self.path = directory / FILE
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            # Secrets are in it: nobody else may read the file, whatever the umask.
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
            self._db = sqlite3.connect(self.path, isolation_level=None, timeout=1.0)
        except (OSError, sqlite3.Error) as error:
            raise JournalError(f"objects can't be kept in {directory}: {error}") from error
        try:
            self._open()
        except sqlite3.Error as error:
            self._db.close()
            if "locked" in str(error):
                problem = "another server uses it; stop that one, or choose another --data directory"
            else:
                problem = f"{error}; move the file away to start with an empty cluster"
            raise JournalError(f"{self.path} can't be used: {problem}") from error
        except JournalError:
            self._db.close()
            raise

    def _open(self) -> None:
        run = self._db.execute
        # Exclusive: the lock is held while we live, and the log needs no shared memory.
        run("PRAGMA locking_mode = EXCLUSIVE")
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = NORMAL")
        run("BEGIN IMMEDIATE")
        run("COMMIT")
        found = run("PRAGMA user_version").fetchone()[0]
        if found > FORMAT:
            raise JournalError(f"{self.path} was written by a newer version (format {found}, this one knows {FORMAT})")
        self._db.executescript(_SCHEMA)
        run(f"PRAGMA user_version = {FORMAT}")

    def load(self, store: Store) -> None:
        """Put everything that is kept into an empty store, at the resourceVersions that it had."""
        try:
            for group, plural, key, value in self._db.execute("SELECT api_group, plural, key, value FROM objects"):
                store.load((group, plural), key, value)
            store.loaded(self._db.execute("SELECT version FROM progress").fetchone()[0])
        except (sqlite3.Error, ValueError, KeyError, TypeError) as error:
            problem = f"{self.path} can't be read: {error}; move the file away to start with an empty cluster"
            raise JournalError(problem) from error

    def write(self, storage: tuple[str, str], key: str, rv: int, raw: bytes | None) -> None:
        """Keep one object, or its deletion, under the resourceVersion that the write makes; 500 when that fails."""
        run = self._db.execute
        try:
            run("BEGIN")
            if raw is None:
                run(_DELETE, (*storage, key))
            else:
                run(_PUT, (*storage, key, raw))
            run(_PROGRESS, (rv,))
            run("COMMIT")
        except sqlite3.Error as error:
            with contextlib.suppress(sqlite3.Error):
                run("ROLLBACK")
            raise StatusError(
                500, "InternalError", f"Internal error occurred: the write can't be kept: {error}"
            ) from error

    def close(self) -> None:
        self._db.close()
