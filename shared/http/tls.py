"""TLS: whom to trust and who to be, from a Secret's `ca.crt`, `tls.crt` and `tls.key`. Blocks for a moment.

Secrets that were made long ago may have the same under the names in NAMES.
"""

from __future__ import annotations

import os
import ssl
import tempfile
from collections.abc import Mapping
from pathlib import Path

from shared.http.errors import SecretError

NAMES = {"ca.crt": "caFile", "tls.crt": "certFile", "tls.key": "keyFile"}
"""The keys, and what each was called before."""


def has_any(data: Mapping[str, bytes]) -> bool:
    """Does a Secret say anything of this?"""
    return any(data.get(name) or data.get(old) for name, old in NAMES.items())


def context(data: Mapping[str, bytes] | None) -> ssl.SSLContext:
    """The TLS settings for a connection; the system's authorities are trusted beside the Secret's."""
    made = ssl.create_default_context()
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    if data is None:
        return made
    ca, certificate, key = (data.get(name) or data.get(old, b"") for name, old in NAMES.items())
    if not ca and not certificate and not key:
        raise SecretError("it has neither 'ca.crt' nor 'tls.crt' with 'tls.key'")
    if bool(certificate) != bool(key):
        raise SecretError("'tls.crt' and 'tls.key' go together")
    if ca:
        try:
            made.load_verify_locations(cadata=ca.decode())
        except (ssl.SSLError, ValueError) as error:
            raise SecretError("'ca.crt' holds no PEM certificate") from error
    if certificate:
        # The ssl module takes a client certificate from files only.
        with tempfile.TemporaryDirectory(prefix="tls-") as folder:
            pair = Path(folder, "pair.pem")
            descriptor = os.open(pair, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as out:
                out.write(key + b"\n" + certificate)
            try:
                made.load_cert_chain(pair, password=lambda: b"")
            except (ssl.SSLError, ValueError) as error:
                raise SecretError("'tls.crt' and 'tls.key' are no PEM pair that fits together") from error
    return made
