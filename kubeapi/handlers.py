"""Resource requests: what each verb on each resource answers. No HTTP here: a Call in, an Answer or a Watch out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from kubeapi import bodies, present, reads, scale, writes
from kubeapi.errors import (
    Cause,
    StatusError,
    bad_request,
    invalid,
    method_not_allowed,
    no_such_resource,
    not_found,
    not_implemented,
)
from kubeapi.identity import User
from kubeapi.present import Form
from kubeapi.request import RequestInfo
from kubeapi.resources import Resource
from kubeapi.strategies import RETURNS_DELETED
from shared import schema

if TYPE_CHECKING:
    from kubeapi.cluster import Cluster
    from kubeapi.subresources import Subresources

Manifest = dict[str, Any]

_VALIDATIONS = ("Strict", "Warn", "Ignore")
_DELETE_OPTIONS = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"
_JOBS = ("batch", "jobs")
_JOB_WARNING = (
    "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set "
    "propagationPolicy=Orphan to suppress this warning"
)
_PROPAGATIONS = ("Foreground", "Background", "Orphan")


@dataclass(slots=True)
class Call:
    """One authenticated and authorized request."""

    info: RequestInfo
    user: User
    query: Mapping[str, str]
    body: bytes = b""
    content_type: str = ""
    accept: str = ""
    user_agent: str = ""


@dataclass(slots=True)
class Answer:
    """A response body, or a watch to stream."""

    code: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    warnings: list[str] = field(default_factory=list)
    watch: Watch | None = None


@dataclass(slots=True)
class Watch:
    """A watch that has been accepted: where it starts and how its events look."""

    wanted: reads.Filter
    start: reads.Start
    form: Form
    bookmarks: bool
    timeout: float


class Handlers:
    """Answers resource requests on one cluster."""

    def __init__(self, cluster: Cluster, subresources: Subresources):
        self.cluster = cluster
        self.subresources = subresources

    def answer(self, call: Call) -> Answer | None:
        """The answer to a resource request; None when nothing is served at that path."""
        info = call.info
        resource = self.cluster.registry.find(info.group, info.version, info.resource)
        if resource is None:
            if self.cluster.registry.in_version(info.group, info.version):
                raise no_such_resource()
            return None
        if not resource.namespaced and info.namespace and info.resource != "namespaces":
            return None
        if info.subresource and info.subresource.partition("/")[0] not in resource.subresources:
            if resource.custom and info.subresource in ("status", "scale"):
                raise not_found(resource.group, resource.plural, info.name)
            raise no_such_resource()
        deprecated = [resource.deprecation_warning] if resource.deprecation_warning else []
        try:
            answer = self._subresource(resource, call) if info.subresource else self._whole(resource, call)
        except StatusError as error:
            error.warnings = [*error.warnings, *deprecated]
            raise
        answer.warnings += deprecated
        return answer

    def _whole(self, resource: Resource, call: Call) -> Answer:
        verb = call.info.verb
        if verb not in resource.verbs:
            raise method_not_allowed()
        if verb in ("update", "patch", "delete") and not call.info.name:
            raise method_not_allowed()
        if verb == "deletecollection" and resource.namespaced and not call.info.namespace:
            # Nobody empties all namespaces at once.
            raise method_not_allowed()
        if resource.storage == ("", "componentstatuses"):
            raise not_implemented("componentstatuses: it has no components; ask /readyz")
        if verb == "get":
            return self._get(resource, call)
        if verb == "list":
            return self._list(resource, call)
        if verb == "watch":
            return self._watch(resource, call)
        if verb == "create":
            return self._create(resource, call)
        if verb == "update":
            return self._update(resource, call, "")
        if verb == "patch":
            return self._patch(resource, call, "")
        if verb == "delete":
            return self._delete(resource, call)
        return self._delete_collection(resource, call)

    # -- reading

    def _get(self, resource: Resource, call: Call) -> Answer:
        info = call.info
        form = present.negotiate(call.accept, call.query.get("includeObject", ""))
        namespace = info.namespace if resource.namespaced else ""
        entry = self.cluster.entry(resource, namespace, info.name)
        if entry is None:
            raise not_found(resource.group, resource.plural, info.name)
        if form.kind == present.TABLE or form.yaml:
            return self._object(resource, self.cluster.manifest(resource, entry), form)
        return Answer(body=present.entry_bytes(self.cluster, resource, entry, form))

    def _list(self, resource: Resource, call: Call) -> Answer:
        info = call.info
        if resource.namespaced and not info.namespace and info.path.rstrip("/").endswith("/namespaces"):
            raise method_not_allowed()
        form = present.negotiate(call.accept, call.query.get("includeObject", ""))
        namespace = info.namespace if resource.namespaced else ""
        page = reads.list_page(self.cluster, resource, namespace, call.query)
        if form.kind == present.TABLE:
            manifests = [self.cluster.manifest(resource, entry) for entry in page.entries]
            table = present.table(self.cluster, resource, manifests, form, page.metadata)
            return Answer(body=orjson.dumps(table))
        body = present.list_bytes(self.cluster, resource, page.entries, form, page.metadata)
        return self._yaml(body) if form.yaml else Answer(body=body)

    def _watch(self, resource: Resource, call: Call) -> Answer:
        info = call.info
        form = present.negotiate(call.accept, call.query.get("includeObject", ""))
        namespace = info.namespace if resource.namespaced else ""
        name = "" if "metadata.name" in call.query.get("fieldSelector", "") else info.name
        wanted = reads.Filter(self.cluster, resource, namespace, call.query, name)
        start = reads.watch_start(self.cluster, wanted, call.query)
        bookmarks = call.query.get("allowWatchBookmarks", "").lower() in ("true", "1")
        try:
            timeout = float(call.query.get("timeoutSeconds") or 0)
        except ValueError:
            text = call.query["timeoutSeconds"]
            raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None
        return Answer(watch=Watch(wanted, start, form, bookmarks, timeout))

    # -- writing

    def options(self, call: Call, subresource: str = "", *, apply: bool = False) -> writes.Options:
        """The options of a write; 422 when they contradict each other."""
        query = call.query
        dry_run = _dry_run(query.get("dryRun", ""), call)
        validation = query.get("fieldValidation", "")
        if validation and validation not in _VALIDATIONS:
            cause = Cause(
                "FieldValueNotSupported",
                f'Unsupported value: "{validation}": supported values: "", "Ignore", "Strict", "Warn"',
                "fieldValidation",
            )
            raise invalid("meta.k8s.io", _options_kind(call), "", [cause])
        manager = query.get("fieldManager", "")
        if len(manager.encode()) > 128:
            cause = Cause("FieldValueTooLong", "Too long: may not be more than 128 bytes", "fieldManager")
            raise invalid("meta.k8s.io", _options_kind(call), "", [cause])
        if not manager.isprintable():
            cause = Cause(
                "FieldValueInvalid",
                f'Invalid value: "{manager}": should only contain printable characters',
                "fieldManager",
            )
            raise invalid("meta.k8s.io", _options_kind(call), "", [cause])
        force = query.get("force", "").lower() in ("true", "1")
        if call.info.verb == "patch":
            if apply and not manager:
                cause = Cause("FieldValueRequired", "Required value: is required for apply patch", "fieldManager")
                raise invalid("meta.k8s.io", "PatchOptions", "", [cause])
            if not apply and "force" in query:
                cause = Cause("FieldValueForbidden", "Forbidden: may not be specified for non-apply patch", "force")
                raise invalid("meta.k8s.io", "PatchOptions", "", [cause])
        sent = {key: query[key] for key in ("fieldManager", "fieldValidation") if query.get(key)}
        if not manager:
            manager = call.user_agent.partition("/")[0][:128] or "unknown"
        return writes.Options(
            user=call.user,
            field_manager=manager,
            field_validation=validation or "Warn",
            dry_run=dry_run,
            force=force,
            subresource=subresource,
            sent=sent,
        )

    def _create(self, resource: Resource, call: Call) -> Answer:
        info = call.info
        form = present.negotiate(call.accept)
        if info.name and resource.plural != "namespaces":
            raise method_not_allowed()
        manifest = bodies.decode(call.body, call.content_type)
        bodies.require_kind(manifest, resource.api_version, resource.kind, built_in=not resource.custom)
        options = self.options(call)
        virtual = self.subresources.virtual(resource, call, manifest, options)
        if virtual is not None:
            return Answer(201, orjson.dumps(virtual))
        namespace = info.namespace if resource.namespaced else ""
        if resource.namespaced and not namespace:
            raise method_not_allowed()
        with _telling(options):
            stored = writes.create(self.cluster, resource, namespace, manifest, options)
        return self._object(resource, stored, form, 201, options.warnings)

    def _update(self, resource: Resource, call: Call, subresource: str) -> Answer:
        form = present.negotiate(call.accept)
        manifest = bodies.decode(call.body, call.content_type)
        bodies.require_kind(manifest, resource.api_version, resource.kind, built_in=not resource.custom)
        options = self.options(call, subresource)
        namespace = call.info.namespace if resource.namespaced else ""
        with _telling(options):
            stored, created = writes.update(self.cluster, resource, namespace, call.info.name, manifest, options)
        return self._object(resource, stored, form, 201 if created else 200, options.warnings)

    def _patch(self, resource: Resource, call: Call, subresource: str) -> Answer:
        form = present.negotiate(call.accept)
        kind, body = bodies.decode_patch(call.body, call.content_type)
        options = self.options(call, subresource, apply=kind == "apply")
        namespace = call.info.namespace if resource.namespaced else ""
        with _telling(options):
            stored, created = writes.patch(self.cluster, resource, namespace, call.info.name, kind, body, options)
        return self._object(resource, stored, form, 201 if created else 200, options.warnings)

    def _delete(self, resource: Resource, call: Call) -> Answer:
        form = present.negotiate(call.accept)
        options = delete_options(call)
        namespace = call.info.namespace if resource.namespaced else ""
        if resource.storage == _JOBS and not options.propagation:
            options.warnings.append(_JOB_WARNING)
        with _telling(options):
            manifest, gone = writes.delete(self.cluster, resource, namespace, call.info.name, options)
        warnings = options.warnings
        if not gone or resource.storage in RETURNS_DELETED:
            code = 202 if options.cascades and not gone else 200
            return self._object(resource, manifest, form, code, warnings)
        return Answer(body=orjson.dumps(_deleted(resource, manifest)), warnings=warnings)

    def _delete_collection(self, resource: Resource, call: Call) -> Answer:
        form = present.negotiate(call.accept)
        options = delete_options(call)
        namespace = call.info.namespace if resource.namespaced else ""
        page = reads.list_page(self.cluster, resource, namespace, call.query)
        for entry in page.entries:
            try:
                with _telling(options):
                    writes.delete(self.cluster, resource, entry.namespace, entry.name, options)
            except StatusError as error:
                if error.code != 404:
                    raise
        body = present.list_bytes(self.cluster, resource, page.entries, form, page.metadata)
        keeps_pods = resource.storage == _JOBS and not options.propagation
        return Answer(body=body, warnings=[*options.warnings, *([_JOB_WARNING] if keeps_pods else [])])

    # -- subresources

    def _subresource(self, resource: Resource, call: Call) -> Answer:
        name, verb = call.info.subresource, call.info.verb
        if (
            name == "status"
            or (name == "finalize" and resource.plural == "namespaces")
            or name
            in (
                "approval",
                "ephemeralcontainers",
                "resize",
            )
        ):
            if verb == "get":
                return self._get(resource, call)
            if verb == "update":
                return self._update(resource, call, name)
            if verb == "patch" and name != "finalize":
                return self._patch(resource, call, name)
            raise method_not_allowed()
        if name == "scale":
            return self._scale(resource, call)
        answer = self.subresources.answer(resource, call)
        if answer is None:
            raise not_implemented(f"the subresource {resource.plural}/{name}")
        return answer

    def _scale(self, resource: Resource, call: Call) -> Answer:
        namespace = call.info.namespace if resource.namespaced else ""
        live = self.cluster.live(resource, namespace, call.info.name)
        if live is None:
            raise not_found(resource.group, resource.plural, call.info.name)
        verb = call.info.verb
        if verb == "get":
            return Answer(body=orjson.dumps(scale.of(resource, live)))
        body: Any
        if verb == "update":
            kind, body = "update", bodies.decode(call.body, call.content_type)
        elif verb == "patch":
            kind, body = bodies.decode_patch(call.body, call.content_type)
        else:
            raise method_not_allowed()
        options = self.options(call, "scale", apply=kind == "apply")
        stored = scale.written(self.cluster, resource, live, kind, body, options)
        return Answer(body=orjson.dumps(scale.of(resource, stored)), warnings=options.warnings)

    # -- answers

    def _object(
        self,
        resource: Resource,
        manifest: Manifest,
        form: Form,
        code: int = 200,
        warnings: list[str] | None = None,
    ) -> Answer:
        body = present.response_body(self.cluster, resource, manifest, form)
        answer = self._yaml(body) if form.yaml else Answer(body=body)
        answer.code = code
        answer.warnings = list(warnings or ())
        return answer

    def _yaml(self, body: bytes) -> Answer:
        return Answer(body=present.to_yaml(body), content_type="application/yaml")


@contextmanager
def _telling(options: writes.Options | writes.DeleteOptions) -> Iterator[None]:
    """A write that is refused warns as one that isn't."""
    try:
        yield
    except StatusError as error:
        error.warnings = options.warnings
        raise


