"""A controller's process: from the command line to a running loop, and its end.

    flags → login → wait for the CRDs → lease → services → watches → loop → release

A controller's `__main__` gives `run` a function that constructs its kinds once the client is there. SIGINT and SIGTERM
end it gracefully: attempts are cancelled (each can start again from the top), waiting events are sent, the lease is
given back. Losing the lease ends the process with status 1, so that whoever restarts it starts clean.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import logging
import signal
import sys
import tempfile
from asyncio import sslproto
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from shared.api.meta import Named, Resource, ResourceKind
from shared.kube import config
from shared.kube.client import Client
from shared.kube.errors import ApiError, ConfigError, NoMatch
from shared.loop import logs, metrics, probes
from shared.loop.controller import Controller
from shared.loop.events import Recorder, Severity
from shared.loop.feed import Feed
from shared.loop.kinds import Kind
from shared.loop.lease import Lease, lease_name
from shared.loop.roster import Roster
from shared.loop.scratch import scratch

log = logging.getLogger(__name__)
R = TypeVar("R", bound=Named)

CRD_RETRY = 2.0
"""Seconds between looks for a CRD that isn't there yet."""
TLS_BUFFER = 32 << 10
"""Bytes to read at once of a TLS connection. asyncio reserves 256 KiB for each, of which controllers have dozens."""


class Runtime:
    """What a controller's constructor gets: the client, the flags, and where to hang its services."""

    def __init__(self, name: str, client: Client, options: argparse.Namespace) -> None:
        self.name, self.client, self.options = name, client, options
        self.services = contextlib.AsyncExitStack()
        """Entered when the process starts to work (holds the lease, unless it serves always) and left when it stops."""
        self.controller: Controller | None = None
        self.events_address: str = getattr(options, "events_addr", "")
        """Where to post events; "" for Kubernetes Events only."""
        self.working = asyncio.Event()
        """Set once the loop runs and all objects of the kinds that must be known first are known."""

    def folder(self, name: str) -> Path:
        """A private folder for as long as the services run; `name` is for people who look at the disk."""
        made = tempfile.TemporaryDirectory(prefix=f"{name}-", ignore_cleanup_errors=True)
        return Path(self.services.enter_context(made))

    def known(self, type_: type[R]) -> Roster[R]:
        """The newest known states of all objects of a watched kind, once the loop runs."""
        assert self.controller is not None, "the loop does not run yet"
        return self.controller.known(type_)

    async def serves(self, type_: type[Named]) -> bool:
        """Does the API have a kind that needn't be there? Asks until there is an answer."""
        if not await _unserved(self.client, [type_.resource]):
            return True
        name = type_.resource.crd_name
        log.info("the CustomResourceDefinition %s is not there: its objects are left alone until a restart", name)
        return False

    def record(
        self, obj: Resource, reason: str, message: str, severity: Severity, *, annotations: dict[str, str] | None = None
    ) -> None:
        """Tell about an object, for what a controller itself notices."""
        if self.controller is not None:
            self.controller.recorder.record(obj, reason, message, severity, annotations=annotations)

    def wake(self, kind: str, namespace: str, name: str, *, preempt: bool = True) -> None:
        """Make an object due now; for what a controller itself notices, such as drift. Without `preempt` an attempt
        that waits may first come to its end."""
        if self.controller is not None:
            self.controller.wake(kind, namespace, name, preempt=preempt)


Build = Callable[[Runtime], Awaitable[Sequence[Kind[Any]]]]


