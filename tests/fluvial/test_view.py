"""What people see: lines in a log, a table that lives on a terminal, and no character that could act."""

from __future__ import annotations

import asyncio
import io
from typing import Any, cast

import pytest
from rich.console import Console

from fluvial import view as module
from fluvial.board import ROWS, Board
from fluvial.view import View
from fluvial.watching import Watched, waits
from shared.api.meta import Manifest


def make(*, terminal: bool = False) -> tuple[View, io.StringIO]:
    file = io.StringIO()
    console = Console(file=file, width=100, force_terminal=terminal, color_system=None, soft_wrap=True, _environ={})
    return View(console), file


def resource(name: str, status: str, reason: str, message: str, namespace: str = "flux-system") -> Manifest:
    condition = {"type": "Ready", "status": status, "reason": reason, "message": message}
    return {"metadata": {"name": name, "namespace": namespace}, "status": {"conditions": [condition]}}


class Known:
    """What a watch knows, given by hand."""

    def __init__(self, *manifests: Manifest) -> None:
        self._manifests = list(manifests)

    def values(self) -> list[Manifest]:
        return self._manifests


def drawn(*manifests: Manifest) -> list[str]:
    view, file = make()
    view.console.print(Board({"Kustomization": cast(Watched, Known(*manifests))}))
    return [line.rstrip() for line in file.getvalue().splitlines()]


def test_a_log_has_plain_lines():
    view, file = make()
    view.title("1. The first commit")
    view.done("applied in 12 ms")
    view.failed("not [bold]so")
    view.quote("a.yaml:3: odd\nsecond")
    assert file.getvalue() == (
        "\n1. The first commit\n  ✔ applied in 12 ms\n  ✘ not [bold]so\n      a.yaml:3: odd\n      second\n"
    )


def test_what_others_say_can_not_act_on_the_terminal():
    view, file = make(terminal=True)
    view.quote("fatal: \x1b]0;owned\x07 \x1b[2J\u202egone")
    assert file.getvalue() == "      fatal: �]0;owned� �[2J�gone\n"


async def test_in_a_log_something_long_is_mentioned_and_something_short_is_not(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "NOTABLE", 0.02)
    view, file = make()
    with view.doing("starting") as progress:
        progress.say("waiting for the API")
        async with asyncio.timeout(10):
            while not file.getvalue():
                await asyncio.sleep(0.01)
        progress.say("almost there")
    await asyncio.sleep(0.05)
    assert file.getvalue() == "  … waiting for the API\n"


def test_on_a_terminal_what_goes_on_is_shown_with_the_table_and_gone_afterwards():
    view, file = make(terminal=True)
    with view.doing("waiting for shop", Board({"Kustomization": cast(Watched, Known())})):
        pass
    told = file.getvalue()
    assert "waiting for shop" in told
    assert told.endswith("\x1b[2K"), "the last line is erased"


def test_times_are_in_units_that_people_read(monkeypatch: pytest.MonkeyPatch):
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    progress = module.Progress("x")
    now[0] = 100.0418
    assert progress.took == "42 ms"
    now[0] = 161.0
    assert progress.took == "61 s"


def test_the_table_shows_first_what_is_not_ready():
    assert drawn(
        resource("apps", "True", "ReconciliationSucceeded", "Applied revision: main@sha1:1"),
        resource("shop", "False", "BuildFailed", "a.yaml:3: odd\nmore"),
        resource("web", "False", "DependencyNotReady", "dependency 'flux-system/apps' is not ready", "team"),
        {"metadata": {"name": "new", "namespace": "flux-system"}},
    ) == [
        "  ✘  Kustomization  shop      a.yaml:3: odd",
        "  …  Kustomization  team/web  dependency 'flux-system/apps' is not ready",
        "  …  Kustomization  new       not looked at yet",
        "  ✔  Kustomization  apps      Applied revision: main@sha1:1",
    ]


def test_a_large_cluster_gets_a_small_table():
    many = [resource(f"app-{number}", "True", "ReconciliationSucceeded", "Applied") for number in range(ROWS + 5)]
    assert drawn(*many)[-1].strip() == "and 5 more, all ready"
    assert len(drawn(*many)) == ROWS + 1
    failed: list[Any] = [resource(f"bad-{number}", "False", "BuildFailed", "odd") for number in range(ROWS + 2)]
    assert drawn(*many, *failed)[-1].strip() == f"and {ROWS + 7} more, 2 not ready"


@pytest.mark.parametrize(
    ("status", "reason", "message", "expected"),
    [
        ("Unknown", "Progressing", "Reconciliation in progress", True),
        ("False", "DependencyNotReady", "dependency 'a/b' is not ready", True),
        ("False", "ArtifactFailed", "Source artifact not found, retrying in 1m0s", True),
        ("False", "ArtifactFailed", "kustomization path not found: stat x: no such file or directory", False),
        ("False", "BuildFailed", "a.yaml:3: odd", False),
        ("True", "ReconciliationSucceeded", "Applied", False),
    ],
)
def test_waiting_is_told_from_failing(status: str, reason: str, message: str, expected: bool):
    assert waits(resource("app", status, reason, message)) is expected
