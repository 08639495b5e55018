"""Hours that pods and trainings reserved: their time, times what each requested."""

from __future__ import annotations

import json

import pytest

from sluicegate.api.containers import Resources
from sluicegate.api.retraining import Retraining
from sluicegate.api.retraining_status import EndedTraining
from sluicegate.api.review import DataProductReviewStatus, ReviewDay
from sluicegate.reporting.words import reserved_text, trained_text
from sluicegate.reviews.resource_hours import hours_of, trainings_ended_on
from sluicegate.views.resource_hours import row_of


def day(pods, **requests):
    return ReviewDay(date="2026-11-01", pod_seconds=pods * 86_400, pod_requests=requests)


def test_resource_hours_are_the_sum_of_pods_times_requests_of_each_day():
    days = [day(2, cpu="500m", memory="2Gi"), day(1, cpu="2"), ReviewDay(date="2026-11-03")]
    hours = hours_of(days)
    assert (hours.days, hours.pods) == (2, 72)
    assert hours.reserved == pytest.approx({"cpu": 72, "memory": 96})
    assert reserved_text(hours) == "72 pod hours: 72 core hours, 96 GiB hours of memory"


def test_resource_hours_are_in_core_hours_and_gibibyte_hours():
    hours = hours_of([day(1, **{"nvidia.com/gpu": "1", "memory": "512M"})])
    assert hours.gpus_a_day == pytest.approx(24)
    assert hours.reserved["memory"] == pytest.approx(24 * 512e6 / 2**30)
    assert "24 hours of nvidia.com/gpu" in reserved_text(hours)


def test_pods_without_requests_have_pod_hours_and_days_without_pods_have_none():
    hours = hours_of([day(1)])
    assert hours is not None
    assert reserved_text(hours) == "24 pod hours, without requests"
    assert hours_of([ReviewDay(date="2026-11-01")]) is None


def test_a_resource_without_a_request_is_reserved_by_its_limit():
    given = Resources(requests={"cpu": "1"}, limits={"cpu": "2", "nvidia.com/gpu": "1"})
    assert given.reserved() == {"cpu": "1", "nvidia.com/gpu": "1"}


def ended(job, end, hours, **requests):
    return EndedTraining(job=job, start_time=end - hours * 3600, end_time=end, requests=requests)


def test_resource_hours_of_trainings_are_counted_separately():
    gpu = {"nvidia.com/gpu": "2"}
    trainings = [ended("a", 90_000, 2, cpu="4", **gpu), ended("b", 90_000, 1, cpu="4")]
    hours = hours_of([day(1, cpu="1")], trainings)
    assert trained_text(hours) == "3 hours in 2 trainings: 12 core hours, 4 hours of nvidia.com/gpu"
    assert (hours.cores_a_day, hours.gpus_a_day) == (36, 4)
    assert row_of(hours) == (24, 24, None, 0, 3, 12, None, 4)
    alone = hours_of([], trainings[1:])
    assert (alone.pods, trained_text(alone)) == (0, "1 hour in 1 training: 4 core hours")


def test_a_training_counts_for_the_day_of_its_end_in_the_review_time_zone():
    late = ended("a", 1_793_574_000, 1)  # 2026-11-01T23:00:00Z
    status = DataProductReviewStatus(time_zone="Europe/Paris", trainings=(late,))
    assert trainings_ended_on(status, {"2026-11-02"}) == [late]
    assert trainings_ended_on(status, {"2026-11-01"}) == []


@pytest.mark.parametrize(
    "how",
    [
        {"command": ["train"], "resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "3"}}},
        {"podTemplate": {"spec": {"containers": [{"resources": {"limits": {"cpu": "2"}}}]}}},
    ],
    ids=["a command", "a template"],
)
def test_a_training_reserves_the_resource_requests_of_its_container(how):
    given = {"output": "registry.example/bentos/search"} | how
    made = Retraining.model_validate_json(json.dumps(given), by_name=False)
    assert made.reserved() == {"cpu": "2"}
