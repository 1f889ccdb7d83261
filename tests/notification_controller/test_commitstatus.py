"""A commit's statuses are kept apart by an id, which a Provider's expression may make."""

from __future__ import annotations

import pytest

from notification_controller.commitstatus import commit_status, evaluated
from notification_controller.event import Event, InvolvedObject
from notification_controller.providers import InvalidProvider
from shared.api.meta import LocalObjectReference, ObjectMeta
from shared.api.notification import Alert, AlertSpec, Provider, ProviderSpec
from shared.text.cel import CELError

UID = "0c9c2e41-d2f9-4f9b-9c41-bebc1984d67a"
EVENT = Event(
    involved_object=InvolvedObject(kind="Kustomization", name="apps", namespace="flux-system"),
    severity="info",
    metadata={"revision": "main@sha1:1", "summary": "prod"},
)
ALERT = Alert(
    metadata=ObjectMeta(name="al", namespace="flux-system"),
    spec=AlertSpec(provider_ref=LocalObjectReference(name="prov"), event_sources=[]),
)


def provider(type_="github", expression=None):
    metadata = ObjectMeta(name="prov", namespace="flux-system", uid=UID)
    return Provider(metadata=metadata, spec=ProviderSpec(type=type_, commit_status_expr=expression))


def test_by_default_an_id_tells_objects_and_clusters_apart():
    assert commit_status(provider(), ALERT, EVENT) == "kustomization/apps/0c9c2e41"
    assert commit_status(provider(), None, EVENT) == "kustomization/apps/0c9c2e41"


@pytest.mark.parametrize("type_", ["generic", "githubdispatch", "githubpullrequestcomment"])
def test_only_services_with_statuses_have_ids(type_):
    assert commit_status(provider(type_), ALERT, EVENT) == ""


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("event.involvedObject.kind + '/' + event.involvedObject.name", "Kustomization/apps"),
        ("provider.metadata.uid.split('-').first().value()", "0c9c2e41"),
        (
            "(event.involvedObject.kind + '/' + event.metadata.summary + '/' + alert.metadata.name).lowerAscii()",
            "kustomization/prod/al",
        ),
    ],
)
def test_an_expression_makes_another_id(expression, value):
    assert commit_status(provider(expression=expression), ALERT, EVENT) == value


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("event.metadata.revision", "CEL expression output type mismatch: expected string, got dyn"),
        ("1 + 1", "CEL expression output type mismatch: expected string, got int"),
        ("event.nope", "CEL expression output type mismatch: expected string, got dyn"),
    ],
)
def test_an_expression_must_be_a_text_by_its_types(expression, problem):
    with pytest.raises(CELError) as wrong:
        evaluated(expression, provider(), ALERT, EVENT)
    assert str(wrong.value) == f"failed to compile expression: {problem}"
    with pytest.raises(InvalidProvider, match=r"spec\.commitStatusExpr"):
        commit_status(provider(expression=expression), ALERT, EVENT)


def test_an_expression_that_finds_nothing_names_what_it_missed():
    with pytest.raises(InvalidProvider, match="no such key"):
        commit_status(provider(expression="event.metadata.none + ''"), ALERT, EVENT)
