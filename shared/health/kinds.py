"""The kinds that have a rule of their own, and the one question: how does this object stand?"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from shared.api.meta import Manifest
from shared.health import (
    customresourcedefinition,
    daemonset,
    deployment,
    fields,
    generic,
    job,
    persistentvolumeclaim,
    pod,
    poddisruptionbudget,
    replicaset,
    service,
    statefulset,
)
from shared.health.verdict import Health

RULES: dict[tuple[str, str], Callable[[Manifest], Health]] = {
    ("", "ConfigMap"): generic.always,
    ("", "PersistentVolumeClaim"): persistentvolumeclaim.assess,
    ("", "Secret"): generic.always,
    ("", "Service"): service.assess,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): customresourcedefinition.assess,
    ("apps", "DaemonSet"): daemonset.assess,
    ("apps", "Deployment"): deployment.assess,
    ("apps", "ReplicaSet"): replicaset.assess,
    ("apps", "StatefulSet"): statefulset.assess,
    ("batch", "CronJob"): generic.always,
    ("batch", "Job"): job.assess,
    ("policy", "PodDisruptionBudget"): poddisruptionbudget.assess,
}
"""By API group and kind. Pod is beside it: its rule needs the time of day too."""


def assess(manifest: Manifest, now: datetime | None = None) -> Health:
    """How a live object stands: generic rules, then those of its kind, then its Ready condition.

    Never raises: a malformed object is Unknown, with the field that is wrong in the message. `now` (aware) matters for
    pods that can't be scheduled only: without it they are InProgress however long that lasts.
    """
    try:
        decided = generic.first(manifest)
        if decided is not None:
            return decided
        name = (fields.group(manifest), fields.text(manifest, "kind"))
        if name == ("", "Pod"):
            return pod.assess(manifest, now)
        return RULES.get(name, generic.last)(manifest)
    except fields.Malformed as problem:
        return Health("Unknown", str(problem))
