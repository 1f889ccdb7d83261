"""What needs a running container answers 501 and says so; tokens end with what they are bound to; events end."""

from __future__ import annotations

import asyncio

import pytest

from kubeapi.controllers.events import Events
from tests.kubeapi.admission_kit import of, pod
from tests.kubeapi.server_kit import Api

CORE = "/api/v1/namespaces/default"
ROLES = "/apis/rbac.authorization.k8s.io/v1/clusterroles"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"{CORE}/pods/a/log"),
        ("POST", f"{CORE}/pods/a/exec?command=ls"),
        ("POST", f"{CORE}/pods/a/attach"),
        ("POST", f"{CORE}/pods/a/portforward"),
        ("GET", f"{CORE}/pods/a/proxy"),
        ("GET", f"{CORE}/pods/a/proxy/healthz"),
        ("GET", f"{CORE}/services/kubernetes/proxy"),
        ("GET", "/api/v1/nodes/kubeapi/proxy/healthz"),
        ("GET", "/api/v1/componentstatuses"),
    ],
)
async def test_what_would_need_a_running_container_is_not_implemented(api: Api, method: str, path: str):
    await api.post(f"{CORE}/pods", pod("a"))
    refused = await api.send(method, path, expect=501)
    assert refused["reason"] == "NotImplemented"
    assert refused["message"].startswith("the embedded Kubernetes API does not implement ")


async def test_of_a_pod_that_is_not_there_that_is_said_first(api: Api):
    refused = await api.get(f"{CORE}/pods/nobody/log", expect=404)
    assert refused["message"] == 'pods "nobody" not found'


async def test_a_token_bound_to_a_pod_ends_with_it(api: Api):
    await api.post(f"{CORE}/pods", pod("a"))
    spec = {"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "a"}}
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    token = (await api.post(f"{CORE}/serviceaccounts/default/token", asked))["status"]["token"]
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
    path = "/apis/authentication.k8s.io/v1/tokenreviews"
    assert (await api.post(path, review))["status"]["authenticated"] is True
    await api.delete(f"{CORE}/pods/a?gracePeriodSeconds=0")
    assert (await api.post(path, review))["status"].get("authenticated") is not True
    spec["boundObjectRef"]["name"] = "nobody"
    await api.post(f"{CORE}/serviceaccounts/default/token", asked, expect=404)


async def test_an_aggregating_role_has_the_rules_of_those_that_it_selects(api: Api):
    def role(name: str, **rest):
        return of("rbac.authorization.k8s.io/v1", "ClusterRole", name, **rest)

    rule = {"apiGroups": ["example.com"], "resources": ["things"], "verbs": ["get"]}
    chosen = {"labels": {"aggregate-to-team": "true"}}
    selector = {"clusterRoleSelectors": [{"matchLabels": chosen["labels"]}]}
    await api.post(ROLES, role("team", aggregationRule=selector, rules=[]))
    await api.post(ROLES, role("things", meta=chosen, rules=[rule]))
    await api.until(f"{ROLES}/team", lambda found: found["rules"] == [rule])
    await api.delete(f"{ROLES}/things")
    await api.until(f"{ROLES}/team", lambda found: not found["rules"])


async def test_an_event_that_nobody_touches_for_an_hour_is_gone(api: Api):
    about = {"kind": "Pod", "namespace": "default", "name": "a"}
    event = of("v1", "Event", "a", involvedObject=about, reason="Tested", message="", type="Normal")
    await api.post(f"{CORE}/events", event)
    api.server.faults.skew(3500)
    await api.post(f"{CORE}/events", {**event, "metadata": {"name": "b"}})
    api.server.faults.skew(3700)
    # The sweep comes once a minute; it is brought forward.
    sweeper = next(one for one in api.server.controllers._running if isinstance(one, Events))
    sweeper.queue("sweep")
    await asyncio.wait_for(api.until(f"{CORE}/events/a", lambda found: found is None), 5)
    assert (await api.get(f"{CORE}/events/b"))["reason"] == "Tested"
