"""A token proves who sends a webhook: signed by its issuer, for us, and still good."""

from __future__ import annotations

import base64
import json
import time

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from multidict import CIMultiDict

from notification_controller.receivers import oidc
from notification_controller.receivers.oidc import Issuers
from notification_controller.receivers.webhook import Refused, Webhook
from shared.api.notification import OIDCProvider, OIDCValidation, ReceiverResource, ReceiverSpec
from tests.kit.hooks import Hooks, Received, Reply

RSA, OTHER = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
EC = ec.generate_private_key(ec.SECP256R1())


def public(key, **fields):
    if isinstance(key, rsa.RSAPrivateKey):
        return RSAAlgorithm.to_jwk(key.public_key(), as_dict=True) | fields
    return ECAlgorithm.to_jwk(key.public_key(), as_dict=True) | fields


class Issuer(Hooks):
    """An issuer: its description and its keys, from memory; counts who asks for them."""

    def __init__(self):
        super().__init__()
        self.keys = [public(RSA, kid="one", use="sig", alg="RS256")]
        self.described = {}
        self.algorithms = ["RS256"]

    def take(self, received: Received) -> Reply:
        super().take(received)
        documents = {
            "/.well-known/openid-configuration": {
                "issuer": self.url,
                "jwks_uri": f"{self.url}/keys",
                "id_token_signing_alg_values_supported": self.algorithms,
            }
            | self.described,
            "/keys": {"keys": self.keys},
        }
        found = documents.get(received.target)
        return Reply(404) if found is None else Reply(200, json.dumps(found).encode())

    @property
    def asked(self):
        return [each.target for each in self.requests].count("/keys")

    def token(self, key=RSA, algorithm="RS256", kid="one", **claims):
        now = int(time.time())
        said = {
            "iss": self.url,
            "aud": "notification-controller",
            "sub": "me",
            "iat": now,
            "exp": now + 60,
            "org": "acme",
        }
        headers = {} if kid is None else {"kid": kid}
        return jwt.encode({**said, **claims}, key, algorithm=algorithm, headers=headers)


@pytest.fixture
def issuer():
    with Issuer() as made:
        yield made


def receiver(issuer, **fields):
    validations = [OIDCValidation(expression="claims.org == 'acme'", message="not us")]
    provider = OIDCProvider(issuer_url=issuer.url, validations=validations, **fields)
    resources = [ReceiverResource(kind="GitRepository", name="app")]
    return ReceiverSpec(type="generic-oidc", resources=resources, oidc_providers=[provider])


async def prove(issuer, token, issuers=None, **fields):
    webhook = Webhook(CIMultiDict({"Authorization": f"Bearer {token}"}), b"{}")
    return await (issuers or Issuers()).generic(receiver(issuer, **fields), webhook)


async def test_a_good_token_proves_its_sender_and_its_claims_are_kept(issuer):
    proven = await prove(issuer, issuer.token(run=7))
    assert proven.event == "me"
    assert (proven.claims["org"], proven.claims["run"]) == ("acme", 7.0)


async def test_a_token_may_be_for_several_and_for_an_audience_of_choice(issuer):
    assert await prove(issuer, issuer.token(aud=["a", "notification-controller"]))
    assert await prove(issuer, issuer.token(aud="us"), audience="us")
    with pytest.raises(Refused, match="another audience"):
        await prove(issuer, issuer.token(), audience="us")


def unsigned(issuer):
    _, claims, _ = issuer.token().split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    return f"{none}.{claims}."


def with_the_public_key_as_a_secret(issuer):
    """What a server takes that lets the token choose the algorithm."""
    head = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"one"}').rstrip(b"=").decode()
    claims = issuer.token().split(".")[1]
    secret = issuer.keys[0]["n"].encode()
    signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(
        f"{head}.{claims}".encode(), secret
    )
    return f"{head}.{claims}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def changed(issuer):
    head, _, signature = issuer.token(org="evil").split(".")
    return f"{head}.{issuer.token().split('.')[1]}.{signature}"


BAD = {
    "expired": lambda issuer: issuer.token(exp=1),
    "without an end": lambda issuer: issuer.token(exp=None),
    "with an end that is no number": lambda issuer: changed_claims(issuer, exp="soon"),
    "not yet valid": lambda issuer: issuer.token(nbf=int(time.time()) + 3600),
    "for another audience": lambda issuer: issuer.token(aud="other"),
    "for nobody": lambda issuer: issuer.token(aud=None),
    "of another key": lambda issuer: issuer.token(OTHER),
    "of an unknown key": lambda issuer: issuer.token(OTHER, kid="two"),
    "with another algorithm than the issuer's": lambda issuer: issuer.token(algorithm="RS512"),
    "not signed": unsigned,
    "signed with the public key": with_the_public_key_as_a_secret,
    "changed": changed,
    "of an issuer that isn't named": lambda issuer: issuer.token(iss="http://127.0.0.1:1"),
    "of no issuer": lambda issuer: changed_claims(issuer, iss=None),
    "with claims that aren't ours": lambda issuer: issuer.token(org="evil"),
    "cut": lambda issuer: issuer.token()[:-5],
    "empty": lambda issuer: "",
    "no token": lambda issuer: "a.b.c",
    "half a token": lambda issuer: issuer.token().rpartition(".")[0],
    "unicode": lambda issuer: "é.é.é",
    "huge": lambda issuer: "a" * 200_000 + ".b.c",
}


def changed_claims(issuer, **claims):
    said = {"iss": issuer.url, "aud": "notification-controller", "org": "acme"} | claims
    return jwt.api_jws.encode(json.dumps(said).encode(), RSA, "RS256", headers={"kid": "one"})


