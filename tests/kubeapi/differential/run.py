"""Sends sequences to two servers, compares what they answer, and shortens what differs."""

from __future__ import annotations

import itertools
import json
import re
import threading
from collections import defaultdict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from tests.kubeapi.differential.comparison import compare
from tests.kubeapi.differential.generate import Changed
from tests.kubeapi.differential.steps import Step, Subject

GOAL = 0.99
"""The part of the answers that must be the same."""


@dataclass
class Difference:
    """One kind of difference: how often it was met, and the shortest sequence that shows it, with what differs."""

    count: int = 0
    number: int = 0
    steps: list[Step] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)


class Run:
    """Everything that was sent, and what became of it."""

    def __init__(self, real: Subject, embedded: Subject) -> None:
        self.real, self.embedded = real, embedded
        self.answers = self.same = self.sequences = self.same_sequences = 0
        self.found: dict[str, Difference] = defaultdict(Difference)
        self._namespaces = itertools.count()
        self._lock = threading.Lock()

    @property
    def part(self) -> float:
        """The part of the answers that are the same."""
        return self.same / max(1, self.answers)

    def all(self, sequences: Mapping[int, list[Step]], workers: int) -> None:
        """Send them all, some at a time, then shorten one of each kind of difference."""
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(self._one, sequences.items()))
        for kind, difference in self.found.items():
            self._shorten(kind, difference)

    def _one(self, item: tuple[int, list[Step]]) -> None:
        number, steps = item
        differing = self._compare(steps)
        with self._lock:
            self.sequences += 1
            self.same_sequences += not differing
            self.answers += len(steps)
            self.same += len(steps) - len(differing)
            for index, lines in differing.items():
                difference = self.found[kind_of(steps[index], lines)]
                difference.count += 1
                if not difference.steps or index + 1 < len(difference.steps):
                    difference.number, difference.steps, difference.lines = number, steps[: index + 1], lines

    def _compare(self, steps: list[Step]) -> dict[int, list[str]]:
        """By position, how the answers differ; what only follows from a step that differed is not counted again."""
        namespace = f"run-{next(self._namespaces)}"
        real, embedded = self.real.fresh(), self.embedded.fresh()
        for subject in (real, embedded):
            subject.prepare(namespace)
        found: dict[int, list[str]] = {}
        for index, step in enumerate(steps):
            lines = compare(real.run(step, namespace), embedded.run(step, namespace), step.loose)
            if lines:
                found[index] = lines
        return found

    def _shorten(self, kind: str, difference: Difference) -> None:
        """Leave out each request without which the last one still differs in the same way."""
        steps = difference.steps
        for index in range(len(steps) - 2, -1, -1):
            shorter = steps[:index] + steps[index + 1 :]
            lines = self._compare(shorter).get(len(shorter) - 1)
            if lines and kind_of(shorter[-1], lines) == kind:
                steps, difference.lines = shorter, lines
        difference.steps = steps

    def report(self, shown: int, *, verbose: bool = False) -> str:
        """What is printed at the end."""
        out = []
        for kind, one in sorted(self.found.items(), key=lambda item: -item[1].count)[:shown]:
            out.append(f"\n{one.count} x {kind} (shortest in sequence {one.number})")
            out += [f"  {told(step)}" for step in one.steps]
            out += [f"    {line}" for line in (one.lines if verbose else one.lines[:6])]
        if len(self.found) > shown:
            out.append(f"\n... and {len(self.found) - shown} further kinds of difference")
        out.append(
            f"\n{self.same} of {self.answers} answers are the same ({100 * self.part:.2f} %); "
            f"in {self.same_sequences} of {self.sequences} sequences all of them; {len(self.found)} kinds of difference"
        )
        return "\n".join(out)


def kind_of(step: Step, lines: list[str]) -> str:
    """What two differences have in common that are of one kind: request, kind of object, place, and what is said."""
    where = re.sub(r"\[\d+\]", "[]", lines[0].partition(":\n")[0])
    said = lines[0]
    if where == "code":
        where = " and ".join(re.findall(r"(?:real|embedded) +(\S+)", said))
        said = next((line for line in lines if ".message" in line), "")
    asked = step.verb + (f"/{step.subresource}" if step.subresource else "")
    return f"{asked} {step.manifest['kind']}: {where}: {_blurred(said)[:160]}"


def _blurred(text: str) -> str:
    return " ".join(re.sub(r"\d+", "N", text.partition("real")[2]).split())


def told(step: Step) -> str:
    """A step in a line."""
    body = step.body
    if isinstance(body, Changed):
        body = [[list(path), value] for path, value in body.values]
    elif body is None and step.verb in ("create", "apply", "update"):
        body = step.manifest
    out = f"{step.verb} {step.manifest['kind']} {step.manifest['metadata'].get('name')}"
    out += f"/{step.subresource}" if step.subresource else ""
    out += f" {step.query}" if step.query else ""
    out += f" as {step.user}" if step.user else ""
    out += f" ({step.accept})" if step.accept else ""
    return out + ("" if body is None else f" {json.dumps(body)}")
