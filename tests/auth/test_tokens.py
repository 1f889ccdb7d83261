"""Tokens are kept for the most of their lives, made once for all who ask, and never too many."""

from __future__ import annotations

import asyncio
import time

from shared.auth.tokens import Asker, Fresh, Tokens, asked_to, asker


def maker(life=100.0, made=None):
    made = made if made is not None else []

    async def make():
        made.append(len(made))
        await asyncio.sleep(0)
        return Fresh(f"token {len(made)}", time.time() + life)

    return make, made


async def test_who_asks_at_once_waits_for_one_token():
    make, made = maker()
    tokens = Tokens()
    assert set(await asyncio.gather(*(tokens.find(("a",), make) for _ in range(20)))) == {"token 1"}
    assert made == [0]
    assert tokens._making == {}


async def test_a_token_is_kept_for_four_fifths_of_its_life(monkeypatch):
    make, made = maker(life=100)
    tokens, start = Tokens(), time.time()
    await tokens.find(("a",), make)
    monkeypatch.setattr(time, "time", lambda: start + 79)
    await tokens.find(("a",), make)
    assert len(made) == 1
    monkeypatch.setattr(time, "time", lambda: start + 81)
    assert await tokens.find(("a",), make) == "token 2"


async def test_a_machine_whose_clock_was_set_back_keeps_nothing_too_long(monkeypatch):
    make, made = maker(life=100)
    tokens, start, ran = Tokens(), time.time(), time.monotonic()
    await tokens.find(("a",), make)
    monkeypatch.setattr(time, "time", lambda: start - 3600)
    monkeypatch.setattr(time, "monotonic", lambda: ran + 81)
    await tokens.find(("a",), make)
    assert len(made) == 2


async def test_the_one_that_was_not_used_longest_goes_first():
    make, made = maker()
    tokens = Tokens(size=2)
    for key in ("a", "b", "a", "c", "a"):
        await tokens.find((key,), make)
    assert len(tokens) == 2
    assert len(made) == 3
    await tokens.find(("b",), make)
    assert len(made) == 4


async def test_without_room_nothing_is_kept():
    make, made = maker()
    tokens = Tokens(size=0)
    await tokens.find(("a",), make)
    await tokens.find(("a",), make)
    assert len(made) == 2


async def test_who_gives_up_leaves_the_turn_to_the_next():
    tokens, started, go = Tokens(), asyncio.Event(), asyncio.Event()

    async def slow():
        started.set()
        await go.wait()
        return Fresh("slow", time.time() + 100)

    make, _ = maker()
    first = asyncio.create_task(tokens.find(("a",), slow))
    await started.wait()
    second = asyncio.create_task(tokens.find(("a",), make))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == "token 1"
    assert tokens._making == {}


async def test_a_failure_is_not_kept():
    tokens = Tokens()

    async def fails():
        raise ValueError

    for _ in range(2):
        assert isinstance((await asyncio.gather(tokens.find(("a",), fails), return_exceptions=True))[0], ValueError)
    make, _ = maker()
    assert await tokens.find(("a",), make) == "token 1"


async def test_lookups_are_counted_for_the_object_that_asks_and_what_for():
    make, _ = maker()
    tokens, app = Tokens(size=1), Asker("Bucket", "app", "apps")
    await tokens.find(("a",), make)  # for nobody
    asker.set(app)
    await tokens.find(("a",), make)
    with asked_to("decrypt_with_aws"):
        await tokens.find(("b",), make)
    await tokens.find(("b",), make)

    async def fails():
        raise ValueError

    await asyncio.gather(tokens.find(("c",), fails), return_exceptions=True)
    counts = tokens.counts
    assert counts.found == {app: 2}
    assert counts.made == {Asker("Bucket", "app", "apps", "decrypt_with_aws"): 1, app: 1}
    assert (counts.succeeded, counts.failed, counts.evicted) == (4, 1, 1)
    counts.forget("Bucket", "app", "apps")
    assert counts.found == counts.made == {}
