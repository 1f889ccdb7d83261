"""Charts in a kustomization: which files and values they are made of, and how the answer of the caller's Helm is read.

    entry of helmCharts → chart's files, from the tree or pulled; values → Helm port → objects

The engine starts no program and fetches no chart itself. Without a Helm port, `helmCharts:` is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from shared.text import yaml
from shared.text.values import laid_over

from .errors import BuildError, NotFound, Problem, Refused
from .limits import LARGEST_CHART, MOST_FILES
from .loader import Loader
from .merge import merge
from .parse import resources
from .resource import Resource
from .scalars import copy
from .schema import Schema
from .tree import Tree, is_below, join

NOT_ENABLED = (
    "helmCharts: Helm is not enabled: build with --enable-helm; a Kustomization renders no charts, a HelmRelease does"
)
CHART_HOME = "charts"
MERGES = ("merge", "override", "replace")
DEFAULT_VALUES = "values.yaml"
_DEEPEST = 50

Files = Mapping[str, bytes]
"""A chart: the content of its files by their path in its folder."""


class ChartRequest(NamedTuple):
    """One chart to render. The fields are those of an entry of `helmCharts`."""

    name: str
    files: Files
    values: Mapping[str, Any]
    """Laid over the values that the chart has itself."""
    release_name: str = ""
    name_template: str = ""
    namespace: str = ""
    include_crds: bool = False
    skip_hooks: bool = False
    skip_tests: bool = False
    kube_version: str = ""
    api_versions: tuple[str, ...] = ()


class Helm(Protocol):
    """What a caller provides so that charts are pulled and rendered."""

    def pull(self, repo: str, name: str, version: str, *, devel: bool) -> Files:
        """A chart of an http(s):// or oci:// repository. Raises BuildError."""

    def template(self, request: ChartRequest) -> str:
        """The manifests of a chart as YAML. Raises BuildError."""


class Charts(NamedTuple):
    """How one build treats charts."""

    helm: Helm | None = None
    enabled: bool = False
    kube_version: str = ""
    api_versions: tuple[str, ...] = ()

    def objects(self, args: Mapping[str, Any], loader: Loader, schema: Schema) -> list[Resource]:
        """The objects of one chart."""
        if not self.enabled:
            raise BuildError(NOT_ENABLED)
        if self.helm is None:
            raise BuildError("helmCharts: this build has no Helm: render the chart first, or use a HelmRelease")
        entry = _Entry(args, loader)
        entry.check()
        files = entry.local()
        if files is None:
            if not entry.repo:
                raise NotFound(f"helmCharts: there is no chart at {entry.label}, and no repo to pull it from")
            files = self.helm.pull(entry.repo, entry.name, args.get("version", ""), devel=args.get("devel", False))
        wanted = ChartRequest(
            name=entry.name,
            files=files,
            values=entry.values(files, schema),
            release_name=args.get("releaseName", ""),
            name_template=args.get("nameTemplate", ""),
            namespace=args.get("namespace", ""),
            include_crds=args.get("includeCRDs", False),
            skip_hooks=args.get("skipHooks", False),
            skip_tests=args.get("skipTests", False),
            kube_version=self.kube_version or args.get("kubeVersion", ""),
            api_versions=self.api_versions or tuple(args.get("apiVersions", ())),
        )
        made = resources(self.helm.template(wanted), schema, file=entry.label)
        for item in made:
            item.from_helm = True
        return made


