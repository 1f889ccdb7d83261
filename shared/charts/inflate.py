"""Charts in kustomizations: the kustomize engine's port to Helm.

    ChartRequest → pulled or given files → rendered → YAML

What is pulled is kept for one build, and never written beside the kustomization.
"""

from __future__ import annotations

from shared.charts.engine import Engine, Files, Release
from shared.charts.errors import ChartError
from shared.kustomize import BuildError, ChartRequest


class Inflator:
    """Pulls and renders the charts of one build, without credentials of this machine."""

    def __init__(self, engine: Engine | None = None, *, may_pull: bool = True) -> None:
        """With `may_pull` false only charts that lie in the tree are rendered."""
        self._engine, self._may_pull = engine or Engine(), may_pull
        self._pulled: dict[tuple[str, str, str, bool], Files] = {}

    def pull(self, repo: str, name: str, version: str, *, devel: bool) -> Files:
        """The files of a chart. BuildError."""
        if not self._may_pull:
            raise BuildError(f"the chart {name} is remote, and remote bases are disabled: copy it into the source")
        key = (repo, name, version, devel)
        if key not in self._pulled:
            try:
                self._pulled[key] = self._engine.pull(repo, name, version, devel=devel)
            except ChartError as error:
                raise BuildError(f"cannot pull the chart {name}: {error}") from error
        return self._pulled[key]

    def template(self, request: ChartRequest) -> str:
        """The manifests of a chart, as `helm template` prints them. BuildError."""
        release = Release(
            request.release_name,
            request.name_template,
            request.namespace,
            request.kube_version,
            request.api_versions,
        )
        try:
            made = self._engine.render(request.files, request.values, release)
        except ChartError as error:
            raise BuildError(f"cannot render the chart {request.name}: {error}") from error
        return made.text(crds=request.include_crds, hooks=not request.skip_hooks, tests=not request.skip_tests)
