"""A YAML text with some of its values changed, laid out anew but in its own style.

What passes through: YAML that stands as text inside of another document, such as a configuration file in a ConfigMap.
What always holds: keys keep their order, scalars their quotes, collections their form (block or flow), comments,
anchors and aliases their places; indentation is two spaces and lists stand below their key, as kustomize writes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from yaml import YAMLError as _LibraryError
from yaml._yaml import CParser
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from .dump import double_quoted, literal, scalar, single_quoted, style
from .errors import YAMLError
from .scalars import KYAML

_COMMENT = re.compile(r"(?:^|(?<=\s))#.*")
_MERGE = "<<"
_SPECIAL = re.compile(r"[^\n\x20-\x7e\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd]|[ ]\n|[ ]\Z|\A[ ]")
"""What single quotes do not hold."""


@dataclass(slots=True)
class _Node:
    """A value of the text as it stands there."""

    kind: str
    """scalar, alias, mapping or list."""
    text: str = ""
    """Of a scalar its content, of an alias its name."""
    style: str = ""
    """Of a scalar its quote or block sign; of a collection "flow" or nothing."""
    anchor: str = ""
    tag: str = ""
    items: list[tuple[_Node | None, _Node]] = field(default_factory=list)
    """Keys (None in lists) and values."""
    before: list[str] = field(default_factory=list)
    """The comment lines above it; an empty one is a blank line between or behind them."""
    comment: str = ""
    """The comment at the end of its line."""


def rewrite(text: str, old: Any, new: Any) -> str:
    """The text of `new`, in the style of `text`, whose value is `old`. Ends in a newline. YAMLError as of `load`."""
    try:
        reader = _Reader(text)
        root = reader.document()
    except _LibraryError as error:
        raise YAMLError(str(error).splitlines()[0]) from None
    writer = _Writer()
    if root is None:
        writer.added("", new, "", flow=False)
    else:
        writer.block("", root, old, new, "", above=root.before)
    return "".join(writer.lines(reader.behind))


class _Reader:
    """The first document of a text as nodes, with the comments between them."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.parser = CParser(text)
        self.end = 0
        self.last: _Node | None = None
        self.behind: list[str] = []

    def document(self) -> _Node | None:
        while True:
            event = self.parser.get_event()
            if isinstance(event, StreamEndEvent):
                return None
            if isinstance(event, DocumentStartEvent):
                break
        node = self.node(self.parser.get_event())
        self.behind = self.gap(len(self.text))
        return node

    def node(self, event: Any) -> _Node:
        mark: Any = event.start_mark
        before = self.gap(mark.index, mark.column)
        anchor, tag = event.anchor or "", getattr(event, "tag", None) or ""
        if isinstance(event, AliasEvent):
            node = _Node("alias", anchor, before=before)
        elif isinstance(event, ScalarEvent):
            sign = "" if event.implicit[0] else (event.style or "")
            node = _Node("scalar", event.value, sign, anchor, tag, before=before)
        else:
            is_map = isinstance(event, MappingStartEvent)
            form = "flow" if event.flow_style else ""
            node = _Node("mapping" if is_map else "list", "", form, anchor, tag, before=before)
            self.end = event.end_mark.index
            closing = self.children(node, is_map)
            if form:  # a block ends where the next token begins
                self.end = closing.end_mark.index
            self.last = node if form or not node.items else self.last
            return node
        self.end = event.end_mark.index
        if event.__class__ is ScalarEvent and event.style in ("|", ">"):
            self.end = mark.index + len(self.text[mark.index : self.end].rstrip())
        self.last = node
        return node

    def children(self, node: _Node, is_map: bool) -> Any:
        while True:
            event = self.parser.get_event()
            if not isinstance(event, ScalarEvent | AliasEvent | MappingStartEvent | SequenceStartEvent):
                return event
            key = self.node(event) if is_map else None
            node.items.append((key, self.node(self.parser.get_event() if is_map else event)))

    def gap(self, start: int, column: int = 0) -> list[str]:
        """The comments between the last node and `start`; what stands behind the last node on its line becomes its.

        Blank lines count at the top of the text and at its end only. Comments deeper than `column` get a space before.
        """
        between = self.text[self.end : start]
        if "#" not in between:
            return []
        lines = between.split("\n")
        edge = self.last is None or start == len(self.text)
        if self.last is not None:
            found = _COMMENT.search(" " + lines.pop(0))
            if found:
                self.last.comment = found[0].rstrip()
        comments: list[str] = []
        for line in lines:
            found = _COMMENT.search(line)
            if found:
                comments.append(" " * (found.start() > column) + found[0].rstrip())
            elif edge and not line.strip() and (comments or self.last is not None) and comments[-1:] != [""]:
                comments.append("")
        if not any(comments):
            return []
        if not comments[-1] and not _blank_behind(lines):
            comments.pop()
        return comments


