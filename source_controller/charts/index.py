"""The index of a chart repository: which charts there are, in which versions, and where. Pure.

    index.yaml → Index → JSON → Index → the version that a range selects

A large index never stands in memory as objects: that would take several times the memory of its text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import orjson

from shared.text import semver, yaml
from source_controller.charts.errors import IndexFailed, ReferenceFailed

JSON = bytes | msgspec.Raw
"""Text that was read once and found to be good."""


@dataclass(frozen=True)
class Entry:
    """One version of a chart."""

    name: str
    version: str
    urls: tuple[str, ...]
    """Absolute, or relative to the repository's address."""
    digest: str
    """SHA-256 of the package; empty when the index doesn't say."""


class _Version(msgspec.Struct):
    """What is needed of an entry of the index."""

    version: str
    name: Any = None
    urls: Any = None
    digest: Any = None


class Index:
    """What a repository lists. The versions of a chart, from the highest down, stay JSON until they are asked for."""

    def __init__(self, head: Mapping[str, JSON], entries: Mapping[str, JSON]) -> None:
        """`head` is what else stands in the index."""
        self._head = head
        self._entries = entries

    def find(self, name: str, wanted: str) -> Entry:
        """The highest version of a chart in a range, or exactly the one that is written."""
        versions = self._versions(name)
        if not versions:
            raise ReferenceFailed("failed to get chart version for remote reference: no chart name found")
        try:
            range_ = semver.parse_range(wanted or "*")
        except semver.VersionError as error:
            raise ReferenceFailed(f"failed to get chart version for remote reference: {error}") from error
        for entry in versions:
            if entry.version == wanted:
                return _entry(entry)
        for entry in versions:
            if _is_in(range_, entry.version):
                return _entry(entry)
        raise ReferenceFailed(
            f"failed to get chart version for remote reference: no '{name}' chart with version matching "
            f"'{wanted}' found"
        )

    def json(self) -> Iterator[JSON]:
        """The whole index as JSON, piece by piece."""
        yield b"{"
        for key, value in self._head.items():
            yield orjson.dumps(key) + b":"
            yield value
            yield b","
        yield b'"entries":{'
        for place, (name, versions) in enumerate(self._entries.items()):
            yield (b"," if place else b"") + orjson.dumps(name) + b":"
            yield versions
        yield b"}}"

    def brief(self) -> Index:
        """The same with only what `find` needs, to be kept."""
        return Index({}, {name: _ENCODER.encode(self._versions(name)) for name in self._entries})

    def _versions(self, name: str) -> list[_Version]:
        versions = self._entries.get(name)
        return _VERSIONS.decode(versions) if versions is not None else []


def parse(text: bytes, *, limit: int) -> Index:
    """Reads an index as the repository serves it, YAML or JSON; leaves out entries that are none."""
    if len(text) > limit:
        raise IndexFailed(f"it has {len(text)} bytes, more than {limit}")
    try:
        document = _loaded(text, limit)
    except (yaml.YAMLError, orjson.JSONEncodeError, RecursionError) as error:
        raise IndexFailed(str(error)) from error
    if not isinstance(document, dict) or not document:
        raise IndexFailed("empty index.yaml file")
    if not document.get("apiVersion"):
        raise IndexFailed("no API version specified")
    entries = document.pop("entries", None) or {}
    if not isinstance(entries, dict):
        raise IndexFailed("'entries' is no map of charts")
    for name, versions in entries.items():
        if not isinstance(versions, bytes):
            entries[name] = _sorted(name, versions)
    return Index(
        {name: msgspec.json.encode(value) for name, value in document.items()},
        {name: entries[name] for name in sorted(entries) if entries[name]},
    )


def read(text: bytes) -> Index:
    """Reads an index that was stored."""
    document = _MEMBERS.decode(text)
    entries = _MEMBERS.decode(document.pop("entries"))
    return Index(document, entries)


_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_VERSIONS = msgspec.json.Decoder(list[_Version])
_ENCODER = msgspec.json.Encoder()


def _loaded(text: bytes, limit: int) -> Any:
    """The document; the versions of each chart are JSON already, but for what YAML merges there."""
    if text.lstrip()[:1] == b"{":
        try:
            return _loaded_json(text)
        except (msgspec.DecodeError, orjson.JSONDecodeError):
            pass  # YAML can begin like this too
    return yaml.load_parts(text, "entries", _sorted, source="index.yaml", limits=yaml.Limits(size=limit))


def _loaded_json(text: bytes) -> Any:
    members: dict[str, Any] = dict(_MEMBERS.decode(text))
    for key, value in members.items():
        if key == "entries" and bytes(value[:1]) == b"{":
            members[key] = {name: _sorted(name, orjson.loads(each)) for name, each in _MEMBERS.decode(value).items()}
        else:
            members[key] = orjson.loads(value)
    return members


def _sorted(name: str, versions: Any) -> bytes:
    """The versions of a chart that are some, from the highest down, as JSON; empty when there are none."""
    found: list[tuple[semver.Version, str, dict[str, Any]]] = []
    for entry in versions if isinstance(versions, list) else ():
        if not isinstance(entry, dict) or not isinstance(entry.get("version"), str):
            continue
        try:
            version = semver.parse(entry["version"])
        except semver.VersionError:
            continue
        found.append((version, str(entry.get("created") or ""), {"name": name, **entry}))
    found.sort(key=lambda item: (item[0].key, item[1]), reverse=True)
    return msgspec.json.encode([entry for _, _, entry in found]) if found else b""


def _is_in(range_: semver.Range, text: str) -> bool:
    """Is it in the range? One without all three numbers is in none: it must be asked for as it is written."""
    try:
        return semver.parse_tag(text) in range_
    except semver.VersionError:
        return False


def _entry(entry: _Version) -> Entry:
    return Entry(
        str(entry.name),
        entry.version,
        tuple(str(url) for url in entry.urls) if isinstance(entry.urls, list) else (),
        str(entry.digest or "").removeprefix("sha256:"),
    )
