"""How long ago something was, as `kubectl get` says it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from kubeapi.clock import parse


def since(moment: Any, now: datetime) -> str:
    """How long ago a timestamp was, as a human reads it."""
    if not moment:
        return "<unknown>"
    try:
        return duration((now - parse(str(moment))).total_seconds())
    except ValueError:
        return "<invalid>"


def between(start: Any, end: Any) -> str:
    """How long it was from one timestamp to another."""
    try:
        return duration((parse(str(end)) - parse(str(start))).total_seconds())
    except ValueError:
        return "<invalid>"


def duration(seconds: float) -> str:
    """5s, 4m30s, 2h15m, 3d4h, 2y10d: at most two units, the second one only while it matters."""
    total = int(seconds)
    if total < -1:
        return "<invalid>"
    if total < 0:
        return "0s"
    if total < 120:
        return f"{total}s"
    minutes = total // 60
    if minutes < 10:
        rest = total % 60
        return f"{minutes}m{rest}s" if rest else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    hours = minutes // 60
    if hours < 8:
        rest = minutes % 60
        return f"{hours}h{rest}m" if rest else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    if hours < 192:
        rest = hours % 24
        return f"{hours // 24}d{rest}h" if rest else f"{hours // 24}d"
    days = hours // 24
    if days < 730:
        return f"{days}d"
    if days < 8 * 365:
        rest = days % 365
        return f"{days // 365}y{rest}d" if rest else f"{days // 365}y"
    return f"{days // 365}y"
