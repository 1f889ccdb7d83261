"""A ServiceAccount logs in at Vault as the role that its name says; what the server answers instead is told."""

from __future__ import annotations

import time

import pytest

from shared.auth import CONTROLLER, AuthError, vault
from tests.kit.clouds import claims, said, token
from tests.kit.internet import Reply

ADDRESS = "https://vault.example"
PATH = "auth/kubernetes/login"


@pytest.fixture
def server(internet):
    internet.hosts_of["vault.example"] = lambda asked: said(200, {"auth": {"client_token": "hvs.given"}})
    return internet


@pytest.fixture
def kube(kube):
    async def issued(namespace, name, audiences):
        kube.asked.append((f"{namespace}/{name}", *audiences))
        return token(sub=f"{namespace}/{name}", aud=list(audiences), exp=time.time() + 3600)

    kube.token = issued
    return kube


async def test_an_account_logs_in_with_a_token_for_the_server(server, clouds, kube, monkeypatch):
    monkeypatch.setenv("VAULT_NAMESPACE", "team")
    assert await clouds.vault(ADDRESS, PATH, clouds.who("apps", "app")) == "hvs.given"
    (asked,) = server.asked
    assert (asked.host, asked.path) == ("vault.example", f"/v1/{PATH}")
    assert asked.headers["X-Vault-Namespace"] == "team"
    assert b'"role": "apps_app"' in asked.body
    assert claims(asked.body.decode().partition('"jwt": "')[2].partition('"')[0])["aud"] == [ADDRESS]
    await clouds.vault(ADDRESS, PATH, clouds.who("apps", "app"))
    assert len(kube.asked) == 1, "the token for the server is kept"
    assert len(server.asked) == 2, "what the server gives isn't: it may be revoked there"


async def test_the_controller_logs_in_as_the_account_that_it_runs_as(server, clouds, kube):
    await clouds.vault(ADDRESS, PATH, CONTROLLER)
    assert kube.asked == [("flux-system/controller", ADDRESS)]


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        (said(403, {"errors": ["permission denied"]}), r"for the role 'r': 403 Forbidden \(permission denied\)"),
        (said(400, {"errors": "x"}), "400 Bad Request"),
        (Reply(502, b"<html>"), "502 Bad Gateway"),
        (Reply(200, b"<html>"), "its answer has no token"),
        (Reply(200, b"[1]"), "its answer has no token"),
        (said(200, {"auth": None}), "its answer has no token"),
        (said(200, {"auth": {"client_token": "two words"}}), "its answer has no token"),
    ],
)
async def test_an_answer_without_a_token_is_told(internet, reply, problem):
    internet.hosts_of["vault.example"] = lambda asked: reply
    with pytest.raises(AuthError, match=problem) as told:
        await vault.login(ADDRESS, PATH, "r", "s3cret-token")
    assert "s3cret-token" not in str(told.value)


@pytest.mark.parametrize("address", ["ftp://vault.example", "vault.example", ""])
async def test_an_address_that_is_none_is_refused(address):
    with pytest.raises(AuthError, match="is no http or https address"):
        await vault.login(address, PATH, "r", "t")


async def test_the_servers_authority_is_that_of_its_own_tools(server, tmp_path, monkeypatch):
    monkeypatch.setenv("VAULT_CACERT", str(tmp_path / "absent"))
    with pytest.raises(AuthError, match="VAULT_CACERT or VAULT_CAPATH can't be read"):
        await vault.login(ADDRESS, PATH, "r", "t")
    monkeypatch.setenv("VAULT_CACERT", str(server.ca))
    assert await vault.login(ADDRESS, PATH, "r", "t") == "hvs.given"
    monkeypatch.delenv("VAULT_CACERT")
    monkeypatch.setenv("VAULT_SKIP_VERIFY", "true")
    assert await vault.login(ADDRESS, PATH, "r", "t") == "hvs.given"
