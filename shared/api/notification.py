"""notification.toolkit.fluxcd.io: Provider and Alert (v1beta3) tell people of events, Receiver (v1) hears webhooks."""

# ruff: noqa: RUF012  (msgspec gives each object its own copy of an empty default)
from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import field

from shared.api.meta import (
    AGE,
    NO_SUBSTITUTION,
    READY,
    STATUS,
    Interval,
    LocalObjectReference,
    Part,
    Resource,
    ResourceKind,
    Rule,
    Status,
    Timeout,
    schema,
)
from shared.api.parts import Name253

_GROUP = "notification.toolkit.fluxcd.io"
_CATEGORIES = ("all", "fluxcd", "fluxcd-notifications")

KINDS = [
    "Bucket",
    "GitRepository",
    "Kustomization",
    "HelmRelease",
    "HelmChart",
    "HelmRepository",
    "ImageRepository",
    "ImagePolicy",
    "ImageUpdateAutomation",
    "OCIRepository",
    "ArtifactGenerator",
    "ExternalArtifact",
]
"""The kinds that send events and can be woken by a webhook."""


class CrossNamespaceObjectReference(Part, kw_only=True):
    """Objects of a kind, by name or by labels, in this namespace or another."""

    identity: ClassVar[tuple[str, ...]] = ("kind", "name", "namespace")

    api_version: str | None = None
    """The group and version of the objects; any when unset."""
    kind: Annotated[str, schema(enum=KINDS)]
    """The kind of the objects."""
    name: Name253
    """The name of the object, or * for all of the kind."""
    namespace: Name253 | None = None
    """The namespace of the objects; that of the referring object when unset. Another one is refused where the
    controller runs with --no-cross-namespace-refs."""
    match_labels: dict[str, str] | None = None
    """Labels that an object must have, all of them. Needs the name *."""


# ---- Provider --------------------------------------------------------------------------------------------------------


class ProviderSpec(Part, kw_only=True):
    """Which service to post to, and how."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.type == 'github' || self.type == 'gitlab' || self.type == 'gitea' || self.type == 'bitbucketserver' "
            "|| self.type == 'bitbucket' || self.type == 'azuredevops' || !has(self.commitStatusExpr)",
            "spec.commitStatusExpr is only supported for the 'github', 'gitlab', 'gitea', 'bitbucketserver', "
            "'bitbucket', 'azuredevops' provider types",
        ),
    )

    type: Annotated[
        str,
        schema(
            enum=[
                "slack",
                "discord",
                "msteams",
                "rocket",
                "generic",
                "generic-hmac",
                "github",
                "gitlab",
                "gitea",
                "giteapullrequestcomment",
                "bitbucketserver",
                "bitbucket",
                "azuredevops",
                "googlechat",
                "googlepubsub",
                "webex",
                "sentry",
                "azureeventhub",
                "telegram",
                "lark",
                "matrix",
                "opsgenie",
                "alertmanager",
                "grafana",
                "githubdispatch",
                "githubpullrequestcomment",
                "gitlabmergerequestcomment",
                "pagerduty",
                "datadog",
                "nats",
                "zulip",
                "otel",
                "zoom",
                "incident.io",
            ]
        ),
    ]
    """The service."""
    interval: Interval | None = None
    """Deprecated and not looked at."""
    channel: Annotated[str, schema(max_length=2048)] | None = None
    """The channel, room, topic or environment to post to, where the service has such."""
    username: Annotated[str, schema(max_length=2048)] | None = None
    """The name to post under, where the service lets one choose."""
    address: Annotated[str, schema(max_length=2048)] | None = None
    """The address to post to: for most services a URL, for some a project or a namespace. The Secret's key address
    wins over it; secret URLs belong there."""
    timeout: Timeout | None = None
    """How long one post may take; 15s when unset."""
    proxy: Annotated[str, schema(pattern="^(http|https)://.*$", max_length=2048)] | None = None
    """Deprecated: use proxySecretRef. The address of an HTTP(S) proxy."""
    proxy_secret_ref: LocalObjectReference | None = None
    """A Secret with address, and perhaps username and password, of an HTTP(S) proxy."""
    secret_ref: LocalObjectReference | None = None
    """A Secret with what the service needs to let us in: token, address, password, headers and others."""
    service_account_name: str | None = None
    """A ServiceAccount in the same namespace whose cloud identity logs in; for azureeventhub, azuredevops and
    googlepubsub. Credentials in the Secret beside it are an error."""
    cert_secret_ref: LocalObjectReference | None = None
    """A Secret with ca.crt, and tls.crt with tls.key, for the connection to the service."""
    suspend: bool = False
    """Post nothing. Events that come meanwhile are not posted later."""
    commit_status_expr: str | None = None
    """A CEL expression over event, provider and alert that gives the name of the commit status; for Git services."""


class Provider(Resource, kw_only=True):
    """A service to post events to."""

    resource: ClassVar[ResourceKind] = ResourceKind(
        group=_GROUP,
        version="v1beta3",
        kind="Provider",
        plural="providers",
        singular="provider",
        categories=_CATEGORIES,
        columns=(AGE,),
        status_subresource=False,
        annotations=NO_SUBSTITUTION,
    )
    spec: ProviderSpec


# ---- Alert -----------------------------------------------------------------------------------------------------------


class AlertSpec(Part, kw_only=True):
    """Which events, and where to post them."""

    provider_ref: LocalObjectReference
    """The Provider to post to."""
    event_severity: Annotated[str, schema(enum=["info", "error"])] = "info"
    """The least severity to post: info posts all, error only errors."""
    event_sources: list[CrossNamespaceObjectReference]
    """The objects whose events to post."""
    inclusion_list: list[str] = []
    """Regular expressions (RE2): an event is posted only when one matches its message. Empty posts all."""
    event_metadata: dict[str, str] = {}
    """What to add to each event's metadata, such as the cluster's name. What the event has itself wins."""
    exclusion_list: list[str] = []
    """Regular expressions (RE2): an event is not posted when one matches its message."""
    summary: Annotated[str, schema(max_length=255)] | None = None
    """Deprecated: say it in eventMetadata. A short text to add to each event."""
    suspend: bool = False
    """Post nothing. Events that come meanwhile are not posted later."""


class Alert(Resource, kw_only=True):
    """Posts events of chosen objects to a Provider."""

    resource: ClassVar[ResourceKind] = ResourceKind(
        group=_GROUP,
        version="v1beta3",
        kind="Alert",
        plural="alerts",
        singular="alert",
        categories=_CATEGORIES,
        columns=(AGE,),
        status_subresource=False,
        annotations=NO_SUBSTITUTION,
    )
    spec: AlertSpec


# ---- Receiver --------------------------------------------------------------------------------------------------------


class ReceiverResource(CrossNamespaceObjectReference, kw_only=True):
    """Objects to reconcile when a webhook comes in."""

    filter: str | None = None
    """A CEL expression over res (the object's metadata) and req (the webhook's body), and claims for generic-oidc,
    that says true for an object to reconcile; all when unset. Must hold together with resourceFilter. One that doesn't
    compile makes the Receiver Stalled."""


class OIDCVariable(Part, kw_only=True):
    """A value that validations may use as vars.name."""

    name: str
    """The name; an identifier of CEL."""
    expression: str
    """A CEL expression over claims and the variables before this one."""


class OIDCValidation(Part, kw_only=True):
    """Something that must hold of who sent a webhook."""

    identity: ClassVar[tuple[str, ...]] = ("expression",)

    expression: str
    """A CEL expression over claims and vars that must give true."""
    message: str
    """What to answer when it doesn't."""


