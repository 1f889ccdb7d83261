"""Admission policies and their bindings: that they can be used at all, down to each of their expressions."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kubeapi.errors import Cause
from kubeapi.expressions import compiled, objects
from kubeapi.validation import causes, fields, names
from kubeapi.validation.kinds import conditions, webhooks

Struct = Mapping[str, Any]

_REASONS = ("Forbidden", "Invalid", "RequestEntityTooLarge")
_FAILURES = ("Fail", "Ignore")
_MATCHES = ("Equivalent", "Exact")
_ACTIONS = ("Audit", "Deny", "Warn")
_IDENTIFIER = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*")
_MOST_ANNOTATIONS, _LONGEST_ANNOTATION = 20, 5 * 1024
_NEEDS_SOMETHING = "validations or auditAnnotations must contain at least one item"
_BOTH = (
    "must not contain both Deny and Warn (repeating the same validation failure information in the API response and "
    "headers serves no purpose)"
)


def validating(manifest: Struct, old: Struct | None) -> list[Cause]:
    """A ValidatingAdmissionPolicy."""
    spec = manifest.get("spec") or {}
    found = _policy(spec)
    known = compiled.names(params=bool(spec.get("paramKind")), variables=bool(spec.get("variables")))
    found += _variables(spec.get("variables") or (), known)
    validations, annotations = spec.get("validations") or (), spec.get("auditAnnotations") or ()
    if not validations and not annotations:
        both = ("validations", "auditAnnotations")
        return [*found, *(causes.required(f"spec.{key}", _NEEDS_SOMETHING) for key in both)]
    for index, one in enumerate(validations):
        found += _validation(one, known, f"spec.validations[{index}]")
    if len(annotations) > _MOST_ANNOTATIONS:
        detail = f"must not have more than {_MOST_ANNOTATIONS} auditAnnotations"
        found.append(causes.invalid("spec.auditAnnotations", list(annotations), detail))
    seen: set[str] = set()
    for index, one in enumerate(annotations):
        path, key = f"spec.auditAnnotations[{index}]", one.get("key") or ""
        found += _annotation(manifest["metadata"].get("name") or "", one, known, path)
        if key in seen:
            found.append(causes.duplicate(f"{path}.key", key))
        seen.add(key)
    return found


def binding(manifest: Struct, old: Struct | None) -> list[Cause]:
    """A ValidatingAdmissionPolicyBinding."""
    spec = manifest.get("spec") or {}
    found = _binding(spec)
    actions = list(spec.get("validationActions") or ())
    for index, action in enumerate(actions):
        path = f"spec.validationActions[{index}]"
        if action not in _ACTIONS:
            found.append(causes.unsupported(path, action, _ACTIONS))
        if action in actions[:index]:
            found.append(causes.duplicate(path, action))
    if {"Deny", "Warn"} <= set(actions):
        found.append(causes.invalid("spec.validationActions", actions, _BOTH))
    if not actions:
        found.append(causes.required("spec.validationActions", "at least one validation action is required"))
    return found


def mutating(manifest: Struct, old: Struct | None) -> list[Cause]:
    """A MutatingAdmissionPolicy."""
    spec = manifest.get("spec") or {}
    found = _policy(spec)
    found += _only_writes(spec.get("matchConstraints"), "spec.matchConstraints")
    known = compiled.names(params=bool(spec.get("paramKind")), variables=True)
    found += _variables(spec.get("variables") or (), known)
    mutations = spec.get("mutations") or ()
    if not mutations:
        found.append(causes.required("spec.mutations", "mutations must contain at least one item"))
    for index, one in enumerate(mutations):
        found += _mutation(one, known, f"spec.mutations[{index}]")
    policy = spec.get("reinvocationPolicy")
    if not policy:
        found.append(causes.required("spec.reinvocationPolicy"))
    elif policy not in ("IfNeeded", "Never"):
        found.append(causes.unsupported("spec.reinvocationPolicy", policy, ("IfNeeded", "Never")))
    return found


def mutating_binding(manifest: Struct, old: Struct | None) -> list[Cause]:
    """A MutatingAdmissionPolicyBinding."""
    spec = manifest.get("spec") or {}
    return _binding(spec) + _only_writes(spec.get("matchResources"), "spec.matchResources")


def _only_writes(wanted: Struct | None, path: str) -> list[Cause]:
    """Nothing is to be changed of a deletion."""
    given = [one for rule in (wanted or {}).get("resourceRules") or () for one in rule.get("operations") or ()]
    supported = ("*", "CONNECT", "CREATE", "UPDATE")
    return [
        causes.unsupported(f"{path}.resourceRules.operations", one, supported) for one in given if one not in supported
    ]


def _mutation(one: Struct, known: Sequence[str], path: str) -> list[Cause]:
    type_ = one.get("patchType") or ""
    kinds = {"ApplyConfiguration": ("applyConfiguration", compiled.OBJECTS), "JSONPatch": ("jsonPatch", compiled.LISTS)}
    if not type_:
        return [causes.required(f"{path}.patchType")]
    if type_ not in kinds:
        return [causes.unsupported(f"{path}.patchType", type_, sorted(kinds))]
    key, results = kinds[type_]
    other = "jsonPatch" if key == "applyConfiguration" else "applyConfiguration"
    found: list[Cause] = []
    if one.get(key) is None:
        found.append(causes.required(f"{path}.{key}", f"must be specified when patchType is {type_}"))
    else:
        text = (one[key].get("expression") or "").strip()
        where = f"{path}.{key}.expression"
        if text:
            found += conditions.expression(objects.as_maps(text), known, results, where, text)
        else:
            found.append(causes.required(where))
    if one.get(other) is not None:
        detail = f"must not be specified when patchType is {type_}"
        found.append(causes.invalid(f"{path}.{other}", f"{{{other}}}", detail))
    return found


# -- what both kinds of policy have


def _policy(spec: Struct) -> list[Cause]:
    found: list[Cause] = []
    if spec.get("failurePolicy") not in _FAILURES:
        found.append(causes.unsupported("spec.failurePolicy", spec.get("failurePolicy"), _FAILURES))
    if spec.get("paramKind") is not None:
        found += _param_kind(spec["paramKind"], "spec.paramKind")
    constraints = spec.get("matchConstraints")
    if constraints is None:
        found.append(causes.required("spec.matchConstraints"))
    else:
        found += _resources(constraints, "spec.matchConstraints")
        if not constraints.get("resourceRules"):
            found.append(causes.required("spec.matchConstraints.resourceRules"))
    first = compiled.names(params=bool(spec.get("paramKind")), variables=False)
    return found + conditions.match_conditions(spec.get("matchConditions") or (), first, "spec.matchConditions")


def _variables(declared: Sequence[Struct], known: Sequence[str]) -> list[Cause]:
    found: list[Cause] = []
    for index, one in enumerate(declared):
        path, name, text = f"spec.variables[{index}]", one.get("name") or "", one.get("expression") or ""
        if not name.strip():
            found.append(causes.required(f"{path}.name", "name is not specified"))
        elif not _IDENTIFIER.fullmatch(name):
            found.append(causes.invalid(f"{path}.name", name, "must be a valid CEL identifier"))
        if not text.strip():
            found.append(causes.required(f"{path}.expression", "expression is not specified"))
        else:
            found += conditions.expression(text, known, (), f"{path}.expression")
    return found


def _validation(one: Struct, known: Sequence[str], path: str) -> list[Cause]:
    found: list[Cause] = []
    text, expression, message = (one.get(key) or "" for key in ("expression", "messageExpression", "message"))
    if not text.strip():
        found.append(causes.required(f"{path}.expression", "expression is not specified"))
    else:
        found += conditions.expression(text, known, ("bool",), f"{path}.expression")
    if expression and not expression.strip():
        found.append(causes.invalid(f"{path}.messageExpression", expression, "must be non-empty if specified"))
    elif expression:
        telling = [name for name in known if name != "authorizer"]
        found += conditions.expression(expression, telling, ("string",), f"{path}.messageExpression")
    if message and not message.strip():
        found.append(causes.invalid(f"{path}.message", message, "must be non-empty if specified"))
    elif "\n" in message.strip():
        found.append(causes.invalid(f"{path}.message", message, "must not contain line breaks"))
    if one.get("reason") is not None and one["reason"] not in _REASONS:
        found.append(causes.unsupported(f"{path}.reason", one["reason"], _REASONS))
    return found


def _annotation(policy: str, one: Struct, known: Sequence[str], path: str) -> list[Cause]:
    key, given = one.get("key") or "", one.get("valueExpression") or ""
    if policy:
        found = fields.named(f"{policy}/{key}", names.qualified, f"{path}.key")
    else:
        found = [causes.invalid(f"{path}.key", key, "requires metadata.name be non-empty")]
    text = given.strip()
    if not text:
        found.append(causes.required(f"{path}.valueExpression", "valueExpression is not specified"))
    elif len(text.encode()) > _LONGEST_ANNOTATION:
        detail = f"must not exceed {_LONGEST_ANNOTATION} bytes in length"
        found.append(causes.required(f"{path}.valueExpression", detail))
    else:
        found += conditions.expression(text, known, ("string", "null_type"), f"{path}.valueExpression", given)
    return found


def _param_kind(kind: Struct, path: str) -> list[Cause]:
    found: list[Cause] = []
    version, name = kind.get("apiVersion") or "", kind.get("kind") or ""
    if not version:
        found.append(causes.required(f"{path}.apiVersion"))
    elif version.count("/") > 1:
        found.append(causes.invalid(f"{path}.apiVersion", version, f"unexpected GroupVersion string: {version}"))
    else:
        found += _group_version(version, f"{path}.apiVersion")
    if not name:
        found.append(causes.required(f"{path}.kind"))
    else:
        problems = names.label_1035(name.lower())
        if problems:
            detail = f"may have mixed case, but should otherwise match: {', '.join(problems)}"
            found.append(causes.invalid(f"{path}.kind", name, detail))
    return found


def _group_version(text: str, path: str) -> list[Cause]:
    group, _, version = text.rpartition("/")
    found: list[Cause] = []
    rules: list[tuple[str, Callable[[str], Sequence[str]]]] = [(version, names.label_1035)]
    if group:
        rules.insert(0, (group, names.subdomain))
    if not version:
        return [causes.invalid(path, text, "version must be specified")]
    for value, rule in rules:
        problems = rule(value)
        if problems:
            found.append(causes.invalid(path, value, ",".join(problems)))
    return found


def _resources(wanted: Struct, path: str) -> list[Cause]:
    """A matchConstraints or matchResources."""
    found: list[Cause] = []
    if wanted.get("matchPolicy") not in _MATCHES:
        found.append(causes.unsupported(f"{path}.matchPolicy", wanted.get("matchPolicy"), _MATCHES))
    for key in ("namespaceSelector", "objectSelector"):
        found += fields.selector(wanted.get(key), f"{path}.{key}")
    for key in ("resourceRules", "excludeResourceRules"):
        for index, rule in enumerate(wanted.get(key) or ()):
            where = f"{path}.{key}[{index}]"
            given = list(rule.get("resourceNames") or ())
            for position, name in enumerate(given):
                at = f"{where}.resourceNames[{position}]"
                found += fields.named(name, names.path_segment, at)
                if name in given[:position]:
                    found.append(causes.duplicate(at, name))
            found += webhooks.rule(rule, where)
    return found


def _binding(spec: Struct) -> list[Cause]:
    found: list[Cause] = []
    name = spec.get("policyName") or ""
    if not name:
        found.append(causes.required("spec.policyName"))
    else:
        found += fields.named(name, names.subdomain, "spec.policyName")
    if spec.get("paramRef") is not None:
        found += _param_ref(spec["paramRef"], "spec.paramRef")
    if spec.get("matchResources") is not None:
        found += _resources(spec["matchResources"], "spec.matchResources")
    return found


def _param_ref(reference: Struct, path: str) -> list[Cause]:
    found: list[Cause] = []
    name, selector = reference.get("name") or "", reference.get("selector")
    action = reference.get("parameterNotFoundAction")
    exclusive = "name and selector are mutually exclusive"
    if name:
        found += fields.named(name, names.path_segment, f"{path}.name")
        if selector is not None:
            found.append(causes.forbidden(f"{path}.name", exclusive))
    if selector is not None:
        found += fields.selector(selector, f"{path}.selector")
        if name:
            found.append(causes.forbidden(f"{path}.selector", exclusive))
    if not name and selector is None:
        found.append(causes.required(path, "one of name or selector must be specified"))
    if not action:
        found.append(causes.required(f"{path}.parameterNotFoundAction"))
    elif action not in ("Allow", "Deny"):
        found.append(causes.unsupported(f"{path}.parameterNotFoundAction", action, ("Deny", "Allow")))
    return found
