"""Counters of the server, in Prometheus' text format."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from kubeapi.request import RequestInfo

if TYPE_CHECKING:
    from kubeapi.cluster import Cluster


class Metrics:
    """Requests by verb, resource and code; their time; stored objects."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str, str, str, int]] = Counter()
        self.seconds: Counter[tuple[str, str, str, str]] = Counter()

    def observe(self, info: RequestInfo, code: int, seconds: float) -> None:
        key = (info.verb.upper(), info.group, info.resource, info.subresource)
        self.requests[(*key, code)] += 1
        if info.verb != "watch":
            self.seconds[key] += seconds  # type: ignore[assignment]

    def text(self, cluster: Cluster) -> bytes:
        lines = ["# TYPE apiserver_request_total counter"]
        for (verb, group, resource, subresource, code), count in sorted(self.requests.items()):
            labels = f'verb="{verb}",group="{group}",resource="{resource}",subresource="{subresource}",code="{code}"'
            lines.append(f"apiserver_request_total{{{labels}}} {count}")
        lines.append("# TYPE apiserver_request_seconds_total counter")
        for (verb, group, resource, subresource), total in sorted(self.seconds.items()):
            labels = f'verb="{verb}",group="{group}",resource="{resource}",subresource="{subresource}"'
            lines.append(f"apiserver_request_seconds_total{{{labels}}} {total:.6f}")
        lines.append("# TYPE apiserver_storage_objects gauge")
        for group, plural in sorted(cluster.store.storages()):
            name = f"{plural}.{group}" if group else plural
            lines.append(f'apiserver_storage_objects{{resource="{name}"}} {cluster.store.count((group, plural))}')
        return ("\n".join(lines) + "\n").encode()
