"""Prometheus metrics under upstream's names, so that dashboards move over."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

import prometheus_client
from prometheus_client import REGISTRY, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

BUCKETS = (0.01, 0.0383636, 0.147176, 0.564622, 2.16609, 8.3099, 31.8798, 122.302, 469.195, 1800.0)

duration = Histogram(
    "gotk_reconcile_duration_seconds",
    "The duration in seconds of a reconciliation.",
    ["kind", "name", "namespace"],
    buckets=BUCKETS,
)
attempts = prometheus_client.Counter("fluvial_attempts_total", "Attempts to reconcile, by kind.", ["kind"])


class _Live(Collector):
    """Figures that are counted elsewhere anyway, read when they are asked for."""

    def __init__(self) -> None:
        self.controllers: dict[str, tuple[Mapping[tuple[str, str], int], Callable[[], Mapping[str, int]]]] = {}

    def collect(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "fluvial_api_requests", "Requests to the Kubernetes API.", labels=["controller", "verb", "resource"]
        )
        depth = GaugeMetricFamily(
            "workqueue_depth", "Objects that are due and wait for a worker.", labels=["controller", "name"]
        )
        for controller, (calls, depths) in self.controllers.items():
            sums: Counter[tuple[str, str]] = Counter()
            for (verb, resource), count in list(calls.items()):
                sums[verb, "" if resource.startswith("/") else resource] += count
            for (verb, resource), count in sorted(sums.items()):
                requests.add_metric([controller, verb, resource], count)
            for kind, count in depths().items():
                depth.add_metric([controller, kind.lower()], count)
        yield requests
        yield depth


_live = _Live()
REGISTRY.register(_live)


@contextlib.contextmanager
def live(
    controller: str, calls: Mapping[tuple[str, str], int], depths: Callable[[], Mapping[str, int]]
) -> Iterator[None]:
    """While inside, expose a controller's requests (by verb and resource) and how many objects are due of each kind."""
    _live.controllers[controller] = (calls, depths)
    try:
        yield
    finally:
        _live.controllers.pop(controller, None)


def forget(kind: str, name: str, namespace: str) -> None:
    """Drop the series of an object that is gone."""
    with contextlib.suppress(KeyError):
        duration.remove(kind, name, namespace)


def expose() -> bytes:
    """All metrics in Prometheus' text format."""
    return generate_latest(REGISTRY)
