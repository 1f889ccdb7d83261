"""Webhooks: what happens to one that comes in.

    path → Receiver → its Secret → proof → filters → the objects it means are told, in the background

What always holds: the sender learns a status and nothing else. After its proof it waits for that no longer than telling
its objects usually takes: `PATIENCE` seconds where the API answers fast; what takes longer goes on without it. Who
sends for objects that weren't told yet, or not the last time, waits longer: it may have to learn that they can't be. A
Receiver that is suspended or deleted answers no more as soon as we know. Nothing of a webhook is logged but what its
Receiver's type vouches for.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable

from notification_controller.receiver import webhook_path
from notification_controller.receivers.filters import FilterFailed, Filters
from notification_controller.receivers.notify import Notifier, Target, Unreachable
from notification_controller.receivers.oidc import Issuers
from notification_controller.receivers.proofs import PROOFS
from notification_controller.receivers.secrets import TOKEN, Secrets, TokenNotFound
from notification_controller.receivers.webhook import Proven, Refused, Webhook, shown
from shared.api.notification import Receiver
from shared.kube.errors import ApiError
from shared.loop.logs import ObjectLog
from shared.loop.roster import Roster
from shared.loop.web import Incoming, Reply

log = logging.getLogger(__name__)

PATIENCE, LONGEST_PATIENCE = 0.04, 1.0
"""Seconds that a proven webhook's sender waits for its objects to be told; after that it is told that they will be.
The longer time is for objects of which nobody knows whether they can be told, and for an API that takes its time for
everything, as on a machine that has too much to do."""
_ANSWERS = 10
"""How many of the API's answers, at its present pace, a sender waits for."""
_WELL = 10_000
"""Receivers of which it is remembered that their objects could be told."""
BACKLOG = 1000
"""Webhooks whose objects may be told at the same time; with more, senders are asked to come again."""
ENDING = 5.0
"""Seconds that a process that ends gives to webhooks it has taken."""
_LATER = Reply(503, headers={"Retry-After": "1"})

Known = Callable[[], Roster[Receiver] | None]


