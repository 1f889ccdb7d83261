"""Which commit a reference selects, and what it is called."""

from __future__ import annotations

import pytest

from shared.git import refs
from shared.git.errors import EmptyRepository, RefNotFound
from shared.git.refs import Reference

C1, C2, C3, C4, T2 = (letter * 40 for letter in "abcde")
ADVERTISED = {
    "refs/heads/master": C3,
    "refs/heads/feature/x": C4,
    "refs/pull/7/head": C4,
    "refs/tags/1.0.0": C1,
    "refs/tags/1.2.0": T2,
    "refs/tags/1.2.0^{}": C2,
    "refs/tags/old": C3,
}


@pytest.mark.parametrize(
    ("reference", "name", "commit"),
    [
        (Reference(), "master", C3),
        (Reference(branch="feature/x"), "feature/x", C4),
        (Reference(tag="1.0.0"), "1.0.0", C1),
        (Reference(tag="1.2.0"), "1.2.0", C2),
        (Reference(semver=">=1.0.0"), "1.2.0", C2),
        (Reference(branch="feature/x", tag="1.0.0"), "1.0.0", C1),
        (Reference(semver=">=1.0.0", tag="1.0.0"), "1.0.0", C1),
        (Reference(branch="feature/x", semver="1.0.x"), "1.0.0", C1),
        (Reference(commit=C2), "", C2),
        (Reference(commit=C4, branch="feature/x"), "feature/x", C4),
        (Reference(commit=C1, tag="1.2.0"), "", C1),
        (Reference(commit=C1, name="refs/heads/feature/x"), "refs/heads/feature/x", C1),
        (Reference(name="refs/heads/feature/x"), "refs/heads/feature/x", C4),
        (Reference(name="refs/tags/1.2.0"), "refs/tags/1.2.0", C2),
        (Reference(name="refs/tags/1.2.0^{}"), "refs/tags/1.2.0^{}", C2),
        (Reference(name="refs/pull/7/head"), "refs/pull/7/head", C4),
        (Reference(branch="b", name="refs/heads/master", semver="*", tag="1.0.0"), "refs/heads/master", C3),
    ],
)
def test_a_reference_selects_one_commit(reference, name, commit):
    refs.require_valid(reference)
    asked = refs.wanted(reference)
    told = {
        ref: found for ref, found in ADVERTISED.items() if ref in asked or ("refs/tags/*" in asked and "/tags/" in ref)
    }
    head = refs.choose(reference, told)
    assert (head.name, head.commit) == (name, commit)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        (Reference(branch="absent"), 'couldn\'t find remote ref "refs/heads/absent"'),
        (Reference(tag="absent"), 'couldn\'t find remote ref "refs/tags/absent"'),
        (Reference(name="refs/pull/8/head"), 'couldn\'t find remote ref "refs/pull/8/head"'),
        (Reference(semver=">=3.0.0"), "no match found for semver: >=3.0.0"),
        (Reference(semver="no range"), "semver parse error"),
    ],
)
def test_a_reference_that_is_not_there_is_named(reference, message):
    with pytest.raises(RefNotFound) as error:
        refs.choose(reference, ADVERTISED)
    assert message in str(error.value)


@pytest.mark.parametrize(
    "reference",
    [
        Reference(commit="abc"),
        Reference(commit="--upload-pack=x"),
        Reference(name="--upload-pack=x"),
        Reference(name="main"),
        Reference(branch="a..b"),
        Reference(branch="a b"),
        Reference(branch="a*"),
        Reference(tag="x\ny"),
        Reference(tag="a:b"),
        Reference(branch="x.lock"),
    ],
)
def test_what_is_no_name_never_reaches_git(reference):
    with pytest.raises(RefNotFound, match="is no"):
        refs.require_valid(reference)


def test_a_listing_is_read_and_noise_in_it_ignored():
    assert refs.parse(f"{C1}\tHEAD\nwarning: x\n{C2}\trefs/heads/a\tb\nzz\trefs/x\n") == {
        "HEAD": C1,
        "refs/heads/a\tb": C2,
    }
    with pytest.raises(EmptyRepository):
        refs.require_any({})
