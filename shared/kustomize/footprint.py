"""What a build asked of its tree, so that of another tree it can be told whether it would build the same.

    build over Trace(Survey(tree)) → Footprint;  Footprint.holds(Survey(another tree)) → the same, or not

A build is a function of its settings and of what its tree answers. So when another tree gives the same answers to all
that was asked, it builds the same: files that were read have the same content, what was looked for is or isn't there
as before, directories that were listed list the same names, and links lead to the same places. What a build doesn't
ask for may change at will.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeVar

from .errors import NotFound, Refused
from .tree import Tree

T = TypeVar("T")
_SIZE = 16
"""Bytes of a digest of an answer."""


class Question(NamedTuple):
    """One call of a tree's method with a path."""

    method: str
    path: str


class Survey:
    """A tree that doesn't change: each question is answered once, whoever asks. What fails is tried again, and the
    contents of files are not kept."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._answers: dict[Question, object] = {}
        self._digests: dict[Question, bytes] = {}

    def __len__(self) -> int:
        """How much is kept, in answers."""
        return len(self._answers) + len(self._digests)

    def digest(self, question: Question) -> bytes:
        """Of the answer to a question."""
        known = self._digests.get(question)
        if known is None:
            try:
                known = self._digests[question] = _digest(getattr(self, question.method)(question.path))
            except (NotFound, Refused) as error:
                return _digest(f"{type(error).__name__}: {error}")
        return known

    def _known(self, question: Question, ask: Callable[[str], T]) -> T:
        answer = self._answers.get(question)
        if answer is None:
            answer = self._answers[question] = ask(question.path)
        return answer  # type: ignore[return-value]  # it answers this question

    def resolve(self, path: str) -> str:
        return self._known(Question("resolve", path), self._tree.resolve)

    def is_dir(self, path: str) -> bool:
        return self._known(Question("is_dir", path), self._tree.is_dir)

    def read(self, path: str) -> bytes:
        content = self._tree.read(path)
        question = Question("read", path)
        if question not in self._digests:
            self._digests[question] = _digest(content)
        return content

    def list(self, path: str) -> list[str]:
        return self._known(Question("list", path), self._tree.list)


class Footprint(NamedTuple):
    """What was asked, and a digest of all answers. There is one of each build, so it is kept small."""

    asked: bytes
    """The questions in order, compressed."""
    answers: bytes
    weight: int
    """Bytes of the files that were read, and of the questions: how much work it is to look again."""

    @classmethod
    def of(cls, asked: Iterable[Question], survey: Survey, *, read: int) -> Footprint:
        """The footprint of these questions in a tree; `read` bytes were read for them."""
        questions = list(asked)
        packed = "\0".join(part for question in questions for part in question).encode("utf-8", "surrogatepass")
        return cls(zlib.compress(packed, 1), _answers(questions, survey), read + len(packed))

    def holds(self, survey: Survey) -> bool:
        """Does a tree answer all questions as the one did that was built from?"""
        parts = iter(zlib.decompress(self.asked).decode("utf-8", "surrogatepass").split("\0"))
        return (
            _answers((Question(method, path) for method, path in zip(parts, parts, strict=False)), survey)
            == self.answers
        )


class Trace:
    """A surveyed tree for one build, which notes what it is asked."""

    def __init__(self, survey: Survey) -> None:
        self._survey = survey
        self._asked: dict[Question, None] = {}
        """A set that keeps its order."""
        self._read = 0

    def resolve(self, path: str) -> str:
        self._asked[Question("resolve", path)] = None
        return self._survey.resolve(path)

    def is_dir(self, path: str) -> bool:
        self._asked[Question("is_dir", path)] = None
        return self._survey.is_dir(path)

    def read(self, path: str) -> bytes:
        self._asked[Question("read", path)] = None
        content = self._survey.read(path)
        self._read += len(content)
        return content

    def list(self, path: str) -> list[str]:
        self._asked[Question("list", path)] = None
        return self._survey.list(path)

    def footprint(self) -> Footprint:
        """Of all that was asked so far."""
        return Footprint.of(self._asked, self._survey, read=self._read)


def _answers(questions: Iterable[Question], survey: Survey) -> bytes:
    total = hashlib.blake2b(digest_size=_SIZE)
    for question in questions:
        total.update(survey.digest(question))
    return total.digest()


def _digest(answer: object) -> bytes:
    """Of an answer: bytes, a text, a list of texts, or a bool. Answers of different types have different ones."""
    content = answer if isinstance(answer, bytes) else repr(answer).encode()
    return hashlib.blake2b(content, digest_size=_SIZE, person=type(answer).__name__.encode()).digest()
