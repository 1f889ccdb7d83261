"""The spec's own changes to a build, laid over the directory's kustomization. Pure.

What each field does to the kustomization is upstream's: single values replace the file's, lists come after the file's,
an image replaces the file's entry of the same name.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

from shared.api.codec import encode
from shared.api.kustomize import KustomizationSpec
from shared.loop.verdict import Failed

Kustomization = dict[str, Any]


def laid_over(file: Kustomization, spec: KustomizationSpec, exists: Callable[[str], bool]) -> Kustomization:
    """The kustomization to build: `file` with the spec's fields; `file` itself is not changed.

    `exists` tells whether a directory, relative to the kustomization, is there.
    """
    result = dict(file)
    for field, value in (
        ("namespace", spec.target_namespace),
        ("namePrefix", spec.name_prefix),
        ("nameSuffix", spec.name_suffix),
    ):
        if value:
            result[field] = value
    if spec.patches:
        result["patches"] = [*(file.get("patches") or []), *(encode(patch) for patch in spec.patches)]
    if spec.images:
        result["images"] = _images(file.get("images") or [], [encode(image) for image in spec.images])
    if spec.components:
        result["components"] = [*(file.get("components") or []), *_components(spec, exists)]
    if spec.build_metadata:
        result["buildMetadata"] = list(dict.fromkeys([*(file.get("buildMetadata") or []), *spec.build_metadata]))
    return result


def _images(file: list[Any], spec: list[Any]) -> list[Any]:
    images = list(file)
    for image in spec:
        at = next((i for i, old in enumerate(images) if isinstance(old, dict) and old.get("name") == image["name"]), None)
        if at is None:
            images.append(image)
        else:
            images[at] = image
    return images


def _components(spec: KustomizationSpec, exists: Callable[[str], bool]) -> list[str]:
    for path in spec.components:
        if PurePosixPath(path).is_absolute() or "://" in path:
            raise Failed("BuildFailed", f"component path '{path}' must be local and relative")
    return [path for path in spec.components if not spec.ignore_missing_components or exists(path)]
