"""How long the sender of a webhook waits, and how long it takes until its object is asked to reconcile.

    python -m tests.bench.webhooks [--receivers 1000] [--webhooks 2000] [--senders 1] [--rate 0] [--api real]

Makes as many Receivers with a source each, and sends signed webhooks to them, `--senders` at a time: the next as soon
as one is answered, or `--rate` a second. Both times are of each webhook: until its answer, and until a watch of the
sources shows the new annotation.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hmac
import json
import random
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp

from shared.api.notification import Receiver
from shared.api.source import GitRepository
from shared.kube import config
from shared.kube.client import Client
from shared.kube.watch import Cache, Change
from tests.bench import command, usage
from tests.bench.meter import FLAGS
from tests.kit.installation import Installation

NAMESPACE, TOKEN, BODY = "webhooks", b"the token of a benchmark", b'{"ref": "refs/heads/main"}'
REQUESTED = "reconcile.fluxcd.io/requestedAt"
AT_ONCE = 20


async def _prepare(client: Client, count: int) -> list[str]:
    """The Receivers' paths, once all are ready; the source of the nth is named after its number."""
    await client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    data = {"token": base64.b64encode(TOKEN).decode()}
    await client.create(
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "token", "namespace": NAMESPACE}, "data": data}
    )
    lanes = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        meta = {"name": f"n{number}", "namespace": NAMESPACE}
        spec = {"url": "https://example.com/none", "interval": "1h", "suspend": True}
        hook = {
            "type": "github",
            "secretRef": {"name": "token"},
            "resources": [{"kind": "GitRepository", "name": f"n{number}"}],
        }
        async with lanes:
            for kind, wanted in ((GitRepository, spec), (Receiver, hook)):
                named = {"apiVersion": kind.resource.api_version, "kind": kind.resource.kind}
                await client.create({**named, "metadata": dict(meta), "spec": wanted})

    async with asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(one(number))
    while True:
        found = await client.list(Receiver.resource.api_version, "Receiver", NAMESPACE)
        paths = {each["metadata"]["name"]: (each.get("status") or {}).get("webhookPath") for each in found}
        if all(paths.values()):
            return [str(paths[f"n{number}"]) for number in range(count)]
        await asyncio.sleep(0.5)


async def _measure(installation: Installation, options: argparse.Namespace) -> dict[str, Any]:
    receivers, webhooks, rate = options.receivers, options.webhooks, options.rate
    client = Client(config.load(Path(installation.kubeconfig)), qps=-1)
    paths = await _prepare(client, receivers)
    print(f"{receivers} Receivers are ready", flush=True)
    waiting: dict[str, asyncio.Future[float]] = {}
    cache: Cache[str] = Cache(
        client,
        GitRepository.resource.api_version,
        "GitRepository",
        namespace=NAMESPACE,
        metadata_only=True,
        keep=lambda metadata: metadata.annotations.get(REQUESTED, ""),
    )

    def changed(change: Change[str]) -> None:
        future = waiting.get(change.key[1])
        if future is not None and change.manifest != change.old and not future.done():
            future.set_result(time.perf_counter())

    cache.on_change(changed)
    await cache.start()
    await cache.wait_synced()
    signature = "sha256=" + hmac.digest(TOKEN, BODY, "sha256").hex()
    headers = {"Content-Type": "application/json", "X-Hub-Signature-256": signature}
    answered: list[float] = []
    told: list[float] = []
    order = list(range(receivers))
    random.Random(1).shuffle(order)
    turns = iter([(each, order[each % receivers]) for each in range(webhooks)])
    start = time.perf_counter()

    async def sender(session: aiohttp.ClientSession) -> None:
        for turn, number in turns:
            if rate:
                await asyncio.sleep(start + turn / rate - time.perf_counter())
            future = waiting[f"n{number}"] = asyncio.get_running_loop().create_future()
            began = start + turn / rate if rate else time.perf_counter()  # when it was due, should all be late
            url = f"http://{installation.addresses.receiver}{paths[number]}"
            async with session.post(url, data=BODY, headers=headers) as answer:
                assert answer.status == 200, answer.status
            answered.append(1000 * (time.perf_counter() - began))
            told.append(1000 * (await asyncio.wait_for(future, 60) - began))

    before = usage.of(installation.pids)
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        for _ in range(options.senders):
            group.create_task(sender(session))
    spent = usage.cpu_between(before, usage.of(installation.pids))
    await cache.stop()
    await client.close()
    return {
        "answer ms": shares(answered),
        "requested ms": shares(told),
        "CPU ms a webhook": {name: round(1000 * cpu / webhooks, 1) for name, cpu in spent.items()},
    }


def shares(values: list[float]) -> dict[str, float]:
    """Milliseconds that half, 99 % and 99.9 % of them don't exceed."""
    cuts = statistics.quantiles(values, n=1000, method="inclusive")
    return {"median": round(cuts[499], 1), "p99": round(cuts[989], 1), "p99.9": round(cuts[998], 1)}


def main(argv: Sequence[str] | None = None) -> int:
    """The command: 0 with the figures, 1 when something failed."""
    parser = command.parser("webhooks", __doc__, api="embedded")
    parser.add_argument("--receivers", type=int, default=1000, help="how many (default %(default)s)")
    parser.add_argument("--webhooks", type=int, default=2000, help="how many are sent (default %(default)s)")
    parser.add_argument("--senders", type=int, default=1, help="how many send at once (default %(default)s)")
    parser.add_argument("--rate", type=float, default=0.0, help="webhooks a second; 0: the next when one is answered")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    options = parser.parse_args(argv)

    def run() -> None:
        with command.installed(options.api, {"notification-controller": FLAGS}) as installation:
            figures = json.dumps(asyncio.run(_measure(installation, options)), indent=1)
        print(figures)
        if options.json:
            options.json.write_text(figures)

    return command.run(run)


if __name__ == "__main__":
    sys.exit(main())
