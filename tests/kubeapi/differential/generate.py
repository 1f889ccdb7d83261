"""Requests as clients might send them, drawn at random: a seed always gives the same ones.

What a sequence is made of, tests.kubeapi.differential.themes says.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.kubeapi.differential import objects
from tests.kubeapi.differential.objects import KINDS, METADATA, Element, Kind, Setting
from tests.kubeapi.differential.steps import NAMESPACE, Step

Manifest = dict[str, Any]

BAD = 0.15
"""How often a value is one that must be refused."""
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
PARTIAL = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
PARTIAL_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_VALIDATIONS = ("Strict", "Warn", "Ignore")
PROPAGATIONS = ("Foreground", "Background", "Orphan")
CLUSTER_WIDE = {"ClusterRole", "PriorityClass", "StorageClass", "ClusterWidget"}
"""Kinds without namespaces: what other sequences make is among them."""


@dataclass(frozen=True)
class Changed:
    """The live object with these fields set: the body of an update. None as a resourceVersion takes it out."""

    values: tuple[tuple[objects.Path, Any], ...]

    def __call__(self, live: Manifest) -> Manifest:
        for path, value in self.values:
            live = objects.with_value(live, path, value)
        metadata = live.get("metadata") or {}
        if metadata.get("resourceVersion", "") is None:
            del metadata["resourceVersion"]
        return live


class Sequence:
    """Draws one sequence."""

    def __init__(self, seed: str) -> None:
        self.random = random.Random(seed)
        self.steps: list[Step] = []
        self.kind = self.random.choice(list(KINDS))

    def watch(self) -> None:
        """Now and then, all that happened."""
        if self.chance(0.04) and self.kind not in CLUSTER_WIDE:
            query = {"labelSelector": "team=a"} if self.chance(0.3) else {}
            accept = self.random.choice(["", "", TABLE, PARTIAL])
            self.add("watch", self.named(), query=query, accept=accept)

    # -- parts

    @property
    def of(self) -> Kind:
        return KINDS[self.kind]

    def chance(self, part: float) -> bool:
        return self.random.random() < part

    def named(self, name: str | None = None, manifest: Manifest | None = None) -> Manifest:
        """A manifest of the kind, by default its base, by default under one of two names."""
        out = copy.deepcopy(self.of.base if manifest is None else manifest)
        out["metadata"]["name"] = name or self.random.choice(["app", "app", "app", "web"])
        return out

    def setting(self, *, good: bool = False, among: list[Setting] | None = None) -> tuple[objects.Path, Any]:
        """A field and a value for it."""
        some = among or (METADATA if self.chance(0.2) else self.of.settings)
        setting = self.random.choice(some)
        values = setting.bad if not good and self.chance(BAD) else setting.good
        return setting.path, copy.deepcopy(self.random.choice(values or setting.good or setting.bad))

    def full(self, *, good: bool = False) -> Manifest:
        """A manifest with some fields set."""
        out = self.named()
        for _ in range(self.random.choice([0, 1, 2, 3])):
            out = objects.with_value(out, *self.setting(good=good))
        if not good and self.chance(0.05):
            out = objects.with_value(out, ("spec", "colour"), "red")
        return out

    def query(self, manager: str = "") -> dict[str, str]:
        """Options of a write."""
        out = {"fieldManager": manager} if manager else {}
        if self.chance(0.1):
            out["dryRun"] = "All"
        if self.chance(0.2):
            out["fieldValidation"] = self.random.choice(_VALIDATIONS)
        return out

    def add(self, verb: str, manifest: Manifest, body: Any = None, **rest: Any) -> None:
        self.steps.append(Step(verb, manifest, body, **rest))

    # -- requests

    def create(self, *, good: bool = False) -> None:
        self.add("create", self.full(good=good), query={} if good else self.query())

    def apply(self) -> None:
        """All of a manifest, or only what one manager cares for."""
        manager = self.random.choice(["flux", "flux", "helm", "kubectl"])
        if self.chance(0.6):
            manifest = self.full()
        else:
            base = self.named()
            manifest = {key: base[key] for key in ("apiVersion", "kind", "metadata")}
            for _ in range(self.random.choice([1, 2])):
                manifest = objects.with_value(manifest, *self.setting())
        query = self.query(manager)
        if self.chance(0.3):
            query["force"] = self.random.choice(["true", "false"])
        self.add("apply", manifest, query=query)

    def update(self) -> None:
        values = [self.setting() for _ in range(self.random.choice([1, 1, 2]))]
        if self.chance(0.2):
            values.append((("metadata", "resourceVersion"), self.random.choice([None, "1", "x"])))
        if self.chance(0.05):
            values.append((("metadata", "uid"), "00000000-0000-4000-8000-000000000000"))
        if self.chance(0.05):
            values.append((("metadata", "name"), "other"))
        self.add("update", self.named(), Changed(tuple(values)), query=self.query())

    def merge(self) -> None:
        path, value = self.setting()
        body = objects.partial(path, None if self.chance(0.25) else value)
        if any(isinstance(step, Element) for step in path):
            # A merge patch replaces lists: the whole one is sent.
            body = objects.with_value(self._outside(path), path, value)
        if self.chance(0.1):
            body = objects.with_value(body, ("metadata", "resourceVersion"), "1")
        self.add("merge", self.named(), body, query=self.query())

    def _outside(self, path: objects.Path) -> Manifest:
        """The base's first list on the path, and nothing else."""
        until = next(i for i, step in enumerate(path) if isinstance(step, Element))
        node: Any = self.of.base
        for step in path[:until]:
            node = node.get(step) if isinstance(node, dict) else None
        return objects.with_value({}, path[:until], copy.deepcopy(node or []))

    def strategic(self) -> None:
        path, value = self.setting()
        body = objects.partial(path, None if self.chance(0.2) else value)
        if self.chance(0.25):
            body = self._directive(path) or body
        self.add("strategic", self.named(), body, query=self.query())

    def _directive(self, path: objects.Path) -> Manifest | None:
        """A patch that deletes, replaces or orders what stands on the path."""
        until = next((i for i, step in enumerate(path) if isinstance(step, Element)), None)
        if until is None:
            return objects.partial((*path[:-1], "$patch"), self.random.choice(["replace", "delete", "merge", "burn"]))
        element = path[until]
        assert isinstance(element, Element)
        if self.chance(0.5):
            return objects.partial((*path[: until + 1], "$patch"), self.random.choice(["delete", "replace", "burn"]))
        name = path[until - 1]
        body = objects.partial(path, self.setting()[1]) if self.chance(0.3) else {}
        order = [{element.key: element.value}, {element.key: "side"}]
        return objects.with_value(body, (*path[: until - 1], f"$setElementOrder/{name}"), order)

    def json(self) -> None:
        operations = []
        for _ in range(self.random.choice([1, 1, 2])):
            path, value = self.setting()
            at = objects.pointer(path, self.of.base)
            op = self.random.choice(["add", "add", "replace", "remove", "test", "move", "copy", "burn"])
            one: Manifest = {"op": op, "path": at}
            if op in ("add", "replace", "test"):
                one["value"] = value
            elif op in ("move", "copy"):
                one["from"] = objects.pointer(self.setting()[0], self.of.base)
            operations.append(one)
        if self.chance(0.1):
            operations.append(
                {"op": "add", "path": self.random.choice(["", "x", "/spec/-", "/metadata/labels/a~1b"]), "value": {}}
            )
        self.add("json", self.named(), operations, query=self.query())

    def finalizer(self) -> None:
        held = self.random.choice([["example.com/hold"], [], None])
        self.add("merge", self.named(), {"metadata": {"finalizers": held}})

    def delete(self) -> None:
        body: Manifest | None = {}
        if self.chance(0.3):
            body["propagationPolicy"] = self.random.choice([*PROPAGATIONS, "Nothing"])
        if self.chance(0.15):
            body["preconditions"] = {self.random.choice(["uid", "resourceVersion"]): "1"}
        if self.chance(0.1):
            body["dryRun"] = ["All"]
        if self.chance(0.1):
            body["gracePeriodSeconds"] = self.random.choice([0, 5, -1])
        if self.chance(0.05):
            body["orphanDependents"] = self.random.choice([True, False])
        self.add("delete", self.named(), {"apiVersion": "v1", "kind": "DeleteOptions", **body} if body else None)

    def get(self) -> None:
        self.add("get", self.named(), accept=self.random.choice(["", "", "", TABLE, PARTIAL]))

    def status(self) -> None:
        """A write of the status subresource, or of the status where it may not be written."""
        among = self.of.status or [Setting(("status", "x"), [1])]
        path, value = self.setting(among=among)
        subresource = "status" if self.chance(0.85) else ""
        verb = self.random.choice(["merge", "update", "apply"])
        if verb == "update":
            values = [(path, value), *([self.setting(good=True)] if self.chance(0.4) else [])]
            self.add("update", self.named(), Changed(tuple(values)), subresource=subresource)
        elif verb == "apply":
            base = self.named()
            manifest = {key: base[key] for key in ("apiVersion", "kind", "metadata")}
            manifest = objects.with_value(manifest, path, value)
            self.add("apply", manifest, subresource=subresource, query=self.query("status-writer"))
        else:
            body = objects.partial(path, value)
            if self.chance(0.3):
                body = {**objects.partial(*self.setting(good=True)), **body}
            self.add("merge", self.named(), body, subresource=subresource, query=self.query())

    def scale(self) -> None:
        replicas = self.random.choice([0, 1, 3, 3, -1, "x"])
        if self.chance(0.3):
            self.add("get", self.named(), subresource="scale")
        elif self.chance(0.5):
            self.add("merge", self.named(), {"spec": {"replicas": replicas}}, subresource="scale", query=self.query())
        else:
            name = self.named()["metadata"]["name"]
            body = {
                "apiVersion": "autoscaling/v1",
                "kind": "Scale",
                "metadata": {"name": name, "namespace": NAMESPACE},
                "spec": {"replicas": replicas},
            }
            self.add("update", self.named(name), body, subresource="scale")

    def list(self, **query: str) -> None:
        selectors = [
            "team=a",
            "team!=a",
            "team in (a,b)",
            "team",
            "!team",
            "team notin (a),example.com/tier",
            "team==a",
            "a b",
            "team in (",
        ]
        fields = [
            "metadata.name=app",
            "metadata.name!=app",
            f"metadata.namespace={NAMESPACE}",
            "spec.nothing=1",
            "metadata.name=app,metadata.name=web",
            "x",
        ]
        if self.kind in CLUSTER_WIDE:
            # What other sequences made is no part of this one.
            query = {**query, "labelSelector": f"sequence={NAMESPACE}"}
        elif not query:
            if self.chance(0.5):
                query["labelSelector"] = self.random.choice(selectors)
            if self.chance(0.3):
                query["fieldSelector"] = self.random.choice(fields)
            if self.chance(0.1):
                query["resourceVersion"] = self.random.choice(["0", "x", "1"])
            if self.chance(0.1):
                query["resourceVersionMatch"] = self.random.choice(["Exact", "NotOlderThan", "Newest"])
        accept = self.random.choice(["", "", "", TABLE, PARTIAL_LIST])
        self.add("list", self.named(), query=query, accept=accept)

    def write(self) -> None:
        """Some write of the whole object."""
        self.random.choice([self.apply, self.apply, self.update, self.merge, self.json, self.strategic, self.status])()

    def repeat(self, low: int, high: int, *requests: Callable[[], Any]) -> None:
        for _ in range(self.random.randint(low, high)):
            self.random.choice(requests)()
