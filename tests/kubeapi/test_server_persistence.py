"""What is kept in a directory is there again, however the server ended."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest
import yaml

import kubeapi
from kubeapi.journal import FILE, Journal, JournalError
from tests.kubeapi.server_kit import Api

ROOT = Path(__file__).parents[2]
PATH = "/api/v1/namespaces/default/configmaps"


def config_map(name: str, **data: str) -> dict:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


async def test_a_restarted_server_has_the_same_objects_versions_and_credentials(tmp_path: Path):
    server = await kubeapi.start(data=tmp_path, tls=False, workloads=False)
    async with aiohttp.ClientSession() as session:
        api = Api(server, session)
        kept = await api.post(PATH, config_map("kept", x="1"))
        await api.post(PATH, config_map("gone"))
        await api.delete(f"{PATH}/gone")
        last = (await api.get(PATH))["metadata"]["resourceVersion"]
        authority = server.ca
        await server.stop()

        server = await kubeapi.start(data=tmp_path, tls=False, workloads=False)
        again = Api(server, session, api.token)
        assert await again.get(f"{PATH}/kept") == kept
        await again.get(f"{PATH}/gone", expect=404)
        changed = await again.patch(f"{PATH}/kept", {"data": {"x": "2"}})
        assert int(changed["metadata"]["resourceVersion"]) > int(last)
        assert server.ca.certificate_pem == authority.certificate_pem
        await server.stop()


async def test_a_watch_does_not_resume_over_a_restart(tmp_path: Path):
    server = await kubeapi.start(data=tmp_path, tls=False, workloads=False)
    async with aiohttp.ClientSession() as session:
        api = Api(server, session)
        first = await api.post(PATH, config_map("a"))
        await api.patch(f"{PATH}/a", {"data": {"x": "1"}})
        await server.stop()
        server = await kubeapi.start(data=tmp_path, tls=False, workloads=False)
        rv = first["metadata"]["resourceVersion"]
        refused = await Api(server, session).get(f"{PATH}?watch=1&resourceVersion={rv}", expect=410)
        assert refused["reason"] == "Expired"
        await server.stop()


async def test_custom_resources_are_served_from_the_first_request_on(tmp_path: Path):
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList"},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
                }
            ],
        },
    }
    things = "/apis/example.com/v1/namespaces/default/things"
    server = await kubeapi.start(data=tmp_path, tls=False, workloads=False)
    async with aiohttp.ClientSession() as session:
        api = Api(server, session)
        await api.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd)
        await api.until(things, lambda found: found is not None)
        made = await api.post(things, {"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "a"}})
        await server.stop()
        server = await kubeapi.start(data=tmp_path, tls=False, workloads=False)
        assert await Api(server, session).get(f"{things}/a") == made
        await server.stop()


async def _started(tmp_path: Path) -> tuple[asyncio.subprocess.Process, str, str]:
    out = tmp_path / "kubeconfig"
    out.unlink(missing_ok=True)
    command = ["-m", "kubeapi.command", "--data", str(tmp_path / "data"), "--no-tls", "--kubeconfig-out", str(out)]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.DEVNULL,
    )
    while not out.exists():
        assert process.returncode is None, "the server has ended"
        await asyncio.sleep(0.02)
    config = yaml.safe_load(out.read_text())
    return process, config["clusters"][0]["cluster"]["server"], config["users"][0]["user"]["token"]


async def test_what_was_answered_survives_a_kill(tmp_path: Path):
    process, url, token = await _started(tmp_path)
    headers = {"Authorization": f"Bearer {token}"}
    answered: dict[str, str] = {}
    async with aiohttp.ClientSession(headers=headers) as session:

        async def write(worker: int) -> None:
            for number in range(10_000):
                name = f"w{worker}-{number}"
                async with session.post(url + PATH, json=config_map(name)) as response:
                    answered[name] = (await response.json())["metadata"]["resourceVersion"]

        tasks = [asyncio.create_task(write(worker)) for worker in range(4)]
        while len(answered) < 100:
            assert not any(task.done() for task in tasks)
            await asyncio.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        await process.wait()
        await asyncio.gather(*tasks, return_exceptions=True)

    process, url, token_now = await _started(tmp_path)
    try:
        assert token_now == token
        async with aiohttp.ClientSession(headers=headers) as session, session.get(url + PATH) as response:
            listed = await response.json()
        there = {one["metadata"]["name"]: one["metadata"]["resourceVersion"] for one in listed["items"]}
        assert {name: there.get(name) for name in answered} == answered
        assert int(listed["metadata"]["resourceVersion"]) >= max(map(int, there.values()))
    finally:
        process.terminate()
        assert await process.wait() == 0


class Clients:
    """Several clients that create, change and delete ConfigMaps until the server is gone."""

    def __init__(self) -> None:
        self.known: dict[str, str | None] = {}
        """What each object's data was when that was answered; None once its deletion was."""
        self.unsure: set[str] = set()
        """Objects of requests that are under way."""

    async def work(self, session: aiohttp.ClientSession, url: str, prefix: str) -> None:
        for number in range(10_000):
            name = f"{prefix}-{number // 3}"
            method, path, body, kind = (
                ("POST", PATH, config_map(name, x="1"), "application/json"),
                ("PATCH", f"{PATH}/{name}", {"data": {"x": "2"}}, "application/merge-patch+json"),
                ("DELETE", f"{PATH}/{name}", None, "application/json"),
            )[number % 3]
            self.unsure.add(name)
            async with session.request(method, url + path, json=body, headers={"Content-Type": kind}) as answer:
                assert answer.status < 300, await answer.text()
                await answer.read()
            self.known[name] = ("1", "2", None)[number % 3]
            self.unsure.discard(name)

    async def until_killed(self, session: aiohttp.ClientSession, url: str, round_: int, answers: int) -> None:
        """Work until so many more objects are known; the rest of what is asked meets a dead server."""
        tasks = [asyncio.create_task(self.work(session, url, f"r{round_}-w{worker}")) for worker in range(4)]
        enough = len(self.known) + answers
        while len(self.known) < enough:
            assert not any(task.done() for task in tasks)
            await asyncio.sleep(0.001)
        self.kill()
        await asyncio.gather(*tasks, return_exceptions=True)

    kill: Callable[[], None]


