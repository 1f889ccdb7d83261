"""The order of the output: as loaded (`fifo`), or by kind and name (`legacy`, the default)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .errors import BuildError
from .resource import Gvk, Resource
from .resources import Resources

FIRST = (
    "Namespace",
    "ResourceQuota",
    "StorageClass",
    "CustomResourceDefinition",
    "ServiceAccount",
    "PodSecurityPolicy",
    "Role",
    "ClusterRole",
    "RoleBinding",
    "ClusterRoleBinding",
    "ConfigMap",
    "Secret",
    "Endpoints",
    "Service",
    "LimitRange",
    "PriorityClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Deployment",
    "StatefulSet",
    "CronJob",
    "PodDisruptionBudget",
)
LAST = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")


def rank(gvk: Gvk) -> tuple[int, str]:
    """Where upstream's configuration lists a kind: a sort key."""
    place = FIRST.index(gvk.kind) - len(FIRST) if gvk.kind in FIRST else 0
    if gvk.kind in LAST:
        place = 1 + LAST.index(gvk.kind)
    return place, f"{gvk.group or '~G'}_{gvk.version or '~V'}_{gvk.kind or '~K'}"


def legacy(resources: Resources, first: Sequence[str] = FIRST, last: Sequence[str] = LAST) -> None:
    """Sort: the kinds of `first`, all others, the kinds of `last`; then by group, version, kind, namespace, name."""
    ranks = {kind: index - len(first) for index, kind in enumerate(first)}
    ranks.update({kind: 1 + index for index, kind in enumerate(last)})

    def key(item: Resource) -> tuple[int, str, str, str, str]:
        gvk = item.gvk
        sortable = rank(gvk)[1]
        if gvk.kind == "Namespace" and not gvk.group:
            sortable = ""  # the namespaces of Kubernetes come before those of other groups
        return ranks.get(gvk.kind, 0), sortable, str(gvk), item.namespace or "~X", item.name or "~N"

    items = sorted(resources, key=key)
    resources.replace_items([])
    fresh = Resources()
    fresh.append_all(items)
    resources.replace_items(fresh.items)


def apply(resources: Resources, options: Mapping[str, Any] | None, *, reorder: str) -> None:
    """Sort as `sortOptions` say, or else as the flag says: "none", "legacy" or "unspecified" (legacy)."""
    if options is None:
        if reorder != "none":
            legacy(resources)
        return
    wanted, lists = options.get("order", ""), options.get("legacySortOptions")
    if wanted not in ("legacy", "fifo"):
        raise BuildError(f"sortOptions.order must be legacy or fifo, not {wanted!r}")
    if wanted == "fifo":
        if lists is not None:
            raise BuildError("sortOptions.legacySortOptions are for the order legacy only")
    elif lists is None:
        legacy(resources)
    else:
        legacy(resources, lists.get("orderFirst", ()), lists.get("orderLast", ()))
