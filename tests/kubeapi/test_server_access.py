"""Who may do what: tokens, certificates, roles, impersonation, reviews; and that nobody grants what they don't have."""

from __future__ import annotations

import ssl

import aiohttp
import pytest

import kubeapi
from kubeapi import certificates
from tests.kubeapi.server_kit import Api

RBAC = "/apis/rbac.authorization.k8s.io/v1"
PATH = "/api/v1/namespaces/default/configmaps"


def role(name: str, *rules: dict, kind: str = "Role") -> dict:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": name},
        "rules": list(rules),
    }


def rule(resources: list[str], verbs: list[str], group: str = "", names: tuple[str, ...] = ()) -> dict:
    named = {"resourceNames": list(names)} if names else {}
    return {"apiGroups": [group], "resources": resources, "verbs": verbs, **named}


def binding(name: str, role_kind: str, role_name: str, *subjects: dict, kind: str = "RoleBinding") -> dict:
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": role_kind, "name": role_name}
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": name},
        "roleRef": reference,
        "subjects": list(subjects),
    }


def account(name: str, namespace: str = "default") -> dict:
    return {"kind": "ServiceAccount", "name": name, "namespace": namespace}


def user(name: str) -> dict:
    return {"kind": "User", "name": name, "apiGroup": "rbac.authorization.k8s.io"}


async def sign_in(api: Api, name: str) -> Api:
    """A client with a token of a service account, which is made for it."""
    path = "/api/v1/namespaces/default/serviceaccounts"
    await api.post(path, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}})
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    answer = await api.post(f"{path}/{name}/token", asked)
    return api.as_(answer["status"]["token"])


def acting(name: str, *groups: str) -> dict[str, str]:
    headers = {"Impersonate-User": name}
    if groups:
        headers["Impersonate-Group"] = groups[0]
    return headers


async def test_a_wrong_token_is_refused(api: Api):
    refused = await api.as_("nonsense").get(PATH, expect=401)
    assert refused["reason"] == "Unauthorized"


async def test_nobody_in_particular_sees_only_what_is_public(api: Api):
    async with api.session.get(f"{api.server.url}/version") as response:
        assert response.status == 200
    async with api.session.get(api.server.url + PATH) as response:
        assert response.status == 403
        assert 'User "system:anonymous" cannot list resource "configmaps"' in (await response.json())["message"]


async def test_a_service_account_does_what_its_role_allows_and_no_more(api: Api):
    app = await sign_in(api, "app")
    refused = await app.get(f"{PATH}/a", expect=403)
    assert refused["message"] == (
        'configmaps "a" is forbidden: User "system:serviceaccount:default:app" cannot get resource "configmaps" in API '
        'group "" in the namespace "default"'
    )
    await api.post(f"{RBAC}/namespaces/default/roles", role("reader", rule(["configmaps"], ["get"], names=("a",))))
    await api.post(f"{RBAC}/namespaces/default/rolebindings", binding("b", "Role", "reader", account("app")))
    await api.post(PATH, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}})
    assert (await app.get(f"{PATH}/a"))["metadata"]["name"] == "a"
    await app.get(f"{PATH}/b", expect=403)
    await app.get(PATH, expect=403)
    await app.get("/api/v1/namespaces/kube-system/configmaps/a", expect=403)


async def test_the_token_of_a_deleted_account_is_worth_nothing(api: Api):
    app = await sign_in(api, "app")
    await app.get("/apis")
    await api.delete("/api/v1/namespaces/default/serviceaccounts/app")
    await app.get("/apis", expect=401)
    await api.post(
        "/api/v1/namespaces/default/serviceaccounts",
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "app"}},
    )
    await app.get("/apis", expect=401)


async def test_a_token_expires(api: Api):
    app = await sign_in(api, "app")
    api.server.faults.skew(3599)
    await app.get("/apis")
    api.server.faults.skew(3601)
    await app.get("/apis", expect=401)


async def test_a_token_may_not_be_asked_for_less_than_ten_minutes(api: Api):
    path = "/api/v1/namespaces/default/serviceaccounts/default/token"
    asked = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": 60},
    }
    refused = await api.post(path, asked, expect=422)
    assert "may not specify a duration less than 10 minutes" in refused["message"]


