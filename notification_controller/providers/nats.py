"""NATS: the event as a message of a subject.

Each post has a connection of its own, as events are few: none is kept open, and none is found dead.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from nats.aio.client import Client, RawCredentials
from nats.errors import AuthorizationError, Error

from notification_controller.event import encode
from notification_controller.providers.base import Connection, DeliveryFailed, InvalidProvider, Notification, Provider
from shared.http import Http

_JWT = re.compile(r"-----BEGIN NATS USER JWT-----\s+(\S+)\s+-")
_SEED = re.compile(r"-----BEGIN USER NKEY SEED-----\s+(\S+)\s+-")
_SEED_PREFIX, _USER_PREFIX = 18 << 3, 20 << 3
_REFUSALS = ("authorization", "permissions violation", "authentication", "user authentication")


class Key(NamedTuple):
    """Who a client is: a key, and what an account says of it."""

    private: Ed25519PrivateKey
    public: str
    jwt: str = ""


def connect(connection: Connection, http: Http) -> Provider:
    """nats: needs a server's URL (or several, with commas) as address and a subject as channel. It logs in with the
    Secret's creds, or its nkey, or username and password."""
    if not connection.address:
        raise InvalidProvider("NATS server (address) cannot be empty")
    if not connection.channel:
        raise InvalidProvider("NATS subject (channel) cannot be empty")
    if connection.proxy:
        raise InvalidProvider("a nats Provider can't use a proxy: remove proxySecretRef and proxy")
    return _Nats(connection, key(connection))


def key(connection: Connection) -> Key | None:
    """The key of the Secret; None when it has none."""
    creds, seed = (connection.secret.get(name, b"").decode(errors="replace").strip() for name in ("creds", "nkey"))
    if creds:
        jwt, inner = _JWT.search(creds), _SEED.search(creds)
        if not jwt or not inner:
            raise InvalidProvider("the Secret's key 'creds' is no credentials file with a user's JWT and NKey seed")
        return from_seed(inner[1])._replace(jwt=jwt[1])
    return from_seed(seed) if seed else None


def from_seed(seed: str) -> Key:
    """The key that an NKey seed (SU…) stands for."""
    try:
        raw = base64.b32decode(seed + "=" * (-len(seed) % 8))
    except binascii.Error:
        raw = b""
    data, sum_ = raw[:-2], raw[-2:]
    if len(data) != 34 or data[0] & 248 != _SEED_PREFIX or binascii.crc_hqx(data, 0).to_bytes(2, "little") != sum_:
        raise InvalidProvider("error parsing nkey seed: it is no NKey seed, which begins with SU")
    private = Ed25519PrivateKey.from_private_bytes(data[2:])
    prefix = (data[0] & 7) << 5 | data[1] >> 3
    if prefix != _USER_PREFIX:
        raise InvalidProvider("error parsing nkey seed: it is not a user's, which begins with SU")
    public = bytes([prefix]) + private.public_key().public_bytes_raw()
    whole = public + binascii.crc_hqx(public, 0).to_bytes(2, "little")
    return Key(private, base64.b32encode(whole).decode().rstrip("="))


@dataclass(frozen=True)
class _Nats:
    connection: Connection
    key: Key | None

    async def post(self, notification: Notification) -> None:
        connection, client = self.connection, _Client(self.key)
        begin = f"error publishing event to subject {connection.channel}: "
        what = "error connecting to server"
        try:
            await client.connect(**self._options())
            # A server of several that wasn't there is no failure of the one that is.
            before, what = client.last_error, "error publishing message to server"
            await client.publish(connection.channel, encode(notification.event))
            # The client asks for the first answer before it sends the event: only the second comes after a refusal.
            for _ in range(2):
                await client.flush(timeout=max(int(connection.timeout), 1))
            if client.last_error and client.last_error is not before:
                raise client.last_error
        except (Error, OSError, ValueError) as error:
            said = connection.masked(f"{what}: {error or type(error).__name__}")
            is_final = isinstance(error, (AuthorizationError, ValueError)) or any(
                word in str(error).lower() for word in _REFUSALS
            )
            raise DeliveryFailed(begin + said, is_final=is_final) from error
        finally:
            await client.close()

    def _options(self) -> dict[str, Any]:
        """Of several servers one after the other is tried; what ends a try as a whole is the post's own time."""
        connection = self.connection
        servers = [server.strip() for server in connection.address.split(",") if server.strip()]
        login: dict[str, Any] = {}
        if self.key:
            # Both only tell the client that there is a key; `_Client` has it.
            login = {"user_credentials": RawCredentials("")} if self.key.jwt else {"nkeys_seed_str": "-"}
        elif connection.username and connection.password:
            login = {"user": connection.username, "password": connection.password}
        return {
            "servers": servers,
            "name": "NATS Provider Publisher",
            "allow_reconnect": len(servers) > 1,
            "max_reconnect_attempts": 1,
            "reconnect_time_wait": 0,
            "connect_timeout": connection.timeout,
            "error_cb": _silent,
            "tls": connection.tls,
            **login,
        }


class _Client(Client):
    """Signs with the cryptography package: the client's own way to needs one more library of keys."""

    def __init__(self, key: Key | None) -> None:
        super().__init__()
        self._key = key

    def _setup_nkeys_connect(self) -> None:
        if self._key is None:
            return
        private, jwt = self._key.private, self._key.jwt
        self._public_nkey = self._key.public
        self._signature_cb = lambda nonce: base64.b64encode(private.sign(nonce.encode()))
        self._user_jwt_cb = (lambda: jwt.encode()) if jwt else None


async def _silent(error: Exception) -> None:
    """The client would log what it is told below anyway."""
