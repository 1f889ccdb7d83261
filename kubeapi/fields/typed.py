"""Values under merge rules: the fields that a value sets, two values merged, compared, and fields taken out of a value.

Nothing here changes its arguments; what a function returns shares all it can with them. `merge` returns its first
argument itself when merging changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from kubeapi.fields.atoms import Atom, KeyProblem
from kubeapi.fields.sets import LEAF, SELF, FieldSet, as_member, is_member, text

ABSENT: Any = object()
SCALARS = (str, int, float, bool)


class TypeProblem(ValueError):
    """A value is not what its schema says; the text lists every problem with its path."""

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        texts = [f"{path}: {problem}" if path else problem for path, problem in problems]
        super().__init__(texts[0] if len(texts) == 1 else "\n  ".join(["errors:", *texts]))


def check(value: Any, atom: Atom) -> None:
    """Raises TypeProblem unless `value` has the types of `atom`, only declared fields, and no element twice."""
    problems: list[tuple[str, str]] = []
    _check(value, atom, "", problems)
    if problems:
        raise TypeProblem(problems)


def _check(value: Any, atom: Atom, path: str, problems: list[tuple[str, str]]) -> None:
    if value is None:
        return
    if isinstance(value, dict) and atom.is_map:
        fields = atom.fields
        for key, child in value.items():
            below = fields.get(key) or atom.element
            if below is None:
                problems.append((f"{path}.{key}", "field not declared in schema"))
                return
            _check(child, below, f"{path}.{key}", problems)
    elif isinstance(value, list) and atom.is_list:
        _check_list(value, atom, path, problems)
    elif atom.is_map and not (atom.scalar and isinstance(value, SCALARS)):
        problems.append((path, f"expected map, got {show(value)}"))
    elif atom.scalar:
        problem = _scalar_problem(value, atom.scalar)
        if problem:
            problems.append((path, problem))
    else:
        problems.append((path, f"expected list, got {show(value)}"))


def _check_list(value: list[Any], atom: Atom, path: str, problems: list[tuple[str, str]]) -> None:
    if atom.list_atomic:
        for index, item in enumerate(value):
            _check(item, atom.item, f"{path}[{index}]", problems)
        return
    seen: set[str] = set()
    for index, item in enumerate(value):
        try:
            key = atom.key_of(item)
        except KeyProblem as problem:
            problems.append((path, f"element {index}: {problem}"))
            return
        shown = text((key,))
        if key in seen:
            problems.append((path, f"duplicate entries for key {shown}"))
        seen.add(key)
        _check(item, atom.item, path + shown, problems)


def _scalar_problem(value: Any, scalar: str) -> str:
    if scalar == "string":
        return "" if isinstance(value, str) else f"expected string, got &value.valueUnstructured{{Value:{_go(value)}}}"
    if scalar == "numeric":
        fits = isinstance(value, (int, float)) and not isinstance(value, bool)
        return "" if fits else f"expected numeric (int or float), got {_go_type(value)}"
    if scalar == "boolean":
        return "" if isinstance(value, bool) else f"expected boolean, got {show(value)}"
    return "" if isinstance(value, SCALARS) else f"expected any scalar, got {show(value)}"


def show(value: Any) -> str:
    """A value as a message about its type shows it: Go's %v of a structured-merge value."""
    return f"&{{{plain(value)}}}"


def plain(value: Any) -> str:
    """A value as Go's %v prints it."""
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{plain(value[key])}" for key in sorted(value)) + "]"
    if isinstance(value, list):
        return "[" + " ".join(map(plain, value)) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return "<nil>" if value is None else str(value)


def _go(value: Any) -> str:
    """Go's %#v of a JSON value."""
    if isinstance(value, dict):
        return "map[string]interface {}{" + ", ".join(f"{_go(key)}:{_go(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list):
        return "[]interface {}{" + ", ".join(map(_go, value)) + "}"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, bool):
        return "true" if value else "false"
    return "interface {}(nil)" if value is None else str(value)


def _go_type(value: Any) -> str:
    kinds = ((bool, "bool"), (str, "string"), (dict, "map[string]interface {}"), (list, "[]interface {}"))
    return next((name for kind, name in kinds if isinstance(value, kind)), "<nil>")


