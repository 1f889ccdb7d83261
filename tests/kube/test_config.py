"""From kubeconfigs and the pod's surroundings to a connection, and how the wrong ones are refused."""

from __future__ import annotations

import base64
import datetime
import json
import ssl
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from shared.kube import config, credentials
from shared.kube.errors import ConfigError


def pem() -> tuple[bytes, bytes]:
    """A self-signed certificate and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    kind = serialization.PrivateFormat.PKCS8
    return certificate.public_bytes(encoding), key.private_bytes(encoding, kind, serialization.NoEncryption())


def kubeconfig(user: dict[str, Any] | None = None, cluster: dict[str, Any] | None = None, name: str = "it") -> str:
    return json.dumps(
        {
            "current-context": name,
            "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": f"ns-{name}"}}],
            "clusters": [{"name": name, "cluster": {"server": f"https://{name}.example:6443/"} | (cluster or {})}],
            "users": [{"name": name, "user": user or {}}],
        }
    )


@pytest.fixture(autouse=True)
def _no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)


def test_yaml_and_json_are_both_kubeconfigs(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(
        "current-context: a\ncontexts:\n- name: a\n  context: {cluster: c, user: u}\n"
        "clusters:\n- name: c\n  cluster: {server: 'http://localhost:8080'}\nusers:\n- name: u\n  user: {}\n"
    )
    found = config.load(path)
    assert (found.server, found.ssl, found.namespace) == ("http://localhost:8080", None, "default")


def test_tls_is_verified_unless_the_kubeconfig_says_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(kubeconfig(cluster={"tls-server-name": "kubernetes"}))
    found = config.load(path)
    assert found.server == "https://it.example:6443"
    assert found.ssl is not None
    assert (found.ssl.verify_mode, found.ssl.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert found.server_hostname == "kubernetes"
    path.write_text(kubeconfig(cluster={"insecure-skip-tls-verify": True}))
    found = config.load(path)
    assert found.ssl is not None
    assert found.ssl.verify_mode == ssl.CERT_NONE


def test_certificates_come_as_data_or_as_files_beside_the_kubeconfig(tmp_path: Path) -> None:
    certificate, key = pem()
    (tmp_path / "crt").write_bytes(certificate)
    (tmp_path / "key").write_bytes(key)
    path = tmp_path / "config"
    path.write_text(kubeconfig({"client-certificate": "crt", "client-key": "key"}, {"certificate-authority": "crt"}))
    context = config.load(path).ssl
    assert context is not None
    assert context.cert_store_stats()["x509"] == 1
    data = {f"client-{k}-data": base64.b64encode(v).decode() for k, v in (("certificate", certificate), ("key", key))}
    path.write_text(kubeconfig(data, {"certificate-authority-data": base64.b64encode(certificate).decode()}))
    assert config.load(path).ssl is not None
    path.write_text(kubeconfig({"client-certificate": "crt"}))
    with pytest.raises(ConfigError, match="belong together"):
        config.load(path)


def test_several_files_are_merged_and_the_first_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_text(kubeconfig({"token": "A"}, name="a"))
    (tmp_path / "b").write_text(kubeconfig({"token": "B"}, name="b"))
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'a'}:{tmp_path / 'missing'}:{tmp_path / 'b'}")
    assert config.load().namespace == "ns-a"
    assert config.load(context="b").server == "https://b.example:6443"
    with pytest.raises(ConfigError, match='no context "c"'):
        config.load(context="c")


async def test_a_token_file_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("one\n")
    path = tmp_path / "config"
    path.write_text(kubeconfig({"tokenFile": "token"}))
    found = config.load(path).credentials
    assert await found.headers() == {"Authorization": "Bearer one"}
    (tmp_path / "token").write_text("two\n")
    assert await found.headers() == {"Authorization": "Bearer one"}
    assert await found.renew()
    assert await found.headers() == {"Authorization": "Bearer two"}
    (tmp_path / "token").write_text("three\n")
    monkeypatch.setattr(credentials, "REREAD_AFTER", 0.0)
    assert await found.headers() == {"Authorization": "Bearer three"}
    (tmp_path / "token").unlink()
    assert await found.headers() == {"Authorization": "Bearer three"}


async def test_in_a_pod_the_service_account_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, _ = pem()
    (tmp_path / "token").write_text("sa")
    (tmp_path / "ca.crt").write_bytes(certificate)
    (tmp_path / "namespace").write_text("flux-system")
    monkeypatch.setattr(config, "SERVICE_ACCOUNT", tmp_path)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "6443")
    found = config.in_cluster(tmp_path)
    assert (found.server, found.namespace) == ("https://[fd00::1]:6443", "flux-system")
    assert await found.credentials.headers() == {"Authorization": "Bearer sa"}


def plugin(tmp_path: Path, status: dict[str, Any]) -> dict[str, Any]:
    """A kubeconfig user whose exec plugin counts its runs in a file and answers `status`."""
    script = tmp_path / "plugin.py"
    credential = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}
    script.write_text(f"open({str(tmp_path / 'runs')!r}, 'a').write('x')\nprint({json.dumps(credential)!r})\n")
    command = {"command": sys.executable, "args": [str(script)], "apiVersion": "client.authentication.k8s.io/v1"}
    return {"exec": command | {"interactiveMode": "Never"}}


async def test_an_exec_plugin_runs_once_until_its_token_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(kubeconfig(plugin(tmp_path, {"token": "secret", "expirationTimestamp": "2999-01-01T00:00:00Z"})))
    found = config.load(path).credentials
    assert not (tmp_path / "runs").exists()
    assert await found.headers() == await found.headers() == {"Authorization": "Bearer secret"}
    assert (tmp_path / "runs").read_text() == "x"
    assert await found.renew()
    assert (tmp_path / "runs").read_text() == "xx"
    assert "secret" not in repr(found)


async def test_an_exec_plugin_is_asked_again_when_its_token_expires(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(kubeconfig(plugin(tmp_path, {"token": "t", "expirationTimestamp": "2001-01-01T00:00:00Z"})))
    found = config.load(path).credentials
    await found.headers()
    await found.headers()
    assert (tmp_path / "runs").read_text() == "xx"


async def test_an_exec_plugin_may_give_a_certificate(tmp_path: Path) -> None:
    certificate, key = (part.decode() for part in pem())
    path = tmp_path / "config"
    path.write_text(kubeconfig(plugin(tmp_path, {"clientCertificateData": certificate, "clientKeyData": key})))
    assert await config.load(path).credentials.headers() == {}


async def test_a_failing_exec_plugin_says_so(tmp_path: Path) -> None:
    path = tmp_path / "config"
    user = {"exec": {"command": "false", "apiVersion": "client.authentication.k8s.io/v1"}}
    path.write_text(kubeconfig(user))
    with pytest.raises(ConfigError, match="exec plugin false failed"):
        await config.load(path).credentials.headers()


@pytest.mark.parametrize(
    ("user", "cluster", "problem"),
    [
        ({"tokenFile": "/etc/passwd"}, {}, "tokenFile names a file"),
        ({"client-certificate": "/a", "client-key": "/b"}, {}, "client-certificate names a file"),
        ({}, {"certificate-authority": "/a"}, "certificate-authority names a file"),
        ({"exec": {"command": "sh", "apiVersion": "v1"}}, {}, "exec in a kubeconfig is not allowed"),
        ({}, {"insecure-skip-tls-verify": True}, "insecure-skip-tls-verify is not allowed"),
        ({}, {"certificate-authority-data": "%"}, "not PEM|not base64"),
        ({}, {"server": ""}, "has no server"),
        ({"token": "a\nb"}, {}, "characters that no token has"),
        ({}, {"proxy-url": "socks5://x"}, "proxies are supported"),
    ],
)
def test_a_kubeconfig_from_a_secret_can_not_reach_our_files(
    user: dict[str, Any], cluster: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ConfigError, match=problem):
        config.from_kubeconfig_text(kubeconfig(user, cluster))


def test_a_token_in_a_secret_is_fine() -> None:
    found = config.from_kubeconfig_text(kubeconfig({"token": "t"}, {"proxy-url": "http://proxy:3128"}))
    assert found.proxy == "http://proxy:3128"


@pytest.mark.parametrize("text", ["[]", "a: [", "null", "contexts: 5", "\x00"])
def test_what_is_no_kubeconfig_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        config.from_kubeconfig_text(text)


def test_without_any_kubeconfig_the_message_says_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    with pytest.raises(ConfigError, match="can't read"):
        config.load()
