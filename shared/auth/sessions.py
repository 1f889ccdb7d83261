"""Sessions: the connections of the clouds' libraries, with a proxy, and bounded in time and size.

Their requests go where Secrets and annotations say, so nothing they are answered may fill the memory or take forever.
"""

from __future__ import annotations

import importlib
import logging
import os
import ssl
import time
from collections.abc import Mapping
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter

from shared.auth.errors import AuthError

SECONDS = 10.0
"""For a connection, and for each wait for an answer."""
_LARGEST = 1 << 20
_TALKATIVE = ("azure", "botocore", "google.auth", "msal", "urllib3")
"""Libraries whose logs have requests and answers in them, at some level with secrets."""


_NOISE = ("To mitigate", "Visit ", "Attempted credentials", "Content: ")
"""Lines of Azure's errors that help nobody, or say everything again."""


class TooLarge(requests.RequestException):
    """More than a login's answer can be."""


class _Bounded(HTTPAdapter):
    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: bool | str = True,
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        answer = super().send(
            request,
            stream=True,
            timeout=(SECONDS, SECONDS),  # whatever a library thinks: some would wait for minutes
            verify=(authorities() or True) if verify is True else verify,
            cert=cert,
            proxies=proxies,
        )
        try:
            answer._content = _read(answer.raw)  # what Response.content gives once it was read
        except urllib3.exceptions.HTTPError as error:
            raise requests.ConnectionError(error) from error
        finally:
            answer.close()
        return answer


def _read(raw: Any) -> bytes:
    """The body of an answer, whose bytes may come slowly, but not for long."""
    body, until = bytearray(), time.monotonic() + SECONDS
    while part := raw.read1(1 << 16, decode_content=True):
        body += part
        if len(body) > _LARGEST:
            raise TooLarge("the answer is too large for that of a login")
        if time.monotonic() > until:
            raise requests.Timeout("the answer takes too long")
    return bytes(body)


def session(proxy: str = "") -> requests.Session:
    """Connections through a proxy, or, without one, as the environment says."""
    made = requests.Session()
    made.mount("https://", _Bounded())
    made.mount("http://", _Bounded())
    if proxy:
        made.trust_env = False  # its proxies would win over this one
        made.proxies = {"http": proxy, "https": proxy}
    return made


def authorities() -> str | None:
    """The file of the authorities to trust: the system's, as everywhere in this process, not a library's own."""
    for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        if os.environ.get(name):
            return os.environ[name]
    return ssl.get_default_verify_paths().cafile


def told(error: BaseException) -> str:
    """What went wrong, in few words: libraries wrap a connection's failure in three layers of themselves."""
    inner: BaseException | None = error
    while inner is not None:
        match inner:
            case ssl.SSLCertVerificationError():
                return f"tls: failed to verify certificate: x509: {inner.verify_message or inner.reason}"
            case requests.Timeout() | TimeoutError():
                return "it did not answer in time"
            case ConnectionError() if inner.errno:
                return os.strerror(inner.errno).lower()
        nested = (getattr(inner, "reason", None), getattr(inner, "inner_exception", None), *inner.args)
        inner = next((each for each in nested if isinstance(each, BaseException)), None)
    lines = [line.strip() for line in str(error).splitlines()]
    kept = [line for line in lines if line and not line.startswith(_NOISE)]
    return "; ".join(kept)[:500] or type(error).__name__


def library(name: str, extra: str) -> Any:
    """A module of a cloud's library. AuthError, naming the extra, where it isn't installed."""
    for each in _TALKATIVE:
        logging.getLogger(each).setLevel(logging.ERROR)
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise AuthError(
            f"logins at {extra} need the library '{name.partition('.')[0]}', which isn't installed: "
            f"pip install 'fluvial[{extra}]'"
        ) from error
