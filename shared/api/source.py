"""source.toolkit.fluxcd.io/v1: where artifacts come from; and ArtifactGenerator, which makes new ones from them."""

# ruff: noqa: RUF012  (msgspec gives each object its own copy of an empty default)
from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import field

from shared.api.meta import (
    AGE,
    NO_SUBSTITUTION,
    READY,
    STATUS,
    Artifact,
    Column,
    Condition,
    Interval,
    LocalObjectReference,
    Part,
    Reported,
    Resource,
    ResourceKind,
    Rule,
    Status,
    Timeout,
    schema,
)
from shared.api.parts import AccessFrom, CommonMetadata, ObjectReference, OIDCIdentityMatch

_GROUP = "source.toolkit.fluxcd.io"
_CATEGORIES = ("all", "fluxcd", "fluxcd-sources")

OBSERVED_NOTHING = schema(default={"observedGeneration": -1})
"""A new object's status says that no generation was seen yet: it doesn't look ready to those who wait for it."""

# ---- GitRepository ---------------------------------------------------------------------------------------------------


class GitRepositoryRef(Part, kw_only=True):
    """Which commit. Of several set fields, the first of commit, name, semver, tag, branch decides; the branch then
    only narrows where a commit is looked for. Nothing set means the branch master."""

    branch: str | None = None
    """The branch whose newest commit to take."""
    tag: str | None = None
    """The tag to take."""
    semver: str | None = None
    """A version range such as >=1.2.0 <2.0.0: the highest tag that is in it."""
    name: str | None = None
    """The full name of a reference, such as refs/heads/main or refs/pull/7/head."""
    commit: str | None = None
    """The full SHA of a commit. With a branch, only that branch is fetched, and it must contain the commit."""


class GitRepositoryInclude(Part, kw_only=True):
    """Files of another GitRepository to put into this one's artifact."""

    identity: ClassVar[tuple[str, ...]] = ()

    repository: LocalObjectReference
    """The GitRepository to take files from. This one waits until that one has an artifact."""
    from_path: str | None = None
    """The directory to take from the other artifact; its root when unset."""
    to_path: str | None = None
    """The directory to put it at in this artifact; the name of the repository when unset."""


class GitRepositoryVerification(Part, kw_only=True):
    """Which signatures must be there before a revision becomes an artifact."""

    mode: Annotated[str, schema(enum=["head", "HEAD", "Tag", "TagAndHEAD"])] = "HEAD"
    """What must be signed: HEAD (head means the same) the commit, Tag the tag, TagAndHEAD both. The last two need a
    reference to a tag."""
    secret_ref: LocalObjectReference
    """A Secret with the trusted public keys, one a key of its data: armored OpenPGP, or SSH in authorized_keys
    format."""


class GitRepositorySpec(Part, kw_only=True):
    """Which repository, which commit of it, how often to look."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.serviceAccountName) || (has(self.provider) && (self.provider == 'azure' || "
            "self.provider == 'aws'))",
            "serviceAccountName can only be set when provider is 'azure' or 'aws'",
        ),
    )

    url: Annotated[str, schema(pattern="^(http|https|ssh)://.*$")]
    """The address of the repository: http://, https:// or ssh://. The short form user@host:path is refused; write
    ssh://user@host/path."""
    interval: Interval
    """How often to look for new commits when nothing else wakes the controller, such as 1m or 1h30m."""
    timeout: Timeout = "60s"
    """How long one Git operation may take."""
    ref: GitRepositoryRef | None = None
    """The commit to take; the newest of the branch master when unset."""
    secret_ref: LocalObjectReference | None = None
    """A Secret in the same namespace with credentials: username and password, or bearerToken, for HTTPS, with ca.crt,
    tls.crt and tls.key for the connection; identity and known_hosts (and password of the key) for SSH; githubAppID,
    githubAppInstallationID and githubAppPrivateKey for the provider github."""
    provider: Annotated[str, schema(enum=["generic", "aws", "azure", "github"])] | None = None
    """How to log in: generic by secretRef (meant when unset), aws and azure by the identity of the controller or of
    serviceAccountName, github as a GitHub App."""
    service_account_name: str | None = None
    """A ServiceAccount in the same namespace whose cloud identity logs in. For the providers aws and azure only."""
    verify: GitRepositoryVerification | None = None
    """The signatures to require; none when unset. An unsigned revision is not published: the last good one stays."""
    proxy_secret_ref: LocalObjectReference | None = None
    """A Secret with address, and perhaps username and password, of an HTTP(S) or SOCKS5 proxy."""
    ignore: str | None = None
    """Rules in .gitignore's syntax for files to leave out of the artifact. They replace the built-in ones; those of
    .sourceignore files in the repository are added."""
    suspend: bool = False
    """Stop looking for new commits. What runs already goes on to its end; the artifact stays."""
    recurse_submodules: bool = False
    """Fetch submodules too, with the same credentials."""
    include: list[GitRepositoryInclude] = []
    """Other GitRepositories whose files to include, in this order: later ones overwrite earlier ones."""
    sparse_checkout: list[str] = []
    """The directories to check out; all when empty. A directory that isn't in the repository is an error."""


