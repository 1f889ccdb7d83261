"""Commit status: the id under which a Provider's statuses of a commit are kept. Pure.

    Provider + Alert + event with the metadata that is sent → id

By default it tells clusters and objects apart: kind, name, and the first part of the Provider's UID. An expression
(CEL) over `event`, `alert` and `provider` may make another; by its type it must be a text.
"""

from __future__ import annotations

from notification_controller import event as events
from notification_controller.event import Event
from notification_controller.provider import COMMIT_STATUS_TYPES
from notification_controller.providers import InvalidProvider
from shared.api import codec
from shared.api.notification import Alert, Provider
from shared.text import cel
from shared.text.cel import CELError


def commit_status(provider: Provider, alert: Alert | None, event: Event) -> str:
    """The id; "" for a service that keeps no statuses. Without the Alert, when that is gone, an expression sees an
    empty one. InvalidProvider when the expression gives none."""
    if provider.spec.type not in COMMIT_STATUS_TYPES:
        return ""
    if not provider.spec.commit_status_expr:
        involved = event.involved_object
        return f"{involved.kind}/{involved.name}/{(provider.metadata.uid or '').partition('-')[0]}".lower()
    try:
        return evaluated(provider.spec.commit_status_expr, provider, alert, event)
    except CELError as error:
        problem = f"failed to evaluate the spec.commitStatusExpr CEL expression for the event: {error}"
        raise InvalidProvider(f"failed to create commit status: {problem}") from error


def evaluated(expression: str, provider: Provider, alert: Alert | None, event: Event) -> str:
    """What an expression makes. CELError says why it makes nothing."""
    try:
        program = cel.compile(expression, variables=("event", "alert", "provider"), result="string")
    except CELError as error:
        raise CELError(f"failed to compile expression: {error}") from error
    bindings = {
        "event": events.manifest(event),
        "alert": codec.encode(alert) if alert else {},
        "provider": codec.encode(provider),
    }
    return str(program.evaluate(bindings))
