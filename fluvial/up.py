"""`fluvial up`: a cluster made what the user's own repository says, for as long as the command runs."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

from fluvial import objects
from fluvial.board import Board, title
from fluvial.installation import CONTROLLERS, NAMESPACE, Installation, installed
from fluvial.interruption import until_interrupted
from fluvial.processes import Failed
from fluvial.view import View
from fluvial.watching import Watched, ready, waits, watched
from shared.api.meta import Manifest, parse_duration
from shared.api.notification import Receiver
from shared.api.source import Bucket, OCIRepository
from shared.kube.errors import ApiError
from shared.kube.watch import Change

_DESCRIPTION = """\
Start the controllers, and an embedded Kubernetes API unless --kubeconfig names a cluster, and make it
what a path of a Git repository says. Stays up and shows what happens, until Ctrl-C."""
SHOWN = (objects.SOURCE, OCIRepository.resource, Bucket.resource, objects.KUSTOMIZATION, Receiver.resource)
_EPILOG = """\
examples:
  fluvial up --url https://github.com/you/config --path clusters/dev
  fluvial up --url ssh://git@example.com/you/config --secret git-key --kubeconfig ~/.kube/config

A repository that needs credentials: name with --secret a Secret in the namespace flux-system (username and password,
bearerToken, or identity and known_hosts). It may be created while this runs; the embedded API keeps it, as all else,
only with --data DIR."""


def parser() -> argparse.ArgumentParser:
    """The command line of the command."""
    made = argparse.ArgumentParser(
        prog="fluvial up",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = made.add_argument
    add("--url", required=True, help="the repository: https://, http:// or ssh://")
    add("--branch", default="main", help="the branch to follow (default %(default)s)")
    add("--path", default="./", help="the directory in the repository to apply (default: its root)")
    add("--interval", default="1m", help="how often to look for new commits (default %(default)s)")
    add("--secret", default="", metavar="NAME", help="a Secret in the namespace flux-system with credentials")
    add("--kubeconfig", type=Path, metavar="FILE", help="use this cluster instead of an embedded API")
    add("--data", type=Path, metavar="DIR", help="where the embedded API keeps its objects (default: in memory only)")
    add("--port", type=int, default=0, help="the port of the embedded API (default: any free one)")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command: 0 after Ctrl-C, 1 when it can't go on, 2 for a wrong command line."""
    options = parser().parse_args(arguments)
    if problem := _problem(options):
        parser().error(problem)
    view = View()
    status = asyncio.run(until_interrupted(_run(view, options)))
    if status is None:
        view.line("\n" + _what_stays(options))
        return 0
    return status


def _problem(options: argparse.Namespace) -> str:
    """What is wrong with the command line; empty when nothing is."""
    try:
        url = urlsplit(options.url)
        host, password = url.hostname, url.password
    except ValueError as error:
        return f"--url is no address: {error}"
    if url.scheme not in ("https", "http", "ssh") or not host:
        return f"--url {options.url!r}: give an https://, http:// or ssh:// address; local paths aren't supported"
    if password is not None:
        return "--url has a password in it, which others could read: put it into a Secret, and name that with --secret"
    if options.kubeconfig is not None and (options.data is not None or options.port):
        return "--data and --port are for the embedded API, which --kubeconfig replaces"
    try:
        parse_duration(options.interval)
    except ValueError as error:
        return f"--interval {options.interval!r}: {error}"
    return ""


def _what_stays(options: argparse.Namespace) -> str:
    if options.kubeconfig is None:
        return "stopped; nothing is left behind" + (f" but {options.data}" if options.data else "")
    return (
        "stopped; the cluster keeps what was applied, the CRDs, and the GitRepository and the Kustomization "
        f"{NAMESPACE}/{objects.NAME}. To remove what was applied, run this again and, meanwhile, "
        f"kubectl delete kustomization {objects.NAME} -n {NAMESPACE}"
    )


async def _run(view: View, options: argparse.Namespace) -> int:
    embedded = options.kubeconfig is None
    try:
        async with contextlib.AsyncExitStack() as stack:
            with view.doing("starting") as progress:
                start = installed(
                    progress.say, kubeconfig=options.kubeconfig, embedded=embedded, data=options.data, port=options.port
                )
                running = await stack.enter_async_context(start)
                where = "an embedded Kubernetes API" if embedded else running.client.server
                view.done(f"{where} and {len(CONTROLLERS)} controllers, ready after {progress.took}")
            if embedded:
                view.command(f"export KUBECONFIG={shlex.quote(str(running.kubeconfig))}")
            view.line(f"webhooks for Receivers: {running.webhooks}")
            view.line(f"logs: {running.directory / 'logs'}; Ctrl-C ends it all")
            await _follow(view, running, options)
    except Failed as error:
        view.failed(str(error))
    except ApiError as error:
        view.failed(f"the Kubernetes API refused a request: {error}")
    return 1


async def _follow(view: View, running: Installation, options: argparse.Namespace) -> NoReturn:
    """Apply both objects and show what every source, Kustomization and Receiver says, as it changes."""
    client = running.client
    async with contextlib.AsyncExitStack() as stack:
        shown = {}
        for kind in SHOWN:
            shown[kind.kind] = await stack.enter_async_context(watched(client, kind.api_version, kind.kind))
        for name, watch in shown.items():
            _tell(view, name, watch)
        wanted = objects.manifests(
            options.url, options.branch, options.path, interval=options.interval, secret=options.secret
        )
        await objects.apply(client, wanted)
        stack.enter_context(view.doing(f"following {options.branch} of {options.url}", Board(shown)))
        await running.attend(view.failed)


def _tell(view: View, kind: str, watch: Watched) -> None:
    """Print what each object says when it says something else: its errors, what it waits for, that it is ready."""
    said: dict[tuple[str, str], tuple[str, str]] = {}

    def changed(change: Change[Manifest]) -> None:
        name = title(change.manifest)
        if change.type == "deleted":
            said.pop(change.key, None)
            view.line(f"{kind} {name} is gone")
            return
        state, reason, message = ready(change.manifest)
        if state == "Unknown" or said.get(change.key) == (state, message):
            return
        said[change.key] = (state, message)
        if state == "True":
            view.done(f"{kind} {name}: {message}")
        elif waits(change.manifest):
            view.line(f"… {kind} {name}: {message}")
        else:
            view.failed(f"{kind} {name} ({reason}):")
            view.quote(message)

    watch.on_change(changed)
