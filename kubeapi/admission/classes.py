"""What classes add to objects that name one, or none: the priority and runtime of pods, the storage of claims, the
controller of an Ingress.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kubeapi.admission import amounts
from kubeapi.errors import StatusError, forbidden, shown_name
from kubeapi.resources import Resource
from kubeapi.store import Storage
from kubeapi.writes import Options

if TYPE_CHECKING:
    from kubeapi.cluster import Cluster

Manifest = dict[str, Any]

PRIORITIES: Storage = ("scheduling.k8s.io", "priorityclasses")
RUNTIMES: Storage = ("node.k8s.io", "runtimeclasses")
STORAGES: Storage = ("storage.k8s.io", "storageclasses")
CONTROLLERS: Storage = ("networking.k8s.io", "ingressclasses")
_DEFAULT_STORAGE = "storageclass.kubernetes.io/is-default-class"
_DEFAULT_CONTROLLER = "ingressclass.kubernetes.io/is-default-class"
_OLD_STORAGE, _OLD_CONTROLLER = "volume.beta.kubernetes.io/storage-class", "kubernetes.io/ingress.class"
_MIRROR = "kubernetes.io/config.mirror"


class Classes:
    """Applies the classes of a cluster to what is written."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._of: dict[Storage, Callable[[Resource, Manifest], None]] = {
            ("", "pods"): self._pod,
            ("", "persistentvolumeclaims"): self._claim,
            ("networking.k8s.io", "ingresses"): self._ingress,
        }

    def admit(self, resource: Resource, manifest: Manifest, old: Manifest | None, options: Options) -> None:
        if options.subresource:
            return
        if resource.storage == PRIORITIES:
            self._require_one_default(resource, manifest)
        apply = self._of.get(resource.storage)
        if apply is not None and old is None and isinstance(manifest.get("spec"), dict):
            apply(resource, manifest)

    # -- pods

    def _pod(self, resource: Resource, pod: Manifest) -> None:
        self._prioritise(resource, pod)
        if _MIRROR not in (pod["metadata"].get("annotations") or {}):
            self._run(resource, pod)

    def _prioritise(self, resource: Resource, pod: Manifest) -> None:
        spec = pod["spec"]
        name = spec.get("priorityClassName") or ""
        entry = self._cluster.store.get(PRIORITIES, "", name) if name else None
        found = entry.manifest() if entry is not None else {} if name else self._default_priority()
        if name and not found:
            raise _refusal(resource, pod, f"no PriorityClass with name {name} was found")
        if found and not name:
            spec["priorityClassName"] = found["metadata"]["name"]
        computed = "must not be provided in pod spec; priority admission controller computed"
        value, given = found.get("value", 0), spec.get("priority")
        if given is not None and given != value:
            told = f"the integer value of priority ({given}) {computed} {value} from the given PriorityClass name"
            raise _refusal(resource, pod, told)
        policy, asked = found.get("preemptionPolicy", "PreemptLowerPriority"), spec.get("preemptionPolicy")
        if asked is not None and asked != policy:
            told = (
                f"the string value of PreemptionPolicy ({asked}) {computed} {policy} from the given PriorityClass name"
            )
            raise _refusal(resource, pod, told)
        spec["priority"], spec["preemptionPolicy"] = value, policy

    def _default_priority(self) -> Manifest:
        """The class of pods that name none: of several defaults the least."""
        every = [entry.manifest() for entry in self._cluster.store.entries(PRIORITIES)]
        return min((one for one in every if one.get("globalDefault")), key=lambda one: one.get("value", 0), default={})

    def _run(self, resource: Resource, pod: Manifest) -> None:
        spec = pod["spec"]
        name, given = spec.get("runtimeClassName"), spec.get("overhead")
        entry = self._cluster.store.get(RUNTIMES, "", str(name)) if name else None
        if name and entry is None:
            raise _refusal(resource, pod, f'pod rejected: RuntimeClass "{name}" not found')
        found = entry.manifest() if entry is not None else {}
        fixed = (found.get("overhead") or {}).get("podFixed")
        if fixed is None and given is not None:
            told = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"
            raise _refusal(resource, pod, told)
        if fixed is not None:
            if given and amounts.read(given) != amounts.read(fixed):
                told = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"
                raise _refusal(resource, pod, told)
            spec["overhead"] = fixed
        self._place(resource, pod, found.get("scheduling") or {})

    def _place(self, resource: Resource, pod: Manifest, scheduling: Manifest) -> None:
        spec = pod["spec"]
        chosen = spec.get("nodeSelector") or {}
        for key, value in (scheduling.get("nodeSelector") or {}).items():
            if chosen.get(key, value) != value:
                told = f"runtimeClass.scheduling.nodeSelector[{key}] = {value}"
                told = f"conflict: {told}; pod.spec.nodeSelector[{key}] = {chosen[key]}"
                raise _refusal(resource, pod, told)
            chosen = {**chosen, key: value}
        if chosen:
            spec["nodeSelector"] = chosen
        borne = spec.get("tolerations") or []
        added = [one for one in scheduling.get("tolerations") or () if one not in borne]
        if added:
            spec["tolerations"] = [*borne, *added]

    def _require_one_default(self, resource: Resource, manifest: Manifest) -> None:
        if not manifest.get("globalDefault"):
            return
        name = (self._default_priority().get("metadata") or {}).get("name")
        if name and name != manifest["metadata"].get("name"):
            told = f"PriorityClass {name} is already marked as default. Only one default can exist"
            raise _refusal(resource, manifest, told)

    # -- claims and ingresses

    def _claim(self, resource: Resource, claim: Manifest) -> None:
        self._give(claim, "storageClassName", STORAGES, _DEFAULT_STORAGE, unless=_OLD_STORAGE)

    def _ingress(self, resource: Resource, ingress: Manifest) -> None:
        self._give(ingress, "ingressClassName", CONTROLLERS, _DEFAULT_CONTROLLER, unless=_OLD_CONTROLLER)

    def _give(self, manifest: Manifest, field: str, storage: Storage, mark: str, *, unless: str) -> None:
        """The default class for an object that names none, neither in its spec nor by the annotation of old."""
        spec, annotations = manifest["spec"], manifest["metadata"].get("annotations") or {}
        if spec.get(field) is None and unless not in annotations:
            name = self._default(storage, mark)
            if name:
                spec[field] = name

    def _default(self, storage: Storage, annotation: str) -> str:
        """The newest class that is marked as the default one; "" when none is."""
        found = [
            (one["metadata"]["creationTimestamp"], entry.name)
            for entry in self._cluster.store.entries(storage)
            if ((one := entry.manifest())["metadata"].get("annotations") or {}).get(annotation) == "true"
        ]
        newest = max((when for when, _ in found), default="")
        return min((name for when, name in found if when == newest), default="")


def _refusal(resource: Resource, manifest: Manifest, problem: str) -> StatusError:
    return forbidden(resource.group, resource.plural, shown_name(manifest["metadata"]), problem)
