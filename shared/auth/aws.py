"""AWS: keys of the controller's environment, or of a role that a ServiceAccount may take.

    eks.amazonaws.com/role-arn + the account's token → STS → Keys

The controller's own come from variables, web identity (IRSA), EKS Pod Identity, the shared files or the machine's
metadata service, in the order of AWS' own tools. Endpoints are those of AWS_ENDPOINT_URL_… where set. All of it blocks.
"""

from __future__ import annotations

import base64
import os
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from shared.auth.errors import AuthError
from shared.auth.results import Keys, Login
from shared.auth.sessions import SECONDS, authorities, library, told
from shared.auth.tokens import Fresh
from shared.auth.wishes import Wish

NAME = "aws"
ROLE = "eks.amazonaws.com/role-arn"
PUBLIC = "public.ecr.aws"
_PUBLIC_REGION = "us-east-1"
_ROLE = re.compile(r"arn:aws[\w-]*:iam::[0-9]{1,30}:role/.{1,200}", re.A)
_STS = re.compile(r"https://(.+\.)?sts(-fips)?(\.[^.]+)?(\.vpce)?\.amazonaws\.com")
_REGISTRY = re.compile(
    r"[0-9]+\.dkr[.-]ecr(?:-fips)?\.([^/.]+)\."
    r"(amazonaws\.com(\.cn)?|amazonaws\.eu|sc2s\.sgov\.gov|c2s\.ic\.gov|cloud\.adc-e\.uk|csp\.hci\.ic\.gov|on\.aws)"
)
_CODECOMMIT = re.compile(r"git-codecommit(?:-fips)?\.([^.]+)\.amazonaws\.com(\.cn)?")
_REGION = re.compile(r"[a-z0-9-]{1,64}")
_RENEWED = 600.0
"""Seconds for which keys of the environment are good at least: the library renews those that aren't."""
_SIGNED = 900.0
"""Seconds for which AWS takes what was signed for CodeCommit or a cluster."""


def identity(annotations: Mapping[str, str]) -> str:
    """The role that a ServiceAccount may take."""
    role = annotations.get(ROLE, "")
    if not _ROLE.fullmatch(role):
        raise AuthError(f"the annotation '{ROLE}' is '{role[:300]}', which is no ARN of a role: arn:aws:iam::…:role/…")
    return role


def audience(annotations: Mapping[str, str]) -> str:
    """STS, whatever the role."""
    return "sts.amazonaws.com"


def own(wish: Wish) -> Fresh[Keys]:
    """The controller's keys."""
    region = wish.region or os.environ.get("AWS_REGION", "")
    if not region:
        raise AuthError(
            "the controller has no AWS_REGION: EKS sets it in pods that are made after IAM roles for service accounts "
            "or Pod Identity were set up; elsewhere set it by hand"
        )
    role, file = os.environ.get("AWS_ROLE_ARN", ""), os.environ.get("AWS_WEB_IDENTITY_TOKEN_FILE", "")
    if wish.endpoint and role and file and not os.environ.get("AWS_ACCESS_KEY_ID"):
        try:
            token = Path(file).read_text().strip()
        except OSError as error:
            raise AuthError(f"the file of AWS_WEB_IDENTITY_TOKEN_FILE can't be read: {error.strerror}") from error
        name = os.environ.get("AWS_ROLE_SESSION_NAME") or f"{int(time.time())}"
        return _assumed(role, name, token, Wish(region=region, endpoint=wish.endpoint, proxy=wish.proxy))
    session = _session(region, wish.proxy)
    try:
        found = session.get_credentials()
        frozen = found and found.get_frozen_credentials()
    except _errors() as error:
        raise AuthError(f"the environment's AWS credentials can't be used: {told(error)}") from error
    if not frozen:
        raise AuthError(
            "the controller's environment has no AWS credentials: no keys in variables, no web identity, no Pod "
            "Identity, no role of the machine"
        )
    return Fresh(Keys(frozen.access_key, frozen.secret_key, frozen.token or ""), time.time() + _RENEWED)


def exchanged(annotations: Mapping[str, str], account: str, token: str, wish: Wish) -> Fresh[Keys]:
    """Keys of the role that an account may take."""
    if not wish.region:
        raise AuthError("logging in with a service account needs an AWS region: set one in the spec")
    namespace, _, name = account.partition("/")
    session = f"{name}.{namespace}.{wish.region}.fluxcd.io"[:64]
    return _assumed(identity(annotations), session, token, wish)


def registry_region(host: str) -> str:
    """The region of a registry of ECR. Pure."""
    if host == PUBLIC:
        return _PUBLIC_REGION
    found = _REGISTRY.fullmatch(host)
    if found is None:
        raise AuthError(
            f"'{host}' is no registry of AWS: it must be {PUBLIC} or <account>.dkr.ecr.<region>.amazonaws.com"
        )
    return found[1]


def registry_login(host: str, keys: Keys, proxy: str) -> Fresh[Login]:
    """The login at a registry of ECR that these keys give."""
    is_public = host == PUBLIC
    client = _client("ecr-public" if is_public else "ecr", registry_region(host), keys, proxy)
    try:
        answer = client.get_authorization_token()["authorizationData"]
        data = answer if is_public else answer[0]
        name, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
        return Fresh(Login(name, password), data["expiresAt"].timestamp())
    except _errors() as error:
        raise AuthError(f"ECR gives no login: {told(error)}") from error
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        raise AuthError("ECR's answer has no login in it") from error


