"""image.toolkit.fluxcd.io/v1: scan a registry, pick the newest image, write it back to Git."""

# ruff: noqa: RUF012  (msgspec gives each object its own copy of an empty default)
from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import field

from shared.api.meta import (
    AGE,
    NO_SUBSTITUTION,
    READY,
    STATUS,
    Column,
    Interval,
    LocalObjectReference,
    Part,
    Resource,
    ResourceKind,
    Rule,
    Status,
    Time,
    Timeout,
    schema,
)
from shared.api.parts import AccessFrom, LabelSelector, NamespacedObjectReference
from shared.api.source import GitRepositoryRef

_GROUP = "image.toolkit.fluxcd.io"
_CATEGORIES = ("all", "fluxcd", "fluxcd-images")

SIGNATURES = r"^.*\.sig$"
"""Tags that cosign makes for signatures: not images to run."""

# ---- ImageRepository -------------------------------------------------------------------------------------------------


class ImageRepositorySpec(Part, kw_only=True):
    """Which repository to scan for tags, how often, and how to log in."""

    image: str
    """The repository as host/path, without scheme, tag and digest; docker.io when there is no host."""
    interval: Interval
    """How often to scan when nothing else wakes the controller."""
    timeout: Timeout | None = None
    """How long a scan may take; the interval when unset."""
    secret_ref: LocalObjectReference | None = None
    """A Secret of type kubernetes.io/dockerconfigjson in the same namespace."""
    proxy_secret_ref: LocalObjectReference | None = None
    """A Secret with address, and perhaps username and password, of a proxy."""
    service_account_name: Annotated[str, schema(max_length=253)] | None = None
    """A ServiceAccount in the same namespace: its image pull secrets, or its cloud identity, log in."""
    cert_secret_ref: LocalObjectReference | None = None
    """A Secret with ca.crt, and tls.crt with tls.key, for the connection to the registry."""
    suspend: bool = False
    """Stop scanning. What runs already goes on to its end; the tags stay."""
    access_from: AccessFrom | None = None
    """Namespaces whose ImagePolicies may use this object; only its own when unset."""
    exclusion_list: Annotated[list[str], schema(default=[SIGNATURES], max_items=25)] = field(
        default_factory=lambda: [SIGNATURES]
    )
    """Regular expressions (RE2) for tags to leave out. One that doesn't compile makes the object Stalled."""
    provider: Annotated[str, schema(enum=["generic", "aws", "azure", "gcp"])] = "generic"
    """How to log in: generic by secretRef or pull secrets, the others by cloud identity."""
    insecure: bool = False
    """Speak HTTP with the registry, without TLS."""


class ScanResult(Part, kw_only=True):
    """What the last scan found."""

    revision: str | None = None
    """A checksum over the tags: the same tags give the same."""
    tag_count: int
    """How many tags were found and kept."""
    scan_time: Time | None = None
    """When the scan was done."""
    latest_tags: list[str] = []
    """Ten tags for people to look at: the last ones of the alphabet. Not the newest."""


class ImageRepositoryStatus(Status, kw_only=True):
    """What was last found."""

    canonical_image_name: str | None = None
    """The repository's full name: docker.io/library/alpine for alpine."""
    last_scan_result: ScanResult | None = None
    """What the last scan found."""
    observed_exclusion_list: list[str] = []
    """The spec.exclusionList of the last scan."""


class ImageRepository(Resource, kw_only=True):
    """A repository in a container registry: its tags are scanned."""

    resource: ClassVar[ResourceKind] = ResourceKind(
        group=_GROUP,
        version="v1",
        kind="ImageRepository",
        plural="imagerepositories",
        singular="imagerepository",
        short_names=("imgrepo", "imagerepo"),
        categories=_CATEGORIES,
        columns=(
            Column("Image", ".spec.image"),
            Column("Tags", ".status.lastScanResult.tagCount"),
            READY,
            STATUS,
            Column("Last scan", ".status.lastScanResult.scanTime", priority=1),
            AGE,
        ),
    )
    spec: ImageRepositorySpec
    status: Annotated[ImageRepositoryStatus, schema(default={"observedGeneration": -1})] = field(
        default_factory=ImageRepositoryStatus
    )


