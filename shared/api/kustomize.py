"""kustomize.toolkit.fluxcd.io/v1: Kustomization, which makes a cluster what a path of an artifact says."""

# ruff: noqa: RUF012  (msgspec gives each object its own copy of an empty default)
from __future__ import annotations

from typing import Annotated, Any, ClassVar

from msgspec import field

from shared.api.meta import (
    AGE,
    NO_SUBSTITUTION,
    READY,
    STATUS,
    Int64,
    Interval,
    LocalObjectReference,
    Part,
    Resource,
    ResourceKind,
    Status,
    Time,
    keep_once,
    kept_once,
    schema,
)
from shared.api.parts import (
    CommonMetadata,
    DependencyReference,
    HealthCheckExpression,
    IgnoreRule,
    Image,
    Inventory,
    KubeConfigReference,
    Name63,
    Name253,
    ObjectReference,
    Patch,
)

AFFIX: dict[str, Any] = {"min_length": 1, "max_length": 200}


class CrossNamespaceSourceReference(Part, kw_only=True):
    """A source, in this namespace or another."""

    api_version: str | None = None
    """The group and version of the source; source.toolkit.fluxcd.io/v1 when unset."""
    kind: Annotated[str, schema(enum=["OCIRepository", "GitRepository", "Bucket", "ExternalArtifact"])]
    """The kind of the source."""
    name: str
    """The name of the source."""
    namespace: str | None = None
    """The namespace of the source; that of the Kustomization when unset. Another one is refused with AccessDenied
    where the controller runs with --no-cross-namespace-refs."""

    def __post_init__(self) -> None:
        keep_once(self, "kind")


class Decryption(Part, kw_only=True):
    """How to read encrypted files and Secrets."""

    provider: Annotated[str, schema(enum=["sops"])]
    """The tool they were encrypted with: sops."""
    secret_ref: LocalObjectReference | None = None
    """A Secret with the private keys: *.asc for OpenPGP, *.agekey for age, sops.vault-token, and the cloud services'
    sops.aws-kms, sops.azure-kv, sops.gcp-kms."""
    service_account_name: str | None = None
    """A ServiceAccount in the same namespace whose cloud identity may use the key service."""


class SubstituteReference(Part, kw_only=True):
    """A ConfigMap or Secret in the same namespace whose data are variables."""

    identity: ClassVar[tuple[str, ...]] = ("kind", "name")

    kind: Annotated[str, schema(enum=["Secret", "ConfigMap"])]
    """Secret or ConfigMap."""
    name: Name253
    """The name of the object."""
    optional: Annotated[bool, schema(default=False)] = False
    """Go on without it when it doesn't exist; otherwise that is an error."""


class PostBuild(Part, kw_only=True):
    """Variables to fill in after the build, wherever a manifest has ${name} or one of its forms with a default or a
    function. Objects with the label or annotation kustomize.toolkit.fluxcd.io/substitute: disabled are left alone."""

    substitute: dict[str, str] = {}
    """Variables and their values. A name has letters, digits and _, and doesn't start with a digit; another one is an
    error. These win over substituteFrom."""
    substitute_from: list[SubstituteReference] = []
    """Objects to take more variables from; later ones win."""
    substitute_strategy: Annotated[str, schema(enum=["WithVariables", "Always"])] | None = None
    """WithVariables (meant when unset) leaves manifests alone when there is no variable at all; Always goes through
    them even then, so that defaults are filled in and $${…} is unescaped."""


class DriftDetection(Part, kw_only=True):
    """What to do when applied objects were changed or deleted in the cluster."""

    mode: Annotated[str, schema(enum=["enabled", "warn", "disabled"])] | None = None
    """enabled (meant when unset) corrects at once, warn tells who changed what and leaves it, disabled doesn't look.
    An object's label or annotation kustomize.toolkit.fluxcd.io/driftDetection says it for that object. Whatever the
    mode, an object is applied when the source changes it."""
    ignore: list[IgnoreRule] = []
    """Fields of applied objects that others may own, as well as those of spec.ignore."""