def git_region(url: str) -> str:
    """The region of a repository of CodeCommit. Pure."""
    parts = urlsplit(url)
    found = _CODECOMMIT.fullmatch(parts.hostname or "")
    if found is None or parts.scheme != "https":
        raise AuthError(
            f"'{parts.hostname}' is no CodeCommit: the URL must be https://git-codecommit.<region>.amazonaws.com/v1/repos/…"
        )
    return found[1]


def git_login(url: str, keys: Keys, now: datetime | None = None) -> Fresh[Login]:
    """The login at a repository of CodeCommit: its password is a signature of its address."""
    signing = library("botocore.auth", NAME)
    request = library("botocore.awsrequest", NAME).AWSRequest(method="GIT", url=url)
    now = now or datetime.now(UTC)
    stamp = now.strftime("%Y%m%dT%H%M%S")
    request.context["timestamp"] = stamp
    parts = urlsplit(url)
    signer = signing.SigV4Auth(_given(keys), "codecommit", git_region(url))
    text = signer.string_to_sign(request, f"GIT\n{parts.path}\n\nhost:{parts.hostname}\n\nhost\n")
    name = f"{keys.access}%{keys.session}" if keys.session else keys.access
    return Fresh(Login(name, f"{stamp}Z{signer.signature(text, request)}"), now.timestamp() + _SIGNED)


def cluster_token(name: str, region: str, keys: Keys, proxy: str) -> Fresh[str]:
    """A token for EKS: the address at which STS says who has these keys, signed for this cluster."""
    client = _client("sts", region, keys, proxy)
    signer = library("botocore.signers", NAME).RequestSigner(
        client.meta.service_model.service_id, region, "sts", "v4", _given(keys), client.meta.events
    )
    request = {
        "method": "GET",
        "url": f"{client.meta.endpoint_url}/?Action=GetCallerIdentity&Version=2011-06-15",
        "body": {},
        "headers": {"x-k8s-aws-id": name},
        "context": {},
    }
    made = time.time()
    url = signer.generate_presigned_url(request, region_name=region, expires_in=int(_SIGNED), operation_name="")
    return Fresh(f"k8s-aws-v1.{base64.urlsafe_b64encode(url.encode()).rstrip(b'=').decode()}", made + _SIGNED)


def described(name: str, region: str, keys: Keys, proxy: str) -> Mapping[str, Any]:
    """What EKS says of a cluster."""
    try:
        found: Mapping[str, Any] = _client("eks", region, keys, proxy).describe_cluster(name=name)["cluster"]
    except _errors() as error:
        raise AuthError(f"EKS tells nothing of cluster '{name}': {told(error)}") from error
    return found


def _assumed(role: str, session: str, token: str, wish: Wish) -> Fresh[Keys]:
    client = _client("sts", wish.region, None, wish.proxy, _endpoint(wish))
    try:
        answer = client.assume_role_with_web_identity(RoleArn=role, RoleSessionName=session, WebIdentityToken=token)
        found = answer["Credentials"]
        keys = Keys(found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"])
        return Fresh(keys, found["Expiration"].timestamp())
    except _errors() as error:
        raise AuthError(f"STS gives no keys of the role '{role}': {told(error)}") from error
    except KeyError as error:
        raise AuthError(f"STS' answer has no keys of the role '{role}' in it") from error


def _endpoint(wish: Wish) -> str:
    if wish.endpoint and not _STS.fullmatch(wish.endpoint):
        raise AuthError(
            f"'{wish.endpoint}' is no endpoint of STS: it must be https://sts.<region>.amazonaws.com or alike"
        )
    return wish.endpoint


def _session(region: str, proxy: str) -> Any:
    if not _REGION.fullmatch(region):
        raise AuthError(f"'{region[:100]}' is no region of AWS")
    session = library("botocore.session", NAME).get_session()
    session.set_config_variable("region", region)
    session.set_config_variable("ca_bundle", os.environ.get("AWS_CA_BUNDLE") or authorities())
    session.set_default_client_config(_config(proxy))
    return session


def _client(service: str, region: str, keys: Keys | None, proxy: str, endpoint: str = "") -> Any:
    """A client with these keys, or, without any, one that signs nothing."""
    config = _config(proxy)
    if keys is None:
        config = config.merge(
            library("botocore.config", NAME).Config(signature_version=library("botocore", NAME).UNSIGNED)
        )
    names = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
    values = (keys.access, keys.secret, keys.session or None) if keys else (None, None, None)
    try:
        return _session(region, proxy).create_client(
            service,
            region_name=region,
            endpoint_url=endpoint or None,
            config=config,
            **dict(zip(names, values, strict=True)),
        )
    except _errors() as error:
        raise AuthError(f"no connection to AWS can be made: {told(error)}") from error


def _config(proxy: str) -> Any:
    return library("botocore.config", NAME).Config(
        connect_timeout=SECONDS,
        read_timeout=SECONDS,
        retries={"mode": "standard", "total_max_attempts": 2},
        proxies={"http": proxy, "https": proxy} if proxy else None,
    )


def _given(keys: Keys) -> Any:
    return library("botocore.credentials", NAME).Credentials(keys.access, keys.secret, keys.session or None)


def _errors() -> tuple[type[Exception], ...]:
    known = library("botocore.exceptions", NAME)
    return known.BotoCoreError, known.ClientError
