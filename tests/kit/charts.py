"""Charts and a chart repository for tests, over HTTP on the loopback interface.

    with ChartRepository() as charts:
        charts.add("demo", "1.0.0")     # charts.url is where its index.yaml is

`require(user, password)` wants basic auth; `index` may be set to bytes to serve instead of the true index; `answer` to
a function of the path that returns a status and headers to answer instead; `requests` lists what was asked, with the
Authorization header. With `tags` indexes have an ETag; `served` lists the statuses with which they were answered.
"""

from __future__ import annotations

import base64
import hashlib
import json
import ssl
from collections.abc import Callable
from typing import Any

from tests.kit.loopback import Handler, Loopback
from tests.kit.registry import tar_gz


def chart(name: str, version: str = "1.0.0", files: dict[str, str] | None = None, **metadata: Any) -> dict[str, str]:
    """A chart's files, by their path in its folder."""
    meta = {"apiVersion": "v2", "name": name, "version": version, **metadata}
    template = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}}\n"
    made = {"Chart.yaml": json.dumps(meta), "values.yaml": "replicas: 1\n", "templates/config.yaml": template}
    return {**made, **(files or {})}


def package(files: dict[str, str]) -> bytes:
    """The .tgz of a chart's files."""
    name = json.loads(files["Chart.yaml"])["name"]
    return tar_gz({f"{name}/{path}": content for path, content in files.items()})


class _Handler(Handler):
    owner: ChartRepository

    def do_GET(self) -> None:
        owner, name = self.owner, self.path.lstrip("/")
        sent = self.headers.get("Authorization", "")
        owner.requests.append((self.path, sent))
        index = json.dumps({"apiVersion": "v1", "entries": owner.entries}).encode()
        if instead := owner.answer(self.path):
            self.reply(instead[0], **instead[1])
        elif owner.authorization and sent != owner.authorization:
            self.reply(401, b"unauthorized")
        elif name == "index.yaml":
            self._reply_index(index if owner.index is None else owner.index)
        elif name in owner.packages:
            self.reply(200, owner.packages[name])
        else:
            self.reply(404, b"not found")

    def _reply_index(self, index: bytes) -> None:
        tag = f'W/"{hashlib.sha256(index).hexdigest()}"'
        status = 304 if self.owner.tags and self.headers.get("If-None-Match") == tag else 200
        self.owner.served.append(status)
        self.reply(status, index if status == 200 else b"", **({"ETag": tag} if self.owner.tags else {}))


class ChartRepository(Loopback):
    """Serves `packages` and an index of them."""

    handler = _Handler
    url = Loopback.address

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls)
        self.packages: dict[str, bytes] = {}
        self.entries: dict[str, list[dict[str, Any]]] = {}
        self.index: bytes | None = None
        self.authorization = ""
        self.answer: Callable[[str], tuple[int, dict[str, str]] | None] = lambda path: None
        self.requests: list[tuple[str, str]] = []
        self.tags = False
        self.served: list[int] = []

    def require(self, username: str, password: str) -> None:
        self.authorization = "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()

    def add(self, name: str, version: str, files: dict[str, str] | None = None, url: str = "") -> bytes:
        """Publishes a chart; its package."""
        data = package(files or chart(name, version))
        file = f"{name}-{version}.tgz"
        self.packages[file] = data
        entry = {"name": name, "version": version, "digest": hashlib.sha256(data).hexdigest(), "urls": [url or file]}
        self.entries.setdefault(name, []).append(entry)
        return data
