"""Who a Kustomization is at key services: its account at AWS, Azure, Google and Vault, and nobody else; with the real
sops, through a running controller."""

from __future__ import annotations

import base64
import json
import logging
import os

import pytest

from kustomize_controller.keyservices import Named, login_paths, named
from shared.api.kustomize import Kustomization
from shared.auth import AuthError
from shared.loop import metrics
from tests.kit.clouds import claims
from tests.kit.internet import Asked
from tests.kit.keyservices import GOOGLE_KEY, GoogleKMS, KeyVault, Vault
from tests.kit.objects import Secret, config_map, kustomization, secret, source
from tests.kustomize_controller.test_cloud_clusters import ANNOTATIONS, GATE, PROVIDER
from tests.kustomize_controller.test_decrypt import PASSWORD, SECRET, on_path, tools

__all__ = ["on_path", "tools"]
ARN = "arn:aws:kms:eu-west-1:123456789012:key/k"
KMS = "kms.eu-west-1.amazonaws.com"


# What decides


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({}, Named()),
        ({"age": [{"recipient": "age1"}]}, Named()),
        ({"kms": [{"arn": ARN}, {"arn": ARN.replace("eu-west-1", "us-east-1")}]}, Named(region="eu-west-1")),
        ({"kms": [{"arn": "arn:aws-us-gov:kms:us-gov-west-1:1:key/k"}]}, Named(region="us-gov-west-1")),
        ({"kms": [{"arn": "no arn"}]}, Named()),
        ({"azure_kv": [{"vault_url": "https://v"}], "gcp_kms": [{"resource_id": "r"}]}, Named(azure=True, gcp=True)),
        ({"hc_vault": [{"vault_address": "https://v"}, {"vault_address": "https://w"}]},
         Named(vaults=("https://v", "https://w"))),
        ({"key_groups": [{"kms": [{"arn": ARN}]}, {"hc_vault": [{"vault_address": "https://v"}]}]},
         Named(region="eu-west-1", vaults=("https://v",))),
        ({"kms": "x", "key_groups": [1], "hc_vault": [{"vault_address": 7}]}, Named()),
    ],
)  # fmt: skip
@pytest.mark.parametrize("given", ["json", "yaml", "binary"])
def test_a_document_names_its_key_services(metadata, expected, given):
    assert named(json.dumps({"a": "ENC[…]", "sops": {**metadata, "mac": "ENC[…]"}}).encode(), given) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=ENC[x]\nsops_kms__list_0__map_arn={arn}\nsops_mac=ENC[y]\n", Named(region="eu-west-1")),
        ("sops_hc_vault__list_0__map_vault_address=https://v\n", Named(vaults=("https://v",))),
        ("sops_key_groups__list_1__map_gcp_kms__list_0__map_resource_id=r\n", Named(gcp=True)),
        ("[sops]\nazure_kv__list_0__map_vault_url = https://v\nkms__list_0__map_arn = {arn}\n",
         Named(region="eu-west-1", azure=True)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("given", ["dotenv", "ini"])
def test_a_flat_document_names_its_key_services(text, expected, given):
    assert named(text.format(arn=ARN).encode(), given) == expected


@pytest.mark.parametrize("content", [b"", b"\xff", b"[", b"{}", b"[1]", b'{"sops": 1}', b"{" * 100_000])
@pytest.mark.parametrize("given", ["json", "yaml", "dotenv", "ini", "binary"])
def test_what_is_no_document_names_none(content, given):
    assert named(content, given) == Named()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"config.yaml": "instances: [{address: https://v, loginPath: auth/k/login}]"}, {"https://v": "auth/k/login"}),
        ({"config.yaml": "instances:\n"}, {}),
        ({}, "Vault ConfigMap 'flux-system/vaults' is missing the 'config.yaml' key"),
        (
            {"config.yaml": "instances: [{address: https://v}]"},
            "it must list instances, each with address and loginPath",
        ),
        ({"config.yaml": "["}, "failed to parse 'config.yaml'"),
        ({"config.yaml": "x"}, "failed to parse 'config.yaml'"),
    ],
)
def test_the_operator_says_where_to_log_in(data, expected):
    if isinstance(expected, dict):
        assert login_paths("flux-system/vaults", data) == expected
    else:
        with pytest.raises(AuthError, match=expected):
            login_paths("flux-system/vaults", data)


# What happens


