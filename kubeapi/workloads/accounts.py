"""What admission adds to a new pod: its service account and token, how long it bears a sick node."""

from __future__ import annotations

from collections.abc import Iterator
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
_ENFORCED = "kubernetes.io/enforce-mountable-secrets"
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
        _require_known_secrets(account, pod)
        spec["serviceAccountName"] = spec["serviceAccount"] = name
        if account.get("imagePullSecrets") and not spec.get("imagePullSecrets"):
            spec["imagePullSecrets"] = account["imagePullSecrets"]
        wanted = spec.get("automountServiceAccountToken")
        if wanted is None:
            wanted = account.get("automountServiceAccountToken", True)
        if wanted:
            _mount(spec)


def _require_known_secrets(account: Manifest, pod: Manifest) -> None:
    """An account may hold its pods to the secrets that it names."""
    if ((account.get("metadata") or {}).get("annotations") or {}).get(_ENFORCED) != "true":
        return
    known = {one.get("name") for one in account.get("secrets") or ()}
    owner, spec = account["metadata"]["name"], pod["spec"]
    suffix = f"is not allowed because service account {owner} does not reference that"
    found = [f'{who} secret.secretName="{name}" {suffix} secret' for who, name in _secrets(spec) if name not in known]
    pulled = {one.get("name") for one in account.get("imagePullSecrets") or ()}
    found += [
        f'imagePullSecrets[{index}].name="{one.get("name")}" {suffix} imagePullSecret'
        for index, one in enumerate(spec.get("imagePullSecrets") or ())
        if one.get("name") not in pulled
    ]
    if found:
        raise forbidden("", "pods", shown_name(pod["metadata"]), found[0])


def _secrets(spec: Manifest) -> Iterator[tuple[str, str]]:
    """The secrets that a pod reads, each with what reads it."""
    for volume in spec.get("volumes") or ():
        if volume.get("secret") is not None:
            yield "volume with", volume["secret"].get("secretName", "")
    for key, kind in (("initContainers", "init container"), ("containers", "container")):
        for one in spec.get(key) or ():
            for variable in one.get("env") or ():
                reference = (variable.get("valueFrom") or {}).get("secretKeyRef")
                if reference is not None:
                    who = f"{kind} {one.get('name')} with envVar {variable.get('name')} referencing"
                    yield who, reference.get("name", "")
            for source in one.get("envFrom") or ():
                if source.get("secretRef") is not None:
                    yield f"{kind} {one.get('name')} with envFrom referencing", source["secretRef"].get("name", "")


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
