"""A Kustomization applies to a cluster at a cloud, as its account or as the controller; no secret of it shows."""

from __future__ import annotations

import base64
import json
import logging

import pytest

import kubeapi
from kubeapi.identity import User
from shared.api.kustomize import Kustomization
from shared.kube import config
from shared.kube.client import Client
from tests.kit.clouds import claims, said, token
from tests.kit.objects import ConfigMap, config_map, files, kustomization, source

GATE = "--feature-gates=ObjectLevelWorkloadIdentity=true"
PROVIDER = "projects/1/locations/global/workloadIdentityPools/pool/providers/cluster"
EKS = "arn:aws:eks:eu-west-1:123456789012:cluster/prod"
GROUP = "/subscriptions/12345678-1234-1234-1234-123456789012/resourceGroups/g"
AKS = f"{GROUP}/providers/Microsoft.ContainerService/managedClusters/prod"
GKE = "projects/p/locations/l/clusters/prod"
NAMES = {"aws": EKS, "azure": AKS, "gcp": GKE}
ANNOTATIONS = {
    "eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/reader",
    "azure.workload.identity/tenant-id": "tenant",
    "azure.workload.identity/client-id": "client",
    "gcp.auth.fluxcd.io/workload-identity-provider": PROVIDER,
}


class Remote:
    """A cluster at all three clouds, which takes only tokens that they gave for it."""

    def __init__(self, server, client, internet, google, entra):
        self.server, self.client, self.taken = server, client, set()
        self._google, self.internet, self.entra = google, internet, entra
        server.authenticator.of_token = self._of_token
        self.move(server.url)

    def move(self, address):
        """The clouds say from now on that it is there."""
        ca = base64.b64encode(self.server.ca.certificate_pem).decode()
        hosts = self.internet.hosts_of
        eks = {"cluster": {"endpoint": address, "certificateAuthority": {"data": ca}}}
        hosts["eks.eu-west-1.amazonaws.com"] = lambda asked: said(200, eks)
        gke = {"endpoint": address.removeprefix("https://"), "masterAuth": {"clusterCaCertificate": ca}}
        hosts["container.googleapis.com"] = lambda asked: said(200, gke)
        cluster = {"server": address, "certificate-authority-data": ca}
        value = base64.b64encode(json.dumps({"clusters": [{"cluster": cluster}]}).encode()).decode()
        listed, profile = {"kubeconfigs": [{"name": "x", "value": value}]}, {"properties": {"aadProfile": {}}}
        profile["properties"]["aadProfile"]["managed"] = True
        hosts["management.azure.com"] = lambda asked: said(200, profile if asked.method == "GET" else listed)

    def _of_token(self, given, audiences=()):
        if given == self.server.token or given in self._google.tokens:
            good = True
        elif given.startswith("k8s-aws-v1."):
            encoded = given.removeprefix("k8s-aws-v1.")
            url = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
            good = "sts.eu-west-1.amazonaws.com" in url and "x-k8s-aws-id" in url
        else:
            good = given.count(".") == 2 and claims(given).get("aud") == "6dae42f8-4368-4678-94ff-3960e28e3630"
        if given != self.server.token:
            self.taken.add(given)
        return User("robot", ("system:masters",)) if good else None


@pytest.fixture
async def remote(internet, aws, google, entra, tmp_path):
    server = await kubeapi.start(tls=True, workloads=False)
    server.kubeconfig(tmp_path / "remote")
    client = Client(config.load(tmp_path / "remote"), qps=-1)
    try:
        yield Remote(server, client, internet, google, entra)
    finally:
        await client.close()
        await server.stop()


@pytest.fixture
async def app(toolkit, remote, google, entra):
    """A repository whose ConfigMap is to be applied there, and the account that may."""
    cluster = toolkit.cluster
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": cluster.namespace}}
    await remote.client.apply(namespace, field_manager="tests")
    subject = f"system:serviceaccount:{cluster.namespace}:app"
    google.subjects[f"//iam.googleapis.com/{PROVIDER}"] = entra.subjects["client"] = subject
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "app", "annotations": ANNOTATIONS}}
    repo = toolkit.git.create("app")
    repo.commit({"a.yaml": files(config_map("settings"))})
    await cluster.have(account, source("app", repo.url))
    return repo


def way(**data):
    return config_map("other", data, labels={"reconcile.fluxcd.io/watch": "Enabled"})


def there(**spec):
    return kustomization("app", kube_config={"configMapRef": {"name": "other"}}, **spec)


async def applied(toolkit, remote):
    await toolkit.cluster.until(Kustomization, "app", ready=True)
    assert await remote.client.get("v1", "ConfigMap", "settings", toolkit.cluster.namespace)
    assert "settings" not in await toolkit.cluster.names(ConfigMap)


