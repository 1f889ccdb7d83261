"""The command line: one subcommand a module, imported only when it is asked for."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import NamedTuple


class Command(NamedTuple):
    """A subcommand: `module.main(arguments)` runs it and gives the exit status."""

    module: str
    summary: str


COMMANDS = {
    "demo": Command("fluvial.demo", "See it work: a cluster, a Git repository and the story of a change, in a minute."),
    "up": Command("fluvial.up", "Make a cluster what your own Git repository says, and keep it so."),
    "kubeapi": Command("kubeapi.command", "Run the embedded Kubernetes API, for kubectl, flux, helm and controllers."),
    "diff": Command("fluvial.diff", "Show what a Kustomization would change if your files were its source."),
    "build": Command("fluvial.build", "Print the objects that a directory says, by the engine the controllers use."),
}
HELP = """\
Fluvial: make the cluster what Git says, keep it so, and tell people.

usage: fluvial COMMAND [OPTIONS]

{commands}
  version   Print the version.

examples:
  fluvial demo                                             the whole story, without a cluster
  fluvial up --url https://github.com/you/config --path clusters/dev
  fluvial diff shop-production                             what your edits would change in the cluster
  fluvial build apps/shop/production                       what the controller would apply

`fluvial COMMAND --help` explains a command. The controllers are commands of their own: source-controller,
kustomize-controller."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand; the exit status is its own, 2 when there is no such command."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    name = given[0] if given else "help"
    if name in ("help", "-h", "--help"):
        commands = "\n".join(f"  {command:<9} {COMMANDS[command].summary}" for command in COMMANDS)
        print(HELP.format(commands=commands))
        return 0
    if name in ("version", "-v", "--version"):
        from importlib import metadata  # loading it takes a fifth of the time of a small build

        print(f"fluvial {metadata.version('fluvial')}")
        return 0
    if name not in COMMANDS:
        print(f"fluvial: there is no command {name!r}; there are {', '.join([*COMMANDS, 'version'])}", file=sys.stderr)
        return 2
    try:
        return int(importlib.import_module(COMMANDS[name].module).main(given[1:]))
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
