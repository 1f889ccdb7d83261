"""Key services: which of them hold the data key of an encrypted document, and who one attempt is there.

    document → the services that it names → logins of the attempt's ServiceAccount → variables for sops

A Kustomization may name a ServiceAccount for this, which then logs in at AWS, Azure and Google Cloud; at Vault and
OpenBao it does where the operator's ConfigMap says how, and so does the controller itself. What a Secret brings wins.
What always holds: an attempt that has an account is nobody else at a cloud, neither the controller nor its machine; a
token of Vault goes only to the server that gave it.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import re
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from kustomize_controller.keys import Keys
from shared.api.kustomize import Kustomization
from shared.auth import CONTROLLER, AuthError, Clouds, Who
from shared.auth.tokens import asked_to, asker
from shared.kube.errors import NotFound
from shared.loop.attempt import Attempt
from shared.processes import Stopped
from shared.text import yaml

CLOUDS = frozenset({"aws", "azure", "gcp"})
NOWHERE = {
    "AWS_EC2_METADATA_DISABLED": "true",
    "AZURE_TOKEN_CREDENTIALS": "WorkloadIdentityCredential",
    "GCE_METADATA_HOST": "127.0.0.1:9",
}
"""Keep sops from logging in as the machine that it runs on. Port 9 discards, where anybody listens at all."""
ALLOWLIST = "SOPS_HC_VAULT_ALLOWLIST"
"""Keeps sops from sending a server's token to another."""
_CONFIG = "config.yaml"
_FLAT = re.compile(r"(?:sops_)?(?:key_groups__list_\d+__map_)?(\w+?)__list_\d+__map_(\w+)\s*=\s*(.*)")
_ARN = re.compile(r"arn:aws[\w-]*:kms:([a-z0-9-]{1,64}):", re.A)
_VAULTS = 10


@dataclass(frozen=True)
class Named:
    """The services that may give a document's data key."""

    region: str = ""
    """Of the first key at AWS."""
    azure: bool = False
    gcp: bool = False
    vaults: tuple[str, ...] = ()
    """The addresses of servers."""


@dataclass(frozen=True)
class Login:
    """Who sops is for one try at a document."""

    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    federated: str = field(default="", repr=False)
    """A token for the file of AZURE_FEDERATED_TOKEN_FILE."""
    problems: tuple[str, ...] = ()
    """Why there is no login for a service."""

    @property
    def secrets(self) -> list[str]:
        return [value for name, value in self.variables.items() if name.endswith(("KEY", "TOKEN"))] + [self.federated]


def named(content: bytes, given: str) -> Named:
    """The services that the SOPS metadata of a document name; none when it has no such metadata. Pure."""
    region, azure, gcp, vaults = "", False, False, dict[str, None]()
    for service, key in _keys(content, given):
        match service:
            case "kms" if found := _ARN.match(str(key.get("arn", ""))):
                region = region or found[1]
            case "azure_kv":
                azure = True
            case "gcp_kms":
                gcp = True
            case "hc_vault" if isinstance(key.get("vault_address"), str):
                vaults[key["vault_address"]] = None
    return Named(region, azure, gcp, tuple(vaults))


def who(ks: Kustomization, default_account: str) -> Who:
    """Who a Kustomization is at key services."""
    account = (ks.spec.decryption.service_account_name if ks.spec.decryption else None) or default_account
    return Who(ks.metadata.namespace or "", account) if account else CONTROLLER


def of(ks: Kustomization, attempt: Attempt[Kustomization], clouds: Clouds, keys: Keys | None) -> KeyServices | None:
    """The key services for one attempt; None when sops needs no login of it."""
    if keys is None:
        return None
    options = attempt.options
    account, vaults = who(ks, options.default_decryption_service_account), options.sops_vault_configmap
    if account == CONTROLLER and (not vaults or "vault" in keys.services):
        return None

    async def paths() -> dict[str, str]:
        namespace = options.runtime_namespace
        try:
            found = await attempt.kube.get("v1", "ConfigMap", vaults, namespace)
        except NotFound as error:
            raise AuthError(f"failed to get Vault ConfigMap '{namespace}/{vaults}': {error}") from error
        return login_paths(f"{namespace}/{vaults}", found.get("data") or {})

    return KeyServices(clouds, account, keys.services, paths if vaults else None)


