"""Replacements: a value is read from one object and written into fields of others, also inside of YAML or JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from shared.text import yaml

from .errors import BuildError
from .fields import ListOf, Reader
from .fieldspec import SCALAR
from .hasher import go_json
from .kustomization import REPLACEMENT
from .limits import MOST_TEXT, Allowance, text_in
from .loader import Loader
from .merge import MISSING
from .paths import UNSET, Finder, Place, get, kind_of, split_dotted
from .resource import Resource, split_api_version
from .resources import Resources
from .scalars import copy, means, text
from .selectors import ExactSelector, Selector
from .transformers import Transformer

DEFAULT_PATH = "metadata.name"
Identity = tuple[str, str, str, str, str]


def load(entries: Sequence[Mapping[str, Any]], loader: Loader) -> list[dict[str, Any]]:
    """The entries of `replacements`, those with a `path` replaced by what the file says."""
    found: list[dict[str, Any]] = []
    for entry in entries:
        path = entry.get("path", "")
        if not path:
            found.append(dict(entry))
            continue
        if "source" in entry or entry.get("targets"):
            raise BuildError("a replacement has either `path` or source and targets, not both")
        document = loader.document(path)
        reader = Reader(strict=False)
        if isinstance(document, list):
            found.extend(reader.read(document, ListOf(REPLACEMENT)) or ())
        elif isinstance(document, dict):
            found.append(reader.read(document, REPLACEMENT) or {})
        else:
            raise BuildError("expected a replacement or a list of them").at(file=loader.label(path))
        if reader.problems:
            raise BuildError(*reader.problems).at(file=loader.label(path))
    return found


def replacements(entries: Sequence[Mapping[str, Any]]) -> Transformer:
    """All entries of one `replacements:` list, done in order."""

    def transform(resources: Resources) -> None:
        allowance = Allowance(MOST_TEXT, "characters by replacements")
        for number, entry in enumerate(entries):
            try:
                _replace(resources, entry, allowance)
            except BuildError as error:
                raise error.at(field=f"replacements[{number}]") from error
        if entries:
            resources.changed()

    return transform


def _replace(resources: Resources, entry: Mapping[str, Any], allowance: Allowance) -> None:
    given = "sourceValue" in entry
    if (not given and "source" not in entry) or "targets" not in entry:
        raise BuildError("a replacement needs a source and at least one target")
    if given and "source" in entry:
        raise BuildError("a replacement has either a source or a sourceValue, not both")
    value = means(entry["sourceValue"]) if given else _source(resources, entry["source"])
    shown = entry["sourceValue"] if given else text(value)
    for target in entry["targets"]:
        if "select" not in target:
            raise BuildError("a target needs `select`")
        select = Selector.of(target["select"])
        rejected = [Selector.of(reject) for reject in target.get("reject", ())]
        for selector in (select, *rejected):
            selector.check()
        for item in resources:
            if not item.is_empty() and _selected(item, select, rejected):
                _write(item, value, shown, target, allowance)
                item.settle()


def _identities(item: Resource) -> list[Identity]:
    group, version = split_api_version(item.api_version)
    return [
        (group, version, item.kind, item.name, item.namespace),
        *((group, version, former.kind, former.name, former.namespace) for former in item.former),
    ]


def _source(resources: Resources, source: Mapping[str, Any]) -> Any:
    selector = ExactSelector.of(source)
    found = [item for item in resources if any(selector.matches(*identity) for identity in _identities(item))]
    if len(found) != 1:
        problem = "selects several objects" if found else "selects nothing"
        raise BuildError(f"the source ({selector}) {problem}")
    path = source.get("fieldPath") or DEFAULT_PATH
    value = get(found[0].value, split_dotted(path))
    if value is MISSING or value is None or value in ({}, []):
        raise BuildError(f"the source {found[0]} has no {path}")
    options = source.get("options") or {}
    delimiter, index = options.get("delimiter", ""), options.get("index", 0)
    if not delimiter:
        return value
    if isinstance(value, dict | list):
        raise BuildError(f"the source's {path} must be a single value to be split by a delimiter")
    parts = text(value).split(delimiter)
    if not 0 <= index < len(parts):
        raise BuildError(f"the index {index} is not in the {len(parts)} parts of the source's {path}")
    return parts[index] if isinstance(value, str) else means(parts[index])


def _selected(item: Resource, select: Selector, rejected: Sequence[Selector]) -> bool:
    if not select.matches_maps(item):
        return False
    if any((r.labels or r.annotations) and r.matches_maps(item) for r in rejected):
        return False
    identities = _identities(item)
    for reject in rejected:
        if reject.names_an_id() and any(reject.matches_id(*identity) for identity in identities):
            return False
    return any(select.matches_id(*identity) for identity in identities)


def _write(item: Resource, value: Any, shown: str, target: Mapping[str, Any], allowance: Allowance) -> None:
    options = target.get("options") or {}
    create = kind_of(value) if options.get("create") else ""
    for path in target.get("fieldPaths") or (DEFAULT_PATH,):
        try:
            if _write_inside(item.value, value, shown, path, options, create):
                continue
            places = Finder(create, _parsed).find([item.value], 0, split_dotted(path))
            if not places:
                raise BuildError("there is no such field" + (", and it cannot be made" if create else ""))
            allowance.take(len(places) * text_in(value))
            for place in places:
                _set(place, value, shown, options)
        except BuildError as error:
            raise BuildError(*(f"{item}: {path}: {problem.message}" for problem in error.problems)) from error


def _set(place: Place, value: Any, shown: str, options: Mapping[str, Any]) -> None:
    old = place.value
    delimiter, index = options.get("delimiter", ""), options.get("index", 0)
    scalar = not isinstance(old, dict | list)
    if delimiter:
        if not scalar:
            raise BuildError("the field must be a single value to be split by a delimiter")
        parts = ("" if old is UNSET else text(old)).split(delimiter)
        if index < 0:
            parts.insert(0, shown)
        elif index >= len(parts):
            parts.append(shown)
        else:
            parts[index] = shown
        shown = delimiter.join(parts)
    if scalar:
        place.value = _retyped(old, shown if kind_of(value) == SCALAR or delimiter else "")
    else:
        place.value = copy(value)


def _retyped(old: Any, new: str) -> Any:
    """A text written where `old` stands; the type stays, so what does not fit is an error."""
    if isinstance(old, str):
        return new
    value = means(new)
    if old is UNSET:
        return value
    kind = type(old)
    if kind is float and type(value) is int:
        return value
    if type(value) is not kind:
        names = {bool: "true or false", int: "a whole number", float: "a number", type(None): "null"}
        raise BuildError(f"the field holds {names.get(kind, 'another type')}, and {new!r} is not that")
    return value


# Values inside of a text.


def _parsed(content: str) -> Any:
    try:
        return yaml.load(content, rules=yaml.KYAML)
    except yaml.YAMLError as error:
        raise BuildError(f"the text is no YAML: {error.problem}") from error


def _write_inside(
    root: dict[str, Any], value: Any, shown: str, path: str, options: Mapping[str, Any], create: str
) -> bool:
    """Write into YAML or JSON that is the text of a field; False when the path leads to no text."""
    steps = split_dotted(path)
    for size in range(1, len(steps)):
        try:
            outer = get(root, steps[:size])
        except BuildError:
            continue
        if outer is MISSING or outer is None or isinstance(outer, dict | list):
            continue
        try:
            inner = _parsed(text(outer))
        except BuildError:
            continue
        try:
            box = [copy(inner)]
            places = Finder(create, _parsed).find(box, 0, steps[size:])
            for place in places:
                _set(place, value, shown, options)
            if not places:
                return False
            written = _together(inner, box[0], text(outer))
        except BuildError:
            return False
        (owner,) = Finder("", _parsed).find([root], 0, steps[:size])[:1] or (None,)
        if owner is None:
            return False
        owner.value = written if isinstance(outer, str) else _retyped(outer, written)
        return True
    return False


def _together(before: Any, value: Any, original: str) -> str:
    """The text again: as JSON, with the original's indentation, or as YAML in the original's style."""
    if not original.strip()[:1] or original.strip()[0] not in "{[":
        from shared.text.yaml.rewrite import rewrite  # few builds need it, and all would start later

        try:
            return rewrite(original, before, value).strip()
        except yaml.YAMLError as error:
            raise BuildError(f"the text cannot be written again: {error.problem}") from error
    if "\n" in original and "  " in original:
        return _indented(value)
    return go_json(value)


def _indented(value: Any) -> str:
    compact = json.loads(go_json(value))
    return json.dumps(compact, indent=2, ensure_ascii=False, sort_keys=True)
