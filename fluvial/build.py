"""`fluvial build PATH`: print what a directory's kustomization says, built by the engine that the controllers use.

The flags that mean the same as those of `kustomize build` have the same names. Nothing is read outside of
--root; within it, the load restrictor decides. Repositories and files at URLs are fetched without credentials, unless
--no-remote-bases refuses them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property, partial
from pathlib import Path

from shared import kustomize


def parser() -> argparse.ArgumentParser:
    """The command line of the command."""
    made = argparse.ArgumentParser(
        prog="fluvial build",
        description="Print the objects that a directory's kustomization says.",
        formatter_class=partial(argparse.HelpFormatter, width=100),  # asking the terminal costs 5 ms at every start
    )
    made.add_argument("path", nargs="?", default=".", help="the directory with the kustomization (default: this one)")
    made.add_argument("--root", help="the directory that nothing is read outside of (default: the whole file system)")
    made.add_argument("-o", "--output", metavar="FILE", help="write here instead of to the standard output")
    made.add_argument(
        "--reorder",
        choices=("legacy", "none"),
        default="unspecified",
        help="sort the objects by kind and name (legacy, the default) or keep the order of loading (none)",
    )
    made.add_argument(
        "--load-restrictor",
        choices=("LoadRestrictionsRootOnly", "LoadRestrictionsNone"),
        default="LoadRestrictionsRootOnly",
        help="whether a kustomization may read files that are not below its own directory",
    )
    made.add_argument("--enable-managedby-label", action="store_true", help="label all objects as managed by kustomize")
    made.add_argument(
        "--no-remote-bases", action="store_true", help="refuse what is not in the tree: repositories and files at URLs"
    )
    made.add_argument("--enable-helm", action="store_true", help="render helmCharts, by Helm's own engine")
    made.add_argument("--helm-kube-version", default="", metavar="VERSION", help="the Kubernetes version for charts")
    made.add_argument(
        "--helm-api-versions", action="append", default=[], metavar="API", help="an API that charts can count on"
    )
    made.add_argument(
        "--generate",
        action="store_true",
        help="when PATH has no kustomization file, list all its manifests, as the Kustomization controller does",
    )
    return made


class Charts:
    """Charts. What renders them is loaded when a kustomization names the first: it starts slowly."""

    def __init__(self, *, may_pull: bool) -> None:
        self._may_pull = may_pull

    @cached_property
    def _inflator(self) -> kustomize.Helm:
        from shared.charts.inflate import Inflator

        return Inflator(may_pull=self._may_pull)

    def pull(self, repo: str, name: str, version: str, *, devel: bool) -> Mapping[str, bytes]:
        return self._inflator.pull(repo, name, version, devel=devel)

    def template(self, request: kustomize.ChartRequest) -> str:
        return self._inflator.template(request)


class Elsewhere:
    """Remote bases and files. What brings them is loaded when a kustomization names the first: it starts slowly."""

    def __init__(self) -> None:
        self._open = ExitStack()

    def __enter__(self) -> Elsewhere:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @cached_property
    def _bases(self) -> kustomize.Remote:
        from shared.git.bases import Bases

        return self._open.enter_context(Bases())

    def clone(self, repository: kustomize.Repository) -> kustomize.Tree:
        return self._bases.clone(repository)

    def download(self, url: str) -> bytes:
        return self._bases.download(url)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command. 0: built; 1: the input is wrong (the problems are on standard error); 2: the flags are."""
    try:
        options = parser().parse_args(argv)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 2
    path = Path(options.path).resolve()
    root = Path(options.root).resolve() if options.root else Path(path.anchor)
    if not path.is_relative_to(root):
        print(f"fluvial build: {options.path} is not below --root {options.root}", file=sys.stderr)
        return 2
    with Elsewhere() as elsewhere:
        return _build(options, root, path, None if options.no_remote_bases else elsewhere)


def _build(options: argparse.Namespace, root: Path, path: Path, elsewhere: Elsewhere | None) -> int:
    settings = kustomize.BuildOptions(
        reorder=options.reorder,
        load_restrictor=options.load_restrictor,
        enable_managedby_label=options.enable_managedby_label,
        enable_helm=options.enable_helm,
        helm_kube_version=options.helm_kube_version,
        helm_api_versions=tuple(options.helm_api_versions),
        remote=elsewhere,
        helm=Charts(may_pull=elsewhere is not None),
    )
    tree = kustomize.DiskTree(root)
    inside = "/" + path.relative_to(root).as_posix()
    try:
        made = kustomize.generate(tree, inside) if options.generate else None
        text = kustomize.build(tree, inside, settings, kustomization=made).yaml()
    except kustomize.BuildError as error:
        for problem in error.problems:
            print(f"fluvial build: {problem}", file=sys.stderr)
        return 1
    if options.output:
        Path(options.output).write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