class Webhooks:
    """The handler of the webhook server. `stop` once the server takes no more."""

    def __init__(self, controller: str, known: Known, secrets: Secrets, issuers: Issuers, notifier: Notifier) -> None:
        """`known` gives the Receivers there are; None while not all of them are known."""
        self._controller, self._known = controller, known
        self._secrets, self._issuers, self._notifier = secrets, issuers, notifier
        self._paths: dict[str, list[Receiver]] = {}
        self._changes = -1
        self._taken: set[asyncio.Task[bool]] = set()
        self._well: OrderedDict[tuple[str, int], None] = OrderedDict()
        """Receivers, by uid and generation, whose objects were all told the last time."""

    async def answer(self, incoming: Incoming) -> Reply:
        """What the sender gets: 200 when all objects are told or about to be; 400 without proof; 404 for a path that is
        no Receiver's; 500 when an object could not be told; 503 when it should come again."""
        known = self._known()
        if known is None:
            return _LATER
        try:
            receiver = await self._at(incoming.target, known)
        except ApiError as error:
            log.error("could not tell whose webhook came in: %s", error)
            return _LATER
        if receiver is None:
            return Reply(404)
        about = ObjectLog(log, self._controller, receiver)
        if receiver.spec.suspend or not _is_ready(receiver):
            about.info("refused a webhook: the Receiver is %s", "suspended" if receiver.spec.suspend else "not ready")
            return Reply(503)
        if len(self._taken) >= BACKLOG:
            about.error("refused a webhook: %d others wait for the Kubernetes API", len(self._taken))
            return _LATER
        webhook = Webhook(incoming.headers, incoming.body)
        try:
            proven = await self._proven(receiver, webhook)
            filters = Filters(receiver.spec, webhook, proven)
        except (Refused, TokenNotFound) as error:
            about.error("refused a webhook: %s", error)
            return Reply(400, getattr(error, "answer", ""))
        except FilterFailed as error:
            about.error("could not act on a webhook: %s", error)
            return Reply(500)
        except ApiError as error:
            about.error("could not check a webhook: %s", error)
            return _LATER
        about.info("took a webhook%s", f" of {shown(proven.event)!r}" if proven.event else "")
        return await self._told(receiver, filters, about)

    async def stop(self) -> None:
        """Give those that were taken a moment, then give them up."""
        if self._taken:
            _, late = await asyncio.wait(self._taken, timeout=ENDING)
            for task in late:
                task.cancel()
            if late:
                log.error("%d resources of webhooks were not told before the end", len(late))
                await asyncio.gather(*late, return_exceptions=True)

    async def _at(self, target: str, known: Roster[Receiver]) -> Receiver | None:
        """The Receiver whose path the request's target is, query and all. Where several claim it, which only a forged
        status makes, it is that whose token gives it."""
        if known.changes != self._changes:
            self._paths, self._changes = by_path(known), known.changes
        claimants = self._paths.get(target, [])
        if len(claimants) < 2:
            return claimants[0] if claimants else None
        for one in claimants:
            with contextlib.suppress(TokenNotFound):
                if webhook_path(one, (await self._secrets.read(one))[TOKEN]) == target:
                    return one
        return None

    async def _proven(self, receiver: Receiver, webhook: Webhook) -> Proven:
        secret = await self._secrets.read(receiver)
        match receiver.spec.type:
            case "generic-oidc":
                return await self._issuers.generic(receiver.spec, webhook)
            case "gcr":
                return await self._issuers.gcr(secret, webhook)
            case type_:
                return PROOFS[type_](receiver.spec, secret, webhook)

    async def _told(self, receiver: Receiver, filters: Filters, about: ObjectLog) -> Reply:
        """Tell the resources, each for itself, and wait a little for how that ends."""
        tasks = [
            asyncio.create_task(self._tell(receiver, index, filters, about))
            for index in range(len(receiver.spec.resources))
        ]
        self._taken.update(tasks)
        for task in tasks:
            task.add_done_callback(self._taken.discard)
        if not tasks:
            return Reply(200)
        asyncio.gather(*tasks).add_done_callback(lambda results: self._note(receiver, results))
        usual = min(max(PATIENCE, _ANSWERS * self._secrets.pace), LONGEST_PATIENCE)
        done, _ = await asyncio.wait(tasks, timeout=usual if _version(receiver) in self._well else LONGEST_PATIENCE)
        return Reply(200 if all(task.result() for task in done) else 500)

    def _note(self, receiver: Receiver, results: asyncio.Future[list[bool]]) -> None:
        """Remember whether a Receiver's objects could all be told."""
        self._well.pop(_version(receiver), None)
        if not results.cancelled() and results.exception() is None and all(results.result()):
            self._well[_version(receiver)] = None
            while len(self._well) > _WELL:
                self._well.popitem(last=False)

    async def _tell(self, receiver: Receiver, index: int, filters: Filters, about: ObjectLog) -> bool:
        """Whether all objects of a resource were told; what kept one from it is in the log."""
        try:
            targets = await self._notifier.tell(receiver, index, filters)
        except (Unreachable, FilterFailed) as error:
            about.error("could not request a reconciliation: %s", error)
            return False
        about.info("requested the reconciliation of %s", _named(targets))
        return True


def by_path(receivers: Iterable[Receiver]) -> dict[str, list[Receiver]]:
    """Receivers by the webhook path that their status claims."""
    paths: dict[str, list[Receiver]] = {}
    for receiver in receivers:
        if receiver.status.webhook_path and not receiver.metadata.deletion_timestamp:
            paths.setdefault(receiver.status.webhook_path, []).append(receiver)
    return paths


def _version(receiver: Receiver) -> tuple[str, int]:
    return receiver.metadata.uid or "", receiver.metadata.generation or 0


def _is_ready(receiver: Receiver) -> bool:
    return any(each.type == "Ready" and each.status == "True" for each in receiver.status.conditions)


def _named(targets: list[Target]) -> str:
    shown_ = ", ".join(str(target) for target in targets[:10]) or "no object: none is meant"
    return shown_ if len(targets) <= 10 else f"{shown_} and {len(targets) - 10} more"