@pytest.mark.parametrize("provider", ["aws", "azure", "gcp"])
async def test_an_account_applies_to_a_cluster_of_a_cloud(toolkit, remote, app, internet, provider, caplog):
    caplog.set_level(logging.DEBUG)
    await toolkit.start(flags=[GATE])
    cluster = toolkit.cluster
    await cluster.have(way(provider=provider, cluster=NAMES[provider], serviceAccountName="app"), there())
    await applied(toolkit, remote)
    assert len(remote.taken) == 1
    live = await cluster.get(Kustomization, "app")
    shown = repr(live) + "\n".join(r.getMessage() for r in caplog.records if not r.name.startswith("kubeapi"))
    assert not [given for given in remote.taken if given in shown]
    internet.asked.clear()
    await cluster.until(Kustomization, "app", handled=await cluster.request(Kustomization, "app"), ready=True)
    assert internet.asked == [], "what the cloud said is kept"


async def test_a_cluster_that_moves_is_followed(toolkit, remote, app, tmp_path):
    await toolkit.start(flags=[GATE, "--token-cache-max-duration=1ms"])
    await toolkit.cluster.have(way(provider="gcp", cluster=GKE, serviceAccountName="app"), there())
    await applied(toolkit, remote)
    remote.move("https://127.0.0.1:1")
    cluster = toolkit.cluster
    await cluster.request(Kustomization, "app")
    broken = await cluster.until(Kustomization, "app", reason="ReconciliationFailed", ready=False)
    assert "127.0.0.1:1" in broken.ready.message
    remote.move(remote.server.url)
    await cluster.until(Kustomization, "app", handled=await cluster.request(Kustomization, "app"), ready=True)


async def test_the_controllers_token_goes_only_to_where_the_cluster_is(toolkit, remote, app, monkeypatch, entra):
    entra.secrets["controller"] = "s3cret"
    for name, value in {"TENANT_ID": "tenant", "CLIENT_ID": "controller", "CLIENT_SECRET": "s3cret"}.items():
        monkeypatch.setenv(f"AZURE_{name}", value)
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret")
    await toolkit.start()
    cluster, thief = toolkit.cluster, "https://thief.example"
    await cluster.have(way(provider="aws", cluster=EKS, address=thief, **{"ca.crt": "PEM"}), there())
    refused = await cluster.until(Kustomization, "app", reason="ReconciliationFailed", ready=False)
    assert f"has no address '{thief}': it has '{remote.server.url}'" in refused.ready.message
    await cluster.edit(ConfigMap, "other", {"data": {"provider": "azure", "cluster": None}})
    await cluster.until(
        Kustomization, "app", holds=lambda live: "the name of the cluster at the cloud is needed" in live.ready.message
    )
    changed = {"provider": "azure", "cluster": AKS, "address": remote.server.url, "ca.crt": None}
    await cluster.edit(ConfigMap, "other", {"data": changed})
    await applied(toolkit, remote)
    assert {claims(given)["appid"] for given in remote.taken} == {"controller"}


async def test_a_login_that_fails_says_why(toolkit, remote, app, internet, entra):
    await toolkit.start(flags=[GATE])
    cluster = toolkit.cluster
    entra.subjects.clear()
    await cluster.have(way(provider="azure", cluster=AKS, serviceAccountName="app"), there(retry_interval="1h"))
    failed = await cluster.until(Kustomization, "app", reason="ReconciliationFailed", ready=False)
    assert f"can't log in as the kubeconfig ConfigMap '{cluster.namespace}/other' says" in failed.ready.message
    assert "AADSTS700213" in failed.ready.message
    for change, text in (
        ({"serviceAccountName": "nobody"}, f"failed to get service account '{cluster.namespace}/nobody'"),
        ({"serviceAccountName": "app", "cluster": "prod"}, "is no cluster of AKS"),
        ({"provider": "gcp"}, "is no cluster of GKE"),
        ({"provider": "aws"}, "is no cluster of EKS"),
        ({"cluster": None}, "has no cluster: aws needs it"),
    ):
        await cluster.edit(ConfigMap, "other", {"data": change})
        await cluster.until(Kustomization, "app", holds=lambda live, text=text: text in live.ready.message)


async def test_audiences_are_those_of_the_accounts_token(toolkit, remote, app, internet, google):
    await toolkit.start(flags=[GATE])
    login = way(provider="gcp", cluster=GKE, serviceAccountName="app", audiences="one\ntwo\n")
    await toolkit.cluster.have(login, there())
    await applied(toolkit, remote)
    assert claims(internet.to("sts.googleapis.com")[0].form["subject_token"])["aud"] == ["one", "two"]


def test_a_token_of_entra_that_is_for_something_else_is_none_of_these():
    """The stand-in's own proof: it must be able to refuse."""
    assert claims(token(aud="https://storage.azure.com"))["aud"] != "6dae42f8-4368-4678-94ff-3960e28e3630"
