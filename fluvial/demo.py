"""`fluvial demo`: the toolkit's story, played on this machine.

commit → applied → edited by hand → healed → a bad commit → its error → git revert → healthy → what the chat said
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import shlex
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

from fluvial import chat, objects, repository
from fluvial.board import Board
from fluvial.chat import Chat, Message
from fluvial.installation import CONTROLLERS, NAMESPACE, Installation, installed
from fluvial.interruption import until_interrupted
from fluvial.processes import Failed
from fluvial.repository import BRANCH, Repository
from fluvial.view import Progress, View
from fluvial.watching import Watched, ready, watched
from shared.api.meta import Manifest
from shared.kube.errors import ApiError, NotFound

EXAMPLE = Path(__file__).parent / "example"
APPS = ("infrastructure", "shop-dev", "shop-production")
PRODUCTION = "shop-production"
PATIENCE = 60.0
"""Seconds that a step of the story may take."""

PAUSE = 2.0
"""Seconds to read a chapter in."""
INTERRUPTED = 130
"""The exit status of a story that was not played to its end."""

_DESCRIPTION = """\
Start an embedded Kubernetes API and the controllers, make a Git repository, and play a story: a commit is applied,
an edit by hand is healed, a bad commit says what is wrong and where, git revert makes all well, and a chat heard of it.
Nothing outside of a temporary directory is touched. It stays up for you to look around, until Ctrl-C."""


def parser() -> argparse.ArgumentParser:
    """The command line of the command."""
    made = argparse.ArgumentParser(prog="fluvial demo", description=_DESCRIPTION)
    made.add_argument("--once", action="store_true", help="end after the story instead of staying up")
    made.add_argument("--fast", action="store_true", help="no pauses for reading, which are made on a terminal only")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command: 0 when the story went well, 1 when a step failed, 130 when --once was interrupted."""
    options = parser().parse_args(arguments)
    view = View()
    pause = PAUSE if view.is_alive and not options.fast else 0.0
    status = asyncio.run(until_interrupted(_run(view, pause, once=options.once)))
    if status is None:
        view.line("\nstopped; nothing is left behind")
        return INTERRUPTED if options.once else 0
    return status


async def _run(view: View, pause: float, *, once: bool) -> int:
    try:
        async with contextlib.AsyncExitStack() as stack:
            with view.doing("starting") as progress:
                running = await stack.enter_async_context(installed(progress.say))
                repo = await stack.enter_async_context(repository.served(running.directory, EXAMPLE))
                team = await stack.enter_async_context(chat.opened())
                view.title("A cluster and a Git repository")
                view.done(f"an embedded Kubernetes API and {len(CONTROLLERS)} controllers, ready after {progress.took}")
                view.done(f"a repository with a shop for dev and production: {repo.tree}")
            try:
                async with _webhook(running, repo):
                    await running.processes.during(Story(view, running, repo, team, pause).play())
                    if once:
                        return 0
                    _explain(view, running, repo)
                    await running.attend(view.failed)
            except (Failed, ApiError):
                _show_logs(view, running)
                raise
    except Failed as error:
        view.failed(str(error))
    except ApiError as error:
        view.failed(f"the Kubernetes API refused a request: {error}")
    return 1