def _blank_behind(lines: list[str]) -> bool:
    """Is there an empty line between the last comment and the node? The last of the lines is the node's own."""
    last = max(index for index, line in enumerate(lines) if "#" in line)
    return any(not line.strip() for line in lines[last + 1 : -1])


class _Writer:
    def __init__(self) -> None:
        self.out: list[str] = []
        self.latest = ""
        """The indentation of the latest entry."""

    def lines(self, behind: list[str]) -> Iterator[str]:
        yield from self.out
        yield from (f"{self.latest if comment[:1] == ' ' else ''}{comment.lstrip()}\n" for comment in behind)

    def line(self, text: str, comment: str = "") -> None:
        self.out.append(f"{text} {comment}\n" if comment else f"{text}\n")

    def comments(self, node: _Node, indent: str) -> None:
        for comment in node.before:
            at = self.latest if comment[:1] == " " else indent
            self.out.append(f"{at}{comment.lstrip()}\n" if comment else "\n")

    def block(self, head: str, node: _Node, old: Any, new: Any, indent: str, above: list[str] | None = None) -> None:
        """A value behind `head` ("key:", "-" or nothing), its further lines at `indent`."""
        if above:
            self.comments(node, indent)
        if node.kind == "alias":
            if old == new:
                self.line(f"{head} *{node.text}" if head else f"*{node.text}", node.comment)
            else:
                self.added(head, new, indent, flow=False)
            return
        marks = _marks(node)
        fits = (node.kind == "mapping" and isinstance(new, dict)) or (node.kind == "list" and isinstance(new, list))
        if node.kind == "scalar" and not isinstance(new, dict | list):
            begin = f"{head}{marks} " if head or marks else ""
            self.scalar(begin.lstrip(" ") if not head else begin, node, old, new, indent)
        elif not fits:
            self.added(head, new, indent, flow=False)
        elif node.style == "flow" or not node.items:
            begin = f"{head}{marks} " if head or marks else ""
            self.line(begin + self.flow(node, old, new, indent), node.comment)
        else:
            self.collection(head, node, old, new, indent, marks)

    def collection(self, head: str, node: _Node, old: Any, new: Any, indent: str, marks: str) -> None:
        """A block mapping or list. Behind a dash its first line stands on the dash's."""
        dash = head.endswith("-") and not marks
        if head and not dash:
            self.line(head + marks, node.comment)
            if not head.endswith("-"):
                self.comments(node, indent)
        elif marks:
            self.line(marks.lstrip())
        first = f"{head} " if dash else indent
        for child, key, was, now in _pairs(node, old, new):
            if child is None:
                self.added(first + (f"{_key(key)}:" if node.kind == "mapping" else "-"), now, indent, flow=False)
            elif key is None:
                self.comments(child, indent)
                self.latest = indent
                self.block(f"{first}-", child, was, now, indent + "  ")
            else:
                self.above(key, indent)
                if child.kind == "scalar":
                    self.above(child, indent)
                self.latest = indent
                name = _marks(key).lstrip()
                name = first + (f"{name} " if name else "") + _key(key)
                comment = f" {key.comment}" if key.comment else ""
                deeper = indent if child.kind == "list" else indent + "  "
                self.block(f"{name}:{comment}", child, was, now, deeper)
            first = indent

    def above(self, node: _Node, indent: str) -> None:
        """The comments above an entry; those of a block collection stand inside of it."""
        if node.kind in ("scalar", "alias") or node.style == "flow":
            self.comments(node, indent)

    def scalar(self, begin: str, node: _Node, old: Any, new: Any, indent: str) -> None:
        text = _scalar(node, old, new, indent, block=True)
        comment = node.comment
        if text[:1] in ("|", ">") and text.endswith("\n"):
            header, _, rest = text.partition("\n")
            self.line(begin + header, comment)
            self.out.append(rest)
        else:
            self.line((begin + text).rstrip(" ") if not text else begin + text, comment)

    def flow(self, node: _Node, old: Any, new: Any, indent: str) -> str:
        """A flow collection or what is in one, on one line."""
        if node.kind == "alias" and old == new:
            return "*" + node.text
        if node.kind == "scalar" and not isinstance(new, dict | list):
            return (_marks(node) + " " + _scalar(node, old, new, indent, block=False)).lstrip()
        if node.kind in ("scalar", "alias") or isinstance(new, dict) != (node.kind == "mapping"):
            return _flow_of(new)
        opening, closing = "{}" if node.kind == "mapping" else "[]"
        out, comment = (_marks(node) + " ").lstrip() + opening, ""
        for number, (child, key, was, now) in enumerate(_pairs(node, old, new)):
            if number:
                out += f", {comment}\n{indent or '  '}" if comment else ", "
            part = _flow_of(now) if child is None else self.flow(child, was, now, indent)
            out += part if key is None else f"{_key(key)}: {part}"
            comment = child.comment if child is not None else ""
        return out + closing

    def added(self, head: str, value: Any, indent: str, *, flow: bool) -> None:
        """A value that is not in the text."""
        if isinstance(value, dict) and value:
            first = f"{head} " if head.endswith("-") else indent
            if head and not head.endswith("-"):
                self.line(head)
            for key, item in value.items():
                self.added(f"{first}{_key(key)}:", item, indent if isinstance(item, list) else indent + "  ", flow=flow)
                first = indent
        elif isinstance(value, list) and value:
            if head:
                self.line(head)
            for item in value:
                self.added(f"{indent}-", item, indent + "  ", flow=flow)
        else:
            begin = f"{head} " if head else ""
            if isinstance(value, str):
                text = style(value)
                self.out.append(begin + (literal(value, indent or "  ") if text is None else text + "\n"))
            else:
                self.line(begin + _flow_of(value))