@pytest.fixture
async def app(toolkit, google, entra):
    """The account `app`, known to all clouds, and the source `app`."""
    cluster = toolkit.cluster
    subject = f"system:serviceaccount:{cluster.namespace}:app"
    google.subjects[f"//iam.googleapis.com/{PROVIDER}"] = entra.subjects["client"] = subject
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "app", "annotations": ANNOTATIONS}}
    repo = toolkit.git.create("app")
    await cluster.have(account, source("app", repo.url))
    return repo


def encrypted(tools, *to, env, field="stringData"):
    """The Secret `login`, encrypted as a user does it."""
    outer = {name: value for name, value in os.environ.items() if name.endswith(("_PROXY", "CERT_FILE"))}
    command = ("sops", "encrypt", *to, "--encrypted-regex", "^(data|stringData)$", "--filename-override", "x.yaml")
    return tools.run(*command, stdin=SECRET.format(field=field, value=PASSWORD).encode(), **outer, **env).decode()


def decrypting(account="app", **more):
    named = {"serviceAccountName": account} if account else {}
    return kustomization("app", decryption={"provider": "sops", **named, **more}, retry_interval="1h")


async def in_clear(cluster):
    await cluster.until(Kustomization, "app", ready=True)
    return base64.b64decode((await cluster.get(Secret, "login")).manifest["data"]["password"]).decode()


async def broken(cluster):
    return (await cluster.until(Kustomization, "app", reason="BuildFailed", ready=False)).ready.message


def kms(aws):
    """The ARN of a new key."""
    head = {
        "X-Amz-Target": "TrentService.CreateKey",
        "Content-Type": "application/x-amz-json-1.1",
        "Authorization": "AWS4-HMAC-SHA256 Credential=AKIA/20260101/eu-west-1/kms/aws4_request, Signature=x",
    }
    reply = aws.hosts_of["*.amazonaws.com"](Asked(KMS, "POST", "/", head, b"{}"))
    return json.loads(reply.body)["KeyMetadata"]["Arn"]


OPERATOR = {"AWS_ACCESS_KEY_ID": "OPERATOR", "AWS_SECRET_ACCESS_KEY": "s3cret"}


