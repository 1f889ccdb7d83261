"""Packages: a chart's files, from a folder or a .tgz, with what the spec changes in them, as a .tgz.

    folder or .tgz → Chart (name, version, files) → values, version, dependencies → .tgz

What always holds: equal files give equal bytes; nothing is read outside the folder, also not through links; sizes are
bounded.
"""

from __future__ import annotations

import fnmatch
import gzip
import io
import os
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from shared.artifact.tar import ArchiveError
from shared.artifact.unpack import Limits, unpack
from shared.text import semver, yaml
from shared.text.values import laid_over
from source_controller.charts.errors import MetadataFailed, PackageFailed, ReferenceFailed, ValuesFailed

METADATA, VALUES, IGNORE = "Chart.yaml", "values.yaml", ".helmignore"
_REQUIREMENTS = "requirements.yaml"
_MAX_FILES = 20_000


@dataclass(frozen=True)
class Dependency:
    """Another chart that this one wants to have in charts/."""

    name: str
    version: str
    repository: str
    alias: str = ""


@dataclass
class Chart:
    """A chart's files, by their path in the chart's folder."""

    files: dict[str, bytes]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    is_changed: bool = False
    """Whether it differs from where it was loaded from."""

    @property
    def name(self) -> str:
        return str(self.metadata["name"])

    @property
    def version(self) -> str:
        return str(self.metadata["version"])

    @property
    def dependencies(self) -> list[Dependency]:
        """What Chart.yaml, or requirements.yaml in an old chart, lists."""
        listed = self.metadata.get("dependencies")
        if not listed and _REQUIREMENTS in self.files:
            listed = (_mapping(self.files[_REQUIREMENTS], _REQUIREMENTS)).get("dependencies")
        return [
            Dependency(
                str(each.get("name") or ""),
                str(each.get("version") or ""),
                str(each.get("repository") or ""),
                str(each.get("alias") or ""),
            )
            for each in listed or ()
            if isinstance(each, dict)
        ]

    def vendored(self) -> set[str]:
        """The names of the charts that are in charts/, as folders or packages."""
        found: set[str] = set()
        for path, content in self.files.items():
            parts = path.split("/")
            if parts[0] != "charts" or len(parts) < 2:
                continue
            if len(parts) == 3 and parts[2] == METADATA:
                found.add(str(_mapping(content, path).get("name") or ""))
            elif len(parts) == 2 and parts[1].endswith(".tgz"):
                found.add(from_package(content, Sizes()).name)
        return found

    def set_version(self, version: str) -> None:
        """Writes another version into Chart.yaml."""
        try:
            semver.parse(version)
        except semver.VersionError as error:
            raise MetadataFailed(str(error)) from error
        self.metadata = {**self.metadata, "version": version}
        self.files[METADATA] = yaml.dump(self.metadata).encode()
        self.is_changed = True

    def set_values(self, values: Mapping[str, Any]) -> None:
        """Writes other default values."""
        self.files[VALUES] = yaml.dump(dict(values)).encode() if values else b"{}\n"
        self.is_changed = True

    def add_dependency(self, chart: Chart) -> None:
        """Puts another chart's files below charts/."""
        for path, content in chart.files.items():
            self.files[f"charts/{chart.name}/{path}"] = content
        self.is_changed = True


@dataclass(frozen=True)
class Sizes:
    """The largest that is accepted, in bytes."""

    chart: int = 10 << 20
    file: int = 5 << 20


def from_folder(folder: Path, root: Path, sizes: Sizes) -> Chart:
    """The chart in a folder below `root`, less what .helmignore leaves out. Blocks."""
    files: dict[str, bytes] = {}
    rules = _ignore_rules(folder / IGNORE)
    for place, directories, names in os.walk(folder):
        below = Path(place).relative_to(folder)
        directories[:] = sorted(
            name for name in directories if not _is_ignored(rules, (below / name).as_posix(), is_dir=True)
        )
        for name in sorted(names):
            path = (below / name).as_posix()
            if _is_ignored(rules, path, is_dir=False):
                continue
            file = Path(place, name)
            if file.is_symlink() or not file.resolve().is_relative_to(root.resolve()) or not file.is_file():
                continue
            if file.stat().st_size > sizes.file:
                raise ReferenceFailed(f"chart file '{path}' is larger than {sizes.file} bytes")
            files[path] = file.read_bytes()
            if len(files) > _MAX_FILES:
                raise ReferenceFailed(f"the chart has more than {_MAX_FILES} files")
    return _chart(files)


