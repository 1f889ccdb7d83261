"""JSON patch (RFC 6902) and JSON merge patch (RFC 7386), with the answers of a real API server when one doesn't apply.

Neither changes its arguments; what they return shares all it can with them.
"""

from __future__ import annotations

from typing import Any

from kubeapi.errors import StatusError, bad_request
from kubeapi.fields.typed import equal

MAX_OPERATIONS = 10_000
MAX_COPIED = 3 * 1024 * 1024
"""How many values all copies of one JSON patch may add, counted in characters and nodes."""
OPERATIONS = frozenset({"add", "remove", "replace", "move", "copy", "test"})


class DoesNotApply(StatusError):
    """422: the patch is well formed but not for this object. `problem` says what a real server keeps to itself."""

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(422, "Invalid", "the server rejected our request due to an error in our request")


def _without_nulls(value: Any) -> Any:
    """An element of a list in a merge patch: there is nothing that a null in it could remove; nulls of lists stay."""
    if isinstance(value, dict):
        return merge_patch({}, value)
    return [_without_nulls(child) for child in value] if isinstance(value, list) else value


def merge_patch(obj: Any, patch: Any) -> Any:
    """`obj` with the fields of a merge patch; null removes a field."""
    if not isinstance(patch, dict):
        return patch
    out = dict(obj) if isinstance(obj, dict) else {}
    for key, value in patch.items():
        if value is None:
            out.pop(key, None)
        elif isinstance(value, dict):
            out[key] = merge_patch(out.get(key), value)
        elif isinstance(value, list):
            out[key] = [_without_nulls(child) for child in value]
        else:
            out[key] = value
    return out


def json_patch(obj: Any, ops: Any) -> Any:
    """`obj` after the operations of a JSON patch, in order; all or none.

    BadRequest when `ops` is no list of operations, RequestEntityTooLarge when it is too long, DoesNotApply (422) when
    an operation doesn't fit the object.
    """
    if not isinstance(ops, list) or not all(isinstance(op, dict) for op in ops):
        raise bad_request("json: cannot unmarshal the patch: it must be a list of operations")
    if len(ops) > MAX_OPERATIONS:
        message = f"The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {len(ops)}"
        raise StatusError(413, "RequestEntityTooLarge", f"Request entity too large: {message}")
    document = _Document(obj)
    for op in ops:
        kind = op.get("op")
        if kind not in OPERATIONS:
            raise DoesNotApply(f"Unexpected kind: {kind}")
        getattr(document, kind)(op)
    return document.root


