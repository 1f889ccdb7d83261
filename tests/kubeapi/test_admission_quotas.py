"""ResourceQuotas and LimitRanges hold a namespace to what it may have, in the words of a real API server."""

from __future__ import annotations

from typing import Any

from tests.kubeapi.admission_kit import Manifest, Target, config_map, container, deployment, of, pod


def quota(hard: Any, name: str = "limits", **spec: Any) -> Manifest:
    return of("v1", "ResourceQuota", name, spec={"hard": hard, **spec})


def limit_range(*limits: Manifest) -> Manifest:
    return of("v1", "LimitRange", "limits", spec={"limits": list(limits)})


def resources(requests: Any = None, limits: Any = None) -> Manifest:
    given = {"requests": requests, "limits": limits}
    return container(resources={key: value for key, value in given.items() if value})


def service(name: str, kind: str, *ports: int) -> Manifest:
    spec = {"type": kind, "ports": [{"port": port, "name": f"p{port}"} for port in ports], "selector": {"app": "x"}}
    return of("v1", "Service", name, spec=spec)


def claim(name: str, storage: str, **spec: Any) -> Manifest:
    base = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": storage}}}
    return of("v1", "PersistentVolumeClaim", name, spec={**base, **spec})


def limited(team: Target, made: Manifest) -> None:
    """A quota, once its status says what it limits."""
    team.have(made)
    hard = made["spec"]["hard"]
    team.eventually(lambda: team.get(made), lambda reply: (reply.body.get("status") or {}).get("hard") == hard)


def until_used(team: Target, name: str = "limits", **wanted: str) -> None:
    hard = {key.replace("__", "/").replace("_", "."): value for key, value in wanted.items()}

    def holds(reply: Any) -> bool:
        used = (reply.body.get("status") or {}).get("used") or {}
        return all(used.get(key) == value for key, value in hard.items())

    team.eventually(lambda: team.get(quota({}, name)), holds)


def test_a_quota_counts_objects_and_refuses_one_too_many(target: Target) -> None:
    team = target.namespace()
    limited(team, quota({"count/configmaps": "2", "secrets": "1", "count/deployments.apps": "0"}))
    held = int(team.get(quota({})).body["status"]["used"]["count/configmaps"])  # a real cluster's root certificate
    for index in range(2 - held):
        assert team.create(config_map(f"a{index}")).code == 201
    refused = team.create(config_map("b"))
    assert (refused.code, refused.reason) == (403, "Forbidden")
    assert refused.message == (
        'configmaps "b" is forbidden: exceeded quota: limits, requested: count/configmaps=1, '
        "used: count/configmaps=2, limited: count/configmaps=2"
    )
    until_used(team, count__configmaps="2", secrets="0")
    assert team.create(of("v1", "Secret", "one")).code == 201
    refused = team.create(of("v1", "Secret", "two"))
    assert refused.message == (
        'secrets "two" is forbidden: exceeded quota: limits, requested: secrets=1, used: secrets=1, limited: secrets=1'
    )
    assert team.create(of("v1", "Secret", "two"), "?dryRun=All").code == 403
    assert team.create(deployment("d")).message == (
        'deployments.apps "d" is forbidden: exceeded quota: limits, requested: count/deployments.apps=1, '
        "used: count/deployments.apps=0, limited: count/deployments.apps=0"
    )
    assert team.delete(of("v1", "Secret", "one")).code == 200
    until_used(team, secrets="0")
    assert team.create(of("v1", "Secret", "two")).code == 201


