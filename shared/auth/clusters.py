"""Clusters: where a cloud's cluster is, whom to trust there, and who one is in it.

    EKS, AKS or GKE's name of a cluster + a token of the cloud → what the cloud says of it → Access

An address and an authority that are given are not asked for.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from shared import http
from shared.auth import azure_registry
from shared.auth.errors import AuthError
from shared.auth.sessions import SECONDS
from shared.http import HttpError
from shared.text import yaml

AKS = "6dae42f8-4368-4678-94ff-3960e28e3630/.default"
"""The scope of tokens for clusters of AKS, whichever."""
_EKS = re.compile(r"arn:aws[\w-]*:eks:([^:]{1,100}):[0-9]{1,30}:cluster/(.{1,200})", re.A)
_AKS = re.compile(
    r"/subscriptions/([^/]{36})/resourceGroups/([^/]{1,200})/providers/Microsoft\.ContainerService"
    r"/managedClusters/([^/]{1,200})",
    re.IGNORECASE,
)
_GKE = re.compile(r"projects/[^/]{1,200}/locations/[^/]{1,200}/clusters/[^/]{1,200}")
_ARM_VERSION = "2025-10-01"
_ARM = {
    "login.chinacloudapi.cn": ("https://management.chinacloudapi.cn", "https://management.core.chinacloudapi.cn"),
    "login.microsoftonline.us": ("https://management.usgovcloudapi.net", "https://management.core.usgovcloudapi.net"),
}
_PUBLIC_ARM = ("https://management.azure.com", "https://management.core.windows.net/")


@dataclass(frozen=True)
class Place:
    """Where a cluster is, as far as it is known."""

    server: str = ""
    ca: str = ""
    """PEM."""

    @property
    def is_whole(self) -> bool:
        return bool(self.server and self.ca)

    def completed(self, server: object, ca: object) -> Place:
        """With what the cloud says (`ca` in base64) where something is missing. AuthError."""
        try:
            pem = self.ca or base64.b64decode(str(ca or ""), validate=True).decode()
        except (binascii.Error, ValueError) as error:
            raise AuthError("the cluster's certificate authority, as the cloud gives it, can't be read") from error
        found = self.server or str(server or "")
        if not found or not pem:
            raise AuthError("the cloud gives no address or no certificate authority for the cluster")
        return Place(found if "://" in found else f"https://{found}", pem)


def eks(cluster: str) -> tuple[str, str]:
    """Region and name."""
    found = _EKS.fullmatch(cluster)
    if found is None:
        raise AuthError(
            f"'{cluster[:300]}' is no cluster of EKS: it must be arn:aws:eks:<region>:<account>:cluster/<name>"
        )
    return found[1], found[2]


def gke(cluster: str) -> str:
    """The cluster's path."""
    if not _GKE.fullmatch(cluster):
        raise AuthError(
            f"'{cluster[:300]}' is no cluster of GKE: it must be projects/<project>/locations/<place>/clusters/<name>"
        )
    return cluster


def arm() -> tuple[str, str]:
    """Azure's resource manager: its address and the scope of its tokens."""
    custom = azure_registry.environment()
    if custom:
        names = ("resourceManagerEndpoint", "tokenAudience")
        address, audience = (custom.get(name, "") for name in names)
        if not address or not audience:
            raise AuthError(f"the file of AZURE_ENVIRONMENT_FILEPATH must have '{names[0]}' and '{names[1]}'")
    else:
        authority = os.environ.get("AZURE_AUTHORITY_HOST", "")
        host = urlsplit(authority if "//" in authority else f"//{authority}").hostname or ""
        address, audience = _ARM.get(host, _PUBLIC_ARM)
    return address.rstrip("/"), f"{audience}/.default"


async def of_gke(cluster: str, token: str, place: Place, proxy: str) -> Place:
    """What GKE says of a cluster."""
    url = f"https://container.googleapis.com/v1/{quote(gke(cluster))}"
    said = await _asked("GET", url, token, proxy, cluster)
    return place.completed(said.get("endpoint"), (said.get("masterAuth") or {}).get("clusterCaCertificate"))


async def of_aks(cluster: str, token: str, place: Place, proxy: str) -> Place:
    """What AKS says of a cluster: the kubeconfig with the given address, or else the first."""
    found = _AKS.fullmatch(cluster)
    if found is None:
        raise AuthError(
            f"'{cluster[:300]}' is no cluster of AKS: it must be /subscriptions/<id>/resourceGroups/<group>/providers/"
            "Microsoft.ContainerService/managedClusters/<name>"
        )
    group, name = quote(found[2], safe=""), quote(found[3], safe="")
    url = (
        f"{arm()[0]}/subscriptions/{quote(found[1], safe='')}/resourceGroups/{group}/providers"
        f"/Microsoft.ContainerService/managedClusters/{name}"
    )
    version = f"api-version={_ARM_VERSION}"
    said = await _asked("GET", f"{url}?{version}", token, proxy, cluster)
    if not (said.get("properties") or {}).get("aadProfile"):
        raise AuthError(f"the cluster '{cluster}' doesn't know identities of Entra ID: enable that at AKS")
    listed = await _asked("POST", f"{url}/listClusterUserCredential?{version}", token, proxy, cluster)
    servers = [_kubeconfig(each) for each in listed.get("kubeconfigs") or ()]
    for server, ca in servers:
        if not place.server or canonical(server) == canonical(place.server):
            return place.completed(server, ca)
    if not place.server:
        raise AuthError(f"AKS has no kubeconfig of the cluster '{cluster}'")
    names = ", ".join(f"'{server}'" for server, _ in servers)
    raise AuthError(f"the cluster '{cluster}' has no address '{place.server}': it has {names or 'none'}")


def canonical(address: str) -> str:
    """https://host:port in lower case. AuthError for what is no address of a Kubernetes API."""
    parts = urlsplit(address if address.startswith("http") else f"https://{address}")
    try:
        host, port = parts.hostname, parts.port or 443
    except ValueError:
        host, port = None, 0
    if parts.scheme != "https" or not host:
        raise AuthError(f"'{address[:200]}' is no https address of a Kubernetes API")
    return f"https://{f'[{host}]' if ':' in host else host}:{port}"


def _kubeconfig(entry: Any) -> tuple[str, str]:
    """Address and authority (base64) of the first cluster in a kubeconfig."""
    try:
        loaded: Any = yaml.load(base64.b64decode(entry["value"]).decode())
        cluster = loaded["clusters"][0]["cluster"]
        return str(cluster["server"]), str(cluster.get("certificate-authority-data") or "")
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, yaml.YAMLError) as error:
        raise AuthError("AKS gives a kubeconfig that can't be read") from error


async def _asked(method: str, url: str, token: str, proxy: str, cluster: str) -> Mapping[str, Any]:
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
    try:
        async with http.open_(proxy=proxy, seconds=SECONDS) as connection:
            if method == "GET":
                answer = await connection.get(url, headers=headers, limit=1 << 22)
            else:
                answer = await connection.post(url, headers=headers, limit=1 << 22)
    except HttpError as error:
        raise AuthError(f"nothing can be learned of the cluster '{cluster}': {error}") from error
    if not answer.is_good:
        raise AuthError(f"{http.origin(url)} tells nothing of the cluster '{cluster}': {answer.status} {answer.reason}")
    try:
        said = json.loads(answer.body)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise AuthError(f"what {http.origin(url)} says of the cluster '{cluster}' is no JSON object")
    return said
