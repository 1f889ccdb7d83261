"""ConfigMaps and Secrets made from literals, files and env files."""

from __future__ import annotations

import base64
import posixpath
from collections.abc import Mapping
from typing import Any

from .errors import BuildError, Problem, Problems
from .loader import Loader
from .resource import Resource
from .scalars import copy, text
from .schema import Schema

_LINE = 70
_BOM = b"\xef\xbb\xbf"


def _pairs(args: Mapping[str, Any], loader: Loader) -> list[tuple[str, bytes]]:
    pairs: list[tuple[str, bytes]] = []
    problems = Problems()
    for path in args.get("envs", ()):
        with problems.of():
            pairs.extend(_env_file(loader.label(path), loader.read(path)))
    for source in args.get("literals", ()):
        with problems.of():
            pairs.append(_literal(source))
    for source in args.get("files", ()):
        with problems.of():
            key, path = _file_source(source)
            pairs.append((key, loader.read(path)))
    problems.require_none()
    return pairs


def _env_file(path: str, content: bytes) -> list[tuple[str, bytes]]:
    pairs = []
    for number, raw in enumerate(content.split(b"\n"), 1):
        line = raw.removesuffix(b"\r")
        try:
            line.decode()
        except UnicodeDecodeError as error:
            raise BuildError(Problem("the line is not UTF-8 text", path, number)) from error
        if number == 1:
            line = line.removeprefix(_BOM)
        shown = line.decode().lstrip()
        if not shown or shown.startswith("#"):
            continue
        key, _, value = shown.partition("=")
        if key:
            pairs.append((key, value.encode()))
    return pairs


def _literal(source: str) -> tuple[str, bytes]:
    key, equals, value = source.partition("=")
    if not key or not equals:
        raise BuildError("literals: an entry has no key=value form")
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
        value = value[1:-1]
    return key, value.encode("utf-8", "surrogatepass")


def _file_source(source: str) -> tuple[str, str]:
    """(key, path) of an entry of `files`: `path` or `key=path`."""
    key, equals, path = source.partition("=")
    if not equals:
        return posixpath.basename(source.rstrip("/")) or source, source
    if not key:
        raise BuildError(f"files: {source!r} has no key before '='")
    if not path:
        raise BuildError(f"files: {source!r} has no path after '='")
    if "=" in path:
        raise BuildError(f"files: {source!r} has more than one '='")
    return key, path


def encode(content: bytes) -> str:
    """Base64, in lines of 70 characters when it does not fit into one."""
    encoded = base64.b64encode(content).decode()
    if len(encoded) < _LINE:
        return encoded
    return "".join(encoded[at : at + _LINE] + "\n" for at in range(0, len(encoded), _LINE))


def _data(args: Mapping[str, Any], loader: Loader) -> dict[str, bytes]:
    data: dict[str, bytes] = {}
    for key, value in _pairs(args, loader):
        if key in data:
            raise BuildError(f"{args['name']}: the key {key!r} is given twice")
        data[key] = value
    return dict(sorted(data.items()))


def _base(kind: str, args: Mapping[str, Any]) -> dict[str, Any]:
    if not args.get("name"):
        raise BuildError(f"a generated {kind} must have a name")
    meta = {"name": args["name"]}
    if args.get("namespace"):
        meta["namespace"] = args["namespace"]
    return {"apiVersion": "v1", "kind": kind, "metadata": meta}


def _finish(value: dict[str, Any], args: Mapping[str, Any], schema: Schema) -> Resource:
    options = args.get("options") or {}
    for field in ("labels", "annotations"):
        if options.get(field):
            value["metadata"][field] = dict(sorted(options[field].items()))
    if options.get("immutable"):
        value["immutable"] = True
    item = Resource(value, schema)
    item.needs_hash = not options.get("disableNameSuffixHash")
    behavior = args.get("behavior", "")
    item.behavior = behavior if behavior in ("create", "merge", "replace") else "unspecified"
    return item


def config_map(args: Mapping[str, Any], loader: Loader, schema: Schema) -> Resource:
    """One entry of `configMapGenerator`. What is no UTF-8 text goes to `binaryData`."""
    value = _base("ConfigMap", args)
    for key, content in _data(args, loader).items():
        try:
            value.setdefault("data", {})[key] = content.decode()
        except UnicodeDecodeError:
            value.setdefault("binaryData", {})[key] = encode(content)
    if not value.get("data", True):
        del value["data"]
    return _finish(value, args, schema)


def secret(args: Mapping[str, Any], loader: Loader, schema: Schema) -> Resource:
    """One entry of `secretGenerator`."""
    value = _base("Secret", args)
    value["type"] = args.get("type") or "Opaque"
    value["data"] = {key: encode(content) for key, content in _data(args, loader).items()}
    return _finish(value, args, schema)


def with_global_options(args: Mapping[str, Any], options: Mapping[str, Any] | None) -> dict[str, Any]:
    """The generator's arguments, its options completed by `generatorOptions`."""
    if options is None:
        return dict(args)
    own = dict(args.get("options") or {})
    for field in ("labels", "annotations"):
        if field in options:
            own[field] = {**options[field], **(own.get(field) or {})}
    for field in ("disableNameSuffixHash", "immutable"):
        if options.get(field):
            own[field] = True
    return {**args, "options": own}


def normalised_secret(item: Resource) -> Resource:
    """A Secret whose `stringData` has moved to `data`, for merging; the original stays as it is."""
    value = copy(item.value)
    texts = value.pop("stringData", None)
    moved = Resource(value, item.schema)
    if isinstance(texts, dict):
        data = value.setdefault("data", {})
        if not isinstance(data, dict):
            data = value["data"] = {}
        for key, entry in sorted(texts.items()):
            if isinstance(entry, dict | list) or entry is None:
                raise BuildError(f"{item}: stringData.{key} must be text")
            data[key] = encode(text(entry).encode())
    return moved
