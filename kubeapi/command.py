"""`fluvial kubeapi`: the embedded Kubernetes API as a process of its own."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from kubeapi.journal import JournalError

_DESCRIPTION = """\
Run an embedded Kubernetes API: one process that kubectl, flux, helm and controllers use like a cluster's API server.
Nothing runs in it: workloads become ready after a set time, or fail when an annotation on their pods asks for it
(kubeapi.fluvial.dev/fail: ImagePullBackOff)."""

_EPILOG = """\
examples:
  fluvial kubeapi                                  in memory, on a free port, kubeconfig in ./kubeapi.kubeconfig
  fluvial kubeapi --data ~/.fluvial --port 6443    the same objects, certificate and token each time

then, in another terminal:
  export KUBECONFIG=$PWD/kubeapi.kubeconfig
  kubectl create deployment web --image=nginx      ready after a moment, though nothing is pulled or run
  kubectl rollout status deployment/web
  kubectl apply --server-side -f config/           does the server take it? schemas, CRDs, policies, quotas, RBAC
  kubectl auth can-i list secrets --as=jane        who may do what

when something should go wrong:
  kubectl annotate deployment web kubeapi.fluvial.dev/fail=ImagePullBackOff
  kubectl create --raw /faults -f - <<< '{"action": "fail", "verb": "patch", "nth": 2, "code": 503}'

Stop it with Ctrl-C or SIGTERM. What it serves, what it doesn't, and how fast: docs/kubeapi.md."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fluvial kubeapi",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--data", metavar="DIR", type=Path, help="keep the objects in DIR (SQLite); without it they are gone at the end"
    )
    add("--host", default="127.0.0.1", help="address to listen on (default %(default)s: this machine only)")
    add("--port", type=int, default=0, help="port to listen on (default: any free one)")
    add(
        "--kubeconfig-out",
        metavar="FILE",
        type=Path,
        default=None,
        help="where to write the administrator's kubeconfig (default ./kubeapi.kubeconfig, with --data DIR/kubeconfig)",
    )
    add(
        "--tls",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="serve HTTPS with a certificate authority of its own; kubectl sends no token without it (default: on)",
    )
    add(
        "--token-file",
        metavar="FILE",
        type=Path,
        help="file with the administrator's bearer token (default: $KUBEAPI_TOKEN, or a random one kept in --data)",
    )
    add("--tls-san", metavar="NAME", action="append", default=[], help="a further name or address of this server")
    add(
        "--workload-delay",
        metavar="SECONDS",
        type=float,
        default=0.2,
        help="time until workloads are ready (default %(default)s)",
    )
    add("--no-workloads", action="store_true", help="leave Deployments, Jobs, Pods … alone: something else runs them")
    add(
        "--check-invariants",
        action="store_true",
        help="refuse status writes of toolkit kinds whose conditions contradict each other",
    )
    add("--verbose", "-v", action="store_true", help="log what the built-in controllers do")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run until SIGINT or SIGTERM; gives the exit code."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    if not 0 <= arguments.port <= 65535:
        parser.error(f"--port must be between 0 and 65535, not {arguments.port}")
    if arguments.workload_delay < 0:
        parser.error("--workload-delay must not be negative")
    try:
        token = _token(arguments.token_file)
    except OSError as error:
        parser.error(f"--token-file can't be read: {error}")
    level = logging.DEBUG if arguments.verbose else logging.WARNING
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        asyncio.run(_run(arguments, token))
    except JournalError as error:
        print(f"fluvial kubeapi: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"fluvial kubeapi: can't serve on {arguments.host}:{arguments.port}: {error}", file=sys.stderr)
        return 1
    return 0


def _token(path: Path | None) -> str:
    return path.read_text().strip() if path is not None else os.environ.get("KUBEAPI_TOKEN", "")


async def _run(arguments: argparse.Namespace, token: str) -> None:
    # Imported here: --help answers without loading the server.
    import kubeapi

    server = await kubeapi.start(
        port=arguments.port,
        data=arguments.data,
        host=arguments.host,
        tls=arguments.tls,
        token=token,
        hosts=tuple(arguments.tls_san),
        workload_delay=arguments.workload_delay,
        workloads=not arguments.no_workloads,
        invariants=arguments.check_invariants,
    )
    try:
        default = Path("kubeapi.kubeconfig") if arguments.data is None else arguments.data / "kubeconfig"
        path = arguments.kubeconfig_out or default
        server.kubeconfig(path)
        kept = f"objects are kept in {arguments.data}" if arguments.data else "objects are kept in memory only"
        print(f"Kubernetes API listening on {server.url} ({kept})")
        print(f"kubeconfig: {path}")
        if arguments.tls:
            print(f"try:        KUBECONFIG={path} kubectl get all --all-namespaces")
        else:
            print("note:       kubectl sends no token over plain HTTP; use --tls for it")
        sys.stdout.flush()
        await _until_told()
    finally:
        await server.stop()


async def _until_told() -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    await stop.wait()


if __name__ == "__main__":
    sys.exit(main())
