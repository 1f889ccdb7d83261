"""The real programs that tests compare with or run against, built from Go modules.

    python -m tests.upstream.controlplane.build [--only NAME...] [--list] [--where]

Each folder beside this file is a Go module that pins one tool or a family of tools, with the hashes of everything
they are built from. What is built lands outside the tree, in $FLUVIAL_CACHE (default ~/.cache/fluvial), in a folder
named after the hash of all those pins: a build never runs twice for the same pins, and never uses a stale tool.
A file in that folder is always a whole, working program; two builds at once wait for each other.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
GO_NEEDED = (1, 26)


class BuildFailed(Exception):
    """A tool could not be built; the message names the tool and what to do."""


@dataclass(frozen=True)
class Tool:
    """One program: the folder (Go module) that pins it, the package it is built from, linker variables to set."""

    name: str
    module: str
    package: str
    variables: tuple[tuple[str, str], ...] = ()
    source_of: str = ""
    """Build in a writable copy of this module's source instead of from the module cache (see _copy_source)."""


def pinned(folder: str, module: str) -> str:
    """The version, without v, at which the go.mod in that folder pins a module."""
    found = re.search(rf"^(?:require|\s)\s*{re.escape(module)} v(\S+)", (HERE / folder / "go.mod").read_text(), re.M)
    if not found:
        raise BuildFailed(f"{HERE / folder / 'go.mod'} does not require {module}: add it")
    return found[1]


KUBERNETES_VERSION = pinned("kubernetes", "k8s.io/kubernetes")
FLUX_VERSION = pinned("flux", "github.com/fluxcd/flux2/v2")


def _kubernetes(name: str) -> Tool:
    major, minor, _ = KUBERNETES_VERSION.split(".")
    version = "k8s.io/component-base/version"
    return Tool(
        name,
        "kubernetes",
        f"k8s.io/kubernetes/cmd/{name}",
        (
            (f"{version}.gitVersion", f"v{KUBERNETES_VERSION}"),
            (f"{version}.gitMajor", major),
            (f"{version}.gitMinor", minor),
            (f"{version}.gitTreeState", "clean"),
            (f"{version}.gitCommit", "unknown"),
        ),
    )


# In the order in which they are built: what a real control plane needs comes first.
TOOLS = {
    tool.name: tool
    for tool in (
        Tool("etcd", "etcd", "go.etcd.io/etcd/server/v3"),
        _kubernetes("kube-apiserver"),
        _kubernetes("kube-controller-manager"),
        _kubernetes("kube-scheduler"),
        Tool("kwok", "kwok", "sigs.k8s.io/kwok/cmd/kwok"),
        Tool("kustomize", "kustomize", "sigs.k8s.io/kustomize/kustomize/v5"),
        Tool("crane", "crane", "github.com/google/go-containerregistry/cmd/crane"),
        Tool("flux", "flux", "./cmd/flux", (("main.VERSION", FLUX_VERSION),), source_of="github.com/fluxcd/flux2/v2"),
        _kubernetes("kubectl"),
        Tool("sops", "sops", "github.com/getsops/sops/v3/cmd/sops"),
        Tool("age", "age", "filippo.io/age/cmd/age"),
        Tool("age-keygen", "age", "filippo.io/age/cmd/age-keygen"),
        Tool("helm", "helm", "helm.sh/helm/v4/cmd/helm"),
        Tool("nats-server", "nats", "github.com/nats-io/nats-server/v2"),
    )
}
CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok")


@dataclass(frozen=True)
class Available:
    """Whether tools can be used right now; false with the reason and the way out when they can't."""

    reason: str = ""

    def __bool__(self) -> bool:
        return not self.reason


def cache() -> Path:
    """The folder for what is built: $FLUVIAL_CACHE, else ~/.cache/fluvial."""
    return Path(os.environ.get("FLUVIAL_CACHE") or "~/.cache/fluvial").expanduser().resolve()