def field_set(value: Any, atom: Atom) -> FieldSet:
    """The fields that a value (a whole object) sets: its leaves, the items of its lists and the keys of its maps."""
    return _owned(value, atom) or {}


def _owned(value: Any, atom: Atom) -> FieldSet | None:
    """The node of one value; None when it and all below own nothing."""
    if isinstance(value, dict) and atom.is_map:
        if atom.map_atomic:
            return LEAF
        out: FieldSet = {}
        fields = atom.fields
        for key, child in value.items():
            declared = fields.get(key)
            below = declared or atom.element
            if below is None:
                continue
            node = _owned(child, below)
            if child is None or declared is None or (not child and isinstance(child, dict)):
                node = LEAF if node is None else as_member(node)
            if node is not None:
                out[f"f:{key}"] = node
        return out or None
    if isinstance(value, list) and atom.is_list:
        if atom.list_atomic:
            return LEAF
        return _owned_items(value, atom)
    if value is None and (atom.is_map or not atom.scalar):
        return LEAF if (atom.map_atomic if atom.is_map else atom.list_atomic) else None
    return LEAF


def _owned_items(value: list[Any], atom: Atom) -> FieldSet | None:
    out: FieldSet = {}
    twice: set[str] = set()
    for item in value:
        key = atom.key_of(item)
        if key in out:
            twice.add(key)
        out[key] = as_member(_owned(item, atom.item) or LEAF)
    for key in twice:
        out[key] = LEAF
    return out or None


def wholes(value: Any, atom: Atom, path: str = "") -> Iterator[str]:
    """The paths of lists and maps in a value that are only ever replaced as a whole."""
    if isinstance(value, dict) and atom.is_map:
        if atom.map_atomic:
            yield path
        for key, child in value.items():
            below = atom.fields.get(key)
            if below is not None:
                yield from wholes(child, below, f"{path}.{key}")
    elif isinstance(value, list) and atom.is_list:
        if atom.list_atomic:
            yield path
        if atom.item is not None:
            for index, child in enumerate(value):
                yield from wholes(child, atom.item, f"{path}[{index}]")


def merge(live: Any, applied: Any, atom: Atom) -> Any:
    """`live` with all that `applied` sets; the order of a list is that of `applied` where it changes the list."""
    if isinstance(applied, dict) and atom.is_map:
        if not isinstance(live, dict):
            return applied
        if atom.map_atomic or not (live and applied):
            return live if (equal(live, applied) or (live and not atom.map_atomic)) else applied
        out = live
        fields = atom.fields
        for key, wanted in applied.items():
            current = live.get(key, ABSENT)
            below = fields.get(key) or atom.element
            merged = wanted if current is ABSENT or below is None else merge(current, wanted, below)
            if merged is not current:
                if out is live:
                    out = dict(live)
                out[key] = merged
        return out
    if isinstance(applied, list) and atom.is_list:
        if not isinstance(live, list):
            return applied
        if atom.list_atomic or not (live and applied):
            return live if (equal(live, applied) or (live and not atom.list_atomic)) else applied
        return _merge_lists(live, applied, atom)
    if applied is None and live and _is_granular(live, atom):
        return live
    return live if equal(live, applied) else applied


def _is_granular(value: Any, atom: Atom) -> bool:
    if isinstance(value, dict):
        return atom.is_map and not atom.map_atomic
    return isinstance(value, list) and atom.is_list and not atom.list_atomic and not atom.is_map


