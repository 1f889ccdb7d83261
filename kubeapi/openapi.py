"""The OpenAPI documents: v3 per group version, v2 over all; made of the served resources when somebody asks.

Clients read three things in them: the fields of a kind (`kubectl explain`), how its lists merge (patches), and what
parameters and patch types a path takes (which says whether the server validates fields itself).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import orjson

from kubeapi.discovery import subresource_kind
from kubeapi.errors import not_acceptable
from kubeapi.protobuf import openapi as protobuf
from kubeapi.resources import Registry, Resource
from shared import schema

Document = dict[str, Any]

_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_COMPONENTS = "#/components/schemas/"
_VERBS = {"get": "get", "list": "get", "create": "post", "update": "put", "patch": "patch", "delete": "delete"}
_PATCHES = ("application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json")
_STRATEGIC = "application/strategic-merge-patch+json"
_WRITE = (("dryRun", "string"), ("fieldManager", "string"), ("fieldValidation", "string"))
_PARAMETERS: dict[str, tuple[tuple[str, str], ...]] = {
    "create": _WRITE,
    "update": _WRITE,
    "patch": (*_WRITE, ("force", "boolean")),
    "delete": (
        ("dryRun", "string"),
        ("gracePeriodSeconds", "integer"),
        ("orphanDependents", "boolean"),
        ("propagationPolicy", "string"),
    ),
    "list": (
        ("allowWatchBookmarks", "boolean"),
        ("continue", "string"),
        ("fieldSelector", "string"),
        ("labelSelector", "string"),
        ("limit", "integer"),
        ("resourceVersion", "string"),
        ("resourceVersionMatch", "string"),
        ("sendInitialEvents", "boolean"),
        ("timeoutSeconds", "integer"),
        ("watch", "boolean"),
    ),
}
_BODIES = ("create", "update")


class OpenAPI:
    """Answers /openapi/v2 and /openapi/v3…; documents are kept until a CRD changes what they say."""

    def __init__(self, registry: Registry):
        self._registry = registry
        self._revision = -1
        self._hashes: dict[tuple[str, str], str] = {}
        self._documents: dict[tuple[tuple[str, str], str], bytes] = {}
        self._v2: tuple[str, bytes] = ("", b"")
        self._binary: tuple[bytes, bytes] = (b"", b"")

    def answer(self, path: str, accept: str) -> tuple[bytes, str] | None:
        """The body and content type of a path; None when there is nothing, 406 when only protobuf would do."""
        if path not in ("/openapi/v2", "/openapi/v3") and not path.startswith("/openapi/v3/"):
            return None
        binary = path == "/openapi/v2" and protobuf.MEDIA_TYPE in accept
        if not binary:
            _require_json(accept)
        if self._revision != self._registry.revision:
            self._revision = self._registry.revision
            self._hashes = {key: self._hash(*key) for key in self._group_versions()}
        if path == "/openapi/v2":
            return (self._second_binary(), protobuf.CONTENT_TYPE) if binary else (self._second(), "application/json")
        if path == "/openapi/v3":
            paths = {
                _place(*key): {"serverRelativeURL": f"/openapi/v3/{_place(*key)}?hash={value}"}
                for key, value in self._hashes.items()
            }
            return orjson.dumps({"paths": paths}), "application/json"
        for key in self._hashes:
            if path == f"/openapi/v3/{_place(*key)}":
                return self._third(key), "application/json"
        return None

    def _group_versions(self) -> Iterable[tuple[str, str]]:
        for group, versions in sorted(self._registry.groups().items()):
            for version in versions:
                yield group, version

    def _hash(self, group: str, version: str) -> str:
        """Changes when the document of this group version does."""
        said = hashlib.sha512(schema.release().encode())
        for resource in self._registry.in_version(group, version):
            said.update(f"{resource.plural} {resource.kind} {resource.namespaced} {resource.subresources}".encode())
            if resource.custom and resource.schema is not None:
                said.update(orjson.dumps(resource.schema.raw, default=dict))
        return said.hexdigest().upper()

    def _third(self, key: tuple[str, str]) -> bytes:
        known = self._documents.get((key, self._hashes[key]))
        if known is None:
            for stale in [one for one in self._documents if one[0] == key]:
                del self._documents[stale]
            document = {"openapi": "3.0.0", "info": _info(), "paths": self._paths(*key)}
            document["components"] = {
                "schemas": self._schemas(*key),
                "securitySchemes": {
                    "BearerToken": {
                        "type": "apiKey",
                        "name": "authorization",
                        "in": "header",
                        "description": "Bearer token",
                    }
                },
            }
            known = self._documents[(key, self._hashes[key])] = orjson.dumps(document)
        return known

    def _schemas(self, group: str, version: str) -> Document:
        api_version = f"{group}/{version}" if group else version
        found: Document = {}
        resources = self._registry.in_version(group, version)
        if any(not resource.custom for resource in resources):
            found.update(schema.definitions(api_version))
        for resource in resources:
            if resource.custom:
                found.update(_meta_schemas())
                found[schema_name(resource)] = _custom_schema(resource)
        for name in ("Patch", "DeleteOptions", "Status"):
            found.setdefault(_META + name, _meta_schemas().get(_META + name, {"type": "object"}))
        return found

    def _paths(self, group: str, version: str) -> Document:
        base = f"/apis/{group}/{version}" if group else f"/api/{version}"
        found: Document = {}
        for resource in self._registry.in_version(group, version):
            whole = f"{base}/{resource.plural}"
            many = f"{base}/namespaces/{{namespace}}/{resource.plural}" if resource.namespaced else whole
            one = f"{many}/{{name}}"
            if resource.namespaced and "list" in resource.verbs:
                found[whole] = {"get": _operation(resource, "list")}
            _add(found, many, resource, ("list", "create"))
            _add(found, one, resource, ("get", "update", "patch", "delete"))
            for name in resource.subresources:
                kind = subresource_kind(resource, name)
                operations = {
                    _VERBS[verb]: _operation(resource, verb, kind=(kind.group, kind.version, kind.kind))
                    for verb in kind.verbs
                    if verb in _VERBS and verb != "list"
                }
                if operations:
                    found[f"{one}/{name}"] = {**operations, "parameters": _path_parameters(f"{one}/{name}")}
        return found

    def _second(self) -> bytes:
        known = hashlib.sha512("".join(self._hashes.values()).encode()).hexdigest()
        if self._v2[0] != known:
            definitions: Document = {}
            paths: Document = {}
            for key in self._hashes:
                document = orjson.loads(self._third(key))
                definitions.update(document["components"]["schemas"])
                paths.update(document["paths"])
            body = {
                "swagger": "2.0",
                "info": _info(),
                "paths": {path: _second_path(item) for path, item in paths.items()},
                "definitions": {name: _second_schema(one) for name, one in definitions.items()},
            }
            self._v2 = (known, orjson.dumps(body))
        return self._v2[1]

    def _second_binary(self) -> bytes:
        document = self._second()
        if self._binary[0] is not document:
            self._binary = (document, protobuf.encode(orjson.loads(document)))
        return self._binary[1]


def _require_json(accept: str) -> None:
    offers = [offer.partition(";")[0].strip() for offer in accept.split(",")]
    if accept and not any(offer in ("application/json", "*/*", "application/*") for offer in offers):
        raise not_acceptable(["application/json"])


def _info() -> Document:
    return {"title": "Kubernetes", "version": schema.release()}


def _place(group: str, version: str) -> str:
    return f"apis/{group}/{version}" if group else f"api/{version}"


def schema_name(resource: Resource) -> str:
    """The name under which documents have a resource's kind."""
    if not resource.custom and resource.schema is not None:
        return str(resource.schema.name)
    return f"{'.'.join(reversed(resource.group.split('.')))}.{resource.version}.{resource.kind}"


