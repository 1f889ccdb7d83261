"""Run the conformance suite against the controllers of this tree.

    python -m tests.kit.conformance [--api embedded|real|KUBECONFIG] [CASES ...] [-- PYTEST OPTIONS]

The suite lies beside the repository, in $FLUVIAL_SHARED/conformance (default ../shared/conformance); CASES are paths in
it (default: all of it). An API server and the controllers are started for the run and stopped after it; what they
logged is kept, and named, when something fails. Exit status: pytest's; 2 when the suite isn't there; 3 when something
could not start or ended by itself.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.kit.installation import ROOT, Installation
from tests.kit.processes import ProcessFailed
from tests.upstream.controlplane import build


def shared() -> Path:
    """The folder with the yardsticks that lie beside the repository; it may not be there."""
    return Path(os.environ.get("FLUVIAL_SHARED") or ROOT.parent / "shared").resolve()


def chosen(cases: Sequence[str], suite: Path) -> list[str]:
    """The pytest arguments for these cases: paths in the suite, commas or spaces between, maybe with `::test`."""
    names = [name for part in cases for name in part.replace(",", " ").split()] or ["cases"]
    for name in names:
        file = name.partition("::")[0]
        if not (suite / file).exists():
            areas = ", ".join(f"cases/{entry.name}" for entry in sorted((suite / "cases").iterdir()))
            raise FileNotFoundError(f"{suite / file} is not there; there are {areas}")
    return names


def environment(installation: Installation) -> dict[str, str]:
    """What the suite reads from its environment."""
    env = build.environment()
    env["KUBECONFIG"] = str(installation.kubeconfig)
    env["PYTHONDONTWRITEBYTECODE"] = "1"  # the suite's folder may be read-only
    if installation.addresses.events:
        env["CONFORMANCE_EVENTS_URL"] = f"http://{installation.addresses.events}"
        env["CONFORMANCE_RECEIVER_URL"] = f"http://{installation.addresses.receiver}"
    if build.available("helm"):
        env.setdefault("CONFORMANCE_HELM", str(build.path("helm")))
    return env


def run(suite: Path, installation: Installation, cases: Sequence[str], options: Sequence[str], workers: int) -> int:
    """Run the suite's pytest, its output going where ours goes; its exit status."""
    command = [sys.executable, "-m", "pytest", "-q", "-c", str(suite / "pytest.ini"), "--rootdir", str(suite)]
    command += ["-p", "no:cacheprovider", "--timeout", "600", f"--junitxml={installation.directory / 'junit.xml'}"]
    command += ["-n", str(workers)] if workers > 1 else []
    return subprocess.run(
        [*command, *options, *cases], cwd=suite, env=environment(installation), check=False
    ).returncode


def summary(junit: Path) -> str:
    """How many cases of each area ended how."""
    areas: dict[str, Counter[str]] = {}
    for case in ET.parse(junit).iter("testcase") if junit.exists() else ():
        parts = case.get("classname", "").split(".")
        area = parts[1] if len(parts) > 2 and parts[0] == "cases" else parts[-1]
        outcome = next((kind for kind in ("failure", "error", "skipped") if case.find(kind) is not None), "passed")
        areas.setdefault(area, Counter())[outcome] += 1
    words = {"passed": "passed", "failure": "failed", "error": "errors", "skipped": "skipped"}
    return "; ".join(
        f"{area}: " + ", ".join(f"{count[kind]} {word}" for kind, word in words.items() if count[kind])
        for area, count in sorted(areas.items())
    )


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    ours, options = arguments, []
    if "--" in arguments:
        cut = arguments.index("--")
        ours, options = arguments[:cut], arguments[cut + 1 :]
    parser = argparse.ArgumentParser(prog="python -m tests.kit.conformance", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("cases", nargs="*", metavar="CASES")
    parser.add_argument("--api", default="embedded", help="embedded, real, or the path of a kubeconfig")
    parser.add_argument("--workers", type=int, default=4, help="how many cases run at once (default 4)")
    parser.add_argument("--no-controllers", action="store_true", help="they run already against the given kubeconfig")
    parser.add_argument("--stay", action="store_true", help="start everything, run no case, stay until Ctrl-C")
    parsed = parser.parse_args(ours)

    suite = shared() / "conformance"
    if not suite.is_dir() and not parsed.stay:
        print(f"conformance: the suite isn't there: {suite}. Put it there or set FLUVIAL_SHARED.", file=sys.stderr)
        return 2
    gates = os.environ.get("CONFORMANCE_FEATURE_GATES", "")
    flags = {"kustomize-controller": [f"--feature-gates={','.join(f'{gate}=true' for gate in gates.split(','))}"]}
    directory = ROOT / "build" / "conformance" / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    problems: list[str] = []
    try:
        cases = [] if parsed.stay else chosen(parsed.cases, suite)
        _say(f"starting the {parsed.api} API and the controllers")
        installation = Installation.start(
            parsed.api, directory, flags=flags if gates else {}, controllers=not parsed.no_controllers
        )
    except FileNotFoundError as failure:
        print(f"conformance: {failure}", file=sys.stderr)
        return 2
    except (ProcessFailed, build.BuildFailed) as failure:
        print(f"conformance: {failure}", file=sys.stderr)
        return 3
    try:
        _say(f"running: {', '.join(installation.pids) or 'nothing of ours'}; logs in {installation.logs}")
        if parsed.stay:
            status = _stay(installation)
        else:
            status = run(suite, installation, cases, options, parsed.workers)
        installation.require_running()
    except KeyboardInterrupt:
        status = 130
    except ProcessFailed as failure:
        problems.append(str(failure))
        status = 3
    finally:
        problems += installation.stop()
    for problem in problems:
        _say(problem)
    tracebacks = installation.tracebacks()
    for name, count in tracebacks.items():
        _say(f"{name} logged {count} traceback{'s' if count > 1 else ''}: {installation.controllers.log(name)}")
    if not parsed.stay:
        _say(f"{installation.kind} API: {summary(directory / 'junit.xml') or 'no case ran'}")
    if status or problems or tracebacks:
        _say(f"logs of the API server and the controllers: {installation.logs}")
    else:
        shutil.rmtree(directory, ignore_errors=True)
    return status


def _stay(installation: Installation) -> int:
    _say(f"export KUBECONFIG={installation.kubeconfig} PATH={build.bin_dir()}:$PATH   (Ctrl-C stops everything)")
    while True:
        installation.require_running()
        time.sleep(1)


def _say(text: str) -> None:
    print(f"conformance: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
