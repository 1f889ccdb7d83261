"""helm.toolkit.fluxcd.io/v2: HelmRelease, which makes a release what a chart and values say."""

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
    Rule,
    Status,
    Time,
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
    Patch,
)

_STRATEGIES = ["RemediateOnFailure", "RetryOnFailure"]
_CRDS = ["Skip", "Create", "CreateReplace"]
_APPLY_MODES = ["enabled", "disabled", "auto"]

# ---- which chart -----------------------------------------------------------------------------------------------------


class ChartSourceReference(Part, kw_only=True):
    """The source that has the chart."""

    api_version: str | None = None
    """The group and version of the source; source.toolkit.fluxcd.io/v1 when unset."""
    kind: Annotated[str, schema(enum=["HelmRepository", "GitRepository", "Bucket"])]
    """The kind of the source."""
    name: Name253
    """The name of the source."""
    namespace: Name63 | None = None
    """The namespace of the source, where the HelmChart is made too; that of the HelmRelease when unset."""


class ChartReference(Part, kw_only=True):
    """An object whose artifact is the chart."""

    api_version: str | None = None
    """The group and version of the object; source.toolkit.fluxcd.io/v1 when unset."""
    kind: Annotated[str, schema(enum=["OCIRepository", "HelmChart", "ExternalArtifact"])]
    """The kind of the object."""
    name: Name253
    """The name of the object."""
    namespace: Name63 | None = None
    """The namespace of the object; that of the HelmRelease when unset."""


class ChartVerification(Part, kw_only=True):
    """Which signatures the chart must have."""

    provider: Annotated[str, schema(required=True, enum=["cosign", "notation"])] = "cosign"
    """The tool that signed."""
    secret_ref: LocalObjectReference | None = None
    """A Secret with the trusted keys; unset with cosign means keyless."""


class ChartTemplateMetadata(Part, kw_only=True):
    """Labels and annotations of the HelmChart that is made."""

    labels: dict[str, str] = {}
    """Labels to set."""
    annotations: dict[str, str] = {}
    """Annotations to set."""


class ChartTemplateSpec(Part, kw_only=True):
    """The HelmChart to make."""

    chart: Annotated[str, schema(min_length=1, max_length=2048)]
    """The name of the chart in a HelmRepository, or the path to it in the artifact of a GitRepository or Bucket."""
    version: str = "*"
    """A version or a range of versions: the highest in it is taken. Not looked at for GitRepository and Bucket."""
    source_ref: ChartSourceReference
    """The source that has the chart."""
    interval: Interval | None = None
    """How often to look for a new version; the interval of the HelmRelease when unset."""
    reconcile_strategy: Annotated[str, schema(enum=["ChartVersion", "Revision"])] = "ChartVersion"
    """When a chart counts as new: ChartVersion when the version in Chart.yaml changes, Revision also when the source's
    revision does."""
    values_files: list[str] = []
    """Files of the source whose values replace the chart's values.yaml, merged in this order, later ones win."""
    ignore_missing_values_files: bool = False
    """Leave out files of valuesFiles that aren't there, instead of failing."""
    verify: ChartVerification | None = None
    """The signatures to require; none when unset. For charts from a registry only."""


class ChartTemplate(Part, kw_only=True):
    """A HelmChart that is made for this release and deleted with it."""

    metadata: ChartTemplateMetadata | None = None
    """Labels and annotations of the HelmChart."""
    spec: ChartTemplateSpec
    """What the HelmChart says."""


# ---- which values ----------------------------------------------------------------------------------------------------


class ValuesReference(Part, kw_only=True):
    """A ConfigMap or Secret in the same namespace with values."""

    identity: ClassVar[tuple[str, ...]] = ()

    kind: Annotated[str, schema(enum=["Secret", "ConfigMap"])]
    """Secret or ConfigMap."""
    name: Name253
    """The name of the object."""
    values_key: Annotated[str, schema(pattern=r"^[\-._a-zA-Z0-9]+$", max_length=253)] | None = None
    """The key in the object's data; values.yaml when unset. A key that isn't there is an error, unless optional."""
    target_path: Annotated[str, schema(pattern=r"^([a-zA-Z0-9_\-.\\\/]|\[[0-9]{1,5}\])+$", max_length=250)] | None = (
        None
    )
    """Where in the values the data goes as one value, written as helm's --set does: a.b[0].c. When unset, the data is
    YAML to merge at the root."""
    optional: bool = False
    """Go on without it when the object or the key doesn't exist; other errors still count."""
    literal: bool = False
    """With targetPath: take the data as one string, as helm's --set-literal does, commas and braces included."""