class _Document:
    """A value that is copied where it is changed, and only there."""

    def __init__(self, root: Any) -> None:
        self.root = root
        self._own: set[int] = set()
        self._kept: list[Any] = []
        self._copied = 0

    def add(self, op: dict[str, Any]) -> None:
        self._add(_pointer(op, "path"), op.get("value"), "add")

    def remove(self, op: dict[str, Any]) -> None:
        path = _pointer(op, "path")
        self._remove(path, "remove")

    def replace(self, op: dict[str, Any]) -> None:
        path = _pointer(op, "path")
        if not path:
            if not isinstance(op.get("value"), (dict, list)):
                raise DoesNotApply("replace operation value must be object or array")
            self.root = op["value"]
            return
        container, key = self._container(path, "replace operation does not apply: doc is missing path")
        if isinstance(container, dict):
            container[key] = op.get("value")
        else:
            container[_index(key, len(container), "replace operation does not apply: doc is missing key")] = op.get(
                "value"
            )

    def test(self, op: dict[str, Any]) -> None:
        path = _pointer(op, "path")
        value = self._value(path, "test operation does not apply: is missing path")
        if not equal(value, op.get("value")):
            raise DoesNotApply(f"testing value {op.get('path')} failed: test failed")

    def move(self, op: dict[str, Any]) -> None:
        source = _pointer(op, "from")
        value = self._value(source, "move operation does not apply: doc is missing from path")
        self._remove(source, "move")
        self._add(_pointer(op, "path"), value, "move")

    def copy(self, op: dict[str, Any]) -> None:
        value = self._value(_pointer(op, "from"), "copy operation does not apply: doc is missing from path")
        self._copied += _size(value)
        if self._copied > MAX_COPIED:
            raise DoesNotApply("the copy operations of the patch add too much")
        self._add(_pointer(op, "path"), value, "copy")

    def _add(self, path: list[str], value: Any, verb: str) -> None:
        if not path:
            raise DoesNotApply(f'{verb} operation does not apply: doc is missing path: "": missing value')
        container, key = self._container(path, f"{verb} operation does not apply: doc is missing path")
        if isinstance(container, dict):
            container[key] = value
        elif key == "-":
            container.append(value)
        else:
            container.insert(_index(key, len(container) + 1, f"error in {verb}: invalid index"), value)

    def _remove(self, path: list[str], verb: str) -> None:
        if not path:
            raise DoesNotApply(f'{verb} operation does not apply: doc is missing path: "": missing value')
        container, key = self._container(path, f"{verb} operation does not apply: doc is missing path")
        if isinstance(container, dict):
            if key not in container:
                raise DoesNotApply(f"Unable to remove nonexistent key: {key}: missing value")
            del container[key]
        else:
            del container[_index(key, len(container), f"error in {verb}: invalid index")]

    def _value(self, path: list[str], problem: str) -> Any:
        value = self.root
        for depth, key in enumerate(path):
            if isinstance(value, dict):
                if key not in value and depth + 1 < len(path):
                    raise DoesNotApply(f"{problem}: /{'/'.join(path)}: missing value")
                value = value.get(key)
            elif isinstance(value, list):
                value = value[_index(key, len(value), problem)]
            else:
                raise DoesNotApply(f"{problem}: /{'/'.join(path)}: missing value")
        return value

    def _container(self, path: list[str], problem: str) -> tuple[Any, str]:
        """The container of what a path leads to, ours to change, and the last key."""
        self.root = container = self._ours(self.root)
        for name in path[:-1]:
            key: Any = name if isinstance(container, dict) else _index(name, len(container), problem)
            child = container.get(key) if isinstance(container, dict) else container[key]
            if not isinstance(child, (dict, list)):
                raise DoesNotApply(f"{problem}: /{'/'.join(path)}: missing value")
            container[key] = container = self._ours(child)
        if not isinstance(container, (dict, list)):
            raise DoesNotApply(f"{problem}: /{'/'.join(path)}: missing value")
        return container, path[-1]

    def _ours(self, container: Any) -> Any:
        if id(container) in self._own:
            return container
        mine = dict(container) if isinstance(container, dict) else list(container)
        self._own.add(id(mine))
        self._kept.append(mine)  # so that no other object gets its id
        return mine


def _pointer(op: dict[str, Any], name: str) -> list[str]:
    path = op.get(name)
    if not isinstance(path, str):
        raise DoesNotApply(f"{op.get('op')} operation failed to decode {name}: missing value")
    if path == "":
        return []
    if "/" not in path:
        raise DoesNotApply(f'{op.get("op")} operation does not apply: doc is missing path: "{path}": missing value')
    return [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:]]


def _index(key: str, length: int, problem: str) -> int:
    """A list index; a negative one counts from the end, as the server's library has it."""
    try:
        index = int(key)
    except ValueError:
        raise DoesNotApply(f"{problem}: value was not a proper array index: '{key}'") from None
    if not -length <= index < length:
        raise DoesNotApply(f"{problem}: Unable to access invalid index: {index}: invalid index referenced")
    return index + length if index < 0 else index


def _size(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + sum(len(key) + _size(child) for key, child in value.items())
    if isinstance(value, list):
        return 1 + sum(map(_size, value))
    return len(value) if isinstance(value, str) else 1
