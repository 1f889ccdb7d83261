"""APIServices tell which groups there are; one that nobody serves is told of and answers 503, as on a real server."""

from __future__ import annotations

import secrets
from typing import Any

from tests.kubeapi.admission_kit import Manifest, Target, of

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
KIND = ("apiregistration.k8s.io/v1", "APIService")


def remote(group: str, **service: Any) -> Manifest:
    spec = {
        "group": group,
        "version": "v1",
        "groupPriorityMinimum": 100,
        "versionPriority": 10,
        "insecureSkipTLSVerify": True,
        "service": {"name": "nobody", "namespace": "default", **service},
    }
    return of(*KIND, f"v1.{group}", spec=spec)


def available(target: Target, made: Manifest, reason: str) -> Any:
    """The condition of an APIService, once it has this reason."""

    def condition(reply: Any) -> Any:
        conditions = (reply.body.get("status") or {}).get("conditions") or [{}]
        return conditions[0]

    return condition(
        target.eventually(lambda: target.get(made), lambda reply: condition(reply).get("reason") == reason)
    )


def test_what_is_served_here_has_its_apiservices(target: Target) -> None:
    for name, priority, version in (("v1.apps", 17800, 15), ("v2.autoscaling", 17500, 30), ("v1.", 18000, 1)):
        found = target.get(of(*KIND, name)).body
        assert (found["spec"]["groupPriorityMinimum"], found["spec"]["versionPriority"]) == (priority, version)
        assert found["metadata"]["labels"] == {"kube-aggregator.kubernetes.io/automanaged": "onstart"}
        condition = found["status"]["conditions"][0]
        assert (condition["status"], condition["reason"]) == ("True", "Local")


def test_a_crd_brings_an_apiservice_and_takes_it_along(target: Target) -> None:
    group = f"g{secrets.token_hex(3)}.example.com"
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
    names = {"kind": "Gizmo", "plural": "gizmos"}
    spec = {"group": group, "scope": "Cluster", "names": names, "versions": [version]}
    crd = of("apiextensions.k8s.io/v1", "CustomResourceDefinition", f"gizmos.{group}", spec=spec)
    target.have(crd)
    own = of(*KIND, f"v1.{group}")
    found = target.eventually(lambda: target.get(own), 200).body
    assert (found["spec"]["groupPriorityMinimum"], found["spec"]["versionPriority"]) == (1000, 100)
    available(target, own, "Local")
    assert target.delete(crd).code == 200
    target.eventually(lambda: target.get(own), 404)


def test_a_group_that_nobody_serves_is_unavailable_and_stays_in_discovery(target: Target) -> None:
    group = f"g{secrets.token_hex(3)}.example.com"
    made = remote(group)
    target.have(made)
    condition = available(target, made, "ServiceNotFound")
    assert (condition["status"], condition["message"]) == ("False", 'service/nobody in "default" is not present')
    for path in (f"/apis/{group}/v1", f"/apis/{group}/v1/namespaces/default/things"):
        refused = target.eventually(lambda path=path: target.send("GET", path), 503)
        assert refused.message == "service unavailable\n"
    listed = target.send("GET", "/apis").body["groups"]
    assert group in [one["name"] for one in listed]
    assert target.send("GET", f"/apis/{group}").body["preferredVersion"]["version"] == "v1"

    def stale(reply: Any) -> bool:
        found = [one for one in reply.body["items"] if one["metadata"]["name"] == group]
        return bool(found) and found[0]["versions"] == [{"version": "v1", "freshness": "Stale"}]

    target.eventually(lambda: target.send("GET", "/apis", headers={"Accept": AGGREGATED}), stale)
    assert target.delete(made).code == 200
    gone = target.eventually(lambda: target.send("GET", f"/apis/{group}/v1"), 404)
    assert gone.message == "404 page not found\n"


def test_a_namespace_waits_for_groups_that_nobody_serves(target: Target) -> None:
    group, team = f"g{secrets.token_hex(3)}.example.com", target.namespace()
    made = remote(group)
    target.have(made)
    available(target, made, "ServiceNotFound")
    target.eventually(lambda: target.send("GET", f"/apis/{group}/v1"), 503)
    namespace = of("v1", "Namespace", team.default)
    assert target.delete(namespace).code == 200

    def discovery(reply: Any) -> Any:
        conditions = (reply.body.get("status") or {}).get("conditions") or ()
        return next((one for one in conditions if one["type"] == "NamespaceDeletionDiscoveryFailure"), {})

    held = target.eventually(lambda: target.get(namespace), lambda reply: discovery(reply).get("status") == "True", 30)
    assert discovery(held)["reason"] == "DiscoveryFailed"
    assert discovery(held)["message"] == (
        "Discovery failed for some groups, 1 failing: unable to retrieve the complete list of server APIs: "
        f"{group}/v1: stale GroupVersion discovery: {group}/v1"
    )
    assert target.delete(made).code == 200
    target.eventually(lambda: target.get(namespace), 404, 60)


def test_an_apiservice_says_what_its_service_lacks(target: Target) -> None:
    group, team = f"g{secrets.token_hex(3)}.example.com", target.namespace()
    made = remote(group, namespace=team.default, name="server")
    target.have(made)
    available(target, made, "ServiceNotFound")
    team.have(of("v1", "Service", "server", spec={"ports": [{"port": 8443}]}))
    condition = available(target, made, "ServicePortError")
    assert condition["message"] == f'service/server in "{team.default}" is not listening on port 443'
    assert team.patch(of("v1", "Service", "server"), {"spec": {"ports": [{"port": 443}]}}).code == 200
    condition = available(target, made, "EndpointsNotFound")
    assert condition["message"] == f'cannot find endpointslices for service/server in "{team.default}"'


def test_an_apiservice_is_named_after_what_it_serves(target: Target) -> None:
    made = remote("group.example.com")
    made["metadata"]["name"] = "other"
    made["spec"]["versionPriority"] = 0
    refused = target.create(made)
    assert refused.code == 422
    assert refused.message == (
        'APIService.apiregistration.k8s.io "other" is invalid: [metadata.name: Invalid value: "other": must be '
        '`spec.version+"."+spec.group`: "v1.group.example.com", spec.versionPriority: Invalid value: 0: must be '
        "positive and less than 1000]"
    )
