"""Writes shared/schema/data from the published API of a Kubernetes release: python -m shared.schema.generate MODULE_DIR

MODULE_DIR is the unpacked Go module k8s.io/kubernetes@vX.Y.Z (`go mod download -json k8s.io/kubernetes@vX.Y.Z` prints
it as Dir). Its OpenAPI v3 and discovery documents are read, and the Go types in the sibling modules k8s.io/api,
apimachinery, apiextensions-apiserver and kube-aggregator (same minor and patch) are asked for one thing which the
OpenAPI documents don't say: how an absent or empty field is written.

What is written, always in the same bytes for the same input:
    resources.json.gz       release, resources of each group, and the type of each kind
    <package>.json.gz       the types of one Go package, such as io.k8s.api.core.v1, without their descriptions
    descriptions.json.gz    {type: {"": text of the type, field: text of the field}}
"""

from __future__ import annotations

import gzip
import json
import re
import sys
from pathlib import Path
from typing import Any

GROUP_VERSIONS = (
    "api__v1",
    "apis__admissionregistration.k8s.io__v1",
    "apis__apiextensions.k8s.io__v1",
    "apis__apiregistration.k8s.io__v1",
    "apis__apps__v1",
    "apis__authentication.k8s.io__v1",
    "apis__authorization.k8s.io__v1",
    "apis__autoscaling__v1",
    "apis__autoscaling__v2",
    "apis__batch__v1",
    "apis__certificates.k8s.io__v1",
    "apis__coordination.k8s.io__v1",
    "apis__discovery.k8s.io__v1",
    "apis__events.k8s.io__v1",
    "apis__flowcontrol.apiserver.k8s.io__v1",
    "apis__networking.k8s.io__v1",
    "apis__node.k8s.io__v1",
    "apis__policy__v1",
    "apis__rbac.authorization.k8s.io__v1",
    "apis__scheduling.k8s.io__v1",
    "apis__storage.k8s.io__v1",
)
GO_PACKAGES = {
    "io.k8s.api.": ("k8s.io/api", ""),
    "io.k8s.apimachinery.pkg.": ("k8s.io/apimachinery", "pkg/"),
    "io.k8s.apiextensions-apiserver.pkg.": ("k8s.io/apiextensions-apiserver", "pkg/"),
    "io.k8s.kube-aggregator.pkg.": ("k8s.io/kube-aggregator", "pkg/"),
}
META = "io.k8s.apimachinery.pkg.apis.meta.v1."
KEEP = ("type", "format", "default", "required", "enum")

Document = dict[str, Any]


def main(arguments: list[str]) -> int:
    """Writes the data next to this file; returns a process's exit code."""
    if len(arguments) != 1:
        print("usage: python -m shared.schema.generate MODULE_DIR   (the unpacked module k8s.io/kubernetes@vX.Y.Z)")
        return 2
    module = Path(arguments[0])
    target = Path(__file__).parent / "data"
    for stale in target.glob("*.json.gz"):
        stale.unlink()
    for name, document in documents(module).items():
        text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        (target / f"{name}.json.gz").write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    return 0


def documents(module: Path) -> dict[str, Document]:
    """All files by name, as JSON documents."""
    match = re.fullmatch(r"kubernetes@v1\.(\d+\.\d+)", module.name)
    if match is None:
        raise ValueError(
            f"{module} is not named kubernetes@v1.<minor>.<patch>: give the unpacked Go module's directory"
        )
    types: dict[str, Document] = {}
    resources: list[Document] = []
    for name in GROUP_VERSIONS:
        document = json.loads((module / "api/openapi-spec/v3" / f"{name}_openapi.json").read_text())
        for type_name, schema in document["components"]["schemas"].items():
            kinds = types.get(type_name, {}).get("x-kubernetes-group-version-kind", [])
            types[type_name] = schema
            known = schema.get("x-kubernetes-group-version-kind", [])
            schema["x-kubernetes-group-version-kind"] = known + [kind for kind in kinds if kind not in known]
        found = json.loads((module / "api/discovery" / f"{name}.json").read_text())
        group, _, version = found["groupVersion"].rpartition("/")
        resources += [{**resource, "of": [group, version]} for resource in found["resources"]]
    tags = GoTags(module.parent, match.group(1))
    packages: dict[str, Document] = {}
    descriptions: Document = {}
    kinds_to_types: Document = {}
    for name, schema in sorted(types.items()):
        package = name.rpartition(".")[0]
        packages.setdefault(package, {})[name] = reduced(schema, tags.of(name))
        described = {field: text for field, text in describe(schema).items() if text}
        if described:
            descriptions[name] = described
        for kind in schema["x-kubernetes-group-version-kind"]:
            if not name.startswith(META):
                key = "/".join(part for part in (kind["group"], kind["version"], kind["kind"]) if part)
                kinds_to_types[key] = name
    index = {"release": f"v1.{match.group(1)}", "kinds": kinds_to_types, "resources": merged(resources)}
    return {"resources": index, "descriptions": descriptions, **packages}


def describe(schema: Document) -> dict[str, str]:
    fields = {name: field.get("description", "") for name, field in schema.get("properties", {}).items()}
    return {"": schema.get("description", ""), **fields}


def reduced(schema: Document, tags: dict[str, str]) -> Document:
    """One schema without texts; a reference becomes {"$ref": type}; x-go says how its fields are written."""
    node: Document = {key: schema[key] for key in KEEP if key in schema}
    for key, value in schema.items():
        if key.startswith("x-kubernetes-") and key not in ("x-kubernetes-group-version-kind", "x-kubernetes-unions"):
            node[key] = value
    for one in (*schema.get("allOf", ()), schema):
        if "$ref" in one:
            node["$ref"] = one["$ref"].rpartition("/")[2]
    if "oneOf" in schema:
        node["oneOf"] = schema["oneOf"]
    if "properties" in schema:
        node["properties"] = {
            name: {**reduced(field, {}), **({"x-go": tags[name]} if name in tags else {})}
            for name, field in schema["properties"].items()
        }
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            node[key] = reduced(schema[key], {})
        elif key in schema:
            node[key] = schema[key]
    return node