@contextlib.asynccontextmanager
async def _webhook(running: Installation, repo: Repository) -> AsyncIterator[None]:
    """Ask for the repository to be looked at whenever it is pushed to, for as long as the block runs."""

    async def tell() -> None:
        while True:
            await repo.pushed()
            with contextlib.suppress(NotFound):  # the first push comes before the GitRepository
                await objects.request(running.client)

    task = asyncio.create_task(tell())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class Story:
    """The steps, in order. Each ends when the cluster shows what the step says; Failed names the one that doesn't."""

    def __init__(self, view: View, running: Installation, repo: Repository, team: Chat, pause: float = 0.0) -> None:
        self._view, self._running, self._repo, self._chat, self._pause = view, running, repo, team, pause
        self._bad = self._mended = ""
        self._sources: Watched
        self._apps: Watched
        self._deployments: Watched

    async def play(self) -> None:
        """Play the whole story."""
        client = self._running.client
        source, app = objects.SOURCE, objects.KUSTOMIZATION
        async with (
            watched(client, source.api_version, source.kind, NAMESPACE) as self._sources,
            watched(client, app.api_version, app.kind, NAMESPACE) as self._apps,
            watched(client, "apps/v1", "Deployment") as self._deployments,
        ):
            for chapter in (
                self._first_commit,
                self._change,
                self._edit_by_hand,
                self._bad_commit,
                self._revert,
                self._what_the_chat_says,
            ):
                await chapter()
                await asyncio.sleep(self._pause)

    async def _first_commit(self) -> None:
        self._view.title("1. The first commit is applied")
        sha = await self._repo.commit("Add the shop")
        self._view.line(f"git commit {_short(sha)}: Add the shop")
        with self._doing("creating the GitRepository and the Kustomization") as progress:
            wanted = objects.manifests(self._repo.url, BRANCH, "./clusters/demo")
            await objects.apply(self._running.client, [objects.secret("chat", address=self._chat.url), *wanted])
            for app in APPS:
                progress.say(f"waiting for {app} to be healthy")
                await self._until(self._apps, NAMESPACE, app, _applied(sha), f"{app} was not Ready")
                self._view.done(f"{app} is healthy after {progress.took}")
        self._view.line("shop-dev and shop-production had to wait for infrastructure: it makes their namespaces")

    async def _change(self) -> None:
        self._view.title("2. A commit changes production")
        dev = self._generation("shop-dev")
        self._edit("apps/shop/production/kustomization.yaml", "newTag: 1.0.0", "newTag: 1.1.0")
        sha = await self._repo.commit("Run shop 1.1.0 in production")
        self._view.line(f"git commit {_short(sha)}: Run shop 1.1.0 in production")
        with self._doing("waiting for the new image") as progress:
            image = await self._until_shop(_has_tag("1.1.0"), "the image did not change")
            self._view.done(f"applied in {progress.took}: the Deployment has {image}")
            progress.say("waiting for production to be healthy")
            await self._until(self._apps, NAMESPACE, PRODUCTION, _applied(sha), "production was not Ready")
            self._view.done(f"healthy after {progress.took}")
            await self._until(self._apps, NAMESPACE, "shop-dev", _applied(sha), "dev was not Ready")
            if self._generation("shop-dev") != dev:
                raise Failed("the Deployment in shop-dev was written to, although nothing changed for it")
            self._view.done("dev has the same revision, and its Deployment was not touched")
        self._view.line(
            "a hook of the repository tells the controller of a push, as a webhook would, by the annotation"
        )
        self._view.line("reconcile.fluxcd.io/requestedAt; without it the GitRepository is looked at every minute")

    async def _edit_by_hand(self) -> None:
        self._view.title("3. Someone edits the cluster by hand")
        self._view.line("kubectl scale deployment shop --replicas=0 -n shop-production")
        with self._doing("waiting for the edit to be undone") as progress:
            edited = await self._running.client.patch(
                "apps/v1",
                "Deployment",
                "shop",
                PRODUCTION,
                {"spec": {"replicas": 0}},
                type="merge",
                field_manager="kubectl-scale",
            )
            replicas = await self._until_shop(_healed_since(edited), "the edit was not undone")
            self._view.done(f"healed in {progress.took}: {replicas} replicas again")
            progress.say("waiting for the replicas to be ready")
            await self._until_shop(_is_running, "the replicas did not become ready")
            self._view.done(f"all of them ready after {progress.took}")
        self._view.line("the controller watches what it applied; it does not wait for the interval of ten minutes")

    async def _bad_commit(self) -> None:
        self._view.title("4. A bad commit")
        self._edit("apps/shop/production/resources.yaml", "memory: 512Mi}", "memory: 1Gi")
        self._bad = sha = await self._repo.commit("Give the shop more memory")
        self._view.line(f"git commit {_short(sha)}: Give the shop more memory (its YAML is broken)")
        with self._doing("waiting for the verdict") as progress:
            message = await self._until(
                self._apps, NAMESPACE, PRODUCTION, _refused(sha), "the bad commit was not refused"
            )
            self._view.done(f"refused after {progress.took}; kubectl get kustomizations says why, and where:")
        self._view.quote(message)
        shop = await self._running.client.get("apps/v1", "Deployment", "shop", PRODUCTION)
        running = shop["status"].get("readyReplicas", 0)
        if running != shop["spec"]["replicas"]:
            raise Failed(f"the bad commit left {running} of {shop['spec']['replicas']} replicas of the shop running")
        self._view.done(f"what ran before keeps running: {running} of {running} replicas are ready")

    async def _revert(self) -> None:
        self._view.title("5. git revert")
        self._mended = sha = await self._repo.revert()
        self._view.line(f'git commit {_short(sha)}: Revert "Give the shop more memory"')
        with self._doing("waiting for production to be healthy") as progress:
            await self._until(self._apps, NAMESPACE, PRODUCTION, _applied(sha), "production did not recover")
            self._view.done(f"healthy after {progress.took}")

    async def _what_the_chat_says(self) -> None:
        self._view.title("6. Meanwhile, in the chat")
        self._view.line(
            "an Alert in clusters/demo/alerts.yaml tells a Provider, here of type slack, what fails and what recovers"
        )
        with self._doing("waiting for the chat") as progress:
            for sha, is_bad in ((self._bad, True), (self._mended, False)):
                progress.say(f"waiting for the chat to hear of {_short(sha)}")
                self._show(await self._until_said(sha, is_bad=is_bad))

    async def _until_said(self, sha: str, *, is_bad: bool) -> Message:
        def holds(message: Message) -> bool:
            ours = PRODUCTION in message.about and message.details.get("revision", "").endswith(sha)
            return ours and message.is_bad is is_bad

        try:
            return await self._chat.until(holds, PATIENCE)
        except TimeoutError as error:
            raise Failed(f"the chat did not hear of {_short(sha)} within {PATIENCE:.0f} s") from error

    def _show(self, message: Message) -> None:
        details = (f"{name}: {value}" for name, value in message.details.items())
        text = "\n".join([message.about, *message.text.splitlines(), *details])
        head = f"#{message.channel}  {message.by}  {message.at}"
        self._view.message(head, text, "red" if message.is_bad else "green")

    def _doing(self, text: str) -> contextlib.AbstractContextManager[Progress]:
        return self._view.doing(text, Board({"GitRepository": self._sources, "Kustomization": self._apps}))

    def _edit(self, path: str, old: str, new: str) -> None:
        file = self._repo.tree / path
        text = file.read_text()
        assert old in text, f"{path} has no {old!r}"
        file.write_text(text.replace(old, new))

    def _generation(self, namespace: str) -> int:
        shop = self._deployments.get(namespace, "shop")
        return 0 if shop is None else int(shop["metadata"]["generation"])

    async def _until_shop(self, holds: Callable[[Manifest | None], Any], problem: str) -> Any:
        return await self._until(self._deployments, PRODUCTION, "shop", holds, problem)

    async def _until(
        self, where: Watched, namespace: str, name: str, holds: Callable[[Manifest | None], Any], problem: str
    ) -> Any:
        try:
            return await where.until(namespace, name, holds, PATIENCE)
        except TimeoutError as error:
            said = [f"{problem} within {PATIENCE:.0f} s"]
            for kind, watch in (("GitRepository", self._sources), ("Kustomization", self._apps)):
                for manifest in watch.values():
                    status, reason, message = ready(manifest)
                    said.append(f"{kind} {manifest['metadata']['name']}: Ready={status} {reason} {message}")
            raise Failed("\n".join(said)) from error


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


