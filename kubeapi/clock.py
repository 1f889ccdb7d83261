"""The time, as the API writes it. Tests move it; nothing else in kubeapi reads a clock for what it stores."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class Clock:
    """The wall clock plus a settable skew."""

    def __init__(self) -> None:
        self.skew = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.skew

    def stamp(self) -> str:
        """RFC 3339 in whole seconds: metav1.Time."""
        return stamp(self.now())

    def micro_stamp(self) -> str:
        """RFC 3339 with microseconds: metav1.MicroTime."""
        return self.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def parse(text: str) -> datetime:
    """An RFC 3339 time; ValueError when it isn't one."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return moment.astimezone(UTC)
