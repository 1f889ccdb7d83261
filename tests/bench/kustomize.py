"""Builds beside the reference binary, in one run: `python -m tests.bench.kustomize [a b c d] [--repeat N]`.

    a  a typical overlay: 10 objects, 3 patches, 2 generators, an image        whole process, and in process
    b  1,000 objects that refer to each other: namespace, prefix, labels with selectors, images, name references
    c  4,000 of the same
    d  50 overlays over one base, in one process here, one process each there

Times are seconds of CPU (the median of the repeats), memory is the peak of the process in MiB. The binary is
$KUSTOMIZE, or the one that `make tools` built. Its time for c grows with the square: it is measured once. The last
lines say which of the targets are met; the status is 1 when one is missed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from shared import kustomize as engine

HERE = Path(__file__).resolve().parents[2]

SERVICE_ACCOUNT = "apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: app-{n}\n"
CONFIG_MAP = (
    "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: app-{n}\ndata:\n  key: value-{n}\n  mode: production\n"
)
SERVICE = """\
apiVersion: v1
kind: Service
metadata:
  name: app-{n}
spec:
  selector:
    app: app-{n}
  ports:
  - name: http
    port: 80
    targetPort: 8080
"""
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: app-{n}
spec:
  replicas: 2
  selector:
    matchLabels:
      app: app-{n}
  template:
    metadata:
      labels:
        app: app-{n}
    spec:
      serviceAccountName: app-{n}
      containers:
      - name: app
        image: registry.example.com/app:1.0.0
        env:
        - name: KEY
          valueFrom:
            configMapKeyRef:
              name: app-{n}
              key: key
        envFrom:
        - configMapRef:
            name: app-{n}
        ports:
        - name: http
          containerPort: 8080
        resources:
          requests:
            cpu: 100m
            memory: 128Mi
      volumes:
      - name: config
        configMap:
          name: app-{n}
"""


