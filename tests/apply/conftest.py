"""A namespace of its own for each test: of the embedded API, or of the cluster that APPLY_TESTS_KUBECONFIG names."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

import kubeapi
from shared import apply
from shared.apply.applying import ABSENT
from shared.kube import config
from shared.kube.client import Client
from shared.kube.errors import Conflict
from tests.apply.world import MANAGER, World, config_map


@pytest.fixture
async def exact(world: World) -> None:
    """For tests that count the calls of a creation: an API that takes a conditional apply for a creation, as a real
    one does. Where it doesn't, three calls do what one could."""
    probe = world.here(config_map("probe"))
    probe["metadata"]["resourceVersion"] = ABSENT
    try:
        await world.client.apply(probe, field_manager=MANAGER, dry_run=True)
    except Conflict:
        pytest.skip("this API refuses to create by a conditional apply")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        given, faults = os.environ.get("APPLY_TESTS_KUBECONFIG"), None
        if given:
            kubeconfig = Path(given)
        else:
            server = await kubeapi.start(workload_delay=0.02)
            stack.push_async_callback(server.stop)
            kubeconfig, faults = tmp_path / "kubeconfig", server.faults
            server.kubeconfig(kubeconfig)
        client = Client(config.load(kubeconfig), qps=-1)
        stack.push_async_callback(client.close)
        ledger = apply.Ledger(client, field_manager=MANAGER)
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": "apply-"}}
        created = await client.create(namespace)
        world = World(client, ledger, created["metadata"]["name"], faults)
        yield world
        await world.ledger.close()
        if world.ledger is not ledger:
            await ledger.close()
