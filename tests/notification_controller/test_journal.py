"""What the journal keeps, and what happens to it."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from notification_controller import journal
from notification_controller.event import Event
from notification_controller.journal import FILE, About, Delivery, Journal, JournalError, Line
from notification_controller.noise import Held, State, Told

CHAT, PAGER = Line("apps", "chat"), Line("apps", "pager")


def delivery(text: str, line: Line = CHAT) -> Delivery:
    return Delivery(line, "Kustomization/apps/app", "alert", "1-2", 100.0, text.encode())


async def waiting(kept: Journal, line: Line = CHAT) -> list[str]:
    return [one.event.decode() for one in await kept.first(line, 1000)]


async def test_what_was_kept_is_there_after_a_restart(tmp_path: Path) -> None:
    about = About("apps/alert", "Kustomization/apps/app")
    held, told = Held(Event(message="it broke"), 160.0), Told(State.FAILING, "BuildFailed", 50.0)
    first = Journal(tmp_path)
    await first.open()
    await first.add(
        [delivery("one"), delivery("other", PAGER), delivery("two")],
        [journal.hold(about, held), journal.tell(about, told)],
    )
    await first.close()

    second = Journal(tmp_path)
    contents = await second.open()
    assert contents.waiting == Counter({CHAT: 2, PAGER: 1})
    assert (contents.held, contents.told) == ({about: held}, {about: told})
    assert await waiting(second) == ["one", "two"]
    gone = (await second.first(CHAT, 1))[0].id
    await second.add([delivery("three")], [*journal.drop([gone]), journal.hold(about, None), journal.tell(about, None)])
    assert await waiting(second) == ["two", "three"]
    await second.close()

    third = Journal(tmp_path)
    contents = await third.open()
    assert (contents.held, contents.told) == ({}, {})
    await third.close()


def _keep_and_tell(folder: str, pipe: object) -> None:
    async def run() -> None:
        kept = Journal(Path(folder))
        await kept.open()
        for number in range(10_000):
            await kept.add([delivery(str(number))])
            pipe.send(number)  # type: ignore[attr-defined]

    asyncio.run(run())


async def test_what_add_returned_for_survives_a_kill(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_keep_and_tell, args=(str(tmp_path), theirs))
    process.start()
    try:
        promised = await asyncio.to_thread(lambda: [ours.recv() for _ in range(50)])
    finally:
        os.kill(process.pid or 0, signal.SIGKILL)
        await asyncio.to_thread(process.join)
    kept = Journal(tmp_path)
    await kept.open()
    there = await waiting(kept)
    assert there[: len(promised)] == [str(number) for number in promised]
    await kept.close()


async def test_writers_that_wait_share_a_transaction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Journal(tmp_path)
    await kept.open()
    commits = []
    commit = kept._commit
    monkeypatch.setattr(kept, "_commit", lambda changes: (commits.append(len(changes)), commit(changes)))
    await asyncio.gather(*(kept.add([delivery(str(number))]) for number in range(500)))
    assert sum(commits) == 500
    assert len(commits) <= 3
    assert await waiting(kept) == [str(number) for number in range(500)]
    await kept.close()


async def test_the_oldest_are_crowded_out(tmp_path: Path) -> None:
    kept = Journal(tmp_path)
    await kept.open()
    await kept.add([delivery("one"), delivery("other", PAGER), delivery("two"), delivery("three")])
    await kept.crowd_out(CHAT, 2)
    assert (await waiting(kept), await waiting(kept, PAGER)) == (["three"], ["other"])
    await kept.close()


async def test_a_directory_is_one_process_only(tmp_path: Path) -> None:
    first, second = Journal(tmp_path), Journal(tmp_path)
    await first.open()
    with pytest.raises(JournalError, match="--storage-path"):
        await second.open()
    await first.close()


async def test_a_change_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    kept = Journal(tmp_path)
    await kept.open()
    with pytest.raises(JournalError, match="can't keep notifications"):
        await kept.add([delivery("one")], [("INSERT INTO nowhere VALUES (1)", ())])
    assert await waiting(kept) == []
    await kept.add([delivery("two")])
    assert await waiting(kept) == ["two"]
    await kept.close()


async def test_who_waits_for_a_write_hears_of_whatever_breaks_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Journal(tmp_path)
    await kept.open()
    with monkeypatch.context() as patched:
        patched.setattr(kept, "_commit", lambda changes: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            await asyncio.wait_for(kept.add([delivery("one")]), 10)
    await kept.add([delivery("two")])
    assert await waiting(kept) == ["two"]
    await kept.close()


async def test_what_is_no_journal_is_kept_aside(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"this is no database, but as long as the head of one would be" * 40)
    kept = Journal(tmp_path)
    await kept.open()
    await kept.add([delivery("one")])
    assert await waiting(kept) == ["one"]
    await kept.close()
    assert (tmp_path / FILE).with_suffix(".broken").read_bytes().startswith(b"this is no database")


async def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    kept = Journal(tmp_path / "new")
    await kept.open()
    await kept.add([delivery("one")])
    modes = {path.stat().st_mode & 0o077 for path in [tmp_path / "new", *(tmp_path / "new").iterdir()]}
    await kept.close()
    assert modes == {0}


async def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("somebody's file")
    (tmp_path / "lock").symlink_to(tmp_path / "there")
    with pytest.raises(JournalError):
        await Journal(tmp_path).open()
    assert (tmp_path / "there").read_text() == "somebody's file"
