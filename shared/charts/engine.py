"""Helm's engine: a request in, an answer out, each in a process that ends with it.

chart as files, values, release → manifests as `helm template` prints them
repository, name, version → chart as files
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from shared.charts.errors import ChartError
from shared.charts.manifests import Manifests
from shared.processes import Missing, Processes, TimedOut, TooLarge
from shared.text import semver

SECONDS = 30.0
"""For one chart."""
MEMORY = 512 << 20
"""Bytes that one chart may take while it is rendered or pulled."""
_NO_MEMORY = ("out of memory", "memoryerror", "cannot allocate", "pthread_create failed")
"""What Go and Python print, in small letters, when there is none left; a thread can't be made where its stack can't."""
OUTPUT = 64 << 20
"""Bytes of all that a chart renders."""
_LONGEST = 2000
"""Characters of what the engine says is wrong; it names each of a thousand calls of a template by itself."""
_WORKER = Path(__file__).with_name("worker.py")
_PASSED_ON = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")
"""What a pull takes from the environment; rendering takes nothing."""

Files = Mapping[str, bytes]
"""A chart: the content of its files by their path in its folder."""


class Release(NamedTuple):
    """What a chart is rendered for."""

    name: str = ""
    """`release-name` when it is empty, as `helm template` has it."""
    name_template: str = ""
    """A template that makes the name, in place of it."""
    namespace: str = ""
    """`default` when it is empty."""
    kube_version: str = ""
    """The Kubernetes that templates see; Helm's newest when it is empty."""
    api_versions: Sequence[str] = ()
    """The APIs that templates see besides Kubernetes' own, such as `monitoring.coreos.com/v1`."""


class Engine:
    """Renders and pulls charts. May be used from any thread; blocks."""

    def __init__(self, *, seconds: float = SECONDS, memory: int = MEMORY) -> None:
        self._seconds, self._memory = seconds, memory
        self._processes = Processes()

    def render(self, chart: Files, values: Mapping[str, Any], release: Release) -> Manifests:
        """Render a chart without a cluster: lookups find nothing. ChartError.

        `values` are laid over those of the chart; they must be JSON.
        """
        with tempfile.TemporaryDirectory(prefix="chart-") as work:
            folder = Path(work, "chart")
            _write(chart, folder)
            asked = {
                "do": "render",
                "chart": str(folder),
                "values": values,
                **release._asdict(),
            }
            made = self._ask(asked, Path(work), "rendering")
        return Manifests.of(made["files"], made["crds"])

    def pull(self, repo: str, name: str, version: str = "", *, devel: bool = False) -> Files:
        """Pull a chart from an http(s):// or oci:// repository, without credentials. ChartError.

        `version` may be a range; the newest without one, and with `devel` also one that is not released yet.
        """
        is_registry = repo.startswith("oci://")
        with tempfile.TemporaryDirectory(prefix="chart-") as work:
            into = Path(work, "pulled")
            into.mkdir()
            asked = {
                "do": "pull",
                "chart": f"{repo.rstrip('/')}/{name}" if is_registry else name,
                "repo": "" if is_registry else repo,
                "version": version or (">0.0.0-0" if devel else ""),
                "into": str(into),
            }
            self._ask(asked, Path(work), "pulling")
            return _read(into / name)

    def stop(self) -> None:
        """End all that runs, at once, and start nothing more."""
        self._processes.stop()

    def _ask(self, asked: Mapping[str, Any], work: Path, doing: str) -> Any:
        environment = _environment(work, may_connect=asked["do"] == "pull")
        # Go collects garbage harder from here on, before the system says no.
        environment["GOMEMLIMIT"] = str(self._memory // 2)
        try:
            ended = self._processes.run(
                [sys.executable, "-I", str(_WORKER)],
                env=environment,
                cwd=work,
                stdin=orjson.dumps({**asked, "work": str(work), "memory": self._memory}),
                seconds=self._seconds,
                output=OUTPUT,
            )
        except TimedOut as error:
            raise ChartError(f"{doing} takes longer than {self._seconds:g} seconds") from error
        except TooLarge as error:
            raise ChartError(f"it renders more than {OUTPUT} bytes") from error
        except Missing as error:
            raise ChartError(f"Python can't be started: {error}") from error
        except TypeError as error:
            raise ChartError(f"the values are no JSON: {error}") from error
        if ended.status != 0:
            raise ChartError(self._explained(ended.stderr, doing))
        made = orjson.loads(ended.stdout)
        _require_kubernetes(made.get("requires", ""), made.get("kubernetes", ""))
        if "error" in made:
            raise ChartError(made["error"][:_LONGEST])
        return made

    def _explained(self, printed: str, doing: str) -> str:
        """Why the process died."""
        if any(sign in printed.lower() for sign in _NO_MEMORY):
            return f"{doing} takes more than {self._memory >> 20} MiB of memory"
        last = printed.strip().splitlines()[-1:] or ["it printed nothing"]
        return f"Helm's engine failed while {doing}: {last[0][:300]}"


def _environment(work: Path, *, may_connect: bool) -> dict[str, str]:
    """What the process sees of this one's environment."""
    found = {"HOME": str(work), "TMPDIR": str(work), "KUBECONFIG": os.devnull}
    found |= {f"HELM_{name}_HOME": str(work) for name in ("CONFIG", "CACHE", "DATA")}
    if not may_connect:
        return found | dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY"), "http://0.0.0.0:9")  # where nothing listens
    names = (*_PASSED_ON, *(name.lower() for name in _PASSED_ON))
    return found | {name: os.environ[name] for name in names if name in os.environ}


def _require_kubernetes(required: str, version: str) -> None:
    """ChartError when a chart isn't for this Kubernetes."""
    if not required:
        return
    try:
        fits = semver.parse(version) in semver.parse_range(required)
    except semver.VersionError:
        fits = False
    if not fits:
        raise ChartError(f"the chart requires kubeVersion: {required}, which is incompatible with {version}")


def _write(files: Files, folder: Path) -> None:
    for name, content in files.items():
        file = folder.joinpath(*name.split("/"))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


def _read(folder: Path) -> Files:
    """The files of a folder; empty when it isn't there."""
    found = (file for file in sorted(folder.rglob("*")) if file.is_file() and not file.is_symlink())
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in found}
