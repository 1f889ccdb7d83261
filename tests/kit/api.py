"""A plain, synchronous Kubernetes client for test tooling: independent of the code under test.

The kubernetes package reads the kubeconfig and logs in; requests go out as they are written here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import kubernetes.client
import kubernetes.config
import requests
import yaml


class Api:
    """One API server, as one user."""

    def __init__(
        self, url: str, *, token: str = "", ca: str | bool = True, client: tuple[str, str] | None = None
    ) -> None:
        self.url = url.rstrip("/")
        self.session = requests.Session()
        self.session.trust_env = False  # a proxy of this machine is not meant for loopback
        self.session.verify = ca
        self.session.cert = client
        if token:
            self.session.headers["Authorization"] = f"Bearer {token}"

    @classmethod
    def of(cls, kubeconfig: Path) -> Api:
        """The cluster and user of a kubeconfig's current context."""
        found: Any = kubernetes.client.Configuration()
        login: Any = kubernetes.config
        login.load_kube_config(str(kubeconfig), client_configuration=found)
        token = found.get_api_key_with_prefix("BearerToken") or found.get_api_key_with_prefix("authorization") or ""
        client = (found.cert_file, found.key_file) if found.cert_file else None
        verify = (found.ssl_ca_cert or True) if found.verify_ssl else False
        return cls(found.host, token=token.removeprefix("Bearer "), ca=verify, client=client)

    def request(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Any:
        """One call; the decoded answer. requests.HTTPError on a 4xx or 5xx, with what the server said."""
        answer = self.session.request(
            method,
            self.url + path,
            data=None if body is None else json.dumps(body),
            headers={"Content-Type": content_type},
            timeout=60,
        )
        if not answer.ok:
            said = f"{method} {path}: {answer.status_code} {answer.text[:500]}"
            raise requests.HTTPError(said, response=answer)
        return answer.json() if answer.headers.get("Content-Type", "").startswith("application/json") else answer.text

    def ok(self, path: str) -> bool:
        """Does a GET of this path succeed right now?"""
        try:
            self.request("GET", path)
        except requests.RequestException:
            return False
        return True

    def ensure_namespace(self, name: str) -> None:
        """Create the namespace unless it is there."""
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        self.request("PATCH", f"/api/v1/namespaces/{name}?fieldManager=tests", body, "application/apply-patch+yaml")

    def apply_crds(self, folder: Path) -> list[str]:
        """Apply every CustomResourceDefinition in the folder's *.yaml; returns their names."""
        base, names = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", []
        for file in sorted(folder.glob("*.yaml")):
            for crd in yaml.safe_load_all(file.read_text()):
                if crd and crd.get("kind") == "CustomResourceDefinition":
                    name = crd["metadata"]["name"]
                    path = f"{base}/{name}?fieldManager=tests&force=true"
                    self.request("PATCH", path, crd, "application/apply-patch+yaml")
                    names.append(name)
        return names

    def crd_is_established(self, name: str) -> bool:
        """Are objects of this CustomResourceDefinition served?"""
        found = self.request("GET", f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}")
        conditions = found.get("status", {}).get("conditions", [])
        return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)