# ---- how each action is done -----------------------------------------------------------------------------------------


class InstallStrategy(Part, kw_only=True):
    """What to do when an install fails."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.retryInterval) || self.name != 'RemediateOnFailure'",
            ".retryInterval cannot be set when .name is 'RemediateOnFailure'",
        ),
    )

    name: Annotated[str, schema(enum=_STRATEGIES)]
    """RemediateOnFailure does what remediation says; RetryOnFailure tries again and removes nothing."""
    retry_interval: Interval | None = None
    """How long to wait before the next try; 5m when unset. For RetryOnFailure only."""


class UpgradeStrategy(Part, kw_only=True):
    """What to do when an upgrade fails."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.retryInterval) || self.name == 'RetryOnFailure'",
            ".retryInterval can only be set when .name is 'RetryOnFailure'",
        ),
    )

    name: Annotated[str, schema(enum=_STRATEGIES)]
    """RemediateOnFailure does what remediation says; RetryOnFailure tries again and rolls nothing back."""
    retry_interval: Interval | None = None
    """How long to wait before the next try; 5m when unset. For RetryOnFailure only."""


class InstallRemediation(Part, kw_only=True):
    """How a failed install is made undone: by an uninstall before each new try."""

    retries: int = 0
    """How many more tries after the first one; a negative number for no limit."""
    ignore_test_failures: bool | None = None
    """Don't count a failed test as a failed install; spec.test.ignoreFailures when unset."""
    remediate_last_failure: bool | None = None
    """Uninstall also after the last try; false when unset."""


class UpgradeRemediation(Part, kw_only=True):
    """How a failed upgrade is made undone before each new try."""

    retries: int = 0
    """How many more tries after the first one; a negative number for no limit."""
    ignore_test_failures: bool | None = None
    """Don't count a failed test as a failed upgrade; spec.test.ignoreFailures when unset."""
    remediate_last_failure: bool | None = None
    """Undo also after the last try; when unset, true if there were retries."""
    strategy: Annotated[str, schema(enum=["rollback", "uninstall"])] | None = None
    """rollback (meant when unset) goes back to the last good release, uninstall removes the release."""


class ChartAction(Part, kw_only=True):
    """How the objects of a chart are brought into the cluster."""

    timeout: Interval | None = None
    """How long one operation may take, such as a hook's Job; spec.timeout when unset."""
    disable_take_ownership: bool = False
    """Fail when an object of the chart exists and belongs to something else, instead of taking it over."""
    disable_wait: bool = False
    """Don't wait until the objects are ready."""
    disable_wait_for_jobs: bool = False
    """Don't wait until Jobs have finished."""
    disable_hooks: bool = False
    """Don't run the chart's hooks."""
    disable_open_api_validation: bool = field(default=False, name="disableOpenAPIValidation")
    """Don't check the rendered objects against the cluster's OpenAPI schema."""
    disable_schema_validation: bool = False
    """Don't check the values against the chart's values.schema.json."""


class Install(ChartAction, kw_only=True):
    """How the release is installed."""

    strategy: InstallStrategy | None = None
    """What to do on failure; RemediateOnFailure when unset, or RetryOnFailure where the controller runs with the
    DefaultToRetryOnFailure feature."""
    remediation: InstallRemediation | None = None
    """How a failure is made undone; not at all when unset."""
    replace: bool = False
    """Use the name of a release again that was uninstalled and whose history was kept."""
    skip_crds: bool = field(default=False, name="skipCRDs")
    """Deprecated: say Skip in crds. Install no CRDs."""
    crds: Annotated[str, schema(enum=_CRDS)] | None = None
    """What to do with the chart's crds directory: Skip it, Create what isn't there (meant when unset), or
    CreateReplace what is there too. None is ever deleted."""
    create_namespace: bool = False
    """Create the target namespace when it doesn't exist. Uninstalling leaves it there."""
    server_side_apply: bool | None = None
    """Apply on the server; true when unset, or false where the controller runs with the UseHelm3Defaults feature."""


