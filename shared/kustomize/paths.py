"""Paths into a value, as replacements, vars and helpers write them: `spec.containers.[name=app].env.0.value`.

a name      a field                 3        an item of a list        -   its last item (reading only)
[k=v]       the items whose k is v  [=v]     the single values v      *   every item (writing only)
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from .errors import BuildError
from .fieldspec import MAPPING, SCALAR, SEQUENCE, split_path
from .merge import MISSING, describe
from .patterns import found_in
from .scalars import means, text

_INDEX = re.compile(r"[-+]?[0-9]{1,18}\Z")
_SLICE = re.compile(r"(.*)\[([0-9]{1,18})\]\Z", re.DOTALL)
_LONGEST = 200


def split_dotted(path: str) -> list[str]:
    """The steps of a dotted path; dots inside of brackets belong to their step."""
    split = split_path(path, ".")
    if len(split) > _LONGEST:
        raise BuildError(f"a field path has more than {_LONGEST} steps")
    steps: list[str] = []
    at = 0
    while at < len(split):
        step = split[at]
        at += 1
        if step.startswith("[") and not step.endswith("]"):
            bracketed = [step]
            while at < len(split):
                bracketed.append(split[at])
                at += 1
                if bracketed[-1].endswith("]"):
                    break
            step = ".".join(bracketed)
            if "=" not in step:
                step = step.strip("[]")
        steps.append(step)
    return steps


def with_slices(steps: list[str]) -> list[str]:
    """Split `name[3]` into `name` and `3`."""
    result: list[str] = []
    for step in steps:
        match = _SLICE.match(step)
        if match is None:
            result.append(step)
        else:
            result.extend(part for part in match.groups() if part)
    return result


def _is_match(step: str) -> bool:
    return step.startswith("[") and step.endswith("]")


def _key_value(step: str) -> tuple[str, str]:
    key, equals, value = step[1:-1].partition("=")
    if not equals:
        raise BuildError(f"the step {step!r} of a field path must have the form [name=value]")
    return key, value


def _wrong(expected: str, value: Any, step: str) -> BuildError:
    found = describe(value)
    return BuildError(f"expected {expected} at {step!r}, found {found}")


def get(value: Any, steps: list[str]) -> Any:
    """What the path leads to, MISSING when there is nothing; the path names one place only."""
    for raw in steps:
        step = raw.strip()
        if not step:
            continue
        if _INDEX.match(step) or step == "-":
            index = -1 if step == "-" else int(step)
            if value is not None and not isinstance(value, list):
                raise _wrong("a list", value, step)
            if step != "-" and index < 0:
                raise BuildError(f"the index {index} of a field path is negative")
            items = value or []
            if step == "-" and not items:
                return MISSING
            value = items[index] if index < len(items) else MISSING
        elif step == "*":
            raise BuildError("* cannot be in the path of one field")
        elif _is_match(step):
            value = _find(value, *_key_value(step), step)
        elif value is None:
            return MISSING
        elif isinstance(value, dict):
            value = value.get(step, MISSING)
        else:
            raise _wrong("a mapping", value, step)
        if value is MISSING:
            return MISSING
    return value


def _find(value: Any, key: str, wanted: str, step: str) -> Any:
    if value is not None and not isinstance(value, list):
        raise _wrong("a list", value, step)
    for item in value or ():
        if not key:
            if text(item) == wanted:
                return item
        elif isinstance(item, dict) and key in item and text(item[key]) == wanted:
            return item
    return MISSING


class Unset:
    """A place that was made for the path and has no value yet."""


UNSET: Final = Unset()


class Place(NamedTuple):
    """Where a path leads: an entry of a mapping or of a list."""

    owner: Any
    key: Any

    @property
    def value(self) -> Any:
        return self.owner[self.key]

    @value.setter
    def value(self, new: Any) -> None:
        self.owner[self.key] = new


def _part_kind(step: str, last: str) -> str:
    if not step:
        return last
    if _is_match(step) or (_INDEX.match(step) and int(step) >= 0):
        return SEQUENCE
    return MAPPING


def _new(kind: str) -> Any:
    return {} if kind == MAPPING else [] if kind == SEQUENCE else UNSET


class Finder:
    """Finds the places that a path means, and makes missing ones when `create` names their kind."""

    def __init__(self, create: str, inside: Callable[[str], Any]) -> None:
        self.create = create
        self.inside = inside
        """Parses a text that the path leads into."""

    def find(self, owner: Any, key: Any, steps: list[str]) -> list[Place]:
        if not steps:
            return [Place(owner, key)]
        value, step = owner[key], steps[0]
        if _INDEX.match(step) and int(step) >= 0:
            return self._index(value, steps)
        if _is_match(step):
            return self._match(value, steps)
        if step == "*":
            return [p for i in range(len(self._items(value, step))) for p in self.find(value, i, steps[1:])]
        return self._field(value, steps)

    def _items(self, value: Any, step: str) -> list[Any]:
        if value is None:
            return []
        if not isinstance(value, list):
            raise _wrong("a list", value, step)
        return value

    def _index(self, value: Any, steps: list[str]) -> list[Place]:
        index, items = int(steps[0]), self._items(value, steps[0])
        if index == len(items) and self.create and value is not None:
            items.append(_new(_part_kind(steps[1] if len(steps) > 1 else "", self.create)))
        if index >= len(items):
            raise BuildError(f"the index {index} is beyond the {len(items)} items of the list")
        return self.find(value, index, steps[1:])

    def _match(self, value: Any, steps: list[str]) -> list[Place]:
        key, wanted = _key_value(steps[0])
        items = self._items(value, steps[0])
        fits = found_in(wanted)
        found: list[Place] = []
        for again in (False, True):
            for index, item in enumerate(items):
                if not key:
                    if fits(_shown(item)):
                        found.append(Place(items, index))
                elif isinstance(item, dict) and key in item and fits(_shown(item[key])):
                    found.extend(self.find(items, index, steps[1:]))
            if found or not self.create or again or value is None:
                break
            items.append({key: means(wanted)} if key else means(wanted))
        return found

    def _field(self, value: Any, steps: list[str]) -> list[Place]:
        name = steps[0]
        if value is None or value is UNSET:
            return []
        if not isinstance(value, dict):
            raise _wrong("a mapping", value, name)
        if name not in value:
            if not self.create:
                return []
            value[name] = _new(_part_kind(steps[1] if len(steps) > 1 else "", self.create))
        child = value[name]
        if len(steps) > 1 and child is not None and not isinstance(child, dict | list):
            # The places are inside of a text; what is written there is lost, as upstream has it.
            return self.find([self.inside(text(child))], 0, steps[1:])
        return self.find(value, name, steps[1:])


def _shown(value: Any) -> str:
    """How a pattern sees a value: the text of a scalar, a mapping not at all."""
    return text(value).strip()


KIND_OF: Final[dict[type, str]] = {dict: MAPPING, list: SEQUENCE}


def kind_of(value: Any) -> str:
    return KIND_OF.get(type(value), SCALAR)
