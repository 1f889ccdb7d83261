"""What deploy/ builds, for the tests of it."""

from __future__ import annotations

import copy
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import aiohttp

from shared import kustomize
from shared.api.meta import Manifest
from shared.text import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMMANDS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]


@cache
def _built() -> list[Manifest]:
    return yaml.load_all(kustomize.build(kustomize.DiskTree(ROOT), "/deploy").yaml())


def manifests(kind: str = "") -> list[Manifest]:
    """All manifests, or those of a kind; copies."""
    return [copy.deepcopy(manifest) for manifest in _built() if kind in ("", manifest["kind"])]


def names(kind: str) -> set[str]:
    return {manifest["metadata"]["name"] for manifest in manifests(kind)}


def label(manifest: Manifest) -> str:
    """The name of a test about it."""
    return f"{manifest['kind']}/{manifest['metadata']['name']}"


def container(deployment: Manifest) -> Any:
    (only,) = deployment["spec"]["template"]["spec"]["containers"]
    return only


class Admin:
    """An administrator's view of an embedded API."""

    def __init__(self, server: Any, session: aiohttp.ClientSession) -> None:
        self._url = server.url
        self._session = session
        self._headers = {"Authorization": f"Bearer {server.token}", "Content-Type": "application/apply-patch+yaml"}

    async def apply(self, manifest: Manifest) -> tuple[int, Any]:
        """Status and body of the answer to applying it."""
        return await self.send("PATCH", f"{path(manifest)}?fieldManager=test", yaml.dump(manifest))

    async def send(self, method: str, where: str, body: str | None = None) -> tuple[int, Any]:
        async with self._session.request(method, self._url + where, data=body, headers=self._headers) as answer:
            return answer.status, await answer.json()


def path(manifest: Manifest) -> str:
    """Where the API has it."""
    version, kind, metadata = manifest["apiVersion"], manifest["kind"], manifest["metadata"]
    plural = kind.lower().removesuffix("y") + ("ies" if kind.endswith("y") else "s")
    space = f"/namespaces/{metadata['namespace']}" if "namespace" in metadata else ""
    return f"/{'apis' if '/' in version else 'api'}/{version}{space}/{plural}/{metadata['name']}"
