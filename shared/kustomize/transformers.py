"""The transformers that set one thing in many objects: namespace, names, labels, annotations, images, replicas.

Each function here takes its configuration and gives a Transformer: a function that changes a set of resources in place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from . import hasher, patterns
from .errors import BuildError
from .fieldspec import MAPPING, SCALAR, FieldSpec, Specs, walk
from .merge import restyled
from .resource import Gvk, Resource, Shared
from .resources import Resources
from .scalars import means, text, untagged

Transformer = Callable[[Resources], None]

SUBJECT_MODES = ("defaultOnly", "allServiceAccounts", "none")
_NAME, _NAMESPACE = "metadata/name", "metadata/namespace"


class _Selected:
    """The specs that select a kind, remembered."""

    def __init__(self, specs: Specs) -> None:
        self.specs = specs
        self.known: dict[Gvk, Specs] = {}

    def of(self, gvk: Gvk) -> Specs:
        found = self.known.get(gvk)
        if found is None:
            found = self.known[gvk] = tuple(spec for spec in self.specs if gvk.selected_by(spec.gvk))
        return found


def _single(value: Any) -> Any:
    if isinstance(value, dict | list):
        raise BuildError("expected a single value")
    return value


# Namespace.


def namespace(name: str, specs: Specs, *, subjects: str = "", unset_only: bool = False) -> Transformer:
    """Put every namespaced object into a namespace, and what the specs say; in role bindings some subjects, too."""
    if subjects not in ("", *SUBJECT_MODES):
        raise BuildError(f"setRoleBindingSubjects must be one of {', '.join(SUBJECT_MODES)}, not {subjects!r}")

    def change(old: Any) -> Any:
        _single(old)
        return old if unset_only and text(old) else name

    selected = _Selected(tuple(spec for spec in specs if spec.path != _NAMESPACE))

    def transform(resources: Resources) -> None:
        ids = Counter(item.id for item in resources)
        for item in resources:
            if item.is_empty() or item.from_helm:
                continue
            before = item.id
            item.remember()
            set_namespace(item, change, selected.of(item.gvk), subjects)
            after = item.id
            ids[before] -= 1
            ids[after] += 1
            if ids[after] != 1:
                raise BuildError(f"namespace: {after} would be there twice").at(file=item.file, line=item.line)
        resources.changed()

    return transform if name else _nothing


def set_namespace(item: Resource, change: Callable[[Any], Any], specs: Specs, subjects: str) -> None:
    """Set the namespace of one object wherever it has one."""
    if not item.cluster_scoped:
        meta = item.metadata()
        meta["namespace"] = change(meta.get("namespace", ""))
    kind = item.kind
    binding = kind in ("RoleBinding", "ClusterRoleBinding")
    if binding and subjects != "none":
        for subject in _subjects(item):
            field, wanted = ("kind", "ServiceAccount") if subjects == "allServiceAccounts" else ("name", "default")
            if subject.get(field) is not None and text(subject[field]) == wanted:
                subject["namespace"] = change(subject.get("namespace", ""))
    core = item.api_version == "v1"
    for spec in specs:
        if spec.path == _NAME and not core:
            continue
        if binding and spec.path == "subjects/namespace" and spec.gvk.kind in ("RoleBinding", "ClusterRoleBinding"):
            continue
        walk(item, spec, change, make=SCALAR)


def _subjects(item: Resource) -> Iterator[dict[str, Any]]:
    subjects = item.value.get("subjects")
    if subjects is None:
        return
    if not isinstance(subjects, list):
        raise BuildError("expected a list").at(field=f"{item}: subjects")
    for subject in subjects:
        if isinstance(subject, dict):
            yield subject
        elif subject is not None:
            raise BuildError("expected a list of mappings").at(field=f"{item}: subjects")


def _nothing(resources: Resources) -> None:
    """Change nothing."""


# Names.

_NOT_RENAMED = (
    Gvk(kind="CustomResourceDefinition"),
    Gvk("apiregistration.k8s.io", "", "APIService"),
    Gvk(kind="Namespace"),
)


def _affix(specs: Specs, value: str, renamed: Callable[[str], str], record: Callable[[Resource], None]) -> Transformer:
    selected = _Selected(specs)

    def change(old: Any) -> Any:
        return untagged(_single(old), renamed(text(old)))

    def transform(resources: Resources) -> None:
        for item in resources:
            gvk = item.original_gvk
            if any(gvk.selected_by(kind) for kind in _NOT_RENAMED):
                continue
            for spec in selected.of(gvk):
                if spec.path == _NAME and value:
                    record(item)
                    item.remember()
                if item.gvk.selected_by(spec.gvk):
                    walk(item, spec, change, make=SCALAR)
        resources.changed()

    return transform


def prefix(value: str, specs: Specs) -> Transformer:
    """Put a text before names."""
    return _affix(specs, value, lambda name: value + name, lambda item: item.prefixes.append(value))


def suffix(value: str, specs: Specs) -> Transformer:
    """Put a text behind names."""
    return _affix(specs, value, lambda name: name + value, lambda item: item.suffixes.append(value))


def name_hash(resources: Resources) -> None:
    """Put the digest of their content behind the names of generated objects."""
    changed = False
    for item in resources:
        if item.needs_hash:
            letters = hasher.name_suffix(item)
            item.remember()
            item.set_name(f"{item.name}-{letters}")
            changed = True
    if changed:
        resources.changed()


# Labels and annotations.


def _path(spec: FieldSpec) -> str:
    return spec.path


def entries(values: Mapping[str, str], specs: Specs) -> Transformer:
    """Put labels (or annotations) into the mappings that the specs name."""
    selected = _Selected(tuple(sorted(specs, key=_path)))
    ordered = dict(sorted(values.items()))

    odd = next((key for key in ordered if means(key) != key), None)
    added: dict[str, list[dict[str, Any]]] = {}

    def change(old: Any) -> Any:
        if isinstance(old, dict):
            if odd is not None and odd not in old:
                raise BuildError(f"the key {odd!r} is not text")
            for key in ordered:
                if key not in old:
                    added.setdefault(key, []).append(old)
            old.update(ordered)
        elif old is not None:
            raise BuildError("expected a mapping")
        return old

    def transform(resources: Resources) -> None:
        for item in resources:
            added.clear()
            for spec in selected.of(item.gvk):
                walk(item, spec, change, make=MAPPING)
            item.settle()
            item.shared.extend(Shared(key, ordered[key], owners) for key, owners in added.items() if len(owners) > 1)

    return transform if ordered else _nothing


# Images.


def split_image(image: str) -> tuple[str, str, str]:
    """(name, tag, digest) of an image reference; a colon before the last slash belongs to the registry's port."""
    slash = image.find("/")
    start = slash if slash > 0 else 0
    at, colon = image.find("@", start), image.find(":", start)
    if at >= 0 and (at < colon or colon < 0):
        return image[:at], "", image[at + 1 :]
    if colon < 0:
        return image, "", ""
    if at < 0:
        return image[:colon], image[colon + 1 :], ""
    return image[:colon], image[colon + 1 : at], image[at + 1 :]


