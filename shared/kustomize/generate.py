"""The kustomization that Flux's controller builds a path with: the one that is there, or one that lists all manifests.

The fields of a Kustomization object's spec are laid over it. Nothing is written to the tree:
the result is given to `build`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from . import parse
from .errors import BuildError, NotFound, Problem, Refused, Undecodable
from .fields import Reader
from .kustomization import FIELDS, FILE_NAMES, KUSTOMIZATION, VERSIONS, Kustomization, first_document
from .schema import Schema
from .tree import Tree, join

_REMOTE = ("git::", "gh:", "ssh://", "https://", "http://", "git@", "github.com:", "github.com/")
_SELECTOR = ("group", "version", "kind", "name", "namespace", "labelSelector", "annotationSelector")


def generate(
    tree: Tree,
    path: str = "/",
    *,
    target_namespace: str | None = None,
    name_prefix: str | None = None,
    name_suffix: str | None = None,
    patches: Sequence[Mapping[str, Any]] = (),
    images: Sequence[Mapping[str, Any]] = (),
    components: Sequence[str] = (),
    ignore_missing_components: bool = False,
    build_metadata: Sequence[str] = (),
) -> Kustomization:
    """The kustomization for a directory, with the fields of a spec laid over it.

    patches and images have the wire's field names. None means that the spec does not have the field.
    Raises BuildError when the file there, or a manifest to list, cannot be read.
    """
    root = tree.resolve(join("/", path))
    if not tree.is_dir(root):
        raise NotFound(f"{path} is not a directory")
    data = _existing(tree, root)
    if data is None:
        data = {"resources": found} if (found := scan(tree, root)) else {"namespace": "_placeholder"}
    elif not data.get("resources"):
        data["buildMetadata"] = ["originAnnotations"]
    data = {"apiVersion": VERSIONS[KUSTOMIZATION], "kind": KUSTOMIZATION, **data}
    for name, value in (("namespace", target_namespace), ("namePrefix", name_prefix), ("nameSuffix", name_suffix)):
        if value is not None:
            data[name] = value
    for patch in patches:
        entry: dict[str, Any] = {"patch": patch.get("patch", "")}
        if patch.get("target") is not None:
            entry["target"] = {key: patch["target"][key] for key in _SELECTOR if patch["target"].get(key)}
        data.setdefault("patches", []).append(entry)
    for component in components:
        if component.lower().startswith(_REMOTE) or component.lower().removeprefix("file://").startswith("/"):
            raise BuildError(f"components: {component!r} must be a relative path inside the source")
        if not ignore_missing_components or _exists(tree, root, component):
            data.setdefault("components", []).append(component)
    for image in images:
        _lay_over_image(data.setdefault("images", []), image)
    if build_metadata:
        data["buildMetadata"] = list(build_metadata)
    return data


def _existing(tree: Tree, root: str) -> dict[str, Any] | None:
    for name in FILE_NAMES:
        try:
            file = join(root, name)
            content = tree.read(tree.resolve(file))
        except NotFound:
            continue
        label = file.lstrip("/")
        document = first_document(content, label)
        if document is not None and not isinstance(document, dict):
            raise BuildError(Problem("a kustomization must be a mapping", label))
        reader = Reader(strict=False)
        data: dict[str, Any] = reader.read(document or {}, FIELDS) or {}
        if reader.problems:
            raise BuildError(*reader.problems).at(file=label)
        return data
    return None


def _exists(tree: Tree, root: str, path: str) -> bool:
    try:
        tree.resolve(join(root, path))
    except (NotFound, Refused):
        return False
    return True


def _lay_over_image(images: list[dict[str, Any]], image: Mapping[str, Any]) -> None:
    """An image of the spec changes the entry of the same name; a tag and a digest only replace each other together."""
    given = {key: image[key] for key in ("newName", "newTag", "digest") if image.get(key)}
    entry = next((entry for entry in images if entry.get("name", "") == image.get("name", "")), None)
    if entry is None:
        images.append({"name": image.get("name", ""), **given})
        return
    if "newTag" in given or "digest" in given:
        entry.pop("newTag", None)
        entry.pop("digest", None)
    entry.update(given)


def scan(tree: Tree, root: str) -> list[str]:
    """All manifests below a directory, as a kustomization there would list them; a directory with one is one entry.

    Raises Undecodable that lists every YAML file that holds no Kubernetes objects.
    """
    found: list[str] = []
    problems: list[Problem] = []
    _scan(tree, root, root, found, problems, Schema())
    if problems:
        raise Undecodable(*problems)
    return found


def _scan(tree: Tree, root: str, at: str, found: list[str], problems: list[Problem], schema: Schema) -> None:
    for name in tree.list(at):
        path = join(at, name)
        listed = "." + path[len(root) if root != "/" else 0 :]
        try:
            real = tree.resolve(path)
        except NotFound:
            continue
        if tree.is_dir(real) and real == path:
            if any(_is_file(tree, join(path, file)) for file in FILE_NAMES):
                found.append(listed)
            else:
                _scan(tree, root, path, found, problems, schema)
        elif name.endswith((".yaml", ".yml")) and not tree.is_dir(real):
            try:
                parse.resources(tree.read(real), schema, file=path.lstrip("/"))
            except BuildError as error:
                problems.extend(error.problems)
            else:
                found.append(listed)


def _is_file(tree: Tree, path: str) -> bool:
    try:
        return not tree.is_dir(tree.resolve(path))
    except (NotFound, Refused):
        return False


def json_operations(operations: Sequence[Mapping[str, Any]]) -> str:
    """The text of a JSON patch whose operations are values, for the `patch` of an entry."""
    return json.dumps(list(operations), separators=(",", ":"))
