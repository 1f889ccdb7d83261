"""Post-build substitution: which variables there are, and what they make of the built objects."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

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
_SPACE = re.compile(r"\s")
_WORD = re.compile(r"[A-Za-z0-9_/$(](?:[A-Za-z0-9_/$().@+=-]|:(?=[A-Za-z0-9_/$(]))*\Z")
"""What is one plain scalar wherever it stands in a block of YAML, and needs no escape in quotes."""


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


class Place(NamedTuple):
    """A text inside an object with variables in it."""

    path: tuple[str | int, ...]
    text: str
    is_plain: bool
    """Whether it stands in YAML without quotes, so that with its variables it may be a number."""


class Text(NamedTuple):
    """What variables are filled into: the YAML of an object."""

    whole: str
    places: list[Place] | None
    """All that has variables, where each is by itself, which saves reading the whole anew; None where one isn't."""


def text(manifest: Manifest) -> Text | None:
    """The text of an object, to fill variables into; None for one that has none, or wants to stay as it is."""
    metadata = manifest.get("metadata") or {}
    for marks in (metadata.get("labels"), metadata.get("annotations")):
        if (marks or {}).get(SUBSTITUTE) == "disabled":
            return None
    if b"$" not in orjson.dumps(manifest):
        return None
    places: list[Place] = []
    is_simple = _find_places(manifest, (), places)
    return Text(yaml.dump(manifest), places if is_simple else None)


def _find_places(value: Any, path: tuple[str | int, ...], places: list[Place]) -> bool:
    """Note the texts with variables, as long as each is in one word: False as soon as one isn't, or is a key."""
    if isinstance(value, str):
        if "$" not in value:
            return True
        written = yaml.dump(value).removesuffix("\n")
        places.append(Place(path, value, is_plain=written == value))
        return written in (value, f'"{value}"', f"'{value}'") and not _SPACE.search(value)
    if isinstance(value, dict):
        return all("$" not in key and _find_places(item, (*path, key), places) for key, item in value.items())
    if isinstance(value, list):
        return all(_find_places(item, (*path, index), places) for index, item in enumerate(value))
    return True


def filled_in(
    manifests: list[Manifest],
    texts: Sequence[Text | None],
    written: Sequence[str],
    variables: Mapping[str, str],
    *,
    strict: bool,
    most: int,
) -> list[Manifest]:
    """The objects with their variables filled in. BuildFailed names all that can't be, and where they are `written`; so
    does one that gets more than `most` characters.

    As upstream does it, an object's YAML text is what is substituted, so that a value can become a number or a map.
    """
    results, problems = [], []
    for manifest, text, place in zip(manifests, texts, written, strict=True):
        try:
            results.append(manifest if text is None else _filled_in(manifest, text, variables, strict, most))
        except (SubstitutionError, yaml.YAMLError) as error:
            name = f"{manifest.get('kind')}/{(manifest.get('metadata') or {}).get('name')}"
            problem = error.problem if isinstance(error, yaml.YAMLError) else str(error)
            problems.append(listed.placed(f"var substitution failed for '{name}': {problem}", place))
    if problems:
        raise Failed("BuildFailed", listed.lines(problems))
    return results


def _filled_in(manifest: Manifest, text: Text, variables: Mapping[str, str], strict: bool, most: int) -> Manifest:
    if text.places is not None and (values := _values(text.places, variables, strict, most - len(text.whole))):
        for place, value in zip(text.places, values, strict=True):
            _set(manifest, place.path, value)
        return manifest
    whole = yaml.load(substitute(text.whole, variables, strict=strict, limit=most))
    if not isinstance(whole, dict):
        raise SubstitutionError("nothing is left of the object")
    return whole


def _values(places: list[Place], variables: Mapping[str, str], strict: bool, most: int) -> list[Any] | None:
    """What stands at the places once the variables are filled in; None where that isn't a word that means the same
    whatever is around it, or something is wrong: the whole text tells."""
    values: list[Any] = []
    for place in places:
        try:
            word = substitute(place.text, variables, strict=strict, limit=max(most, 0))
            most -= len(word)
            if not _WORD.match(word):
                return None
            values.append(yaml.meaning(word) if place.is_plain else word)
        except (SubstitutionError, yaml.YAMLError):
            return None
    return values


def _set(node: Any, path: tuple[str | int, ...], value: Any) -> None:
    for step in path[:-1]:
        node = node[step]
    node[path[-1]] = value