class PrunePolicy(Part, kw_only=True):
    """How much may be deleted without asking."""

    max_delete: (
        Annotated[
            Any,
            schema(
                any_of=[{"type": "integer"}, {"type": "string"}],
                int_or_string=True,
                minimum=0,
                pattern="^([0-9]+|[0-9]{1,2}%|100%)$",
            ),
        ]
        | None
    ) = None
    """So many objects, such as 10, or such a part of all that were applied, such as 25%, may be deleted at once because
    the source doesn't have them any more; when there are more, none is, until it is confirmed. No limit when unset."""


class KustomizationSpec(Part, kw_only=True):
    """What to build, where to apply it, and when that counts as done."""

    common_metadata: CommonMetadata | None = None
    """Labels and annotations for every applied object."""
    depends_on: list[DependencyReference] = []
    """Kustomizations that have to be ready first. A circle of dependencies never becomes ready."""
    decryption: Decryption | None = None
    """How to decrypt; encrypted Secrets are applied as they are when unset, and the API server refuses them."""
    interval: Interval
    """How often to check the cluster against the source when nothing else wakes the controller."""
    retry_interval: Interval | None = None
    """How long to wait after a failure; the interval when unset."""
    kube_config: KubeConfigReference | None = None
    """Another cluster to apply to; the one that the controller runs in when unset."""
    path: str | None = None
    """The directory in the artifact to build from, relative to its root; the root when unset. When it has no
    kustomization.yaml, one is made of all manifests below it."""
    post_build: PostBuild | None = None
    """Variables to fill in after the build."""
    prune: bool
    """Delete what was applied once the source no longer has it. Objects with the annotation or label
    kustomize.toolkit.fluxcd.io/prune: disabled are kept."""
    prune_policy: PrunePolicy | None = None
    """Holds large deletions until they are confirmed. When the source says that nothing is to be applied any more,
    deleting everything has to be confirmed in any case."""
    deletion_policy: Annotated[str, schema(enum=["MirrorPrune", "Delete", "WaitForTermination", "Orphan"])] | None = (
        None
    )
    """What happens to the applied objects when the Kustomization is deleted: MirrorPrune (meant when unset) deletes
    them when prune is true, Delete always does, WaitForTermination also waits until they are gone, Orphan keeps
    them."""
    health_checks: list[ObjectReference] = []
    """Objects to wait for. They need not be among the applied ones. Not looked at when wait is true."""
    health_check_exprs: list[HealthCheckExpression] = []
    """How to tell the health of custom resources whose conditions don't say it."""
    name_prefix: Annotated[str, schema(**AFFIX)] | None = None
    """Text to put before the name of every object."""
    name_suffix: Annotated[str, schema(**AFFIX)] | None = None
    """Text to put after the name of every object."""
    patches: list[Patch] = []
    """Changes to the built objects, in this order."""
    ignore: list[IgnoreRule] = []
    """Fields of applied objects that others may own: neither set on an existing object nor corrected."""
    drift_detection: DriftDetection | None = None
    """What to do when applied objects were changed in the cluster; they are corrected when unset."""
    images: list[Image] = []
    """Container images to replace."""
    service_account_name: str | None = None
    """The ServiceAccount in the same namespace in whose name everything is applied; that of the controller, or its
    --default-service-account, when unset."""
    source_ref: CrossNamespaceSourceReference
    """The source whose artifact to build from. A new artifact is applied at once."""
    suspend: bool = False
    """Stop applying, correcting drift and pruning. What runs already goes on to its end."""
    target_namespace: Name63 | None = None
    """The namespace for every namespaced object, in place of its own. It has to exist, or be among the objects."""
    timeout: Interval | None = None
    """How long building, applying and waiting may take together; the interval when unset."""
    force: Annotated[bool, schema(default=False)] = False
    """Delete and create again an object whose immutable field has to change. Its data may be lost with it. The
    annotation kustomize.toolkit.fluxcd.io/force: enabled says so for one object only."""
    wait: bool = False
    """Wait until every applied object is healthy. healthChecks are not looked at then."""
    components: list[str] = []
    """Directories with kustomize components to build in, relative to path."""
    ignore_missing_components: bool = False
    """Leave out components that aren't in the artifact, instead of failing."""
    build_metadata: list[Annotated[str, schema(enum=["originAnnotations", "transformerAnnotations"])]] = []
    """What the build notes on each object: originAnnotations the file it came from, transformerAnnotations what
    changed it."""

    def __post_init__(self) -> None:
        keep_once(self, "interval", "retry_interval", "timeout", "path", "service_account_name", "target_namespace")


