"""Azure: access tokens of Entra ID for the controller, for an identity that a ServiceAccount may take, or for a Secret.

    azure.workload.identity/tenant-id and client-id + the account's token → Entra ID → access token

The controller's own come from the variables of a service principal, from workload identity, or from the machine's
managed identity; no command lines are run. AZURE_AUTHORITY_HOST says where Entra ID is. All of it blocks.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from shared.auth.errors import AuthError
from shared.auth.sessions import SECONDS, library, session, told
from shared.auth.tokens import Fresh
from shared.auth.wishes import Wish

NAME = "azure"
TENANT, CLIENT = "azure.workload.identity/tenant-id", "azure.workload.identity/client-id"
BLOBS = "https://storage.azure.com/.default"
DEVOPS = "499b84ac-1321-427f-aa17-267ca6975798/.default"
EVENT_HUBS = "https://eventhubs.azure.net//.default"
KEY_VAULT = "https://vault.azure.net/.default"
_PUBLIC = ("login.microsoftonline.com", "login.chinacloudapi.cn", "login.partner.microsoftonline.cn",
           "login.microsoftonline.us", "login.windows.net")  # fmt: skip
_WORKLOAD = ("AZURE_AUTHORITY_HOST", "AZURE_CLIENT_ID", "AZURE_FEDERATED_TOKEN_FILE", "AZURE_TENANT_ID")
_ID = re.compile(r"[\w.-]{1,200}", re.A)


def identity(annotations: Mapping[str, str]) -> str:
    """`tenant/client` of the identity that a ServiceAccount may take."""
    for name in (TENANT, CLIENT):
        if not _ID.fullmatch(annotations.get(name, "")):
            raise AuthError(f"the annotation '{name}' is missing, or no id")
    return f"{annotations[TENANT]}/{annotations[CLIENT]}"


def audience(annotations: Mapping[str, str]) -> str:
    """Entra ID's, whatever the identity."""
    return "api://AzureADTokenExchange"


def own(wish: Wish) -> Fresh[str]:
    """An access token of the controller."""
    known = library("azure.identity", NAME)
    options = _options(wish.proxy, os.environ.get("AZURE_AUTHORITY_HOST", ""))
    client = os.environ.get("AZURE_CLIENT_ID")

    def credential() -> Any:
        chain = [known.EnvironmentCredential(**options)]
        if all(name in os.environ for name in _WORKLOAD):
            chain.append(known.WorkloadIdentityCredential(**options))
        chain.append(known.ManagedIdentityCredential(client_id=client, **options))
        return known.ChainedTokenCredential(*chain)

    return _given(credential, wish.scope)


def exchanged(annotations: Mapping[str, str], account: str, token: str, wish: Wish) -> Fresh[str]:
    """An access token of the identity that an account may take."""
    tenant, _, client = identity(annotations).partition("/")
    known = library("azure.identity", NAME)
    options = _options(wish.proxy, os.environ.get("AZURE_AUTHORITY_HOST", ""))
    return _given(lambda: known.ClientAssertionCredential(tenant, client, lambda: token, **options), wish.scope)


def of_secret(data: Mapping[str, str], wish: Wish) -> Fresh[str] | None:
    """An access token for the service principal or the managed identity that a Secret's data names; None without one.

    The keys are tenantId, clientId, clientSecret, clientCertificate (with its key, PEM or PKCS #12),
    clientCertificatePassword, clientCertificateSendChain and authorityHost.
    """
    tenant, client = data.get("tenantId", ""), data.get("clientId", "")
    if not client:
        return None
    known = library("azure.identity", NAME)
    options = _options(wish.proxy, data.get("authorityHost") or os.environ.get("AZURE_AUTHORITY_HOST", ""))
    if tenant and data.get("clientSecret"):
        return _given(lambda: known.ClientSecretCredential(tenant, client, data["clientSecret"], **options), wish.scope)
    if tenant and data.get("clientCertificate"):
        return _given(
            lambda: known.CertificateCredential(
                tenant,
                client,
                certificate_data=data["clientCertificate"].encode("latin-1"),
                password=data.get("clientCertificatePassword") or None,
                send_certificate_chain=data.get("clientCertificateSendChain", "").lower() in ("1", "true"),
                **options,
            ),
            wish.scope,
        )
    return _given(lambda: known.ManagedIdentityCredential(client_id=client, **_options(wish.proxy, "")), wish.scope)


def _options(proxy: str, authority: str) -> dict[str, Any]:
    """How to connect, and where Entra ID is; a host that isn't Microsoft's is not looked up at Microsoft's."""
    transport = library("azure.core.pipeline.transport", NAME).RequestsTransport(
        session=session(proxy), session_owner=False, connection_timeout=SECONDS, read_timeout=SECONDS
    )
    options = {"transport": transport, "retry_total": 2}
    if authority:
        host = urlsplit(authority if "//" in authority else f"https://{authority}").netloc
        options |= {"authority": authority, "disable_instance_discovery": host not in _PUBLIC}
    return options


def _given(credential: Callable[[], Any], scope: str) -> Fresh[str]:
    refused = library("azure.core.exceptions", NAME).AzureError
    try:
        token = credential().get_token(scope)
    except refused as error:
        raise AuthError(f"Entra ID gives no token: {told(error)}") from error
    except ValueError as error:  # an id, a certificate or an authority that can't be; the text may quote it
        raise AuthError(
            "the settings for Entra ID can't be used: check the ids, the certificate and the authority's host"
        ) from error
    return Fresh(token.token, float(token.expires_on))