def run(name: str, options: argparse.Namespace, build: Build, *, serves_always: bool = False) -> int:
    """Run a controller until it is told to stop; the process' exit status. With `serves_always` the lease is for the
    loop only: what it serves to others, each replica serves."""
    logs.configure(options.log_level, options.log_encoding)
    sys.setswitchinterval(0.001)  # worker threads and the loop take turns more often: lower latency
    gc.set_threshold(5000, 20, 10)  # a request makes thousands of objects and no cycles: a tenth of all CPU at 700
    if hasattr(sslproto.SSLProtocol, "max_size"):  # private to asyncio; without it connections cost more memory
        sslproto.SSLProtocol.max_size = TLS_BUFFER
    for flag in options.unbuilt:
        log.error("--%s is accepted for compatibility but has no effect in this version", flag)
    try:
        connection = config.load(options.kubeconfig or None, options.kube_context or None)
    except ConfigError as error:
        log.error("no cluster to work on: %s", error)
        return 1
    with contextlib.suppress(KeyboardInterrupt):
        try:
            with scratch(name):
                return asyncio.run(_main(name, connection, options, build, serves_always))
        except OSError as error:
            log.error("can't start: %s", error.strerror or error)
            return 1
    return 0


async def _main(
    name: str, connection: config.Connection, options: argparse.Namespace, build: Build, serves_always: bool
) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def heed_signals() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)

    heed_signals()
    async with running(
        name, connection, options, build, serves_always=serves_always, heed_signals=heed_signals
    ) as lost:
        waits = [asyncio.create_task(stop.wait()), asyncio.create_task(lost.wait())]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        log.info("stopping")
    return 1 if lost.is_set() else 0


@contextlib.asynccontextmanager
async def running(
    name: str,
    connection: config.Connection,
    options: argparse.Namespace,
    build: Build,
    *,
    serves_always: bool = False,
    heed_signals: Callable[[], None] | None = None,
) -> AsyncIterator[asyncio.Event]:
    """A controller at work in this event loop, as `run` runs one; the event is set when it can't go on. `heed_signals`
    sets the loop's handlers of SIGINT and SIGTERM, which it takes off otherwise."""
    client = Client(connection, qps=options.kube_api_qps, burst=options.kube_api_burst, user_agent=name)
    working, broken = asyncio.Event(), asyncio.Event()
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(client.close)
        check = probes.ready(lambda: "" if working.is_set() or _standby(options) else "starting")
        for routes, listen in (
            ({"/healthz": probes.alive, "/readyz": check}, options.health_addr),
            ({"/metrics": probes.expose}, options.metrics_addr),
        ):
            runner = await probes.serve(routes, listen)
            if runner is not None:
                stack.push_async_callback(runner.cleanup)
        work = asyncio.create_task(
            _work(name, client, connection, options, build, serves_always, heed_signals, working, broken)
        )
        try:
            yield broken
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)


def _standby(options: argparse.Namespace) -> bool:
    """A replica that waits for the lease is ready: it is there to take over."""
    return bool(options.enable_leader_election)


async def _work(
    name: str,
    client: Client,
    connection: config.Connection,
    options: argparse.Namespace,
    build: Build,
    serves_always: bool,
    heed_signals: Callable[[], None] | None,
    working: asyncio.Event,
    broken: asyncio.Event,
) -> None:
    """Everything between the start and the end of work; an error that ends it is logged and sets `broken`."""
    try:
        async with contextlib.AsyncExitStack() as stack:
            if not serves_always:
                await _lead(stack, name, client, options, broken)
            runtime = Runtime(name, client, options)
            kinds = await build(runtime)
            recorder = Recorder(client, name, runtime.events_address)
            controller = runtime.controller = Controller(name, client, recorder, kinds, options)
            stack.enter_context(metrics.live(name, client, controller.works))
            await _wait_for_definitions(client, controller)
            await recorder.start()
            stack.push_async_callback(recorder.stop)
            await stack.enter_async_context(runtime.services)
            selectors = _selectors(kinds, options.watch_label_selector)
            namespace = None if options.watch_all_namespaces else options.runtime_namespace
            feed = Feed(
                [type_.resource for type_ in controller.watched],
                connection=connection,
                deliver=controller.deliver,
                take=controller.take,
                label_selectors=selectors,
                namespace=namespace,
                heed_signals=heed_signals,
            )
            stack.push_async_callback(feed.stop)
            await controller.configs.start(controller.config_changed)
            stack.push_async_callback(controller.configs.stop)
            loop_task = asyncio.create_task(_loop(controller, name, options, broken if serves_always else None))
            stack.push_async_callback(_end, loop_task)
            await feed.start()
            await controller.learn(namespace, selectors)
            gc.collect()
            gc.freeze()
            runtime.working.set()
            working.set()
            log.info("%s works", name)
            await loop_task
    except asyncio.CancelledError:
        raise
    except Exception as error:
        log.error("%s can't go on: %s", name, error, exc_info=error)
        broken.set()