class GitRepositoryStatus(Status, kw_only=True):
    """What was last seen and stored."""

    artifact: Artifact | None = None
    """The artifact of the last revision that was fetched and passed all checks."""
    included_artifacts: list[Artifact] = []
    """The artifacts that were included, in the order of spec.include."""
    observed_ignore: str | None = None
    """The spec.ignore that the artifact was made with."""
    observed_recurse_submodules: bool = False
    """The spec.recurseSubmodules that the artifact was made with."""
    observed_include: list[GitRepositoryInclude] = []
    """The spec.include that the artifact was made with."""
    observed_sparse_checkout: list[str] = []
    """The spec.sparseCheckout that the artifact was made with."""
    source_verification_mode: str | None = None
    """The spec.verify.mode that the artifact passed; unset when nothing was verified."""


class GitRepository(Resource, kw_only=True):
    """A Git repository: its chosen commit becomes an artifact."""

    resource: ClassVar[ResourceKind] = ResourceKind(
        group=_GROUP,
        version="v1",
        kind="GitRepository",
        plural="gitrepositories",
        singular="gitrepository",
        short_names=("gitrepo",),
        categories=_CATEGORIES,
        columns=(Column("URL", ".spec.url"), AGE, READY, STATUS),
        annotations=NO_SUBSTITUTION,
    )
    spec: GitRepositorySpec
    status: Annotated[GitRepositoryStatus, OBSERVED_NOTHING] = field(default_factory=GitRepositoryStatus)


# ---- OCIRepository ---------------------------------------------------------------------------------------------------


class OCIRepositoryRef(Part, kw_only=True):
    """Which image. Of several set fields, the first of digest, semver, tag decides; nothing set means latest."""

    digest: str | None = None
    """The digest of the manifest, as sha256:…"""
    semver: str | None = None
    """A version range: the highest tag that is in it."""
    semver_filter: str | None = None
    """A regular expression (RE2) that a tag must match before semver looks at it."""
    tag: str | None = None
    """The tag to take."""


class OCILayerSelector(Part, kw_only=True):
    """Which layer of the image becomes the artifact; the first one when nothing is set."""

    media_type: str | None = None
    """The media type of the layer; the first layer that has it is taken."""
    operation: Annotated[str, schema(enum=["extract", "copy"])] | None = None
    """extract (meant when unset) unpacks the layer, a gzipped tarball; copy takes its bytes as they are."""


class ChartVerification(Part, kw_only=True):
    """Which signatures must be there before a chart becomes an artifact."""

    provider: Annotated[str, schema(required=True, enum=["cosign", "notation"])] = "cosign"
    """The tool that signed."""
    secret_ref: LocalObjectReference | None = None
    """A Secret with the trusted keys: *.pub for cosign (unset means keyless), trustpolicy.json and certificates for
    notation."""
    match_oidc_identity: list[OIDCIdentityMatch] = field(default_factory=list, name="matchOIDCIdentity")
    """The signers to accept for keyless cosign signatures: one match is enough. Empty accepts whoever the
    transparency log knows."""


