"""What a registry gives is checked, bounded, and asked for with credentials that go nowhere else."""

from __future__ import annotations

import io
import socket

import pytest

from shared.http import SecretError, tls
from shared.oci import reference, registry
from shared.oci.credentials import ANONYMOUS, Credentials
from shared.oci.errors import AuthenticationFailed, NotFound, OCIError, TooLarge
from shared.oci.registry import Descriptor, Transport
from tests.kit.gitserver import Certificates
from tests.kit.registry import FLUX_CONTENT, INDEX, MANIFEST, TOKEN, Registry, digest, tar_gz

ADA = Credentials("ada", "s3cret")


@pytest.fixture
def server():
    with Registry(page=2) as made:
        yield made


def opened(server, path="app", credentials=ANONYMOUS, **transport):
    at = reference.repository(server.url(path))
    return registry.open_(at, credentials, Transport(**{"insecure": True, "seconds": 5, **transport}))


async def read(remote, layer):
    out = io.BytesIO()
    await remote.blob(layer, out)
    return out.getvalue()


async def test_a_tag_leads_to_the_bytes_of_its_layer(server):
    content = tar_gz({"a": "1"})
    pushed = server.push("app", "v1", [(FLUX_CONTENT, content)], {"team": "blue"})
    async with opened(server) as remote:
        assert await remote.digest("v1") == pushed
        manifest = await remote.manifest(pushed)
        assert manifest.annotations == {"team": "blue"}
        assert await read(remote, manifest.layers[0]) == content


async def test_all_pages_of_tags_are_read(server):
    for tag in ("a", "b", "c", "d", "e"):
        server.push_files("app", tag, {})
    async with opened(server) as remote:
        assert await remote.tags() == ["a", "b", "c", "d", "e"]


async def test_an_index_leads_to_the_image_for_linux_on_amd64(server):
    entries = []
    for architecture in ("arm64", "amd64"):
        one = server.push_files("app", architecture, {"architecture": architecture})
        entries.append(
            {"mediaType": MANIFEST, "digest": one, "platform": {"os": "linux", "architecture": architecture}}
        )
    server.put("app", "v1", {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}, INDEX)
    async with opened(server) as remote:
        assert (await remote.manifest("v1")).digest == entries[1]["digest"]


@pytest.mark.parametrize("token", [False, True])
async def test_it_logs_in_when_asked(server, token):
    server.push_files("app", "v1", {"a": "1"})
    server.require("app", "ada", "s3cret", token=token)
    async with opened(server, credentials=ADA) as remote:
        manifest = await remote.manifest("v1")
        await read(remote, manifest.layers[0])
    assert server.requests[0][1] == "", "nothing is sent before it is asked for"
    if token:
        asked = [path for path, sent in server.requests if sent.startswith("Basic")]
        assert [path.partition("?")[0] for path in asked] == ["/token"]
        assert server.requests[-1][1] == f"Bearer {TOKEN}"


@pytest.mark.parametrize("token", [False, True])
@pytest.mark.parametrize(
    ("who", "problem"),
    [(ANONYMOUS, "credentials are needed"), (Credentials("ada", "wrong-password"), "the credentials are refused")],
)
async def test_a_refusal_tells_whether_credentials_are_missing_or_wrong(server, token, who, problem):
    server.push_files("app", "v1", {"a": "1"})
    server.require("app", "ada", "s3cret", token=token)
    async with opened(server, credentials=who) as remote:
        with pytest.raises(AuthenticationFailed, match=problem) as caught:
            await remote.digest("v1")
    assert "wrong-password" not in str(caught.value)


async def test_credentials_do_not_follow_a_redirect(server):
    content = tar_gz({"a": "1"})
    server.push("app", "v1", [(FLUX_CONTENT, content)])
    server.require("app", "ada", "s3cret")
    server.elsewhere = True
    async with opened(server, credentials=ADA) as remote:
        manifest = await remote.manifest("v1")
        assert await read(remote, manifest.layers[0]) == content
    assert [sent for path, sent in server.requests if path.startswith("/elsewhere")] == [""]


