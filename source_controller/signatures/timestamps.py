"""Timestamps: when a signature was there already, as a timestamp authority says. Only here: rfc3161_client.

token + signature + trusted certificates → the earliest and the latest moment
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from cryptography import x509
from rfc3161_client import VerificationError, VerifierBuilder, decode_timestamp_response

from source_controller.signatures.errors import SignatureError

_GRANTED = b"\x30\x03\x02\x01\x00"
"""The status with which an authority hands out a token; kept tokens come without it."""


def moment(token: bytes, signature: bytes, trusted: Sequence[x509.Certificate]) -> tuple[datetime, datetime]:
    """From when to when it may have been. SignatureError when the token isn't of this signature, or not trusted."""
    if not token:
        raise SignatureError("it has no timestamp")
    try:
        answer = decode_timestamp_response(_sequence(_GRANTED + token))
        VerifierBuilder(roots=list(trusted)).build().verify_message(answer, signature)
    except (VerificationError, ValueError) as error:
        raise SignatureError(f"its timestamp is not of a trusted authority: {error}") from error
    at, accuracy = answer.tst_info.gen_time, answer.tst_info.accuracy
    slack = timedelta()
    if accuracy is not None:
        slack = timedelta(
            seconds=accuracy.seconds or 0, milliseconds=accuracy.millis or 0, microseconds=accuracy.micros or 0
        )
    return at - slack, at + slack


def _sequence(content: bytes) -> bytes:
    """As DER. A token is longer than the 127 bytes that have a shorter form."""
    size = len(content).to_bytes((len(content).bit_length() + 7) // 8)
    return bytes([0x30, 0x80 + len(size)]) + size + content