class _Entry:
    """One entry of `helmCharts`, seen from the directory of its kustomization."""

    def __init__(self, args: Mapping[str, Any], loader: Loader) -> None:
        self.args, self.loader = args, loader
        self.name: str = args.get("name", "")
        self.repo: str = args.get("repo", "")
        home, version = args.get("chartHome") or CHART_HOME, args.get("version", "")
        if version and self.repo:
            home = f"{home}/{self.name}-{version}"  # so that several versions lie beside each other
        self.folder = f"{home}/{self.name}"
        self.label = loader.label(self.folder)

    def check(self) -> None:
        """BuildError for what can't be asked."""
        if not self.name:
            raise BuildError("helmCharts: a chart needs a name")
        release = self.args.get("releaseName", "")
        for field, value in (("name", self.name), ("releaseName", release)):
            if value.startswith("-"):
                raise BuildError(f"helmCharts: {field} must not begin with '-'")
        if release and self.args.get("nameTemplate"):
            raise BuildError("helmCharts: give releaseName or nameTemplate, not both")
        if self._merge not in MERGES:
            raise BuildError(f"helmCharts: valuesMerge must be one of {', '.join(MERGES)}, not {self._merge!r}")
        for path in self.args.get("additionalValuesFiles", ()):
            self.loader.read(path)

    def local(self) -> Files | None:
        """The files of the chart in the tree; None when it isn't there."""
        tree, files = self.loader.tree, _Gathered(self.loader)
        try:
            folder = tree.resolve(join(self.loader.root, self.folder))
        except NotFound:
            return None
        if not tree.is_dir(folder):
            return None
        files.add(folder, "", 0)
        return files.found

    def values(self, files: Files, schema: Schema) -> dict[str, Any]:
        """The values of the entry: those of its files, and what is written inline as `valuesMerge` says."""
        inline = self.args.get("valuesInline", {})
        if inline and self._merge == "replace":
            merged = dict(inline)
        elif inline:
            merged = _merged(*self._values_file(files), inline, schema, inline_wins=self._merge == "override")
        else:
            merged = _values(*self._values_file(files))
        for path in self.args.get("additionalValuesFiles", ()):
            merged = laid_over(merged, _values(self.loader.label(path), self.loader.read(path)))
        return merged

    @property
    def _merge(self) -> str:
        return self.args.get("valuesMerge") or "override"

    def _values_file(self, files: Files) -> tuple[str, bytes]:
        """The name and content of the file with the values; one of the chart itself also where that was pulled."""
        path = self.args.get("valuesFile") or f"{self.folder}/{DEFAULT_VALUES}"
        try:
            return self.loader.label(path), self.loader.read(path)
        except NotFound:
            whole, folder = (join(self.loader.root, each) for each in (path, self.folder))
            inside = whole[len(folder) + 1 :] if is_below(whole, folder) else ""
            if inside not in files:
                raise
            return self.loader.label(path), files[inside]


class _Gathered:
    """The files of a folder of the tree, within limits."""

    def __init__(self, loader: Loader) -> None:
        self.found: dict[str, bytes] = {}
        self._loader, self._size = loader, 0

    def add(self, folder: str, inside: str, depth: int) -> None:
        """All files below a folder, links followed, by their paths behind `inside`."""
        tree: Tree = self._loader.tree
        if depth > _DEEPEST:
            raise Refused(
                f"{self._loader.prefix}{folder.lstrip('/')} has more than {_DEEPEST} levels, or a link to itself"
            )
        for name in tree.list(folder):
            path = tree.resolve(f"{folder.rstrip('/')}/{name}")
            if tree.is_dir(path):
                self.add(path, f"{inside}{name}/", depth + 1)
                continue
            content = self.found[inside + name] = tree.read(path)
            self._loader.files[self._loader.prefix + path.lstrip("/")] = content
            self._size += len(content)
            if len(self.found) > MOST_FILES or self._size > LARGEST_CHART:
                raise Refused(f"a chart may have {MOST_FILES} files and {LARGEST_CHART} bytes: this one has more")


def _values(path: str, content: bytes) -> dict[str, Any]:
    """The values in a file; those of several documents laid over each other."""
    try:
        documents = yaml.load_all(content, source=path)
    except yaml.YAMLError as error:
        raise BuildError(Problem(error.problem, path, error.line)) from error
    values: dict[str, Any] = {}
    for document in documents:
        values = laid_over(values, _mapping(document, path))
    return values


def _merged(
    path: str, content: bytes, inline: Mapping[str, Any], schema: Schema, *, inline_wins: bool
) -> dict[str, Any]:
    """The values of a file's first document merged with others as by a patch: null takes out what loses."""
    try:
        values = _mapping(yaml.load(content, source=path, rules=yaml.KYAML), path)
    except yaml.YAMLError as error:
        raise BuildError(Problem(error.problem, path, error.line)) from error
    lower, upper = (values, copy(inline)) if inline_wins else (copy(inline), values)
    return merge(lower, upper, schema) or {}


def _mapping(document: Any, path: str) -> dict[str, Any]:
    if document is not None and not isinstance(document, dict):
        raise BuildError(Problem("values must be a mapping", path))
    return document or {}
