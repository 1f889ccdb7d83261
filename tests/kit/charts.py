"""Charts and a chart repository for tests, over HTTP on the loopback interface.

    with ChartRepository() as charts:
        charts.add("demo", "1.0.0")     # charts.url is where its index.yaml is

`require(user, password)` wants basic auth; `index` may be set to bytes to serve instead of the true index; `requests`
lists what was asked, with the Authorization header.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

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


class ChartRepository:
    """Serves `packages` and an index of them."""

    def __init__(self) -> None:
        self.packages: dict[str, bytes] = {}
        self.entries: dict[str, list[dict[str, Any]]] = {}
        self.index: bytes | None = None
        self.authorization = ""
        self.requests: list[tuple[str, str]] = []

    def __enter__(self) -> ChartRepository:
        handler = type("Handler", (_Handler,), {"owner": self})
        self._httpd = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._httpd.daemon_threads = True
        threading.Thread(target=self._httpd.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._httpd.shutdown()
        self._httpd.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._httpd.server_port}"

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


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: ChartRepository

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        owner, name = self.owner, self.path.lstrip("/")
        sent = self.headers.get("Authorization", "")
        owner.requests.append((self.path, sent))
        index = json.dumps({"apiVersion": "v1", "entries": owner.entries}).encode()
        if owner.authorization and sent != owner.authorization:
            status, body = 401, b"unauthorized"
        elif name == "index.yaml":
            status, body = 200, index if owner.index is None else owner.index
        else:
            status, body = (200, owner.packages[name]) if name in owner.packages else (404, b"not found")
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
