"""Names, quantities, schedules and Go's values: the small rules that built-in kinds share."""

from __future__ import annotations

import pytest

from kubeapi import quantity
from kubeapi.validation import causes, fields, names
from kubeapi.validation.kinds import cron


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        (names.label, ["a", "a-1", "1"], ["", "A", "-a", "a.b", "a" * 64]),
        (names.label_1035, ["a", "a-1"], ["1a", "A", "", "a" * 64]),
        (names.subdomain, ["a.b", "1.2"], ["", "A", "a..b", "a" * 254]),
        (names.wildcard, ["*.a.b"], ["*", "a.b", "*a.b", "a.*.b"]),
        (names.qualified, ["a", "a.b/C_d", "example.com/x"], ["", "a/", "/a", "a/b/c", "A.b/c", "a b", "x" * 64]),
        (names.label_value, ["", "a", "A.b_c"], ["a b", "-a", "a" * 64]),
        (names.config_key, ["a", ".env", "A_b.c"], ["", "a b", ".", "..", "..a", "a" * 254]),
        (names.port_name, ["http", "a-1"], ["", "HTTP", "1", "a--b", "-a", "a" * 16]),
        (names.path_segment, ["a:b", "A b"], [".", "..", "a/b", "a%b"]),
        (names.environment_variable, ["A", "a b", "1"], ["", "a=b", "ä"]),
        (names.identifier, ["_a1"], ["1a", ""]),
    ],
)
def test_a_rule_takes_what_it_should(rule, good, bad):
    assert [text for text in good if rule(text)] == []
    assert [text for text in bad if not rule(text)] == []


def test_a_generated_name_may_end_in_a_dash():
    assert names.of_prefix(names.subdomain, "app-") == ()
    assert names.of_prefix(names.subdomain, "App-") != ()
    assert names.of_prefix(names.path_segment, "a:") == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.5", "500m"),
        ("1000m", "1"),
        ("1024Mi", "1Gi"),
        ("1.5Gi", "1536Mi"),
        ("1e3", "1e3"),
        ("1E", "1E"),
        ("100k", "100k"),
        ("-0", "0"),
        ("0.0000000001", "1n"),
        ("1000000", "1M"),
        ("1Ki", "1Ki"),
        ("0.5Ki", "512"),
        (".5", "500m"),
        ("5.", "5"),
    ],
)
def test_a_quantity_has_one_spelling(text, expected):
    assert quantity.canonical(text) == expected


@pytest.mark.parametrize("text", ["", "abc", "1x", "1 Gi", "--1", "1Kii", "1e", "."])
def test_what_is_no_quantity_is_refused(text):
    with pytest.raises(quantity.QuantityError):
        quantity.parse(text)


@pytest.mark.parametrize(
    ("schedule", "problem"),
    [
        ("*/5 * * * *", ""),
        ("0 9-17 1,15 jan-mar MON-FRI", ""),
        ("@daily", ""),
        ("@every 1h", ""),
        ("@never", "unrecognized descriptor: @never"),
        ("* * * *", "expected exactly 5 fields, found 4: [* * * *]"),
        ("60 * * * *", "end of range (60) above maximum (59): 60"),
        ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
        ("5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1"),
        ("*/0 * * * *", "step of range should be a positive number: */0"),
        ("x * * * *", 'failed to parse int from x: strconv.Atoi: parsing "x": invalid syntax'),
    ],
)
def test_a_schedule_is_one_or_says_why_not(schedule, problem):
    assert cron.problem(schedule) == problem


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ('a"b\\c\n', '"a\\"b\\\\c\\n"'),
        (True, "true"),
        (3, "3"),
        (1.0, "1"),
        (0.1, "0.1"),
        (1e21, "1e+21"),
        (None, "null"),
        ({"b": "<", "a": 1}, '{"a":1,"b":"\\u003c"}'),
        (causes.Ordered(b=1, a=2), '{"b":1,"a":2}'),
    ],
)
def test_a_bad_value_is_shown_as_go_shows_it(value, shown):
    assert causes.show(value) == shown


@pytest.mark.parametrize(
    ("selector", "labels", "expected"),
    [
        ({}, {}, True),
        ({"matchLabels": {"a": "b"}}, {"a": "b", "c": "d"}, True),
        ({"matchLabels": {"a": "b"}}, {}, False),
        ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["x", "y"]}]}, {"a": "y"}, True),
        ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["x"]}]}, {}, True),
        ({"matchExpressions": [{"key": "a", "operator": "Exists"}]}, {}, False),
        ({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}, {"a": "x"}, False),
    ],
)
def test_a_selector_selects(selector, labels, expected):
    assert fields.matches(selector, labels) is expected
