"""Who is asking: bearer tokens, service account tokens, client certificates; then whom they ask to act as."""

from __future__ import annotations

import base64
import binascii
import hmac
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from kubeapi.errors import bad_request, unauthorized
from kubeapi.identity import (
    ANONYMOUS,
    AUTHENTICATED,
    SERVICE_ACCOUNT,
    UNAUTHENTICATED,
    User,
    of_service_account,
)

if TYPE_CHECKING:
    from kubeapi.cluster import Cluster

Manifest = dict[str, Any]

ISSUER = "https://kubernetes.default.svc.cluster.local"
DEFAULT_AUDIENCE = ISSUER
_MASTERS_UID = "fluvial-kubeapi-admin"
_EXTRA = "impersonate-extra-"
_P256_BYTES = 32


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class TokenIssuer:
    """Signs service account tokens (JWT, ES256) and reads them back."""

    def __init__(self, key: ec.EllipticCurvePrivateKey):
        self._key = key
        self._public = key.public_key()
        self._verified: dict[str, Manifest] = {}

    def sign(self, claims: Manifest) -> str:
        head = _encode(orjson.dumps({"alg": "ES256", "typ": "JWT"}))
        body = f"{head}.{_encode(orjson.dumps(claims))}"
        r, s = decode_dss_signature(self._key.sign(body.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{body}.{_encode(r.to_bytes(_P256_BYTES, 'big') + s.to_bytes(_P256_BYTES, 'big'))}"

    def claims(self, token: str) -> Manifest | None:
        """What a token of ours says; None when the signature isn't ours. Times are the caller's to check."""
        known = self._verified.get(token)
        if known is not None:
            return known
        parts = token.split(".")
        if len(parts) != 3 or len(token) > 16_384:
            return None
        try:
            signature = _decode(parts[2])
            if len(signature) != 2 * _P256_BYTES or orjson.loads(_decode(parts[0])).get("alg") != "ES256":
                return None
            r, s = (int.from_bytes(half, "big") for half in (signature[:_P256_BYTES], signature[_P256_BYTES:]))
            self._public.verify(
                encode_dss_signature(r, s), f"{parts[0]}.{parts[1]}".encode(), ec.ECDSA(hashes.SHA256())
            )
            claims = orjson.loads(_decode(parts[1]))
        except (InvalidSignature, ValueError, binascii.Error, AttributeError):
            return None
        if not isinstance(claims, dict):
            return None
        if len(self._verified) > 1024:
            self._verified.clear()
        self._verified[token] = claims
        return claims


class Authenticator:
    """Finds the user of a request."""

    def __init__(self, cluster: Cluster, issuer: TokenIssuer, tokens: Mapping[str, User], *, anonymous: bool = True):
        self.cluster = cluster
        self.issuer = issuer
        self.tokens = dict(tokens)
        self.anonymous = anonymous

    def authenticate(self, authorization: str, certificate: Mapping[str, Any] | None) -> User:
        """The user of an Authorization header or a verified peer certificate; 401 when the credentials are wrong."""
        scheme, _, token = authorization.partition(" ")
        token = token.strip()
        if scheme.lower() == "bearer" and token:
            user = self.of_token(token)
            if user is None:
                raise unauthorized()
            return user
        if certificate:
            user = _of_certificate(certificate)
            if user is not None:
                return user
        if authorization or not self.anonymous:
            raise unauthorized()
        return User(ANONYMOUS, (UNAUTHENTICATED,))

    def of_token(self, token: str, audiences: Sequence[str] = ()) -> User | None:
        """The user of a bearer token, or None."""
        for known, user in self.tokens.items():
            if hmac.compare_digest(known.encode(), token.encode()):
                return user
        claims = self.issuer.claims(token)
        return None if claims is None else self._of_claims(claims, audiences or (DEFAULT_AUDIENCE,))

    def _of_claims(self, claims: Manifest, audiences: Sequence[str]) -> User | None:
        if claims.get("iss") != ISSUER or not set(claims.get("aud") or ()) & set(audiences):
            return None
        now = self.cluster.clock.now().timestamp()
        if now < claims.get("nbf", 0) - 60 or now >= claims.get("exp", 0):
            return None
        bound = claims.get("kubernetes.io") or {}
        account = bound.get("serviceaccount") or {}
        namespace, name = str(bound.get("namespace", "")), str(account.get("name", ""))
        entry = self.cluster.store.get(("", "serviceaccounts"), namespace, name)
        if entry is None or entry.uid != account.get("uid"):
            return None
        for plural, key in (("pods", "pod"), ("secrets", "secret")):
            reference = bound.get(key)
            if reference:
                held = self.cluster.store.get(("", plural), namespace, str(reference.get("name", "")))
                if held is None or held.uid != reference.get("uid"):
                    return None
        extra = {"authentication.kubernetes.io/credential-id": (f"JTI={claims.get('jti', '')}",)}
        return of_service_account(namespace, name, entry.uid, extra)

    def service_account_token(
        self, namespace: str, name: str, uid: str, audiences: Sequence[str], seconds: int, bound: Manifest | None = None
    ) -> tuple[str, float]:
        """A token for a service account and the Unix time at which it expires."""
        now = int(self.cluster.clock.now().timestamp())
        claims: Manifest = {
            "aud": list(audiences or (DEFAULT_AUDIENCE,)),
            "exp": now + seconds,
            "iat": now,
            "iss": ISSUER,
            "jti": str(uuid.uuid4()),
            "kubernetes.io": {"namespace": namespace, "serviceaccount": {"name": name, "uid": uid}, **(bound or {})},
            "nbf": now,
            "sub": f"{SERVICE_ACCOUNT}{namespace}:{name}",
        }
        return self.issuer.sign(claims), now + seconds


def _of_certificate(certificate: Mapping[str, Any]) -> User | None:
    """The user of a certificate as the ssl module describes it."""
    name, groups = "", []
    for relative in certificate.get("subject", ()):
        for key, value in relative:
            if key == "commonName":
                name = value
            elif key == "organizationName":
                groups.append(value)
    return User(name, (*groups, AUTHENTICATED)) if name else None


def impersonated(headers: Sequence[tuple[str, str]]) -> User | None:
    """Whom the Impersonate headers name, or None when there are none; 400 when they make no sense."""
    name, uid = "", ""
    groups: list[str] = []
    extra: dict[str, list[str]] = {}
    for key, value in headers:
        key = key.lower()
        if key == "impersonate-user":
            name = value
        elif key == "impersonate-uid":
            uid = value
        elif key == "impersonate-group":
            groups.append(value)
        elif key.startswith(_EXTRA):
            extra.setdefault(unquote(key[len(_EXTRA) :]), []).append(value)
    if not name:
        if groups or extra or uid:
            raise bad_request("requested impersonation of groups, uid or extra without impersonating a user")
        return None
    if name.startswith(SERVICE_ACCOUNT) and not groups:
        namespace, _, account = name[len(SERVICE_ACCOUNT) :].partition(":")
        groups = list(of_service_account(namespace, account).groups)
    elif name != ANONYMOUS and AUTHENTICATED not in groups and UNAUTHENTICATED not in groups:
        groups.append(AUTHENTICATED)
    elif name == ANONYMOUS and not groups:
        groups = [UNAUTHENTICATED]
    return User(name, tuple(groups), uid, {key: tuple(values) for key, values in extra.items()})


def admin(name: str = "kubernetes-admin") -> User:
    """The owner of the server: everything is allowed."""
    return User(name, ("system:masters", AUTHENTICATED), _MASTERS_UID)
