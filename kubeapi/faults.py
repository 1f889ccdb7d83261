"""Faults on demand: requests that fail, hang or are cut; watches that drop or stall; history that expires.

A rule matches requests by verb, resource, namespace, name and subresource (each empty for any); it acts on its `nth`
match (0 for every one) and on `count` of them from there on. The first rule that acts wins.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from kubeapi.errors import StatusError, expired
from kubeapi.request import RequestInfo

if TYPE_CHECKING:
    from kubeapi.cluster import Cluster
    from kubeapi.watching import Stream

ACTIONS = ("fail", "delay", "cut", "cut-after")


class Cut(Exception):
    """The connection ends without an answer."""


@dataclass(slots=True)
class Rule:
    """What to do to which requests."""

    action: str = "fail"
    """fail: answer with `code`; delay: wait `seconds` first; cut: close the connection before the request is handled;
    cut-after: handle it, then close without an answer."""
    verb: str = ""
    resource: str = ""
    """A plural, or plural.group."""
    subresource: str | None = None
    """None for any, "" for none."""
    namespace: str = ""
    name: str = ""
    user: str = ""
    nth: int = 1
    """Which match acts first; 0 for all."""
    count: int = 1
    """How many matches act from the nth on; 0 for all."""
    code: int = 500
    reason: str = "InternalError"
    message: str = "fault on demand"
    retry_after: int = 0
    seconds: float = 1.0
    seen: int = field(default=0, init=False)
    """Matches so far."""

    def check(self) -> None:
        """ValueError when a field has a value that can't be."""
        for name in ("verb", "resource", "namespace", "name", "user", "reason", "message"):
            if not isinstance(getattr(self, name), str):
                raise ValueError(f"{name} must be a text")
        if self.subresource is not None and not isinstance(self.subresource, str):
            raise ValueError("subresource must be a text")
        for name, most in (("nth", 10**9), ("count", 10**9), ("code", 599), ("retry_after", 86_400)):
            value = getattr(self, name)
            least = 400 if name == "code" else 0
            if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
                raise ValueError(f"{name} must be a whole number from {least} to {most}")
        if (
            isinstance(self.seconds, bool)
            or not isinstance(self.seconds, int | float)
            or not 0 <= self.seconds <= 86_400
        ):
            raise ValueError("seconds must be a number from 0 to 86400")

    def matches(self, info: RequestInfo, user: str) -> bool:
        if self.verb and self.verb != info.verb:
            return False
        if self.resource:
            plural, dot, group = self.resource.partition(".")
            if info.resource != plural or (dot and info.group != group):
                return False
        if self.subresource is not None and self.subresource != info.subresource:
            return False
        if self.namespace and self.namespace != info.namespace:
            return False
        if self.user and self.user != user:
            return False
        return not self.name or self.name == info.name

    def acts(self) -> bool:
        """Count a match; whether this one is to be acted on."""
        self.seen += 1
        if self.nth == 0:
            return True
        return self.seen >= self.nth and (self.count == 0 or self.seen < self.nth + self.count)


class Faults:
    """The rules of a server, and switches that act at once."""

    def __init__(self, cluster: Cluster, go_away: Callable[[float], None]):
        """go_away: makes the server refuse connections for some seconds."""
        self._cluster = cluster
        self._go_away = go_away
        self.rules: list[Rule] = []
        self.streams: set[Stream] = set()
        self._stalled: set[str] = set()
        """Resources whose watches send nothing, those that begin later too; "" for all."""

    # -- rules

    def add(self, action: str = "fail", **fields: Any) -> Rule:
        """Add a rule; gives it, so that its `seen` can be read. ValueError for what isn't an action."""
        if action not in ACTIONS:
            raise ValueError(f"{action!r} is no fault: choose one of {', '.join(ACTIONS)}")
        rule = Rule(action=action, **fields)
        rule.check()
        self.rules.append(rule)
        return rule

    def fail(self, **fields: Any) -> Rule:
        return self.add("fail", **fields)

    def delay(self, seconds: float, **fields: Any) -> Rule:
        return self.add("delay", seconds=seconds, **fields)

    def cut(self, **fields: Any) -> Rule:
        return self.add("cut", **fields)

    def remove(self, rule: Rule) -> None:
        if rule in self.rules:
            self.rules.remove(rule)

    def clear(self) -> None:
        """No more faults of any kind."""
        self.rules.clear()
        self.stall_watches(False)
        self._cluster.read_only = False
        self._cluster.clock.skew = timedelta(0)

    async def before(self, info: RequestInfo, user: str) -> Callable[[], None] | None:
        """Act on a request that is about to be handled; gives what must run after it, if anything."""
        if not self.rules:
            return None
        for rule in list(self.rules):
            if not rule.matches(info, user) or not rule.acts():
                continue
            if rule.action == "fail":
                raise StatusError(rule.code, rule.reason, rule.message, retry_after=rule.retry_after)
            if rule.action == "cut":
                raise Cut
            if rule.action == "delay":
                await asyncio.sleep(rule.seconds)
                continue
            return _cut
        return None

    # -- switches

    def drop_watches(self, resource: str = "") -> int:
        """End running watches (of one plural, or plural.group) without a word; gives how many."""
        dropped = [stream for stream in self.streams if _is_of(stream, resource)]
        for stream in dropped:
            stream.drop()
        return len(dropped)

    def expire(self, resource: str = "") -> None:
        """Forget the history: running watches end with a 410 event, and none resumes from before now."""
        for storage in list(self._cluster.store.storages()):
            if not resource or resource in (storage[1], f"{storage[1]}.{storage[0]}"):
                self._cluster.store.expire(storage)
        for stream in self.streams:
            if _is_of(stream, resource):
                stream.fail(expired("The resourceVersion for the provided watch is too old."))

    def begins(self, stream: Stream) -> None:
        """A watch begins; `ends` says when it is over."""
        self.streams.add(stream)
        if any(_is_of(stream, resource) for resource in self._stalled):
            stream.stall(True)

    def ends(self, stream: Stream) -> None:
        self.streams.discard(stream)

    def stall_watches(self, stalled: bool = True, resource: str = "") -> None:
        """Let watches, also those that begin later, send nothing until they are let go."""
        if stalled:
            self._stalled.add(resource)
        elif resource:
            self._stalled.discard(resource)
        else:
            self._stalled.clear()
        for stream in self.streams:
            if _is_of(stream, resource):
                stream.stall(stalled)

    def read_only(self, value: bool = True) -> None:
        """Refuse every write with 503."""
        self._cluster.read_only = value

    def go_away(self, seconds: float) -> None:
        """Let nobody connect for a while, as a server that restarts; ValueError beyond an hour."""
        if not 0 <= seconds <= 3600:
            raise ValueError("seconds must be a number from 0 to 3600")
        self._go_away(seconds)

    def skew(self, seconds: float) -> None:
        """Move the server's clock; ValueError beyond a hundred years."""
        if not abs(seconds) <= 100 * 366 * 86_400:
            raise ValueError("seconds must be less than a hundred years")
        self._cluster.clock.skew = timedelta(seconds=seconds)

    def state(self) -> dict[str, Any]:
        return {
            "rules": [asdict(rule) for rule in self.rules],
            "watches": len(self.streams),
            "stalled": sorted(self._stalled),
            "readOnly": self._cluster.read_only,
            "skewSeconds": self._cluster.clock.skew.total_seconds(),
        }


def _is_of(stream: Stream, resource: str) -> bool:
    return not resource or resource in (stream.resource.plural, stream.resource.group_resource)


def _cut() -> None:
    raise Cut
