"""Why a workload isn't healthy, as its newest pod that doesn't work tells it.

    unhealthy objects → pods, by a few calls → the same, with the reasons

Asked only when a wait has failed, by the identity that waited: one page of pods a workload, of the first few workloads.
What may not be read is left out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from shared import health
from shared.api.meta import Manifest
from shared.apply.identity import ObjectId
from shared.health import Health
from shared.kube.client import Client, Manifests
from shared.kube.errors import ApiError

MOST = 10
"""Workloads whose pods are asked for."""
PAGE = 200
"""Pods of one workload that are looked at."""
WITHIN = 5.0
"""Seconds that all of this may take."""
_WORKLOADS = frozenset(
    {
        ("apps", "Deployment"),
        ("apps", "StatefulSet"),
        ("apps", "DaemonSet"),
        ("apps", "ReplicaSet"),
        ("batch", "Job"),
        ("batch", "CronJob"),
        ("", "Pod"),
    }
)


async def explained(
    client: Client, unhealthy: Mapping[ObjectId, Health], manifests: Mapping[ObjectId, Manifest]
) -> dict[ObjectId, Health]:
    """How objects stand, with what the pods of workloads say; `manifests` are the objects as they were last seen."""
    result = dict(unhealthy)
    workloads = [id for id in unhealthy if (id.group, id.kind) in _WORKLOADS and id in manifests][:MOST]

    async def explain(id: ObjectId) -> None:
        with suppress(ApiError):
            result[id] = health.with_pods(result[id], await _pods(client, manifests[id]))

    with suppress(TimeoutError):
        async with asyncio.timeout(WITHIN), asyncio.TaskGroup() as group:
            for id in workloads:
                group.create_task(explain(id))
    return result


async def _pods(client: Client, workload: Manifest) -> Manifests:
    """The pods of a workload; of a CronJob, those of its newest Job."""
    if workload["kind"] == "Pod":
        return [workload]
    namespace = workload["metadata"].get("namespace")
    if workload["kind"] == "CronJob":
        page = await client.list_page("batch/v1", "Job", namespace, limit=PAGE)
        jobs = [job for job in page.items if _is_owned(job, workload)]
        if not jobs:
            return []
        workload = max(jobs, key=lambda job: str(job["metadata"].get("creationTimestamp")))
    selector = label_selector((workload.get("spec") or {}).get("selector"))
    if not selector:
        return []
    return (await client.list_page("v1", "Pod", namespace, label_selector=selector, limit=PAGE)).items


def _is_owned(job: Manifest, owner: Manifest) -> bool:
    owners = job["metadata"].get("ownerReferences") or ()
    return any(reference.get("uid") == owner["metadata"].get("uid") for reference in owners)


def label_selector(selector: Any) -> str:
    """A workload's selector as a list takes it; "" for none, which would be all pods."""
    if not isinstance(selector, dict):
        return ""
    said = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for rule in selector.get("matchExpressions") or ():
        key, operator, values = rule.get("key"), rule.get("operator"), ",".join(rule.get("values") or ())
        match operator:
            case "In" | "NotIn":
                said.append(f"{key} {operator.lower()} ({values})")
            case "Exists":
                said.append(str(key))
            case "DoesNotExist":
                said.append(f"!{key}")
    return ",".join(said)
