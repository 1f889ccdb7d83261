"""A keyless signature counts when the instance that is trusted recorded it, of an accepted identity, of this image."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from source_controller.signatures import cosign, keyless
from source_controller.signatures.errors import SignatureError
from tests.kit.registry import Registry
from tests.kit.sigstore import BUNDLE, Log, Sigstore, attach, b64, canonical, refer
from tests.source_controller.conftest import condition

KIND = "OCIRepository"
ISSUER, ADA = "https://issuer.test", "ada@example.com"
DIGEST = "sha256:" + "a" * 64
ACCEPTED = [{"issuer": "^https://issuer[.]test$", "subject": "^ada@"}]


@pytest.fixture(scope="module")
def sigstore():
    return Sigstore()


@pytest.fixture(scope="module")
def ada(sigstore):
    return sigstore.signer(ISSUER, ADA)


@pytest.fixture
def registry():
    with Registry() as made:
        yield made


def trusting(sigstore, accepted=ACCEPTED):
    from shared.text import regex

    identities = [keyless.Identity(regex.compile(one["issuer"]), regex.compile(one["subject"])) for one in accepted]
    return keyless.Keyless(keyless.trusted_root(sigstore.trusted_root), identities)


def attachment(trust, payload, annotations):
    trust.require_signed(payload, annotations)
    cosign.require_payload_of(payload, DIGEST)


def bundle(trust, made):
    cosign.require_statement_of(trust.statement(json.dumps(made).encode()), DIGEST)


def entry(annotations):
    """The log entry of an attachment, to change and to put back."""
    return json.loads(annotations["dev.sigstore.cosign/bundle"])


def test_what_an_accepted_identity_signed_is_trusted(sigstore, ada):
    for accepted in (ACCEPTED, [], [{"issuer": "nobody", "subject": "nobody"}, *ACCEPTED]):
        attachment(trusting(sigstore, accepted), *ada.make_attachment(DIGEST))
        bundle(trusting(sigstore, accepted), ada.make_bundle(DIGEST))


@pytest.mark.parametrize(
    ("subject", "matched"), [("https://git.test/ada/app", "^https://git[.]test/ada/"), (ADA, "@example")]
)
def test_an_identity_is_a_mail_address_or_a_uri(sigstore, subject, matched):
    trust = trusting(sigstore, [{"issuer": "issuer", "subject": matched}])
    bundle(trust, sigstore.signer(ISSUER, subject).make_bundle(DIGEST))


@pytest.mark.parametrize(
    ("issuer", "subject"),
    [(ISSUER, "eve@example.com"), ("https://elsewhere.test", ADA)],
)
def test_nobody_else_is_trusted(sigstore, issuer, subject):
    other = sigstore.signer(issuer, subject)
    for check in (
        lambda: attachment(trusting(sigstore), *other.make_attachment(DIGEST)),
        lambda: bundle(trusting(sigstore), other.make_bundle(DIGEST)),
    ):
        with pytest.raises(SignatureError, match=f"the signer '{subject}' of '{issuer}' is none of"):
            check()


def test_another_instance_is_not_trusted(sigstore):
    stranger = Sigstore().signer(ISSUER, ADA)
    with pytest.raises(SignatureError, match="invalid signature"):
        attachment(trusting(sigstore), *stranger.make_attachment(DIGEST))
    with pytest.raises(SignatureError, match="certificate chain"):
        bundle(trusting(sigstore), stranger.make_bundle(DIGEST))


def test_the_same_names_under_another_authority_are_not_trusted(sigstore):
    """The log is ours, the certificate is not."""
    stranger = Sigstore()
    stranger.rekor, stranger.ct = sigstore.rekor, sigstore.ct
    other = stranger.signer(ISSUER, ADA)
    for check in (
        lambda: attachment(trusting(sigstore), *other.make_attachment(DIGEST)),
        lambda: bundle(trusting(sigstore), other.make_bundle(DIGEST)),
    ):
        with pytest.raises(SignatureError, match="certificate chain"):
            check()


@pytest.mark.parametrize(
    ("certificate", "problem"),
    [
        ({"logged_by": Log()}, "SCT"),
        ({"purpose": x509.oid.ExtendedKeyUsageOID.SERVER_AUTH}, "code"),
        ({"since": datetime.now(UTC).replace(microsecond=0) - timedelta(days=60)}, "certificate chain"),
    ],
    ids=["not-logged", "not-for-code", "expired-when-it-was-recorded"],
)
def test_the_certificate_must_be_a_good_one(sigstore, certificate, problem):
    signer = sigstore.signer(ISSUER, ADA, **certificate)
    with pytest.raises(SignatureError, match=problem):
        attachment(trusting(sigstore), *signer.make_attachment(DIGEST))
    with pytest.raises(SignatureError, match=problem):
        bundle(trusting(sigstore), signer.make_bundle(DIGEST))


def test_a_signature_counts_only_for_what_was_signed(sigstore, ada):
    with pytest.raises(SignatureError, match="another image"):
        bundle(trusting(sigstore), ada.make_bundle("sha256:" + "b" * 64))
    with pytest.raises(SignatureError, match="another image"):
        attachment(trusting(sigstore), *ada.make_attachment("sha256:" + "b" * 64))
    payload, annotations = ada.make_attachment("sha256:" + "b" * 64)
    with pytest.raises(SignatureError, match="another signature"):
        attachment(trusting(sigstore), payload.replace(b"b" * 64, b"a" * 64), annotations)
    made = ada.make_bundle("sha256:" + "b" * 64)
    made["dsseEnvelope"]["payload"] = ada.make_bundle(DIGEST)["dsseEnvelope"]["payload"]
    with pytest.raises(SignatureError):
        bundle(trusting(sigstore), made)


def test_the_promise_of_another_entry_proves_nothing(sigstore, ada):
    """Somebody whose certificate leaked signs long after it ended, and shows an old promise."""
    payload, annotations = ada.make_attachment(DIGEST)
    _, promised = ada.make_attachment("sha256:" + "b" * 64)
    annotations["dev.sigstore.cosign/bundle"] = promised["dev.sigstore.cosign/bundle"]
    with pytest.raises(SignatureError, match="the log entry is of another signature"):
        attachment(trusting(sigstore), payload, annotations)
    made, second = ada.make_bundle(DIGEST), ada.make_bundle("sha256:" + "b" * 64)
    made["verificationMaterial"]["tlogEntries"] = second["verificationMaterial"]["tlogEntries"]
    with pytest.raises(SignatureError, match="log entry"):
        bundle(trusting(sigstore), made)


def test_what_was_promised_can_not_be_changed(sigstore, ada):
    payload, annotations = ada.make_attachment(DIGEST)
    changed = entry(annotations)
    changed["Payload"]["integratedTime"] += 1
    annotations["dev.sigstore.cosign/bundle"] = json.dumps(changed)
    with pytest.raises(SignatureError, match="invalid signature"):
        attachment(trusting(sigstore), payload, annotations)
    for name in ("rootHash", "checkpoint"):
        made = ada.make_bundle(DIGEST)
        proof = made["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]
        proof[name] = (
            b64(b"x" * 32) if name == "rootHash" else {"envelope": proof[name]["envelope"].replace("\n2\n", "\n3\n")}
        )
        with pytest.raises(SignatureError, match="invalid log entry"):
            bundle(trusting(sigstore), made)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda a: a.pop("dev.sigstore.cosign/certificate"),
        lambda a: a.pop("dev.sigstore.cosign/bundle"),
        lambda a: a.update({"dev.cosignproject.cosign/signature": "%"}),
        lambda a: a.update({"dev.sigstore.cosign/certificate": "-----BEGIN CERTIFICATE-----"}),
        lambda a: a.update({"dev.sigstore.cosign/bundle": "[" * 100_000}),
        lambda a: a.update(
            {"dev.sigstore.cosign/bundle": '{"Payload": {"logID": "zz", "body": "", "integratedTime": true}}'}
        ),
        lambda a: a.update(
            {
                "dev.sigstore.cosign/bundle": json.dumps(
                    {"Payload": {"logID": "zz", "body": "", "integratedTime": 10**30, "logIndex": -1}}
                )
            }
        ),
    ],
)
def test_what_is_no_attachment_is_refused(sigstore, ada, spoil):
    payload, annotations = ada.make_attachment(DIGEST)
    spoil(annotations)
    with pytest.raises(SignatureError):
        attachment(trusting(sigstore), payload, annotations)


@pytest.mark.parametrize(
    "made",
    [b"", b"[]", b"{}", b"[" * 100_000, b'{"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json"}', b"\xff"],
)
def test_what_is_no_bundle_is_refused(sigstore, made):
    with pytest.raises(SignatureError):
        trusting(sigstore).statement(made)


@pytest.mark.parametrize("root", [b"", b"{}", b"[" * 100_000, b'{"mediaType": "x", "tlogs": []}'])
def test_what_is_no_trusted_root_is_refused(root):
    with pytest.raises(SignatureError):
        keyless.Keyless(keyless.trusted_root(root), [])


def spec(registry, **verify):
    return {
        "url": registry.url("app"),
        "insecure": True,
        "ref": {"tag": "v1"},
        "verify": {"provider": "cosign", "trustedRootSecretRef": {"name": "sigstore"}, **verify},
    }


@pytest.mark.parametrize("form", ["attach", "bundle"])
async def test_an_image_of_an_accepted_signer_is_published(controller, registry, sigstore, ada, form):
    digest = registry.push_files("app", "v1", {"a": "1"})
    await controller.secret("sigstore", {"trusted_root.json": sigstore.trusted_root})
    await controller.put("s", spec(registry, matchOIDCIdentity=ACCEPTED), KIND)
    source = await controller.failed("s", "VerificationError", KIND)
    wanted = "failed to verify the signature using provider 'cosign keyless': no signatures found for"
    assert wanted in condition(source, "Ready", "message")
    assert condition(source, "SourceVerified") == "False"
    getattr(ada, form)(registry, "app", digest)
    source = await controller.ready("s", digest, KIND)
    assert condition(source, "SourceVerified", "message") == f"verified signature of revision v1@{digest}"


async def test_changing_who_may_sign_verifies_again_without_a_new_artifact(controller, registry, sigstore, ada):
    digest = registry.push_files("app", "v1", {"a": "1"})
    ada.bundle(registry, "app", digest)
    await controller.secret("sigstore", {"trusted_root.json": sigstore.trusted_root})
    await controller.put("s", spec(registry, matchOIDCIdentity=ACCEPTED), KIND)
    before = await controller.ready("s", digest, KIND)
    await controller.put("s", spec(registry, matchOIDCIdentity=[{"issuer": "x", "subject": "x"}]), KIND)
    source = await controller.failed("s", "VerificationError", KIND)
    assert f"the signer '{ADA}' of '{ISSUER}' is none of" in condition(source, "Ready", "message")
    assert source["status"]["artifact"] == before["status"]["artifact"]
    registry.requests.clear()
    await controller.put("s", spec(registry), KIND)
    source = await controller.ready("s", digest, KIND)
    assert source["status"]["artifact"] == before["status"]["artifact"]
    layer = json.loads(registry.manifests["app", digest][1])["layers"][0]["digest"]
    assert not any(layer in path for path, _ in registry.requests), "what is stored isn't fetched again"


@pytest.mark.parametrize(
    ("data", "verify", "problem"),
    [
        (None, {}, "secret 'default/sigstore'"),
        ({"x": "y"}, {}, "secret 'default/sigstore': the key 'trusted_root.json' is missing"),
        ({"trusted_root.json": "{}"}, {}, "secret 'default/sigstore': it is no Sigstore trusted root"),
        ("good", {"matchOIDCIdentity": [{"issuer": "(", "subject": "x"}]}, "no RE2 expression"),
    ],
)
async def test_a_verification_that_cannot_work_says_why(controller, registry, sigstore, data, verify, problem):
    registry.push_files("app", "v1", {"a": "1"})
    if data:
        await controller.secret("sigstore", {"trusted_root.json": sigstore.trusted_root} if data == "good" else data)
    await controller.put("s", spec(registry, **verify), KIND)
    assert problem in condition(await controller.failed("s", "VerificationError", KIND), "Ready", "message")


async def test_one_bad_signature_does_not_hide_a_good_one(controller, registry, sigstore, ada):
    digest = registry.push_files("app", "v1", {"a": "1"})
    refer(registry, "app", digest, BUNDLE, b"{}")
    refer(registry, "app", digest, BUNDLE, b"x" * (2 << 20))
    attach(
        registry,
        "app",
        digest,
        canonical({}),
        {"dev.sigstore.cosign/certificate": ada.certificate.public_bytes(Encoding.PEM).decode()},
    )
    ada.bundle(registry, "app", digest)
    await controller.secret("sigstore", {"trusted_root.json": sigstore.trusted_root})
    await controller.put("s", spec(registry, matchOIDCIdentity=ACCEPTED), KIND)
    await controller.ready("s", digest, KIND)