def _meta_schemas() -> Document:
    """ObjectMeta and all it needs, as the smallest built-in group has it."""
    return {
        name: one
        for name, one in schema.definitions("scheduling.k8s.io/v1").items()
        if name.startswith("io.k8s.apimachinery.")
    }


def _custom_schema(resource: Resource) -> Document:
    raw: Document = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    if resource.schema is not None:
        raw = dict(resource.schema.raw)
    properties = dict(raw.get("properties") or {})
    for name in ("apiVersion", "kind"):
        text = schema.description("io.k8s.api.core.v1.ConfigMap", name)
        properties[name] = {"type": "string", **({"description": text} if text else {})}
    reference = {"$ref": f"{_COMPONENTS}{_META}ObjectMeta"}
    text = schema.description("io.k8s.api.core.v1.ConfigMap", "metadata")
    properties["metadata"] = {"allOf": [reference], **({"description": text} if text else {})}
    raw["properties"] = properties
    raw["x-kubernetes-group-version-kind"] = [_kind(resource.group, resource.version, resource.kind)]
    return raw


def _kind(group: str, version: str, kind: str) -> Document:
    return {"group": group, "kind": kind, "version": version}


def _add(found: Document, path: str, resource: Resource, verbs: Iterable[str]) -> None:
    operations: Document = {_VERBS[verb]: _operation(resource, verb) for verb in verbs if verb in resource.verbs}
    if operations:
        found[path] = {**operations, "parameters": _path_parameters(path)}


