"""Each flag does what it says: by what a running controller does, or no longer does, when it is set."""

from __future__ import annotations

import asyncio
import urllib.request

import pytest

from fluvial.processes import free_ports
from shared.loop import metrics
from tests.kit.charts import ChartRepository, chart
from tests.kit.gitserver import SSHD, SshServer
from tests.source_controller.conftest import GROUP, condition


def message(obj):
    return condition(obj, "Ready", "message")


@pytest.mark.parametrize(
    ("flag", "reason", "problem"),
    [
        ("--helm-chart-max-size=150", "ChartPullError", "larger than 150 bytes"),
        ("--helm-chart-file-max-size=1000", "InvalidChartReference", "is too large"),
        ("--helm-chart-file-max-size=1100", None, ""),
    ],
)
async def test_charts_may_be_as_large_as_the_flags_say(world, flag, reason, problem):
    await world.start(flag)
    with ChartRepository() as charts:
        charts.add("demo", "1.0.0", chart("demo", files={"large.yaml": "# " + "x" * 1050}))
        await world.put("charts", {"url": charts.url}, "HelmRepository")
        await world.put("c", {"chart": "demo", "sourceRef": {"kind": "HelmRepository", "name": "charts"}}, "HelmChart")
        if reason is None:
            await world.ready("c", "1.0.0", "HelmChart")
        else:
            assert problem in message(await world.failed("c", reason, "HelmChart"))


@pytest.mark.skipif(SSHD is None, reason="needs sshd: install openssh-server")
@pytest.mark.parametrize(
    ("flag", "problem"),
    [
        (
            "--ssh-hostkey-algos=rsa-sha2-512,rsa-sha2-256",
            "no common algorithm for host key; server offered: ssh-ed25519",
        ),
        ("--ssh-hostkey-algos=rsa-sha2-512,ssh-ed25519", None),
        ("--ssh-kex-algos=diffie-hellman-group1-sha1", "no common algorithm for key exchange; server offered: "),
        ("--ssh-kex-algos=diffie-hellman-group1-sha1,curve25519-sha256", None),
    ],
)
async def test_ssh_uses_the_algorithms_that_the_flags_name(world, git, repo, tmp_path, flag, problem):
    repo.commit({"a": "1"})
    await world.start(flag)
    with SshServer(tmp_path / "ssh") as ssh:
        await world.secret("key", {"identity": ssh.client.private, "known_hosts": ssh.known_hosts()})
        await world.put("s", {"url": ssh.url(repo), "secretRef": {"name": "key"}})
        if problem is None:
            await world.ready("s")
        else:
            assert problem in message(await world.failed("s", "GitOperationFailed"))


async def test_one_namespace_alone_is_watched_on_request(world, repo, monkeypatch):
    monkeypatch.setenv("RUNTIME_NAMESPACE", "default")
    repo.commit({"a": "1"})
    await world.kube.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "elsewhere"}}, field_manager="test"
    )
    await world.start("--watch-all-namespaces=false")
    spec = {"url": repo.url, "ref": {"branch": "main"}, "interval": "1h"}
    metadata = {"name": "s", "namespace": "elsewhere"}
    await world.kube.apply(
        {"apiVersion": GROUP, "kind": "GitRepository", "metadata": metadata, "spec": spec}, field_manager="test"
    )
    await world.put("s", {"url": repo.url})
    await world.ready("s")
    other = await world.kube.get(GROUP, "GitRepository", "s", "elsewhere")
    assert "finalizers" not in other["metadata"]
    assert "conditions" not in other["status"]
    await world.stop()
    await world.start()
    world.namespace = "elsewhere"
    await world.ready("s")


async def test_secrets_with_the_label_of_the_flag_are_followed(world, git, repo):
    repo.commit({"a": "1"})
    git.require(repo, "ada", "right-password")
    await world.start("--watch-configs-label-selector=watched=yes", "--min-retry-delay=1h", "--max-retry-delay=1h")
    await world.secret("auth", {"username": "ada", "password": "wr0ng"}, watched="yes")
    await world.put("s", {"url": repo.url, "secretRef": {"name": "auth"}})
    await world.failed("s", "GitOperationFailed")
    await world.secret("auth", {"username": "ada", "password": "right-password"}, watched="yes")
    await world.ready("s")


async def test_each_object_has_a_series_of_its_own_while_it_is_there(world, repo):
    [port] = free_ports(1)
    repo.commit({"a": "1"})
    await world.start(f"--metrics-addr=127.0.0.1:{port}")
    await world.put("measured", {"url": repo.url})
    await world.ready("measured")

    def exposed():
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            return answer.read().decode()

    series = 'gotk_reconcile_duration_seconds_count{kind="GitRepository",name="measured",namespace="default"}'
    assert series in await asyncio.to_thread(exposed)
    await world.kube.delete(GROUP, "GitRepository", "measured", "default")
    await world.until("measured", lambda obj: obj is None)
    assert series not in metrics.expose().decode()


@pytest.mark.parametrize(("gate", "read"), [("false", True), ("true", False)])
async def test_secrets_are_kept_in_memory_on_request(world, api, git, repo, gate, read):
    repo.commit({"a": "1"})
    git.require(repo, "ada", "s3cret")
    await world.start(f"--feature-gates=CacheSecretsAndConfigMaps={gate}")
    await world.secret("auth", {"username": "ada", "password": "s3cret"})
    await world.put("s", {"url": repo.url, "secretRef": {"name": "auth"}, "interval": "1s"})
    await world.ready("s")
    api.requests.clear()
    git.requests.clear()
    while sum(path.endswith("/git-upload-pack") for path, _ in git.requests) < 2:
        await asyncio.sleep(0.05)
    assert any(each.resource == "secrets" and each.verb == "get" for each in api.requests) is read
