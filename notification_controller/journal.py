"""Journal: what is still to be told, on disk, so that a restart loses nothing of it.

    deliveries, what is held, what was told → one transaction for all that wait → SQLite, synced → go on

Everything happens in one thread, in the order in which it was asked for; what is asked for while a transaction runs
goes into the next one together. What always holds: a delivery that `write` returned for is there after a crash of the
process or of the machine; a directory is one process' only.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from notification_controller.noise import Held, Told

log = logging.getLogger(__name__)
T = TypeVar("T")

SOON = 0.05
"""Seconds for which a change that nobody waits for may wait for others."""
FILE = "notifications.sqlite"
_VERSION = 1
_SCHEMA = """
CREATE TABLE delivery (
    id INTEGER PRIMARY KEY, namespace TEXT, provider TEXT, about TEXT, alert TEXT, alert_uid TEXT, arrived REAL,
    event BLOB
);
CREATE INDEX of_provider ON delivery (namespace, provider, id);
CREATE TABLE held (alert TEXT, object TEXT, value BLOB, PRIMARY KEY (alert, object)) WITHOUT ROWID;
CREATE TABLE told (alert TEXT, object TEXT, value BLOB, PRIMARY KEY (alert, object)) WITHOUT ROWID;
"""
"""`alert` of held and told is namespace/name, as Alerts are known to people."""


class JournalError(Exception):
    """The journal can't be used; the message says why and what to do."""


class JournalTaken(JournalError):
    """Another process uses it."""


class Line(NamedTuple):
    """A Provider, whose deliveries stand in one line."""

    namespace: str
    provider: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.provider}"


class Delivery(msgspec.Struct, frozen=True):
    """One notification for one Provider."""

    line: Line
    about: str
    """The object, as kind/namespace/name."""
    alert: str
    alert_uid: str
    arrived: float
    """When its event came in, in Unix seconds."""
    event: bytes
    """As JSON, with the metadata that the Alert made."""
    id: int = 0
    """Its place among all; given by the journal."""


class About(NamedTuple):
    """What is held or told of: an object, for an Alert (namespace/name)."""

    alert: str
    object: str


@dataclass
class Contents:
    """What was there when the journal was opened."""

    waiting: Counter[Line]
    held: dict[About, Held]
    told: dict[About, Told]


Change = tuple[str, Sequence[Any]]


def drop(ids: Sequence[int]) -> list[Change]:
    """Deliveries that are over."""
    return [("DELETE FROM delivery WHERE id = ?", (id_,)) for id_ in ids]


def hold(about: About, held: Held | None) -> Change:
    """What is held of an object; None for nothing any more."""
    return _put("held", about, held)


def tell(about: About, told: Told | None) -> Change:
    """What was told of an object; None to forget it."""
    return _put("told", about, told)


def _put(table: str, about: About, value: Held | Told | None) -> Change:
    if value is None:
        return f"DELETE FROM {table} WHERE alert = ? AND object = ?", about  # noqa: S608 - one of two names
    return f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?)", (*about, msgspec.json.encode(value))  # noqa: S608


