"""Events live for an hour."""

from __future__ import annotations

from kubeapi import writes
from kubeapi.clock import parse
from kubeapi.controllers.queue import Controller
from kubeapi.store import Change
from kubeapi.writes import DeleteOptions

STORAGE = ("", "events")
TIME_TO_LIVE = 3600.0
_SWEEP = 60.0


class Events(Controller[str]):
    """Deletes the Events that nobody has touched for their time to live."""

    name = "event-ttl"

    def keys(self, change: Change) -> list[str]:
        return []

    def initial(self) -> list[str]:
        return ["sweep"]

    def act(self, key: str) -> None:
        self.queue_after(key, _SWEEP)
        now = self.cluster.clock.now()
        resource = self.cluster.resource("v1", "Event")
        for entry in self.cluster.store.entries(STORAGE):
            event = entry.manifest()
            last = event.get("lastTimestamp") or event["metadata"]["creationTimestamp"]
            if (now - parse(last)).total_seconds() > TIME_TO_LIVE and not entry.deleting:
                writes.delete(self.cluster, resource, entry.namespace, entry.name, DeleteOptions())
