"""Objects reach registries and Git servers of clouds as the ServiceAccount that they name, as the default one, or as
the controller; what they lack is told, and no secret of it shows."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import json
import logging
import re
import time

import pytest

from shared.loop import metrics
from source_controller import __main__ as source_controller
from tests.kit.charts import chart, package
from tests.kit.clouds import claims, key_of_google, said, token
from tests.kit.internet import Internet, Reply, forwarded
from tests.kit.registry import Registry
from tests.source_controller.conftest import GROUP, condition

KIND = "OCIRepository"
CHART = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
GATE = "--feature-gates=ObjectLevelWorkloadIdentity=true"
ROLE = {"eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/reader"}
AZURE = {"azure.workload.identity/tenant-id": "tenant", "azure.workload.identity/client-id": "client"}
PROVIDER = "projects/1/locations/global/workloadIdentityPools/pool/providers/cluster"
GCP = {"gcp.auth.fluxcd.io/workload-identity-provider": PROVIDER}
SUBJECT = "system:serviceaccount:default:app"
ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
ACR = "org.azurecr.io"
GAR = "europe-docker.pkg.dev"


@pytest.fixture
def registry():
    with Registry() as made:
        made.push_files("app", "v1", {"a.yaml": "a: 1"})
        yield made


def spec(host, provider, **more):
    return {"url": f"oci://{host}/app", "provider": provider, "ref": {"tag": "v1"}, **more}


def acr(internet: Internet, registry: Registry) -> str:
    """A registry of Azure, which gives its password for a token of Entra ID."""
    password = token(exp=int(time.time()) + 3600)

    def answer(asked):
        if asked.path != "/oauth2/exchange":
            return forwarded(registry.address)(asked)
        good = claims(asked.form["access_token"])["aud"] == "https://containerregistry.azure.net"
        return said(200, {"refresh_token": password}) if good else Reply(401)

    internet.hosts_of[ACR] = answer
    registry.require("app", "00000000-0000-0000-0000-000000000000", password)
    return password


async def through(world, internet) -> dict:
    """How git, which is a process of its own, comes to the hosts."""
    await world.secret("trusted", {"ca.crt": internet.ca.read_bytes()})
    await world.secret("proxy", {"address": internet.address})
    return {"secretRef": {"name": "trusted"}, "proxySecretRef": {"name": "proxy"}}


async def message(world, name, reason, kind=KIND):
    return condition(await world.failed(name, reason, kind), "Ready", "message")


async def test_an_object_pulls_from_ecr_as_its_account(world, aws, registry):
    aws.hosts_of[ECR] = forwarded(registry.address)
    registry.require("app", "AWS", "123456789012-auth-token")
    await world.start(GATE)
    await world.account("app", ROLE)
    await world.put("s", spec(ECR, "aws", serviceAccountName="app"), KIND)
    await world.ready("s", kind=KIND)
    (taken,) = aws.to("sts.eu-west-1.amazonaws.com")
    sent = claims(taken.form["WebIdentityToken"])
    assert (sent["sub"], sent["aud"]) == (SUBJECT, ["sts.amazonaws.com"])
    assert taken.form["RoleSessionName"] == "app.default.eu-west-1.fluxcd.io"


async def test_an_object_pulls_from_acr_as_its_account(world, entra, internet, registry, caplog):
    caplog.set_level(logging.DEBUG)
    password = acr(internet, registry)
    entra.subjects["client"] = SUBJECT
    await world.start(GATE)
    await world.account("app", AZURE)
    await world.put("s", spec(ACR, "azure", serviceAccountName="app"), KIND)
    await world.ready("s", kind=KIND)
    given = internet.to(ACR)[0].form["access_token"]
    shown = json.dumps(await world.events("s")) + caplog.text + json.dumps(await world.read("s", KIND))
    assert not [secret for secret in (password, given) if secret in shown]


async def test_an_object_pulls_from_google_as_its_account(world, google, internet, registry):
    google.subjects[f"//iam.googleapis.com/{PROVIDER}"] = SUBJECT
    asked_by = []

    def answer(asked):
        basic = asked.headers.get("Authorization", "").removeprefix("Basic ")
        user, _, password = base64.b64decode(basic).decode().partition(":")
        if user != "oauth2accesstoken" or password not in google.tokens:
            return Reply(401, b"", {"WWW-Authenticate": 'Basic realm="google"'})
        asked_by.append(google.tokens[password])
        return forwarded(registry.address)(asked)

    internet.hosts_of[GAR] = answer
    await world.start(GATE)
    await world.account("app", GCP)
    await world.put("s", spec(GAR, "gcp", serviceAccountName="app"), KIND)
    await world.ready("s", kind=KIND)
    assert set(asked_by) == {SUBJECT}


async def test_one_login_serves_all_objects_of_an_account_and_all_their_rounds(world, aws, registry):
    aws.hosts_of[ECR] = forwarded(registry.address)
    login = {"authorizationToken": base64.b64encode(b"AWS:pa55word").decode(), "expiresAt": time.time() + 43200}
    aws.hosts_of["api.ecr.eu-west-1.amazonaws.com"] = lambda asked: said(200, {"authorizationData": [login]})
    await world.start(GATE)
    await world.account("app", ROLE)
    for name in ("s", "t", "u"):
        await world.put(name, spec(ECR, "aws", serviceAccountName="app"), KIND)
    for name in ("s", "t", "u"):
        await world.ready(name, kind=KIND)
        asked = await world.ask(name, KIND)
        await world.until(name, lambda obj, asked=asked: obj["status"].get("lastHandledReconcileAt") == asked, KIND)
    assert len(aws.to("sts.eu-west-1.amazonaws.com")) == 1
    assert len(aws.to("api.ecr.eu-west-1.amazonaws.com")) == 1


async def test_what_becomes_of_tokens_is_measured_until_their_object_goes(world, aws, registry):
    aws.hosts_of[ECR] = forwarded(registry.address)
    await world.start(GATE)
    await world.account("app", ROLE)
    for name in ("s", "t"):
        await world.put(name, spec(ECR, "aws", serviceAccountName="app"), KIND)
        await world.ready(name, kind=KIND)

    def figures():
        return {line for line in metrics.expose().decode().splitlines() if line.startswith("gotk_token_cache")}

    labels = 'kind="OCIRepository",name="{}",namespace="default",operation="reconcile"'
    hit = f'gotk_token_cache_events_total{{event_type="cache_hit",{labels.format("t")}}} 1.0'
    assert hit in figures()
    assert f'gotk_token_cache_events_total{{event_type="cache_miss",{labels.format("s")}}} 2.0' in figures()
    assert {'gotk_token_cache_requests_total{status="success"} 4.0', "gotk_token_cached_items 1.0"} <= figures()
    assert "gotk_token_cache_evictions_total 0.0" in figures()
    await world.kube.delete(GROUP, KIND, "t", world.namespace)
    await world.until("t", lambda obj: obj is None, KIND)
    async with asyncio.timeout(20):
        while hit in figures():
            await asyncio.sleep(0.02)


async def test_without_room_for_tokens_each_attempt_logs_in(world, aws, registry):
    aws.hosts_of[ECR] = forwarded(registry.address)
    await world.start(GATE, "--token-cache-max-size=0")
    await world.account("app", ROLE)
    await world.put("s", spec(ECR, "aws", serviceAccountName="app"), KIND)
    await world.ready("s", kind=KIND)
    asked = await world.ask("s", KIND)
    await world.until("s", lambda obj: obj["status"].get("lastHandledReconcileAt") == asked, KIND)
    assert len(aws.to("sts.eu-west-1.amazonaws.com")) >= 2
    assert "gotk_token_cache" not in metrics.expose().decode()


async def test_tokens_are_used_for_as_long_as_the_flag_says(world, aws, registry):
    aws.hosts_of[ECR] = forwarded(registry.address)
    await world.start(GATE, "--token-cache-max-duration=1ms")
    await world.account("app", ROLE)
    await world.put("s", spec(ECR, "aws", serviceAccountName="app"), KIND)
    await world.ready("s", kind=KIND)
    asked = await world.ask("s", KIND)
    await world.until("s", lambda obj: obj["status"].get("lastHandledReconcileAt") == asked, KIND)
    assert len(aws.to("sts.eu-west-1.amazonaws.com")) >= 2


async def test_who_names_no_account_has_the_default_one(world, aws, registry):
    aws.hosts_of[ECR] = forwarded(registry.address)
    await world.start(GATE, "--default-service-account=tenant")
    await world.put("s", spec(ECR, "aws"), KIND)
    told = await message(world, "s", "AuthenticationFailed")
    assert "failed to get service account 'default/tenant'" in told
    assert "the default account of this controller" in told
    await world.account("tenant", ROLE)
    await world.ask("s", KIND)
    await world.ready("s", kind=KIND)
    (taken,) = aws.to("sts.eu-west-1.amazonaws.com")
    assert claims(taken.form["WebIdentityToken"])["sub"] == "system:serviceaccount:default:tenant"


async def test_an_account_that_only_has_pull_secrets_needs_no_gate(controller, internet, registry):
    """Its name means two things: whose pull secrets log in, and, where it has none, whose identity does."""
    internet.hosts_of[ACR] = forwarded(registry.address)
    registry.require("app", "ada", "pa55word")
    auth = base64.b64encode(b"ada:pa55word").decode()
    await controller.secret("pull", {".dockerconfigjson": json.dumps({"auths": {ACR: {"auth": auth}}})})
    await controller.account("app", {}, imagePullSecrets=[{"name": "pull"}])
    await controller.put("s", spec(ACR, "generic", serviceAccountName="app"), KIND)
    await controller.ready("s", kind=KIND)


async def test_the_secrets_of_the_object_and_of_its_account_count_both(controller, internet, registry):
    internet.hosts_of[ACR] = forwarded(registry.address)
    registry.require("app", "ada", "pa55word")
    for name, host in (("elsewhere", "ghcr.io"), ("pull", ACR)):
        auth = base64.b64encode(b"ada:pa55word").decode()
        await controller.secret(name, {".dockerconfigjson": json.dumps({"auths": {host: {"auth": auth}}})})
    await controller.account("app", {}, imagePullSecrets=[{"name": "pull"}])
    wanted = spec(ACR, "generic", serviceAccountName="app", secretRef={"name": "elsewhere"})
    await controller.put("s", wanted, KIND)
    await controller.ready("s", kind=KIND)


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        (KIND, spec(ECR, "aws", serviceAccountName="app")),
        (
            "GitRepository",
            {"url": "https://dev.azure.com/o/p/_git/r", "provider": "azure", "serviceAccountName": "app"},
        ),
        (
            "Bucket",
            {"bucketName": "b", "endpoint": "s3.amazonaws.com", "provider": "aws", "serviceAccountName": "app"},
        ),
    ],
)
async def test_with_the_gate_closed_an_account_stalls(controller, internet, kind, wanted):
    await controller.account("app", ROLE | AZURE)
    await controller.put("s", wanted, kind)
    source = await controller.failed("s", "FeatureGateDisabled", kind)
    assert condition(source, "Stalled") == "True"
    assert condition(source, "FetchFailed") == (None if kind == KIND else "True")
    assert "please enable the ObjectLevelWorkloadIdentity feature gate" in condition(source, "Ready", "message")
    assert internet.asked == []


def test_a_default_account_without_the_gate_is_refused_at_once(world, capsys):
    with pytest.raises(SystemExit):
        source_controller.options([*world.flags, "--default-service-account=tenant"])
    assert "--feature-gates=ObjectLevelWorkloadIdentity=true" in capsys.readouterr().err


async def test_what_an_account_lacks_is_told(world, aws, entra, google):
    await world.start(GATE)
    await world.account("bare", {})
    cases = {
        "aws": (spec(ECR, "aws"), "annotation 'eks.amazonaws.com/role-arn' is ''"),
        "azure": (spec(ACR, "azure"), "annotation 'azure.workload.identity/tenant-id' is missing"),
        "gcp": (spec(GAR, "gcp"), "annotate the service account with gcp.auth.fluxcd.io/workload-identity-provider"),
        "elsewhere": (spec("ghcr.io", "aws"), "'ghcr.io' is no registry of AWS"),
    }
    for name, (wanted, _) in cases.items():
        await world.put(name, {**wanted, "serviceAccountName": "bare"}, KIND)
    for name, (_, text) in cases.items():
        assert text in await message(world, name, "AuthenticationFailed"), name
    assert aws.to("sts.eu-west-1.amazonaws.com") == []


async def test_a_git_repository_at_azure_is_read_as_its_account(world, entra, internet, git, repo):
    entra.subjects["client"] = SUBJECT
    head = repo.commit({"a": "1"})
    served, _, name = repo.url.rpartition("/")
    seen = []

    def answer(asked):
        given = asked.headers.get("Authorization", "").removeprefix("Bearer ")
        seen.append(given)
        if not given or claims(given)["aud"] != "499b84ac-1321-427f-aa17-267ca6975798":
            return Reply(401, b"", {"WWW-Authenticate": 'Basic realm="azure"'})
        return forwarded(served)(asked)

    internet.hosts_of["dev.azure.com"] = answer
    await world.start(GATE)
    await world.account("app", AZURE)
    wanted = {"url": f"https://dev.azure.com/{name}", "provider": "azure", "serviceAccountName": "app"}
    await world.put("s", wanted | await through(world, internet))
    await world.ready("s", head)
    shown = json.dumps(await world.read("s")) + json.dumps(await world.events("s"))
    assert seen
    assert seen[-1] not in shown


async def test_a_git_repository_at_codecommit_is_read_with_signed_addresses(world, aws, repo):
    head = repo.commit({"a": "1"})
    served, _, name = repo.url.rpartition("/")
    logins = []

    def answer(asked):
        basic = base64.b64decode(asked.headers.get("Authorization", "").removeprefix("Basic ")).decode()
        logins.append(basic)
        if not re.fullmatch(r"[^%:]+%[^:]+:[0-9]{8}T[0-9]{6}Z[0-9a-f]{64}", basic):
            return Reply(401, b"", {"WWW-Authenticate": 'Basic realm="codecommit"'})
        return forwarded(served)(dataclasses.replace(asked, path=asked.path.removeprefix("/v1/repos")))

    aws.hosts_of["git-codecommit.eu-west-1.amazonaws.com"] = answer
    await world.start(GATE)
    await world.account("app", ROLE)
    url = f"https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/{name}"
    await world.put("s", {"url": url, "provider": "aws", "serviceAccountName": "app", **await through(world, aws)})
    await world.ready("s", head)
    assert len({login for login in logins if login}) == 1, "one login for all requests"


async def test_charts_come_from_google_as_the_controller(world, google, internet, tmp_path, monkeypatch):
    file = tmp_path / "key.json"
    file.write_bytes(key_of_google())
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    internet.hosts_of["oauth2.googleapis.com"] = lambda asked: said(200, {"access_token": "given", "expires_in": 3600})
    with Registry() as registry:
        registry.push("charts/app", "1.0.0", [(CHART, package(chart("app")))])
        registry.require("charts/app", "oauth2accesstoken", "given")
        internet.hosts_of[GAR] = forwarded(registry.address)
        await world.start()
        await world.put("r", {"url": f"oci://{GAR}/charts", "type": "oci", "provider": "gcp"}, "HelmRepository")
        source = {"kind": "HelmRepository", "name": "r"}
        await world.put("s", {"chart": "app", "version": "1.0.0", "sourceRef": source}, "HelmChart")
        await world.ready("s", "1.0.0", "HelmChart")