class Journal:
    """One directory's journal. `open` first, `close` at the end."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._database: sqlite3.Connection
        self._lock = -1
        self._next_id = 1
        self._asked: list[tuple[list[Change], asyncio.Future[None] | None]] = []
        self._writer: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def open(self) -> Contents:
        """What is there. JournalTaken while another process uses the directory, JournalError when it can't be used."""
        return await self._do(self._open)

    async def close(self) -> None:
        """Write what waits, and give the directory to others."""
        self._begin()
        if self._writer is not None:
            await asyncio.gather(self._writer, return_exceptions=True)
        await self._do(self._close)
        self._thread.shutdown()

    async def add(self, deliveries: Sequence[Delivery], changes: Sequence[Change] = ()) -> None:
        """Keep these deliveries, and what changed with them. JournalError when they can't be kept."""
        rows = []
        for one in deliveries:
            rows.append((self._next_id, *one.line, one.about, one.alert, one.alert_uid, one.arrived, one.event))
            self._next_id += 1
        await self.write([*(("INSERT INTO delivery VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row) for row in rows), *changes])

    async def write(self, changes: Sequence[Change]) -> None:
        """Make changes, all or none of them, together with what else waits. JournalError when that can't be done."""
        future = asyncio.get_running_loop().create_future()
        self._asked.append((list(changes), future))
        self._begin()
        await future

    def write_soon(self, changes: Sequence[Change]) -> None:
        """Make changes within `SOON` seconds, with what others write until then. Nobody learns if that fails."""
        self._asked.append((list(changes), None))
        if self._timer is None and not self._is_writing():
            self._timer = asyncio.get_running_loop().call_later(SOON, self._begin)

    def _is_writing(self) -> bool:
        return self._writer is not None and not self._writer.done()

    def _begin(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._is_writing():
            self._writer = asyncio.create_task(self._write())

    async def first(self, line: Line, count: int) -> list[Delivery]:
        """The deliveries that have stood in a line the longest."""
        return await self._do(self._first, line, count)

    async def crowd_out(self, line: Line, count: int) -> None:
        """Forget the `count` deliveries that have stood in a line the longest."""
        condition = "SELECT id FROM delivery WHERE namespace = ? AND provider = ? ORDER BY id LIMIT ?"
        await self.write([(f"DELETE FROM delivery WHERE id IN ({condition})", (*line, count))])  # noqa: S608

    async def _write(self) -> None:
        while self._asked:
            asked, self._asked = self._asked, []
            problem: Exception | None = None
            try:
                await self._do(self._commit, [change for changes, _ in asked for change in changes])
            except Exception as error:  # whatever it is, those who wait must hear of it
                problem = error
            for _, future in asked:
                if future is None or future.done():
                    continue  # nobody waits, or no more
                if problem is None:
                    future.set_result(None)
                else:
                    future.set_exception(problem)

    async def _do(self, work: Callable[..., T], *arguments: Any) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)
        except (sqlite3.Error, OSError) as error:
            raise JournalError(f"can't keep notifications in {self._directory}: {error}") from error

    # In the thread

    def _open(self) -> Contents:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = self._directory.stat()
        if status.st_uid != os.geteuid():
            raise JournalError(f"{self._directory} belongs to another user: choose another --storage-path")
        self._lock = os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._unlock()
            raise JournalTaken(
                f"another process keeps its notifications in {self._directory}: choose another --storage-path"
            ) from error
        path = self._directory / FILE
        try:
            self._database = _opened(path)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            aside = path.with_suffix(".broken")
            log.error("%s can't be read (%s): it is kept as %s, and what it held isn't told", path, error, aside.name)
            path.rename(aside)
            for rest in ("-wal", "-shm"):
                path.with_name(path.name + rest).unlink(missing_ok=True)
            self._database = _opened(path)
        self._next_id = 1 + (self._database.execute("SELECT max(id) FROM delivery").fetchone()[0] or 0)
        counts = self._database.execute("SELECT namespace, provider, count(*) FROM delivery GROUP BY 1, 2")
        return Contents(
            Counter({Line(namespace, provider): count for namespace, provider, count in counts}),
            self._values("held", Held),
            self._values("told", Told),
        )

    def _values(self, table: str, type_: Any) -> dict[About, Any]:
        rows = self._database.execute(f"SELECT alert, object, value FROM {table}")  # noqa: S608
        return {About(alert, obj): msgspec.json.decode(value, type=type_) for alert, obj, value in rows}

    def _close(self) -> None:
        if self._lock >= 0:
            self._database.close()
            self._unlock()

    def _unlock(self) -> None:
        os.close(self._lock)
        self._lock = -1

    def _commit(self, changes: list[Change]) -> None:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            for statement, values in changes:
                self._database.execute(statement, values)
            self._database.execute("COMMIT")
        except BaseException:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise

    def _first(self, line: Line, count: int) -> list[Delivery]:
        rows = self._database.execute(
            "SELECT about, alert, alert_uid, arrived, event, id FROM delivery WHERE namespace = ? AND provider = ? "
            "ORDER BY id LIMIT ?",
            (*line, count),
        )
        return [Delivery(line, *row) for row in rows]


def _opened(path: Path) -> sqlite3.Connection:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        version = database.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            database.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")
        elif version != _VERSION:
            raise JournalError(f"{path} was written by another version: move it away")
    except BaseException:
        database.close()
        raise
    return database