async def test_bytes_that_do_not_match_their_digest_are_refused(server):
    content = tar_gz({"a": "1"})
    pushed = server.push("app", "v1", [(FLUX_CONTENT, content)])
    server.blobs[digest(content)] = content[:-1] + b"!"
    async with opened(server) as remote:
        manifest = await remote.manifest("v1")
        with pytest.raises(OCIError, match="don't match their digest"):
            await read(remote, manifest.layers[0])
    server.manifests["app", pushed] = (MANIFEST, b"{}")
    async with opened(server) as remote:
        with pytest.raises(OCIError, match="don't match their digest"):
            await remote.manifest(pushed)


async def test_more_bytes_than_announced_or_allowed_are_refused(server):
    content = tar_gz({"a": "1"})
    layer = Descriptor(FLUX_CONTENT, digest(content), len(content))
    server.blobs[layer.digest] = content + b"more"
    async with opened(server) as remote:
        with pytest.raises(TooLarge, match="larger than the manifest says"):
            await read(remote, layer)
    async with opened(server, max_blob=10) as remote:
        with pytest.raises(TooLarge, match="more than 10"):
            await read(remote, layer)


@pytest.mark.parametrize(
    "manifest",
    [
        {"layers": [{"digest": "../../etc/passwd"}]},
        {"layers": [{}]},
        {"layers": "none"},
        {"layers": [{"digest": digest(b""), "size": -1}]},
        {"mediaType": INDEX, "manifests": []},
        {"config": 7},
    ],
)
async def test_a_manifest_that_is_none_is_refused(server, manifest):
    server.put("app", "v1", manifest)
    async with opened(server) as remote:
        with pytest.raises(Exception, match=r"is none|no manifest|no digest") as caught:
            await remote.manifest("v1")
    assert type(caught.value).__module__ == "shared.oci.errors"


async def test_what_is_missing_is_named_in_the_registrys_words(server):
    async with opened(server) as remote:
        with pytest.raises(NotFound, match=r"/v2/app/tags/list: 404 Not Found .NAME_UNKNOWN"):
            await remote.tags()
        with pytest.raises(NotFound, match="/v2/app/manifests/v1: 404"):
            await remote.manifest("v1")


async def test_no_server_is_told_with_its_address():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    at = reference.repository(f"oci://127.0.0.1:{port}/app")
    async with registry.open_(at, transport=Transport(insecure=True)) as remote:
        with pytest.raises(OCIError, match=f"dial tcp 127.0.0.1:{port}: connect: connection refused"):
            await remote.digest("v1")


async def test_a_silent_server_costs_the_timeout():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        at = reference.repository(f"oci://127.0.0.1:{silent.getsockname()[1]}/app")
        async with registry.open_(at, transport=Transport(insecure=True, seconds=0.2)) as remote:
            with pytest.raises(OCIError, match="did not answer in time"):
                await remote.digest("v1")


async def test_a_server_that_limits_requests_is_told(server):
    server.answer = lambda path: (429, {"Retry-After": "60"})
    async with opened(server) as remote:
        with pytest.raises(OCIError, match="limits how often"):
            await remote.digest("v1")


async def test_a_certificate_counts_only_with_its_authority(tmp_path):
    certificates = Certificates(tmp_path, want_client=True)
    with Registry(certificates.context()) as server:
        pushed = server.push_files("app", "v1", {"a": "1"})
        async with opened(server, insecure=False) as remote:
            with pytest.raises(OCIError, match=r"certificate.*spec.certSecretRef"):
                await remote.digest("v1")
        data = {
            "ca.crt": certificates.ca.encode(),
            "tls.crt": certificates.client_certificate.encode(),
            "tls.key": certificates.client_key.encode(),
        }
        async with opened(server, insecure=False, tls=tls.context(data)) as remote:
            assert await remote.digest("v1") == pushed


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({}, "neither"),
        ({"tls.crt": b"x"}, "go together"),
        ({"ca.crt": b"x"}, "no PEM certificate"),
        ({"tls.crt": b"x", "tls.key": b"y"}, "no PEM pair"),
    ],
)
def test_a_secret_that_is_no_certificate_says_why(data, problem):
    with pytest.raises(SecretError, match=problem):
        tls.context(data)
