"""What a cluster does by itself: the controllers that an API server and a controller manager bring.

Each controller is told of changes by the store and works through a queue of keys on the event loop, after the write
that caused the change has been answered for. They write through kubeapi.writes like everybody else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kubeapi import bootstrap
from kubeapi.controllers.accounts import Accounts
from kubeapi.controllers.aggregation import Aggregation
from kubeapi.controllers.definitions import Definitions
from kubeapi.controllers.garbage import GarbageCollector
from kubeapi.controllers.namespaces import Namespaces

if TYPE_CHECKING:
    from kubeapi.authorization import Authorizer
    from kubeapi.cluster import Cluster
    from kubeapi.controllers.queue import Controller


class Controllers:
    """All built-in controllers of one cluster."""

    def __init__(
        self,
        cluster: Cluster,
        *,
        ca: str,
        authorizer: Authorizer,
        workloads: bool,
        delay: float,
        invariants: bool,
    ):
        self.cluster = cluster
        self.definitions = Definitions(cluster)
        self.namespaces = Namespaces(cluster)
        self.garbage = GarbageCollector(cluster)
        self._running: list[Controller[Any]] = [
            self.definitions,
            self.namespaces,
            self.garbage,
            Accounts(cluster, ca),
            Aggregation(cluster),
        ]

    def start(self) -> None:
        """Serve the stored CRDs, create what every cluster has, and begin."""
        self.definitions.load()
        for controller in self._running:
            controller.start()
        bootstrap.create(self.cluster)

    def stop(self) -> None:
        for controller in self._running:
            controller.stop()
