"""What the stand-ins share: who owns whom, pods from templates, conditions, and what is to fail or take long."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

import orjson

from kubeapi import writes
from kubeapi.controllers.queue import Controller
from kubeapi.errors import StatusError
from kubeapi.resources import Resource
from kubeapi.store import Change, Entry, Storage
from kubeapi.workloads.recorder import Recorder
from kubeapi.writes import Options

if TYPE_CHECKING:
    from kubeapi.cluster import Cluster
    from kubeapi.controllers.garbage import GarbageCollector

Manifest = dict[str, Any]

FAIL = "kubeapi.fluvial.dev/fail"
"""Annotation of a workload or of its pods: the reason with which they fail, such as ImagePullBackOff."""
DELAY = "kubeapi.fluvial.dev/delay"
"""Annotation of a workload or of its pods: seconds until they are ready."""
STAY = "tests.fluvial/stay"
"""Annotation of a pod that a test cluster's fake kubelet obeys too: `pending` never starts, `fail` ends badly."""
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

PODS: Storage = ("", "pods")
_SAFE = "bcdfghjklmnpqrstvwxz2456789"
_BURST = 50


class Tools:
    """The cluster as a stand-in uses it."""

    def __init__(self, cluster: Cluster, garbage: GarbageCollector, delay: float):
        self.cluster = cluster
        self.garbage = garbage
        self.delay = delay
        self.recorder = Recorder(cluster)

    def owned(self, uid: str, storage: Storage) -> list[Entry]:
        """The objects of a resource that an owner has, in key order."""
        found = []
        for place, key in sorted(self.garbage.dependents(uid)):
            if place == storage:
                namespace, _, name = key.rpartition("/")
                entry = self.cluster.store.get(storage, namespace, name)
                if entry is not None:
                    found.append(entry)
        return found

    def annotation(self, manifest: Manifest, name: str) -> str:
        """An annotation of an object, or else of the controller that owns it, and so on upwards."""
        for _ in range(4):
            metadata = manifest["metadata"]
            value = (metadata.get("annotations") or {}).get(name)
            if value is not None:
                return str(value)
            reference = controller_of(manifest)
            if reference is None:
                return ""
            resource = self.cluster.registry.of_kind(reference["apiVersion"], reference["kind"])
            if resource is None:
                return ""
            owner = self.cluster.live(resource, metadata.get("namespace", ""), reference["name"])
            if owner is None:
                return ""
            manifest = owner
        return ""

    def delay_of(self, manifest: Manifest) -> float:
        text = self.annotation(manifest, DELAY).removesuffix("s")
        try:
            return max(0.0, float(text))
        except ValueError:
            return self.delay


class Workload(Controller[str]):
    """A stand-in for one kind. Keys are "namespace/name"."""

    api_version: ClassVar[str]
    kind: ClassVar[str]
    children: ClassVar[tuple[Storage, ...]] = (PODS,)
    """Resources whose changes make their controller's state worth a look."""

    def __init__(self, tools: Tools):
        super().__init__(tools.cluster)
        self.tools = tools
        self.resource: Resource = tools.cluster.resource(self.api_version, self.kind)
        self.name = f"{self.kind.lower()}-stand-in"

    def keys(self, change: Change) -> list[str]:
        entry = change.entry
        if change.storage == self.resource.storage:
            return [entry.key] if change.type != "DELETED" else []
        if change.storage in self.children:
            reference = owner(entry)
            if reference is not None and reference == (self.api_version, self.kind, reference[2]):
                return [f"{entry.namespace}/{reference[2]}"]
        return []

    def initial(self) -> list[str]:
        return [entry.key for entry in self.cluster.store.entries(self.resource.storage)]

    def act(self, key: str) -> None:
        namespace, _, name = key.rpartition("/")
        live = self.cluster.live(self.resource, namespace, name)
        if live is not None:
            self.reconcile(key, live)

    def reconcile(self, key: str, live: Manifest) -> None:
        raise NotImplementedError

    def save_status(self, live: Manifest, status: Manifest) -> bool:
        """Write the status when it differs; whether it did."""
        if status == live.get("status"):
            return False

        def changed(current: Manifest) -> Manifest:
            current["status"] = status
            return current

        metadata = live["metadata"]
        writes.change(
            self.cluster,
            self.resource,
            metadata.get("namespace", ""),
            metadata["name"],
            changed,
            subresource="status",
        )
        return True

    def record(self, about: Manifest, reason: str, message: str, component: str = "", *, warning: bool = False) -> None:
        """Record an Event about an object, in the name of this kind's controller unless another is named."""
        named = component or f"{self.kind.lower()}-controller"
        self.tools.recorder.record(about, reason, message, named, warning=warning)

    def create_pod(
        self,
        live: Manifest,
        template: Manifest,
        name: str = "",
        labels: Manifest | None = None,
        prefix: str = "",
    ) -> None:
        """A pod from a template, owned by `live`; named `prefix` (its name and a dash) and some letters when no name is
        given."""
        metadata = live["metadata"]
        made = dict(template.get("metadata") or {})
        kept = {key: made[key] for key in ("labels", "annotations", "finalizers") if made.get(key)}
        kept["labels"] = {**(kept.get("labels") or {}), **(labels or {})}
        if name:
            kept["name"] = name
        kept["generateName"] = prefix or f"{metadata['name']}-"
        kept["ownerReferences"] = [reference_to(live)]
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": kept, "spec": dict(template.get("spec") or {})}
        resource = self.cluster.resource("v1", "Pod")
        writes.create(self.cluster, resource, metadata["namespace"], pod, Options())

    def delete_pod(self, entry: Entry) -> None:
        if not entry.deleting:
            resource = self.cluster.resource("v1", "Pod")
            writes.delete(self.cluster, resource, entry.namespace, entry.name, writes.DeleteOptions(uid=entry.uid))

    def scale_pods(self, key: str, live: Manifest, pods: list[Entry], wanted: int) -> str:
        """Create or delete pods until there are `wanted`; some at a time. Gives what kept it from it."""
        template = live["spec"].get("template") or {}
        if len(pods) < wanted:
            for _ in range(min(wanted - len(pods), _BURST)):
                try:
                    self.create_pod(live, template)
                except StatusError as error:
                    return error.message
            if wanted - len(pods) > _BURST:
                self.queue(key)
        elif len(pods) > wanted:
            for entry in sorted(pods, key=lambda e: is_ready(e.manifest()))[: len(pods) - wanted]:
                self.delete_pod(entry)
        return ""


