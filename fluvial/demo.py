"""`fluvial demo`: the toolkit's story, played on this machine.

commit → applied → edited by hand → healed → a bad commit → its error → git revert → healthy
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import shlex
import signal
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from fluvial import objects, repository
from fluvial.installation import NAMESPACE, Installation, installed
from fluvial.processes import Failed
from fluvial.repository import BRANCH, Repository
from fluvial.view import View
from fluvial.watching import Watched, ready, watched
from shared.api.meta import Manifest
from shared.kube.errors import ApiError

EXAMPLE = Path(__file__).parent / "example"
APPS = ("infrastructure", "shop-dev", "shop-production")
PRODUCTION = "shop-production"
PATIENCE = 60.0
"""Seconds that a step of the story may take."""

_DESCRIPTION = """\
Start an embedded Kubernetes API and the controllers, make a Git repository, and play a story: a commit is applied,
an edit by hand is healed, a bad commit says what is wrong and where, git revert makes all well. Nothing outside of a
temporary directory is touched. It stays up for you to look around, until Ctrl-C."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command: 0 when the story went well, 1 when a step failed."""
    parser = argparse.ArgumentParser(prog="fluvial demo", description=_DESCRIPTION)
    parser.add_argument("--once", action="store_true", help="end after the story instead of staying up")
    options = parser.parse_args(arguments)
    return asyncio.run(_run(View(), once=options.once))


async def _run(view: View, *, once: bool) -> int:
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    running: Installation | None = None
    try:
        async with contextlib.AsyncExitStack() as stack:
            with view.doing("starting") as progress:
                running = await stack.enter_async_context(installed(progress.say))
                repo = await stack.enter_async_context(repository.served(running.directory, EXAMPLE))
                view.title("A cluster and a Git repository")
                view.done(f"an embedded Kubernetes API and two controllers, ready after {progress.took}")
                view.done(f"a repository with a shop for dev and production: {repo.tree}")
            try:
                await Story(view, running, repo).play()
            except (Failed, TimeoutError, ApiError):
                _show_logs(view, running)
                raise
            if once:
                return 0
            _explain(view, running, repo)
            name = await running.processes.ended.get()
            raise Failed(f"{name} ended by itself; its log ends with:\n{running.processes.tail(name)}")
    except Failed as error:
        view.failed(str(error))
        return 1
    except ApiError as error:
        view.failed(f"the Kubernetes API refused a request: {error}")
        return 1
    except asyncio.CancelledError:
        view.line("\nstopped; nothing is left behind")
        return 0 if running is not None and not once else 130