def _pairs(node: _Node, old: Any, new: Any) -> Iterator[tuple[_Node | None, Any, Any, Any]]:
    """(node or None, key or None, old value, new value) of each entry that stays, then of each that was added."""
    if node.kind == "list":
        for index, value in enumerate(new):
            child = node.items[index][1] if index < len(node.items) else None
            was = old[index] if isinstance(old, list) and index < len(old) else None
            yield child, None, was, value
        return
    before = old if isinstance(old, dict) else {}
    written: set[str] = set()
    merges = False
    for key, child in node.items:
        assert key is not None
        if key.text == _MERGE and key.style == "":
            merges = True
            yield child, key, None, None
        elif key.text in new and key.text not in written:
            written.add(key.text)
            yield child, key, before.get(key.text), new[key.text]
    for name, value in new.items():
        if name not in written and not (merges and name in before and before[name] == value):
            yield None, name, None, value


def _marks(node: _Node) -> str:
    """The anchor and the tag, with a space before each."""
    tag = node.tag
    if tag.startswith("tag:yaml.org,2002:"):
        tag = "!!" + tag.removeprefix("tag:yaml.org,2002:")
    return (f" &{node.anchor}" if node.anchor and node.kind != "alias" else "") + (f" {tag}" if tag else "")


def _key(key: _Node | str) -> str:
    if isinstance(key, str):
        return style(key) or double_quoted(key)
    if key.kind == "alias":
        return f"*{key.text} "
    if key.text == _MERGE and key.style == "" and not key.tag:
        return "!!merge <<"
    return _quoted(key.text, key.style) if key.style in ("'", '"') else key.text


def _quoted(text: str, sign: str) -> str:
    return single_quoted(text) if sign == "'" else double_quoted(text)


def _scalar(node: _Node, old: Any, new: Any, indent: str, *, block: bool) -> str:
    """A scalar in its old form, which the new content may not allow."""
    same = old == new and type(old) is type(new)
    content = node.text if same else new if isinstance(new, str) else scalar(new)
    if node.style in ("|", ">") and block and content.strip():
        return literal(content, indent or "  ") if node.style == "|" else _folded(content, indent or "  ")
    if node.style == "'" and not _SPECIAL.search(content):
        return re.sub(r"\n+", lambda breaks: breaks[0] + "\n" + (indent or "  "), single_quoted(content))
    if node.style:
        return double_quoted(content)
    if same and "\n" not in content:
        return content
    if isinstance(new, str):
        text = style(content)
        if text is None:
            return literal(content, indent or "  ") if block else double_quoted(content)
        if text.startswith('"') and content and KYAML.resolve(content).__class__ is str and content.isalnum():
            return content
        return text
    return content


def _folded(content: str, indent: str) -> str:
    """A folded block, each of its lines a paragraph."""
    header, _, body = literal(content, indent).partition("\n")
    lines = body.split("\n")
    out: list[str] = []
    for number, line in enumerate(lines[:-1]):
        out.append(line)
        if line and not line.startswith(indent + " ") and (number < len(lines) - 2 or content.endswith("\n")):
            out.append("")
    out.extend(lines[-1:])
    return ">" + header[1:] + "\n" + "\n".join(out)


def _flow_of(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(key)}: {_flow_of(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow_of(item) for item in value) + "]"
    if isinstance(value, str):
        text = style(value)
        return double_quoted(value) if text is None or re.search(r"[,\[\]{}]", text) else text
    return scalar(value)
