"""An image passes when its signature stands the checks that the trust policy enforces."""

from __future__ import annotations

import base64
import json
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cbor2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from shared.oci import registry as oci
from shared.oci.reference import Repository
from source_controller.signatures import envelope, timestamps, trustpolicy
from source_controller.signatures.errors import SignatureError
from source_controller.signatures.notation import Notation
from tests.kit.notation import ARTIFACT, COSE, JWS, SIGNING_AUTHORITY, Authority, TimestampAuthority, now, policy
from tests.kit.registry import Registry
from tests.kit.sigstore import refer, usage
from tests.source_controller.conftest import condition

KIND = "OCIRepository"
DATA = Path(__file__).parent / "testdata" / "notation" / "signatures.json"


@pytest.fixture(scope="module")
def authority():
    return Authority()


@pytest.fixture(scope="module")
def ada(authority):
    return authority.signer("ada")


@pytest.fixture
def registry():
    with Registry() as made:
        yield made


class Image:
    """An image, its signatures, and who is trusted."""

    def __init__(self, registry, authority):
        self.registry, self.authority = registry, authority
        self.digest = registry.push_files("app", "v1", {"a": "1"})

    def sign(self, data, media_type=JWS):
        refer(self.registry, "app", self.digest, ARTIFACT, data, media_type)

    async def check(self, trusted=policy(), *certificates):  # noqa: B008
        given = {f"{index}.pem": each for index, each in enumerate(certificates or [self.authority.pem])}
        proof = Notation({"trustpolicy.json": json.dumps(trusted).encode(), **given})
        async with oci.open_(Repository(self.registry.host, "app"), transport=oci.Transport(insecure=True)) as remote:
            return await proof.require_signed(remote, self.digest)

    async def refused(self, trusted=policy(), *certificates):  # noqa: B008
        with pytest.raises(SignatureError) as error:
            await self.check(trusted, *certificates)
        return str(error.value)


@pytest.fixture
def image(registry, authority):
    return Image(registry, authority)


def forms(signer, digest, **how):
    return [(signer.jws(digest, **how), JWS), (signer.cose(digest, **how), COSE)]


def test_what_notations_own_library_signed_is_read():
    given = json.loads(DATA.read_text())
    root = x509.load_pem_x509_certificate(given["root"].encode())
    assert len(given["signatures"]) == 20
    for each in given["signatures"]:
        data = base64.b64decode(each["Envelope"])
        read = envelope.read(each["MediaType"], data)
        assert json.loads(read.payload)["targetArtifact"]["digest"] == given["digest"]
        assert each["Name"].endswith(f" {read.scheme}")
        assert read.chain[1] == root
        assert (read.expires is not None) == each["Name"].startswith("ec-256")
        with pytest.raises(SignatureError):
            envelope.read(each["MediaType"], data.replace(b"a" * 64, b"b" * 64).replace(b"YWFh", b"YmJi"))


async def test_an_image_that_a_trusted_signer_signed_passes(image, ada):
    for data, media_type in forms(ada, image.digest):
        image.sign(data, media_type)
        assert await image.check()
        assert await image.check(policy(identities=("x509.subject: C=AQ, S=Ross, O=Penguins",)))
        assert await image.check(policy(stores=("ca:one", "signingAuthority:two")))


async def test_what_is_not_signed_does_not_pass(image):
    assert "no signature is associated" in await image.refused()


@pytest.mark.parametrize("form", ["jws", "cose"])
async def test_another_signer_does_not_pass(image, ada, form):
    media_type = JWS if form == "jws" else COSE
    image.sign(getattr(Authority("authority").signer("ada"), form)(image.digest), media_type)
    assert "none of its certificates is trusted" in await image.refused()
    image.sign(getattr(ada, form)(image.digest), media_type)
    only_eve = policy(identities=("x509.subject: CN=eve,C=AQ,ST=Ross,O=Penguins",))
    assert "none of the trustedIdentities" in await image.refused(only_eve)
    assert "names no trust store of type ca" in await image.refused(policy(stores=("signingAuthority:one",)))
    assert await image.check(), "one good signature among bad ones is enough"


