"""HelmRepositories and HelmCharts follow what they are made of; failures say what to fix."""

from __future__ import annotations

import tarfile

import pytest

from tests.kit.charts import ChartRepository, chart
from tests.kit.gitserver import Certificates
from tests.source_controller.conftest import condition


@pytest.fixture
def charts():
    with ChartRepository() as made:
        for version in ("1.0.0", "1.1.0"):
            made.add("demo", version)
        yield made


async def repository(world, charts, name="charts", **more):
    await world.put(name, {"url": charts.url, **more}, "HelmRepository")
    return await world.ready(name, kind="HelmRepository")


def spec(source="charts", kind="HelmRepository", name="demo", **more):
    return {"chart": name, "sourceRef": {"kind": kind, "name": source}, **more}


def files(file):
    with tarfile.open(file) as archive:
        return {member.name: archive.extractfile(member).read().decode() for member in archive if member.isfile()}


async def failure(world, kind, name, reason):
    return condition(await world.failed(name, reason, kind), "Ready", "message")


async def test_a_chart_is_fetched_once_for_a_version(controller, charts):
    await repository(controller, charts)
    await controller.put("c", spec(), "HelmChart")
    made = await controller.ready("c", "1.1.0", "HelmChart")
    assert controller.stored(made).read_bytes() == charts.packages["demo-1.1.0.tgz"]
    charts.requests.clear()
    token = await controller.ask("c", "HelmChart")
    await controller.until("c", lambda obj: obj["status"].get("lastHandledReconcileAt") == token, "HelmChart")
    assert charts.requests == []
    told = [event["message"] for event in await controller.events("c") if event["reason"] == "ArtifactUpToDate"]
    assert told == ["artifact up-to-date with remote revision: '1.1.0'"]


async def test_a_chart_follows_the_index(controller, charts):
    await repository(controller, charts)
    await controller.put("c", spec(version="1.x"), "HelmChart")
    await controller.ready("c", "1.1.0", "HelmChart")
    charts.add("demo", "1.2.0")
    await controller.ask("charts", "HelmRepository")
    await controller.ready("c", "1.2.0", "HelmChart")


async def test_an_index_that_is_stored_is_not_sent_again_unless_somebody_asks(controller, charts):
    charts.tags = True
    await repository(controller, charts, interval="100ms")
    await controller.until("charts", lambda _: charts.served.count(304) > 2, "HelmRepository")
    assert charts.served.count(200) == 1
    charts.add("demo", "1.2.0")
    await controller.put("c", spec(version="1.2.0"), "HelmChart")
    await controller.ready("c", "1.2.0", "HelmChart")
    await controller.until("charts", lambda _: charts.served[-1] == 304, "HelmRepository")
    assert charts.served.count(200) == 2
    await repository(controller, charts)
    token = await controller.ask("charts", "HelmRepository")
    await controller.until("charts", lambda obj: obj["status"].get("lastHandledReconcileAt") == token, "HelmRepository")
    assert charts.served[-1] == 200, "who asks doesn't have to trust the server's word"


async def test_an_index_is_sent_again_where_it_is_not_known_to_be_the_stored_one(controller, charts):
    charts.tags = True
    made = await repository(controller, charts)
    await repository(controller, charts, url=f"{charts.url}/")
    assert charts.served == [200, 200], "another address"
    controller.stored(made).unlink()
    await repository(controller, charts, url=f"{charts.url}/", timeout="50s")
    assert charts.served == [200, 200, 200], "the stored one is gone"
    charts.index = b"no index"
    await controller.put("charts", {"url": charts.url}, "HelmRepository")
    await controller.failed("charts", "IndexationFailed", "HelmRepository")
    await controller.put("charts", {"url": charts.url, "timeout": "40s"}, "HelmRepository")
    await controller.until("charts", lambda _: charts.served.count(200) > 4, "HelmRepository")
    assert 304 not in charts.served, "what is no index is never taken for the stored one"


async def test_a_chart_waits_for_its_source(controller, charts):
    await controller.put("c", spec(), "HelmChart")
    text = await failure(controller, "HelmChart", "c", "SourceUnavailable")
    assert text == 'failed to get source: helmrepositories.source.toolkit.fluxcd.io "charts" not found'
    await repository(controller, charts)
    await controller.ready("c", kind="HelmChart")


