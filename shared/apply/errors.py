"""How an apply, a prune or a wait fails: every object that failed has a line, and no Secret's value is in one.

These are the messages that people read in `kubectl get` and in chat: the words that Flux's users know come first.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from shared.api.meta import Manifest, format_duration
from shared.apply.changes import ChangeSet
from shared.apply.identity import ObjectId
from shared.health import Health
from shared.kube.errors import ApiError, Conflict, Invalid, NoMatch, NotFound
from shared.text import listed

MASK = "*****"
LONGEST = 1500
"""Characters of the line of one object."""
SHORTEST_MASKED = 4
"""Characters: shorter values of a Secret are hidden by their place in a message, not wherever they occur."""

_IMMUTABLE = re.compile(
    r"is immutable|immutable field|field is immutable|may not (be )?change|cannot be changed|can not be changed"
    r"|can't be changed|cannot change|is not allowed to change|updates to .* are forbidden|may not change fields other",
    re.IGNORECASE,
)
_QUOTES_VALUE = re.compile(r'((?:Invalid|Unsupported|Duplicate) value: )("(?:[^"\\]|\\.)*"|\S+?)(?=: |,|\]|$)')
_SHOWS_GOT = re.compile(r"(expected \w+, got ).*?(?=\n|$)")


@dataclass(frozen=True, slots=True)
class ObjectError:
    """Why one object failed."""

    id: ObjectId
    message: str
    """Names the object."""
    cause: ApiError | None = None

    def __str__(self) -> str:
        return self.message


class ObjectErrors(Exception):
    """Some objects failed: one line each, after what is said of all of them."""

    def __init__(self, errors: Sequence[ObjectError], headline: str = "") -> None:
        super().__init__(headline, errors)
        self.errors = list(errors)
        self.headline = headline
        """Comes right before the first line."""

    def told(self, places: Mapping[ObjectId, str]) -> str:
        """The message; `places` says of objects where they are written, such as `apps/web.yaml:3`."""
        lines = []
        for error in self.errors:
            line = " ".join(str(error).split())
            line = line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
            lines.append(listed.placed(line, places.get(error.id, "")))
        return self.headline + listed.lines(lines)

    def __str__(self) -> str:
        return self.told({})


class ApplyError(ObjectErrors):
    """Some objects of a stage could not be applied; the stages after it were not tried."""

    def __init__(self, errors: Sequence[ObjectError], changes: ChangeSet) -> None:
        super().__init__(errors)
        self.changes = changes
        """What was done before and beside the failures."""


class PruneError(ObjectErrors):
    """Some stale objects could not be deleted; they stay in the inventory."""

    def __init__(self, errors: Sequence[ObjectError], changes: ChangeSet) -> None:
        super().__init__(errors, "delete failed, errors: ")
        self.changes = changes


class TerminationError(Exception):
    """Deleted objects were still there when the time was over."""

    def __init__(self, ids: Sequence[ObjectId], seconds: str) -> None:
        super().__init__(
            f"{listed.names(ids)} termination timeout: still there after {seconds}, look at their finalizers"
        )
        self.ids = list(ids)


class HealthCheckError(ObjectErrors):
    """Objects failed, or were not healthy after `took` (a duration). `unhealthy` says of each how it stands."""

    def __init__(self, unhealthy: Mapping[ObjectId, Health], took: str) -> None:
        is_failed = all(state.status == "Failed" for state in unhealthy.values())
        what = "failed early due to stalled resources" if is_failed else "timeout waiting for"
        names = listed.names([f"{id} status: '{state.status}'" for id, state in unhealthy.items()])
        errors = [ObjectError(id, f"{id}: {state.message}") for id, state in unhealthy.items() if state.message]
        super().__init__(errors, f"health check failed after {took}: {what}: [{names}]" + ("\n" if errors else ""))
        self.unhealthy = dict(unhealthy)


def of_apply(manifest: Manifest, error: ApiError) -> ObjectError:
    """Why the server did not take an object, in the words that upstream's users know."""
    id = ObjectId.of(manifest)
    text = masked(manifest, error.message)
    if isinstance(error, NoMatch):
        message = f"{id} dry-run failed: {text}"
    elif isinstance(error, NotFound):
        message = f"{id} not found: {text}" if id.namespace else f"{id} namespace not specified: {text}"
    elif error.status == 0:
        message = f"{id} apply failed: {text}"
    else:
        reason = f" ({error.reason})" if error.reason else ""
        message = f"{id} dry-run failed{reason}: {text}"
    return ObjectError(id, message, error)


def of_timeout(id: ObjectId, seconds: float) -> ObjectError:
    """The time was over before the server answered, or before the object's turn came."""
    return ObjectError(id, f"{id} apply timed out after {format_duration(seconds)}")


def of_unusable(id: ObjectId, status: str, message: str) -> ObjectError:
    """It was applied, and what comes after it can't use it."""
    return ObjectError(id, f"{id} was applied and is not ready: status '{status}': {message}")


def of_delete(id: ObjectId, error: ApiError) -> ObjectError:
    return ObjectError(id, f"{id} delete failed: {error.message}", error)


def of_problems(manifest: Manifest, problems: Sequence[str]) -> ObjectError:
    """Fields of the wrong type, found before the server was asked."""
    id = ObjectId.of(manifest)
    text = masked(manifest, "; ".join(problems))
    return ObjectError(id, f"{id} dry-run failed (Invalid): {text}", Invalid(text))


def is_immutable(error: ApiError) -> bool:
    """Does the server refuse because a field can't be changed any more?"""
    return isinstance(error, Invalid | Conflict) and bool(_IMMUTABLE.search(error.message))


def is_duplicate(error: ApiError) -> bool:
    """Is something in the object twice, which may be ours and somebody else's?"""
    return isinstance(error, Invalid) and "Duplicate value" in error.message


def is_stale_version(error: ApiError) -> bool:
    """Does an entry of managedFields speak of a version in which the kind hadn't these fields?"""
    return "field not declared in schema" in error.message


def masked(manifest: Manifest, message: str) -> str:
    """The message without the values of a Secret."""
    if manifest.get("kind") != "Secret" or manifest.get("apiVersion") != "v1":
        return message
    for value in sorted(set(_values(manifest)), key=len, reverse=True):
        message = message.replace(value, MASK)
    message = _QUOTES_VALUE.sub(rf"\1{MASK}", message)
    return _SHOWS_GOT.sub(rf"\1{MASK}", message)


def _values(manifest: Manifest) -> Iterator[str]:
    for key in ("data", "stringData"):
        section: Any = manifest.get(key)
        for value in section.values() if isinstance(section, dict) else ():
            text = str(value)
            found = [text]
            if key == "data":
                with suppress(ValueError):
                    found.append(base64.b64decode(text, validate=True).decode())
            for candidate in found:
                if len(candidate) >= SHORTEST_MASKED:
                    yield candidate
