"""The order of keys in emitted YAML: as people count, so that `port9` stands before `port10`."""

from __future__ import annotations

from functools import cmp_to_key

_DIGITS = frozenset("0123456789")
_INT64 = 2**64


class _Lift(dict[int, int]):
    """A translation that puts every letter behind every other character and keeps the order within both."""

    def __missing__(self, code: int) -> int:
        lifted = code + 0x80000 if code < 0x80000 and chr(code).isalpha() else code
        self[code] = lifted
        return lifted


_LIFT = _Lift()


def ordered(keys: tuple[str, ...]) -> list[str]:
    """The keys in the order in which they are written."""
    if len(keys) < 2:
        return list(keys)
    together = "".join(keys)
    if together.isascii() and together.isalpha():
        return sorted(keys)
    if not any(not c.isascii() and c.isdecimal() for c in together) and _DIGITS.isdisjoint(together):
        return sorted(keys, key=lambda key: key.translate(_LIFT))
    return sorted(keys, key=cmp_to_key(compare))


def compare(a: str, b: str) -> int:
    """Below zero when a stands before b. Punctuation, digits, letters; runs of digits by their value."""
    shared = min(len(a), len(b))
    at = 0
    while at < shared and a[at] == b[at]:
        at += 1
    if at == shared:
        return len(a) - len(b)
    letter_a, letter_b = a[at].isalpha(), b[at].isalpha()
    if letter_a and letter_b:
        return -1 if a[at] < b[at] else 1
    if letter_a or letter_b:
        return -1 if letter_b else 1
    start = 0
    if a[at] == "0" or b[at] == "0":
        back = at - 1
        while back >= 0 and a[back].isdecimal():
            if a[back] != "0":
                start = 1  # the zero continues a number instead of leading one
                break
            back -= 1
    value_a, end_a = _run(a, at, start)
    value_b, end_b = _run(b, at, start)
    if value_a != value_b:
        return -1 if value_a < value_b else 1
    if end_a != end_b:
        return -1 if end_a < end_b else 1
    return -1 if a[at] < b[at] else 1


def _run(text: str, at: int, value: int) -> tuple[int, int]:
    while at < len(text) and text[at].isdecimal():
        value = (value * 10 + ord(text[at]) - 48) % _INT64
        at += 1
    return (value - _INT64 if value >= _INT64 // 2 else value), at
