"""Formats of strings that are checked."""

from __future__ import annotations

import pytest

from kubeapi.crd import formats


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        (
            "date-time",
            ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.123+01:00"],
            ["2026-01-01", "yesterday", "2026-13-01T00:00:00Z"],
        ),
        ("date", ["2026-01-31"], ["2026-02-30", "2026-1-1", ""]),
        ("duration", ["1h30m", "0", "-1.5s", "3 days", "2 weeks"], ["", "1x", "h"]),
        ("ipv4", ["10.0.0.1"], ["10.0.0", "::1", "10.0.0.256"]),
        ("ipv6", ["::1"], ["10.0.0.1", "x"]),
        ("cidr", ["10.0.0.0/8", "::/0"], ["10.0.0.0", "10.0.0.0/33"]),
        ("uri", ["https://a.example/x", "/path"], ["", "relative", "http://a b"]),
        ("email", ["a@b.example"], ["a", "@b", ""]),
        ("hostname", ["a.example", "a"], ["-a", "a..b", ""]),
        ("mac", ["00:00:5e:00:53:01"], ["00:00", "x"]),
        ("uuid", ["f47ac10b-58cc-4372-a567-0e02b2c3d479", "F47AC10B58CC4372A5670E02B2C3D479"], ["f47ac10b"]),
        ("uuid4", ["f47ac10b-58cc-4372-a567-0e02b2c3d479"], ["f47ac10b-58cc-3372-a567-0e02b2c3d479"]),
        ("byte", ["YQ==", "YWI=", "YWJj"], ["YQ", "!", ""]),
        ("hexcolor", ["#fff", "aabbcc"], ["#ff", "red"]),
        ("rgbcolor", ["rgb(1, 2, 255)"], ["rgb(1,2,256)", "rgb(1,2)"]),
        ("isbn", ["0321751043", "978-0321751041"], ["0321751044", "x"]),
        ("creditcard", ["4111 1111 1111 1111"], ["4111 1111 1111 1112"]),
        ("ssn", ["111-22-3333"], ["1112"]),
        ("k8s-short-name", ["a-b"], ["A", "a.b"]),
        ("k8s-long-name", ["a.b"], ["A"]),
        ("password", ["anything", ""], []),
        ("bsonobjectid", ["507f1f77bcf86cd799439011"], ["507f"]),
    ],
)
def test_a_format_takes_what_it_should(name, good, bad):
    check = formats.CHECKS[formats.known(name, ("string",)).replace("-", "")]
    assert [text for text in good if not check(text)] == []
    assert [text for text in bad if check(text)] == []


@pytest.mark.parametrize(
    ("name", "types", "expected"),
    [
        ("date-time", ("string",), "date-time"),
        ("made-up", ("string",), ""),
        ("int32", ("integer",), "int32"),
        ("int32", ("string",), ""),
        ("double", ("number",), "double"),
        ("ipv4", ("array",), ""),
        ("", ("string",), ""),
    ],
)
def test_a_format_means_something_only_for_its_type(name, types, expected):
    assert formats.known(name, types) == expected
