"""What a write does to the stored objects, whoever asks and however: HTTP handlers and the built-in controllers both
come through here. Nothing in this module waits, so each write sees and leaves one consistent state.

    decoded body → names agree → field owners → admission changes → prepared, validated → admission judges → stored

A write that must ask a webhook first ends with a question and runs again: see kubeapi.admission.memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import orjson

from kubeapi import strategies
from kubeapi.admission import memory
from kubeapi.clock import stamp
from kubeapi.errors import (
    Cause,
    StatusError,
    already_exists,
    bad_request,
    conflict,
    invalid,
    not_found,
)
from kubeapi.identity import CONTROLLER, User
from kubeapi.resources import Resource
from kubeapi.seam import crd, fields, validation

if TYPE_CHECKING:
    from kubeapi.cluster import Cluster

Manifest = dict[str, Any]

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"
_DEFINITIONS = ("apiextensions.k8s.io", "customresourcedefinitions")
_PODS = ("", "pods")
_CREATING = ("", "status")
"""The subresources through which an update makes an object of the kinds that may be made so."""
_CLEANUP = "customresourcecleanup.apiextensions.k8s.io"
_CONTENT_TYPES = {
    "json": "application/json-patch+json",
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",
}


@dataclass(slots=True)
class Options:
    """What comes with a write besides its body; `warnings` collects what the client is told."""

    user: User = CONTROLLER
    field_manager: str = "kube-controller-manager"
    field_validation: str = "Ignore"
    """Strict, Warn or Ignore."""
    dry_run: bool = False
    force: bool = False
    subresource: str = ""
    sent: Mapping[str, str] = field(default_factory=dict)
    """The field manager and validation that the client named itself."""
    restated: bool = False
    """Whether a custom resource came with numbers such as 5.0, which a real server tells from the 5 it has stored."""
    warnings: list[str] = field(default_factory=list)


@dataclass(slots=True)
class DeleteOptions:
    """The body of a deletion."""

    uid: str = ""
    resource_version: str = ""
    grace_period: int | None = None
    propagation: str = ""
    """Foreground, Background, Orphan, or "" for the kind's default."""
    cascades: bool = False
    """Whether the client said, in the old way, that dependents are to go: a deletion that takes time answers 202."""
    dry_run: bool = False
    user: User = CONTROLLER
    judged: bool = False
    """Whether admission has been asked already, of the request that this deletion is part of."""
    collection: bool = False
    """Whether the client named no object: it deletes all that it selects."""
    warnings: list[str] = field(default_factory=list)
    """What the client is told."""


def create(
    cluster: Cluster, resource: Resource, namespace: str, manifest: Manifest, options: Options, *, applied: bool = False
) -> Manifest:
    """Store a new object and give it as stored. The manifest is taken over."""
    manifest = _read(resource, manifest, options, validation.Merged(manifest) if applied else None)
    metadata = _require_metadata(manifest)
    _require_namespace(resource, metadata, namespace)
    if metadata.get("resourceVersion"):
        raise StatusError(500, "", "resourceVersion should not be set on objects to be created")
    if not applied:
        metadata.pop("managedFields", None)
    for key in (
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "selfLink",
        "generation",
        "creationTimestamp",
        "uid",
    ):
        metadata.pop(key, None)
    now = memory.moment(cluster.clock.now())
    if not applied:
        manifest = _owned(resource, None, manifest, options, now)
    # Nobody owns what the server itself sets from here on.
    cluster.admission.admitting(resource, manifest, None, options)
    metadata = manifest["metadata"]
    _name(metadata)
    strategies.prepare_create(resource, manifest)
    metadata["uid"] = memory.new_uid()
    metadata["creationTimestamp"] = stamp(now)
    if strategies.has_generation(resource):
        metadata["generation"] = 1
    validation.prepare(resource, manifest, None, stamp(now))
    _admit(cluster, resource, manifest, None, options)
    metadata = manifest["metadata"]
    name = metadata["name"]
    existing = cluster.store.get(resource.storage, namespace, name)
    if existing is not None:
        raise already_exists(resource.group, resource.plural, name, deleting=existing.deleting)
    cluster.admission.created(resource, namespace, manifest, options)
    memory.done()
    if options.dry_run:
        return manifest
    return cluster.put(resource, manifest)


