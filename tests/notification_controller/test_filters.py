"""Expressions choose which objects a webhook is for, and say at once what is wrong with them."""

from __future__ import annotations

import msgspec
import pytest
from multidict import CIMultiDict

from notification_controller.receivers.filters import FilterFailed, Filters, InvalidSpec, require_claims, require_valid
from notification_controller.receivers.webhook import Proven, Refused, Webhook
from shared.api.meta import LocalObjectReference
from shared.api.notification import OIDCProvider, OIDCValidation, OIDCVariable, ReceiverResource, ReceiverSpec

RESOURCE = ReceiverResource(kind="GitRepository", name="app")
GENERIC = ReceiverSpec(type="generic", resources=[RESOURCE], secret_ref=LocalObjectReference(name="token"))
ISSUER = OIDCProvider(
    issuer_url="https://issuer", validations=[OIDCValidation(expression="claims.org == 'acme'", message="not us")]
)
OIDC = ReceiverSpec(type="generic-oidc", resources=[RESOURCE], oidc_providers=[ISSUER])
replace = msgspec.structs.replace


def wants(expression, body=b"{}", obj=None, *, content_type="application/json", claims=None, own=None):
    spec = replace(
        OIDC if claims is not None else GENERIC,
        resource_filter=expression,
        resources=[replace(RESOURCE, filter=own)],
    )
    require_valid(spec)
    webhook = Webhook(CIMultiDict({"Content-Type": content_type}), body)
    metadata = {"name": "app", "generation": 3, "labels": {"team": "blue"}}
    filters = Filters(spec, webhook, Proven(body, claims=claims))
    return filters.wants(0, obj or {"kind": "GitRepository", "metadata": metadata})


@pytest.mark.parametrize(
    ("expression", "body", "is_wanted"),
    [
        ("req.team == res.metadata.labels.team", b'{"team": "blue"}', True),
        ("req.team == res.metadata.labels.team", b'{"team": "red"}', False),
        ("has(res.metadata.annotations)", b"{}", False),
        ("has(req.team)", b"null", False),
        (
            "req.tag.split('/').last().value().split(':').first().value() == res.metadata.name",
            b'{"tag": "x/app:1"}',
            True,
        ),
        ("req.number == 5 && req.number + 1.0 == 6.0", b'{"number": 5}', True),
        ("res.metadata.generation == 3", b"{}", True),
        ("req.enabled == true", b'{"enabled": true} and more', True),
    ],
)
def test_a_filter_sees_the_request_and_the_object(expression, body, is_wanted):
    assert wants(expression, body) is is_wanted


def test_both_filters_must_agree():
    assert wants("req.a == 1", b'{"a": 1, "b": 2}', own="req.b == 2")
    assert not wants("req.a == 1", b'{"a": 1, "b": 3}', own="req.b == 2")
    assert not wants("req.a == 1", b'{"a": 2, "b": 2}', own="req.b == 2")


@pytest.mark.parametrize("content_type", ["text/plain", "", "application/cloudevents+json"])
def test_what_is_not_json_is_empty_for_a_filter(content_type):
    assert wants("!has(req.a)", b'{"a": 1}', content_type=content_type)


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "text/plain, application/json"])
def test_json_is_known_by_its_content_type(content_type):
    assert wants("has(req.a)", b'{"a": 1}', content_type=content_type)


@pytest.mark.parametrize(
    "body", [b"not json", b"", b"[]", b'"text"', b"1", b"[" * 100_000, b'{"a": NaN}', b'{"a": 1e999}']
)
def test_a_filter_that_cannot_read_its_request_fails(body):
    with pytest.raises(FilterFailed):
        wants("has(req.a)", body)


def test_a_body_that_no_filter_reads_may_be_anything():
    assert not Filters(
        GENERIC, Webhook(CIMultiDict({"Content-Type": "application/json"}), b"x"), Proven(b"x")
    ).needs_object(0)


def test_a_missing_field_fails_the_filter_and_shows_no_value():
    with pytest.raises(FilterFailed, match="no such key") as failed:
        wants("req.missing == 1", b'{"secret": "hunter2"}')
    assert "hunter2" not in str(failed.value)


def test_claims_are_seen_by_filters_of_generic_oidc_only():
    assert wants("claims.org == 'acme'", claims={"org": "acme"})
    with pytest.raises(InvalidSpec):
        wants("claims.org == 'acme'")


@pytest.mark.parametrize("expression", ["not valid (", "req.enabled", "1 + 1", "'text'", "other.x == 1", "x" * 20_000])
def test_a_filter_must_be_a_bool_by_its_types(expression):
    with pytest.raises(InvalidSpec, match=r"^invalid resourceFilter expression: ") as invalid:
        require_valid(replace(GENERIC, resource_filter=expression))
    assert invalid.value.reason == "InvalidCELExpression"


def test_a_resources_filter_is_named_by_its_place():
    with pytest.raises(InvalidSpec) as invalid:
        require_valid(replace(GENERIC, resources=[RESOURCE, replace(RESOURCE, filter="(")]))
    place = 'invalid filter expression for resources[1] (kind="GitRepository", name="app"): '
    assert str(invalid.value).startswith(place)


@pytest.mark.parametrize(
    ("spec", "reason", "text"),
    [
        (replace(OIDC, oidc_providers=[]), "ValidationFailed", "at least one oidcProvider"),
        (replace(GENERIC, oidc_providers=[ISSUER]), "ValidationFailed", "only be set when type is generic-oidc"),
        (replace(OIDC, secret_ref=LocalObjectReference(name="x")), "ValidationFailed", "secretRef cannot be set"),
        (replace(GENERIC, secret_ref=None), "ValidationFailed", "secretRef is required"),
        (replace(OIDC, oidc_providers=[ISSUER, ISSUER]), "ValidationFailed", "duplicate issuerURL"),
        (replace(OIDC, oidc_providers=[replace(ISSUER, issuer_url="ftp://x")]), "ValidationFailed", "must start with"),
        (
            replace(OIDC, oidc_providers=[replace(ISSUER, validations=[])]),
            "ValidationFailed",
            "at least one validation",
        ),
        (
            replace(OIDC, oidc_providers=[replace(ISSUER, variables=[OIDCVariable(name="x", expression="(")])]),
            "InvalidCELExpression",
            'invalid expression for variable "x"',
        ),
        (
            replace(OIDC, oidc_providers=[replace(ISSUER, validations=[OIDCValidation(expression="1", message="m")])]),
            "InvalidCELExpression",
            'invalid expression for validation "m"',
        ),
    ],
)
def test_fields_that_do_not_go_together_are_told(spec, reason, text):
    with pytest.raises(InvalidSpec, match=text) as invalid:
        require_valid(spec)
    assert invalid.value.reason == reason


def test_validations_use_variables_computed_in_their_order():
    provider = replace(
        ISSUER,
        variables=[
            OIDCVariable(name="owner", expression="claims.owner"),
            OIDCVariable(name="repos", expression="[vars.owner + '/a', vars.owner + '/b']"),
        ],
        validations=[
            OIDCValidation(expression="claims.repo in vars.repos", message="not that one"),
            OIDCValidation(expression="vars.owner == 'acme'", message="not us"),
        ],
    )
    require_claims(provider, {"owner": "acme", "repo": "acme/b"})
    with pytest.raises(Refused) as refused:
        require_claims(provider, {"owner": "evil", "repo": "x"})
    assert refused.value.answer == "not that one; not us\n"
    with pytest.raises(Refused) as refused:
        require_claims(provider, {})
    assert refused.value.answer == ""