async def test_aws_decrypts_for_the_role_of_the_account(toolkit, app, aws, tools, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    app.commit({"a.yaml": encrypted(tools, "--kms", kms(aws), env=OPERATOR)})
    for name, value in OPERATOR.items():
        monkeypatch.setenv(name, value)  # who the controller is, and the account isn't
    aws.asked.clear()
    await toolkit.start(flags=[GATE])
    await toolkit.cluster.have(decrypting())
    assert await in_clear(toolkit.cluster) == PASSWORD
    (taken,) = aws.to("sts.eu-west-1.amazonaws.com")
    assert claims(taken.form["WebIdentityToken"])["sub"] == f"system:serviceaccount:{toolkit.cluster.namespace}:app"
    used = [asked.headers for asked in aws.to(KMS)]
    assert used
    assert not [headers for headers in used if "Credential=OPERATOR/" in headers["Authorization"]]
    assert used[0]["X-Amz-Security-Token"] not in caplog.text
    labels = f'kind="Kustomization",name="app",namespace="{toolkit.cluster.namespace}",operation="decrypt_with_aws"'
    assert f'gotk_token_cache_events_total{{event_type="cache_miss",{labels}}} 1.0' in metrics.expose().decode()


async def test_a_key_vault_decrypts_for_the_identity_of_the_account(toolkit, app, entra, internet, tools):
    vault = KeyVault(internet)
    entra.secrets["operator"] = "s3cret"
    env = {"AZURE_TENANT_ID": "tenant", "AZURE_CLIENT_ID": "operator", "AZURE_CLIENT_SECRET": "s3cret"}
    app.commit({"a.yaml": encrypted(tools, "--azure-kv", vault.key, env=env)})
    vault.served.clear()
    await toolkit.start(flags=[GATE])
    await toolkit.cluster.have(decrypting())
    assert await in_clear(toolkit.cluster) == PASSWORD
    assert vault.served == ["client"]


async def test_google_decrypts_for_the_account(toolkit, app, google, internet, tools, monkeypatch):
    monkeypatch.setenv("SOPS_GCP_KMS_CLIENT_TYPE", "rest")
    service = GoogleKMS(internet, google)
    env = {"GOOGLE_OAUTH_ACCESS_TOKEN": google.give("operator"), "SOPS_GCP_KMS_CLIENT_TYPE": "rest"}
    app.commit({"a.yaml": encrypted(tools, "--gcp-kms", GOOGLE_KEY, env=env)})
    service.served.clear()
    await toolkit.start(flags=[GATE])
    await toolkit.cluster.have(decrypting())
    assert await in_clear(toolkit.cluster) == PASSWORD
    assert service.served == [f"system:serviceaccount:{toolkit.cluster.namespace}:app"]


async def test_the_default_account_is_that_of_who_names_none(toolkit, app, google, internet, tools, monkeypatch):
    monkeypatch.setenv("SOPS_GCP_KMS_CLIENT_TYPE", "rest")
    service = GoogleKMS(internet, google)
    env = {"GOOGLE_OAUTH_ACCESS_TOKEN": google.give("operator"), "SOPS_GCP_KMS_CLIENT_TYPE": "rest"}
    app.commit({"a.yaml": encrypted(tools, "--gcp-kms", GOOGLE_KEY, env=env)})
    service.served.clear()
    await toolkit.start("source-controller")
    await toolkit.start("kustomize-controller", flags=[GATE, "--default-decryption-service-account=app"])
    await toolkit.cluster.have(decrypting(account=""))
    assert await in_clear(toolkit.cluster) == PASSWORD
    assert service.served == [f"system:serviceaccount:{toolkit.cluster.namespace}:app"]


async def test_an_account_without_a_login_is_not_the_controller_or_its_machine(
    toolkit, app, aws, google, internet, tools, monkeypatch
):
    monkeypatch.setenv("SOPS_GCP_KMS_CLIENT_TYPE", "rest")
    service, vault = GoogleKMS(internet, google), KeyVault(internet)
    env = {"GOOGLE_OAUTH_ACCESS_TOKEN": google.give("operator"), "SOPS_GCP_KMS_CLIENT_TYPE": "rest", **OPERATOR}
    app.commit({"a.yaml": encrypted(tools, "--gcp-kms", GOOGLE_KEY, "--kms", kms(aws), env=env)})
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    service.served.clear()
    aws.asked.clear()
    await toolkit.start(flags=[GATE])
    bare = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "bare"}}
    await toolkit.cluster.have(bare, decrypting("bare"))
    told = await broken(toolkit.cluster)
    assert "the annotation 'eks.amazonaws.com/role-arn' is ''" in told
    assert "annotate the service account with gcp.auth.fluxcd.io/workload-identity-provider" in told
    assert service.served == vault.served == []
    assert aws.to(KMS) == []


async def test_what_the_secret_brings_wins_over_the_account(toolkit, app, aws, tools):
    app.commit({"a.yaml": encrypted(tools, "--kms", kms(aws), env=OPERATOR)})
    aws.asked.clear()
    await toolkit.start(flags=[GATE])
    keys = "aws_access_key_id: STATIC\naws_secret_access_key: s3cret\n"
    await toolkit.cluster.have(secret("keys", {"sops.aws-kms": keys}), decrypting(secretRef={"name": "keys"}))
    assert await in_clear(toolkit.cluster) == PASSWORD
    assert "Credential=STATIC/" in aws.to(KMS)[0].headers["Authorization"]
    assert aws.to("sts.eu-west-1.amazonaws.com") == []


# Vault


@pytest.fixture
def vault():
    with Vault() as server:
        yield server


async def trust(toolkit, *servers):
    """The operator's ConfigMap, in the controller's namespace."""
    listed = {"instances": [{"address": server.address, "loginPath": server.login} for server in servers]}
    manifest = config_map("vaults", {"config.yaml": json.dumps(listed)})
    manifest["metadata"]["namespace"] = "flux-system"
    await toolkit.cluster.client.apply(manifest, field_manager="tests")


ROOT = {"VAULT_TOKEN": "root"}


async def start(toolkit, *flags):
    await toolkit.start("source-controller")
    await toolkit.start("kustomize-controller", flags=["--sops-vault-configmap=vaults", *flags])


