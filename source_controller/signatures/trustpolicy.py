"""Notation's trust policy: which certificates and names to trust for an image, and what to enforce. Pure.

trustpolicy.json → Statements → the Statement for a repository → for each check: enforce, log or skip
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cryptography import x509
from cryptography.x509.oid import NameOID

from source_controller.signatures import parse
from source_controller.signatures.errors import SignatureError

STORES = ("ca", "signingAuthority", "tsa")
_SCOPE = re.compile(r"[a-zA-Z0-9.-]+(:[0-9]+)?/[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*")
_STORE_NAME = re.compile(r"[a-zA-Z0-9_.-]+")
_SPACES = re.compile(r"(?<!\\)\s*,\s*")
"""Around a comma that isn't part of a value."""
_SUBJECT = "x509.subject"
_ANY = "*"
_REQUIRED = {NameOID.COUNTRY_NAME: "C", NameOID.STATE_OR_PROVINCE_NAME: "ST", NameOID.ORGANIZATION_NAME: "O"}


class Check(StrEnum):
    """What is looked at of a signature, in this order."""

    INTEGRITY = "integrity"
    AUTHENTICITY = "authenticity"
    EXPIRY = "expiry"
    AUTHENTIC_TIMESTAMP = "authenticTimestamp"
    REVOCATION = "revocation"


class Action(StrEnum):
    """What a failed check does."""

    ENFORCE = "enforce"
    LOG = "log"
    SKIP = "skip"


_LOGGED = {
    "strict": (),
    "permissive": (Check.EXPIRY, Check.AUTHENTIC_TIMESTAMP, Check.REVOCATION),
    "audit": (Check.AUTHENTICITY, Check.EXPIRY, Check.AUTHENTIC_TIMESTAMP, Check.REVOCATION),
}
_SKIP = "skip"

Name = Mapping[x509.ObjectIdentifier, str]


@dataclass(frozen=True)
class Statement:
    """What holds for the repositories in its scopes."""

    name: str
    scopes: Sequence[str]
    actions: Mapping[Check, Action]
    stores: frozenset[str]
    """The types of trust stores that are named. All of them have the certificates of the Secret."""
    subjects: Sequence[Name] | None
    """Names of which one must be the signer's, as far as it goes; None for any signer."""
    only_after_expiry: bool
    """Look at the timestamp only once the certificates have ended."""

    @property
    def is_skipped(self) -> bool:
        """Is nothing looked at?"""
        return not self.actions

    def accepts(self, subject: x509.Name) -> bool:
        """Does the signer have one of the names?"""
        if self.subjects is None:
            return True
        has = name(subject)
        return any(all(has.get(oid) == value for oid, value in one.items()) for one in self.subjects)


def parsed(data: bytes) -> list[Statement]:
    """The statements of a trust policy. SignatureError says what is wrong with it."""
    document = parse.json_object(data)
    if document.get("version") != "1.0":
        raise SignatureError("its version must be '1.0'")
    listed = document.get("trustPolicies")
    if not isinstance(listed, list) or not listed:
        raise SignatureError("it has no 'trustPolicies'")
    statements = [_statement(each) for each in listed]
    for what, values in (
        ("name", [each.name for each in statements]),
        ("registry scope", [scope for each in statements for scope in each.scopes]),
    ):
        if twice := next((value for value in values if values.count(value) > 1), None):
            raise SignatureError(f"the {what} '{twice}' is there twice")
    return statements


def applicable(statements: Sequence[Statement], repository: str) -> Statement:
    """The statement whose scopes name the repository, else the one for all. SignatureError when there is none."""
    for scope in (repository, _ANY):
        for each in statements:
            if scope in each.scopes:
                return each
    raise SignatureError(f"no statement of the trust policy has '{repository}' in its registryScopes")


def name(subject: x509.Name) -> Name:
    """A distinguished name whose attributes are there once. SignatureError for any other."""
    found: dict[x509.ObjectIdentifier, str] = {}
    for rdn in subject.rdns:
        attributes = list(rdn)
        if len(attributes) > 1 or attributes[0].oid in found:
            raise SignatureError(f"the name '{subject.rfc4514_string()}' has an attribute twice, or two in one")
        found[attributes[0].oid] = str(attributes[0].value)
    return found


