"""Another cluster to apply to: what spec.kubeConfig names → the way there.

    Secret: a kubeconfig → Way;  ConfigMap: a cluster, and whose token, of Kubernetes or of a cloud → Way

Ways that are equal have equal digests, so that those who go them share one connection.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import orjson

from shared.api.kustomize import Kustomization
from shared.auth import CONTROLLER, Access, AuthError, Clouds, NoAccount, Who
from shared.auth.accounts import GATE
from shared.auth.tokens import asked_to
from shared.kube import config
from shared.kube.accounts import Accounts
from shared.kube.client import Client
from shared.kube.config import Connection
from shared.kube.credentials import Issued, IssuedToken
from shared.kube.errors import ConfigError, NotFound
from shared.loop.attempt import Attempt
from shared.loop.verdict import Failed

PROVIDERS = ("aws", "azure", "gcp", "generic")


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
    cluster: str
    """Its name at the cloud."""
    address: str
    """Empty for what the cloud says."""
    authority: str
    """PEM; when empty that of the cloud, or for generic the system's authorities."""
    audiences: tuple[str, ...]
    """Of the ServiceAccount's token; empty for those of the cloud."""
    account: str
    """The ServiceAccount in the Kustomization's namespace; empty for the controller's own."""


async def find(
    ks: Kustomization, attempt: Attempt[Kustomization], clouds: Clouds, known: Mapping[str, Connection]
) -> Way:
    """The way to the cluster that spec.kubeConfig says; `known` are the connections there are already, by digest.
    ReconciliationFailed when it can't be had; a NoKubeconfig when something it needs isn't there."""
    assert ks.spec.kube_config is not None
    if ks.spec.kube_config.config_map_ref is not None:
        way = await _by_login(ks, attempt, ks.spec.kube_config.config_map_ref.name, clouds, known)
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
    ks: Kustomization, attempt: Attempt[Kustomization], name: str, clouds: Clouds, known: Mapping[str, Connection]
) -> Way:
    namespace = ks.metadata.namespace or ""
    where = f"{namespace}/{name}"
    try:
        manifest = await attempt.config("ConfigMap", name, namespace)
    except NotFound as error:
        raise NoKubeconfig("ReconciliationFailed", f"can't read the kubeconfig ConfigMap '{where}': {error}") from error
    told = login(where, manifest.get("data") or {}, attempt.options.default_kubeconfig_service_account)
    if told.account and not attempt.options.feature_gates[GATE]:
        raise Failed(
            "ReconciliationFailed",
            f"the kubeconfig ConfigMap '{where}' logs in as ServiceAccount {namespace}/{told.account}: "
            f"{GATE} feature gate is not enabled, start the controller with --feature-gates={GATE}=true",
        )
    try:
        if told.provider == "generic":
            way = _of_kubernetes(told, namespace, attempt, known)
        else:
            way = await _of_cloud(told, namespace, attempt, clouds, known)
        await way.connection.credentials.headers()  # so that a login that fails is told as such
    except ConfigError as error:
        problem = f"can't log in as the kubeconfig ConfigMap '{where}' says: {error}"
        cause = error.__cause__
        gone = isinstance(cause, NotFound) or (isinstance(cause, AuthError) and isinstance(cause.__cause__, NoAccount))
        raise (NoKubeconfig if gone else Failed)("ReconciliationFailed", problem) from error
    return way


def login(where: str, data: Mapping[str, str], default_account: str = "") -> Login:
    """What a ConfigMap's data say. Failed names what is missing."""
    provider = data.get("provider", "")
    if provider not in PROVIDERS:
        given = f"has the provider '{provider}'" if provider else "has no provider"
        raise Failed(
            "ReconciliationFailed",
            f"the kubeconfig ConfigMap '{where}' {given}: it must be one of {', '.join(PROVIDERS)}",
        )
    address, cluster, authority = (
        data.get("address", "").strip(),
        data.get("cluster", "").strip(),
        data.get("ca.crt", ""),
    )
    if provider == "generic" and not address:
        raise Failed("ReconciliationFailed", f"the kubeconfig ConfigMap '{where}' has no address: generic needs it")
    if provider != "generic" and not cluster and (provider == "aws" or not (address and authority.strip())):
        need = "aws needs it" if provider == "aws" else f"{provider} needs it, or both address and ca.crt"
        raise Failed("ReconciliationFailed", f"the kubeconfig ConfigMap '{where}' has no cluster: {need}")
    audiences = tuple(line.strip() for line in data.get("audiences", "").splitlines() if line.strip())
    if provider == "generic":
        cluster, audiences = "", audiences or (address,)
    account = data.get("serviceAccountName", "").strip() or default_account
    return Login(provider, cluster, address, authority, audiences, account)


def _digest(told: Login, namespace: str) -> str:
    who = [namespace, told.account] if told.account else []
    said = [told.provider, told.cluster, told.address, told.authority, told.audiences, who]
    return hashlib.sha256(orjson.dumps(said)).hexdigest()


async def _of_cloud(
    told: Login, namespace: str, attempt: Attempt[Kustomization], clouds: Clouds, known: Mapping[str, Connection]
) -> Way:
    """The way that a cloud says. When it says another one, that is another connection."""
    who = Who(namespace, told.account) if told.account else CONTROLLER

    async def log_in() -> Access:
        try:
            with asked_to("fetch_kubeconfig"):
                return await clouds.cluster(
                    told.provider,
                    told.cluster,
                    who,
                    address=told.address,
                    ca=told.authority.strip(),
                    audiences=told.audiences,
                )
        except AuthError as error:
            raise ConfigError(str(error)) from error

    async def issue() -> IssuedToken:
        access = await log_in()
        return IssuedToken(access.token, access.expires)

    access = await log_in()
    digest = _digest(replace(told, address=access.server, authority=access.ca), namespace)
    if digest in known:
        return Way(digest, known[digest])
    credentials = Issued(issue, longest=attempt.options.token_cache_max_duration)
    return Way(digest, config.of_server(access.server, access.ca, credentials))


def _of_kubernetes(
    told: Login, namespace: str, attempt: Attempt[Kustomization], known: Mapping[str, Connection]
) -> Way:
    """The way with a token of this cluster, which the other one must trust."""
    client, digest = attempt.kube, _digest(told, namespace)
    if digest in known:
        return Way(digest, known[digest])

    async def issue() -> IssuedToken:
        if told.account:
            return await client.create_token(told.account, namespace, told.audiences)
        try:
            own_namespace, own = await Accounts(client).own()
        except AuthError as error:
            raise ConfigError(str(error)) from error
        await _require_harmless(told, client, own_namespace, own)
        return await client.create_token(own, own_namespace, told.audiences)

    credentials = Issued(issue, longest=attempt.options.token_cache_max_duration)
    return Way(digest, config.of_server(told.address, told.authority, credentials))


async def _require_harmless(told: Login, client: Client, namespace: str, name: str) -> None:
    """A tenant writes the ConfigMap: it must not make the controller send a token of its own, that its own cluster
    takes, to a server of the tenant's choice. ConfigError."""
    usual = await client.create_token(name, namespace)
    if set(usual.audiences) & set(told.audiences) and config.canonical(told.address) != client.server:
        raise ConfigError(
            f"a token for {', '.join(told.audiences)} would make {told.address} the controller itself: "
            "leave out audiences, or set serviceAccountName"
        )
