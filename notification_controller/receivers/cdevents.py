"""CDEvents: is a body an event of the specification's version 0.4.1? Pure.

    JSON → context, subject and content as the table below wants them, or ValueError

Fields that the specification doesn't know are skipped, an empty optional text counts as absent, and a missing time is
no error: what upstream's library accepts, we do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from notification_controller.receivers.webhook import json_value, shown
from shared.api.meta import parse_time

_TYPE = re.compile(r"dev\.cdevents\.([a-z]+\.[a-z]+)\.(.+)")
_CUSTOM = re.compile(r"dev\.cdeventsx\.[a-z]+-[a-z]+\.[a-z]+\.[0-9]\.[0-9]\.[0-9]")
_PURL = re.compile(r"pkg:/*[A-Za-z][A-Za-z0-9.+-]*/[^?#]+.*")

Check = Callable[[str, Any], object]
"""Raises ValueError, which names the path, when a value that is there is wrong."""


def require_valid(body: bytes) -> None:
    """ValueError names what is wrong, by its path."""
    event = _object("the body", json_value(body, whole=True))
    context = _object("context", event.get("context"))
    type_ = _text("context.type", context.get("type"))
    for name in ("version", "id"):
        _filled(f"context.{name}", context.get(name))
    _reference("context.source", context.get("source"), _filled)
    _optional("context.chainId", context.get("chainId"), _text)
    _optional("context.timestamp", context.get("timestamp"), _time)
    _optional("context.links", context.get("links"), _links)
    if context.get("schemaUri"):
        raise ValueError("context.schemaUri: there is no schema of one's own here")
    subject = _object("subject", event.get("subject"))
    _filled("subject.id", subject.get("id"))
    _optional("subject.source", subject.get("source"), _reference)
    _subject(type_, subject)
    if "customData" in event and not isinstance(event["customData"], dict | str | None):
        raise ValueError("customData: neither an object nor a text")
    _optional("customDataContentType", event.get("customDataContentType"), _text)


def _subject(type_: str, subject: Mapping[str, Any]) -> None:
    """Is it what an event of this type is about?"""
    if _CUSTOM.fullmatch(type_):
        _filled("subject.type", subject.get("type"))
        _object("subject.content", subject.get("content"))
        return
    match = _TYPE.fullmatch(type_)
    name, version = (match.group(1), match.group(2)) if match else ("", "")
    if name not in _EVENTS:
        raise ValueError(f"context.type: {shown(type_)!r} is no event of the specification")
    wanted, fields = _EVENTS[name]
    if version != wanted:
        raise ValueError(f"context.type: {name} is known in version {wanted}, not {shown(version)!r}")
    kind = name.partition(".")[0]
    if _text("subject.type", subject.get("type")) != _SUBJECTS.get(kind, kind):
        raise ValueError(f"subject.type: not what {name} is about")
    content = subject.get("content")
    _fields("subject.content", {} if content is None else content, fields)


# Checks of one value


def _object(path: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{path}: not an object")
    return value


def _text(path: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{path}: not a text")
    return value


def _filled(path: str, value: Any) -> None:
    if not _text(path, value):
        raise ValueError(f"{path}: empty")


def _reference(path: str, value: Any, check: Check = _text) -> None:
    check(path, value)
    try:
        urlsplit(value)
    except ValueError as error:
        raise ValueError(f"{path}: no reference") from error


def _time(path: str, value: Any) -> None:
    try:
        parse_time(_text(path, value))
    except ValueError as error:
        raise ValueError(f"{path}: no time") from error


def _links(path: str, value: Any) -> None:
    for each in _list(path, value):
        link = _object(path, each)
        kind = link.get("linkType")
        if kind not in ("PATH", "END", "RELATION"):
            raise ValueError(f"{path}: a linkType that is not known")
        end = "target" if kind == "RELATION" else "from"
        target = _object(f"{path}.{end}", link.get(end))
        if kind == "RELATION":
            _filled(f"{path}.linkKind", link.get("linkKind"))
        else:
            _filled(f"{path}.{end}.contextId", target.get("contextId"))


def _list(path: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{path}: not a list")
    return value


def _texts(path: str, value: Any) -> None:
    for each in _list(path, value):
        _text(path, each)


def _purl(path: str, value: Any) -> None:
    if not _PURL.fullmatch(_text(path, value)):
        raise ValueError(f"{path}: no package URL")


def _one_of(*values: str) -> Check:
    def check(path: str, value: Any) -> None:
        if _text(path, value) not in values:
            raise ValueError(f"{path}: none of {', '.join(values)}")

    return check


def _optional(path: str, value: Any, check: Check) -> None:
    if value is not None and value != "":
        check(path, value)


def _fields(path: str, value: Any, fields: Mapping[str, Check]) -> None:
    """Fields of an object; one whose name ends in ! must be there."""
    found = _object(path, value)
    for name, check in fields.items():
        field, required = name.removesuffix("!"), name.endswith("!")
        here = f"{path}.{field}"
        if required:
            check(here, found.get(field))
        else:
            _optional(here, found.get(field), check)


def _with(fields: Mapping[str, Check]) -> Check:
    return lambda path, value: _fields(path, value, fields)


# What each event tells: its version, and the fields of its content

_REF = _with({"id!": _filled, "source": _reference})
_SBOM = _with({"uri!": _filled})
_OUTCOME = _one_of("pass", "fail", "cancel", "error")
_LEVEL = _one_of("low", "medium", "high", "critical")
_TRIGGER = _with({"type": _one_of("manual", "pipeline", "event", "schedule", "other"), "uri": _text})
_TEST_KINDS = ("performance", "functional", "unit", "security", "compliance", "integration", "e2e", "other")
_NAMED = {"id!": _filled, "version": _text, "name": _text, "uri": _text, "url": _text}
_CASE, _SUITE = _with({**_NAMED, "type": _one_of(*_TEST_KINDS)}), _with(_NAMED)
_REPOSITORY = {"repository": _REF}
_USER = {"user": _text}
_PLACE = {"name": _text, "url": _text}
_INCIDENT = {"description": _text, "environment!": _REF, "service": _REF, "artifactId": _purl}
_RUN = {"pipelineName": _text, "url": _text}
_TASK = {"taskName": _text, "url": _text, "pipelineRun": _REF}
_END = {"outcome": _text, "errors": _text}
_STORE = {"name": _text, "owner": _text, "url": _text, "viewUrl": _text}
_RELEASE = {"environment!": _REF, "artifactId!": _purl}
_SERVICE = {"environment": _REF}
_TEST_CASE = {"environment!": _REF, "testSuiteRun": _REF, "testCase": _CASE}
_TEST_SUITE = {"environment!": _REF, "testSuite": _SUITE}
_TEST_END = {"outcome!": _OUTCOME, "severity": _LEVEL, "reason": _text}
_TICKET = dict.fromkeys(("summary", "ticketType", "group", "creator", "priority", "milestone"), _text) | {
    "assignees": _texts,
    "labels": _texts,
    "uri!": _filled,
}
_SUBJECTS = {
    "pipelinerun": "pipelineRun",
    "taskrun": "taskRun",
    "testcaserun": "testCaseRun",
    "testsuiterun": "testSuiteRun",
    "testoutput": "testOutput",
}
"""Subjects that are written otherwise than in the event's type."""

