"""Is a live object what we want it to be? Decided from the object and its managedFields, without a dry run.

    desired, live, our field set → the places that differ

Two things must hold: every desired value is in the live object, and our field set is what desired spells out: no more
(a field that left the source has to leave the object) and no less (a field that is somebody else's has to be ours). The
field set also tells how lists are merged, so no schema is needed. In doubt the answer is "differs": an apply is right
in any case, and costs a call.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NamedTuple

import orjson

from shared import schema
from shared.apply.fields import Fields, find_item, item_keys

_NOT_OWNED = frozenset({"apiVersion", "kind", "status"})
_NOT_OWNED_METADATA = frozenset({"name", "namespace"})
_QUANTITY = re.compile(r"^([+-]?(?:\d+\.?\d*|\.\d+))(m|k|M|G|T|P|E|n|u|Ki|Mi|Gi|Ti|Pi|Ei|[eE][+-]?\d+)?$")
_SUFFIX = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "": Decimal(1),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "G": Decimal(10**9),
    "T": Decimal(10**12),
    "P": Decimal(10**15),
    "E": Decimal(10**18),
    "Ki": Decimal(2**10),
    "Mi": Decimal(2**20),
    "Gi": Decimal(2**30),
    "Ti": Decimal(2**40),
    "Pi": Decimal(2**50),
    "Ei": Decimal(2**60),
}
_QUANTITY_MAPS = frozenset({"limits", "requests", "capacity", "hard", "overhead"})
_QUANTITY_FIELDS = frozenset({"sizeLimit", "divisor", "averageValue"})
"""Where a value is a quantity: below these maps, and these fields. Elsewhere "1" and "1000m" are two strings."""
_DEFAULTS: Mapping[str, Any] = {
    "protocol": "TCP",  # of ports
    "apiVersion": "v1",  # of references to fields, and of claims
    "apiGroup": "rbac.authorization.k8s.io",  # of the subjects of role bindings
    "kind": "PersistentVolumeClaim",
    "volumeMode": "Filesystem",
    "status": {"phase": "Pending"},  # of claims, in the templates of stateful sets
}
_NONE: Mapping[str, Any] = {}
MISSING: Final = object()
"""In place of a value where there is none; null is one."""


class Difference(NamedTuple):
    """A place in which a live object isn't as desired."""

    path: str
    """Such as `.spec.ports[0].port`."""
    keys: tuple[str, ...]
    """The same as field sets have it."""
    desired: Any
    live: Any
    """MISSING, as `desired`, where there is nothing."""


def first_difference(desired: Mapping[str, Any], live: Mapping[str, Any], ours: Fields) -> str | None:
    """The path of the first thing that an apply would change; None when it would change nothing."""
    found = next(differences(desired, live, ours), None)
    return None if found is None else found.path


def differences(desired: Mapping[str, Any], live: Mapping[str, Any], ours: Fields) -> Iterator[Difference]:
    """Everything that an apply would change. `ours` is the field set of our Apply entry."""
    wanted = {key: value for key, value in desired.items() if key not in _NOT_OWNED}
    metadata = {k: v for k, v in (desired.get("metadata") or {}).items() if k not in _NOT_OWNED_METADATA}
    wanted["metadata"] = metadata
    if not metadata:
        del wanted["metadata"]
    owned = {key: value for key, value in ours.items() if key != "f:status"}
    is_built_in = schema.lookup(str(desired.get("apiVersion")), str(desired.get("kind"))) is not None
    return _Comparison(_DEFAULTS if is_built_in else {}).of_map(wanted, live, owned, _ROOT, quantity=False)


class _Place(NamedTuple):
    """Where we are in an object."""

    path: str
    keys: tuple[str, ...]

    def field(self, name: str) -> _Place:
        return _Place(f"{self.path}.{name}", (*self.keys, f"f:{name}"))

    def item(self, shown: int | str, key: str) -> _Place:
        return _Place(f"{self.path}[{shown}]", (*self.keys, key))

    def differs(self, desired: Any, live: Any) -> Difference:
        return Difference(self.path, self.keys, desired, live)


_ROOT = _Place("", ())


