"""Amounts of resources by name ("cpu": 500m), as quotas and limit ranges add and compare them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from kubeapi import quantity

Struct = Mapping[str, Any]
_OF_PODS = ("cpu", "memory", "ephemeral-storage")
"""What a pod's own resources (beside its containers') may say."""


@dataclass(frozen=True, slots=True)
class Amount:
    """One quantity and how it is written."""

    value: Fraction
    format: str = "decimal"

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.value + other.value, self.format if self.value else other.format)

    def __sub__(self, other: Amount) -> Amount:
        return Amount(self.value - other.value, self.format if self.value else other.format)

    def __str__(self) -> str:
        return quantity.render(self.value, self.format)


Amounts = dict[str, Amount]
NONE = Amount(Fraction(0))


def count(number: int = 1) -> Amount:
    return Amount(Fraction(number))


def read(given: Struct | None) -> Amounts:
    """A resource list of an object."""
    found: Amounts = {}
    for name, text in (given or {}).items():
        try:
            found[name] = Amount(*quantity.parse(str(text)))
        except quantity.QuantityError:
            continue  # validation has refused it, or will
    return found


def shown(amounts: Mapping[str, Amount]) -> str:
    """As messages list them."""
    return ",".join(f"{name}={amounts[name]}" for name in sorted(amounts))


def added(*parts: Mapping[str, Amount]) -> Amounts:
    total: Amounts = {}
    for part in parts:
        for name, amount in part.items():
            total[name] = total[name] + amount if name in total else amount
    return total


def largest(one: Mapping[str, Amount], other: Mapping[str, Amount]) -> Amounts:
    found = dict(one)
    for name, amount in other.items():
        if name not in found or amount.value > found[name].value:
            found[name] = amount
    return found


def of_pod(spec: Struct, kind: str) -> Amounts:
    """What a pod asks for in all. kind: requests or limits.

    Its containers run together; the initial ones before them, each alone but for those that go on beside.
    """
    total = added(*(_of(one, kind) for one in spec.get("containers") or ()))
    beside: Amounts = {}
    first: Amounts = {}
    for one in spec.get("initContainers") or ():
        own = _of(one, kind)
        if one.get("restartPolicy") == "Always":
            total, beside = added(total, own), added(beside, own)
            own = beside
        else:
            own = added(own, beside)
        first = largest(first, own)
    total = largest(total, first)
    whole = read((spec.get("resources") or {}).get(kind))
    total |= {name: amount for name, amount in whole.items() if name in _OF_PODS or name.startswith("hugepages-")}
    overhead = read(spec.get("overhead"))
    return added(total, overhead) if kind == "requests" else _over(total, overhead)


def _over(limits: Amounts, overhead: Amounts) -> Amounts:
    """Limits with the pod's overhead: only where there is a limit."""
    return {name: amount + overhead[name] if name in overhead else amount for name, amount in limits.items()}


def _of(container: Struct, kind: str) -> Amounts:
    return read((container.get("resources") or {}).get(kind))


def containers(spec: Struct) -> Iterable[tuple[str, Struct]]:
    """A pod's containers, each with what messages call it."""
    for one in spec.get("containers") or ():
        yield "container", one
    for one in spec.get("initContainers") or ():
        yield "init container", one
