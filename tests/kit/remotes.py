"""A source of each kind with the server that it is fetched from, alike to tests: change it, and spoil what it sends.

with bucket(world) as remote:
    remote.change(LARGE)             # the next artifact has other bytes, so many
    remote.server.spoil = cut        # what is fetched from now on comes in half
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.kit import charts
from tests.kit.charts import ChartRepository
from tests.kit.gitserver import GitServer
from tests.kit.loopback import Loopback
from tests.kit.registry import Registry
from tests.kit.s3 import S3

LARGE = 64 * 1024
"""Bytes that do not compress: a transfer of so many has a middle to be cut in."""


@dataclass
class Remote:
    """A source and its server."""

    kind: str
    server: Any
    spec: dict[str, Any]
    change: Callable[[int], object]
    """Makes what is to be fetched another, of about so many bytes."""
    is_content: Callable[[str, bytes], bool]
    """Is this answer, by its path and body, what the artifact is made of?"""
    require: Callable[[str, str], object]
    """Lets only this user with this password in."""
    elsewhere: Loopback
    """Another server of its kind, which records what it is asked in `requests`."""
    before: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    """Kind, name and spec of objects that it refers to."""
    refers_secret: str = ""
    """The name of the one of those that has the secretRef; the source itself when empty."""


@contextlib.contextmanager
def git(folder: Path) -> Iterator[Remote]:
    with GitServer(folder / "git") as server, GitServer(folder / "other") as elsewhere:
        repo = server.create("app")
        elsewhere.create("app").commit({"a": "1"})

        def change(size: int) -> None:
            repo.commit({"a": os.urandom(size)})

        change(LARGE)
        yield Remote(
            "GitRepository",
            server,
            {"url": repo.url},
            change,
            lambda path, body: b"PACK" in body,
            lambda user, password: server.require(repo, user, password),
            elsewhere,
        )


@contextlib.contextmanager
def oci(folder: Path) -> Iterator[Remote]:
    with Registry() as server, Registry() as elsewhere:

        def change(size: int) -> None:
            server.push_files("app", "v1", {"a": os.urandom(size)})

        change(LARGE)
        yield Remote(
            "OCIRepository",
            server,
            {"url": server.url("app"), "ref": {"tag": "v1"}, "insecure": True},
            change,
            lambda path, body: "/blobs/" in path,
            lambda user, password: server.require("app", user, password),
            elsewhere,
        )


@contextlib.contextmanager
def bucket(folder: Path) -> Iterator[Remote]:
    with S3() as server, S3() as elsewhere:

        def change(size: int) -> None:
            server.buckets["app"] = {"a": os.urandom(size)}

        def require(user: str, password: str) -> None:
            server.keys["app"] = user

        change(LARGE)
        yield Remote(
            "Bucket",
            server,
            {"bucketName": "app", "endpoint": server.endpoint, "insecure": True},
            change,
            lambda path, body: path == "/app/a",
            require,
            elsewhere,
        )


@contextlib.contextmanager
def index(folder: Path, *, of_chart: bool = False) -> Iterator[Remote]:
    """A HelmRepository whose index has the size that is asked for, or `of_chart` its one chart."""
    with ChartRepository() as server, ChartRepository() as elsewhere:
        count = iter(range(1000))

        def change(size: int) -> None:
            version = f"1.{next(count)}.0"
            noise = os.urandom(size // 2).hex()
            server.entries.clear()
            server.add("demo", version, charts.chart("demo", version, {"blob": noise}))
            server.entries["demo"][-1]["description"] = noise[: LARGE if of_chart else None]

        change(LARGE)
        yield Remote(
            "HelmRepository",
            server,
            {"url": server.url},
            change,
            lambda path, body: path == "/index.yaml",
            server.require,
            elsewhere,
        )


@contextlib.contextmanager
def chart(folder: Path) -> Iterator[Remote]:
    with index(folder, of_chart=True) as remote:
        yield Remote(
            "HelmChart",
            remote.server,
            {"chart": "demo", "version": "*", "sourceRef": {"kind": "HelmRepository", "name": "charts"}},
            remote.change,
            lambda path, body: path.endswith(".tgz"),
            remote.require,
            remote.elsewhere,
            before=[("HelmRepository", "charts", remote.spec)],
            refers_secret="charts",
        )


REMOTES = {"git": git, "oci": oci, "bucket": bucket, "index": index, "chart": chart}
