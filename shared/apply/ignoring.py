"""Fields that others may own: which ones a manifest has, and what to send and to compare in their place.

    rules, manifest → pointers
    pointers, manifest, live object → the manifest to send, which leaves them as they are in the cluster
    pointers, manifest, live object, field set → the same without them, to be compared

An object that isn't there yet is created as the source says it. All of this is pure.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import orjson

from shared.api.meta import Manifest
from shared.apply import fields
from shared.apply.diff import MISSING, same
from shared.apply.fields import Fields
from shared.kustomize import BuildError
from shared.kustomize.selectors import Selector, label_selector

Pointer: TypeAlias = tuple[str, ...]
"""The unescaped parts of a JSON pointer."""


class RuleError(ValueError):
    """A rule that can't be used. The message quotes it."""


class _Selector(Protocol):
    group: str | None
    version: str | None
    kind: str | None
    name: str | None
    namespace: str | None
    label_selector: str | None
    annotation_selector: str | None


class Rule(Protocol):
    """An entry of `ignore` in a spec: `paths` are JSON pointers, `target` says which objects, None all."""

    @property
    def paths(self) -> Sequence[str]: ...
    @property
    def target(self) -> _Selector | None: ...


class Rules:
    """The rules of one owner. RuleError when one of them can't be used."""

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self._rules = [(_Target(rule.target), tuple(map(_parsed, rule.paths))) for rule in rules]
        said = [[str(target), paths] for target, paths in self._rules]
        self.digest = hashlib.blake2b(orjson.dumps(said), digest_size=8).hexdigest() if said else ""
        """Equal for equal rules; empty when there is none."""

    def pointers(self, manifest: Manifest) -> tuple[Pointer, ...]:
        """The fields of this object that others may own."""
        found: dict[Pointer, None] = {}
        for target, paths in self._rules:
            if target.matches(manifest):
                found |= dict.fromkeys(paths)
        return tuple(found)


class _Target:
    def __init__(self, target: _Selector | None) -> None:
        self._selector = Selector() if target is None else _selector(target)
        try:
            self._selector.check()
            self._labels = label_selector(self._selector.labels)
            self._annotations = label_selector(self._selector.annotations)
        except BuildError as error:
            raise RuleError(f"the target of an ignore rule can't be used: {error}") from error

    def matches(self, manifest: Manifest) -> bool:
        metadata = manifest.get("metadata") or {}
        group, _, version = str(manifest.get("apiVersion") or "").rpartition("/")
        name, namespace = metadata.get("name") or "", metadata.get("namespace") or ""
        return (
            self._selector.matches_id(group, version, str(manifest.get("kind") or ""), name, namespace)
            and self._labels(metadata.get("labels") or {})
            and self._annotations(metadata.get("annotations") or {})
        )

    def __str__(self) -> str:
        return repr(tuple(self._selector))


def _selector(target: _Selector) -> Selector:
    return Selector(
        target.group or "",
        target.version or "",
        target.kind or "",
        target.name or "",
        target.namespace or "",
        target.label_selector or "",
        target.annotation_selector or "",
    )


def _parsed(pointer: str) -> Pointer:
    if not pointer.startswith("/"):
        raise RuleError(f"the path '{pointer}' of an ignore rule is no JSON pointer: it must begin with /")
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in pointer[1:].split("/"))


def yielded(
    desired: Manifest,
    live: Mapping[str, Any],
    pointers: Iterable[Pointer],
    entries: Iterable[fields.Entry],
    manager: str,
) -> Manifest:
    """The manifest to send in place of `desired`: where a field to ignore differs, it has what is in the cluster, or,
    when another manager applies that field, nothing, which leaves it to that manager."""
    entries = list(entries)
    ours = fields.own(entries, manager) or {}
    others = [
        entry.get("fieldsV1") or {}
        for entry in entries
        if entry.get("operation") == "Apply" and entry.get("manager") != manager
    ]
    result = copy.deepcopy(desired)
    for pointer in pointers:
        wanted, found = lookup(desired, pointer), lookup(live, pointer)
        if wanted is found or (wanted is not MISSING and found is not MISSING and same(wanted, found)):
            continue
        is_others = any(_owns(theirs, live, pointer) for theirs in others)
        if wanted is MISSING and (is_others or not _owns(ours.get("fieldsV1") or {}, live, pointer)):
            continue  # Nothing that we send, or leave out, touches it.
        if is_others or found is MISSING:
            _remove(result, pointer)
        else:
            _put(result, pointer, copy.deepcopy(found))
    return result


def compared(
    desired: Manifest, live: Manifest, ours: Fields, pointers: Iterable[Pointer]
) -> tuple[Manifest, Manifest, Fields]:
    """The three without the fields to ignore."""
    desired, left, owned = copy.deepcopy(desired), copy.deepcopy(live), copy.deepcopy(ours)
    for pointer in pointers:
        _disown(owned, live, pointer)
        _remove(desired, pointer)
        _remove(left, pointer)
    return desired, left, owned


def lookup(value: Any, pointer: Pointer) -> Any:
    """What a pointer leads to; MISSING when nothing is there."""
    for part in pointer:
        if isinstance(value, dict):
            value = value.get(part, MISSING)
        elif isinstance(value, list) and (index := _index(value, part)) is not None:
            value = value[index]
        else:
            return MISSING
    return value


def _index(items: Sequence[Any], part: str) -> int | None:
    return int(part) if part.isascii() and part.isdigit() and int(part) < len(items) else None


def _remove(value: Any, pointer: Pointer) -> None:
    """Takes a field away, and the maps that are empty without it."""
    part, rest = pointer[0], pointer[1:]
    if isinstance(value, dict) and part in value:
        if rest:
            _remove(value[part], rest)
        if not rest or value[part] == {}:
            del value[part]
    elif isinstance(value, list) and (index := _index(value, part)) is not None:
        if rest:
            _remove(value[index], rest)
        else:
            del value[index]


def _put(value: Any, pointer: Pointer, found: Any) -> None:
    for part in pointer[:-1]:
        if isinstance(value, dict):
            value = value.setdefault(part, {})
        elif isinstance(value, list) and (index := _index(value, part)) is not None:
            value = value[index]
        else:
            return
    if isinstance(value, dict):
        value[pointer[-1]] = found
    elif isinstance(value, list) and (index := _index(value, pointer[-1])) is not None:
        value[index] = found


def _owns(owned: Fields, value: Any, pointer: Pointer) -> bool:
    """Is the field in a field set, or something below it? `value` is the object that the set is of."""
    for part in pointer:
        key = _key(owned, value, part)
        if key is None:
            return False
        owned = owned[key]
        if not owned:
            return True  # What is owned as a whole.
        value = lookup(value, (part,))
    return True


def _disown(owned: Fields, value: Any, pointer: Pointer) -> None:
    """Takes a field out of a field set, and the nodes that hold nothing without it."""
    part, rest = pointer[0], pointer[1:]
    key = _key(owned, value, part)
    if key is None:
        return
    if rest and owned[key]:
        _disown(owned[key], lookup(value, (part,)), rest)
        if owned[key].keys() - {"."}:
            return
    elif rest:
        return
    del owned[key]


def _key(owned: Fields, value: Any, part: str) -> str | None:
    """Under which key a field set has a field, or an item of a list."""
    if isinstance(value, list):
        if (index := _index(value, part)) is None:
            return None
        item = value[index]
        for key in owned:
            keys = fields.item_keys(key)
            if keys is not None and isinstance(item, dict) and fields.find_item([item], keys) is not None:
                return key
        return None
    return f"f:{part}" if f"f:{part}" in owned else None
