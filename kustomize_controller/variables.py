"""Post-build substitution: which variables there are, and what they make of the built objects."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping

from shared.api.kustomize import Kustomization
from shared.api.meta import Manifest
from shared.kube.errors import NotFound
from shared.loop.attempt import Attempt
from shared.loop.kinds import ConfigRef
from shared.loop.verdict import Failed
from shared.text import yaml
from shared.text.substitute import SubstitutionError, substitute

NAME = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*")
SUBSTITUTE = "kustomize.toolkit.fluxcd.io/substitute"


def configs(ks: Kustomization) -> list[ConfigRef]:
    """The ConfigMaps and Secrets that a Kustomization takes variables or keys from."""
    namespace, spec = ks.metadata.namespace, ks.spec
    found = [
        ConfigRef(ref.kind, namespace, ref.name) for ref in (spec.post_build.substitute_from if spec.post_build else [])
    ]
    if spec.decryption and spec.decryption.secret_ref:
        found.append(ConfigRef("Secret", namespace, spec.decryption.secret_ref.name))
    if spec.kube_config and spec.kube_config.secret_ref:
        found.append(ConfigRef("Secret", namespace, spec.kube_config.secret_ref.name))
    return found


async def find(ks: Kustomization, attempt: Attempt[Kustomization]) -> dict[str, str] | None:
    """The variables by name; None when nothing is to be substituted. BuildFailed when one can't be had."""
    post_build = ks.spec.post_build
    if post_build is None:
        return None
    found: dict[str, str] = {}
    for reference in post_build.substitute_from:
        where = f"{reference.kind}/{reference.name}"
        try:
            manifest = await attempt.kube.get("v1", reference.kind, reference.name, ks.metadata.namespace)
        except NotFound as error:
            if reference.optional:
                continue
            raise Failed("BuildFailed", f"substitute from '{where}' error: {error}") from error
        data: Mapping[str, str] = manifest.get("data") or {}
        for key, value in data.items():
            text = base64.b64decode(value).decode(errors="replace") if reference.kind == "Secret" else value
            found[key] = text.replace("\n", "")
    found |= {key: value.replace("\n", "") for key, value in post_build.substitute.items()}
    for name in found:
        if not NAME.fullmatch(name):
            raise Failed(
                "BuildFailed", f"'{name}' var name is invalid, must match '^[_[:alpha:]][_[:alpha:][:digit:]]*$'"
            )
    if not found and post_build.substitute_strategy != "Always":
        return None
    return found


def fill_in(manifest: Manifest, variables: Mapping[str, str], *, strict: bool) -> Manifest:
    """A built object with its variables filled in. BuildFailed names the object and the variable.

    As upstream does it, the object's YAML text is what is substituted, so a value can become a number or a map.
    """
    metadata = manifest.get("metadata") or {}
    for marks in (metadata.get("labels"), metadata.get("annotations")):
        if (marks or {}).get(SUBSTITUTE) == "disabled":
            return manifest
    text = yaml.dump(manifest)
    if "$" not in text:
        return manifest
    name = f"{manifest.get('kind')}/{metadata.get('name')}"
    try:
        filled = substitute(text, variables, strict=strict)
        value = yaml.load(filled, source=name)
    except SubstitutionError as error:
        raise Failed("BuildFailed", f"var substitution failed for '{name}': {error}") from error
    except yaml.YAMLError as error:
        raise Failed(
            "BuildFailed", f"var substitution of '{name}' gave YAML that can't be read: {error.problem}"
        ) from error
    if not isinstance(value, dict):
        raise Failed("BuildFailed", f"var substitution of '{name}' left no object")
    return value
