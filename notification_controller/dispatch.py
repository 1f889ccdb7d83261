"""Dispatch: from an event to what each Provider is sent.

    event → Alerts that want it → their Providers → metadata combined → what is noise held or dropped → outbox

What always holds: when `take` returns, everything that has to be told is on disk; what is wrong with an Alert or its
Provider is told on the Alert, the same at most once a minute, and keeps no other Alert from being served.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Mapping

from notification_controller import event as events
from notification_controller import noise
from notification_controller import provider as providers_
from notification_controller.alert import Interest, Interests, combined, has_labels
from notification_controller.commitstatus import commit_status
from notification_controller.event import Event
from notification_controller.journal import About, Change, Contents, Delivery, Journal, JournalError, JournalTaken, Line
from notification_controller.outbox import Outbox
from notification_controller.provider import Secrets
from notification_controller.providers import AlertName, Notification
from notification_controller.quiet import Decided, Quiet
from shared.api.notification import Alert, Provider
from shared.auth import Clouds, GateClosed
from shared.kube.client import Client
from shared.kube.errors import ApiError, Forbidden, NoMatch, NotFound
from shared.loop.process import Runtime

log = logging.getLogger(__name__)

FAILED = "NotificationDispatchFailed"
TAKEN_AGAIN = 1.0
"""Seconds between looks whether the process that had the journal has ended."""
TOLD_AGAIN = 60.0
"""Seconds after which the same is told again of an Alert."""
CONFLICTS = (
    "metadata key conflicts detected (please refer to the Alert API docs and Flux RFC 0008 for more information)"
)


class Dispatch:
    """Events of one process. `open` first, `close` at the end."""

    def __init__(self, runtime: Runtime, journal: Journal, clouds: Clouds) -> None:
        options = runtime.options
        self.clouds: Clouds | None = clouds
        self._runtime = runtime
        self._journal = journal
        self._stays_inside = options.no_cross_namespace_refs
        self.outbox = Outbox(journal, self, longest=options.delivery_deadline, limit=options.delivery_queue)
        self._quiet = Quiet(self._quiet_settings, self._send_held, journal.write)
        self._interests: tuple[int, Interests] = (-1, Interests(()))
        self._told: OrderedDict[tuple[str, str, str], float] = OrderedDict()
        self._is_ready = False

    async def open(self) -> None:
        """Take up what the journal holds, as soon as no other process does. JournalError when it can't be used."""
        contents = await self._opened()
        self._beginning = asyncio.create_task(self._begin(contents))

    async def _opened(self) -> Contents | None:
        """What the journal holds; None while another process has it."""
        try:
            return await self._journal.open()
        except JournalTaken as error:
            log.warning("%s; no event is taken until it ends", error)
            return None

    async def _begin(self, contents: Contents | None) -> None:
        """Go on with what was there, once Alerts and Providers are known."""
        while contents is None:
            await asyncio.sleep(TAKEN_AGAIN)
            contents = await self._opened()
        await self._runtime.working.wait()
        self._quiet.remember(contents.held, contents.told)
        self.outbox.start(contents.waiting)
        self._quiet.start()
        self._is_ready = True

    def is_ready(self) -> bool:
        """Whether events can be taken."""
        return self._is_ready

    async def close(self) -> None:
        """Stop; what is to be told stays in the journal."""
        self._is_ready = False
        self._beginning.cancel()
        await asyncio.gather(self._beginning, return_exceptions=True)
        await self._quiet.stop()
        await self.outbox.stop()
        await self._journal.close()

    async def take(self, event: Event, arrived: float) -> None:
        """Keep what has to be told of an event. JournalError or ApiError when that can't be: nothing is kept then."""
        labels = _Labels(self._runtime.client, event)
        deliveries: list[Delivery] = []
        decided: list[Decided] = []
        for interest in self._known().of(event):
            if not (selections := interest.selections(event)):
                continue
            for problem in interest.problems:
                self._tell(interest.alert, "InvalidConfig", problem)
            is_selected = self._selects(interest, event)
            if is_selected is None or not await self._has_labels(interest, selections, labels):
                continue
            provider = self._provider_of(interest.alert, event)
            if provider is None:
                continue
            if passed := providers_.passes_over(provider.spec.type, event):
                log.debug("%s is not told of %s: %s", _named(interest.alert), event.involved_object, passed)
                is_selected = False
            if interest.quiet == noise.OFF and not is_selected:
                continue
            made = self._combined(event, interest.alert)
            told: Event | None = made
            if interest.quiet != noise.OFF:
                decided.append(self._quiet.decide(interest, made, is_selected=is_selected, now=arrived))
                told = decided[-1].told
            if told is not None:
                deliveries.append(delivery(interest.alert, told, arrived))
        if not deliveries and not any(one.changes for one in decided):
            return
        try:
            await self.outbox.add(deliveries, [change for one in decided for change in one.changes])
        except JournalError:
            for one in reversed(decided):
                one.undo()
            raise

    def _quiet_settings(self, name: str) -> noise.Settings:
        interest = self._known().named(name)
        return interest.quiet if interest else noise.OFF

    async def _send_held(self, about: About, told: Event, changes: list[Change]) -> None:
        """Send what was held, if its Alert still wants it and has somebody to tell."""
        interest = self._known().named(about.alert)
        provider = self._provider_of(interest.alert, told) if interest else None
        kept = [delivery(interest.alert, told, time.time())] if interest and provider else []
        await self.outbox.add(kept, changes)

    def _known(self) -> Interests:
        """The Alerts' interests, made anew when an Alert changed."""
        alerts = self._runtime.known(Alert)
        if self._interests[0] != alerts.changes:
            self._interests = alerts.changes, Interests(alerts)
        return self._interests[1]

    def _selects(self, interest: Interest, event: Event) -> bool | None:
        """Whether an Alert wants to be told of an event by its severity and message; None when it doesn't even want to
        hear that all is well again."""
        if interest.excludes(event.message):
            return None
        if interest.wants_severity(event.severity) and interest.includes(event.message):
            return True
        is_end = interest.quiet != noise.OFF and noise.state(event) is noise.State.WELL
        return False if is_end else None

    async def _has_labels(self, interest: Interest, selections: list[Mapping[str, str]], labels: _Labels) -> bool:
        """Whether one of the Alert's sources takes the object with the labels that it has now."""
        if not all(selections):
            return True
        try:
            found = await labels.read()
        except (NotFound, NoMatch, Forbidden) as error:
            log.error("error getting the involved object: %s", error)
            self._tell(
                interest.alert, "SourceFetchFailed", f"error getting source object {labels.event.involved_object}"
            )
            return False
        return any(has_labels(found, wanted) for wanted in selections)

    def _provider_of(self, alert: Alert, event: Event) -> Provider | None:
        """Whom an Alert wants told of an event. None when nobody is to be told, of which people are told if that is a
        mistake."""
        namespace, name = alert.metadata.namespace, alert.spec.provider_ref.name
        about = event.involved_object
        provider = self._runtime.known(Provider).get(namespace, name)
        problem = ""
        if self._stays_inside and about.namespace != namespace:
            problem = (
                "discarding event, access denied to cross-namespace sources: "
                f"alert '{namespace}/{alert.metadata.name}' can't process event from '{about}', "
                "cross-namespace references have been blocked"
            )
        elif provider is None:
            problem = f'failed to read provider: Provider.{Provider.resource.group} "{name}" not found'
        elif not provider.spec.suspend and not providers_.passes_over(provider.spec.type, event):
            problem = self._lacks_identity(provider)
        if problem:
            self._tell(alert, FAILED, f"failed to dispatch notification for {about}: {problem}")
            return None
        return None if provider is None or provider.spec.suspend else provider

    def _lacks_identity(self, provider: Provider) -> str:
        """Why a Provider can't have the identity that it asks for; "" when it can, or asks for none."""
        try:
            if self.clouds is not None:
                self.clouds.who(provider.metadata.namespace, provider.spec.service_account_name)
        except GateClosed as error:
            return str(error)
        return ""

    def _combined(self, event: Event, alert: Alert) -> Event:
        made, conflicts = combined(event, alert)
        if conflicts:
            self._tell(alert, "MetadataAppendFailed", CONFLICTS, conflicts)
        return made

    def _tell(self, alert: Alert, reason: str, message: str, annotations: dict[str, str] | None = None) -> None:
        """Tell people on an Alert what is wrong, the same at most once in a while."""
        key, now = (alert.metadata.uid, reason, f"{message}{sorted((annotations or {}).items())}"), time.monotonic()
        if now < self._told.get(key, 0.0):
            return
        self._told[key] = now + TOLD_AGAIN
        self._told.move_to_end(key)
        while len(self._told) > 4096:
            self._told.popitem(last=False)
        log.error("%s: %s", _named(alert), message)
        self._runtime.record(alert, reason, message, "error", annotations=annotations)

    # What the outbox needs

    def provider(self, line: Line) -> Provider | None:
        """A line's Provider as it is now."""
        return self._runtime.known(Provider).get(*line)

    async def secrets(self, provider: Provider) -> Secrets:
        """Its Secrets as they are now."""
        return await providers_.read(self._runtime.client, provider)

    def notification(self, provider: Provider, delivery: Delivery) -> Notification:
        """What to post. InvalidProvider when the Provider's expression gives no commit status."""
        namespace, event = delivery.line.namespace, events.read(delivery.event)
        alert = self._runtime.known(Alert).get(namespace, delivery.alert)
        status = commit_status(provider, alert, event)
        return Notification(event, AlertName(namespace, delivery.alert, delivery.alert_uid), status)

    def failed(self, delivery: Delivery, message: str) -> None:
        """Tell people on the Alert, if it is still there."""
        alert = self._runtime.known(Alert).get(delivery.line.namespace, delivery.alert)
        if alert is None:
            log.error("Alert %s/%s, which is gone: %s", delivery.line.namespace, delivery.alert, message)
        else:
            self._tell(alert, FAILED, message)


class _Labels:
    """The labels of an event's object, read once, and only when somebody asks."""

    def __init__(self, client: Client, event: Event) -> None:
        self._client, self.event = client, event
        self._found: Mapping[str, str] | ApiError | None = None

    async def read(self) -> Mapping[str, str]:
        """The labels that the object has now."""
        about = self.event.involved_object
        if self._found is None:
            try:
                manifest = await self._client.get(
                    about.api_version, about.kind, about.name, about.namespace, metadata_only=True
                )
                self._found = manifest["metadata"].get("labels") or {}
            except ApiError as error:
                self._found = error
        if isinstance(self._found, ApiError):
            raise self._found
        return self._found


def delivery(alert: Alert, told: Event, arrived: float) -> Delivery:
    """What an Alert's Provider is sent of an event."""
    meta = alert.metadata
    return Delivery(
        line=Line(meta.namespace, alert.spec.provider_ref.name),
        about=str(told.involved_object),
        alert=meta.name,
        alert_uid=meta.uid,
        arrived=arrived,
        event=events.encode(told),
    )


def _named(alert: Alert) -> str:
    return f"Alert {alert.metadata.namespace}/{alert.metadata.name}"