@dataclass(frozen=True, slots=True)
class _Comparison:
    defaults: Mapping[str, Any]
    """What the server fills in where desired says nothing, within values that are owned as a whole. Empty for custom
    resources: nothing is known of theirs, and to them an empty value may not be the same as none."""

    def of_value(self, desired: Any, live: Any, owned: Any, place: _Place, *, quantity: bool) -> Iterator[Difference]:
        if desired is None and live is None:
            return
        children = [key for key in owned if key != "."] if isinstance(owned, dict) else []
        if isinstance(desired, dict) and isinstance(live, dict) and children:
            yield from self.of_map(desired, live, owned, place, quantity=quantity)
        elif isinstance(desired, list) and isinstance(live, list) and children:
            yield from self.of_list(desired, live, owned, place)
        elif not same(desired, live, quantity=quantity, defaults=self.defaults):
            yield place.differs(desired, live)

    def of_map(
        self, desired: Mapping[str, Any], live: Mapping[str, Any], owned: Fields, place: _Place, *, quantity: bool
    ) -> Iterator[Difference]:
        named = {key[2:] for key in owned if key.startswith("f:")}
        for key, value in desired.items():
            here = place.field(key)
            if key not in live:
                if not _is_empty(value) or not (key in named or value is None or self.defaults):
                    yield here.differs(value, MISSING)
            elif key not in named:
                if not (self.defaults and _is_empty(value) and _is_empty(live[key])):
                    yield here.differs(value, live[key])
            else:
                is_quantity = key in _QUANTITY_MAPS if isinstance(value, dict) else quantity or key in _QUANTITY_FIELDS
                yield from self.of_value(value, live[key], owned[f"f:{key}"], here, quantity=is_quantity)
        for key in sorted(named - desired.keys()):
            yield place.field(key).differs(MISSING, live.get(key, MISSING))

    def of_list(self, desired: list[Any], live: list[Any], owned: Fields, place: _Place) -> Iterator[Difference]:
        """Items by their keys, or by their value; an order that differs makes no difference to an apply."""
        left = {key for key in owned if key != "."}
        for index, item in enumerate(desired):
            key = _owned_item(item, left)
            if key is None:
                yield place.item(index, f"i:{index}").differs(item, MISSING)
                continue
            here = place.item(index, key)
            left.discard(key)
            keys = item_keys(key)
            if keys is None:
                if item not in live:
                    yield here.differs(item, MISSING)
                continue
            there = find_item(live, keys)
            if there is None:
                yield here.differs(item, MISSING)
                continue
            # Keys that have a default are owned although desired may leave them to it.
            spelled = {name: child for name, child in owned[key].items() if not _is_defaulted(name, keys, item)}
            yield from self.of_value(item, there, spelled, here, quantity=False)
        for key in sorted(left):
            found = find_item(live, item_keys(key) or {}) if item_keys(key) else None
            yield place.item(key, key).differs(MISSING, MISSING if found is None else found)


def _owned_item(item: Any, owned: set[str]) -> str | None:
    """The key, among those in our field set, that this desired item has."""
    if isinstance(item, dict):
        fitting = [key for key in owned if (keys := item_keys(key)) is not None and find_item([item], keys) is not None]
        return fitting[0] if len(fitting) == 1 else _exact(item, fitting)
    for key in owned:
        if key.startswith("v:"):
            try:
                if orjson.loads(key[2:]) == item:
                    return key
            except orjson.JSONDecodeError:
                continue
    return None


def _exact(item: Mapping[str, Any], fitting: list[str]) -> str | None:
    for key in fitting:
        keys = item_keys(key) or {}
        if all(item.get(name) == value for name, value in keys.items()):
            return key
    return None


def _is_defaulted(name: str, keys: Mapping[str, Any], item: Mapping[str, Any]) -> bool:
    return name.startswith("f:") and name[2:] in keys and name[2:] not in item


def same(one: Any, other: Any, *, quantity: bool = False, defaults: Mapping[str, Any] = _NONE) -> bool:
    """Equal in what they say: numbers by value, quantities where they stand, absent and empty alike, and what `one`
    leaves to the defaults."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in one.keys() | other.keys():
            mine, theirs = one.get(key, defaults.get(key) if key in other else None), other.get(key)
            deeper = key in _QUANTITY_MAPS if isinstance(mine, dict) else quantity or key in _QUANTITY_FIELDS
            if not same(mine, theirs, quantity=deeper, defaults=defaults):
                return False
        return True
    if isinstance(one, list) and isinstance(other, list):
        pairs = zip(one, other, strict=False)
        return len(one) == len(other) and all(same(a, b, quantity=quantity, defaults=defaults) for a, b in pairs)
    if _is_empty(one) and _is_empty(other):
        return True
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if one == other:
        return True
    if quantity:
        mine, theirs = parse_quantity(one), parse_quantity(other)
        return mine is not None and mine == theirs
    return False


def _is_empty(value: Any) -> bool:
    return value is None or value == {} or value == []


def parse_quantity(value: Any) -> Decimal | None:
    """`500m`, `1Gi`, `0.5`, 2, `1e3` as a number; None when it is no quantity."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    match = _QUANTITY.match(str(value))
    if match is None:
        return None
    number, suffix = match.group(1), match.group(2) or ""
    try:
        if suffix[:1] in ("e", "E") and len(suffix) > 1 and suffix != "Ei":
            return Decimal(f"{number}{suffix}")
        return Decimal(number) * _SUFFIX[suffix]
    except InvalidOperation:
        return None
