"""Events that the stand-ins record about what they do; the same one again is counted, not repeated."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from kubeapi import writes
from kubeapi.errors import StatusError
from kubeapi.writes import Options

if TYPE_CHECKING:
    from kubeapi.cluster import Cluster

Manifest = dict[str, Any]

_KNOWN = 10_000


class Recorder:
    """Writes core/v1 Events. One that can't be written (a namespace that is going) is left out, as everywhere."""

    def __init__(self, cluster: Cluster):
        self.cluster = cluster
        self._names: dict[tuple[str, str, str], str] = {}

    def record(self, about: Manifest, reason: str, message: str, component: str, *, warning: bool = False) -> None:
        """Tell what happened to an object."""
        metadata = about["metadata"]
        namespace = metadata.get("namespace") or "default"
        key = (metadata["uid"], reason, message)
        resource = self.cluster.resource("v1", "Event")
        now = self.cluster.clock.stamp()

        def again(event: Manifest) -> Manifest:
            event["count"] = event.get("count", 1) + 1
            event["lastTimestamp"] = now
            return event

        known = self._names.get(key)
        if known is not None and writes.change(self.cluster, resource, namespace, known, again, manager=component):
            return
        name = f"{metadata['name']}.{secrets.token_hex(8)}"
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name},
            "involvedObject": {
                "apiVersion": about["apiVersion"],
                "kind": about["kind"],
                "name": metadata["name"],
                "namespace": namespace,
                "uid": metadata["uid"],
                "resourceVersion": metadata["resourceVersion"],
            },
            "type": "Warning" if warning else "Normal",
            "reason": reason,
            "message": message,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
            "source": {"component": component},
        }
        try:
            writes.create(self.cluster, resource, namespace, event, Options(field_manager=component))
        except StatusError:
            return
        if len(self._names) >= _KNOWN:
            self._names.clear()
        self._names[key] = name
