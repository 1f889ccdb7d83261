"""The builder of the real programs: it builds once, says what is missing and how to get it, and fails clearly."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.upstream.controlplane import build


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache and an empty PATH."""
    monkeypatch.setenv("FLUVIAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "bin").mkdir()
    return tmp_path


def program(directory: Path, name: str, script: str) -> None:
    (directory / name).write_text(f"#!/bin/sh\n{script}\n")
    (directory / name).chmod(0o755)


def test_without_go_nothing_is_available_and_the_reason_says_so(elsewhere: Path) -> None:
    state = build.available("kubectl")
    assert not state
    assert "kubectl" in state.reason
    assert "install Go 1.26 or newer" in state.reason
    with pytest.raises(build.BuildFailed, match="install Go"):
        build.path("kubectl")
    assert build.main(["--only", "kubectl"]) == 2


def test_what_was_built_is_used_without_go(elsewhere: Path) -> None:
    build.bin_dir().mkdir(parents=True)
    (build.bin_dir() / "kubectl").touch()
    assert build.available("kubectl")
    assert build.path("kubectl") == build.bin_dir() / "kubectl"
    assert build.build(["kubectl"]) == []


def test_an_old_go_is_refused_with_its_version(elsewhere: Path) -> None:
    program(elsewhere / "bin", "go", "echo go1.24.1")
    assert "go1.24.1 is too old" in build.available("age").reason


def test_a_build_that_fails_shows_the_end_of_what_go_said_and_leaves_nothing_behind(elsewhere: Path) -> None:
    program(
        elsewhere / "bin", "go", 'case "$1" in env) echo go1.26.0;; *) echo "no route to the proxy" >&2; exit 3;; esac'
    )
    with pytest.raises(build.BuildFailed, match=r"age could not be built.*ended with 3(?s:.*)no route to the proxy"):
        build.build(["age"])
    assert not build.available("age")
    assert list(build.bin_dir().iterdir()) == []


def test_an_unknown_tool_is_named(elsewhere: Path) -> None:
    with pytest.raises(build.BuildFailed, match="no such tool: kubctl"):
        build.build(["kubctl"])


def test_a_changed_pin_asks_for_a_new_build(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = build.bin_dir()
    pins = elsewhere / "pins"
    for file in build.HERE.glob("*/go.*"):
        (pins / file.parent.name).mkdir(parents=True, exist_ok=True)
        (pins / file.parent.name / file.name).write_bytes(file.read_bytes())
    monkeypatch.setattr(build, "HERE", pins)
    assert build.bin_dir() == before
    (pins / "age" / "go.sum").write_text("changed")
    assert build.bin_dir() != before
