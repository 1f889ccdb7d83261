"""Messages of failures: Flux's words first, a line an object, where it is written, and no more than can be read."""

from __future__ import annotations

from shared.apply import ApplyError, ChangeSet, HealthCheckError, ObjectError, ObjectId, PruneError
from shared.apply.errors import LONGEST
from shared.health import Health
from shared.text.listed import MOST


def named(name: str, kind: str = "Service") -> ObjectId:
    return ObjectId("", kind, "shop", name)


def failing(*names: str, message: str = "dry-run failed (Invalid): it is bad") -> list[ObjectError]:
    return [ObjectError(named(name), f"{named(name)} {message}") for name in names]


def test_each_object_has_a_line_with_the_place_where_it_is_written() -> None:
    error = ApplyError(failing("one", "two"), ChangeSet())
    assert str(error).splitlines() == [
        "Service/shop/one dry-run failed (Invalid): it is bad",
        "Service/shop/two dry-run failed (Invalid): it is bad",
    ]
    assert error.told({named("two"): "apps/web.yaml:3"}).splitlines() == [
        "Service/shop/one dry-run failed (Invalid): it is bad",
        "Service/shop/two dry-run failed (Invalid): it is bad (in apps/web.yaml:3)",
    ]


def test_a_message_of_several_lines_becomes_one_and_a_long_one_is_cut() -> None:
    error = ApplyError(failing("one", message="dry-run failed:\n  .spec.a: bad\n  .spec.b: bad"), ChangeSet())
    assert str(error) == "Service/shop/one dry-run failed: .spec.a: bad .spec.b: bad"
    long = ApplyError(failing("one", message="x" * 5000), ChangeSet())
    assert len(str(long)) == LONGEST
    assert str(long).endswith("x…")


def test_objects_beyond_the_limit_are_counted() -> None:
    lines = str(ApplyError(failing(*map(str, range(MOST + 12))), ChangeSet())).splitlines()
    assert len(lines) == MOST + 1
    assert lines[-1] == "… and 12 more"


def test_a_prune_says_what_could_not_be_deleted() -> None:
    error = PruneError(failing("one", "two", message="delete failed: forbidden"), ChangeSet())
    assert str(error).splitlines() == [
        "delete failed, errors: Service/shop/one delete failed: forbidden",
        "Service/shop/two delete failed: forbidden",
    ]


def test_a_health_check_names_all_in_one_line_and_then_says_why() -> None:
    web, db = named("web", "Deployment"), named("db", "StatefulSet")
    error = HealthCheckError({web: Health("InProgress", "Available: 0/1"), db: Health("NotFound", "")}, "30s")
    assert error.told({web: "web.yaml:1"}).splitlines() == [
        "health check failed after 30s: timeout waiting for: "
        "[Deployment/shop/web status: 'InProgress', StatefulSet/shop/db status: 'NotFound']",
        "Deployment/shop/web: Available: 0/1 (in web.yaml:1)",
    ]


def test_a_failed_object_is_why_a_health_check_ended_early() -> None:
    error = HealthCheckError({named("once", "Job"): Health("Failed", "Job Failed")}, "1s")
    assert str(error).splitlines() == [
        "health check failed after 1s: failed early due to stalled resources: [Job/shop/once status: 'Failed']",
        "Job/shop/once: Job Failed",
    ]


def test_a_health_check_of_many_objects_counts_the_rest() -> None:
    many = {named(f"web-{number}"): Health("InProgress", "not yet") for number in range(MOST + 5)}
    headline, *lines = str(HealthCheckError(many, "30s")).splitlines()
    assert headline.count("status: ") == MOST
    assert headline.endswith(" and 5 more]")
    assert len(lines) == MOST + 1
    assert lines[-1] == "… and 5 more"