async def test_a_signature_of_another_image_does_not_count(image, ada):
    for data, media_type in forms(ada, "sha256:" + "b" * 64):
        image.sign(data, media_type)
        assert "another image" in await image.refused()


async def test_what_a_check_finds_is_enforced_logged_or_skipped(image, ada, caplog):
    image.sign(ada.jws(image.digest, signed=now() - timedelta(days=2), expires=now() - timedelta(days=1)))
    assert "it expired on" in await image.refused()
    assert await image.check(policy("permissive"))
    assert "fails the check 'expiry', which is only logged" in caplog.text
    assert await image.check(policy(override={"expiry": "log"}))
    assert "it expired on" in await image.refused(policy("audit", override={"expiry": "enforce"}))


async def test_an_image_that_nobody_trusted_signed_passes_an_audit_unproven(image):
    image.sign(Authority().signer("eve").jws(image.digest))
    assert await image.check(policy("audit")) is False
    image.registry.requests.clear()
    skipped = {"name": "x", "registryScopes": ["*"], "signatureVerification": {"level": "skip"}}
    assert await image.check({"version": "1.0", "trustPolicies": [skipped]}) is False
    assert image.registry.requests == [], "nothing is looked for then"


@pytest.mark.parametrize("form", ["jws", "cose"])
async def test_certificates_that_ended_need_a_timestamp(image, authority, form, tmp_path):
    stamps = Authority("stamps")
    tsa = TimestampAuthority(tmp_path / "tsa", stamps)
    old = authority.signer("old", since=timedelta(days=-20), until=timedelta(hours=1))
    media_type = JWS if form == "jws" else COSE
    both = (authority.pem, stamps.pem)
    by_time = policy(stores=("ca:one", "tsa:two"))
    image.sign(getattr(old, form)(image.digest), media_type)
    assert await image.check()
    assert "it has no timestamp" in await image.refused(by_time, *both)
    assert await image.check(policy(stores=("ca:one", "tsa:two"), verifyTimestamp="afterCertExpiry"), *both)
    image.sign(getattr(old, form)(image.digest, tsa=tsa), media_type)
    assert await image.check(by_time, *both)
    assert "not of a trusted authority" in await image.refused(by_time), "the certificate of who stamps is missing"


async def test_a_signature_by_a_certificate_that_had_ended_does_not_pass(image, authority, tmp_path):
    stamps = Authority("stamps")
    over = authority.signer("over", since=timedelta(days=-20), until=timedelta(days=-10))
    image.sign(
        over.jws(image.digest, signed=now() - timedelta(days=15), tsa=TimestampAuthority(tmp_path / "t", stamps))
    )
    assert "is valid from" in await image.refused()
    assert "is valid from" in await image.refused(policy(stores=("ca:one", "tsa:two")), authority.pem, stamps.pem)


def test_a_timestamp_is_of_one_signature(tmp_path):
    stamps = Authority("stamps")
    token = TimestampAuthority(tmp_path / "tsa", stamps).stamp(b"one")
    earliest, latest = timestamps.moment(token, b"one", [stamps.certificate])
    assert latest - earliest == timedelta(seconds=2)
    for wrong in (token[:-5], b"", b"\x30\x00", b"x" * 100_000):
        with pytest.raises(SignatureError):
            timestamps.moment(wrong, b"one", [stamps.certificate])
    with pytest.raises(SignatureError, match="not of a trusted authority"):
        timestamps.moment(token, b"two", [stamps.certificate])


