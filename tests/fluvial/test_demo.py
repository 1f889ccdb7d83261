"""`fluvial demo`, from its start to its end, as a process."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from fluvial.watching import watched
from shared.api.meta import Manifest
from shared.kube import config
from shared.kube.client import Client
from tests.fluvial.running import Command

pytestmark = pytest.mark.timeout(300)  # each starts three programs, on a machine that may be busy


def test_the_story_is_played_to_its_end_and_leaves_nothing(tmp_path: Path):
    with Command(tmp_path, "demo", "--once") as demo:
        status = demo.end()
    assert status == 0, demo.output
    story = [
        r"an embedded Kubernetes API and 3 controllers, ready after \d+ m?s",
        r"1\. The first commit is applied",
        r"infrastructure is healthy after \d+ m?s",
        r"shop-production is healthy after \d+ m?s",
        r"2\. A commit changes production",
        r"applied in \d+ m?s: the Deployment has registry\.example\.com/shop:1\.1\.0",
        r"3\. Someone edits the cluster by hand",
        r"healed in \d+ m?s: 3 replicas again",
        r"4\. A bad commit",
        r"apps/shop/production/resources\.yaml:12: ",
        r"what ran before keeps running: 3 of 3 replicas",
        r"5\. git revert",
        r"healthy after \d+ m?s",
        r"6\. Meanwhile, in the chat",
        r"#deployments  kustomize-controller  \d\d:\d\d:\d\d",
        r"▌ kustomization/shop-production\.flux-system",
        r"▌ kustomize build failed: apps/shop/production/resources\.yaml:12: ",
        r"▌ revision: main@sha1:[0-9a-f]{40}",
        r"▌ recovered: after \d+s",
    ]
    assert re.search(".*".join(story), demo.output, re.DOTALL), demo.output
    assert "\x1b" not in demo.output, "a log is no terminal"
    assert demo.left() == []


def test_a_controller_that_dies_ends_the_story_at_once_with_its_name_and_log(tmp_path: Path):
    with Command(tmp_path, "demo", "--once") as demo:
        demo.until("1. The first commit is applied")
        os.kill(demo.child("kustomize_controller"), signal.SIGKILL)
        status = demo.end(seconds=30)
    assert status == 1
    assert "✘ kustomize-controller ended by itself with status -9; its log ends with:" in demo.output
    assert "source-controller said last:" in demo.output
    assert demo.left() == []


async def test_after_the_story_one_can_push_until_ctrl_c_ends_it_all(tmp_path: Path):
    with Command(tmp_path, "demo", "--fast") as demo:
        demo.until("Ctrl-C ends it all")
        tree = demo.kubeconfig().parent / "config"
        preview = ("diff", "shop-production", f"--source={tree}", f"--kubeconfig={demo.kubeconfig()}")
        with Command(tmp_path / "before", *preview) as diff:
            assert (diff.end(), diff.output) == (0, "3 unchanged\n")
        file = tree / "apps/shop/production/kustomization.yaml"
        file.write_text(file.read_text().replace("newTag: 1.1.0", "newTag: 1.2.0"))
        with Command(tmp_path / "after", *preview) as diff:
            assert diff.end() == 1
        assert "Deployment/shop-production/shop changed" in diff.output
        assert re.search(r"^  \+ +image: registry\.example\.com/shop:1\.2\.0$", diff.output, re.MULTILINE)
        identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
        subprocess.run(["git", *identity, "commit", "-qam", "Run shop 1.2.0"], cwd=tree, check=True)
        subprocess.run(["git", "push", "-q"], cwd=tree, check=True)
        client = Client(config.load(demo.kubeconfig()))
        async with watched(client, "apps/v1", "Deployment") as deployments:
            await deployments.until("shop-production", "shop", lambda shop: _image(shop).endswith(":1.2.0"), 30)
        await client.close()
        assert demo.end(signal.SIGINT) == 0
    assert "nothing is left behind" in demo.output
    assert demo.left() == []


def test_ctrl_c_during_the_start_leaves_nothing(tmp_path: Path):
    with Command(tmp_path, "demo") as demo:
        deadline = time.monotonic() + 30
        while not any(tmp_path.glob("temporary/fluvial-*/logs/kubeapi.log")):  # the first program was started
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert demo.end(signal.SIGINT, seconds=30) == 0
    assert demo.left() == []


def test_without_git_it_says_what_to_install(tmp_path: Path):
    with Command(tmp_path, "demo", "--once", PATH=str(tmp_path)) as demo:
        assert demo.end() == 1
    assert "✘ git is not on the PATH: install it" in demo.output
    assert demo.left() == []


def _image(shop: Manifest | None) -> str:
    return str(shop["spec"]["template"]["spec"]["containers"][0]["image"]) if shop else ""