class Upgrade(ChartAction, kw_only=True):
    """How the release is upgraded."""

    strategy: UpgradeStrategy | None = None
    """What to do on failure; RemediateOnFailure when unset, or RetryOnFailure where the controller runs with the
    DefaultToRetryOnFailure feature."""
    remediation: UpgradeRemediation | None = None
    """How a failure is made undone; not at all when unset."""
    force: bool = False
    """Replace an object that can't be changed in place. Not looked at with server-side apply, which always takes the
    fields over."""
    preserve_values: bool = False
    """Start from the values of the last release instead of the chart's. The outcome then depends on history."""
    cleanup_on_fail: bool = False
    """Delete objects that a failed upgrade created."""
    crds: Annotated[str, schema(enum=_CRDS)] | None = None
    """What to do with the chart's crds directory: Skip it (meant when unset), Create what isn't there, or
    CreateReplace what is there too. None is ever deleted."""
    server_side_apply: Annotated[str, schema(enum=_APPLY_MODES)] | None = None
    """Apply on the server: enabled, disabled, or auto (meant when unset), as the release did before."""
    chart_name_change_strategy: Annotated[str, schema(enum=["InPlaceUpdate", "Reinstall"])] | None = None
    """What to do when the chart has another name than the release's: Reinstall (meant when unset) uninstalls first,
    InPlaceUpdate upgrades."""


class TestFilter(Part, kw_only=True):
    """One test of the chart, to run or not to run."""

    name: Name253
    """The name of the test."""
    exclude: bool = False
    """Leave this test out; otherwise only tests that are named are run."""


class Test(Part, kw_only=True):
    """The chart's tests after an install or upgrade."""

    enable: bool = False
    """Run the tests."""
    timeout: Interval | None = None
    """How long one operation may take; spec.timeout when unset."""
    ignore_failures: bool = False
    """Don't count a failed test as a failed install or upgrade."""
    filters: list[TestFilter] = []
    """Which tests to run; all when empty."""


class Rollback(Part, kw_only=True):
    """How a release is rolled back."""

    timeout: Interval | None = None
    """How long one operation may take; spec.timeout when unset."""
    disable_wait: bool = False
    """Don't wait until the objects are ready."""
    disable_wait_for_jobs: bool = False
    """Don't wait until Jobs have finished."""
    disable_hooks: bool = False
    """Don't run the chart's hooks."""
    recreate: bool = False
    """Deprecated and without effect: Helm no longer restarts pods on a rollback."""
    force: bool = False
    """Replace an object that can't be changed in place. Not looked at with server-side apply."""
    cleanup_on_fail: bool = False
    """Delete objects that a failed rollback created."""
    server_side_apply: Annotated[str, schema(enum=_APPLY_MODES)] | None = None
    """Apply on the server: enabled, disabled, or auto (meant when unset), as the release did before."""


class Uninstall(Part, kw_only=True):
    """How a release is uninstalled."""

    timeout: Interval | None = None
    """How long one operation may take; spec.timeout when unset."""
    disable_hooks: bool = False
    """Don't run the chart's hooks."""
    keep_history: bool = False
    """Keep the release's history, marked as uninstalled."""
    disable_wait: bool = False
    """Don't wait until the objects are gone."""
    deletion_propagation: Annotated[str, schema(enum=["background", "foreground", "orphan"])] = "background"
    """What the API server does with objects that belong to the deleted ones: background and foreground delete them
    after or before, orphan keeps them."""


# ---- the rest of the spec --------------------------------------------------------------------------------------------


class DriftDetection(Part, kw_only=True):
    """What to do when the cluster differs from the release."""

    mode: Annotated[str, schema(enum=["enabled", "warn", "disabled"])] | None = None
    """enabled corrects and tells, warn only tells, disabled (meant when unset) doesn't look."""
    ignore: list[IgnoreRule] = []
    """Differences that don't count."""