class OCIRepositoryVerification(ChartVerification, kw_only=True):
    """Which signatures must be there before an image becomes an artifact."""

    trusted_root_secret_ref: LocalObjectReference | None = None
    """A Secret with the key trusted_root.json: the Sigstore instance to trust in place of the public one."""


class OCIRepositorySpec(Part, kw_only=True):
    """Which repository in a registry, which image of it, how often to look."""

    url: Annotated[str, schema(pattern="^oci://.*$")]
    """The address as oci://host/path, without tag and digest."""
    ref: OCIRepositoryRef | None = None
    """The image to take; the tag latest when unset."""
    layer_selector: OCILayerSelector | None = None
    """The layer to take; the first when unset."""
    provider: Annotated[str, schema(enum=["generic", "aws", "azure", "gcp"])] = "generic"
    """How to log in: generic by secretRef, or by the service account's pull secrets; the others by the cloud identity
    of the controller or of serviceAccountName."""
    secret_ref: LocalObjectReference | None = None
    """A Secret of type kubernetes.io/dockerconfigjson in the same namespace."""
    verify: OCIRepositoryVerification | None = None
    """The signatures to require; none when unset. An unsigned image is not published: the last good one stays."""
    service_account_name: str | None = None
    """A ServiceAccount in the same namespace: its image pull secrets, or its cloud identity, log in."""
    cert_secret_ref: LocalObjectReference | None = None
    """A Secret with ca.crt, and tls.crt with tls.key, for the connection to the registry."""
    proxy_secret_ref: LocalObjectReference | None = None
    """A Secret with address, and perhaps username and password, of a proxy."""
    interval: Interval
    """How often to look for a new image when nothing else wakes the controller."""
    timeout: Timeout = "60s"
    """How long one operation on the registry may take."""
    ignore: str | None = None
    """Rules in .gitignore's syntax for files to leave out of the artifact. They replace the built-in ones."""
    insecure: bool = False
    """Speak HTTP with the registry, without TLS."""
    suspend: bool = False
    """Stop looking for new images. The artifact stays."""


class OCIRepositoryStatus(Status, kw_only=True):
    """What was last seen and stored."""

    url: str | None = None
    """A link to the newest artifact on the file server."""
    artifact: Artifact | None = None
    """The artifact of the last image that was fetched and passed all checks."""
    observed_ignore: str | None = None
    """The spec.ignore that the artifact was made with."""
    observed_layer_selector: OCILayerSelector | None = None
    """The spec.layerSelector that the artifact was made with."""


class OCIRepository(Resource, kw_only=True):
    """A repository in a container registry: a layer of its chosen image becomes an artifact."""

    resource: ClassVar[ResourceKind] = ResourceKind(
        group=_GROUP,
        version="v1",
        kind="OCIRepository",
        plural="ocirepositories",
        singular="ocirepository",
        short_names=("ocirepo",),
        categories=_CATEGORIES,
        columns=(Column("URL", ".spec.url"), READY, STATUS, AGE),
        annotations=NO_SUBSTITUTION,
    )
    spec: OCIRepositorySpec
    status: Annotated[OCIRepositoryStatus, OBSERVED_NOTHING] = field(default_factory=OCIRepositoryStatus)


# ---- HelmRepository --------------------------------------------------------------------------------------------------


