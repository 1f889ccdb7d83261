"""A real control plane on this machine: etcd, API server, controller manager, scheduler, and kwok as the kubelet.

    python -m tests.kit.controlplane --dir D --kubeconfig-out FILE     keeps it running until Ctrl-C

All of it listens on free loopback ports, keeps its data, keys and logs in one folder, and starts again from there with
the same data. It is meant for tests: nothing is synced to disk, and what stops it kills it. Requests are authenticated
(token or client certificate) and authorized by RBAC as in a production cluster; one fake node runs every pod.
"""

from __future__ import annotations

import argparse
import datetime
import ipaddress
import json
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fluvial.processes import free_ports
from tests.kit.api import Api
from tests.kit.processes import Processes, ProcessFailed
from tests.upstream.controlplane import build

STAGES = Path(__file__).with_name("kwok-stages.yaml")
ISSUER = "https://kubernetes.default.svc.cluster.local"
SERVICE_RANGE = "10.96.0.0/16"
NODE = "fake-node"
# What watches machines and clouds only costs CPU here, and would find the fake node's health wanting.
_CONTROLLERS_OFF = (
    "node-lifecycle-controller",
    "node-ipam-controller",
    "node-route-controller",
    "cloud-node-lifecycle-controller",
    "service-lb-controller",
)

available = build.available


class ControlPlane:
    """A running control plane. Make one with start(); it is stopped by stop(), by `with`, or when this process ends."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.processes = Processes(directory / "logs")
        self.token = ""
        self.url = ""
        self.api = Api("")
        self._api_server_command: list[str | Path] = []

    @classmethod
    def start(cls, directory: Path, timeout: float = 90) -> ControlPlane:
        """Start all of it and wait until pods can run; `directory` is made, or continued from.

        Raises build.BuildFailed when the programs aren't built, ProcessFailed when one ends or isn't ready in time
        (seconds).
        """
        plane = cls(directory.resolve())
        try:
            plane._start(timeout)
        except BaseException:
            plane.stop()
            raise
        return plane

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig: a token of the group system:masters, and the CA."""
        return self.directory / "kubeconfig"

    @property
    def ca(self) -> Path:
        """The certificate authority (PEM) of the API server."""
        return self.directory / "pki" / "ca.crt"

    @property
    def pids(self) -> dict[str, int]:
        """Process ids by program."""
        return self.processes.pids

    def request(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Any:
        """One call as administrator; the decoded answer. requests.HTTPError on a 4xx or 5xx."""
        return self.api.request(method, path, body, content_type)

    def stop_api_server(self) -> None:
        """Kill the API server only; its clients see refused connections until start_api_server()."""
        self.processes.stop("kube-apiserver")

    def start_api_server(self, timeout: float = 90) -> None:
        """Start the API server on its address and wait until it is ready."""
        self.processes.start("kube-apiserver", self._api_server_command)
        self.processes.wait_until(lambda: self.api.ok("/readyz"), "kube-apiserver", timeout)

    def stop(self) -> None:
        """Kill everything. The data stays in the directory."""
        self.processes.stop()

    def __enter__(self) -> ControlPlane:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # -- starting

    def _start(self, timeout: float) -> None:
        if not (state := available()):
            raise build.BuildFailed(state.reason)
        pki = self.directory / "pki"
        if not pki.is_dir():
            _make_pki(pki)
        self.token = (pki / "tokens.csv").read_text().split(",")[0]
        api, etcd, peer = free_ports(3)
        self.url = f"https://127.0.0.1:{api}"
        self.api = Api(self.url, token=self.token, ca=str(self.ca))
        self._write_kubeconfig()
        self.processes.start("etcd", self._etcd_command(etcd, peer))
        self._api_server_command = self._command_of_api_server(api, etcd)
        self.start_api_server(timeout)
        self.processes.start("kube-controller-manager", self._command_of_controller_manager())
        self.processes.start("kube-scheduler", self._command_of_scheduler())
        self.processes.start("kwok", self._command_of_kwok())
        self._ensure_node()
        self.processes.wait_until(self._accounts_are_made, "kube-controller-manager", timeout)
        self.processes.wait_until(self._node_is_ready, "kwok", timeout)

    def _etcd_command(self, port: int, peer: int) -> list[str | Path]:
        client_url, peer_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peer}"
        return [
            build.path("etcd"),
            f"--data-dir={self.directory / 'etcd'}",
            f"--listen-client-urls={client_url}",
            f"--advertise-client-urls={client_url}",
            f"--listen-peer-urls={peer_url}",
            f"--initial-advertise-peer-urls={peer_url}",
            f"--initial-cluster=default={peer_url}",
            "--force-new-cluster=true",  # the peer address of the last start is of no use
            "--unsafe-no-fsync=true",
            "--log-level=warn",
        ]

    def _command_of_api_server(self, port: int, etcd: int) -> list[str | Path]:
        pki = self.directory / "pki"
        return [
            build.path("kube-apiserver"),
            f"--etcd-servers=http://127.0.0.1:{etcd}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={port}",
            f"--tls-cert-file={pki / 'server.crt'}",
            f"--tls-private-key-file={pki / 'server.key'}",
            f"--client-ca-file={pki / 'ca.crt'}",
            f"--token-auth-file={pki / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            f"--service-account-issuer={ISSUER}",
            f"--service-account-key-file={pki / 'service-accounts.key'}",
            f"--service-account-signing-key-file={pki / 'service-accounts.key'}",
            f"--service-cluster-ip-range={SERVICE_RANGE}",
            "--endpoint-reconciler-type=none",
            "--allow-privileged=true",
            "--disable-admission-plugins=TaintNodesByCondition",  # see _CONTROLLERS_OFF
            "--profiling=false",
        ]

    def _command_of_controller_manager(self) -> list[str | Path]:
        pki = self.directory / "pki"
        return [
            build.path("kube-controller-manager"),
            f"--kubeconfig={self.kubeconfig}",
            f"--service-account-private-key-file={pki / 'service-accounts.key'}",
            f"--root-ca-file={pki / 'ca.crt'}",
            f"--controllers=*,{','.join(f'-{name}' for name in _CONTROLLERS_OFF)}",
            "--leader-elect=false",
            "--secure-port=0",
            "--kube-api-qps=500",
            "--kube-api-burst=1000",
            "--profiling=false",
        ]

    def _command_of_scheduler(self) -> list[str | Path]:
        return [
            build.path("kube-scheduler"),
            f"--kubeconfig={self.kubeconfig}",
            "--leader-elect=false",
            "--secure-port=0",
            "--kube-api-qps=500",
            "--kube-api-burst=1000",
            "--profiling=false",
        ]

    def _command_of_kwok(self) -> list[str | Path]:
        return [
            build.path("kwok"),
            f"--kubeconfig={self.kubeconfig}",
            f"--config={STAGES}",
            "--manage-all-nodes=true",
        ]

    def _ensure_node(self) -> None:
        resources = {"cpu": "1000", "memory": "1000Gi", "pods": "10000", "ephemeral-storage": "1000Gi"}
        node = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": NODE, "labels": {"kubernetes.io/hostname": NODE, "kubernetes.io/os": "linux"}},
            "status": {"capacity": resources, "allocatable": resources},
        }
        try:
            self.request("POST", "/api/v1/nodes", node)
        except requests.HTTPError as error:
            if error.response.status_code != requests.codes.conflict:
                raise

    def _accounts_are_made(self) -> bool:
        return self.api.ok("/api/v1/namespaces/default/serviceaccounts/default")

    def _node_is_ready(self) -> bool:
        node = self.request("GET", f"/api/v1/nodes/{NODE}")
        conditions = node.get("status", {}).get("conditions", [])
        return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)

    def _write_kubeconfig(self) -> None:
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "real", "cluster": {"server": self.url, "certificate-authority": str(self.ca)}}],
            "users": [{"name": "admin", "user": {"token": self.token}}],
            "contexts": [{"name": "real", "context": {"cluster": "real", "user": "admin"}}],
            "current-context": "real",
        }
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_text(json.dumps(config, indent=1))  # JSON is YAML


