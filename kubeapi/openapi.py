"""OpenAPI documents."""

from __future__ import annotations

from kubeapi.resources import Registry


class OpenAPI:
    def __init__(self, registry: Registry):
        self.registry = registry

    def answer(self, path: str, accept: str) -> tuple[bytes, str] | None:
        return None