class KustomizePostRenderer(Part, kw_only=True):
    """Changes with kustomize."""

    patches: list[Patch] = []
    """Changes to the rendered objects, in this order."""
    images: list[Image] = []
    """Container images to replace."""


class PostRenderer(Part, kw_only=True):
    """A change to what the chart rendered, before it is applied."""

    identity: ClassVar[tuple[str, ...]] = ()

    kustomize: KustomizePostRenderer | None = None
    """Changes with kustomize."""


class WaitStrategy(Part, kw_only=True):
    """How Helm waits until objects are ready."""

    name: Annotated[str, schema(enum=["poller", "legacy"])]
    """poller goes by the objects' status, custom resources included; legacy as Helm 3 did."""


class HelmReleaseSpec(Part, kw_only=True):
    """Which chart, which values, where, and how each action is done."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "(has(self.chart) && !has(self.chartRef)) || (!has(self.chart) && has(self.chartRef))",
            "either chart or chartRef must be set",
        ),
    )

    chart: ChartTemplate | None = None
    """A HelmChart to make for this release. Either this or chartRef."""
    chart_ref: ChartReference | None = None
    """An object whose artifact is the chart. Either this or chart."""
    interval: Interval
    """How often to check the release when nothing else wakes the controller."""
    kube_config: KubeConfigReference | None = None
    """Another cluster to release to; the one that the controller runs in when unset."""
    suspend: bool = False
    """Stop acting on the release. What runs already goes on to its end."""
    release_name: Annotated[str, schema(min_length=1, max_length=53)] | None = None
    """The name of the release; the object's name when unset, with targetNamespace and a dash before it where that is
    set. Longer names are shortened with a hash. Another name means another release."""
    target_namespace: Name63 | None = None
    """The namespace to release to; that of the HelmRelease when unset. Another one means another release."""
    storage_namespace: Name63 | None = None
    """The namespace of the release's Secrets; that of the HelmRelease when unset. Another one means another release."""
    depends_on: list[DependencyReference] = []
    """HelmReleases that have to be ready first. A circle of dependencies never becomes ready."""
    timeout: Interval | None = None
    """How long one operation of an action may take, such as waiting for objects; 5m when unset."""
    max_history: int | None = None
    """How many revisions of the release to keep; 5 when unset, 0 for all."""
    service_account_name: Name253 | None = None
    """The ServiceAccount in the same namespace in whose name everything is applied; that of the controller, or its
    --default-service-account, when unset."""
    persistent_client: bool | None = None
    """Use one client through all actions; true when unset. Say false for a chart whose CRDs appear while a hook
    runs."""
    drift_detection: DriftDetection | None = None
    """What to do when the cluster differs from the release; nothing when unset."""
    install: Install | None = None
    """How to install."""
    upgrade: Upgrade | None = None
    """How to upgrade."""
    test: Test | None = None
    """How to test; not at all when unset."""
    rollback: Rollback | None = None
    """How to roll back."""
    uninstall: Uninstall | None = None
    """How to uninstall."""
    values_from: list[ValuesReference] = []
    """Objects with values: merged in this order, later ones win. Changes to them are seen at once."""
    values: Annotated[Any, schema(preserve_unknown_fields=True)] = None
    """The values: an object. They win over valuesFrom."""
    common_metadata: CommonMetadata | None = None
    """Labels and annotations for every object of the release."""
    post_renderers: list[PostRenderer] = []
    """Changes to what the chart rendered, in this order."""
    post_render_strategy: Annotated[str, schema(enum=["nohooks", "combined", "separate"])] | None = None
    """What post-renderers see: nohooks all but hooks, combined (meant when unset) hooks among the rest, separate hooks
    in a run of their own."""
    wait_strategy: WaitStrategy | None = None
    """How to wait until objects are ready; poller when unset."""
    health_check_exprs: list[HealthCheckExpression] = []
    """How to tell the health of custom resources while an action waits. With the poller only."""


# ---- the status ------------------------------------------------------------------------------------------------------


