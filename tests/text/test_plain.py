"""Texts that no UTF-8 can hold become ones that can be told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.text.plain import plain


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("app.yaml", "app.yaml"),
        ("café 🎉", "café 🎉"),
        (b"caf\xe9.yaml".decode(errors="surrogateescape"), r"caf\xe9.yaml"),
        ("\ud83d alone", r"\ud83d alone"),
        ("\udfff", r"\udfff"),
    ],
)
def test_what_can_be_told_is_kept_and_the_rest_is_spelled_out(text: str, told: str) -> None:
    assert plain(text) == told


@given(st.text(st.characters(exclude_categories=())))
def test_every_text_can_be_encoded(text: str) -> None:
    assert plain(text).encode().decode() == plain(plain(text))
