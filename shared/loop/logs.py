"""Logs that `flux logs` can read: one JSON object a line, with the keys of upstream's controllers.

Messages and exceptions are the only free text; nothing here prints an object's content. `--log-encoding=console` writes
the same for people.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from collections.abc import Mapping, MutableMapping
from typing import Any

import orjson

from shared.api.meta import Resource, format_time
from shared.text.plain import plain

TRACE = 5
LEVELS = {"trace": TRACE, "debug": logging.DEBUG, "info": logging.INFO, "error": logging.ERROR}


class ObjectLog(logging.LoggerAdapter[logging.Logger]):
    """A log whose lines say which object they are about."""

    def __init__(self, logger: logging.Logger, controller: str, obj: Resource) -> None:
        resource, meta = type(obj).resource, obj.metadata
        about = {"name": meta.name, "namespace": meta.namespace}
        super().__init__(
            logger,
            {
                "controller": resource.kind.lower(),
                "controllerGroup": resource.group,
                "controllerKind": resource.kind,
                resource.kind: about,
                **about,
            },
        )

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Attach the object to the record, and what the caller gives as `extra`."""
        kwargs["extra"] = {"about": self.extra, "given": kwargs.get("extra")}
        return msg, kwargs


class JsonFormatter(logging.Formatter):
    """One JSON object a line: level, ts, msg, error, logger, the object's keys, and those that were given."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON."""
        entry: dict[str, Any] = {
            "level": _level(record.levelno),
            "ts": _stamp(record.created),
            "logger": record.name,
            "msg": record.getMessage(),
        }
        entry |= getattr(record, "about", None) or {}
        entry |= getattr(record, "given", None) or {}
        if record.exc_info and record.exc_info[1] is not None:
            entry["error"] = str(record.exc_info[1])
            entry["stacktrace"] = "".join(traceback.format_exception(record.exc_info[1]))
        return _json(entry)


class ConsoleFormatter(logging.Formatter):
    """The same for people."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line, and the traceback if there is one."""
        about: Mapping[str, Any] = getattr(record, "about", None) or {}
        where = f" {about['controllerKind']}/{about['namespace']}/{about['name']}:" if about else ""
        line = f"{_stamp(record.created)} {_level(record.levelno).upper():5}{where} {record.getMessage()}"
        if given := getattr(record, "given", None):
            line += f" {_json(given)}"
        if record.exc_info and record.exc_info[1] is not None:
            line += "\n" + "".join(traceback.format_exception(record.exc_info[1])).rstrip()
        return plain(line)


def _json(entry: Mapping[str, Any]) -> str:
    try:
        return orjson.dumps(entry, default=str).decode()
    except TypeError:  # of a text that no UTF-8 can hold, such as a file name in another encoding
        return json.dumps(entry, default=str)


def configure(level: str, encoding: str) -> None:
    """Send all logs to standard error at `level` (trace, debug, info, error) as `encoding` (json, console)."""
    logging.addLevelName(TRACE, "TRACE")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if encoding == "json" else ConsoleFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(LEVELS[level])
    for name in ("aiohttp.access", "asyncio", "git", "gnupg"):
        logging.getLogger(name).setLevel(max(logging.WARNING, LEVELS[level]))


def _level(number: int) -> str:
    if number >= logging.ERROR:
        return "error"
    if number >= logging.INFO:
        return "info"
    return "debug" if number >= logging.DEBUG else "trace"


def _stamp(created: float) -> str:
    return f"{format_time(created)[:-1]}.{int(created * 1000) % 1000:03d}Z"
