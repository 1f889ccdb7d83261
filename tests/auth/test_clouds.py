"""Who logs in at a cloud, as whom, and what it costs; no secret shows."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime

import pytest

from shared.auth import (
    CONTROLLER,
    AuthError,
    Clouds,
    GateClosed,
    Keys,
    Tokens,
    Who,
    aws,
    azure,
    gcp,
    sessions,
    threads,
)
from shared.auth.clusters import Place, canonical, chosen
from tests.kit.clouds import Entra, claims, key_of_google, said, token
from tests.kit.internet import Internet, Reply

ROLE = {"eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/reader"}
AZURE = {"azure.workload.identity/tenant-id": "tenant", "azure.workload.identity/client-id": "client"}
PROVIDER = "projects/1/locations/global/workloadIdentityPools/pool/providers/cluster"
GCP = {"gcp.auth.fluxcd.io/workload-identity-provider": PROVIDER}
EMAIL = {"iam.gke.io/gcp-service-account": "reader@project.iam.gserviceaccount.com"}
SUBJECT = "system:serviceaccount:apps:app"
ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"


@pytest.fixture
def who(clouds):
    return clouds.who("apps", "app")


async def test_an_object_may_name_an_account_only_where_the_gate_is_open(kube):
    closed = Clouds(kube, Tokens())
    assert closed.who("apps", None) == CONTROLLER
    with pytest.raises(GateClosed, match="enable the ObjectLevelWorkloadIdentity feature gate"):
        closed.who("apps", "app")


async def test_the_default_account_is_the_one_of_who_names_none(kube):
    clouds = Clouds(kube, Tokens(), object_level=True, default_account="tenant")
    assert clouds.who("apps", None) == Who("apps", "tenant", is_default=True)
    with pytest.raises(AuthError, match=r"'apps/tenant'.*default account of this controller"):
        await clouds.azure(clouds.who("apps", None), azure.BLOBS)
    with pytest.raises(AuthError, match=r"'apps/other': serviceaccounts .other. not found$"):
        await clouds.azure(clouds.who("apps", "other"), azure.BLOBS)


# AWS


async def test_a_role_is_taken_with_the_accounts_token_once(aws, clouds, kube, who):
    kube.accounts["apps/app"] = ROLE
    keys = await clouds.aws(who, "eu-west-1")
    assert keys.access
    assert keys.session
    assert await clouds.aws(who, "eu-west-1") == keys
    assert kube.asked == [("apps/app", "sts.amazonaws.com")]
    (asked,) = aws.to("sts.eu-west-1.amazonaws.com")
    assert asked.form["RoleArn"] == ROLE["eks.amazonaws.com/role-arn"]
    assert asked.form["RoleSessionName"] == "app.apps.eu-west-1.fluxcd.io"
    assert "Authorization" not in asked.headers
    assert keys.secret not in f"{keys!r}"
    assert keys.session not in f"{keys!r}"


async def test_another_role_is_another_token(aws, clouds, kube, who):
    kube.accounts["apps/app"] = ROLE
    await clouds.aws(who, "eu-west-1")
    kube.accounts["apps/app"] = {"eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/other"}
    await clouds.aws(who, "eu-west-1")
    assert [asked.form["RoleArn"].rpartition("/")[2] for asked in aws.asked] == ["reader", "other"]


@pytest.mark.parametrize("endpoint", ["https://evil.example", "https://sts.amazonaws.com.evil.example", "http://sts.x"])
async def test_a_token_goes_only_to_an_endpoint_of_aws(aws, clouds, kube, who, endpoint):
    kube.accounts["apps/app"] = ROLE
    with pytest.raises(AuthError, match="is no endpoint of STS"):
        await clouds.aws(who, "eu-west-1", endpoint=endpoint)
    assert aws.asked == []


async def test_an_endpoint_of_sts_is_asked(aws, clouds, kube, who):
    kube.accounts["apps/app"] = ROLE
    await clouds.aws(who, "eu-west-1", endpoint="https://sts-fips.us-east-1.amazonaws.com")
    assert [asked.host for asked in aws.asked] == ["sts-fips.us-east-1.amazonaws.com"]


async def test_the_controllers_keys_are_those_of_its_environment(aws, clouds, monkeypatch, tmp_path):
    with pytest.raises(AuthError, match="the controller has no AWS_REGION"):
        await clouds.aws(CONTROLLER)
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    with pytest.raises(AuthError, match="environment has no AWS credentials"):
        await clouds.aws(CONTROLLER)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret")
    assert await clouds.aws(CONTROLLER) == Keys("AKIA", "s3cret")


@pytest.mark.parametrize("endpoint", ["", "https://sts.eu-west-1.amazonaws.com"])
async def test_the_controllers_web_identity_is_exchanged(aws, clouds, monkeypatch, tmp_path, endpoint):
    (tmp_path / "token").write_text("a.b.c")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ROLE_ARN", ROLE["eks.amazonaws.com/role-arn"])
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    assert (await clouds.aws(CONTROLLER, endpoint=endpoint)).session
    (asked,) = aws.to("sts.eu-west-1.amazonaws.com")
    assert asked.form["WebIdentityToken"] == "a.b.c"


async def test_ecr_gives_a_login(aws, clouds, kube, who):
    kube.accounts["apps/app"] = ROLE
    login = await clouds.registry("aws", ECR, who)
    assert login.username == "AWS"
    assert login.password
    assert login.password not in f"{login!r}"
    assert [asked.host for asked in aws.asked] == ["sts.eu-west-1.amazonaws.com", "api.ecr.eu-west-1.amazonaws.com"]


async def test_a_refusal_of_aws_is_told(internet, clouds, kube, who):
    kube.accounts["apps/app"] = ROLE
    error = b"<ErrorResponse><Error><Code>AccessDenied</Code><Message>Not you</Message></Error></ErrorResponse>"
    internet.hosts_of["*.amazonaws.com"] = lambda asked: Reply(403, error, {"Content-Type": "text/xml"})
    with pytest.raises(AuthError, match=r"service account 'apps/app' can't log in at aws: .*AccessDenied.*Not you"):
        await clouds.aws(who, "eu-west-1")


@pytest.mark.parametrize(
    ("host", "region"),
    [
        ("public.ecr.aws", "us-east-1"),
        (ECR, "eu-west-1"),
        ("1.dkr.ecr-fips.us-gov-east-1.amazonaws.com", "us-gov-east-1"),
        ("1.dkr-ecr.eu-west-1.on.aws", "eu-west-1"),
        ("1.dkr.ecr.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("ghcr.io", None),
        ("1.dkr.ecr.eu-west-1.amazonaws.com.evil.example", None),
        ("evil.example/1.dkr.ecr.eu-west-1.amazonaws.com", None),
    ],
)
def test_a_registry_of_aws_says_its_region(host, region):
    if region is not None:
        assert aws.registry_region(host) == region
    else:
        with pytest.raises(AuthError, match="is no registry of AWS"):
            aws.registry_region(host)


def test_codecommit_takes_a_signature_of_its_address():
    keys = Keys("AKIA", "s3cret", "session")
    url = "https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/app"
    login = aws.git_login(url, keys, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)).value
    assert login.username == "AKIA%session"
    assert login.password.startswith("20260102T030405Z")
    # By the rules of Signature Version 4, done by hand for this address, time and key.
    request = "GIT\n/v1/repos/app\n\nhost:git-codecommit.eu-west-1.amazonaws.com\n\nhost\n"
    text = "AWS4-HMAC-SHA256\n20260102T030405\n20260102/eu-west-1/codecommit/aws4_request\n"
    text += hashlib.sha256(request.encode()).hexdigest()
    key = b"AWS4s3cret"
    for part in ("20260102", "eu-west-1", "codecommit", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    assert login.password.partition("Z")[2] == hmac.digest(key, text.encode(), "sha256").hex()
    with pytest.raises(AuthError, match="is no CodeCommit"):
        aws.git_login("https://github.com/org/app", keys)


async def test_a_token_for_eks_is_a_signed_question_who_that_is(aws, clouds, kube, who):
    kube.accounts["apps/app"] = ROLE
    cluster = "arn:aws:eks:eu-west-1:123456789012:cluster/prod"
    access = await clouds.cluster("aws", cluster, who, address="https://API.example", ca="PEM")
    assert (access.server, access.ca) == ("https://api.example:443", "PEM")
    assert access.token not in f"{access!r}"
    assert 890 < access.expires - time.time() <= 900
    encoded = access.token.removeprefix("k8s-aws-v1.")
    url = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
    assert url.startswith("https://sts.eu-west-1.amazonaws.com/?Action=GetCallerIdentity")
    assert "x-k8s-aws-id" in url


async def test_eks_says_where_a_cluster_is(internet, clouds, kube, who):
    kube.accounts["apps/app"] = ROLE
    described = {"endpoint": "https://ABC.eks.amazonaws.com", "certificateAuthority": {"data": "UEVN"}}
    credentials = {
        "AccessKeyId": "AKIA",
        "SecretAccessKey": "s",
        "SessionToken": "t",
        "Expiration": "2099-01-01T00:00:00Z",
    }
    parts = "".join(f"<{name}>{value}</{name}>" for name, value in credentials.items())
    answer = (
        f"<R><AssumeRoleWithWebIdentityResult><Credentials>{parts}</Credentials></AssumeRoleWithWebIdentityResult></R>"
    )
    internet.hosts_of["sts.*"] = lambda asked: Reply(200, answer.encode(), {"Content-Type": "text/xml"})
    internet.hosts_of["eks.*"] = lambda asked: said(200, {"cluster": described})
    access = await clouds.cluster("aws", "arn:aws:eks:eu-west-1:123456789012:cluster/prod", who)
    assert (access.server, access.ca) == ("https://abc.eks.amazonaws.com:443", "PEM")


# Azure


async def test_an_account_becomes_an_identity_of_entra(entra, internet, clouds, kube, who):
    kube.accounts["apps/app"], entra.subjects["client"] = AZURE, SUBJECT
    given = await clouds.azure(who, azure.BLOBS)
    assert claims(given)["aud"] == "https://storage.azure.com"
    assert await clouds.azure(who, azure.BLOBS) == given
    assert kube.asked == [("apps/app", "api://AzureADTokenExchange")]
    assert claims(await clouds.azure(who, azure.DEVOPS))["aud"] == azure.DEVOPS.removesuffix("/.default")
    assert (await clouds.git("azure", "https://dev.azure.com/o/p/_git/r", who)).bearer


async def test_what_entra_refuses_is_told_without_the_token(entra, clouds, kube, who, caplog):
    caplog.set_level(logging.DEBUG)
    kube.accounts["apps/app"] = AZURE
    with pytest.raises(AuthError, match=r"service account 'apps/app' can't log in at azure: .*AADSTS700213") as told:
        await clouds.azure(who, azure.BLOBS)
    sent = token(sub=SUBJECT, aud=["api://AzureADTokenExchange"])
    assert sent not in str(told.value) + caplog.text


async def test_the_controller_logs_in_by_its_environment(entra, clouds, monkeypatch, tmp_path):
    entra.secrets["client"] = "s3cret"
    for name, value in {"TENANT_ID": "tenant", "CLIENT_ID": "client", "CLIENT_SECRET": "s3cret"}.items():
        monkeypatch.setenv(f"AZURE_{name}", value)
    assert claims(await clouds.azure(CONTROLLER, azure.BLOBS))["appid"] == "client"
    monkeypatch.delenv("AZURE_CLIENT_SECRET")
    (tmp_path / "token").write_text(token(sub=SUBJECT, aud=["api://AzureADTokenExchange"]))
    entra.subjects["client"] = SUBJECT
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", "https://login.microsoftonline.com/")
    assert claims(await Clouds(None, Tokens()).azure(CONTROLLER, azure.BLOBS))["appid"] == "client"


async def test_the_machines_identity_is_asked_for_last(clouds, monkeypatch, internet):
    """As in App Service, whose endpoint a variable names; of a virtual machine the address can't be moved."""
    given = {
        "access_token": "machine",
        "expires_on": str(int(time.time()) + 3600),
        "resource": "r",
        "token_type": "Bearer",
    }
    internet.hosts_of["identity.example"] = lambda asked: said(200, given)
    monkeypatch.setenv("IDENTITY_ENDPOINT", "https://identity.example/token")
    monkeypatch.setenv("IDENTITY_HEADER", "header")
    assert await clouds.azure(CONTROLLER, azure.BLOBS) == "machine"


