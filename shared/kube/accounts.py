"""Accounts: ServiceAccounts as logins at clouds need them: their annotations, and tokens for who reads those."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from shared.auth.errors import AuthError, NoAccount
from shared.kube.client import Client
from shared.kube.errors import ApiError, NotFound

_ACCOUNT = "system:serviceaccount:"


class Accounts:
    """The answers of an API server, under a client's identity."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def annotations(self, namespace: str, name: str) -> Mapping[str, str]:
        """NoAccount when there is no such account, AuthError for all else."""
        try:
            found = await self._client.get("v1", "ServiceAccount", name, namespace, metadata_only=True)
        except NotFound as error:
            raise NoAccount(str(error)) from error
        except ApiError as error:
            raise AuthError(f"failed to get service account '{namespace}/{name}': {error}") from error
        return found["metadata"].get("annotations") or {}

    async def token(self, namespace: str, name: str, audiences: Sequence[str]) -> str:
        """AuthError."""
        try:
            return (await self._client.create_token(name, namespace, audiences)).token
        except ApiError as error:
            raise AuthError(f"failed to create a token of service account '{namespace}/{name}': {error}") from error

    async def own(self) -> tuple[str, str]:
        """Namespace and name of the ServiceAccount as which the client is known. AuthError when it is none."""
        try:
            user = await self._client.whoami()
        except ApiError as error:
            raise AuthError(f"the API server doesn't say as whom the controller runs: {error}") from error
        namespace, _, name = user.removeprefix(_ACCOUNT).partition(":")
        if not user.startswith(_ACCOUNT) or not name:
            raise AuthError(f"the controller runs as '{user}', which is no ServiceAccount: set serviceAccountName")
        return namespace, name
