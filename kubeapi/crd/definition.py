"""What a CustomResourceDefinition defines: a resource a served version, and how its objects are read and checked.

decoded body → metadata read → unknown fields out → nulls out → defaults in      (read)
new object, and the old one → problems                                            (check)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kubeapi.crd import embedded, lists, prune, rules, values
from kubeapi.crd.correlate import Correlation
from kubeapi.crd.structural import Node, for_merging
from kubeapi.errors import Cause
from kubeapi.resources import Resource, version_order
from kubeapi.validation import causes, metadata, names
from shared import schema

Manifest = dict[str, Any]

_BLOCKING = frozenset(
    {
        "FieldValueNotSupported",
        "FieldValueRequired",
        "FieldValueTooLong",
        "FieldValueTooMany",
        "FieldValueTypeInvalid",
    }
)
_MAX_REPLICAS = 2**31 - 1


class Version:
    """One version of a custom resource."""

    __slots__ = ("api_version", "has_status", "kind", "name", "namespaced", "root", "scale", "schema")

    def __init__(self, group: str, kind: str, namespaced: bool, raw: Mapping[str, Any]) -> None:
        declared = (raw.get("schema") or {}).get("openAPIV3Schema") or {}
        subresources = raw.get("subresources") or {}
        self.name: str = raw["name"]
        self.api_version = f"{group}/{self.name}"
        self.kind = kind
        self.namespaced = namespaced
        self.root = Node(declared)
        self.schema = schema.Schema(for_merging(declared), schema.schema)
        self.has_status = "status" in subresources
        self.scale: Mapping[str, str] | None = subresources.get("scale")
        self.schema.memo["status_subresource"] = self.has_status

    def read(self, manifest: Manifest, *, merged: bool = False) -> tuple[Manifest, list[str]]:
        """The manifest as the server holds it (changed in place), and the paths of fields it doesn't know.

        What server-side apply merged has been held to the schema before: its nulls stay, and its unknown fields go
        without a word where the schema keeps those of an object but declares others below it. DecodeProblem when the
        metadata can't be read.
        """
        unknown: list[str] = []
        if "metadata" in manifest:
            manifest["metadata"], unknown = embedded.read_metadata(manifest["metadata"])
        if merged:
            if self.root.has_mixed:
                prune.prune(manifest, self.root)
            self.default(manifest)
            return manifest, unknown
        unknown += prune.prune(manifest, self.root)
        prune.drop_nulls(manifest, self.root)
        strange: list[str] = []
        embedded.coerce(manifest, self.root, "", strange, False)
        unknown += sorted(strange)
        self.default(manifest)
        return manifest, unknown

    def convert(self, manifest: Manifest) -> Manifest:
        """An object of another version as this one has it: without unknown fields, with defaults; in place."""
        prune.prune(manifest, self.root)
        prune.drop_nulls(manifest, self.root)
        self.default(manifest)
        return manifest

    def default(self, manifest: Manifest) -> None:
        """Fill in the schema's defaults, in place."""
        prune.default(manifest, self.root)

    def check(self, manifest: Manifest, old: Manifest | None, subresource: str) -> list[Cause]:
        """The problems of an object that is to be stored in the place of `old`."""
        found = self._check_kind(manifest)
        if found:
            return found
        correlation = Correlation(manifest, old, self.root) if old is not None else None
        meta = manifest.get("metadata") or {}
        if old is None:
            found += metadata.new(meta, names.subdomain, self.namespaced)
        else:
            found += metadata.changed(meta, old.get("metadata") or {})
        if subresource == "status" and old is not None:
            found += self._check_status(manifest, correlation)
        else:
            found += values.check(manifest, self.root, "", correlation)
            found += self._check_replicas(manifest, "specReplicasPath")
        found += self._check_replicas(manifest, "statusReplicasPath")
        found += self._check_selector(manifest)
        if subresource != "status":
            found += embedded.check(manifest, self.root)
        if self.root.has_lists:
            repeated = lists.check(manifest, self.root)
            if repeated and (old is None or not lists.check(old, self.root)):
                found += repeated
        if self.root.has_rules:
            if any(cause.reason in _BLOCKING for cause in found):
                detail = (
                    "some validation rules were not checked because the object was invalid; "
                    "correct the existing errors to complete validation"
                )
                found.append(causes.invalid(causes.ROOT, None, detail))
            else:
                found += rules.check(manifest, old, self.root, correlation)
        return found

    def _check_kind(self, manifest: Manifest) -> list[Cause]:
        found = []
        for key, wanted in (("kind", self.kind), ("apiVersion", self.api_version)):
            if manifest.get(key) != wanted:
                found.append(causes.invalid(key, manifest.get(key), f"must be {wanted}"))
        return found

    def _check_status(self, manifest: Manifest, correlation: Correlation | None) -> list[Cause]:
        node = self.root.properties.get("status")
        if node is None or "status" not in manifest:
            return []
        related = correlation.key("status") if correlation is not None else None
        return values.check(manifest["status"], node, "status", related)

    def _check_replicas(self, manifest: Manifest, key: str) -> list[Cause]:
        path = (self.scale or {}).get(key)
        if not path:
            return []
        value, problem = _at(manifest, path, int, "int64")
        if problem:
            return [causes.invalid(path, 0, problem)]
        if value is not None and value < 0:
            return [causes.invalid(path, value, "should be a non-negative integer")]
        if value is not None and value > _MAX_REPLICAS:
            return [causes.invalid(path, value, f"should be less than or equal to {_MAX_REPLICAS}")]
        return []

    def _check_selector(self, manifest: Manifest) -> list[Cause]:
        path = (self.scale or {}).get("labelSelectorPath")
        if not path:
            return []
        _, problem = _at(manifest, path, str, "string")
        return [causes.invalid(path, "", problem)] if problem else []


