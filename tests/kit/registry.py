"""A registry for tests, in memory, on the loopback interface: blobs, manifests, tags in pages, three ways to log in.

    with Registry() as registry:
        digest = registry.push_files("app", "v1", {"a.yaml": "a: 1"})     # oci://{registry.host}/app

`require(path, user, password)` wants basic auth or, with `token=True`, a token of its own token service. `requests`
lists what was asked, with the Authorization header. `answer` may be set to a function of the path that returns a status
and headers to answer instead. With `elsewhere` blobs are redirected to a second address of the same server.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import re
import ssl
import tarfile
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.kit.loopback import Handler, Loopback

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
FLUX_CONTENT = "application/vnd.cncf.flux.content.v1.tar+gzip"
FLUX_CONFIG = "application/vnd.cncf.flux.config.v1+json"
TOKEN = "an-access-token"


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def tar_gz(files: dict[str, str | bytes], links: dict[str, str] | None = None) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)
    return gzip.compress(raw.getvalue(), mtime=0)


class _Handler(Handler):
    owner: Registry

    def do_GET(self) -> None:
        owner, url = self.owner, urlsplit(self.path)
        sent = self.headers.get("Authorization", "")
        owner.requests.append((self.path, sent))
        if instead := owner.answer(self.path):
            self.reply(instead[0], b"", **instead[1])
            return
        if url.path == "/token":
            self._token(sent, parse_qs(url.query))
            return
        if url.path.startswith("/elsewhere/"):
            self.reply(200, owner.blobs[url.path.rsplit("/", 1)[-1]])
            return
        if url.path == "/v2/":
            self.reply(200, b"{}")
            return
        found = re.fullmatch(r"/v2/(.+)/(blobs|manifests|tags|referrers)/(.+)", url.path)
        if not found:
            self._error(404, "NAME_UNKNOWN")
            return
        path, what, reference = found.groups()
        if path in owner.wanted:
            basic, token = owner.wanted[path]
            if sent != (f"Bearer {TOKEN}" if token else basic) and sent not in owner.allowed.get(path, ()):
                challenge = f'Bearer realm="http://{owner.host}/token",service="kit",scope="repository:{path}:pull"'
                self._error(401, "UNAUTHORIZED", **{"WWW-Authenticate": challenge if token else 'Basic realm="kit"'})
                return
        getattr(self, f"_{what}")(path, reference, parse_qs(url.query))

    def do_HEAD(self) -> None:
        self.do_GET()

    def _token(self, sent: str, query: dict[str, list[str]]) -> None:
        path = query["scope"][0].split(":")[1]
        if sent != self.owner.wanted[path][0]:
            self._error(401, "UNAUTHORIZED")
            return
        self.reply(200, json.dumps({"token": TOKEN}).encode())

    def _tags(self, path: str, reference: str, query: dict[str, list[str]]) -> None:
        tags = sorted(tag for name, tag in self.owner.manifests if name == path and ":" not in tag)
        if not tags:
            self._error(404, "NAME_UNKNOWN")
            return
        start = next((index for index, tag in enumerate(tags) if tag > query.get("last", [""])[0]), len(tags))
        page = tags[start : start + self.owner.page]
        more = {}
        if start + self.owner.page < len(tags):
            more["Link"] = f'</v2/{path}/tags/list?last={page[-1]}>; rel="next"'
        self.reply(200, json.dumps({"name": path, "tags": page}).encode(), **more)

    def _manifests(self, path: str, reference: str, query: dict[str, list[str]]) -> None:
        if (path, reference) not in self.owner.manifests:
            self._error(404, "MANIFEST_UNKNOWN")
            return
        media_type, data = self.owner.manifests[path, reference]
        self.reply(200, data, **{"Content-Type": media_type, "Docker-Content-Digest": digest(data)})

    def _referrers(self, path: str, reference: str, query: dict[str, list[str]]) -> None:
        found = []
        for (name, tag), (media_type, data) in self.owner.manifests.items():
            manifest = json.loads(data)
            if name == path and ":" in tag and (manifest.get("subject") or {}).get("digest") == reference:
                entry = {"mediaType": media_type, "digest": tag, "size": len(data)}
                found.append({**entry, "artifactType": manifest.get("artifactType", "")})
        body = {"schemaVersion": 2, "mediaType": INDEX, "manifests": found}
        self.reply(200, json.dumps(body).encode(), **{"Content-Type": INDEX})

    def _blobs(self, path: str, reference: str, query: dict[str, list[str]]) -> None:
        if reference not in self.owner.blobs:
            self._error(404, "BLOB_UNKNOWN")
        elif self.owner.elsewhere:
            self.reply(307, b"", Location=f"{self.owner.scheme}://{self.owner.other_host}/elsewhere/{reference}")
        else:
            self.reply(200, self.owner.blobs[reference])

    def _error(self, status: int, code: str, **headers: str) -> None:
        self.reply(status, json.dumps({"errors": [{"code": code, "message": code.lower()}]}).encode(), **headers)


def _basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


class Registry(Loopback):
    """Serves what `push` stored; over HTTPS when `tls` is a server's context."""

    handler = _Handler
    addresses = 2

    def __init__(self, tls: ssl.SSLContext | None = None, page: int = 1000) -> None:
        super().__init__(tls)
        self.page = page
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[tuple[str, str], tuple[str, bytes]] = {}
        self.wanted: dict[str, tuple[str, bool]] = {}
        self.allowed: dict[str, list[str]] = {}
        self.requests: list[tuple[str, str]] = []
        self.elsewhere = False
        self.answer: Callable[[str], tuple[int, dict[str, str]] | None] = lambda path: None

    @property
    def other_host(self) -> str:
        return self.hosts[1]

    def url(self, path: str) -> str:
        return f"oci://{self.host}/{path}"

    def require(self, path: str, username: str, password: str, *, token: bool = False) -> None:
        self.wanted[path] = (_basic(username, password), token)

    def allow(self, path: str, username: str, password: str) -> None:
        """Let one more in where `require` shut everybody else out."""
        self.allowed.setdefault(path, []).append(_basic(username, password))

    def put(self, path: str, reference: str, manifest: dict[str, Any], media_type: str = MANIFEST) -> str:
        """Stores a manifest as it is, under a tag and its digest."""
        body = json.dumps(manifest).encode()
        self.manifests[path, reference] = self.manifests[path, digest(body)] = (media_type, body)
        return digest(body)

    def descriptor(self, media_type: str, data: bytes) -> dict[str, Any]:
        self.blobs[digest(data)] = data
        return {"mediaType": media_type, "digest": digest(data), "size": len(data)}

    def push(
        self, path: str, tag: str, layers: list[tuple[str, bytes]], annotations: dict[str, str] | None = None
    ) -> str:
        """Stores an artifact; its manifest's digest."""
        manifest: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.descriptor(FLUX_CONFIG, b"{}"),
            "layers": [self.descriptor(*layer) for layer in layers],
        }
        if annotations:
            manifest["annotations"] = annotations
        return self.put(path, tag, manifest)

    def push_files(self, path: str, tag: str, files: dict[str, str | bytes], **annotations: str) -> str:
        """Stores files the way `flux push artifact` does."""
        return self.push(path, tag, [(FLUX_CONTENT, tar_gz(files))], annotations or None)
