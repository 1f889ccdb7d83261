"""Another cluster to apply to: what spec.kubeConfig names → the way there.

    Secret: a kubeconfig → Way;  ConfigMap: an address, and whose token → Way

Ways that are equal have equal digests, so that those who go them share one connection.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from shared.api.kustomize import Kustomization
from shared.kube import config
from shared.kube.client import Client
from shared.kube.config import Connection
from shared.kube.credentials import Issued, IssuedToken
from shared.kube.errors import ConfigError, NotFound
from shared.loop.attempt import Attempt
from shared.loop.verdict import Failed, Stalled

GATE = "ObjectLevelWorkloadIdentity"
PROVIDERS = ("aws", "azure", "gcp", "generic")
_ACCOUNT = "system:serviceaccount:"


class NoKubeconfig(Failed):
    """What spec.kubeConfig names isn't there, or the ServiceAccount that logs in isn't."""


@dataclass(frozen=True)
class Way:
    """How one cluster is reached."""

    digest: str
    """Equal for the same way."""
    connection: Connection = field(repr=False)


@dataclass(frozen=True)
class Login:
    """What a ConfigMap says of a cluster and of who logs in there."""

    provider: str
    address: str
    authority: str
    """PEM; the system's authorities when empty."""
    audiences: tuple[str, ...]
    """Of the ServiceAccount's token."""
    account: str
    """The ServiceAccount in the Kustomization's namespace; empty for the controller's own."""


async def find(ks: Kustomization, attempt: Attempt[Kustomization], known: Mapping[str, Connection]) -> Way:
    """The way to the cluster that spec.kubeConfig says; `known` are the connections there are already, by digest.
    ReconciliationFailed when it can't be had; a NoKubeconfig when something it needs isn't there."""
    assert ks.spec.kube_config is not None
    if ks.spec.kube_config.config_map_ref is not None:
        way = await _by_login(ks, attempt, ks.spec.kube_config.config_map_ref.name, known)
    else:
        way = await _by_kubeconfig(ks, attempt, known)
    return way


async def _by_kubeconfig(ks: Kustomization, attempt: Attempt[Kustomization], known: Mapping[str, Connection]) -> Way:
    reference = ks.spec.kube_config.secret_ref if ks.spec.kube_config else None
    assert reference is not None, "the API takes exactly one of the two references"
    where = f"{ks.metadata.namespace}/{reference.name}"
    try:
        data = await attempt.secret(reference.name)
    except NotFound as error:
        raise NoKubeconfig("ReconciliationFailed", f"can't read the kubeconfig Secret '{where}': {error}") from error
    keys = [reference.key] if reference.key else ["value", "value.yaml"]
    text = next((data[key] for key in keys if key in data), None)
    if text is None:
        wanted = " or ".join(f"'{key}'" for key in keys)
        raise Failed("ReconciliationFailed", f"the kubeconfig Secret '{where}' has no key {wanted}")
    digest = hashlib.sha256(text).hexdigest()
    if digest in known:
        return Way(digest, known[digest])
    try:
        connection = config.from_kubeconfig_text(
            text,
            allow_plugins=attempt.options.insecure_kubeconfig_exec,
            allow_insecure=attempt.options.insecure_kubeconfig_tls,
            source=f"the kubeconfig Secret '{where}'",
        )
    except ConfigError as error:
        raise Failed("ReconciliationFailed", str(error)) from error
    return Way(digest, connection)


