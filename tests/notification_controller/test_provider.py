"""From a Provider and its Secrets to a connection; which events a type is told of."""

from __future__ import annotations

from typing import Any

import pytest

from notification_controller.event import Event, InvolvedObject
from notification_controller.provider import Secrets, connected, passes_over
from notification_controller.providers import InvalidProvider
from shared.api.codec import decode
from shared.api.notification import Provider

GROUP = "kustomize.toolkit.fluxcd.io"


def provider(type_: str = "generic", **spec: Any) -> Provider:
    metadata = {"name": "chat", "namespace": "apps", "uid": "1-2"}
    return decode(Provider, {"metadata": metadata, "spec": {"type": type_, "secretRef": {"name": "auth"}, **spec}})


def test_the_secret_wins_over_the_spec() -> None:
    held = {"address": b" https://secret.example.com/x\n", "username": b"u", "password": b"p", "token": b" t\n"}
    made = connected(provider(address="https://spec.example.com", username="spec"), Secrets(held))
    assert (made.address, made.username, made.password) == ("https://secret.example.com/x", "u", "p")
    assert made.token == "t"


def test_the_spec_counts_where_the_secret_says_nothing() -> None:
    made = connected(provider(address="https://spec.example.com", username="spec", channel="c"), Secrets({}))
    assert (made.address, made.username, made.channel, made.timeout) == ("https://spec.example.com", "spec", "c", 15.0)
    assert connected(provider(timeout="2m"), Secrets({})).timeout == 120.0


@pytest.mark.parametrize(
    ("spec", "secrets", "proxy"),
    [
        ({"proxy": "http://spec:1"}, Secrets({}), "http://spec:1"),
        ({"proxy": "http://spec:1"}, Secrets({"proxy": b"http://secret:1\n"}), "http://secret:1"),
        (
            {"proxy": "http://spec:1", "proxySecretRef": {"name": "proxy"}},
            Secrets({"proxy": b"http://secret:1"}, {"address": b"http://own:1", "username": b"u", "password": b"p/w"}),
            "http://u:p%2Fw@own:1",
        ),
    ],
)
def test_which_proxy_is_used(spec: dict[str, Any], secrets: Secrets, proxy: str) -> None:
    assert connected(provider(**spec), secrets).proxy == proxy


def test_half_a_login_is_none_for_those_that_need_none() -> None:
    made = connected(provider(username="bot"), Secrets({"username": b"ada", "token": b"t0ken"}))
    assert (made.username, made.password, made.token) == ("bot", "", "t0ken")


def test_a_header_may_look_like_a_number() -> None:
    made = connected(provider(), Secrets({"headers": b"A: 1\nB: true\nC: 1.50\nD: 2.0\n5: text\n"}))
    assert made.headers == {"A": "1", "B": "true", "C": "1.5", "D": "2", "5": "text"}


HELD = "s3cr3t-thing"


@pytest.mark.parametrize(
    ("spec", "secrets", "names"),
    [
        ({"type": "github"}, Secrets({"username": HELD.encode()}), ["apps/auth", "'username' but missing 'password'"]),
        ({"type": "gitea"}, Secrets({"password": HELD.encode()}), ["apps/auth", "'password' but missing 'username'"]),
        ({}, Secrets({"proxy": f"http://[{HELD}".encode()}), ["invalid 'proxy' in secret 'apps/auth'"]),
        ({"proxy": f"ftp://{HELD}"}, Secrets({}), ["invalid spec.proxy"]),
        ({}, Secrets({"address": HELD.encode() * 300}), ["apps/auth", "address", "2048"]),
        ({}, Secrets({"headers": b"[" + HELD.encode()}), ["apps/auth", "headers"]),
        ({}, Secrets({"headers": f"- {HELD}".encode()}), ["apps/auth", "headers"]),
        ({}, Secrets({"headers": f"X-Key: {{{HELD}: 1}}".encode()}), ["apps/auth", "headers"]),
        ({}, Secrets({"headers": f'X-Key: "{HELD}\\r\\nHost: other"'.encode()}), ["apps/auth", "headers"]),
        ({}, Secrets({"token": HELD.encode() + b"\xff"}), ["apps/auth", "token"]),
        ({"proxySecretRef": {"name": "proxy"}}, Secrets({}, {"address": f"ftp://{HELD}".encode()}), ["apps/proxy"]),
        ({"certSecretRef": {"name": "certs"}}, Secrets({}, None, {"ca.crt": HELD.encode()}), ["apps/certs", "ca.crt"]),
        (
            {"certSecretRef": {"name": "certs"}},
            Secrets({}, None, {"tls.crt": HELD.encode()}),
            ["apps/certs", "tls.key"],
        ),
        ({"certSecretRef": {"name": "certs"}}, Secrets({}, None, {}), ["apps/certs"]),
    ],
)
def test_what_is_wrong_is_named_without_what_is_held(spec: dict[str, Any], secrets: Secrets, names: list[str]) -> None:
    with pytest.raises(InvalidProvider) as caught:
        connected(provider(**spec), secrets)
    assert all(name in str(caught.value) for name in names)
    assert HELD not in str(caught.value)
    assert HELD not in repr(secrets)


@pytest.mark.parametrize("type_", ["github", "generic"])
def test_only_git_services_take_certificates_from_the_secret_of_the_token(type_: str) -> None:
    if type_ == "generic":
        assert connected(provider(type_), Secrets({"ca.crt": b"no certificate"})).tls is None
    else:
        with pytest.raises(InvalidProvider, match=r"ca\.crt"):
            connected(provider(type_), Secrets({"ca.crt": b"no certificate"}))


def event(severity: str = "info", **metadata: str) -> Event:
    keys = {key.replace("__", "/").replace("annotation", "event.toolkit.fluxcd.io"): v for key, v in metadata.items()}
    keys = {key.replace("own", GROUP): value for key, value in keys.items()}
    involved = InvolvedObject(kind="Kustomization", namespace="apps", name="app", api_version=f"{GROUP}/v1")
    return Event(involved_object=involved, severity=severity, metadata=keys)


PLAIN, FAILURE = event(), event("error")
UPDATE, COMMIT = event(own__commit_status="update"), event(annotation__commit="4f1f3c0")
REQUEST, FORGED = event(annotation__change_request="7"), event(annotation__commit_status="update")


@pytest.mark.parametrize(
    ("type_", "told", "passed"),
    [
        ("slack", [PLAIN, FAILURE, COMMIT, REQUEST, FORGED], [UPDATE]),
        ("generic", [PLAIN, FAILURE, COMMIT, REQUEST, UPDATE], []),
        ("generic-hmac", [UPDATE], []),
        ("github", [FAILURE, UPDATE, COMMIT], [PLAIN, REQUEST, FORGED]),
        ("bitbucketserver", [FAILURE, UPDATE, COMMIT], [PLAIN]),
        ("githubpullrequestcomment", [REQUEST], [PLAIN, FAILURE, COMMIT, UPDATE]),
        ("githubdispatch", [PLAIN, FAILURE], [UPDATE]),
    ],
)
def test_which_events_a_type_is_told_of(type_: str, told: list[Event], passed: list[Event]) -> None:
    assert [passes_over(type_, one) for one in told] == [""] * len(told)
    assert all(passes_over(type_, one) for one in passed)
