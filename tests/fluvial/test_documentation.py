"""What the README and the guide promise is there: pages, commands, options, and the example as it is played."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from fluvial import __main__ as fluvial
from fluvial import build, demo, diff, up
from shared.text import yaml
from tests.fluvial.running import ROOT

PAGES = (ROOT / "README.md", ROOT / "docs" / "getting-started.md")
PARSERS: dict[str, Any] = {"demo": demo.parser, "up": up.parser, "diff": diff.parser, "build": build.parser}


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)


def commands() -> list[list[str]]:
    """Every `fluvial …` in a block of commands, as its words."""
    texts = [fluvial.HELP.format(commands=""), up.parser().format_help(), diff.parser().format_help()]
    texts += [block for page in PAGES for block in blocks(page, "")]
    lines = [
        line for text in texts for line in re.findall(r"^\s*(fluvial (?:demo|up|diff|build)\b.*)$", text, re.MULTILINE)
    ]
    found = [shlex.split(re.split(r" \| |  ", line, maxsplit=1)[0], comments=True)[1:] for line in lines]
    assert len(found) >= 8
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_page_and_folder_that_is_linked_is_there(page: Path):
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())
    assert links
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_folder_in_the_map_is_there():
    table = (ROOT / "README.md").read_text().split("## The map")[1].split("##")[0]
    folders = re.findall(r"`(\w+/)`", table)
    assert len(folders) > 8
    assert [folder for folder in folders if not list(ROOT.glob(folder)) + list((ROOT / "tests").glob(folder))] == []


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_that_is_shown_is_understood(words: list[str]):
    name, *arguments = words
    assert PARSERS[name]().parse_args(arguments)


def test_the_example_in_the_readme_is_the_one_that_is_played():
    (shown,) = blocks(ROOT / "README.md", "yaml")
    played = yaml.load((demo.EXAMPLE / "clusters/demo/shop-production.yaml").read_text())
    given = yaml.load(shown)
    assert given["metadata"] == played["metadata"]
    assert given["spec"].items() <= played["spec"].items()
