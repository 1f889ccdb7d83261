"""Text to resources: documents are split, Lists taken apart, and what is no Kubernetes object is refused."""

from __future__ import annotations

import re
from typing import Any

from shared.text import yaml

from .errors import BuildError, Problem, Problems
from .resource import Resource
from .scalars import copy, text
from .schema import Schema

_SEPARATOR = re.compile(r"\n---(.*)\n")


class Malformed(BuildError):
    """The text is not YAML at all."""


def resources(content: bytes | str, schema: Schema, *, file: str = "") -> list[Resource]:
    """The objects of a file. BuildError, with each that is none (Malformed when it is not even YAML), file and line."""
    documents = _documents(content, file)
    queue: list[tuple[Any, int]] = []
    alone = len(documents) == 1
    for document in documents:
        value = document.value
        if alone and _is_list(value):
            items = value["items"]
            queue.extend((item, document.line) for item in (items if isinstance(items, list) else ()))
        else:
            queue.append((value, document.line))
    found: list[Resource] = []
    problems = Problems()
    objects = _objects(queue, file, problems)
    # A list of lists is worked off in the order that upstream uses: what a List holds comes after all else.
    at = 0
    while at < len(objects):
        value, line = objects[at]
        at += 1
        if text(value.get("kind")).endswith("List") and "items" in value:
            items = value["items"]
            if items is None:
                continue
            if not isinstance(items, list):
                raise BuildError(Problem("items of a List must be a list", file, line, "items"))
            objects.extend(_objects([(item, line) for item in items], file, problems))
            continue
        found.append(Resource(value, schema, files=(file,) if file else (), line=line))
    problems.require_none()
    return found


def _objects(values: list[tuple[Any, int]], file: str, problems: Problems) -> list[tuple[Any, int]]:
    """Those that are objects at all."""
    objects = []
    for value, line in values:
        with problems.of():
            if _check(value, file, line):
                objects.append((value, line))
    return objects


def _is_list(value: Any) -> bool:
    return isinstance(value, dict) and text(value.get("kind")) in ("List", "ResourceList") and "items" in value


def _documents(content: bytes | str, file: str) -> list[yaml.Document]:
    if isinstance(content, str):
        whole = content
    else:
        try:
            whole = content.decode()
        except UnicodeDecodeError:
            whole = ""
    if "\r\n" in whole:
        content = whole = whole.replace("\r\n", "\n")
    if "\n---" in whole:
        for match in _SEPARATOR.finditer(whole):
            rest = match.group(1).strip()
            if rest and not rest.startswith("#"):
                line = whole.count("\n", 0, match.start()) + 2
                raise BuildError(Problem("put what follows a document separator on a line of its own", file, line))
    try:
        return [d for d in yaml.load_documents(content, rules=yaml.KYAML, source=file) if d.value is not None]
    except yaml.YAMLError as error:
        raise Malformed(Problem(error.problem, file, error.line)) from error


def _check(value: Any, file: str, line: int) -> bool:
    """Is it an object at all? False for an empty one, BuildError for what cannot be one."""
    if value is None or value in ({}, []):
        return False
    if not isinstance(value, dict):
        raise BuildError(Problem("expected a Kubernetes object, found something that is no mapping", file, line))
    kind = value.get("kind")
    if not text(kind):
        raise BuildError(Problem("the object has no kind", file, line, "kind"))
    if text(kind).endswith("List"):
        return True
    meta = value.get("metadata")
    if not isinstance(meta, dict) or not text(meta.get("name")):
        raise BuildError(Problem(f"the {text(kind)} has no name", file, line, "metadata.name"))
    return True


def fresh(items: list[Resource]) -> list[Resource]:
    """Copies of resources that nothing else refers to."""
    return [Resource(copy(item.value), item.schema, files=item.files, line=item.line) for item in items]
