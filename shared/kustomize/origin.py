"""Where an object came from and what changed it: the annotations that `buildMetadata` asks for."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from typing import NamedTuple

from shared.text import yaml
from shared.text.plain import plain

from .remote import repository
from .resource import ORIGIN, TRANSFORMATIONS, Resource


class Configured(NamedTuple):
    """The transformer or generator behind a change."""

    api_version: str
    kind: str
    name: str = ""
    namespace: str = ""


class Origin(NamedTuple):
    """A place: a file of the build or of a repository, or what a configuration in such a file made."""

    path: str = ""
    repo: str = ""
    ref: str = ""
    configured_in: str = ""
    configured_by: Configured | None = None

    def at(self, path: str) -> Origin:
        """The place of something that is named here by a path or a URL."""
        repo = repository(path)
        if repo is not None:
            return self._replace(repo=repo.clone, ref=repo.ref, path=posixpath.normpath(repo.path or "."))
        return self._replace(path=posixpath.normpath(posixpath.join(self.path, path)))

    def configured(self, file: str, by: Configured) -> Origin:
        return Origin("", self.repo, self.ref, posixpath.join(self.path, file), by)

    def text(self) -> str:
        """As the annotation writes it."""
        lines = [
            _line(key, value)
            for key, value in (
                ("path", self.path),
                ("repo", self.repo),
                ("ref", self.ref),
                ("configuredIn", self.configured_in),
            )
            if value
        ]
        if self.configured_by is not None:
            by = self.configured_by
            lines.append("configuredBy:\n")
            lines.extend(
                "  " + _line(key, value)
                for key, value in (
                    ("apiVersion", by.api_version),
                    ("kind", by.kind),
                    ("name", by.name),
                    ("namespace", by.namespace),
                )
                if value
            )
        return "".join(lines)


def _line(key: str, value: str) -> str:
    return yaml.dump({key: plain(value)})


def mark(item: Resource, origin: Origin) -> None:
    item.annotate(ORIGIN, origin.text())


def mark_all(items: Iterable[Resource], origin: Origin) -> None:
    """Mark those that have no origin yet."""
    for item in items:
        if item.annotation(ORIGIN) is None:
            mark(item, origin)


def add_change(items: Iterable[Resource], origin: Origin, *, trace: bool) -> None:
    """Note a transformer on every object when changes are traced; of one without origin it is the origin."""
    entry = "- " + origin.text().replace("\n", "\n  ").rstrip(" ")
    for item in items:
        if item.is_empty():
            continue
        if item.annotation(ORIGIN) is None:
            mark(item, origin)
        elif trace:
            item.annotate(TRANSFORMATIONS, (item.annotation(TRANSFORMATIONS) or "") + entry)


def remove(items: Iterable[Resource], key: str) -> None:
    for item in items:
        item.set_mapping("annotations", {k: v for k, v in item.annotations.items() if k != key})
