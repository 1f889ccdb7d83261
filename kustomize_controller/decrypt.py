"""Decryption: what of a build is encrypted with SOPS, and what it says in clear.

    key Secret → Keys;  encrypted files of generators and patches → an overlay of the tree;  built objects → in clear

What is decrypted is only ever in memory: the artifact's tree, which others read too, is not written to. An object says
by the label or annotation `kustomize.toolkit.fluxcd.io/decrypt: disabled` that it wants to stay as it is.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson

from kustomize_controller import keys
from kustomize_controller.keys import BadKey, Keys
from kustomize_controller.keyservices import KeyServices
from kustomize_controller.sops import Sops, SopsError
from shared import kustomize
from shared.api.kustomize import Kustomization
from shared.api.meta import Manifest
from shared.auth.accounts import GATE
from shared.kube.errors import NotFound
from shared.kustomize.kustomization import FILE_NAMES
from shared.kustomize.tree import join
from shared.loop.attempt import Attempt
from shared.loop.verdict import Failed, Stalled

DECRYPT = "kustomize.toolkit.fluxcd.io/decrypt"
_AT_ONCE = 4
"""How many documents of a build are decrypted at the same time."""
_DIRECTORIES = 10_000
_ALTOGETHER = 64 << 20
"""Bytes of all encrypted files that a build may read."""
_REPORTED = 20

_MARKS = {
    "json": re.compile(rb'"mac"\s*:\s*"ENC\['),
    "dotenv": re.compile(rb"sops_mac=ENC\["),
    "ini": re.compile(rb"\[sops\]"),
    "yaml": re.compile(rb"\bmac:\s*[\"']?ENC\["),
}
_MARKS["binary"] = _MARKS["json"]  # what is encrypted as a whole is wrapped in JSON
_REMOTE = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


def require_enabled(ks: Kustomization, attempt: Attempt[Kustomization]) -> None:
    """Stalled when the spec wants an identity for key services, and the gate for that is closed."""
    if ks.spec.decryption is None or not ks.spec.decryption.service_account_name:
        return
    if not attempt.options.feature_gates[GATE]:
        raise Stalled(
            "FeatureGateDisabled",
            "to use spec.decryption.serviceAccountName for decryption authentication please enable the "
            f"{GATE} feature gate in the controller",
        )


async def find(ks: Kustomization, attempt: Attempt[Kustomization]) -> Keys | None:
    """What to decrypt with; None when the spec asks for no decryption. BuildFailed when the Secret can't be used."""
    decryption = ks.spec.decryption
    if decryption is None:
        return None
    shared = decryption.secret_ref is None
    if decryption.secret_ref is not None:
        namespace, name = ks.metadata.namespace, decryption.secret_ref.name
    else:
        namespace, name = attempt.options.runtime_namespace, attempt.options.sops_age_secret
        if not name:
            return keys.NONE
    where = f"{namespace}/{name}"
    try:
        return keys.of(where, await attempt.secret(name, namespace), only_age=shared)
    except NotFound as error:
        raise Failed("BuildFailed", str(error)) from error
    except BadKey as error:
        raise Failed("BuildFailed", f"cannot use sops decryption Secret '{where}': {error}") from error


@asynccontextmanager
async def opened(found: Keys, services: KeyServices | None, program: str, seconds: float) -> AsyncIterator[Decryption]:
    """What decrypts with these keys, and as whom `services` say, for one attempt. At the end of the block all of it is
    gone, also on cancellation.

    `program` is sops' path or name; all that the attempt decrypts may take `seconds`.
    """
    sops = Sops(found, program or "sops", seconds=seconds, services=services)
    try:
        yield Decryption(sops)
    finally:
        sops.stop()  # at once: the thread that waits for it ends, too
        await asyncio.shield(asyncio.to_thread(sops.close))


@dataclass(frozen=True)
class _Document:
    """An encrypted document of a build, and how a message names it."""

    name: str
    content: bytes
    given: str
    wanted: str


