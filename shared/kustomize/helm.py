"""Charts in a kustomization: what is asked of the caller's Helm, and how its answer is read.

The engine starts no program and fetches no chart itself. Without a Helm port, `helmCharts:` is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from .errors import BuildError
from .loader import Loader
from .parse import resources
from .resource import Resource
from .schema import Schema
from .tree import Tree

CHART_HOME = "charts"
MERGES = ("merge", "override", "replace")


class ChartRequest(NamedTuple):
    """One chart to render."""

    name: str
    chart_home: str
    """The directory (in the tree) that has the chart; when it has not, the chart is to be pulled from `repo`."""
    tree: Tree
    version: str = ""
    repo: str = ""
    release_name: str = ""
    namespace: str = ""
    name_template: str = ""
    values_file: str = ""
    """A file (in the tree) instead of the chart's values.yaml."""
    additional_values_files: tuple[str, ...] = ()
    values_inline: Mapping[str, Any] = MappingProxyType({})
    values_merge: str = "override"
    """How `values_inline` relates to the values file: merge (the file wins), override (it wins), replace (it alone)."""
    include_crds: bool = False
    skip_hooks: bool = False
    skip_tests: bool = False
    kube_version: str = ""
    api_versions: tuple[str, ...] = ()
    devel: bool = False


class Helm(Protocol):
    """What a caller provides so that charts are rendered."""

    def template(self, request: ChartRequest) -> bytes:
        """The manifests of the chart as YAML. Raises BuildError."""


class Charts(NamedTuple):
    """How one build treats charts."""

    helm: Helm | None = None
    enabled: bool = False
    kube_version: str = ""
    api_versions: tuple[str, ...] = ()

    def objects(self, args: Mapping[str, Any], loader: Loader, schema: Schema) -> list[Resource]:
        """The objects of one chart."""
        if not self.enabled:
            raise BuildError("helmCharts: Helm is not enabled: use --enable-helm")
        if self.helm is None:
            raise BuildError("helmCharts: this build has no Helm: render the chart first, or use a HelmRelease")
        wanted = request(args, loader, kube_version=self.kube_version, api_versions=self.api_versions)
        made = resources(self.helm.template(wanted), schema, file=f"{wanted.chart_home}/{wanted.name}")
        for item in made:
            item.from_helm = True
        return made


def request(
    args: Mapping[str, Any], loader: Loader, *, kube_version: str, api_versions: tuple[str, ...]
) -> ChartRequest:
    """What an entry of `helmCharts` asks for. BuildError for what cannot be asked."""
    name, release = args.get("name", ""), args.get("releaseName", "")
    if not name:
        raise BuildError("helmCharts: a chart needs a name")
    for field_name, value in (("name", name), ("releaseName", release)):
        if value.startswith("-"):
            raise BuildError(f"helmCharts: {field_name} must not begin with '-'")
    merge = args.get("valuesMerge") or "override"
    if merge not in MERGES:
        raise BuildError(f"helmCharts: valuesMerge must be one of {', '.join(MERGES)}, not {merge!r}")
    for path in (*args.get("additionalValuesFiles", ()), *filter(None, [args.get("valuesFile", "")])):
        loader.read(path)
    home = args.get("chartHome") or CHART_HOME
    return ChartRequest(
        name=name,
        chart_home=loader.label(home),
        tree=loader.tree,
        version=args.get("version", ""),
        repo=args.get("repo", ""),
        release_name=release,
        namespace=args.get("namespace", ""),
        name_template=args.get("nameTemplate", ""),
        values_file=loader.label(args["valuesFile"]) if args.get("valuesFile") else "",
        additional_values_files=tuple(loader.label(path) for path in args.get("additionalValuesFiles", ())),
        values_inline=args.get("valuesInline", {}),
        values_merge=merge,
        include_crds=args.get("includeCRDs", False),
        skip_hooks=args.get("skipHooks", False),
        skip_tests=args.get("skipTests", False),
        kube_version=kube_version or args.get("kubeVersion", ""),
        api_versions=api_versions or tuple(args.get("apiVersions", ())),
        devel=args.get("devel", False),
    )
