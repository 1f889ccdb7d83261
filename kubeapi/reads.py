"""Lists and watches: which objects, at which resourceVersion, page by page or change by change."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from kubeapi import selectors
from kubeapi.errors import Cause, StatusError, bad_request, expired, invalid
from kubeapi.resources import Resource
from kubeapi.store import Change, Entry

if TYPE_CHECKING:
    from kubeapi.cluster import Cluster

Manifest = dict[str, Any]

_VERSION = re.compile("[0-9]{1,19}")
INITIAL_EVENTS_END = "k8s.io/initial-events-end"


class Filter:
    """The selectors of a list or watch."""

    __slots__ = ("cluster", "fields", "labels", "names_only", "namespace", "resource", "text")

    def __init__(self, cluster: Cluster, resource: Resource, namespace: str, query: Mapping[str, str], name: str = ""):
        self.cluster = cluster
        self.resource = resource
        self.namespace = namespace
        self.text = (query.get("labelSelector", ""), query.get("fieldSelector", ""))
        self.labels = selectors.parse_labels(self.text[0])
        terms = selectors.parse_fields(
            self.text[1], resource.storage, resource.selectable_fields, custom=resource.custom
        )
        if name:
            terms = (*terms, selectors.FieldTerm("metadata.name", name, True))
        self.fields = terms
        self.names_only = all(term.path in ("metadata.name", "metadata.namespace") for term in terms)

    def matches(self, entry: Entry) -> bool:
        if self.namespace and entry.namespace != self.namespace:
            return False
        if self.labels and not selectors.all_match(self.labels, entry.labels):
            return False
        if not self.fields:
            return True
        if self.names_only:
            return all(
                ((entry.name if term.path == "metadata.name" else entry.namespace) == term.value) is term.equal
                for term in self.fields
            )
        return selectors.fields_match(self.fields, self.cluster.manifest(self.resource, entry))

    @property
    def everything(self) -> bool:
        return not self.labels and not self.fields


@dataclass(slots=True)
class Page:
    """One page of a list, with its list metadata."""

    entries: list[Entry]
    metadata: Manifest


def list_page(cluster: Cluster, resource: Resource, namespace: str, query: Mapping[str, str]) -> Page:
    """The objects a list request asks for."""
    token = query.get("continue", "")
    version = query.get("resourceVersion", "")
    match = query.get("resourceVersionMatch", "")
    # What doesn't parse is told before what contradicts itself.
    selectors.parse_labels(query.get("labelSelector", ""))
    selectors.field_terms(query.get("fieldSelector", ""))
    _require_list_options(version, match, token, query)
    wanted = Filter(cluster, resource, namespace, query)
    limit = _whole(query, "limit")
    _whole(query, "timeoutSeconds")
    store = cluster.store
    start = ""
    if token:
        at, start = _read_token(token)
        if at < 0:
            at = store.rv
        try:
            entries = store.entries_at(resource.storage, at, namespace)
        except StatusError as error:
            raise _continue_expired() from error
    else:
        at = store.rv
        asked = int(version) if version not in ("", "0") else 0
        if asked > store.rv:
            raise too_large_version(asked, store.rv)
        if asked and (match == "Exact" or (not match and limit)):
            at = asked
        entries = store.entries_at(resource.storage, at, namespace)
    if start:
        entries = [entry for entry in entries if entry.key > start]
    metadata: Manifest = {"resourceVersion": str(at)}
    if limit and len(entries) > limit:
        taken: list[Entry] = []
        position = 0
        for position, entry in enumerate(entries, 1):  # noqa: B007 - where the page ended is used below
            if wanted.everything or wanted.matches(entry):
                taken.append(entry)
                if len(taken) == limit:
                    break
        rest = len(entries) - position
        if rest and taken:
            metadata["continue"] = _make_token(at, taken[-1].key)
            if wanted.everything:
                metadata["remainingItemCount"] = rest
        return Page(taken, metadata)
    if not wanted.everything:
        entries = [entry for entry in entries if wanted.matches(entry)]
    return Page(entries, metadata)


def _require_list_options(version: str, match: str, token: str, query: Mapping[str, str]) -> None:
    problems: list[Cause] = []
    if match:
        if token:
            message = "Forbidden: resourceVersionMatch is forbidden when continue is provided"
            problems.append(Cause("FieldValueForbidden", message, "resourceVersionMatch"))
        elif not version:
            message = "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided"
            problems.append(Cause("FieldValueForbidden", message, "resourceVersionMatch"))
        if match not in ("Exact", "NotOlderThan"):
            message = f'Unsupported value: "{match}": supported values: "Exact", "NotOlderThan", ""'
            problems.append(Cause("FieldValueNotSupported", message, "resourceVersionMatch"))
        elif match == "Exact" and version == "0":
            message = 'Forbidden: resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
            problems.append(Cause("FieldValueForbidden", message, "resourceVersionMatch"))
    if "sendInitialEvents" in query:
        problems.append(
            Cause(
                "FieldValueForbidden",
                "Forbidden: sendInitialEvents is forbidden for list",
                "sendInitialEvents",
            )
        )
    if problems:
        raise invalid("meta.k8s.io", "ListOptions", "", problems)
    if version and not _VERSION.fullmatch(version):
        raise bad_request(f"invalid resource version: {_no_version(version)}")
    if token and version not in ("", "0"):
        raise bad_request("specifying resource version is not allowed when using continue")


def _no_version(text: str) -> str:
    return f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax'


def too_large_version(asked: int, current: int) -> StatusError:
    """504: the client has seen a newer state than this server; it may come back."""
    return StatusError(
        504,
        "Timeout",
        f"Timeout: Too large resource version: {asked}, current: {current}",
        causes=[Cause("ResourceVersionTooLarge", "Too large resource version", "")],
        retry_after=1,
    )


def _continue_expired() -> StatusError:
    return expired(
        "The provided continue parameter is too old to display a consistent list result. You can start a new list "
        "without the continue parameter."
    )


def _make_token(rv: int, key: str) -> str:
    data = orjson.dumps({"v": "meta.k8s.io/v1", "rv": rv, "start": key})
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _read_token(token: str) -> tuple[int, str]:
    try:
        data = orjson.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        return int(data["rv"]), str(data["start"])
    except (ValueError, KeyError, TypeError, binascii.Error):
        raise bad_request(
            "invalid continue token: continue key is not valid: it must be one that a list gave"
        ) from None


def _whole(query: Mapping[str, str], name: str) -> int:
    text = query.get(name, "")
    if not text:
        return 0
    try:
        return max(0, int(text))
    except ValueError:
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None


@dataclass(slots=True)
class Start:
    """Where a watch begins: objects to send as ADDED, then changes after `rv`; `mark` asks for the bookmark between."""

    initial: list[Entry]
    rv: int
    mark: bool


def watch_start(cluster: Cluster, wanted: Filter, query: Mapping[str, str]) -> Start:
    """Where the watch that a query asks for begins; 410 when it can't any more."""
    version = query.get("resourceVersion", "")
    initial = query.get("sendInitialEvents", "").lower()
    match = query.get("resourceVersionMatch", "")
    problems: list[Cause] = []
    if initial and match != "NotOlderThan":
        problems.append(
            Cause(
                "FieldValueForbidden",
                "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
                "resourceVersionMatch",
            )
        )
    if match and not initial:
        message = "Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
        problems.append(Cause("FieldValueForbidden", message, "resourceVersionMatch"))
    if problems:
        raise invalid("meta.k8s.io", "ListOptions", "", problems)
    if version and not _VERSION.fullmatch(version):
        raise StatusError(500, "", _no_version(version))
    store = cluster.store
    asked = int(version or 0)
    if asked > store.rv:
        raise too_large_version(asked, store.rv)
    if initial == "true" or (not initial and asked == 0):
        entries = [e for e in store.entries(wanted.resource.storage, wanted.namespace) if wanted.matches(e)]
        mark = initial == "true" and query.get("allowWatchBookmarks", "").lower() in ("true", "1")
        return Start(entries, store.rv, mark)
    if asked == 0:
        return Start([], store.rv, False)
    store.changes_since(wanted.resource.storage, asked)
    return Start([], asked, False)


def seen_as(wanted: Filter, change: Change) -> tuple[str, Entry] | None:
    """What a change is to one watcher: leaving the selection is a deletion, entering it an addition."""
    entry = change.entry
    if wanted.everything and not wanted.namespace:
        return change.type, entry
    if change.type == "DELETED":
        assert change.before is not None
        return ("DELETED", entry) if wanted.matches(change.before) else None
    now = wanted.matches(entry)
    before = change.before is not None and wanted.matches(change.before)
    if now:
        return ("MODIFIED" if before else "ADDED"), entry
    return ("DELETED", change.left()) if before else None