class TestHookStatus(Part, kw_only=True):
    """How a test went."""

    last_started: Time | None = None
    """When it was last started."""
    last_completed: Time | None = None
    """When it last ended."""
    phase: str | None = None
    """How it ended: Succeeded, Failed, Running, Unknown."""


class Snapshot(Part, kw_only=True):
    """A revision of the release, as it was when the controller was done with it."""

    identity: ClassVar[tuple[str, ...]] = ("namespace", "name", "version")

    api_version: str | None = None
    """How the digest was computed; the first way when unset."""
    digest: str
    """A checksum over the stored release: a release that somebody else touched doesn't match it."""
    name: str
    """The name of the release."""
    namespace: str
    """The namespace of the release."""
    version: int
    """The revision of the release."""
    status: str
    """How the release stands, in Helm's words: deployed, failed, superseded, uninstalled, ..."""
    action: str | None = None
    """What led here: install, upgrade, rollback, uninstall, uninstall-remediation."""
    chart_name: str
    """The name of the chart."""
    chart_version: str
    """The version of the chart."""
    app_version: str | None = None
    """The version of the application, as the chart says it."""
    config_digest: str
    """A checksum over the values."""
    first_deployed: Time
    """When the release was first deployed."""
    last_deployed: Time
    """When this revision was deployed."""
    deleted: Time | None = None
    """When the release was uninstalled."""
    test_hooks: dict[str, TestHookStatus] | None = None
    """The tests that were run, by name. Empty when there were none to run; unset when none were run yet."""
    oci_digest: str | None = None
    """The digest of the OCI artifact that the chart came in."""


class HelmReleaseStatus(Status, kw_only=True):
    """How the release stands."""

    observed_post_renderers_digest: str | None = None
    """A checksum over spec.postRenderers of the last success."""
    observed_common_metadata_digest: str | None = None
    """A checksum over spec.commonMetadata of the last success."""
    last_attempted_generation: Int64 = 0
    """The metadata.generation that was last tried."""
    helm_chart: str | None = None
    """The HelmChart that was made, as namespace/name."""
    storage_namespace: Name63 | None = None
    """The namespace of the release's Secrets."""
    history: list[Snapshot] = []
    """Revisions of the release, newest first: the last good one and those after it."""
    inventory: Inventory | None = None
    """The objects of the release."""
    last_attempted_release_action: Annotated[str, schema(enum=["install", "upgrade"])] | None = None
    """The action that was last tried."""
    last_attempted_release_action_duration: str | None = None
    """How long it took, such as 1.5s."""
    failures: Int64 = 0
    """How many tries failed since the last success or change, of any action."""
    install_failures: Int64 = 0
    """How many installs failed since the last success or change."""
    upgrade_failures: Int64 = 0
    """How many upgrades failed since the last success or change."""
    last_attempted_revision: str | None = None
    """The version of the chart that was last tried."""
    last_attempted_revision_digest: str | None = None
    """The digest of the chart that was last tried, when it came from an OCIRepository."""
    last_attempted_config_digest: str | None = None
    """A checksum over the values that were last tried."""
    last_attempted_values_checksum: str | None = None
    """Deprecated: a checksum over the values, in the form that came before lastAttemptedConfigDigest."""
    last_release_revision: int = 0
    """Deprecated: the revision of the last release; history says it."""
    last_handled_force_at: str | None = None
    """The value of the annotation reconcile.fluxcd.io/forceAt that was last acted on."""
    last_handled_reset_at: str | None = None
    """The value of the annotation reconcile.fluxcd.io/resetAt that was last acted on."""


class HelmRelease(Resource, kw_only=True):
    """Makes a Helm release what a chart and values say."""

    resource: ClassVar[ResourceKind] = ResourceKind(
        group="helm.toolkit.fluxcd.io",
        version="v2",
        kind="HelmRelease",
        plural="helmreleases",
        singular="helmrelease",
        short_names=("hr",),
        categories=("all", "fluxcd", "fluxcd-appliers"),
        columns=(AGE, READY, STATUS),
        annotations=NO_SUBSTITUTION,
    )
    spec: HelmReleaseSpec
    status: Annotated[HelmReleaseStatus, schema(default={"observedGeneration": -1})] = field(
        default_factory=HelmReleaseStatus
    )