def _path_parameters(path: str) -> list[Document]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "uniqueItems": True}}
        for name in ("name", "namespace")
        if f"{{{name}}}" in path
    ]


def _operation(resource: Resource, verb: str, kind: tuple[str, str, str] | None = None) -> Document:
    of = kind or (resource.group, resource.version, resource.kind)
    own = of == (resource.group, resource.version, resource.kind)
    reference: Document = {"$ref": _COMPONENTS + schema_name(resource)} if own else {"type": "object"}
    operation: Document = {
        "parameters": [
            {"name": name, "in": "query", "schema": {"type": type_, "uniqueItems": True}}
            for name, type_ in _PARAMETERS.get(verb, ())
        ],
        "responses": {
            "200": {
                "description": "OK",
                "content": {"application/json": {"schema": {"type": "object"} if verb == "list" else reference}},
            },
            "401": {"description": "Unauthorized"},
        },
        "x-kubernetes-action": verb,
        "x-kubernetes-group-version-kind": _kind(*of),
    }
    if verb in _BODIES:
        operation["requestBody"] = {"content": {"*/*": {"schema": reference}}, "required": True}
    elif verb == "patch":
        types = _PATCHES if resource.custom else (*_PATCHES, _STRATEGIC)
        body = {"schema": {"$ref": f"{_COMPONENTS}{_META}Patch"}}
        operation["requestBody"] = {"content": dict.fromkeys(types, body), "required": True}
    return operation


# -- version 2


def _second_schema(value: Any) -> Any:
    """A v3 schema as v2 has it: other references, no nullable, no defaults, nothing that only v3 knows."""
    if isinstance(value, list):
        return [_second_schema(one) for one in value]
    if not isinstance(value, dict):
        return value
    out: Document = {}
    for key, one in value.items():
        if key == "$ref":
            out[key] = str(one).replace(_COMPONENTS, "#/definitions/")
        elif key == "allOf" and len(one) == 1 and "$ref" in one[0]:
            out["$ref"] = str(one[0]["$ref"]).replace(_COMPONENTS, "#/definitions/")
        elif key == "properties":
            out[key] = {name: _second_schema(child) for name, child in one.items()}
        elif key in ("items", "additionalProperties"):
            out[key] = _second_schema(one)
        elif key not in ("nullable", "default", "oneOf", "anyOf", "not", "allOf"):
            out[key] = one
    return out


def _second_path(item: Document) -> Document:
    out: Document = {}
    for method, operation in item.items():
        if method == "parameters":
            out[method] = [_second_parameter(one) for one in operation]
            continue
        changed = {key: value for key, value in operation.items() if key not in ("requestBody", "responses")}
        changed["parameters"] = [_second_parameter(one) for one in operation["parameters"]]
        body = operation.get("requestBody")
        if body:
            changed["consumes"] = list(body["content"])
            wanted = next(iter(body["content"].values()))["schema"]
            changed["parameters"].append(
                {"name": "body", "in": "body", "required": True, "schema": _second_schema(wanted)}
            )
        changed["produces"] = ["application/json", "application/yaml"]
        changed["responses"] = {}
        for code, response in operation["responses"].items():
            made: Document = {"description": response["description"]}
            for content in (response.get("content") or {}).values():
                made["schema"] = _second_schema(content["schema"])
            changed["responses"][code] = made
        out[method] = changed
    return out


def _second_parameter(parameter: Document) -> Document:
    out = {key: value for key, value in parameter.items() if key != "schema"}
    return {**out, "type": parameter["schema"]["type"], "uniqueItems": True}