async def _by_login(
    ks: Kustomization, attempt: Attempt[Kustomization], name: str, known: Mapping[str, Connection]
) -> Way:
    namespace = ks.metadata.namespace or ""
    where = f"{namespace}/{name}"
    try:
        manifest = await attempt.kube.get("v1", "ConfigMap", name, namespace)
    except NotFound as error:
        raise NoKubeconfig("ReconciliationFailed", f"can't read the kubeconfig ConfigMap '{where}': {error}") from error
    told = login(where, manifest.get("data") or {}, attempt.options.default_kubeconfig_service_account)
    if told.account and not attempt.options.feature_gates[GATE]:
        raise Failed(
            "ReconciliationFailed",
            f"the kubeconfig ConfigMap '{where}' logs in as ServiceAccount {namespace}/{told.account}: "
            f"{GATE} feature gate is not enabled, start the controller with --feature-gates={GATE}=true",
        )
    digest = _digest(told, namespace)
    connection = known.get(digest)
    try:
        if connection is None:
            connection = _connection(told, namespace, attempt.kube, attempt.options)
        await connection.credentials.headers()  # so that a login that fails is told as such
    except ConfigError as error:
        problem = f"can't log in as the kubeconfig ConfigMap '{where}' says: {error}"
        gone = isinstance(error.__cause__, NotFound)
        raise (NoKubeconfig if gone else Failed)("ReconciliationFailed", problem) from error
    return Way(digest, connection)


def login(where: str, data: Mapping[str, str], default_account: str = "") -> Login:
    """What a ConfigMap's data say. Failed names what is missing; Stalled when the provider is one that isn't built."""
    provider = data.get("provider", "")
    if provider not in PROVIDERS:
        given = f"has the provider '{provider}'" if provider else "has no provider"
        raise Failed(
            "ReconciliationFailed",
            f"the kubeconfig ConfigMap '{where}' {given}: it must be one of {', '.join(PROVIDERS)}",
        )
    if provider != "generic":
        raise Stalled(
            "NotImplemented",
            f"the provider '{provider}' of the kubeconfig ConfigMap '{where}' is not supported by this version: use "
            "the provider generic, or a kubeconfig in a Secret",
        )
    address = data.get("address", "").strip()
    if not address:
        raise Failed("ReconciliationFailed", f"the kubeconfig ConfigMap '{where}' has no address: generic needs it")
    audiences = tuple(line.strip() for line in data.get("audiences", "").splitlines() if line.strip())
    account = data.get("serviceAccountName", "").strip() or default_account
    return Login(provider, address, data.get("ca.crt", ""), audiences or (address,), account)


def _digest(told: Login, namespace: str) -> str:
    who = [namespace, told.account] if told.account else []
    said = [told.provider, told.address, told.authority, told.audiences, who]
    return hashlib.sha256(orjson.dumps(said)).hexdigest()


def _connection(told: Login, namespace: str, client: Client, options: Any) -> Connection:
    async def issue() -> IssuedToken:
        if told.account:
            return await client.create_token(told.account, namespace, told.audiences)
        own_namespace, own = await _own_account(client)
        await _require_harmless(told, client, own_namespace, own)
        return await client.create_token(own, own_namespace, told.audiences)

    credentials = Issued(issue, longest=options.token_cache_max_duration)
    return config.of_server(told.address, told.authority, credentials)


async def _require_harmless(told: Login, client: Client, namespace: str, name: str) -> None:
    """A tenant writes the ConfigMap: it must not make the controller send a token of its own, that its own cluster
    takes, to a server of the tenant's choice. ConfigError."""
    usual = await client.create_token(name, namespace)
    if set(usual.audiences) & set(told.audiences) and config.canonical(told.address) != client.server:
        raise ConfigError(
            f"a token for {', '.join(told.audiences)} would make {told.address} the controller itself: "
            "leave out audiences, or set serviceAccountName"
        )


async def _own_account(client: Client) -> tuple[str, str]:
    """Namespace and name of the ServiceAccount that the controller runs as. ConfigError when it is none."""
    user = await client.whoami()
    namespace, _, name = user.removeprefix(_ACCOUNT).partition(":")
    if not user.startswith(_ACCOUNT) or not name:
        raise ConfigError(f"the controller runs as '{user}', which is no ServiceAccount: set serviceAccountName")
    return namespace, name
