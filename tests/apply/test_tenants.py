"""A tenant is impersonated: it can do what it may, and what it may not fails by name; drift is seen all the same."""

from __future__ import annotations

import pytest

from shared import apply
from tests.apply.world import World, config_map, deployment, service

WRITES = ("get", "create", "patch", "delete")


async def test_what_a_tenant_may_not_do_fails_by_name(world: World) -> None:
    tenant = await world.tenant(*WRITES)
    with pytest.raises(apply.ApplyError) as failure:
        await world.apply(config_map(), service(), client=tenant)
    [line] = str(failure.value).splitlines()
    assert line.startswith(f"Service/{world.namespace}/web dry-run failed (Forbidden): ")
    assert await world.data() == {"key": "blue"}
    assert await world.live(service()) is None


async def test_a_tenant_can_not_reach_into_another_namespace(world: World) -> None:
    tenant = await world.tenant(*WRITES)
    elsewhere = config_map("elsewhere")
    elsewhere["metadata"]["namespace"] = "default"
    with pytest.raises(apply.ApplyError, match="Forbidden"):
        await world.apply(elsewhere, client=tenant)
    world.recorded |= apply.Inventory.of([elsewhere])
    changes = await apply.prune(tenant, apply.Inventory.of([]), owner=world.owner, ledger=world.ledger)
    assert len(changes) == 0


@pytest.mark.usefixtures("exact")
async def test_a_tenants_drift_is_heard_though_it_may_not_watch(world: World) -> None:
    tenant = await world.tenant(*WRITES)
    with world.counting() as calls:
        await world.apply(config_map(), client=tenant)
    assert calls == {"apply": 1}
    await world.edit(config_map(), {"data": {"key": "red"}})
    await world.until(lambda: world.woken)
    with world.counting() as calls:
        await world.apply(config_map(), client=tenant)
    assert calls == {"apply": 1}
    assert await world.data() == {"key": "blue"}


async def test_a_tenant_that_may_not_watch_asks_until_it_is_healthy(world: World) -> None:
    tenant = await world.tenant(*WRITES, resources=("configmaps", "deployments"))
    changes = await world.apply(deployment(), client=tenant)
    await apply.wait_healthy(tenant, changes, owner=world.owner, ledger=world.ledger, seconds=20)
    live = await world.live(deployment())
    assert live is not None
    assert live["status"]["readyReplicas"] == 1


async def test_what_a_tenant_may_not_delete_stays_recorded(world: World) -> None:
    await world.apply(config_map())
    tenant = await world.tenant("get", "patch")
    with pytest.raises(apply.PruneError, match=f"ConfigMap/{world.namespace}/settings delete failed: "):
        await apply.prune(tenant, world.recorded, owner=world.owner, ledger=world.ledger)
    assert await world.data() == {"key": "blue"}
