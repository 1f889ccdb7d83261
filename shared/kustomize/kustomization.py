"""The kustomization file: what it may say, and the fix-ups of what it used to say.

bytes → YAML 1.1 → checked fields → one dict, deprecated fields moved to where they belong today
"""

from __future__ import annotations

from typing import Any

from shared.text import yaml

from .errors import BuildError, Problem
from .fields import ANY, BOOL, INT, TEXT, TEXT_MAP, TEXTS, ListOf, MapOf, Reader, Struct

FILE_NAMES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
KUSTOMIZATION, COMPONENT = "Kustomization", "Component"
VERSIONS = {KUSTOMIZATION: "kustomize.config.k8s.io/v1beta1", COMPONENT: "kustomize.config.k8s.io/v1alpha1"}

_GVK = {"group": TEXT, "version": TEXT, "kind": TEXT}
_ID = {**_GVK, "name": TEXT, "namespace": TEXT}
SELECTOR = Struct({**_ID, "annotationSelector": TEXT, "labelSelector": TEXT})
FIELD_SPEC = Struct({**_GVK, "path": TEXT, "create": BOOL})
PATCH = Struct(
    {
        "path": TEXT,
        "patch": TEXT,
        "target": SELECTOR,
        "options": Struct({"allowNameChange": BOOL, "allowKindChange": BOOL}),
    }
)
IMAGE = Struct({"name": TEXT, "newName": TEXT, "tagSuffix": TEXT, "newTag": TEXT, "digest": TEXT})
REPLICA = Struct({"name": TEXT, "count": INT})
LABEL = Struct(
    {
        "pairs": TEXT_MAP,
        "includeSelectors": BOOL,
        "includeTemplates": BOOL,
        "includeVolumeClaimTemplates": BOOL,
        "fields": ListOf(FIELD_SPEC),
    }
)
_FIELD_OPTIONS = Struct({"delimiter": TEXT, "index": INT, "encoding": TEXT, "create": BOOL})
_REPLACEMENT = {
    "source": Struct({**_ID, "fieldPath": TEXT, "options": _FIELD_OPTIONS}),
    "targets": ListOf(
        Struct({"select": SELECTOR, "reject": ListOf(SELECTOR), "fieldPaths": TEXTS, "options": _FIELD_OPTIONS})
    ),
    "sourceValue": TEXT,
}
REPLACEMENT = Struct(_REPLACEMENT)
REPLACEMENT_FIELD = Struct({**_REPLACEMENT, "path": TEXT})
OBJECT_META = Struct({"name": TEXT, "namespace": TEXT, "labels": TEXT_MAP, "annotations": TEXT_MAP})
GENERATOR_OPTIONS = Struct(
    {"labels": TEXT_MAP, "annotations": TEXT_MAP, "disableNameSuffixHash": BOOL, "immutable": BOOL}
)
_GENERATOR = {
    "namespace": TEXT,
    "name": TEXT,
    "behavior": TEXT,
    "literals": TEXTS,
    "files": TEXTS,
    "envs": TEXTS,
    "env": TEXT,
    "options": GENERATOR_OPTIONS,
}
CONFIG_MAP = Struct(_GENERATOR)
SECRET = Struct({**_GENERATOR, "type": TEXT})
SORT_OPTIONS = Struct({"order": TEXT, "legacySortOptions": Struct({"orderFirst": TEXTS, "orderLast": TEXTS})})
VAR = Struct(
    {
        "name": TEXT,
        "objref": Struct({**_ID, "apiVersion": TEXT}),
        "fieldref": Struct({"fieldPath": TEXT}),
    }
)
_HELM_GLOBALS = {"chartHome": TEXT, "configHome": TEXT}
_HELM_CHART = {
    **dict.fromkeys(
        (
            "name",
            "version",
            "repo",
            "releaseName",
            "namespace",
            "valuesFile",
            "valuesMerge",
            "kubeVersion",
            "nameTemplate",
        ),
        TEXT,
    ),
    **dict.fromkeys(("includeCRDs", "skipHooks", "skipTests", "debug", "devel"), BOOL),
    "additionalValuesFiles": TEXTS,
    "apiVersions": TEXTS,
    "valuesInline": MapOf(ANY),
}
HELM_CHART = Struct({**_HELM_GLOBALS, **_HELM_CHART})
_HELM_ARGS = {
    **dict.fromkeys(
        (
            "chartName",
            "chartVersion",
            "chartRepoUrl",
            "chartHome",
            "chartRepoName",
            "helmBin",
            "helmHome",
            "values",
            "valuesMerge",
            "releaseName",
            "releaseNamespace",
        ),
        TEXT,
    ),
    "valuesLocal": MapOf(ANY),
    "extraArgs": TEXTS,
}
FIELDS = Struct(
    {
        "kind": TEXT,
        "apiVersion": TEXT,
        "metadata": OBJECT_META,
        "openapi": TEXT_MAP,
        "namePrefix": TEXT,
        "nameSuffix": TEXT,
        "namespace": TEXT,
        "commonLabels": TEXT_MAP,
        "labels": ListOf(LABEL),
        "commonAnnotations": TEXT_MAP,
        "patchesStrategicMerge": TEXTS,
        "patchesJson6902": ListOf(PATCH),
        "patches": ListOf(PATCH),
        "images": ListOf(IMAGE),
        "imageTags": ListOf(IMAGE),
        "replacements": ListOf(REPLACEMENT_FIELD),
        "replicas": ListOf(REPLICA),
        "vars": ListOf(VAR),
        "sortOptions": SORT_OPTIONS,
        "resources": TEXTS,
        "components": TEXTS,
        "crds": TEXTS,
        "bases": TEXTS,
        "configMapGenerator": ListOf(CONFIG_MAP),
        "secretGenerator": ListOf(SECRET),
        "helmGlobals": Struct(_HELM_GLOBALS),
        "helmCharts": ListOf(Struct(_HELM_CHART)),
        "helmChartInflationGenerator": ListOf(Struct(_HELM_ARGS)),
        "generatorOptions": GENERATOR_OPTIONS,
        "configurations": TEXTS,
        "generators": TEXTS,
        "transformers": TEXTS,
        "validators": TEXTS,
        "buildMetadata": TEXTS,
    }
)