class HelmRepositorySpec(Part, kw_only=True):
    """Where charts are listed, and how to get there."""

    url: Annotated[str, schema(pattern="^(http|https|oci)://.*$")]
    """The address of the directory that has index.yaml, or oci://host/path for a registry (with type oci)."""
    type: Annotated[str, schema(enum=["default", "oci"])] | None = None
    """default (meant when unset) for an index over HTTP, oci for a registry. A registry has no index: such an object
    only holds settings, and has no status."""
    interval: Interval | None = None
    """How often to fetch the index; 1m when unset. Not used with type oci."""
    timeout: Timeout | None = None
    """How long fetching the index, or an operation on the registry, may take; 60s when unset."""
    secret_ref: LocalObjectReference | None = None
    """A Secret with username and password. With type oci it may also be of type kubernetes.io/dockerconfigjson."""
    cert_secret_ref: LocalObjectReference | None = None
    """A Secret with ca.crt, and tls.crt with tls.key, for the connection."""
    pass_credentials: bool = False
    """Send the credentials also to other hosts that the index points to. Only for an index that you trust."""
    provider: Annotated[str, schema(enum=["generic", "aws", "azure", "gcp"])] = "generic"
    """How to log in to a registry: generic by secretRef, the others by cloud identity. With type oci only."""
    insecure: bool = False
    """Speak HTTP with the registry, without TLS. With type oci only."""
    access_from: AccessFrom | None = None
    """Reserved: which namespaces may use this object. Not enforced."""
    suspend: bool = False
    """Stop fetching the index. The artifact stays."""


class HelmRepositoryStatus(Status, kw_only=True):
    """What was last seen and stored."""

    url: str | None = None
    """A link to the newest index on the file server."""
    artifact: Artifact | None = None
    """The last index that was fetched and could be read."""


class HelmRepository(Resource, kw_only=True):
    """A Helm chart repository: its index becomes an artifact."""

    resource: ClassVar[ResourceKind] = ResourceKind(
        group=_GROUP,
        version="v1",
        kind="HelmRepository",
        plural="helmrepositories",
        singular="helmrepository",
        short_names=("helmrepo",),
        categories=_CATEGORIES,
        columns=(Column("URL", ".spec.url"), AGE, READY, STATUS),
        annotations=NO_SUBSTITUTION,
    )
    spec: HelmRepositorySpec
    status: Annotated[HelmRepositoryStatus, OBSERVED_NOTHING] = field(default_factory=HelmRepositoryStatus)


# ---- HelmChart -------------------------------------------------------------------------------------------------------


class LocalHelmChartSourceReference(Part, kw_only=True):
    """The source that has the chart, in the same namespace."""

    api_version: str | None = None
    """The group and version of the source; source.toolkit.fluxcd.io/v1 when unset."""
    kind: Annotated[str, schema(enum=["HelmRepository", "GitRepository", "Bucket"])]
    """The kind of the source."""
    name: str
    """The name of the source."""


class HelmChartSpec(Part, kw_only=True):
    """Which chart, which version of it, from where."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.verify) || self.sourceRef.kind == 'HelmRepository'",
            "spec.verify is only supported when spec.sourceRef.kind is 'HelmRepository'",
        ),
    )

    chart: str
    """The name of the chart in a HelmRepository, or the path to it in the artifact of a GitRepository or Bucket."""
    version: str = "*"
    """A version or a range of versions: the highest in it is taken. From a GitRepository or Bucket the chart is taken
    as it is, and this isn't looked at."""
    source_ref: LocalHelmChartSourceReference
    """The source that has the chart."""
    interval: Interval
    """How often to look for a new version when nothing else wakes the controller."""
    reconcile_strategy: Annotated[str, schema(enum=["ChartVersion", "Revision"])] = "ChartVersion"
    """When to make a new artifact: ChartVersion when the version in Chart.yaml changes, Revision also when the
    source's revision does (the artifact's version then carries it as build metadata)."""
    values_files: list[str] = []
    """Files in the chart, or in the source's artifact, whose values become the chart's values.yaml: merged in this
    order, later ones win. The chart's own values.yaml only counts when it is in the list."""
    ignore_missing_values_files: bool = False
    """Leave out files of valuesFiles that aren't there, instead of failing."""
    suspend: bool = False
    """Stop looking for new versions. The artifact stays."""
    verify: ChartVerification | None = None
    """The signatures to require. For charts from a registry only."""


class HelmChartStatus(Status, kw_only=True):
    """What was last seen and stored."""

    observed_source_artifact_revision: str | None = None
    """The revision of the source's artifact that the chart was taken from."""
    observed_chart_name: str | None = None
    """The name in Chart.yaml of the last chart that was stored."""
    observed_values_files: list[str] = []
    """The values files that the artifact was made with; missing ones that were left out are not among them."""
    url: str | None = None
    """A link to the newest chart on the file server."""
    artifact: Artifact | None = None
    """The last chart that was fetched or packaged and passed all checks."""