async def test_values_files_of_a_pulled_chart_replace_its_values(controller, charts):
    charts.add("app", "1.0.0", chart("app", files={"prod.yaml": "replicas: 3\n"}))
    await repository(controller, charts)
    wanted = ["values.yaml", "prod.yaml"]
    await controller.put("c", spec(name="app", valuesFiles=wanted), "HelmChart")
    made = await controller.ready("c", "1.0.0+1", "HelmChart")
    assert files(controller.stored(made))["app/values.yaml"] == "replicas: 3\n"
    await controller.put("c", spec(name="app", valuesFiles=[*wanted, "absent.yaml"]), "HelmChart")
    text = await failure(controller, "HelmChart", "c", "ValuesFilesError")
    assert text == "values files merge error: no values file found at path 'absent.yaml'"


async def test_local_dependencies_come_from_the_same_repository(controller, repo):
    dependency = {"name": "lib", "version": "1.x", "repository": "file://../lib"}
    content = {f"charts/app/{path}": text for path, text in chart("app", dependencies=[dependency]).items()}
    repo.commit(content | {f"charts/lib/{path}": text for path, text in chart("lib", "1.3.0").items()})
    await controller.put("s", {"url": repo.url})
    await controller.ready("s")
    await controller.put("c", spec("s", "GitRepository", "charts/app"), "HelmChart")
    made = await controller.ready("c", "1.0.0", "HelmChart")
    assert "1.3.0" in files(controller.stored(made))["app/charts/lib/Chart.yaml"]
    repo.commit({f"charts/lib/{path}": text for path, text in chart("lib", "2.0.0").items()})
    await controller.put("c", spec("s", "GitRepository", "charts/app", reconcileStrategy="Revision"), "HelmChart")
    await controller.ask("s")
    text = await failure(controller, "HelmChart", "c", "DependencyBuildError")
    assert "dependency 'lib': version '2.0.0' of '../lib' isn't in '1.x'" in text


@pytest.mark.parametrize(
    ("where", "problem"),
    [
        ("", "it has no repository and is not in charts/"),
        ("file://../../../../etc", "there is no folder"),
        ("@stable", "is no file://, http://, https:// or oci:// address"),
    ],
)
async def test_a_dependency_that_cannot_be_had_says_why(controller, repo, where, problem):
    dependency = {"name": "lib", "version": "1.x", "repository": where}
    repo.commit({f"app/{path}": text for path, text in chart("app", dependencies=[dependency]).items()})
    await controller.put("s", {"url": repo.url})
    await controller.put("c", spec("s", "GitRepository", "app"), "HelmChart")
    text = await failure(controller, "HelmChart", "c", "DependencyBuildError")
    assert text.startswith("dependency build error: failed to add remote dependency 'lib'")
    assert problem in text


async def test_a_dependencys_repository_is_asked_with_the_credentials_of_its_object(controller, repo, charts):
    charts.require("ada", "s3cret")
    await controller.secret("auth", {"username": "ada", "password": "s3cret"})
    await repository(controller, charts, secretRef={"name": "auth"})
    dependency = {"name": "demo", "version": "1.x", "repository": charts.url}
    repo.commit({f"app/{path}": text for path, text in chart("app", dependencies=[dependency]).items()})
    await controller.put("s", {"url": repo.url})
    await controller.put("c", spec("s", "GitRepository", "app"), "HelmChart")
    made = await controller.ready("c", kind="HelmChart")
    assert "app/charts/demo/Chart.yaml" in files(controller.stored(made))


@pytest.mark.parametrize("passes", [False, True])
async def test_credentials_go_to_another_host_only_when_that_is_asked_for(controller, charts, passes):
    charts.require("ada", "s3cret")
    await controller.secret("auth", {"username": "ada", "password": "s3cret"})
    with ChartRepository() as other:
        other.add("far", "1.0.0")
        charts.add("far", "1.0.0", url=f"{other.url}/far-1.0.0.tgz")
        await repository(controller, charts, secretRef={"name": "auth"}, passCredentials=passes)
        await controller.put("c", spec(name="far"), "HelmChart")
        await controller.ready("c", kind="HelmChart")
        assert [bool(sent) for _, sent in other.requests] == [passes]


