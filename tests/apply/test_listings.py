"""After a restart: how few calls it takes to see that all objects of many owners are as they should be."""

from __future__ import annotations

import asyncio

from shared import apply
from shared.apply import listings
from shared.apply.identity import Owner
from tests.apply.world import World, config_map, service

COUNT = listings.MANY


def owner(world: World, number: int) -> Owner:
    return Owner(world.namespace, f"app-{number}")


async def each(world: World, count: int = COUNT) -> list[apply.ChangeSet]:
    """A pass of each owner, of two objects."""
    return await asyncio.gather(
        *(
            world.apply(config_map(f"map-{number}"), service(f"web-{number}"), owner=owner(world, number))
            for number in range(count)
        )
    )


def actions(passes: list[apply.ChangeSet]) -> set[str]:
    return {change.action for changes in passes for change in changes}


async def test_all_owners_see_theirs_in_one_list_of_each_kind(world: World) -> None:
    await each(world)
    world.again()
    with world.counting() as calls:
        passes = await each(world)
    assert actions(passes) == {"unchanged"}
    assert calls == {"list": 2}


async def test_a_few_owners_ask_for_theirs(world: World) -> None:
    await each(world, 3)
    world.again()
    with world.counting() as calls:
        passes = await each(world, 3)
    assert actions(passes) == {"unchanged"}
    assert calls == {"get": 6}


async def test_what_drifted_meanwhile_is_corrected_and_nothing_else_is_written(world: World) -> None:
    await each(world)
    await world.edit(config_map("map-7"), {"data": {"key": "red"}})
    world.again()
    with world.counting() as calls:
        passes = await each(world)
    assert [change.id.name for changes in passes for change in changes if change.action == "configured"] == ["map-7"]
    assert calls == {"list": 2, "apply": 1}
    assert await world.data("map-7") == {"key": "blue"}


async def test_what_changes_after_it_was_listed_is_asked_for_again(world: World) -> None:
    await each(world)
    world.again()
    await each(world, COUNT - 1)  # all are listed, and one is still to be looked at
    last = config_map(f"map-{COUNT - 1}")
    edited = await world.edit(last, {"data": {"key": "red"}})
    await world.seen(last, edited["metadata"]["resourceVersion"])
    with world.counting() as calls:
        changes = await world.apply(last, service(f"web-{COUNT - 1}"), owner=owner(world, COUNT - 1))
    assert {change.id.kind: change.action for change in changes} == {"ConfigMap": "configured", "Service": "unchanged"}
    assert calls == {"get": 1, "apply": 1}
    assert await world.data(last["metadata"]["name"]) == {"key": "blue"}


async def test_where_listing_fails_each_object_is_asked_for(world: World) -> None:
    await each(world)
    world.again()
    world.faults.fail(verb="list", resource="configmaps", code=403, reason="Forbidden", message="no", nth=1)
    with world.counting() as calls:
        passes = await each(world)
    assert actions(passes) == {"unchanged"}
    assert calls == {"list": 2, "get": COUNT}
