"""Google Cloud: access tokens of the controller, of a ServiceAccount or what it may impersonate, or of a Secret.

    the account's token → STS → (iam.gke.io/gcp-service-account → IAM) → access token

The controller's own are Application Default Credentials: a file, or the machine's metadata service. On GKE the cluster
is the identity provider, elsewhere the one that gcp.auth.fluxcd.io/workload-identity-provider names. All of it blocks.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Mapping
from datetime import UTC
from typing import Any

import requests

from shared.auth.errors import AuthError
from shared.auth.sessions import SECONDS, library, session, told
from shared.auth.tokens import Fresh
from shared.auth.wishes import Wish

NAME = "gcp"
EMAIL = "iam.gke.io/gcp-service-account"
PROVIDER = "gcp.auth.fluxcd.io/workload-identity-provider"
SCOPES = ("https://www.googleapis.com/auth/cloud-platform", "https://www.googleapis.com/auth/userinfo.email")
READ_OBJECTS = "https://www.googleapis.com/auth/devstorage.read_only"
_EMAIL = re.compile(r"[a-zA-Z0-9-]{1,100}@[a-zA-Z0-9-]{1,100}\.iam\.gserviceaccount\.com")
_PROVIDER = re.compile(r"projects/[0-9]{1,30}/locations/global/workloadIdentityPools/[^/]{1,100}/providers/[^/]{1,100}")
_REGISTRY = re.compile(r"(?:.+\.)?gcr\.io|.+-docker\.pkg\.dev|docker\.s3nsregistry\.fr")
_STS = "https://sts.googleapis.com/v1/token"
_IMPERSONATE = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{}:generateAccessToken"
_METADATA = ("project/project-id", "instance/attributes/cluster-location", "instance/attributes/cluster-name")


def identity(annotations: Mapping[str, str]) -> str:
    """The service account of Google that a ServiceAccount impersonates; empty where it acts itself."""
    email = annotations.get(EMAIL, "")
    if email and not _EMAIL.fullmatch(email):
        raise AuthError(
            f"the annotation '{EMAIL}' is '{email[:200]}', which is no <name>@<project>.iam.gserviceaccount.com"
        )
    return email


def audience(annotations: Mapping[str, str]) -> str:
    """The identity provider: the annotated one, else this cluster's on GKE."""
    return _provider(annotations) or f"{_cluster.found()[0]}.svc.id.goog"


def require_registry(host: str) -> None:
    """AuthError unless a host is a registry of Google. Pure."""
    if not _REGISTRY.fullmatch(host):
        raise AuthError(f"'{host}' is no registry of Google: it must be gcr.io or end in .gcr.io or -docker.pkg.dev")


def own(wish: Wish) -> Fresh[str]:
    """An access token of the controller."""
    auth = library("google.auth", NAME)
    try:
        credentials, _ = auth.default(scopes=SCOPES, request=_request(wish.proxy))
    except auth.exceptions.GoogleAuthError as error:
        raise AuthError(f"the controller's environment has no Google credentials: {told(error)}") from error
    return _given(credentials, wish.proxy)


def exchanged(annotations: Mapping[str, str], account: str, token: str, wish: Wish) -> Fresh[str]:
    """An access token of an account, or of what it impersonates."""
    pool = library("google.auth.identity_pool", NAME)

    class Supplier(pool.SubjectTokenSupplier):  # type: ignore[misc, name-defined]
        def get_subject_token(self, context: Any, request: Any) -> str:
            return token

    email = identity(annotations)
    project, location, name = ("", "", "") if _provider(annotations) else _cluster.found()
    provider = _provider(annotations) or (
        f"identitynamespace:{project}.svc.id.goog:"
        f"https://container.googleapis.com/v1/projects/{project}/locations/{location}/clusters/{name}"
    )
    credentials = pool.Credentials(
        audience=provider,
        subject_token_type="urn:ietf:params:oauth:token-type:jwt",  # noqa: S106 (a type, no token)
        token_url=_STS,
        subject_token_supplier=Supplier(),
        service_account_impersonation_url=_IMPERSONATE.format(email) if email else None,
        scopes=list(SCOPES),
    )
    return _given(credentials, wish.proxy)


