"""How an attempt ended, and what that makes of an object's conditions.

A story returns `Ready`, or raises one of the three kinds of `NotReady`; what the class says is when to try again.
`conclude` turns a verdict into conditions and is pure: conditions in, conditions out. What always holds after it:
Stalled and Reconciling are never both there, Ready=True stands alone among them, and an abnormal condition is
there only while it is true.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from shared.api.meta import Condition
from shared.text.plain import plain

READY, RECONCILING, STALLED = "Ready", "Reconciling", "Stalled"
PROGRESSING, PROGRESSING_WITH_RETRY = "Progressing", "ProgressingWithRetry"
MESSAGE_LIMIT = 32_768
"""The longest condition message the API server takes, in characters."""


@dataclass(frozen=True)
class Positive:
    """A further condition that is true when all is well, such as ArtifactInStorage."""

    type: str
    reason: str
    message: str


@dataclass(frozen=True)
class Ready:
    """All that the spec asks for is done.

    `also` names further positive conditions that now hold.
    """

    reason: str
    message: str
    also: tuple[Positive, ...] = ()


class NotReady(Exception):
    """Why an object isn't Ready. Domain code raises it; only the loop catches it.

    `reason` is for machines and part of the wire. `condition` names an abnormal-true condition to set too, such as
    FetchFailed. `event` is what people are told when it isn't the message ("": nothing), `event_reason` with which
    reason when it isn't the condition's. `retry_after` (seconds) overrides when the loop tries again.
    """

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        condition: str | None = None,
        condition_reason: str | None = None,
        event: str | None = None,
        event_reason: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.condition = condition
        self.condition_reason = condition_reason or reason
        self.event = message if event is None else event
        self.event_reason = event_reason or reason
        self.retry_after = retry_after


def asked_pause(error: BaseException) -> float:
    """Seconds that a server asked to be left alone for, when that is what an error came of; else none."""
    cause: BaseException | None = error
    while cause is not None:
        seconds = getattr(cause, "retry_after", None)
        if isinstance(seconds, int | float):
            return float(seconds)
        cause = cause.__cause__
    return 0.0


class Failed(NotReady):
    """Tried and could not: again after the kind's retryInterval, or with backoff."""


class Waiting(NotReady):
    """Something else comes first: again when it changes, and after `retry_after` in case the change was missed."""


class Stalled(NotReady):
    """Only an edit can help: not before the object changes."""


def conclude(
    conditions: Sequence[Condition],
    verdict: Ready | NotReady,
    generation: int,
    now: str,
    *,
    abnormal: Iterable[str] = (),
    doing: str | None = None,
) -> list[Condition]:
    """The conditions after an attempt.

    `doing` is the last progress message; while an attempt is to be repeated, Reconciling keeps saying it.
    `abnormal` are the kind's own negative-polarity conditions: each is removed unless the verdict names it.
    Conditions that neither the verdict nor the loop owns stay as they are.
    """
    kept = {condition.type: condition for condition in conditions}
    for name in abnormal:
        kept.pop(name, None)

    def put(type_: str, status: str, reason: str, message: str) -> None:
        kept[type_] = _changed(_find(conditions, type_), type_, status, reason, message, generation, now)

    match verdict:
        case Ready():
            kept.pop(RECONCILING, None)
            kept.pop(STALLED, None)
            put(READY, "True", verdict.reason, verdict.message)
            for extra in verdict.also:
                put(extra.type, "True", extra.reason, extra.message)
        case Stalled():
            kept.pop(RECONCILING, None)
            put(STALLED, "True", verdict.reason, verdict.message)
            put(READY, "False", verdict.reason, verdict.message)
        case NotReady():
            kept.pop(STALLED, None)
            progress = _find(conditions, RECONCILING)
            put(
                RECONCILING,
                "True",
                PROGRESSING_WITH_RETRY,
                doing or (progress.message if progress else verdict.message),
            )
            put(READY, "False", verdict.reason, verdict.message)
    if isinstance(verdict, NotReady) and verdict.condition:
        put(verdict.condition, "True", verdict.condition_reason, verdict.message)
    return in_order(kept.values())


def progressing(
    conditions: Sequence[Condition],
    message: str,
    generation: int,
    now: str,
    *,
    unsettled: bool = False,
    ready: str | None = None,
) -> list[Condition]:
    """The conditions while an attempt works: Reconciling=True says what is being done.

    Ready becomes Unknown, for nothing is Ready while it is worked on; only the last failure stays readable, until the
    attempt is about to change what Ready speaks of (`unsettled`). `ready` is what Ready says then, `message` unless
    given.
    """
    kept = {condition.type: condition for condition in conditions if condition.type != STALLED}
    kept[RECONCILING] = _changed(kept.get(RECONCILING), RECONCILING, "True", PROGRESSING, message, generation, now)
    decided = kept.get(READY)
    if decided is None or decided.status != "False" or unsettled:
        kept[READY] = _changed(decided, READY, "Unknown", PROGRESSING, ready or message, generation, now)
    return in_order(kept.values())


def marked(
    conditions: Sequence[Condition],
    type_: str,
    status: str | None,
    reason: str,
    message: str,
    generation: int,
    now: str,
) -> list[Condition]:
    """The conditions with one of them set, or removed when `status` is None."""
    kept = {condition.type: condition for condition in conditions}
    if status is None:
        kept.pop(type_, None)
    else:
        kept[type_] = _changed(kept.get(type_), type_, status, reason, message, generation, now)
    return in_order(kept.values())


def with_times_of(conditions: Iterable[Condition], written: Iterable[Condition]) -> list[Condition]:
    """Conditions to write over those that were `written`: one that says what it said there did not change at all,
    whatever it said in between."""
    before = {_said(condition): condition for condition in written}
    return [
        msgspec.structs.replace(condition, last_transition_time=before[_said(condition)].last_transition_time)
        if _said(condition) in before
        else condition
        for condition in conditions
    ]


def _said(condition: Condition) -> tuple[str, str, str, str]:
    return condition.type, condition.status, condition.reason, condition.message


def in_order(conditions: Iterable[Condition]) -> list[Condition]:
    """Sorted as upstream writes them: Stalled, Reconciling, Ready, then the newest generation, then by type."""
    first = {STALLED: 0, RECONCILING: 1, READY: 2}
    return sorted(conditions, key=lambda c: (first.get(c.type, 3), -(c.observed_generation or 0), c.type))


def _find(conditions: Iterable[Condition], type_: str) -> Condition | None:
    return next((condition for condition in conditions if condition.type == type_), None)


def _changed(
    old: Condition | None, type_: str, status: str, reason: str, message: str, generation: int, now: str
) -> Condition:
    """A condition whose transition time moves only when its status, reason or message does; the message as it can be
    written."""
    message = plain(message)
    if len(message) > MESSAGE_LIMIT:
        message = message[: MESSAGE_LIMIT - 3] + "..."
    same = old is not None and (old.status, old.reason, old.message) == (status, reason, message)
    return Condition(
        type=type_,
        status=status,
        reason=reason,
        message=message,
        observed_generation=generation,
        last_transition_time=old.last_transition_time if old is not None and same else now,
    )
