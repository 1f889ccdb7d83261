"""What a source leaves out of its artifact: the rules of .sourceignore files and of `spec.ignore`.

What passes through: rule texts, then paths. What always holds: the last rule that matches a path decides, `!` rules
include, and a file may be included again below an excluded directory. Rules hold for their directory (the domain) and
below it.

This is go-git's reading of gitignore, not Git's own: `**` followed by a name stops at the first directory of that name;
a name with `**` inside matches nothing; a `/**` at the end matches the directory itself too. pathspec reads these as
Git does, so the matching is done here.

A rule with a slash other than the last character is matched from its directory on, any other against every part of the
path; either way what lies below a matching directory matches.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from . import globs

FILE = ".sourceignore"
ALWAYS_RULES = (".git/", ".gitignore", ".gitmodules", ".gitattributes")
"""Left out whatever the rules say, unless one includes it by name."""
DEFAULT_RULES = (
    *("*.jpg", "*.jpeg", "*.gif", "*.png", "*.wmv", "*.flv", "*.tar.gz", "*.zip"),
    *(".github/", ".circleci/", ".travis.yml", ".gitlab-ci.yml", "appveyor.yml", ".drone.yml", "cloudbuild.yaml"),
    *("codeship-services.yml", "codeship-steps.yml"),
    *("**/.goreleaser.yml", "**/.sops.yaml", "**/.flux.yaml"),
)
"""Left out as long as there is no rule at all."""
LIMIT = 10_000
"""Rules of one source; more are refused."""


class IgnoreError(ValueError):
    """Rules that ask for too much."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of a rule text."""

    domain: tuple[str, ...]
    names: tuple[str, ...]
    includes: bool
    directory: bool
    """It ends in a slash: the path itself must be a directory (what lies below may be anything)."""

    @property
    def anchored(self) -> bool:
        return len(self.names) > 1


def rule(line: str, domain: Sequence[str] = ()) -> Rule:
    """The rule that a line states. Spaces at its beginning count; at its end only after a backslash."""
    includes = line.startswith("!")
    if includes:
        line = line[1:]
    if not line.endswith("\\ "):
        line = line.rstrip(" ")
    directory = line.endswith("/")
    if directory:
        line = line[:-1]
    return Rule(tuple(domain), tuple(line.split("/")), includes, directory)


def parse(text: str, domain: Sequence[str] = ()) -> list[Rule]:
    """The rules of a text; comments and blank lines are none. domain: the parts of the directory they hold for."""
    lines = (line.removesuffix("\r") for line in text.split("\n"))
    rules = [rule(line, domain) for line in lines if line.strip() and not line.startswith("#")]
    if len(rules) > LIMIT:
        raise IgnoreError(f"more than {LIMIT} ignore rules; join some with wildcards")
    return rules


def matcher(files: Mapping[str, str], spec_ignore: str | None = None, *, defaults: bool = True) -> Matcher:
    """The matcher of one source.

    files: the text of each .sourceignore by its directory, "" or "." for the root. spec_ignore: rules for the root
    that come after them. defaults: exclude DEFAULT_RULES when neither has a rule (a Bucket has no such).
    """
    rules: list[Rule] = []
    domains = {tuple(part for part in path.split("/") if part not in ("", ".")): text for path, text in files.items()}
    for domain in sorted(domains):
        rules += parse(domains[domain], domain)
    rules += parse(spec_ignore or "")
    always = [rule(line) for line in ALWAYS_RULES]
    if defaults and not rules:
        always += [rule(line) for line in DEFAULT_RULES]
    return Matcher(always + rules)