class Story:
    """The steps, in order. Each ends when the cluster shows what the step says; Failed names the one that doesn't."""

    def __init__(self, view: View, running: Installation, repo: Repository) -> None:
        self._view, self._running, self._repo = view, running, repo
        self._apps: Watched
        self._deployments: Watched

    async def play(self) -> None:
        """Play the whole story."""
        client = self._running.client
        async with (
            watched(client, objects.KUSTOMIZATION.api_version, objects.KUSTOMIZATION.kind, NAMESPACE) as self._apps,
            watched(client, "apps/v1", "Deployment") as self._deployments,
        ):
            await self._first_commit()
            await self._change()
            await self._edit_by_hand()
            await self._bad_commit()
            await self._revert()

    async def _first_commit(self) -> None:
        self._view.title("1. The first commit is applied")
        sha = await self._repo.commit("Add the shop")
        with self._view.doing("applying the first commit") as progress:
            wanted = objects.manifests(self._repo.url, BRANCH, "./clusters/demo")
            await objects.apply(self._running.client, wanted)
            for app in APPS:
                progress.say(f"waiting for {app} to be healthy")
                await self._until(self._apps, NAMESPACE, app, _applied(sha), f"{app} is not Ready")
                self._view.done(f"{app} is healthy at {_short(sha)} after {progress.took}")
        self._view.line("shop-dev and shop-production had to wait for infrastructure: it makes their namespaces")

    async def _change(self) -> None:
        self._view.title("2. A commit changes production")
        self._edit("apps/shop/production/kustomization.yaml", "newTag: 1.0.0", "newTag: 1.1.0")
        sha = await self._repo.commit("Run shop 1.1.0 in production")
        self._view.line(f"git commit {_short(sha)}: Run shop 1.1.0 in production")
        with self._view.doing("waiting for the new image") as progress:
            await objects.request(self._running.client)
            await self._until_shop(lambda shop: _image(shop).endswith(":1.1.0"), "the image did not change")
            self._view.done(f"applied in {progress.took}: the Deployment has {await self._image()}")
            await self._until(self._apps, NAMESPACE, PRODUCTION, _applied(sha), "production is not Ready")
            self._view.done(f"healthy after {progress.took}; dev was not touched")
        self._view.line("the demo tells the controller of the commit as a webhook would; else it looks every minute")

    async def _edit_by_hand(self) -> None:
        self._view.title("3. Someone edits the cluster by hand")
        self._view.line("kubectl scale deployment shop --replicas=0 -n shop-production")
        with self._view.doing("waiting for the edit to be undone") as progress:
            await self._running.client.patch(
                "apps/v1",
                "Deployment",
                "shop",
                PRODUCTION,
                {"spec": {"replicas": 0}},
                type="merge",
                field_manager="kubectl-scale",
            )
            edited = (await self._shop())["metadata"]["generation"]
            await self._until_shop(
                lambda shop: shop["metadata"]["generation"] > edited and shop["spec"]["replicas"] == 3,
                "the edit was not undone",
            )
            self._view.done(f"healed in {progress.took}: 3 replicas again")

    async def _bad_commit(self) -> None:
        self._view.title("4. A bad commit")
        self._edit("apps/shop/production/resources.yaml", "memory: 512Mi}", "memory: 1Gi")
        sha = await self._repo.commit("Give the shop more memory")
        self._view.line(f"git commit {_short(sha)}: Give the shop more memory (its YAML is broken)")
        with self._view.doing("waiting for the verdict") as progress:
            await objects.request(self._running.client)
            message = await self._until(
                self._apps, NAMESPACE, PRODUCTION, _refused(sha), "the bad commit was not refused"
            )
            self._view.done(f"refused after {progress.took}; kubectl get kustomizations says why:")
        self._view.quote(message)
        shop = await self._shop()
        self._view.line(f"what ran before keeps running: {shop['status'].get('readyReplicas', 0)} of 3 replicas ready")

    async def _revert(self) -> None:
        self._view.title("5. git revert")
        sha = await self._repo.revert()
        with self._view.doing("waiting for production to be healthy") as progress:
            await objects.request(self._running.client)
            await self._until(self._apps, NAMESPACE, PRODUCTION, _applied(sha), "production did not recover")
            self._view.done(f"healthy at {_short(sha)} after {progress.took}")

    def _edit(self, path: str, old: str, new: str) -> None:
        file = self._repo.tree / path
        text = file.read_text()
        assert old in text, f"{path} has no {old!r}"
        file.write_text(text.replace(old, new))

    async def _shop(self) -> Manifest:
        return await self._running.client.get("apps/v1", "Deployment", "shop", PRODUCTION)

    async def _image(self) -> str:
        return _image(await self._shop())

    async def _until_shop(self, holds: Callable[[Manifest], Any], problem: str) -> None:
        await self._until(self._deployments, PRODUCTION, "shop", lambda shop: shop is not None and holds(shop), problem)

    async def _until(
        self, where: Watched, namespace: str, name: str, holds: Callable[[Manifest | None], Any], problem: str
    ) -> Any:
        wait: Awaitable[Any] = where.until(namespace, name, holds, PATIENCE)
        try:
            return await wait
        except TimeoutError as error:
            status, reason, message = ready(self._apps.get(NAMESPACE, PRODUCTION))
            self._running.processes.require_running()
            said = f"; {PRODUCTION} says Ready={status} {reason}: {message}" if reason else ""
            raise Failed(f"{problem} after {PATIENCE:.0f} s{said}") from error


def _applied(sha: str) -> Callable[[Manifest | None], bool]:
    def holds(manifest: Manifest | None) -> bool:
        status = (manifest or {}).get("status") or {}
        return ready(manifest)[0] == "True" and str(status.get("lastAppliedRevision", "")).endswith(sha)

    return holds


def _refused(sha: str) -> Callable[[Manifest | None], str]:
    def holds(manifest: Manifest | None) -> str:
        status = (manifest or {}).get("status") or {}
        state, _, message = ready(manifest)
        return message if state == "False" and str(status.get("lastAttemptedRevision", "")).endswith(sha) else ""

    return holds


def _image(deployment: Manifest) -> str:
    return str(deployment["spec"]["template"]["spec"]["containers"][0]["image"])


def _short(sha: str) -> str:
    return sha[:7]


def _show_logs(view: View, running: Installation) -> None:
    for name in ("source-controller", "kustomize-controller"):
        view.line(f"{name} said last:")
        view.quote(running.processes.tail(name))


def _explain(view: View, running: Installation, repo: Repository) -> None:
    view.title("Look around (in another terminal)")
    view.line(f"export KUBECONFIG={shlex.quote(str(running.kubeconfig))}")
    for command in (
        "kubectl get kustomizations,gitrepositories -A",
        "kubectl get all -n shop-production --show-labels",
        "kubectl get events -n flux-system",
        "kubectl delete deployment shop -n shop-production   # and see it come back",
        "flux tree kustomization flux-system                # if you have the flux command",
    ):
        view.line(command)
    view.line(f"commit and push in {repo.tree}; it is applied within a minute")
    view.line(f"logs: {running.directory / 'logs'}")
    view.line("Ctrl-C ends it all.")