def _owned(resource: Resource, live: Manifest | None, manifest: Manifest, options: Options, now: datetime) -> Manifest:
    """The manifest of a create, update or patch, with its fields' owners."""
    return fields.updated(
        live,
        manifest,
        options.field_manager,
        schema=resource.schema,
        now=now,
        subresource=options.subresource,
        checked=not _brings_unchecked(resource, live or {}, manifest, options.subresource),
    )


def _brings_unchecked(resource: Resource, live: Manifest, manifest: Manifest, subresource: str) -> bool:
    """Whether a write of a custom object also changes the part that it can't write, which nobody will check."""
    if not resource.custom or not strategies.has_status(resource):
        return False
    if subresource != "status":
        return manifest.get("status") != live.get("status")
    rest = {*manifest, *live} - {"apiVersion", "kind", "metadata", "status"}
    return any(manifest.get(key) != live.get(key) for key in rest)


def _name(metadata: Manifest) -> None:
    """Make a name from generateName when there is none."""
    if not metadata.get("name") and metadata.get("generateName"):
        metadata["name"] = str(metadata["generateName"])[:58] + memory.new_suffix("name")


def update(
    cluster: Cluster, resource: Resource, namespace: str, name: str, manifest: Manifest, options: Options
) -> tuple[Manifest, bool]:
    """Replace an object (or one subresource of it); gives it as stored, and whether it was created."""
    manifest = _read(resource, manifest, options, None)
    metadata = _require_metadata(manifest)
    _require_namespace(resource, metadata, namespace)
    if metadata.get("name") and metadata["name"] != name:
        raise bad_request(f"the name of the object ({metadata['name']}) does not match the name on the URL ({name})")
    if not metadata.get("name"):
        metadata["name"] = name
    live = cluster.live(resource, namespace, name)
    if live is None:
        if resource.storage in strategies.CREATE_ON_UPDATE and options.subresource in _CREATING:
            _require_number(metadata.get("resourceVersion"))
            metadata.pop("resourceVersion", None)
            if metadata.get("uid"):
                gone = {"namespace": namespace, "name": name, "uid": ""}
                problem = _another(resource, gone, metadata["uid"], options)
                raise conflict(resource.group, resource.plural, name, problem)
            return create(cluster, resource, namespace, manifest, options), True
        raise not_found(resource.group, resource.plural, name)
    unconditional = not resource.custom and resource.storage not in strategies.NEEDS_RESOURCE_VERSION
    version = metadata.get("resourceVersion")
    if not version or version == "0":
        uid = metadata.get("uid")
        if uid and uid != live["metadata"].get("uid"):
            raise conflict(resource.group, resource.plural, name, _another(resource, live["metadata"], uid, options))
        if not unconditional:
            cause = Cause(
                "FieldValueInvalid", "Invalid value: 0: must be specified for an update", "metadata.resourceVersion"
            )
            raise invalid(resource.group, resource.plural, name, [cause])
        metadata["resourceVersion"] = live["metadata"]["resourceVersion"]
    return replace_live(cluster, resource, live, manifest, options), False


def patch(
    cluster: Cluster,
    resource: Resource,
    namespace: str,
    name: str,
    kind: str,
    body: Any,
    options: Options,
) -> tuple[Manifest, bool]:
    """Change an object by a json, merge, strategic or apply patch; gives it as stored, and whether it is new."""
    if kind == "strategic" and resource.custom:
        raise StatusError(
            415,
            "UnsupportedMediaType",
            "the body of the request was in an unknown format - accepted media types include: "
            "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
        )
    live = cluster.live(resource, namespace, name)
    if kind == "apply":
        return _apply(cluster, resource, namespace, name, live, body, options)
    if live is None:
        raise not_found(resource.group, resource.plural, name)
    if kind == "json":
        changed = fields.json_patch(live, body)
    elif kind == "merge":
        if not isinstance(body, dict):
            raise bad_request("the body of a merge patch must be an object")
        changed = fields.merge_patch(live, body)
    else:
        changed = fields.strategic_patch(live, body, resource.schema)
    if not isinstance(changed, dict) or not isinstance(changed.get("metadata") or {}, dict):
        raise bad_request("the patch leaves no object")
    if not (changed.get("metadata") or {}).get("name"):
        raise _nameless(name)
    _require_same(resource, live, changed)
    _require_uid(resource, live, changed["metadata"])
    shown = fields.shown(body) if kind == "strategic" else orjson.dumps(changed).decode()
    changed = _read(resource, changed, options, lambda: shown)
    return replace_live(cluster, resource, live, changed, options), False


