"""Revocation: has an authority taken back a certificate that it made?

    certificates → OCSP, else its list of revoked ones → a problem, or None

Asked are only the addresses that the certificates name, for a few seconds; what can't be learnt is a problem, too.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from shared import http
from shared.http import Http, HttpError

_SECONDS = 5.0
_MAX_URLS = 3
_ANSWER, _LIST = 1 << 16, 16 << 20
_ASKS = {"Content-Type": "application/ocsp-request", "Accept": "application/ocsp-response"}


class _UnknownError(Exception):
    """The authority can't be asked, or its answer not be believed."""


async def problem(chain: Sequence[x509.Certificate], signed: datetime | None) -> str | None:
    """Why one of the certificates counts no more; None when all do. The last one, which signs itself, isn't asked for.

    `signed` is when it was used, where that is sure: what an authority calls invalid only since later is good then.
    """
    async with http.open_(seconds=_SECONDS) as connection:
        for certificate, issuer in itertools.pairwise(chain):
            shown = certificate.subject.rfc4514_string()[:300]
            try:
                if await _is_revoked(connection, certificate, issuer, signed):
                    return f"the certificate '{shown}' is revoked"
            except _UnknownError as error:
                return f"whether the certificate '{shown}' is revoked can't be learnt: {error}"
    return None


async def _is_revoked(
    connection: Http, certificate: x509.Certificate, issuer: x509.Certificate, signed: datetime | None
) -> bool:
    answers, lists = list(_responders(certificate)), list(_lists(certificate))
    why: Exception | None = None
    for url in answers[:_MAX_URLS]:
        try:
            return await _by_ocsp(connection, url, certificate, issuer, signed)
        except (_UnknownError, HttpError) as error:
            why = error
    if answers and not lists:
        raise _UnknownError(str(why))
    for url in lists[:_MAX_URLS]:
        try:
            if await _by_list(connection, url, certificate, issuer, signed):
                return True
        except HttpError as error:
            raise _UnknownError(str(error)) from error
    return False


async def _by_ocsp(
    connection: Http, url: str, certificate: x509.Certificate, issuer: x509.Certificate, signed: datetime | None
) -> bool:
    builder = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, hashes.SHA1())  # noqa: S303  (names, proves nothing)
    request = builder.build().public_bytes(Encoding.DER)
    answer = await connection.send("POST", url, request, headers=_ASKS, limit=_ANSWER)
    if not answer.is_good:
        raise _UnknownError(f"{url[:200]} answers {answer.status}")
    try:
        said = ocsp.load_der_ocsp_response(answer.body)
        if said.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            raise _UnknownError(f"{url[:200]} has no answer")
        own = next((each for each in said.responses if each.serial_number == certificate.serial_number), None)
        _require_answer_of(said, issuer)
    except (ValueError, UnsupportedAlgorithm, InvalidSignature) as error:
        raise _UnknownError(f"{url[:200]} answers what can't be believed") from error
    now = datetime.now(UTC)
    if own is None or own.this_update_utc > now or (own.next_update_utc is not None and own.next_update_utc < now):
        raise _UnknownError(f"{url[:200]} has an old answer, or one about another certificate")
    if own.certificate_status is ocsp.OCSPCertStatus.UNKNOWN:
        raise _UnknownError(f"{url[:200]} doesn't know it")
    if own.certificate_status is ocsp.OCSPCertStatus.GOOD:
        return False
    return signed is None or own.revocation_time_utc is None or signed >= own.revocation_time_utc


def _require_answer_of(said: ocsp.OCSPResponse, issuer: x509.Certificate) -> None:
    """Is an answer signed by the authority, or by whom it made a certificate for that?"""
    by = issuer
    for each in said.certificates:
        if each != issuer and said.responder_name in (None, each.subject):
            each.verify_directly_issued_by(issuer)
            if (
                ExtendedKeyUsageOID.OCSP_SIGNING
                not in each.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
            ):
                raise ValueError("a certificate that is not for this")
            by = each
            break
    key, strength = by.public_key(), said.signature_hash_algorithm
    if strength is None:
        raise UnsupportedAlgorithm("a signature without a hash")
    if isinstance(key, rsa.RSAPublicKey):
        key.verify(said.signature, said.tbs_response_bytes, padding.PKCS1v15(), strength)
    elif isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(said.signature, said.tbs_response_bytes, ec.ECDSA(strength))
    else:
        raise UnsupportedAlgorithm("a key that is neither RSA nor ECDSA")


async def _by_list(
    connection: Http, url: str, certificate: x509.Certificate, issuer: x509.Certificate, signed: datetime | None
) -> bool:
    answer = await connection.get(url, limit=_LIST)
    if not answer.is_good:
        raise _UnknownError(f"{url[:200]} answers {answer.status}")
    key = issuer.public_key()
    try:
        listed = x509.load_der_x509_crl(answer.body)
        if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey) or not listed.is_signature_valid(key):
            raise _UnknownError(f"{url[:200]} is not signed by '{issuer.subject.rfc4514_string()[:200]}'")
        entry = listed.get_revoked_certificate_by_serial_number(certificate.serial_number)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _UnknownError(f"{url[:200]} is no list of revoked certificates") from error
    if listed.next_update_utc is None or listed.next_update_utc < datetime.now(UTC):
        raise _UnknownError(f"{url[:200]} is out of date")
    if entry is None:
        return False
    return signed is None or signed >= _invalid_since(entry)


def _invalid_since(entry: x509.RevokedCertificate) -> datetime:
    try:
        return entry.extensions.get_extension_for_class(x509.InvalidityDate).value.invalidity_date_utc
    except x509.ExtensionNotFound:
        return entry.revocation_date_utc


def _responders(certificate: x509.Certificate) -> Iterator[str]:
    try:
        access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except x509.ExtensionNotFound:
        return
    for each in access:
        if each.access_method == AuthorityInformationAccessOID.OCSP:
            yield from _url(each.access_location)


def _lists(certificate: x509.Certificate) -> Iterator[str]:
    try:
        points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    except x509.ExtensionNotFound:
        return
    for point in points:
        for name in point.full_name or ():
            yield from _url(name)


def _url(name: x509.GeneralName) -> Iterator[str]:
    if isinstance(name, x509.UniformResourceIdentifier) and name.value.startswith(("http://", "https://")):
        yield name.value
