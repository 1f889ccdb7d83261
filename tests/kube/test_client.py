"""The client against a scripted API: what is sent, what comes back, and what each failure becomes."""

from __future__ import annotations

import asyncio
import time

import pytest
from aiohttp import web

from shared.kube import errors
from shared.kube.client import Client
from shared.kube.config import Connection
from shared.kube.credentials import Credentials
from shared.kube.limits import Bucket
from tests.kube.fake_api import FakeApi, serving, status

MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "default"}, "data": {"k": "v"}}


async def test_an_apply_is_one_patch_with_manager_and_force(api: FakeApi, client: Client) -> None:
    await client.apply(MAP, field_manager="kustomize-controller")
    request = api.requests[-1]
    assert request.method == "PATCH"
    assert request.path == "/api/v1/namespaces/default/configmaps/a"
    assert request.query == {"fieldManager": "kustomize-controller", "force": "true"}
    assert request.headers["Content-Type"] == "application/apply-patch+yaml"
    assert request.headers["User-Agent"] == "test-controller/1.2"
    assert api.bodies[-1] == MAP
    assert client.calls["apply", "configmaps"] == 1


async def test_discovery_is_asked_once_for_a_group_version(api: FakeApi, client: Client) -> None:
    api.put("a")
    await asyncio.gather(*(client.get("v1", "ConfigMap", "a", "default") for _ in range(5)))
    await client.list("v1", "ConfigMap")
    assert [r.path for r in api.requests].count("/api/v1") == 1
    found = await client.discovery.find("v1", "Namespace")
    assert found.subresources == {"status"}
    assert found.path("ignored", "x") == "/api/v1/namespaces/x"


async def test_an_unknown_kind_is_no_match_and_does_not_flood_the_server(api: FakeApi, client: Client) -> None:
    for _ in range(3):
        with pytest.raises(errors.NoMatch) as caught:
            await client.get("nowhere.example.com/v1", "Gizmo", "x", "default")
        assert str(caught.value) == 'no matches for kind "Gizmo" in version "nowhere.example.com/v1"'
    assert len(api.requests) == 1
    client.discovery.invalidate()
    api.resources.append({"name": "gizmos", "kind": "Gizmo", "namespaced": True, "verbs": ["list"]})
    assert (await client.discovery.find("v1", "Gizmo")).plural == "gizmos"


async def test_a_name_can_not_climb_out_of_its_path(api: FakeApi, client: Client) -> None:
    with pytest.raises(errors.NotFound):
        await client.get("v1", "ConfigMap", "../../namespaces/x", "default")
    assert api.requests[-1].raw_path == "/api/v1/namespaces/default/configmaps/..%2F..%2Fnamespaces%2Fx"
    with pytest.raises(errors.BadRequest, match="needs a namespace"):
        await client.get("v1", "ConfigMap", "a")


async def test_a_list_is_read_page_by_page_and_its_items_say_what_they_are(api: FakeApi) -> None:
    for n in range(7):
        api.put(f"m{n}")
    async with serving(api) as (client, _):
        page = await client.list_page("v1", "ConfigMap", limit=3)
        assert len(page.items) == 3
        assert page.continue_token
        items = await client.list("v1", "ConfigMap")
    assert [i["metadata"]["name"] for i in items] == [f"m{n}" for n in range(7)]
    assert {(i["apiVersion"], i["kind"]) for i in items} == {("v1", "ConfigMap")}


@pytest.mark.parametrize(
    ("code", "reason", "cls"),
    [
        (400, "BadRequest", errors.BadRequest),
        (403, "Forbidden", errors.Forbidden),
        (404, "NotFound", errors.NotFound),
        (409, "Conflict", errors.Conflict),
        (409, "AlreadyExists", errors.AlreadyExists),
        (410, "Expired", errors.Gone),
        (422, "Invalid", errors.Invalid),
        (500, "InternalError", errors.Unavailable),
        (504, "Timeout", errors.Unavailable),
    ],
)
async def test_each_refusal_has_its_class(
    api: FakeApi, client: Client, code: int, reason: str, cls: type[errors.ApiError]
) -> None:
    await client.discovery.find("v1", "ConfigMap")
    details = {"causes": [{"field": "spec.x", "reason": "FieldValueInvalid", "message": "no"}]}
    api.script = [lambda _: status(code, reason, "the server says no", details=details)]
    with pytest.raises(cls) as caught:
        await client.apply(MAP, field_manager="m")
    assert type(caught.value) is cls
    assert (caught.value.status, caught.value.reason, str(caught.value)) == (code, reason, "the server says no")
    assert caught.value.causes[0]["field"] == "spec.x"


async def test_a_body_that_is_no_status_is_shown_as_it_is(api: FakeApi, client: Client) -> None:
    api.script = [lambda _: web.Response(status=502, text="<html>bad gateway</html>")]
    with pytest.raises(errors.Unavailable, match="bad gateway"):
        await client.list("v1", "ConfigMap")


