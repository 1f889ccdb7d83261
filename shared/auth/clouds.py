"""Clouds: all that one process asks of clouds' logins, each thing once for all objects that share an identity.

Who → annotations → the account's token → the cloud's token → what it is good for
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from shared.auth import accounts, aws, azure, azure_registry, clusters, gcp, threads, vault
from shared.auth.accounts import CONTROLLER, Accounts, Who
from shared.auth.clusters import Known, Place
from shared.auth.errors import AuthError
from shared.auth.results import Access, Federated, Keys, Login
from shared.auth.tokens import Fresh, Tokens, ending
from shared.auth.wishes import Cloud, Wish


class Clouds:
    """`object_level` is the gate ObjectLevelWorkloadIdentity; `default_account` names the ServiceAccount of objects
    that name none, in their namespace."""

    def __init__(
        self, kube: Accounts, tokens: Tokens, *, object_level: bool = False, default_account: str = ""
    ) -> None:
        self._kube, self.tokens = kube, tokens
        self._object_level, self._default = object_level, default_account

    def who(self, namespace: str | None, name: str | None) -> Who:
        """Whose identity an object has that names this ServiceAccount, or none. GateClosed."""
        return accounts.chosen(namespace or "", name, object_level=self._object_level, default=self._default)

    async def aws(self, who: Who, region: str = "", *, endpoint: str = "", proxy: str = "") -> Keys:
        """Keys for AWS. `endpoint` is that of STS; the region is AWS_REGION where none is given."""
        return await self._aws(who, Wish(region=region, endpoint=endpoint, proxy=proxy))

    async def azure(self, who: Who, scope: str, *, proxy: str = "") -> str:
        """An access token of Entra ID for a scope, such as azure.BLOBS."""
        return str((await self._fresh(azure, who, Wish(scope=scope, proxy=proxy))).value)

    async def gcp(self, who: Who, *, proxy: str = "") -> str:
        """An access token of Google Cloud."""
        return str((await self._fresh(gcp, who, Wish(proxy=proxy))).value)

    async def federated(self, who: Who) -> Federated:
        """What a child process needs to log in at Entra ID as this account. Not for the controller itself, whose
        environment a child has anyway."""
        said = await accounts.about(self._kube, who)
        tenant, _, client = azure.identity(said).partition("/")
        return Federated(tenant, client, await self._kube.token(who.namespace, who.name, [azure.audience(said)]))

    async def vault(self, address: str, path: str, who: Who) -> str:
        """A token of the Vault or OpenBao server at `address`, by logging in at `path` as the role that the account's
        namespace and name say: `namespace_name`. The controller's own account where `who` is the controller."""
        namespace, name = (who.namespace, who.name) if who != CONTROLLER else await self._kube.own()
        audience = address

        async def make() -> Fresh[str]:
            token = await self._kube.token(namespace, name, [audience])
            try:
                return Fresh(token, ending(token))
            except ValueError as error:
                raise AuthError(f"the token of service account '{namespace}/{name}' can't be read: {error}") from error

        token = await self.tokens.find(("kubernetes", namespace, name, audience), make)
        return await vault.login(address, path, f"{namespace}_{name}", token)

    async def registry(self, provider: str, host: str, who: Who = CONTROLLER, *, proxy: str = "") -> Login:
        """The login at a registry of a cloud: ECR, ACR, Artifact Registry."""
        match provider:
            case "aws":
                keys = await self.aws(who, aws.registry_region(host), proxy=proxy)
                about = ("ecr", host, keys.access, keys.session, proxy)
                return await self.tokens.find(about, lambda: threads.done(aws.registry_login, host, keys, proxy))
            case "azure":
                token = await self.azure(who, azure_registry.scope(host), proxy=proxy)
                return await self.tokens.find(
                    ("acr", host, token, proxy), lambda: azure_registry.login(host, token, proxy)
                )
            case "gcp":
                gcp.require_registry(host)
                return Login("oauth2accesstoken", await self.gcp(who, proxy=proxy))
        raise AuthError(f"there is no provider '{provider}' of registries")

    async def git(self, provider: str, url: str, who: Who = CONTROLLER, *, proxy: str = "") -> Login:
        """The login at a Git server of a cloud: Azure DevOps, CodeCommit."""
        match provider:
            case "azure":
                return Login(bearer=await self.azure(who, azure.DEVOPS, proxy=proxy))
            case "aws":
                keys = await self.aws(who, aws.git_region(url), proxy=proxy)
                about = ("codecommit", url, keys.access, keys.session)
                return await self.tokens.find(about, lambda: threads.done(aws.git_login, url, keys))
        raise AuthError(f"there is no provider '{provider}' of Git servers")

    async def cluster(
        self,
        provider: str,
        cluster: str,
        who: Who = CONTROLLER,
        *,
        address: str = "",
        ca: str = "",
        audiences: Sequence[str] = (),
        proxy: str = "",
    ) -> Access:
        """Access to a cluster of EKS, AKS or GKE. `address` and `ca` (PEM) are asked for where they are empty, and
        `audiences` are for whom the account's token is, where that isn't the cloud's usual one. To an address of the
        user's choice goes a token of the user's account; one of the controller's only to what the cloud knows."""
        wish, given = Wish(audiences=tuple(audiences), proxy=proxy), Place(address, ca)
        strict = who == CONTROLLER or provider == "azure"
        ask = who == CONTROLLER or not given.is_whole
        if ask and not cluster:
            raise AuthError("the name of the cluster at the cloud is needed: by it the cluster's address is known")
        match provider:
            case "aws":
                region, name = clusters.eks(cluster)
                keys = await self._aws(who, replace(wish, region=region))

                async def known() -> Known:
                    return clusters.of_eks(await threads.done(aws.described, name, region, keys, proxy))

                async def token() -> Fresh[str]:
                    return await threads.done(aws.cluster_token, name, region, keys, proxy)

                proof = f"{keys.access} {keys.session}"
            case "azure":
                if ask:
                    clusters.aks(cluster)
                found = await self._fresh(azure, who, replace(wish, scope=clusters.AKS))

                async def known() -> Known:
                    manager = await self._fresh(azure, who, replace(wish, scope=clusters.arm()[1]))
                    return await clusters.of_aks(cluster, manager.value, proxy)

                async def token() -> Fresh[str]:
                    return found

                proof = found.value
            case "gcp":
                if ask:
                    clusters.gke(cluster)
                found = await self._fresh(gcp, who, wish)

                async def known() -> Known:
                    return await clusters.of_gke(cluster, found.value, proxy)

                async def token() -> Fresh[str]:
                    return found

                proof = found.value
            case _:
                raise AuthError(f"there is no provider '{provider}' of clusters")

        async def make() -> Fresh[Access]:
            place = clusters.chosen(cluster, given, await known(), strict=strict) if ask else given
            made = await token()
            return Fresh(Access(clusters.canonical(place.server), place.ca, made.value, made.expires), made.expires)

        return await self.tokens.find(("cluster", provider, cluster, address, ca, proof, proxy), make)

    async def azure_secret(self, data: Mapping[str, str], scope: str, *, proxy: str = "") -> str | None:
        """An access token for the identity in a Secret; None when it names none."""
        if not data.get("clientId"):
            return None

        async def make() -> Fresh[str]:
            fresh = await threads.done(azure.of_secret, data, Wish(scope=scope, proxy=proxy))
            assert fresh is not None
            return fresh

        return await self.tokens.find(("azure secret", sorted(data.items()), scope, proxy), make)

    async def gcp_key(self, text: bytes, scope: str, *, proxy: str = "") -> str:
        """An access token for the key of a service account of Google."""
        about = ("gcp key", text, scope, proxy)
        return await self.tokens.find(about, lambda: threads.done(gcp.of_key, text, Wish(scope=scope, proxy=proxy)))

    async def _aws(self, who: Who, wish: Wish) -> Keys:
        found = (await self._fresh(aws, who, wish)).value
        assert isinstance(found, Keys)
        return found

    async def _fresh(self, cloud: Cloud, who: Who, wish: Wish) -> Fresh[Any]:
        """A token of a cloud with its end, kept or made. AuthError says whose it would have been."""
        about: tuple[object, ...] = (cloud.NAME, *dataclasses.astuple(wish))
        if who == CONTROLLER:

            async def make() -> Fresh[Any]:
                try:
                    made = await threads.done(cloud.own, wish)
                except AuthError as error:
                    raise AuthError(f"the controller can't log in at {cloud.NAME}: {error}") from error
                return Fresh(made, made.expires)

            return await self.tokens.find(about, make)

        said = await accounts.about(self._kube, who)
        try:
            identity = cloud.identity(said)
            audiences = wish.audiences or (await threads.done(cloud.audience, said),)
        except AuthError as error:
            raise AuthError(f"service account '{who}': {error}") from error

        async def exchange() -> Fresh[Any]:
            token = await self._kube.token(who.namespace, who.name, audiences)
            try:
                made = await threads.done(cloud.exchanged, said, str(who), token, wish)
            except AuthError as error:
                raise AuthError(f"service account '{who}' can't log in at {cloud.NAME}: {error}") from error
            return Fresh(made, made.expires)

        return await self.tokens.find((*about, str(who), identity, audiences), exchange)
