"""Reading manifests into types and writing them back: tolerant of what we don't know, clear about what is wrong."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.api.codec import DecodeError, decode, decode_json, encode, status_patch
from shared.api.helm import HelmRelease
from shared.api.image import ImagePolicy
from shared.api.kinds import KINDS
from shared.api.kustomize import Kustomization, KustomizationSpec
from shared.api.meta import Artifact, Condition, Manifest, ObjectMeta, Resource
from shared.api.source import ArtifactGenerator, GitRepository, GitRepositorySpec, OCIRepository


def kustomization(**spec: Any) -> Manifest:
    return {
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
        "kind": "Kustomization",
        "metadata": {"name": "app", "namespace": "apps", "generation": 3},
        "spec": {"interval": "10m", "prune": True, "sourceRef": {"kind": "GitRepository", "name": "app"}} | spec,
    }


READY = {
    "type": "Ready",
    "status": "True",
    "reason": "ReconciliationSucceeded",
    "message": "",
    "lastTransitionTime": "2026-01-31T12:00:00Z",
    "observedGeneration": 3,
}


# ---- reading ---------------------------------------------------------------------------------------------------------


def test_a_manifest_becomes_an_object_with_defaults() -> None:
    app = decode(Kustomization, kustomization())
    assert (app.metadata.namespace, app.metadata.name, app.metadata.generation) == ("apps", "app", 3)
    assert (app.spec.source_ref.kind, app.spec.source_ref.namespace) == ("GitRepository", None)
    assert (app.spec.prune, app.spec.force, app.spec.wait, app.spec.depends_on) == (True, False, False, [])
    assert (app.status.observed_generation, app.status.conditions, app.status.inventory) == (0, [], None)


def test_the_api_servers_default_status_is_told_from_none() -> None:
    assert (
        decode(Kustomization, kustomization() | {"status": {"observedGeneration": -1}}).status.observed_generation == -1
    )


def test_unknown_fields_are_no_error() -> None:
    manifest = kustomization(fromTheFuture={"x": [1]}) | {"another": 1, "status": {"novel": True}}
    assert decode(Kustomization, manifest) == decode(Kustomization, kustomization())


def test_nulls_count_as_absent() -> None:
    manifest = kustomization(patches=None, wait=None, postBuild={"substitute": None}, path=None)
    manifest["metadata"] |= {"creationTimestamp": None, "labels": None, "finalizers": None}
    manifest["status"] = None
    app = decode(Kustomization, manifest)
    assert (app.spec.patches, app.spec.wait, app.metadata.labels, app.metadata.finalizers) == ([], False, {}, [])
    assert decode_json(Kustomization, json.dumps(manifest)) == app


def test_items_of_a_list_may_lack_version_and_kind() -> None:
    manifest = kustomization()
    del manifest["apiVersion"], manifest["kind"]
    app = decode(Kustomization, manifest)
    assert (app.api_version, app.kind) == ("kustomize.toolkit.fluxcd.io/v1", "Kustomization")


def test_another_served_version_of_the_kind_is_read() -> None:
    assert decode(Kustomization, kustomization() | {"apiVersion": "kustomize.toolkit.fluxcd.io/v1beta2"}).spec.prune


def test_json_reads_as_the_manifest_does() -> None:
    manifest = kustomization(path="./x") | {"status": {"conditions": [READY]}}
    assert decode_json(Kustomization, json.dumps(manifest).encode()) == decode(Kustomization, manifest)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"spec": None}, "Kustomization apps/app: spec: required, but missing"),
        ({"spec": []}, "Kustomization apps/app: spec: expected an object, got a list"),
        ({"spec": {}}, "Kustomization apps/app: spec.interval: required, but missing"),
        (kustomization(prune="yes"), "Kustomization apps/app: spec.prune: expected a boolean, got a string"),
        (kustomization(interval=10), "Kustomization apps/app: spec.interval: expected a string, got an integer"),
        (kustomization(path=1.5), "Kustomization apps/app: spec.path: expected a string, got a number"),
        (kustomization(timeout=5), "Kustomization apps/app: spec.timeout: expected a string, got an integer"),
        (
            kustomization(patches=[{"patch": "a"}, {"target": {}}]),
            "Kustomization apps/app: spec.patches[1].patch: required, but missing",
        ),
        (
            kustomization(postBuild={"substitute": {"name": "app", "replicas": 3}}),
            "Kustomization apps/app: spec.postBuild.substitute.replicas: expected a string, got an integer",
        ),
        (
            kustomization(commonMetadata="x"),
            "Kustomization apps/app: spec.commonMetadata: expected an object, got a string",
        ),
        ({"kind": "HelmRelease"}, "Kustomization apps/app: kind: expected Kustomization, got HelmRelease"),
        (
            {"apiVersion": "kustomize.config.k8s.io/v1"},
            "Kustomization apps/app: apiVersion: expected a version of kustomize.toolkit.fluxcd.io, "
            "got kustomize.config.k8s.io/v1",
        ),
        ({"metadata": {"name": 3}}, "Kustomization: metadata.name: expected a string, got an integer"),
    ],
)
def test_what_does_not_fit_is_named(change: Manifest, message: str) -> None:
    manifest = kustomization() | change
    for read in (lambda: decode(Kustomization, manifest), lambda: decode_json(Kustomization, json.dumps(manifest))):
        with pytest.raises(DecodeError) as caught:
            read()
        assert str(caught.value) == message


@pytest.mark.parametrize("manifest", [None, [], "x", 3])
def test_what_is_no_object_is_refused(manifest: Any) -> None:
    with pytest.raises(DecodeError, match="expected an object"):
        decode(Kustomization, manifest)
    with pytest.raises(DecodeError, match="expected an object"):
        decode_json(Kustomization, json.dumps(manifest))


@pytest.mark.parametrize("text", [b"", b"{", b'{"kind": "\xff"}', b"[" * 100_000])
def test_what_is_no_json_is_refused(text: bytes) -> None:
    with pytest.raises(DecodeError, match="not JSON"):
        decode_json(Kustomization, text)


# ---- writing ---------------------------------------------------------------------------------------------------------


def test_an_object_made_in_python_becomes_a_minimal_manifest() -> None:
    repository = GitRepository(
        metadata=ObjectMeta(name="app", namespace="apps"),
        spec=GitRepositorySpec(url="https://example.com/app", interval="1m"),
    )
    assert encode(repository) == {
        "apiVersion": "source.toolkit.fluxcd.io/v1",
        "kind": "GitRepository",
        "metadata": {"name": "app", "namespace": "apps"},
        "spec": {"url": "https://example.com/app", "interval": "1m"},
    }


def test_a_condition_always_has_what_the_api_server_requires() -> None:
    assert encode(Condition(type="Ready", status="True")) == {
        "type": "Ready",
        "status": "True",
        "reason": "",
        "message": "",
        "lastTransitionTime": "",
    }


def test_unknown_fields_survive_being_written_back() -> None:
    manifest = kustomization(
        novel={"a": 1},
        sourceRef={"kind": "GitRepository", "name": "app", "novel": 2},
        healthChecks=[{"kind": "Job", "name": "a", "novel": "a"}, {"kind": "Job", "name": "b", "novel": "b"}],
    )
    manifest["metadata"]["selfLink"] = "/x"
    manifest["status"] = {"conditions": [READY | {"novel": 3}], "novel": 4}
    kept = copy.deepcopy(manifest)
    app = decode(Kustomization, manifest)
    app.spec.health_checks.reverse()
    app.status.conditions[0].status = "False"
    app.status.last_applied_revision = "main@sha1:1"
    written = encode(app, onto=manifest)
    assert manifest == kept
    kept["spec"]["healthChecks"].reverse()
    kept["status"]["conditions"][0]["status"] = "False"
    kept["status"]["lastAppliedRevision"] = "main@sha1:1"
    assert written == kept


def test_a_removed_item_takes_its_unknown_fields_along() -> None:
    manifest = kustomization(healthChecks=[{"kind": "Job", "name": "a", "novel": 1}, {"kind": "Job", "name": "b"}])
    app = decode(Kustomization, manifest)
    del app.spec.health_checks[0]
    assert encode(app, onto=manifest)["spec"]["healthChecks"] == [{"kind": "Job", "name": "b"}]


def test_what_was_said_explicitly_stays_said_while_it_holds() -> None:
    manifest = kustomization(force=False, wait=True, patches=[], targetNamespace="x")
    app = decode(Kustomization, manifest)
    assert encode(app, onto=manifest) == manifest
    app.spec.wait, app.spec.target_namespace = False, None
    spec = encode(app, onto=manifest)["spec"]
    assert ("wait" in spec, "targetNamespace" in spec, spec["force"]) == (False, False, False)


def test_empty_and_absent_test_results_are_told_apart() -> None:
    snapshot = {
        "digest": "sha256:1",
        "name": "a",
        "namespace": "b",
        "version": 1,
        "status": "deployed",
        "chartName": "c",
        "chartVersion": "1",
        "configDigest": "sha256:2",
        "firstDeployed": "2026-01-31T12:00:00Z",
        "lastDeployed": "2026-01-31T12:00:00Z",
    }
    manifest = {"spec": {"interval": "1m"}, "status": {"history": [snapshot | {"testHooks": {}}, snapshot]}}
    release = decode(HelmRelease, manifest)
    assert [item.test_hooks for item in release.status.history] == [{}, None]
    assert encode(release)["status"]["history"] == manifest["status"]["history"]


def test_names_that_python_cannot_spell_are_the_wires() -> None:
    copy_step = {"from": "@a/**", "to": "@artifact/"}
    generator = decode(
        ArtifactGenerator,
        {"spec": {"sources": [], "artifacts": [{"name": "x", "copy": [copy_step]}]}},
    )
    assert generator.spec.artifacts[0].copy[0].from_ == "@a/**"
    assert encode(generator)["spec"]["artifacts"] == [{"name": "x", "copy": [copy_step]}]


def test_free_form_values_pass_untouched() -> None:
    values = {"a": None, "b": [1, {"c": 1.5}], "d": ""}
    release = decode(HelmRelease, {"spec": {"interval": "1m", "values": values}})
    assert release.spec.values == values
    assert encode(release)["spec"]["values"] == values


# ---- any object round-trips ------------------------------------------------------------------------------------------

SAMPLE_SPECS: dict[str, Manifest] = {
    "GitRepository": {"url": "ssh://git@example.com/x", "interval": "1m", "verify": {"secretRef": {"name": "k"}}},
    "OCIRepository": {
        "url": "oci://example.com/x",
        "interval": "1m",
        "verify": {"provider": "cosign", "matchOIDCIdentity": [{"issuer": "^i$", "subject": "^s$"}]},
    },
    "HelmRepository": {"url": "oci://example.com", "type": "oci", "accessFrom": {"namespaceSelectors": [{}]}},
    "HelmChart": {"chart": "x", "interval": "1m", "sourceRef": {"kind": "Bucket", "name": "b"}},
    "Bucket": {
        "bucketName": "b",
        "endpoint": "e",
        "interval": "1m",
        "sts": {"provider": "ldap", "endpoint": "https://e"},
    },
    "ExternalArtifact": {"sourceRef": {"kind": "X", "name": "x"}},
    "ArtifactGenerator": {"sources": [{"alias": "a", "kind": "Bucket", "name": "b"}], "artifacts": []},
    "Kustomization": kustomization()["spec"],
    "HelmRelease": {
        "interval": "1m",
        "install": {"skipCRDs": True, "disableOpenAPIValidation": True},
        "kubeConfig": {"secretRef": {"name": "k"}},
    },
    "Provider": {"type": "slack", "certSecretRef": {"name": "c"}},
    "Alert": {
        "providerRef": {"name": "p"},
        "eventSources": [{"kind": "Bucket", "name": "*", "matchLabels": {"a": "b"}}],
    },
    "Receiver": {
        "type": "generic-oidc",
        "resources": [{"kind": "Bucket", "name": "b", "filter": "true"}],
        "oidcProviders": [{"issuerURL": "https://i", "validations": [{"expression": "true", "message": "m"}]}],
    },
    "ImageRepository": {"image": "i", "interval": "1m"},
    "ImagePolicy": {"imageRepositoryRef": {"name": "r"}, "policy": {"numerical": {}}},
    "ImageUpdateAutomation": {
        "interval": "1m",
        "sourceRef": {"kind": "GitRepository", "name": "g"},
        "git": {"commit": {"author": {"email": "a@example.com"}}},
    },
}


@pytest.mark.parametrize("cls", KINDS, ids=lambda cls: cls.__name__)
def test_every_kind_is_read_and_written_back_without_loss(cls: type[Resource]) -> None:
    manifest = {
        "apiVersion": cls.resource.api_version,
        "kind": cls.resource.kind,
        "metadata": {"name": "x", "namespace": "y", "labels": {"a": "b"}},
        "spec": SAMPLE_SPECS[cls.__name__],
    }
    obj = decode(cls, manifest)
    assert encode(obj, onto=manifest) == manifest
    assert decode(cls, encode(obj)) == obj


# ---- the status patch ------------------------------------------------------------------------------------------------


def merge(target: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


scalars = st.booleans() | st.integers(-3, 3) | st.sampled_from([0.0, 1.0, 0.5]) | st.sampled_from(["", "a", "b"])
keys = st.sampled_from(["a", "b", "c"])
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner | st.none(), max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)
statuses = st.dictionaries(keys, values, max_size=3)


def strict(value: Any) -> str:
    """Told apart: 1 and true. Not told apart: 1 and 1.0, which JSON doesn't."""
    return json.dumps(value, sort_keys=True).replace(".0", "")


