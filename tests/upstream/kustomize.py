"""The engine behind the interface of the behaviour corpus: `check.py CASES --python tests.upstream.kustomize:build`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shared import kustomize
from shared.charts.inflate import Inflator


def build(root: Path, path: str, options: dict[str, Any]) -> str:
    """What `kustomize build PATH` prints, run in `root`; raises BuildError where kustomize fails."""
    wanted = kustomize.BuildOptions(
        reorder=options.get("reorder", "unspecified"),
        load_restrictor=options.get("load_restrictor", "LoadRestrictionsRootOnly"),
        enable_managedby_label=options.get("enable_managedby_label", False),
        enable_helm=options.get("enable_helm", False),
        helm_kube_version=options.get("helm_kube_version", ""),
        helm_api_versions=tuple(options.get("helm_api_versions", ())),
        helm=Inflator(may_pull=False),
    )
    return kustomize.build(kustomize.DiskTree(root), path, wanted).yaml()
