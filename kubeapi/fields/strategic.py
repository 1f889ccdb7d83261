"""Strategic merge patch: a merge patch that knows, from the schema, which lists are merged by which key.

Directives in a patch: `$patch` (replace, delete), `$retainKeys`, `$setElementOrder/<list>` and
`$deleteFromPrimitiveList/<list>`. Arguments are not changed.
"""

from __future__ import annotations

from typing import Any

from kubeapi.errors import StatusError, bad_request
from kubeapi.fields.patches import DoesNotApply
from kubeapi.fields.typed import equal, plain
from shared.schema import Schema

PATCH = "$patch"
RETAIN_KEYS = "$retainKeys"
ORDER = "$setElementOrder/"
DELETE_FROM = "$deleteFromPrimitiveList/"


def strategic_patch(obj: dict[str, Any], patch: Any, schema: Schema | None) -> dict[str, Any]:
    """`obj` after a strategic merge patch. BadRequest or 422 when the patch has malformed directives."""
    if not isinstance(patch, dict):
        raise bad_request("invalid JSON document")
    return _merge_maps(obj, patch, schema)


def _problem(message: str) -> StatusError:
    return StatusError(500, "", message)


def _child(schema: Schema | None, key: str) -> Schema | None:
    if schema is None:
        return None
    found = schema.properties.get(key)
    if found is None and isinstance(schema.additional_properties, Schema):
        return schema.additional_properties
    return found


def _strategy(schema: Schema | None) -> str:
    """merge, replace or nothing."""
    strategies = schema.patch_strategy if schema is not None else ()
    return next((one for one in strategies if one != "retainKeys"), "")


def _merge_maps(original: dict[str, Any], patch: dict[str, Any], schema: Schema | None) -> dict[str, Any]:
    if PATCH in patch:
        if patch[PATCH] == "replace":
            return {key: value for key, value in patch.items() if key != PATCH}
        if patch[PATCH] == "delete":
            return {}
        raise _problem(f"unknown patch type: {patch[PATCH]} in map: {plain(patch)}")
    out = dict(original)
    done: set[str] = set()
    if RETAIN_KEYS in patch:
        done.add(RETAIN_KEYS)
        _retain_keys(out, patch)
    for key in patch:
        if key.startswith(ORDER):
            done.add(key)
            _merge_ordered(out, patch, key, schema, done)
    for key, value in patch.items():
        if key in done:
            continue
        deleting = key.startswith(DELETE_FROM)
        if deleting:
            key = key.removeprefix(DELETE_FROM)
        if value is None:
            out.pop(key, None)
        elif key not in out or type(out[key]) is not type(value):
            if not deleting:
                _put(out, key, without_nulls(value))
        elif isinstance(value, dict):
            child = _child(schema, key)
            if _strategy(child) == "replace":
                out[key] = value
            else:
                out[key] = _merge_maps(out[key], value, child)
        elif isinstance(value, list):
            child = _child(schema, key)
            if deleting or _strategy(child) == "merge":
                out[key] = _merge_lists(out[key], value, child, deleting)
            else:
                out[key] = value
        else:
            out[key] = value
    return out


def _put(out: dict[str, Any], key: str, value: Any) -> None:
    kept, value = _without_directives(value)
    if kept:
        out[key] = value
    else:
        out.pop(key, None)


def _without_directives(value: Any) -> tuple[bool, Any]:
    """Whether a value new to the object stays, and what of it."""
    if isinstance(value, dict):
        if PATCH in value:
            return False, None
        out = {}
        for key, child in value.items():
            kept, child = _without_directives(child)
            if kept:
                out[key] = child
        return True, out
    if isinstance(value, list):
        return True, [item for kept, item in map(_without_directives, value) if kept]
    return True, value


