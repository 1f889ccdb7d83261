"""From what a build made to what is sent: the fields that a server would stumble over are put right or left out.

    manifest → manifest to apply, or the problems that keep it from being applied

Only shapes change, never meaning: unknown fields of built-in kinds go, `stringData` becomes `data`, ports get the
protocol that is their default (it is a key of their list, and apply needs keys), status and server-set metadata go.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from typing import Any

import orjson

from shared import schema
from shared.api.meta import Manifest
from shared.apply.identity import Owner, labelled

_SERVER_SET = ("creationTimestamp", "resourceVersion", "uid", "generation", "managedFields", "selfLink")
_STRINGS = ("data", "stringData", "binaryData")
_POD_SPECS = {
    ("v1", "Pod"): ("spec",),
    ("v1", "ReplicationController"): ("spec", "template", "spec"),
    ("apps/v1", "Deployment"): ("spec", "template", "spec"),
    ("apps/v1", "StatefulSet"): ("spec", "template", "spec"),
    ("apps/v1", "DaemonSet"): ("spec", "template", "spec"),
    ("apps/v1", "ReplicaSet"): ("spec", "template", "spec"),
    ("batch/v1", "Job"): ("spec", "template", "spec"),
    ("batch/v1", "CronJob"): ("spec", "jobTemplate", "spec", "template", "spec"),
}


def prepared(manifest: Manifest, owner: Owner) -> tuple[Manifest, list[str]]:
    """The manifest to send, with the owner's labels, and its problems. The given one isn't changed."""
    try:
        text = orjson.dumps(labelled(manifest, owner))
    except orjson.JSONEncodeError as error:
        return manifest, [f"it holds what JSON can't say: {error}"]
    result: Manifest = orjson.loads(text)  # A copy, and a cheap one.
    metadata = result["metadata"]
    for key in _SERVER_SET:
        metadata.pop(key, None)
    is_definition = result.get("kind") == "CustomResourceDefinition"
    result.pop("status", None)
    problems = _metadata_problems(metadata)
    # The rules of (Cluster)Roles stay as they were written: upstream leaves them alone, too.
    if result.get("kind") not in ("Role", "ClusterRole"):
        problems += schema.normalise(result)
    if problems:
        return result, problems
    if schema.lookup(result["apiVersion"], result["kind"]) is None:
        _drop_nulls(metadata)  # In a custom resource's own fields null may mean something.
    elif b"null" in text:
        for section in _STRINGS:
            if isinstance(result.get(section), dict):
                result[section] = {key: "" if value is None else value for key, value in result[section].items()}
        _drop_nulls(result)
    if is_definition:
        _drop_empty_ca_bundle(result)
    _string_data(result)
    for port in _ports(result):
        port.setdefault("protocol", "TCP")
    return result, []


def digest_of(manifest: Manifest) -> bytes:
    """A short hash of one manifest."""
    return hashlib.blake2b(orjson.dumps(manifest, option=orjson.OPT_SORT_KEYS), digest_size=16).digest()


def _metadata_problems(metadata: Manifest) -> list[str]:
    """Labels and annotations are strings on every kind, also on those we have no schema of."""
    problems = []
    for section in ("labels", "annotations"):
        pairs = metadata.get(section)
        if pairs is not None and not isinstance(pairs, dict):
            problems.append(f".metadata.{section}: expected map")
            continue
        problems += [
            f".metadata.{section}.{key}: expected string, got {type(value).__name__}: put it in quotes"
            for key, value in (pairs or {}).items()
            if value is not None and not isinstance(value, str)
        ]
    return problems


def _drop_nulls(value: Any) -> None:
    """Null says nothing in a built-in kind; sent, it would make us the owner of nothing."""
    if isinstance(value, dict):
        for key in [key for key, child in value.items() if child is None]:
            del value[key]
        for child in value.values():
            _drop_nulls(child)
    elif isinstance(value, list):
        for child in value:
            _drop_nulls(child)


def _drop_empty_ca_bundle(definition: Manifest) -> None:
    """A placeholder in place of a conversion webhook's certificates is refused; without it they can be injected."""
    conversion = (definition.get("spec") or {}).get("conversion") or {}
    config = (conversion.get("webhook") or {}).get("clientConfig") or {}
    bundle = config.get("caBundle")
    if bundle is not None and not _is_pem(bundle):
        del config["caBundle"]


def _is_pem(bundle: Any) -> bool:
    try:
        return b"-----BEGIN CERTIFICATE-----" in base64.b64decode(str(bundle), validate=True)
    except ValueError:
        return False


def _string_data(manifest: Manifest) -> None:
    if manifest.get("kind") != "Secret" or manifest.get("apiVersion") != "v1":
        return
    plain = manifest.pop("stringData", None)
    if plain:
        data = manifest.setdefault("data", {})
        for key, value in plain.items():
            data[key] = base64.b64encode(value.encode()).decode()


def _ports(manifest: Manifest) -> Iterator[dict[str, Any]]:
    gvk = (str(manifest.get("apiVersion")), str(manifest.get("kind")))
    if gvk == ("v1", "Service"):
        yield from _maps((manifest.get("spec") or {}).get("ports"))
    elif gvk in _POD_SPECS:
        node: Any = manifest
        for step in _POD_SPECS[gvk]:
            node = node.get(step) if isinstance(node, dict) else None
        for key in ("containers", "initContainers") if isinstance(node, dict) else ():
            for container in _maps(node.get(key)):
                yield from _maps(container.get("ports"))


def _maps(items: Any) -> Iterator[dict[str, Any]]:
    if isinstance(items, list):
        yield from (item for item in items if isinstance(item, dict))