def _merge_lists(live: list[Any], applied: list[Any], atom: Atom) -> list[Any]:
    """Items that both have come in the order of `applied`; those only in `live` stay where they were between them."""
    live_keys, applied_keys = [atom.key_of(item) for item in live], [atom.key_of(item) for item in applied]
    live_by_key: dict[str, Any] = {}
    for key, item in zip(live_keys, live, strict=True):
        live_by_key[key] = None if key in live_by_key else item
    applied_by_key = dict(zip(applied_keys, applied, strict=True))
    shared = [key for key in applied_keys if key in live_by_key]
    shared.reverse()
    out: list[Any] = []
    done: set[str] = set()

    def take(key: str) -> None:
        done.add(key)
        wanted = applied_by_key[key]
        out.append(merge(live_by_key[key], wanted, atom.item) if key in live_by_key else wanted)
        if shared and shared[-1] == key:
            shared.pop()

    at_live = at_applied = 0
    while at_live < len(live) or at_applied < len(applied):
        if at_live < len(live) and at_applied < len(applied):
            key = live_keys[at_live]
            if key == applied_keys[at_applied]:
                take(key)
                at_live, at_applied = at_live + 1, at_applied + 1
                continue
            if key in applied_by_key and shared and shared[-1] != key:
                at_live += 1
                continue
        if at_live < len(live):
            key = live_keys[at_live]
            if key not in applied_by_key:
                out.append(live[at_live])
                at_live += 1
                continue
            if key in done:
                at_live += 1
        if at_applied < len(applied):
            take(applied_keys[at_applied])
            at_applied += 1
    unchanged = len(out) == len(live) and all(new is old for new, old in zip(out, live, strict=True))
    return live if unchanged else out


def equal(one: Any, other: Any) -> bool:
    """Whether two JSON values are the same; true is not 1."""
    if one is other:
        return True
    if isinstance(one, dict):
        return (
            isinstance(other, dict)
            and len(one) == len(other)
            and all(key in other and equal(value, other[key]) for key, value in one.items())
        )
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


class Comparison:
    """The fields that differ between two values: none is in two of the sets."""

    __slots__ = ("added", "modified", "removed")

    def __init__(self, removed: FieldSet, modified: FieldSet, added: FieldSet) -> None:
        self.removed = removed
        self.modified = modified
        self.added = added


def compare(old: Any, new: Any, atom: Atom) -> Comparison:
    """What `new` has removed from `old`, modified in it, and added to it."""
    found = Comparison({}, {}, {})
    _compare(old, new, atom, found.removed, found.modified, found.added)
    return found


def _compare(old: Any, new: Any, atom: Atom, removed: FieldSet, modified: FieldSet, added: FieldSet) -> bool:
    """Fills the three sets with what differs below; returns whether the value itself is modified."""
    if old is new:
        return False
    old_map, new_map = isinstance(old, dict) and atom.is_map, isinstance(new, dict) and atom.is_map
    if (old_map or new_map) and not atom.map_atomic:
        if old_map and new_map:
            _compare_maps(old, new, atom, removed, modified, added)
            return False
        if old_map and old:
            removed.update(_everything(old, atom))
            return new is not None
        if new_map and new:
            added.update(_everything(new, atom))
            return old is not None
    old_list, new_list = isinstance(old, list) and atom.is_list, isinstance(new, list) and atom.is_list
    if (old_list or new_list) and not atom.list_atomic:
        if old_list and new_list:
            _compare_lists(old, new, atom, removed, modified, added)
            return False
        if old_list and old:
            removed.update(_everything(old, atom))
            return new is not None
        if new_list and new:
            added.update(_everything(new, atom))
            return old is not None
    return not equal(old, new)


def _compare_maps(
    old: dict[str, Any], new: dict[str, Any], atom: Atom, removed: FieldSet, modified: FieldSet, added: FieldSet
) -> None:
    fields = atom.fields
    for key, value in old.items():
        other = new.get(key, ABSENT)
        if other is value:
            continue
        below = fields.get(key) or atom.element
        if below is None:
            continue
        if other is ABSENT:
            removed[f"f:{key}"] = everything(value, below)
        elif not isinstance(value, (dict, list)) and not isinstance(other, (dict, list)):
            if not equal(value, other):
                modified[f"f:{key}"] = LEAF
        else:
            _compare_into(f"f:{key}", value, other, below, removed, modified, added)
    for key, value in new.items():
        if key not in old:
            below = fields.get(key) or atom.element
            if below is not None:
                added[f"f:{key}"] = everything(value, below)


def _compare_into(
    element: str, old: Any, new: Any, atom: Atom, removed: FieldSet, modified: FieldSet, added: FieldSet
) -> None:
    below_removed: FieldSet = {}
    below_modified: FieldSet = {}
    below_added: FieldSet = {}
    if _compare(old, new, atom, below_removed, below_modified, below_added):
        modified[element] = as_member(below_modified)
    elif below_modified:
        modified[element] = below_modified
    if below_removed:
        removed[element] = below_removed
    if below_added:
        added[element] = below_added


