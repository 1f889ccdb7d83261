"""Addresses of registries and Docker configurations mean what container tools take them to mean."""

from __future__ import annotations

import base64
import json

import pytest

from shared.oci import credentials, reference
from shared.oci.errors import CredentialsError, InvalidReference

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("url", "host", "path"),
    [
        ("oci://ghcr.io/org/app", "ghcr.io", "org/app"),
        ("oci://localhost:5000/app", "localhost:5000", "app"),
        ("oci://docker.io/nginx", "docker.io", "library/nginx"),
        ("oci://registry.example.com/a/b/c_d__e-f", "registry.example.com", "a/b/c_d__e-f"),
        ("oci://[::1]:5000/app", "[::1]:5000", "app"),
    ],
)
def test_a_url_names_a_repository(url, host, path):
    found = reference.repository(url)
    assert (found.host, found.path) == (host, path)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("https://ghcr.io/app", "must begin with oci://"),
        ("oci://ghcr.io/org/app:v1", "use spec.ref.tag"),
        (f"oci://ghcr.io/org/app@{DIGEST}", "use spec.ref.digest"),
        ("oci://ghcr.io/Org/App", "lower case"),
        ("oci://ghcr.io", "no repository"),
        ("oci://ghcr.io/", "no valid repository"),
        ("oci://ghcr.io/../app", "no valid repository"),
        ("oci://user:pass@ghcr.io/app", "no digest"),
        ("oci://-x.io/app", "no valid host"),
    ],
)
def test_what_is_no_repository_says_why(url, problem):
    with pytest.raises(InvalidReference, match=problem):
        reference.repository(url)


@pytest.mark.parametrize(
    ("text", "shown", "tag", "digest"),
    [
        ("nginx", "index.docker.io/library/nginx", "", ""),
        ("org/app:v1", "index.docker.io/org/app", "v1", ""),
        ("localhost/app", "localhost/app", "", ""),
        (f"ghcr.io/org/app:v1@{DIGEST}", "ghcr.io/org/app", "v1", DIGEST),
        ("host:5000/app", "host:5000/app", "", ""),
    ],
)
def test_an_image_name_is_read_as_container_tools_do(text, shown, tag, digest):
    found = reference.image(text)
    assert (str(found.repository), found.tag, found.digest) == (shown, tag, digest)


def config(**auths):
    return {credentials.DOCKER_CONFIG: json.dumps({"auths": auths}).encode()}


def auth(user):
    return {"auth": base64.b64encode(f"{user}:secret".encode()).decode()}


@pytest.mark.parametrize(
    ("names", "url", "user"),
    [
        (["ghcr.io"], "oci://ghcr.io/org/app", "ghcr.io"),
        (["https://ghcr.io/v2/"], "oci://ghcr.io/org/app", "https://ghcr.io/v2/"),
        (["ghcr.io", "ghcr.io/org"], "oci://ghcr.io/org/app", "ghcr.io/org"),
        (["ghcr.io/org"], "oci://ghcr.io/organisation/app", ""),
        (["*.azurecr.io"], "oci://team.azurecr.io/app", "*.azurecr.io"),
        (["*.azurecr.io", "team.azurecr.io"], "oci://team.azurecr.io/app", "team.azurecr.io"),
        (["https://index.docker.io/v1/"], "oci://docker.io/org/app", "https://index.docker.io/v1/"),
        (["evil.io"], "oci://ghcr.io/app", ""),
        (["ghcr.io"], "oci://ghcr.io.evil.io/app", ""),
    ],
)
def test_the_closest_entry_of_a_docker_configuration_counts(names, url, user):
    data = config(**{name: auth(name.replace(":", "")) for name in names})
    found = credentials.from_secret(data, reference.repository(url))
    assert found.username == user.replace(":", "")
    assert not user or found.password == "secret"


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({}, "the key '.dockerconfigjson' is missing"),
        ({credentials.DOCKER_CONFIG: b"not json"}, "holds no Docker configuration"),
        ({credentials.DOCKER_CONFIG: b"{}"}, "holds no Docker configuration"),
        (config(**{"ghcr.io": {"auth": "%%%"}}), "is not base64"),
    ],
)
def test_a_secret_that_is_no_docker_configuration_says_why(data, problem):
    with pytest.raises(CredentialsError, match=problem):
        credentials.from_secret(data, reference.repository("oci://ghcr.io/app"))


def test_credentials_do_not_print():
    shown = repr(credentials.Credentials("ada", "s3cret"))
    assert "s3cret" not in shown
    assert "ada" not in shown
