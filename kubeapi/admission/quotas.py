"""ResourceQuotas: how much of what a namespace may hold, and what each object counts for.

    object → usage ("pods": 1, "requests.cpu": 500m, "count/pods": 1) → per quota that is about it → within its limits?

What is used is counted from the objects themselves; the status that clients see follows each change
(`kubeapi.controllers.quotas`). A quota without a status isn't enforced yet, as on a real server.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from kubeapi.admission import amounts
from kubeapi.admission.amounts import Amounts
from kubeapi.clock import parse
from kubeapi.errors import StatusError, forbidden, group_resource, shown_name
from kubeapi.resources import Resource
from kubeapi.store import Storage
from kubeapi.writes import Options

if TYPE_CHECKING:
    from datetime import datetime

    from kubeapi.cluster import Cluster

Manifest = dict[str, Any]

STORAGE: Storage = ("", "resourcequotas")
PODS: Storage = ("", "pods")
SERVICES: Storage = ("", "services")
CLAIMS: Storage = ("", "persistentvolumeclaims")
_BY_NAME = frozenset(("configmaps", "resourcequotas", "replicationcontrollers", "secrets"))
"""Kinds of the core group that quotas may count by their plural alone."""
_COMPUTED = ("cpu", "memory", "ephemeral-storage")
_MUST_SAY = frozenset(("cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"))
"""What every container must say as soon as a quota limits it."""
_OF_PODS = frozenset(
    ("pods", "count/pods", *_COMPUTED, *(f"{kind}.{name}" for kind in ("requests", "limits") for name in _COMPUTED))
)
_CLASS = ".storageclass.storage.k8s.io/"
_CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"


def usage(storage: Storage, manifest: Manifest, now: datetime) -> Amounts:
    """What an object counts for."""
    group, plural = storage
    found: Amounts = {f"count/{group_resource(group, plural)}": amounts.count()}
    if storage == PODS:
        if _is_alive(manifest, now):
            found |= _of_pod(manifest.get("spec") or {})
    elif storage == SERVICES:
        found |= _of_service(manifest.get("spec") or {})
    elif storage == CLAIMS:
        found |= _of_claim(manifest)
    elif not group and plural in _BY_NAME:
        found[plural] = amounts.count()
    return found


def _is_alive(pod: Manifest, now: datetime) -> bool:
    """Whether a pod still holds what it asked for: it hasn't ended, and isn't overdue to."""
    metadata = pod["metadata"]
    if (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
        return False
    if "deletionTimestamp" not in metadata or "deletionGracePeriodSeconds" not in metadata:
        return True
    overdue = (now - parse(metadata["deletionTimestamp"])).total_seconds()
    return overdue <= float(metadata["deletionGracePeriodSeconds"] or 0)


def _of_pod(spec: Manifest) -> Amounts:
    return {"pods": amounts.count()} | _computed(amounts.of_pod(spec, "requests"), amounts.of_pod(spec, "limits"))


def _computed(requests: Amounts, limits: Amounts) -> Amounts:
    """The names under which quotas limit what is asked for."""
    found: Amounts = {}
    for name, amount in requests.items():
        if name in _COMPUTED or name.startswith("hugepages-"):
            found[name] = found[f"requests.{name}"] = amount
        elif "/" in name:
            found[f"requests.{name}"] = amount
    found |= {f"limits.{name}": amount for name, amount in limits.items() if name in _COMPUTED}
    return found


def _of_service(spec: Manifest) -> Amounts:
    ports, kind = spec.get("ports") or [], spec.get("type")
    node_ports = len(ports) if kind in ("NodePort", "LoadBalancer") else 0
    if kind == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts") is False:
        node_ports = sum(1 for port in ports if port.get("nodePort"))
    return {
        "services": amounts.count(),
        "services.loadbalancers": amounts.count(kind == "LoadBalancer"),
        "services.nodeports": amounts.count(node_ports),
    }


def _of_claim(claim: Manifest) -> Amounts:
    spec = claim.get("spec") or {}
    asked = amounts.read((spec.get("resources") or {}).get("requests")).get("storage")
    kind = (claim["metadata"].get("annotations") or {}).get(_CLASS_ANNOTATION) or spec.get("storageClassName")
    found: Amounts = {"persistentvolumeclaims": amounts.count()}
    if asked is not None:
        found["requests.storage"] = asked
    return found | ({f"{kind}{_CLASS}{name}": amount for name, amount in found.items()} if kind else {})


# -- which quotas are about an object


def limited(storage: Storage, hard: Iterable[str]) -> set[str]:
    """Of the names that a quota limits, those that a kind counts for."""
    group, plural = storage
    known = {f"count/{group_resource(group, plural)}"}
    if storage == PODS:
        known |= _OF_PODS
        known |= {name for name in hard if name.startswith(("hugepages-", "requests.hugepages-"))}
        known |= {name for name in hard if name.startswith("requests.") and "/" in name}
    elif storage == SERVICES:
        known |= {"services", "services.loadbalancers", "services.nodeports"}
    elif storage == CLAIMS:
        known |= {"persistentvolumeclaims", "requests.storage"}
        known |= {name for name in hard if _CLASS in name}
    elif not group and plural in _BY_NAME:
        known.add(plural)
    return known & set(hard)


def in_scope(spec: Manifest, storage: Storage, manifest: Manifest) -> bool:
    """Whether an object is within the scopes of a quota; only pods are within any."""
    wanted = [{"scopeName": name, "operator": "Exists"} for name in spec.get("scopes") or ()]
    wanted += (spec.get("scopeSelector") or {}).get("matchExpressions") or ()
    return all(storage == PODS and _pod_in_scope(one, manifest.get("spec") or {}) for one in wanted)


def _pod_in_scope(wanted: Mapping[str, Any], spec: Manifest) -> bool:
    scope = wanted.get("scopeName")
    if scope in ("Terminating", "NotTerminating"):
        return (spec.get("activeDeadlineSeconds") is not None) is (scope == "Terminating")
    if scope in ("BestEffort", "NotBestEffort"):
        asked = _computed(amounts.of_pod(spec, "requests"), amounts.of_pod(spec, "limits"))
        plain = not any(name.rpartition(".")[2] in ("cpu", "memory") for name in asked)
        return plain is (scope == "BestEffort")
    if scope == "PriorityClass":
        return _named(wanted, str(spec.get("priorityClassName") or ""))
    if scope == "CrossNamespacePodAffinity":
        return any(term.get("namespaces") or term.get("namespaceSelector") is not None for term in _affinities(spec))
    return False


def _named(wanted: Mapping[str, Any], name: str) -> bool:
    operator, values = wanted.get("operator"), wanted.get("values") or ()
    if operator == "In":
        return bool(name) and name in values
    if operator == "NotIn":
        return name not in values
    return bool(name) is (operator != "DoesNotExist")


def _affinities(spec: Manifest) -> Iterable[Mapping[str, Any]]:
    for kind in ("podAffinity", "podAntiAffinity"):
        found = (spec.get("affinity") or {}).get(kind) or {}
        yield from found.get("requiredDuringSchedulingIgnoredDuringExecution") or ()
        for one in found.get("preferredDuringSchedulingIgnoredDuringExecution") or ():
            yield one.get("podAffinityTerm") or {}


# -- deciding


class Quotas:
    """Refuses what would exceed a quota of its namespace."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def judge(self, resource: Resource, manifest: Manifest, old: Manifest | None, options: Options) -> None:
        namespace = manifest["metadata"].get("namespace", "")
        if not namespace or not _handles(resource.storage, manifest, old, options.subresource):
            return
        for entry in self._cluster.store.entries(STORAGE, namespace):
            self._require(entry.manifest(), resource, manifest, old)

    def _require(self, quota: Manifest, resource: Resource, manifest: Manifest, old: Manifest | None) -> None:
        storage, spec = resource.storage, quota.get("spec") or {}
        hard = amounts.read((quota.get("status") or {}).get("hard"))
        restricted = limited(storage, hard)
        if not restricted or not in_scope(spec, storage, manifest):
            return
        name = quota["metadata"]["name"]
        if storage == PODS:
            silent = _silent(manifest.get("spec") or {}, restricted)
            if silent:
                raise self._refusal(resource, manifest, f"failed quota: {name}: must specify {silent}")
        now = self._cluster.clock.now()
        delta = usage(storage, manifest, now)
        if old is not None and in_scope(spec, storage, old):
            before = usage(storage, old, now)
            delta = {key: amount - before.get(key, amounts.NONE) for key, amount in delta.items()}
        delta = {key: amount for key, amount in delta.items() if key in hard and amount.value > 0}
        if not delta:
            return
        used = used_by(self._cluster, quota, delta)
        over = [key for key, amount in delta.items() if (used[key] + amount).value > hard[key].value]
        if over:
            parts = [amounts.shown({key: found[key] for key in over}) for found in (delta, used, hard)]
            told = f"exceeded quota: {name}, requested: {parts[0]}, used: {parts[1]}, limited: {parts[2]}"
            raise self._refusal(resource, manifest, told)

    def _refusal(self, resource: Resource, manifest: Manifest, problem: str) -> StatusError:
        return forbidden(resource.group, resource.plural, shown_name(manifest["metadata"]), problem)


