"""Counterparts: a service over HTTPS, the authority that signed for it, and another server beside it."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import pytest

from shared.http import tls
from tests.kit.gitserver import Certificates
from tests.notification_controller.providers.services import Service


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def trusted(certificates: Certificates) -> ssl.SSLContext:
    return tls.context({"ca.crt": certificates.ca.encode()})


@pytest.fixture
def hooks(certificates: Certificates) -> Iterator[Service]:
    with Service(certificates.context()) as made:
        yield made


@pytest.fixture
def other(certificates: Certificates) -> Iterator[Service]:
    with Service(certificates.context()) as made:
        yield made