def _statement(raw: Any) -> Statement:
    given = raw if isinstance(raw, dict) else {}
    named = given.get("name")
    if not isinstance(named, str) or not named:
        raise SignatureError("a statement has no name")
    try:
        scopes = _texts(given, "registryScopes")
        if not scopes or (_ANY in scopes and len(scopes) > 1):
            raise SignatureError("registryScopes must be repositories as host/path, or '*' alone")
        for scope in scopes:
            if scope != _ANY and not _SCOPE.fullmatch(scope):
                raise SignatureError(f"the registry scope '{scope[:200]}' is no repository as host/path")
        verification = parse.member(given, "signatureVerification")
        actions = _actions(verification)
        stores, identities = _texts(given, "trustStores"), _texts(given, "trustedIdentities")
        if not actions:  # what it trusts is not asked then
            return Statement(named, scopes, actions, frozenset(), None, False)
        if not stores or not identities:
            raise SignatureError("trustStores and trustedIdentities must both be given")
        when = verification.get("verifyTimestamp", "always")
        if when not in ("always", "afterCertExpiry"):
            raise SignatureError("verifyTimestamp must be 'always' or 'afterCertExpiry'")
        types = frozenset(map(_store, stores))
        return Statement(named, scopes, actions, types, _subjects(identities), when == "afterCertExpiry")
    except SignatureError as error:
        raise SignatureError(f"statement '{named[:100]}': {error}") from error


def _actions(verification: Mapping[str, Any]) -> dict[Check, Action]:
    """What to do for each check; nothing at all for the level skip."""
    level, override = verification.get("level"), parse.member(verification, "override")
    if level == _SKIP:
        if override:
            raise SignatureError("the level 'skip' can't be overridden")
        return {}
    if not isinstance(level, str) or level not in _LOGGED:
        raise SignatureError(f"the level must be one of {', '.join([*_LOGGED, _SKIP])}")
    actions = {check: Action.LOG if check in _LOGGED[level] else Action.ENFORCE for check in Check}
    for key, value in override.items():
        try:
            check, action = Check(key), Action(value)
        except ValueError as error:
            raise SignatureError(f"there is no override '{str(key)[:50]}: {str(value)[:50]}'") from error
        if check is Check.INTEGRITY or (action is Action.SKIP and check is not Check.REVOCATION):
            raise SignatureError(f"'{check}' can't be overridden with '{action}'")
        actions[check] = action
    return actions


def _store(text: str) -> str:
    kind, colon, named = text.partition(":")
    if not colon or kind not in STORES or not _STORE_NAME.fullmatch(named):
        raise SignatureError(f"the trust store '{text[:100]}' is none of {', '.join(STORES)} with a name, as ca:name")
    return kind


def _subjects(identities: Sequence[str]) -> list[Name] | None:
    if _ANY in identities:
        if len(identities) > 1:
            raise SignatureError("the trusted identity '*' must stand alone")
        return None
    found = []
    for text in identities:
        kind, colon, value = text.partition(":")
        if not colon:
            raise SignatureError(f"the trusted identity '{text[:200]}' has no kind, such as {_SUBJECT}:")
        if kind == _SUBJECT:  # others are for plugins, of which there are none
            found.append(_subject(value.strip()))
    if not found:
        raise SignatureError(f"trustedIdentities has no {_SUBJECT}")
    for index, one in enumerate(found):
        if any(one.items() <= other.items() for place, other in enumerate(found) if place != index):
            raise SignatureError("one trusted identity includes another")
    return found


def _subject(text: str) -> Name:
    try:
        compact = _SPACES.sub(",", text)
        parsed_name = x509.Name.from_rfc4514_string(compact, {"S": NameOID.STATE_OR_PROVINCE_NAME})
    except ValueError as error:
        raise SignatureError(f"the trusted identity '{text[:200]}' is no distinguished name") from error
    found = name(parsed_name)
    if missing := [short for oid, short in _REQUIRED.items() if not found.get(oid)]:
        raise SignatureError(f"the trusted identity '{text[:200]}' lacks {', '.join(missing)}")
    return found


def _texts(parent: Mapping[str, Any], key: str) -> list[str]:
    values = parent.get(key) or []
    if not isinstance(values, list) or not all(isinstance(each, str) and each for each in values):
        raise SignatureError(f"{key} must be a list of texts")
    return values