def test_a_quota_adds_up_what_pods_ask_for(target: Target) -> None:
    team = target.namespace()
    limited(team, quota({"requests.cpu": "1", "limits.memory": "1Gi", "pods": "5"}))
    stay = {"annotations": {"tests.fluvial/stay": "pending"}}
    asks = resources({"cpu": "300m", "memory": "64Mi"}, {"cpu": "1", "memory": "256Mi"})
    first = {**asks, "name": "first", "resources": {"requests": {"cpu": "700m"}, "limits": {"memory": "256Mi"}}}
    assert team.create(pod("a", asks, {**asks, "name": "other"}, meta=stay, initContainers=[first])).code == 201
    until_used(team, requests_cpu="700m", limits_memory="512Mi", pods="1")
    refused = team.create(pod("b", asks, {**asks, "name": "other"}, meta=stay))
    assert refused.message == (
        'pods "b" is forbidden: exceeded quota: limits, requested: requests.cpu=600m, used: requests.cpu=700m, '
        "limited: requests.cpu=1"
    )
    refused = team.create(pod("c", resources({"cpu": "1"}, {"memory": "1Gi"}), meta=stay))
    assert refused.message == (
        'pods "c" is forbidden: exceeded quota: limits, requested: limits.memory=1Gi,requests.cpu=1, '
        "used: limits.memory=512Mi,requests.cpu=700m, limited: limits.memory=1Gi,requests.cpu=1"
    )
    refused = team.create(pod("d", container("one"), container("two", resources={"requests": {"cpu": "1m"}})))
    assert refused.message == (
        'pods "d" is forbidden: failed quota: limits: must specify limits.memory for: one,two; requests.cpu for: one'
    )
    assert team.delete(pod("a"), query="?gracePeriodSeconds=0").code == 200
    until_used(team, requests_cpu="0", limits_memory="0", pods="0")


def test_a_workload_says_that_a_quota_stops_its_pods(target: Target) -> None:
    team = target.namespace()
    limited(team, quota({"pods": "1"}))
    team.have(deployment("web", 2))

    def told(reply: Any) -> bool:
        found = [
            one for one in (reply.body.get("status") or {}).get("conditions") or () if one["type"] == "ReplicaFailure"
        ]
        return bool(found) and "exceeded quota: limits, requested: pods=1, used: pods=1" in found[0]["message"]

    team.eventually(lambda: team.get(deployment("web")), told)


def test_a_quota_counts_services_by_what_they_expose(target: Target) -> None:
    team = target.namespace()
    limited(team, quota({"services": "3", "services.nodeports": "2", "services.loadbalancers": "0"}))
    assert team.create(service("plain", "ClusterIP", 80)).code == 201
    assert team.create(service("open", "NodePort", 80)).code == 201
    until_used(team, services="2", services_nodeports="1")
    refused = team.create(service("wide", "NodePort", 80, 81))
    assert refused.message == (
        'services "wide" is forbidden: exceeded quota: limits, requested: services.nodeports=2, '
        "used: services.nodeports=1, limited: services.nodeports=2"
    )
    refused = team.patch(service("plain", "ClusterIP"), {"spec": {"type": "LoadBalancer"}})
    assert refused.message == (
        'services "plain" is forbidden: exceeded quota: limits, requested: services.loadbalancers=1, '
        "used: services.loadbalancers=0, limited: services.loadbalancers=0"
    )


def test_a_quota_adds_up_storage_also_by_its_class(target: Target) -> None:
    team = target.namespace()
    gold = "gold.storageclass.storage.k8s.io/requests.storage"
    limited(team, quota({"requests.storage": "10Gi", gold: "2Gi"}))
    assert team.create(claim("a", "8Gi", storageClassName="plain")).code == 201
    until_used(team, requests_storage="8Gi")
    refused = team.create(claim("b", "3Gi", storageClassName="plain"))
    assert refused.message == (
        'persistentvolumeclaims "b" is forbidden: exceeded quota: limits, requested: requests.storage=3Gi, '
        "used: requests.storage=8Gi, limited: requests.storage=10Gi"
    )
    refused = team.create(claim("c", "2200Mi", storageClassName="gold"))
    assert refused.message == (
        f'persistentvolumeclaims "c" is forbidden: exceeded quota: limits, requested: {gold}=2200Mi,'
        f"requests.storage=2200Mi, used: {gold}=0,requests.storage=8Gi, limited: {gold}=2Gi,requests.storage=10Gi"
    )


