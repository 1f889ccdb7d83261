"""A whole build: from a directory of a tree to the objects that it says, in order.

build(tree, "/clusters/production") → Build: the objects, their YAML, the files that were read
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from shared.text import yaml

from . import order, origin, references, transformers, variables
from .errors import BuildError, NotFound, Problem
from .fieldspec import FieldSpec
from .helm import Charts, Helm
from .kustomization import check
from .limits import no_check
from .loader import Loader
from .origin import Origin
from .remote import Remote
from .resource import LOCAL_CONFIG, ORIGIN, TRANSFORMATIONS, Resource
from .resources import Resources
from .scalars import means
from .schema import Schema
from .target import Accumulator, Session, Target
from .tree import DiskTree, Tree, join

VERSION = "v5.8.2"
"""The kustomize whose behaviour this is."""
MANAGED_BY = "app.kubernetes.io/managed-by"


class BuildOptions(NamedTuple):
    """The settings of a build, named as `kustomize build`'s flags."""

    reorder: str = "unspecified"
    """"legacy" sorts the output, "none" keeps the order of loading; "unspecified" is legacy."""
    load_restrictor: str = "LoadRestrictionsRootOnly"
    """LoadRestrictionsNone lets a kustomization read files that are in the tree but not below its own directory."""
    enable_managedby_label: bool = False
    enable_helm: bool = False
    helm_kube_version: str = ""
    helm_api_versions: Sequence[str] = ()
    remote: Remote | None = None
    """How remote bases and files are fetched; without it they are refused."""
    helm: Helm | None = None
    """What renders charts, when Helm is enabled."""
    keep_builtin_schema: bool = False
    """Let `openapi.path` add to what is known of the built-in kinds instead of replacing it."""
    check: Callable[[], None] = no_check
    """Called before every step. What it raises ends the build: for who has no patience."""

    @classmethod
    def flux(cls, *, remote: Remote | None = None, check: Callable[[], None] = no_check) -> BuildOptions:
        """The settings of Flux's kustomize-controller."""
        return cls(
            reorder="none",
            load_restrictor="LoadRestrictionsNone",
            remote=remote,
            keep_builtin_schema=True,
            check=check,
        )


class Build(NamedTuple):
    """The result of a build."""

    resources: list[Resource]
    files: frozenset[str]
    """The paths, from the root of the tree, of all files that were read."""
    unused_variables: list[str]

    @property
    def values(self) -> list[dict[str, Any]]:
        return [resource.value for resource in self.resources]

    @property
    def places(self) -> list[str]:
        """Where each object is written, such as `base/web.yaml:3, patched by prod/web.yaml`; "" for what was made."""
        return [resource.place for resource in self.resources]

    def yaml(self) -> str:
        """What `kustomize build` prints."""
        try:
            return yaml.dump_all(self.values)
        except yaml.YAMLError as error:
            raise BuildError(error.problem) from error


def build(
    tree: Tree | Path | str,
    path: str = "/",
    options: BuildOptions | None = None,
    *,
    kustomization: Mapping[str, Any] | None = None,
) -> Build:
    """Build the kustomization in a directory of the tree.

    tree: the file tree, or the directory that it is. path: seen from the tree's root.
    kustomization: used in place of the kustomization file of that directory, which may be missing.
    Raises BuildError with all that is wrong, and never anything else but what the options' `check` raises.
    """
    options = options or BuildOptions()
    if isinstance(tree, Path | str):
        tree = DiskTree(tree)
    try:
        return _build(tree, path, options, kustomization)
    except RecursionError as error:
        raise BuildError("the build is nested too deep") from error


def _build(tree: Tree, path: str, options: BuildOptions, kustomization: Mapping[str, Any] | None) -> Build:
    for name, value, allowed in (
        ("reorder", options.reorder, ("none", "legacy", "unspecified")),
        ("load_restrictor", options.load_restrictor, ("LoadRestrictionsRootOnly", "LoadRestrictionsNone")),
    ):
        if value not in allowed:
            raise BuildError(f"{name} must be one of {', '.join(allowed)}, not {value!r}")
    files: dict[str, bytes] = {}
    root = tree.resolve(join("/", path))
    if not tree.is_dir(root):
        raise NotFound(f"{path} is a file: give the directory with the kustomization")
    restricted = options.load_restrictor == "LoadRestrictionsRootOnly"
    loader = Loader(tree, root, restricted=restricted, remote=options.remote, files=files)
    charts = Charts(options.helm, options.enable_helm, options.helm_kube_version, tuple(options.helm_api_versions))
    session = Session(Schema(keep_builtin=options.keep_builtin_schema), charts, options.check)
    given = check(dict(kustomization), loader.label("kustomization.yaml")) if kustomization is not None else None
    target = Target(session, loader, kustomization=given)
    session.metadata = tuple(target.data.get("buildMetadata", ()))
    if session.metadata:
        target.place = Origin()
    target.use_openapi(root=True)
    gathered = target.accumulate()
    unused = _finish(gathered, target, options)
    return Build(gathered.resources.items, frozenset(files), unused)


def _finish(gathered: Accumulator, target: Target, options: BuildOptions) -> list[str]:
    """What is done once, when all is gathered: hashes, references, variables, order, and tidying up."""
    resources = gathered.resources
    transformers.name_hash(resources)
    references.update(resources, gathered.config.name_reference)
    resources.changed()
    unused = variables.resolve(resources, gathered.variables, gathered.config.var_reference)
    _drop_local(resources)
    order.apply(resources, target.data.get("sortOptions"), reorder=options.reorder)
    metadata = target.session.metadata
    if options.enable_managedby_label or "managedByLabel" in metadata:
        spec = FieldSpec.of({"path": "metadata/labels", "create": True})
        transformers.entries({MANAGED_BY: f"kustomize-{VERSION}"}, (spec,))(resources)
    for item in resources:
        item.finish()
    if "originAnnotations" not in metadata:
        origin.remove(resources, ORIGIN)
    if "transformerAnnotations" not in metadata:
        origin.remove(resources, TRANSFORMATIONS)
    _check(resources)
    return unused


def _drop_local(resources: Resources) -> None:
    """Leave out the objects that are only for the build."""
    kept = []
    for item in resources:
        if item.is_empty():
            continue
        if not item.kind or (not item.name and not item.kind.endswith("List")):
            missing = "kind" if not item.kind else "metadata.name"
            raise BuildError(Problem(f"the object has no {missing} any more", item.file, item.line))
        local = item.annotation(LOCAL_CONFIG)
        if local is None or local == "false":
            kept.append(item)
    if len(kept) != len(resources):
        resources.replace_items(kept)


def _check(resources: Resources) -> None:
    """Annotations are written anew at the end, without quotes around their keys; some keys need them."""
    problems = []
    for item in resources:
        for key in item.annotations:
            if not key or key == "<<" or means(key) != key:
                text = f"{item}: the key {key!r} of an annotation is not text"
                problems.append(Problem(text, item.file, item.line, "metadata.annotations"))
    if problems:
        raise BuildError(*problems)
