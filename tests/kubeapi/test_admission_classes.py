"""Pods, claims and Ingresses get what their class says, or the default class; what contradicts it is refused."""

from __future__ import annotations

import secrets
from typing import Any

import pytest

from tests.kubeapi.admission_kit import Manifest, Target, container, of, pod


def priority_class(name: str, value: int, **rest: Any) -> Manifest:
    return of("scheduling.k8s.io/v1", "PriorityClass", name, value=value, **rest)


def claim(name: str, **spec: Any) -> Manifest:
    base = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    return of("v1", "PersistentVolumeClaim", name, spec={**base, **spec})


@pytest.fixture
def own() -> str:
    """A name for a cluster-wide object of the test's own."""
    return f"own-{secrets.token_hex(3)}"


def tried(target: Target, made: Manifest, wanted: Any = 201) -> Any:
    return target.eventually(lambda: target.create(made, "?dryRun=All"), wanted)


def test_a_pod_has_the_priority_of_its_class(target: Target, own: str) -> None:
    team = target.namespace()
    target.have(priority_class(own, 1000, preemptionPolicy="Never"))
    spec = tried(team, pod("a", priorityClassName=own)).body["spec"]
    assert (spec["priority"], spec["preemptionPolicy"]) == (1000, "Never")
    spec = tried(team, pod("a")).body["spec"]
    assert (spec["priority"], spec["preemptionPolicy"]) == (0, "PreemptLowerPriority")
    assert tried(team, pod("a", priorityClassName="system-node-critical")).body["spec"]["priority"] == 2_000_001_000
    refused = tried(team, pod("a", priorityClassName="nobody"), 403)
    assert refused.message == 'pods "a" is forbidden: no PriorityClass with name nobody was found'
    computed = "must not be provided in pod spec; priority admission controller computed"
    assert tried(team, pod("a", priorityClassName=own, priority=7), 403).message == (
        f'pods "a" is forbidden: the integer value of priority (7) {computed} 1000 from the given PriorityClass name'
    )
    assert tried(team, pod("a", preemptionPolicy="Never"), 403).message == (
        f'pods "a" is forbidden: the string value of PreemptionPolicy (Never) {computed} PreemptLowerPriority from the '
        "given PriorityClass name"
    )


def test_one_priority_class_is_the_default(target: Target, own: str) -> None:
    team = target.namespace()
    target.have(priority_class(own, 5, globalDefault=True))
    made = tried(team, pod("a"), lambda reply: reply.body["spec"]["priority"] == 5)
    assert made.body["spec"]["priorityClassName"] == own
    refused = target.create(priority_class(f"{own}-too", 6, globalDefault=True))
    assert refused.message == (
        f'priorityclasses.scheduling.k8s.io "{own}-too" is forbidden: PriorityClass {own} is already marked as '
        "default. Only one default can exist"
    )
    refused = target.create(priority_class("system-own", 6))
    assert refused.message == (
        'PriorityClass.scheduling.k8s.io "system-own" is invalid: metadata.name: Forbidden: priority class names with '
        "'system-' prefix are reserved for system use only. error: system-own is not a known system priority class"
    )


def test_a_pod_has_the_overhead_and_place_of_its_runtime(target: Target, own: str) -> None:
    team = target.namespace()
    runtime = of("node.k8s.io/v1", "RuntimeClass", own, handler="sandbox")
    toleration = {"key": "sandbox", "operator": "Exists"}
    runtime |= {"overhead": {"podFixed": {"cpu": "250m"}}}
    runtime |= {"scheduling": {"nodeSelector": {"sandbox": "yes"}, "tolerations": [toleration]}}
    target.have(runtime)
    spec = tried(team, pod("a", runtimeClassName=own)).body["spec"]
    assert (spec["overhead"], spec["nodeSelector"]) == ({"cpu": "250m"}, {"sandbox": "yes"})
    assert toleration in spec["tolerations"]
    refused = tried(team, pod("a", runtimeClassName=own, nodeSelector={"sandbox": "no"}), 403)
    assert refused.message == (
        'pods "a" is forbidden: conflict: runtimeClass.scheduling.nodeSelector[sandbox] = yes; '
        "pod.spec.nodeSelector[sandbox] = no"
    )
    refused = tried(team, pod("a", runtimeClassName=own, overhead={"cpu": "1"}), 403)
    assert refused.message.endswith("pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead")
    refused = tried(team, pod("a", runtimeClassName="nobody"), 403)
    assert refused.message == 'pods "a" is forbidden: pod rejected: RuntimeClass "nobody" not found'


def test_a_claim_and_an_ingress_get_the_default_class(target: Target, own: str) -> None:
    team = target.namespace()
    marked = {"annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}
    target.have(of("storage.k8s.io/v1", "StorageClass", own, meta=marked, provisioner="example.com/x"))
    tried(team, claim("a"), lambda reply: reply.body["spec"].get("storageClassName") == own)
    assert tried(team, claim("a", storageClassName="")).body["spec"]["storageClassName"] == ""
    marked = {"annotations": {"ingressclass.kubernetes.io/is-default-class": "true"}}
    spec = {"controller": "example.com/controller"}
    target.have(of("networking.k8s.io/v1", "IngressClass", own, meta=marked, spec=spec))
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    ingress = of("networking.k8s.io/v1", "Ingress", "a", spec={"defaultBackend": backend})
    tried(team, ingress, lambda reply: reply.body["spec"].get("ingressClassName") == own)
    ingress["metadata"]["annotations"] = {"kubernetes.io/ingress.class": "other"}
    assert "ingressClassName" not in tried(team, ingress).body["spec"]


def test_an_account_holds_its_pods_to_the_secrets_that_it_names(target: Target) -> None:
    team = target.namespace()
    account = of("v1", "ServiceAccount", "strict", secrets=[{"name": "known"}])
    account["metadata"]["annotations"] = {"kubernetes.io/enforce-mountable-secrets": "true"}
    team.have(account)
    suffix = "is not allowed because service account strict does not reference that"

    def strict(*containers: Manifest, **spec: Any) -> Manifest:
        return pod("a", *containers, serviceAccountName="strict", **spec)

    tried(team, strict(volumes=[{"name": "v", "secret": {"secretName": "known"}}]))
    refused = tried(team, strict(volumes=[{"name": "v", "secret": {"secretName": "other"}}]), 403)
    assert refused.message == f'pods "a" is forbidden: volume with secret.secretName="other" {suffix} secret'
    read = container(env=[{"name": "X", "valueFrom": {"secretKeyRef": {"name": "other", "key": "k"}}}])
    assert tried(team, strict(read), 403).message == (
        f'pods "a" is forbidden: container app with envVar X referencing secret.secretName="other" {suffix} secret'
    )
    assert tried(team, strict(imagePullSecrets=[{"name": "other"}]), 403).message == (
        f'pods "a" is forbidden: imagePullSecrets[0].name="other" {suffix} imagePullSecret'
    )
    missing = tried(team, pod("a", serviceAccountName="nobody"), 403)
    assert missing.message == (
        f'pods "a" is forbidden: error looking up service account {team.default}/nobody: '
        'serviceaccount "nobody" not found'
    )
