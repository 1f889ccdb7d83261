"""Prometheus metrics under upstream's names, so that dashboards move over."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice

import prometheus_client
from prometheus_client import REGISTRY, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from shared.auth.tokens import Asker, Tokens
from shared.kube.client import Client
from shared.loop import work
from shared.loop.spread import Spread
from shared.loop.work import Work

BUCKETS = (0.01, 0.0383636, 0.147176, 0.564622, 2.16609, 8.3099, 31.8798, 122.302, 469.195, 1800.0)
_AT_ONCE = 100


class Durations:
    """How long reconciliations took, by object: there are thousands, so none has locks of its own as the library's
    histograms have, and their series are said here: the library takes a tenth of a millisecond for each."""

    NAME = "gotk_reconcile_duration_seconds"

    def __init__(self) -> None:
        self._taken: dict[tuple[str, str, str], Spread] = {}

    def observe(self, kind: str, name: str, namespace: str, seconds: float) -> None:
        """Count one that took so long."""
        taken = self._taken.get((kind, name, namespace))
        if taken is None:
            taken = self._taken[kind, name, namespace] = Spread(BUCKETS)
        taken.observe(seconds)

    def forget(self, kind: str, name: str, namespace: str) -> None:
        """Drop the series of an object."""
        self._taken.pop((kind, name, namespace), None)

    def text(self) -> Iterator[str]:
        """All series in Prometheus' text format, in pieces that take about a millisecond each."""
        yield f"# HELP {self.NAME} The duration in seconds of a reconciliation.\n# TYPE {self.NAME} histogram\n"
        everything = iter(list(self._taken.items()))
        while some := list(islice(everything, _AT_ONCE)):
            yield "".join(self._series(*key, taken) for key, taken in some)

    def _series(self, kind: str, name: str, namespace: str, taken: Spread) -> str:
        first, rest = f'kind="{_escaped(kind)}"', f'name="{_escaped(name)}",namespace="{_escaped(namespace)}"'
        buckets = taken.buckets
        lines = [f'{self.NAME}_bucket{{{first},le="{bound}",{rest}}} {below}\n' for bound, below in buckets]
        labels = f"{{{first},{rest}}}"
        lines.append(f"{self.NAME}_count{labels} {buckets[-1][1]}\n{self.NAME}_sum{labels} {taken.sum}\n")
        return "".join(lines)


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


durations = Durations()
leading = prometheus_client.Gauge(
    "leader_election_master_status", "Whether this process holds the lease (1) or waits for it (0).", ["name"]
)
cache_events = prometheus_client.Counter(
    "gotk_cache_events_total",
    "Indexes of Helm repositories that were kept, or not.",
    ["event_type", "name", "namespace"],
)
notifications = prometheus_client.Counter(
    "fluvial_notifications_total",
    "Notifications by how they ended: delivered, refused, given_up, crowded_out, dropped.",
    ["result"],
)
waiting_notifications = prometheus_client.Gauge(
    "fluvial_waiting_notifications", "Notifications that are kept until they are delivered or given up."
)


class Http:
    """What an endpoint measures of each request: seconds, bytes of the answer, and how many are under way."""

    def __init__(self, prefix: str) -> None:
        labels = ["service", "handler", "method", "code"]
        self._seconds = Histogram(f"{prefix}_http_request_duration_seconds", "The latency of the requests.", labels)
        self._bytes = Histogram(
            f"{prefix}_http_response_size_bytes", "The size of the responses.", labels, buckets=_SIZES
        )
        self._inflight = prometheus_client.Gauge(
            f"{prefix}_http_requests_inflight", "The requests under way.", labels[:2]
        )

    @contextlib.contextmanager
    def request(self, path: str, method: str) -> Iterator[Callable[[int, int], None]]:
        """While inside, a request is under way; call what is given with its status and the size of the answer."""
        method = method if method in _METHODS else "other"
        inflight = self._inflight.labels("", path)
        inflight.inc()
        started = time.perf_counter()

        def done(status: int, size: int) -> None:
            self._seconds.labels("", path, method, str(status)).observe(time.perf_counter() - started)
            self._bytes.labels("", path, method, str(status)).observe(size)

        try:
            yield done
        finally:
            inflight.dec()


