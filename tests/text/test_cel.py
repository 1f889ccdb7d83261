"""The expression language: what it computes, what it refuses, what it costs at most."""

from __future__ import annotations

import contextlib
import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.text import cel

VECTORS = Path(__file__).parents[2].parent / "shared" / "contract" / "vectors.json"
APP = {
    "metadata": {"name": "app", "generation": 3, "labels": {"tier": "web", "a/b": "c"}},
    "spec": {
        "replicas": 2,
        "ratio": 1.5,
        "paused": False,
        "nothing": None,
        "hosts": ["b", "a", "c"],
        "ports": [80, 443],
    },
    "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Stalled", "status": "False"}]},
}


def value(expression: str, **bindings: Any) -> Any:
    return cel.compile(expression).evaluate(bindings or APP)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("1 + 2 * 3", 7),
        ("spec.replicas == 2 && !spec.paused", True),
        ("spec.ratio > 1", True),
        ("spec.nothing == null", True),
        ("metadata.labels['a/b']", "c"),
        ("'tier' in metadata.labels && !('x' in metadata.labels)", True),
        ("metadata.name.startsWith('a') && metadata.name.matches('^[a-z]+$')", True),
        ("size(spec.hosts) == 3 && metadata.name.size() == 3", True),
        ("status.conditions.exists(c, c.type == 'Ready' && c.status == 'True')", True),
        ("status.conditions.all(c, c.status == 'True')", False),
        ("status.conditions.exists_one(c, c.type == 'Ready')", True),
        ("status.conditions.filter(c, c.type == 'Ready').map(c, c.status)", ["True"]),
        ("spec.ports.map(p, p > 100, p * 2)", [886]),
        ("metadata.labels.all(key, key.size() > 2)", True),
        ("has(spec.replicas) && !has(spec.missing) && has(spec.nothing)", True),
        ("metadata.?annotations.owner.orValue('nobody')", "nobody"),
        ("metadata.labels[?'tier'].orValue('none')", "web"),
        ("spec.hosts[?7].hasValue()", False),
        ("'a,b'.split(',') + ['c']", ["a", "b", "c"]),
        ("['a', 'b'].join('-').upperAscii()", "A-B"),
        ("' x '.trim() + 'abc'.substring(1).replace('b', 'd')", "xdc"),
        ("'%s has %d'.format([metadata.name, spec.replicas])", "app has 2"),
        ("sets.contains([1, 2, 3], [2]) && sets.equivalent([1, 2], [2, 1, 1]) && !sets.intersects([1], [true])", True),
        ("string(base64.decode('aGk='))", "hi"),
        ("math.greatest(1, 5, 3)", 5),
        ("cel.bind(n, spec.replicas + 1, n * n)", 9),
        ("spec.hosts.isSorted() || spec.ports.isSorted()", True),
        ("spec.ports.sum() + spec.ports.min() + spec.ports.max()", 1046),
        ("spec.hosts.indexOf('a') + [1, 2, 1].lastIndexOf(1) + 'abc'.indexOf('c')", 5),
        ("'v1.2-rc'.find('[0-9.]+') + 'a1b2'.findAll('[0-9]').join('') + 'aaa'.findAll('a', 2).join('')", "1.212aa"),
        ("timestamp('2026-01-02T03:04:05Z')", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("duration('90m') + duration('30m')", timedelta(hours=2)),
        ("b'\\x00a'", b"\x00a"),
        ("type(1) == int && int('12') == 12 && string(1) == '1'", True),
        ("spec.ports[0] == 80u", True),
    ],
)
def test_expressions_have_the_value_that_other_implementations_give_them(expression: str, expected: Any):
    found = value(expression)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("spec.missing", "no such key: missing"),
        ("spec.missing.more == 1", "no such key: missing"),
        ("metadata.labels['x']", "no such key: x"),
        ("nowhere", r"no such attribute\(s\): nowhere"),
        ("spec.replicas.more", "no such overload"),
        ("metadata.name + 1", "no such overload"),
        ("spec.hosts[9]", "index out of bounds: 9"),
        ("1 / 0", "division by zero"),
        ("9223372036854775807 + 1", "overflow"),
        ("metadata.?annotations", "orValue"),
        ("'a'.find('[')", "missing ]"),
        ("[1, 'a'].isSorted()", "no common order"),
        ("spec.hosts.sum()", "numbers or of durations"),
        ("[].min()", "empty"),
    ],
)
def test_what_can_not_be_evaluated_says_why(expression: str, problem: str):
    with pytest.raises(cel.CELError, match=problem):
        value(expression)


@pytest.mark.parametrize("expression", ["spec.missing == 1 || true", "true || spec.missing == 1"])
def test_the_error_of_one_side_does_not_count_when_the_other_decides(expression: str):
    assert value(expression) is True