class Decryption:
    """One attempt's decryption. Blocks."""

    def __init__(self, sops: Sops) -> None:
        self._sops = sops

    def overlay(self, tree: kustomize.Tree, path: str, kustomization: Mapping[str, Any]) -> kustomize.Tree:
        """The tree, with the encrypted files of generators and patches in clear. BuildFailed.

        `kustomization` is what the directory at `path` is built with.
        """
        documents: dict[str, _Document] = {}
        total = 0
        for file, format_ in _sources(tree, path, kustomization):
            if file in documents:
                continue
            try:
                content = tree.read(file)
            except kustomize.BuildError:
                continue  # the build says so, and who refers to it
            if not _MARKS[format_].search(content):
                continue
            total += len(content)
            if total > _ALTOGETHER:
                raise Failed("BuildFailed", f"error decrypting sources: more than {_ALTOGETHER} bytes are encrypted")
            documents[file] = _Document(file.lstrip("/"), content, format_, format_)
        if not documents:
            return tree
        contents = self._decrypted(list(documents.values()), "error decrypting sources: {}")
        return _Overlay(tree, dict(zip(documents, contents, strict=True)))

    def objects(self, built: kustomize.Build) -> list[Manifest]:
        """The built objects, with all in clear that is encrypted in them. BuildFailed, with all that can't be."""
        manifests: list[Manifest] = list(built.values)
        documents: list[_Document] = []
        placers: list[Callable[[bytes], None]] = []
        for index, resource in enumerate(built.resources):
            manifest = manifests[index]
            if is_disabled(manifest):
                continue
            name = _named(manifest) + (f" from {resource.files[0]}" if len(resource.files) == 1 else "")
            sops = manifest.get("sops")
            if isinstance(sops, dict) and sops.get("mac"):
                documents.append(_Document(name, orjson.dumps(manifest), "json", "json"))
                placers.append(_placer_of_object(manifests, index))
            elif manifest.get("kind") == "Secret" and isinstance(manifest.get("data"), dict):
                manifests[index] = manifest = {**manifest, "data": dict(manifest["data"])}
                for key, content, given in _encrypted_entries(manifest["data"]):
                    documents.append(_Document(f"{name}: data.{key}", content, given, format_of(key)))
                    placers.append(_placer_of_entry(manifest["data"], key))
        contents = self._decrypted(documents, "decryption failed for {}")
        for content, place in zip(contents, placers, strict=True):
            place(content)
        return manifests

    def _decrypted(self, documents: Sequence[_Document], told: str) -> list[bytes]:
        """The documents in clear, in order. BuildFailed names all that can't be, each reason once."""
        if not documents:
            return []

        def decrypted(document: _Document) -> bytes | SopsError:
            try:
                return self._sops.decrypt(document.content, document.given, document.wanted)
            except SopsError as error:
                return error

        with ThreadPoolExecutor(min(_AT_ONCE, len(documents)), thread_name_prefix="sops") as pool:
            results = list(pool.map(decrypted, documents))
        failed: dict[str, list[str]] = {}
        contents = []
        for document, result in zip(documents, results, strict=True):
            if isinstance(result, SopsError):
                failed.setdefault(str(result), []).append(document.name)
            else:
                contents.append(result)
        if failed:
            raise Failed(
                "BuildFailed", "\n".join(told.format(_listed(names)) + f": {why}" for why, names in failed.items())
            )
        return contents


class _Overlay:
    """A tree in which some files say something else."""

    def __init__(self, tree: kustomize.Tree, files: Mapping[str, bytes]) -> None:
        self._tree, self._files = tree, files

    def resolve(self, path: str) -> str:
        return self._tree.resolve(path)

    def is_dir(self, path: str) -> bool:
        return self._tree.is_dir(path)

    def list(self, path: str) -> list[str]:
        return self._tree.list(path)

    def read(self, path: str) -> bytes:
        found = self._files.get(path)
        if found is None:
            found = self._files.get(self._tree.resolve(path))
        return self._tree.read(path) if found is None else found


