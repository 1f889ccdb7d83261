"""In which order objects are applied: the stages, and the order of kinds that listings of objects have.

Deletion goes the other way round.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import IntEnum

from shared.apply.identity import ObjectId


class Stage(IntEnum):
    """A stage is applied when the one before is there to be used."""

    DEFINITIONS = 0
    """CustomResourceDefinitions, Namespaces, ClusterRoles: other objects can't be without them."""
    CLASSES = 1
    """StorageClass, IngressClass, GatewayClass …: every kind whose name ends in Class."""
    CUSTOM = 2
    """Kinds that the user asks to go before the rest."""
    REST = 3


_FIRST = (
    "CustomResourceDefinition",
    "Namespace",
    "ClusterRole",
    "ClusterClass",
    "RuntimeClass",
    "PriorityClass",
    "StorageClass",
    "VolumeSnapshotClass",
    "IngressClass",
    "GatewayClass",
    "ClusterRoleBinding",
    "ResourceQuota",
    "ServiceAccount",
    "Role",
    "RoleBinding",
    "ConfigMap",
    "Secret",
    "Service",
    "LimitRange",
    "Deployment",
    "StatefulSet",
    "CronJob",
    "PodDisruptionBudget",
)
_LAST = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
_RANK = {kind: index - len(_FIRST) for index, kind in enumerate(_FIRST)} | {
    kind: index + 1 for index, kind in enumerate(_LAST)
}
_DEFINITIONS = frozenset(
    {
        ("apiextensions.k8s.io", "CustomResourceDefinition"),
        ("", "Namespace"),
        ("rbac.authorization.k8s.io", "ClusterRole"),
    }
)


def stage_of(id: ObjectId, custom_stage_kinds: Collection[tuple[str, str]] = ()) -> Stage:
    """`custom_stage_kinds` are (group, kind)."""
    if (id.group, id.kind) in _DEFINITIONS:
        return Stage.DEFINITIONS
    if id.kind.endswith("Class"):
        return Stage.CLASSES
    if (id.group, id.kind) in custom_stage_kinds:
        return Stage.CUSTOM
    return Stage.REST


def sort_key(id: ObjectId, custom_stage_kinds: Collection[tuple[str, str]] = ()) -> tuple[int, int, str, str, str, str]:
    """Stage, rank of the kind, group, kind, namespace, name: the same order whatever order objects come in."""
    stage = stage_of(id, custom_stage_kinds)
    return (stage, _RANK.get(id.kind, 0), id.group, id.kind, id.namespace, id.name)
