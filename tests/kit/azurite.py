"""Azurite: Microsoft's own stand-in for Blob Storage, of which tests read containers.

    with Azurite(folder, pem) as running:
        running.put("app", {"a.yaml": b"a: 1"})

It is a program for Node.js: `python -m tests.kit.azurite` (which `make tools` does) or the first test that needs it
installs it by npm, in $FLUVIAL_CACHE (default ~/.cache/fluvial). Without npm those tests are skipped and say so.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hmac
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

import pytest
import requests

from fluvial.processes import free_ports
from tests.upstream.controlplane.build import cache

VERSION = "3.35.0"
ACCOUNT = "devstoreaccount1"
ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""What Azurite documents for everyone."""
_API = "2021-12-02"
_FOLDER = cache() / f"azurite-{VERSION}"
"""Of the user who runs the tests, whatever HOME a test has."""
_PROGRAM = _FOLDER / "node_modules" / ".bin" / "azurite-blob"


def install() -> str:
    """Installs it unless that was done; why it can't be, else nothing."""
    _FOLDER.parent.mkdir(parents=True, exist_ok=True)
    with (_FOLDER.parent / "azurite.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _PROGRAM.exists():
            return ""
        if not shutil.which("npm"):
            return "Azurite needs npm (Node.js) to be installed"
        shutil.rmtree(_FOLDER, ignore_errors=True)  # what an interrupted installation left
        command = ["npm", "install", "--prefix", str(_FOLDER), "--no-audit", "--no-fund", f"azurite@{VERSION}"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=600)
        except subprocess.TimeoutExpired:
            return "Azurite can't be installed: npm takes longer than ten minutes"
        return f"Azurite can't be installed: {done.stderr[-500:]}" if done.returncode else ""


class Azurite:
    """The Blob Storage of one account, in memory, over HTTPS so that it takes tokens."""

    host = f"{ACCOUNT}.blob.core.windows.net"
    """What it answers to, beside its address."""

    def __init__(self, folder: Path, pem: Path) -> None:
        """`pem` has a certificate, whosever, and its key."""
        if problem := install():
            pytest.skip(problem)
        (port,) = free_ports(1)
        self.address = f"https://127.0.0.1:{port}"
        self._log = (folder / "azurite.log").open("w")
        self._process = subprocess.Popen(
            [str(_PROGRAM), "--inMemoryPersistence", "--skipApiVersionCheck", "--oauth", "basic", "--cert", str(pem),
             "--key", str(pem), "--blobHost", "127.0.0.1", "--blobPort", str(port), "--silent"],
            cwd=folder, stdout=self._log, stderr=self._log, start_new_session=True,
        )  # fmt: skip
        deadline = time.monotonic() + 60
        while True:
            try:
                requests.get(self.address, verify=False, timeout=5)
                return
            except requests.ConnectionError:
                assert self._process.poll() is None, (folder / "azurite.log").read_text()
                assert time.monotonic() < deadline, "azurite doesn't answer"
                time.sleep(0.1)

    def __enter__(self) -> Azurite:
        return self

    def __exit__(self, *exc: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._log.close()

    def put(self, container: str, blobs: dict[str, bytes]) -> None:
        """Makes a container, if it isn't there, and these blobs in it."""
        self._send("PUT", f"/{ACCOUNT}/{container}?restype=container", b"", {})
        for name, data in blobs.items():
            self._send("PUT", f"/{ACCOUNT}/{container}/{quote(name)}", data, {"x-ms-blob-type": "BlockBlob"})

    def shared_access(self, permissions: str = "rl") -> str:
        """A signature for an hour, by which anyone may list and read this account's containers."""
        until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
        signed = [ACCOUNT, permissions, "b", "sco", "", until, "", "", _API, "", ""]
        signature = _signature("\n".join(signed))
        return urlencode({"sv": _API, "ss": "b", "srt": "sco", "sp": permissions, "se": until, "sig": signature})

    def _send(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> None:
        parts = urlsplit(path)
        now = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime())
        headers = {**headers, "x-ms-date": now, "x-ms-version": _API}
        query = dict(part.split("=") for part in parts.query.split("&") if part)
        shown = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
        asked = "".join(f"\n{name}:{query[name]}" for name in sorted(query))
        length = str(len(body)) if body else ""
        text = f"{method}\n\n\n{length}\n\n\n\n\n\n\n\n\n{shown}/{ACCOUNT}{parts.path}{asked}"
        headers["Authorization"] = f"SharedKey {ACCOUNT}:{_signature(text)}"
        answer = requests.request(method, self.address + path, data=body, headers=headers, verify=False, timeout=20)
        assert answer.status_code in (201, 409), answer.text


def _signature(text: str) -> str:
    return base64.b64encode(hmac.digest(base64.b64decode(ACCOUNT_KEY), text.encode(), "sha256")).decode()


if __name__ == "__main__":
    if problem := install():
        print(problem, file=sys.stderr)
