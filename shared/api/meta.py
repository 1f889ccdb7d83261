"""The wire's building bricks: what every kind is made of, and the two notations (duration, time) that values use.

Parts pass through here in both directions: `codec` reads manifests into them and writes them back. What always holds:
a Python name is the wire's name in snake_case; a value stays as it was written (durations and times are strings until
someone needs the number); an absent field has its default; the constraints that the API server enforces stand on the
types as data (`schema(...)`, `rules`, `resource`), and `crd` makes the CustomResourceDefinitions from them. Decoding
enforces types only: an object that an API server let in is never refused for a limit that came later.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from sys import intern
from typing import Annotated, Any, ClassVar

import msgspec

Manifest = dict[str, Any]
"""A plain object as it travels: JSON types only."""

# ---- what stands on the types for the CRD ----------------------------------------------------------------------------

_KEYWORDS = {
    "list_type": "x-kubernetes-list-type",
    "list_map_keys": "x-kubernetes-list-map-keys",
    "map_type": "x-kubernetes-map-type",
    "preserve_unknown_fields": "x-kubernetes-preserve-unknown-fields",
    "int_or_string": "x-kubernetes-int-or-string",
    "any_of": "anyOf",
    "min_length": "minLength",
    "max_length": "maxLength",
    "min_items": "minItems",
    "max_items": "maxItems",
}


def schema(**keywords: Any) -> msgspec.Meta:
    """JSON schema keywords of a field, in snake_case, for the CRD; decoding doesn't enforce them.

    `default` is needed only where the Python default doesn't say it (a false or empty value that the API server fills
    in, an object); `required=True` where a field is required on the wire and yet has a Python default.
    """
    return msgspec.Meta(extra={_KEYWORDS.get(name, name): value for name, value in keywords.items()})


class Rule(msgspec.Struct, frozen=True):
    """A CEL rule that the API server checks on an object when it is written, and what it answers when it is broken."""

    rule: str
    message: str


class Column(msgspec.Struct, frozen=True):
    """A column of `kubectl get`; priority 1 shows it with `-o wide` only."""

    name: str
    path: str
    type: str = "string"
    priority: int = 0


AGE = Column("Age", ".metadata.creationTimestamp", "date")
READY = Column("Ready", '.status.conditions[?(@.type=="Ready")].status')
STATUS = Column("Status", '.status.conditions[?(@.type=="Ready")].message')


class ResourceKind(msgspec.Struct, frozen=True, kw_only=True):
    """What the API server is told of a kind beside its fields."""

    group: str
    version: str
    kind: str
    plural: str
    singular: str
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    status_subresource: bool = True
    annotations: Mapping[str, str] = {}
    """Annotations of the CRD itself."""
    storage: bool = True
    """Is this the version that the API server stores?"""
    deprecation: str | None = None
    """Why the version shouldn't be used any more; None while it should."""

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def list_kind(self) -> str:
        return f"{self.kind}List"

    @property
    def crd_name(self) -> str:
        return f"{self.plural}.{self.group}"


NO_SUBSTITUTION: Mapping[str, str] = {"kustomize.toolkit.fluxcd.io/substitute": "disabled"}
"""Keeps post-build substitution away from a CRD: its descriptions and patterns may contain ${...}."""

# ---- scalars ---------------------------------------------------------------------------------------------------------

