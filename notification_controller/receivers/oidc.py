"""OIDC: who sends a webhook is what an issuer's signed token says. Only here: PyJWT.

    token → its issuer, which the Receiver must name → the issuer's keys → signature, time, audience → claims

Only issuers that a Receiver names are ever asked: what a token says of its issuer chooses among them and leads nowhere
else. Keys are kept; a token signed by a key that is not known makes us look again, at most once in `AGAIN` seconds for
each issuer, so that nobody can make us ask without end.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jwt

from notification_controller.receivers import filters
from notification_controller.receivers.proofs import Secret, pubsub_message
from notification_controller.receivers.webhook import Proven, Refused, Webhook, json_value
from shared import http
from shared.api.notification import ReceiverSpec
from shared.http import HttpError

ALGORITHMS = ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "EdDSA")
"""Those with a public key: with a shared secret, the issuer's public key would be the secret."""
GOOGLE_KEYS = "https://www.googleapis.com/oauth2/v3/certs"
GOOGLE = ("accounts.google.com", "https://accounts.google.com")
KEPT = 600.0
"""Seconds after which keys are asked for anew, so that one that the issuer drops is soon believed no more."""
AGAIN = 10.0
"""Seconds between two looks for a key that isn't known."""
EARLY = 300
"""Seconds by which an issuer's clock may be ahead of ours."""
_ISSUERS, _KEYS, _DOCUMENT, _SECONDS = 256, 100, 1 << 20, 10.0


@dataclass(frozen=True)
class Keys:
    """What an issuer signs with."""

    algorithms: Sequence[str]
    keys: Sequence[Mapping[str, Any]]
    """As JSON Web Keys."""


@dataclass
class _Known:
    """An issuer's keys as of some moment."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    keys: Keys | None = None
    asked: float = float("-inf")


class Issuers:
    """The issuers' keys, asked for when they are needed first."""

    def __init__(self, google_keys: str = GOOGLE_KEYS) -> None:
        self._google_keys = google_keys
        self._known: OrderedDict[str, _Known] = OrderedDict()

    async def generic(self, spec: ReceiverSpec, webhook: Webhook) -> Proven:
        """generic-oidc: a token of one of the Receiver's issuers, for its audience, with claims that it accepts."""
        token = _bearer(webhook)
        issuer = _unproven(token).get("iss")
        provider = next((each for each in spec.oidc_providers if each.issuer_url == issuer), None)
        if provider is None:
            raise Refused("the token is of no issuer in spec.oidcProviders")
        audience = provider.audience or filters.AUDIENCE
        claims = await self._claims(token, provider.issuer_url, audience, (provider.issuer_url,))
        filters.require_claims(provider, claims)
        return Proven(webhook.body, str(claims.get("sub", "")), claims)

    async def gcr(self, secret: Secret, webhook: Webhook) -> Proven:
        """gcr: a token of Google for the audience and the service account in the Secret."""
        email, audience = (secret.get(key, b"").decode(errors="replace") for key in ("email", "audience"))
        for name, value in (("email", email), ("audience", audience)):
            if not value:
                raise Refused(f"the Secret lacks the key '{name}', which a gcr receiver needs")
        claims = await self._claims(_bearer(webhook), self._google_keys, audience, GOOGLE)
        if claims.get("email") != email:
            raise Refused("the token is of another account than the Secret's key 'email' names")
        if claims.get("email_verified") is not True:
            raise Refused("the token's e-mail address is not verified")
        body, event = pubsub_message(webhook.body)
        return Proven(body, event)

    async def _claims(self, token: str, issuer: str, audience: str, names: Sequence[str]) -> Mapping[str, Any]:
        """What a token says, once it is proven."""
        known = self._known.setdefault(issuer, _Known())
        self._known.move_to_end(issuer)
        while len(self._known) > _ISSUERS:
            self._known.popitem(last=False)
        keys = await self._current(issuer, known, KEPT)
        if not _candidates(token, keys):
            keys = await self._current(issuer, known, AGAIN)
        return verified(token, keys, audience, names, time.time())

    async def _current(self, issuer: str, known: _Known, age: float) -> Keys:
        """The issuer's keys, no older than `age` seconds. Old ones do while the issuer can't be asked."""
        async with known.lock:
            if known.keys is None or time.monotonic() - known.asked > age:
                if time.monotonic() - known.asked <= AGAIN:
                    raise Refused("the issuer's keys could not be read a moment ago")
                known.asked = time.monotonic()
                try:
                    known.keys = await self._fetched(issuer)
                except Refused:
                    if known.keys is None:
                        raise
            return known.keys

    async def _fetched(self, issuer: str) -> Keys:
        try:
            async with asyncio.timeout(_SECONDS), http.open_(seconds=_SECONDS) as connection:
                if issuer == self._google_keys:
                    return _keys(await _document(connection, issuer), ("RS256",))
                return await _discovered(connection, issuer)
        except (HttpError, TimeoutError) as error:
            raise Refused(
                f"the keys of issuer {http.origin(issuer)} can't be read: {error or 'it took too long'}"
            ) from error


