"""YAML text to plain values: libyaml's events, our own constructor.

What passes through: the text of a file, a ConfigMap's value, an API body. What always holds: the result consists of
dict (text keys), list, str, int (64 bits), float (finite), bool and None only, as if Go's YAML-to-JSON conversion had
made it; nothing is shared between two places of it; any other input ends in a YAMLError that names the line. A large
document need not stand in memory as a whole: see `load_parts`.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import math
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from yaml import YAMLError as _LibraryError
from yaml._yaml import CParser
from yaml.error import MarkedYAMLError
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceStartEvent,
    StreamEndEvent,
)
from yaml.reader import ReaderError

from .errors import DEFAULT_LIMITS, Limits, YAMLError, excessive
from .numbers import shortest32
from .scalars import YAML_1_1, Rules, json_number

_TAG = "tag:yaml.org,2002:"
_BINARY = _TAG + "binary"
_MERGE_TAG = _TAG + "merge"
_RESOLVED = frozenset(_TAG + name for name in ("bool", "int", "float", "null", "timestamp"))
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_LINE_END = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_REMEMBERED = 4096
_BLOCK = 1 << 20


Part = Callable[[str, Any], Any]
"""Key and value of a part of a document, to what takes its place."""


class Document(NamedTuple):
    """One document of a text."""

    value: Any
    line: int
    """The first line of its content, counted from 1."""


class _MergeKey(str):
    """A plain `<<` where a key is expected."""

    __slots__ = ()


_MERGE = _MergeKey("<<")


class _Values(dict[str, Any]):
    """What plain scalars mean, remembered for one text: the same few words and numbers come again and again."""

    def __init__(self, rules: Rules) -> None:
        super().__init__()
        self._resolve = rules.resolve

    def __missing__(self, text: str) -> Any:
        value = self._resolve(text)
        kind = value.__class__
        if kind is float or kind is int:
            if not math.isfinite(value):
                raise ValueError(f"the number {text} has no JSON form; quote it if it is meant as text")
            value = json_number(value)
        if len(self) < _REMEMBERED and len(text) < 64:
            self[text] = value
        return value


class _Keys(dict[str, str]):
    """What plain scalars mean as keys. Equal keys of one text become one string, which saves memory and hashing."""

    def __init__(self, rules: Rules) -> None:
        super().__init__()
        self._rules = rules

    def __missing__(self, text: str) -> str:
        if text == "<<":
            key: str = _MERGE
        elif text and text[0] not in self._rules.hints:
            key = text
        else:
            key = key_text(self._rules.resolve(text), text, self._rules)
        self[text] = key
        return key


def key_text(value: Any, text: str, rules: Rules) -> str:
    """The key that a scalar of this meaning and text is in JSON; ValueError when it cannot be one."""
    if value.__class__ is str:
        if rules.newer and rules.is_moment(text):
            raise ValueError(f"the key {text} is a timestamp; quote it")
        return str(value)
    if value is None:
        raise ValueError("a key is null; name it, or quote it")
    if rules.newer:
        raise ValueError(f"the key {text} is not text; quote it")
    if value is True:
        return "true"
    if value is False:
        return "false"
    if value.__class__ is float:
        if math.isnan(value):
            return ".nan"
        if math.isinf(value):
            return ".inf" if value > 0 else "-.inf"
        return shortest32(value)
    if value > 2**63 - 1:
        raise ValueError(f"the key {text} is too large a number; quote it")
    return str(value)


class _Anchor:
    """A value that aliases may repeat; it is open until its last event has come."""

    __slots__ = ("event", "nodes", "open", "value")

    def __init__(self, value: Any, nodes: int, open_: bool, event: Any) -> None:
        self.value = value
        self.nodes = nodes
        self.open = open_
        self.event = event


class _Constructor:
    """Builds the documents of one text from the events of libyaml."""

    def __init__(
        self,
        text: str | bytes,
        source: str,
        rules: Rules,
        limits: Limits,
        below: str = "",
        part: Part | None = None,
    ) -> None:
        self.source = source
        self.rules = rules
        self.limits = limits
        self.below = below
        self.part = part
        if not isinstance(text, str):
            text = _checked(bytes(text), source)
        if len(text) > limits.size or (not text.isascii() and len(_encoded(text, "surrogatepass")) > limits.size):
            raise YAMLError(f"the text is larger than {limits.size} bytes", source=source)
        self.slashes = (b"\\/" if isinstance(text, bytes) else "\\/") in text  # type: ignore[operator]
        if self.slashes and isinstance(text, bytes):
            text = text.decode()  # libyaml counts characters, by which they are found again
        bom = codecs.BOM_UTF8 if isinstance(text, bytes) else "\ufeff"
        self.text: str | bytes = text.removeprefix(bom)  # type: ignore[arg-type]
        try:
            self.parser = CParser(self.text)
        except UnicodeEncodeError:
            raise YAMLError("half a surrogate pair is no character", source=source) from None
        self.values = _Values(rules)
        self.keys = _Keys(rules)
        self.anchors: dict[str, _Anchor] = {}
        self.late_merges: dict[int, list[Any]] = {}
        self.nodes = 0
        self.expanded = 0

    def documents(self) -> Iterator[Document]:
        count = 0
        get: Callable[[], Any] = self.parser.get_event
        try:
            while True:
                event = get()
                kind = event.__class__
                if kind is DocumentStartEvent:
                    count += 1
                    if count > self.limits.documents:
                        raise self.error(event, f"more than {self.limits.documents} documents in one text")
                    if event.version not in (None, (1, 1)):
                        raise self.error(event, "only YAML 1.1 is read; remove the %YAML line")
                    first = get()
                    self.anchors, self.nodes, self.expanded = {}, 0, 0
                    yield Document(self.document(first), first.start_mark.line + 1)
                elif kind is StreamEndEvent:
                    return
        except MarkedYAMLError as error:
            raise self.translated(error) from None
        except ReaderError as error:
            raise self.unreadable(error) from None
        except _LibraryError as error:
            raise YAMLError(str(error).splitlines()[0], source=self.source) from None

    def document(self, event: Any) -> Any:
        """The value that begins with `event`. A stack instead of recursion, so depth costs nothing but memory."""
        get: Callable[[], Any] = self.parser.get_event
        values, keys, hints = self.values, self.keys, self.rules.hints
        deepest = self.limits.depth
        odd_keys = self.rules.newer or self.slashes
        part = self.part
        stack: list[tuple[Any, str, _Anchor | None]] = []
        node: Any = None
        key = ""
        nodes = 0
        try:
            while True:
                # The event begins a value, or ends the container.
                kind = event.__class__
                nodes += 1
                if kind is ScalarEvent:
                    value = event.value
                    if event.tag is not None:
                        value = self.tagged(event)
                    elif event.implicit[0]:
                        if not value or value[0] in hints:
                            value = values[value]
                    elif self.slashes:
                        self.check_escapes(event)
                    if event.anchor is not None:
                        self.anchors[event.anchor] = _Anchor(value, 1, False, event)
                elif kind is MappingStartEvent or kind is SequenceStartEvent:
                    if len(stack) >= deepest:
                        raise ValueError(f"nested deeper than {deepest} levels")
                    anchor = None
                    child: Any = {} if kind is MappingStartEvent else []
                    if event.anchor is not None:
                        self.nodes += nodes
                        nodes = 0
                        anchor = self.anchors[event.anchor] = _Anchor(child, self.nodes, True, event)
                    stack.append((node, key, anchor))
                    node = child
                    event = get()
                    if kind is MappingStartEvent and event.__class__ is not MappingEndEvent:
                        if (
                            odd_keys
                            or event.__class__ is not ScalarEvent
                            or not event.implicit[0]
                            or event.anchor
                            or event.tag
                        ):
                            key = self.key(event, node, len(stack))
                        else:
                            key = keys[event.value]
                        event = get()
                    continue
                elif kind is AliasEvent:
                    self.nodes += nodes
                    nodes = 0
                    value = self.repeated(event, deepest - len(stack))
                else:
                    value = node
                    if self.late_merges and id(node) in self.late_merges:
                        for merged in self.late_merges.pop(id(node)):
                            for name, item in merged.items():
                                node.setdefault(name, item)
                    node, key, anchor = stack.pop()
                    if anchor is not None:
                        self.nodes += nodes
                        nodes = 0
                        anchor.nodes = self.nodes - anchor.nodes + 1
                        anchor.open = False
                # Place the value; then the next event, after the key where there is one.
                if not stack:
                    return value
                if node.__class__ is list:
                    node.append(value)
                    event = get()
                else:
                    if key is _MERGE:
                        self.merge(node, value, kind)
                    elif part is not None and len(stack) == 2 and stack[1][1] == self.below:
                        node[key] = part(key, value)
                    else:
                        node[key] = value
                    event = get()
                    if event.__class__ is not MappingEndEvent:
                        nodes += 1
                        if (
                            odd_keys
                            or event.__class__ is not ScalarEvent
                            or not event.implicit[0]
                            or event.anchor
                            or event.tag
                        ):
                            key = self.key(event, node, len(stack))
                        else:
                            key = keys[event.value]
                        event = get()
        except ValueError as error:
            if isinstance(error, YAMLError):
                raise
            raise self.error(event, str(error)) from None

    # The rarer parts of a document.

    def tagged(self, event: Any) -> Any:
        """The value of a scalar with an explicit tag. Tags that nobody knows say nothing: the value is its text."""
        tag: str = event.tag
        text: str = event.value
        if tag == _BINARY:
            return self.binary(text)
        if tag == "!" and self.rules.newer and event.style == "":
            return self.values[text]
        if tag not in _RESOLVED:
            return text
        name = tag.removeprefix(_TAG)
        value = self.rules.resolve(text)
        kind = value.__class__
        fits = (
            (name == "bool" and kind is bool)
            or (name == "null" and value is None)
            or (name == "int" and kind is int)
            or (name == "float" and (kind is float or (kind is int and value <= 2**63 - 1)))
            or (name == "timestamp" and self.rules.is_moment(text))
        )
        if not fits:
            raise ValueError(f"this is not what its tag !!{name} says")
        if kind is str:
            return text if not self.rules.newer else value
        return self.values[text] if name != "float" or kind is float else json_number(float(value))

    def binary(self, text: str) -> str:
        try:
            data = base64.b64decode(text.replace("\r", "").replace("\n", ""), validate=True)
        except (binascii.Error, ValueError):
            raise ValueError("this !!binary value is not base64") from None
        return data.decode("utf-8", "replace")

    def key(self, event: Any, node: dict[str, Any], depth: int) -> str:
        """The key that an event stands for: any but a plain one under the older rules."""
        if event.__class__ is AliasEvent:
            anchor = self.anchors.get(str(event.anchor))
            if anchor is None:
                raise self.error(event, f"the anchor '{event.anchor}' is not defined")
            event = anchor.event
        if event.__class__ is not ScalarEvent:
            raise self.error(event, "a key cannot be a mapping or a list; quote it if it is a template")
        text: str = event.value
        try:
            if event.tag is not None:
                key = _MERGE if text == "<<" and event.tag in ("!", _MERGE_TAG) else self.tagged_key(event)
            elif not event.implicit[0]:
                if self.slashes:
                    self.check_escapes(event)
                key = text
            elif self.rules.newer and depth == 1 and text != "<<" and self.rules.resolve(text) is not None:
                key = text
            else:
                key = self.keys[text]
        except ValueError as error:
            raise self.error(event, str(error)) from None
        if event.anchor is not None:
            self.anchors[event.anchor] = _Anchor(
                self.tagged(event) if event.tag else self.plain(event), 1, False, event
            )
        if self.rules.newer and key in node and key is not _MERGE:
            raise self.error(event, f"the key {_brief(key)} stands twice in one mapping")
        return key

    def plain(self, event: Any) -> Any:
        text = event.value
        return self.values[text] if event.implicit[0] and (not text or text[0] in self.rules.hints) else text

    def tagged_key(self, event: Any) -> str:
        value = self.tagged(event)
        return key_text(value, event.value, self.rules)

    def merge(self, node: dict[str, Any], value: Any, kind: type) -> None:
        """Put what `<<` names into the mapping: at once and over what stands there under the older rules, after all
        its own keys and under them by the newer ones."""
        maps = [value] if value.__class__ is dict else value
        if (
            maps.__class__ is not list
            or (kind is AliasEvent and value.__class__ is list)
            or any(item.__class__ is not dict for item in maps)
        ):
            raise ValueError("the value of << must be a mapping or a list of mappings")
        if self.rules.newer:
            if id(node) in self.late_merges:
                raise ValueError("the key << stands twice in one mapping")
            self.late_merges[id(node)] = maps
        else:
            for item in reversed(maps):
                node.update(item)

    def repeated(self, event: Any, levels: int) -> Any:
        """A copy of what the alias's anchor stands for."""
        anchor = self.anchors.get(event.anchor)
        if anchor is None:
            raise ValueError(f"the anchor '{event.anchor}' is not defined")
        if anchor.open:
            raise ValueError(f"the anchor '{event.anchor}' contains itself")
        self.nodes += anchor.nodes
        self.expanded += anchor.nodes
        if excessive(self.expanded, self.nodes):
            raise ValueError("too much of the document is made by repeating anchors")
        return _copy(anchor.value, levels, self.limits.depth)

    def check_escapes(self, event: Any) -> None:
        """Refuse an escaped slash, as Go does; libyaml would take it."""
        if event.style == '"':
            quoted = str(self.text)[event.start_mark.index : event.end_mark.index]
            if "/" in _ESCAPE.findall(quoted):
                raise self.error(event, "\\/ is not an escape of YAML 1.1; write /")

    # Errors.

    def error(self, event: Any, problem: str) -> YAMLError:
        return YAMLError(problem, source=self.source, line=event.start_mark.line + 1)

    def translated(self, error: MarkedYAMLError) -> YAMLError:
        mark: Any = error.problem_mark or error.context_mark
        problem = error.problem or "this is not YAML"
        if error.context:
            problem = f"{problem} {error.context}"
        return YAMLError(problem, source=self.source, line=mark.line + 1 if mark is not None else 0)

    def unreadable(self, error: ReaderError) -> YAMLError:
        before = _encoded(self.text, "replace")[: error.position].decode("utf-8", "ignore")
        line = len(_LINE_END.findall(before)) + 1
        return YAMLError(f"{error.reason} (U+{error.character:04X})", source=self.source, line=line)


