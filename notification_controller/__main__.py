"""notification-controller: tells people and other systems what happened, and listens to them.

Here are its flags and its wiring, nothing else.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from notification_controller import receiver, static
from notification_controller.dispatch import Dispatch
from notification_controller.inbox import Inbox
from notification_controller.journal import Journal
from notification_controller.receivers.notify import Notifier
from notification_controller.receivers.oidc import Issuers
from notification_controller.receivers.secrets import Secrets
from notification_controller.webhooks import Webhooks
from shared.api.notification import Receiver
from shared.loop import flags, logins, metrics, process, web
from shared.loop.flags import Flag
from shared.loop.kinds import Kind
from shared.loop.roster import Roster

NAME = "notification-controller"
_DEFAULT = "default-service-account"
FLAGS = (
    Flag("events-addr", "string", ":9090", "The address to take events at."),
    Flag("receiverAddr", "string", ":9292", "The address to take webhooks at."),
    Flag(
        "rate-limit-interval",
        "duration",
        "5m",
        "The time within which an event that repeats another is refused; 0 refuses none.",
    ),
    Flag(
        "export-http-path-metrics",
        "bool",
        False,
        "Put the whole path of requests into the metrics of the HTTP servers: as many series as there are paths.",
    ),
    Flag("no-cross-namespace-refs", "bool", False, "Refuse references to objects in other namespaces."),
    Flag(
        "storage-path",
        "string",
        "",
        "The directory to keep notifications in until they are delivered; one below the system's temporary directory "
        "when empty.",
        environment="STORAGE_PATH",
    ),
    Flag("delivery-deadline", "duration", "1h", "How long a notification is tried to be delivered."),
    Flag("delivery-queue", "int", 50_000, "How many notifications may wait for one Provider; the oldest make room."),
    *logins.FLAGS,
    Flag(_DEFAULT, "string", "", "The ServiceAccount for cloud logins of Providers that name none."),
)
GATES = (
    flags.Gate("CacheSecretsAndConfigMaps", False, "Keep Secrets and ConfigMaps in memory.", built=False),
    flags.Gate("DisableConfigWatchers", False, "Don't watch ConfigMaps and Secrets."),
    *logins.GATES,
)


async def build(runtime: process.Runtime) -> Sequence[Kind[Any]]:
    """The kinds, with a server for events and one for webhooks."""
    options = runtime.options
    runtime.events_address = ""  # its own events are told in Kubernetes only: the flag says where it listens
    journal = Journal(Path(options.storage_path or Path(tempfile.gettempdir(), NAME)))
    dispatch = Dispatch(runtime, journal, logins.clouds(runtime, options.default_service_account))
    await dispatch.open()
    runtime.services.push_async_callback(dispatch.close)
    inbox = Inbox(options.rate_limit_interval, dispatch.is_ready, dispatch.take)
    await _serve(runtime, options.events_addr, inbox.answer, metrics.event_http, "/")
    secrets = Secrets(runtime.client)
    notifier = Notifier(runtime.client, manager=NAME, no_cross_namespace_refs=options.no_cross_namespace_refs)
    webhooks = Webhooks(NAME, lambda: _known(runtime), secrets, Issuers(), notifier)
    runtime.services.push_async_callback(webhooks.stop)
    await _serve(runtime, options.receiverAddr, webhooks.answer, metrics.receiver_http, receiver.PATH)
    return [*static.kinds(dispatch.outbox), receiver.kind(secrets)]


def _known(runtime: process.Runtime) -> Roster[Receiver] | None:
    return runtime.known(Receiver) if runtime.working.is_set() else None


async def _serve(
    runtime: process.Runtime, address: str, handler: web.Handler, measured: metrics.Http, path: str
) -> None:
    server = web.Server(handler, metrics=measured, path=path, full_paths=runtime.options.export_http_path_metrics)
    await server.start(address)
    runtime.services.push_async_callback(server.stop)


def options(argv: Sequence[str] | None = None) -> Any:
    """The parsed flags."""
    parsed = flags.parse(NAME, "Tell people and other systems, and listen to them.", FLAGS, argv, gates=GATES)
    logins.require_gate(parsed, _DEFAULT)
    return parsed


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    return process.run(NAME, options(argv), build, serves_always=True)


if __name__ == "__main__":
    sys.exit(main())
