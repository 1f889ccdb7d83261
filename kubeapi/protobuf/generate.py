"""Writes kubeapi/protobuf/messages.json.gz from a Kubernetes release: python -m kubeapi.protobuf.generate MODULE_DIR

MODULE_DIR is the unpacked Go module k8s.io/kubernetes@vX.Y.Z, with its sibling modules k8s.io/api, apimachinery,
apiextensions-apiserver and kube-aggregator of the same minor and patch beside it. Their generated.proto files say which
number each field has on the wire. Written: {message: {number: [field, type, flags]}}; the flags are "r" (repeated),
"m" (a map from string) and "i" (its fields stand in the message itself when it is JSON).
"""

from __future__ import annotations

import gzip
import json
import re
import sys
from pathlib import Path

from shared import schema

MODULES = ("api", "apimachinery", "apiextensions-apiserver", "kube-aggregator")
_PACKAGE = re.compile(r"^package ([\w.]+);", re.MULTILINE)
_MESSAGE = re.compile(r"^message (\w+) \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
_FIELD = re.compile(
    r"^  (?:(optional|repeated|required) )?(map<string, ?([.\w-]+)>|[.\w-]+) (\w+) = (\d+);", re.MULTILINE
)
_SCALARS = ("bool", "bytes", "double", "float", "int32", "int64", "string", "uint32", "uint64")

Fields = dict[str, list[str]]


def main(arguments: list[str]) -> int:
    """Writes the data next to this file; returns a process's exit code."""
    if len(arguments) != 1:
        print("usage: python -m kubeapi.protobuf.generate MODULE_DIR   (the unpacked module k8s.io/kubernetes@vX.Y.Z)")
        return 2
    text = json.dumps(messages(Path(arguments[0])), sort_keys=True, separators=(",", ":"))
    Path(__file__).with_name("messages.json.gz").write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    return 0


def messages(module: Path) -> dict[str, Fields]:
    """All messages that the kinds of shared.schema need, by the full name of their type."""
    release = module.name.partition("@v1.")[2]
    found: dict[str, Fields] = {}
    for name in MODULES:
        folder = module.parent / f"{name}@v0.{release}"
        for file in sorted(folder.rglob("generated.proto")):
            found.update(_of_file(file.read_text()))
    wanted = {*_kinds(), "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"}
    kept: dict[str, Fields] = {}
    while wanted:
        name = wanted.pop()
        if name in kept or name not in found:
            continue
        kept[name] = found[name]
        wanted |= {type_ for _, type_, _ in found[name].values() if type_ not in _SCALARS}
    return {name: _inlined(name, fields) for name, fields in kept.items()}


def _kinds() -> set[str]:
    """The types of all kinds that are served, those of subresources too."""
    found = set()
    for one in schema.resources():
        kinds = [(one.api_version, one.kind)]
        kinds += [(f"{s.group}/{s.version}" if s.group else s.version, s.kind) for s in one.subresources.values()]
        described = (schema.lookup(api_version, kind) for api_version, kind in kinds)
        found |= {one.name for one in described if one is not None}
    return found


def _of_file(text: str) -> dict[str, Fields]:
    package_match = _PACKAGE.search(text)
    if package_match is None:
        return {}
    package = _dashed(package_match.group(1))
    found = {}
    for name, body in _MESSAGE.findall(text):
        fields: Fields = {}
        for label, type_, map_type, field, number in _FIELD.findall(body):
            flags = "m" if map_type else "r" if label == "repeated" else ""
            fields[number] = [field, _full(map_type or type_, package), flags]
        found[f"{package}.{name}"] = fields
    return found


def _dashed(package: str) -> str:
    """A package or type as schemas call it: their names begin with io.k8s, and may have dashes."""
    name = package.removeprefix(".").replace("k8s.io.", "io.k8s.", 1)
    return name.replace("apiextensions_apiserver", "apiextensions-apiserver").replace(
        "kube_aggregator", "kube-aggregator"
    )


def _full(type_: str, package: str) -> str:
    if type_ in _SCALARS:
        return type_
    return _dashed(type_) if "." in type_ else f"{package}.{type_}"


def _inlined(name: str, fields: Fields) -> Fields:
    """The fields under their JSON names; embedded structs have a field of their own on the wire and none in JSON."""
    try:
        declared = {_plain(field): field for field in schema.schema(name).properties}
    except LookupError:
        return fields
    if not declared:
        return fields
    return {
        number: [declared.get(_plain(field), field), type_, flags + ("" if _plain(field) in declared else "i")]
        for number, (field, type_, flags) in fields.items()
    }


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