def from_package(data: bytes, sizes: Sizes) -> Chart:
    """The chart in a .tgz. Blocks."""
    if len(data) > sizes.chart:
        raise ReferenceFailed(f"the chart has {len(data)} bytes, more than {sizes.chart}")
    files: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
            total = 0
            for member in archive:
                path = PurePosixPath(member.name)
                if not member.isfile() or len(path.parts) < 2 or path.is_absolute() or ".." in path.parts:
                    continue
                total += member.size
                if member.size > sizes.file or total > 10 * sizes.chart or len(files) >= _MAX_FILES:
                    raise ReferenceFailed(f"chart file '{member.name[:200]}' is too large, or there are too many")
                content = archive.extractfile(member)
                files["/".join(path.parts[1:])] = content.read() if content else b""
    except (tarfile.TarError, OSError, EOFError) as error:
        raise ReferenceFailed(f"the package is no .tgz of a chart: {error}") from error
    return _chart(files)


def pack(chart: Chart) -> bytes:
    """The chart as `helm package` would write it, the same bytes for the same files."""
    raw = io.BytesIO()
    try:
        with tarfile.open(fileobj=raw, mode="w", format=tarfile.GNU_FORMAT) as archive:
            for path in sorted(chart.files, key=lambda path: (path != METADATA, path)):
                info = tarfile.TarInfo(f"{chart.name}/{path}")
                info.size, info.mode = len(chart.files[path]), 0o644
                archive.addfile(info, io.BytesIO(chart.files[path]))
    except (tarfile.TarError, ValueError) as error:
        raise PackageFailed(str(error)) from error
    return gzip.compress(raw.getvalue(), mtime=0)


def merge(files: Iterable[tuple[str, bytes]]) -> dict[str, Any]:
    """The values of several files, maps merged in depth, later ones winning."""
    merged: dict[str, Any] = {}
    for name, content in files:
        try:
            values = yaml.load(content, source=name)
        except yaml.YAMLError as error:
            raise ValuesFailed(f"unmarshaling values from '{name}' failed: {error}") from error
        if values is None:
            continue
        if not isinstance(values, dict):
            raise ValuesFailed(f"unmarshaling values from '{name}' failed: it is no map")
        merged = laid_over(merged, values)
    return merged


def extract(archive: BinaryIO, folder: Path) -> None:
    """Unpacks a source's artifact. Blocks."""
    try:
        unpack(archive, folder, Limits(links="skip"))
    except ArchiveError as error:
        raise ReferenceFailed(str(error)) from error


def inside(root: Path, path: str) -> Path:
    """The file or folder at a path below `root`; `..` stops at the root."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return root.joinpath(*parts)


def _chart(files: dict[str, bytes]) -> Chart:
    if METADATA not in files:
        raise ReferenceFailed(f"{METADATA} file is missing")
    try:
        metadata = _mapping(files[METADATA], METADATA)
    except yaml.YAMLError as error:
        raise ReferenceFailed(str(error)) from error
    problem = _problem(metadata)
    if problem:
        raise ReferenceFailed(f"validation: {problem}")
    return Chart(files, metadata)


def _problem(metadata: Mapping[str, Any]) -> str:
    """What is wrong with a chart's metadata; empty when nothing."""
    if not metadata.get("apiVersion"):
        return "chart.metadata.apiVersion is required"
    name = metadata.get("name")
    if not isinstance(name, str) or not name:
        return "chart.metadata.name is required"
    if "/" in name or name in (".", "..") or "\0" in name:
        return f"chart.metadata.name '{name[:100]}' is invalid"
    if not isinstance(metadata.get("version"), str) or not metadata["version"]:
        return "chart.metadata.version is required"
    try:
        semver.parse(metadata["version"])
    except semver.VersionError:
        return f"chart.metadata.version '{metadata['version'][:100]}' is invalid"
    return ""


def _mapping(content: bytes, source: str) -> Mapping[str, Any]:
    found = yaml.load(content, source=source)
    return found if isinstance(found, dict) else {}


def _ignore_rules(file: Path) -> Sequence[str]:
    if file.is_symlink() or not file.is_file() or file.stat().st_size > 1 << 20:
        return ["templates/.?*"]
    lines = (line.strip() for line in file.read_text(errors="replace").splitlines())
    return [*(line for line in lines if line and not line.startswith("#")), "templates/.?*"]


def _is_ignored(rules: Sequence[str], path: str, *, is_dir: bool) -> bool:
    """Helm's rules: a pattern with a slash is for the whole path, another for the name; `!` turns one round."""
    name = path.rsplit("/", 1)[-1]
    for rule in rules:
        negated = rule.startswith("!")
        pattern = rule[1:] if negated else rule
        if pattern.endswith("/"):
            if not is_dir:
                continue
            pattern = pattern[:-1]
        if pattern.startswith("/"):
            matches = fnmatch.fnmatchcase(path, pattern[1:]) and path.count("/") == pattern[1:].count("/")
        elif "/" in pattern:
            matches = fnmatch.fnmatchcase(path, pattern) and path.count("/") == pattern.count("/")
        else:
            matches = fnmatch.fnmatchcase(name, pattern)
        if matches != negated:
            return True
    return False
