"""What a chart renders, in the order in which Helm installs it. Pure.

rendered files, by path → documents → hooks | manifests by kind
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from shared.charts.errors import ChartError
from shared.text import regex, yaml

HOOK = "helm.sh/hook"
NOTES = "NOTES.txt"
INSTALL_ORDER = (
    "PriorityClass",
    "Namespace",
    "NetworkPolicy",
    "ResourceQuota",
    "LimitRange",
    "PodSecurityPolicy",
    "PodDisruptionBudget",
    "ServiceAccount",
    "Secret",
    "SecretList",
    "ConfigMap",
    "StorageClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "CustomResourceDefinition",
    "ClusterRole",
    "ClusterRoleList",
    "ClusterRoleBinding",
    "ClusterRoleBindingList",
    "Role",
    "RoleList",
    "RoleBinding",
    "RoleBindingList",
    "Service",
    "DaemonSet",
    "Pod",
    "ReplicationController",
    "ReplicaSet",
    "Deployment",
    "HorizontalPodAutoscaler",
    "StatefulSet",
    "Job",
    "CronJob",
    "IngressClass",
    "Ingress",
    "APIService",
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
)
_RANK = {kind: rank for rank, kind in enumerate(INSTALL_ORDER)}
_EVENTS = {
    **{f"{when}-{what}": f"{when}-{what}" for when in ("pre", "post") for what in ("install", "delete", "upgrade")},
    "pre-rollback": "pre-rollback",
    "post-rollback": "post-rollback",
    "test": "test",
    "test-success": "test",  # Helm 2's name
}
_SPACE = r"[\t\n\f\r ]"
_SEPARATOR = regex.compile(rf"(?:^|{_SPACE}*\n)---{_SPACE}*")


@dataclass(frozen=True)
class Document:
    """One document that a chart renders."""

    source: str
    """The path of its template, from the name of the chart on."""
    text: str
    kind: str = ""
    hooks: tuple[str, ...] = ()
    """The events on which it runs, when it is a hook."""


@dataclass(frozen=True)
class Manifests:
    """All that a chart renders, each part in the order of an install."""

    crds: tuple[Document, ...]
    objects: tuple[Document, ...]
    hooks: tuple[Document, ...]

    @classmethod
    def of(cls, files: Mapping[str, str], crds: Iterable[tuple[str, str]] = ()) -> Manifests:
        """Sort what was rendered. ChartError when a document can't be read."""
        objects: list[Document] = []
        hooks: list[Document] = []
        for source in sorted(files):
            if source.endswith(NOTES) or source.rpartition("/")[2].startswith("_"):
                continue
            for text in split(files[source]):
                document = _document(source, text)
                if document is not None:
                    (hooks if document.hooks else objects).append(document)
        return cls(
            tuple(Document(source, text) for source, text in crds),
            tuple(sorted(objects, key=_order)),
            tuple(sorted(hooks, key=_order)),
        )

    def text(self, *, crds: bool = False, hooks: bool = True, tests: bool = True) -> str:
        """All as one YAML text, as `helm template` prints it."""
        chosen = [*(self.crds if crds else ()), *self.objects]
        whole = "".join(f"---\n# Source: {each.source}\n{each.text}\n" for each in chosen).strip() + "\n"
        if hooks:
            run = (each for each in self.hooks if tests or "test" not in each.hooks)
            whole += "".join(f"---\n# Source: {each.source}\n{each.text}\n" for each in run)
        return whole


def split(text: str) -> list[str]:
    """The documents of a rendered file; also what follows a separator on its line, as templates come to write it."""
    parts = _SEPARATOR.split(text.lstrip())
    return [part.lstrip() for part in parts if part.strip()]


def _document(source: str, text: str) -> Document | None:
    """A document with what its head says; None for a hook of a kind that Helm doesn't know."""
    head = _head(source, text)
    kind, annotations = head.get("kind"), _part(_part(head, "metadata"), "annotations")
    if HOOK not in annotations:
        return Document(source, text, kind or "")
    names = [name.strip().lower() for name in str(annotations[HOOK] or "").split(",")]
    if any(name not in _EVENTS for name in names):
        return None
    return Document(source, text, kind or "", tuple(_EVENTS[name] for name in names))


def _head(source: str, text: str) -> dict[str, Any]:
    try:
        head = yaml.load(text, source=source)
    except yaml.YAMLError as error:
        raise ChartError(f"YAML parse error on {error}") from error
    if head is not None and not isinstance(head, dict):
        raise ChartError(f"YAML parse error on {source}: what it renders is no object")
    return head or {}


def _part(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = value.get(name)
    return found if isinstance(found, dict) else {}


def _order(document: Document) -> tuple[int, str]:
    """Known kinds in their order, then all others by name."""
    rank = _RANK.get(document.kind, len(_RANK))
    return rank, document.kind if rank == len(_RANK) else ""
