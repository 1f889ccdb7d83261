"""Notation: is an image signed as a trust policy asks for?

    trustpolicy.json + certificates → the statement for the repository → signatures that refer to the image → checks

Each check's failure is enforced, logged or skipped, as the statement says. All trust stores that it names have the
certificates of the one Secret.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509

from shared.oci.errors import OCIError
from shared.oci.registry import Descriptor, Registry
from source_controller.signatures import envelope, parse, revocation, timestamps, trustpolicy
from source_controller.signatures.cosign import MAX_SIGNATURES, fetch
from source_controller.signatures.envelope import Envelope
from source_controller.signatures.errors import SignatureError
from source_controller.signatures.trustpolicy import Action, Check, Statement

POLICY = "trustpolicy.json"
_ARTIFACT = "application/vnd.cncf.notary.signature"
_STORES = {envelope.X509: "ca", envelope.SIGNING_AUTHORITY: "signingAuthority"}
_log = logging.getLogger(__name__)


class Notation:
    """The proof that Notation's signatures are, by a Secret's trust policy and certificates."""

    def __init__(self, data: Mapping[str, bytes]) -> None:
        """SignatureError when the Secret lacks something, or holds what can't be read."""
        if POLICY not in data:
            raise SignatureError(f"the key '{POLICY}' is missing")
        try:
            self._statements = trustpolicy.parsed(data[POLICY])
        except SignatureError as error:
            raise SignatureError(f"the key '{POLICY}' holds no trust policy: {error}") from error
        self._trusted = [
            each
            for name, value in sorted(data.items())
            if name.endswith((".crt", ".pem"))
            for each in _read(name, value)
        ]
        if not self._trusted:
            raise SignatureError("it has no certificate, in a key that ends in '.crt' or '.pem'")

    async def require_signed(self, remote: Registry, digest: str) -> bool:
        """True for a trusted signature; False where the policy skips the image, or only logs that nobody trusted signed
        it. Else a SignatureError, or an OCIError."""
        statement = trustpolicy.applicable(self._statements, str(remote.at))
        if statement.is_skipped:
            return False
        listed = [each for each in await remote.referrers(digest) if each.artifact_type == _ARTIFACT]
        why = ""
        for reference in listed[:MAX_SIGNATURES]:
            try:
                signed = await _envelope(remote, reference)
                return await _Checked(statement, self._trusted, signed, digest).is_authentic()
            except (SignatureError, OCIError) as error:
                why = str(error)
        if why:
            raise SignatureError(f"none of {len(listed)} signatures is good: {why}")
        raise SignatureError(f"no signature is associated with '{remote.at.at(digest)}'")


@dataclass(frozen=True)
class _Checked:
    """One signature, under the checks of a statement."""

    statement: Statement
    trusted: Sequence[x509.Certificate]
    signed: Envelope
    digest: str

    async def is_authentic(self) -> bool:
        """Is it by who is trusted? SignatureError when a check fails that is enforced."""
        authentic = self._tell(Check.AUTHENTICITY, self._authenticity())
        self._tell(Check.EXPIRY, self._expiry())
        self._tell(Check.AUTHENTIC_TIMESTAMP, await asyncio.to_thread(self._timestamp))
        # Strangers' certificates don't say where this process sends requests to.
        if authentic and self.statement.actions[Check.REVOCATION] is not Action.SKIP:
            sure = self.signed.signed if self.signed.scheme == envelope.SIGNING_AUTHORITY else None
            self._tell(Check.REVOCATION, await revocation.problem(self.signed.chain, sure))
        artifact = parse.member(parse.json_object(self.signed.payload), "targetArtifact")
        if artifact.get("digest") != self.digest:
            raise SignatureError("what was signed is another image")
        return authentic

    def _tell(self, check: Check, problem: str | None) -> bool:
        """Is there no problem? One that is enforced is a SignatureError."""
        if problem is not None and self.statement.actions[check] is Action.ENFORCE:
            raise SignatureError(problem)
        if problem is not None:
            _log.warning(
                "the signature of %s fails the check '%s', which is only logged: %s", self.digest, check, problem
            )
        return problem is None

    def _authenticity(self) -> str | None:
        store = _STORES[self.signed.scheme]
        if store not in self.statement.stores:
            return f"the statement '{self.statement.name}' names no trust store of type {store}"
        if not any(each in self.trusted for each in self.signed.chain):
            return "none of its certificates is trusted"
        signer = self.signed.chain[0]
        try:
            if self.statement.accepts(signer.subject):
                return None
        except SignatureError as error:
            return str(error)
        return f"its signer '{envelope.shown(signer)}' is none of the trustedIdentities"

    def _expiry(self) -> str | None:
        end = self.signed.expires
        return f"it expired on {end:%Y-%m-%d %H:%M} UTC" if end is not None and end <= datetime.now(UTC) else None

    def _timestamp(self) -> str | None:
        """Were the certificates valid when they were used: then, as somebody trusted says, or at least now?"""
        chain, now = self.signed.chain, datetime.now(UTC)
        if self.signed.scheme == envelope.SIGNING_AUTHORITY:
            return _outside(chain, self.signed.signed, self.signed.signed)
        over = any(now > each.not_valid_after_utc for each in chain)
        if "tsa" not in self.statement.stores or (self.statement.only_after_expiry and not over):
            return _outside(chain, now, now)
        try:
            return _outside(chain, *timestamps.moment(self.signed.timestamp, self.signed.signature, self.trusted))
        except SignatureError as error:
            return str(error)


async def _envelope(remote: Registry, reference: Descriptor) -> Envelope:
    """The one signature that a signature's manifest has."""
    manifest = await remote.manifest(reference.digest)
    if len(manifest.layers) != 1:
        raise SignatureError(f"the manifest {reference.digest} holds not one signature but {len(manifest.layers)}")
    data = await fetch(remote, manifest.layers[0])
    return await asyncio.to_thread(envelope.read, manifest.layers[0].media_type, data)


def _outside(chain: Sequence[x509.Certificate], earliest: datetime, latest: datetime) -> str | None:
    for each in chain:
        if earliest < each.not_valid_before_utc or latest > each.not_valid_after_utc:
            end = f"{each.not_valid_before_utc:%Y-%m-%d} to {each.not_valid_after_utc:%Y-%m-%d}"
            return f"its certificate '{envelope.shown(each)}' is valid from {end} only"
    return None


def _read(name: str, value: bytes) -> list[x509.Certificate]:
    try:
        if b"-----BEGIN" in value:
            return x509.load_pem_x509_certificates(value)
        return [x509.load_der_x509_certificate(value)]
    except ValueError as error:
        raise SignatureError(f"the key '{name}' holds no certificate") from error