async def test_a_token_review_tells_whose_a_token_is(api: Api):
    app = await sign_in(api, "app")
    path = "/apis/authentication.k8s.io/v1/tokenreviews"

    def review(token: str) -> dict:
        return {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}

    good = (await api.post(path, review(app.token)))["status"]
    assert good["authenticated"] is True
    assert good["user"]["username"] == "system:serviceaccount:default:app"
    bad = (await api.post(path, review("nonsense")))["status"]
    assert (bad.get("authenticated", False), bad["error"]) == (False, "invalid bearer token")


async def test_an_administrator_acts_as_somebody_with_that_ones_rights(api: Api):
    refused = await api.get(PATH, headers=acting("jane"), expect=403)
    assert 'User "jane"' in refused["message"]
    await api.post(f"{RBAC}/namespaces/default/rolebindings", binding("jane", "ClusterRole", "view", user("jane")))
    await api.until(f"{RBAC}/clusterroles/view", lambda found: found["rules"])
    await api.get(PATH, headers=acting("jane"))
    await api.post(PATH, {"apiVersion": "v1", "kind": "ConfigMap"}, headers=acting("jane"), expect=403)


async def test_a_group_counts_when_it_is_impersonated(api: Api):
    everything = {"kind": "Group", "name": "ops", "apiGroup": "rbac.authorization.k8s.io"}
    await api.post(
        f"{RBAC}/clusterrolebindings",
        binding("ops", "ClusterRole", "cluster-admin", everything, kind="ClusterRoleBinding"),
    )
    await api.get("/api/v1/secrets", headers=acting("joe"), expect=403)
    await api.get("/api/v1/secrets", headers=acting("joe", "ops"))


async def test_impersonation_must_be_allowed(api: Api):
    app = await sign_in(api, "app")
    refused = await app.get(PATH, headers=acting("jane"), expect=403)
    assert 'cannot impersonate resource "users" in API group ""' in refused["message"]
    await api.post(
        f"{RBAC}/clusterroles", role("imp", rule(["users"], ["impersonate"], names=("jane",)), kind="ClusterRole")
    )
    await api.post(
        f"{RBAC}/clusterrolebindings", binding("imp", "ClusterRole", "imp", account("app"), kind="ClusterRoleBinding")
    )
    refused = await app.get(PATH, headers=acting("jane"), expect=403)
    assert 'User "jane" cannot list resource "configmaps"' in refused["message"]
    refused = await app.get(PATH, headers=acting("jane", "system:masters"), expect=403)
    assert 'cannot impersonate resource "groups"' in refused["message"]


async def test_impersonated_service_accounts_have_their_groups(api: Api):
    everybody = {"kind": "Group", "name": "system:serviceaccounts:default", "apiGroup": "rbac.authorization.k8s.io"}
    await api.post(f"{RBAC}/namespaces/default/rolebindings", binding("all", "ClusterRole", "edit", everybody))
    await api.until(f"{RBAC}/clusterroles/edit", lambda found: found["rules"])
    await api.get(PATH, headers=acting("system:serviceaccount:default:any"))
    await api.get(PATH, headers=acting("system:serviceaccount:kube-system:any"), expect=403)


async def test_nobody_grants_what_they_do_not_have(api: Api):
    app = await sign_in(api, "app")
    own = [
        rule(["roles", "rolebindings"], ["create", "update"], "rbac.authorization.k8s.io"),
        rule(["secrets"], ["get"]),
    ]
    await api.post(f"{RBAC}/namespaces/default/roles", role("own", *own))
    await api.post(f"{RBAC}/namespaces/default/rolebindings", binding("own", "Role", "own", account("app")))
    roles, bindings = f"{RBAC}/namespaces/default/roles", f"{RBAC}/namespaces/default/rolebindings"

    await app.post(roles, role("fine", rule(["secrets"], ["get"])))
    refused = await app.post(roles, role("more", rule(["secrets"], ["get", "list"])), expect=403)
    assert "attempting to grant RBAC permissions not currently held" in refused["message"]
    assert '{APIGroups:[""], Resources:["secrets"], Verbs:["list"]}' in refused["message"]
    await api.get(f"{roles}/more", expect=404)

    await app.post(bindings, binding("fine", "Role", "fine", account("other")))
    await app.post(bindings, binding("grab", "ClusterRole", "cluster-admin", account("app")), expect=403)
    await api.get(f"{bindings}/grab", expect=404)