class Snapshot(Part, kw_only=True):
    """A content that was reconciled, once or many times in a row."""

    identity: ClassVar[tuple[str, ...]] = ("digest", "last_reconciled_status")

    digest: str
    """The digest of the built objects, as sha256:…"""
    first_reconciled: Time
    """When this content was first reconciled."""
    last_reconciled: Time
    """When this content was last reconciled."""
    last_reconciled_duration: str
    """How long that took, such as 1.5s."""
    last_reconciled_status: str
    """The reason that Ready had after it."""
    total_reconciliations: Int64
    """How often it was reconciled."""
    metadata: dict[str, str] = {}
    """More of the content, such as its revision."""

    def __post_init__(self) -> None:
        keep_once(self, "digest", "first_reconciled", "last_reconciled", "last_reconciled_status")
        self.metadata = kept_once(self.metadata)


class DriftedField(Part, kw_only=True):
    """A field that isn't as it was applied. Values are JSON, shortened; they are ***** where they may be secret."""

    identity: ClassVar[tuple[str, ...]] = ("path",)

    path: str
    """Where, such as .spec.replicas."""
    desired: str | None = None
    """What the source says; nothing when unset."""
    last_applied: str | None = None
    """What was applied last; nothing when unset."""
    live: str | None = None
    """What the cluster has; nothing when unset."""
    manager: str | None = None
    """The field manager that wrote it last, as far as the cluster knows."""
    operation: str | None = None
    """How: Apply or Update."""
    time: str | None = None
    """When."""


class DriftedObject(Part, kw_only=True):
    """An applied object that was changed or deleted in the cluster, and is left so."""

    identity: ClassVar[tuple[str, ...]] = ("id",)

    id: str
    """The object as namespace_name_group_kind, as in the inventory."""
    v: str
    """Its API version, without the group."""
    change: str
    """changed or deleted."""
    fields: list[DriftedField] = []
    """Which fields; ten at most."""
    more_fields: Int64 | None = None
    """How many fields differ beside these."""


class KustomizationStatus(Status, kw_only=True):
    """What was last applied."""

    last_applied_revision: str | None = None
    """The revision of the source that was last applied, and found healthy where that was asked for."""
    last_applied_origin_revision: str | None = None
    """The revision behind it, such as the Git commit that an OCI image was made of, where the artifact says it."""
    last_attempted_revision: str | None = None
    """The revision of the source that was last tried."""
    inventory: Inventory | None = None
    """The objects that were applied and not yet removed."""
    drift: list[DriftedObject] = []
    """The objects that have drifted and are left so, where the mode is warn; twenty at most."""
    history: list[Snapshot] = []
    """What was reconciled, newest first; five at most."""

    def __post_init__(self) -> None:
        keep_once(self, "last_applied_revision", "last_applied_origin_revision", "last_attempted_revision")


class Kustomization(Resource, kw_only=True):
    """Makes a cluster what a path of a source says."""

    resource: ClassVar[ResourceKind] = ResourceKind(
        group="kustomize.toolkit.fluxcd.io",
        version="v1",
        kind="Kustomization",
        plural="kustomizations",
        singular="kustomization",
        short_names=("ks",),
        categories=("all", "fluxcd", "fluxcd-appliers"),
        columns=(AGE, READY, STATUS),
        annotations=NO_SUBSTITUTION,
    )
    spec: KustomizationSpec
    status: Annotated[KustomizationStatus, schema(default={"observedGeneration": -1})] = field(
        default_factory=KustomizationStatus
    )