class HelmChart(Resource, kw_only=True):
    """A Helm chart: its chosen version becomes an artifact."""

    resource: ClassVar[ResourceKind] = ResourceKind(
        group=_GROUP,
        version="v1",
        kind="HelmChart",
        plural="helmcharts",
        singular="helmchart",
        short_names=("hc",),
        categories=_CATEGORIES,
        columns=(
            Column("Chart", ".spec.chart"),
            Column("Version", ".spec.version"),
            Column("Source Kind", ".spec.sourceRef.kind"),
            Column("Source Name", ".spec.sourceRef.name"),
            AGE,
            READY,
            STATUS,
        ),
        annotations=NO_SUBSTITUTION,
    )
    spec: HelmChartSpec
    status: Annotated[HelmChartStatus, OBSERVED_NOTHING] = field(default_factory=HelmChartStatus)


# ---- Bucket ----------------------------------------------------------------------------------------------------------


class BucketSTS(Part, kw_only=True):
    """A security token service that gives out short-lived credentials for the bucket."""

    provider: Annotated[str, schema(enum=["aws", "ldap"])]
    """Which service: aws for the bucket provider aws, ldap for generic."""
    endpoint: Annotated[str, schema(pattern="^(http|https)://.*$")]
    """The address of the service, with http:// or https://."""
    secret_ref: LocalObjectReference | None = None
    """A Secret with username and password for the service. For ldap only."""
    cert_secret_ref: LocalObjectReference | None = None
    """A Secret with ca.crt, and tls.crt with tls.key, for the connection to the service. For ldap only."""


