"""The index of a chart repository: which charts there are, in which versions, and where. Pure.

index.yaml → Index → JSON → Index → the version that a range selects
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from shared.text import semver, yaml
from source_controller.charts.errors import IndexFailed, ReferenceFailed


@dataclass(frozen=True)
class Entry:
    """One version of a chart."""

    name: str
    version: str
    urls: tuple[str, ...]
    """Absolute, or relative to the repository's address."""
    digest: str
    """SHA-256 of the package; empty when the index doesn't say."""


class Index:
    """What a repository lists; versions from the highest down."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._entries: Mapping[str, list[dict[str, Any]]] = document["entries"]

    def find(self, name: str, wanted: str) -> Entry:
        """The highest version of a chart in a range, or exactly the one that is written."""
        versions = self._entries.get(name)
        if not versions:
            raise ReferenceFailed("failed to get chart version for remote reference: no chart name found")
        try:
            range_ = semver.parse_range(wanted or "*")
        except semver.VersionError as error:
            raise ReferenceFailed(f"failed to get chart version for remote reference: {error}") from error
        for entry in versions:
            if entry["version"] == wanted:
                return _entry(entry)
        for entry in versions:
            if semver.parse(entry["version"]) in range_:
                return _entry(entry)
        raise ReferenceFailed(
            f"failed to get chart version for remote reference: no '{name}' chart with version matching "
            f"'{wanted}' found"
        )

    def json(self) -> bytes:
        """The whole index as JSON."""
        return orjson.dumps(self._document)


def parse(text: bytes, *, limit: int) -> Index:
    """Reads an index as the repository serves it, YAML or JSON; leaves out entries that are none."""
    if len(text) > limit:
        raise IndexFailed(f"it has {len(text)} bytes, more than {limit}")
    try:
        document = _loaded(text, limit)
    except (yaml.YAMLError, RecursionError) as error:
        raise IndexFailed(str(error)) from error
    if not isinstance(document, dict) or not document:
        raise IndexFailed("empty index.yaml file")
    if not document.get("apiVersion"):
        raise IndexFailed("no API version specified")
    entries = document.get("entries") or {}
    if not isinstance(entries, dict):
        raise IndexFailed("'entries' is no map of charts")
    kept = {str(name): _sorted(str(name), versions) for name, versions in entries.items()}
    return Index({**document, "entries": {name: versions for name, versions in sorted(kept.items()) if versions}})


def read(text: bytes) -> Index:
    """Reads an index that was stored."""
    return Index(orjson.loads(text))


def _loaded(text: bytes, limit: int) -> Any:
    if text.lstrip()[:1] == b"{":
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            pass  # YAML can begin like this too
    return yaml.load(text, source="index.yaml", limits=yaml.Limits(size=limit))


def _sorted(name: str, versions: Any) -> list[dict[str, Any]]:
    found: list[tuple[semver.Version, str, dict[str, Any]]] = []
    for entry in versions if isinstance(versions, list) else ():
        if not isinstance(entry, dict) or not isinstance(entry.get("version"), str):
            continue
        try:
            version = semver.parse(entry["version"])
        except semver.VersionError:
            continue
        found.append((version, str(entry.get("created") or ""), {"name": name, **entry}))
    return [entry for _, _, entry in sorted(found, key=lambda item: (item[0].key, item[1]), reverse=True)]


def _entry(entry: Mapping[str, Any]) -> Entry:
    urls = entry.get("urls")
    return Entry(
        str(entry["name"]),
        str(entry["version"]),
        tuple(str(url) for url in urls) if isinstance(urls, list) else (),
        str(entry.get("digest") or "").removeprefix("sha256:"),
    )
