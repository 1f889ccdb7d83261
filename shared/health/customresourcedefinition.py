"""CustomResourceDefinition: does the API server serve the kind? Names that are taken make it fail."""

from __future__ import annotations

from shared.api.meta import Manifest
from shared.health import fields
from shared.health.verdict import Health, current, failed, in_progress


def assess(manifest: Manifest) -> Health:
    for condition in fields.conditions(manifest):
        if condition.type == "NamesAccepted" and condition.status == "False":
            return failed(condition.text)
        if condition.type == "Established":
            if condition.status == "False" and condition.reason != "Installing":
                return failed(condition.text)
            if condition.true:
                return current("CRD is established")
    return in_progress("Install in progress")