async def test_a_registry_of_azure_exchanges_the_token(entra, internet, clouds, kube, who):
    kube.accounts["apps/app"], entra.subjects["client"] = AZURE, SUBJECT
    refresh = token(exp=time.time() + 3600)
    internet.hosts_of["org.azurecr.io"] = lambda asked: said(200, {"refresh_token": refresh})
    login = await clouds.registry("azure", "org.azurecr.io", who)
    assert (login.username, login.password) == ("00000000-0000-0000-0000-000000000000", refresh)
    await clouds.registry("azure", "org.azurecr.io", who)
    (asked,) = internet.to("org.azurecr.io")
    assert (asked.form["grant_type"], asked.form["service"]) == ("access_token", "org.azurecr.io")
    assert claims(asked.form["access_token"])["aud"] == "https://containerregistry.azure.net"
    with pytest.raises(AuthError, match=r"'ghcr.io' is no registry of Azure"):
        await clouds.registry("azure", "ghcr.io", who)


async def test_a_custom_cloud_is_described_by_a_file(entra, internet, clouds, kube, who, monkeypatch, tmp_path):
    kube.accounts["apps/app"], entra.subjects["client"] = AZURE, SUBJECT
    file = tmp_path / "cloud.json"
    file.write_text(
        json.dumps({"resourceManagerEndpoint": "https://arm.example", "containerRegistryDNSSuffix": ".r.example"})
    )
    monkeypatch.setenv("AZURE_ENVIRONMENT_FILEPATH", str(file))
    internet.hosts_of["org.r.example"] = lambda asked: said(200, {"refresh_token": token(exp=time.time() + 60)})
    await clouds.registry("azure", "org.r.example", who)
    (asked,) = internet.to("org.r.example")
    assert claims(asked.form["access_token"])["aud"] == "https://arm.example"


