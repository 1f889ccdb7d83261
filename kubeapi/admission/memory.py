"""How a write that nothing may interrupt asks a webhook: it ends with the question, and begins anew with the answer.

    write → Unanswered(calls) → they are made, others go on meanwhile → the same write again, which finds the answers

Each run sees one consistent state, as everything in `kubeapi.writes` does. When the object has changed in between, the
question is another one and is asked too; a real API server does the same when it tries a conflicting write again.
"""

from __future__ import annotations

import asyncio
import secrets
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from kubeapi.errors import StatusError

Answer = TypeVar("Answer")

SECONDS = 60
"""How long a request may take with all that it asks, as a real API server allows."""
_ROUNDS = 200
"""How often a request may begin anew: more than it has webhooks, unless what it writes always changes in between."""
_SUFFIX = "bcdfghjklmnpqrstvwxz2456789"
_current: ContextVar[Memory | None] = ContextVar("memory", default=None)


@dataclass(frozen=True, slots=True)
class Question:
    """A call that is to be made."""

    key: str
    """The same for the same question."""
    ask: Callable[[], Awaitable[Any]]


class Unanswered(Exception):
    """A write needs answers before it can go on."""

    def __init__(self, questions: Sequence[Question]) -> None:
        super().__init__("admission webhooks are to be asked")
        self.questions = questions


@dataclass(slots=True)
class Memory:
    """What one request has learned, and what must be the same each time its write runs."""

    answers: dict[str, Any] = field(default_factory=dict)
    uid: str = ""
    suffixes: dict[str, str] = field(default_factory=dict)
    moment: datetime | None = None

    async def learn(self, questions: Sequence[Question]) -> None:
        """Ask, and keep what is answered."""
        found = await asyncio.gather(*(one.ask() for one in questions))
        self.answers.update(zip((one.key for one in questions), found, strict=True))

    def forget(self) -> None:
        """A write is done: the next one of the same request starts afresh."""
        self.answers.clear()
        self.suffixes.clear()
        self.uid = ""
        self.moment = None


def new_uid() -> str:
    """The uid of a new object."""
    memory = _current.get()
    if memory is None:
        return str(uuid.uuid4())
    memory.uid = memory.uid or str(uuid.uuid4())
    return memory.uid


def new_suffix(purpose: str) -> str:
    """Five letters for a generated name; the same for the same purpose."""
    memory = _current.get()
    made = "".join(secrets.choice(_SUFFIX) for _ in range(5))
    return made if memory is None else memory.suffixes.setdefault(purpose, made)


def moment(now: datetime) -> datetime:
    """The time of a write: when it first ran."""
    memory = _current.get()
    if memory is None:
        return now
    memory.moment = memory.moment or now
    return memory.moment


def done() -> None:
    """A write has been stored."""
    memory = _current.get()
    if memory is not None:
        memory.forget()


def answers() -> Mapping[str, Any] | None:
    """What has been answered; None where nobody can be asked: what every cluster has is written before it serves."""
    memory = _current.get()
    return None if memory is None else memory.answers


async def answered(run: Callable[[], Answer]) -> Answer:
    """Run a request to its end, asking what it needs. 504 when that takes too long."""
    memory = Memory()
    try:
        with within(memory):
            return run()
    except Unanswered as unanswered:
        questions = unanswered.questions
    try:
        async with asyncio.timeout(SECONDS):
            for _ in range(_ROUNDS):
                await memory.learn(questions)
                try:
                    with within(memory):
                        return run()
                except Unanswered as unanswered:
                    questions = unanswered.questions
    except TimeoutError:
        pass
    raise StatusError(504, "Timeout", "Timeout: request did not complete within requested timeout")


@contextmanager
def within(memory: Memory) -> Iterator[None]:
    """What is written within may ask, and finds what `memory` knows."""
    token = _current.set(memory)
    try:
        yield
    finally:
        _current.reset(token)
