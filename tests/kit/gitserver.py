"""Git servers for tests, on the loopback interface: smart HTTP (`git http-backend`), HTTPS, and a real sshd.

    with GitServer(folder) as server:
        repo = server.create("app")
        head = repo.commit({"a.yaml": "a: 1"})      # committed and pushed; repo.url is where to clone it

`server.require(repo, user, password)` wants basic auth, `require_token` a bearer token. `server.answer` may be set to a
function of the request's path that returns a status and headers to answer instead, for failing and redirecting servers.
`server.requests` lists what was asked, with the Authorization header, `server.packs` how large the packs were.
"""

from __future__ import annotations

import base64
import datetime
import getpass
import ipaddress
import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.kit.loopback import Handler, Loopback

SSHD = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/sbin")
IDENTITY = {
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
}


def git(*arguments: str, cwd: Path | None = None, **env: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=cwd, env={**os.environ, **IDENTITY, **env}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"git {' '.join(arguments)}: {done.stderr}")
    return done.stdout


@dataclass
class Repo:
    """A bare repository that is served, and a work tree to commit from."""

    name: str
    url: str
    bare: Path
    work: Path

    def git(self, *arguments: str, **env: str) -> str:
        return git("-C", str(self.work), *arguments, **env)

    def commit(
        self, files: dict[str, str | bytes | None], message: str = "change", branch: str = "main", sign: str = ""
    ) -> str:
        """Writes (None deletes) files, commits them to a branch, pushes by force; the commit's id."""
        if self.git("branch", "--list", branch).strip():
            self.git("checkout", "-q", branch)
        elif self.git("branch", "--list").strip():
            self.git("checkout", "-q", "-b", branch)
        elif branch != "main":
            self.git("checkout", "-q", "--orphan", branch)
        for name, content in files.items():
            path = self.work / name
            if content is None:
                path.unlink()
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content if isinstance(content, bytes) else content.encode())
        self.git("add", "-A", "-f")
        self.git("commit", "-q", "--allow-empty", "-m", message, *([f"-S{sign}"] if sign else []))
        self.git("push", "-q", "--force", "origin", f"HEAD:refs/heads/{branch}")
        return self.git("rev-parse", "HEAD").strip()

    def tag(self, name: str, message: str = "", sign: str = "") -> str:
        """Tags the checked-out commit (annotated with a message, signed with a key) and pushes; the tag's object id."""
        how = ["-s", "-u", sign, "-m", message or name] if sign else (["-a", "-m", message] if message else [])
        self.git("tag", *how, name)
        self.git("push", "-q", "origin", f"refs/tags/{name}")
        return self.git("rev-parse", name).strip()