def bin_dir() -> Path:
    """The folder of the built tools for exactly these pins. It may not exist yet."""
    digest = hashlib.sha256(repr(sorted(TOOLS.values(), key=lambda tool: tool.name)).encode())
    for file in sorted(HERE.glob("*/go.*")):
        digest.update(f"{file.parent.name}/{file.name}\n".encode() + file.read_bytes())
    return cache() / f"bin-{digest.hexdigest()[:16]}"


def available(*names: str) -> Available:
    """Are these tools (default: those of a control plane) built? When not, the reason says how to get them.

    FLUVIAL_REAL=no says that no control plane is wanted, built or not."""
    if not names and os.environ.get("FLUVIAL_REAL") == "no":
        return Available("the real control plane isn't wanted: FLUVIAL_REAL=no")
    missing = [name for name in names or CONTROL_PLANE if not (bin_dir() / name).is_file()]
    if not missing:
        return Available()
    if problem := _go_problem():
        return Available(f"{', '.join(missing)} not built, and cannot be: {problem}")
    return Available(
        f"{', '.join(missing)} not built: run `python -m tests.upstream.controlplane.build --only {' '.join(missing)}`"
    )


def path(name: str) -> Path:
    """The program of this name; BuildFailed, saying what to do, when it isn't built."""
    if not (state := available(name)):
        raise BuildFailed(state.reason)
    return bin_dir() / name


def environment(base: dict[str, str] | None = None) -> dict[str, str]:
    """Environment (default: this process's) in which the built tools come first on PATH."""
    env = dict(os.environ if base is None else base)
    env["PATH"] = os.pathsep.join(filter(None, [str(bin_dir()), env.get("PATH", "")]))
    return env


def build(names: Sequence[str] = ()) -> list[str]:
    """Build those tools (default: all) that aren't yet, one after the other; returns the names that it built.

    Raises BuildFailed at the first that fails; what was built before stays.
    """
    if unknown := [name for name in names if name not in TOOLS]:
        raise BuildFailed(f"no such tool: {', '.join(unknown)}; there are {', '.join(TOOLS)}")
    wanted = [tool for tool in TOOLS.values() if not names or tool.name in names]
    if all((bin_dir() / tool.name).is_file() for tool in wanted):
        return []
    if problem := _go_problem():
        raise BuildFailed(problem)
    built: list[str] = []
    with _locked():
        missing = [tool for tool in wanted if not (bin_dir() / tool.name).is_file()]
        for number, tool in enumerate(missing, 1):
            _say(f"building {tool.name} ({number} of {len(missing)})")
            began = time.monotonic()
            _build(tool)
            _say(f"built {tool.name} in {time.monotonic() - began:.0f} s")
            built.append(tool.name)
        _forget_old_bins()
    return built


def _build(tool: Tool) -> None:
    target = bin_dir() / tool.name
    module = HERE / tool.module
    _run(tool, ["go", "mod", "download", *([tool.source_of] if tool.source_of else [])], module)
    directory = _copy_source(tool, module) if tool.source_of else module
    linked = " ".join(["-s", "-w", *(f"-X {name}={value}" for name, value in tool.variables)])
    unfinished = target.with_name(f".{tool.name}.unfinished")
    try:
        command = ["go", "build", "-p", str(os.cpu_count() or 1), "-trimpath", "-ldflags", linked]
        _run(tool, [*command, "-o", str(unfinished), tool.package], directory)
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
        if tool.source_of:
            shutil.rmtree(directory, ignore_errors=True)


def _copy_source(tool: Tool, module: Path) -> Path:
    """A writable copy of the tool's own module, made buildable.

    The flux command embeds the install manifests of a release (cmd/flux/manifests/*.yaml), which upstream generates
    before it builds and which the published module therefore lacks; the copy gets a placeholder instead. Only
    `flux install` and `flux bootstrap` read them, and no test runs those. The copy is built with the go.mod and go.sum
    that it brings, which are covered by the hash of the module in our go.sum.
    """
    answer = _run(tool, ["go", "mod", "download", "-json", tool.source_of], module)
    source = Path(json.loads(answer)["Dir"])
    copy = bin_dir() / f".{tool.name}.source"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(source, copy, copy_function=shutil.copyfile)
    for folder in (copy, *(entry for entry in copy.rglob("*") if entry.is_dir())):
        folder.chmod(0o755)
    manifests = copy / "cmd" / "flux" / "manifests"
    manifests.mkdir()
    (manifests / "placeholder.yaml").write_text("# The published module has no install manifests.\n")
    return copy


