"""What users send gets the answers of a real kube-apiserver from the embedded API: code, message, object, warnings.

The real server's answers are recorded, so that they are there without Go tools; where the tools are, a real server is
asked whether the record is right. `python -m tests.kubeapi.differential.subjects` writes it anew.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kit import controlplane
from tests.kubeapi.differential import subjects
from tests.kubeapi.differential.cases import CASES
from tests.kubeapi.differential.comparison import Answer, compare
from tests.kubeapi.differential.run import GOAL
from tests.kubeapi.differential.steps import Subject
from tests.kubeapi.differential.themes import sequence

RECORDED = subjects.recorded()


@pytest.fixture(scope="module")
def embedded() -> Iterator[Subject]:
    with subjects.embedded() as subject:
        yield subject


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
    state = controlplane.available()
    if not state:
        pytest.skip(state.reason)
    with subjects.real(tmp_path_factory.mktemp("real")) as subject:
        yield subject


@pytest.mark.parametrize("name", CASES)
def test_the_embedded_api_answers_as_recorded(embedded: Subject, name: str) -> None:
    require_alike(name, subjects.answers(embedded, name))


@pytest.mark.parametrize("name", CASES)
def test_a_real_api_server_answers_as_recorded(real: Subject, name: str) -> None:
    require_alike(name, subjects.answers(real, name))


def test_random_requests_are_answered_as_recorded(embedded: Subject) -> None:
    """As large a part of them as is promised; what differs is shown by python -m tests.kubeapi.differential."""
    same = total = 0
    for number in range(subjects.SEQUENCES):
        steps = sequence(subjects.SEED, number)
        wanted = RECORDED.get(f"{subjects.SEED}/{number}", [])
        assert len(wanted) == len(steps), "the record is old: python -m tests.kubeapi.differential.subjects"
        for step, right, answer in zip(steps, wanted, subjects.generated(embedded, number), strict=True):
            total += 1
            same += not compare(right, answer, step.loose)
    assert same / total >= GOAL, f"{same} of {total} answers are the same"


def require_alike(name: str, given: list[Answer]) -> None:
    wanted = RECORDED.get(name, [])
    steps = CASES[name]
    assert len(wanted) == len(steps), "the record is old: python -m tests.kubeapi.differential.subjects"
    found: list[str] = []
    for index, (step, right, answer) in enumerate(zip(steps, wanted, given, strict=True)):
        lines = compare(right, answer, step.loose)
        if lines:
            found.append("\n".join([f"step {index}: {step.verb} {step.manifest['kind']}", *lines]))
    assert not found, "\n".join(found)
