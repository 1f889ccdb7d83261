"""Builtin transformers, generators and validators that are configured by a resource of their own.

A resource with `apiVersion: builtin` names one by its kind; its other fields are the configuration.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping
from typing import Any

from . import generators, helm, patches, replacements, transformers
from .errors import BuildError
from .fields import BOOL, INT, TEXT, TEXT_MAP, TEXTS, ListOf, Reader, Shape, Struct
from .fieldspec import FieldSpec, Specs, split_path
from .kustomization import (
    CONFIG_MAP,
    FIELD_SPEC,
    HELM_CHART,
    IMAGE,
    OBJECT_META,
    PATCH,
    REPLACEMENT_FIELD,
    REPLICA,
    SECRET,
    SELECTOR,
)
from .loader import Loader
from .paths import Finder
from .resource import Resource
from .resources import Resources
from .scalars import text, untagged
from .schema import Schema
from .selectors import Selector
from .transformers import Transformer

API_VERSION = "builtin"
Generator = Callable[[], list[Resource]]
Args = Mapping[str, Any]


class Context:
    """What a plugin may need besides its configuration."""

    def __init__(self, loader: Loader, schema: Schema, chart: Callable[[Args], list[Resource]]) -> None:
        self.loader = loader
        self.schema = schema
        self.chart = chart
        """Renders a helm chart with the settings of the build."""


_SPECS = ListOf(FIELD_SPEC)
_TARGET = Struct({"selector": SELECTOR, "fieldPath": TEXT, "filePathPosition": INT})


def _specs(args: Args) -> Specs:
    return tuple(FieldSpec.of(spec) for spec in args.get("fieldSpecs", ()))


def _required_specs(args: Args) -> Specs:
    if "fieldSpecs" not in args:
        raise BuildError("fieldSpecs must be given")
    return _specs(args)


def _both_affixes(args: Args) -> Transformer:
    first = transformers.prefix(args.get("prefix", ""), _required_specs(args))
    second = transformers.suffix(args.get("suffix", ""), _required_specs(args))

    def transform(resources: Resources) -> None:
        first(resources)
        second(resources)

    return transform


def _value_add(args: Args, context: Context) -> Transformer:
    value = args.get("value", "").strip() or posixpath.basename(context.loader.root)
    targets = list(args.get("targets", ()))
    path = args.get("targetFilePath", "")
    if path:
        reader = Reader(strict=False)
        document = context.loader.document(path)
        more = reader.read(document if document is not None else {}, Struct({"targets": ListOf(_TARGET)}))
        if reader.problems:
            raise BuildError(*reader.problems).at(file=context.loader.label(path))
        targets.extend(more.get("targets", ()))
    if not targets:
        raise BuildError("at least one target must be given")
    for target in targets:
        if not target.get("fieldPath"):
            raise BuildError("a target needs a fieldPath")
        if target.get("filePathPosition", 0) < 0:
            raise BuildError("filePathPosition must not be negative")

    def transform(resources: Resources) -> None:
        for target in targets:
            chosen = resources.select(Selector.of(target["selector"])) if "selector" in target else resources.items
            for item in chosen:
                _add_value(item, value, target)
        resources.changed()

    return transform


def _add_value(item: Resource, value: str, target: Args) -> None:
    path = target["fieldPath"]
    if path == "metadata/namespace":
        transformers.set_namespace(item, lambda _: value, (), "")
        return
    position = target.get("filePathPosition", 0)
    for place in Finder("scalar", _no_text).find([item.value], 0, list(split_path("x/" + path))[1:]):
        old = place.value
        if isinstance(old, dict | list):
            raise BuildError("expected a single value").at(field=f"{item}: {path}")
        shown = text(old) if isinstance(old, str | int | float) else ""
        place.value = untagged(old, insert_part(shown, position - 1, value) if position > 0 else value)


def _no_text(_: str) -> Any:
    raise BuildError("expected a mapping, found a single value")


def insert_part(path: str, position: int, part: str) -> str:
    """The file path with one more part at a position; an absolute path stays one."""
    parts = [p for p in path.split("/") if p]
    parts.insert(min(position, len(parts)), part)
    return ("/" if path.startswith("/") else "") + "/".join(parts)


def _named(args: Args) -> dict[str, Any]:
    meta = args.get("metadata", {})
    return {
        **args,
        "name": args.get("name") or meta.get("name", ""),
        "namespace": args.get("namespace") or meta.get("namespace", ""),
    }


def _iam_policy(args: Args, schema: Schema) -> list[Resource]:
    if args.get("cloud", "") != "gke":
        raise BuildError(f"the cloud {args.get('cloud', '')!r} is not supported, only gke is")
    account, service = args.get("serviceAccount", {}), args.get("kubernetesService", {})
    meta: dict[str, Any] = {
        "annotations": {
            "iam.gke.io/gcp-service-account": "{}@{}.iam.gserviceaccount.com".format(
                account.get("name", ""), account.get("projectId", "")
            )
        },
        "name": service.get("name", ""),
    }
    if service.get("namespace"):
        meta["namespace"] = service["namespace"]
    return [Resource({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta}, schema)]


_Make = Callable[[Args, Context], Transformer]

_TRANSFORMERS: dict[str, tuple[Shape, _Make]] = {
    "AnnotationsTransformer": (
        Struct({"annotations": TEXT_MAP, "fieldSpecs": _SPECS}),
        lambda args, _: transformers.entries(args.get("annotations", {}), _specs(args)),
    ),
    "LabelTransformer": (
        Struct({"labels": TEXT_MAP, "fieldSpecs": _SPECS}),
        lambda args, _: transformers.entries(args.get("labels", {}), _specs(args)),
    ),
    "HashTransformer": (Struct({}), lambda args, _: transformers.name_hash),
    "ImageTagTransformer": (
        Struct({"imageTag": IMAGE, "fieldSpecs": _SPECS}),
        lambda args, _: transformers.image(args.get("imageTag", {}), _specs(args)),
    ),
    "NamespaceTransformer": (
        Struct({"metadata": OBJECT_META, "fieldSpecs": _SPECS, "unsetOnly": BOOL, "setRoleBindingSubjects": TEXT}),
        lambda args, _: transformers.namespace(
            args.get("metadata", {}).get("namespace", ""),
            _specs(args),
            subjects=args.get("setRoleBindingSubjects", ""),
            unset_only=args.get("unsetOnly", False),
        ),
    ),
    "PatchJson6902Transformer": (
        Struct({"target": SELECTOR, "path": TEXT, "jsonOp": TEXT}),
        lambda args, context: patches.json_patch(args, context.loader),
    ),
    "PatchStrategicMergeTransformer": (
        Struct({"paths": TEXTS, "patches": TEXT}),
        lambda args, context: patches.strategic_merges(
            args.get("paths", ()), context.loader, context.schema, inline=args.get("patches", "")
        ),
    ),
    "PatchTransformer": (
        PATCH,
        lambda args, context: patches.patch(args, context.loader, context.schema),
    ),
    "PrefixTransformer": (
        Struct({"prefix": TEXT, "fieldSpecs": _SPECS}),
        lambda args, _: transformers.prefix(args.get("prefix", ""), _required_specs(args)),
    ),
    "SuffixTransformer": (
        Struct({"suffix": TEXT, "fieldSpecs": _SPECS}),
        lambda args, _: transformers.suffix(args.get("suffix", ""), _required_specs(args)),
    ),
    "PrefixSuffixTransformer": (
        Struct({"prefix": TEXT, "suffix": TEXT, "fieldSpecs": _SPECS}),
        lambda args, _: _both_affixes(args),
    ),
    "ReplicaCountTransformer": (
        Struct({"replica": REPLICA, "fieldSpecs": _SPECS}),
        lambda args, _: transformers.replicas(args.get("replica", {}), _specs(args)),
    ),
    "ReplacementTransformer": (
        Struct({"replacements": ListOf(REPLACEMENT_FIELD)}),
        lambda args, context: replacements.replacements(
            replacements.load(args.get("replacements", ()), context.loader)
        ),
    ),
    "ValueAddTransformer": (
        Struct({"value": TEXT, "targets": ListOf(_TARGET), "targetFilePath": TEXT}),
        _value_add,
    ),
}

_GENERATORS: dict[str, tuple[Shape, Callable[[Args, Context], list[Resource]]]] = {
    "ConfigMapGenerator": (
        Struct({**CONFIG_MAP.fields, "metadata": OBJECT_META}),
        lambda args, context: [generators.config_map(_named(args), context.loader, context.schema)],
    ),
    "SecretGenerator": (
        Struct({**SECRET.fields, "metadata": OBJECT_META}),
        lambda args, context: [generators.secret(_named(args), context.loader, context.schema)],
    ),
    "HelmChartInflationGenerator": (HELM_CHART, lambda args, context: context.chart(args)),
    "IAMPolicyGenerator": (
        Struct(
            {
                "cloud": TEXT,
                "kubernetesService": Struct({"name": TEXT, "namespace": TEXT}),
                "serviceAccount": Struct({"name": TEXT, "projectId": TEXT}),
            }
        ),
        lambda args, context: _iam_policy(args, context.schema),
    ),
}


def _read(item: Resource, shape: Shape) -> Args:
    reader = Reader(strict=False)
    args: Args = reader.read(item.value, shape) or {}
    if reader.problems:
        raise BuildError(*reader.problems)
    return args


def _kind(item: Resource) -> str:
    if item.api_version != API_VERSION:
        raise BuildError(
            f"{item}: only plugins with apiVersion {API_VERSION} are supported; exec, container and Go plugins are not"
        )
    return item.kind


def transformer(item: Resource, context: Context) -> Transformer:
    """The transformer that a resource configures."""
    kind = _kind(item)
    if kind in _GENERATORS:
        raise BuildError(f"{item} is a generator: list it under generators")
    if kind not in _TRANSFORMERS:
        raise BuildError(f"{item}: there is no builtin transformer of this kind")
    shape, make = _TRANSFORMERS[kind]
    try:
        return make(_read(item, shape), context)
    except BuildError as error:
        raise error.at(file=item.file, line=item.line) from error


def generator(item: Resource, context: Context) -> Generator:
    """The generator that a resource configures."""
    kind = _kind(item)
    if kind in _TRANSFORMERS:
        raise BuildError(f"{item} is a transformer: list it under transformers")
    if kind not in _GENERATORS:
        raise BuildError(f"{item}: there is no builtin generator of this kind")
    shape, make = _GENERATORS[kind]
    args = _read(item, shape)
    if kind == "HelmChartInflationGenerator":
        helm_args = dict(args)
        return lambda: make(helm_args, context)
    return lambda: make(args, context)


__all__ = ["Context", "Generator", "generator", "helm", "transformer"]
