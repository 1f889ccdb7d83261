"""Texts: how an event reads, in the words that several services share. Pure."""

from __future__ import annotations

import re
from itertools import groupby

from notification_controller.event import CHANGE_REQUEST, ERROR, SUMMARY, Event
from shared.api.meta import parse_time

ELLIPSIS = "…"
NO_TIME = "0001-01-01T00:00:00Z"
"""What stands for a time that isn't known."""


def subject(event: Event) -> str:
    """What the event is about: "kustomization/apps.flux-system"."""
    involved = event.involved_object
    return f"{involved.kind.lower()}/{involved.name}.{involved.namespace}"


def fields(event: Event) -> list[tuple[str, str]]:
    """The metadata for readers: the summary first, then by name."""
    return sorted(event.metadata.items(), key=lambda item: (item[0] != SUMMARY, item[0]))


def seconds(event: Event) -> int:
    """When it was recorded, in seconds since 1970."""
    return int(parse_time(event.timestamp or NO_TIME).timestamp())


def is_error(event: Event) -> bool:
    """Whether it tells of a failure."""
    return event.severity == ERROR


def titled(event: Event) -> tuple[str, str]:
    """A name and a description in small letters: ("kustomization/apps", "health check failed")."""
    involved = event.involved_object
    return f"{involved.kind}/{involved.name}".lower(), " ".join(words(event.reason)).lower()


def words(text: str) -> list[str]:
    """A text in camel case, split where letters begin a word, or where digits or marks begin and end."""
    parts = ["".join(group) for _, group in groupby(text, key=_class)]
    for at in range(len(parts) - 1):
        # The last of several capitals begins the word that follows: "PDFLoader" is "PDF" and "Loader".
        if parts[at][-1:].isupper() and parts[at + 1][0].islower():
            parts[at], parts[at + 1] = parts[at][:-1], parts[at][-1] + parts[at + 1]
    return [part for part in parts if part]


def _class(mark: str) -> int:
    if mark.islower():
        return 1
    if mark.isupper():
        return 2
    return 3 if mark.isdigit() else 4


def capitalized(text: str) -> str:
    """Each word with one capital, the first letter: "HealthCheckFailed" is "Healthcheckfailed"."""
    return re.sub(r"[^\W_]\w*(?:[.':]\w+)*", lambda match: match[0][0].upper() + match[0][1:].lower(), text)


def markdown(event: Event) -> str:
    """The event as a Markdown document, for services that show one."""
    sign = "⚠️" if is_error(event) else "ℹ️"
    metadata = "".join(
        f"* `{key}`: {value}\n" for key, value in sorted(event.metadata.items()) if key != CHANGE_REQUEST
    )
    return f"## Flux Status\n\n{sign} {event.involved_object}\n\n{event.message}\n\nMetadata:\n{metadata}"


def cut(text: str, size: int) -> str:
    """At most `size` characters of a text; the last of them says when something is missing."""
    return text if len(text) <= size else text[: size - 1] + ELLIPSIS
