"""One object of a build: its value, and beside it what the engine remembers of its former names.

`value` is the plain tree of dicts and lists; it alone is emitted. An id is a tuple, so sets and dicts can hold it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from shared.text.plain import plain

from .errors import without_passwords
from .scalars import text, untagged
from .schema import Schema

NO_NAMESPACE = "_non_namespaceable_"
"""The namespace under which objects outside of namespaces are compared."""
DEFAULT_NAMESPACE = "default"

INTERNAL = "internal.config.kubernetes.io/"
ORIGIN = "config.kubernetes.io/origin"
TRANSFORMATIONS = "alpha.config.kubernetes.io/transformations"
LOCAL_CONFIG = "config.kubernetes.io/local-config"
MOST_PATCHES = 3
"""Files of patches that the place of an object names."""
_BUILD_ANNOTATIONS = frozenset(
    (
        *(
            INTERNAL + name
            for name in (
                "previousKinds",
                "previousNames",
                "prefixes",
                "suffixes",
                "previousNamespaces",
                "allowNameChange",
                "allowKindChange",
                "refBy",
                "generatorBehavior",
                "needsHashSuffix",
                "path",
                "index",
                "seqindent",
                "id",
                "annotations-migration-resource-id",
            )
        ),
        "config.kubernetes.io/path",
        "config.kubernetes.io/index",
        "config.k8s.io/id",
        "kustomize.config.k8s.io/helm-generated",
    )
)


class Gvk(NamedTuple):
    """Group, version and kind; as a selector, an empty part matches all."""

    group: str = ""
    version: str = ""
    kind: str = ""

    def selected_by(self, selector: Gvk) -> bool:
        return (
            (not selector.kind or selector.kind == self.kind)
            and (not selector.group or selector.group == self.group)
            and (not selector.version or selector.version == self.version)
        )

    def __str__(self) -> str:
        return f"{self.kind or '[noKind]'}.{self.version or '[noVer]'}.{self.group or '[noGrp]'}"


class Id(NamedTuple):
    """What makes an object unique in a build: two objects with equal ids are the same one."""

    group: str
    version: str
    kind: str
    name: str
    namespace: str
    """As compared: NO_NAMESPACE outside of namespaces, "default" when the object names none."""

    def __str__(self) -> str:
        where = {NO_NAMESPACE: "", DEFAULT_NAMESPACE: ""}.get(self.namespace, f" in namespace {self.namespace}")
        return f"{self.kind} {self.name or '(no name)'}{where} ({self.group + '/' if self.group else ''}{self.version})"


def split_api_version(api_version: str) -> tuple[str, str]:
    group, slash, version = api_version.partition("/")
    return (group, version) if slash else ("", api_version)


def effective_namespace(namespace: str, *, cluster: bool) -> str:
    if cluster:
        return NO_NAMESPACE
    return namespace or DEFAULT_NAMESPACE


class Former(NamedTuple):
    """A name that an object had before a step of the build changed it."""

    namespace: str
    name: str
    kind: str


class Shared:
    """An entry that one step put into several mappings of an object: later steps that write one of them write all.

    So it is upstream, where the mappings hold the same node: a label that `commonLabels` of a base made stays the same
    in the object's labels, its selector and its template when a patch, a replacement or another label changes one.
    """

    __slots__ = ("key", "owners", "value")

    def __init__(self, key: str, value: Any, owners: list[dict[str, Any]]) -> None:
        self.key = key
        self.value = value
        self.owners = owners

    def settle(self) -> None:
        """After a step: what it wrote into some of the mappings is written into all that still have the entry."""
        key, old = self.key, self.value
        owners = [owner for owner in self.owners if key in owner]
        written = [owner[key] for owner in owners if owner[key] != old]
        if not written and len(owners) == len(self.owners):
            return
        self.owners = owners
        if written and not isinstance(written[-1], dict | list):
            self.value = written[-1]
            for owner in owners:
                owner[key] = self.value


class Resource:
    """An object on its way through the build."""

    __slots__ = (
        "allow_kind_change",
        "allow_name_change",
        "behavior",
        "files",
        "former",
        "from_helm",
        "line",
        "needs_hash",
        "patches",
        "prefixes",
        "schema",
        "shared",
        "suffixes",
        "value",
        "variables",
    )

    def __init__(self, value: dict[str, Any], schema: Schema, *, files: tuple[str, ...] = (), line: int = 0) -> None:
        self.value: dict[str, Any] = value
        self.schema = schema
        self.files = files
        """The files that it came from and those that changed it are in Build.files; these are the former."""
        self.line = line
        self.patches: tuple[str, ...] = ()
        """The files of the patches that changed it."""
        self.former: list[Former] = []
        self.prefixes: list[str] = []
        self.suffixes: list[str] = []
        self.needs_hash = False
        self.behavior = ""
        self.allow_name_change = False
        self.allow_kind_change = False
        self.from_helm = False
        self.variables: list[str] = []
        self.shared: list[Shared] = []
        """The labels that are one value in several places."""

    def settle(self) -> None:
        """Carry what a step wrote into one place of a shared label to the others."""
        for shared in self.shared:
            shared.settle()

    # The parts of the identity.

    @property
    def file(self) -> str:
        """The file that it came from first; "" when it was made."""
        return self.files[0] if self.files else ""

    @property
    def place(self) -> str:
        """Where it is written: file and line, and the files of patches; "" when it was made."""
        line = f":{self.line}" if self.line and len(self.files) == 1 else ""
        patched = f", patched by {', '.join(self.patches[:MOST_PATCHES])}" if self.patches else ""
        return plain(without_passwords(f"{self.file}{line}{patched}")) if self.file else ""

    def patched_in(self, file: str) -> None:
        """Note a patch of that file; "" for one without."""
        if file and file not in self.patches:
            self.patches = (*self.patches, file)

    @property
    def kind(self) -> str:
        return text(self.value.get("kind"))

    @property
    def api_version(self) -> str:
        return text(self.value.get("apiVersion"))

    @property
    def name(self) -> str:
        meta = self.value.get("metadata")
        return text(meta.get("name")) if isinstance(meta, dict) else ""

    @property
    def namespace(self) -> str:
        meta = self.value.get("metadata")
        return text(meta.get("namespace")) if isinstance(meta, dict) else ""

    @property
    def gvk(self) -> Gvk:
        group, version = split_api_version(self.api_version)
        return Gvk(group, version, self.kind)

    @property
    def cluster_scoped(self) -> bool:
        return self.schema.cluster_scoped(self.api_version, self.kind)

    @property
    def id(self) -> Id:
        """The id as of now."""
        value = self.value
        meta = value.get("metadata")
        api_version, kind = text(value.get("apiVersion")), text(value.get("kind"))
        group, version = split_api_version(api_version)
        if isinstance(meta, dict):
            name, namespace = text(meta.get("name")), text(meta.get("namespace"))
        else:
            name = namespace = ""
        cluster = self.schema.cluster_scoped(api_version, kind)
        return Id(group, version, kind, name, NO_NAMESPACE if cluster else namespace or DEFAULT_NAMESPACE)

    def former_ids(self) -> list[Id]:
        """The ids it had before, oldest first; group and version are always those of now."""
        if not self.former:
            return []
        group, version = split_api_version(self.api_version)
        return [Id(group, version, f.kind, f.name, f.namespace or DEFAULT_NAMESPACE) for f in self.former]

    def all_ids(self) -> list[Id]:
        return [*self.former_ids(), self.id]

    @property
    def original_id(self) -> Id:
        return self.former_ids()[0] if self.former else self.id

    @property
    def original_gvk(self) -> Gvk:
        group, version = split_api_version(self.api_version)
        return Gvk(group, version, self.former[0].kind if self.former else self.kind)

    def remember(self) -> None:
        """Keep the id of now among the former ones; call it before changing a name, a namespace or a kind."""
        now = self.id
        self.former.append(Former(now.namespace, now.name, now.kind))

    # Metadata.

    def metadata(self) -> dict[str, Any]:
        """The `metadata` mapping, made when there is none."""
        meta = self.value.get("metadata")
        if not isinstance(meta, dict):
            meta = self.value["metadata"] = {}
        return meta

    def mapping(self, field: str) -> dict[str, str]:
        """`metadata.labels` or `metadata.annotations` as texts; a copy."""
        meta = self.value.get("metadata")
        found = meta.get(field) if isinstance(meta, dict) else None
        return {key: text(item) for key, item in found.items()} if isinstance(found, dict) else {}

    def set_mapping(self, field: str, values: dict[str, str]) -> None:
        meta = self.metadata()
        if values:
            meta[field] = dict(sorted(values.items()))
        else:
            meta.pop(field, None)

    @property
    def labels(self) -> dict[str, str]:
        return self.mapping("labels")

    @property
    def annotations(self) -> dict[str, str]:
        return self.mapping("annotations")

    def annotation(self, key: str) -> str | None:
        meta = self.value.get("metadata")
        found = meta.get("annotations") if isinstance(meta, dict) else None
        return text(found[key]) if isinstance(found, dict) and key in found else None

    def annotate(self, key: str, value: str) -> None:
        self.set_mapping("annotations", {**self.annotations, key: value})

    def set_name(self, name: str) -> None:
        meta = self.metadata()
        meta["name"] = untagged(meta["name"], name) if "name" in meta else name

    def set_namespace(self, namespace: str) -> None:
        meta = self.metadata()
        if not namespace:
            meta.pop("namespace", None)
        elif "namespace" in meta:
            meta["namespace"] = untagged(meta["namespace"], namespace)
        else:
            meta["namespace"] = namespace

    def finish(self) -> None:
        """Remove what only the build needed from the annotations."""
        self.set_mapping("annotations", {k: v for k, v in self.annotations.items() if k not in _BUILD_ANNOTATIONS})

    def is_empty(self) -> bool:
        return not self.value

    def same_affixes(self, other: Resource, *, lenient: bool) -> bool:
        """Were both given the same last prefixes and suffixes? lenient: having none at all is fine, too."""
        return _same_ending(self.prefixes, other.prefixes, lenient) and _same_ending(
            self.suffixes, other.suffixes, lenient
        )

    def __str__(self) -> str:
        return str(self.id)


def _same_ending(one: list[str], other: list[str], lenient: bool) -> bool:
    if not one or not other:
        return lenient or len(one) == len(other)
    shared = min(len(one), len(other))
    return one[-shared:] == other[-shared:]