def _nameless(name: str) -> StatusError:
    """400: a body doesn't say what the object that the URL names is called."""
    return bad_request(f"the name of the object ({name} based on URL) was undeterminable: name must be provided")


def _require_uid(resource: Resource, live: Manifest, metadata: Manifest) -> None:
    """422 when a patch makes an object another one."""
    uid = metadata.get("uid")
    if uid and uid != live["metadata"].get("uid"):
        cause = Cause("FieldValueInvalid", f'Invalid value: "{uid}": field is immutable', "metadata.uid")
        raise invalid(resource.group, resource.kind, live["metadata"]["name"], [cause, cause])


def _require_same(resource: Resource, live: Manifest, changed: Manifest) -> None:
    for key in ("apiVersion", "kind"):
        if changed.get(key) != live[key]:
            raise bad_request(f"a patch may not change {key} from {live[key]!r} to {changed.get(key)!r}")
    name, given = live["metadata"]["name"], changed["metadata"].get("name")
    if given != name:
        raise bad_request(f"the name of the object ({given}) does not match the name on the URL ({name})")


def _apply(
    cluster: Cluster,
    resource: Resource,
    namespace: str,
    name: str,
    live: Manifest | None,
    applied: Any,
    options: Options,
) -> tuple[Manifest, bool]:
    if not isinstance(applied, dict):
        raise bad_request("the body of an apply patch must be an object")
    if applied.get("apiVersion") != resource.api_version or applied.get("kind") != resource.kind:
        group, _, version = str(applied.get("apiVersion") or "").rpartition("/")
        raise bad_request(f"invalid object type: {group}/{version}, Kind={applied.get('kind') or ''}")
    metadata = _require_metadata(applied)
    given = metadata.get("name") or ""
    if not isinstance(given, str) or (given and given != name):
        raise bad_request(f"the name of the object ({given}) does not match the name on the URL ({name})")
    if metadata.get("namespace"):
        _require_namespace(resource, metadata, namespace)
    creating = _CREATING if resource.storage in strategies.CREATE_ON_UPDATE else ("",)
    if live is None and options.subresource not in creating:
        raise not_found(resource.group, resource.plural, name)
    wanted = metadata.get("resourceVersion")
    if live is None and wanted:  # a real server lets an object be made whatever version was asked for
        applied = {**applied, "metadata": {k: v for k, v in metadata.items() if k != "resourceVersion"}}
        wanted = None
    if live is None and metadata.get("uid"):
        uid = metadata["uid"]
        problem = f"uid mismatch: the provided object specified uid {uid}, and no existing object was found"
        raise conflict(resource.group, resource.plural, name, problem)
    if resource.custom:
        _settle(resource, applied, options)
    merged = fields.apply(
        live,
        applied,
        options.field_manager,
        force=options.force,
        subresource=options.subresource,
        schema=resource.schema,
        now=cluster.clock.now(),
        api_version=resource.api_version,
    )
    if live is None:
        if not given:
            raise _nameless(name)
        return create(cluster, resource, namespace, merged, options, applied=True), True
    if wanted:
        merged["metadata"]["resourceVersion"] = wanted
    _require_uid(resource, live, metadata)
    merged = _read(resource, merged, options, validation.Merged(applied))
    return replace_live(cluster, resource, live, merged, options, applied=True), False