@dataclass(slots=True)
class _Names:
    """The rules of one domain that are a name only: bit n stands for the n-th rule of all."""

    exact: dict[str, int] = field(default_factory=dict)
    endings: list[tuple[str, int]] = field(default_factory=list)
    patterns: list[tuple[list[globs.Element], int]] = field(default_factory=list)
    directories: int = 0
    known: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, bit: int, directory: bool) -> None:
        if directory:
            self.directories |= bit
        if not _MAGIC.intersection(name):
            self.exact[name] = self.exact.get(name, 0) | bit
        elif name[0] == "*" and not _MAGIC.intersection(name[1:]):
            self.endings.append((name[1:], bit))
        else:
            elements = globs.parse(name)
            if elements is not None:
                self.patterns.append((elements, bit))

    def matching(self, name: str) -> int:
        bits = self.known.get(name)
        if bits is None:
            bits = self.exact.get(name, 0)
            for ending, bit in self.endings:
                if name.endswith(ending):
                    bits |= bit
            for elements, bit in self.patterns:
                if globs.matches(name, elements):
                    bits |= bit
            if len(self.known) < 100_000:
                self.known[name] = bits
        return bits


_MAGIC = frozenset("*?[\\")


class Matcher:
    """Says of paths whether they are left out. Built once a source; a path costs a few look-ups."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules = tuple(rules)
        if len(self.rules) > LIMIT + len(ALWAYS_RULES) + len(DEFAULT_RULES):
            raise IgnoreError(f"more than {LIMIT} ignore rules; join some with wildcards")
        self._includes = 0
        self._names: dict[tuple[str, ...], _Names] = {}
        self._anchored: dict[tuple[str, ...], list[tuple[_Anchored, int]]] = {}
        for index, each in enumerate(self.rules):
            bit = 1 << index
            if each.includes:
                self._includes |= bit
            if each.anchored:
                self._anchored.setdefault(each.domain, []).append((_Anchored(each), bit))
            else:
                self._names.setdefault(each.domain, _Names()).add(each.names[0], bit, each.directory)
        self._domains = sorted({len(domain) for domain in (*self._names, *self._anchored)})

    def excludes(self, path: str, is_dir: bool = False) -> bool:
        """Is the file or directory left out? path: relative to the source's root, with slashes."""
        parts = path.rstrip("/").split("/")
        found = 0
        for length in self._domains:
            if length >= len(parts):
                break
            domain = tuple(parts[:length])
            names = self._names.get(domain)
            if names is not None:
                matching = names.matching
                bits = matching(parts[-1])
                if not is_dir:
                    bits &= ~names.directories
                for part in parts[length:-1]:
                    bits |= matching(part)
                found |= bits
            for anchored, bit in self._anchored.get(domain, ()):
                # A rule below one that was found already cannot decide.
                if bit > found and anchored.matches(parts[length:], is_dir):
                    found |= bit
        if not found:
            return False
        return not self._includes >> (found.bit_length() - 1) & 1


class _Anchored:
    """A rule with a slash inside, ready to be matched."""

    def __init__(self, rule: Rule) -> None:
        self.directory = rule.directory
        # None: never matches. Else (name's elements or text, whether directories before it may be skipped).
        self.steps: list[tuple[str | list[globs.Element], bool]] | None = []
        skip = False
        for index, name in enumerate(rule.names):
            if name == "":
                skip = False
            elif name == "**":
                if index < len(rule.names) - 1:
                    skip = True
            else:
                elements = globs.parse(name)
                if "**" in name or elements is None:
                    self.steps = None
                    return
                self.steps.append((elements if _MAGIC.intersection(name) else name, skip))
                skip = False

    def matches(self, parts: list[str], is_dir: bool) -> bool:
        if self.steps is None:
            return False
        at = 0
        matched = False
        for name, skip in self.steps:
            if at >= len(parts):
                return False
            if skip:
                matched = False
                while at < len(parts) and not matched:
                    matched = _fits(name, parts[at])
                    at += 1
            else:
                matched = _fits(name, parts[at])
                at += 1
                if not matched:
                    return False
        return matched and not (self.directory and not is_dir and at == len(parts))


def _fits(name: str | list[globs.Element], part: str) -> bool:
    return name == part if isinstance(name, str) else globs.matches(part, name)