Interval = Annotated[str, schema(pattern=r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$")]
"""A duration in ms, s, m and h, such as 90s or 1h30m."""
Timeout = Annotated[str, schema(pattern=r"^([0-9]+(\.[0-9]+)?(ms|s|m))+$")]
"""A duration in ms, s and m: hours are not accepted."""
Time = Annotated[str, schema(format="date-time")]
"""A moment as RFC 3339 writes it, in UTC and whole seconds: 2026-01-31T12:00:00Z."""
Int64 = Annotated[int, schema(format="int64")]

# ---- parts that every kind has ---------------------------------------------------------------------------------------


class Part(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=True, gc=False):
    """A JSON object with known fields. Subclasses say `kw_only=True` again: msgspec applies it to one class only.

    Objects are trees, so the garbage collector needn't look at them; there are tens of thousands."""

    rules: ClassVar[tuple[Rule, ...]] = ()
    """CEL rules over this object."""
    markers: ClassVar[Mapping[str, Any]] = {}
    """More JSON schema keywords of this object, as the wire spells them."""
    identity: ClassVar[tuple[str, ...]] = ("name",)
    """The attributes that tell one item from another in a list of these, when an object is written back."""


def keep_once(part: Part, *attributes: str) -> None:
    """Let objects share the texts that thousands have in common: decoding makes each anew. For use after decoding."""
    for attribute in attributes:
        if text := getattr(part, attribute):
            setattr(part, attribute, intern(text))


def kept_once(texts: Mapping[str, str]) -> dict[str, str]:
    """The same map, its texts shared with others that are equal."""
    return {intern(key): intern(text) for key, text in texts.items()}


class OwnerReference(Part, kw_only=True):
    """The object whose deletion takes this one along."""

    identity: ClassVar[tuple[str, ...]] = ("uid",)
    api_version: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool | None = None
    block_owner_deletion: bool | None = None


class Identity(Part, kw_only=True):
    """What tells an object from others, and a state of it from others."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""

    def __post_init__(self) -> None:
        keep_once(self, "namespace")


class ObjectMeta(Identity, kw_only=True):
    """What the API server keeps of every object: identity, labels, annotations, lifecycle. Without managedFields: they
    are the largest part of many, and no kind of ours asks who wrote what of itself."""

    generate_name: str = ""
    generation: int = 0
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    deletion_grace_period_seconds: int | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    finalizers: list[str] = []
    owner_references: list[OwnerReference] = []


class Condition(Part, kw_only=True):
    """One thing that is known of an object: is it so, since when, why."""

    identity: ClassVar[tuple[str, ...]] = ("type",)

    type: Annotated[
        str,
        schema(
            pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?"
            r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$",
            max_length=316,
        ),
    ]
    """What is said: Ready, Reconciling, Stalled, or a name of the kind's own. An object has each type at most once."""
    status: Annotated[str, schema(enum=["True", "False", "Unknown"])]
    """Is it so: True, False, or Unknown while the controller can't tell."""
    reason: Annotated[
        str,
        schema(required=True, pattern="^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$", min_length=1, max_length=1024),
    ] = ""
    """Why, in one CamelCase word that programs may compare."""
    message: Annotated[str, schema(required=True, max_length=32768)] = ""
    """Why, for people: what happened and what would fix it. May be empty."""
    last_transition_time: Annotated[str, schema(required=True, format="date-time")] = ""
    """When the status last changed from one value to another; the same status for another reason keeps the time."""
    observed_generation: Annotated[int, schema(format="int64", minimum=0)] = 0
    """The metadata.generation that this was said of. Lower than the object's own means: said of an older spec."""

    def __post_init__(self) -> None:
        keep_once(self, "type", "status", "reason", "last_transition_time")


class Reported(Part, kw_only=True):
    """What every status says, whatever the kind."""

    conditions: list[Condition] = []
    """What is known of the object now."""
    last_handled_reconcile_at: str | None = None
    """The value of the annotation reconcile.fluxcd.io/requestedAt that was last acted on."""


class Status(Reported, kw_only=True):
    """The status of a kind that says which spec it is of."""

    observed_generation: Int64 = 0
    """The metadata.generation that was last handled."""


class LocalObjectReference(Part, kw_only=True):
    """An object in the same namespace."""

    name: str
    """The name of the object."""


ORIGIN_REVISION = "org.opencontainers.image.revision"
"""Metadata key of an artifact that names the upstream revision it was made of."""


class Artifact(Part, kw_only=True):
    """A stored tarball (or chart) that a source controller serves to the others."""

    path: str
    """Where the file lies below the storage root: kind/namespace/name/file. Unique for each file."""
    url: str
    """Where to fetch the file over HTTP. Reachable inside the cluster; may move when the controller does."""
    revision: str
    """What the file was made of, readable for people and comparable for programs: main@sha1:…, 6.5.0, sha256:…"""
    digest: Annotated[str, schema(pattern=r"^[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[a-zA-Z0-9=_-]+$")]
    """The checksum of the file's bytes as algorithm:hex. Whoever fetches the file refuses it when this differs."""
    last_update_time: Time
    """When the file was stored."""
    size: Int64 | None = None
    """The number of bytes of the file."""
    metadata: dict[str, str] = {}
    """What the upstream says of the revision, such as the annotations of an OCI image. Not interpreted."""

    def __post_init__(self) -> None:
        keep_once(self, "revision", "digest", "last_update_time")
        self.metadata = kept_once(self.metadata)

    @property
    def origin_revision(self) -> str | None:
        """The upstream revision behind `revision`, such as the Git commit that an OCI artifact was pushed from."""
        return self.metadata.get(ORIGIN_REVISION)

    @property
    def known_by(self) -> tuple[str, str, str]:
        """Digest, revision and address: what tells it from others of its source. The address moves with the server."""
        return self.digest, self.revision, self.url


class Named(Part, kw_only=True):
    """An object with a kind, as far as whoever looks it up must know it. A subclass sets `resource`."""

    resource: ClassVar[ResourceKind]

    api_version: str = ""
    """The group and version of the schema that this object is written in. An unknown one is refused."""
    kind: str = ""
    """What this object is, in CamelCase. Can't be changed."""
    metadata: Identity = msgspec.field(default_factory=Identity)

    def __post_init__(self) -> None:
        # Items of a list come without them, and so do objects made in Python; all others have them in common.
        if self.api_version in ("", self.resource.api_version):
            self.api_version = self.resource.api_version
        if self.kind in ("", self.resource.kind):
            self.kind = self.resource.kind


class Resource(Named, kw_only=True):
    """A whole object. A subclass sets `resource` and has `spec` and, where there is one, `status`."""

    metadata: ObjectMeta = msgspec.field(default_factory=ObjectMeta)


# ---- durations and times ---------------------------------------------------------------------------------------------

_NANOSECONDS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,  # U+00B5 micro sign
    "μs": 1_000,  # U+03BC Greek mu
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_DURATION_TERM = re.compile(r"([0-9]*)(?:\.([0-9]*))?([^0-9.]*)")
_LONGEST = 1 << 63


@lru_cache(maxsize=1024)  # a fleet has a few, and reads each of them several times an attempt
def parse_duration(text: str) -> float:
    """Seconds of a duration in Go's notation: "1h30m", "1.5s", "-250ms", "0".

    A decimal number needs a unit (ns, us or µs, ms, s, m, h), terms add up, a sign stands once in front. ValueError
    names the text and what is wrong with it; what doesn't fit 64 bits of nanoseconds (292 years) is wrong too.
    """
    rest = text
    negative = rest.startswith("-")
    if rest[:1] in ("-", "+"):
        rest = rest[1:]
    if rest == "0":
        return 0.0
    if not rest or len(rest) > 1000:
        raise ValueError(f"invalid duration {text[:80]!r}: write a number and a unit, such as 10m or 1h30m")
    total, position = 0, 0
    while position < len(rest):
        term = _DURATION_TERM.match(rest, position)
        whole, fraction, unit = term.groups() if term else ("", None, "")
        if not whole and not fraction:
            raise ValueError(f"invalid duration {text!r}: a number is missing at {rest[position:]!r}")
        if not unit:
            raise ValueError(f"invalid duration {text!r}: a unit is missing: one of ns, us, ms, s, m, h")
        if unit not in _NANOSECONDS:
            raise ValueError(f"invalid duration {text!r}: unknown unit {unit!r}: use ns, us, ms, s, m or h")
        scale = _NANOSECONDS[unit]
        total += int(whole or "0") * scale
        if fraction:
            total += int(fraction) * scale // 10 ** len(fraction)
        position = term.end() if term else len(rest)
    if total > _LONGEST - (0 if negative else 1):
        raise ValueError(f"invalid duration {text!r}: longer than 292 years")
    return (-total if negative else total) / 1e9


def format_duration(seconds: float) -> str:
    """A duration in Go's notation, exact to the nanosecond: 5400 is "1h30m0s", 1.5 is "1.5s", 0.25 is "250ms"."""
    if not math.isfinite(seconds):
        raise ValueError(f"a duration is a finite number of seconds, not {seconds}")
    nanoseconds = round(seconds * 1e9)
    sign, left = ("-", -nanoseconds) if nanoseconds < 0 else ("", nanoseconds)
    if left == 0:
        return "0s"
    if left < 1_000_000_000:
        unit = "ns" if left < 1_000 else "µs" if left < 1_000_000 else "ms"
        return f"{sign}{_decimal(left, _NANOSECONDS[unit])}{unit}"
    minutes, left = divmod(left, _NANOSECONDS["m"])
    text = f"{_decimal(left, _NANOSECONDS['s'])}s"
    if minutes:
        hours, minutes = divmod(minutes, 60)
        text = f"{hours}h{minutes}m{text}" if hours else f"{minutes}m{text}"
    return sign + text


def _decimal(value: int, scale: int) -> str:
    whole, fraction = divmod(value, scale)
    digits = f"{fraction:0{len(str(scale)) - 1}d}".rstrip("0") if scale > 1 else ""
    return f"{whole}.{digits}" if digits else str(whole)


_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def parse_time(text: str) -> datetime:
    """The moment that RFC 3339 text names, in UTC. Fractions of a second are read (to the microsecond)."""
    if not _RFC3339.fullmatch(text):
        raise ValueError(f"invalid time {text[:80]!r}: write it as 2026-01-31T12:00:00Z")
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError) as problem:
        raise ValueError(f"invalid time {text!r}: {problem}") from problem


def format_time(moment: datetime | float) -> str:
    """RFC 3339 text in UTC and whole seconds (cut, not rounded) of an aware datetime or of Unix seconds."""
    if not isinstance(moment, datetime):
        return _format_second(math.floor(moment))
    if moment.tzinfo is None:
        raise ValueError("a time without a zone names no moment: give an aware datetime")
    return moment.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


@lru_cache(maxsize=16)  # what happens in a second is told with the same text, over and over
def _format_second(unix: int) -> str:
    return format_time(datetime.fromtimestamp(unix, UTC))