# -- plain facts about objects


def controller_of(manifest: Manifest) -> Manifest | None:
    for reference in manifest["metadata"].get("ownerReferences") or ():
        if reference.get("controller"):
            found: Manifest = reference
            return found
    return None


def owner(entry: Entry) -> tuple[str, str, str] | None:
    """apiVersion, kind and name of the controller that owns an entry."""
    for reference in entry.owners:
        if reference.get("controller"):
            return reference.get("apiVersion", ""), reference.get("kind", ""), reference.get("name", "")
    return None


def reference_to(live: Manifest) -> Manifest:
    """An owner reference to the controller of something."""
    return {
        "apiVersion": live["apiVersion"],
        "kind": live["kind"],
        "name": live["metadata"]["name"],
        "uid": live["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def template_hash(template: Any, collision: int = 0) -> str:
    """A short name for a pod template; the same for the same template."""
    data = orjson.dumps([template, collision], option=orjson.OPT_SORT_KEYS)
    number = int.from_bytes(hashlib.sha256(data).digest()[:8], "big")
    letters = []
    for _ in range(10):
        number, rest = divmod(number, len(_SAFE))
        letters.append(_SAFE[rest])
    return "".join(letters)


def condition(manifest: Manifest, type_: str) -> Manifest | None:
    for one in (manifest.get("status") or {}).get("conditions") or ():
        if one.get("type") == type_:
            found: Manifest = one
            return found
    return None


def is_true(manifest: Manifest, type_: str) -> bool:
    found = condition(manifest, type_)
    return found is not None and found.get("status") == "True"


def is_ready(pod: Manifest) -> bool:
    return is_true(pod, "Ready")


def is_active(pod: Manifest) -> bool:
    """Whether a pod runs or may still run."""
    phase = (pod.get("status") or {}).get("phase")
    return phase not in ("Succeeded", "Failed") and "deletionTimestamp" not in pod["metadata"]


def with_condition(
    conditions: Iterable[Manifest],
    type_: str,
    status: str,
    reason: str,
    message: str,
    now: str,
    *,
    updates: bool = False,
    fresh: bool = False,
) -> list[Manifest]:
    """The conditions with one set; its transition time moves with its status only.

    `updates` is the Deployments' way: lastUpdateTime is kept too, the same status and reason change nothing (unless it
    is `fresh`), and what changed goes to the end."""
    new: Manifest = {"type": type_, "status": status}
    if reason:
        new["reason"] = reason
    if message:
        new["message"] = message
    new["lastTransitionTime"] = now
    if updates:
        new["lastUpdateTime"] = now
    out: list[Manifest] = []
    found = False
    for known in conditions:
        if known.get("type") != type_:
            out.append(known)
            continue
        found = True
        if known.get("status") == status:
            new["lastTransitionTime"] = known.get("lastTransitionTime", now)
            if updates and not fresh and known.get("reason") == reason:
                return list(conditions)
        if not updates:
            out.append(new)
    return out if found and not updates else [*out, new]


def counts(pods: list[Manifest]) -> int:
    """How many pods are ready."""
    return sum(1 for pod in pods if is_ready(pod))