def merged(resources: list[Document]) -> list[Document]:
    """Discovery's flat list (deployments, deployments/scale, …) as resources that hold their subresources."""
    found: dict[tuple[str, str, str], Document] = {}
    for resource in resources:
        group, version = resource["of"]
        plural, _, sub = resource["name"].partition("/")
        verbs = resource["verbs"]
        if not sub:
            found[group, version, plural] = {
                "group": group,
                "version": version,
                "kind": resource["kind"],
                "plural": plural,
                "singular": resource["singularName"],
                "namespaced": resource["namespaced"],
                "verbs": verbs,
                "shortNames": resource.get("shortNames", []),
                "categories": resource.get("categories", []),
                "storageVersionHash": resource.get("storageVersionHash", ""),
                "subresources": {},
            }
        else:
            found[group, version, plural]["subresources"][sub] = {
                "group": resource.get("group", group),
                "version": resource.get("version", version),
                "kind": resource["kind"],
                "verbs": verbs,
            }
    return sorted(found.values(), key=lambda resource: (resource["group"], resource["version"], resource["plural"]))


class GoTags:
    """How the Go types write their fields: for each JSON field "p" (pointer), "v" (a struct), "l" (list, bytes), "m"
    (map) or "s" (a scalar), followed by "o" when `omitempty` and "z" when `omitzero` is given."""

    def __init__(self, cache: Path, release: str) -> None:
        self._cache = cache
        self._release = release
        self._structs: dict[Path, dict[str, list[tuple[str, str, str]]]] = {}
        self._aliases: dict[Path, dict[str, str]] = {}

    def of(self, name: str) -> dict[str, str]:
        package, _, type_name = name.rpartition(".")
        directory = self._directory(package)
        return self._fields(directory, type_name) if directory else {}

    def _directory(self, package: str) -> Path | None:
        for prefix, (module, inside) in GO_PACKAGES.items():
            if package.startswith(prefix):
                root = self._cache / f"{module.rpartition('/')[2]}@v0.{self._release}"
                if not root.is_dir():
                    raise ValueError(f"{root} is missing: go mod download {module}@v0.{self._release}")
                path = root / inside / package.removeprefix(prefix).replace(".", "/")
                return path if path.is_dir() else None
        return None

    def _parse(self, directory: Path) -> dict[str, list[tuple[str, str, str]]]:
        if directory not in self._structs:
            structs: dict[str, list[tuple[str, str, str]]] = {}
            aliases: dict[str, str] = {}
            for path in sorted(directory.glob("*.go")):
                if path.name.endswith("_test.go"):
                    continue
                text = path.read_text()
                aliases.update(re.findall(r"^type (\w+) (map\[\S+|\[\]\S+|string|int32|\w+)$", text, re.MULTILINE))
                aliases.update(re.findall(r"^\t(\w+) (map\[\S+|\[\]\S+|string)$", text, re.MULTILINE))
                for name, body in re.findall(r"^type (\w+) struct \{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL):
                    structs[name] = re.findall(
                        r"^\t(?:(\w+)\s+)?(\*?[\w.\[\]*]+)\s+`.*?json:\"([^\"]*)\"", body, re.MULTILINE
                    )
            self._structs[directory], self._aliases[directory] = structs, aliases
        return self._structs[directory]

    def _fields(self, directory: Path, type_name: str) -> dict[str, str]:
        fields: dict[str, str] = {}
        for name, go_type, tag in self._parse(directory).get(type_name, []):
            json_name, *options = tag.split(",")
            if "inline" in options or (not json_name and not name):
                fields.update(self._embedded(directory, go_type))
            elif json_name and json_name != "-":
                omits = ("o" if "omitempty" in options else "") + ("z" if "omitzero" in options else "")
                fields[json_name] = self._shape(directory, go_type) + omits
        return fields

    def _embedded(self, directory: Path, go_type: str) -> dict[str, str]:
        package, _, name = go_type.lstrip("*").rpartition(".")
        if not package:
            return self._fields(directory, name)
        if package in ("metav1", "v1") and name == "TypeMeta":
            return {"kind": "so", "apiVersion": "so"}
        return self.of(f"io.k8s.api.core.v1.{name}")

    def _shape(self, directory: Path, go_type: str) -> str:
        if go_type.startswith("*"):
            return "p"
        if go_type.startswith("[]"):
            return "l"
        if go_type.startswith("map["):
            return "m"
        package, _, name = go_type.rpartition(".")
        if package:
            of_other = {
                "metav1": "io.k8s.apimachinery.pkg.apis.meta.v1",
                "v1": "io.k8s.api.core.v1",
                "corev1": "io.k8s.api.core.v1",
                "core": "io.k8s.api.core.v1",
                "resource": "io.k8s.apimachinery.pkg.api.resource",
                "runtime": "io.k8s.apimachinery.pkg.runtime",
                "intstr": "io.k8s.apimachinery.pkg.util.intstr",
                "types": "io.k8s.apimachinery.pkg.types",
                "authenticationv1": "io.k8s.api.authentication.v1",
            }
            found = self._directory(of_other[package])
            if found is None:
                raise ValueError(f"{directory}: {go_type}: its package is not there")
            return self._shape(found, name)
        if name in self._parse(directory):
            return "v"
        alias = self._aliases[directory].get(name, "")
        return self._shape(directory, alias) if alias and alias != name else "s"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
