"""What a build can say is wrong: a list of problems, each with the file, line and field that it is about."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

_USER = re.compile(r"(?<=://)[^/@\s]*@")
MOST = 200
"""Problems that one step of a build collects."""


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
        return without_passwords(": ".join(part for part in (place, self.field, self.message) if part))


def without_passwords(text: str) -> str:
    """The text with the users of its URLs left out: a password may be with them."""
    return _USER.sub("", text)


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
            else problem._replace(file=file, line=problem.line or line, field=_joined(field, problem.field))
            for problem in self.problems
        ]
        return type(self)(*placed)


def _joined(field: str, inner: str) -> str:
    return inner if inner.startswith(field) else f"{field}: {inner}" if inner else field


class Problems:
    """What steps that don't need each other say is wrong, so that one build tells all of it.

    problems = Problems()
    with problems.of(file=…, field=…):
        …
    problems.require_none()
    """

    def __init__(self) -> None:
        self._found: dict[Problem, None] = {}

    def __bool__(self) -> bool:
        return bool(self._found)

    @contextmanager
    def of(self, *, file: str = "", line: int = 0, field: str = "") -> Iterator[None]:
        """Keep the errors from inside the block, with this place unless they have one. Exhausted is raised at once,
        and so are all when they are MOST."""
        try:
            yield
        except Exhausted as error:
            raise error.at(file=file, line=line, field=field) from error
        except BuildError as error:
            self._found.update(dict.fromkeys(error.at(file=file, line=line, field=field).problems))
            if len(self._found) >= MOST:
                self.require_none()

    def require_none(self) -> None:
        """BuildError with all of them."""
        if self._found:
            raise BuildError(*self._found)


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