@pytest.mark.parametrize("form", ["jws", "cose"])
async def test_under_a_signing_authority_its_time_counts(image, authority, form):
    trusted, media_type = policy(stores=("signingAuthority:one",)), JWS if form == "jws" else COSE
    over = authority.signer("over", since=timedelta(days=-20), until=timedelta(days=-10))
    later = getattr(over, form)(image.digest, scheme=SIGNING_AUTHORITY, signed=now() - timedelta(days=5))
    image.sign(later, media_type)
    assert "is valid from" in await image.refused(trusted)
    image.sign(
        getattr(over, form)(image.digest, scheme=SIGNING_AUTHORITY, signed=now() - timedelta(days=15)), media_type
    )
    assert await image.check(trusted)


@pytest.mark.parametrize(
    ("how", "problem"),
    [
        ({"headers": {"alg": "none", 1: 0}}, "algorithm doesn't fit"),
        ({"headers": {"alg": "ES384", 1: -35}}, "algorithm doesn't fit"),
        ({"headers": {"cty": "text/plain", 3: "text/plain"}}, "not of Notation's kind"),
        ({"critical": []}, "must be critical and aren't"),
        ({"critical": ["io.cncf.notary.signingScheme", "com.example"]}, "not understood: com.example"),
        ({"scheme": "notary.x509.other"}, "signing scheme is unknown"),
        ({"headers": {"io.cncf.notary.signingTime": "yesterday"}}, "odd"),
        ({"expires": now() - timedelta(days=1)}, "expires before it is signed"),
    ],
)
def test_headers_that_do_not_fit_are_refused(ada, how, problem):
    for form, media_type in ((ada.jws, JWS), (ada.cose, COSE)):
        with pytest.raises(SignatureError, match=problem):
            envelope.read(media_type, form("sha256:" + "a" * 64, **how))


@pytest.mark.parametrize(
    "extensions",
    [
        [usage(key_encipherment=True, digital_signature=True)],
        [usage(key_agreement=True)],
        [usage(digital_signature=True), x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SERVER_AUTH])],
        [x509.SubjectKeyIdentifier(b"x")],
    ],
)
def test_certificates_for_other_uses_are_refused(authority, extensions):
    signer = authority.signer("web", *extensions)
    for form, media_type in ((signer.jws, JWS), (signer.cose, COSE)):
        with pytest.raises(SignatureError, match="certificate"):
            envelope.read(media_type, form("sha256:" + "a" * 64))


def test_a_chain_must_be_one(authority, ada):
    other = Authority("other")
    for chain in (
        [ada.chain[0]],
        [ada.chain[0], other.certificate],
        [ada.chain[0], ada.chain[0]],
        [ada.chain[0], *[authority.certificate] * 20],
        [],
    ):
        spoilt = type(ada)(ada.key, chain)
        with pytest.raises(SignatureError):
            envelope.read(JWS, spoilt.jws("sha256:" + "a" * 64))


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"[]", b"[" * 100_000, b'{"protected": "e30", "payload": "", "signature": ""}', b"\x81" * 100_000]
    + [cbor2.dumps(each) for each in (1, [], cbor2.CBORTag(18, [b"", {}, b"", b""]), cbor2.CBORTag(18, [1, 2, 3, 4]))],
)
def test_what_is_no_envelope_is_refused(data):
    for media_type in (JWS, COSE, "text/plain"):
        with pytest.raises(SignatureError):
            envelope.read(media_type, data)