@pytest.mark.parametrize("make", BAD.values(), ids=BAD)
async def test_a_token_is_refused(issuer, make):
    with pytest.raises(Refused) as refused:
        await prove(issuer, make(issuer))
    assert "eyJ" not in str(refused.value), "no token in a log"


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic x", "bearer x.y.z"])
async def test_a_token_stands_in_its_place(issuer, header):
    with pytest.raises(Refused, match="Authorization"):
        await Issuers().generic(receiver(issuer), Webhook(CIMultiDict({"Authorization": header} if header else {})))


async def test_nobody_is_asked_for_an_issuer_that_no_receiver_names(issuer):
    with Issuer() as evil:
        token = evil.token(OTHER)
        with pytest.raises(Refused, match="no issuer in"):
            await prove(issuer, token)
        assert evil.requests == []


async def test_keys_are_asked_for_once(issuer):
    issuers = Issuers()
    for _ in range(5):
        await prove(issuer, issuer.token(), issuers)
    assert issuer.asked == 1


async def test_a_new_key_is_found_and_unknown_ones_make_nobody_ask_without_end(issuer, monkeypatch):
    issuers = Issuers()
    await prove(issuer, issuer.token(), issuers)
    issuer.keys.append(public(OTHER, kid="two"))
    monkeypatch.setattr(oidc, "AGAIN", -1.0)
    assert await prove(issuer, issuer.token(OTHER, kid="two"), issuers)
    monkeypatch.setattr(oidc, "AGAIN", 60.0)
    for number in range(20):
        with pytest.raises(Refused):
            await prove(issuer, issuer.token(OTHER, kid=f"random-{number}"), issuers)
    assert issuer.asked == 2


async def test_a_key_that_the_issuer_drops_is_believed_no_more(issuer, monkeypatch):
    issuers = Issuers()
    await prove(issuer, issuer.token(), issuers)
    issuer.keys[:] = [public(OTHER, kid="two")]
    monkeypatch.setattr(oidc, "AGAIN", -1.0)
    monkeypatch.setattr(oidc, "KEPT", -1.0)
    with pytest.raises(Refused):
        await prove(issuer, issuer.token(), issuers)


async def test_known_keys_do_while_the_issuer_is_away(issuer, monkeypatch):
    issuers = Issuers()
    token = issuer.token()
    await prove(issuer, token, issuers)
    monkeypatch.setattr(oidc, "AGAIN", -1.0)
    monkeypatch.setattr(oidc, "KEPT", -1.0)
    issuer.described = {"issuer": "http://other"}
    assert await prove(issuer, token, issuers)


async def test_an_issuer_that_fails_is_not_asked_for_each_webhook(issuer):
    issuer.described = {"jwks_uri": f"{issuer.url}/none"}
    issuers = Issuers()
    for _ in range(5):
        with pytest.raises(Refused):
            await prove(issuer, issuer.token(), issuers)
    assert len(issuer.requests) == 2


@pytest.mark.parametrize(
    "described",
    [
        {"issuer": "http://other"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": None},
        {"jwks_uri": "http://127.0.0.1:1/"},
    ],
)
async def test_an_issuer_must_describe_itself(issuer, described):
    issuer.described = described
    with pytest.raises(Refused):
        await prove(issuer, issuer.token())


async def test_a_key_without_a_name_may_have_signed_any_token(issuer):
    issuer.keys[:] = [public(OTHER, kid="two"), public(RSA)]
    assert await prove(issuer, issuer.token(kid=None))


async def test_an_issuer_chooses_its_algorithms(issuer):
    issuer.keys.append(public(EC, kid="ec"))
    issuer.algorithms = ["ES256", "HS256", "none"]
    assert await prove(issuer, issuer.token(EC, "ES256", "ec"))
    with pytest.raises(Refused):
        await prove(issuer, issuer.token())


GCR = {"token": b"x", "email": b"push@project.iam", "audience": b"https://us/hook"}


async def gcr(issuer, secret=GCR, **claims):
    said = {
        "iss": "https://accounts.google.com",
        "aud": "https://us/hook",
        "email": "push@project.iam",
        "email_verified": True,
    }
    message = base64.b64encode(b'{"action": "INSERT", "tag": "app:1"}').decode()
    body = json.dumps({"message": {"data": message, "messageId": "1", "publishTime": "2026-01-02T03:04:05Z"}}).encode()
    token = issuer.token(**{**said, **claims})
    return await Issuers(f"{issuer.url}/keys").gcr(
        secret, Webhook(CIMultiDict({"Authorization": f"Bearer {token}"}), body)
    )


async def test_google_vouches_for_the_account_that_pushes(issuer):
    assert json.loads((await gcr(issuer)).body) == {"action": "INSERT", "digest": "", "tag": "app:1"}
    assert await gcr(issuer, iss="accounts.google.com")


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://evil"},
        {"aud": "https://other"},
        {"email": "other@project.iam"},
        {"email_verified": False},
        {"email_verified": "true"},
        {"email": None},
        {"exp": 1},
    ],
)
async def test_another_account_is_refused(issuer, claims):
    with pytest.raises(Refused):
        await gcr(issuer, **claims)


@pytest.mark.parametrize("key", ["email", "audience"])
async def test_a_gcr_receivers_secret_names_account_and_audience(issuer, key):
    with pytest.raises(Refused, match=f"lacks the key '{key}'"):
        await gcr(issuer, {name: value for name, value in GCR.items() if name != key})