def _run(tool: Tool, command: list[str], directory: Path) -> str:
    """Run the go command there, with low priority; its output. BuildFailed with the end of what it said."""
    flags = [flag for flag in os.environ.get("GOFLAGS", "").split() if not flag.startswith("-mod=")]
    env = {
        **os.environ,
        "CGO_ENABLED": "0",  # no C compiler needed, and the same program everywhere
        "GOFLAGS": " ".join([*flags, "-mod=readonly", "-buildvcs=false"]),
        "GOWORK": "off",
    }
    if nice := shutil.which("nice"):
        command = [nice, "-n", "10", *command]
    done = subprocess.run(command, cwd=directory, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        told = "\n".join((done.stderr or done.stdout).strip().splitlines()[-15:])
        raise BuildFailed(
            f"{tool.name} could not be built (`{' '.join(command[-4:])}` in {directory} ended with "
            f"{done.returncode}):\n"
            f"{told}\n"
            f"Check the network to the Go module proxy ({env.get('GOPROXY') or 'go env GOPROXY'}) and the disk space "
            f"below {cache()} and `go env GOCACHE`, then run the build again: it goes on where it stopped."
        )
    return done.stdout


def _go_problem() -> str:
    """Why nothing can be built here; empty when something can."""
    wanted = ".".join(map(str, GO_NEEDED))
    go = shutil.which("go")
    if not go:
        return f"there is no `go` on the PATH: install Go {wanted} or newer (https://go.dev/dl)"
    said = subprocess.run([go, "env", "GOVERSION"], cwd=HERE, capture_output=True, text=True, check=False)
    found = re.match(r"go(\d+)\.(\d+)", said.stdout.strip())
    if not found:
        return f"`go env GOVERSION` says nothing useful ({(said.stdout + said.stderr).strip()[:200]}): reinstall Go"
    if (int(found[1]), int(found[2])) < GO_NEEDED:
        return f"{said.stdout.strip()} is too old: install Go {wanted} or newer (https://go.dev/dl)"
    return ""


@contextmanager
def _locked() -> Iterator[None]:
    """One build at a time on this machine; whoever waits then finds the tools built."""
    bin_dir().mkdir(parents=True, exist_ok=True)
    with (cache() / "build.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("another build is running: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _forget_old_bins(keep: int = 2) -> None:
    """Remove the tools of older pins, except the newest few: another checkout may be using those."""
    bins = sorted(cache().glob("bin-*"), key=lambda folder: folder.stat().st_mtime, reverse=True)
    for folder in bins[keep:]:
        if folder != bin_dir():
            shutil.rmtree(folder, ignore_errors=True)


def _say(text: str) -> None:
    print(f"tools: {text}", flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """The command: 0 when all that was asked for is built, 1 when something failed, 2 when Go is missing."""
    parser = argparse.ArgumentParser(prog="python -m tests.upstream.controlplane.build", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--only", nargs="+", metavar="NAME", default=[], help=f"build only these: {', '.join(TOOLS)}")
    parser.add_argument("--list", action="store_true", help="say which tools are built, build nothing")
    parser.add_argument("--where", action="store_true", help="print the folder of the built tools, build nothing")
    arguments = parser.parse_args(argv)
    if arguments.where:
        print(bin_dir())
        return 0
    if arguments.list:
        for name in TOOLS:
            print(f"{name:26}{bin_dir() / name if available(name) else 'not built'}")
        return 0
    try:
        built = build(arguments.only)
    except BuildFailed as failure:
        print(f"tools: {failure}", file=sys.stderr)
        return 2 if _go_problem() else 1
    _say(f"{len(built)} built, all there in {bin_dir()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