@given(statuses, statuses)
def test_applying_the_patch_to_before_gives_after(before: Manifest, after: Manifest) -> None:
    patch = status_patch({"status": before}, {"status": after})
    result = {"status": before} if patch is None else merge({"status": before}, patch)
    assert strict(result["status"]) == strict(after)
    assert (patch is None) == (strict(before) == strict(after))


@given(statuses, statuses)
def test_the_patch_names_nothing_that_did_not_change(before: Manifest, after: Manifest) -> None:
    patch = (status_patch({"status": before}, {"status": after}) or {"status": {}})["status"]
    for key in patch:
        assert strict(before.get(key)) != strict(after.get(key))


def test_a_removed_field_is_null_and_a_list_is_replaced() -> None:
    before = {"status": {"a": {"x": 1, "y": [1, 2]}, "b": 1, "c": 1}}
    after = {"status": {"a": {"x": 1, "y": [1]}, "b": 1}}
    assert status_patch(before, after) == {"status": {"a": {"y": [1]}, "c": None}}


def test_an_absent_an_empty_and_a_null_status_are_equal() -> None:
    for before in ({}, {"status": None}, {"status": {}}, {"status": {"a": None}}):
        for after in ({}, {"status": None}, {"status": {}}, {"status": {"a": None}}):
            assert status_patch(before, after) is None


