"""One kustomization of a build: gather what it lists, generate, let components and transformers change it, validate.

    load → accumulate (resources, bases) → generate → components → transform → validate → bind variables

A base is accumulated by itself and then added; a component works on what the kustomization that lists it has gathered.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from . import config, generators, helm, origin, parse, patches, plugins, replacements, transformers, variables
from .config import EMPTY, Config
from .errors import BuildError, NotFound, Problem, Problems, Refused, located
from .fieldspec import FieldSpec, merged
from .kustomization import COMPONENT, FILE_NAMES, Kustomization
from .kustomization import parse as parse_kustomization
from .limits import EACH, MOST_TEXT, Allowance, no_check, text_in
from .loader import Loader
from .origin import Configured, Origin
from .remote import is_url
from .resource import ORIGIN, Resource
from .resources import Resources
from .scalars import copy
from .schema import Schema
from .transformers import Transformer

VALIDATED_BY = "validated-by"
_ON_METADATA = FieldSpec.of({"path": "metadata/labels", "create": True})


class Session:
    """What all kustomizations of one build share."""

    def __init__(self, schema: Schema, charts: helm.Charts, check: Callable[[], None] = no_check) -> None:
        self.schema = schema
        self.charts = charts
        self.check = check
        """Called before every step; what it raises ends the build."""
        self.generated = Allowance(MOST_TEXT, "characters by generators")
        self.metadata: tuple[str, ...] = ()
        """The `buildMetadata` of the root."""

    @property
    def traces_changes(self) -> bool:
        return "transformerAnnotations" in self.metadata


class Accumulator:
    """What has been gathered so far."""

    def __init__(self) -> None:
        self.resources = Resources()
        self.config: Config = EMPTY
        self.variables: dict[str, Mapping[str, Any]] = {}

    def merge(self, other: Accumulator) -> None:
        self.resources.append_all(other.resources)
        self.config = self.config.merge(other.config)
        variables.merge(self.variables, other.variables)


Step = tuple[Transformer, Origin | None, str]
"""A transformer, what the annotations say of it, and the field that asked for it."""


def find_file(loader: Loader) -> tuple[str, bytes]:
    """The kustomization file of a directory. BuildError when there is none, or more than one."""
    found: list[tuple[str, bytes]] = []
    for name in FILE_NAMES:
        try:
            found.append((name, loader.read(name)))
        except (NotFound, Refused):
            continue
    where = loader.label(".") or "."
    if not found:
        raise NotFound(Problem(f"no {', '.join(FILE_NAMES[:-1])} or {FILE_NAMES[-1]} here", where))
    if len(found) > 1:
        raise BuildError(Problem(f"more than one of {' and '.join(name for name, _ in found)} here: keep one", where))
    return found[0]


class Target:
    """A kustomization with its directory."""

    def __init__(
        self,
        session: Session,
        loader: Loader,
        *,
        kustomization: Kustomization | None = None,
        place: Origin | None = None,
        inherited_namespace: str = "",
    ) -> None:
        self.session = session
        self.loader = loader
        self.place = place
        """Where this directory is, when the build keeps origins."""
        self.inherited_namespace = inherited_namespace
        """For Helm charts: the namespace of the kustomizations above."""
        if kustomization is not None:
            self.file, self.data = FILE_NAMES[0], kustomization
        else:
            self.file, content = find_file(loader)
            self.data = parse_kustomization(content, loader.label(self.file))
        self.label = loader.label(self.file)
        path = self.data.get("openapi", {}).get("path")
        self.openapi_document: bytes | None = None
        if path is not None:
            with located(file=self.label, field="openapi.path"):
                self.openapi_document = loader.read(path)

    @property
    def is_component(self) -> bool:
        return bool(self.data["kind"] == COMPONENT)

    def use_openapi(self, *, root: bool) -> None:
        with located(file=self.label, field="openapi"):
            self.session.schema.use(self.data.get("openapi", {}), self.openapi_document, root=root)

    def accumulate(self, onto: Accumulator | None = None) -> Accumulator:
        """All of this kustomization; a component is given what it works on."""
        gathered, problems = onto if onto is not None else Accumulator(), Problems()
        self._resources(gathered, self.data.get("resources", ()), "resources", problems)
        with located(file=self.label):
            self.loader.steps.take(len(gathered.resources))
        with problems.of(file=self.label, field="configurations"):
            own = config.load(self.data.get("configurations", ()), self.loader)
            gathered.config = gathered.config.merge(own)
        with problems.of(file=self.label, field="crds"):
            gathered.config = gathered.config.merge(config.from_crds(self.data.get("crds", ()), self.loader))
        self._generate(gathered, problems)
        if problems:
            self._builtin_steps(gathered.config, problems)  # for what is wrong with them, too
        problems.require_none()
        for index, path in enumerate(self.data.get("components", ())):
            with located(file=self.label, field=f"components[{index}]"):
                gathered = self._directory(gathered, path, self.loader.enter(path), component=True)
        self._transform(gathered)
        self._validate(gathered)
        with located(file=self.label):
            variables.bind(gathered.resources, self.data.get("vars", ()), gathered.variables)
        return gathered

    # Gathering.

    def _resources(self, gathered: Accumulator, paths: Sequence[str], name: str, problems: Problems) -> None:
        for index, path in enumerate(paths):
            with problems.of(file=self.label, field=f"{name}[{index}]"):
                self._entry(gathered, path)

    def _entry(self, gathered: Accumulator, path: str) -> None:
        """A file, or else a directory or repository with a kustomization."""
        try:
            items = self._file(path)
        except BuildError as file_error:
            try:
                loader = self.loader.enter(path)
            except Refused:
                if isinstance(file_error, NotFound):
                    raise
                raise file_error from None
            except BuildError as error:
                if is_url(path) or path.startswith("git@"):
                    raise BuildError(*file_error.problems, *error.problems) from error
                raise file_error from None
            self._directory(gathered, path, loader, component=False)
            return
        gathered.resources.append_all(items)

    def _file(self, path: str) -> list[Resource]:
        items = parse.resources(self.loader.read(path), self.session.schema, file=self.loader.label(path))
        seen = Resources()
        seen.append_all(items)
        if self.place is not None:
            for item in items:
                origin.mark(item, self.place.at(path))
        return items

    def _directory(self, gathered: Accumulator, path: str, loader: Loader, *, component: bool) -> Accumulator:
        self.session.check()
        self.loader.steps.take(EACH)
        below = Target(
            self.session,
            loader,
            place=self.place.at(path) if self.place is not None else None,
            inherited_namespace=self.data.get("namespace", "") or self.inherited_namespace,
        )
        below.use_openapi(root=False)
        if component and not below.is_component:
            raise BuildError(Problem(f"must be {COMPONENT}: it is listed under components", below.label, field="kind"))
        if not component and below.is_component:
            raise BuildError(Problem("is a Component: list it under components", below.label, field="kind"))
        if component:
            return below.accumulate(gathered)
        gathered.merge(below.accumulate())
        return gathered

    # Generators.

    def _configured(self, kind: str) -> Origin | None:
        if self.place is None:
            return None
        return self.place.configured(self.file, Configured(plugins.API_VERSION, kind))

    def _chart(self, args: Mapping[str, Any]) -> list[Resource]:
        return self.session.charts.objects(args, self.loader, self.session.schema)

    def _generate(self, gathered: Accumulator, problems: Problems) -> None:
        """What is made is taken in only where all resources could be: it may be laid over them."""
        options, schema = self.data.get("generatorOptions"), self.session.schema
        for name, kind, make in (
            ("configMapGenerator", "ConfigMapGenerator", generators.config_map),
            ("secretGenerator", "SecretGenerator", generators.secret),
        ):
            for index, args in enumerate(self.data.get(name, ())):
                with problems.of(file=self.label, field=f"{name}[{index}]"):
                    item = make(generators.with_global_options(args, options), self.loader, schema)
                    if not problems:
                        self._absorb(gathered, [item], self._configured(kind))
        if problems:
            return
        for index, args in enumerate(self.data.get("helmCharts", ())):
            with located(file=self.label, field=f"helmCharts[{index}]"):
                whole = {**self.data.get("helmGlobals", {}), **args}
                whole["namespace"] = (
                    whole.get("namespace") or self.data.get("namespace", "") or self.inherited_namespace
                )
                self._absorb(gathered, self._chart(whole), self._configured("HelmChartInflationGenerator"))
        context = plugins.Context(self.loader, schema, self._chart)
        for item in self._plugin_resources("generators"):
            with located(file=self.label, field="generators"):
                made = plugins.generator(item, context)()
                self._absorb(gathered, made, self._of_plugin(item))

    def _absorb(self, gathered: Accumulator, items: Sequence[Resource], place: Origin | None) -> None:
        self.session.check()
        for item in items:
            self.session.generated.take(text_in(item.value))
            item.files = item.files or (self.label,)
        if place is not None:
            origin.mark_all(items, place)
        gathered.resources.absorb(items)

    def _plugin_resources(self, name: str) -> Resources:
        """The resources that configure plugins: written inline, or in files and directories."""
        gathered = Accumulator()
        paths = []
        for entry in self.data.get(name, ()):
            try:
                items = parse.resources(entry, self.session.schema)
            except BuildError:
                paths.append(entry)
                continue
            for item in items:
                item.files = (self.label,)
                if self.place is not None:
                    origin.mark(item, self.place.at(self.file))
            with located(file=self.label, field=name):
                gathered.resources.append_all(items)
        problems = Problems()
        self._resources(gathered, paths, name, problems)
        problems.require_none()
        return gathered.resources

    def _of_plugin(self, item: Resource) -> Origin | None:
        if self.place is None or item.annotation(ORIGIN) is None:
            return None
        path = item.files[0] if item.files else self.file
        root = self.loader.root.strip("/")
        inside = posixpath.relpath(path, root) if root else path
        by = Configured(item.api_version, item.kind, item.name, item.namespace)
        return self.place.configured(inside, by)

    # Transformers.

    def _transform(self, gathered: Accumulator) -> None:
        problems = Problems()
        steps = self._builtin_steps(gathered.config, problems)
        problems.require_none()
        for transform, place, name in [*steps, *self._plugin_steps("transformers")]:
            self.session.check()
            if not name.startswith("patches"):
                problems.require_none()  # a step may need what the patches before it make
            with problems.of(file=self.label, field=name):
                transform(gathered.resources)
            if place is not None:
                origin.add_change(gathered.resources, place, trace=self.session.traces_changes)
            gathered.resources.drop_empty()
        problems.require_none()

    def _plugin_steps(self, name: str) -> list[Step]:
        context = plugins.Context(self.loader, self.session.schema, self._chart)
        return [
            (plugins.transformer(item, context), self._of_plugin(item), name) for item in self._plugin_resources(name)
        ]

    def _builtin_steps(self, specs: Config, problems: Problems) -> list[Step]:
        """The steps of this kustomization's own fields. All of them are read before the first is done."""
        steps: list[Step] = []
        for name, kind, make in self._builtin_makers(specs):
            with problems.of(file=self.label, field=name):
                steps.append((make(), self._configured(kind), name))
        return steps

    def _builtin_makers(self, specs: Config) -> Iterator[tuple[str, str, Callable[[], Transformer]]]:
        """Field, transformer and how it is made, in upstream's order."""
        data, loader, schema = self.data, self.loader, self.session.schema
        if merges := data.get("patchesStrategicMerge"):
            yield (
                "patchesStrategicMerge",
                "PatchStrategicMergeTransformer",
                partial(patches.strategic_merges, merges, loader, schema),
            )
        for index, args in enumerate(data.get("patches", ())):
            yield (
                f"patches[{index}]",
                "PatchTransformer",
                partial(patches.patch, args, loader, schema),
            )
        if name := data.get("namespace"):
            yield "namespace", "NamespaceTransformer", partial(transformers.namespace, name, specs.namespace)
        if text := data.get("namePrefix"):
            yield "namePrefix", "PrefixTransformer", partial(transformers.prefix, text, specs.name_prefix)
        if text := data.get("nameSuffix"):
            yield "nameSuffix", "SuffixTransformer", partial(transformers.suffix, text, specs.name_suffix)
        if data.get("labels") or data.get("commonLabels"):
            for index, args in enumerate(data.get("labels", ())):
                yield f"labels[{index}]", "LabelTransformer", partial(self._labels, args, specs)
            common = partial(transformers.entries, data.get("commonLabels", {}), specs.common_labels)
            yield "commonLabels", "LabelTransformer", common
        if entries := data.get("commonAnnotations"):
            make = partial(transformers.entries, entries, specs.common_annotations)
            yield "commonAnnotations", "AnnotationsTransformer", make
        for index, args in enumerate(data.get("patchesJson6902", ())):
            yield (
                f"patchesJson6902[{index}]",
                "PatchJson6902Transformer",
                partial(patches.json_patch, args, loader),
            )
        for index, args in enumerate(data.get("replicas", ())):
            make = partial(transformers.replicas, args, specs.replicas)
            yield f"replicas[{index}]", "ReplicaCountTransformer", make
        for index, args in enumerate(data.get("images", ())):
            yield f"images[{index}]", "ImageTagTransformer", partial(transformers.image, args, specs.images)
        if found := data.get("replacements"):
            yield "replacements", "ReplacementTransformer", partial(self._replacements, found)

    def _replacements(self, found: Sequence[Mapping[str, Any]]) -> Transformer:
        return replacements.replacements(replacements.load(found, self.loader))

    def _labels(self, args: Mapping[str, Any], specs: Config) -> Transformer:
        wanted = tuple(FieldSpec.of(spec) for spec in args.get("fields", ()))
        wanted = merged(wanted, specs.labels)
        if args.get("includeSelectors"):
            wanted = merged(wanted, specs.common_labels)
        else:
            if args.get("includeTemplates"):
                wanted = merged(wanted, specs.template_labels)
            if args.get("includeVolumeClaimTemplates"):
                wanted = merged(wanted, specs.volume_claim_template_labels)
            wanted = merged(wanted, (_ON_METADATA,))
        return transformers.entries(args.get("pairs", {}), wanted)

    # Validators.

    def _validate(self, gathered: Accumulator) -> None:
        for transform, _, _ in self._plugin_steps("validators"):
            before = [(item.id, copy(item.value)) for item in gathered.resources]
            with located(file=self.label, field="validators"):
                transform(gathered.resources)
                for item in gathered.resources:
                    if VALIDATED_BY in item.labels:
                        item.set_mapping("labels", {k: v for k, v in item.labels.items() if k != VALIDATED_BY})
                after = [(item.id, item.value) for item in gathered.resources]
                if before != after:
                    raise BuildError("a validator must not change anything, but this one did")