Kustomization = dict[str, Any]
"""The fields of a kustomization in their canonical names, nothing null or deprecated among them."""


def first_document(content: bytes, file: str) -> Any:
    """The first document of a configuration file, as YAML 1.1. BuildError with the line of what is wrong."""
    try:
        return yaml.load(content, source=file)
    except yaml.YAMLError as error:
        raise BuildError(Problem(error.problem, file, error.line)) from error


def parse(content: bytes, file: str) -> Kustomization:
    """Read a kustomization file. BuildError lists all that is wrong with it."""
    return check(first_document(content, file), file)


def check(document: Any, file: str) -> Kustomization:
    """Check and fix up the document of a kustomization file (or one made in memory)."""
    reader = Reader(strict=True)
    if document is not None and not isinstance(document, dict):
        raise BuildError(Problem("a kustomization must be a mapping", file))
    data: Kustomization = reader.read(document or {}, FIELDS) or {}
    if reader.problems:
        raise BuildError(*reader.problems).at(file=file)
    fixed = _fixed({key: value for key, value in data.items() if value not in ("", 0, False)})
    problems = []
    if not set(fixed) - {"kind", "apiVersion"}:
        problems.append(Problem("the kustomization is empty: it must list resources or change something", file))
    kind = fixed["kind"]
    if kind not in VERSIONS:
        problems.append(Problem(f"must be {KUSTOMIZATION} or {COMPONENT}, not {kind!r}", file, field="kind"))
    wanted = VERSIONS.get(kind, VERSIONS[KUSTOMIZATION])
    if fixed["apiVersion"] != wanted:
        problems.append(Problem(f"must be {wanted} for kind {kind}", file, field="apiVersion"))
    if problems:
        raise BuildError(*problems)
    return fixed


def _fixed(data: Kustomization) -> Kustomization:
    """Move what deprecated fields say to the fields of today."""
    data.setdefault("kind", KUSTOMIZATION)
    data.setdefault("apiVersion", VERSIONS.get(data["kind"], VERSIONS[KUSTOMIZATION]))
    for old, new in (("bases", "resources"), ("imageTags", "images")):
        if old in data:
            moved = data.pop(old)
            if moved or new in data:
                data[new] = [*data.get(new, ()), *moved]
    for generator in ("configMapGenerator", "secretGenerator"):
        for args in data.get(generator, ()):
            env = args.pop("env", "")
            if env:
                args["envs"] = [*args.get("envs", ()), env]
    for args in data.pop("helmChartInflationGenerator", ()):
        chart_home, config_home = args.get("chartHome"), args.get("helmHome")
        if "helmGlobals" not in data and (chart_home or config_home):
            data["helmGlobals"] = {"chartHome": chart_home or "", "configHome": config_home or ""}
        data.setdefault("helmCharts", []).append(_helm_chart(args))
    return data


def _helm_chart(args: dict[str, Any]) -> dict[str, Any]:
    names = {
        "chartName": "name",
        "chartVersion": "version",
        "chartRepoUrl": "repo",
        "releaseName": "releaseName",
        "releaseNamespace": "namespace",
        "values": "valuesFile",
        "valuesLocal": "valuesInline",
        "valuesMerge": "valuesMerge",
    }
    return {new: args[old] for old, new in names.items() if old in args}