def kubeconfig(server):
    cluster = {"server": server, "certificate-authority-data": "UEVN"}
    return {"name": "x", "value": base64.b64encode(json.dumps({"clusters": [{"cluster": cluster}]}).encode()).decode()}


async def test_aks_says_where_a_cluster_is(entra, internet, clouds, kube, who):
    kube.accounts["apps/app"], entra.subjects["client"] = AZURE, SUBJECT
    group = "/subscriptions/12345678-1234-1234-1234-123456789012/resourceGroups/g"
    cluster = f"{group}/providers/Microsoft.ContainerService/managedClusters/prod"
    profile = {"properties": {"aadProfile": {"managed": True}}}
    listed = {"kubeconfigs": [kubeconfig("https://one.example:443"), kubeconfig("https://two.example:443")]}
    internet.hosts_of["management.azure.com"] = lambda asked: said(200, profile if asked.method == "GET" else listed)
    access = await clouds.cluster("azure", cluster, who)
    assert (access.server, access.ca) == ("https://one.example:443", "PEM")
    assert claims(access.token)["aud"] == "6dae42f8-4368-4678-94ff-3960e28e3630"
    assert (await clouds.cluster("azure", cluster, who, address="TWO.example")).server == "https://two.example:443"
    with pytest.raises(AuthError, match=r"has no address 'three.example': it has 'https://one"):
        await clouds.cluster("azure", cluster, who, address="three.example")
    profile["properties"] = {}
    with pytest.raises(AuthError, match="doesn't know identities of Entra ID"):
        await Clouds(kube, Tokens(), object_level=True).cluster("azure", cluster, who)


