"""`fluvial up`: a cluster made what the user's own repository says, for as long as the command runs."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
from collections.abc import Sequence
from pathlib import Path

from fluvial import objects
from fluvial.installation import NAMESPACE, Installation, installed
from fluvial.processes import Failed
from fluvial.view import View
from fluvial.watching import Watched, ready, watched
from shared.api.meta import Manifest
from shared.kube.errors import ApiError
from shared.kube.watch import Change

_DESCRIPTION = """\
Start the controllers, and an embedded Kubernetes API unless --kubeconfig names a cluster, and make it
what a path of a Git repository says. Stays up and shows what happens, until Ctrl-C."""
WAITS = ("ArtifactFailed", "DependencyNotReady")
"""Reasons for not being ready that something else will end."""
_EPILOG = """\
examples:
  fluvial up --url https://github.com/you/config --path clusters/dev
  fluvial up --url ssh://git@example.com/you/config --secret git-key --kubeconfig ~/.kube/config

A repository that needs credentials: create the Secret that --secret names in the namespace flux-system first
(username and password, bearerToken, or identity and known_hosts). With the embedded API that takes --data DIR, so
that the Secret is still there the next time."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command: 0 after Ctrl-C, 1 when it can't go on, 2 for a wrong command line."""
    parser = argparse.ArgumentParser(
        prog="fluvial up",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--url", required=True, help="the repository: https://, http:// or ssh://")
    add("--branch", default="main", help="the branch to follow (default %(default)s)")
    add("--path", default="./", help="the directory in the repository to apply (default: its root)")
    add("--interval", default="1m", help="how often to look for new commits (default %(default)s)")
    add("--secret", default="", metavar="NAME", help="a Secret in the namespace flux-system with credentials")
    add("--kubeconfig", type=Path, metavar="FILE", help="use this cluster instead of an embedded API")
    add("--data", type=Path, metavar="DIR", help="where the embedded API keeps its objects (default: in memory only)")
    add("--port", type=int, default=0, help="the port of the embedded API (default: any free one)")
    options = parser.parse_args(arguments)
    if not options.url.startswith(("https://", "http://", "ssh://")):
        parser.error(
            f"--url {options.url!r}: give an https://, http:// or ssh:// address; local paths aren't supported"
        )
    if options.kubeconfig is not None and (options.data is not None or options.port):
        parser.error("--data and --port are for the embedded API, which --kubeconfig replaces")
    return asyncio.run(_run(View(), options))


async def _run(view: View, options: argparse.Namespace) -> int:
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    embedded = options.kubeconfig is None
    try:
        async with contextlib.AsyncExitStack() as stack:
            with view.doing("starting") as progress:
                running = await stack.enter_async_context(
                    installed(
                        progress.say,
                        kubeconfig=options.kubeconfig,
                        embedded=embedded,
                        data=options.data,
                        port=options.port,
                    )
                )
                where = "an embedded Kubernetes API" if embedded else running.client.server
                view.done(f"{where} and two controllers, ready after {progress.took}")
            if embedded:
                view.line(f"export KUBECONFIG={running.kubeconfig}")
            view.line(f"logs: {running.directory / 'logs'}; Ctrl-C ends it all")
            await _follow(view, running, options)
    except Failed as error:
        view.failed(str(error))
        return 1
    except ApiError as error:
        view.failed(f"the Kubernetes API refused a request: {error}")
        return 1
    except asyncio.CancelledError:
        view.line("")
        if embedded:
            view.line("stopped; nothing is left behind" + (f" but {options.data}" if options.data else ""))
        else:
            view.line(f"stopped; what was applied stays, and so do {objects.NAME} and the CRDs in the cluster")
    return 0


async def _follow(view: View, running: Installation, options: argparse.Namespace) -> None:
    """Apply both objects and show what every source and Kustomization says, as it changes."""
    client = running.client
    async with contextlib.AsyncExitStack() as stack:
        for kind in (objects.SOURCE, objects.KUSTOMIZATION):
            shown = await stack.enter_async_context(watched(client, kind.api_version, kind.kind))
            _show(view, kind.kind, shown)
        await objects.apply(
            client,
            objects.manifests(
                options.url, options.branch, options.path, interval=options.interval, secret=options.secret
            ),
        )
        name = await running.processes.ended.get()
        raise Failed(f"{name} ended by itself; its log ends with:\n{running.processes.tail(name)}")


def _show(view: View, kind: str, watch: Watched) -> None:
    said: dict[tuple[str, str], tuple[str, str]] = {}

    def changed(change: Change[Manifest]) -> None:
        if change.type == "deleted":
            said.pop(change.key, None)
            view.line(f"{kind} {'/'.join(change.key)} is gone")
            return
        state, reason, message = ready(change.manifest)
        if not message or said.get(change.key) == (state, message):
            return
        said[change.key] = (state, message)
        name = change.key[1] if change.key[0] == NAMESPACE else "/".join(change.key)
        if state == "True":
            view.done(f"{kind} {name}: {message}")
        elif state == "False" and reason not in WAITS:
            view.failed(f"{kind} {name}:")
            view.quote(message)
        else:
            view.line(f"… {kind} {name}: {message}")

    watch.on_change(changed)
