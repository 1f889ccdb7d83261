"""What a kubeconfig's ConfigMap says, and how long a token that it leads to is used."""

from __future__ import annotations

import time

import pytest

from kustomize_controller.__main__ import options
from kustomize_controller.kubeconfigs import Login, login
from shared.kube import config
from shared.kube.credentials import Issued, IssuedToken
from shared.kube.errors import ConfigError, Forbidden
from shared.loop.verdict import NotReady, Stalled

ADDRESS = "https://other.example:6443"


@pytest.mark.parametrize(
    ("data", "default", "expected"),
    [
        ({}, "", Login("generic", "", ADDRESS, "", (ADDRESS,), "")),
        ({"ca.crt": "PEM"}, "", Login("generic", "", ADDRESS, "PEM", (ADDRESS,), "")),
        ({"audiences": "one\n\n  two \n"}, "", Login("generic", "", ADDRESS, "", ("one", "two"), "")),
        ({"serviceAccountName": "mine"}, "default", Login("generic", "", ADDRESS, "", (ADDRESS,), "mine")),
        ({}, "default", Login("generic", "", ADDRESS, "", (ADDRESS,), "default")),
    ],
    ids=["least", "authority", "audiences", "account", "the operator's account"],
)
def test_a_config_map_says_where_and_as_whom(data: dict[str, str], default: str, expected: Login) -> None:
    assert login("ns/cm", {"provider": "generic", "address": ADDRESS, **data}, default) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"provider": "aws", "cluster": "arn"}, Login("aws", "arn", "", "", (), "")),
        ({"provider": "gcp", "cluster": "c", "serviceAccountName": "mine"}, Login("gcp", "c", "", "", (), "mine")),
        (
            {"provider": "azure", "address": ADDRESS, "ca.crt": "PEM", "audiences": "one"},
            Login("azure", "", ADDRESS, "PEM", ("one",), ""),
        ),
    ],
)
def test_a_clouds_cluster_is_known_by_its_name(data: dict[str, str], expected: Login) -> None:
    assert login("ns/cm", data) == expected


@pytest.mark.parametrize(
    ("data", "reason", "says"),
    [
        ({}, "ReconciliationFailed", "has no provider"),
        ({"provider": "other"}, "ReconciliationFailed", "'other': it must be one of aws, azure, gcp, generic"),
        ({"provider": "generic"}, "ReconciliationFailed", "has no address"),
        ({"provider": "aws", "address": ADDRESS, "ca.crt": "PEM"}, "ReconciliationFailed", "no cluster: aws needs it"),
        ({"provider": "gcp", "address": ADDRESS}, "ReconciliationFailed", "no cluster: gcp needs it, or both address"),
    ],
)
def test_what_is_missing_is_named(data: dict[str, str], reason: str, says: str) -> None:
    with pytest.raises(NotReady, match="ConfigMap 'ns/cm'") as failure:
        login("ns/cm", data)
    assert failure.value.reason == reason
    assert says in failure.value.message
    assert not isinstance(failure.value, Stalled)


@pytest.mark.parametrize(
    ("address", "server"),
    [
        ("https://Api.Example", "https://api.example:443"),
        ("api.example:6443", "https://api.example:6443"),
        ("https://api.example:6443/", "https://api.example:6443"),
        ("https://[::1]:6443", "https://[::1]:6443"),
    ],
)
def test_an_address_is_completed(address: str, server: str) -> None:
    assert config.canonical(address) == server


@pytest.mark.parametrize("address", ["http://a", "https://", "https://u:p@a", "https://a/b", "https://a?b", "a:b", ""])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match="API server"):
        config.canonical(address)


async def test_a_token_is_used_again_and_asked_for_anew_before_it_ends() -> None:
    lives = [1000.0, 0.0, 1000.0]
    asked = []

    async def issue() -> IssuedToken:
        asked.append(lives[len(asked)])
        return IssuedToken(f"token-{len(asked)}", time.time() + asked[-1])

    credentials = Issued(issue)
    assert (await credentials.headers())["Authorization"] == "Bearer token-1"
    assert (await credentials.headers())["Authorization"] == "Bearer token-1"
    assert await credentials.renew()  # the server says that it knows it no more
    assert (await credentials.headers())["Authorization"] == "Bearer token-3"  # the second is over at once
    assert (await credentials.headers())["Authorization"] == "Bearer token-3"
    assert "token" not in repr(credentials)


async def test_a_token_is_not_used_for_longer_than_the_operator_says() -> None:
    count = 0

    async def issue() -> IssuedToken:
        nonlocal count
        count += 1
        return IssuedToken(f"token-{count}", time.time() + 1000.0)

    credentials = Issued(issue, longest=0.0)
    assert await credentials.headers() != await credentials.headers()


async def test_a_token_that_is_refused_says_why() -> None:
    async def issue() -> IssuedToken:
        raise Forbidden('User "x" cannot create resource "serviceaccounts/token"')

    with pytest.raises(ConfigError, match="cannot create resource"):
        await Issued(issue).headers()


@pytest.mark.parametrize("flag", ["--default-kubeconfig-service-account", "--default-decryption-service-account"])
def test_default_accounts_need_the_feature_gate(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        options([f"{flag}=robot"])
    assert end.value.code == 2
    assert "ObjectLevelWorkloadIdentity" in capsys.readouterr().err
    options([f"{flag}=robot", "--feature-gates=ObjectLevelWorkloadIdentity=true"])