class BucketSpec(Part, kw_only=True):
    """Which bucket, which objects of it, how often to look."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.provider == 'aws' || self.provider == 'generic' || !has(self.sts)",
            "STS configuration is only supported for the 'aws' and 'generic' Bucket providers",
        ),
        Rule(
            "self.provider != 'aws' || !has(self.sts) || self.sts.provider == 'aws'",
            "'aws' is the only supported STS provider for the 'aws' Bucket provider",
        ),
        Rule(
            "self.provider != 'generic' || !has(self.sts) || self.sts.provider == 'ldap'",
            "'ldap' is the only supported STS provider for the 'generic' Bucket provider",
        ),
        Rule(
            "!has(self.sts) || self.sts.provider != 'aws' || !has(self.sts.secretRef)",
            "spec.sts.secretRef is not required for the 'aws' STS provider",
        ),
        Rule(
            "!has(self.sts) || self.sts.provider != 'aws' || !has(self.sts.certSecretRef)",
            "spec.sts.certSecretRef is not required for the 'aws' STS provider",
        ),
        Rule(
            "self.provider != 'generic' || !has(self.serviceAccountName)",
            "ServiceAccountName is not supported for the 'generic' Bucket provider",
        ),
        Rule(
            "!has(self.secretRef) || !has(self.serviceAccountName)",
            "cannot set both .spec.secretRef and .spec.serviceAccountName",
        ),
    )

    provider: Annotated[str, schema(enum=["generic", "aws", "gcp", "azure"])] = "generic"
    """The kind of object store: generic for what speaks S3, aws for S3 itself, gcp for Google Cloud Storage, azure for
    Blob Storage."""
    bucket_name: str
    """The name of the bucket; for azure, of the container."""
    endpoint: str
    """The host (and port) of the store, without scheme; for azure, the URL of the account."""
    sts: BucketSTS | None = None
    """A service to get credentials from; for the providers aws and generic."""
    insecure: bool = False
    """Speak HTTP with the store, without TLS."""
    region: str | None = None
    """The region of the bucket, where the store has regions."""
    prefix: str | None = None
    """Take only objects whose key starts with this."""
    secret_ref: LocalObjectReference | None = None
    """A Secret with credentials: accesskey and secretkey; for gcp serviceaccount; for azure accountKey, sasKey, or a
    service principal."""
    service_account_name: str | None = None
    """A ServiceAccount in the same namespace whose cloud identity logs in. Not for generic, and not beside
    secretRef."""
    cert_secret_ref: LocalObjectReference | None = None
    """A Secret with ca.crt, and tls.crt with tls.key, for the connection. For generic only."""
    proxy_secret_ref: LocalObjectReference | None = None
    """A Secret with address, and perhaps username and password, of a proxy."""
    interval: Interval
    """How often to look for changed objects when nothing else wakes the controller."""
    timeout: Timeout = "60s"
    """How long fetching the bucket may take."""
    ignore: str | None = None
    """Rules in .gitignore's syntax for objects to leave out of the artifact. They replace the built-in ones; those of
    a .sourceignore object at the root are added."""
    suspend: bool = False
    """Stop looking for changed objects. The artifact stays."""


class BucketStatus(Status, kw_only=True):
    """What was last seen and stored."""

    url: str | None = None
    """A link to the newest artifact on the file server."""
    artifact: Artifact | None = None
    """The artifact of the objects as they were last fetched."""
    observed_ignore: str | None = None
    """The spec.ignore that the artifact was made with."""


class Bucket(Resource, kw_only=True):
    """A bucket of an object store: its objects become the files of an artifact."""

    resource: ClassVar[ResourceKind] = ResourceKind(
        group=_GROUP,
        version="v1",
        kind="Bucket",
        plural="buckets",
        singular="bucket",
        categories=_CATEGORIES,
        columns=(Column("Endpoint", ".spec.endpoint"), AGE, READY, STATUS),
        annotations=NO_SUBSTITUTION,
    )
    spec: BucketSpec
    status: Annotated[BucketStatus, OBSERVED_NOTHING] = field(default_factory=BucketStatus)


# ---- ExternalArtifact ------------------------------------------------------------------------------------------------


class ExternalArtifactSpec(Part, kw_only=True):
    """Who makes the artifact."""

    source_ref: ObjectReference | None = None
    """The object that the artifact was made for, for people and tools to follow; its controller writes the status."""


class ExternalArtifactStatus(Part, kw_only=True):
    """Written by the controller that makes the artifact."""

    artifact: Artifact | None = None
    """The artifact to use."""
    conditions: list[Condition] = []
    """What is known of the object now. Ready has to be True before the artifact is used."""


class ExternalArtifact(Resource, kw_only=True):
    """An artifact that a controller outside of this toolkit makes and serves."""

    resource: ClassVar[ResourceKind] = ResourceKind(
        group=_GROUP,
        version="v1",
        kind="ExternalArtifact",
        plural="externalartifacts",
        singular="externalartifact",
        short_names=("ea",),
        categories=_CATEGORIES,
        columns=(AGE, READY, STATUS, Column("Source", ".spec.sourceRef.name")),
        annotations=NO_SUBSTITUTION,
    )
    spec: ExternalArtifactSpec = field(default_factory=ExternalArtifactSpec)
    status: ExternalArtifactStatus = field(default_factory=ExternalArtifactStatus)


# ---- ArtifactGenerator -----------------------------------------------------------------------------------------------

_ALIAS = "([a-z0-9]([a-z0-9_-]*[a-z0-9])?)"
_SEGMENT = "([^/]{0,1}|[^./][^/]|[.][^./]|[^/]{3,})"  # a path segment that isn't ..


class GeneratorSource(Part, kw_only=True):
    """A source whose artifact to take files from."""

    identity: ClassVar[tuple[str, ...]] = ("alias",)

    alias: Annotated[str, schema(pattern=f"^{_ALIAS[1:-1]}$", max_length=63)]
    """The name that the source has in this object, as @alias. Each alias stands for one source."""
    kind: Annotated[str, schema(enum=["Bucket", "GitRepository", "OCIRepository", "HelmChart", "ExternalArtifact"])]
    """The kind of the source."""
    name: Annotated[str, schema(pattern="^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", max_length=253)]
    """The name of the source."""
    namespace: Annotated[str, schema(pattern="^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", min_length=1, max_length=63)] | None = (
        None
    )
    """The namespace of the source; that of this object when unset."""


class CopyOperation(Part, kw_only=True):
    """One step of putting an artifact together."""

    identity: ClassVar[tuple[str, ...]] = ()

    from_: Annotated[str, schema(pattern=f"^@{_ALIAS}/(.*)$", min_length=1, max_length=1024)] = field(name="from")
    """What to copy, as @alias/path; the path may have wildcards, ** among them."""
    to: Annotated[str, schema(pattern=f"^@artifact/{_SEGMENT}(/{_SEGMENT})*$", min_length=1, max_length=1024)]
    """Where to copy it, as @artifact/path. A path that ends with / is a directory."""
    exclude: Annotated[list[Annotated[str, schema(max_length=1024)]], schema(max_items=100)] = []
    """Wildcard patterns of files to leave out."""
    strategy: Annotated[str, schema(enum=["Overwrite", "Merge", "Extract"])] | None = None
    """What to do: Overwrite (meant when unset) replaces a file that is there, Merge merges YAML into it, Extract
    unpacks a tarball."""


class GeneratedArtifact(Part, kw_only=True):
    """An ExternalArtifact to make."""

    name: Annotated[str, schema(min_length=1, max_length=253)]
    """The name of the ExternalArtifact, in the namespace of this object. With pathPattern, a template over what the
    pattern captured."""
    copy: Annotated[list[CopyOperation], schema(min_items=1)]
    """What goes into the artifact, in this order."""
    revision: Annotated[str, schema(pattern=f"^@{_ALIAS}$", max_length=64)] | None = None
    """The source, as @alias, whose revision the artifact gets; a digest of the content when unset."""
    origin_revision: Annotated[str, schema(pattern=f"^@{_ALIAS}$", max_length=64)] | None = None
    """The source, as @alias, whose origin revision (such as the Git commit behind an OCI image) is passed on."""


class ArtifactGeneratorSpec(Part, kw_only=True):
    """Which sources, and which artifacts to make from them."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.pathPattern) && size(self.pathPattern) > 0 || self.artifacts.all(a, "
            "a.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$'))",
            "artifact names must be valid Kubernetes object names when pathPattern is not set",
        ),
    )

    sources: Annotated[list[GeneratorSource], schema(min_items=1, max_items=1000)]
    """The sources to take files from."""
    artifacts: Annotated[list[GeneratedArtifact], schema(min_items=1, max_items=1000)]
    """The artifacts to make."""
    path_pattern: Annotated[str, schema(pattern=f"^@{_ALIAS}/(.*)$", max_length=1024)] | None = None
    """A pattern over paths of one source, as @alias/path with {name} captures: the artifacts are made once for each
    directory that matches."""
    common_metadata: CommonMetadata | None = None
    """Labels and annotations for every ExternalArtifact that is made."""