async def test_a_busy_server_is_asked_again_after_the_pause_it_wants(api: FakeApi, client: Client) -> None:
    await client.discovery.find("v1", "ConfigMap")
    busy = web.json_response({"kind": "Status", "code": 429}, status=429, headers={"Retry-After": "1"})
    api.script = [lambda _: busy]
    began = time.monotonic()
    await client.create(MAP)
    assert time.monotonic() - began >= 1
    api.script = [lambda _: status(429, "TooManyRequests", "later", details={"retryAfterSeconds": 3600})]
    with pytest.raises(errors.TooManyRequests) as caught:
        await client.create(MAP)
    assert caught.value.retry_after == 3600


async def test_a_cut_apply_is_sent_again_and_a_cut_create_is_not(api: FakeApi, client: Client) -> None:
    await client.discovery.find("v1", "ConfigMap")

    def cut(request: web.Request) -> None:
        assert request.transport is not None
        request.transport.abort()

    api.script = [cut]
    await client.apply(MAP, field_manager="m")
    assert len(api.requests) == 3
    api.script = [cut]
    with pytest.raises(errors.Unavailable, match="cut the connection"):
        await client.create(MAP)
    assert len(api.requests) == 4


async def test_an_unreachable_server_is_unavailable() -> None:
    client = Client(Connection(server="http://127.0.0.1:1"), qps=-1)
    with pytest.raises(errors.Unavailable, match="can't reach the Kubernetes API at http"):
        await client.get_raw("/version")
    await client.close()


async def test_a_server_that_does_not_answer_times_out(api: FakeApi) -> None:
    async def hang(request: web.Request) -> web.Response:
        await asyncio.sleep(5)
        return web.Response()

    api.handle = hang  # type: ignore[method-assign,assignment]
    async with serving(api, timeout=0.2) as (client, _):
        with pytest.raises(errors.Unavailable, match="did not answer in time"):
            await client.get_raw("/version")


class Rotating(Credentials):
    def __init__(self) -> None:
        self.renewals = 0

    async def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer t{self.renewals}"}

    async def renew(self) -> bool:
        self.renewals += 1
        return True


async def test_credentials_are_renewed_once_after_a_401(api: FakeApi) -> None:
    def old_token_is_refused(request: web.Request) -> web.Response | None:
        return status(401, "Unauthorized", "no") if request.headers["Authorization"] == "Bearer t0" else None

    async with serving(api, Rotating()) as (client, _):
        api.script = [old_token_is_refused]
        await client.list("v1", "ConfigMap")
        assert api.requests[-1].headers["Authorization"] == "Bearer t1"
        api.script = [lambda _: status(401, "Unauthorized", "no")] * 2
        with pytest.raises(errors.Unauthorized):
            await client.list("v1", "ConfigMap")


async def test_an_impersonating_client_shares_everything_but_the_identity(api: FakeApi, client: Client) -> None:
    tenant = client.impersonate("system:serviceaccount:apps:deployer", ["a", "b"])
    await client.list("v1", "ConfigMap")
    assert "Impersonate-User" not in api.requests[-1].headers
    await tenant.list("v1", "ConfigMap")
    headers = api.requests[-1].headers
    assert headers["Impersonate-User"] == "system:serviceaccount:apps:deployer"
    assert headers.getall("Impersonate-Group") == ["a", "b"]
    assert client.calls["list", "configmaps"] == 2
    assert tenant.transport is client.transport


@pytest.mark.parametrize("user", ["a\r\nImpersonate-Group: system:masters", "a\nb", "a\0b", "a\x7f"])
def test_an_impersonated_name_can_not_bring_headers_of_its_own(client: Client, user: str) -> None:
    with pytest.raises(errors.BadRequest, match="Impersonate-User"):
        client.impersonate(user)
    with pytest.raises(errors.BadRequest, match="Impersonate-Group"):
        client.impersonate("ada", [user])


async def test_no_more_requests_run_at_once_than_there_are_connections(api: FakeApi) -> None:
    running = most = 0

    async def slow(request: web.Request) -> web.Response:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.02)
        running -= 1
        return web.json_response({})

    api.handle = slow  # type: ignore[method-assign,assignment]
    async with serving(api, connections=3) as (client, _):
        await asyncio.gather(*(client.get_raw("/version") for _ in range(12)))
    assert most == 3


def test_the_bucket_lets_a_burst_pass_and_then_spreads_the_rest() -> None:
    now = 0.0
    bucket = Bucket(2, 3, clock=lambda: now)
    assert [bucket.reserve() for _ in range(5)] == [0, 0, 0, 0.5, 1.0]
    now = 10.0
    assert bucket.reserve() == 0
    assert Bucket(-1, 1).reserve() == 0
    assert Bucket(0, 0).qps == 5
