"""Receiver: a place where others tell us of news, so that what they are news for is reconciled at once.

    expressions → token → webhook path

What happens to a webhook is in `webhooks`; here a Receiver gets its path, and learns what is wrong with it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from notification_controller.receivers import filters
from notification_controller.receivers.filters import InvalidSpec
from notification_controller.receivers.secrets import TOKEN, Secrets, TokenNotFound
from shared.api.meta import format_duration, parse_duration
from shared.api.notification import Receiver
from shared.loop.attempt import Attempt
from shared.loop.kinds import ConfigRef, Kind
from shared.loop.verdict import Failed, Ready, Stalled

PATH = "/hook/"
"""What every webhook's path begins with."""


def kind(secrets: Secrets) -> Kind[Receiver]:
    """The kind, on the Secrets that webhooks are proven with."""

    async def reconcile(receiver: Receiver, attempt: Attempt[Receiver]) -> Ready:
        require_valid(receiver)  # InvalidCELExpression and ValidationFailed stall
        await attempt.progress("Reconciliation in progress")
        token = await find_token(receiver, secrets)  # TokenNotFound
        path, before = webhook_path(receiver, token), receiver.status.webhook_path
        receiver.status.webhook_path = path
        finished = f"Reconciliation finished, next run in {format_duration(parse_duration(receiver.spec.interval))}"
        if path != before:
            attempt.event("Succeeded", finished, "trace")
        else:
            attempt.unchanged("Succeeded", finished)
        return Ready("Succeeded", f"Receiver initialized for path: {path}")

    async def finalize(receiver: Receiver, attempt: Attempt[Receiver]) -> None:
        """Nothing is left of it."""

    return Kind(
        type=Receiver,
        reconcile=reconcile,
        finalize=finalize,
        configs=configs,
        known_first=True,
        forget=secrets.forget,
    )


def require_valid(receiver: Receiver) -> None:
    """Stalls what only an edit can help."""
    try:
        filters.require_valid(receiver.spec)
    except InvalidSpec as error:
        message = f"Reconciliation failed terminally due to configuration error: {error}"
        raise Stalled(error.reason, message) from error


async def find_token(receiver: Receiver, secrets: Secrets) -> bytes:
    """The token. A Receiver without one takes no webhooks."""
    try:
        return (await secrets.read(receiver))[TOKEN]
    except TokenNotFound as error:
        receiver.status.webhook_path = None
        raise Failed("TokenNotFound", str(error), event_reason="Failed") from error


def webhook_path(receiver: Receiver, token: bytes) -> str:
    """The path that only those can know who know the token."""
    whole = token + f"{receiver.metadata.name}{receiver.metadata.namespace}".encode()
    return PATH + hashlib.sha256(whole).hexdigest()


def configs(receiver: Receiver) -> Iterable[ConfigRef]:
    """The Secret that it reads."""
    if receiver.spec.secret_ref is not None:
        yield ConfigRef("Secret", receiver.metadata.namespace or "", receiver.spec.secret_ref.name)
