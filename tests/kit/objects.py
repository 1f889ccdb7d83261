"""What tests put into a cluster and into Git: builders of manifests, and the kinds that tests ask for.

    source("app")                                a GitRepository; of the test's own repository where no `url` is given
    kustomization("app", depends_on=["infra"])   a Kustomization of the source of its name; fields in snake_case

Intervals are an hour, so that whatever happens sooner happened because something changed.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from shared.api.meta import Manifest, Resource
from shared.text import yaml


class Builtin(NamedTuple):
    """A kind of Kubernetes' own."""

    api_version: str
    kind: str


ConfigMap = Builtin("v1", "ConfigMap")
Secret = Builtin("v1", "Secret")
Service = Builtin("v1", "Service")
ServiceAccount = Builtin("v1", "ServiceAccount")
Namespace = Builtin("v1", "Namespace")
Event = Builtin("v1", "Event")
Deployment = Builtin("apps/v1", "Deployment")
Job = Builtin("batch/v1", "Job")
Role = Builtin("rbac.authorization.k8s.io/v1", "Role")
RoleBinding = Builtin("rbac.authorization.k8s.io/v1", "RoleBinding")
Definition = Builtin("apiextensions.k8s.io/v1", "CustomResourceDefinition")

Kind = Builtin | type[Resource]


def names_of(kind: Kind) -> Builtin:
    """The apiVersion and kind of a kind, ours or Kubernetes'."""
    if isinstance(kind, Builtin):
        return kind
    return Builtin(kind.resource.api_version, kind.resource.kind)


def camel(name: str) -> str:
    """depends_on → dependsOn."""
    return re.sub(r"_([a-z])", lambda match: match[1].upper(), name)


def source(name: str, url: str = "", *, branch: str = "main", **spec: Any) -> Manifest:
    """A GitRepository that follows a branch."""
    return {
        "apiVersion": "source.toolkit.fluxcd.io/v1",
        "kind": "GitRepository",
        "metadata": {"name": name},
        "spec": {"interval": "1h", "ref": {"branch": branch}} | ({"url": url} if url else {}) | _spec(spec),
    }


def kustomization(
    name: str, *, source: str = "app", depends_on: Iterable[str] = (), prune: bool = True, **spec: Any
) -> Manifest:
    """A Kustomization, by default into the test's namespace (`target_namespace=None` for none)."""
    fields: Manifest = {
        "interval": "1h",
        "prune": prune,
        "sourceRef": {"kind": "GitRepository", "name": source},
        "dependsOn": [{"name": other} for other in depends_on],
    }
    return {
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
        "kind": "Kustomization",
        "metadata": {"name": name},
        "spec": {key: value for key, value in (fields | _spec(spec)).items() if value != []},
    }


def generator(name: str, copies: Mapping[str, str], *, source: str = "app", **spec: Any) -> Manifest:
    """An ArtifactGenerator of a GitRepository: the ExternalArtifacts to make, by name, each of what fits a pattern."""
    fields = {
        "sources": [{"alias": "repo", "kind": "GitRepository", "name": source}],
        "artifacts": [
            {"name": made, "originRevision": "@repo", "copy": [{"from": f"@repo/{pattern}", "to": "@artifact/"}]}
            for made, pattern in copies.items()
        ],
    }
    return {
        "apiVersion": "source.extensions.fluxcd.io/v1beta1",
        "kind": "ArtifactGenerator",
        "metadata": {"name": name},
        "spec": fields | _spec(spec),
    }


def _spec(fields: Mapping[str, Any]) -> Manifest:
    return {camel(name): value for name, value in fields.items()}


# What the repositories hold.


def files(*manifests: Manifest) -> str:
    """Manifests as one YAML file."""
    return yaml.dump_all(manifests)


def config_map(name: str = "settings", data: Mapping[str, str] | None = None, **metadata: Any) -> Manifest:
    """A ConfigMap; `metadata` are more of its metadata, such as `annotations`."""
    held = dict({"colour": "blue"} if data is None else data)
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}, "data": held}


def secret(name: str, data: Mapping[str, str | bytes], **labels: str) -> Manifest:
    """A Secret."""
    encoded = {
        key: base64.b64encode(value if isinstance(value, bytes) else value.encode()).decode()
        for key, value in data.items()
    }
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "labels": labels}, "data": encoded}


def service(name: str = "web", port: int = 80) -> Manifest:
    """A Service with one port."""
    spec = {"selector": {"app": name}, "ports": [{"name": "http", "port": port}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def account(name: str) -> Manifest:
    """A ServiceAccount."""
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}


def deployment(name: str = "web", image: str = "example.org/web:1", *, stay: str = "") -> Manifest:
    """A Deployment of one pod. `stay="pending"` keeps its pods from starting, on every API that tests run on."""
    template: Manifest = {
        "metadata": {"labels": {"app": name}} | ({"annotations": {"tests.fluvial/stay": stay}} if stay else {}),
        "spec": {"containers": [{"name": "main", "image": image}]},
    }
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def job(name: str, image: str = "example.org/job:1", *, stay: str = "") -> Manifest:
    """A Job of one pod and one try. `stay="fail"` makes it fail."""
    template: Manifest = {
        "metadata": {"annotations": {"tests.fluvial/stay": stay}} if stay else {},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": image}]},
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"backoffLimit": 0, "template": template},
    }


def role(name: str, *resources: str, verbs: Iterable[str] = ("*",), group: str = "") -> Manifest:
    """A Role for some resources of a group."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": name},
        "rules": [{"apiGroups": [group], "resources": list(resources), "verbs": list(verbs)}],
    }


def binding(name: str, account: str, namespace: str, role: str = "") -> Manifest:
    """A RoleBinding that gives a ServiceAccount of a namespace the Role of the binding's name, or `role`."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role or name},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
    }


def definition(group: str, kind: str = "Gizmo") -> Manifest:
    """A CustomResourceDefinition of a kind whose spec may hold `size`, an integer."""
    plural = f"{kind.lower()}s"
    schema = {
        "type": "object",
        "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer", "minimum": 0}}}},
    }
    return {
        "apiVersion": Definition.api_version,
        "kind": Definition.kind,
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
        },
    }