class OIDCProvider(Part, kw_only=True):
    """An issuer of tokens to accept."""

    identity: ClassVar[tuple[str, ...]] = ("issuer_url",)

    issuer_url: Annotated[str, schema(pattern="^https?://")] = field(name="issuerURL")
    """The issuer's URL, exactly as the tokens' claim iss has it. Its keys are found from there."""
    audience: str | None = None
    """What the tokens' claim aud must have; notification-controller when unset."""
    variables: list[OIDCVariable] = []
    """Values for the validations, computed in this order."""
    validations: Annotated[list[OIDCValidation], schema(min_items=1)]
    """What must hold of a token's claims, all of it. At least one: a public issuer gives tokens to everybody."""


class ReceiverSpec(Part, kw_only=True):
    """Who sends, how that is proved, and what to reconcile then."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.type != 'generic-oidc' || (has(self.oidcProviders) && size(self.oidcProviders) > 0)",
            "generic-oidc receivers must define at least one oidcProvider",
        ),
        Rule(
            "self.type == 'generic-oidc' || !has(self.oidcProviders) || size(self.oidcProviders) == 0",
            "oidcProviders can only be set when type is generic-oidc",
        ),
        Rule(
            "self.type != 'generic-oidc' || !has(self.secretRef)",
            "secretRef cannot be set when type is generic-oidc",
        ),
        Rule(
            "self.type == 'generic-oidc' || has(self.secretRef)",
            "secretRef is required when type is not generic-oidc",
        ),
    )

    type: Annotated[
        str,
        schema(
            enum=[
                "generic",
                "generic-hmac",
                "generic-oidc",
                "github",
                "gitlab",
                "bitbucket",
                "harbor",
                "dockerhub",
                "quay",
                "gcr",
                "nexus",
                "acr",
                "cdevents",
            ]
        ),
    ]
    """The sender, which decides how a webhook is proved and read."""
    interval: Interval = "10m"
    """How often to check the Secret when nothing else wakes the controller."""
    events: list[str] = []
    """The sender's event types to act on, such as push for github or Push Hook for gitlab; all when empty."""
    resources: list[ReceiverResource]
    """The objects to reconcile when a webhook comes in."""
    resource_filter: str | None = None
    """As filter of a resource, for all of them."""
    secret_ref: LocalObjectReference | None = None
    """A Secret with the key token, which proves the webhook and makes its path secret; for gcr also email and
    audience. Required unless the type is generic-oidc, which must not have it."""
    oidc_providers: Annotated[list[OIDCProvider], schema(list_type="map", list_map_keys=["issuerURL"])] = []
    """The issuers whose tokens to accept. For generic-oidc only, which needs at least one."""
    suspend: bool = False
    """Act on no webhook."""


class ReceiverStatus(Status, kw_only=True):
    """Where webhooks are taken."""

    webhook_path: str | None = None
    """The path to send webhooks to: /hook/ and a hash over token, name and namespace."""


class Receiver(Resource, kw_only=True):
    """Reconciles objects when a webhook comes in."""

    resource: ClassVar[ResourceKind] = ResourceKind(
        group=_GROUP,
        version="v1",
        kind="Receiver",
        plural="receivers",
        singular="receiver",
        categories=_CATEGORIES,
        columns=(AGE, READY, STATUS),
        annotations=NO_SUBSTITUTION,
    )
    spec: ReceiverSpec
    status: Annotated[ReceiverStatus, schema(default={"observedGeneration": -1})] = field(
        default_factory=ReceiverStatus
    )
