"""Admission webhooks are called as a real API server calls them; what they answer, or don't, has the same effect."""

from __future__ import annotations

import base64
import json
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kubeapi import certificates
from tests.kit.hooks import Hooks, Received, Reply
from tests.kubeapi.admission_kit import Manifest, Target, config_map, container, deployment, of, pod

ADMISSION = "admissionregistration.k8s.io/v1"
CONFIG_MAPS = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["configmaps"]}
PODS = {**CONFIG_MAPS, "resources": ["pods"], "operations": ["CREATE"]}
NAME = "check.example.com"
AUTHORITY = certificates.authority()
FAILED = f'Internal error occurred: failed calling webhook "{NAME}": '


class Webhook(Hooks):
    """A webhook that answers what `reviews` says, in turn, beside the probes that see whether it is in force."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        super().__init__(tls)
        self.reviews: list[Any] = [review()]
        self.asked: list[Manifest] = []

    def take(self, received: Received) -> Reply:
        request = received.json["request"]
        if request.get("name", "").startswith("probe-"):
            return as_reply(received, {"allowed": False, "status": {"message": "in force"}})
        self.requests.append(received)
        self.asked.append(request)
        answer = self.reviews.pop(0) if len(self.reviews) > 1 else self.reviews[0]
        return answer if isinstance(answer, Reply) else as_reply(received, answer)


def as_reply(received: Received, response: Manifest) -> Reply:
    answer = {
        "apiVersion": received.json["apiVersion"],
        "kind": "AdmissionReview",
        "response": {"uid": received.json["request"]["uid"], **response},
    }
    return Reply(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})


def review(allowed: bool = True, *patch: Manifest, **more: Any) -> Manifest:
    if patch:
        more |= {"patchType": "JSONPatch", "patch": base64.b64encode(json.dumps(patch).encode()).decode()}
    return {"allowed": allowed, **more}


def adds(path: str, value: Any) -> Manifest:
    return {"op": "add", "path": path, "value": value}


@pytest.fixture
def webhook(tmp_path: Path) -> Iterator[Webhook]:
    pair = certificates.serving(AUTHORITY, ["127.0.0.1", "localhost"])
    chain = tmp_path / "webhook.pem"
    chain.write_bytes(pair.certificate_pem + pair.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    with Webhook(context) as serving:
        yield serving


def hook(team: Target, url: str, name: str = NAME, **more: Any) -> Manifest:
    authority = base64.b64encode(AUTHORITY.certificate_pem).decode()
    return {
        "name": name,
        "clientConfig": {"url": f"{url}/{name}", "caBundle": authority},
        "rules": [CONFIG_MAPS],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": team.default}},
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 2,
        **more,
    }


def in_force(team: Target, webhook: Webhook, *hooks: Manifest, kind: str = "Validating", probe: Any = None) -> None:
    """Webhooks, once they are asked: until then a dry run is tried whose name the webhook knows."""
    made = of(ADMISSION, f"{kind}WebhookConfiguration", team.default)
    made["webhooks"] = list(hooks) or [hook(team, webhook.url)]
    team.have(made)
    tried = probe or (lambda name: config_map(name))
    team.eventually(
        lambda: team.create(tried(f"probe-{time.monotonic_ns()}"), "?dryRun=All"), lambda reply: reply.code >= 400
    )


def test_a_webhook_is_told_who_does_what_to_which_object(target: Target, webhook: Webhook) -> None:
    team = target.namespace()
    in_force(team, webhook)
    assert team.create(config_map("a"), "?fieldManager=me").code == 201
    [sent] = webhook.requests
    assert sent.target == f"/{NAME}?timeout=2s"
    assert sent.json["kind"] == "AdmissionReview"
    asked = sent.json["request"]
    assert asked.pop("uid")
    user, seen = asked.pop("userInfo"), asked.pop("object")
    assert "system:masters" in user["groups"]
    assert seen["metadata"]["uid"]
    assert (seen["apiVersion"], seen["kind"], seen["data"]) == ("v1", "ConfigMap", {"key": "value"})
    kind, resource = (
        {"group": "", "version": "v1", "kind": "ConfigMap"},
        {"group": "", "version": "v1", "resource": "configmaps"},
    )
    assert asked == {
        "kind": kind,
        "resource": resource,
        "requestKind": kind,
        "requestResource": resource,
        "name": "a",
        "namespace": team.default,
        "operation": "CREATE",
        "oldObject": None,
        "dryRun": False,
        "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1", "fieldManager": "me"},
    }
    assert team.patch(config_map("a"), {"data": {"key": "new"}}, query="?dryRun=All").code == 200
    asked = webhook.asked[-1]
    assert (asked["operation"], asked["dryRun"]) == ("UPDATE", True)
    assert (asked["oldObject"]["data"], asked["object"]["data"]) == ({"key": "value"}, {"key": "new"})
    assert team.delete(config_map("a")).code == 200
    asked = webhook.asked[-1]
    assert (asked["operation"], asked["object"], asked["oldObject"]["data"]) == ("DELETE", None, {"key": "value"})


@pytest.mark.parametrize(
    ("status", "code", "reason", "said"),
    [
        (None, 400, "", " without explanation"),
        ({"message": "not on Fridays", "code": 418, "reason": "Teapot"}, 418, "Teapot", ": not on Fridays"),
        ({"reason": "Forbidden", "code": 403}, 403, "Forbidden", ": Forbidden"),
        ({"message": "half a success", "code": 200}, 400, "", ": half a success"),
    ],
)
def test_a_webhook_refuses_in_its_own_words(
    target: Target, webhook: Webhook, status: Any, code: int, reason: str, said: str
) -> None:
    team = target.namespace()
    in_force(team, webhook)
    webhook.reviews = [review(False, **({"status": status} if status else {}))]
    refused = team.create(config_map("a"))
    assert (refused.code, refused.reason) == (code, reason)
    assert refused.message == f'admission webhook "{NAME}" denied the request{said}'
    assert team.get(config_map("a")).code == 404


def test_the_warnings_of_webhooks_reach_the_client(target: Target, webhook: Webhook) -> None:
    team = target.namespace()
    in_force(team, webhook)
    webhook.reviews = [review(warnings=["mind the gap"]), review(False, warnings=["told you"])]
    assert team.create(config_map("a")).warnings == ["mind the gap"]
    refused = team.create(config_map("b"))
    assert (refused.code, refused.warnings) == (400, ["told you"])


NO_UID = b'{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"x"}}'


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        (
            Reply(500, b"boom"),
            'failed to call webhook: an error on the server ("boom") has prevented the request from succeeding',
        ),
        (Reply(404), "failed to call webhook: the server could not find the requested resource"),
        (Reply(200, b"not json"), "failed to call webhook: couldn't get version/kind; "),
        (Reply(200, b"{}"), "received invalid webhook response: webhook response was absent"),
        (Reply(200, NO_UID), "received invalid webhook response: expected response.uid="),
        (Reply(cut=True), 'failed to call webhook: Post "{url}": EOF'),
        (Reply(silent=True), 'failed to call webhook: Post "{url}": context deadline exceeded'),
        (
            review(True, adds("/data/x", "y")),
            "received invalid webhook response: validating webhook may not return response.patch",
        ),
    ],
)
def test_a_webhook_that_does_not_answer_stops_the_write_or_not_as_it_says(
    target: Target, webhook: Webhook, reply: Any, problem: str
) -> None:
    strict, lax = target.namespace(), target.namespace()
    in_force(strict, webhook)
    in_force(lax, webhook, hook(lax, webhook.url, failurePolicy="Ignore"))
    webhook.reviews = [reply]
    refused = strict.create(config_map("a"))
    assert refused.code == 500
    assert refused.message.startswith(FAILED + problem.replace("{url}", f"{webhook.url}/{NAME}?timeout=2s"))
    assert strict.get(config_map("a")).code == 404
    assert lax.create(config_map("a")).code == 201


def test_a_webhook_that_cannot_be_reached_or_trusted_is_named_with_its_url(target: Target, webhook: Webhook) -> None:
    def refused(client: Manifest) -> str:
        team = target.namespace()
        made = of(ADMISSION, "ValidatingWebhookConfiguration", team.default)
        made["webhooks"] = [hook(team, webhook.url, clientConfig=client)]
        team.have(made)
        return team.eventually(lambda: team.create(config_map("a"), "?dryRun=All"), 500).message

    def post(url: str) -> str:
        return f'{FAILED}failed to call webhook: Post "{url}?timeout=2s": '

    stranger = base64.b64encode(certificates.authority().certificate_pem).decode()
    own = base64.b64encode(AUTHORITY.certificate_pem).decode()
    assert refused({"url": "https://127.0.0.1:1/x", "caBundle": own}) == (
        post("https://127.0.0.1:1/x") + "dial tcp 127.0.0.1:1: connect: connection refused"
    )
    unknown = "tls: failed to verify certificate: x509: certificate signed by unknown authority"
    assert refused({"url": f"{webhook.url}/x", "caBundle": stranger}).startswith(post(f"{webhook.url}/x") + unknown)
    service = {"name": "nobody", "namespace": "default", "path": "/x"}
    assert refused({"service": service, "caBundle": own}) == (
        post("https://nobody.default.svc:443/x") + 'service "nobody" not found'
    )


def test_a_webhook_with_side_effects_refuses_dry_runs(target: Target, webhook: Webhook) -> None:
    team = target.namespace()
    made = of(ADMISSION, "ValidatingWebhookConfiguration", team.default)
    made["webhooks"] = [hook(team, webhook.url), hook(team, webhook.url, "effects.example.com")]
    made["webhooks"][1] |= {"sideEffects": "Some"}
    refused = team.create(made)
    assert 'webhooks[1].sideEffects: Unsupported value: "Some"' in refused.message
    made["webhooks"][1] |= {"sideEffects": "NoneOnDryRun"}
    team.have(made)
    team.eventually(lambda: team.create(config_map("probe-1"), "?dryRun=All"), 400)
    assert team.create(config_map("a"), "?dryRun=All").code == 201
    assert [asked["dryRun"] for asked in webhook.asked] == [True, True]


def test_rules_selectors_and_conditions_choose_what_a_webhook_sees(target: Target, webhook: Webhook) -> None:
    team, other = target.namespace(), target.namespace()
    chosen = {
        "objectSelector": {"matchLabels": {"checked": "yes"}},
        "matchConditions": [{"name": "not-free", "expression": "!object.metadata.name.startsWith('free')"}],
    }
    probe = lambda name: config_map(name, labels={"checked": "yes"})  # noqa: E731
    in_force(team, webhook, hook(team, webhook.url, **chosen), probe=probe)
    webhook.reviews = [review(False)]
    assert team.create(config_map("checked", labels={"checked": "yes"})).code == 400
    assert team.create(config_map("free", labels={"checked": "yes"})).code == 201
    assert team.create(config_map("unlabelled")).code == 201
    assert other.create(config_map("elsewhere", labels={"checked": "yes"})).code == 201
    assert team.create(pod("pod", meta={"labels": {"checked": "yes"}})).code == 201
    assert team.patch(config_map("unlabelled"), {"metadata": {"labels": {"checked": "yes"}}}).code == 400
    assert [asked["name"] for asked in webhook.asked] == ["checked", "unlabelled"]


def test_a_webhook_changes_what_is_written_and_the_writer_owns_it_not(target: Target, webhook: Webhook) -> None:
    team = target.namespace()
    in_force(team, webhook, kind="Mutating")
    webhook.reviews = [review(True, adds("/data/added", "x"), adds("/metadata/annotations", {"by": "webhook"}))]
    made = team.apply(config_map("a"), "applier")
    assert made.code == 201
    assert made.body["data"] == {"key": "value", "added": "x"}
    assert "uid" not in webhook.asked[0]["object"]["metadata"]
    [owned] = made.body["metadata"]["managedFields"]
    assert owned["fieldsV1"] == {"f:data": {"f:key": {}}}
    assert team.get(config_map("a")).body["metadata"]["annotations"] == {"by": "webhook"}


def test_webhooks_change_in_turn_and_see_again_what_came_after(target: Target, webhook: Webhook) -> None:
    team = target.namespace()
    hooks = [
        hook(team, webhook.url, f"{name}.example.com", reinvocationPolicy=policy)
        for name, policy in (("first", "IfNeeded"), ("second", "Never"), ("third", "IfNeeded"))
    ]
    in_force(team, webhook, *hooks, kind="Mutating")
    webhook.reviews = [
        review(),
        review(True, adds("/data/second", "x")),
        review(True, adds("/data/third", "x")),
        review(True, adds("/data/again", "x")),
        review(),
    ]
    made = team.create(config_map("a"))
    assert made.body["data"] == {"key": "value", "second": "x", "third": "x", "again": "x"}
    names = [sent.target.partition(".")[0].lstrip("/") for sent in webhook.requests]
    assert names == ["first", "second", "third", "first", "third"]
    assert list(webhook.asked[3]["object"]["data"]) == ["key", "second", "third"]


def test_what_a_webhook_adds_is_admitted_too(target: Target, webhook: Webhook) -> None:
    team = target.namespace()
    in_force(team, webhook, hook(team, webhook.url, rules=[PODS]), kind="Mutating", probe=lambda name: pod(name))
    webhook.reviews = [review(True, adds("/spec/containers/-", container("sidecar"))), review()]
    made = team.create(pod("a"))
    assert made.code == 201
    app, sidecar = made.body["spec"]["containers"]
    assert sidecar["imagePullPolicy"] == "IfNotPresent"
    assert sidecar["volumeMounts"] == app["volumeMounts"]
    assert len(made.body["spec"]["volumes"]) == 1


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (
            review(True, adds("/nowhere/x", "y")),
            "Internal error occurred: add operation does not apply: doc is missing path",
        ),
        (
            review(True, adds("/data/x", 1)),
            "Internal error occurred: json: cannot unmarshal number into Go struct field ConfigMap.data of type string",
        ),
        (
            review(True, patchType="JSONPatch"),
            f"{FAILED}received invalid webhook response: webhook returned response.patchType but not response.patch",
        ),
    ],
)
def test_a_patch_that_does_not_fit_stops_the_write(target: Target, webhook: Webhook, answer: Any, problem: str) -> None:
    team = target.namespace()
    in_force(team, webhook, kind="Mutating")
    webhook.reviews = [answer]
    refused = team.create(config_map("a"))
    assert refused.code == 500
    assert refused.message.startswith(problem)
    assert team.get(config_map("a")).code == 404


def test_what_controllers_make_passes_through_webhooks_too(target: Target, webhook: Webhook) -> None:
    team = target.namespace()
    in_force(team, webhook, hook(team, webhook.url, rules=[PODS]), probe=lambda name: pod(name))
    webhook.reviews = [review(False, status={"message": "no pods"})]
    team.have(deployment("web"))
    denied = f'admission webhook "{NAME}" denied the request: no pods'

    def says(type_: str, told: str) -> Callable[[Any], bool]:
        return lambda reply: any(
            one["type"] == type_ and told in one.get("message", "")
            for one in (reply.body.get("status") or {}).get("conditions") or ()
        )

    team.eventually(lambda: team.get(deployment("web")), says("ReplicaFailure", denied))
    webhook.reviews = [review()]
    team.eventually(
        lambda: team.get(deployment("web")), lambda reply: reply.body["status"].get("readyReplicas") == 1, 60
    )


def test_a_webhook_that_refuses_everything_can_be_taken_away(target: Target, webhook: Webhook) -> None:
    team = target.namespace()
    everything = {"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*"]}
    in_force(team, webhook, hook(team, webhook.url, rules=[everything]))
    webhook.reviews = [review(False)]
    assert team.create(config_map("a")).code == 400
    assert team.delete(of(ADMISSION, "ValidatingWebhookConfiguration", team.default)).code == 200
    team.eventually(lambda: team.create(config_map("a")), 201)
