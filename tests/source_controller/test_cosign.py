"""An image is published only when a key of the Secret signed its very digest."""

from __future__ import annotations

import base64
import json

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from source_controller.signatures import cosign
from source_controller.signatures.errors import SignatureError
from source_controller.signatures.keys import Keys
from tests.kit.registry import FLUX_CONFIG, MANIFEST, Registry
from tests.source_controller.conftest import condition

KIND = "OCIRepository"
SIMPLE = "application/vnd.dev.cosign.simplesigning.v1+json"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"


class Key:
    def __init__(self, kind="ecdsa"):
        made = {
            "ecdsa": lambda: ec.generate_private_key(ec.SECP256R1()),
            "ecdsa-384": lambda: ec.generate_private_key(ec.SECP384R1()),
            "ed25519": ed25519.Ed25519PrivateKey.generate,
            "rsa": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
        }
        self.kind, self.private = kind, made[kind]()

    @property
    def public(self):
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return self.private.public_key().public_bytes(serialization.Encoding.PEM, form).decode()

    def sign(self, data):
        if self.kind == "ed25519":
            return self.private.sign(data)
        if self.kind == "rsa":
            return self.private.sign(data, padding.PKCS1v15(), hashes.SHA256())
        return self.private.sign(data, ec.ECDSA(hashes.SHA384() if self.kind == "ecdsa-384" else hashes.SHA256()))


def sign(registry, digest, key, of=None):
    """Attaches a signature of a digest (or, pretending, `of` another) as cosign does."""
    critical = {"identity": {"docker-reference": "app"}, "image": {"docker-manifest-digest": of or digest}}
    payload = json.dumps({"critical": critical, "optional": None}).encode()
    annotations = {"dev.cosignproject.cosign/signature": base64.b64encode(key.sign(payload)).decode()}
    layer = {**registry.descriptor(SIMPLE, payload), "annotations": annotations}
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "layers": [layer]}
    registry.put(
        "app", digest.replace(":", "-") + ".sig", {**manifest, "config": registry.descriptor(FLUX_CONFIG, b"{}")}
    )


def bundle(registry, digest, key, of=None):
    """Attaches a signature as a Sigstore bundle, as newer ones of cosign do."""
    algorithm, _, value = (of or digest).partition(":")
    statement = json.dumps({"subject": [{"name": "app", "digest": {algorithm: value}}]}).encode()
    kind = "application/vnd.in-toto+json"
    signed = f"DSSEv1 {len(kind)} {kind} {len(statement)} ".encode() + statement
    envelope = {
        "payloadType": kind,
        "payload": base64.b64encode(statement).decode(),
        "signatures": [{"sig": base64.b64encode(key.sign(signed)).decode()}],
    }
    layer = registry.descriptor(BUNDLE, json.dumps({"dsseEnvelope": envelope}).encode())
    config = registry.descriptor("application/vnd.oci.empty.v1+json", b"{}")
    subject = {"mediaType": MANIFEST, "digest": digest, "size": 1}
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": BUNDLE, "config": config, "layers": [layer]}
    registry.put("app", f"bundle-{len(registry.manifests)}", {**manifest, "subject": subject})


@pytest.fixture
def registry():
    with Registry() as made:
        yield made


def spec(registry):
    verify = {"provider": "cosign", "secretRef": {"name": "keys"}}
    return {"url": registry.url("app"), "insecure": True, "ref": {"tag": "v1"}, "verify": verify}


@pytest.mark.parametrize("attach", [sign, bundle])
@pytest.mark.parametrize("kind", ["ecdsa", "ecdsa-384", "ed25519", "rsa"])
async def test_a_signed_image_is_published(controller, registry, attach, kind):
    key = Key(kind)
    digest = registry.push_files("app", "v1", {"a": "1"})
    attach(registry, digest, key)
    await controller.secret("keys", {"other.pub": Key().public, "ours.pub": key.public, "notes.txt": "x"})
    await controller.put("s", spec(registry), KIND)
    source = await controller.ready("s", digest, KIND)
    assert condition(source, "SourceVerified", "message") == f"verified signature of revision v1@{digest}"


@pytest.mark.parametrize("attach", [sign, bundle])
async def test_what_no_trusted_key_signed_is_not_published(controller, registry, attach):
    ours, other = Key(), Key()
    await controller.secret("keys", {"ours.pub": ours.public})
    first = registry.push_files("app", "v1", {"a": "1"})
    attach(registry, first, other)
    await controller.put("s", spec(registry), KIND)
    source = await controller.failed("s", "VerificationError", KIND)
    assert "artifact" not in source["status"]
    assert condition(source, "SourceVerified") == "False"
    assert "no matching signatures: none of 1" in condition(source, "Ready", "message")
    attach(registry, first, ours, of="sha256:" + "0" * 64)
    token = await controller.ask("s", KIND)
    source = await controller.until("s", lambda obj: obj["status"].get("lastHandledReconcileAt") == token, KIND)
    assert "artifact" not in source["status"], "a signature of another digest doesn't count"
    attach(registry, first, ours)
    await controller.ready("s", first, KIND)


async def test_an_unsigned_image_leaves_the_verified_artifact(controller, registry):
    key = Key()
    await controller.secret("keys", {"ours.pub": key.public})
    first = registry.push_files("app", "v1", {"a": "1"})
    sign(registry, first, key)
    await controller.put("s", spec(registry), KIND)
    await controller.ready("s", first, KIND)
    registry.push_files("app", "v1", {"a": "2"})
    await controller.ask("s", KIND)
    source = await controller.failed("s", "VerificationError", KIND)
    assert source["status"]["artifact"]["revision"] == f"v1@{first}"
    assert "no signatures found" in condition(source, "Ready", "message")


async def test_removing_verification_removes_its_condition(controller, registry):
    key = Key()
    await controller.secret("keys", {"ours.pub": key.public})
    sign(registry, registry.push_files("app", "v1", {"a": "1"}), key)
    await controller.put("s", spec(registry), KIND)
    await controller.ready("s", kind=KIND)
    await controller.put("s", {key: value for key, value in spec(registry).items() if key != "verify"}, KIND)
    source = await controller.until("s", lambda obj: obj["status"]["observedGeneration"] == 2, KIND)
    assert condition(source, "SourceVerified") is None


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({}, "no key that ends in '.pub'"),
        ({"x.pub": b"x"}, "'x.pub' holds no PEM public key"),
    ],
)
def test_a_secret_without_keys_says_so(data, problem):
    with pytest.raises(SignatureError, match=problem):
        Keys(data)


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b'{"critical": 7}', b'{"dsseEnvelope": {"signatures": [7]}}'])
def test_what_is_no_signature_is_none(text):
    key = Key()
    trusted = Keys({"x.pub": key.public.encode()})
    trusted.require_signed(text, {cosign.SIGNATURE: base64.b64encode(key.sign(text)).decode()})
    with pytest.raises(SignatureError):
        cosign.require_payload_of(text, "sha256:0")
    with pytest.raises(SignatureError):
        trusted.statement(text)


async def test_a_key_on_a_larger_curve_may_sign_with_either_hash(controller, registry):
    """Older ones of cosign always took SHA-256."""
    key = Key("ecdsa-384")
    key.kind = "ecdsa"
    digest = registry.push_files("app", "v1", {"a": "1"})
    sign(registry, digest, key)
    await controller.secret("keys", {"ours.pub": key.public})
    await controller.put("s", spec(registry), KIND)
    await controller.ready("s", digest, KIND)