# ---- ImagePolicy -----------------------------------------------------------------------------------------------------


class SemVerPolicy(Part, kw_only=True):
    """The highest version in a range."""

    range: str
    """The range, such as >=1.0.0 or 1.x. Tags that are no versions don't count."""


class AlphabeticalPolicy(Part, kw_only=True):
    """The last (or first) tag of the alphabet."""

    order: Annotated[str, schema(enum=["asc", "desc"])] = "asc"
    """asc picks the last one (z of a to z), desc the first."""


class NumericalPolicy(Part, kw_only=True):
    """The highest (or lowest) number. A tag that is no number is an error."""

    order: Annotated[str, schema(enum=["asc", "desc"])] = "asc"
    """asc picks the highest number, desc the lowest."""


class ImagePolicyChoice(Part, kw_only=True):
    """How to compare tags. Exactly one is set."""

    semver: SemVerPolicy | None = None
    """By version."""
    alphabetical: AlphabeticalPolicy | None = None
    """By letters."""
    numerical: NumericalPolicy | None = None
    """By number."""


class TagFilter(Part, kw_only=True):
    """Which tags count, and which part of them is compared."""

    pattern: str | None = None
    """A regular expression (RE2) that a tag must match. One that doesn't compile makes the object Stalled."""
    extract: str | None = None
    """What to compare in place of the tag, made of the pattern's groups: $ts or $1. The whole tag when unset."""


class ImageRef(Part, kw_only=True):
    """An image."""

    name: str
    """The repository."""
    tag: str
    """The tag."""
    digest: str | None = None
    """The digest, as sha256:…, where it was asked for."""


class ImagePolicySpec(Part, kw_only=True):
    """Which tags to compare, and how."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.interval) || (has(self.digestReflectionPolicy) && self.digestReflectionPolicy == 'Always')",
            "spec.interval is only accepted when spec.digestReflectionPolicy is set to 'Always'",
        ),
        Rule(
            "has(self.interval) || !has(self.digestReflectionPolicy) || self.digestReflectionPolicy != 'Always'",
            "spec.interval must be set when spec.digestReflectionPolicy is set to 'Always'",
        ),
    )

    image_repository_ref: NamespacedObjectReference
    """The ImageRepository whose tags to compare."""
    policy: ImagePolicyChoice
    """How to compare them."""
    filter_tags: TagFilter | None = None
    """Which of them count; all when unset."""
    digest_reflection_policy: Annotated[str, schema(enum=["Always", "IfNotPresent", "Never"])] = "Never"
    """When to look up the digest of the picked image: Never, IfNotPresent once for each picked tag, Always again and
    again, for tags that move."""
    interval: Interval | None = None
    """How often to look up the digest. Required for Always, and refused otherwise."""
    suspend: bool = False
    """Stop picking. What was picked stays."""


class ImagePolicyStatus(Status, kw_only=True):
    """What was last picked."""

    latest_ref: ImageRef | None = None
    """The image that was picked."""
    observed_previous_ref: ImageRef | None = None
    """The image that was picked before it."""


class ImagePolicy(Resource, kw_only=True):
    """Picks the newest image of an ImageRepository."""

    resource: ClassVar[ResourceKind] = ResourceKind(
        group=_GROUP,
        version="v1",
        kind="ImagePolicy",
        plural="imagepolicies",
        singular="imagepolicy",
        short_names=("imgpol", "imagepol"),
        categories=_CATEGORIES,
        columns=(
            Column("Image", ".status.latestRef.name"),
            Column("Tag", ".status.latestRef.tag"),
            READY,
            STATUS,
            AGE,
        ),
    )
    spec: ImagePolicySpec
    status: Annotated[ImagePolicyStatus, schema(default={"observedGeneration": -1})] = field(
        default_factory=ImagePolicyStatus
    )


# ---- ImageUpdateAutomation -------------------------------------------------------------------------------------------


class GitSourceReference(Part, kw_only=True):
    """The GitRepository to write to."""

    api_version: str | None = None
    """The group and version; source.toolkit.fluxcd.io/v1 when unset."""
    kind: Annotated[str, schema(required=True, enum=["GitRepository"])] = "GitRepository"
    """The kind."""
    name: str
    """The name."""
    namespace: str | None = None
    """The namespace; that of the referring object when unset. Another one is refused where the controller runs with
    --no-cross-namespace-refs."""


class GitCheckout(Part, kw_only=True):
    """What to start from."""

    ref: GitRepositoryRef
    """The commit to check out; a branch to push back to, unless push says otherwise."""


class CommitUser(Part, kw_only=True):
    """Who makes the commits."""

    name: str | None = None
    """The author's name."""
    email: str
    """The author's email address."""


