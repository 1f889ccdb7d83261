"""Noise: tell less of the same, where an Alert asks for it by annotations. Pure.

    event + what is remembered of its object → send, hold, or drop → (what is held and due) → one message

Four annotations of an Alert, all off when unset:

    notification.fluvial.dev/transitions: "true"   tell when an object begins to fail, fails otherwise, or is well again
    notification.fluvial.dev/delay: 5m             tell a failure only when it is still there after that time
    notification.fluvial.dev/recovery: "true"      tell that a failure that was told is over, also errors-only Alerts
    notification.fluvial.dev/group: 30s            gather that long what has one cause, and tell it in one message

What always holds: what undoes a held message before it is told drops it; what was told is remembered only once the
message is due; without these annotations nothing is held, dropped or remembered.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence

import msgspec

from notification_controller.event import COMMIT_STATUS, ERROR, Event, InvolvedObject
from shared.api.meta import format_duration, parse_duration
from shared.api.notification import Alert

PREFIX = "notification.fluvial.dev/"
LONGEST = 24 * 3600.0
"""The longest delay and the longest time of gathering, in seconds."""
LISTED = 50
"""Objects that one message names."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What an Alert asks for."""

    transitions: bool = False
    delay: float = 0.0
    recovery: bool = False
    group: float = 0.0

    @property
    def wait(self) -> float:
        """Seconds that a failure is held at most."""
        return self.delay + self.group


OFF = Settings()


def settings(alert: Alert) -> tuple[Settings, list[str]]:
    """What an Alert's annotations ask for, and what is wrong with them; what is wrong counts as unset."""
    values: dict[str, bool | float] = {}
    problems = []
    for name, kind in (("transitions", bool), ("delay", float), ("recovery", bool), ("group", float)):
        text = alert.metadata.annotations.get(PREFIX + name)
        if text is None:
            continue
        try:
            values[name] = _switch(text) if kind is bool else _time(text)
        except ValueError:
            expected = "true or false" if kind is bool else f"a time of at most {format_duration(LONGEST)}, such as 5m"
            problems.append(f"the annotation {PREFIX}{name} is ignored: expected {expected}")
    return msgspec.convert(values, Settings), problems


def _switch(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(text)
    return text == "true"


def _time(text: str) -> float:
    seconds = parse_duration(text)
    if not 0 <= seconds <= LONGEST:
        raise ValueError(text)
    return seconds


class State(enum.StrEnum):
    """What an event says of its object."""

    FAILING = "failing"
    WELL = "well"
    NEITHER = "neither"


_WELL = {
    "ReconciliationSucceeded",
    "Succeeded",
    "NewArtifact",
    "ChartPullSucceeded",
    "ChartPackageSucceeded",
    "InstallSucceeded",
    "UpgradeSucceeded",
    "TestSucceeded",
    "DriftCorrected",
}
"""The reasons with which an object says that all is well. A rollback isn't: what was wanted failed."""


def state(event: Event) -> State:
    """What an event says of its object: that it fails, that it is well, or neither (progress, waiting)."""
    if event.severity == ERROR:
        return State.FAILING
    return State.WELL if event.reason in _WELL else State.NEITHER


class Told(msgspec.Struct, frozen=True):
    """What an Alert was last told of an object."""

    state: State = State.NEITHER
    reason: str = ""
    since: float = 0.0
    """When, in Unix seconds."""


class Held(msgspec.Struct, frozen=True):
    """A message that is kept back."""

    event: Event
    ready: float
    """When it may be told, in Unix seconds, but for the time of gathering."""


class Verdict(enum.Enum):
    """What happens to an event."""

    SEND = "send"
    HOLD = "hold"
    DROP = "drop"


class Decision(msgspec.Struct, frozen=True):
    """What happens to an event, and to what is held of its object."""

    verdict: Verdict
    ready: float = 0.0
    """From when on a held event may be told."""
    forgets_held: bool = False
    """Whether what is held isn't told any more."""


def decide(chosen: Settings, told: Told, held: Held | None, event: Event, *, selected: bool, now: float) -> Decision:
    """What an Alert with these settings does with an event of an object of which it was `told` something.

    `selected`: whether the Alert wants events such as this by its severity and expressions. One that it doesn't want
    still ends a failure.
    """
    says = state(event)
    if says is State.NEITHER:
        return Decision(Verdict.SEND if selected and not chosen.transitions else Verdict.DROP)
    if held is not None and state(held.event) is says:
        if selected or says is State.WELL:
            return Decision(Verdict.HOLD, held.ready, forgets_held=True)  # the newest words for it
        return Decision(Verdict.DROP)
    undone = held is not None
    is_news = says is not told.state or (says is State.FAILING and event.reason != told.reason)
    if says is State.FAILING:
        wanted = selected and (is_news or not chosen.transitions)
        wait = (chosen.delay if is_news else 0.0, chosen.group)
    else:
        over = told.state is State.FAILING
        wanted = (over and chosen.recovery) or (selected and (over or not chosen.transitions))
        wait = (0.0, chosen.group if over else 0.0)
    if not wanted:
        return Decision(Verdict.DROP, forgets_held=undone)
    if sum(wait) > 0:
        return Decision(Verdict.HOLD, now + wait[0], forgets_held=undone)
    return Decision(Verdict.SEND, forgets_held=undone)


def remembered(told: Told, event: Event, now: float) -> Told:
    """What is remembered once an event was told, or once an object is well again of which nothing has to be told."""
    says = state(event)
    if says is State.NEITHER:
        return told
    since = told.since if says is told.state else now
    return Told(says, event.reason if says is State.FAILING else "", since)


def due(chosen: Settings, held: Held) -> float:
    """When a held message is told at the latest, in Unix seconds."""
    return held.ready + chosen.group


_NUMBERS = re.compile(r"\b[0-9a-f]{7,}\b|\d+(?:\.\d+)?")


def cause(event: Event) -> str:
    """What failures of one cause share: state, reason and the first line, without what names the object or counts."""
    line = event.message.partition("\n")[0]
    involved = event.involved_object
    for own in sorted(filter(None, (involved.name, involved.namespace)), key=len, reverse=True):
        line = re.sub(rf"(?<![\w-]){re.escape(own)}(?![\w-])", "·", line)
    return f"{state(event)} {event.reason} {_NUMBERS.sub('#', line)}"


def gathered(events: Sequence[Event]) -> Event:
    """One message for events of one cause, about the first of them; the only one stays as it is."""
    first = events[0]
    if len(events) == 1:
        return first
    names = [str(event.involved_object) for event in events[:LISTED]]
    if len(events) > LISTED:
        names.append(f"and {len(events) - LISTED} more")
    message = "\n".join([f"{len(events)} objects: {first.message}", *names])
    metadata = first.metadata | {"objects": str(len(events))}
    return msgspec.structs.replace(first, message=message, metadata=metadata)


def with_recovery(event: Event, told: Told, now: float) -> Event:
    """The event, saying how long the failure was there that it ends; no mere update of a commit status any more."""
    if state(event) is not State.WELL or told.state is not State.FAILING:
        return event
    lasted = format_duration(float(int(max(0.0, now - told.since))))
    metadata = {key: value for key, value in event.metadata.items() if key != COMMIT_STATUS}
    return msgspec.structs.replace(event, metadata=metadata | {"recovered": f"after {lasted}"})


def object_key(involved: InvolvedObject) -> str:
    """What tells objects apart. Not their uid: one that was deleted and made again is the same to people."""
    return f"{involved.group}/{involved}"
