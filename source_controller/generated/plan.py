"""The plan: which artifacts an ArtifactGenerator makes of which files. Pure.

spec + the directories of a source → one Wanted for each artifact
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from shared.api.source import ArtifactGenerator, ArtifactGeneratorSpec, CopyOperation, GeneratedArtifact
from shared.text import doublestar, regex
from shared.text.regex import Pattern, PatternError

MAX_ARTIFACTS = 1000
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL_VALUE = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_CAPTURE = re.compile(r"\{([^{}]*)\}")
_CAPTURE_NAME = re.compile(r"[A-Za-z]([A-Za-z0-9_]*[A-Za-z0-9])?")
"""What can be a label's key, too."""
_ARTIFACT = "@artifact/"


class PlanError(Exception):
    """What the spec asks for can't be made of what the sources hold now; says why."""


@dataclass(frozen=True)
class Copy:
    """One step: what to copy, as `alias` and a path or pattern in it, to where."""

    alias: str
    source: str
    target: str
    """Relative; a directory to copy into when it ends with `/`, or is empty."""
    exclude: Sequence[str]
    strategy: str

    def __str__(self) -> str:
        return f"from '@{self.alias}/{self.source}' to '{_ARTIFACT}{self.target}'"


@dataclass(frozen=True)
class Wanted:
    """One artifact to make."""

    name: str
    steps: Sequence[Copy]
    revision_of: str = ""
    """The alias of the source whose revision it gets; empty for one of its content."""
    origin_of: str = ""
    """The alias of the source whose origin revision, or else revision, is passed on."""
    labels: Mapping[str, str] = field(default_factory=dict)


def problem(generator: ArtifactGenerator) -> str | None:
    """Why the spec can't be right, whatever the sources hold; None when it may be."""
    spec = generator.spec
    aliases = [source.alias for source in spec.sources]
    if twice := _twice(aliases):
        return f"duplicate source alias '{twice}' found"
    if twice := _twice([artifact.name for artifact in spec.artifacts]):
        return f"duplicate artifact name '{twice}' found"
    own = _own_sources(generator)
    for artifact in spec.artifacts:
        if not spec.path_pattern and not _is_name(artifact.name):
            return f'artifact name "{artifact.name}" is not a valid Kubernetes object name'
        if artifact.name in own:
            return f"artifact {artifact.name} is a source, too: it can't be made of itself"
        for what, named in (("revision", artifact.revision), ("originRevision", artifact.origin_revision)):
            if named and named[1:] not in aliases:
                return f"artifact {artifact.name} {what} source alias '{named[1:]}' not found"
    return None


def pattern_source(spec: ArtifactGeneratorSpec) -> str | None:
    """The alias of the source whose directories spec.pathPattern is about; None without one."""
    return spec.path_pattern[1:].partition("/")[0] if spec.path_pattern else None


def artifacts(generator: ArtifactGenerator, directories: Iterable[str] = ()) -> list[Wanted]:
    """What to make: the spec's artifacts, or with a pathPattern those of each directory that fits it.

    `directories` are all of that source, relative and with `/`. PlanError names what doesn't go together.
    """
    spec = generator.spec
    if not spec.path_pattern:
        return [_wanted(artifact, None) for artifact in spec.artifacts]
    try:
        return _expanded(generator, directories)
    except (PlanError, PatternError) as error:
        raise PlanError(f'pathPattern "{spec.path_pattern}": {error}') from error


def _expanded(generator: ArtifactGenerator, directories: Iterable[str]) -> list[Wanted]:
    spec = generator.spec
    alias, _, pattern = (spec.path_pattern or "")[1:].partition("/")
    if alias not in {source.alias for source in spec.sources}:
        raise PlanError(f"there is no source with the alias '{alias}'")
    expected = _compiled(pattern)
    own = _own_sources(generator)
    made: list[Wanted] = []
    at: dict[str, str] = {}
    for directory in sorted(map(doublestar.printable, directories)):
        captures = _captured(expected, directory)
        if captures is None:
            continue
        for artifact in spec.artifacts:
            one = _wanted(artifact, captures)
            if not _is_name(one.name):
                raise PlanError(f'rendered artifact name "{one.name}" is not a valid Kubernetes object name')
            if one.name in own:
                raise PlanError(f'artifact "{one.name}" is a source, too: it can\'t be made of itself')
            if one.name in at:
                raise PlanError(
                    f'directories "{at[one.name]}" and "{directory}" both resolve to artifact name "{one.name}"'
                )
            at[one.name] = directory
            made.append(one)
            if len(made) > MAX_ARTIFACTS:
                raise PlanError(f"more than {MAX_ARTIFACTS} artifacts fit it")
    return made


