"""A chart of a registry is published only when it is signed as spec.verify asks for."""

from __future__ import annotations

import base64
import json

import pytest

from tests.kit.charts import chart, package
from tests.kit.notation import ARTIFACT, JWS, Authority, policy
from tests.kit.registry import Registry
from tests.kit.sigstore import attach, canonical, refer
from tests.source_controller.conftest import condition
from tests.source_controller.test_cosign import Key

KIND = "HelmChart"
HELM = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"


@pytest.fixture
def registry():
    with Registry() as made:
        yield made


@pytest.fixture
async def charts(controller, registry):
    """A controller with a registry of charts, as the HelmRepository `charts`."""
    oci = {"url": registry.url("charts"), "type": "oci", "insecure": True}
    await controller.put("charts", oci, "HelmRepository")
    return controller


def push(registry, version="1.0.0", **files):
    return registry.push("charts/demo", version, [(HELM, package(chart("demo", version, files=files)))])


def sign(registry, digest, key):
    payload = canonical({"critical": {"image": {"docker-manifest-digest": digest}}})
    signature = base64.b64encode(key.sign(payload)).decode()
    attach(registry, "charts/demo", digest, payload, {"dev.cosignproject.cosign/signature": signature})


def spec(**more):
    source = {"kind": "HelmRepository", "name": "charts"}
    verify = {"provider": "cosign", "secretRef": {"name": "keys"}}
    return {"chart": "demo", "version": "1.x", "sourceRef": source, "verify": verify, **more}


async def test_an_unsigned_chart_leaves_the_verified_one(charts, registry):
    key = Key()
    await charts.secret("keys", {"ours.pub": key.public})
    sign(registry, push(registry), key)
    await charts.put("c", spec(), KIND)
    made = await charts.ready("c", "1.0.0", KIND)
    assert condition(made, "SourceVerified", "message") == "verified signature of version 1.0.0"
    digest = push(registry, "1.1.0")
    await charts.ask("c", KIND)
    made = await charts.failed("c", "VerificationError", KIND)
    wanted = (
        f"chart verification error: failed to verify oci://{registry.host}/charts/demo@{digest}: no signatures found"
    )
    for type_, reason in (
        ("Ready", "VerificationError"),
        ("SourceVerified", "VerificationError"),
        ("BuildFailed", "ChartVerificationError"),
    ):
        assert condition(made, type_, "message").startswith(wanted), type_
        assert condition(made, type_, "reason") == reason
    assert made["status"]["artifact"]["revision"] == "1.0.0"
    sign(registry, digest, key)
    await charts.ready("c", "1.1.0", KIND)


async def test_a_chart_that_is_stored_is_verified_in_each_pass(charts, registry):
    """Who takes a key out of the Secret wants to see what it signed."""
    key = Key()
    await charts.secret("keys", {"ours.pub": key.public})
    sign(registry, push(registry), key)
    await charts.put("c", spec(), KIND)
    await charts.ready("c", "1.0.0", KIND)
    await charts.secret("keys", {"ours.pub": Key().public})
    await charts.ask("c", KIND)
    made = await charts.failed("c", "VerificationError", KIND)
    assert "signed by another key" in condition(made, "Ready", "message")


async def test_merged_values_do_not_change_what_is_verified(charts, registry):
    key = Key()
    await charts.secret("keys", {"ours.pub": key.public})
    sign(registry, push(registry, **{"prod.yaml": "replicas: 3\n"}), key)
    await charts.put("c", spec(valuesFiles=["prod.yaml"]), KIND)
    made = await charts.ready("c", "1.0.0+1", KIND)
    assert condition(made, "SourceVerified", "message") == "verified signature of version 1.0.0+1"


async def test_notation_signs_charts_too(charts, registry):
    authority = Authority()
    digest = push(registry)
    refer(registry, "charts/demo", digest, ARTIFACT, authority.signer("ada").jws(digest), JWS)
    await charts.secret("trust", {"trustpolicy.json": json.dumps(policy()), "a.pem": authority.pem})
    await charts.put("c", spec(verify={"provider": "notation", "secretRef": {"name": "trust"}}), KIND)
    made = await charts.ready("c", "1.0.0", KIND)
    assert condition(made, "SourceVerified") == "True"
    await charts.put("c", {key: value for key, value in spec().items() if key != "verify"}, KIND)
    made = await charts.until("c", lambda obj: obj["status"]["observedGeneration"] == 2, KIND)
    assert condition(made, "SourceVerified") is None


async def test_a_verification_that_cannot_work_says_why(charts, registry):
    push(registry)
    await charts.put("c", spec(), KIND)
    made = await charts.failed("c", "VerificationError", KIND)
    wanted = "failed to verify the signature using provider 'cosign': secret 'default/keys'"
    assert condition(made, "Ready", "message").startswith(wanted)
    assert condition(made, "SourceVerified") == "False"
    assert condition(made, "BuildFailed") is None


def unverified(**more):
    return {key: value for key, value in spec(**more).items() if key != "verify"}


async def test_one_version_is_fetched_without_listing_all(charts, registry):
    push(registry)
    registry.answer = lambda path: (401, {}) if "/tags/list" in path else None
    await charts.put("one", unverified(version="1.0.0"), KIND)
    await charts.ready("one", "1.0.0", KIND)
    await charts.put("range", unverified(), KIND)
    await charts.failed("range", "ChartPullError", KIND)


async def test_a_version_that_is_not_there_yet_is_looked_for_again(charts, registry):
    push(registry)
    await charts.put("one", unverified(version="1.1.0"), KIND)
    await charts.put("range", unverified(version=">=1.1.0"), KIND)
    await charts.failed("one", "ChartPullError", KIND)
    failed = await charts.failed("range", "ChartPullError", KIND)
    assert condition(failed, "Stalled") is None
    assert "could not locate a version matching" in condition(failed, "Ready", "message")
    push(registry, "1.1.0")
    for name in ("one", "range"):
        await charts.ready(name, "1.1.0", KIND)
