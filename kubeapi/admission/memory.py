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
    suffix: str = ""
    moment: datetime | None = None

    def forget(self) -> None:
        """A write is done: the next one of the same request starts afresh."""
        self.answers.clear()
        self.uid = self.suffix = ""
        self.moment = None


def new_uid() -> str:
    """The uid of a new object."""
    memory = _current.get()
    if memory is None:
        return str(uuid.uuid4())
    memory.uid = memory.uid or str(uuid.uuid4())
    return memory.uid


def new_suffix() -> str:
    """Five letters for a generated name."""
    memory = _current.get()
    made = "".join(secrets.choice(_SUFFIX) for _ in range(5))
    if memory is None:
        return made
    memory.suffix = memory.suffix or made
    return memory.suffix


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
    """What has been answered; None where nobody can be asked: a built-in controller's write doesn't wait."""
    memory = _current.get()
    return None if memory is None else memory.answers


async def answered(run: Callable[[], Answer]) -> Answer:
    """Run a request to its end, asking what it needs. 504 when that takes too long."""
    memory = Memory()
    try:
        with _within(memory):
            return run()
    except Unanswered as unanswered:
        questions = unanswered.questions
    try:
        async with asyncio.timeout(SECONDS):
            while True:
                found = await asyncio.gather(*(one.ask() for one in questions))
                memory.answers.update(zip((one.key for one in questions), found, strict=True))
                try:
                    with _within(memory):
                        return run()
                except Unanswered as unanswered:
                    questions = unanswered.questions
    except TimeoutError:
        message = "Timeout: request did not complete within requested timeout"
        raise StatusError(504, "Timeout", message) from None


@contextmanager
def _within(memory: Memory) -> Iterator[None]:
    token = _current.set(memory)
    try:
        yield
    finally:
        _current.reset(token)