def _grouped(value: list[Any], atom: Atom) -> dict[str, list[Any]]:
    groups: dict[str, list[Any]] = {}
    for item in value:
        try:
            groups.setdefault(atom.key_of(item), []).append(item)
        except KeyProblem:
            continue
    return groups


def _compare_lists(
    old: list[Any], new: list[Any], atom: Atom, removed: FieldSet, modified: FieldSet, added: FieldSet
) -> None:
    before, after = _grouped(old, atom), _grouped(new, atom)
    for key in {**before, **after}:
        was, now = before.get(key, []), after.get(key, [])
        if len(was) <= 1 and len(now) <= 1:
            if not was:
                added[key] = everything(now[0], atom.item)
            elif not now:
                removed[key] = everything(was[0], atom.item)
            else:
                _compare_into(key, was[0], now[0], atom.item, removed, modified, added)
        elif len(was) > 1 and len(now) > 1:
            if not equal(was, now):
                modified[key] = LEAF
        elif len(was) > 1:
            if now:
                added[key] = everything(now[0], atom.item)
            removed[key] = LEAF
        else:
            if was:
                removed[key] = everything(was[0], atom.item)
            added[key] = LEAF


def everything(value: Any, atom: Atom) -> FieldSet:
    """The node of a value that is there as a whole: it and every field, key and item below are members."""
    below = _everything(value, atom)
    return {SELF: LEAF, **below} if below else LEAF


def _everything(value: Any, atom: Atom) -> FieldSet:
    out: FieldSet = {}
    if isinstance(value, dict) and atom.is_map and not atom.map_atomic:
        fields = atom.fields
        for key, child in value.items():
            below = fields.get(key) or atom.element
            if below is not None:
                out[f"f:{key}"] = everything(child, below) if isinstance(child, (dict, list)) else LEAF
    elif isinstance(value, list) and atom.is_list and not atom.list_atomic:
        for key, items in _grouped(value, atom).items():
            out[key] = everything(items[0], atom.item) if len(items) == 1 else LEAF
    return out


def without(value: Any, fields: FieldSet, atom: Atom) -> Any:
    """`value` without the fields and items in the set; None when nothing is left of a container."""
    if isinstance(value, dict) and atom.is_map:
        if not value or atom.map_atomic:
            return None
        out = {}
        declared = atom.fields
        for key, child in value.items():
            node = fields.get(f"f:{key}")
            if node is None:
                out[key] = child
            elif not is_member(node):
                below = declared.get(key) or atom.element
                out[key] = child if below is None else without(child, node, below)
        return out or None
    if isinstance(value, list) and atom.is_list:
        if not value or atom.list_atomic:
            return None
        items = []
        for item in value:
            node = fields.get(atom.key_of(item))
            if node is None:
                items.append(item)
            elif not is_member(node):
                items.append(without(item, node, atom.item))
        return items or None
    return value


def named_are_members(fields: FieldSet, atom: Atom | None) -> FieldSet:
    """The set with every declared field that has members below it a member too."""
    if atom is None:
        return fields
    out: FieldSet = {}
    declared = atom.fields if atom.is_map else {}
    for element, node in fields.items():
        if node and element != SELF:
            node = named_are_members(node, atom.child(element))
            if element[0] == "f" and element[2:] in declared:
                node = as_member(node)
        out[element] = node
    return out


def reconciled(fields: FieldSet, atom: Atom | None) -> FieldSet:
    """The set after its schema changed: what is below a list or map that became atomic is now that list or map."""
    if atom is None or not fields:
        return fields
    whole = (atom.is_map and atom.map_atomic) if atom.is_map else (atom.is_list and atom.list_atomic)
    if whole and any(element != SELF for element in fields):
        return LEAF
    out = fields
    for element, node in fields.items():
        if node and element != SELF:
            below = reconciled(node, atom.child(element))
            if below is not node:
                out = {**out, element: below}
    return out
