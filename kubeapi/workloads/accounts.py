"""What admission adds to a new pod: its service account and token, its priority, how long it bears a sick node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kubeapi.admission import memory
from kubeapi.errors import forbidden, shown_name
from kubeapi.resources import Resource
from kubeapi.workloads.base import PODS
from kubeapi.writes import Options

if TYPE_CHECKING:
    from kubeapi.cluster import Cluster

Manifest = dict[str, Any]

MOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
_VOLUME = "kube-api-access-"
_MIRROR = "kubernetes.io/config.mirror"
_SECONDS = 3607
_SICK = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


class PodAdmission:
    """Changes pods before they are stored, as the default admission plugins do."""

    def __init__(self, cluster: Cluster):
        self.cluster = cluster
        cluster.admission.on_admitting.append(self._admit)

    def _admit(self, resource: Resource, pod: Manifest, old: Manifest | None, options: Options) -> None:
        if resource.storage != PODS or options.subresource:
            return
        spec = pod.get("spec")
        if not isinstance(spec, dict) or _MIRROR in (pod["metadata"].get("annotations") or {}):
            return
        if old is None:
            self._account(pod, spec)
            self._priority(pod, spec)
        _tolerate(spec)

    def _account(self, pod: Manifest, spec: Manifest) -> None:
        name = spec.get("serviceAccountName") or spec.get("serviceAccount") or "default"
        namespace = pod["metadata"]["namespace"]
        entry = self.cluster.store.get(("", "serviceaccounts"), namespace, str(name))
        if entry is None:
            # The one of a new namespace comes in a moment; real clients of this server needn't wait for it.
            if name != "default":
                problem = f'error looking up service account {namespace}/{name}: serviceaccount "{name}" not found'
                raise forbidden("", "pods", shown_name(pod["metadata"]), problem)
            account: Manifest = {}
        else:
            account = entry.manifest()
        spec["serviceAccountName"] = spec["serviceAccount"] = name
        if account.get("imagePullSecrets") and not spec.get("imagePullSecrets"):
            spec["imagePullSecrets"] = account["imagePullSecrets"]
        wanted = spec.get("automountServiceAccountToken")
        if wanted is None:
            wanted = account.get("automountServiceAccountToken", True)
        if wanted:
            _mount(spec)

    def _priority(self, pod: Manifest, spec: Manifest) -> None:
        name = spec.get("priorityClassName")
        found: Manifest = {}
        for entry in self.cluster.store.entries(("scheduling.k8s.io", "priorityclasses")):
            manifest = entry.manifest()
            if entry.name == name or (not name and manifest.get("globalDefault")):
                found = manifest
        if name and not found and not str(name).startswith("system-"):
            problem = f"no PriorityClass with name {name} was found"
            raise forbidden("", "pods", shown_name(pod["metadata"]), problem)
        if found and not name:
            spec["priorityClassName"] = found["metadata"]["name"]
        spec["priority"] = found.get("value", 0)
        spec.setdefault("preemptionPolicy", found.get("preemptionPolicy", "PreemptLowerPriority"))


def _mount(spec: Manifest) -> None:
    """Give every container that has nothing there the account's token, authority and namespace."""
    containers = [one for key in ("initContainers", "containers") for one in spec.get(key) or ()]
    bare = [c for c in containers if not any(m.get("mountPath") == MOUNT for m in c.get("volumeMounts") or ())]
    if not bare:
        return
    known = [one["name"] for one in spec.get("volumes") or () if str(one.get("name", "")).startswith(_VOLUME)]
    volume = known[0] if known else f"{_VOLUME}{memory.new_suffix('volume')}"
    if not known:
        spec["volumes"] = [*(spec.get("volumes") or ()), _token_volume(volume)]
    mount = {"name": volume, "readOnly": True, "mountPath": MOUNT}
    for container in bare:
        container["volumeMounts"] = [*(container.get("volumeMounts") or ()), mount]


def _token_volume(name: str) -> Manifest:
    """The volume with what a pod needs to reach the API."""
    place = {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
    return {
        "name": name,
        "projected": {
            "defaultMode": 420,
            "sources": [
                {"serviceAccountToken": {"expirationSeconds": _SECONDS, "path": "token"}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                {"downwardAPI": {"items": [place]}},
            ],
        },
    }


def _tolerate(spec: Manifest) -> None:
    known = spec.get("tolerations") or []
    added = [
        {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
        for key in _SICK
        if not any(one.get("key") in (key, None, "") and one.get("effect") in ("NoExecute", None, "") for one in known)
    ]
    if added:
        spec["tolerations"] = [*known, *added]
