"""A built-in kind's manifest as a real API server holds it: read as Go reads it, written as Go writes it.

Unknown fields are dropped and reported, wrong types refused, empty optional fields left out, required ones written,
quantities, times and bytes brought to their one spelling, and each type's defaults set. What comes out is new
throughout (never a part of what came in, except values kept as they are), so its maker may change it.
"""

from __future__ import annotations

import binascii
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from kubeapi import quantity
from kubeapi.fields.zero import INT_OR_STRING, QUANTITY, RAW_EXTENSION, TIMES, always_written
from shared.schema import Schema, schema

OMIT: Any = object()
FIELDS_V1 = "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1"
MICRO_TIME = "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime"
MAX_DEPTH = 500
RANGES = {"int32": (-(2**31), 2**31 - 1), "int64": (-(2**63), 2**63 - 1)}

_CORE = "io.k8s.api.core.v1."
_PROBE = ("ProbeHandler", frozenset({"exec", "httpGet", "tcpSocket", "grpc"}))
_REFERENCE = ("LocalObjectReference", frozenset({"name"}))
_RULE = ("Rule", frozenset({"apiGroups", "apiVersions", "resources", "scope"}))
_REFERRING = (
    *("ConfigMapKeySelector", "SecretKeySelector", "ConfigMapEnvSource", "SecretEnvSource", "ConfigMapProjection"),
    *("SecretProjection", "ConfigMapVolumeSource"),
)
INNER: dict[str, tuple[str, frozenset[str]]] = {
    f"{_CORE}Volume": ("VolumeSource", frozenset(schema(f"{_CORE}Volume").properties) - {"name"}),
    f"{_CORE}PersistentVolumeSpec": (
        "PersistentVolumeSource",
        frozenset(
            name
            for name, one in schema(f"{_CORE}PersistentVolumeSpec").properties.items()
            if "VolumeSource" in one.name
        ),
    ),
    f"{_CORE}Probe": _PROBE,
    "io.k8s.api.networking.v1.IngressRule": ("IngressRuleValue", frozenset({"http"})),
    "io.k8s.api.admissionregistration.v1.RuleWithOperations": _RULE,
    **{f"{_CORE}{name}": _REFERENCE for name in _REFERRING},
}
"""Structs that Go embeds in others: their name is in the path of a field that can't be decoded, not in any other."""
_MARKED = re.compile("\0(\\w+)\0")

NAMED = {
    "Container.imagePullPolicy": "v1.PullPolicy",
    "ContainerPort.protocol": "v1.Protocol",
    "CronJobSpec.concurrencyPolicy": "v1.ConcurrencyPolicy",
    "DaemonSetUpdateStrategy.type": "v1.DaemonSetUpdateStrategyType",
    "DeploymentStrategy.type": "v1.DeploymentStrategyType",
    "EndpointSlice.addressType": "v1.AddressType",
    "HTTPIngressPath.pathType": "v1.PathType",
    "PersistentVolumeClaimSpec.volumeMode": "v1.PersistentVolumeMode",
    "PersistentVolumeSpec.persistentVolumeReclaimPolicy": "v1.PersistentVolumeReclaimPolicy",
    "PodSpec.dnsPolicy": "v1.DNSPolicy",
    "PodSpec.restartPolicy": "v1.RestartPolicy",
    "PodStatus.phase": "v1.PodPhase",
    "Secret.type": "v1.SecretType",
    "ServicePort.protocol": "v1.Protocol",
    "ServiceSpec.sessionAffinity": "v1.ServiceAffinity",
    "ServiceSpec.type": "v1.ServiceType",
    "StatefulSetSpec.podManagementPolicy": "v1.PodManagementPolicyType",
    "StatefulSetUpdateStrategy.type": "v1.StatefulSetUpdateStrategyType",
    "StorageClass.reclaimPolicy": "v1.PersistentVolumeReclaimPolicy",
    "StorageClass.volumeBindingMode": "v1.VolumeBindingMode",
}
"""Texts that Go has types of their own for: the name is in the message when something else is given."""
CONDITION_STATUS = "v1.ConditionStatus"
NAMED_TYPES = frozenset({*NAMED.values(), CONDITION_STATUS})

EITHER = "int32 "
"""The type that messages give a number or text: int32, with a mark by which it is told from one."""

Reader = Callable[[Any, str, "Read"], Any]
Default = Callable[[dict[str, Any]], None]


class DecodeProblem(ValueError):
    """A value has a type that its field can't hold; the text is what Go's decoder says. `given` is Go's kind of it."""

    given = ""


class Read:
    """One reading: the defaults to set, and the unknown fields found on the way."""

    __slots__ = ("defaults", "depth", "owner", "unknown")

    def __init__(self, defaults: dict[str, Default]) -> None:
        self.defaults = defaults
        self.unknown: list[str] = []
        self.owner = ("", "")
        self.depth = 0