def test_a_quota_is_about_the_pods_in_its_scope(target: Target) -> None:
    team = target.namespace()
    limited(team, quota({"pods": "0"}, "plain", scopes=["BestEffort"]))
    limited(team, quota({"pods": "0"}, "ending", scopes=["Terminating"]))
    asks = resources({"cpu": "1m"})
    assert "exceeded quota: plain" in team.create(pod("a")).message
    assert "exceeded quota: ending" in team.create(pod("b", asks, activeDeadlineSeconds=60)).message
    assert team.create(pod("c", asks)).code == 201


def test_a_limit_range_fills_in_what_containers_do_not_say(target: Target) -> None:
    team = target.namespace()
    team.have(
        limit_range(
            {"type": "Container", "default": {"cpu": "500m", "memory": "256Mi"}, "defaultRequest": {"cpu": "100m"}}
        )
    )
    team.eventually(
        lambda: team.create(pod("probe"), "?dryRun=All"),
        lambda reply: bool(reply.body["spec"]["containers"][0]["resources"]),
    )
    made = team.create(pod("a", resources({"cpu": "200m"}), container("other"))).body
    first, second = made["spec"]["containers"]
    assert first["resources"] == {
        "requests": {"cpu": "200m", "memory": "256Mi"},
        "limits": {"cpu": "500m", "memory": "256Mi"},
    }
    assert second["resources"]["requests"] == {"cpu": "100m", "memory": "256Mi"}
    assert made["metadata"]["annotations"]["kubernetes.io/limit-ranger"] == (
        "LimitRanger plugin set: memory request for container app; cpu, memory limit for container app; "
        "cpu, memory request for container other; cpu, memory limit for container other"
    )


def test_a_limit_range_refuses_too_much_and_too_little(target: Target) -> None:
    team = target.namespace()
    team.have(
        limit_range(
            {"type": "Container", "max": {"cpu": "1"}, "min": {"cpu": "100m"}, "maxLimitRequestRatio": {"memory": "2"}},
            {"type": "Pod", "max": {"memory": "1Gi"}},
            {"type": "PersistentVolumeClaim", "max": {"storage": "2Gi"}, "min": {"storage": "1Gi"}},
        )
    )
    good = resources({"cpu": "200m", "memory": "256Mi"}, {"cpu": "500m", "memory": "512Mi"})
    large = resources({"cpu": "200m", "memory": "256Mi"}, {"cpu": "2", "memory": "512Mi"})
    refused = team.eventually(lambda: team.create(pod("large", large), "?dryRun=All"), 403)
    assert refused.message == 'pods "large" is forbidden: maximum cpu usage per Container is 1, but limit is 2'
    assert team.create(pod("good", good)).code == 201
    small = resources({"cpu": "50m", "memory": "256Mi"}, {"cpu": "500m", "memory": "512Mi"})
    refused = team.create(pod("small", small))
    assert refused.message == 'pods "small" is forbidden: minimum cpu usage per Container is 100m, but request is 50m'
    far = resources({"cpu": "200m", "memory": "100Mi"}, {"cpu": "500m", "memory": "250Mi"})
    assert team.create(pod("far", far)).message == (
        'pods "far" is forbidden: memory max limit to request ratio per Container is 2, but provided ratio is 2.500000'
    )
    many = [{**good, "name": name} for name in ("a", "b", "c")]
    assert team.create(pod("many", *many)).message == (
        'pods "many" is forbidden: maximum memory usage per Pod is 1Gi, but limit is 1536Mi'
    )
    assert team.create(claim("large", "3Gi")).message == (
        'persistentvolumeclaims "large" is forbidden: maximum storage usage per PersistentVolumeClaim is 2Gi, '
        "but request is 3Gi"
    )
    assert team.create(claim("small", "500Mi")).message == (
        'persistentvolumeclaims "small" is forbidden: minimum storage usage per PersistentVolumeClaim is 1Gi, '
        "but request is 500Mi"
    )
