"""Parts that several groups embed: references to other objects, selectors, patches, and the inventory.

Each is written once here; the group's module says in its field's docstring what the part is for.
"""

# ruff: noqa: RUF012  (msgspec gives each object its own copy of an empty default)
from __future__ import annotations

from typing import Annotated, Any, ClassVar

from shared.api.meta import Part, Rule, keep_once, schema

Name253 = Annotated[str, schema(min_length=1, max_length=253)]
Name63 = Annotated[str, schema(min_length=1, max_length=63)]


class NamespacedObjectReference(Part, kw_only=True):
    """An object of a known kind, in this namespace or another."""

    identity: ClassVar[tuple[str, ...]] = ("name", "namespace")

    name: str
    """The name of the object."""
    namespace: str | None = None
    """The namespace of the object; that of the referring object when unset. Another one is refused with AccessDenied
    where the controller runs with --no-cross-namespace-refs."""


class ObjectReference(Part, kw_only=True):
    """An object of any kind, in this namespace or another."""

    identity: ClassVar[tuple[str, ...]] = ("kind", "name", "namespace")

    api_version: str | None = None
    """The group and version of the object; its group's served version when unset."""
    kind: str
    """The kind of the object."""
    name: str
    """The name of the object."""
    namespace: str | None = None
    """The namespace of the object; that of the referring object when unset."""


class SecretKeyReference(Part, kw_only=True):
    """A Secret in the same namespace, and which of its keys."""

    name: str
    """The name of the Secret."""
    key: str | None = None
    """The key in the Secret's data; when unset, the keys value and value.yaml are tried in this order."""


class ConfigMapReference(Part, kw_only=True):
    """A ConfigMap in the same namespace."""

    name: str
    """The name of the ConfigMap."""


class KubeConfigReference(Part, kw_only=True):
    """Where the way to another cluster is written. Exactly one of the two references is set."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.configMapRef) || has(self.secretRef)",
            "exactly one of spec.kubeConfig.configMapRef or spec.kubeConfig.secretRef must be specified",
        ),
        Rule(
            "!has(self.configMapRef) || !has(self.secretRef)",
            "exactly one of spec.kubeConfig.configMapRef or spec.kubeConfig.secretRef must be specified",
        ),
    )

    config_map_ref: ConfigMapReference | None = None
    """A ConfigMap for login without stored secrets. Its data has provider (aws, azure, gcp or generic) and what the
    provider needs: cluster, address, ca.crt, audiences, serviceAccountName."""
    secret_ref: SecretKeyReference | None = None
    """A Secret that holds a whole kubeconfig. The kubeconfig must be complete in itself: files it points to and
    commands it wants to run are refused unless the controller is started to allow them."""


class CommonMetadata(Part, kw_only=True):
    """Labels and annotations that every applied object gets; they win over those the object has itself."""

    annotations: dict[str, str] = {}
    """Annotations to set on every object."""
    labels: dict[str, str] = {}
    """Labels to set on every object. Selectors and pod templates are left alone."""


class DependencyReference(Part, kw_only=True):
    """An object of the same kind that has to be ready first."""

    identity: ClassVar[tuple[str, ...]] = ("name", "namespace")

    name: str
    """The name of the object that comes first."""
    namespace: str | None = None
    """Its namespace; that of the dependent object when unset."""
    ready_expr: str | None = None
    """A CEL expression that says when the dependency is ready: `self` is the dependent object, `dep` the dependency;
    it gives true or false. Replaces the usual check (Ready at the newest generation) unless the controller runs with
    the AdditiveCELDependencyCheck feature, which asks for both. One that doesn't compile makes the object Stalled."""


class HealthCheckExpression(Part, kw_only=True):
    """How to tell the health of the objects of a kind, in CEL. An object's own fields are the variables: metadata,
    spec, status. The first expression that gives true decides, and none means in progress; an expression that fails,
    such as one over a field that isn't there, means not known yet."""

    identity: ClassVar[tuple[str, ...]] = ("api_version", "kind")

    api_version: str
    """The group and version of the objects. Only the group is compared."""
    kind: str | None = None
    """The kind of the objects; all kinds of the group when unset. One with a kind goes before one without."""
    current: str
    """True when the object is what its spec says, and healthy. Asked last."""
    in_progress: str | None = None
    """True while the object is still on its way. Asked first."""
    failed: str | None = None
    """True when the object failed and waiting longer is of no use. Asked second."""