_SIZES = tuple(100.0 * 10**power for power in range(8))
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
"""Others are counted as one: who asks must not be able to make series."""
event_http = Http("gotk_event")
receiver_http = Http("gotk_receiver")


class _Live(Collector):
    """Figures that are counted elsewhere anyway, read when they are asked for."""

    def __init__(self) -> None:
        self.tokens: list[Tokens] = []
        self.controllers: dict[str, tuple[Client, Mapping[str, Work]]] = {}

    def collect(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "fluvial_api_requests", "Requests to the Kubernetes API.", labels=["controller", "verb", "resource"]
        )
        answers: Counter[tuple[str, str, str]] = Counter()
        works: dict[str, Work] = {}
        for controller, (client, done) in self.controllers.items():
            works |= done
            answers.update(client.answers)
            sums: Counter[tuple[str, str]] = Counter()
            for (verb, resource), count in list(client.calls.items()):
                sums[verb, "" if resource.startswith("/") else resource] += count
            for (verb, resource), count in sorted(sums.items()):
                requests.add_metric([controller, verb, resource], count)
        yield requests
        answered = CounterMetricFamily(
            "rest_client_requests",
            "Requests to the Kubernetes API by their answer's status, <error> without one.",
            labels=["code", "host", "method"],
        )
        for labels, count in sorted(answers.items()):
            answered.add_metric(labels, count)
        yield answered
        yield from work.families(works)
        if self.tokens:
            yield from _token_figures(self.tokens)


def _token_figures(kept: Sequence[Tokens]) -> Iterator[Metric]:
    labels = ["event_type", "kind", "name", "namespace", "operation"]
    events = CounterMetricFamily("gotk_token_cache_events", "Lookups of tokens, by whom they were for.", labels=labels)
    asked = CounterMetricFamily("gotk_token_cache_requests", "Lookups of tokens, by how they ended.", labels=["status"])
    for what in ("found", "made"):
        sums: Counter[Asker] = Counter()
        for tokens in kept:
            sums.update(getattr(tokens.counts, what))
        for who, count in sums.items():
            told = "cache_hit" if what == "found" else "cache_miss"
            events.add_metric([told, who.kind, who.name, who.namespace, who.operation], count)
    asked.add_metric(["success"], sum(tokens.counts.succeeded for tokens in kept))
    asked.add_metric(["failure"], sum(tokens.counts.failed for tokens in kept))
    evicted = sum(tokens.counts.evicted for tokens in kept)
    yield events
    yield asked
    yield CounterMetricFamily("gotk_token_cache_evictions", "Tokens that had to make room.", value=evicted)
    yield GaugeMetricFamily("gotk_token_cached_items", "Tokens that are kept.", value=sum(map(len, kept)))


_live = _Live()
REGISTRY.register(_live)


@contextlib.contextmanager
def live(controller: str, client: Client, works: Mapping[str, Work]) -> Iterator[None]:
    """While inside, expose a controller's requests, and its work by kind."""
    _live.controllers[controller] = client, works
    try:
        yield
    finally:
        _live.controllers.pop(controller, None)


@contextlib.contextmanager
def tokens(kept: Tokens) -> Iterator[None]:
    """While inside, expose what becomes of these tokens."""
    _live.tokens.append(kept)
    try:
        yield
    finally:
        _live.tokens.remove(kept)


def forget(kind: str, name: str, namespace: str) -> None:
    """Drop the series of an object that is gone."""
    for kept in _live.tokens:
        kept.counts.forget(kind, name, namespace)
    durations.forget(kind, name, namespace)


def forget_cache(name: str, namespace: str) -> None:
    """Drop the series of a Helm repository that is gone."""
    for what in ("cache_hit", "cache_miss"):
        with contextlib.suppress(KeyError):
            cache_events.remove(what, name, namespace)


def pieces() -> Iterator[bytes]:
    """All metrics in Prometheus' text format; between two pieces others may have their turn."""
    yield generate_latest(REGISTRY)
    for piece in durations.text():
        yield piece.encode()


def expose() -> bytes:
    """The same at once."""
    return b"".join(pieces())