def _new_image(old: str, args: Mapping[str, str]) -> str:
    name, tag, digest = split_image(old)
    name = args.get("newName") or name
    new_tag, new_digest, tag_suffix = args.get("newTag"), args.get("digest"), args.get("tagSuffix")
    if new_tag or new_digest:
        tag, digest = new_tag or "", new_digest or ""
    elif tag_suffix:
        tag, digest = tag + tag_suffix, ""
    return name + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")


def image(args: Mapping[str, str], specs: Specs) -> Transformer:
    """Give the images of one name a new name, tag or digest: in all containers, then where the specs say."""
    matches = patterns.image(args.get("name", ""))
    selected = _Selected(specs)

    def change(old: Any) -> Any:
        if isinstance(old, dict | list):
            raise BuildError("expected the name of an image")
        reference = text(old)
        return untagged(old, _new_image(reference, args)) if matches(reference) else old

    def transform(resources: Resources) -> None:
        for item in resources:
            if item.kind == "CustomResourceDefinition":
                continue
            for container in _containers(item.value):
                if "image" in container:
                    container["image"] = change(container["image"])
            for spec in selected.of(item.gvk):
                walk(item, spec, change)

    return transform


def _containers(value: Any) -> Iterator[dict[str, Any]]:
    """The items of every list `containers` and `initContainers`, innermost lists first."""
    if isinstance(value, dict):
        for key, child in value.items():
            if isinstance(child, dict | list):
                yield from _containers(child)
                if key in ("containers", "initContainers") and isinstance(child, list):
                    for item in child:
                        if isinstance(item, dict):
                            yield item
                        elif item is not None:
                            raise BuildError(f"expected a list of mappings in {key}")
    else:
        for child in value:
            if isinstance(child, dict | list):
                yield from _containers(child)


# Replicas.


def replicas(args: Mapping[str, Any], specs: Specs) -> Transformer:
    """Set the replica count of the object with a name, now or before. BuildError when there is none."""
    name, count = args.get("name", ""), args.get("count", 0)

    def change(old: Any) -> Any:
        return restyled(_single(old), count)

    def transform(resources: Resources) -> None:
        found = False
        for spec in specs:
            for item in resources:
                if not item.is_empty() and _named(item, name, spec):
                    found = True
                    if item.gvk.selected_by(spec.gvk):
                        walk(item, spec, change, make=SCALAR)
        if not found:
            kinds = ", ".join(dict.fromkeys(spec.gvk.kind for spec in specs))
            raise BuildError(f"replicas: no object named {name!r} of the kinds {kinds}")

    return transform


def _named(item: Resource, name: str, spec: FieldSpec) -> bool:
    if item.name != name and all(former.name != name for former in item.former):
        return False
    return any(
        key.name == name and Gvk(key.group, key.version, key.kind).selected_by(spec.gvk) for key in item.all_ids()
    )
