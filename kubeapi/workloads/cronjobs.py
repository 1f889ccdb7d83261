"""CronJobs: a Job at each time their schedule names, and only so many of the finished ones kept."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from kubeapi import writes
from kubeapi.clock import parse, stamp
from kubeapi.errors import StatusError
from kubeapi.store import Entry
from kubeapi.workloads.base import Workload, is_true, reference_to
from kubeapi.writes import DeleteOptions, Options

Manifest = dict[str, Any]

JOBS = ("batch", "jobs")
_NAMED = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_HORIZON = timedelta(days=366 * 5)


class CronJobs(Workload):
    api_version = "batch/v1"
    kind = "CronJob"
    children = (JOBS,)

    def reconcile(self, key: str, live: Manifest) -> None:
        metadata, spec = live["metadata"], live["spec"]
        if "deletionTimestamp" in metadata:
            return
        jobs = [(entry, entry.manifest()) for entry in self.tools.owned(metadata["uid"], JOBS)]
        status = dict(live.get("status") or {})
        active = [(entry, job) for entry, job in jobs if not is_true(job, "Complete") and not is_true(job, "Failed")]
        if not spec.get("suspend"):
            self._start_due(key, live, status, active)
        if active:
            status["active"] = [_reference(job) for _, job in active]
        else:
            status.pop("active", None)
        ends = [job["status"]["completionTime"] for _, job in jobs if (job.get("status") or {}).get("completionTime")]
        if ends:
            status["lastSuccessfulTime"] = max(ends)
        self._trim(jobs, "Complete", spec.get("successfulJobsHistoryLimit", 3))
        self._trim(jobs, "Failed", spec.get("failedJobsHistoryLimit", 1))
        self.save_status(live, status)

    def _start_due(self, key: str, live: Manifest, status: Manifest, active: list[tuple[Entry, Manifest]]) -> None:
        spec = live["spec"]
        now = self.cluster.clock.now()
        try:
            schedule = Schedule(spec["schedule"], spec.get("timeZone"))
        except ValueError:
            return
        last = parse(status.get("lastScheduleTime") or live["metadata"]["creationTimestamp"])
        due = schedule.last_between(last, now)
        if due is not None:
            policy = spec.get("concurrencyPolicy", "Allow")
            if policy != "Forbid" or not active:
                if policy == "Replace":
                    for entry, _ in active:
                        self._delete(entry)
                    active.clear()
                self._create(live, due)
                status["lastScheduleTime"] = stamp(due)
        following = schedule.after(now)
        if following is not None:
            self.queue_after(key, min(3600.0, (following - now).total_seconds() + 0.01))

    def _create(self, live: Manifest, due: datetime) -> None:
        metadata, template = live["metadata"], live["spec"]["jobTemplate"]
        inner = template.get("metadata") or {}
        manifest = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {
                "name": f"{metadata['name']}-{int(due.timestamp()) // 60}",
                "labels": dict(inner.get("labels") or {}),
                "annotations": {
                    **(inner.get("annotations") or {}),
                    "batch.kubernetes.io/cronjob-scheduled-timestamp": stamp(due),
                },
                "ownerReferences": [reference_to(live)],
            },
            "spec": dict(template["spec"]),
        }
        try:
            writes.create(
                self.cluster, self.cluster.resource("batch/v1", "Job"), metadata["namespace"], manifest, Options()
            )
        except StatusError as error:
            if error.reason != "AlreadyExists":
                raise

    def _trim(self, jobs: list[tuple[Entry, Manifest]], type_: str, limit: int) -> None:
        ended = [(entry, job) for entry, job in jobs if is_true(job, type_)]
        ended.sort(key=lambda one: str(one[1]["metadata"]["creationTimestamp"]) + one[0].name)
        for entry, _ in ended[: max(0, len(ended) - limit)]:
            self._delete(entry)

    def _delete(self, entry: Entry) -> None:
        if not entry.deleting:
            resource = self.cluster.resource("batch/v1", "Job")
            options = DeleteOptions(uid=entry.uid, propagation="Background")
            writes.delete(self.cluster, resource, entry.namespace, entry.name, options)


def _reference(job: Manifest) -> Manifest:
    metadata = job["metadata"]
    return {
        "kind": "Job",
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        "apiVersion": "batch/v1",
        "resourceVersion": metadata["resourceVersion"],
    }


class Schedule:
    """A cron schedule of five fields, or a name such as @hourly. ValueError when it can't be read."""

    def __init__(self, text: str, zone: str | None = None):
        try:
            self.zone: tzinfo = zoneinfo.ZoneInfo(zone) if zone else UTC
        except (zoneinfo.ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"unknown time zone {zone}") from error
        fields = _NAMED.get(text.strip(), text).split()
        if len(fields) != 5:
            raise ValueError(f"expected exactly 5 fields, found {len(fields)}: {text}")
        names = ((), (), (), _MONTHS, _DAYS)
        sets = [_field(field, *bounds, known) for field, bounds, known in zip(fields, _RANGES, names, strict=True)]
        self.minutes, self.hours, self.days, self.months, weekdays = sets
        self.weekdays = {day % 7 for day in weekdays}
        self.any_day = fields[2].startswith(("*", "?"))
        self.any_weekday = fields[4].startswith(("*", "?"))

    def _on(self, day: datetime) -> bool:
        if day.month not in self.months:
            return False
        by_month = day.day in self.days
        by_week = day.isoweekday() % 7 in self.weekdays
        if self.any_day or self.any_weekday:
            return by_month and by_week
        return by_month or by_week

    def after(self, moment: datetime) -> datetime | None:
        """The first scheduled time after a moment, in UTC; None when none comes in years."""
        local = (moment.astimezone(self.zone) + timedelta(minutes=1)).replace(second=0, microsecond=0)
        end = local + _HORIZON
        while local < end:
            if not self._on(local):
                local = (local + timedelta(days=1)).replace(hour=0, minute=0)
            elif local.hour not in self.hours:
                local = (local + timedelta(hours=1)).replace(minute=0)
            elif local.minute not in self.minutes:
                local += timedelta(minutes=1)
            else:
                return local.astimezone(UTC)
        return None

    def last_between(self, start: datetime, end: datetime) -> datetime | None:
        """The latest scheduled time after `start` up to `end`."""
        found = None
        moment = max(start, end - timedelta(days=2))
        while True:
            following = self.after(moment)
            if following is None or following > end:
                return found
            found = moment = following


def _field(text: str, low: int, high: int, names: tuple[str, ...]) -> set[int]:
    found: set[int] = set()
    for part in text.lower().split(","):
        span, _, step_text = part.partition("/")
        step = int(step_text) if step_text else 1
        if step < 1:
            raise ValueError(f"step must be at least 1: {part}")
        if span in ("*", "?"):
            first, last = low, high
        else:
            start, dash, stop = span.partition("-")
            first = _number(start, names, low)
            last = _number(stop, names, low) if dash else (high if step_text else first)
        if not low <= first <= last <= high:
            raise ValueError(f"{part} is outside of {low}-{high}")
        found |= set(range(first, last + 1, step))
    return found


def _number(text: str, names: tuple[str, ...], low: int) -> int:
    if text in names:
        return names.index(text) + low
    return int(text)
