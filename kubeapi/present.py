"""How objects look in a response: whole, as PartialObjectMetadata, or as rows of a Table, as Accept asks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from kubeapi import tables
from kubeapi.errors import not_acceptable
from kubeapi.resources import Resource
from kubeapi.store import Entry, head_of
from kubeapi.validation.prepare import GENERATION
from shared.text import yaml

if TYPE_CHECKING:
    from kubeapi.cluster import Cluster

Manifest = dict[str, Any]

OBJECT, PARTIAL, TABLE = "object", "partial", "table"
ACCEPTED = ("application/json", "application/yaml")


@dataclass(frozen=True, slots=True)
class Form:
    """What the client wants to see; `include` is a Table's includeObject."""

    kind: str = OBJECT
    yaml: bool = False
    include: str = "Metadata"


WHOLE = Form()


def negotiate(accept: str, include: str = "") -> Form:
    """The first offer of an Accept header that this server can make; 406 when there is none."""
    if not accept or accept in ("*/*", "application/json"):
        return WHOLE
    for offer in accept.split(","):
        media, *parameters = (part.strip() for part in offer.split(";"))
        values = dict(part.partition("=")[::2] for part in parameters)
        wanted = values.get("as", "")
        if media == "application/json" or media in ("*/*", "application/*"):
            if not wanted:
                return WHOLE
            if values.get("g") == "meta.k8s.io" and values.get("v") == "v1":
                if wanted == "Table":
                    return Form(TABLE, include=include or "Metadata")
                if wanted in ("PartialObjectMetadata", "PartialObjectMetadataList"):
                    return Form(PARTIAL)
        elif media == "application/yaml" and not wanted:
            return Form(yaml=True)
    raise not_acceptable(ACCEPTED)


def entry_bytes(cluster: Cluster, resource: Resource, entry: Entry, form: Form) -> bytes:
    """One stored object in a form other than Table; serialised once for all who want the same."""
    if form.kind == OBJECT and entry.api_version == resource.api_version:
        return entry.raw
    key = (resource.api_version, form.kind)
    if entry.forms is not None:
        known = entry.forms.get(key)
        if known is not None:
            return known
    manifest = cluster.manifest(resource, entry)
    data = orjson.dumps(partial(manifest) if form.kind == PARTIAL else manifest)
    if entry.forms is None:
        entry.forms = {}
    entry.forms[key] = data
    return data


def item_bytes(cluster: Cluster, resource: Resource, entry: Entry, form: Form) -> bytes:
    """One object as an item of a list: built-in kinds leave their apiVersion and kind to the list."""
    data = entry_bytes(cluster, resource, entry, form)
    if form.kind == PARTIAL or resource.custom:
        return data
    if data is entry.raw:
        body = entry.body()
        return b"{" + body[1:] if body[:1] == b"," else b"{" + body
    head = head_of(resource.api_version, resource.kind)
    if data.startswith(head):
        return b"{" + data[len(head) + 1 :]
    return data


def partial(manifest: Manifest) -> Manifest:
    """Only what an object's metadata says."""
    metadata = manifest.get("metadata") or {}
    if manifest.get("kind") == "DaemonSet":
        # A real server makes this annotation of a field when it shows a whole DaemonSet.
        kept = {key: text for key, text in (metadata.get("annotations") or {}).items() if key != GENERATION}
        metadata = {key: value for key, value in metadata.items() if key != "annotations"}
        metadata |= {"annotations": kept} if kept else {}
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata}


def list_bytes(cluster: Cluster, resource: Resource, entries: Iterable[Entry], form: Form, metadata: Manifest) -> bytes:
    """A list response in any form but Table."""
    items = b",".join(item_bytes(cluster, resource, entry, form) for entry in entries)
    if form.kind == PARTIAL:
        kind, api_version = "PartialObjectMetadataList", "meta.k8s.io/v1"
    else:
        kind, api_version = resource.list_name, resource.api_version
        if resource.custom:
            metadata = {"continue": "", **metadata}
    head = orjson.dumps({"kind": kind, "apiVersion": api_version, "metadata": metadata})
    if not items and form.kind == PARTIAL:
        return head[:-1] + b',"items":null}'
    return head[:-1] + b',"items":[' + items + b"]}"


def table(
    cluster: Cluster,
    resource: Resource,
    manifests: Sequence[Manifest],
    form: Form,
    metadata: Manifest,
    *,
    headed: bool = True,
) -> Manifest:
    """Objects as a meta.k8s.io Table; `headed` False leaves the columns out, as later watch events do."""
    layout = tables.layout(resource)
    now = cluster.clock.now()
    rows = []
    for manifest in manifests:
        row: Manifest = {"cells": layout.cells(manifest, now)}
        if form.include == "Object":
            row["object"] = manifest
        elif form.include != "None":
            row["object"] = partial(manifest)
        rows.append(row)
    columns = [column.definition() for column in layout.columns] if headed else None
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": columns,
        "rows": rows or (None if layout.plain else rows),
    }


def response_body(cluster: Cluster, resource: Resource, manifest: Manifest, form: Form) -> bytes:
    """One object that a request got or wrote, in its form."""
    if form.kind == PARTIAL:
        return orjson.dumps(partial(manifest))
    if form.kind == TABLE and manifest.get("kind") == resource.kind:
        version = (manifest.get("metadata") or {}).get("resourceVersion", "")
        return orjson.dumps(table(cluster, resource, [manifest], form, {"resourceVersion": version}))
    return orjson.dumps(manifest)


def to_yaml(body: bytes) -> bytes:
    return yaml.dump(orjson.loads(body)).encode()