async def test_vault_decrypts_for_the_role_of_the_account(toolkit, app, vault, tools, caplog):
    caplog.set_level(logging.DEBUG)
    namespace = toolkit.cluster.namespace
    vault.roles[f"{namespace}_app"] = f"system:serviceaccount:{namespace}:app"
    app.commit({"a.yaml": encrypted(tools, "--hc-vault-transit", vault.key, env=ROOT)})
    vault.served.clear()
    await trust(toolkit, vault)
    await start(toolkit, GATE)
    await toolkit.cluster.have(decrypting())
    assert await in_clear(toolkit.cluster) == PASSWORD
    assert vault.served == [f"{namespace}_app"]
    live = repr(await toolkit.cluster.get(Kustomization, "app"))
    assert not [token for token in vault.tokens if token.startswith("hvs.") and token in caplog.text + live]


async def test_vault_decrypts_for_the_controllers_own_account(toolkit, app, vault, tools, monkeypatch):
    vault.roles["flux-system_kustomize-controller"] = "system:serviceaccount:flux-system:kustomize-controller"
    app.commit({"a.yaml": encrypted(tools, "--hc-vault-transit", vault.key, env=ROOT)})
    vault.served.clear()
    monkeypatch.setenv("VAULT_TOKEN", "worse than a login")
    await trust(toolkit, vault)
    await start(toolkit)
    await toolkit.cluster.have(decrypting(account=""))
    assert await in_clear(toolkit.cluster) == PASSWORD
    assert vault.served == ["flux-system_kustomize-controller"]


async def test_a_token_of_vault_goes_only_to_the_server_that_gave_it(toolkit, app, vault, tools):
    namespace = toolkit.cluster.namespace
    with Vault() as stranger, Vault("ns1/auth/jwt/login") as second:
        for server in (vault, second):
            server.roles[f"{namespace}_app"] = f"system:serviceaccount:{namespace}:app"
        keys = ",".join(server.key for server in (stranger, vault, second))
        text = encrypted(tools, "--hc-vault-transit", keys, env=ROOT)
        del vault.roles[f"{namespace}_app"]  # only the second logs it in
        app.commit({"a.yaml": text})
        for server in (stranger, vault, second):
            server.seen.clear()
        await trust(toolkit, vault, second)
        await start(toolkit, GATE)
        await toolkit.cluster.have(decrypting())
        assert await in_clear(toolkit.cluster) == PASSWORD
        assert stranger.seen == vault.seen == []
        assert len(second.seen) == 1


async def test_a_sops_that_would_show_the_token_around_gets_none(toolkit, app, vault, tools, tmp_path):
    namespace = toolkit.cluster.namespace
    vault.roles[f"{namespace}_app"] = f"system:serviceaccount:{namespace}:app"
    app.commit({"a.yaml": encrypted(tools, "--hc-vault-transit", vault.key, env=ROOT)})
    vault.seen.clear()
    old = tmp_path / "sops"
    old.write_text('#!/bin/sh\n[ "$2" = --version ] && echo "sops 3.12.2" || exec sops "$@"\n')
    old.chmod(0o755)
    await trust(toolkit, vault)
    await start(toolkit, GATE, f"--sops-path={old}")
    await toolkit.cluster.have(decrypting())
    assert "to log in at Vault needs sops 3.13 or newer" in await broken(toolkit.cluster)
    assert vault.seen == []


async def test_a_login_at_vault_that_fails_says_why(toolkit, app, vault, tools):
    app.commit({"a.yaml": encrypted(tools, "--hc-vault-transit", vault.key, env=ROOT)})
    vault.seen.clear()
    await trust(toolkit, vault)
    await start(toolkit, GATE)
    await toolkit.cluster.have(decrypting())
    told = await broken(toolkit.cluster)
    namespace = toolkit.cluster.namespace
    assert f"no login at Vault '{vault.address}' at 'auth/kubernetes/login' for the role '{namespace}_app': 403" in told
    assert "permission denied" in told
    await trust(toolkit)
    await toolkit.cluster.request(Kustomization, "app")
    text = f"no Vault login path is configured for address '{vault.address}'"
    await toolkit.cluster.until(Kustomization, "app", holds=lambda live: text in live.ready.message)


async def test_a_static_token_needs_no_login(toolkit, app, vault, tools):
    app.commit({"a.yaml": encrypted(tools, "--hc-vault-transit", vault.key, env=ROOT)})
    vault.served.clear()
    await trust(toolkit)
    await start(toolkit, GATE)
    await toolkit.cluster.have(secret("keys", {"sops.vault-token": "root"}), decrypting(secretRef={"name": "keys"}))
    assert await in_clear(toolkit.cluster) == PASSWORD
    assert vault.served == ["root"]