@pytest.mark.parametrize(
    ("given", "known", "strict", "place"),
    [
        (Place(), [("https://a", "UEVN"), ("https://b", "UEVN")], True, Place("https://a", "PEM")),
        (Place("B:443"), [("https://a", "QQ=="), ("https://b", "UEVN")], True, Place("B:443", "PEM")),
        (Place("c"), [("https://a", "UEVN")], False, Place("c", "PEM")),
        (Place("c"), [("https://a", "UEVN")], True, "has no address 'c': it has 'https://a'"),
        (Place("c"), [], False, "has no address 'c': it has none"),
        (Place(), [], True, "gives no address or no certificate authority"),
        (Place(), [("https://a", "")], True, "gives no address or no certificate authority"),
        (Place("", "MINE"), [("https://a", "")], True, Place("https://a", "MINE")),
        (Place(), [("https://a", "no base64!")], True, "can't be read"),
    ],
)
def test_of_the_places_that_a_cloud_knows_one_is_chosen(given, known, strict, place):
    if isinstance(place, Place):
        assert chosen("prod", given, known, strict=strict) == place
    else:
        with pytest.raises(AuthError, match=place):
            chosen("prod", given, known, strict=strict)


async def test_a_child_gets_the_token_and_what_it_is_good_for(clouds, kube, who):
    kube.accounts["apps/app"] = AZURE
    found = await clouds.federated(who)
    assert (found.tenant, found.client) == ("tenant", "client")
    assert claims(found.token)["sub"] == SUBJECT
    assert found.token not in f"{found!r}"


