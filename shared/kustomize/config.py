"""Which fields the transformers of a kustomization are about: the default table and what
`configurations:` and `crds:` add."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, NamedTuple

from . import tables
from .errors import BuildError, Problem
from .fields import TEXT, ListOf, Reader, Struct
from .fieldspec import FieldSpec, Specs, merged
from .kustomization import FIELD_SPEC, first_document
from .loader import Loader
from .order import rank
from .resource import Gvk

References = tuple[tuple[Gvk, Specs], ...]
"""What may be referred to, and the fields of other kinds that hold its name."""

_LISTS = {
    "namePrefix": "name_prefix",
    "nameSuffix": "name_suffix",
    "namespace": "namespace",
    "commonLabels": "common_labels",
    "labels": "labels",
    "templateLabels": "template_labels",
    "volumeClaimTemplateLabels": "volume_claim_template_labels",
    "commonAnnotations": "common_annotations",
    "varReference": "var_reference",
    "images": "images",
    "replicas": "replicas",
}
_SHAPE = Struct(
    {
        **dict.fromkeys(_LISTS, ListOf(FIELD_SPEC)),
        "nameReference": ListOf(
            Struct({"group": TEXT, "version": TEXT, "kind": TEXT, "fieldSpecs": ListOf(FIELD_SPEC)})
        ),
    }
)


class Config(NamedTuple):
    """Field specs by transformer."""

    name_prefix: Specs = ()
    name_suffix: Specs = ()
    namespace: Specs = ()
    common_labels: Specs = ()
    labels: Specs = ()
    template_labels: Specs = ()
    volume_claim_template_labels: Specs = ()
    common_annotations: Specs = ()
    var_reference: Specs = ()
    images: Specs = ()
    replicas: Specs = ()
    name_reference: References = ()
    has_defaults: bool = False

    def merge(self, other: Config) -> Config:
        """The specs of both, in upstream's order.

        A spec for all kinds is dropped when one of the same path for some kind comes before it.
        """
        if other is EMPTY or (self.has_defaults and other is default()):
            return self
        if self is EMPTY and other is default():
            return _defaults_alone()
        return self._merge(other)

    def _merge(self, other: Config) -> Config:
        values: dict[str, Any] = {
            name: _sorted(merged(getattr(self, name), getattr(other, name))) for name in _LISTS.values()
        }
        return Config(
            **values,
            name_reference=_merged_references(self.name_reference, other.name_reference),
            has_defaults=self.has_defaults or other.has_defaults,
        )


EMPTY = Config()


def _merged_references(own: References, other: References) -> References:
    result = dict(own)
    for gvk, specs in other:
        result[gvk] = merged(result[gvk], specs) if gvk in result else specs
    return tuple(sorted(result.items(), key=lambda entry: rank(entry[0])))


def _sorted(specs: Iterable[FieldSpec]) -> Specs:
    return tuple(sorted(specs, key=lambda spec: rank(spec.gvk)))


def _config(data: Mapping[str, Any], *, has_defaults: bool = False) -> Config:
    values: dict[str, Any] = {
        attribute: _sorted(FieldSpec.of(spec) for spec in data.get(name, ())) for name, attribute in _LISTS.items()
    }
    references: References = ()
    for entry in data.get("nameReference", ()):
        gvk = Gvk(entry.get("group", ""), entry.get("version", ""), entry.get("kind", ""))
        specs = tuple(FieldSpec.of(spec) for spec in entry.get("fieldSpecs", ()))
        references = (*references, (gvk, specs))
    references = tuple(sorted(references, key=lambda entry: rank(entry[0])))
    return Config(**values, name_reference=references, has_defaults=has_defaults)


@cache
def default() -> Config:
    """What holds without any configuration."""
    return _config(tables.field_specs(), has_defaults=True)


@cache
def _defaults_alone() -> Config:
    return EMPTY._merge(default())


def load(paths: Iterable[str], loader: Loader) -> Config:
    """The default, with the files of `configurations:` merged into it."""
    result = default()
    for path in paths:
        document = loader.document(path)
        reader = Reader(strict=True)
        data = reader.read(document if document is not None else {}, _SHAPE)
        if reader.problems:
            raise BuildError(*reader.problems).at(file=loader.label(path))
        result = result.merge(_config(data))
    return result


# crds: OpenAPI definitions of custom kinds, whose extensions say which of their fields are names, labels, annotations.

_ANNOTATION = "x-kubernetes-annotation"
_LABELS = "x-kubernetes-label-selector"
_IDENTITY = "x-kubernetes-identity"
_REF_VERSION = "x-kubernetes-object-ref-api-version"
_REF_KIND = "x-kubernetes-object-ref-kind"
_REF_NAME = "x-kubernetes-object-ref-name-key"
_DEEPEST = 64


def from_crds(paths: Iterable[str], loader: Loader) -> Config:
    """The specs that the files of `crds:` imply."""
    result = EMPTY
    for path in paths:
        content, label = loader.read(path), loader.label(path)
        if not content:
            raise BuildError(Problem("the file is empty", label, field="crds"))
        try:
            document = json.loads(content) if content[:1] == b"{" else first_document(content, label)
        except (ValueError, RecursionError) as error:
            if isinstance(error, BuildError):
                raise
            raise BuildError(Problem(f"cannot be read as OpenAPI definitions: {error}", label)) from error
        if document is None:
            continue
        if not isinstance(document, dict):
            raise BuildError(Problem("expected a mapping of type names to OpenAPI definitions", label))
        for name in sorted(document):
            properties = _properties(document.get(name))
            if {"kind", "apiVersion", "metadata"} <= set(properties):
                result = result.merge(_of_type(document, name))
    return result


def _properties(definition: Any) -> dict[str, Any]:
    schema = _folded(definition, "schema")
    found = schema.get("properties") if isinstance(schema, dict) else None
    return {k: v for k, v in found.items() if isinstance(v, dict)} if isinstance(found, dict) else {}


def _folded(mapping: Any, name: str) -> Any:
    if not isinstance(mapping, dict):
        return None
    return next((value for key, value in mapping.items() if key.lower() == name), None)


def _of_type(document: dict[str, Any], name: str) -> Config:
    kind = Gvk(kind=name.rsplit(".", 1)[-1])
    lists: dict[str, list[FieldSpec]] = {"common_annotations": [], "common_labels": [], "name_prefix": []}
    references: dict[Gvk, list[FieldSpec]] = {}
    queue: list[tuple[str, tuple[str, ...]]] = [(name, ())]
    while queue:
        type_name, path = queue.pop()
        if len(path) > _DEEPEST:
            raise BuildError(f"crds: the definition of {name} refers to itself without end")
        for field, schema in _properties(document.get(type_name)).items():
            here = (*path, field)
            for extension, attribute in (
                (_ANNOTATION, "common_annotations"),
                (_LABELS, "common_labels"),
                (_IDENTITY, "name_prefix"),
            ):
                if isinstance(schema.get(extension), str):
                    lists[attribute].append(FieldSpec(kind, "/".join(here)))
            version, target = schema.get(_REF_VERSION), schema.get(_REF_KIND)
            if isinstance(version, str) and isinstance(target, str):
                key = schema.get(_REF_NAME)
                full = (*here, key if isinstance(key, str) else "name")
                references.setdefault(Gvk(version=version, kind=target), []).append(FieldSpec(kind, "/".join(full)))
            ref = schema.get("$ref")
            if isinstance(ref, str):
                queue.append((ref, here))
    values: dict[str, Any] = {attribute: merged((), specs) for attribute, specs in lists.items()}
    return Config(**values, name_reference=tuple((gvk, merged((), specs)) for gvk, specs in references.items()))