def replace_live(
    cluster: Cluster,
    resource: Resource,
    live: Manifest,
    manifest: Manifest,
    options: Options,
    *,
    applied: bool = False,
) -> Manifest:
    """Put `manifest` (as the server holds it) in the place of `live`, as far as this kind of request may; a deletion
    that waited only for the finalizers that are now gone happens."""
    name = live["metadata"]["name"]
    old = live["metadata"]
    uid = manifest["metadata"].get("uid")
    if uid and uid != old.get("uid"):
        raise conflict(resource.group, resource.plural, name, _another(resource, old, uid, options))
    version = manifest["metadata"].get("resourceVersion")
    _require_number(version)
    if version and version != old["resourceVersion"]:
        raise conflict(resource.group, resource.plural, name)
    now = memory.moment(cluster.clock.now())
    if not applied:
        manifest = _owned(resource, live, manifest, options, now)
        manifest = {**manifest}  # what changes nothing comes back as `live` itself, which stays as it is
    cluster.admission.admitting(resource, manifest, live, options)
    manifest = strategies.prepare_update(resource, manifest, live, options.subresource)
    metadata = manifest["metadata"] = dict(manifest["metadata"])
    for key in ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation"):
        if key in old:
            metadata[key] = old[key]
        elif not key.startswith("deletion"):
            metadata.pop(key, None)
    metadata["resourceVersion"] = old["resourceVersion"]
    if resource.namespaced:
        metadata["namespace"] = old["namespace"]
    metadata.pop("selfLink", None)
    if "deletionTimestamp" in old:
        _require_no_new_finalizers(resource, old, metadata)

    if not options.subresource:
        validation.prepare(resource, manifest, live, stamp(now))
    _admit(cluster, resource, manifest, live, options)
    metadata = manifest["metadata"]
    changed = options.restated or strategies.changes_generation(resource, manifest, live)
    if options.subresource != "status" and changed:
        metadata["generation"] = old.get("generation", 0) + 1
    memory.done()
    if same(manifest, live):
        return live
    cluster.admission.updated(resource, manifest, live, options)
    if options.dry_run:
        return manifest
    if _may_go(resource, manifest):
        return _last_write(cluster, resource, manifest)
    return cluster.put(resource, manifest)


def _require_number(version: Any) -> None:
    if version and not str(version).isdecimal():
        raise StatusError(500, "", f'strconv.ParseUint: parsing "{version}": invalid syntax')


def _another(resource: Resource, live: Manifest, uid: str, options: Options) -> str:
    """What a real server's storage says of an update that means an object which isn't there any more."""
    root = "" if options.dry_run else "registry"
    key = "/".join(filter(None, (root, strategies.storage_prefix(resource), live.get("namespace"), live["name"])))
    return (
        f"StorageError: invalid object, Code: 4, Key: /{key}, ResourceVersion: 0, AdditionalErrorMsg: "
        f"Precondition failed: UID in precondition: {uid}, UID in object meta: {live.get('uid')}"
    )


def _may_go(resource: Resource, manifest: Manifest) -> bool:
    """Whether nothing holds an object that is being deleted any more."""
    metadata = manifest["metadata"]
    if "deletionTimestamp" not in metadata or metadata.get("finalizers"):
        return False
    return not metadata.get("deletionGracePeriodSeconds") and _nothing_holds(resource, manifest)


def _last_write(cluster: Cluster, resource: Resource, manifest: Manifest) -> Manifest:
    """Take an object out by its last change, `manifest`: who made it sees that, watchers see the state before it."""
    cluster.remove(resource, manifest["metadata"].get("namespace", ""), manifest["metadata"]["name"])
    return manifest


def _nothing_holds(resource: Resource, manifest: Manifest) -> bool:
    """Whether no finalizer outside metadata holds the object: a namespace has its own list."""
    return resource.storage != ("", "namespaces") or not (manifest.get("spec") or {}).get("finalizers")


def _require_no_new_finalizers(resource: Resource, old: Manifest, new: Manifest) -> None:
    before = set(old.get("finalizers") or ())
    added = [f for f in new.get("finalizers") or () if f not in before]
    if added:
        names = " ".join(f'"{f}"' for f in added)
        cause = Cause(
            "FieldValueForbidden",
            "Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers "
            f"[]string{{{names.replace(' ', ', ')}}}",
            "metadata.finalizers",
        )
        raise invalid(resource.group, resource.kind, old["name"], [cause])


def same(manifest: Mapping[str, Any], live: Mapping[str, Any]) -> bool:
    """Whether a write would change nothing; when fields were last touched doesn't count."""
    if manifest.keys() != live.keys():
        return False
    for key, value in manifest.items():
        if key == "metadata":
            if not _same_metadata(value, live["metadata"]):
                return False
        elif value != live[key]:
            return False
    return True