# Google


async def test_an_account_is_known_at_its_identity_provider(google, clouds, kube, who):
    kube.accounts["apps/app"] = GCP
    google.subjects[f"//iam.googleapis.com/{PROVIDER}"] = SUBJECT
    given = await clouds.gcp(who)
    assert google.tokens[given] == SUBJECT
    assert await clouds.gcp(who) == given
    assert kube.asked == [("apps/app", f"//iam.googleapis.com/{PROVIDER}")]
    login = await clouds.registry("gcp", "europe-docker.pkg.dev", who)
    assert (login.username, login.password) == ("oauth2accesstoken", given)
    with pytest.raises(AuthError, match="is no registry of Google"):
        await clouds.registry("gcp", "gcr.io.evil.example", who)


async def test_an_account_impersonates_a_service_account_of_google(google, clouds, kube, who):
    kube.accounts["apps/app"] = GCP | EMAIL
    google.subjects[f"//iam.googleapis.com/{PROVIDER}"] = SUBJECT
    with pytest.raises(AuthError, match=r"service account 'apps/app' can't log in at gcp: .*: may not act as reader@"):
        await clouds.gcp(who)
    google.impersonated["reader@project.iam.gserviceaccount.com"] = SUBJECT
    assert google.tokens[await clouds.gcp(who)] == "reader@project.iam.gserviceaccount.com"


async def test_on_gke_the_cluster_is_the_identity_provider(google, internet, clouds, kube, who, monkeypatch):
    kube.accounts["apps/app"] = {}
    with Internet(internet._folder / "metadata") as metadata:
        metadata.hosts_of["*"] = lambda asked: Reply(200, asked.path.rpartition("/")[2].encode())
        monkeypatch.setenv("GCE_METADATA_HOST", metadata.host)
        pool, place = "project-id.svc.id.goog", "projects/project-id/locations/cluster-location/clusters/cluster-name"
        google.subjects[f"identitynamespace:{pool}:https://container.googleapis.com/v1/{place}"] = SUBJECT
        assert google.tokens[await clouds.gcp(who)] == SUBJECT
        assert kube.asked == [("apps/app", pool)]
        await Clouds(kube, Tokens()).gcp(who)
        assert len(metadata.asked) == 3


async def test_gke_says_where_a_cluster_is(google, internet, clouds, kube, who):
    kube.accounts["apps/app"] = GCP
    google.subjects[f"//iam.googleapis.com/{PROVIDER}"] = SUBJECT
    described = {"endpoint": "10.0.0.1", "masterAuth": {"clusterCaCertificate": "UEVN"}}
    internet.hosts_of["container.googleapis.com"] = lambda asked: said(200, described)
    access = await clouds.cluster("gcp", "projects/p/locations/l/clusters/c", who)
    assert (access.server, access.ca) == ("https://10.0.0.1:443", "PEM")
    assert google.tokens[access.token] == SUBJECT
    with pytest.raises(AuthError, match="is no cluster of GKE"):
        await clouds.cluster("gcp", "projects/p", who)


async def test_a_key_of_google_signs_for_its_token(internet, clouds):
    internet.hosts_of["oauth2.googleapis.com"] = lambda asked: said(200, {"access_token": "given", "expires_in": 3600})
    key = key_of_google()
    assert await clouds.gcp_key(key, gcp.READ_OBJECTS) == "given"
    assert await clouds.gcp_key(key, gcp.READ_OBJECTS) == "given"
    (asked,) = internet.asked
    assert claims(asked.form["assertion"])["scope"] == gcp.READ_OBJECTS


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        (b"{", "type is service_account"),
        (b'{"type": "external_account", "credential_source": {"file": "/etc/passwd"}}', "type is service_account"),
        (b'{"type": "service_account", "private_key": "s3cret"}', "no complete key"),
    ],
)
async def test_what_is_no_key_of_google_says_so(internet, clouds, key, problem):
    with pytest.raises(AuthError, match=problem) as told:
        await clouds.gcp_key(key, gcp.READ_OBJECTS)
    assert "s3cret" not in str(told.value)
    assert internet.asked == []


# All


