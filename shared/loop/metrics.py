"""Prometheus metrics under upstream's names, so that dashboards move over."""

from __future__ import annotations

import contextlib

from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest

BUCKETS = (0.01, 0.0383636, 0.147176, 0.564622, 2.16609, 8.3099, 31.8798, 122.302, 469.195, 1800.0)

duration = Histogram(
    "gotk_reconcile_duration_seconds",
    "The duration in seconds of a reconciliation.",
    ["kind", "name", "namespace"],
    buckets=BUCKETS,
)
attempts = Counter("fluvial_attempts_total", "Attempts to reconcile, by kind.", ["kind"])
waiting = Gauge("fluvial_queue_depth", "Objects that are due and wait for a worker, by kind.", ["kind"])
requests = Counter(
    "fluvial_api_requests_total", "Requests to the Kubernetes API, by verb and resource.", ["verb", "resource"]
)


def forget(kind: str, name: str, namespace: str) -> None:
    """Drop the series of an object that is gone."""
    with contextlib.suppress(KeyError):
        duration.remove(kind, name, namespace)


def expose() -> bytes:
    """All metrics in Prometheus' text format."""
    return generate_latest(REGISTRY)
