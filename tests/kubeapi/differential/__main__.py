"""Generated sequences of requests, sent to the embedded API and to a real kube-apiserver of the same version.

    python -m tests.kubeapi.differential [--sequences 2000] [--seed 1] [--only NUMBER] [--theme NAME]

Prints how many of the answers are the same, and of each kind of difference how often it was met and the shortest
sequence that shows it. The exit code is 0 when at least 99 % of the answers are the same.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.kit import controlplane
from tests.kubeapi.differential import subjects
from tests.kubeapi.differential.run import GOAL, Run
from tests.kubeapi.differential.themes import THEMES, sequence


def main(argv: Sequence[str] | None = None) -> int:
    """The command: 0 when the goal is met, 1 when it isn't, 2 without a real server."""
    parser = argparse.ArgumentParser(prog="python -m tests.kubeapi.differential", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("--sequences", type=int, default=2000, metavar="N", help="how many (default %(default)s)")
    add("--seed", type=int, default=1, help="which ones (default %(default)s)")
    add("--only", type=int, metavar="NUMBER", help="only this sequence of the seed, with all its requests")
    add("--theme", choices=list(THEMES), default="", help="only sequences of this theme (default: all themes)")
    add("--shown", type=int, default=40, metavar="N", help="kinds of difference to show (default %(default)s)")
    add("--workers", type=int, default=2, help="sequences at a time (default %(default)s)")
    arguments = parser.parse_args(argv)
    if not (state := controlplane.available("etcd", "kube-apiserver")):
        print(state.reason, file=sys.stderr)
        return 2
    numbers = [arguments.only] if arguments.only is not None else range(arguments.sequences)
    with tempfile.TemporaryDirectory() as folder, subjects.real(Path(folder)) as real, subjects.embedded() as embedded:
        run = Run(real, embedded)
        run.all({number: sequence(arguments.seed, number, arguments.theme) for number in numbers}, arguments.workers)
        print(run.report(arguments.shown, verbose=arguments.only is not None))
    return 0 if run.part >= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