def login_paths(where: str, data: Mapping[str, str]) -> dict[str, str]:
    """Address → login path of the trusted servers, as the operator's ConfigMap lists them. AuthError. Pure."""
    if _CONFIG not in data:
        raise AuthError(f"Vault ConfigMap '{where}' is missing the '{_CONFIG}' key")
    try:
        loaded: Any = yaml.load(data[_CONFIG])
        instances = loaded.get("instances") or []
        return {str(each["address"]): str(each["loginPath"]) for each in instances}
    except (yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
        raise AuthError(
            f"failed to parse '{_CONFIG}' in Vault ConfigMap '{where}': it must list instances, each with address and "
            "loginPath"
        ) from error


class KeyServices:
    """One attempt's logins. Made in the event loop; `logins` is for other threads, `stop` for any."""

    def __init__(
        self,
        clouds: Clouds,
        account: Who,
        brought: frozenset[str],
        paths: Callable[[], Awaitable[Mapping[str, str]]] | None,
    ) -> None:
        """`brought` are the services for which a Secret has credentials; `paths` finds the login paths of servers."""
        self._clouds, self._account, self._brought, self._paths = clouds, account, brought, paths
        self._loop, self._asker = asyncio.get_running_loop(), asker.get()
        self._made: dict[str, asyncio.Task[Any]] = {}
        self._lock = threading.Lock()
        self._waiting: set[concurrent.futures.Future[list[Login]]] = set()
        self._stopped = False

    @property
    def replaced(self) -> frozenset[str]:
        """The services at which the controller's own credentials must not be used."""
        return CLOUDS if self._account != CONTROLLER else frozenset()

    def logins(self, content: bytes, given: str) -> list[Login]:
        """What to try a document with, one after the other; at least one. Blocks. Stopped when the attempt ends."""
        asked = self._logins(named(content, given))
        with self._lock:
            if self._stopped:
                asked.close()
                raise Stopped
            future = asyncio.run_coroutine_threadsafe(asked, self._loop)
            self._waiting.add(future)
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise Stopped from None
        finally:
            with self._lock:
                self._waiting.discard(future)

    def stop(self) -> None:
        """End all waits, at once."""
        with self._lock:
            self._stopped = True
            waiting = list(self._waiting)
        for future in waiting:
            future.cancel()
        self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        for task in self._made.values():
            task.cancel()

    async def _logins(self, wanted: Named) -> list[Login]:
        asker.set(self._asker)  # of this task; the thread that asks belongs to no attempt
        variables: dict[str, str] = {}
        problems: list[str] = []
        federated = ""
        if self._account != CONTROLLER:
            variables |= {name: value for name, value in NOWHERE.items() if _service(name) not in self._brought}
            if wanted.region and "aws" not in self._brought:
                variables |= await self._tried(problems, "aws", self._aws(wanted.region)) or {}
            if wanted.azure and "azure" not in self._brought:
                given = await self._tried(problems, "azure", self._azure()) or {}
                federated = given.pop("AZURE_FEDERATED_TOKEN", "")
                variables |= given
            if wanted.gcp and "gcp" not in self._brought:
                variables |= await self._tried(problems, "gcp", self._gcp()) or {}
        servers: list[dict[str, str]] = []
        if self._paths is not None and "vault" not in self._brought:
            for address in wanted.vaults[:_VAULTS]:
                given = await self._tried(problems, "vault", self._vault(address)) or {}
                servers += [given] if given else []
        return [Login({**variables, **server}, federated, tuple(problems)) for server in servers or [{}]]

    async def _tried(
        self, problems: list[str], service: str, login: Awaitable[dict[str, str]]
    ) -> dict[str, str] | None:
        """A login, or a note of why there is none: another key may do."""
        try:
            with asked_to(f"decrypt_with_{service}"):
                return await login
        except AuthError as error:
            problems.append(str(error))
            return None

    async def _aws(self, region: str) -> dict[str, str]:
        keys = await self._clouds.aws(self._account, region)
        return {
            "AWS_ACCESS_KEY_ID": keys.access,
            "AWS_SECRET_ACCESS_KEY": keys.secret,
            "AWS_SESSION_TOKEN": keys.session,
        }

    async def _azure(self) -> dict[str, str]:
        """The exchange is left to sops, which tells the Key Vault's tenant from its address."""
        found = await self._once("azure", lambda: self._clouds.federated(self._account))
        return {
            "AZURE_TENANT_ID": found.tenant,
            "AZURE_CLIENT_ID": found.client,
            "AZURE_FEDERATED_TOKEN": found.token,
        }

    async def _gcp(self) -> dict[str, str]:
        return {"GOOGLE_OAUTH_ACCESS_TOKEN": await self._clouds.gcp(self._account)}

    async def _vault(self, address: str) -> dict[str, str]:
        assert self._paths is not None
        paths = await self._once("paths", self._paths)
        if not paths.get(address):
            raise AuthError(
                f"no Vault login path is configured for address '{address[:200]}' in the ConfigMap that "
                "--sops-vault-configmap names"
            )
        token = await self._once(address, lambda: self._clouds.vault(address, paths[address], self._account))
        return {"VAULT_TOKEN": token, ALLOWLIST: address}

    async def _once(self, key: str, make: Callable[[], Awaitable[Any]]) -> Any:
        """Made once an attempt, whatever comes of it."""
        if key not in self._made:
            self._made[key] = asyncio.ensure_future(make())
        return await asyncio.shield(self._made[key])


def _service(variable: str) -> str:
    return {"AWS": "aws", "AZU": "azure", "GCE": "gcp"}[variable[:3]]


def _keys(content: bytes, given: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The keys in a document's metadata: service and what is said of the key."""
    if given in ("dotenv", "ini"):
        for line in content.decode(errors="replace").splitlines():
            if found := _FLAT.fullmatch(line.strip()):
                yield found[1], {found[2]: found[3].strip().strip('"')}
        return
    try:
        document: Any = yaml.load(content) if given == "yaml" else orjson.loads(content)
    except (yaml.YAMLError, orjson.JSONDecodeError, UnicodeDecodeError):
        return  # sops says so
    metadata = document.get("sops") if isinstance(document, dict) else None
    groups = [metadata, *_listed(metadata, "key_groups")]
    for group in groups:
        for service in ("kms", "azure_kv", "gcp_kms", "hc_vault"):
            for key in _listed(group, service):
                if isinstance(key, dict):
                    yield service, key


def _listed(of: Any, name: str) -> list[Any]:
    found = of.get(name) if isinstance(of, dict) else None
    return found if isinstance(found, list) else []
