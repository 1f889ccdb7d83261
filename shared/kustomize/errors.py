"""What a build can say is wrong: a list of problems, each with the file, line and field that it is about."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple


class Problem(NamedTuple):
    """One thing that is wrong. `file` is a path from the root of the tree, `line` counts from 1 (0: not known)."""

    message: str
    file: str = ""
    line: int = 0
    field: str = ""

    def __str__(self) -> str:
        place = self.file
        if self.line:
            place += f":{self.line}" if place else f"line {self.line}"
        return ": ".join(part for part in (place, self.field, self.message) if part)


class BuildError(ValueError):
    """A build that has no result. `str()` lists its problems, one a line."""

    def __init__(self, *problems: Problem | str) -> None:
        self.problems = [Problem(p) if isinstance(p, str) else p for p in problems]
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def at(self, *, file: str = "", line: int = 0, field: str = "") -> BuildError:
        """The same error, with the place filled in where it is not known yet."""
        placed = [
            problem
            if problem.file
            else problem._replace(file=file, line=problem.line or line, field=problem.field or field)
            for problem in self.problems
        ]
        return type(self)(*placed)


class Undecodable(BuildError):
    """Files below a directory that hold no Kubernetes objects, though their names say they do."""


class NotFound(BuildError):
    """A path that leads to no file or directory."""


class Refused(BuildError):
    """A path that may not be read: outside the root, remote, in a cycle."""


class Exhausted(BuildError):
    """The build used up what one may use up (see limits): looking for further problems would go on using it."""


@contextmanager
def located(*, file: str = "", line: int = 0, field: str = "") -> Iterator[None]:
    """Give errors from inside the block this place, unless they have one."""
    try:
        yield
    except BuildError as error:
        raise error.at(file=file, line=line, field=field) from error