def _handles(storage: Storage, manifest: Manifest, old: Manifest | None, subresource: str) -> bool:
    """Whether a write may make a namespace hold more."""
    if subresource:
        return subresource == "resize" and storage == PODS and old is not None
    if old is None or storage in (SERVICES, CLAIMS):
        return True
    if storage != PODS:
        return False
    deadlines = [(one.get("spec") or {}).get("activeDeadlineSeconds") is None for one in (manifest, old)]
    return deadlines[0] is not deadlines[1]


def _silent(spec: Manifest, restricted: set[str]) -> str:
    """What a pod's containers don't say though a quota limits it; "" when they say all."""
    if spec.get("resources"):
        return ""
    missing: dict[str, set[str]] = {}
    for _, container in amounts.containers(spec):
        resources = container.get("resources") or {}
        said = _computed(amounts.read(resources.get("requests")), amounts.read(resources.get("limits")))
        for name in restricted & _MUST_SAY - said.keys():
            missing.setdefault(name, set()).add(str(container.get("name")))
    return "; ".join(f"{name} for: {','.join(sorted(missing[name]))}" for name in sorted(missing))


def used_by(cluster: Cluster, quota: Manifest, names: Iterable[str]) -> Amounts:
    """How much of each of these names the objects of a quota's namespace hold that are within its scopes."""
    names = set(names)
    namespace, spec = quota["metadata"]["namespace"], quota.get("spec") or {}
    now = cluster.clock.now()
    total: Amounts = dict.fromkeys(names, amounts.NONE)
    for storage in cluster.store.storages():
        wanted = limited(storage, names)
        if not wanted:
            continue
        entries = cluster.store.entries(storage, namespace)
        if len(wanted) == 1 and not spec.get("scopes") and not spec.get("scopeSelector"):
            [name] = wanted
            if name.startswith("count/") or storage not in (PODS, SERVICES, CLAIMS):
                total[name] += amounts.count(len(entries))
                continue
        for entry in entries:
            manifest = entry.manifest()
            if in_scope(spec, storage, manifest):
                held = usage(storage, manifest, now)
                for name in wanted & held.keys():
                    total[name] += held[name]
    return total
