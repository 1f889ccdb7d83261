"""Patches: strategic merges and JSON patches, from files or inline, for one object or all that a target selects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from . import jsonpatch, parse
from .errors import BuildError, Problems
from .limits import MOST_COPIED, Allowance
from .loader import Loader
from .merge import merge
from .resource import Resource
from .resources import Resources
from .scalars import copy, text
from .schema import Schema
from .selectors import Selector
from .transformers import Transformer


def patch(args: Mapping[str, Any], loader: Loader, schema: Schema) -> Transformer:
    """One entry of `patches`. It is read now and applied later."""
    inline, path = args.get("patch", "").strip(), args.get("path", "")
    if not inline and not path:
        raise BuildError("a patch needs `path` or `patch`")
    if inline and path:
        raise BuildError("a patch has either `path` or `patch`, not both")
    file = loader.label(path) if path else ""
    content = _text(loader.read(path), file) if path else inline
    target = Selector.of(args["target"]) if "target" in args else None
    try:
        merges = parse.resources(content, schema, file=file)
    except BuildError as error:
        try:
            operations = jsonpatch.parse(content)
        except BuildError as other:
            raise (other if content.lstrip()[:1] in ("[", "-") else error).at(file=file) from error
        return _json(operations, target, file)
    options = args.get("options") or {}
    for item in merges:
        item.allow_name_change = options.get("allowNameChange", False)
        item.allow_kind_change = options.get("allowKindChange", False)
    return _merges(merges, target, file)


def _text(content: bytes, path: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise BuildError("the patch is not UTF-8 text").at(file=path) from error


def _merges(items: Sequence[Resource], target: Selector | None, path: str) -> Transformer:
    def one_by_one(resources: Resources) -> None:
        problems = Problems()
        for item in items:
            with problems.of(file=path, line=item.line):
                found = resources.only_with_id(item.original_id)
                _lay_over(found, item, copy(item.value))
                if item.allow_name_change or item.allow_kind_change:
                    resources.touch(found)
        problems.require_none()

    def selected(resources: Resources) -> None:
        assert target is not None
        if len(items) > 1:
            raise BuildError("a patch with a target must be a single document").at(file=path)
        _over_all(resources, resources.select(target), items[0], path)

    if not items:
        return lambda resources: None
    return one_by_one if target is None else selected


def _over_all(resources: Resources, chosen: Sequence[Resource], item: Resource, path: str) -> None:
    problems = Problems()
    for found in chosen:
        with problems.of(file=path, line=item.line), _about(found):
            _lay_over(found, item, _adapted(item, found))
    problems.require_none()
    if item.allow_name_change or item.allow_kind_change:
        resources.changed()
        seen = set()
        for other in resources:
            if not other.is_empty() and other.id in seen:
                raise BuildError(f"the patch makes a second {other.id}").at(file=path, line=item.line)
            seen.add(other.id)
    resources.drop_empty()


@contextmanager
def _about(found: Resource) -> Iterator[None]:
    """Let errors say which of the objects that a target selects they are about."""
    try:
        yield
    except BuildError as error:
        told = [problem._replace(message=f"{found}: {problem.message}") for problem in error.problems]
        raise type(error)(*told) from error


def _adapted(item: Resource, found: Resource) -> dict[str, Any]:
    """The patch as it is laid over an object that a target selected: with the object's apiVersion."""
    value: dict[str, Any] = copy(item.value)
    adapted = Resource(value, item.schema)
    for field in ("labels", "annotations"):
        adapted.set_mapping(field, _explicit(value["metadata"].get(field)))
    if not adapted.namespace:
        value["metadata"].pop("namespace", None)
    value["apiVersion"] = found.api_version
    return value


def _explicit(values: Any) -> dict[str, str]:
    # In a targeted patch a null label is the text "null": upstream copies the texts.
    if not isinstance(values, dict):
        return {}
    return {key: "null" if value is None else text(value) for key, value in values.items()}


def _lay_over(found: Resource, item: Resource, value: dict[str, Any]) -> None:
    name, namespace, kind = found.name, found.namespace, found.kind
    if item.allow_name_change or item.allow_kind_change:
        found.remember()
    found.patched_in(item.file)
    merged = merge(found.value, value, found.schema)
    found.value = merged or {}
    if not merged:
        return
    found.settle()
    if not item.allow_kind_change and found.kind != kind:
        found.value["kind"] = kind
    if not item.allow_name_change and found.name != name:
        found.set_name(name)
    if found.namespace != namespace or not namespace:
        found.set_namespace(namespace)


def strategic_merges(paths: Sequence[str], loader: Loader, schema: Schema, *, inline: str = "") -> Transformer:
    """`patchesStrategicMerge`: files, or patches written where the path of one is expected."""
    if not paths and not inline:
        raise BuildError("patchesStrategicMerge: neither a path nor a patch is given")
    loaded: list[tuple[str, Resource]] = []
    for path in paths:
        try:
            found, source = parse.resources(path, schema), ""
        except BuildError:
            source = loader.label(path)
            found = parse.resources(loader.read(path), schema, file=source)
        loaded.extend((source, item) for item in found)
    if inline:
        loaded.extend(("", item) for item in parse.resources(inline, schema))
    if not loaded:
        raise BuildError(f"the patches are empty: {', '.join(paths)}")

    def transform(resources: Resources) -> None:
        problems = Problems()
        for path, item in loaded:
            with problems.of(file=path, line=item.line):
                _over_all(resources, [resources.only_with_id(item.original_id)], item, path)
        problems.require_none()

    return transform


def json_patch(args: Mapping[str, Any], loader: Loader) -> Transformer:
    """One entry of `patchesJson6902` (field `patch`) or a PatchJson6902Transformer (field `jsonOp`)."""
    target, path = args.get("target"), args.get("path", "")
    operations = args.get("jsonOp") or args.get("patch") or ""
    if not target or not target.get("name"):
        raise BuildError("a JSON patch needs a target with a name")
    if not path and not operations:
        raise BuildError("a JSON patch needs `path` or `patch`")
    if path and operations:
        raise BuildError("a JSON patch has either `path` or `patch`, not both")
    file = loader.label(path) if path else ""
    content = _text(loader.read(path), file) if path else operations
    if not content:
        raise BuildError("the JSON patch is empty").at(file=file)
    parsed = jsonpatch.parse(content)
    if not parsed:
        raise BuildError("the JSON patch has no operations").at(file=file)
    return _json(parsed, Selector.of(target), file, remember=False)


def _json(
    operations: list[jsonpatch.Operation], target: Selector | None, path: str, *, remember: bool = True
) -> Transformer:
    def transform(resources: Resources) -> None:
        if target is None:
            raise BuildError("a JSON patch needs a target").at(file=path)
        chosen = resources.select(target)
        allowance = Allowance(MOST_COPIED, "values by copying")
        problems = Problems()
        for item in chosen:
            if remember:
                item.remember()
            if item.former or item.prefixes or item.suffixes or item.needs_hash or item.behavior:
                # Upstream keeps its notes in annotations, so there always are some to add to.
                meta = item.metadata()
                if meta.get("annotations") is None:
                    meta["annotations"] = {}
            item.patched_in(path)
            with problems.of(file=path), _about(item):
                value = jsonpatch.apply(item.value, operations, allowance)
                if not isinstance(value, dict | None):
                    raise BuildError("the JSON patch leaves no mapping")
                item.value = value or {}
                item.shared = []
                item.set_mapping("annotations", item.annotations)
        problems.require_none()
        if chosen:
            resources.changed()

    return transform if operations else lambda resources: None
