"""Admission webhooks: others change and judge a write, over HTTPS.

    hooks whose rules, selectors and conditions match → asked (changing ones in turn, judging ones at once) → verdicts

A write that lacks an answer ends with the question: see `kubeapi.admission.memory`.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson

from kubeapi.admission import calls, conditions, matching, memory
from kubeapi.admission.attributes import Attributes
from kubeapi.admission.calls import CallFailed, Verdict
from kubeapi.admission.memory import Question, Unanswered
from kubeapi.admission.policies import GROUP
from kubeapi.errors import Cause, StatusError, bad_request, forbidden, internal, not_implemented
from kubeapi.expressions.compiled import Unfit, names
from kubeapi.fields.patches import DoesNotApply
from kubeapi.resources import Resource
from kubeapi.seam import fields, validation
from kubeapi.store import Change

if TYPE_CHECKING:
    from kubeapi.authorization import Authorizer
    from kubeapi.cluster import Cluster

Manifest = dict[str, Any]

_HARMLESS = ("None", "NoneOnDryRun")
_KNOWN = ("v1", "v1beta1")


class Hook:
    """One webhook of a configuration."""

    def __init__(self, manifest: Manifest, key: str) -> None:
        self.manifest = manifest
        self.key = key
        self.name: str = manifest["name"]
        self.ignores = manifest.get("failurePolicy") == "Ignore"
        self.timeout: int = manifest.get("timeoutSeconds") or 10
        self.again = manifest.get("reinvocationPolicy") == "IfNeeded"
        known = names(params=False, variables=False)
        self.conditions = conditions.conditions_of(manifest.get("matchConditions") or (), known)

    def version(self) -> str:
        """The version of AdmissionReview that it takes. CallFailed when we speak none of its."""
        found = next((one for one in self.manifest.get("admissionReviewVersions") or () if one in _KNOWN), "")
        if not found:
            problem = "webhook does not accept known AdmissionReview versions (v1, v1beta1)"
            raise CallFailed(f"could not create admission objects: {problem}")
        return found

    def authority(self) -> bytes:
        return base64.b64decode((self.manifest.get("clientConfig") or {}).get("caBundle") or "")


@dataclass(slots=True)
class Reinvocation:
    """Which webhooks want to be asked again of one write."""

    asked: set[str] = field(default_factory=set)
    due: set[str] = field(default_factory=set)

    def require(self) -> None:
        """The object has changed: whoever saw it before sees it again."""
        self.due |= self.asked
        self.asked.clear()


class Webhooks:
    """The webhooks of a cluster: those that change or those that judge."""

    def __init__(self, cluster: Cluster, authorizer: Authorizer, *, mutating: bool) -> None:
        self._cluster = cluster
        self._authorizer = authorizer
        self._mutating = mutating
        self._storage = (GROUP, f"{'mutating' if mutating else 'validating'}webhookconfigurations")
        self._found: list[Hook] | None = None
        cluster.store.listen(self._changed, self._storage)

    def _changed(self, change: Change) -> None:
        self._found = None

    def _hooks(self) -> list[Hook]:
        if self._found is None:
            self._found = [
                Hook(one, f"{entry.name}/{entry.rv}/{index}")
                for entry in self._cluster.store.entries(self._storage)
                for index, one in enumerate(entry.manifest().get("webhooks") or ())
            ]
        return self._found

    def __bool__(self) -> bool:
        """Whether there is anybody to ask, and somebody who waits for the answer."""
        return bool(self._hooks()) and memory.answers() is not None

    # -- changing

    def change(
        self, attributes: Attributes, manifest: Manifest, warnings: list[str], again: Reinvocation, round: int = 0
    ) -> bool:
        """Let the webhooks change a write's object, in place; whether one did. StatusError when one refuses it.

        round: 0, or 1 for those that have been asked and want to see what came after.
        """
        changed = False
        for hook in self._hooks():
            if round and hook.key not in again.due:
                continue
            matched = self._concerns(hook, attributes)
            if matched is None:
                continue
            if self._ask_to_change(hook, matched, attributes, manifest, warnings, round):
                changed = True
                again.require()
            if hook.again:
                again.asked.add(hook.key)
        return changed

    def _ask_to_change(
        self,
        hook: Hook,
        matched: Resource,
        attributes: Attributes,
        manifest: Manifest,
        warnings: list[str],
        round: int,
    ) -> bool:
        """Ask one webhook; whether it changed the object."""
        verdict = self._asked(hook, matched, attributes, round)
        if isinstance(verdict, Question):
            raise Unanswered([verdict])
        self._weigh(hook, verdict, warnings)
        if isinstance(verdict, CallFailed) or not verdict.patch:
            return False
        if attributes.object is None:
            problem = "attempted to modify the object, which is not supported for this operation"
            raise internal(f'admission webhook "{hook.name}" {problem}')
        if attributes.subresource == "scale":
            raise not_implemented("what a webhook changes of a Scale")
        shown = attributes.in_version(matched)
        assert shown.object is not None
        try:
            patched = fields.json_patch(shown.object, verdict.patch)
            if not isinstance(patched, dict) or not isinstance(patched.get("metadata"), dict):
                raise DoesNotApply("the patch leaves no object")
            if shown.resource.api_version != attributes.resource.api_version:
                patched = shown.converted(patched, attributes.resource)
            patched, _ = validation.read(attributes.resource, patched)
        except DoesNotApply as error:
            raise internal(error.problem) from None
        except StatusError as error:
            problem = error.message
            raise internal(problem.partition(f" cannot be handled as a {matched.kind}: ")[2] or problem) from None
        if patched == manifest:
            return False
        manifest.clear()
        manifest.update(patched)
        return True

    # -- judging

    def judge(self, attributes: Attributes, warnings: list[str]) -> None:
        """Refuse a write that a webhook refuses (StatusError), with the warnings of all that were asked."""
        asked: list[tuple[Hook, Verdict | CallFailed | StatusError]] = []
        open_: list[Question] = []
        for hook in self._hooks():
            matched = self._concerns(hook, attributes)
            if matched is None:
                continue
            try:
                verdict = self._asked(hook, matched, attributes, 0)
            except StatusError as error:
                asked.append((hook, error))
                continue
            if isinstance(verdict, Question):
                open_.append(verdict)
            else:
                asked.append((hook, verdict))
        if open_:
            raise Unanswered(open_)
        refusals: list[StatusError] = []
        for hook, answer in asked:
            try:
                if isinstance(answer, StatusError):
                    raise answer
                self._weigh(hook, answer, warnings)
            except StatusError as error:
                refusals.append(error)
        if refusals:
            raise refusals[0]

    # -- one webhook

    def _concerns(self, hook: Hook, attributes: Attributes) -> Resource | None:
        manifest = hook.manifest
        matched = matching.matched(self._cluster, manifest, attributes, rules=manifest.get("rules") or ())
        if matched is None or not hook.conditions:
            return matched
        seen = conditions.bindings(self._cluster, attributes.in_version(matched), attributes, None, namespace=False)
        try:
            with conditions.evaluating(self._authorizer):
                return matched if conditions.all_hold(hook.conditions, seen) else None
        except Unfit as error:
            if hook.ignores:
                return None
            resource = attributes.resource
            raise forbidden(resource.group, resource.plural, attributes.name, str(error)) from None

    def _asked(
        self, hook: Hook, matched: Resource, attributes: Attributes, round: int
    ) -> Verdict | CallFailed | Question:
        """What a webhook said about this request, or the question that is still to be put."""
        if attributes.dry_run and hook.manifest.get("sideEffects") not in _HARMLESS:
            raise bad_request(f'admission webhook "{hook.name}" does not support dry run')
        shown = attributes.in_version(matched)
        request = shown.request(attributes) | {"object": shown.object, "oldObject": shown.old}
        content = orjson.dumps([hook.key, round, request], option=orjson.OPT_SORT_KEYS)
        key = hashlib.sha256(content).hexdigest()
        known = memory.answers() or {}
        if key in known:
            answer: Verdict | CallFailed = known[key]
            return answer
        try:
            address = calls.address_of(self._cluster, hook.manifest.get("clientConfig") or {}, hook.timeout)
            # The object may be changed in place before the question is put.
            sent = orjson.loads(orjson.dumps(request))
            ask = partial(
                calls.ask, address, hook.authority(), sent, hook.version(), hook.timeout, mutating=self._mutating
            )
        except CallFailed as failure:
            return failure
        return Question(key, ask)

    def _weigh(self, hook: Hook, answer: Verdict | CallFailed, warnings: list[str]) -> None:
        """StatusError unless the webhook, or the policy for its failure, lets the write through."""
        if isinstance(answer, CallFailed):
            if hook.ignores:
                return
            raise internal(f'failed calling webhook "{hook.name}": {answer}')
        warnings += [one for one in answer.warnings if one not in warnings]
        if not answer.allowed:
            raise _rejection(hook.name, answer.result)


def _rejection(name: str, result: Manifest) -> StatusError:
    """The refusal that a webhook words."""
    code = result.get("code")
    told = result.get("message") or result.get("reason")
    said = f'admission webhook "{name}" denied the request'
    details = result.get("details")
    details = details if isinstance(details, dict) else {}
    return StatusError(
        code if isinstance(code, int) and code >= 400 else 400,
        str(result.get("reason") or ""),
        f"{said}: {told}" if told else f"{said} without explanation",
        name=str(details.get("name") or ""),
        group=str(details.get("group") or ""),
        kind=str(details.get("kind") or ""),
        uid=str(details.get("uid") or ""),
        causes=list(_causes(details.get("causes"))),
        retry_after=details["retryAfterSeconds"] if isinstance(details.get("retryAfterSeconds"), int) else 0,
    )


def _causes(given: Any) -> Iterator[Cause]:
    for one in given if isinstance(given, list) else ():
        if isinstance(one, dict):
            yield Cause(str(one.get("reason") or ""), str(one.get("message") or ""), str(one.get("field") or ""))