def _compiled(pattern: str) -> Pattern:
    """What compares directories with a pathPattern; each capture is a named group."""
    parts: list[str] = []
    seen: set[str] = set()
    at = 0
    for found in _CAPTURE.finditer(pattern):
        literal, name = pattern[at : found.start()], found[1]
        if not name:
            raise PlanError("empty capture variable")
        if not _CAPTURE_NAME.fullmatch(name) or len(name) > 63:
            raise PlanError(f'capture variable "{name[:70]}" is not a valid Kubernetes label key')
        if name in seen:
            raise PlanError(f'duplicate capture variable "{name}"')
        seen.add(name)
        parts += [re.escape(_plain(literal)), f"(?P<{name}>[^/]+)"]
        at = found.end()
    return regex.compile("".join([*parts, re.escape(_plain(pattern[at:]))]))


def _captured(expected: Pattern, directory: str) -> dict[str, str] | None:
    """What the pattern captures of a directory's path; None when it doesn't fit."""
    found = expected.fullmatch(directory)
    if found is None:
        return None
    captures = {name: value or "" for name, value in found.groupdict().items()}
    for name, value in captures.items():
        if len(value) > 63 or not _LABEL_VALUE.fullmatch(value):
            raise PlanError(
                f'captured value "{value[:100]}" for variable "{name}" is not a valid Kubernetes label value'
            )
    return captures


def _plain(literal: str) -> str:
    if "{" in literal:
        raise PlanError("a '{' has no closing brace")
    if "}" in literal:
        raise PlanError("a '}' has no opening brace")
    return literal


def _wanted(artifact: GeneratedArtifact, captures: Mapping[str, str] | None) -> Wanted:
    """An artifact with its templates filled in. Names and labels are in lower case, paths as they are."""
    lower = {key: value.lower() for key, value in captures.items()} if captures is not None else None
    return Wanted(
        _filled(artifact.name, lower),
        [_copy(step, captures) for step in artifact.copy],
        (artifact.revision or "")[1:],
        (artifact.origin_revision or "")[1:],
        lower or {},
    )


def _copy(step: CopyOperation, captures: Mapping[str, str] | None) -> Copy:
    alias, slash, source = _filled(step.from_, captures)[1:].partition("/")
    target = _filled(step.to, captures)
    if not slash or not target.startswith(_ARTIFACT):
        raise PlanError(f"'{step.from_}' to '{step.to}' is not of the form @alias/path to @artifact/path")
    return Copy(alias, source, target.removeprefix(_ARTIFACT), step.exclude, step.strategy or "Overwrite")


def _filled(template: str, captures: Mapping[str, str] | None) -> str:
    if captures is None:
        return template
    at, made = 0, []
    for found in _CAPTURE.finditer(template):
        if found[1] not in captures:
            raise PlanError(f'"{template[:200]}": capture variable "{found[1][:70]}" is not defined by pathPattern')
        made += [_plain(template[at : found.start()]), captures[found[1]]]
        at = found.end()
    return "".join([*made, _plain(template[at:])])


def _own_sources(generator: ArtifactGenerator) -> set[str]:
    """The names of ExternalArtifacts of its own namespace that a generator takes files from."""
    namespace = generator.metadata.namespace
    return {
        source.name
        for source in generator.spec.sources
        if source.kind == "ExternalArtifact" and (source.namespace or namespace) == namespace
    }


def _is_name(text: str) -> bool:
    return len(text) <= 253 and _NAME.fullmatch(text) is not None


def _twice(values: Sequence[str]) -> str | None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            return value
        seen.add(value)
    return None
