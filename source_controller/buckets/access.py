"""Access: what an object's Secrets and identity say about how to reach its bucket.

Bucket + Secrets, or the cloud's login → ObjectStore
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import TypedDict
from urllib.parse import urlsplit

from shared.api.meta import parse_duration
from shared.api.source import Bucket, BucketSTS
from shared.auth import CONTROLLER, AuthError, Clouds, GateClosed, Keys, Who, gcp
from shared.auth import azure as entra
from shared.http import SecretError, proxy, tls
from shared.kube.errors import NotFound
from shared.loop.attempt import Attempt
from shared.loop.verdict import Failed, Stalled
from source_controller.buckets import azure, gcs, s3, sts
from source_controller.buckets.store import BucketError, ObjectStore

FETCH_FAILED = "FetchFailed"
_AZURE = ("clientId", "accountKey", "sasKey", "authorityHost")


class Connection(TypedDict):
    """How to connect."""

    tls: ssl.SSLContext | None
    proxy: str
    seconds: float


async def find(bucket: Bucket, clouds: Clouds, attempt: Attempt[Bucket]) -> AbstractAsyncContextManager[ObjectStore]:
    """The object's bucket, to be opened. AuthenticationFailed; stalls with FeatureGateDisabled, InvalidSTSConfiguration
    or URLInvalid."""
    spec = bucket.spec
    try:
        who = clouds.who(bucket.metadata.namespace, spec.service_account_name if spec.provider != "generic" else None)
    except GateClosed as error:
        raise Stalled("FeatureGateDisabled", str(error), condition=FETCH_FAILED) from error
    connection = await find_connection(bucket, attempt)
    data = await _secret(bucket, spec.secret_ref.name, attempt) if spec.secret_ref else None
    try:
        match spec.provider:
            case "azure":
                login = await _azure(bucket, data, clouds, who, connection)
                return azure.open_(azure.Container(spec.bucket_name, spec.endpoint), login, **connection)
            case "gcp":
                return gcs.open_(spec.bucket_name, await _gcp(bucket, data, clouds, who, connection), **connection)
            case _:
                require_fitting(spec.provider, spec.sts)
                keys = _keys(bucket, data) or await _given_keys(bucket, clouds, who, connection, attempt)
                return s3.open_(address(bucket), keys, **connection)
    except (AuthError, BucketError) as error:
        raise refused(str(error)) from error


def require_fitting(provider: str, service: BucketSTS | None) -> None:
    """Stalls with InvalidSTSConfiguration when this token service gives no keys for such stores, or has no use for the
    Secrets that it names; with URLInvalid when its address can't be read. Pure."""
    if service is None:
        return
    problem = ""
    if service.provider != {"aws": "aws", "generic": "ldap"}.get(provider):
        problem = f"STS provider '{service.provider}' is not supported for '{provider}' bucket provider"
    elif service.provider == "aws" and service.secret_ref is not None:
        problem = "spec.sts.secretRef is not required for the 'aws' STS provider: remove it"
    elif service.provider == "aws" and service.cert_secret_ref is not None:
        problem = "spec.sts.certSecretRef is not required for the 'aws' STS provider: remove it"
    if problem:
        raise Stalled("InvalidSTSConfiguration", problem, condition=FETCH_FAILED)
    try:
        _ = urlsplit(service.endpoint).port
    except ValueError as error:
        message = f"failed to parse STS endpoint '{service.endpoint[:200]}': {error}"
        raise Stalled("URLInvalid", message, condition=FETCH_FAILED) from error


def address(bucket: Bucket) -> s3.Bucket:
    """Where the bucket is. Amazon wants its name in the host, others in the path."""
    spec = bucket.spec
    return s3.Bucket(
        spec.bucket_name,
        spec.endpoint,
        spec.region or "",
        spec.insecure,
        virtual_host=spec.endpoint.endswith((".amazonaws.com", ".amazonaws.com.cn")) and "." not in spec.bucket_name,
    )


async def find_connection(bucket: Bucket, attempt: Attempt[Bucket]) -> Connection:
    """How to connect, by the Secrets of certificates and of the proxy."""
    spec, namespace = bucket.spec, bucket.metadata.namespace
    context, through = None, ""
    if spec.cert_secret_ref is not None:
        context = await _trusted(bucket, spec.cert_secret_ref.name, "TLS config", attempt)
    if spec.proxy_secret_ref is not None:
        name = f"{namespace}/{spec.proxy_secret_ref.name}"
        try:
            through = proxy.url(await attempt.secret(spec.proxy_secret_ref.name))
        except (NotFound, SecretError) as error:
            raise refused(f"failed to get proxy address: secret '{name}': {error}") from error
    return Connection(tls=context, proxy=through, seconds=parse_duration(spec.timeout))


def refused(message: str) -> Failed:
    """The verdict on credentials that can't be had."""
    return Failed("AuthenticationFailed", message, condition=FETCH_FAILED)


def _keys(bucket: Bucket, data: Mapping[str, bytes] | None) -> Keys | None:
    """The keys of the Secret; None without one."""
    if data is None:
        return None
    assert bucket.spec.secret_ref is not None
    name = f"{bucket.metadata.namespace}/{bucket.spec.secret_ref.name}"
    access, secret = (_text(data, key, name).strip() for key in ("accesskey", "secretkey"))
    if not access or not secret:
        raise refused(f"invalid '{name}' secret data: required fields 'accesskey' and 'secretkey'")
    return Keys(access, secret)