@pytest.mark.parametrize(
    ("ask", "annotations", "problem"),
    [
        (lambda c, who: c.aws(who, "eu-west-1"), {}, "'eks.amazonaws.com/role-arn' is '', which is no ARN"),
        (lambda c, who: c.aws(who, ""), ROLE, "needs an AWS region"),
        (lambda c, who: c.azure(who, "s"), {"azure.workload.identity/tenant-id": "t"}, "client-id' is missing"),
        (lambda c, who: c.gcp(who), {"iam.gke.io/gcp-service-account": "x@y"}, "which is no <name>@<project>"),
        (lambda c, who: c.gcp(who), {"gcp.auth.fluxcd.io/workload-identity-provider": "p"}, "which is no projects/"),
    ],
)
async def test_an_account_says_what_it_lacks(clouds, kube, who, ask, annotations, problem):
    kube.accounts["apps/app"] = annotations
    with pytest.raises(AuthError, match=f"service account 'apps/app'.*{problem}"):
        await ask(clouds, who)
    assert all(audience == "sts.amazonaws.com" for _, audience in kube.asked)


@pytest.mark.parametrize(
    ("extra", "module", "ask"),
    [
        ("aws", "botocore", lambda c, who: c.aws(who, "eu-west-1")),
        ("azure", "azure", lambda c, who: c.azure(who, "s")),
        ("gcp", "google", lambda c, who: c.gcp(who)),
    ],
)
async def test_a_library_that_is_not_there_is_named(clouds, kube, who, monkeypatch, extra, module, ask):
    kube.accounts["apps/app"] = ROLE | AZURE | GCP
    for name in [name for name in sys.modules if name.partition(".")[0] == module]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "google.auth" if module == "google" else module, None)
    with pytest.raises(AuthError, match=rf"pip install 'fluvial\[{extra}\]'"):
        await ask(clouds, who)


async def test_an_endless_answer_ends(internet, clouds, kube, who):
    Entra(internet)
    internet.hosts_of = {Entra.host: lambda asked: Reply(200, b" " * (2 << 20))}
    kube.accounts["apps/app"] = AZURE
    with pytest.raises(AuthError):
        await clouds.azure(who, azure.BLOBS)


async def test_a_proxy_of_the_object_is_used(internet, clouds, kube, who, tmp_path):
    kube.accounts["apps/app"] = AZURE | ROLE
    with Internet(tmp_path / "other") as other:
        await_refused = [clouds.azure(who, "s", proxy=other.address), clouds.aws(who, "eu-west-1", proxy=other.address)]
        for each in await_refused:
            with pytest.raises(AuthError):
                await each
    assert internet.asked == []


def test_libraries_of_clouds_are_not_loaded_before_they_are_used():
    script = "import shared.auth, sys; print([n for n in ('botocore', 'azure', 'google.auth') if n in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("api.example", "https://api.example:443"),
        ("https://API.example:6443/x", "https://api.example:6443"),
        ("https://[::1]", "https://[::1]:443"),
        ("http://api.example", None),
        ("https://", None),
        ("https://api.example:port", None),
    ],
)
def test_an_address_has_one_form(address, found):
    if found is not None:
        assert canonical(address) == found
    else:
        with pytest.raises(AuthError, match="is no https address"):
            canonical(address)


@pytest.mark.parametrize("how", ["never", "bytes"])
@pytest.mark.parametrize(
    ("annotations", "ask"),
    [
        (ROLE, lambda c, who: c.aws(who, "eu-west-1")),
        (AZURE, lambda c, who: c.azure(who, azure.BLOBS)),
        (GCP, lambda c, who: c.gcp(who)),
    ],
)
async def test_who_answers_slowly_on_purpose_is_not_waited_for(
    internet, clouds, kube, who, monkeypatch, annotations, ask, how
):
    for module in (aws, azure, sessions):
        monkeypatch.setattr(module, "SECONDS", 0.3)
    monkeypatch.setattr(threads, "LONGEST", 5.0)
    kube.accounts["apps/app"] = annotations
    go = threading.Event()

    def answer(asked):
        if how == "never":
            go.wait(30)
        return Reply(200, until=go)

    internet.hosts_of["*"] = answer
    began = time.monotonic()
    try:
        with pytest.raises(AuthError, match=r"did not answer in time|Read timeout on|takes longer than"):
            await ask(clouds, who)
    finally:
        go.set()
    assert time.monotonic() - began < 20
