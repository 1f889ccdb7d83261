"""Secrets: what Receivers prove their webhooks with, as it is now; or as it last was, while the API can't say.

Only what was read before is ever used instead, and only when the Kubernetes API gives no answer: a token that was
changed or taken away counts at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping

from shared.api.notification import Receiver
from shared.kube import secrets
from shared.kube.client import Client
from shared.kube.errors import NotFound, TooManyRequests, Unavailable

TOKEN = "token"  # noqa: S105  (the name of a key)
PATIENCE = 2.0
"""Seconds to wait for the API's answer."""
_RECENT = 8


class TokenNotFound(Exception):
    """Why there is no token; the message names the Secret and what it lacks."""


class Secrets:
    """The Secrets of one controller's Receivers."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._last: dict[tuple[str, str], Mapping[str, bytes]] = {}
        self._took: deque[float] = deque(maxlen=_RECENT)

    @property
    def pace(self) -> float:
        """Seconds that the API takes for an answer at present: the longest of the last few."""
        return max(self._took, default=PATIENCE)

    async def read(self, receiver: Receiver) -> Mapping[str, bytes]:
        """What the Receiver's Secret holds, a token among it; an empty token where the type wants no Secret.

        TokenNotFound when it isn't there or has none. ApiError when the API can't say and never did.
        """
        if receiver.spec.secret_ref is None:
            return {TOKEN: b""}
        key = (receiver.metadata.namespace or "", receiver.spec.secret_ref.name)
        name = "/".join(key)
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            async with asyncio.timeout(PATIENCE):
                data = await secrets.read(self._client, *key)
        except NotFound as error:
            self._last.pop(key, None)
            raise TokenNotFound(f"unable to read token from secret '{name}' error: {error}") from error
        except (Unavailable, TooManyRequests, TimeoutError) as error:
            if key in self._last:
                return self._last[key]
            if isinstance(error, TimeoutError):
                raise Unavailable(f"the Kubernetes API did not say in time what secret '{name}' holds") from error
            raise
        finally:
            self._took.append(clock() - began)
        if TOKEN not in data:
            self._last.pop(key, None)
            raise TokenNotFound(f"invalid '{name}' secret data: required fields '{TOKEN}'")
        self._last[key] = data
        return data

    def forget(self, receiver: Receiver) -> None:
        """The Receiver is gone."""
        if receiver.spec.secret_ref is not None:
            self._last.pop((receiver.metadata.namespace or "", receiver.spec.secret_ref.name), None)
