"""Hours that pods reserved: their time, times what each requested on that day."""

from __future__ import annotations

import pytest

from sluicegate.api.containers import Resources
from sluicegate.api.review import ReviewDay
from sluicegate.ledger.resource_hours import hours_of
from sluicegate.reporting.words import reserved


def day(pods, **requests):
    return ReviewDay(date="2026-11-01", pod_seconds=pods * 86_400, pod_requests=requests)


def test_hours_are_the_sum_of_each_days_pods_times_its_requests():
    days = [day(2, cpu="500m", memory="2Gi"), day(1, cpu="2"), ReviewDay(date="2026-11-03")]
    hours = hours_of(days)
    assert hours is not None
    assert (hours.days, hours.pods) == (2, 72)
    assert hours.reserved == pytest.approx({"cpu": 72, "memory": 96})
    assert reserved(hours) == "72 pod hours: 72 core hours, 96 GiB hours of memory"


def test_units_are_those_that_people_count_in():
    hours = hours_of([day(1, **{"nvidia.com/gpu": "1", "memory": "512M"})])
    assert hours is not None
    assert hours.gpus == pytest.approx(24)
    assert hours.reserved["memory"] == pytest.approx(24 * 512e6 / 2**30)
    assert "24 hours of nvidia.com/gpu" in reserved(hours)


def test_pods_without_requests_have_hours_and_days_without_pods_have_none():
    hours = hours_of([day(1)])
    assert hours is not None
    assert reserved(hours) == "24 pod hours, without requests"
    assert hours_of([ReviewDay(date="2026-11-01")]) is None


def test_what_is_only_limited_is_reserved_by_its_limit():
    given = Resources(requests={"cpu": "1"}, limits={"cpu": "2", "nvidia.com/gpu": "1"})
    assert given.reserved() == {"cpu": "1", "nvidia.com/gpu": "1"}