async def test_failures_name_what_to_fix(controller, charts, repo):
    repo.commit({"app/Chart.yaml": "apiVersion: v2\nname: app\n", "file": "x"})
    await controller.put("git", {"url": repo.url})
    await controller.ready("git")
    await repository(controller, charts)
    charts.packages["demo-1.0.0.tgz"] += b"!"
    del charts.packages["demo-1.1.0.tgz"]
    cases = {
        "digest": (spec(version="1.0.0"), "ChartPullError", "does not match the digest in the index"),
        "gone": (spec(version="1.1.0"), "ChartPullError", "404 Not Found"),
        "version": (spec(version="9.x"), "InvalidChartReference", "no 'demo' chart with version matching '9.x'"),
        "path": (spec("git", "GitRepository", "absent"), "InvalidChartReference", "no chart found at 'absent'"),
        "no-chart": (spec("git", "GitRepository", "app"), "InvalidChartReference", "version is required"),
        "no-tgz": (spec("git", "GitRepository", "file"), "InvalidChartReference", "no .tgz of a chart"),
        "verify": (spec(verify={"provider": "cosign"}), "VerificationError", "the HelmRepository must be of type oci"),
    }
    for name, (wanted, _, _) in cases.items():
        await controller.put(name, wanted, "HelmChart")
    for name, (_, reason, text) in cases.items():
        assert text in await failure(controller, "HelmChart", name, reason), name


async def test_repository_failures_name_what_to_fix(controller, charts):
    charts.require("ada", "s3cret-password")
    await controller.secret("half", {"username": "ada"})
    await controller.secret("wrong", {"username": "ada", "password": "wr0ng-password"})
    cases = {
        "anonymous": ({}, "Failed", "401 Unauthorized; credentials go to spec.secretRef"),
        "wrong": ({"secretRef": {"name": "wrong"}}, "Failed", "401 Unauthorized; check the credentials"),
        "half": ({"secretRef": {"name": "half"}}, "AuthenticationFailed", "'username' and 'password'"),
        "absent": (
            {"secretRef": {"name": "absent"}},
            "AuthenticationFailed",
            "failed to get authentication secret 'default/absent'",
        ),
        "cert": ({"certSecretRef": {"name": "half"}}, "AuthenticationFailed", "neither 'ca.crt' nor"),
        "host": ({"url": "http://127.0.0.1:1"}, "Failed", "dial tcp 127.0.0.1:1: connect: connection refused"),
        "scheme": ({"url": "oci://127.0.0.1/x"}, "URLInvalid", "'oci' URL scheme cannot be used with 'default'"),
    }
    for name, (more, _, _) in cases.items():
        await controller.put(name, {"url": charts.url, **more}, "HelmRepository")
    for name, (_, reason, text) in cases.items():
        message = await failure(controller, "HelmRepository", name, reason)
        assert text in message, name
        assert "password" not in message or name == "half"


async def test_certificates_may_stand_beside_the_password(controller, tmp_path, caplog):
    certificates = Certificates(tmp_path / "tls", want_client=True)
    data = {"caFile": certificates.ca, "certFile": certificates.client_certificate, "keyFile": certificates.client_key}
    with ChartRepository(certificates.context()) as charts:
        charts.add("demo", "1.0.0")
        charts.require("ada", "s3cret")
        await controller.secret("both", {**data, "username": "ada", "password": "s3cret"})
        await controller.put("charts", {"url": charts.url, "secretRef": {"name": "both"}}, "HelmRepository")
        await controller.ready("charts", kind="HelmRepository")
        await controller.put("c", spec(), "HelmChart")
        await controller.ready("c", "1.0.0", "HelmChart")
    assert "deprecated" in caplog.text


async def test_a_repository_that_becomes_a_registry_leaves_nothing_behind(controller, charts):
    made = await repository(controller, charts)
    assert controller.stored(made).exists()
    await controller.put("charts", {"url": "oci://127.0.0.1:1/x", "type": "oci"}, "HelmRepository")
    left = await controller.until("charts", lambda obj: not obj["metadata"].get("finalizers"), "HelmRepository")
    assert not left.get("status")
    assert not controller.stored(made).exists()
    await controller.put("charts", {"url": charts.url, "type": "default"}, "HelmRepository")
    back = await controller.ready("charts", kind="HelmRepository")
    assert controller.stored(back).exists()


async def test_an_index_that_is_too_large_is_refused(world, charts):
    await world.start("--helm-index-max-size=100")
    await world.put("charts", {"url": charts.url}, "HelmRepository")
    assert "larger than 100 bytes" in await failure(world, "HelmRepository", "charts", "Failed")
