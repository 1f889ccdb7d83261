"""Copying: put an artifact together from files of sources, as `cp` would. Blocks.

    steps + trees of the sources → a new directory

What always holds: nothing is read outside the sources, whose trees have no links: paths are cleaned as text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from shared.text import doublestar, globs
from shared.text.regex import PatternError
from source_controller.generated import placing
from source_controller.generated.placing import CopyError, Tree, clean, joined
from source_controller.generated.plan import Copy

_META = set("*?[]")
_TARBALLS = (".tar.gz", ".tgz")


def build(steps: Sequence[Copy], sources: Mapping[str, Path], root: Path) -> None:
    """Makes the directory `root`, whose parent must exist, by the steps in their order."""
    tree = Tree(root)
    for step in steps:
        try:
            _Step(step, sources, tree).run()
        except CopyError as error:
            raise CopyError(f"failed to apply copy operation {step}: {error}") from error
        except OSError as error:
            raise CopyError(f"failed to apply copy operation {step}: {error.strerror or error}") from error


class _Step:
    """One copy operation."""

    def __init__(self, step: Copy, sources: Mapping[str, Path], tree: Tree) -> None:
        if step.alias not in sources:
            raise CopyError(f"source alias '{step.alias}' not found")
        self._alias, self._root, self._tree = step.alias, sources[step.alias], tree
        self._strategy = step.strategy
        self._source, self._target = step.source, clean(step.target)
        self._into = step.target.endswith("/") or not self._target
        self._exclude = [(pattern, _excluding(pattern)) for pattern in step.exclude]

    def run(self) -> None:
        if not _META.isdisjoint(self._source):
            self._matching()
            return
        path = clean(self._source)
        found = self._root / path
        if found.is_dir():
            self._directory(path)
        elif found.is_file():
            self._one(path)
        else:
            raise CopyError(f"source '{path}' does not exist")

    def _directory(self, path: str) -> None:
        """A directory goes below the target, by its name; the root's content directly."""
        if self._strategy == "Extract":
            raise CopyError(f"extract strategy is not supported for directories, got '{path}'")
        self._all_of(path, joined(self._target, PurePosixPath(path).name), path)

    def _one(self, path: str) -> None:
        """A file goes to the target, or into it when that is a directory."""
        if self._is_excluded(path, ""):
            return
        if self._strategy == "Extract":
            if not _is_tarball(path):
                raise CopyError(f"extract strategy requires tarball file (.tar.gz or .tgz), got '{path}'")
            self._tree.unpacked(self._root / path, self._target)
            return
        into = self._into or self._tree.is_directory(self._target)
        self._file(path, joined(self._target, PurePosixPath(path).name) if into else self._target)

    def _matching(self) -> None:
        """What fits a pattern goes below the target by its path; of `directory/**` by its path in the directory."""
        found = self._found()
        if not found:
            raise CopyError(f"no files match pattern '{self._source}' in source '{self._alias}'")
        base = _literal(self._source)
        kept = [path for path in found if not self._is_excluded(path, base)]
        if not kept:
            raise CopyError(f"all files matching pattern '{self._source}' in source '{self._alias}' were excluded")
        if self._strategy == "Extract":
            for path in kept:
                if _is_tarball(path) and (self._root / path).is_file():
                    self._tree.unpacked(self._root / path, self._target)
            return
        above = clean(self._source.removesuffix("/**")) + "/" if self._source.endswith("/**") else ""
        for path in kept:
            target = joined(self._target, path.removeprefix(above))
            if (self._root / path).is_dir():
                self._all_of(path, target, base)
            else:
                self._file(path, target)

    def _found(self) -> list[str]:
        if self._strategy == "Extract":
            return [path for path in _doublestar(self._root, self._source) if path]
        return _glob(self._root, self._source)

    def _all_of(self, path: str, target: str, base: str) -> None:
        def enters(folder: str) -> bool:
            return not self._is_excluded(joined(path, folder), base)

        for below, names in placing.walk(self._root / path, enters):
            self._tree.directory(joined(target, below))
            for name in names:
                if not self._is_excluded(joined(path, below, name), base):
                    self._tree.file(self._root / path / below / name, joined(target, below, name))

    def _file(self, path: str, target: str) -> None:
        self._tree.file(self._root / path, target, merge=self._strategy == "Merge")

    def _is_excluded(self, path: str, base: str) -> bool:
        """Does an exclude pattern match the path, or what of it is below `base`; or one without `/` the name?"""
        if not self._exclude:
            return False
        texts = [path]
        if base and path.startswith(base + "/"):
            texts.append(path[len(base) + 1 :])
        name = PurePosixPath(path).name
        return any(
            any(glob.matches(text) for text in texts) or ("/" not in pattern and glob.matches(name))
            for pattern, glob in self._exclude
        )


def _excluding(pattern: str) -> doublestar.Glob:
    try:
        return doublestar.Glob(pattern)
    except PatternError as error:
        raise CopyError(f"invalid exclude pattern '{pattern[:200]}': {error}") from error


def _glob(root: Path, pattern: str) -> list[str]:
    """What fits a pattern in which `*` and `**` are any text within one name."""
    found = [""]
    for part in [each for each in pattern.split("/") if each not in ("", ".")]:
        if part == ".." or "\0" in part:
            raise CopyError(f"the pattern '{pattern}' leads out of the source")
        if _META.isdisjoint(part):
            found = [joined(path, part) for path in found if (root / path / part).exists()]
            continue
        elements = globs.parse(part)
        if elements is None:
            raise CopyError(f"invalid glob pattern '{pattern}': syntax error in pattern")
        found = [
            joined(path, name)
            for path in found
            if (root / path).is_dir()
            for name in sorted(each.name for each in (root / path).iterdir())
            if globs.matches(doublestar.printable(name), elements)
        ]
    return found


def _doublestar(root: Path, pattern: str) -> Iterator[str]:
    """What fits a pattern in which `**` is any number of names."""
    try:
        glob = doublestar.Glob(pattern)
    except PatternError as error:
        raise CopyError(f"invalid glob pattern '{pattern}': {error}") from error
    for below, names in placing.walk(root):
        for path in (below, *(joined(below, name) for name in names)):
            if glob.matches(path):
                yield path


def _literal(pattern: str) -> str:
    """The directories before the first name with a wildcard."""
    parts: list[str] = []
    for part in [each for each in pattern.split("/") if each not in ("", ".")]:
        if not _META.isdisjoint(part):
            break
        parts.append(part)
    return "/".join(parts)


def _is_tarball(path: str) -> bool:
    return path.lower().endswith(_TARBALLS)