_EVENTS: Mapping[str, tuple[str, Mapping[str, Check]]] = {
    "artifact.deleted": ("0.1.0", _USER),
    "artifact.downloaded": ("0.1.0", _USER),
    "artifact.packaged": ("0.2.0", {"change!": _REF, "sbom": _SBOM}),
    "artifact.published": ("0.2.0", {**_USER, "sbom": _SBOM}),
    "artifact.signed": ("0.2.0", {"signature!": _filled}),
    "branch.created": ("0.2.0", _REPOSITORY),
    "branch.deleted": ("0.2.0", _REPOSITORY),
    "build.finished": ("0.2.0", {"artifactId": _purl}),
    "build.queued": ("0.2.0", {}),
    "build.started": ("0.2.0", {}),
    "change.abandoned": ("0.2.0", _REPOSITORY),
    "change.created": ("0.3.0", {**_REPOSITORY, "description": _text}),
    "change.merged": ("0.2.0", _REPOSITORY),
    "change.reviewed": ("0.2.0", _REPOSITORY),
    "change.updated": ("0.2.0", _REPOSITORY),
    "environment.created": ("0.2.0", _PLACE),
    "environment.deleted": ("0.2.0", {"name": _text}),
    "environment.modified": ("0.2.0", _PLACE),
    "incident.detected": ("0.2.0", _INCIDENT),
    "incident.reported": ("0.2.0", {**_INCIDENT, "ticketURI!": _filled}),
    "incident.resolved": ("0.2.0", _INCIDENT),
    "pipelinerun.finished": ("0.2.0", {**_RUN, **_END}),
    "pipelinerun.queued": ("0.2.0", _RUN),
    "pipelinerun.started": ("0.2.0", _RUN),
    "repository.created": ("0.2.0", {**_STORE, "name!": _filled, "url!": _filled}),
    "repository.deleted": ("0.2.0", _STORE),
    "repository.modified": ("0.2.0", _STORE),
    "service.deployed": ("0.2.0", _RELEASE),
    "service.published": ("0.2.0", _SERVICE),
    "service.removed": ("0.2.0", _SERVICE),
    "service.rolledback": ("0.2.0", _RELEASE),
    "service.upgraded": ("0.2.0", _RELEASE),
    "taskrun.finished": ("0.2.0", {**_TASK, **_END}),
    "taskrun.started": ("0.2.0", _TASK),
    "testcaserun.finished": ("0.2.0", {**_TEST_CASE, **_TEST_END}),
    "testcaserun.queued": ("0.2.0", {**_TEST_CASE, "trigger": _TRIGGER}),
    "testcaserun.skipped": ("0.1.0", {"reason": _text, "environment": _REF, "testSuiteRun": _REF, "testCase": _CASE}),
    "testcaserun.started": ("0.2.0", {**_TEST_CASE, "trigger": _TRIGGER}),
    "testoutput.published": (
        "0.2.0",
        {
            "outputType!": _one_of("report", "video", "image", "log", "other"),
            "format": _text,
            "uri": _text,
            "testCaseRun": _REF,
        },
    ),
    "testsuiterun.finished": ("0.2.0", {**_TEST_SUITE, **_TEST_END}),
    "testsuiterun.queued": ("0.2.0", {**_TEST_SUITE, "trigger": _TRIGGER}),
    "testsuiterun.started": ("0.2.0", {**_TEST_SUITE, "trigger": _TRIGGER}),
    "ticket.closed": ("0.1.0", {**_TICKET, "resolution!": _filled, "updatedBy": _text}),
    "ticket.created": ("0.1.0", {**_TICKET, "creator!": _filled}),
    "ticket.updated": ("0.1.0", {**_TICKET, "updatedBy": _text}),
}