def statement(**changed):
    document = policy()
    document["trustPolicies"][0].update(changed)
    return document


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({}, "version"),
        ({"version": "2.0", "trustPolicies": []}, "version"),
        ({"version": "1.0", "trustPolicies": []}, "no 'trustPolicies'"),
        ({"version": "1.0", "trustPolicies": [7]}, "no name"),
        ({"version": "1.0", "trustPolicies": policy()["trustPolicies"] * 2}, "'all' is there twice"),
        (statement(registryScopes=[]), "registryScopes"),
        (statement(registryScopes=["*", "x/y"]), "registryScopes"),
        (statement(registryScopes=["https://x/y"]), "no repository as host/path"),
        (statement(trustStores=[]), "must both be given"),
        (statement(trustStores=["own:x"]), "trust store 'own:x'"),
        (statement(trustStores=["ca"]), "trust store 'ca'"),
        (statement(trustedIdentities=["*", "x509.subject: C=AQ,ST=R,O=P"]), "must stand alone"),
        (statement(trustedIdentities=["x509.subject: C=AQ,O=P"]), "lacks ST"),
        (statement(trustedIdentities=["x509.subject: nonsense"]), "no distinguished name"),
        (statement(trustedIdentities=["penguin"]), "has no kind"),
        (statement(trustedIdentities=["plugin.own: x"]), "has no x509.subject"),
        (
            statement(trustedIdentities=["x509.subject: C=AQ,ST=B,O=C", "x509.subject: C=AQ,ST=B,O=C,CN=D"]),
            "includes another",
        ),
        (policy("lenient"), "level must be one of"),
        (policy("skip", override={"expiry": "log"}), "can't be overridden"),
        (policy(override={"integrity": "log"}), "can't be overridden"),
        (policy(override={"authenticity": "skip"}), "can't be overridden"),
        (policy(override={"humour": "log"}), "no override"),
        (policy(verifyTimestamp="never"), "verifyTimestamp"),
    ],
)
def test_a_trust_policy_that_is_none_says_why(document, problem):
    with pytest.raises(SignatureError, match=problem):
        trustpolicy.parsed(json.dumps(document).encode())


def test_the_statement_that_names_the_repository_comes_first():
    two = {**policy()["trustPolicies"][0], "name": "own", "registryScopes": ["x.test:5000/team/app", "y.test/app"]}
    statements = trustpolicy.parsed(
        json.dumps({"version": "1.0", "trustPolicies": [*policy()["trustPolicies"], two]}).encode()
    )
    assert trustpolicy.applicable(statements, "x.test:5000/team/app").name == "own"
    assert trustpolicy.applicable(statements, "x.test:5000/team").name == "all"
    with pytest.raises(SignatureError, match=r"'z/z' in its registryScopes"):
        trustpolicy.applicable(statements[1:], "z/z")


class Revocations:
    """Where an authority says what it took back; answers by OCSP and by list."""

    def __enter__(self):
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                self.reply(owner.listed())

            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                self.reply(owner.answered())

            def reply(self, data):
                self.send_response(200 if data else 500)
                self.end_headers()
                self.wfile.write(data)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.revoked, self.is_up, self.signed_by, self.age = None, True, None, timedelta()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def use(self, authority, signer):
        self.authority, self.certificate, self.signed_by = authority, signer.chain[0], authority.key

    def answered(self):
        if not self.is_up:
            return b""
        state = ocsp.OCSPCertStatus.REVOKED if self.revoked else ocsp.OCSPCertStatus.GOOD
        builder = ocsp.OCSPResponseBuilder().add_response(
            cert=self.certificate,
            issuer=self.authority.certificate,
            algorithm=hashes.SHA1(),
            cert_status=state,
            this_update=now() - self.age - timedelta(hours=1),
            next_update=now() - self.age + timedelta(hours=1),
            revocation_time=self.revoked,
            revocation_reason=None,
        )
        builder = builder.responder_id(ocsp.OCSPResponderEncoding.NAME, self.authority.certificate)
        return builder.sign(self.signed_by, hashes.SHA256()).public_bytes(Encoding.DER)

    def listed(self):
        if not self.is_up:
            return b""
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.authority.certificate.subject)
        builder = builder.last_update(now() - self.age - timedelta(hours=1)).next_update(
            now() - self.age + timedelta(hours=1)
        )
        if self.revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(self.certificate.serial_number)
            builder = builder.add_revoked_certificate(entry.revocation_date(self.revoked).build())
        return builder.sign(self.signed_by, hashes.SHA256()).public_bytes(Encoding.DER)


