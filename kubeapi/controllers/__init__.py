"""What a cluster does by itself: the controllers that an API server and a controller manager bring.

Each controller is told of changes by the store and works through a queue of keys on the event loop, after the write
that caused the change has been answered for. They write through kubeapi.writes like everybody else.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from kubeapi import bootstrap, unenforced
from kubeapi import workloads as standins
from kubeapi.admission.chain import Chain
from kubeapi.controllers.accounts import Accounts
from kubeapi.controllers.aggregation import Aggregation
from kubeapi.controllers.apiservices import APIServices
from kubeapi.controllers.definitions import Definitions
from kubeapi.controllers.events import Events
from kubeapi.controllers.garbage import GarbageCollector
from kubeapi.controllers.namespaces import Namespaces
from kubeapi.controllers.quotas import Quotas
from kubeapi.escalation import Escalation
from kubeapi.invariants import watch as watch_invariants
from kubeapi.workloads.accounts import PodAdmission
from kubeapi.workloads.services import Allocator

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
        Escalation(cluster, authorizer)
        Chain(cluster, authorizer)
        unenforced.warn(cluster)
        self._running: list[Controller[Any]] = [
            self.definitions,
            self.namespaces,
            self.garbage,
            Accounts(cluster, ca),
            Aggregation(cluster),
            Events(cluster),
            Quotas(cluster),
            APIServices(cluster),
            Allocator(cluster),
        ]
        self._workloads = workloads
        if workloads:
            PodAdmission(cluster)
            self._running += standins.controllers(cluster, self.garbage, delay)
        if invariants:
            watch_invariants(cluster)

    def start(self) -> None:
        """Serve the stored CRDs, create what every cluster has, and begin."""
        self.definitions.load()
        for controller in self._running:
            controller.start()
        bootstrap.create(self.cluster)
        if self._workloads:
            standins.create_node(self.cluster)

    async def settle(self) -> None:
        """Wait until every controller has done what is due now: what a new cluster always has is there."""
        while True:
            if not any(controller.busy for controller in self._running):
                return
            await asyncio.sleep(0)

    def stop(self) -> None:
        for controller in self._running:
            controller.stop()