async def _given_keys(
    bucket: Bucket, clouds: Clouds, who: Who, connection: Connection, attempt: Attempt[Bucket]
) -> Keys:
    """The keys that AWS or a security token service gives."""
    spec = bucket.spec
    if spec.provider == "aws":
        endpoint = spec.sts.endpoint if spec.sts else ""
        return await clouds.aws(who, spec.region or "", endpoint=endpoint, proxy=connection["proxy"])
    if spec.sts is None:
        return Keys()
    return await _ldap_keys(bucket, clouds, connection, attempt)


async def _ldap_keys(bucket: Bucket, clouds: Clouds, connection: Connection, attempt: Attempt[Bucket]) -> Keys:
    service = bucket.spec.sts
    assert service is not None
    username = password = ""
    if service.secret_ref is not None:
        name = f"{bucket.metadata.namespace}/{service.secret_ref.name}"
        data = await _secret(bucket, service.secret_ref.name, attempt, "STS secret")
        username, password = (_text(data, key, name).strip("\r\n") for key in ("username", "password"))
        if not username or not password:
            raise refused(f"invalid '{name}' secret data for 'ldap' STS provider: required fields username, password")
    context = None
    if service.cert_secret_ref is not None:
        context = await _trusted(bucket, service.cert_secret_ref.name, "STS TLS config", attempt)
    endpoint, through, seconds = service.endpoint, connection["proxy"], connection["seconds"]
    try:
        return await clouds.tokens.find(
            ("ldap", endpoint, username, password, through, service.cert_secret_ref and service.cert_secret_ref.name,
             bucket.metadata.namespace),
            lambda: sts.of_ldap(endpoint, username, password, tls=context, proxy=through, seconds=seconds),
        )  # fmt: skip
    except BucketError as error:
        raise refused(f"failed to get keys from the STS endpoint '{endpoint}': {error}") from error


async def _azure(
    bucket: Bucket, data: Mapping[str, bytes] | None, clouds: Clouds, who: Who, connection: Connection
) -> azure.Login:
    """The login of the Secret, or of the identity; none where neither is there, for what is public."""
    through = connection["proxy"]
    if data is None:
        try:
            return azure.Login(token=await clouds.azure(who, entra.BLOBS, proxy=through))
        except AuthError as error:
            if who != CONTROLLER:
                raise
            return azure.Login(problem=str(error))
    assert bucket.spec.secret_ref is not None
    name = f"{bucket.metadata.namespace}/{bucket.spec.secret_ref.name}"
    if not any(data.get(key) for key in _AZURE):
        raise refused(
            f"invalid '{name}' secret data: requires a 'clientId' or 'accountKey' field, a combination of 'tenantId', "
            "'clientId' and 'clientSecret', or 'tenantId', 'clientId' and 'clientCertificate'"
        )
    if data.get("clientId"):
        # A certificate may be binary: each byte is a character here, as of_secret reads it.
        fields = {key: value.decode("latin-1") for key, value in data.items()}
        try:
            return azure.Login(token=await clouds.azure_secret(fields, entra.BLOBS, proxy=through) or "")
        except AuthError as error:
            raise refused(f"failed to create token credential from '{name}' secret: {error}") from error
    return azure.Login(account_key=_text(data, "accountKey", name).strip(), sas=_text(data, "sasKey", name).strip())


async def _gcp(
    bucket: Bucket, data: Mapping[str, bytes] | None, clouds: Clouds, who: Who, connection: Connection
) -> str:
    """The access token for the Secret's key, or of the identity."""
    if data is None:
        return await clouds.gcp(who, proxy=connection["proxy"])
    assert bucket.spec.secret_ref is not None
    name = f"{bucket.metadata.namespace}/{bucket.spec.secret_ref.name}"
    if "serviceaccount" not in data:
        raise refused(f"invalid '{name}' secret data: required fields 'serviceaccount'")
    try:
        return await clouds.gcp_key(data["serviceaccount"], gcp.READ_OBJECTS, proxy=connection["proxy"])
    except AuthError as error:
        raise refused(f"invalid '{name}' secret data: 'serviceaccount': {error}") from error


async def _secret(bucket: Bucket, name: str, attempt: Attempt[Bucket], what: str = "secret") -> dict[str, bytes]:
    try:
        return await attempt.secret(name)
    except NotFound as error:
        raise refused(f"failed to get {what} '{bucket.metadata.namespace}/{name}': {error}") from error


async def _trusted(bucket: Bucket, name: str, what: str, attempt: Attempt[Bucket]) -> ssl.SSLContext:
    try:
        return await asyncio.to_thread(tls.context, await attempt.secret(name))
    except (NotFound, SecretError) as error:
        message = f"failed to get {what}: secret '{bucket.metadata.namespace}/{name}': {error}"
        raise refused(message) from error


def _text(data: Mapping[str, bytes], key: str, secret: str) -> str:
    try:
        return data.get(key, b"").decode()
    except UnicodeDecodeError as error:
        raise refused(f"invalid '{secret}' secret data: '{key}' is not UTF-8 text") from error
