"""`fluvial` and its help: what a newcomer types first."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata

import pytest

from fluvial import __main__ as fluvial
from fluvial import up
from tests.fluvial.running import ROOT


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fluvial", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("arguments", [[], ["help"], ["-h"], ["--help"]])
def test_help_names_every_command_with_what_it_does(arguments: list[str], capsys: pytest.CaptureFixture[str]):
    assert fluvial.main(arguments) == 0
    told = capsys.readouterr().out
    for name, command in fluvial.COMMANDS.items():
        assert f"  {name:<9} {command.summary}\n" in told
    assert "examples:\n  fluvial demo" in told


@pytest.mark.parametrize("name", sorted(fluvial.COMMANDS))
def test_every_command_explains_itself(name: str):
    done = run(name, "--help")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: fluvial {name} ")
    assert done.stderr == ""


def test_the_version_is_that_of_the_distribution(capsys: pytest.CaptureFixture[str]):
    assert fluvial.main(["version"]) == 0
    assert capsys.readouterr().out == f"fluvial {metadata.version('fluvial')}\n"


def test_an_unknown_command_is_refused_with_those_there_are(capsys: pytest.CaptureFixture[str]):
    assert fluvial.main(["deploy"]) == 2
    told = capsys.readouterr().err
    assert "there is no command 'deploy'" in told
    assert all(name in told for name in fluvial.COMMANDS)


def test_help_loads_nothing_that_only_a_command_needs():
    heavy = "{'rich', 'aiohttp', 'kopf', 'kubernetes', 'kubeapi', 'shared'}"
    code = f"import sys, fluvial.__main__ as m; m.main([]); sys.exit(' '.join({heavy} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_build_prints_what_a_directory_of_the_example_says():
    done = run("build", "fluvial/example/apps/shop/production")
    assert done.returncode == 0, done.stderr
    assert "image: registry.example.com/shop:1.0.0" in done.stdout
    assert "namespace: shop-production" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "--url"),
        (["--url", "/srv/config"], "local paths aren't supported"),
        (["--url", "file:///srv/config"], "give an https://, http:// or ssh:// address"),
        (["--url", "git@example.com:you/config"], "give an https://, http:// or ssh:// address"),
        (["--url", "https://"], "give an https://, http:// or ssh:// address"),
        (["--url", "https://[::1/config"], "--url is no address"),
        (["--url", "https://example.com/c", "--interval", "soon"], "--interval 'soon'"),
        (["--url", "https://example.com/c", "--kubeconfig", "f", "--port", "80"], "--kubeconfig replaces"),
    ],
)
def test_up_refuses_a_wrong_command_line_before_it_starts_anything(
    arguments: list[str], problem: str, capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(SystemExit) as ended:
        up.main(arguments)
    assert ended.value.code == 2
    assert problem in capsys.readouterr().err


def test_up_takes_no_password_on_the_command_line_and_does_not_repeat_it(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        up.main(["--url", "https://ada:opensesame@example.com/config"])
    told = capsys.readouterr().err
    assert "--secret" in told
    assert "opensesame" not in told