def read(
    manifest: dict[str, Any], schema: Schema, defaults: dict[str, Default], path: str = ""
) -> tuple[dict[str, Any], list[str]]:
    """The manifest as the server holds it, and the paths of the fields it doesn't know. DecodeProblem for wrong types.

    `defaults` are called with each struct of the type they are named by, once all below it is read. `path` is where the
    manifest stands in a larger one.
    """
    reading = Read(defaults)
    return _struct(manifest, schema, path, reading), reading.unknown


def _struct(value: dict[str, Any], schema: Schema, path: str, reading: Read) -> dict[str, Any]:
    readers: dict[str, Reader] | None = schema.memo.get("wire")
    if readers is None:
        readers = schema.memo["wire"] = {
            name: _reader(field, name, schema) for name, field in schema.properties.items()
        }
    reading.depth += 1
    if reading.depth > MAX_DEPTH:
        raise DecodeProblem("json: exceeded max depth")
    prefix = f"{path}." if path else ""
    inner = INNER.get(schema.name)
    out: dict[str, Any] = {}
    for name, child in value.items():
        reader = readers.get(name)
        if reader is None:
            unknown = prefix + name
            reading.unknown.append(_MARKED.sub("", unknown) if "\0" in unknown else unknown)
            continue
        where = prefix + name if inner is None or name not in inner[1] else f"{prefix}\0{inner[0]}\0{name}"
        result = reader(child, where, reading)
        if result is not OMIT:
            out[name] = result
    reading.depth -= 1
    for name, zero in always_written(schema).items():
        if name not in out:
            field = schema.properties[name]
            filled = _struct({}, field, prefix + name, reading) if isinstance(zero, dict) and field.properties else zero
            out[name] = filled
    for name, default in _declared_defaults(schema).items():
        if name not in out or out[name] == "":
            out[name] = default
    set_defaults = reading.defaults.get(schema.name)
    if set_defaults is not None:
        set_defaults(out)
    return out


def _declared_defaults(schema: Schema) -> dict[str, Any]:
    found: dict[str, Any] | None = schema.memo.get("wire_defaults")
    if found is None:
        found = schema.memo["wire_defaults"] = {
            name: field.default
            for name, field in schema.properties.items()
            if field.has_default and field.default != {} and (field.default or field.go[:1] == "p")
        }
    return found


def _reader(field: Schema, name: str, owner: Schema) -> Reader:
    """What reads one field of a struct and says OMIT when nothing would be written."""
    inner = _value_reader(field, name, owner)
    omits = "o" in field.go[1:] or "z" in field.go[1:]
    kind = field.go[:1]
    if kind == "p":
        return _pointer(inner, OMIT if omits else None)
    if kind in ("l", "m"):
        return _container(inner, omits)
    if kind == "v":
        return _by_value(inner, field)
    return _scalar(inner, "" if field.type == "string" else False if field.type == "boolean" else 0, omits)


def _pointer(inner: Reader, absent: Any) -> Reader:
    def of_pointer(value: Any, path: str, reading: Read) -> Any:
        return absent if value is None else inner(value, path, reading)

    return of_pointer


def _container(inner: Reader, omits: bool) -> Reader:
    def of_container(value: Any, path: str, reading: Read) -> Any:
        if value is None:
            return OMIT if omits else None
        result = inner(value, path, reading)
        return OMIT if omits and not result else result

    return of_container


def _by_value(inner: Reader, field: Schema) -> Reader:
    omits_zero = "z" in field.go

    def of_struct(value: Any, path: str, reading: Read) -> Any:
        if value is None:
            if omits_zero:
                return OMIT
            value = {} if field.properties else None
            if value is None:
                return OMIT
        return inner(value, path, reading)

    return of_struct


def _scalar(inner: Reader, zero: Any, omits: bool) -> Reader:
    def of_scalar(value: Any, path: str, reading: Read) -> Any:
        result = zero if value is None else inner(value, path, reading)
        return OMIT if omits and result == zero else result

    return of_scalar


def _value_reader(field: Schema, name: str, owner: Schema) -> Reader:
    where = f"{owner.name.rpartition('.')[2]}"
    if field.name == QUANTITY:
        return _quantity
    if field.int_or_string or field.name == INT_OR_STRING:
        return _int_or_string(where)
    if field.name in TIMES:
        return _time(where, field.name == MICRO_TIME)
    if field.name in (RAW_EXTENSION, FIELDS_V1) or field.type == "":
        return lambda value, path, reading: value
    if field.type == "object":
        return _map(field, where) if not field.properties else _inner_struct(field, where)
    if field.type == "array":
        return _list(field, where)
    if field.type == "string":
        return _bytes(where) if field.format == "byte" else _string(where, _named(where, name))
    if field.type == "boolean":
        return _boolean(where)
    return _integer(where, field.format) if field.type == "integer" else _number(where)


