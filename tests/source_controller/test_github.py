"""A GitHub App's installation logs in with tokens that are asked for once and shown nowhere."""

from __future__ import annotations

import base64
import json
import logging
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from shared.auth.github import GitHubError, from_secret
from tests.source_controller.conftest import condition

TOKEN = "ghs-a-secret-token"


def pem(key):
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(encoding, form, serialization.NoEncryption()).decode()


KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


class GitHub:
    """The two calls that matter; a token only for who signed as App 1."""

    def __init__(self):
        self.requests = []
        self.life = 3600

    def __enter__(self):
        handler = type("Handler", (_Handler,), {"owner": self})
        self._httpd = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._httpd.daemon_threads = True
        threading.Thread(target=self._httpd.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *exc):
        self._httpd.shutdown()
        self._httpd.server_close()

    @property
    def url(self):
        return f"http://127.0.0.1:{self._httpd.server_port}/api/v3"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: GitHub

    def log_message(self, format, *args):
        pass

    def reply(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def is_app(self):
        head, claims, signature = self.headers["Authorization"].removeprefix("Bearer ").split(".")

        def decoded(part):
            return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))

        try:
            KEY.public_key().verify(
                decoded(signature), f"{head}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256()
            )
        except Exception:
            return False
        said = json.loads(decoded(claims))
        return said["iss"] == "1" and said["iat"] <= time.time() < said["exp"] <= time.time() + 600

    def do_GET(self):
        self.owner.requests.append(self.path)
        if self.path == "/api/v3/users/ada/installation" and self.is_app():
            self.reply(200, {"id": 7})
        else:
            self.reply(404, {"message": "Not Found"})

    def do_POST(self):
        self.owner.requests.append(self.path)
        if not self.is_app():
            self.reply(401, {"message": "A JSON web token could not be decoded"})
        elif self.path == "/api/v3/app/installations/7/access_tokens":
            until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + self.owner.life))
            self.reply(201, {"token": TOKEN, "expires_at": until})
        else:
            self.reply(404, {"message": "Not Found"})


@pytest.fixture
def github():
    with GitHub() as made:
        yield made


@pytest.fixture
async def private(controller, git, repo):
    """A repository that only the token opens."""
    repo.commit({"a": "1"})
    git.require(repo, "x-access-token", TOKEN)
    return repo


def app(github, **change):
    data = {
        "githubAppID": "1",
        "githubAppInstallationID": "7",
        "githubAppPrivateKey": pem(KEY),
        "githubAppBaseURL": github.url,
        **change,
    }
    return {key: value for key, value in data.items() if value is not None}


def spec(repo):
    return {"url": repo.url, "provider": "github", "secretRef": {"name": "app"}}


async def test_a_token_is_asked_for_once_and_shown_nowhere(controller, github, private, caplog):
    caplog.set_level(logging.DEBUG)
    await controller.secret("app", app(github))
    await controller.put("s", spec(private))
    await controller.ready("s")
    head = private.commit({"a": "2"})
    await controller.ask("s")
    source = await controller.ready("s", head)
    assert github.requests == ["/api/v3/app/installations/7/access_tokens"]
    assert TOKEN not in str(source) + str(await controller.events("s")) + caplog.text


async def test_a_token_that_expires_soon_is_asked_for_again(controller, github, private):
    github.life = 0
    await controller.secret("app", app(github))
    await controller.put("s", spec(private))
    await controller.ready("s")
    token = await controller.ask("s")
    await controller.until("s", lambda obj: obj["status"].get("lastHandledReconcileAt") == token)
    assert len(github.requests) == 2


async def test_an_installation_is_found_by_its_owner(controller, github, private):
    await controller.secret("app", app(github, githubAppInstallationID=None, githubAppInstallationOwner="ada"))
    await controller.put("s", spec(private))
    await controller.ready("s")
    assert github.requests[:2] == ["/api/v3/orgs/ada/installation", "/api/v3/users/ada/installation"]


async def test_failures_name_what_to_fix(controller, github, private):
    other = pem(rsa.generate_private_key(public_exponent=65537, key_size=2048))
    cases = {
        "key": (app(github, githubAppPrivateKey=other), "401 Unauthorized (A JSON web token"),
        "installation": (app(github, githubAppInstallationID="8"), "check 'githubAppInstallationID'"),
        "owner": (
            app(github, githubAppInstallationID=None, githubAppInstallationOwner="eve"),
            "the App is not installed by 'eve'",
        ),
        "server": (app(github, githubAppBaseURL="http://127.0.0.1:1"), "dial tcp 127.0.0.1:1: connect"),
    }
    for name, (data, _) in cases.items():
        await controller.secret(name, data)
        await controller.put(name, {**spec(private), "secretRef": {"name": name}})
    for name, (_, text) in cases.items():
        message = condition(await controller.failed(name, "AuthenticationFailed"), "Ready", "message")
        assert f"secret 'default/{name}'" in message
        assert text in message
        assert "PRIVATE KEY" not in message


async def test_the_provider_needs_an_apps_secret(controller, private):
    await controller.put("s", {"url": private.url, "provider": "github"})
    stalled = await controller.failed("s", "InvalidProviderConfiguration")
    assert condition(stalled, "Stalled") == "True"
    await controller.secret("plain", {"username": "ada", "password": "x"})
    await controller.put("plain", {"url": private.url, "provider": "github", "secretRef": {"name": "plain"}})
    failed = await controller.failed("plain", "InvalidProviderConfiguration")
    assert condition(failed, "Reconciling") == "True"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"githubAppID": ""}, "'githubAppID' is missing"),
        ({"githubAppPrivateKey": ""}, "'githubAppPrivateKey' is missing"),
        ({"githubAppInstallationID": ""}, "it needs one of"),
        ({"githubAppInstallationOwner": "ada"}, "it needs one of"),
        ({"githubAppInstallationID": "../../x"}, "'githubAppInstallationID' holds no id"),
        ({"githubAppBaseURL": "ftp://x"}, "'githubAppBaseURL' holds no http"),
    ],
)
def test_a_secret_that_describes_no_app_says_why(change, problem):
    data = {"githubAppID": "1", "githubAppInstallationID": "7", "githubAppPrivateKey": "x", **change}
    with pytest.raises(GitHubError, match=problem):
        from_secret({key: value.encode() for key, value in data.items()})


@pytest.mark.parametrize(
    ("key", "problem"),
    [("x", "no PEM private key"), (pem(ec.generate_private_key(ec.SECP256R1())), "no RSA key")],
)
async def test_a_key_that_is_none_says_so(controller, github, private, key, problem):
    await controller.secret("app", app(github, githubAppPrivateKey=key))
    await controller.put("s", spec(private))
    assert problem in condition(await controller.failed("s", "AuthenticationFailed"), "Ready", "message")
