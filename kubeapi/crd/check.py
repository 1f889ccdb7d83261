"""A CRD's schema itself: is it structural, does it say what a server can keep, are its defaults and rules sound?"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from kubeapi.crd import patterns, prune, rules, values
from kubeapi.crd.correlate import deep_equal
from kubeapi.crd.structural import META_FIELDS, Node, SchemaTooDeep
from kubeapi.errors import Cause
from kubeapi.validation import causes
from shared.text import cel

Raw = Mapping[str, Any]

_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_KEY = "this property is in x-kubernetes-list-map-keys"
_EITHER = [{"type": "integer"}, {"type": "string"}]
_LEVELS = {
    "root": "must not be empty at the root",
    "item": "must not be empty for specified array items",
    "field": "must not be empty for specified object fields",
}
_UNSUPPORTED = ("id", "additionalItems", "patternProperties", "definitions", "$ref", "dependencies", "$schema")
_NESTED = (
    ("type", "must be empty to be structural"),
    ("additionalProperties", "must be undefined to be structural"),
    ("default", "must be undefined to be structural"),
    ("title", "must be empty to be structural"),
    ("description", "must be empty to be structural"),
    ("nullable", "must be false to be structural"),
    ("x-kubernetes-preserve-unknown-fields", "must be false to be structural"),
    ("x-kubernetes-embedded-resource", "must be false to be structural"),
    ("x-kubernetes-int-or-string", "must be false to be structural"),
    ("x-kubernetes-list-map-keys", "must be empty to be structural"),
    ("x-kubernetes-list-type", "must be undefined to be structural"),
    ("x-kubernetes-map-type", "must be undefined to be structural"),
    ("x-kubernetes-validations", "must be empty to be structural"),
)
_ROOT_ONLY = frozenset(
    {
        *("description", "type", "format", "title", "maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum"),
        *("maxLength", "minLength", "pattern", "maxItems", "minItems", "uniqueItems", "multipleOf", "required"),
        *("enum", "items", "properties", "externalDocs", "example"),
        *("x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource", "x-kubernetes-int-or-string"),
        *("x-kubernetes-map-type", "x-kubernetes-validations"),
    }
)


def check(schema: Raw, path: str, *, has_status: bool) -> list[Cause]:
    """The problems of the schema of one version."""
    found: list[Cause] = []
    if has_status:
        if schema.get("type") and schema["type"] != "object":
            detail = (
                'only "object" is allowed as the type at the root of the schema if the status subresource is enabled'
            )
            found.append(causes.invalid(f"{path}.type", schema["type"], detail))
        strange = [key for key in schema if key not in _ROOT_ONLY]
        if strange:
            detail = f"{strange[0]} is not allowed at the root of the schema if the status subresource is enabled"
            found.append(causes.invalid(path, dict(schema), detail))
    if schema.get("nullable"):
        found.append(causes.forbidden(f"{path}.nullable", "nullable cannot be true at the root"))
    try:
        root = Node(schema)
    except SchemaTooDeep as error:
        return [*found, causes.invalid(path, "", str(error))]
    structural = _structure(schema, "root", path)
    structural += _completeness(schema, path)
    found += structural
    if not structural:
        found += _defaults(root, path, inside_meta=False)
    _walk(schema, path, found, whole=True, defaults="", old_forbidden="")
    if not found:
        _rules(root, path, found, "", True)
    return found


# -- structure


def _structure(schema: Raw, level: str, path: str) -> list[Cause]:
    found: list[Cause] = []
    kind = schema.get("type") or ""
    preserve = bool(schema.get("x-kubernetes-preserve-unknown-fields"))
    either = bool(schema.get("x-kubernetes-int-or-string"))
    embedded = bool(schema.get("x-kubernetes-embedded-resource"))
    items = schema.get("items")
    if kind == "array" and not isinstance(items, Mapping):
        found.append(causes.required(f"{path}.items", "must be specified"))
    if isinstance(items, Mapping):
        found += _structure(items, "item", f"{path}.items")
    properties = schema.get("properties") or {}
    for name, one in properties.items():
        found += _structure(one, "field", f"{path}.properties[{name}]")
    additional = schema.get("additionalProperties")
    if additional is not None:
        if level == "root":
            found.append(causes.forbidden(f"{path}.additionalProperties", "must not be used at the root"))
        if isinstance(additional, Mapping):
            found += _structure(additional, "field", f"{path}.additionalProperties")
    if either:
        for key, given in (
            ("x-kubernetes-preserve-unknown-fields", preserve),
            ("x-kubernetes-embedded-resource", embedded),
        ):
            if given:
                detail = "must be false if x-kubernetes-int-or-string is true"
                found.append(causes.invalid(f"{path}.{key}", True, detail))
    found += _value_checks(schema, path)
    if embedded and kind != "object":
        detail = "must be object if x-kubernetes-embedded-resource is true"
        found.append(causes.invalid(f"{path}.type", kind, detail) if kind else causes.required(f"{path}.type", detail))
    elif not kind and not either and not preserve:
        found.append(causes.required(f"{path}.type", _LEVELS[level]))
    if embedded and additional is not None:
        detail = "must not be used if x-kubernetes-embedded-resource is set"
        found.append(causes.forbidden(f"{path}.additionalProperties", detail))
    if level == "root" and kind and kind != "object":
        found.append(causes.invalid(f"{path}.type", kind, "must be object at the root"))
    if level == "root" or embedded:
        found += _meta(properties, path, root=level == "root")
    if embedded and not preserve and not properties:
        detail = (
            "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields"
        )
        found.append(causes.required(f"{path}.properties", detail))
    return found


def _meta(properties: Raw, path: str, *, root: bool) -> list[Cause]:
    """The fields that every object has can only be said to be what they are."""
    found: list[Cause] = []
    for name in ("kind", "apiVersion"):
        if name in properties and properties[name].get("type") != "string":
            given = properties[name].get("type") or ""
            found.append(causes.invalid(f"{path}.properties[{name}].type", given, "must be string"))
    meta = properties.get("metadata")
    if meta is not None:
        where = f"{path}.properties[metadata]"
        if meta.get("type") != "object":
            found.append(causes.invalid(f"{where}.type", meta.get("type") or "", "must be object"))
        if root:
            rest = {key for key in meta if key not in ("type", "description", "default")}
            named = set(meta.get("properties") or ())
            if named and named <= {"name", "generateName"}:
                rest.discard("properties")
            if rest:
                detail = (
                    "must not specify anything other than name and generateName, but metadata is implicitly specified"
                )
                found.append(causes.forbidden(where, detail))
    return found


def _value_checks(schema: Raw, path: str) -> list[Cause]:
    found: list[Cause] = []
    for key in ("anyOf", "allOf", "oneOf"):
        for index, one in enumerate(schema.get(key) or ()):
            where = f"{path}.{key}[{index}]"
            either = schema.get("x-kubernetes-int-or-string")
            if key == "anyOf" and either and schema["anyOf"] == _EITHER:
                continue
            if key == "allOf" and either and index == 0 and one.get("anyOf") == _EITHER:
                one = {name: value for name, value in one.items() if name != "anyOf"}
            found += _nested(one, where)
    if isinstance(schema.get("not"), Mapping):
        found += _nested(schema["not"], f"{path}.not")
    if schema.get("pattern"):
        problem = patterns.problem(schema["pattern"])
        if problem:
            detail = f"must be a valid regular expression, but isn't: {problem}"
            found.append(causes.invalid(f"{path}.pattern", schema["pattern"], detail))
    return found


def _nested(schema: Raw, path: str) -> list[Cause]:
    """A schema inside anyOf and the like only says more of values that are specified outside."""
    found = _value_checks(schema, path)
    if isinstance(schema.get("items"), Mapping):
        found += _nested(schema["items"], f"{path}.items")
    for name, one in (schema.get("properties") or {}).items():
        found += _nested(one, f"{path}.properties[{name}]")
        if name == "metadata":
            found.append(causes.forbidden(f"{path}.properties[metadata]", "must not be specified in a nested context"))
    found += [
        causes.forbidden(f"{path}.{key}", detail) for key, detail in _NESTED if schema.get(key) not in (None, "", False)
    ]
    return found


def _completeness(schema: Raw, path: str) -> list[Cause]:
    """What anyOf and the like of the root say of a field needs the field to be specified outside of them."""
    found: list[Cause] = []
    for key in ("anyOf", "allOf", "oneOf"):
        for index, one in enumerate(schema.get(key) or ()):
            found += _in_spine(one, schema, f"{path}.{key}[{index}]", path)
    if isinstance(schema.get("not"), Mapping):
        found += _in_spine(schema["not"], schema, f"{path}.not", path)
    return found


def _in_spine(schema: Raw, spine: Raw, path: str, spine_path: str) -> list[Cause]:
    found: list[Cause] = []
    for name, one in (schema.get("properties") or {}).items():
        where = f"{spine_path}.properties[{name}]"
        known = (spine.get("properties") or {}).get(name)
        if known is None:
            detail = f"because it is defined in {path}.properties[{name}]"
            found.append(causes.required(where, detail))
        else:
            found += _in_spine(one, known, f"{path}.properties[{name}]", where)
    items = schema.get("items")
    if isinstance(items, Mapping):
        known = spine.get("items")
        if not isinstance(known, Mapping):
            found.append(causes.required(f"{spine_path}.items", f"because it is defined in {path}.items"))
        else:
            found += _in_spine(items, known, f"{path}.items", f"{spine_path}.items")
    for key in ("anyOf", "allOf", "oneOf"):
        for index, one in enumerate(schema.get(key) or ()):
            found += _in_spine(one, spine, f"{path}.{key}[{index}]", spine_path)
    if isinstance(schema.get("not"), Mapping):
        found += _in_spine(schema["not"], spine, f"{path}.not", spine_path)
    return found


# -- defaults


def _defaults(node: Node, path: str, *, inside_meta: bool) -> list[Cause]:
    found: list[Cause] = []
    if node.default is not None and not inside_meta:
        where = f"{path}.default"
        pruned = copy.deepcopy(node.default)
        if isinstance(pruned, dict):
            prune.prune(pruned, node)
        if not deep_equal(pruned, node.default):
            found.append(causes.invalid(where, node.default, "must not have unknown fields"))
        problems = values.check(node.default, node, where)
        found += problems
        if not problems and node.has_rules:
            found += [
                Cause(cause.reason, cause.message, where if cause.field == causes.ROOT else f"{where}.{cause.field}")
                for cause in rules.check(node.default, None, node, None)
            ]
    for name, below in node.properties.items():
        found += _defaults(below, f"{path}.properties[{name}]", inside_meta=inside_meta)
    if node.items is not None:
        found += _defaults(node.items, f"{path}.items", inside_meta=inside_meta)
    return found


# -- everything else that is said of a schema


def _walk(schema: Raw, path: str, found: list[Cause], *, whole: bool, defaults: str, old_forbidden: str) -> None:
    kind = schema.get("type") or ""
    if kind and kind not in _TYPES:
        found.append(causes.unsupported(f"{path}.type", kind, _TYPES))
    if schema.get("default") is not None and defaults:
        found.append(causes.forbidden(f"{path}.default", f"must not be set {defaults}"))
    found += [causes.forbidden(f"{path}.{key}", f"{key} is not supported") for key in _UNSUPPORTED if schema.get(key)]
    if schema.get("uniqueItems"):
        detail = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        found.append(causes.forbidden(f"{path}.uniqueItems", detail))
    additional, properties = schema.get("additionalProperties"), schema.get("properties") or {}
    if additional is not None and properties and (additional is False or isinstance(additional, Mapping)):
        detail = "additionalProperties and properties are mutual exclusive"
        found.append(causes.forbidden(f"{path}.additionalProperties", detail))
    if schema.get("x-kubernetes-preserve-unknown-fields") is False:
        detail = "must be true or undefined"
        found.append(causes.invalid(f"{path}.x-kubernetes-preserve-unknown-fields", False, detail))
    _list_and_map_types(schema, path, found)
    _declared_rules(schema, path, found)
    for name, one in properties.items():
        inner = f"in top-level {name}" if whole and name in META_FIELDS else defaults
        _walk(one, f"{path}.properties[{name}]", found, whole=False, defaults=inner, old_forbidden=old_forbidden)
    for key in ("items", "additionalProperties", "not"):
        if isinstance(schema.get(key), Mapping):
            _walk(schema[key], f"{path}.{key}", found, whole=False, defaults=defaults, old_forbidden=old_forbidden)
    for key in ("anyOf", "allOf", "oneOf"):
        for index, one in enumerate(schema.get(key) or ()):
            where = f"{path}.{key}[{index}]"
            _walk(one, where, found, whole=False, defaults=defaults, old_forbidden=old_forbidden)


def _list_and_map_types(schema: Raw, path: str, found: list[Cause]) -> None:
    kind = schema.get("type") or ""
    for key, wanted, known in (
        ("x-kubernetes-map-type", "object", ("atomic", "granular")),
        ("x-kubernetes-list-type", "array", ("atomic", "set", "map")),
    ):
        given = schema.get(key)
        if given is None:
            continue
        if kind != wanted:
            detail = f"must be {wanted} if {key} is specified"
            found.append(
                causes.invalid(f"{path}.type", kind, detail) if kind else causes.required(f"{path}.type", detail)
            )
        if given not in known:
            found.append(causes.unsupported(f"{path}.{key}", given, known))
    list_type, keys, items = (
        schema.get("x-kubernetes-list-type"),
        schema.get("x-kubernetes-list-map-keys") or [],
        schema.get("items"),
    )
    if keys and list_type != "map":
        where, detail = f"{path}.x-kubernetes-list-type", "must be map if x-kubernetes-list-map-keys is non-empty"
        found.append(causes.required(where, detail) if list_type is None else causes.invalid(where, list_type, detail))
    if list_type not in ("map", "set") or not isinstance(items, Mapping):
        if list_type == "map" and items is None:
            found.append(causes.required(f"{path}.items", "must have a schema if x-kubernetes-list-type is map"))
        return
    if items.get("nullable"):
        detail = f"cannot be nullable when x-kubernetes-list-type is {list_type}"
        found.append(causes.forbidden(f"{path}.items.nullable", detail))
    if list_type == "set":
        detail = "must be atomic as item of a list with x-kubernetes-list-type=set"
        if items.get("type") == "object" and items.get("x-kubernetes-map-type") != "atomic":
            found.append(
                causes.invalid(f"{path}.items.x-kubernetes-map-type", items.get("x-kubernetes-list-type"), detail)
            )
        elif items.get("type") == "array" and items.get("x-kubernetes-list-type") not in (None, "atomic"):
            found.append(
                causes.invalid(f"{path}.items.x-kubernetes-list-type", items["x-kubernetes-list-type"], detail)
            )
        return
    _map_keys(keys, items, path, found)


def _map_keys(keys: list[str], items: Raw, path: str, found: list[Cause]) -> None:
    where = f"{path}.x-kubernetes-list-map-keys"
    if not keys:
        found.append(causes.required(where, "must not be empty if x-kubernetes-list-type is map"))
    if items.get("type") != "object":
        detail = "must be object if parent array's x-kubernetes-list-type is map"
        found.append(causes.invalid(f"{path}.items.type", items.get("type") or "", detail))
        return
    properties, needed = items.get("properties") or {}, items.get("required") or ()
    for index, key in enumerate(keys):
        below, at = properties.get(key), f"{path}.items.properties[{key}]"
        if below is None:
            found.append(causes.invalid(where, keys, "entries must all be names of item properties"))
        else:
            if below.get("type") in ("array", "object"):
                detail = "must be a scalar type if parent array's x-kubernetes-list-type is map"
                found.append(causes.invalid(f"{at}.type", items["type"], detail))
            if key not in needed and below.get("default") is None:
                detail = f"{_KEY}, so it must have a default or be a required property"
                found.append(causes.required(f"{at}.default", detail))
            if below.get("nullable"):
                detail = f"{_KEY}, so it cannot be nullable"
                found.append(causes.forbidden(f"{at}.nullable", detail))
        if key in keys[:index]:
            found.append(causes.invalid(where, keys, "must not contain duplicate entries"))


def _declared_rules(schema: Raw, path: str, found: list[Cause]) -> None:
    for index, one in enumerate(schema.get("x-kubernetes-validations") or ()):
        where = f"{path}.x-kubernetes-validations[{index}]"
        rule, message = one.get("rule") or "", one.get("message") or ""
        if not rule.strip():
            found.append(causes.required(f"{where}.rule", "rule is not specified"))
        elif message and not message.strip():
            found.append(causes.invalid(f"{where}.message", message, "must be non-empty if specified"))
        elif "\n" in message.strip():
            found.append(causes.invalid(f"{where}.message", message, "must not contain line breaks"))
        elif "\n" in rule.strip() and not message.strip():
            detail = "message must be specified if rule contains line breaks"
            found.append(causes.required(f"{where}.message", detail))
        expression = one.get("messageExpression") or ""
        if expression and not expression.strip():
            detail = "messageExpression must be non-empty if specified"
            found.append(causes.required(f"{where}.messageExpression", detail))
        reason = one.get("reason")
        known = ("FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired")
        if reason is not None and reason not in known:
            found.append(causes.unsupported(f"{where}.reason", reason, known))


# -- rules


def _shown(rule: Raw) -> Any:
    """A rule as a real server shows it."""
    texts = {name: rule.get(key) or "" for name, key in (("Rule", "rule"), ("Message", "message"))}
    texts["MessageExpression"] = rule.get("messageExpression") or ""
    rest = {"Reason": rule.get("reason"), "FieldPath": rule.get("fieldPath") or ""}
    return causes.Ordered({**texts, **rest, "OptionalOldSelf": rule.get("optionalOldSelf")})


def _rules(node: Node, path: str, found: list[Cause], uncorrelated: str, whole: bool = False) -> None:
    """Are the rules expressions, and do they speak of old values only where there are some?"""
    for index, raw in enumerate(node.rules):
        rule = rules.Rule(raw, node)
        where = f"{path}.x-kubernetes-validations[{index}]"
        for key in ("rule", "messageExpression"):
            if not raw.get(key):
                continue
            try:
                rule.compile(raw[key])
                problem = rules.undefined(raw[key], node, whole)
            except cel.CELError as error:
                problem = str(error)
            if problem:
                words = "compilation failed" if key == "rule" else "messageExpression compilation failed"
                detail = f"{words}: {problem}"
                found.append(causes.invalid(f"{where}.{key}", _shown(raw), detail))
        if rule.uses_old and uncorrelated:
            detail = f"oldSelf cannot be used on the uncorrelatable portion of the schema within {uncorrelated}"
            found.append(causes.invalid(f"{where}.rule", raw["rule"], detail))
        elif not rule.uses_old and raw.get("optionalOldSelf") is not None:
            detail = "may not be set if oldSelf is not used in rule"
            found.append(causes.invalid(f"{where}.optionalOldSelf", raw["optionalOldSelf"], detail))
    for name, below in node.properties.items():
        _rules(below, f"{path}.properties[{name}]", found, uncorrelated, below.embedded)
    if isinstance(node.additional, Node):
        _rules(node.additional, f"{path}.additionalProperties", found, uncorrelated)
    if node.items is not None:
        inner = uncorrelated or ("" if node.list_type == "map" else path)
        _rules(node.items, f"{path}.items", found, inner, node.items.embedded)