async def test_no_kill_at_any_moment_loses_or_undoes_what_was_answered(tmp_path: Path):
    chance = random.Random(1)
    clients = Clients()
    for round_ in range(4):
        process, url, token = await _started(tmp_path)
        clients.kill = process.kill
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session:
            async with session.get(url + PATH) as response:
                items = (await response.json())["items"]
            there = {one["metadata"]["name"]: one["data"].get("x") for one in items}
            assert {name: there.get(name) for name in clients.known} == clients.known
            await clients.until_killed(session, url, round_, chance.randrange(5, 120))
        await process.wait()
        # What was under way may have happened or not.
        for name in clients.unsure:
            clients.known.pop(name, None)
        clients.unsure.clear()


def test_one_directory_serves_one_server(tmp_path: Path):
    first = Journal(tmp_path)
    with pytest.raises(JournalError, match="another server uses it"):
        Journal(tmp_path)
    first.close()
    Journal(tmp_path).close()


def test_a_file_that_is_no_database_is_named(tmp_path: Path):
    (tmp_path / FILE).write_text("not a database, by any means; " * 100)
    with pytest.raises(JournalError, match="move the file away"):
        Journal(tmp_path)


def test_a_file_of_a_newer_format_is_left_alone(tmp_path: Path):
    Journal(tmp_path).close()
    db = sqlite3.connect(tmp_path / FILE)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(JournalError, match="newer version"):
        Journal(tmp_path)


async def test_nobody_else_reads_what_is_kept(tmp_path: Path):
    server = await kubeapi.start(data=tmp_path / "data", workloads=False)
    server.kubeconfig(tmp_path / "data" / "kubeconfig")
    await server.stop()
    files = [path for path in (tmp_path / "data").rglob("*") if path.is_file() and path.suffix != ".crt"]
    assert {path.name for path in files} >= {FILE, "kubeconfig", "ca.key", "admin.token", "sa.key"}
    assert {path.name: stat.S_IMODE(path.stat().st_mode) & 0o077 for path in files} == {path.name: 0 for path in files}


async def test_a_write_that_can_not_be_kept_is_refused_and_changes_nothing(tmp_path: Path):
    server = await kubeapi.start(data=tmp_path, tls=False, workloads=False)
    async with aiohttp.ClientSession() as session:
        api = Api(server, session)
        before = await api.post(PATH, config_map("a", x="1"))
        server.cluster.store.journal.close()
        refused = await api.patch(f"{PATH}/a", {"data": {"x": "2"}}, expect=500)
        assert "can't be kept" in refused["message"]
        assert await api.get(f"{PATH}/a") == before
    await server.stop()


async def test_what_was_under_way_goes_on_after_a_restart(tmp_path: Path):
    spec = {"containers": [{"name": "main", "image": "app"}]}
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": spec}
    body = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {"selector": {"matchLabels": labels}, "template": template},
    }
    deployments = "/apis/apps/v1/namespaces/default/deployments"
    server = await kubeapi.start(data=tmp_path, tls=False, workload_delay=3600)
    async with aiohttp.ClientSession() as session:
        api = Api(server, session)
        await api.post(deployments, body)
        await api.until("/api/v1/pods", lambda found: found["items"] and found["items"][0]["spec"].get("nodeName"))
        held = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "held", "finalizers": ["a.io/hold"]}}
        await api.post("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "going"}})
        await api.post("/api/v1/namespaces/going/configmaps", held)
        await api.delete("/api/v1/namespaces/going")
        await server.stop()

        server = await kubeapi.start(data=tmp_path, tls=False, workload_delay=0.02)
        api = Api(server, session)
        await api.until(f"{deployments}/web", lambda found: found["status"].get("readyReplicas") == 1)
        await api.patch("/api/v1/namespaces/going/configmaps/held", {"metadata": {"finalizers": None}})
        await api.until("/api/v1/namespaces/going", lambda found: found is None)
        await server.stop()