def of_key(text: bytes, wish: Wish) -> Fresh[str]:
    """An access token for the JSON of a service account's key, or of a user's; good for what `wish.scope` says."""
    try:
        key = json.loads(text)
        kind = key["type"]
    except (ValueError, KeyError, TypeError, RecursionError):
        key, kind = {}, ""
    makers = {
        "service_account": ("google.oauth2.service_account", "from_service_account_info"),
        "authorized_user": ("google.oauth2.credentials", "from_authorized_user_info"),
    }
    if kind not in makers:
        # Other types name files to read and programs to run on this machine.
        raise AuthError("it must be the JSON of a key whose type is service_account or authorized_user")
    module, maker = makers[kind]
    try:
        credentials = getattr(library(module, NAME).Credentials, maker)(key, scopes=[wish.scope])
    except (ValueError, TypeError, KeyError) as error:  # what it says may quote the key
        raise AuthError("it is no complete key: make a new one and take all of its JSON") from error
    return _given(credentials, wish.proxy)


def _given(credentials: Any, proxy: str) -> Fresh[str]:
    refused = library("google.auth.exceptions", NAME).GoogleAuthError
    try:
        credentials.refresh(_request(proxy))
    except (refused, requests.RequestException) as error:
        raise AuthError(f"Google gives no token: {_said(error)}") from error
    expiry = credentials.expiry
    return Fresh(str(credentials.token), expiry.replace(tzinfo=UTC).timestamp() if expiry else time.time())


def _said(error: Exception) -> str:
    """What the library says and, of the answer that it adds, what Google says."""
    if len(error.args) < 2:
        return told(error)
    try:
        answer = json.loads(error.args[1])
        words = answer["error"]["message"] if isinstance(answer["error"], dict) else answer["error_description"]
    except (ValueError, TypeError, KeyError):
        return str(error.args[0])[:300]
    return f"{error.args[0]}: {words}"[:500]


def _request(proxy: str) -> Any:
    return library("google.auth.transport.requests", NAME).Request(session=session(proxy))


def _provider(annotations: Mapping[str, str]) -> str:
    provider = annotations.get(PROVIDER, "")
    if not provider:
        return ""
    if not _PROVIDER.fullmatch(provider):
        raise AuthError(
            f"the annotation '{PROVIDER}' is '{provider[:300]}', which is no "
            "projects/<number>/locations/global/workloadIdentityPools/<pool>/providers/<provider>"
        )
    return f"//iam.googleapis.com/{provider}"


class _Cluster:
    """This cluster on GKE, which stays the same: asked for once."""

    def __init__(self) -> None:
        self._lock, self._found = threading.Lock(), ("", "", "")

    def found(self) -> tuple[str, str, str]:
        """Project, location, name."""
        with self._lock:
            if not self._found[0]:
                project, location, name = (self._asked(each) for each in _METADATA)
                self._found = project, location, name
            return self._found

    def _asked(self, path: str) -> str:
        host = os.environ.get("GCE_METADATA_HOST") or "metadata.google.internal"
        try:
            # The metadata service is next door: no proxy knows the way.
            connection = session()
            connection.trust_env = False
            answer = connection.get(
                f"http://{host}/computeMetadata/v1/{path}", headers={"Metadata-Flavor": "Google"}, timeout=SECONDS
            )
        except requests.RequestException as error:
            raise AuthError(
                f"GKE's metadata service can't be asked ({told(error)}): outside of GKE annotate the service "
                f"account with {PROVIDER}"
            ) from error
        if not answer.ok or not answer.text.strip():
            raise AuthError(f"GKE's metadata service has no '{path}': {answer.status_code}")
        return answer.text.strip()


_cluster = _Cluster()