def _make_pki(folder: Path) -> None:
    """A CA, the server's certificate, the key of service account tokens, and the administrator's token."""
    unfinished = folder.with_name("pki.unfinished")
    unfinished.mkdir(parents=True, mode=0o700)
    ca_key, server_key, accounts_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test-ca")])
    ca = (
        _certificate(ca_name, ca_key.public_key(), ca_name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(ca=True), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    names: list[x509.GeneralName] = [x509.DNSName(name) for name in ("localhost", "kubernetes.default.svc")]
    names += [x509.IPAddress(ipaddress.ip_address(address)) for address in ("127.0.0.1", "10.96.0.1")]
    server_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kube-apiserver")])
    server = (
        _certificate(server_name, server_key.public_key(), ca_name)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(_key_usage(ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    for name, key in (("ca", ca_key), ("server", server_key), ("service-accounts", accounts_key)):
        (unfinished / f"{name}.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
            )
        )
    (unfinished / "ca.crt").write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    (unfinished / "server.crt").write_bytes(server.public_bytes(serialization.Encoding.PEM))
    (unfinished / "tokens.csv").write_text(f'{secrets.token_hex(16)},admin,admin,"system:masters"\n')
    unfinished.rename(folder)


def _certificate(name: x509.Name, key: ec.EllipticCurvePublicKey, issuer: x509.Name) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=365))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """The command: runs until SIGINT or SIGTERM, then 0; 1 when the control plane can't start or a part of it ends."""
    parser = argparse.ArgumentParser(prog="python -m tests.kit.controlplane", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--dir", type=Path, help="folder for data, keys and logs (default: a new temporary one)")
    parser.add_argument("--kubeconfig-out", type=Path, help="write the administrator's kubeconfig here too, when ready")
    parser.add_argument("--pids-out", type=Path, help="write lines `PID name` here, when ready")
    arguments = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    began = time.monotonic()
    try:
        with ControlPlane.start(arguments.dir or Path(tempfile.mkdtemp(prefix="controlplane-"))) as plane:
            if arguments.pids_out:
                arguments.pids_out.write_text("".join(f"{pid} {name}\n" for name, pid in plane.pids.items()))
            if arguments.kubeconfig_out:
                unfinished = arguments.kubeconfig_out.with_suffix(".unfinished")
                unfinished.touch(mode=0o600)
                unfinished.write_bytes(plane.kubeconfig.read_bytes())
                unfinished.replace(arguments.kubeconfig_out)
            print(f"ready after {time.monotonic() - began:.1f} s: {plane.url}", flush=True)
            print(f"try: kubectl --kubeconfig {arguments.kubeconfig_out or plane.kubeconfig} get nodes", flush=True)
            while True:
                plane.processes.require_running()
                time.sleep(1)
    except KeyboardInterrupt:
        return 0
    except (ProcessFailed, build.BuildFailed) as failure:
        print(failure, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
