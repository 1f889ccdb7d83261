"""CustomResourceDefinitions: names, versions, schemas, columns, conversion; what may not change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kubeapi.errors import Cause
from kubeapi.validation import causes, fields, names

Struct = Mapping[str, Any]

KIND = ("apiextensions.k8s.io", "CustomResourceDefinition")

_COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
_COLUMN_FORMATS = ("byte", "date", "date-time", "double", "float", "int32", "int64", "password")
_APPROVAL = "api-approved.kubernetes.io"
_APPROVAL_RULES = "https://github.com/kubernetes/enhancements/pull/1111"
_MAX_SELECTABLE = 8


def check(manifest: Struct, old: Struct | None) -> list[Cause]:
    spec = manifest["spec"]
    found: list[Cause] = []
    if old is None:
        given = spec.get("names") or {}
        wanted = f"{given.get('plural') or ''}.{spec.get('group') or ''}"
        name = manifest["metadata"].get("name")
        if name and name != wanted:
            detail = 'must be spec.names.plural+"."+spec.group'
            found.append(causes.invalid("metadata.name", name, detail))
    found += _group(spec.get("group") or "")
    found += fields.one_of(spec.get("scope"), ("Cluster", "Namespaced"), "spec.scope", needed=True)
    if spec.get("preserveUnknownFields"):
        instead = "set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"
        found.append(causes.invalid("spec.preserveUnknownFields", True, f"cannot set to true, {instead}"))
    found += _versions(spec.get("versions"))
    if not (manifest.get("status") or {}).get("storedVersions"):
        found.append(causes.invalid("status.storedVersions", None, "must have at least one stored version"))
    found += _names(spec.get("names") or {})
    found += _conversion(spec.get("conversion") or {})
    found += _approval(manifest, old)
    if old is not None:
        found += _changes(manifest, old)
    return found


def warnings(manifest: Struct) -> list[str]:
    """What a client is warned of: formats that mean nothing."""
    found: dict[str, None] = {}
    for version in manifest["spec"].get("versions") or ():
        _formats((version.get("schema") or {}).get("openAPIV3Schema") or {}, found)
    return [f'unrecognized format "{name}"' for name in found]


def _formats(schema: Struct, found: dict[str, None]) -> None:
    from kubeapi.crd import formats

    name, kind = schema.get("format"), schema.get("type")
    if name and not formats.known(name, (kind,) if kind else ()):
        found[name] = None
    for below in (schema.get("properties") or {}).values():
        _formats(below, found)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), Mapping):
            _formats(schema[key], found)


def _group(group: str) -> list[Cause]:
    if not group:
        return [causes.required("spec.group")]
    problems = names.subdomain(group)
    if problems:
        return [causes.invalid("spec.group", group, ",".join(problems))]
    if "." not in group:
        return [causes.invalid("spec.group", group, "should be a domain with at least one dot")]
    return []


def _versions(given: list[Struct] | None) -> list[Cause]:
    versions = given or []
    found: list[Cause] = []
    schemas = [(one.get("schema") or {}).get("openAPIV3Schema") for one in versions]
    for index, schema in enumerate(schemas):
        if schema is None:
            found.append(causes.required(f"spec.versions[{index}].schema.openAPIV3Schema"))
    # A real server reports what all versions share at the top.
    shared_schema = len(schemas) > 0 and schemas[0] is not None and all(one == schemas[0] for one in schemas)
    columns = [one.get("additionalPrinterColumns") for one in versions]
    shared_columns = len(columns) > 0 and bool(columns[0]) and all(one == columns[0] for one in columns)
    subresources = [one.get("subresources") for one in versions]
    selectable = [one.get("selectableFields") for one in versions]
    status = [bool((one.get("subresources") or {}).get("status") is not None) for one in versions]
    for index, one in enumerate(versions):
        path = f"spec.versions[{index}]"
        found += _version_name(one.get("name") or "", f"{path}.name")
        if not index:
            found += _version_name(one.get("name") or "", "spec.version")
        warning = one.get("deprecationWarning")
        if warning is not None and not one.get("deprecated"):
            found.append(
                causes.invalid(f"{path}.deprecationWarning", warning, "can only be set for deprecated versions")
            )
        schema = schemas[index]
        if schema is not None and not (shared_schema and index):
            at = "spec.validation.openAPIV3Schema" if shared_schema else f"{path}.schema.openAPIV3Schema"
            found += _schema(schema, at, has_status=any(status) if shared_schema else status[index])
        if not (shared_columns and index):
            at = "spec.additionalPrinterColumns" if shared_columns else f"{path}.additionalPrinterColumns"
            found += _columns(columns[index] or (), at)
        shared_subresources = all(s and s == subresources[0] for s in subresources)
        if not (shared_subresources and index):
            found += _scale(one, "spec.subresources" if shared_subresources else f"{path}.subresources")
        shared_fields = all(s and s == selectable[0] for s in selectable)
        if not (shared_fields and index):
            found += _selectable(one, "spec.selectableFields" if shared_fields else f"{path}.selectableFields")
    listed = [one.get("name") for one in versions]
    if len(set(listed)) != len(listed):
        found.append(causes.invalid("spec.versions", given, "must contain unique version names"))
    if sum(bool(one.get("storage")) for one in versions) != 1:
        detail = "must have exactly one version marked as storage version"
        found.append(causes.invalid("spec.versions", given, detail))
    return found


def _version_name(name: str, path: str) -> list[Cause]:
    problems = names.label_1035(name)
    return [causes.invalid(path, name, ",".join(problems))] if problems else []


def _schema(schema: Struct, path: str, *, has_status: bool) -> list[Cause]:
    from kubeapi.crd import check as schemas

    return schemas.check(schema, path, has_status=has_status)


def _columns(columns: Any, path: str) -> list[Cause]:
    found: list[Cause] = []
    for index, one in enumerate(columns):
        where = f"{path}[{index}]"
        if not one.get("name"):
            found.append(causes.required(f"{where}.name"))
        kind = one.get("type")
        known = f"must be one of {','.join(_COLUMN_TYPES)}"
        if not kind:
            found.append(causes.required(f"{where}.type", known))
        elif kind not in _COLUMN_TYPES:
            found.append(causes.invalid(f"{where}.type", kind, known))
        if one.get("format") and one["format"] not in _COLUMN_FORMATS:
            detail = f"must be one of {','.join(_COLUMN_FORMATS)}"
            found.append(causes.invalid(f"{where}.format", one["format"], detail))
        if not one.get("jsonPath"):
            found.append(causes.required(f"{where}.JSONPath"))
        elif not one["jsonPath"].startswith((".", "{", "$")):
            detail = "must be a simple json path starting with ."
            found.append(causes.invalid(f"{where}.JSONPath", one["jsonPath"], detail))
    return found


def _scale(version: Struct, path: str) -> list[Cause]:
    scale = (version.get("subresources") or {}).get("scale")
    if scale is None:
        return []
    found: list[Cause] = []
    for key, inside in (("specReplicasPath", ".spec."), ("statusReplicasPath", ".status.")):
        value = scale.get(key) or ""
        where = f"{path}.scale.{key}"
        if not value:
            found.append(causes.required(where))
        elif not value.startswith(inside):
            found.append(causes.invalid(where, value, f"should be a json path under {inside[:-1]}"))
    selector = scale.get("labelSelectorPath")
    if selector and not selector.startswith((".spec.", ".status.")):
        where = f"{path}.scale.labelSelectorPath"
        found.append(causes.invalid(where, selector, "should be a json path under either .spec or .status"))
    return found


def _selectable(version: Struct, path: str) -> list[Cause]:
    listed = version.get("selectableFields") or ()
    found: list[Cause] = []
    if len(listed) > _MAX_SELECTABLE:
        found.append(causes.too_many(path, len(listed), _MAX_SELECTABLE))
    seen: set[str] = set()
    for index, one in enumerate(listed):
        where, given = f"{path}[{index}].jsonPath", one.get("jsonPath") or ""
        if not given:
            found.append(causes.required(where))
            continue
        schema: Any = (version.get("schema") or {}).get("openAPIV3Schema") or {}
        for key in given.lstrip(".").split("."):
            schema = (schema.get("properties") or {}).get(key) if schema is not None else None
        if schema is None:
            detail = "is an invalid path: does not refer to a valid field"
            found.append(causes.invalid(where, given, detail))
        elif schema.get("type") not in ("string", "boolean", "integer"):
            detail = (
                "must point to a field of type string, boolean or integer. "
                "Enum string fields and strings with formats are allowed."
            )
            found.append(causes.invalid(where, given, detail))
        if given in seen:
            found.append(causes.duplicate(where, given))
        seen.add(given)
    return found


def _names(given: Struct) -> list[Cause]:
    found = [
        causes.required(f"spec.names.{key}") for key in ("plural", "singular", "kind", "listKind") if not given.get(key)
    ]
    for key in ("plural", "singular"):
        problems = names.label_1035(given[key]) if given.get(key) else ()
        if problems:
            found.append(causes.invalid(f"spec.names.{key}", given[key], ",".join(problems)))
    for key in ("kind", "listKind"):
        problems = names.label_1035(given[key].lower()) if given.get(key) else ()
        if problems:
            detail = "may have mixed case, but should otherwise match: " + ",".join(problems)
            found.append(causes.invalid(f"spec.names.{key}", given[key], detail))
    for key in ("shortNames", "categories"):
        for index, one in enumerate(given.get(key) or ()):
            problems = names.label_1035(one)
            if problems:
                found.append(causes.invalid(f"spec.names.{key}[{index}]", one, ",".join(problems)))
    if given.get("kind") and given.get("kind") == given.get("listKind"):
        detail = "kind and listKind may not be the same"
        found.append(causes.invalid("spec.names.listKind", given["listKind"], detail))
    return found


def _conversion(conversion: Struct) -> list[Cause]:
    strategy, webhook = conversion.get("strategy") or "", conversion.get("webhook")
    found = fields.one_of(strategy, ("None", "Webhook"), "spec.conversion.strategy", needed=True)
    if strategy == "Webhook":
        config = (webhook or {}).get("clientConfig")
        if config is None:
            detail = "required when strategy is set to Webhook"
            found.append(causes.required("spec.conversion.webhookClientConfig", detail))
        elif (config.get("url") is None) == (config.get("service") is None):
            detail = "exactly one of url or service is required"
            found.append(causes.required("spec.conversion.webhookClientConfig", detail))
        if not (webhook or {}).get("conversionReviewVersions"):
            found.append(causes.required("spec.conversion.conversionReviewVersions"))
    elif webhook is not None:
        detail = "should not be set when strategy is not set to Webhook"
        found.append(causes.forbidden("spec.conversion.webhookClientConfig", detail))
    return found


def _approval(manifest: Struct, old: Struct | None) -> list[Cause]:
    """Groups of the Kubernetes community need an approval."""
    group = (manifest["spec"].get("group") or "").lower()
    if not (group.endswith((".k8s.io", ".kubernetes.io")) or group in ("k8s.io", "kubernetes.io")):
        return []
    value = (manifest["metadata"].get("annotations") or {}).get(_APPROVAL, "")
    if old is not None and (old["metadata"].get("annotations") or {}).get(_APPROVAL, "") == value:
        return []
    path = f"metadata.annotations[{_APPROVAL}]"
    needed, where = f'protected groups must have approval annotation "{_APPROVAL}"', f"see {_APPROVAL_RULES}"
    if not value:
        return [causes.required(path, f"{needed}, {where}")]
    if value.startswith(("unapproved", "http://", "https://")):
        return []
    detail = f'{needed} with either a URL or a reason starting with "unapproved", {where}'
    return [causes.invalid(path, value, detail)]


def _changes(manifest: Struct, old: Struct) -> list[Cause]:
    spec, before = manifest["spec"], old["spec"]
    status = manifest.get("status") or {}
    found: list[Cause] = []
    conditions = (old.get("status") or {}).get("conditions") or ()
    if any(one.get("type") == "Established" and one.get("status") == "True" for one in conditions):
        if spec.get("scope") != before.get("scope"):
            found.append(causes.immutable("spec.scope", spec.get("scope") or ""))
        if (spec.get("names") or {}).get("kind") != (before.get("names") or {}).get("kind"):
            found.append(causes.immutable("spec.names.kind", (spec.get("names") or {}).get("kind") or ""))
    if spec.get("group") != before.get("group"):
        found.append(causes.immutable("spec.group", spec.get("group") or ""))
    if (spec.get("names") or {}).get("plural") != (before.get("names") or {}).get("plural"):
        found.append(causes.immutable("spec.names.plural", (spec.get("names") or {}).get("plural") or ""))
    listed = {one.get("name") for one in spec.get("versions") or ()}
    for index, version in enumerate(status.get("storedVersions") or ()):
        if version not in listed:
            detail = (
                f"missing from spec.versions; {version} was previously a storage version, and must remain in "
                f"spec.versions until a storage migration ensures no data remains persisted in {version} and removes "
                f"{version} from status.storedVersions"
            )
            found.append(causes.invalid(f"status.storedVersions[{index}]", version, detail))
    return found
