"""Accounts: ServiceAccounts as logins at clouds need them: their annotations, and tokens for who reads those."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from shared.auth.errors import AuthError, NoAccount
from shared.kube.client import Client
from shared.kube.errors import ApiError, NotFound


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
