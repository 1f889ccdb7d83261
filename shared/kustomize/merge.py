"""Strategic merge: a patch laid over an object, lists merged by the keys that the schema names.

    dest (changed in place), patch (used up), node of the schema → the merged value

The rules are upstream's, down to their corners: items that the patch names come first, a list without merge keys is
replaced, `null` removes, `$patch: delete|replace|merge` steers, and a map that the patch adds is merged with itself,
which takes nulls and directives out of it.
"""

from __future__ import annotations

from typing import Any, Final

from .errors import BuildError
from .scalars import means, text
from .schema import Node, Schema


class _Missing:
    """Nothing is there (null is something)."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()
_DIRECTIVE = "$patch"
_DEEPEST = 300
_LONGEST_UNORDERED = 1000
"""Items of a list that cannot be told apart by their keys: finding each takes time that grows with the square."""
_NAMES: dict[type, str] = {dict: "a mapping", list: "a list"}


def merge(dest: dict[str, Any], patch: dict[str, Any], schema: Schema) -> dict[str, Any] | None:
    """The object with the patch laid over it; None when the patch deletes it. Both arguments are used up.

    `$patch: replace` at the top of a patch changes nothing, as upstream has it.
    """
    result = _Merge(schema).walk(dest, patch, None, ())
    return None if result is MISSING else dest


def _nothing(value: Any) -> bool:
    return value is MISSING or value is None


def describe(value: Any) -> str:
    return _NAMES.get(type(value), "a single value")


class _Merge:
    def __init__(self, schema: Schema) -> None:
        self.schema = schema

    def _node(self, dest: Any, patch: Any) -> Node | None:
        """What is known of a value by its own kind and apiVersion."""
        for value in (dest, patch):
            if isinstance(value, dict):
                kind, version = text(value.get("kind")), text(value.get("apiVersion"))
                if kind and version:
                    node = self.schema.kind(version, kind)
                    if node is not None:
                        return node
        return None

    def walk(self, dest: Any, patch: Any, node: Node | None, path: tuple[str, ...]) -> Any:
        """The merged value, MISSING when there is none."""
        if len(path) > _DEEPEST:
            raise BuildError(f"a patch is nested deeper than {_DEEPEST} levels")
        if _nothing(dest) and _nothing(patch):
            return None if dest is None and patch is MISSING else MISSING
        lead = patch if _nothing(dest) else dest
        other = patch if lead is dest else MISSING
        if isinstance(lead, dict):
            if not _nothing(other) and not isinstance(other, dict):
                raise self._mismatch(lead, other, path)
            return self._map(dest, patch, node or self._node(dest, patch), path)
        if isinstance(lead, list):
            if not _nothing(other) and not isinstance(other, list):
                raise self._mismatch(lead, other, path)
            return self._list(dest, patch, node, path)
        if not _nothing(other) and isinstance(other, dict | list):
            raise self._mismatch(lead, other, path)
        if patch is MISSING:
            return dest
        return MISSING if patch is None else restyled(dest, patch)

    def _mismatch(self, dest: Any, patch: Any, path: tuple[str, ...]) -> BuildError:
        where = ".".join(path) or "the object"
        return BuildError(f"{where} is {describe(dest)}, but the patch has {describe(patch)} there")

    # Mappings.

    def _map(self, dest: Any, patch: Any, node: Node | None, path: tuple[str, ...]) -> Any:
        if _nothing(dest):
            if _map_directive(patch, path, strict=False) == "delete":
                return MISSING
            dest = patch
        elif patch is None:
            return MISSING
        elif patch is not MISSING:
            directive = _map_directive(patch, path)
            if directive == "delete":
                return MISSING
            if directive == "replace":
                dest = patch
        elif node is None or not node.leads_to_merges:
            return dest
        same = dest is patch
        names = list(dest) if same or patch is MISSING else [*dest, *(name for name in patch if name not in dest)]
        for name in names:
            child = node.field(name) if node is not None else None
            old = dest.get(name, MISSING)
            new = self.walk(old, MISSING if patch is MISSING else patch.get(name, MISSING), child, (*path, name))
            if new is MISSING:
                dest.pop(name, None)
            elif new is not old:
                dest[name] = new
        return dest

    # Lists.

    def _list(self, dest: Any, patch: Any, node: Node | None, path: tuple[str, ...]) -> Any:
        if node is None or not node.merges:
            if patch is MISSING:
                return dest
            return MISSING if patch is None else patch
        if _nothing(dest):
            dest = patch
        elif patch is None:
            return MISSING
        elif patch is not MISSING:
            directive = _list_directive(patch, path)
            if directive == "delete":
                return MISSING
            if directive == "replace":
                dest = patch
        quick = self._distinct(dest, patch, node, path) if node.keys else _union(dest, patch)
        if quick is not None:
            return quick
        count = len(dest) + (0 if patch is MISSING or patch is dest else len(patch))
        if count > _LONGEST_UNORDERED:
            where = ".".join(path)
            raise BuildError(f"{where} has {count} items, and some have no key of their own: name them differently")
        sources = [dest] if patch is MISSING else [patch, dest]
        keys = list(node.keys)
        values = _unique(_values(item, keys) for source in sources for item in source) if keys else []
        if not keys:
            keys = [""]
            values = _unique([text(item)] for source in sources for item in source)
        return self._associative(values, keys, dest, patch, node.items(), path)

    def _distinct(self, dest: list[Any], patch: Any, node: Node, path: tuple[str, ...]) -> list[Any] | None:
        """The usual case in linear time: every item has the same keys, and values of its own for them.

        Of a list with several keys, the items that the object had come last, in their order.
        """
        other = [] if patch is MISSING or patch is dest else patch
        keys = [key for key in node.keys if any(isinstance(i, dict) and text(i.get(key)) for i in (*dest, *other))]
        ours = _index(dest, keys)
        theirs = ours if patch is dest else _index(other, keys)
        if not keys or ours is None or theirs is None:
            return None
        result = []
        below, here = node.items(), (*path, "[]")
        first = theirs if len(keys) == 1 else [values for values in theirs if values not in ours]
        for values in [*first, *(values for values in ours if len(keys) > 1 or values not in theirs)]:
            old = ours.get(values, MISSING)
            merged = self.walk(old, theirs.get(values, MISSING) if patch is not MISSING else MISSING, below, here)
            if not _nothing(merged) and merged != {}:
                # An item that the object had stays that item, even if the patch says replace.
                item: dict[str, Any] = merged if isinstance(old, _Missing) else old
                for key, value in zip(keys, values, strict=True):
                    item.setdefault(key, means(value))
                result.append(item)
        return result

    def _associative(
        self,
        values: list[list[str]],
        keys: list[str],
        dest: list[Any],
        patch: Any,
        node: Node | None,
        path: tuple[str, ...],
    ) -> list[Any]:
        added: list[Any] = []
        if len(keys) > 1:
            _complete(values)
        valid_keys: list[str] = keys
        usable = {key for row in values for key, value in zip(keys, row, strict=True) if value}
        here = (*path, "[]")
        for row in values:
            valid_keys, valid = _valid(usable, row, keys)
            own_keys, own = _valid({k for k, v in zip(valid_keys, valid, strict=False) if v}, valid, valid_keys)
            merged = self.walk(
                _find(dest, own_keys, own),
                MISSING if patch is MISSING else _find(patch, own_keys, own),
                node,
                here,
            )
            if _nothing(merged) or merged == {}:
                _set(dest, MISSING, valid_keys, valid, path)
                continue
            if isinstance(merged, dict):
                for key, value in zip(valid_keys, valid, strict=False):
                    if key not in merged and value:
                        merged[key] = means(value)
            _set(added, merged, valid_keys, valid, path)
        if not values:
            return dest
        return _append(added, dest, valid_keys, path)


def restyled(old: Any, new: Any) -> Any:
    """A scalar written over another one keeps the quotes that stood there."""
    if isinstance(old, str) and not isinstance(new, str) and new is not None and means(old) != old:
        return text(new)
    return new


def _map_directive(patch: dict[str, Any], path: tuple[str, ...], *, strict: bool = True) -> str:
    if _DIRECTIVE not in patch:
        return "merge"
    value = text(patch[_DIRECTIVE])
    if value in ("delete", "replace", "merge"):
        del patch[_DIRECTIVE]
        return value
    if strict:
        raise _unknown(value, path)
    return "merge"


def _list_directive(patch: list[Any], path: tuple[str, ...]) -> str:
    item = next((item for item in patch if isinstance(item, dict) and _DIRECTIVE in item), None)
    if item is None or len(item) > 1:
        return "merge"
    value = text(item[_DIRECTIVE])
    if value not in ("delete", "replace", "merge"):
        raise _unknown(value, path)
    _set(patch, MISSING, [_DIRECTIVE], [value], path)
    return value


def _unknown(value: str, path: tuple[str, ...]) -> BuildError:
    where = ".".join((*path, _DIRECTIVE))
    return BuildError(f"{where} must be delete, replace or merge, not {value!r}")


# Items by key.


def _index(items: list[Any], keys: list[str]) -> dict[tuple[str, ...], dict[str, Any]] | None:
    """The items by the texts of their keys; None when one lacks a key or two have the same."""
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for item in items:
        values = tuple(text(item.get(key)) for key in keys) if isinstance(item, dict) else ("",)
        if not all(values) or values in found:
            return None
        found[values] = item
    return found


def _union(dest: list[Any], patch: Any) -> list[Any] | None:
    """A set of single values: those of the patch, then the others of the object. None when that is not all."""
    ours = _texts(dest)
    theirs = ours if patch is dest else _texts([] if patch is MISSING else patch)
    if ours is None or theirs is None:
        return None
    return [*(ours.get(value, item) for value, item in theirs.items()), *(ours[v] for v in ours if v not in theirs)]


def _texts(items: list[Any]) -> dict[str, Any] | None:
    found: dict[str, Any] = {}
    for item in items:
        value = text(item)
        if not value or value in found:
            return None
        found[value] = item
    return found


def _values(item: Any, keys: list[str]) -> list[str]:
    if not isinstance(item, dict):
        return [""] * len(keys)
    return [text(item.get(key)) for key in keys]


def _unique(rows: Any) -> list[list[str]]:
    return [list(row) for row in dict.fromkeys(tuple(row) for row in rows)]


def _complete(rows: list[list[str]]) -> None:
    """Fill the gaps of a row from another one that agrees with it in at least one key and contradicts it in none."""
    if all(value for row in rows for value in row):
        return
    for i in range(len(rows)):
        for j in range(len(rows)):
            both = _agreed(rows[i], rows[j])
            if both is not None:
                rows[i] = rows[j] = both


def _agreed(one: list[str], other: list[str]) -> list[str] | None:
    shared = False
    row = []
    for a, b in zip(one, other, strict=True):
        if a == b:
            shared = True
        elif a and b:
            return None
        row.append(a or b)
    return row if shared else None


def _valid(usable: set[str], row: list[str], keys: list[str]) -> tuple[list[str], list[str]]:
    """The keys that say something, and their values; all of them when none does."""
    if not usable:
        return keys, row
    return (
        [key for key in keys if key in usable],
        [value for key, value in zip(keys, row, strict=False) if value or key in usable],
    )


def _find(items: list[Any], keys: list[str], values: list[str]) -> Any:
    """The first item with these values."""
    if not keys or not keys[0]:
        wanted = values[0] if values else ""
        return next((item for item in items if text(item) == wanted), MISSING)
    for item in items:
        if isinstance(item, dict) and all(
            key in item and text(item[key]) == value for key, value in zip(keys, values, strict=False)
        ):
            return item
    return MISSING


def _matches(item: Any, keys: list[str], values: list[str], path: tuple[str, ...]) -> bool:
    found = False
    for index, key in enumerate(keys):
        if index < len(values):
            wanted = values[index]
            if not key:
                if isinstance(item, dict | list):
                    raise BuildError(f"{'.'.join(path)} must be a list of single values, not of {describe(item)}")
                found = text(item) == wanted
            elif not isinstance(item, dict):
                raise BuildError(f"{'.'.join(path)} must be a list of mappings with {key!r}, not of {describe(item)}")
            else:
                found = key in item and (not wanted or text(item[key]) == wanted)
        if not found:
            return False
    return found


def _set(items: list[Any], new: Any, keys: list[str], values: list[str], path: tuple[str, ...]) -> None:
    """Put `new` in the place of the items with these values, or at the end; MISSING removes them."""
    wants_maps = bool(keys and keys[0] and values and values[0])
    kept: list[Any] = []
    matched = False
    for item in items:
        if item is None or item == {}:
            continue
        if wants_maps and not isinstance(item, dict):
            kept.append(item)
        elif not _matches(item, keys, values, path):
            if values:
                kept.append(item)
        else:
            matched = True
            if new is not MISSING:
                kept.append(new)
    items[:] = kept
    if new is not MISSING and not matched:
        items.append(new)


def _append(added: list[Any], dest: list[Any], keys: list[str], path: tuple[str, ...]) -> list[Any]:
    """The items of the patch, then those of the object that are not among them."""
    for item in list(dest):
        if not keys[0]:
            _set(added, item, [""], [text(item)], path)
            continue
        values = []
        for key in keys:
            if item is not None and not isinstance(item, dict):
                raise BuildError(f"{'.'.join(path)} must be a list of mappings with {key!r}, not of {describe(item)}")
            if item is None or key not in item:
                added.append(item)
            else:
                values.append(text(item[key]))
        if len(keys) > 1:
            _set(added, MISSING, keys, values, path)
        _set(added, item, keys, values, path)
    return added