async def _discovered(connection: http.Http, issuer: str) -> Keys:
    """The keys that an issuer's description leads to."""
    described = await _document(connection, f"{issuer.rstrip('/')}/.well-known/openid-configuration")
    if described.get("issuer") != issuer:
        raise Refused(f"what {http.origin(issuer)} describes is another issuer")
    address = described.get("jwks_uri")
    if not isinstance(address, str) or not address.startswith(
        ("https://", "http://")[: 1 if issuer[:6] == "https:" else 2]
    ):
        raise Refused(f"the issuer {http.origin(issuer)} names no address of its keys")
    said = described.get("id_token_signing_alg_values_supported")
    algorithms = [each for each in ALGORITHMS if isinstance(said, list) and each in said]
    return _keys(await _document(connection, address), algorithms or ("RS256",))


async def _document(connection: http.Http, url: str) -> Mapping[str, Any]:
    answer = await connection.get(url, limit=_DOCUMENT)
    if answer.status != 200:
        raise Refused(f"{http.origin(url)} answers {answer.status} where an issuer's description or keys should be")
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError) as error:
        raise Refused(f"{http.origin(url)} answers what is no JSON") from error
    if not isinstance(document, dict):
        raise Refused(f"{http.origin(url)} answers what is no JSON object")
    return document


def _keys(document: Mapping[str, Any], algorithms: Sequence[str]) -> Keys:
    keys = document.get("keys")
    found = [key for key in keys if isinstance(key, dict)] if isinstance(keys, list) else []
    return Keys(algorithms, [key for key in found if key.get("use", "sig") == "sig"][:_KEYS])


# What decides


def verified(token: str, keys: Keys, audience: str, issuers: Sequence[str], now: float) -> Mapping[str, Any]:
    """The claims of a token that one of the keys signed, for the audience, by one of the issuers, at this time."""
    candidates = _candidates(token, keys)
    if not candidates:
        raise Refused("the token is signed by no key of its issuer, or by an algorithm that is not taken")
    for key in candidates:
        try:
            jwt.decode_complete(token, key, algorithms=[key.algorithm_name], options=_ONLY_THE_SIGNATURE)
            break
        except jwt.InvalidSignatureError:
            continue
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise Refused(f"the token can't be read: {error}") from error
    else:
        raise Refused("the token's signature is not of its issuer")
    claims = _unproven(token)
    if claims.get("iss") not in issuers:
        raise Refused("the token is of another issuer")
    said = claims.get("aud")
    if audience not in (said if isinstance(said, list) else [said]):
        raise Refused("the token is for another audience")
    expires, begins = claims.get("exp"), claims.get("nbf")
    if not isinstance(expires, float) or expires <= now:
        raise Refused("the token has expired")
    if begins is not None and (not isinstance(begins, float) or begins > now + EARLY):
        raise Refused("the token is not valid yet")
    return claims


_ONLY_THE_SIGNATURE: Any = {f"verify_{claim}": False for claim in ("exp", "nbf", "iat", "aud", "iss", "sub", "jti")} | {
    "verify_signature": True
}
"""The claims are compared here, with numbers as expressions see them, and with upstream's tolerance."""


def _candidates(token: str, keys: Keys) -> list[jwt.PyJWK]:
    """The keys that may have signed a token, each for the token's algorithm, if that is one of the issuer's."""
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError) as error:
        raise Refused(f"the token can't be read: {error}") from error
    algorithm, name = header.get("alg"), header.get("kid")
    if algorithm not in keys.algorithms:
        return []
    found = []
    for key in keys.keys:
        if (name and key.get("kid") != name) or key.get("alg", algorithm) != algorithm:
            continue
        try:
            found.append(jwt.PyJWK(dict(key), algorithm))
        except (jwt.PyJWTError, ValueError, TypeError, KeyError):
            continue  # of another kind, or of one that isn't known
    return found


def _unproven(token: str) -> Mapping[str, Any]:
    """What a token says of itself; nobody vouches for it yet."""
    parts = token.split(".")
    try:
        claims = json_value(jwt.utils.base64url_decode(parts[1].encode()), whole=True) if len(parts) == 3 else None
    except ValueError as error:
        raise Refused("the token can't be read") from error
    if not isinstance(claims, dict):
        raise Refused("the Authorization header holds no JSON Web Token")
    return claims


def _bearer(webhook: Webhook) -> str:
    scheme, _, token = webhook.header("Authorization").partition(" ")
    if scheme != "Bearer" or not token.strip():
        raise Refused("the Authorization header is missing, or has no bearer token")
    return token.strip()