class SigningKey(Part, kw_only=True):
    """What to sign commits with."""

    secret_ref: LocalObjectReference
    """A Secret in the same namespace with the private key: git.asc and perhaps passphrase for gpg, identity and
    perhaps password for ssh."""
    type: Annotated[str, schema(enum=["gpg", "ssh"])] | None = None
    """The kind of the key; gpg when unset."""


class Commit(Part, kw_only=True):
    """How the commits look."""

    author: CommitUser
    """Who makes them."""
    signing_key: SigningKey | None = None
    """What to sign them with; they are not signed when unset."""
    message_template: str | None = None
    """A template of the message over what was changed; Update from image update automation when unset. One that
    doesn't parse makes the object Stalled."""
    message_template_values: dict[str, str] = {}
    """More values for the template, as .Values.name."""


class Push(Part, kw_only=True):
    """Where the commits go."""

    branch: str | None = None
    """The branch to push to; it is made from the checked out commit when it isn't there. The checked out branch when
    unset."""
    refspec: str | None = None
    """A Git refspec to push with, beside the branch where both are set."""
    options: dict[str, str] = {}
    """Push options for the Git server."""


class Git(Part, kw_only=True):
    """How to work with the repository."""

    checkout: GitCheckout | None = None
    """What to start from; the reference of the GitRepository when unset."""
    commit: Commit
    """How the commits look."""
    push: Push | None = None
    """Where the commits go; back to the checked out branch when unset."""


class Update(Part, kw_only=True):
    """Which files to change, and how."""

    strategy: Annotated[str, schema(enum=["Setters"])] = "Setters"
    """Setters changes the scalars that a comment marks with the name of an ImagePolicy, and nothing else."""
    path: str | None = None
    """The directory in the repository to change files below; its root when unset."""


class ImageUpdateAutomationSpec(Part, kw_only=True):
    """Which policies to write back, where, and how."""

    source_ref: GitSourceReference
    """The GitRepository to write to, with its credentials."""
    git: Git | None = None
    """How to work with the repository. Needed: without it nothing can be committed."""
    interval: Interval
    """How often to check the repository when nothing else wakes the controller."""
    policy_selector: LabelSelector | None = None
    """The ImagePolicies in the same namespace to write back; all when unset."""
    update: Annotated[Update, schema(default={"strategy": "Setters"})] = field(default_factory=Update)
    """Which files to change, and how."""
    suspend: bool = False
    """Stop writing. What runs already goes on to its end."""


class ImageUpdateAutomationStatus(Status, kw_only=True):
    """What was last written."""

    last_automation_run_time: Time | None = None
    """When the last run came to its end, with or without a change."""
    last_push_commit: str | None = None
    """The SHA of the last commit that was pushed."""
    last_push_time: Time | None = None
    """When it was pushed."""
    observed_policies: dict[str, ImageRef] = {}
    """The picked images of the last run, by the name of the policy."""
    observed_source_revision: str | None = None
    """The revision of the repository in the last run."""


class ImageUpdateAutomation(Resource, kw_only=True):
    """Writes picked images back to Git."""

    resource: ClassVar[ResourceKind] = ResourceKind(
        group=_GROUP,
        version="v1",
        kind="ImageUpdateAutomation",
        plural="imageupdateautomations",
        singular="imageupdateautomation",
        short_names=("iua", "imgupd", "imgauto"),
        categories=_CATEGORIES,
        columns=(READY, STATUS, Column("Last run", ".status.lastAutomationRunTime", priority=1), AGE),
        annotations=NO_SUBSTITUTION,
    )
    spec: ImageUpdateAutomationSpec
    status: Annotated[ImageUpdateAutomationStatus, schema(default={"observedGeneration": -1})] = field(
        default_factory=ImageUpdateAutomationStatus
    )
