"""Remote bases: what a kustomization names by a URL comes over Git or HTTP, within limits."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fluvial import build
from shared import kustomize
from shared.git.bases import LARGEST, Bases, _shown, _url
from shared.kustomize import BuildError, BuildOptions, MemoryTree
from tests.kit.gitserver import GitServer

CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {}\n"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitServer]:
    with GitServer(tmp_path / "git") as made:
        yield made


@pytest.fixture
def files() -> Iterator[str]:
    """A web server with a file, a large one, and redirections."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            return

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/cm.yaml":
                self._answer(200, CONFIG_MAP.format("file").encode())
            elif path == "/large.yaml":
                self._answer(200, b"#" * (LARGEST + 2))
            elif path == "/slow.yaml":
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                for _ in range(100):
                    self.wfile.write(b"#")
                    time.sleep(0.05)
            elif path == "/local":
                self._answer(302, b"", location="file:///etc/passwd")
            else:
                self._answer(404, b"")

        def _answer(self, status: int, body: bytes, **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            try:
                self.wfile.write(body)
            except OSError:
                return

    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=web.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{web.server_port}"
    web.shutdown()
    web.server_close()
    thread.join()


def built(resource: str) -> list[str]:
    tree = MemoryTree({"kustomization.yaml": f"resources: ['{resource}']\n"})
    with Bases() as bases:
        return [item.name for item in kustomize.build(tree, "/", BuildOptions(remote=bases)).resources]


def test_a_base_comes_from_a_branch_a_tag_or_a_commit(server: GitServer):
    repo = server.create("apps.git")
    base = {"base/kustomization.yaml": "resources: [cm.yaml]\n"}
    first = repo.commit({**base, "base/cm.yaml": CONFIG_MAP.format("one")})
    repo.tag("v1")
    repo.commit({"base/cm.yaml": CONFIG_MAP.format("two")})
    url = f"{server.url}/apps.git/base"
    assert built(url) == ["two"]
    assert built(f"{url}?ref=v1") == ["one"]
    assert built(f"{url}?ref=main") == ["two"]
    assert built(f"{url}?ref={first}") == ["one"]
    with pytest.raises(BuildError, match="nowhere"):
        built(f"{url}?ref=nowhere")


def test_a_repository_is_fetched_once_a_build_and_removed_behind_it(server: GitServer):
    repo = server.create("apps.git")
    for name in ("a", "b"):
        repo.commit(
            {f"{name}/kustomization.yaml": "resources: [cm.yaml]\n", f"{name}/cm.yaml": CONFIG_MAP.format(name)}
        )
    tree = MemoryTree({"kustomization.yaml": f"resources: ['{server.url}/apps.git/a', '{server.url}/apps.git/b']\n"})
    with Bases() as bases:
        made = kustomize.build(tree, "/", BuildOptions(remote=bases))
        (clone,) = bases._clones.values()
        assert Path(clone.root).is_dir()
    assert [item.name for item in made.resources] == ["a", "b"]
    assert not Path(clone.root).exists()


def test_a_base_does_not_lead_out_of_its_repository(server: GitServer, tmp_path: Path):
    (tmp_path / "secret.yaml").write_text(CONFIG_MAP.format("canary"))
    repo = server.create("apps.git")
    repo.commit({"base/kustomization.yaml": f"resources: [../../secret.yaml, {tmp_path}/secret.yaml]\n"})
    with pytest.raises(BuildError) as caught:
        built(f"{server.url}/apps.git/base")
    assert len(caught.value.problems) == 2
    assert "canary" not in str(caught.value)


def test_a_file_comes_over_http(files: str):
    assert built(f"{files}/cm.yaml") == ["file"]


@pytest.mark.parametrize(
    ("path", "why"), [("none.yaml", "404"), ("large.yaml", "larger than"), ("local", "Redirection")]
)
def test_a_file_that_cannot_come_is_named(files: str, path: str, why: str):
    with Bases(seconds=5) as bases, pytest.raises(BuildError, match=why):
        bases.download(f"{files}/{path}?token=hidden")


def test_secrets_in_urls_are_not_shown():
    assert _shown("https://me:hidden@example.com/a?token=hidden") == "https://example.com/a"


def test_what_scp_would_write_is_a_url():
    assert _url("git@github.com:org/repo") == "ssh://git@github.com/org/repo"
    assert _url("https://github.com/org/repo") == "https://github.com/org/repo"


def test_the_command_line_fetches_unless_it_must_not(
    server: GitServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    repo = server.create("apps.git")
    repo.commit({"base/kustomization.yaml": "resources: [cm.yaml]\n", "base/cm.yaml": CONFIG_MAP.format("far")})
    overlay = tmp_path / "overlay"
    overlay.mkdir()
    (overlay / "kustomization.yaml").write_text(f"resources: ['{server.url}/apps.git/base']\n")
    assert build.main([str(overlay)]) == 0
    assert "name: far" in capsys.readouterr().out
    assert build.main([str(overlay), "--no-remote-bases"]) == 1
    assert "remote" in capsys.readouterr().err


def test_nothing_is_fetched_from_the_machine_that_serves_only_itself():
    for resource in (
        "http://169.254.169.254/latest.yaml",
        "http://169.254.169.254/org/repo.git",
        "https://[fe80::1]/a/b.git",
    ):
        with pytest.raises(BuildError, match="link-local"):
            built(resource)


def test_all_that_one_build_fetches_has_one_end(files: str):
    with Bases(within=0.0) as bases, pytest.raises(BuildError, match="no time left"):
        bases.download(f"{files}/cm.yaml")


def test_a_server_that_sends_a_little_now_and_then_is_given_up(files: str):
    with Bases(seconds=0.3) as bases, pytest.raises(BuildError, match="takes too long"):
        bases.download(f"{files}/slow.yaml")
