"""Command line flags as upstream's controllers take them: `--name=value` or `--name value`, booleans bare or `=false`.

A flag is written once as data; the common ones stand here, a controller adds its own. Values are checked when parsed:
durations in Go's syntax become seconds, selectors and maps are read, and a wrong one ends with a message that names
the flag. A flag that is accepted but not built says so in the log when someone sets it.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from shared.api.meta import parse_duration


@dataclass(frozen=True)
class Flag:
    """One flag: its name without dashes, its kind, default and help."""

    name: str
    kind: str
    """bool, int, float, string, strings (comma separated), stringArray (repeatable), duration, gates (K=true,…)."""
    default: Any
    help: str
    choices: tuple[str, ...] = ()
    environment: str = ""
    """The variable that gives the default, if set."""
    built: bool = True
    """False: accepted for compatibility, but setting it has no effect, which the log says."""


@dataclass(frozen=True)
class Gate:
    """A feature that `--feature-gates` turns on or off."""

    name: str
    default: bool
    help: str
    built: bool = True
    """False: accepted for compatibility, but setting it has no effect, which the log says."""


COMMON: tuple[Flag, ...] = (
    Flag(
        "concurrent", "int", 4, "How many objects of a kind are worked on at the same time; waiting ones don't count."
    ),
    Flag("enable-leader-election", "bool", False, "Work only while holding the lease, so that replicas take turns."),
    Flag("leader-election-lease-duration", "duration", "35s", "How long a lease that isn't renewed keeps others out."),
    Flag("leader-election-renew-deadline", "duration", "30s", "How long to try to renew the lease before giving up."),
    Flag("leader-election-retry-period", "duration", "5s", "How often to try to get or renew the lease."),
    Flag("leader-election-release-on-cancel", "bool", True, "Give the lease back on shutdown, for a fast hand-over."),
    Flag(
        "events-addr",
        "string",
        "",
        "Where the notification controller takes events; empty for Kubernetes Events only.",
        environment="EVENTS_ADDR",
    ),
    Flag("feature-gates", "gates", "", "Features to turn on or off, as NAME=true,NAME=false."),
    Flag("health-addr", "string", ":9440", "The address of /healthz and /readyz."),
    Flag("metrics-addr", "string", ":8080", "The address of /metrics.", environment="METRICS_ADDR"),
    Flag("interval-jitter-percentage", "int", 5, "By how much intervals vary, in percent, so that objects spread out."),
    Flag("kube-api-qps", "float", 50.0, "Requests to the Kubernetes API per second, in the long run; -1 for no limit."),
    Flag("kube-api-burst", "int", 300, "Requests to the Kubernetes API that may be sent at once."),
    Flag("log-encoding", "string", "json", "How to write logs.", choices=("json", "console")),
    Flag("log-level", "string", "info", "What to log.", choices=("trace", "debug", "info", "error")),
    Flag("min-retry-delay", "duration", "750ms", "The wait after a first failure; it doubles with each further one."),
    Flag("max-retry-delay", "duration", "15m", "The longest wait between retries."),
    Flag("requeue-dependency", "duration", "30s", "When to look again at a dependency, should its change be missed."),
    Flag("token-cache-max-size", "int", 100, "How many cloud tokens are cached.", built=False),
    Flag("token-cache-max-duration", "duration", "1h", "How long a cloud token is cached.", built=False),
    Flag("watch-all-namespaces", "bool", True, "Watch every namespace; otherwise only the one in RUNTIME_NAMESPACE."),
    Flag(
        "watch-label-selector",
        "string",
        "",
        "Watch only objects with these labels, to share the work among replicas: sharding.fluxcd.io/key=shard1",
    ),
    Flag(
        "watch-configs-label-selector",
        "string",
        "reconcile.fluxcd.io/watch=Enabled",
        "The ConfigMaps and Secrets whose change reconciles what refers to them at once.",
    ),
    Flag(
        "kubeconfig",
        "string",
        "",
        "The kubeconfig file; else $KUBECONFIG, the cluster the process runs in, or ~/.kube/config.",
    ),
    Flag("kube-context", "string", "", "The context of the kubeconfig to use."),
)


def parse(
    program: str,
    description: str,
    flags: Sequence[Flag],
    arguments: Sequence[str] | None = None,
    *,
    gates: Sequence[Gate] = (),
) -> argparse.Namespace:
    """The options from a command line; `flags` override common ones, `gates` are the features there are. Exits with 2
    when one is wrong."""
    merged = {flag.name: flag for flag in (*COMMON, *flags)}
    parser = argparse.ArgumentParser(
        prog=program,
        description=description,
        epilog=_about(gates),
        allow_abbrev=False,
        formatter_class=_Help,
    )
    for flag in sorted(merged.values(), key=lambda item: item.name):
        _add(parser, flag)
    options = parser.parse_args(arguments)
    if not 0 <= options.interval_jitter_percentage < 100:
        parser.error(f"--interval-jitter-percentage: {options.interval_jitter_percentage} is not from 0 to 99")
    known = {gate.name: gate for gate in gates}
    for name in options.feature_gates:
        if name not in known:
            parser.error(f"--feature-gates: there is no {name!r}; there are {', '.join(sorted(known)) or 'none'}")
    chosen = {gate.name: options.feature_gates.get(gate.name, gate.default) for gate in gates}
    options.unbuilt = [
        flag.name
        for flag in merged.values()
        if not flag.built and getattr(options, _name(flag)) != _convert(flag)(flag.default)
    ]
    options.unbuilt += [
        f"feature-gates={gate.name}" for gate in gates if not gate.built and chosen[gate.name] != gate.default
    ]
    options.feature_gates = chosen
    options.runtime_namespace = os.environ.get("RUNTIME_NAMESPACE") or "flux-system"
    return options


def _about(gates: Sequence[Gate]) -> str:
    lines = [
        f"  {gate.name}={str(gate.default).lower()}: {gate.help}"
        + ("" if gate.built else " Accepted for compatibility; it has no effect yet.")
        for gate in gates
    ]
    return "\n".join(["feature gates and their defaults:", *lines]) if gates else ""


class _Help(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=36, width=110)


def _name(flag: Flag) -> str:
    return flag.name.replace("-", "_")


def _add(parser: argparse.ArgumentParser, flag: Flag) -> None:
    default = os.environ.get(flag.environment) if flag.environment else None
    text = flag.help.replace("%", "%%")
    if flag.default not in ("", None, (), []):
        shown = str(flag.default).lower() if flag.kind == "bool" else flag.default
        text += f" (default {shown})"
    if flag.environment:
        text += f" [${flag.environment}]"
    if not flag.built:
        text += " Accepted for compatibility; it has no effect yet."
    convert = _convert(flag)
    keywords: dict[str, Any] = {
        "dest": _name(flag),
        "help": text,
        "type": _named(convert, flag.kind),
        "default": convert(default if default is not None else flag.default),
    }
    if flag.kind == "bool":
        keywords |= {"nargs": "?", "const": True, "metavar": "BOOL"}
    elif flag.kind == "stringArray":
        keywords |= {"action": "append", "default": list(flag.default), "type": str, "metavar": "VALUE"}
    elif flag.choices:
        keywords |= {"choices": flag.choices}
    else:
        keywords |= {"metavar": {"strings": "A,B,…", "gates": "NAME=BOOL,…"}.get(flag.kind, flag.kind.upper())}
    parser.add_argument(f"--{flag.name}", **keywords)


def _convert(flag: Flag) -> Callable[[Any], Any]:
    converters: dict[str, Callable[[Any], Any]] = {
        "bool": _bool,
        "int": int,
        "float": float,
        "string": str,
        "strings": lambda text: [part for part in text.split(",") if part] if isinstance(text, str) else list(text),
        "stringArray": lambda values: list(values),
        "duration": lambda text: parse_duration(text) if isinstance(text, str) else float(text),
        "gates": _gates,
    }
    return converters[flag.kind]


def _named(convert: Callable[[Any], Any], kind: str) -> Callable[[Any], Any]:
    """argparse names the converter in its message."""

    def converted(text: Any) -> Any:
        return convert(text)

    converted.__name__ = kind
    return converted


def _bool(text: Any) -> bool:
    if isinstance(text, bool):
        return text
    if text.lower() in ("true", "t", "1"):
        return True
    if text.lower() in ("false", "f", "0"):
        return False
    raise ValueError(f"{text!r} is neither true nor false")


def _gates(text: Any) -> dict[str, bool]:
    if isinstance(text, dict):
        return text
    gates = {}
    for part in filter(None, str(text).split(",")):
        name, _, value = part.partition("=")
        gates[name.strip()] = _bool(value or "true")
    return gates
