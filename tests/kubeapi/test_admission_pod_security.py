"""Namespaces say by labels how careful their pods must be; others are refused or warned of, as by a real server."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kubeapi.admission_kit import Target, container, deployment, of, pod

PREFIX = "pod-security.kubernetes.io/"


def secured(target: Target, **modes: str) -> Target:
    return target.namespace({PREFIX + mode.replace("_", "-"): value for mode, value in modes.items()})


HARDENED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}

BASELINE: dict[str, tuple[Any, str]] = {
    "privileged": (
        pod("a", container(securityContext={"privileged": True})),
        'privileged (container "app" must not set securityContext.privileged=true)',
    ),
    "host": (
        pod("a", hostNetwork=True, hostPID=True),
        "host namespaces (hostNetwork=true, hostPID=true)",
    ),
    "capabilities": (
        pod("a", container(securityContext={"capabilities": {"add": ["SYS_ADMIN", "CHOWN", "NET_RAW"]}})),
        'non-default capabilities (container "app" must not include "NET_RAW", "SYS_ADMIN" in '
        "securityContext.capabilities.add)",
    ),
    "hostpath": (
        pod("a", volumes=[{"name": "v", "hostPath": {"path": "/"}}, {"name": "w", "hostPath": {"path": "/x"}}]),
        'hostPath volumes (volumes "v", "w")',
    ),
    "hostport": (
        pod("a", container(ports=[{"containerPort": 80, "hostPort": 80}, {"containerPort": 81, "hostPort": 8081}])),
        'hostPort (container "app" uses hostPorts 80, 8081)',
    ),
    "probe": (
        pod("a", container(livenessProbe={"httpGet": {"port": 80, "host": "example.com"}})),
        'probe or lifecycle host (container "app" uses probe or lifecycle host "example.com")',
    ),
    "seccomp": (
        pod(
            "a",
            container(securityContext={"seccompProfile": {"type": "Unconfined"}}),
            securityContext={"seccompProfile": {"type": "Unconfined"}},
        ),
        'seccompProfile (pod and container "app" must not set securityContext.seccompProfile.type to "Unconfined")',
    ),
    "selinux": (
        pod("a", container(securityContext={"seLinuxOptions": {"type": "spc_t", "user": "x"}})),
        'seLinuxOptions (container "app" set forbidden securityContext.seLinuxOptions: type "spc_t"; user may not be '
        "set)",
    ),
    "sysctls": (
        pod("a", securityContext={"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}),
        "forbidden sysctls (kernel.msgmax)",
    ),
    "apparmor": (
        pod("a", securityContext={"appArmorProfile": {"type": "Unconfined"}}),
        'forbidden AppArmor profile (pod must not set AppArmor profile type to "Unconfined")',
    ),
    "two": (
        pod(
            "a",
            container("one", securityContext={"privileged": True}),
            container("two", securityContext={"privileged": True}),
            hostIPC=True,
        ),
        'host namespaces (hostIPC=true), privileged (containers "one", "two" must not set '
        "securityContext.privileged=true)",
    ),
}

RESTRICTED: dict[str, tuple[Any, str]] = {
    "plain": (
        pod("a"),
        'allowPrivilegeEscalation != false (container "app" must set securityContext.allowPrivilegeEscalation=false), '
        'unrestricted capabilities (container "app" must set securityContext.capabilities.drop=["ALL"]), '
        'runAsNonRoot != true (pod or container "app" must set securityContext.runAsNonRoot=true), '
        'seccompProfile (pod or container "app" must set securityContext.seccompProfile.type to "RuntimeDefault" or '
        '"Localhost")',
    ),
    "root": (
        pod("a", container(securityContext={**HARDENED, "runAsUser": 0})),
        'runAsUser=0 (container "app" must not set runAsUser=0)',
    ),
    "volume": (
        pod(
            "a",
            container(securityContext=HARDENED),
            volumes=[{"name": "v", "hostPath": {"path": "/"}}, {"name": "n", "nfs": {"server": "s", "path": "/"}}],
        ),
        'restricted volume types (volumes "v", "n" use restricted volume types "hostPath", "nfs")',
    ),
    "adding": (
        pod("a", container(securityContext={**HARDENED, "capabilities": {"drop": ["ALL"], "add": ["CHOWN"]}})),
        'unrestricted capabilities (container "app" must not include "CHOWN" in securityContext.capabilities.add)',
    ),
    "said": (
        pod(
            "a", container(securityContext={**HARDENED, "runAsNonRoot": False}), securityContext={"runAsNonRoot": False}
        ),
        'runAsNonRoot != true (pod and container "app" must not set securityContext.runAsNonRoot=false)',
    ),
}


@pytest.mark.parametrize("case", BASELINE)
def test_the_baseline_refuses_what_leads_out_of_a_pod(target: Target, case: str) -> None:
    team = secured(target, enforce="baseline")
    bad, violation = BASELINE[case]
    refused = team.create(bad)
    assert (refused.code, refused.reason) == (403, "Forbidden")
    assert refused.message == f'pods "a" is forbidden: violates PodSecurity "baseline:latest": {violation}'
    assert team.create(pod("fine")).code == 201


@pytest.mark.parametrize("case", RESTRICTED)
def test_the_restricted_level_wants_hardened_pods(target: Target, case: str) -> None:
    team = secured(target, enforce="restricted")
    bad, violation = RESTRICTED[case]
    refused = team.create(bad)
    assert refused.message == f'pods "a" is forbidden: violates PodSecurity "restricted:latest": {violation}'
    assert team.create(pod("fine", container(securityContext=HARDENED))).code == 201


def test_a_version_keeps_what_a_release_understood(target: Target) -> None:
    team = secured(target, enforce="baseline", enforce_version="v1.28")
    probe = {"httpGet": {"port": 80, "host": "example.com"}}
    assert team.create(pod("probe", container(livenessProbe=probe))).code == 201
    sysctl = {"sysctls": [{"name": "net.ipv4.tcp_rmem", "value": "1"}]}
    assert team.create(pod("a", securityContext=sysctl)).message == (
        'pods "a" is forbidden: violates PodSecurity "baseline:v1.28": forbidden sysctls (net.ipv4.tcp_rmem)'
    )
    latest = secured(target, enforce="baseline")
    assert latest.create(pod("a", securityContext=sysctl)).code == 201


def test_workloads_are_warned_of_and_their_pods_refused(target: Target) -> None:
    team = secured(target, enforce="baseline")
    bad = deployment("web", 1, container(securityContext={"privileged": True}))
    made = team.create(bad)
    violation = 'privileged (container "app" must not set securityContext.privileged=true)'
    assert made.code == 201
    assert made.warnings == [f'would violate PodSecurity "baseline:latest": {violation}']

    def told(reply: Any) -> bool:
        conditions = (reply.body.get("status") or {}).get("conditions") or ()
        return any(
            one["type"] == "ReplicaFailure" and f'violates PodSecurity "baseline:latest": {violation}' in one["message"]
            for one in conditions
        )

    team.eventually(lambda: team.get(bad), told)
    lax = secured(target, warn="restricted", warn_version="v1.30")
    made = lax.create(pod("a", container(securityContext={**HARDENED, "runAsUser": 0})))
    assert made.code == 201
    assert made.warnings == [
        'would violate PodSecurity "restricted:v1.30": runAsUser=0 (container "app" must not set runAsUser=0)'
    ]


def test_a_namespace_that_gets_stricter_is_told_which_pods_break_it(target: Target) -> None:
    team = target.namespace()
    stay = {"annotations": {"tests.fluvial/stay": "pending"}}
    for name in ("a", "b", "c"):
        assert team.create(pod(name, hostNetwork=name != "c", meta=stay)).code == 201
    namespace = of("v1", "Namespace", team.default)
    changed = target.patch(namespace, {"metadata": {"labels": {f"{PREFIX}enforce": "baseline"}}})
    assert changed.warnings == [
        f'existing pods in namespace "{team.default}" violate the new PodSecurity enforce level "baseline:latest"',
        "a (and 1 other pod): host namespaces",
    ]
    refused = target.patch(namespace, {"metadata": {"labels": {f"{PREFIX}enforce": "careful"}}})
    assert refused.code == 422
    assert refused.message == (
        f'Namespace "{team.default}" is invalid: metadata.labels[{PREFIX}enforce]: Invalid value: "careful": '
        "must be one of privileged, baseline, restricted"
    )
    refused = target.patch(namespace, {"metadata": {"labels": {f"{PREFIX}warn-version": "1.2"}}})
    assert refused.message.endswith('Invalid value: "1.2": must be "latest" or "v1.x"')
