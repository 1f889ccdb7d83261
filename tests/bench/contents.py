"""What the floor's writes hold: every field that Flux's API documents for such an object, as a controller fills it.

Without their histories, conditions and annotations, objects of half the size would be compared: what a write costs the
API server grows with the object that it is of.
"""

from __future__ import annotations

import itertools
import json
import uuid
from typing import Any

import yaml

from tests.bench.kustomizations import APP

NAMESPACE = "bench-floor"
_KINDS = ("_ServiceAccount", "_Service", "apps_Deployment", "networking.k8s.io_Ingress")
_NAMES = itertools.count()
_THEN = "2026-01-01T00:00:00Z"
_GROUPS = {"OCIRepository": "source.toolkit.fluxcd.io", "Kustomization": "kustomize.toolkit.fluxcd.io"}
_ORIGIN = "org.opencontainers.image.revision"


def objects(index: int, version: str) -> list[dict[str, Any]]:
    """The application's four objects."""
    text = _TEMPLATE.replace("${INDEX}", str(index)).replace("${VERSION}", f"v{version}")
    made: list[dict[str, Any]] = json.loads(text)
    return made


def inventory(index: int) -> dict[str, Any]:
    """The status of a Kustomization before anything is touched."""
    entries = [{"id": f"{NAMESPACE}_app-{index}_{kind}", "v": "v1"} for kind in _KINDS]
    return {"status": {"inventory": {"entries": entries}}}


def status(index: int, version: str) -> dict[str, Any]:
    """The status of a Kustomization that is Ready at a version, with at most one before it in its history."""
    revision = _revision(version)
    conditions = [
        _condition("Ready", "ReconciliationSucceeded", f"Applied revision: {revision}"),
        _condition("Healthy", "Succeeded", "Health check passed in 22ms"),
    ]
    found = {
        "observedGeneration": 1,
        "lastAppliedOriginRevision": _origin(version),
        "lastAppliedRevision": revision,
        "lastAttemptedRevision": revision,
        "conditions": conditions,
        "history": [_snapshot(version, 1), _snapshot("1", 2)][: 1 if version == "1" else 2],
    }
    return {"status": inventory(index)["status"] | found}


def handled(token: str) -> dict[str, Any]:
    """The status of a Kustomization that was asked for and has nothing to do."""
    return {"status": {"lastHandledReconcileAt": token, "history": [_snapshot("1", 2)]}}


def source_status(index: int, version: str) -> dict[str, Any]:
    """The status of a source with the artifact of a version."""
    path = f"ocirepository/{NAMESPACE}/app-{index}/{_digest(version)}.tar.gz"
    message = f"stored artifact for digest '{_revision(version)}'"
    artifact = {
        "digest": _digest(version),
        "lastUpdateTime": _THEN,
        "metadata": {_ORIGIN: _origin(version)},
        "path": path,
        "revision": _revision(version),
        "size": 1000,
        "url": f"http://127.0.0.1:9090/{path}",
    }
    url = f"http://127.0.0.1:9090/ocirepository/{NAMESPACE}/app-{index}/latest.tar.gz"
    conditions = [_condition(of, "Succeeded", message) for of in ("Ready", "ArtifactInStorage")]
    return {"status": {"observedGeneration": 1, "artifact": artifact, "conditions": conditions, "url": url}}


def stored(index: int, version: str) -> dict[str, Any]:
    """The event of a new artifact."""
    said = f"stored artifact with revision '{_revision(version)}' from 'oci://registry.example.org/apps'"
    annotations = {"revision": _revision(version), "digest": _digest(version)}
    return _event("OCIRepository", index, "NewArtifact", said, annotations)


def applied(index: int, version: str) -> dict[str, Any]:
    """The event of a version that was applied."""
    what = "created" if version == "1" else "configured"
    end = "Health check passed in 15ms\nReconciliation finished in 79ms, next run in 1h0m0s"
    annotations = {"revision": _revision(version), "originRevision": _origin(version), "commit_status": "update"}
    return _event("Kustomization", index, "ReconciliationSucceeded", f"{_each(index, what)}\n{end}", annotations)


def deleted(index: int) -> dict[str, Any]:
    """The event of a Kustomization's end."""
    said, annotations = _each(index, "deleted"), {"revision": _revision("4")}
    return _event("Kustomization", index, "ReconciliationSucceeded", said, annotations)


def _each(index: int, what: str) -> str:
    """What happened to each object, a line each."""
    return "\n".join(f"{kind.partition('_')[2]}/{NAMESPACE}/app-{index} {what}" for kind in _KINDS)


def _event(kind: str, index: int, reason: str, message: str, annotations: dict[str, str]) -> dict[str, Any]:
    group = _GROUPS[kind]
    return {
        "metadata": {
            "name": f"app-{index}.{next(_NAMES):017x}",
            "annotations": {f"{group}/{name}": value for name, value in annotations.items()},
        },
        "type": "Normal",
        "reason": reason,
        "message": message,
        "involvedObject": {
            "apiVersion": f"{group}/v1",
            "kind": kind,
            "namespace": NAMESPACE,
            "name": f"app-{index}",
            "uid": str(uuid.UUID(int=index)),
            "resourceVersion": "1",
        },
        "source": {"component": "floor"},
        "reportingComponent": "floor",
        "reportingInstance": "floor",
        "firstTimestamp": _THEN,
        "lastTimestamp": _THEN,
        "count": 1,
    }


def _revision(version: str) -> str:
    return f"latest@{_digest(version)}"


def _digest(version: str) -> str:
    return f"sha256:{version:0>64}"


def _origin(version: str) -> str:
    return f"main@sha1:{version:0>40}"


def _condition(kind: str, reason: str, message: str) -> dict[str, Any]:
    return {
        "type": kind,
        "status": "True",
        "reason": reason,
        "message": message,
        "lastTransitionTime": _THEN,
        "observedGeneration": 1,
    }


def _snapshot(version: str, times: int) -> dict[str, Any]:
    return {
        "digest": _digest(version),
        "firstReconciled": _THEN,
        "lastReconciled": _THEN,
        "lastReconciledDuration": "50ms",
        "lastReconciledStatus": "ReconciliationSucceeded",
        "metadata": {"originRevision": _origin(version), "revision": _revision(version)},
        "totalReconciliations": times,
    }


def _template() -> str:
    """The application's objects as JSON, as the tenant's controller would apply them; but the labels that name their
    owner are of another group, as long, so that no controller watches them."""
    found = list(yaml.load_all(APP, Loader=yaml.CSafeLoader))
    for obj in found:
        obj["metadata"]["namespace"] = NAMESPACE
        obj["metadata"]["labels"]["kustomize.toolkit.bench.org/name"] = "app-${INDEX}"
        obj["metadata"]["labels"]["kustomize.toolkit.bench.org/namespace"] = NAMESPACE
    return json.dumps(found)


_TEMPLATE = _template()