def _same_metadata(new: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
    keys = (set(new) | set(old)) - {"managedFields", "resourceVersion"}
    if any(new.get(key) != old.get(key) for key in keys):
        return False
    a, b = new.get("managedFields") or [], old.get("managedFields") or []
    return len(a) == len(b) and all(
        {k: v for k, v in x.items() if k != "time"} == {k: v for k, v in y.items() if k != "time"}
        for x, y in zip(a, b, strict=True)
    )


def _read(resource: Resource, manifest: Manifest, options: Options, patch: Any) -> Manifest:
    """A body, or what a patch made of the live object, as the server holds it."""
    if resource.custom:
        _settle(resource, manifest, options)
    manifest, warnings = validation.read(resource, manifest, field_validation=options.field_validation, patch=patch)
    options.warnings.extend(warnings)
    return manifest


def _settle(resource: Resource, manifest: Manifest, options: Options) -> None:
    """Write the numbers of a custom resource as they are stored."""
    for key, child in manifest.items():
        if key != "metadata" and isinstance(child, (dict, list)) and crd.numbers.settle(child):
            options.restated = options.restated or key != "status" or not strategies.has_status(resource)


def _admit(cluster: Cluster, resource: Resource, manifest: Manifest, old: Manifest | None, options: Options) -> None:
    cluster.admission.before(resource, manifest, old, options)
    subresource = options.subresource if old is not None else ""  # all of a new object is looked at
    options.warnings.extend(validation.check(resource, manifest, old, subresource=subresource))
    if not resource.custom:
        validation.hollow(manifest, resource.schema)
    cluster.admission.judging(resource, manifest, old, options)


def _require_metadata(manifest: Manifest) -> Manifest:
    metadata = manifest.get("metadata")
    if metadata is None:
        metadata = manifest["metadata"] = {}
    if not isinstance(metadata, dict):
        raise bad_request("metadata must be an object")
    return metadata


def _require_namespace(resource: Resource, metadata: Manifest, namespace: str) -> None:
    given = metadata.get("namespace")
    if given and given != (namespace if resource.namespaced else ""):
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
    if resource.namespaced:
        metadata["namespace"] = namespace
    else:
        metadata.pop("namespace", None)


# -- deletion


def delete(
    cluster: Cluster, resource: Resource, namespace: str, name: str, options: DeleteOptions
) -> tuple[Manifest, bool]:
    """Delete an object, or mark it when finalizers or a grace period hold it. Gives it, and whether it is gone."""
    entry = cluster.entry(resource, namespace, name)
    if entry is None:
        raise not_found(resource.group, resource.plural, name)
    live = cluster.manifest(resource, entry)
    metadata = live["metadata"]
    _require_preconditions(resource, metadata, options)
    if not options.judged:
        cluster.admission.deleting(resource, live, options)
    memory.done()
    grace = _grace(resource, live, options)
    finalizers = _finalizers_of_deletion(resource, metadata, options)
    namespace_held = resource.storage == ("", "namespaces") and bool((live.get("spec") or {}).get("finalizers"))
    if "deletionTimestamp" in metadata:
        return _delete_again(cluster, resource, live, finalizers, grace, options)
    graceful = resource.storage == _PODS
    if not finalizers and not graceful and not namespace_held:
        return (live if options.dry_run else cluster.remove(resource, namespace, name)), True
    metadata["deletionTimestamp"] = stamp(cluster.clock.now() + timedelta(seconds=grace))
    metadata["deletionGracePeriodSeconds"] = grace
    if metadata.get("generation"):
        metadata["generation"] += 1
    if finalizers:
        metadata["finalizers"] = finalizers
    if namespace_held:
        metadata.pop("deletionGracePeriodSeconds")
        live["status"] = {**(live.get("status") or {}), "phase": "Terminating"}
    held = bool(finalizers or grace or namespace_held)
    if options.dry_run:
        return live, not held
    marked = cluster.put(resource, live)
    return (marked, False) if held else (cluster.remove(resource, namespace, name), True)


def _delete_again(
    cluster: Cluster, resource: Resource, live: Manifest, finalizers: list[str], grace: int, options: DeleteOptions
) -> tuple[Manifest, bool]:
    """A deletion of what is already being deleted can only shorten the grace period or change the propagation."""
    metadata = live["metadata"]
    pending = metadata.get("deletionGracePeriodSeconds") or 0
    shorter = grace < pending
    changed = sorted(finalizers) != sorted(metadata.get("finalizers") or [])
    if not (shorter or changed):
        return live, False
    if changed:
        metadata["finalizers"] = finalizers
    if shorter:
        metadata["deletionTimestamp"] = stamp(cluster.clock.now() + timedelta(seconds=grace))
        metadata["deletionGracePeriodSeconds"] = grace
    goes = not finalizers and not grace and _nothing_holds(resource, live)
    if options.dry_run:
        return live, goes
    if goes:
        return cluster.remove(resource, metadata.get("namespace", ""), metadata["name"]), True
    return cluster.put(resource, live), False


def _require_preconditions(resource: Resource, metadata: Mapping[str, Any], options: DeleteOptions) -> None:
    name = metadata["name"]
    if options.uid and options.uid != metadata.get("uid"):
        problem = (
            f"the UID in the precondition ({options.uid}) does not match the UID in record ({metadata.get('uid')}). "
            "The object might have been deleted and then recreated"
        )
        raise conflict(resource.group, resource.kind, name, problem)
    if options.resource_version and options.resource_version != metadata["resourceVersion"]:
        problem = (
            f"the ResourceVersion in the precondition ({options.resource_version}) does not match the ResourceVersion "
            f"in record ({metadata['resourceVersion']}). The object might have been modified"
        )
        raise conflict(resource.group, resource.kind, name, problem)


def _grace(resource: Resource, live: Mapping[str, Any], options: DeleteOptions) -> int:
    """Seconds a pod may take to end; everything else is deleted at once."""
    if resource.storage != _PODS:
        return 0
    spec = live.get("spec") or {}
    grace = options.grace_period
    if grace is None:
        grace = spec.get("terminationGracePeriodSeconds", 30)
    phase = (live.get("status") or {}).get("phase")
    if not spec.get("nodeName") or phase in ("Succeeded", "Failed"):
        return 0
    return max(0, int(grace))


def _finalizers_of_deletion(resource: Resource, metadata: Mapping[str, Any], options: DeleteOptions) -> list[str]:
    """The finalizers with which a deletion of the wanted propagation leaves the object."""
    finalizers = [str(f) for f in metadata.get("finalizers") or ()]
    propagation = options.propagation
    if not propagation:
        if ORPHAN in finalizers or FOREGROUND in finalizers:
            return finalizers
        propagation = "Orphan" if resource.storage in strategies.ORPHANS_BY_DEFAULT else "Background"
    kept = [f for f in finalizers if f not in (ORPHAN, FOREGROUND)]
    if resource.storage == _DEFINITIONS and _CLEANUP not in kept:
        kept.append(_CLEANUP)
    if propagation == "Orphan":
        return [*kept, ORPHAN]
    if propagation == "Foreground":
        return [*kept, FOREGROUND]
    return kept


# -- for the built-in controllers


def change(
    cluster: Cluster,
    resource: Resource,
    namespace: str,
    name: str,
    mutate: Callable[[Manifest], Manifest | None],
    *,
    subresource: str = "",
    manager: str = "kube-controller-manager",
) -> Manifest | None:
    """Change a live object in the name of a built-in controller. `mutate` gets a copy it may change and returns it, or
    None to leave the object alone. Gives what is stored afterwards, None when the object isn't there."""
    live = cluster.live(resource, namespace, name)
    if live is None:
        return None
    wanted = mutate(cluster.live(resource, namespace, name) or {})
    if wanted is None or same(wanted, live):
        return live
    manifest = fields.updated(
        live, wanted, manager, schema=resource.schema, now=cluster.clock.now(), subresource=subresource
    )
    if subresource != "status" and strategies.changes_generation(resource, manifest, live):
        manifest["metadata"]["generation"] = live["metadata"].get("generation", 0) + 1
    if _may_go(resource, manifest):
        return _last_write(cluster, resource, manifest)
    return cluster.put(resource, manifest)
