"""A Git repository of the demo's own: a work tree to change, and a server on the loopback interface to fetch from.

The machine's and the user's Git configuration play no part.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import shutil
import signal
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path

from aiohttp import web

from fluvial.loopback import listening
from fluvial.processes import Failed

BRANCH = "main"
BODY_LIMIT = 16 * 1024 * 1024
_IDENTITY = {
    "GIT_AUTHOR_NAME": "Demo",
    "GIT_AUTHOR_EMAIL": "demo@example.com",
    "GIT_COMMITTER_NAME": "Demo",
    "GIT_COMMITTER_EMAIL": "demo@example.com",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
}


class Repository:
    """A work tree whose commits are pushed at once to where `url` serves them."""

    def __init__(self, tree: Path, url: str, pushes: asyncio.Event) -> None:
        self.tree, self.url, self._pushes = tree, url, pushes

    async def pushed(self) -> None:
        """Wait until somebody pushes, from this process or by hand."""
        await self._pushes.wait()
        self._pushes.clear()

    async def commit(self, message: str) -> str:
        """Commit all that was changed in the work tree, and push; the commit's SHA."""
        await git(self.tree, "add", "--all")
        await git(self.tree, "commit", "--quiet", f"--message={message}")
        return await self._push()

    async def revert(self) -> str:
        """Revert the last commit, and push; the new commit's SHA."""
        await git(self.tree, "revert", "--no-edit", "HEAD")
        return await self._push()

    async def _push(self) -> str:
        await git(self.tree, "push", "--quiet", "--set-upstream", "origin", BRANCH)
        return (await git(self.tree, "rev-parse", "HEAD")).strip()


@contextlib.asynccontextmanager
async def served(directory: Path, files: Path) -> AsyncIterator[Repository]:
    """A repository below `directory` whose first commit is still to be made of a copy of `files`. Raises Failed."""
    bare, tree = directory / "git" / "config.git", directory / "config"
    bare.parent.mkdir()
    await git(directory, "init", "--quiet", "--bare", f"--initial-branch={BRANCH}", str(bare))
    shutil.copytree(files, tree, ignore=shutil.ignore_patterns("__pycache__"))
    await git(tree, "init", "--quiet", f"--initial-branch={BRANCH}")
    await git(tree, "remote", "add", "origin", str(bare))
    pushes = asyncio.Event()
    app = web.Application(client_max_size=BODY_LIMIT)
    app.router.add_route("*", "/{path:.*}", _Backend(bare.parent).answer)
    with _hooked(bare, pushes):
        async with listening(app) as address:
            yield Repository(tree, f"{address}/config.git", pushes)


@contextlib.contextmanager
def _hooked(bare: Path, pushes: asyncio.Event) -> Iterator[None]:
    """Let a hook of the repository tell of each push through a pipe, as a hosting service would through a webhook."""
    pipe = bare / "pushes"
    os.mkfifo(pipe, 0o600)
    hook = bare / "hooks" / "post-receive"
    hook.parent.mkdir(exist_ok=True)
    # Opened for reading, too (<>): a push just when nobody reads any more must not wait for a reader.
    hook.write_text(f"#!/bin/sh\ncat >/dev/null\necho 1<>{shlex.quote(str(pipe))}\n")
    hook.chmod(0o700)
    descriptor = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)  # for writing, too, or the pipe ends with its first writer

    def told() -> None:
        os.read(descriptor, 1024)
        pushes.set()

    loop = asyncio.get_running_loop()
    loop.add_reader(descriptor, told)
    try:
        yield
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


class _Backend:
    """Git's own HTTP server program, for reading only."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def answer(self, request: web.Request) -> web.Response:
        """Answer one request; a path that points elsewhere gets 404."""
        if ".." in request.path.split("/"):
            raise web.HTTPNotFound
        env = {
            "PATH": os.environ.get("PATH", os.defpath),
            "GIT_PROJECT_ROOT": str(self._root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": request.path,
            "QUERY_STRING": request.query_string,
            "REQUEST_METHOD": request.method,
            "CONTENT_TYPE": request.headers.get("Content-Type", ""),
            "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
            "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", ""),
            **_IDENTITY,
        }
        body = await request.read()
        env["CONTENT_LENGTH"] = str(len(body))
        _, answer, _ = await _run(["http-backend"], env, self._root, body)
        head, _, payload = answer.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode("latin-1").split("\r\n") if ": " in line)
        status = int(headers.pop("Status", "200").split()[0])
        return web.Response(status=status, headers=headers, body=payload)


async def git(directory: Path, *arguments: str) -> str:
    """Run git in a directory; what it prints. Failed with what it says otherwise."""
    env = {**{name: value for name, value in os.environ.items() if not name.startswith("GIT_")}, **_IDENTITY}
    status, out, err = await _run(arguments, env, directory)
    if status:
        raise Failed(f"git {arguments[0]} failed: {err.decode(errors='replace').strip()}")
    return out.decode()


async def _run(
    arguments: Sequence[str], env: Mapping[str, str], directory: Path, given: bytes = b""
) -> tuple[int, bytes, bytes]:
    """Run git; its status, output and errors. When this is cancelled git is killed, with all that it started."""
    process = await asyncio.create_subprocess_exec(
        "git",
        *arguments,
        cwd=directory,
        env=env,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        process_group=0,
    )
    try:
        out, err = await process.communicate(given)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    assert process.returncode is not None
    return process.returncode, out, err
