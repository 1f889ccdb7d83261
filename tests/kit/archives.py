"""Hostile archives for tests, and a server that hands out bytes by name."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

GIBIBYTE = 1 << 30


def archive(*members: tarfile.TarInfo, content: bytes = b"") -> bytes:
    """A .tar.gz of these members as they are, checked by nobody; a regular file has `content`."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for member in members:
            if member.isreg():
                member.size = len(content)
            tar.addfile(member, io.BytesIO(content) if member.isreg() else None)
    return gzip.compress(data.getvalue())


def file(name: str) -> tarfile.TarInfo:
    """A regular file."""
    return tarfile.TarInfo(name)


def link(name: str, target: str, *, hard: bool = False) -> tarfile.TarInfo:
    """A link."""
    made = tarfile.TarInfo(name)
    made.type, made.linkname = tarfile.LNKTYPE if hard else tarfile.SYMTYPE, target
    return made


def bomb(size: int = 10 * GIBIBYTE) -> bytes:
    """A .tar.gz with one file of that many zeros, a thousandth of it in size."""
    header = tarfile.TarInfo("zeros")
    header.size = size
    chunk = 1 << 26
    zeros = gzip.compress(bytes(chunk))
    return gzip.compress(header.tobuf(tarfile.GNU_FORMAT)) + zeros * (size // chunk)


def digest(data: bytes) -> str:
    """As an artifact has it."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class Files:
    """Serves `held` by name on the loopback interface; what isn't there is 404."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}

    def __enter__(self) -> Files:
        held = self.held

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: object) -> None:
                pass

            def do_GET(self) -> None:
                data = held.get(self.path.lstrip("/"))
                self.send_response(404 if data is None else 200)
                self.send_header("Content-Length", str(len(data or b"")))
                self.end_headers()
                self.wfile.write(data or b"")

        self._httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._httpd.daemon_threads = True
        self._httpd.handle_error = lambda *_: None  # type: ignore[method-assign]
        threading.Thread(target=self._httpd.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._httpd.shutdown()
        self._httpd.server_close()

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self._httpd.server_port}/{name}"