def _at(manifest: Manifest, path: str, kind: type, named: str) -> tuple[Any, str]:
    """The value at a dotted path, None when nothing is there, and what is wrong with its type."""
    value: Any = manifest
    walked: list[str] = []
    for key in path.lstrip(".").split("."):
        if not isinstance(value, dict):
            where = "." + ".".join(walked)
            return (
                None,
                f"{where} accessor error: {value} is of the type {_go_type(value)}, expected map[string]interface{{}}",
            )
        if key not in value:
            return None, ""
        value = value[key]
        walked.append(key)
    if not isinstance(value, kind) or isinstance(value, bool):
        where = "." + ".".join(walked)
        return None, f"{where} accessor error: {value} is of the type {_go_type(value)}, expected {named}"
    return value, ""


def _go_type(value: Any) -> str:
    kinds = ((bool, "bool"), (int, "int64"), (float, "float64"), (str, "string"), (list, "[]interface {}"))
    return next((name for kind, name in kinds if isinstance(value, kind)), "map[string]interface {}")


class Definition:
    """A CRD: its versions by name, and the resources that it makes the server serve."""

    def __init__(self, manifest: Mapping[str, Any]) -> None:
        spec = manifest["spec"]
        group, listed = spec["group"], spec["names"]
        namespaced = spec["scope"] == "Namespaced"
        self.versions = {one["name"]: Version(group, listed["kind"], namespaced, one) for one in spec["versions"]}
        storage = next(one["name"] for one in spec["versions"] if one.get("storage"))
        self.resources = tuple(
            Resource(
                group=group,
                version=one["name"],
                kind=listed["kind"],
                plural=listed["plural"],
                singular=listed.get("singular") or listed["kind"].lower(),
                namespaced=namespaced,
                short_names=tuple(listed.get("shortNames") or ()),
                categories=tuple(listed.get("categories") or ()),
                subresources=tuple(one.get("subresources") or ()),
                schema=self.versions[one["name"]].schema,
                list_kind=listed.get("listKind") or listed["kind"] + "List",
                storage_version=storage,
                columns=tuple(one.get("additionalPrinterColumns") or ()),
                scale=(one.get("subresources") or {}).get("scale"),
                definition=self,
                selectable_fields=tuple(field["jsonPath"].lstrip(".") for field in one.get("selectableFields") or ()),
                deprecation_warning=_deprecation(group, listed["kind"], one, spec["versions"]),
            )
            for one in spec["versions"]
            if one.get("served")
        )

    @classmethod
    def of(cls, manifest: Mapping[str, Any]) -> Definition:
        return cls(manifest)


def _deprecation(group: str, kind: str, version: Mapping[str, Any], versions: list[Mapping[str, Any]]) -> str:
    """What requests in a version that is going are warned of."""
    if not version.get("deprecated"):
        return ""
    if version.get("deprecationWarning"):
        return str(version["deprecationWarning"])
    current = [one["name"] for one in versions if one.get("served") and not one.get("deprecated")]
    best = min(current, key=version_order, default=version["name"])
    instead = f"; use {group}/{best} {kind}" if version_order(best) < version_order(version["name"]) else ""
    return f"{group}/{version['name']} {kind} is deprecated{instead}"
