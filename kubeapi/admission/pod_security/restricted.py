"""The restricted level of the Pod Security Standards: what hardened pods look like. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from kubeapi.admission.pod_security import baseline
from kubeapi.admission.pod_security.found import (
    Struct,
    Violation,
    containers,
    counted,
    has_own_users,
    is_windows,
    names_of,
    quoted,
    security,
    setters,
    these,
)

_VOLUMES = frozenset(
    (
        *("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim"),
        *("projected", "secret"),
    )
)
_OTHER_VOLUMES = (
    *("hostPath", "gcePersistentDisk", "awsElasticBlockStore", "gitRepo", "nfs", "iscsi", "glusterfs", "rbd"),
    *("flexVolume", "cinder", "cephfs", "flocker", "fc", "azureFile", "vsphereVolume", "quobyte", "azureDisk"),
    *("photonPersistentDisk", "portworxVolume", "scaleIO", "storageos"),
)

Found = Violation | None


def escalation(metadata: Struct, spec: Struct) -> Found:
    names = names_of(spec, lambda one: security(one).get("allowPrivilegeEscalation") is not False)
    if not names:
        return None
    detail = f"{these(names)} must set securityContext.allowPrivilegeEscalation=false"
    return Violation("allowPrivilegeEscalation != false", detail)


def capabilities(metadata: Struct, spec: Struct) -> Found:
    def given(one: Struct, key: str) -> list[str]:
        return list((security(one).get("capabilities") or {}).get(key) or ())

    def added(one: Struct) -> set[str]:
        return set(given(one, "add")) - {"NET_BIND_SERVICE"}

    keeping = names_of(spec, lambda one: "ALL" not in given(one, "drop"))
    adding = names_of(spec, lambda one: bool(added(one)))
    told = [f'{these(keeping)} must set securityContext.capabilities.drop=["ALL"]'] if keeping else []
    if adding:
        bad = sorted(set().union(*(added(one) for one in containers(spec))))
        told.append(f"{these(adding)} must not include {quoted(bad)} in securityContext.capabilities.add")
    return Violation("unrestricted capabilities", "; ".join(told)) if told else None


def volumes(metadata: Struct, spec: Struct) -> Found:
    bad = [one for one in spec.get("volumes") or () if not any(one.get(key) is not None for key in _VOLUMES)]
    if not bad:
        return None
    names = [one.get("name") for one in bad]
    kinds = sorted({next((key for key in _OTHER_VOLUMES if one.get(key) is not None), "unknown") for one in bad})
    uses = "uses" if len(names) == 1 else "use"
    detail = (
        f"{counted('volume', len(names))} {quoted(names)} {uses} "
        f"{counted('restricted volume type', len(kinds))} {quoted(kinds)}"
    )
    return Violation("restricted volume types", detail)


def non_root(metadata: Struct, spec: Struct) -> Found:
    def said(owner: Struct) -> bool | None:
        found: bool | None = security(owner).get("runAsNonRoot")
        return found

    pod, explicit = said(spec) is False, names_of(spec, lambda one: said(one) is False)
    reason = "runAsNonRoot != true"
    if pod or explicit:
        return Violation(reason, f"{setters(pod, explicit)} must not set securityContext.runAsNonRoot=false")
    silent = names_of(spec, lambda one: said(one) is None)
    if said(spec) or not silent:
        return None
    return Violation(reason, f"pod or {these(silent)} must set securityContext.runAsNonRoot=true")


def user(metadata: Struct, spec: Struct) -> Found:
    def root(owner: Struct) -> bool:
        return security(owner).get("runAsUser") == 0

    pod, names = root(spec), names_of(spec, root)
    return Violation("runAsUser=0", f"{setters(pod, names)} must not set runAsUser=0") if pod or names else None


def seccomp(metadata: Struct, spec: Struct) -> Found:
    found = baseline.seccomp(metadata, spec)
    if found is not None:
        return found
    silent = names_of(spec, lambda one: baseline.profile_of(one) is None)
    if baseline.profile_of(spec) is not None or not silent:
        return None
    needed = 'must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"'
    return Violation("seccompProfile", f"pod or {these(silent)} {needed}")


def _but(
    exempt: Callable[[Struct], bool], check: Callable[[Struct, Struct], Found]
) -> Callable[[Struct, Struct], Found]:
    """A check that some pods are exempt from."""
    return lambda metadata, spec: None if exempt(spec) else check(metadata, spec)


OVERRIDES = {
    "capabilities_restricted": "capabilities_baseline",
    "procMount_restricted": "procMount",
    "restrictedVolumes": "hostPathVolumes",
    "seccompProfile_restricted": "seccompProfile_baseline",
}
"""Which check of the baseline one of these stands for."""


def checks() -> Iterator[tuple[str, list[tuple[int, Callable[[Any, Any], Found]]]]]:
    """As baseline.checks, those that come on top."""
    yield "allowPrivilegeEscalation", [(8, escalation), (25, _but(is_windows, escalation))]
    yield "capabilities_restricted", [(22, capabilities), (25, _but(is_windows, capabilities))]
    yield "procMount_restricted", [(35, baseline.proc_mount)]
    yield "restrictedVolumes", [(0, volumes)]
    yield "runAsNonRoot", [(0, non_root), (35, _but(has_own_users, non_root))]
    yield "runAsUser", [(23, user), (35, _but(has_own_users, user))]
    yield "seccompProfile_restricted", [(19, seccomp), (25, _but(is_windows, seccomp))]
