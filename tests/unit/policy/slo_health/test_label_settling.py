"""Until when the labels of the stable version are of another mixture than its traffic."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sluicegate.api.engine import SloRecord
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import Share
from sluicegate.policy.slo_health.label_settling import returns_traffic, settle_time
from tests.support.decisions.judged import candidate, judged_by, stable
from tests.support.decisions.scenarios import ACCURACY

(ACCURATE,) = judged_by(ACCURACY).slos
PROMOTED, LAG = 10_000, 3600
SHARES = ((20_000, 5), (30_000, 25), (40_000, 50))


def until(*, measured=LAG, lag=0, shares=(), returned=None) -> int:
    version = stable(since=PROMOTED)
    tried = None
    if shares:
        given = tuple(Share(weight=weight, start_time=time) for time, weight in shares)
        tried = candidate().replace(shares=given)
    settling = {ACCURATE.name: measured} if measured else {}
    status = DataProductStatus(stable=version, candidate=tried).with_engine(
        label_settling=settling, traffic_return_time=returned
    )
    return settle_time(status, version, replace(ACCURATE, label_lag_seconds=lag))


@pytest.mark.parametrize(
    ("fields", "time"),
    [
        ({}, PROMOTED + LAG),
        ({"measured": 0}, 0),
        ({"measured": 0, "lag": 60}, PROMOTED + 60),
        ({"lag": 60}, PROMOTED + 60),
        ({"shares": SHARES[:1]}, PROMOTED + LAG),
        ({"shares": SHARES[:2]}, 30_000 + LAG),
        ({"shares": SHARES}, 40_000 + LAG),
        ({"returned": 50_000}, 50_000 + LAG),
    ],
    ids=[
        "after the promotion", "labels of one kind", "a known lag", "a known lag comes first",
        "a share of 5 % changes little", "a share of 25 %", "the newest large change",
        "traffic that came back",
    ],
)  # fmt: skip
def test_label_evidence_restarts_after_the_newest_large_traffic_change(fields, time):
    assert until(**fields) == time


def test_a_degraded_slo_keeps_its_label_evidence_over_a_traffic_change():
    version = stable(since=PROMOTED)
    status = DataProductStatus(stable=version).with_engine(
        label_settling={ACCURATE.name: LAG}, slos={ACCURATE.name: SloRecord(degraded=True)}
    )
    assert settle_time(status, version, ACCURATE) == 0


@pytest.mark.parametrize(("weight", "returns"), [(5, False), (16, False), (17, True), (50, True)])
def test_a_rollback_of_at_least_a_sixth_of_traffic_is_a_large_traffic_change(weight, returns):
    assert returns_traffic((Share(weight=weight, start_time=0),)) is returns
