"""Schedules of CronJobs: whether a text is one, and what is wrong with it otherwise."""

from __future__ import annotations

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS = ((0, 59, ()), (0, 23, ()), (1, 31, ()), (1, 12, _MONTHS), (0, 6, _DAYS))
_DESCRIPTORS = frozenset({"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"})


class _Problem(ValueError):
    pass


def problem(schedule: str) -> str:
    """What is wrong with a schedule; "" when nothing is."""
    text = schedule
    if text.startswith(("TZ=", "CRON_TZ=")):
        text = text.partition(" ")[2].strip()
    try:
        if text.startswith("@"):
            _check_descriptor(text)
        else:
            _check_fields(text)
    except _Problem as found:
        return str(found)
    return ""


def _check_descriptor(text: str) -> None:
    if text in _DESCRIPTORS:
        return
    if text.startswith("@every "):
        from shared.api.meta import parse_duration

        try:
            parse_duration(text.removeprefix("@every "))
        except ValueError as error:
            raise _Problem(f"failed to parse duration {text}: {error}") from None
        return
    raise _Problem(f"unrecognized descriptor: {text}")


def _check_fields(text: str) -> None:
    parts = text.split()
    if len(parts) != len(_FIELDS):
        raise _Problem(f"expected exactly {len(_FIELDS)} fields, found {len(parts)}: [{' '.join(parts)}]")
    for part, (low, high, words) in zip(parts, _FIELDS, strict=True):
        for one in part.split(","):
            _check_range(one, low, high, words)


def _check_range(text: str, low: int, high: int, words: tuple[str, ...]) -> None:
    span, slash, step = text.partition("/")
    first, dash, last = span.partition("-")
    if first in ("*", "?"):
        start, end = low, high
    else:
        start = _number(first, words, low)
        if "-" in last:
            raise _Problem(f"too many hyphens: {text}")
        end = _number(last, words, low) if dash else (high if slash else start)
    if "/" in step:
        raise _Problem(f"too many slashes: {text}")
    size = _number(step, (), low) if slash else 1
    if start < low:
        raise _Problem(f"beginning of range ({start}) below minimum ({low}): {text}")
    if end > high:
        raise _Problem(f"end of range ({end}) above maximum ({high}): {text}")
    if start > end:
        raise _Problem(f"beginning of range ({start}) beyond end of range ({end}): {text}")
    if size == 0:
        raise _Problem(f"step of range should be a positive number: {text}")


def _number(text: str, words: tuple[str, ...], low: int) -> int:
    if text.lower() in words:
        return words.index(text.lower()) + low
    try:
        value = int(text) if text.isascii() else -1
    except ValueError:
        raise _Problem(f'failed to parse int from {text}: strconv.Atoi: parsing "{text}": invalid syntax') from None
    if value < 0:
        raise _Problem(f"negative number ({value}) not allowed: {text}")
    return value
