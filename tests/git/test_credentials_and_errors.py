"""Secrets become credentials that don't print; git's output becomes words that tell what to fix."""

from __future__ import annotations

import pytest

from shared.git.credentials import CredentialsError, address, from_secret, is_encrypted
from shared.git.errors import AuthenticationFailed, GitError, InvalidURL, redacted, translated
from shared.http import SecretError, proxy
from tests.kit.gitserver import SshKey


@pytest.mark.parametrize(
    ("url", "plain", "origin", "user"),
    [
        ("https://example.com/a/b.git", "https://example.com/a/b.git", "https://example.com", ""),
        (
            "https://ada:x%40y@example.com:8443/a?b=c",
            "https://example.com:8443/a?b=c",
            "https://example.com:8443",
            "ada",
        ),
        ("ssh://git@[::1]:22/a", "ssh://[::1]:22/a", "ssh://[::1]:22", "git"),
    ],
)
def test_an_address_is_told_apart_from_its_user(url, plain, origin, user):
    at = address(url)
    assert (at.url, at.origin, at.username) == (plain, origin, user)


@pytest.mark.parametrize(
    "url", ["", "x", "file:///etc", "https://", "https:///path", "https://a b/", "https://h:port/", "ext::sh -c id",
            "ssh://-oProxyCommand=id/x", "https://h/\n", "git://h/x", "https://h;id/"],
)  # fmt: skip
def test_what_is_no_address_is_refused(url):
    with pytest.raises(InvalidURL):
        address(url)


@pytest.mark.parametrize(
    ("url", "data", "message"),
    [
        ("https://h/x", {"password": "p"}, "'password' requires 'username'"),
        ("https://h/x", {"username": "u\nx", "password": "p"}, "'username' has more than one line"),
        ("https://h/x", {"tls.crt": "c"}, "'tls.crt' and 'tls.key' go together"),
        ("https://h/x", {"ca.crt": "no pem"}, "'ca.crt' holds no PEM certificate"),
        ("ssh://h/x", {}, "'identity' is required"),
        ("ssh://h/x", {"identity": "i"}, "'known_hosts' is required"),
    ],
)
def test_a_secret_that_does_not_fit_names_the_key(url, data, message):
    with pytest.raises(CredentialsError, match=message):
        from_secret(address(url), {key: value.encode() for key, value in data.items()})


def test_a_bearer_token_goes_before_a_password():
    data = {"username": b"u", "password": b"p", "bearerToken": b"t"}
    made = from_secret(address("https://ada@h/x"), data)
    assert (made.username, made.password, made.bearer_token) == ("", "", "t")


def test_the_user_of_ssh_is_the_address_s():
    data = {"identity": b"i", "known_hosts": b"k", "username": b"u", "password": b"p"}
    assert from_secret(address("ssh://ada@h/x"), data).username == "ada"
    assert from_secret(address("ssh://h/x"), data).username == "git"


def test_credentials_do_not_print():
    made = from_secret(address("https://ada@h/x"), {"password": b"s3cret\n"})
    assert (made.username, made.password) == ("ada", "s3cret")
    assert "s3cret" not in f"{made} {made!r}"
    assert made.secrets == ("s3cret",)


def test_a_proxy_gets_its_user_into_its_url():
    data = {"address": b"http://proxy:3128", "username": b"u@x", "password": b"p/w"}
    assert proxy.url(data) == "http://u%40x:p%2Fw@proxy:3128"
    assert proxy.url({"address": b"socks5://proxy:1080"}) == "socks5://proxy:1080"
    for wrong in ({}, {"address": b"proxy"}, {"address": b"ftp://proxy"}):
        with pytest.raises(SecretError, match="'address'"):
            proxy.url(wrong)


def test_an_encrypted_key_is_recognised(tmp_path):
    assert is_encrypted(SshKey(tmp_path, "locked", passphrase="sesame").private)
    assert not is_encrypted(SshKey(tmp_path, "open").private)
    assert is_encrypted("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n")
    assert not is_encrypted("nonsense")


@pytest.mark.parametrize(
    ("printed", "message", "kind"),
    [
        ("fatal: Authentication failed for 'http://x/'", "authentication required", AuthenticationFailed),
        ("fatal: unable to access 'https://x/': The requested URL returned error: 502",
         "unexpected status code 502", GitError),
        ("fatal: unable to access 'https://x/': server certificate verification failed. CAfile: none CRLfile: none",
         "tls: failed to verify certificate: x509: certificate signed by unknown authority", GitError),
        ("ssh: connect to host h port 22: No route to host\r\nfatal: Could not read from remote repository.",
         "dial tcp h:22: No route to host", GitError),
        ("fatal: something new", "something new", GitError),
        ("", "git failed and did not say why", GitError),
    ],
)  # fmt: skip
def test_what_git_prints_is_translated(printed, message, kind):
    error = translated(printed)
    assert str(error) == message
    assert type(error) is kind


def test_no_secret_survives_in_a_message():
    text = redacted("fatal: https://ada:s3cret@h/x said s3cret\x1b[31m", ("s3cret",))
    assert "s3cret" not in text
    assert "ada" not in text
    assert "\x1b" not in text