@pytest.fixture
def revocations():
    with Revocations() as made:
        yield made


@pytest.mark.parametrize("how", [("ocsp",), ("crl",), ("ocsp", "crl")])
async def test_a_certificate_that_was_taken_back_counts_no_more(registry, revocations, how):
    authority = Authority(**{each: f"{revocations.url}/{each}" for each in how})
    ada = authority.signer("ada")
    revocations.use(authority, ada)
    image = Image(registry, authority)
    image.sign(ada.jws(image.digest))
    assert await image.check()
    revocations.revoked = now() - timedelta(days=1)
    assert "is revoked" in await image.refused()
    assert await image.check(policy(override={"revocation": "skip"}))
    revocations.revoked, revocations.signed_by = None, Authority().key
    assert "can't be learnt" in await image.refused(), "somebody else says that all is well"
    revocations.signed_by, revocations.age = authority.key, timedelta(days=1)
    assert "can't be learnt" in await image.refused(), "all was well yesterday"
    revocations.is_up = False
    assert "can't be learnt" in await image.refused()
    assert await image.check(policy("permissive"))


async def test_strangers_certificates_send_no_requests(registry, revocations, authority):
    """Who signs chooses the addresses; only those of who is trusted are asked."""
    eve = Authority(ocsp=f"{revocations.url}/ocsp")
    asked = []
    revocations.answered = lambda: asked.append(1) or b""
    image = Image(registry, authority)
    image.sign(eve.signer("eve").jws(image.digest))
    assert await image.check(policy("audit")) is False
    assert asked == []


def spec(registry):
    verify = {"provider": "notation", "secretRef": {"name": "trust"}}
    return {"url": registry.url("app"), "insecure": True, "ref": {"tag": "v1"}, "verify": verify}


async def test_a_source_follows_its_trust_policy(controller, registry, authority, ada):
    digest = registry.push_files("app", "v1", {"a": "1"})
    await controller.put("s", spec(registry), KIND)
    for data, problem in (
        (None, "secret 'default/trust'"),
        ({"x": "y"}, "the key 'trustpolicy.json' is missing"),
        ({"trustpolicy.json": "{"}, "the key 'trustpolicy.json' holds no trust policy"),
        ({"trustpolicy.json": json.dumps(policy())}, "it has no certificate"),
        ({"trustpolicy.json": json.dumps(policy()), "a.crt": "x"}, "the key 'a.crt' holds no certificate"),
        ({"trustpolicy.json": json.dumps(policy()), "a.crt": authority.pem}, "no signature is associated with"),
    ):
        if data is not None:
            await controller.secret("trust", data)
        await controller.ask("s", KIND)
        source = await controller.until(
            "s", lambda obj, text=problem: text in (condition(obj, "Ready", "message") or ""), KIND
        )
        assert condition(source, "Ready", "reason") == "VerificationError"
        wanted = "failed to verify the signature using provider 'notation': "
        assert condition(source, "SourceVerified", "message").startswith(wanted)
    refer(registry, "app", digest, ARTIFACT, ada.cose(digest), COSE)
    await controller.ask("s", KIND)
    source = await controller.ready("s", digest, KIND)
    assert condition(source, "SourceVerified", "message") == f"verified signature of revision v1@{digest}"


async def test_what_passes_unproven_is_published_without_being_called_verified(controller, registry, authority):
    digest = registry.push_files("app", "v1", {"a": "1"})
    refer(registry, "app", digest, ARTIFACT, Authority().signer("eve").jws(digest), JWS)
    await controller.secret("trust", {"trustpolicy.json": json.dumps(policy("audit")), "a.crt": authority.pem})
    await controller.put("s", spec(registry), KIND)
    source = await controller.ready("s", digest, KIND)
    assert condition(source, "SourceVerified") is None
