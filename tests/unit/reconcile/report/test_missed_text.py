"""Messages of the conditions of missed SLOs: what else is degraded, and when a recovery ends."""

from __future__ import annotations

import pytest

from sluicegate.api.base import rfc3339
from sluicegate.api.engine import ProductState, SloRecord, Streak
from sluicegate.api.names import ConditionType
from sluicegate.api.slo_status import MarketStatus, SloState, SloStatus
from sluicegate.reconcile.decide.planner import make_plan
from sluicegate.reconcile.report.findings import findings
from tests.support.decisions.rollout_world import ACCURACY, RUNTIME, World, document
from tests.support.decisions.scenarios import AVAILABILITY

SERVING = {
    "runtimeImage": RUNTIME,
    "feedback": {"secretRef": {"name": "search-feedback"}},
    "market": {"from": "Header"},
}


def message(kind, **fields):
    """Return the message of a condition of a product whose status has these fields."""
    slos = [ACCURACY, {**AVAILABILITY, "objective": "0.5"}]
    world = World(spec=document(slos=slos, serving=SERVING, markets=["AT", "FR"])).run(40)
    observation = world.observation()
    plan = make_plan(observation)
    engine = plan.status.engine.replace(slos=fields.pop("records", {}))
    status = plan.status.replace(engine=engine, diagnosis=None, **fields)
    found = {finding.type: finding for finding in findings(observation, status, plan.allocation)}
    return observation, found[kind].message


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (ProductState.HEALTHY, "the product as a whole isn't degraded"),
        (ProductState.DEGRADED, "the product as a whole is degraded by another SLO"),
    ],
)
def test_the_message_of_a_missed_market_names_the_degradation_of_another_slo(state, text):
    market = MarketStatus(market="AT", state=SloState.MISSED, missed_start_time=0)
    slos = (SloStatus(name="accuracy", state=SloState.MET, markets=(market,)),)
    assert text in message(ConditionType.MARKETS_MET, state=state, slos=slos)[1]


@pytest.mark.parametrize("evaluations", [0, 5])
def test_a_recovery_names_the_time_of_its_earliest_end_once_it_has_begun(evaluations):
    streak = Streak(first=1001, last=1005, evaluations=5, fresh=5) if evaluations else None
    records = {"accuracy": SloRecord(degraded=True, recovery_streak=streak)}
    slos = (SloStatus(name="accuracy", state=SloState.MET, message="accuracy", degraded=True),)
    observation, said = message(ConditionType.SLO_MET, records=records, slos=slos)
    end = rfc3339(observation.terms.block_end(1012))
    begun = f"twelve blocks: at {end} at the earliest"
    assert said.endswith(begun if evaluations else "twelve blocks; that time hasn't begun yet")