def write(root: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def typical(root: Path) -> Path:
    kinds = (SERVICE_ACCOUNT, CONFIG_MAP, SERVICE, DEPLOYMENT)
    objects = {f"base/{n}-{i}.yaml": kinds[i].format(n=n) for n in range(3) for i in range(4) if (n, i) < (2, 2)}
    patch = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: app-0\nspec:\n  template:\n    spec:\n      {}\n"
    overlay = """\
resources: [../base]
namespace: shop
namePrefix: prod-
labels:
- pairs: {team: web}
  includeSelectors: true
images:
- name: registry.example.com/app
  newTag: 2.0.0
configMapGenerator:
- name: settings
  literals: [a=1, b=2]
secretGenerator:
- name: token
  literals: [token=secret]
patches:
- path: memory.yaml
- path: env.yaml
- target: {kind: Service}
  patch: |
    - op: add
      path: /spec/type
      value: NodePort
"""
    memory = "containers: [{name: app, resources: {limits: {memory: 1Gi}}}]"
    env = "containers: [{name: app, envFrom: [{secretRef: {name: token}}, {configMapRef: {name: settings}}]}]"
    write(root, objects)
    write(
        root,
        {
            "base/kustomization.yaml": "resources:\n" + "".join(f"- {Path(name).name}\n" for name in objects),
            "overlay/kustomization.yaml": overlay,
            "overlay/memory.yaml": patch.format(memory),
            "overlay/env.yaml": patch.format(env),
        },
    )
    return root / "overlay"


def large(root: Path, count: int) -> Path:
    kinds = (SERVICE_ACCOUNT, CONFIG_MAP, SERVICE, DEPLOYMENT)
    objects = [kind.format(n=n) for n in range(count // 4) for kind in kinds]
    kustomization = """\
resources: [objects.yaml]
namespace: shop
namePrefix: prod-
labels:
- pairs: {team: web}
  includeSelectors: true
images:
- name: registry.example.com/app
  newTag: 2.0.0
"""
    write(root, {"objects.yaml": "---\n".join(objects), "kustomization.yaml": kustomization})
    return root


def many(root: Path) -> list[Path]:
    typical(root)
    overlays = []
    for number in range(50):
        path = root / f"overlay-{number}"
        write(root, {f"overlay-{number}/kustomization.yaml": f"resources: [../base]\nnameSuffix: -v{number}\n"})
        overlays.append(path)
    return overlays


def process(command: list[str]) -> tuple[float, float]:
    """(CPU seconds, peak MiB) of a process that must succeed."""
    pid = os.posix_spawnp(
        command[0],
        command,
        _environment(),
        file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)],
    )
    _, status, usage = os.wait4(pid, 0)
    if status:
        raise SystemExit(f"{command[0]} failed")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def _environment() -> dict[str, str]:
    """The variables of a measured process: Python's own say nothing but where the package is, so bytecode is kept."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return {**kept, "PYTHONPATH": str(HERE)}


def median(run: Callable[[], tuple[float, float]], repeat: int) -> tuple[float, float]:
    """The median CPU and the largest peak."""
    runs = [run() for _ in range(repeat)]
    return statistics.median(cpu for cpu, _ in runs), max(memory for _, memory in runs)


def ours(path: Path) -> tuple[float, float]:
    return process([sys.executable, "-m", "fluvial.build", str(path)])


def in_process(paths: list[Path]) -> tuple[float, float]:
    start = time.process_time()
    for path in paths:
        engine.build(path.parent, path.name).yaml()
    return time.process_time() - start, 0.0


def binary() -> str:
    found = os.environ.get("KUSTOMIZE") or next(
        (str(p) for p in sorted(Path("~/.cache/fluvial").expanduser().glob("bin*/kustomize"))), ""
    )
    if not found:
        raise SystemExit("no kustomize binary: run `make tools`, or name one in $KUSTOMIZE")
    return found


Figures = tuple[float, float]
"""Seconds of CPU, peak MiB."""


class Table:
    """Prints what was measured, a line each, and remembers whether the targets were met."""

    def __init__(self) -> None:
        self.missed = False
        print(f"{'':32} {'fluvial':>11} {'peak':>11}   {'kustomize':>11} {'peak':>11}   {'times less':>10}   target")

    def line(self, name: str, here: Figures, there: Figures, least: float) -> None:
        ratio = there[0] / here[0]
        print(
            f"{name:32} {here[0]:9.3f} s {here[1]:7.0f} MiB   {there[0]:9.3f} s {there[1]:7.0f} MiB   {ratio:10.2f}"
            f"   {least:.2f} or more: {self._verdict(ratio >= least)}",
            flush=True,
        )

    def check(self, sentence: str, *, met: bool) -> None:
        print(f"{sentence}: {self._verdict(met)}", flush=True)

    def _verdict(self, met: bool) -> str:
        self.missed = self.missed or not met
        return "met" if met else "MISSED"


def pair(here: Callable[[], Figures], there: Callable[[], Figures], repeat: int) -> tuple[Figures, Figures]:
    """Both measured in turns, so that what else the machine does slows both."""
    runs = [(here(), there()) for _ in range(repeat)]
    return tuple(  # type: ignore[return-value]
        (statistics.median(run[side][0] for run in runs), max(run[side][1] for run in runs)) for side in (0, 1)
    )


def main() -> int:
    """Measure the cases that are asked for. 1 when a target is missed."""
    made = argparse.ArgumentParser(description="Builds beside the reference binary.")
    made.add_argument("cases", nargs="*", default=["a", "b", "c", "d"])
    made.add_argument("--repeat", type=int, default=5)
    options = made.parse_args()
    reference, cases = binary(), options.cases

    def theirs(path: Path) -> Figures:
        return process([reference, "build", str(path)])

    table = Table()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        if "a" in cases:
            path = typical(root / "a")
            ours(path)  # writes bytecode, as an installation does
            here, there = pair(partial(ours, path), partial(theirs, path), 2 * options.repeat)
            table.line("a  overlay, whole process", here, there, 1 / 1.5)
            in_process([path])  # the first build loads the tables
            here, there = pair(partial(in_process, [path]), partial(theirs, path), options.repeat)
            table.line("a  overlay, in process", here, there, 1)
        if "b" in cases:
            path = large(root / "b", 1000)
            here, there = pair(partial(ours, path), partial(theirs, path), options.repeat)
            table.line("b  1,000 objects", here, there, 3)
        if "c" in cases:
            path = large(root / "c", 4000)
            middle, here = pair(partial(ours, large(root / "b", 1000)), partial(ours, path), options.repeat)
            there = theirs(path)
            table.line("c  4,000 objects", here, there, 40)
            growth = here[0] / middle[0]
            table.check(f"c takes {growth:.2f} times as long as b (at most 4.5)", met=growth <= 4.5)
            table.check("the memory of c is below the binary's", met=here[1] < there[1])
        if "d" in cases:
            paths = many(root / "d")
            runs = [theirs(path) for path in paths]
            there = (sum(cpu for cpu, _ in runs), max(memory for _, memory in runs))
            table.line("d  50 overlays over one base", median(partial(in_process, paths), options.repeat), there, 2)
    return int(table.missed)


if __name__ == "__main__":
    sys.exit(main())
