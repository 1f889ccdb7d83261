"""Make the tables beside this file from kustomize's Go modules.

    python -m shared.kustomize.tables.generate [--check]

Needs `go` (it downloads the two modules through the Go proxy). `openapi.json.gz` keeps of the Kubernetes OpenAPI
document only what a strategic merge asks: for each kind a graph of nodes, where a node may have

    p  properties: name → node number       a  node of every other property
    i  node of the list's items             s  patch strategy      k  merge keys

`definitions` gives the nodes by the names that a custom document may refer to, and a node number of -1 means "known,
and no list with merge keys below". `fieldspecs.json` holds the default field specs.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from shared.text import yaml

API = "sigs.k8s.io/kustomize/api@v0.21.2"
KYAML = "sigs.k8s.io/kustomize/kyaml@v0.21.2"
BUNDLE = "openapi/kubernetesapi/data/kubernetes-openapi-union-v1.21.2.bundle-v1.json.gz"
HERE = Path(__file__).parent
PLAIN = -1


def module(name: str) -> Path:
    """The directory of a downloaded Go module."""
    out = subprocess.run(["go", "mod", "download", "-json", name], check=True, capture_output=True, text=True).stdout
    return Path(json.loads(out)["Dir"])


class Reducer:
    """Numbers the schema nodes that lead to a merge key; the others become PLAIN."""

    def __init__(self, definitions: dict[str, Any]) -> None:
        self.definitions = definitions
        self.nodes: list[dict[str, Any]] = []
        self.numbers: dict[int, int] = {}
        self.useful: set[int] = set()
        self.sources: dict[int, dict[str, Any]] = {}

    def resolve(self, schema: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in schema:
            schema = self.definitions[schema["$ref"].removeprefix("#/definitions/")]
        return schema

    def children(self, schema: dict[str, Any]) -> list[dict[str, Any]]:
        found = list(schema.get("properties", {}).values())
        if isinstance(schema.get("additionalProperties"), dict):
            found.append(schema["additionalProperties"])
        if isinstance(schema.get("items"), dict):
            found.append(schema["items"])
        return [self.resolve(child) for child in found]

    def mark(self, roots: list[dict[str, Any]]) -> None:
        """Find the nodes from which a list with a strategy can be reached, cycles included."""
        parents: dict[int, set[int]] = {}
        queue = list(roots)
        while queue:
            schema = queue.pop()
            if id(schema) in self.sources:
                continue
            self.sources[id(schema)] = schema
            for child in self.children(schema):
                parents.setdefault(id(child), set()).add(id(schema))
                queue.append(child)
        wave = [key for key, s in self.sources.items() if "x-kubernetes-patch-strategy" in s]
        while wave:
            key = wave.pop()
            if key not in self.useful:
                self.useful.add(key)
                wave.extend(parents.get(key, ()))

    def number(self, schema: dict[str, Any]) -> int:
        schema = self.resolve(schema)
        if id(schema) not in self.useful:
            return PLAIN
        if id(schema) in self.numbers:
            return self.numbers[id(schema)]
        node: dict[str, Any] = {}
        number = self.numbers[id(schema)] = len(self.nodes)
        self.nodes.append(node)
        if "x-kubernetes-patch-strategy" in schema:
            node["s"] = schema["x-kubernetes-patch-strategy"]
            keys = schema.get("x-kubernetes-list-map-keys") or [schema.get("x-kubernetes-patch-merge-key")]
            if keys[0]:
                node["k"] = keys
        if schema.get("properties"):
            node["p"] = {name: self.number(child) for name, child in sorted(schema["properties"].items())}
        if isinstance(schema.get("additionalProperties"), dict):
            node["a"] = self.number(schema["additionalProperties"])
        if schema.get("type") == "array" and isinstance(schema.get("items"), dict):
            node["i"] = self.number(schema["items"])
        return number


def openapi_table(bundle: dict[str, Any], scopes: dict[str, bool]) -> dict[str, Any]:
    definitions = bundle["definitions"]
    found = {f"{r['apiVersion']} {r['kind']}": r for r in bundle["resources"]}
    roots = {name: definitions[r["definition"]] for name, r in sorted(found.items()) if r.get("definition")}
    reducer = Reducer(definitions)
    reducer.mark(list(roots.values()))
    kinds = {name: reducer.number(schema) for name, schema in roots.items()}
    for name, resource in found.items():
        if resource.get("scope"):
            scopes.setdefault(name, resource["scope"] == "Namespaced")
    names = {
        name: number for name, schema in sorted(definitions.items()) if (number := reducer.number(schema)) != PLAIN
    }
    return {"kinds": kinds, "nodes": reducer.nodes, "definitions": names, "scopes": dict(sorted(scopes.items()))}


def precomputed_scopes(source: str) -> dict[str, bool]:
    """The scopes that kustomize knows even when a custom schema replaces the built-in one."""
    row = re.compile(r'\{APIVersion: "([^"]+)", Kind: "([^"]+)"\}:\s+(true|false),')
    return {f"{version} {kind}": value == "true" for version, kind, value in row.findall(source)}


def field_spec_table(directory: Path) -> dict[str, Any]:
    """Evaluate the string constants of the package: raw strings joined by `+`."""
    constants: dict[str, str] = {}
    pending: dict[str, str] = {}
    constant = re.compile(r"(\w+)\s*=\s*((?:`[^`]*`|\w+)(?:\s*\+\s*(?:`[^`]*`|\w+))*)")
    for path in sorted(directory.glob("*.go")):
        pending.update(constant.findall(path.read_text()))
    for _ in pending:
        for name, expression in pending.items():
            parts = re.findall(r"`([^`]*)`|(\w+)", expression)
            if name not in constants and all(raw or ref in constants for raw, ref in parts):
                constants[name] = "".join(raw or constants[ref] for raw, ref in parts)
    table: dict[str, Any] = {}
    for name, text in constants.items():
        if name.endswith("FieldSpecs") and re.match(r"\s*\w+:", text):
            table.update(yaml.load(text))
    return dict(sorted(table.items()))


def tables() -> dict[str, bytes]:
    kyaml, api = module(KYAML), module(API)
    with gzip.open(kyaml / BUNDLE, "rt") as file:
        bundle = json.load(file)
    scopes = precomputed_scopes((kyaml / "openapi/openapi.go").read_text())
    merged = openapi_table(bundle, scopes)
    compact = json.dumps(merged, separators=(",", ":")).encode()
    specs = field_spec_table(api / "internal/konfig/builtinpluginconsts")
    return {
        "openapi.json.gz": gzip.compress(compact, mtime=0),
        "fieldspecs.json": (json.dumps(specs, separators=(",", ":")) + "\n").encode(),
    }


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Make the engine's tables from kustomize's Go modules.")
    parser.add_argument("--check", action="store_true", help="only compare; exit 1 when a table is out of date")
    options = parser.parse_args(argv)
    stale = 0
    for name, data in tables().items():
        path = HERE / name
        if options.check:
            stale += not path.exists() or path.read_bytes() != data
        else:
            path.write_bytes(data)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