class _Handler(Handler):
    owner: GitServer

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        body = self.body()
        path, _, query = self.path.partition("?")
        name = path.lstrip("/").split("/")[0]
        sent = self.headers.get("Authorization", "")
        self.owner.requests.append((self.path, sent))
        if instead := self.owner.answer(self.path):
            self.reply(instead[0], **instead[1])
            return
        wanted = self.owner.wanted.get(name)
        if wanted and sent != wanted:
            self.reply(401, b"unauthorized", **{"WWW-Authenticate": 'Basic realm="git"'})
            return
        env = {
            **os.environ,
            "GIT_PROJECT_ROOT": str(self.owner.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "REMOTE_USER": "test",
            "REMOTE_ADDR": "127.0.0.1",
        }
        for header, variable in (("Git-Protocol", "GIT_PROTOCOL"), ("Content-Encoding", "HTTP_CONTENT_ENCODING")):
            if self.headers.get(header):
                env[variable] = self.headers[header]
        answer = subprocess.run(["git", "http-backend"], input=body, env=env, capture_output=True, check=False).stdout
        head, _, payload = answer.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
        if b"PACK" in payload:
            self.owner.packs.append(len(payload))
        self.reply(int(headers.pop("Status", "200").split()[0]), payload, **headers)


class GitServer(Loopback):
    """Serves every bare repository that `create` makes below `root`; over HTTPS when `tls` is given."""

    handler = _Handler
    url = Loopback.address

    def __init__(self, root: Path, tls: Certificates | None = None):
        super().__init__(tls.context() if tls else None)
        self.root = root
        self.wanted: dict[str, str] = {}
        self.answer: Callable[[str], tuple[int, dict[str, str]] | None] = lambda path: None
        self.requests: list[tuple[str, str]] = []
        self.packs: list[int] = []
        """The sizes of the packs that were sent."""

    def __enter__(self) -> Self:
        self.root.mkdir(parents=True, exist_ok=True)
        return super().__enter__()

    def create(self, name: str) -> Repo:
        bare, work = self.root / name, self.root / f"{name}.work"
        git("init", "-q", "--bare", "-b", "main", str(bare))
        git("init", "-q", "-b", "main", str(work))
        git("-C", str(work), "remote", "add", "origin", str(bare))
        return Repo(name, f"{self.url}/{name}", bare, work)

    def require(self, repo: Repo, username: str, password: str) -> None:
        self.wanted[repo.name] = "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()

    def require_token(self, repo: Repo, token: str) -> None:
        self.wanted[repo.name] = f"Bearer {token}"


class Certificates:
    """A certificate authority, a certificate of 127.0.0.1 and a client's, below `folder`."""

    def __init__(self, folder: Path, *, want_client: bool = False):
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._want_client = want_client
        authority_key = ec.generate_private_key(ec.SECP256R1())
        authority = _certificate("ca", authority_key, None, authority_key)
        self.ca = authority.public_bytes(serialization.Encoding.PEM).decode()
        for name in ("server", "client"):
            key = ec.generate_private_key(ec.SECP256R1())
            made = _certificate(name, key, authority, authority_key)
            (folder / f"{name}.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
            (folder / f"{name}.key").write_bytes(
                key.private_bytes(
                    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
                )
            )
        (folder / "ca.crt").write_text(self.ca)
        self.client_certificate = (folder / "client.crt").read_text()
        self.client_key = (folder / "client.key").read_text()

    def context(self) -> ssl.SSLContext:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(self._folder / "server.crt", self._folder / "server.key")
        if self._want_client:
            made.load_verify_locations(self._folder / "ca.crt")
            made.verify_mode = ssl.CERT_REQUIRED
        return made


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Certificate | None,
    issuer_key: ec.EllipticCurvePrivateKey,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if issuer is not None:
        names = x509.SubjectAlternativeName(
            [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
        )
        builder = builder.add_extension(names, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


class SshKey:
    """A key pair made by ssh-keygen."""

    def __init__(self, folder: Path, name: str, *, kind: str = "ed25519", passphrase: str = ""):
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / name
        subprocess.run(
            ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", name, "-f", str(self.path)], check=True, input=b""
        )
        self.private = self.path.read_text()
        self.public = self.path.with_suffix(".pub").read_text()


class SshServer:
    """An unprivileged sshd that lets `client` in; `url(repo)` is a repository's address, `known_hosts` its key."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.host, self.client = SshKey(folder, "host"), SshKey(folder, "client")
        self.locked = SshKey(folder, "locked", passphrase="open sesame")
        self.stranger = SshKey(folder, "stranger")

    def __enter__(self) -> SshServer:
        assert SSHD is not None
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        (self.folder / "authorized_keys").write_text(self.client.public + self.locked.public)
        config = self.folder / "sshd_config"
        config.write_text(
            f"ListenAddress 127.0.0.1\nPort {self.port}\nHostKey {self.host.path}\n"
            f"AuthorizedKeysFile {self.folder}/authorized_keys\nPidFile none\nStrictModes no\nUsePAM no\n"
            "PermitRootLogin yes\nPasswordAuthentication no\n"
        )
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        log = (self.folder / "sshd.log").open("wb")
        self._process = subprocess.Popen([SSHD, "-D", "-e", "-f", str(config)], stderr=log)
        log.close()
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.05)
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.terminate()
        self._process.wait()

    def known_hosts(self, key: SshKey | None = None) -> str:
        return f"[127.0.0.1]:{self.port} {' '.join((key or self.host).public.split()[:2])}\n"

    def url(self, repo: Repo) -> str:
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}{repo.bare}"