def _refuse(value: Any, path: str, where: str, go_type: str) -> DecodeProblem:
    fields = re.sub(r"\[[^\]]*\]", "", _MARKED.sub(r"\1.", path))
    problem = DecodeProblem(
        f"json: cannot unmarshal {json_kind(value)} into Go struct field {where}.{fields} of type {go_type}"
    )
    kinds = ((bool, "bool"), (int, "int64"), (float, "float64"), (list, "slice"), (dict, "map"))
    problem.given = next((word for types, word in kinds if isinstance(value, types)), json_kind(value))
    return problem


def _numbered(problem: DecodeProblem, value: Any) -> DecodeProblem:
    """The problem with the number that doesn't fit in its text."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return problem
    numbered = DecodeProblem(str(problem).replace("number into", f"number {json.dumps(value)} into"))
    numbered.given = problem.given
    return numbered


def go_type(schema: Schema | None) -> str:
    """The Go type of a schema, as messages name it: int32, []v1.Container, map[string]string."""
    if schema is None:
        return "interface {}"
    if schema.type == "array":
        return f"[]{go_type(schema.items)}"
    if schema.name:
        return ".".join(schema.name.split(".")[-2:])
    if schema.type == "object":
        inner = schema.additional_properties
        if isinstance(inner, Schema) and inner.name == QUANTITY:
            return "v1.ResourceList"
        return f"map[string]{go_type(inner) if isinstance(inner, Schema) else 'interface {}'}"
    if schema.type == "integer":
        return schema.format or "int"
    if schema.type == "string" and schema.format == "byte":
        return "[]uint8"
    return {"string": "string", "boolean": "bool", "number": "float64"}.get(schema.type, "interface {}")


def _inner_struct(field: Schema, where: str) -> Reader:
    name = go_type(field)

    def of_struct(value: Any, path: str, reading: Read) -> Any:
        if not isinstance(value, dict):
            raise _refuse(value, path, where, name)
        return _struct(value, field, path, reading)

    return of_struct


def _map(field: Schema, where: str) -> Reader:
    inner = field.additional_properties
    if not isinstance(inner, Schema):
        return lambda value, path, reading: value
    is_quantity = inner.name == QUANTITY
    read_value = _value_reader(inner, "", field) if not inner.properties else _inner_struct(inner, where)
    if inner.type == "string" and inner.format == "":
        read_value = _string(where)
    elif inner.type == "string" and inner.format == "byte":
        read_value = _bytes(where)
    elif inner.type == "array":
        read_value = _list(inner, where)
    empty: Any = "" if inner.type == "string" else "0" if is_quantity else None
    name = go_type(field)

    def of_map(value: Any, path: str, reading: Read) -> Any:
        if not isinstance(value, dict):
            raise _refuse(value, path, where, name)
        out = {}
        for key, child in value.items():
            if child is None and inner.type != "object":
                out[key] = empty
            elif is_quantity:
                out[key] = _milli_quantity(child)
            else:
                out[key] = read_value({} if child is None else child, f"{path}[{key}]", reading)
        return out

    return of_map


def _list(field: Schema, where: str) -> Reader:
    inner = field.items
    name = go_type(field)
    if inner is None:
        return lambda value, path, reading: value
    read_item: Reader = _inner_struct(inner, where) if inner.properties else _item_reader(inner, where)
    empty: Any = {} if inner.properties else {"string": "", "integer": 0, "boolean": False}.get(inner.type)

    def of_list(value: Any, path: str, reading: Read) -> Any:
        if not isinstance(value, list):
            raise _refuse(value, path, where, name)
        return [
            read_item(empty if item is None else item, f"{path}[{index}]", reading)
            if item is not None or empty is not None
            else None
            for index, item in enumerate(value)
        ]

    return of_list


def _item_reader(inner: Schema, where: str) -> Reader:
    if inner.type == "string" and inner.format == "" and not inner.name:
        return _string(where)
    if inner.type == "integer" and not inner.name:
        return _integer(where, inner.format)
    if inner.type == "array":
        return _list(inner, where)
    if inner.type == "object" and not inner.name:
        return _map(inner, where)
    return _value_reader(inner, "", inner)


def _named(where: str, name: str) -> str:
    """The Go type of a text in a struct."""
    if name == "status" and where.endswith("Condition"):
        return CONDITION_STATUS
    return NAMED.get(f"{where}.{name}", "string")


def _string(where: str, go_type: str = "string") -> Reader:
    def of_string(value: Any, path: str, reading: Read) -> Any:
        if not isinstance(value, str):
            raise _refuse(value, path, where, go_type)
        return value

    return of_string


def _boolean(where: str) -> Reader:
    def of_boolean(value: Any, path: str, reading: Read) -> Any:
        if not isinstance(value, bool):
            raise _refuse(value, path, where, "bool")
        return value

    return of_boolean


def _integer(where: str, kind: str) -> Reader:
    low, high = RANGES.get(kind, RANGES["int64"])
    name = kind or "int64"

    def of_integer(value: Any, path: str, reading: Read) -> Any:
        if isinstance(value, float) or (
            isinstance(value, int) and not isinstance(value, bool) and not low <= value <= high
        ):
            raise _numbered(_refuse(value, path, where, name), value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise _refuse(value, path, where, name)
        return value

    return of_integer


def _number(where: str) -> Reader:
    def of_number(value: Any, path: str, reading: Read) -> Any:
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            raise _refuse(value, path, where, "float64")
        return value

    return of_number


def _bytes(where: str) -> Reader:
    def of_bytes(value: Any, path: str, reading: Read) -> Any:
        if not isinstance(value, str):
            raise _refuse(value, path, where, "[]uint8")
        text = value.replace("\n", "").replace("\r", "")
        try:
            binascii.a2b_base64(text, strict_mode=True)
        except (binascii.Error, ValueError):
            raise DecodeProblem(f"illegal base64 data at input byte {_bad_base64_at(text)}") from None
        return text

    return of_bytes


def _bad_base64_at(text: str) -> int:
    """The index of the first character that can't be part of padded base64, as Go reports it."""
    match = re.match(r"[A-Za-z0-9+/]*", text)
    good = match.end() if match else 0
    if good == len(text):
        return good - good % 4
    if text[good] == "=" and good % 4 in (2, 3):
        rest = text[good:]
        wanted = 4 - good % 4
        return len(text) if len(rest) < wanted and set(rest) == {"="} else good + min(wanted, len(rest))
    return good


