"""The log is as the flags say: one JSON object a line, or a line for people."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from shared.api.meta import ObjectMeta
from shared.api.source import GitRepository, GitRepositorySpec
from shared.loop import logs


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        ("trace", ["trace", "debug", "info", "error"]),
        ("debug", ["debug", "info", "error"]),
        ("info", ["info", "error"]),
        ("error", ["error"]),
    ],
)
def test_lines_below_the_level_are_left_out(level: str, shown: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(level, "json")
    for number in logs.LEVELS.values():
        logging.getLogger("fluvial.test").log(number, "said")
    assert [json.loads(line)["level"] for line in capsys.readouterr().err.splitlines()] == shown


@pytest.mark.parametrize(("encoding", "shown"), [("json", r"no \udce9.yaml"), ("console", r"no \xe9.yaml")])
def test_a_file_name_in_another_encoding_is_logged(
    encoding: str, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure("info", encoding)
    logging.getLogger("fluvial.test").info("no \udce9.yaml", extra={"given": {"file": "\udce9"}})
    (line,) = capsys.readouterr().err.splitlines()
    assert shown in line
    assert r'"file":"\udce9"' in line.replace(": ", ":")


def test_a_line_says_which_object_it_is_about(capsys: pytest.CaptureFixture[str]) -> None:
    metadata = ObjectMeta(name="app", namespace="team")
    source = GitRepository(metadata=metadata, spec=GitRepositorySpec(url="https://example.org/app", interval="1m"))
    log = logs.ObjectLog(logging.getLogger("fluvial.test"), "source-controller", source)
    logs.configure("info", "json")
    log.info("stored")
    line = json.loads(capsys.readouterr().err)
    assert (line["controllerKind"], line["namespace"], line["name"], line["msg"]) == (
        "GitRepository",
        "team",
        "app",
        "stored",
    )
    logs.configure("info", "console")
    log.info("stored")
    assert capsys.readouterr().err.rstrip().endswith("INFO  GitRepository/team/app: stored")