def _options_kind(call: Call) -> str:
    return {"create": "CreateOptions", "update": "UpdateOptions"}.get(call.info.verb, "PatchOptions")


def _dry_run(value: str, call: Call) -> bool:
    if not value:
        return False
    if value != "All":
        cause = Cause("FieldValueNotSupported", f'Unsupported value: ["{value}"]: supported values: "All"', "dryRun")
        kind = "DeleteOptions" if call.info.verb.startswith("delete") else _options_kind(call)
        raise invalid("meta.k8s.io", kind, "", [cause])
    return True


def delete_options(call: Call) -> writes.DeleteOptions:
    """The options of a deletion, from the body or else from the query."""
    body: Manifest = {}
    if call.body.strip():
        body = bodies.decode(call.body, call.content_type)
        if body.get("kind") not in (None, "", "DeleteOptions"):
            raise bad_request(f'no kind "{body["kind"]}" is known that says how to delete: send DeleteOptions')
        body = bodies.typed(body, schema.schema(_DELETE_OPTIONS))
    query = call.query
    preconditions = body.get("preconditions") or {}
    grace = body.get("gracePeriodSeconds")
    if grace is None and query.get("gracePeriodSeconds"):
        try:
            grace = int(query["gracePeriodSeconds"])
        except ValueError:
            raise bad_request("gracePeriodSeconds must be a whole number") from None
    propagation = body.get("propagationPolicy") or query.get("propagationPolicy", "")
    orphan = body.get("orphanDependents")
    if orphan is None and query.get("orphanDependents"):
        orphan = query["orphanDependents"].lower() in ("true", "1")
    problems: list[Cause] = []
    if propagation and orphan is not None:
        told = f'Invalid value: "{propagation}": orphanDependents and deletionPropagation cannot be both set'
        problems.append(Cause("FieldValueInvalid", told, "propagationPolicy"))
    if propagation and propagation not in _PROPAGATIONS:
        supported = '"Foreground", "Background", "Orphan", "nil"'
        told = f'Unsupported value: "{propagation}": supported values: {supported}'
        problems.append(Cause("FieldValueNotSupported", told, "propagationPolicy"))
    if problems:
        raise invalid("meta.k8s.io", "DeleteOptions", "", problems)
    if orphan is not None:
        propagation = "Orphan" if orphan else "Background"
    dry_run = ",".join(body.get("dryRun") or ()) or query.get("dryRun", "")
    return writes.DeleteOptions(
        uid=preconditions.get("uid") or "",
        resource_version=preconditions.get("resourceVersion") or "",
        grace_period=grace,
        propagation=propagation,
        cascades=orphan is False,
        dry_run=_dry_run(dry_run, call),
        user=call.user,
        collection=call.info.verb == "deletecollection",
    )


def _deleted(resource: Resource, manifest: Manifest) -> Manifest:
    details = {"name": manifest["metadata"]["name"], "group": resource.group, "kind": resource.plural}
    details["uid"] = manifest["metadata"].get("uid", "")
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {key: value for key, value in details.items() if value},
    }
