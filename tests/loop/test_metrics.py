"""What dashboards read."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from shared.loop import metrics


def test_the_durations_of_an_object_are_a_histogram_until_it_is_gone() -> None:
    for seconds in (0.01, 0.03, 0.2, 5000.0):
        metrics.durations.observe("Bucket", "measured", "ns", seconds)
    text = metrics.expose().decode()
    assert "# TYPE gotk_reconcile_duration_seconds histogram" in text
    labels = 'kind="Bucket",{}name="measured",namespace="ns"'
    counts = {"0.01": 1.0, "0.0383636": 2.0, "0.147176": 2.0, "0.564622": 3.0, "1800.0": 3.0, "+Inf": 4.0}
    for bound, count in counts.items():
        le = labels.format(f'le="{bound}",')
        assert f"gotk_reconcile_duration_seconds_bucket{{{le}}} {count}\n" in text
    assert f"gotk_reconcile_duration_seconds_count{{{labels.format('')}}} 4.0\n" in text
    assert f"gotk_reconcile_duration_seconds_sum{{{labels.format('')}}} 5000.24\n" in text
    metrics.forget("Bucket", "measured", "ns")
    assert 'name="measured"' not in metrics.expose().decode()


def test_what_is_said_of_thousands_of_objects_can_be_read_and_comes_in_pieces() -> None:
    made = metrics.Durations()
    for number in range(1000):
        made.observe("Bucket", f"measured-{number}", "ns", 0.25)
    made.observe("Bucket", 'a "name"\\ with\nall', "ns", 0.25)
    pieces = list(made.text())
    assert len(pieces) > 10
    (family,) = text_string_to_metric_families("".join(pieces))
    names = {sample.labels["name"] for sample in family.samples if sample.name.endswith("_count") and sample.value == 1}
    assert names == {*(f"measured-{number}" for number in range(1000)), 'a "name"\\ with\nall'}