async def test_who_may_bind_a_role_need_not_have_it(api: Api):
    app = await sign_in(api, "app")
    group = "rbac.authorization.k8s.io"
    may = [rule(["rolebindings"], ["create"], group), rule(["clusterroles"], ["bind"], group, names=("view",))]
    await api.post(f"{RBAC}/namespaces/default/roles", role("binder", may[0]))
    await api.post(f"{RBAC}/clusterroles", role("binder", may[1], kind="ClusterRole"))
    await api.post(f"{RBAC}/namespaces/default/rolebindings", binding("b1", "Role", "binder", account("app")))
    await api.post(f"{RBAC}/namespaces/default/rolebindings", binding("b2", "ClusterRole", "binder", account("app")))
    bindings = f"{RBAC}/namespaces/default/rolebindings"
    await app.post(bindings, binding("ok", "ClusterRole", "view", user("jane")))
    await app.post(bindings, binding("no", "ClusterRole", "edit", user("jane")), expect=403)


@pytest.mark.parametrize("verb", ["get", "delete"])
async def test_an_access_review_says_what_would_happen(api: Api, verb: str):
    await api.post(f"{RBAC}/namespaces/default/roles", role("reader", rule(["secrets"], ["get"])))
    await api.post(f"{RBAC}/namespaces/default/rolebindings", binding("b", "Role", "reader", user("jane")))
    wanted = {"namespace": "default", "verb": verb, "resource": "secrets", "name": "x"}
    group = "/apis/authorization.k8s.io/v1"
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": "jane", "resourceAttributes": wanted},
    }
    status = (await api.post(f"{group}/subjectaccessreviews", body))["status"]
    assert status["allowed"] is (verb == "get")
    own = {**body, "kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": wanted}}
    status = (await api.post(f"{group}/selfsubjectaccessreviews", own, headers=acting("jane")))["status"]
    assert status["allowed"] is (verb == "get")
    real = await api.send(
        verb.upper(),
        "/api/v1/namespaces/default/secrets/x",
        headers=acting("jane"),
        expect=404 if verb == "get" else 403,
    )
    assert real["status"] == "Failure"


async def test_a_rules_review_lists_what_one_may_do(api: Api):
    await api.post(f"{RBAC}/namespaces/default/roles", role("reader", rule(["secrets"], ["get"])))
    await api.post(f"{RBAC}/namespaces/default/rolebindings", binding("b", "Role", "reader", user("jane")))
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": "default"},
    }
    path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
    found = (await api.post(path, body, headers=acting("jane")))["status"]["resourceRules"]
    assert {"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"]} in found


async def test_a_client_certificate_says_who_one_is(tmp_path):
    server = await kubeapi.start(data=tmp_path / "data", workloads=False)
    try:
        pair = certificates.client(server.ca, "jane", ("system:masters",))
        chain = tmp_path / "jane.pem"
        certificates.write_private(chain, pair.certificate_pem + pair.key_pem)
        context = ssl.create_default_context(cadata=server.ca.certificate_pem.decode())
        context.load_cert_chain(chain)
        path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        async with (
            aiohttp.ClientSession() as session,
            session.post(server.url + path, json=body, ssl=context) as answer,
        ):
            assert answer.status == 201
            info = (await answer.json())["status"]["userInfo"]
        assert info["username"] == "jane"
        assert "system:masters" in info["groups"]

        stranger = certificates.authority()
        other = certificates.client(stranger, "jane", ("system:masters",))
        certificates.write_private(chain, other.certificate_pem + other.key_pem)
        context = ssl.create_default_context(cadata=server.ca.certificate_pem.decode())
        context.load_cert_chain(chain)
        async with aiohttp.ClientSession() as session:
            with pytest.raises((aiohttp.ClientError, ConnectionError)):
                await session.get(server.url + "/api/v1/secrets", ssl=context)
    finally:
        await server.stop()
