"""HTTP: ask servers that others own, bounded in size and time.

    URL + headers + TLS and proxy of Secrets → Http → Answer, or bytes into a file

What always holds: an Authorization header stays with the host it is for, also along redirects; https never becomes
http; messages name the host and carry no secret. `tls` and `proxy` read the Secrets that say how to connect.
"""

from shared.http.client import Answer, Http, Sink, blocks, explained, open_, origin, pause, redirected, way
from shared.http.errors import HttpError, SecretError

__all__ = [
    "Answer",
    "Http",
    "HttpError",
    "SecretError",
    "Sink",
    "blocks",
    "explained",
    "open_",
    "origin",
    "pause",
    "redirected",
    "way",
]
