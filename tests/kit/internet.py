"""The hosts of the clouds, on the loopback interface: a proxy that ends TLS itself and answers for them.

    with Internet(folder) as internet:
        internet.hosts_of["sts.googleapis.com"] = lambda asked: Reply(200, b"{}")
        internet.hosts_of["*.amazonaws.com"] = forwarded("http://127.0.0.1:5000")
        for name, value in internet.environment.items(): monkeypatch.setenv(name, value)

Clients find it by HTTPS_PROXY and trust its authority, so that libraries ask the hosts that they always ask. `asked` is
what came, in order; a host that nobody answers for is refused, so nothing leaves this machine.
"""

from __future__ import annotations

import datetime
import fnmatch
import io
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from requests.structures import CaseInsensitiveDict

from tests.kit.loopback import Handler, Loopback

PEM = serialization.Encoding.PEM


@dataclass(frozen=True)
class Asked:
    """A request."""

    host: str
    method: str
    path: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def form(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(self.body.decode()).items()}

    @property
    def query(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}


@dataclass(frozen=True)
class Reply:
    """An answer."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    until: threading.Event | None = None
    """Trickles bytes, without an end, until this is set."""


Answers = Callable[[Asked], Reply]


def forwarded(to: str) -> Answers:
    """Answers by asking another server, which sees the host that was meant."""

    def answer(asked: Asked) -> Reply:
        session = requests.Session()
        session.trust_env = False
        headers = {name: value for name, value in asked.headers.items() if name.lower() != "proxy-connection"}
        if "Accept-Encoding" not in headers:
            headers["Accept-Encoding"] = "identity"
        request = requests.Request(asked.method, to, headers={**headers, "Host": asked.host}, data=asked.body)
        prepared = session.prepare_request(request)
        prepared.url = to + asked.path  # as it was signed
        got = session.send(prepared, allow_redirects=False, timeout=20, verify=False, stream=True)
        body = got.raw.read(decode_content=False)
        dropped = ("transfer-encoding", "content-length", "connection")
        return Reply(got.status_code, body, {n: v for n, v in got.headers.items() if n.lower() not in dropped})

    return answer


class _Handler(Handler):
    owner: Internet
    meant = ""

    def do_CONNECT(self) -> None:
        self.meant = self.path.partition(":")[0]
        if self.owner.answers_of(self.meant) is None:
            self.reply(502)
            return
        self.send_response(200)
        self.end_headers()
        self.connection = self.owner.context_of(self.meant).wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb", -1)  # type: ignore[assignment]
        self.wfile = _Written(self.connection)  # type: ignore[assignment]
        self.close_connection = False

    def do_GET(self) -> None:
        meant = self.meant or urlsplit(self.path).netloc
        path = self.path if self.meant else urlsplit(self.path)._replace(scheme="", netloc="").geturl()
        headers = CaseInsensitiveDict(self.headers.items())
        asked = Asked(meant, self.command, path, headers, self.body())
        with self.owner.lock:
            self.owner.asked.append(asked)
        answers = self.owner.answers_of(meant)
        answer = answers(asked) if answers else Reply(502)
        if answer.until is None:
            self.reply(answer.status, answer.body, **answer.headers)
            return
        self.begin(answer.status, 1 << 30)
        while not answer.until.wait(0.05):
            self.wfile.write(b" ")
        self.close_connection = True

    do_POST = do_HEAD = do_PUT = do_GET  # noqa: N815


class _Written(io.BufferedIOBase):
    def __init__(self, connection: ssl.SSLSocket) -> None:
        self._connection = connection

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._connection.sendall(data)
        return len(data)


class Internet(Loopback):
    """See the module."""

    handler = _Handler

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.hosts_of: dict[str, Answers] = {}
        """Whose answers; a name may have wildcards, of which the first that fits counts."""
        self.asked: list[Asked] = []
        self.lock = threading.Lock()
        self._folder, self._contexts = folder, dict[str, ssl.SSLContext]()
        folder.mkdir(parents=True, exist_ok=True)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._ca = self._certificate("internet")
        self.ca = folder / "ca.crt"
        self.ca.write_bytes(self._ca.public_bytes(PEM))

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which clients come here."""
        return {
            "HTTPS_PROXY": self.address,
            "NO_PROXY": "127.0.0.1,localhost",
            "SSL_CERT_FILE": str(self.ca),
            "REQUESTS_CA_BUNDLE": str(self.ca),
            "AWS_CA_BUNDLE": str(self.ca),
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def to(self, host: str) -> list[Asked]:
        """What a host was asked."""
        return [asked for asked in self.asked if asked.host == host]

    def answers_of(self, host: str) -> Answers | None:
        fitting = (answer for name, answer in self.hosts_of.items() if fnmatch.fnmatch(host, name))
        return self.hosts_of.get(host) or next(fitting, None)

    def context_of(self, host: str) -> ssl.SSLContext:
        with self.lock:
            if host not in self._contexts:
                file = self._folder / f"{host}.pem"
                private = self._key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
                file.write_bytes(private + self._certificate(host, self._ca).public_bytes(PEM))
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(file)
                self._contexts[host] = context
            return self._contexts[host]

    def _certificate(self, name: str, issuer: x509.Certificate | None = None) -> x509.Certificate:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
        now = datetime.datetime.now(datetime.UTC)
        identifier = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer.subject if issuer else subject)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
            .add_extension(identifier, critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        )
        if issuer:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        else:
            usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
            builder = builder.add_extension(usage, critical=True)
        return builder.sign(self._key, hashes.SHA256())
