"""Alert: which events it wants, and what it adds to them. Pure.

    event → sources (kind, namespace, name; labels where it asks for some) → severity → message → metadata

An Alert's expressions are compiled once for each of its versions. What always holds: one that is no expression matches
nothing and is named in `problems`; what a controller says of its object can't be overridden by an Alert.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import msgspec

from notification_controller import noise
from notification_controller.event import GROUP, INFO, SUMMARY, Event
from shared.api.notification import Alert, CrossNamespaceObjectReference
from shared.text import regex

ANNOTATIONS, ALERT_METADATA, ALERT_SUMMARY, CONTROLLER = (
    "involved object annotations",
    "Alert object .spec.eventMetadata",
    "Alert object .spec.summary",
    "involved object controller metadata",
)
"""Where metadata comes from, what counts least first."""


@dataclass(frozen=True)
class Interest:
    """What an Alert wants, ready to be asked."""

    alert: Alert
    included: tuple[regex.Pattern, ...]
    excluded: tuple[regex.Pattern, ...]
    quiet: noise.Settings
    """Of what it wants to hear less."""
    problems: tuple[str, ...]
    """What is wrong with the Alert, to be told on it."""

    @classmethod
    def of(cls, alert: Alert) -> Interest:
        """The interest of one version of an Alert."""
        quiet, problems = noise.settings(alert)
        included = tuple(_compiled(alert.spec.inclusion_list, "inclusion", problems))
        excluded = tuple(_compiled(alert.spec.exclusion_list, "exclusion", problems))
        return cls(alert, included, excluded, quiet, tuple(problems))

    def selections(self, event: Event) -> list[Mapping[str, str]]:
        """The labels that the event's object must have: those of one of these. Empty when no source names the object;
        empty labels are had by every object."""
        return [source.match_labels or {} for source in self.alert.spec.event_sources if self._names(source, event)]

    def _names(self, source: CrossNamespaceObjectReference, event: Event) -> bool:
        involved = event.involved_object
        return (
            involved.kind == source.kind
            and involved.namespace == (source.namespace or self.alert.metadata.namespace)
            and source.name in ("*", involved.name)
        )

    def wants_severity(self, severity: str) -> bool:
        """Does it want events of this severity?"""
        return self.alert.spec.event_severity in (INFO, severity)

    def includes(self, message: str) -> bool:
        """Is the message one of those that it wants only?"""
        return not self.alert.spec.inclusion_list or any(pattern.search(message) for pattern in self.included)

    def excludes(self, message: str) -> bool:
        """Is the message one of those that it never wants?"""
        return any(pattern.search(message) for pattern in self.excluded)


def _compiled(expressions: Iterable[str], which: str, problems: list[str]) -> Iterator[regex.Pattern]:
    for expression in expressions:
        try:
            yield regex.compile(expression)
        except regex.PatternError:
            problems.append(f"failed to compile {which} regex: {expression}")


class Interests:
    """The interests of all Alerts, found by the object that an event is about."""

    def __init__(self, alerts: Iterable[Alert]) -> None:
        """Suspended Alerts want nothing."""
        self._by_object: dict[tuple[str, str], list[Interest]] = defaultdict(list)
        self._by_name: dict[str, Interest] = {}
        for alert in sorted(alerts, key=lambda one: (one.metadata.namespace, one.metadata.name)):
            if alert.spec.suspend:
                continue
            self._by_name[f"{alert.metadata.namespace}/{alert.metadata.name}"] = interest = Interest.of(alert)
            places = {
                (source.namespace or alert.metadata.namespace, source.kind) for source in alert.spec.event_sources
            }
            for place in places:
                self._by_object[place].append(interest)

    def of(self, event: Event) -> list[Interest]:
        """Those that have a source of the event's namespace and kind."""
        return self._by_object.get((event.involved_object.namespace, event.involved_object.kind), [])

    def named(self, name: str) -> Interest | None:
        """That of an Alert (namespace/name); None when it wants nothing or is gone."""
        return self._by_name.get(name)


def has_labels(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Are all the wanted labels there?"""
    return all(labels.get(key) == value for key, value in wanted.items())


def combined(event: Event, alert: Alert) -> tuple[Event, dict[str, str]]:
    """The event with its metadata and the Alert's under plain keys; and the keys that more than one place sets, each
    with those places: the last of them won."""
    group = f"{event.involved_object.group}/"
    layers = (
        (ANNOTATIONS, _under(f"{GROUP}/", event.metadata)),
        (ALERT_METADATA, alert.spec.event_metadata),
        (ALERT_SUMMARY, {SUMMARY: alert.spec.summary} if alert.spec.summary else {}),
        (CONTROLLER, _under(group, event.metadata)),
    )
    metadata: dict[str, str] = {}
    places: dict[str, list[str]] = defaultdict(list)
    for place, values in layers:
        metadata |= values
        for key in values:
            places[key].append(place)
    conflicts = {key: ", ".join(found) for key, found in places.items() if len(found) > 1}
    return msgspec.structs.replace(event, metadata=metadata), conflicts


def _under(prefix: str, metadata: Mapping[str, str]) -> dict[str, str]:
    return {key.removeprefix(prefix): value for key, value in metadata.items() if key.startswith(prefix)}