def _has_tag(tag: str) -> Callable[[Manifest | None], str]:
    def holds(shop: Manifest | None) -> str:
        image = str(shop["spec"]["template"]["spec"]["containers"][0]["image"]) if shop else ""
        return image if image.endswith(f":{tag}") else ""

    return holds


def _is_running(shop: Manifest | None) -> bool:
    status = (shop or {}).get("status") or {}
    if shop is None or status.get("observedGeneration") != shop["metadata"]["generation"]:
        return False
    return bool(status.get("readyReplicas", 0) == shop["spec"]["replicas"])


def _healed_since(edited: Manifest) -> Callable[[Manifest | None], int]:
    def holds(shop: Manifest | None) -> int:
        later = shop is not None and shop["metadata"]["generation"] > edited["metadata"]["generation"]
        return int(shop["spec"]["replicas"]) if shop is not None and later else 0

    return holds


def _short(sha: str) -> str:
    return sha[:7]


def _show_logs(view: View, running: Installation) -> None:
    for name in CONTROLLERS:
        view.line(f"{name} said last:")
        view.quote(running.processes.tail(name))


def _explain(view: View, running: Installation, repo: Repository) -> None:
    view.title("Look around, in another terminal")
    view.command(f"export KUBECONFIG={shlex.quote(str(running.kubeconfig))}")
    view.command("kubectl get gitrepositories,kustomizations -A")
    view.command("kubectl get all -n shop-production")
    view.command("kubectl get events -n flux-system")
    view.command("kubectl delete deployment shop -n shop-production    # and see it come back")
    view.command("flux tree kustomization flux-system                  # if you have the flux command")
    view.line("or change something and push it; it is applied at once:")
    view.command(f"cd {shlex.quote(str(repo.tree))}")
    view.command("fluvial diff shop-production                         # what your edits would change")
    view.command("git commit --allow-empty -am 'Try it' && git push")
    view.line(f"The controllers' logs are in {running.directory / 'logs'}. Ctrl-C ends it all and leaves nothing.")
