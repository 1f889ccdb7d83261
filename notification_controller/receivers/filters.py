"""Filters: which of a Receiver's objects a webhook means, and what an issuer's token must say. CEL; pure.

    spec → check (a Receiver that can't work is told so) ; webhook → Filters → wants(object)

The expressions see `req`, the webhook's JSON body (empty when it isn't JSON), `res`, an object's metadata, and for
generic-oidc `claims`. They must be bool by their types: `req.enabled == true`, for nobody knows what `req.enabled` is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from notification_controller.receivers.webhook import Proven, Refused, Webhook, json_value
from shared.api.meta import Manifest
from shared.api.notification import OIDCProvider, ReceiverSpec
from shared.text import cel
from shared.text.cel import CELError, Program

_CLAIMS, _VARS = "claims", "vars"
AUDIENCE = "notification-controller"
"""Whom a token must be for when the Receiver doesn't say."""


class InvalidSpec(ValueError):
    """What is wrong with a Receiver, with upstream's reason."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class FilterFailed(Exception):
    """An expression gave no answer for this webhook."""


def require_valid(spec: ReceiverSpec) -> None:
    """InvalidSpec when an expression can't be read, or fields don't go together."""
    is_oidc = spec.type == "generic-oidc"
    if spec.resource_filter:
        _compiled(spec.resource_filter, is_oidc, "invalid resourceFilter expression")
    for index, resource in enumerate(spec.resources):
        if resource.filter:
            where = f'resources[{index}] (kind="{resource.kind}", name="{resource.name}")'
            _compiled(resource.filter, is_oidc, f"invalid filter expression for {where}")
    if is_oidc and not spec.oidc_providers:
        raise InvalidSpec(_VALIDATION, "generic-oidc receiver requires at least one oidcProvider")
    if not is_oidc and spec.oidc_providers:
        raise InvalidSpec(_VALIDATION, "oidcProviders can only be set when type is generic-oidc")
    if is_oidc and spec.secret_ref is not None:
        raise InvalidSpec(_VALIDATION, "secretRef cannot be set when type is generic-oidc")
    if not is_oidc and spec.secret_ref is None:
        raise InvalidSpec(_VALIDATION, "secretRef is required when type is not generic-oidc")
    _require_providers(spec.oidc_providers)


def _require_providers(providers: list[OIDCProvider]) -> None:
    seen: set[str] = set()
    for index, provider in enumerate(providers):
        where = f'oidcProviders[{index}] (issuerURL="{provider.issuer_url}")'
        if not provider.issuer_url.startswith(("http://", "https://")):
            raise InvalidSpec(_VALIDATION, f"{where}: issuerURL must start with http:// or https://")
        if provider.issuer_url in seen:
            raise InvalidSpec(_VALIDATION, f"{where}: duplicate issuerURL")
        seen.add(provider.issuer_url)
        if not provider.validations:
            problem = "at least one validation is required: the issuer gives tokens to others, too"
            raise InvalidSpec(_VALIDATION, f"{where}: {problem}")
    for index, provider in enumerate(providers):
        where = f'oidcProviders[{index}] (issuerURL="{provider.issuer_url}")'
        for variable in provider.variables:
            _claims_program(variable.expression, None, f'{where}: invalid expression for variable "{variable.name}"')
        for validation in provider.validations:
            problem = f'{where}: invalid expression for validation "{validation.message}"'
            _claims_program(validation.expression, "bool", problem)


_VALIDATION, _EXPRESSION = "ValidationFailed", "InvalidCELExpression"


def _compiled(expression: str, claims: bool, what: str) -> Program:
    try:
        return cel.compile(expression, variables=_variables(claims), result="bool")
    except CELError as error:
        raise InvalidSpec(_EXPRESSION, f"{what}: {_problem(expression, error)}") from error


def _problem(expression: str, error: CELError) -> str:
    """What is wrong with an expression, with its place where it can't be read."""
    return f"failed to parse the CEL expression '{expression}': {error.report}" if error.report else str(error)


def _variables(claims: bool) -> tuple[str, ...]:
    return ("res", "req", _CLAIMS) if claims else ("res", "req")


def _claims_program(expression: str, result: str | None, what: str) -> Program:
    try:
        return cel.compile(expression, variables=(_CLAIMS, _VARS), result=result)
    except CELError as error:
        raise InvalidSpec(_EXPRESSION, f"{what}: {_problem(expression, error)}") from error


class Filters:
    """What a Receiver's expressions make of one webhook. FilterFailed when its body can't be read."""

    def __init__(self, spec: ReceiverSpec, webhook: Webhook, proven: Proven) -> None:
        self._spec = spec
        self._claims = proven.claims
        self._request: Mapping[str, Any] = {}
        self.is_needed = bool(spec.resource_filter) or any(resource.filter for resource in spec.resources)
        if self.is_needed and _is_json(webhook):
            self._request = _request(proven.body)

    def needs_object(self, index: int) -> bool:
        """Whether the resource at this place of the spec is filtered."""
        return bool(self._spec.resource_filter or self._spec.resources[index].filter)

    def wants(self, index: int, obj: Manifest) -> bool:
        """Does the webhook mean this object of the resource? FilterFailed when an expression can't tell."""
        expressions = (self._spec.resource_filter, self._spec.resources[index].filter)
        bindings: dict[str, Any] = {"req": self._request, "res": _floating(obj)}
        if self._claims is not None:
            bindings[_CLAIMS] = self._claims
        try:
            return all(
                cel.compile(text, variables=_variables(self._claims is not None), result="bool").evaluate(bindings)
                for text in expressions
                if text
            )
        except CELError as error:
            raise FilterFailed(f"the filter can't be evaluated: {error}") from error


def _is_json(webhook: Webhook) -> bool:
    types = webhook.header("Content-Type").split(",")
    return any(each.partition(";")[0].strip().lower() == "application/json" for each in types)


def _request(body: bytes) -> Mapping[str, Any]:
    try:
        value = json_value(body)
    except ValueError as error:
        raise FilterFailed(f"the body can't be read as JSON: {error}") from error
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise FilterFailed("the body is no JSON object")
    return value


def _floating(value: Any) -> Any:
    """Numbers as the request has them."""
    if isinstance(value, dict):
        return {key: _floating(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_floating(each) for each in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def require_claims(provider: OIDCProvider, claims: Mapping[str, Any]) -> None:
    """Refused unless all that the provider's validations ask is true of a token."""
    values: dict[str, Any] = {}
    bindings = {_CLAIMS: claims, _VARS: values}
    try:
        for variable in provider.variables:
            values[variable.name] = cel.compile(variable.expression, variables=(_CLAIMS, _VARS)).evaluate(bindings)
        failures = [
            validation.message
            for validation in provider.validations
            if not cel.compile(validation.expression, variables=(_CLAIMS, _VARS), result="bool").evaluate(bindings)
        ]
    except CELError as error:
        raise Refused(f"the token's claims can't be judged: {error}") from error
    if failures:
        told = "; ".join(failures)
        raise Refused(f"the token's claims are not those asked for: {told}", answer=f"{told}\n")
