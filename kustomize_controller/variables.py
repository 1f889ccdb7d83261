"""Post-build substitution: which variables there are, and what they make of the built objects."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

import orjson

from shared.api.kustomize import Kustomization
from shared.api.meta import Manifest
from shared.kube.errors import NotFound
from shared.loop.attempt import Attempt
from shared.loop.kinds import ConfigRef
from shared.loop.verdict import Failed
from shared.text import listed, yaml
from shared.text.substitute import DEFAULT_LIMIT, SubstitutionError, require_names, substitute

SUBSTITUTE = "kustomize.toolkit.fluxcd.io/substitute"
MOST = DEFAULT_LIMIT
"""Characters that one object may have with its variables."""


def configs(ks: Kustomization) -> list[ConfigRef]:
    """The ConfigMaps and Secrets that a Kustomization takes variables, keys or the way to a cluster from."""
    namespace, spec = ks.metadata.namespace, ks.spec
    found = [
        ConfigRef(ref.kind, namespace, ref.name) for ref in (spec.post_build.substitute_from if spec.post_build else [])
    ]
    if spec.decryption and spec.decryption.secret_ref:
        found.append(ConfigRef("Secret", namespace, spec.decryption.secret_ref.name))
    if spec.kube_config and spec.kube_config.secret_ref:
        found.append(ConfigRef("Secret", namespace, spec.kube_config.secret_ref.name))
    if spec.kube_config and spec.kube_config.config_map_ref:
        found.append(ConfigRef("ConfigMap", namespace, spec.kube_config.config_map_ref.name))
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
            manifest = await attempt.config(reference.kind, reference.name)
        except NotFound as error:
            if reference.optional:
                continue
            raise Failed("BuildFailed", f"substitute from '{where}' error: {error}") from error
        data: Mapping[str, str] = manifest.get("data") or {}
        for key, value in data.items():
            text = base64.b64decode(value).decode(errors="replace") if reference.kind == "Secret" else value
            found[key] = text.replace("\n", "")
    found |= {key: value.replace("\n", "") for key, value in post_build.substitute.items()}
    try:
        require_names(found)
    except SubstitutionError as error:
        raise Failed("BuildFailed", str(error)) from error
    if not found and post_build.substitute_strategy != "Always":
        return None
    return found


def text(manifest: Manifest) -> str | None:
    """The YAML text of an object, to fill variables into; None for one that has none, or wants to stay as it is."""
    metadata = manifest.get("metadata") or {}
    for marks in (metadata.get("labels"), metadata.get("annotations")):
        if (marks or {}).get(SUBSTITUTE) == "disabled":
            return None
    return yaml.dump(manifest) if b"$" in orjson.dumps(manifest) else None


def filled_in(
    manifests: list[Manifest],
    texts: Sequence[str | None],
    places: Sequence[str],
    variables: Mapping[str, str],
    *,
    strict: bool,
    most: int,
) -> list[Manifest]:
    """The objects with their variables filled in. BuildFailed names all that can't be, and where they are written, as
    `places` say of each; so does one that gets more than `most` characters.

    As upstream does it, an object's YAML text is what is substituted, so that a value can become a number or a map.
    """
    results, problems = [], []
    for manifest, text, place in zip(manifests, texts, places, strict=True):
        try:
            results.append(manifest if text is None else _filled_in(text, variables, strict, most))
        except (SubstitutionError, yaml.YAMLError) as error:
            name = f"{manifest.get('kind')}/{(manifest.get('metadata') or {}).get('name')}"
            problem = error.problem if isinstance(error, yaml.YAMLError) else str(error)
            problems.append(listed.placed(f"var substitution failed for '{name}': {problem}", place))
    if problems:
        raise Failed("BuildFailed", listed.lines(problems))
    return results


def _filled_in(text: str, variables: Mapping[str, str], strict: bool, most: int) -> Manifest:
    value = yaml.load(substitute(text, variables, strict=strict, limit=most))
    if not isinstance(value, dict):
        raise SubstitutionError("nothing is left of the object")
    return value