def test_an_error_in_one_round_does_not_count_when_another_decides():
    assert value("spec.hosts.exists(h, h.more == 1 || h == 'c')") is True


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("", "1:1: "),
        ("1 +", "1:4: "),
        ("a.b(", "Syntax error"),
        ("'a", "Syntax error"),
        ("'\ud800'", "character pair"),
        ("'" + "a" * 20_000 + "'", "at most 16384"),
        ("(" * 200 + "1" + ")" * 200, "32 levels"),
        ("[" * 2000 + "]" * 2000, "32 levels"),
        ("a" + ".b" * 2000, "32 levels"),
        ("l.all(a, " * 8 + "true" + ")" * 8, "6 deep"),
    ],
)
def test_what_can_not_be_read_is_refused_at_once(expression: str, problem: str):
    with pytest.raises(cel.CELError) as refused:
        cel.compile(expression)
    assert problem in str(refused.value)
    assert len(str(refused.value)) < 2000


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("dep.ready", "expected bool, got dyn"),
        ("self.name + 'x'", "expected bool, got string"),
        ("1 + 1", "expected bool, got int"),
        ("other.x == 1", "undeclared reference to 'other"),
        ("'a' + 1 == 'b'", "no matching overload"),
        ("self.name.shout() == 'a'", "undeclared reference to 'shout'"),
    ],
)
def test_with_declared_variables_types_are_checked_before_anything_is_evaluated(expression: str, problem: str):
    with pytest.raises(cel.CELError) as refused:
        cel.compile(expression, variables=("self", "dep"), result="bool")
    assert problem in str(refused.value)


def test_a_checked_expression_reads_its_variables():
    program = cel.compile("dep.metadata.name == 'app' && self.x == 1", variables=("self", "dep"), result="bool")
    assert program.result == "bool"
    assert program.evaluate({"self": {"x": 1}, "dep": APP}) is True


@pytest.mark.parametrize(
    "expression",
    [
        "['a']" + ".map(s, s + s)" * 25,
        "['a']" + ".map(s, [s, s])" * 25,
        "x.replace('', x).replace('', x)",
        "[x].map(a, x).map(b, l.map(c, x + x)).size() > 0",
        "l.map(a, x).join(x)",
        "'%s%s'.format([x, x]).replace('', x)",
        "cel.bind(b, x + x, cel.bind(c, b + b, cel.bind(d, c.replace('', c), d)))",
    ],
)
def test_an_expression_that_could_fill_the_memory_is_not_begun(expression: str):
    with pytest.raises(cel.CELError, match="too large"):
        value(expression, x="x" * 100_000, l=list(range(5000)))


@pytest.mark.parametrize(
    "expression",
    [
        "l.all(n, x.matches('(a|b)*c') || true)",
        "l.all(n, x.split('x').size() > 0)",
        "l.all(n, l.sum() >= 0)",
        "l.all(n, x.contains('yz') || true)",
        "cel.bind(p, x.split(''), p.all(c, x == x + c || true))",
    ],
)
def test_an_expression_that_could_read_for_minutes_is_not_begun(expression: str):
    started = time.monotonic()
    with pytest.raises(cel.CELError, match="too long"):
        value(expression, x="x" * 1_000_000, l=list(range(9000)))
    assert time.monotonic() - started < 2


def test_loops_end():
    started = time.monotonic()
    with pytest.raises(cel.CELError, match="loops too often"):
        value("l.all(a, l.all(b, l.all(c, a + b + c >= 0)))", l=list(range(1000)))
    assert time.monotonic() - started < 2


def test_what_users_write_is_evaluated_on_the_largest_objects():
    conditions = [{"type": f"T{n}", "status": "True", "message": "m" * 1000} for n in range(1000)]
    status = {"conditions": conditions}
    assert value("status.conditions.filter(c, c.type == 'T7').all(c, c.status == 'True')", status=status) is True
    assert value("has(status.conditions) && status.conditions.map(c, c.type).join(',').size() > 0", status=status)
    assert value("status.conditions.exists(c, c.type + '/' + c.status == 'T7/True')", status=status) is True


@pytest.mark.parametrize("odd", [(1, 2), 2**70, object()])
def test_a_value_that_is_not_of_json_is_refused_and_not_shown(odd: Any):
    with pytest.raises(cel.CELError) as refused:
        value("a.b", a={"b": odd, "secret": "hunter2"})
    assert "hunter2" not in str(refused.value)
    assert "1180591620717411303424" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("plain", "plain"),
        ("namespace", "__namespace__"),
        ("x-y", "x__dash__y"),
        ("a.b/c", "a__dot__b__slash__c"),
        ("a__b", "a__underscores__b"),
        ("9a", None),
        ("é", None),
    ],
)
def test_properties_have_a_name_that_can_be_written(name: str, field: str | None):
    assert cel.field_name(name) == field


@given(st.text(st.sampled_from("ab.?()[]{}'\",:+-&|!=<> 01xmapl"), max_size=40))
def test_any_text_gives_a_value_or_a_cel_error(expression: str):
    with contextlib.suppress(cel.CELError):
        cel.compile(expression).evaluate({"a": {"b": [1]}, "x": "y"})


@pytest.mark.skipif(not VECTORS.exists(), reason="the contract is not beside the repository")
def test_expressions_of_the_contract_are_taken_or_refused_as_upstream_does():
    vectors = json.loads(VECTORS.read_text())
    case = vectors["commitStatusID"]
    bindings = {
        "event": vectors["notifierRequests"]["events"]["info"],
        "provider": {"metadata": {"name": case["provider"], "uid": case["default"]["providerUID"]}},
        "alert": {"metadata": {"name": case["alert"]}},
    }
    for expected in case["expressions"]:
        try:
            found = cel.compile(expected["expr"], variables=bindings, result="string").evaluate(bindings)
        except cel.CELError as error:
            found = f"failed to compile expression: {error}"
        assert found == expected.get("value", expected.get("error")), expected
