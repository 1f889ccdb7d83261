"""Clusters: where a cloud's cluster is, whom to trust there, and who one is in it.

    EKS, AKS or GKE's name of a cluster + a token of the cloud → what the cloud says of it → the place chosen

An address and an authority that are given are not asked for, unless the address must be proven to be the cluster's.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
from collections.abc import Mapping, Sequence
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


Known = Sequence[tuple[str, str]]
"""The addresses that a cloud has for a cluster, each with its authority (PEM in base64)."""


def chosen(cluster: str, given: Place, known: Known, *, strict: bool) -> Place:
    """The place among those that a cloud knows: the one with the given address, or else the first. AuthError when there
    is none; with `strict` also for a given address that the cloud doesn't know. Pure."""
    fitting = [each for each in known if not given.server or canonical(each[0]) == canonical(given.server)]
    if not fitting and (strict or not known) and given.server:
        names = ", ".join(f"'{server}'" for server, _ in known)
        raise AuthError(f"the cluster '{cluster}' has no address '{given.server}': it has {names or 'none'}")
    server, ca = (fitting or known or [("", "")])[0]
    try:
        pem = given.ca or base64.b64decode(ca, validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise AuthError("the cluster's certificate authority, as the cloud gives it, can't be read") from error
    if not server or not pem:
        raise AuthError(f"the cloud gives no address or no certificate authority for the cluster '{cluster}'")
    return Place(given.server or server, pem)


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


def aks(cluster: str) -> str:
    """The cluster's path."""
    found = _AKS.fullmatch(cluster)
    if found is None:
        raise AuthError(
            f"'{cluster[:300]}' is no cluster of AKS: it must be /subscriptions/<id>/resourceGroups/<group>/providers/"
            "Microsoft.ContainerService/managedClusters/<name>"
        )
    subscription, group, name = (quote(part, safe="") for part in found.groups())
    place = f"/subscriptions/{subscription}/resourceGroups/{group}"
    return f"{place}/providers/Microsoft.ContainerService/managedClusters/{name}"


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


def of_eks(said: Mapping[str, Any]) -> Known:
    """What EKS says of a cluster. Pure."""
    return [(str(said.get("endpoint") or ""), str((said.get("certificateAuthority") or {}).get("data") or ""))]


async def of_gke(cluster: str, token: str, proxy: str) -> Known:
    """What GKE says of a cluster: its usual address first, then those inside the network and by name."""
    url = f"https://container.googleapis.com/v1/{quote(gke(cluster))}"
    said = await _asked("GET", url, token, proxy, cluster)
    ca = str((said.get("masterAuth") or {}).get("clusterCaCertificate") or "")
    control = said.get("controlPlaneEndpointsConfig") or {}
    by_ip, by_name = control.get("ipEndpointsConfig") or {}, control.get("dnsEndpointConfig") or {}
    inside = (said.get("privateClusterConfig") or {}).get("privateEndpoint")
    named = (
        said.get("endpoint"),
        inside,
        by_ip.get("publicEndpoint"),
        by_ip.get("privateEndpoint"),
        by_name.get("endpoint"),
    )
    return [(str(server), ca) for server in named if server]


async def of_aks(cluster: str, token: str, proxy: str) -> Known:
    """What AKS says of a cluster: the kubeconfigs that it has for users."""
    url = f"{arm()[0]}{aks(cluster)}"
    version = f"api-version={_ARM_VERSION}"
    said = await _asked("GET", f"{url}?{version}", token, proxy, cluster)
    if not (said.get("properties") or {}).get("aadProfile"):
        raise AuthError(f"the cluster '{cluster}' doesn't know identities of Entra ID: enable that at AKS")
    listed = await _asked("POST", f"{url}/listClusterUserCredential?{version}", token, proxy, cluster)
    return [_kubeconfig(each) for each in listed.get("kubeconfigs") or ()]


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
