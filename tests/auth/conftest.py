"""The clouds on the loopback interface, and a Kubernetes API's answers about ServiceAccounts."""

from __future__ import annotations

import aiohttp
import pytest

from shared.auth import Clouds, NoAccount, Tokens, gcp
from tests.kit.clouds import Entra, Google, moto, token
from tests.kit.internet import Internet, forwarded


class Kube:
    """ServiceAccounts by `namespace/name`, with their annotations; their tokens say who they are and for whom."""

    def __init__(self):
        self.accounts = {}
        self.asked = []

    async def annotations(self, namespace, name):
        if f"{namespace}/{name}" not in self.accounts:
            raise NoAccount(f'serviceaccounts "{name}" not found')
        return self.accounts[f"{namespace}/{name}"]

    async def token(self, namespace, name, audiences):
        self.asked.append((f"{namespace}/{name}", *audiences))
        return token(sub=f"system:serviceaccount:{namespace}:{name}", aud=list(audiences))


@pytest.fixture
def internet(tmp_path, monkeypatch):
    for name in ("AWS_REGION", "AWS_PROFILE", "AWS_ROLE_ARN", "AZURE_CLIENT_ID", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with Internet(tmp_path / "internet") as made:
        for name, value in made.environment.items():
            monkeypatch.setenv(name, value)
        # It was made when the module was imported, and is shared by all that bring no authority of their own.
        aiohttp.connector._SSL_CONTEXT_VERIFIED.load_verify_locations(made.ca)
        yield made


@pytest.fixture
def kube():
    return Kube()


@pytest.fixture
def clouds(kube):
    return Clouds(kube, Tokens(), object_level=True)


@pytest.fixture
def entra(internet):
    return Entra(internet)


@pytest.fixture
def google(internet, monkeypatch):
    monkeypatch.setattr(gcp, "_cluster", gcp._Cluster())
    return Google(internet)


@pytest.fixture(scope="session")
def _moto():
    with moto() as address:
        yield address


@pytest.fixture
def aws(internet, _moto):
    internet.hosts_of["*.amazonaws.com"] = forwarded(_moto)
    return internet
