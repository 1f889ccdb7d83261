"""Registries: what an object's Secrets and ServiceAccount say about how to reach its registry.

OCIRepository + Secrets → Repository, Credentials, Transport
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from dataclasses import dataclass

from shared.answers import Answers
from shared.api.meta import parse_duration
from shared.api.source import OCIRepository
from shared.auth import AuthError, Clouds, GateClosed
from shared.http import SecretError, proxy, tls
from shared.kube.errors import NotFound
from shared.loop.attempt import Attempt
from shared.loop.verdict import Failed, Stalled
from shared.oci import credentials, reference
from shared.oci.connections import Transport
from shared.oci.credentials import Credentials
from shared.oci.errors import CredentialsError, InvalidReference
from shared.oci.reference import Repository
from shared.oci.registry import Registry

FETCH_FAILED = "FetchFailed"


def address(source: OCIRepository) -> Repository:
    """Which repository it is. Stalls with URLInvalid, also for what `ref` can't be."""
    ref = source.spec.ref
    try:
        if ref is not None and ref.digest:
            reference.require_digest(ref.digest)
        elif ref is not None and ref.tag and not ref.semver:
            reference.require_tag(ref.tag)
        return reference.repository(source.spec.url)
    except InvalidReference as error:
        message = f"URL validation failed for '{source.spec.url}': {error}"
        raise Stalled("URLInvalid", message, condition=FETCH_FAILED) from error


async def login(source: OCIRepository, at: Repository, attempt: Attempt[OCIRepository]) -> Credentials | None:
    """The credentials of the Secret and of the ServiceAccount's image pull secrets, the first that are for this
    repository; None when there are no such Secrets."""
    spec, namespace = source.spec, source.metadata.namespace or ""
    name = ""
    try:
        names = [spec.secret_ref.name] if spec.secret_ref is not None else []
        if spec.service_account_name:
            account = await attempt.kube.get("v1", "ServiceAccount", spec.service_account_name, namespace)
            names += [each["name"] for each in account.get("imagePullSecrets") or ()]
        for name in names:
            found = credentials.from_secret(await attempt.secret(name), at)
            if found:
                return found
        return credentials.ANONYMOUS if names else None
    except NotFound as error:
        raise _refused(f"failed to get credential: {error}") from error
    except CredentialsError as error:
        raise _refused(f"failed to get credential: secret '{namespace}/{name}': {error}") from error


async def cloud_login(source: OCIRepository, at: Repository, clouds: Clouds, through: Transport) -> Credentials:
    """The credentials that the spec's cloud gives. Stalls with FeatureGateDisabled."""
    spec = source.spec
    if spec.provider == "generic":
        return credentials.ANONYMOUS
    try:
        who = clouds.who(source.metadata.namespace, spec.service_account_name)
        found = await clouds.registry(spec.provider, at.host, who, proxy=through.proxy)
    except GateClosed as error:
        raise Stalled("FeatureGateDisabled", str(error)) from error
    except AuthError as error:
        raise _refused(f"failed to get credential from {spec.provider}: {error}") from error
    return Credentials(found.username, found.password)


async def transport(source: OCIRepository, attempt: Attempt[OCIRepository]) -> Transport:
    """How to connect, by the Secrets of certificates and of the proxy."""
    spec, namespace = source.spec, source.metadata.namespace or ""
    through, context = "", None
    if spec.proxy_secret_ref is not None:
        name = f"{namespace}/{spec.proxy_secret_ref.name}"
        try:
            through = proxy.url(await attempt.secret(spec.proxy_secret_ref.name))
        except (NotFound, SecretError) as error:
            raise _refused(f"failed to get proxy address: secret '{name}': {error}") from error
        if through.startswith("socks5:"):
            raise _refused(f"failed to get proxy address: secret '{name}': registries take only an HTTP/S proxy")
    if spec.cert_secret_ref is not None:
        name = f"{namespace}/{spec.cert_secret_ref.name}"
        try:
            data = await attempt.secret(spec.cert_secret_ref.name)
            context = await asyncio.to_thread(tls.context, data)
        except (NotFound, SecretError) as error:
            raise _refused(f"failed to generate transport for '{spec.url}': secret '{name}': {error}") from error
    return Transport(insecure=spec.insecure, tls=context, proxy=through, seconds=parse_duration(spec.timeout))


class Lookups:
    """What registries said of tags, for all sources that reach them alike and are due in the same round."""

    def __init__(self) -> None:
        self.tags: Answers[list[str]] = Answers(64)
        self.digests: Answers[str] = Answers(4096)


@dataclass(frozen=True)
class Lookup:
    """The lookups of one attempt."""

    known: Lookups
    remote: Registry
    since: float
    alike: tuple[Hashable, ...]
    """What all have in common who share the answers."""

    async def tags(self) -> list[str]:
        """All tags of the repository."""
        return await self.known.tags.find(self.alike, self.since, self.remote.tags)

    async def digest(self, tag: str, *, with_manifest: bool = False) -> str:
        """The digest that a tag names now; perhaps `with` the manifest, when it is wanted next."""

        async def ask() -> str:
            return await self.remote.digest(tag, with_manifest=with_manifest)

        return await self.known.digests.find((*self.alike, tag), self.since, ask)


def lookup(
    known: Lookups, source: OCIRepository, remote: Registry, who: Credentials, attempt: Attempt[OCIRepository]
) -> Lookup:
    """The lookups of an attempt. Sources that name Secrets for how to connect share with those that name the same."""
    spec = source.spec
    secrets = tuple(each.name if each is not None else "" for each in (spec.cert_secret_ref, spec.proxy_secret_ref))
    whose = source.metadata.namespace if any(secrets) else ""
    return Lookup(known, remote, attempt.since, (remote.at, who, spec.insecure, whose, *secrets))


def _refused(message: str) -> Failed:
    return Failed("AuthenticationFailed", message, condition=FETCH_FAILED)