def _number_text(value: Any) -> str:
    """The text of a JSON value in the place of a quantity."""
    if isinstance(value, str):
        return value
    return json.dumps(value, separators=(",", ":"))


def _quantity(value: Any, path: str, reading: Read) -> Any:
    if value is None:
        return "0"
    try:
        return quantity.canonical(_number_text(value).strip())
    except quantity.QuantityError as problem:
        raise DecodeProblem(str(problem)) from None


def _milli_quantity(value: Any) -> str:
    try:
        return quantity.canonical(_number_text(value).strip(), True)
    except quantity.QuantityError as problem:
        raise DecodeProblem(str(problem)) from None


def _int_or_string(where: str) -> Reader:
    low, high = RANGES["int32"]

    def of_either(value: Any, path: str, reading: Read) -> Any:
        if isinstance(value, str):
            return value
        if value is None:
            return 0
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise _numbered(_refuse(value, path, where, EITHER), value)
        return value

    return of_either


_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:[.,](\d+))?(?:Z|[+-]\d{2}:\d{2})")


def _time(where: str, micro: bool) -> Reader:
    def of_time(value: Any, path: str, reading: Read) -> Any:
        if value is None:
            return None
        if not isinstance(value, str):
            raise _refuse(value, path, where, "string")
        moment, fraction = _parse_time(value, micro)
        if micro:
            return f"{moment:%Y-%m-%dT%H:%M:%S}.{fraction}Z"
        if len(value) == 20 and value[19] == "Z":
            return value
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ")

    return of_time


def _parse_time(value: str, micro: bool) -> tuple[datetime, str]:
    """A moment and the digits of its fraction of a second. DecodeProblem when the text is no RFC 3339 time."""
    layout = f"2006-01-02T15:04:05{'.000000' if micro else ''}Z07:00"
    match = _TIME.fullmatch(value)
    try:
        if match is None:
            raise ValueError
        moment = datetime.fromisoformat(re.sub(r"[.,]\d+", "", value).replace("Z", "+00:00")).astimezone(UTC)
    except (ValueError, OverflowError):
        raise DecodeProblem(f'parsing time "{value}" as "{layout}": cannot parse "{value}" as "2006"') from None
    digits = len(match[1] or "")
    if micro and digits != 6:
        rest, part = (value[19:], ".000000") if digits < 6 else (value[26:], "Z07:00")
        raise DecodeProblem(f'parsing time "{value}" as "{layout}": cannot parse "{rest}" as "{part}"')
    return moment, match[1] or ""


def json_kind(value: Any) -> str:
    """The JSON type of a value, as Go's decoder names it."""
    kinds = ((bool, "bool"), ((int, float), "number"), (str, "string"), (dict, "object"), (list, "array"))
    return next((word for types, word in kinds if isinstance(value, types)), "null")
