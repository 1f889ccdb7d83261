"""The clouds on the loopback interface, and a Kubernetes API's answers about ServiceAccounts."""

from __future__ import annotations

import pytest

from shared.auth import Clouds, NoAccount, Tokens
from tests.kit.clouds import aws, entra, google, internet, token  # noqa: F401


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

    async def own(self):
        return "flux-system", "controller"


@pytest.fixture
def kube():
    return Kube()


@pytest.fixture
def clouds(kube):
    return Clouds(kube, Tokens(), object_level=True)