class GeneratorInventoryEntry(Part, kw_only=True):
    """An ExternalArtifact that was made."""

    identity: ClassVar[tuple[str, ...]] = ("namespace", "name")

    name: str
    """Its name."""
    namespace: str
    """Its namespace."""
    digest: str
    """The digest of its stored file."""
    filename: str
    """The name of its stored file."""


class ArtifactGeneratorStatus(Reported, kw_only=True):
    """What was last made."""

    inventory: list[GeneratorInventoryEntry] = []
    """The ExternalArtifacts that were made and are still wanted."""
    observed_sources_digest: str | None = None
    """A digest over the revisions of all sources: nothing is made while it stays the same."""


class ArtifactGenerator(Resource, kw_only=True):
    """Puts new artifacts together from files of several sources."""

    resource: ClassVar[ResourceKind] = ResourceKind(
        group="source.extensions.fluxcd.io",
        version="v1beta1",
        kind="ArtifactGenerator",
        plural="artifactgenerators",
        singular="artifactgenerator",
        short_names=("ag",),
        categories=_CATEGORIES,
        columns=(AGE, READY, STATUS),
        annotations=NO_SUBSTITUTION,
    )
    spec: ArtifactGeneratorSpec
    status: ArtifactGeneratorStatus = field(default_factory=ArtifactGeneratorStatus)