def test_typed_objects_give_the_patch_of_what_changed() -> None:
    manifest = kustomization() | {"status": {"conditions": [READY], "novel": 1, "observedGeneration": -1}}
    before, after = decode(Kustomization, manifest), decode(Kustomization, manifest)
    assert status_patch(before, after) is None
    assert status_patch(manifest, after) is None
    after.status.observed_generation = 3
    for old in (before, manifest):
        assert status_patch(old, after) == {"status": {"observedGeneration": 3}}


def test_an_artifact_is_added_and_taken_away() -> None:
    plain = decode(OCIRepository, {"spec": {"url": "oci://x", "interval": "1m"}})
    stored = decode(OCIRepository, {"spec": {"url": "oci://x", "interval": "1m"}})
    stored.status.artifact = Artifact(
        path="p", url="u", revision="r", digest="sha256:1", last_update_time="2026-01-31T12:00:00Z"
    )
    assert status_patch(plain, stored) == {
        "status": {
            "artifact": {
                "path": "p",
                "url": "u",
                "revision": "r",
                "digest": "sha256:1",
                "lastUpdateTime": "2026-01-31T12:00:00Z",
            }
        }
    }
    assert status_patch(stored, plain) == {"status": {"artifact": None}}


def test_defaults_of_one_object_are_not_shared_with_another() -> None:
    one, two = (
        decode(ImagePolicy, {"spec": SAMPLE_SPECS["ImagePolicy"]}),
        KustomizationSpec(interval="1m", prune=True, source_ref=decode(Kustomization, kustomization()).spec.source_ref),
    )
    one.status.conditions.append(Condition(type="Ready", status="True"))
    two.components.append("x")
    assert decode(ImagePolicy, {"spec": SAMPLE_SPECS["ImagePolicy"]}).status.conditions == []
    assert decode(Kustomization, kustomization()).spec.components == []


def test_objects_of_a_fleet_share_the_texts_that_they_have_in_common() -> None:
    revision = "latest@sha256:aa"
    status = {"conditions": [READY], "lastAppliedRevision": revision, "lastAttemptedRevision": revision}
    text = json.dumps(kustomization() | {"status": status})
    a, b = decode_json(Kustomization, text), decode_json(Kustomization, text)
    assert a.metadata.namespace is b.metadata.namespace
    assert a.spec.interval is b.spec.interval
    assert a.status.conditions[0].reason is b.status.conditions[0].reason
    assert a.status.last_applied_revision is a.status.last_attempted_revision is b.status.last_applied_revision
