"""Images: is one signed as an object's spec.verify asks for?

spec.verify + Secrets → Proof: whom to trust → signatures in the registry → signed, or a SignatureError
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from shared.api.source import ChartVerification, OCIRepositoryVerification
from shared.kube.errors import NotFound
from shared.loop.attempt import Attempt
from shared.oci.registry import Registry
from shared.text import regex
from source_controller.signatures import cosign
from source_controller.signatures.errors import SignatureError
from source_controller.signatures.keys import Keys

if TYPE_CHECKING:
    from source_controller.signatures.public_sigstore import PublicSigstore

TRUSTED_ROOT = "trusted_root.json"


class Proof(Protocol):
    """What an image needs to be trusted."""

    async def require_signed(self, remote: Registry, digest: str) -> bool:
        """True when the image is signed, False when it may pass although nothing is proven. Else a SignatureError, or
        an OCIError."""


class Signatures:
    """What the signatures of all images are checked with. What is seldom used is only loaded when it is."""

    def __init__(self, folder: Path) -> None:
        """`folder` keeps the public Sigstore instance's trusted root."""
        self._folder = folder
        self._public: PublicSigstore | None = None

    async def proof(self, wanted: ChartVerification, attempt: Attempt[Any]) -> Proof:
        """What spec.verify asks for, with its Secrets read. SignatureError when one is missing or lacks something."""
        if wanted.provider == "notation":
            from source_controller.signatures import notation

            if wanted.secret_ref is None:
                raise SignatureError("spec.verify.secretRef is missing: name a Secret with trustpolicy.json")
            async with _Named(attempt, wanted.secret_ref.name) as data:
                return notation.Notation(data)
        if wanted.secret_ref is not None:
            async with _Named(attempt, wanted.secret_ref.name) as data:
                return cosign.Cosign(Keys(data))
        return cosign.Cosign(await self._keyless(wanted, attempt))

    async def _keyless(self, wanted: ChartVerification, attempt: Attempt[Any]) -> cosign.Trust:
        from source_controller.signatures import keyless, public_sigstore

        accepted = [
            keyless.Identity(_pattern(each.issuer), _pattern(each.subject)) for each in wanted.match_oidc_identity
        ]
        named = wanted.trusted_root_secret_ref if isinstance(wanted, OCIRepositoryVerification) else None
        if named is not None:
            async with _Named(attempt, named.name) as data:
                if TRUSTED_ROOT not in data:
                    raise SignatureError(f"the key '{TRUSTED_ROOT}' is missing")
                return keyless.Keyless(keyless.trusted_root(data[TRUSTED_ROOT]), accepted)
        if self._public is None:
            self._public = public_sigstore.PublicSigstore(self._folder)
        return keyless.Keyless(await self._public.root(), accepted)


class _Named:
    """The data of a Secret, while what is wrong with it is told with its name."""

    def __init__(self, attempt: Attempt[Any], secret: str) -> None:
        self._attempt, self._secret = attempt, secret

    async def __aenter__(self) -> dict[str, bytes]:
        try:
            return await self._attempt.secret(self._secret)
        except NotFound as error:
            raise self._named(error) from error

    async def __aexit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, SignatureError):
            raise self._named(error) from error

    def _named(self, error: BaseException) -> SignatureError:
        return SignatureError(f"secret '{self._attempt.obj.metadata.namespace}/{self._secret}': {error}")


def failed(wanted: ChartVerification, error: Exception) -> str:
    """What to say of an image that isn't signed as it should be."""
    how = " keyless" if wanted.provider == "cosign" and wanted.secret_ref is None else ""
    return f"failed to verify the signature using provider '{wanted.provider}{how}': {error}"


def secrets(wanted: ChartVerification | None) -> Iterator[str]:
    """The Secrets that a verification reads."""
    if wanted is not None and wanted.secret_ref is not None:
        yield wanted.secret_ref.name
    if isinstance(wanted, OCIRepositoryVerification) and wanted.trusted_root_secret_ref is not None:
        yield wanted.trusted_root_secret_ref.name


def _pattern(text: str) -> regex.Pattern:
    try:
        return regex.compile(text)
    except regex.PatternError as error:
        raise SignatureError(f"spec.verify.matchOIDCIdentity has no RE2 expression: {error}") from error
