"""The baseline level of the Pod Security Standards: nothing that is known to lead out of a pod. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from kubeapi.admission.pod_security.found import (
    Struct,
    Violation,
    containers,
    counted,
    has_own_users,
    names_of,
    quoted,
    security,
    setters,
    these,
)

_CAPABILITIES = frozenset(
    (
        *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE"),
        *("SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
    )
)
_SELINUX = frozenset(("", "container_t", "container_init_t", "container_kvm_t"))
_SYSCTLS = frozenset(
    (
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.ping_group_range",
        "net.ipv4.ip_unprivileged_port_start",
    )
)
_SYSCTLS_27 = _SYSCTLS | {"net.ipv4.ip_local_reserved_ports"}
_SYSCTLS_29 = _SYSCTLS_27 | {
    *("net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout"),
    *("net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes"),
}
_SYSCTLS_32 = _SYSCTLS_29 | {"net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"}
_PROFILES = ("Localhost", "RuntimeDefault")
_APP_ARMOR = "container.apparmor.security.beta.kubernetes.io/"
_SECCOMP = "seccomp.security.alpha.kubernetes.io/pod"
_SECCOMP_OF = "container.seccomp.security.alpha.kubernetes.io/"

Found = Violation | None


def app_armor(metadata: Struct, spec: Struct) -> Found:
    def bad(owner: Struct) -> str:
        profile = security(owner).get("appArmorProfile")
        type_ = str((profile or {}).get("type") or "")
        return type_ if profile is not None and type_ not in _PROFILES else ""

    pod, names = bad(spec), names_of(spec, lambda one: bool(bad(one)))
    values = sorted({bad(one) for one in (spec, *containers(spec))} - {""})
    annotations = sorted(
        f'{key}="{value}"'
        for key, value in (metadata.get("annotations") or {}).items()
        if key.startswith(_APP_ARMOR) and not (value in ("", "runtime/default") or value.startswith("localhost/"))
    )
    who = [setters(bool(pod), names)] if pod or names else []
    if annotations:
        who.append(counted("annotation", len(annotations)))
    if not who:
        return None
    reason = counted("forbidden AppArmor profile", len(values) + len(annotations))
    return Violation(
        reason, f"{' and '.join(who)} must not set AppArmor profile type to {quoted([*values, *annotations])}"
    )


def capabilities(metadata: Struct, spec: Struct) -> Found:
    def added(one: Struct) -> set[str]:
        return set((security(one).get("capabilities") or {}).get("add") or ()) - _CAPABILITIES

    names = names_of(spec, lambda one: bool(added(one)))
    if not names:
        return None
    bad = sorted(set().union(*(added(one) for one in containers(spec))))
    detail = f"{these(names)} must not include {quoted(bad)} in securityContext.capabilities.add"
    return Violation("non-default capabilities", detail)


def host_namespaces(metadata: Struct, spec: Struct) -> Found:
    used = [f"{key}=true" for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key)]
    return Violation("host namespaces", ", ".join(used)) if used else None


def host_paths(metadata: Struct, spec: Struct) -> Found:
    names = [one.get("name") for one in spec.get("volumes") or () if one.get("hostPath") is not None]
    return Violation("hostPath volumes", f"{counted('volume', len(names))} {quoted(names)}") if names else None


def host_ports(metadata: Struct, spec: Struct) -> Found:
    def ports(one: Struct) -> set[str]:
        return {str(port["hostPort"]) for port in one.get("ports") or () if port.get("hostPort")}

    names = names_of(spec, lambda one: bool(ports(one)))
    if not names:
        return None
    bad = sorted(set().union(*(ports(one) for one in containers(spec))))
    uses = "uses" if len(names) == 1 else "use"
    return Violation("hostPort", f"{these(names)} {uses} {counted('hostPort', len(bad))} {', '.join(bad)}")


def probe_hosts(metadata: Struct, spec: Struct) -> Found:
    def hosts(one: Struct) -> set[str]:
        probes = [one.get(key) for key in ("livenessProbe", "readinessProbe", "startupProbe")]
        handlers = [(one.get("lifecycle") or {}).get(key) for key in ("postStart", "preStop")]
        asked = [(found or {}).get(key) for found in (*probes, *handlers) for key in ("httpGet", "tcpSocket")]
        return {str(action["host"]) for action in asked if action and action.get("host")}

    names = sorted(names_of(spec, lambda one: bool(hosts(one))))
    if not names:
        return None
    bad = sorted(set().union(*(hosts(one) for one in containers(spec))))
    uses = "uses" if len(names) == 1 else "use"
    detail = f"{these(names)} {uses} {counted('probe or lifecycle host', len(bad))} {quoted(bad)}"
    return Violation("probe or lifecycle host", detail)


def privileged(metadata: Struct, spec: Struct) -> Found:
    names = names_of(spec, lambda one: bool(security(one).get("privileged")))
    return Violation("privileged", f"{these(names)} must not set securityContext.privileged=true") if names else None


def proc_mount(metadata: Struct, spec: Struct) -> Found:
    def mounted(one: Struct) -> str:
        return str(security(one).get("procMount") or "Default")

    names = names_of(spec, lambda one: mounted(one) != "Default")
    if not names:
        return None
    bad = sorted({mounted(one) for one in containers(spec)} - {"Default"})
    return Violation("procMount", f"{these(names)} must not set securityContext.procMount to {quoted(bad)}")


def proc_mount_with_users(metadata: Struct, spec: Struct) -> Found:
    return None if has_own_users(spec) else proc_mount(metadata, spec)


def _se_linux(allowed: frozenset[str]) -> Callable[[Struct, Struct], Found]:
    def check(metadata: Struct, spec: Struct) -> Found:
        def given(owner: Struct) -> Struct:
            return security(owner).get("seLinuxOptions") or {}

        def bad(owner: Struct) -> bool:
            options = given(owner)
            return (options.get("type") or "") not in allowed or bool(options.get("user") or options.get("role"))

        pod, names = bad(spec), names_of(spec, bad)
        if not pod and not names:
            return None
        everywhere = [given(one) for one in (spec, *containers(spec))]
        types = sorted({str(one.get("type") or "") for one in everywhere} - allowed)
        told = [f"{counted('type', len(types))} {quoted(types)}"] if types else []
        told += [f"{key} may not be set" for key in ("user", "role") if any(one.get(key) for one in everywhere)]
        detail = f"{setters(pod, names)} set forbidden securityContext.seLinuxOptions: {'; '.join(told)}"
        return Violation("seLinuxOptions", detail)

    return check


def profile_of(owner: Struct) -> str | None:
    """The type of a seccomp profile; None when there is none."""
    profile = security(owner).get("seccompProfile")
    return None if profile is None else str(profile.get("type") or "")


def bad_profile(owner: Struct) -> bool:
    return profile_of(owner) not in (None, *_PROFILES)


def seccomp_annotations(metadata: Struct, spec: Struct) -> Found:
    """Before there was a field for it."""
    annotations = metadata.get("annotations") or {}
    keys = [_SECCOMP, *(f"{_SECCOMP_OF}{one.get('name')}" for one in containers(spec))]
    fine = ("runtime/default", "docker/default")
    bad = sorted(
        {
            f'{key}="{annotations[key]}"'
            for key in keys
            if key in annotations and annotations[key] not in fine and not annotations[key].startswith("localhost/")
        }
    )
    if not bad:
        return None
    return Violation("seccompProfile", f"forbidden {counted('annotation', len(bad))} {', '.join(bad)}")


def seccomp(metadata: Struct, spec: Struct) -> Found:
    pod, names = bad_profile(spec), names_of(spec, bad_profile)
    if not pod and not names:
        return None
    types = sorted({str(profile_of(one)) for one in (spec, *containers(spec)) if bad_profile(one)})
    detail = f"{setters(pod, names)} must not set securityContext.seccompProfile.type to {quoted(types)}"
    return Violation("seccompProfile", detail)


def _sysctls(allowed: frozenset[str]) -> Callable[[Struct, Struct], Found]:
    def check(metadata: Struct, spec: Struct) -> Found:
        names = [str(one.get("name")) for one in security(spec).get("sysctls") or ()]
        bad = [name for name in names if name not in allowed]
        return Violation("forbidden sysctls", ", ".join(bad)) if bad else None

    return check


def host_process(metadata: Struct, spec: Struct) -> Found:
    def bad(owner: Struct) -> bool:
        return bool((security(owner).get("windowsOptions") or {}).get("hostProcess"))

    pod, names = bad(spec), names_of(spec, bad)
    if not pod and not names:
        return None
    detail = f"{setters(pod, names)} must not set securityContext.windowsOptions.hostProcess=true"
    return Violation("hostProcess", detail)


def checks() -> Iterator[tuple[str, list[tuple[int, Callable[[Any, Any], Found]]]]]:
    """The checks by id, each in its versions: from which minor release on what is checked."""
    yield "appArmorProfile", [(0, app_armor)]
    yield "capabilities_baseline", [(0, capabilities)]
    yield "hostNamespaces", [(0, host_namespaces)]
    yield "hostPathVolumes", [(0, host_paths)]
    yield "hostPorts", [(0, host_ports)]
    yield "hostProbesAndHostLifecycle", [(34, probe_hosts)]
    yield "privileged", [(0, privileged)]
    yield "procMount", [(0, proc_mount), (35, proc_mount_with_users)]
    yield "seLinuxOptions", [(0, _se_linux(_SELINUX)), (31, _se_linux(_SELINUX | {"container_engine_t"}))]
    yield "seccompProfile_baseline", [(0, seccomp_annotations), (19, seccomp)]
    yield (
        "sysctls",
        [
            (0, _sysctls(_SYSCTLS)),
            (27, _sysctls(_SYSCTLS_27)),
            (29, _sysctls(_SYSCTLS_29)),
            (32, _sysctls(_SYSCTLS_32)),
        ],
    )
    yield "windowsHostProcess", [(0, host_process)]