class Selector(Part, kw_only=True):
    """Which objects: all that is set must match; an empty selector matches every object."""

    group: str | None = None
    """An anchored regular expression over the API group."""
    version: str | None = None
    """An anchored regular expression over the API version."""
    kind: str | None = None
    """An anchored regular expression over the kind."""
    name: str | None = None
    """An anchored regular expression over the name."""
    namespace: str | None = None
    """An anchored regular expression over the namespace."""
    label_selector: str | None = None
    """A label selector as kubectl takes it, such as app=web,tier notin (cache)."""
    annotation_selector: str | None = None
    """As labelSelector, over the annotations."""


class Patch(Part, kw_only=True):
    """A change to built objects before they are applied."""

    identity: ClassVar[tuple[str, ...]] = ()

    patch: str
    """YAML text: a strategic merge patch (an object with the fields to change) or a list of JSON 6902 operations."""
    target: Selector | None = None
    """The objects to change. May be unset for a strategic merge patch, which then names its object itself."""


class Image(Part, kw_only=True):
    """A replacement of a container image's name, tag or digest."""

    name: str
    """The image to replace, as the manifests write it, without tag and digest."""
    new_name: str | None = None
    """The name to put in its place; unchanged when unset."""
    new_tag: str | None = None
    """The tag to put in place of the one there; unchanged when unset."""
    digest: str | None = None
    """The digest (sha256:…) to pin. Wins over newTag."""


class IgnoreRule(Part, kw_only=True):
    """Fields that somebody else may own: they are neither corrected nor reported as drift."""

    identity: ClassVar[tuple[str, ...]] = ()

    paths: list[str]
    """JSON pointers (RFC 6901) to the fields, such as /spec/replicas. A ~ in a key is written ~0, a / is ~1."""
    target: Selector | None = None
    """The objects this is for; every object when unset."""


class InventoryEntry(Part, kw_only=True):
    """One applied object."""

    identity: ClassVar[tuple[str, ...]] = ("id",)

    id: str
    """The object as namespace_name_group_kind; the first and third may be empty."""
    v: str
    """The API version it was applied in, without the group."""

    def __post_init__(self) -> None:
        keep_once(self, "v")


class Inventory(Part, kw_only=True):
    """All objects that were applied and not yet removed: what pruning and deletion go by."""

    entries: list[InventoryEntry]
    """One entry an object, in the order they were applied."""


class OIDCIdentityMatch(Part, kw_only=True):
    """Who must have signed, for keyless signatures."""

    identity: ClassVar[tuple[str, ...]] = ()

    issuer: str
    """A regular expression (RE2) over the issuer of the signer's certificate."""
    subject: str
    """A regular expression (RE2) over the subject of the signer's certificate."""


class NamespaceSelector(Part, kw_only=True):
    """Namespaces by their labels."""

    identity: ClassVar[tuple[str, ...]] = ()

    match_labels: dict[str, str] = {}
    """Labels that a namespace must have, all of them. Empty matches every namespace."""


class AccessFrom(Part, kw_only=True):
    """From which namespaces an object may be used."""

    namespace_selectors: list[NamespaceSelector]
    """A namespace may use the object when one of these matches."""


class LabelSelectorRequirement(Part, kw_only=True):
    """One condition over a label."""

    identity: ClassVar[tuple[str, ...]] = ()

    key: str
    """The label."""
    operator: str
    """In, NotIn, Exists or DoesNotExist."""
    values: Annotated[list[str], schema(list_type="atomic")] = []
    """The values that In and NotIn compare with; empty for the others."""


class LabelSelector(Part, kw_only=True):
    """Objects by their labels. Empty selects every object."""

    markers: ClassVar[dict[str, Any]] = {"x-kubernetes-map-type": "atomic"}

    match_expressions: Annotated[list[LabelSelectorRequirement], schema(list_type="atomic")] = []
    """Conditions that must all hold."""
    match_labels: dict[str, str] = {}
    """Labels that an object must have, all of them."""