async def _loop(controller: Controller, name: str, options: argparse.Namespace, broken: asyncio.Event | None) -> None:
    """The loop, as soon as the lease is held; with no `broken` to set when it is lost it is held already."""
    async with contextlib.AsyncExitStack() as stack:
        if broken is not None:
            await _lead(stack, name, controller.client, options, broken)
        await controller.run()


async def _lead(
    stack: contextlib.AsyncExitStack,
    name: str,
    client: Client,
    options: argparse.Namespace,
    broken: asyncio.Event,
) -> None:
    """Hold the lease until the stack is left, where the flags ask for one."""
    if options.enable_leader_election:
        lease = await stack.enter_async_context(_leading(name, client, options))
        stack.enter_context(_tell(lease.lost, broken))


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@contextlib.asynccontextmanager
async def _leading(name: str, client: Client, options: argparse.Namespace) -> AsyncIterator[Lease]:
    # Connections of its own: behind hundreds of requests of a busy fleet a renewal would come too late.
    own = client.apart(connections=2)
    lease = Lease(
        own,
        options.runtime_namespace,
        lease_name(name, options.watch_label_selector),
        duration=options.leader_election_lease_duration,
        renew_deadline=options.leader_election_renew_deadline,
        retry=options.leader_election_retry_period,
    )
    async with contextlib.AsyncExitStack() as ends:
        ends.push_async_callback(own.close)
        await lease.hold()
        ends.push_async_callback(lease.release, give_up=options.leader_election_release_on_cancel)
        ends.push_async_callback(client.settle)  # else what was under way could happen after the next leader has looked
        yield lease


@contextlib.contextmanager
def _tell(source: asyncio.Event, target: asyncio.Event) -> Any:
    async def wait() -> None:
        await source.wait()
        target.set()

    task = asyncio.create_task(wait())
    try:
        yield
    finally:
        task.cancel()


def _selectors(kinds: Sequence[Kind[Any]], selector: str) -> dict[str, str]:
    """A shard's selector holds for the kinds that are reconciled; what they refer to is watched whole."""
    if not selector:
        return {}
    return {kind.type.resource.kind: selector for kind in kinds}


async def _wait_for_definitions(client: Client, controller: Controller) -> None:
    """Wait until the API serves every kind that is watched, saying what is missing."""
    told: set[str] = set()
    missing = [type_.resource for type_ in controller.watched]
    while True:
        missing = await _unserved(client, missing)
        if not missing:
            return
        for resource in missing:
            if resource.crd_name not in told:
                told.add(resource.crd_name)
                log.error("waiting for the CustomResourceDefinition %s: apply deploy/crds", resource.crd_name)
        await asyncio.sleep(CRD_RETRY)
        client.discovery.invalidate()


async def _unserved(client: Client, resources: Iterable[ResourceKind]) -> list[ResourceKind]:
    """Those of the kinds that the API doesn't have."""
    missing = []
    for resource in resources:
        while True:
            try:
                await client.discovery.find(resource.api_version, resource.kind)
            except NoMatch:
                missing.append(resource)
            except ApiError as error:
                log.error("the Kubernetes API does not answer, trying again: %s", error)
                await asyncio.sleep(CRD_RETRY)
                continue
            break
    return missing