def is_disabled(manifest: Manifest) -> bool:
    """Does the object want to stay encrypted?"""
    metadata = manifest.get("metadata") or {}
    marks = (metadata.get("annotations"), metadata.get("labels"))
    return any(str((of_object or {}).get(DECRYPT, "")).lower() == "disabled" for of_object in marks)


def format_of(name: str) -> str:
    """The format of a file or of an entry of a Secret, by its name; binary for what is none of the others."""
    if name.endswith((".json", ".dockerconfigjson")):
        return "json"
    if name.endswith((".yaml", ".yml")):
        return "yaml"
    return {"env": "dotenv", "ini": "ini"}.get(name.rpartition(".")[2] if "." in name else "", "binary")


def _encrypted_entries(data: Mapping[str, Any]) -> Iterator[tuple[str, bytes, str]]:
    """The entries of a Secret that are SOPS documents: name, content, format."""
    for key, value in data.items():
        try:
            content = base64.b64decode(value)
        except (binascii.Error, ValueError, TypeError):
            continue  # not base64: the API server says so
        for given in ("json", "dotenv", "ini", "yaml"):
            if _MARKS[given].search(content):
                yield key, content, given
                break


def _placer_of_object(manifests: list[Manifest], index: int) -> Callable[[bytes], None]:
    def place(content: bytes) -> None:
        manifests[index] = orjson.loads(content)

    return place


def _placer_of_entry(data: dict[str, Any], key: str) -> Callable[[bytes], None]:
    def place(content: bytes) -> None:
        data[key] = base64.b64encode(content).decode()

    return place


def _named(manifest: Manifest) -> str:
    metadata = manifest.get("metadata") or {}
    return "/".join(filter(None, (manifest.get("kind"), metadata.get("namespace"), metadata.get("name"))))


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _REPORTED} more" if len(names) > _REPORTED else ""
    return ", ".join(f"'{name}'" for name in names[:_REPORTED]) + more


def _sources(tree: kustomize.Tree, path: str, kustomization: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The files that generators and patches of all directories of a build read, and the format each would have."""
    root = tree.resolve(join("/", path))
    waiting: list[tuple[str, Mapping[str, Any]]] = [(root, kustomization)]
    seen = {root}
    while waiting:
        directory, said = waiting.pop()
        for name, format_ in _referred(said):
            if (file := _resolved(tree, directory, name)) and not tree.is_dir(file):
                yield file, format_
        for field in ("resources", "components", "bases"):
            for name in said.get(field) or ():
                below = _resolved(tree, directory, name)
                if below is None or below in seen or len(seen) >= _DIRECTORIES or not tree.is_dir(below):
                    continue
                seen.add(below)
                if any(_resolved(tree, below, file) for file in FILE_NAMES):
                    try:
                        waiting.append((below, kustomize.generate(tree, below)))
                    except kustomize.BuildError:
                        continue  # the build says so, with the place


def _referred(said: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The names of files in a kustomization that may be encrypted, and the format each would have."""
    # Not of configMapGenerator: what is secret must not end up where everybody can read it. Upstream leaves it, too.
    for generator in said.get("secretGenerator") or ():
        for entry in generator.get("files") or ():
            key, _, path = entry.partition("=")
            yield path or key, format_of(key)
        for name in (*(generator.get("envs") or ()), *filter(None, [generator.get("env")])):
            format_ = format_of(name)
            yield name, "dotenv" if format_ == "binary" else format_
    for field in ("patches", "patchesJson6902"):
        for patch in said.get(field) or ():
            if patch.get("path"):
                yield patch["path"], format_of(patch["path"])
    for name in said.get("patchesStrategicMerge") or ():
        if "\n" not in name:
            yield name, format_of(name)


def _resolved(tree: kustomize.Tree, directory: str, name: Any) -> str | None:
    """The path of what a kustomization names; None when it isn't there, or not in the tree."""
    if not isinstance(name, str) or not name or _REMOTE.match(name):
        return None
    try:
        return tree.resolve(join(directory, name))
    except kustomize.BuildError:
        return None
