"""Durations and times as Go and RFC 3339 write them."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.api.meta import format_duration, format_time, parse_duration, parse_time


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("-0", 0),
        ("+0", 0),
        ("0s", 0),
        ("5s", 5),
        ("+5s", 5),
        ("-5s", -5),
        ("1m0s", 60),
        ("1h30m", 5400),
        ("1h", 3600),
        ("1.5s", 1.5),
        (".5s", 0.5),
        ("5.s", 5),
        ("1.004s", 1.004),
        ("250ms", 0.25),
        ("12µs", 12e-6),
        ("12μs", 12e-6),
        ("12us", 12e-6),
        ("14ns", 14e-9),
        ("-2m3.4s", -123.4),
        ("1h2m3s4ms5us6ns", 3723.004005006),
        ("39h9m14.425s", 140954.425),
        ("1s1s", 2),
        ("0.3333333333333333333h", 1200),
        ("9223372036.854775807s", 9223372036.854775807),
        ("-9223372036.854775808s", -9223372036.854775808),
    ],
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds, abs=1e-9, rel=1e-15)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "a number and a unit"),
        ("-", "a number and a unit"),
        ("3", "a unit is missing"),
        ("1m3", "a unit is missing"),
        ("s", "a number is missing"),
        (".", "a number is missing"),
        ("-.", "a number is missing"),
        (".s", "a number is missing"),
        ("+.s", "a number is missing"),
        ("1d", "unknown unit 'd'"),
        ("1 s", "unknown unit ' s'"),
        ("1S", "unknown unit 'S'"),
        ("1m-3s", "unknown unit 'm-'"),
        (" 1s", "a number is missing"),
        ("1s ", "unknown unit 's '"),
        ("\u0661s", "a number is missing"),
        ("300000000h", "longer than 292 years"),
        ("9223372036.854775808s", "longer than 292 years"),
        ("9" * 5000 + "s", "a number and a unit"),
    ],
)
def test_what_is_no_duration_says_why(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match="invalid duration") as caught:
        parse_duration(text)
    assert problem in str(caught.value)
    assert len(str(caught.value)) < 2200


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (1e-9, "1ns"),
        (1.1e-6, "1.1µs"),
        (0.0022, "2.2ms"),
        (0.25, "250ms"),
        (1.5, "1.5s"),
        (3.3, "3.3s"),
        (60, "1m0s"),
        (245, "4m5s"),
        (245.001, "4m5.001s"),
        (5400, "1h30m0s"),
        (18367.001, "5h6m7.001s"),
        (480.000000001, "8m0.000000001s"),
        (360000, "100h0m0s"),
        (-0.25, "-250ms"),
        (-90, "-1m30s"),
        (1.0000000004, "1s"),
    ],
)
def test_a_duration_is_written_as_go_does(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.integers(-(2**50), 2**50))
def test_a_written_duration_reads_as_the_same_nanoseconds(nanoseconds: int) -> None:
    assert round(parse_duration(format_duration(nanoseconds / 1e9)) * 1e9) == nanoseconds


@given(st.text(max_size=20))
def test_any_text_is_a_duration_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert abs(parse_duration(text)) <= 2**63 / 1e9


@pytest.mark.parametrize("seconds", [float("inf"), float("nan")])
def test_no_duration_is_endless(seconds: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        format_duration(seconds)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-31T12:00:00Z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-01-31t12:00:00z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-01-31T12:00:00.5Z", datetime(2026, 1, 31, 12, 0, 0, 500000, tzinfo=UTC)),
        ("2026-01-31T12:00:00.123456789Z", datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=UTC)),
        ("2026-01-31T12:00:00+02:00", datetime(2026, 1, 31, 10, tzinfo=UTC)),
    ],
)
def test_a_time_is_read(text: str, moment: datetime) -> None:
    assert parse_time(text) == moment


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2026-01-31",
        "2026-01-31 12:00:00Z",
        "2026-01-31T12:00:00",
        "2026-02-30T12:00:00Z",
        "20260131T120000Z",
    ],
)
def test_what_is_no_time_says_so(text: str) -> None:
    with pytest.raises(ValueError, match="invalid time"):
        parse_time(text)


def test_a_time_is_written_in_utc_and_whole_seconds() -> None:
    east = timezone(timedelta(hours=2))
    assert format_time(datetime(2026, 1, 31, 12, 0, 0, 999999, tzinfo=east)) == "2026-01-31T10:00:00Z"
    assert format_time(0) == "1970-01-01T00:00:00Z"
    assert format_time(1.999) == "1970-01-01T00:00:01Z"
    assert format_time(datetime(1, 1, 1, tzinfo=UTC)) == "0001-01-01T00:00:00Z"
    with pytest.raises(ValueError, match="aware"):
        format_time(datetime(2026, 1, 31))


@given(st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)))
def test_a_written_time_reads_as_the_same_second(moment: datetime) -> None:
    aware = moment.replace(tzinfo=UTC)
    assert parse_time(format_time(aware)) == aware.replace(microsecond=0)
