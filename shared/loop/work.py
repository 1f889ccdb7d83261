"""How much there is to do: queues and workers in figures, under the names of controller-runtime, which upstream's
dashboards read (the metrics packages of kubernetes-sigs/controller-runtime).

They are counted as plain numbers while the work is done, and put into words when somebody asks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Literal

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from shared.loop.queue import Queue
from shared.loop.spread import Spread

Result = Literal["success", "error", "requeue", "requeue_after"]
"""How an attempt ended: nothing is planned; it failed; it is due again at once, for something changed meanwhile; it is
due again at a time."""
_RESULTS: tuple[Result, ...] = ("error", "requeue", "requeue_after", "success")
_TOOK = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.25, 1.5),
    *(1.75, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 15.0, 20.0, 25.0, 30.0, 40.0, 50.0, 60.0),
)


class Work:
    """What was done on one kind, and what is under way."""

    def __init__(self, queue: Queue, concurrent: int, active: Callable[[], int]) -> None:
        """`concurrent` workers exist, of which `active` tells how many are held."""
        self.queue, self.concurrent, self.active = queue, concurrent, active
        self.results: Counter[Result] = Counter()
        self.took = Spread(_TOOK)

    def ended(self, result: Result, seconds: float) -> None:
        """Count an attempt."""
        self.results[result] += 1
        self.took.observe(seconds)


def families(works: Mapping[str, Work]) -> Iterator[Metric]:
    """The metrics of these kinds."""
    named = {kind.lower(): work for kind, work in works.items()}
    yield from _attempts(named)
    yield from _queues(named)


def _attempts(works: Mapping[str, Work]) -> Iterator[Metric]:
    prefix, labels = "controller_runtime", ["controller"]
    total = CounterMetricFamily(f"{prefix}_reconcile", "Attempts by how they ended.", labels=[*labels, "result"])
    errors = CounterMetricFamily(f"{prefix}_reconcile_errors", "Attempts that failed.", labels=labels)
    took = HistogramMetricFamily(f"{prefix}_reconcile_time_seconds", "How long attempts took.", labels=labels)
    most = GaugeMetricFamily(f"{prefix}_max_concurrent_reconciles", "Workers, by --concurrent.", labels=labels)
    active = GaugeMetricFamily(f"{prefix}_active_workers", "Workers that are held by attempts.", labels=labels)
    for kind, work in works.items():
        for result in _RESULTS:
            total.add_metric([kind, result], work.results[result])
        errors.add_metric([kind], work.results["error"])
        took.add_metric([kind], work.took.buckets, work.took.sum)
        most.add_metric([kind], work.concurrent)
        active.add_metric([kind], work.active())
    yield from (total, errors, took, most, active)


def _queues(works: Mapping[str, Work]) -> Iterator[Metric]:
    prefix, labels = "workqueue", ["controller", "name"]
    depth = GaugeMetricFamily(f"{prefix}_depth", "Objects that are due and wait for a worker.", labels=labels)
    adds = CounterMetricFamily(f"{prefix}_adds", "Times that an object became due.", labels=labels)
    retries = CounterMetricFamily(f"{prefix}_retries", "Attempts that are tried again after a delay.", labels=labels)
    waited = HistogramMetricFamily(
        f"{prefix}_queue_duration_seconds", "How long objects that were due waited for a worker.", labels=labels
    )
    worked = HistogramMetricFamily(f"{prefix}_work_duration_seconds", "How long objects were worked on.", labels=labels)
    unfinished = GaugeMetricFamily(
        f"{prefix}_unfinished_work_seconds", "How long all that is under way has taken, together.", labels=labels
    )
    longest = GaugeMetricFamily(
        f"{prefix}_longest_running_processor_seconds", "How long the longest under way has taken.", labels=labels
    )
    for kind, work in works.items():
        queue, of = work.queue, [kind, kind]
        under_way = queue.under_way()
        depth.add_metric(of, queue.depth)
        adds.add_metric(of, queue.adds)
        retries.add_metric(of, queue.retries)
        waited.add_metric(of, queue.waited.buckets, queue.waited.sum)
        worked.add_metric(of, queue.worked.buckets, queue.worked.sum)
        unfinished.add_metric(of, sum(under_way))
        longest.add_metric(of, max(under_way, default=0.0))
    yield from (depth, adds, retries, waited, worked, unfinished, longest)
