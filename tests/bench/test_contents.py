"""The floor compares like with like: the fields that its writes leave are those that the controllers leave."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.bench import contents
from tests.bench.client import Client, connected
from tests.bench.floor import Floor
from tests.bench.kustomizations import CORE, NAMESPACE, Content, Phases, apps_path, sources_path
from tests.bench.meter import CONTROLLERS, FLAGS
from tests.kit.installation import Installation
from tests.kit.registry import Registry


def fields(value: object, path: str = "") -> set[str]:
    """The paths of all values; items of a list are one."""
    if isinstance(value, dict):
        return {found for name, inner in value.items() for found in fields(inner, f"{path}/{name}")}
    if isinstance(value, list):
        return {found for inner in value for found in fields(inner, path)}
    return {path}


def without_identity(obj: dict[str, Any]) -> dict[str, Any]:
    """The object without what the server makes of any."""
    return obj | {"metadata": {name: obj["metadata"].get(name) for name in ("annotations", "finalizers")}}


async def left(client: Client, namespace: str) -> dict[str, set[str]]:
    """The fields of the application's objects, and of the events of what was done for them."""
    found = {}
    for path in (apps_path(namespace), sources_path(namespace)):
        [obj] = (await client.send("GET", path))["items"]
        found[path.rpartition("/")[2]] = fields(without_identity(obj))
    for event in (await client.send("GET", f"{CORE}/namespaces/{namespace}/events"))["items"]:
        if event["reason"] in ("NewArtifact", "ReconciliationSucceeded"):
            name = f"{event['involvedObject']['kind']} {event['reason']}"
            found[name] = fields(without_identity(event))
    return found


async def test_the_floor_leaves_the_fields_that_controllers_leave(tmp_path: Path) -> None:
    with Registry() as registry, Installation.start("embedded", tmp_path, controllers=False) as installation:
        async with connected(installation.api) as client:
            floor = Floor(client, 1)
            await floor.prepare()
            for name in ("sources", "apply", "noop with its request"):
                await floor.run(name)
            floors = await left(client, contents.NAMESPACE)
            installation.start_controllers(dict.fromkeys(CONTROLLERS, FLAGS))
            phases = Phases(client, Content(registry), 1, 60)
            await phases.prepare()
            try:
                for run in (phases.sources, phases.apply, phases.noop):
                    await run()
                controllers = await left(client, NAMESPACE)
            finally:
                phases.close()
    assert len(floors) == 4
    assert floors == controllers


async def test_what_a_floor_has_made_is_gone_when_its_phase_comes(tmp_path: Path) -> None:
    with Installation.start("embedded", tmp_path, controllers=False) as installation:
        async with connected(installation.api) as client:
            floor = Floor(client, 2)
            await floor.prepare()
            for name, path in (("sources", sources_path(contents.NAMESPACE)), ("apply", apps_path(contents.NAMESPACE))):
                await floor.run(name)
                assert len((await client.send("GET", path))["items"]) == 2
                await floor.take_back(name)
                assert (await client.send("GET", path))["items"] == []
            await floor.make()
            await floor.run("delete")
            await floor.take_back("delete")
            assert len((await client.send("GET", apps_path(contents.NAMESPACE)))["items"]) == 2
            await floor.clean()