def _brief(key: str) -> str:
    return repr(key if len(key) <= 40 else key[:37] + "...")


def _copy(value: Any, levels: int, deepest: int) -> Any:
    kind = value.__class__
    if kind is not dict and kind is not list:
        return value
    if levels <= 0:
        raise ValueError(f"nested deeper than {deepest} levels")
    if kind is dict:
        return {key: _copy(item, levels - 1, deepest) for key, item in value.items()}
    return [_copy(item, levels - 1, deepest) for item in value]


def _checked(data: bytes, source: str) -> str | bytes:
    """The text of a file: UTF-8, which stays bytes, or UTF-16 with a byte order mark."""
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"
    try:
        if encoding == "utf-16":
            return data.decode(encoding)
        if not data.isascii():
            _require_utf8(data)
        return data
    except UnicodeDecodeError as error:
        line = len(_LINE_END.findall(data[: error.start].decode(encoding, "ignore"))) + 1
        raise YAMLError(f"this is not {encoding.upper()} text", source=source, line=line) from None


def _require_utf8(data: bytes) -> None:
    """UnicodeDecodeError unless it is UTF-8. In blocks: the characters of a large text may take four times its size."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    view = memoryview(data)
    for start in range(0, len(data), _BLOCK):
        try:
            decoder.decode(view[start : start + _BLOCK])
        except UnicodeDecodeError:
            data.decode()  # says where in the whole
            raise
    decoder.decode(b"", final=True)


def _encoded(text: str | bytes, errors: str) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8", errors)


def load_documents(
    text: str | bytes, source: str = "", *, rules: Rules = YAML_1_1, limits: Limits = DEFAULT_LIMITS
) -> Iterator[Document]:
    """The documents of a text, one by one. An error shows when its document is reached."""
    return _Constructor(text, source, rules, limits).documents()


def load_all(
    text: str | bytes, *, source: str = "", rules: Rules = YAML_1_1, limits: Limits = DEFAULT_LIMITS
) -> list[Any]:
    """The values of all documents; an empty document is None, a text of comments only has no document."""
    return [document.value for document in load_documents(text, source, rules=rules, limits=limits)]


def load(text: str | bytes, *, source: str = "", rules: Rules = YAML_1_1, limits: Limits = DEFAULT_LIMITS) -> Any:
    """The value of a text's first document, None when it has none. What follows it is not looked at."""
    for document in load_documents(text, source, rules=rules, limits=limits):
        return document.value
    return None


def meaning(word: str, *, rules: Rules = YAML_1_1) -> Any:
    """What a plain scalar means that isn't a key: text, or the value that it stands for. YAMLError for a number that
    has no JSON form."""
    try:
        return word if word and word[0] not in rules.hints else _Values(rules)[word]
    except ValueError as error:
        raise YAMLError(str(error)) from None


def load_parts(
    text: str | bytes,
    below: str,
    part: Part,
    *,
    source: str = "",
    rules: Rules = YAML_1_1,
    limits: Limits = DEFAULT_LIMITS,
) -> Any:
    """As `load`, of a large document that should not stand in memory as a whole: in the mapping under the top-level key
    `below` each value gives way to `part(key, value)` as soon as it is read. What `<<` merges there stays as it is."""
    for document in _Constructor(text, source, rules, limits, below, part).documents():
        return document.value
    return None
