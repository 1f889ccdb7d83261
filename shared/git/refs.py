"""References: which commit a `.spec.ref` selects among what a remote advertises. Pure.

    Reference + {full name: object id} → Head

Precedence, as upstream's controllers behave: commit, name, tag, semver, branch, then the branch master.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from shared.git.errors import EmptyRepository, RefNotFound
from shared.text import semver

DEFAULT_BRANCH = "master"
PEELED = "^{}"
"""What git appends to a tag's name where it gives the id of the commit that the tag object points to."""


@dataclass(frozen=True)
class Reference:
    """What to look for; the wire's `.spec.ref`."""

    branch: str = ""
    tag: str = ""
    semver: str = ""
    name: str = ""
    commit: str = ""


@dataclass(frozen=True)
class Head:
    """What was found: the commit, and how revisions name it."""

    name: str
    """The branch, tag or full reference in the revision; empty for a commit alone."""
    ref: str
    """The full reference to fetch; empty when only the commit is known."""
    commit: str
    """The commit's id. For an annotated tag that the remote did not peel, the tag object's."""
    object: str = ""
    """What the reference itself points to, the tag object of an annotated tag; empty when the remote did not say."""
    pinned: bool = False
    """Is it this commit that is wanted, wherever the reference points to?"""


def wanted(reference: Reference) -> tuple[str, ...]:
    """The patterns of full names to ask the remote for; none when it need not be asked."""
    if reference.commit:
        return ()
    if reference.name:
        plain = reference.name.removesuffix(PEELED)
        return (plain, plain + PEELED)
    if reference.tag:
        return (f"refs/tags/{reference.tag}", f"refs/tags/{reference.tag}{PEELED}")
    if reference.semver:
        return ("refs/tags/*",)
    return (f"refs/heads/{reference.branch or DEFAULT_BRANCH}",)


def require_valid(reference: Reference) -> None:
    """RefNotFound when a part of it can't be a name or commit at all."""
    if reference.commit and not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", reference.commit):
        raise RefNotFound(f"'{reference.commit}' is no commit: give all 40 hexadecimal digits")
    names = {
        "name": reference.name.removesuffix(PEELED),
        "tag": f"refs/tags/{reference.tag}" if reference.tag else "",
        "branch": f"refs/heads/{reference.branch}" if reference.branch else "",
    }
    for field, name in names.items():
        if name and not _is_name(name):
            raise RefNotFound(f"ref.{field} '{getattr(reference, field)}' is no valid reference name")


def choose(reference: Reference, advertised: Mapping[str, str]) -> Head:
    """The head that `reference` selects. RefNotFound when there is none; also for a range that is none."""
    if reference.commit:
        branch = f"refs/heads/{reference.branch}" if reference.branch else ""
        return Head(reference.name or reference.branch, reference.name or branch, reference.commit, pinned=True)
    if reference.name:
        return _found(reference.name, reference.name, advertised)
    if reference.tag:
        return _found(reference.tag, f"refs/tags/{reference.tag}", advertised)
    if reference.semver:
        tag = _highest(reference.semver, advertised)
        return _found(tag, f"refs/tags/{tag}", advertised)
    branch = reference.branch or DEFAULT_BRANCH
    return _found(branch, f"refs/heads/{branch}", advertised)


def _found(name: str, ref: str, advertised: Mapping[str, str]) -> Head:
    plain = ref.removesuffix(PEELED)
    commit = advertised.get(plain + PEELED) or advertised.get(plain)
    if not commit:
        raise RefNotFound(f'couldn\'t find remote ref "{ref}"')
    return Head(name, plain, commit, advertised.get(plain, ""))


def _highest(range_: str, advertised: Mapping[str, str]) -> str:
    prefix = "refs/tags/"
    tags = sorted(ref.removeprefix(prefix) for ref in advertised if ref.startswith(prefix) and not ref.endswith(PEELED))
    try:
        found = semver.highest(tags, semver.parse_range(range_))
    except semver.VersionError as error:
        raise RefNotFound(f"semver parse error: {error}") from error
    if found is None:
        raise RefNotFound(f"no match found for semver: {range_}")
    return found


def parse(listing: str) -> dict[str, str]:
    """Full name → object id, of what `git ls-remote` prints."""
    found: dict[str, str] = {}
    for line in listing.splitlines():
        commit, _, ref = line.partition("\t")
        if ref and re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", commit):
            found[ref] = commit
    return found


def require_any(advertised: Mapping[str, str]) -> None:
    if not advertised:
        raise EmptyRepository("git repository is empty")


def _is_name(name: str) -> bool:
    """git check-ref-format's rules; the name is an argument of git, so these are also what keeps it harmless."""
    if name == "HEAD":
        return True
    bad = r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(/|$)|\.$|/$"
    return name.startswith("refs/") and len(name) <= 1024 and not re.search(bad, name)
