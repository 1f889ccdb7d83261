"""How many events the notification controller takes and tells, how late, and that an outage of a service loses none.

    python -m tests.bench.notifications [--events 10000] [--alerts 50] [--senders 8] [--outage 60] [--all] [--json FILE]

Events are posted by `--senders` at a time, as controllers post theirs. Each is looked at by all Alerts; one of them
wants it (with `--all`: each), and all tell the same webhook. Then the webhook is away for `--outage` seconds, during
which a tenth as many events come; each must be told afterwards. `answer` is what a controller waits for, `told` until
the webhook has it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp

from shared.kube import config
from shared.kube.client import Client
from tests.bench import command, usage
from tests.bench.client import BenchFailed
from tests.bench.webhooks import shares
from tests.kit.installation import Installation

NAMESPACE, GROUP = "notifications", "notification.toolkit.fluxcd.io/v1beta3"
CONTROLLER = "notification-controller"
OBJECTS = 500
"""Objects that the events are about, in turn."""


class Webhook:
    """A service that takes whatever it is told, and notes when; closed, it refuses connections."""

    def __init__(self) -> None:
        self.port = 0
        self.told: Counter[str] = Counter()
        self.last: dict[str, float] = {}
        """When an event, by its message, was told last."""
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, backlog=512)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            for writer in self._open:
                writer.close()
            await self._server.wait_closed()
        while self._open:  # who serves them hears of it in a moment
            await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                size = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
                message = json.loads(await reader.readexactly(size))["message"]
                self.last[message] = time.perf_counter()
                self.told[message] += 1
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        except (OSError, asyncio.IncompleteReadError):
            pass  # the controller closed it
        finally:
            self._open.discard(writer)
            writer.close()


async def _prepare(client: Client, alerts: int, is_wanted_by_all: bool, url: str) -> None:
    named = {"apiVersion": GROUP, "kind": "Provider", "metadata": {"name": "webhook", "namespace": NAMESPACE}}
    await client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    await client.create({**named, "spec": {"type": "generic", "address": url}})
    for number in range(alerts):
        wants = {} if is_wanted_by_all else {"inclusionList": [f"^alert {number}: .*"]}
        sources = [{"kind": "Kustomization", "name": "*"}]
        spec = {"providerRef": {"name": "webhook"}, "eventSources": sources, **wants}
        metadata = {"name": f"a{number}", "namespace": NAMESPACE}
        await client.create({"apiVersion": GROUP, "kind": "Alert", "metadata": metadata, "spec": spec})


class _Run:
    def __init__(self, installation: Installation, webhook: Webhook, alerts: int, *, is_wanted_by_all: bool) -> None:
        self._webhook, self._alerts = webhook, alerts
        self._url = f"http://{installation.addresses.events}/"
        self._pids = {CONTROLLER: installation.pids[CONTROLLER]}
        self._copies = alerts if is_wanted_by_all else 1

    async def events(self, name: str, count: int, senders: int, *, pause: float = 0.0) -> dict[str, Any]:
        """Post events, and wait until all are told; `pause` is what a sender waits between two."""
        before, began = usage.of(self._pids), time.perf_counter()
        posted, answered = await self._posted(name, count, senders, pause)
        taken = time.perf_counter() - began
        await self._all_told(posted)
        seconds = time.perf_counter() - began
        spent = usage.cpu_between(before, usage.of(self._pids))[CONTROLLER]
        late = [1000 * (self._webhook.last[message] - at) for message, at in posted.items()]
        return {
            "posted a second": round(count / taken),
            "told a second": round(count * self._copies / seconds),
            "answer ms": shares(answered),
            "told ms": shares(late),
            "CPU ms an event": round(1000 * spent / count, 2),
            "peak MiB": round(usage.of(self._pids)[CONTROLLER].peak),
            "told twice": sum(self._webhook.told[message] - self._copies for message in posted),
        }

    async def _posted(self, name: str, count: int, senders: int, pause: float) -> tuple[dict[str, float], list[float]]:
        posted: dict[str, float] = {}
        answered: list[float] = []
        numbers = iter(range(count))

        async def sender(session: aiohttp.ClientSession) -> None:
            for number in numbers:
                message = f"alert {number % self._alerts}: {name} {number}"
                body, at = _event(message, number), time.perf_counter()
                async with session.post(self._url, data=body) as answer:
                    if answer.status != 202:
                        raise BenchFailed(f"an event was answered {answer.status}")
                posted[message] = at
                answered.append(1000 * (time.perf_counter() - at))
                if pause:
                    await asyncio.sleep(pause)

        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
            for _ in range(senders):
                group.create_task(sender(session))
        return posted, answered

    async def _all_told(self, posted: dict[str, float]) -> None:
        seen, since = -1, time.monotonic()
        while missing := sum(self._webhook.told[message] < self._copies for message in posted):
            now = self._webhook.told.total()
            if now != seen:
                seen, since = now, time.monotonic()
            if time.monotonic() - since > 120:
                raise BenchFailed(f"{missing} of {len(posted)} events were not told")
            await asyncio.sleep(0.05)


def _event(message: str, number: int) -> bytes:
    group = "kustomize.toolkit.fluxcd.io"
    involved = {
        "apiVersion": f"{group}/v1",
        "kind": "Kustomization",
        "namespace": NAMESPACE,
        "name": f"app-{number % OBJECTS}",
        "uid": "7d0cdc51-ddcf-4743-b223-83ca5c699632",
    }
    return json.dumps(
        {
            "involvedObject": involved,
            "severity": "error",
            "timestamp": "2026-01-02T03:04:05Z",
            "message": message,
            "reason": "HealthCheckFailed",
            "metadata": {f"{group}/revision": f"main@sha1:{number:040x}"},
            "reportingController": "kustomize-controller",
            "reportingInstance": "kustomize-controller-7c7b47f5f-8bhrp",
        }
    ).encode()


async def _measure(installation: Installation, options: argparse.Namespace) -> dict[str, Any]:
    client, webhook = Client(config.load(Path(installation.kubeconfig)), qps=-1), Webhook()
    await webhook.open()
    try:
        await _prepare(client, options.alerts, options.all, f"http://127.0.0.1:{webhook.port}/hook")
        run = _Run(installation, webhook, options.alerts, is_wanted_by_all=options.all)
        await run.events("warm up", options.alerts, 1)  # and all Alerts are known by then, or this never ends
        figures = {"load": await run.events("load", options.events, options.senders)}
        print(json.dumps(figures, indent=1), flush=True)
        if options.outage:
            await webhook.close()
            few = options.events // 10
            pause = options.senders * options.outage / few
            back = asyncio.create_task(_later(webhook, options.outage))
            figures["outage"] = await run.events("outage", few, options.senders, pause=pause)
            await back
        return figures
    finally:
        await webhook.close()
        await client.close()


async def _later(webhook: Webhook, seconds: float) -> None:
    await asyncio.sleep(seconds)
    await webhook.open()


def main(argv: Sequence[str] | None = None) -> int:
    """The command: 0 with the figures, 1 when an event was lost or refused."""
    parser = command.parser("notifications", __doc__, api="embedded")
    parser.add_argument("--events", type=int, default=10_000, help="how many are posted (default %(default)s)")
    parser.add_argument("--alerts", type=int, default=50, help="how many look at each (default %(default)s)")
    parser.add_argument("--senders", type=int, default=8, help="how many post at once (default %(default)s)")
    parser.add_argument("--outage", type=float, default=60.0, help="seconds (default 60); 0 for none")
    parser.add_argument("--all", action="store_true", help="all Alerts want each event")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    options = parser.parse_args(argv)

    def run() -> None:
        with command.installed(options.api) as installation:
            figures = json.dumps(asyncio.run(_measure(installation, options)), indent=1)
        print(figures)
        if options.json:
            options.json.write_text(figures)

    return command.run(run)


if __name__ == "__main__":
    sys.exit(main())