def without_nulls(value: Any) -> Any:
    """A value without the fields that are null."""
    if isinstance(value, dict):
        return {key: without_nulls(child) for key, child in value.items() if child is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value


def _retain_keys(out: dict[str, Any], patch: dict[str, Any]) -> None:
    keys = patch[RETAIN_KEYS]
    if not isinstance(keys, list):
        raise bad_request("invalid patch format of retainKeys")
    for key, value in patch.items():
        if key == RETAIN_KEYS or value is None or key.startswith((DELETE_FROM, ORDER)):
            continue
        if key not in keys:
            raise bad_request("invalid patch format of retainKeys")
    for key in list(out):
        if key not in keys:
            del out[key]


def _merge_ordered(
    out: dict[str, Any], patch: dict[str, Any], directive: str, schema: Schema | None, done: set[str]
) -> None:
    """One list and its $setElementOrder: merged, then ordered by the directive, then by the live list."""
    key = directive.removeprefix(ORDER)
    order = patch[directive]
    live, wanted = out.get(key), patch.get(key)
    for value in (order, live, wanted):
        if value is not None and not isinstance(value, list):
            raise _problem(f"expected a []interface {{}}, but received a {type(value).__name__}")
    child = _child(schema, key)
    merge_key = child.patch_merge_key if child is not None else ""
    order = order or []
    _require_order(wanted or [], order, merge_key)
    if live is None and wanted is None:
        return
    if wanted is None:
        merged = live or []
    elif live is None:
        merged = _without_directives(wanted)[1]
    elif _strategy(child) == "merge":
        merged = _merge_lists(live, wanted, child, False)
    else:
        merged = wanted
    done.add(key)
    out[key] = _in_order(merged, order, live or [], merge_key)


def _identity(item: Any, merge_key: str) -> Any:
    if not merge_key:
        return item
    if not isinstance(item, dict):
        raise _problem(f"expected a map[string]interface {{}}, but received a {type(item).__name__}")
    if merge_key not in item:
        raise _problem(f"map: {plain(item)} does not contain declared merge key: {merge_key}")
    return item[merge_key]


def _require_order(wanted: list[Any], order: list[Any], merge_key: str) -> None:
    if not wanted or not order:
        return
    left = [item for item in wanted if not (isinstance(item, dict) and PATCH in item)]
    names = [_identity(item, merge_key) for item in order]
    at = 0
    for name in names:
        if at < len(left) and equal(_identity(left[at], merge_key), name):
            at += 1
    if at < len(left):
        raise _problem(
            f"The order in patch list:\n{plain(wanted)}\n doesn't match $setElementOrder list:\n{plain(order)}\n"
        )


def _merge_lists(live: list[Any], wanted: list[Any], schema: Schema | None, deleting: bool) -> list[Any]:
    if not live and not wanted:
        return live
    sample = [*live, *wanted]
    if len({type(item) for item in sample}) == 1 and isinstance(sample[0], list):
        raise DoesNotApply("lists of lists are not supported")
    if any(isinstance(item, (dict, list)) for item in sample) and not all(isinstance(item, dict) for item in sample):
        raise _problem(f"list element types are not identical: {plain([live, wanted])}")
    if not isinstance(sample[0], dict):
        if deleting:
            return [item for item in live if not any(equal(item, gone) for gone in wanted)]
        merged = _distinct(sample)
        return _in_order(merged, wanted, live, "")
    merge_key = schema.patch_merge_key if schema is not None else ""
    if not merge_key:
        raise _problem("cannot merge lists without merge key")
    items = schema.items if schema is not None else None
    current, plain_items = _apply_item_directives(live, wanted, merge_key)
    merged = list(current)
    for item in plain_items:
        name = _identity(item, merge_key)
        for at, mine in enumerate(merged):
            if isinstance(mine, dict) and merge_key in mine and equal(mine[merge_key], name):
                merged[at] = _merge_maps(mine, item, items)
                break
        else:
            merged.append(item)
    return _in_order(merged, plain_items, current, merge_key)


def _apply_item_directives(live: list[Any], wanted: list[Any], merge_key: str) -> tuple[list[Any], list[Any]]:
    """The live list after items with $patch: delete or replace, and the items of the patch without directive."""
    plain_items: list[Any] = []
    current = live
    replace = False
    for item in wanted:
        directive = item.get(PATCH) if PATCH in item else None
        if PATCH not in item:
            plain_items.append(item)
        elif directive == "delete":
            name = _identity(item, merge_key)
            current = [mine for mine in current if not (merge_key in mine and equal(mine[merge_key], name))]
        elif directive == "replace":
            replace = True
        elif directive == "merge":
            raise _problem("merging lists cannot yet be specified in the patch")
        else:
            raise _problem(f"unknown patch type: {directive} in map: {plain(item)}")
    return (plain_items, []) if replace else (current, plain_items)


def _distinct(items: list[Any]) -> list[Any]:
    out: list[Any] = []
    for item in items:
        if not any(equal(item, other) for other in out):
            out.append(item)
    return out


def _in_order(merged: list[Any], order: list[Any], live: list[Any], merge_key: str) -> list[Any]:
    """Items that `order` names come in its order; the others keep their live order and their place between them."""
    named = [_identity(item, merge_key) for item in order]
    was = [_identity(item, merge_key) for item in live]

    def position(item: Any, names: list[Any]) -> int:
        mine = _identity(item, merge_key)
        return next((at for at, name in enumerate(names) if equal(name, mine)), -1)

    patched = sorted((item for item in merged if position(item, named) >= 0), key=lambda item: position(item, named))
    others = [item for item in merged if position(item, named) < 0]
    others.sort(key=lambda item: position(item, was))
    out: list[Any] = []
    while patched and others:
        left, right = position(others[0], was), position(patched[0], was)
        out.append(others.pop(0) if 0 <= left < right else patched.pop(0))
    return out + others + patched
