"""Namespaces: what they bring, what they admit, how they go."""

from __future__ import annotations

from tests.kubeapi.server_kit import Api


def namespace(name: str) -> dict:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def config_map(name: str, **metadata: object) -> dict:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}}


async def test_a_new_namespace_has_a_service_account_and_the_authority(api: Api):
    made = await api.post("/api/v1/namespaces", namespace("team"))
    assert made["metadata"]["labels"] == {"kubernetes.io/metadata.name": "team"}
    assert made["status"]["phase"] == "Active"
    await api.until("/api/v1/namespaces/team/serviceaccounts/default", lambda found: found)
    root = await api.until("/api/v1/namespaces/team/configmaps/kube-root-ca.crt", lambda found: found)
    assert root["data"]["ca.crt"].startswith("-----BEGIN CERTIFICATE-----")


async def test_the_default_service_account_comes_back(api: Api):
    await api.delete("/api/v1/namespaces/default/serviceaccounts/default")
    await api.until("/api/v1/namespaces/default/serviceaccounts/default", lambda found: found)


async def test_nothing_is_created_in_a_namespace_that_is_not_there(api: Api):
    refused = await api.post("/api/v1/namespaces/nowhere/configmaps", config_map("a"), expect=404)
    assert refused["message"] == 'namespaces "nowhere" not found'


async def test_a_deleted_namespace_takes_its_contents_along(api: Api):
    await api.post("/api/v1/namespaces", namespace("team"))
    await api.post("/api/v1/namespaces/team/configmaps", config_map("a"))
    answer = await api.delete("/api/v1/namespaces/team")
    assert answer["status"]["phase"] == "Terminating"
    await api.until("/api/v1/namespaces/team", lambda found: found is None)
    assert (await api.get("/api/v1/namespaces/team/configmaps"))["items"] == []


async def test_a_finalizer_inside_holds_a_namespace_which_admits_nothing_new(api: Api):
    await api.post("/api/v1/namespaces", namespace("team"))
    await api.post("/api/v1/namespaces/team/configmaps", config_map("held", finalizers=["example.com/hold"]))
    await api.delete("/api/v1/namespaces/team")

    def reported(found: dict) -> bool:
        conditions = (found.get("status") or {}).get("conditions") or ()
        return any(c["type"] == "NamespaceFinalizersRemaining" and c["status"] == "True" for c in conditions)

    going = await api.until("/api/v1/namespaces/team", reported)
    assert "example.com/hold in 1 resource instances" in str(going["status"]["conditions"])
    refused = await api.post("/api/v1/namespaces/team/configmaps", config_map("b"), expect=403)
    assert "because it is being terminated" in refused["message"]
    assert refused["details"]["causes"][0]["reason"] == "NamespaceTerminating"

    await api.patch("/api/v1/namespaces/team/configmaps/held", {"metadata": {"finalizers": None}})
    await api.until("/api/v1/namespaces/team", lambda found: found is None)


async def test_a_finalizer_of_its_own_holds_an_emptied_namespace(api: Api):
    held = namespace("team")
    held["metadata"]["finalizers"] = ["example.com/hold"]
    await api.post("/api/v1/namespaces", held)
    await api.delete("/api/v1/namespaces/team")
    await api.until("/api/v1/namespaces/team", lambda found: not (found.get("spec") or {}).get("finalizers"))
    await api.patch("/api/v1/namespaces/team", {"metadata": {"finalizers": None}})
    await api.until("/api/v1/namespaces/team", lambda found: found is None)


async def test_the_system_namespaces_can_not_be_deleted(api: Api):
    for name in ("default", "kube-system", "kube-public"):
        refused = await api.delete(f"/api/v1/namespaces/{name}", expect=403)
        assert refused["message"] == f'namespaces "{name}" is forbidden: this namespace may not be deleted'
