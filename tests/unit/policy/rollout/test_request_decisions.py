"""What people ask for, and results that arrive: whatever else goes on at that moment."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sluicegate.api.names import REQUEST_PROMOTE, REQUEST_RETRAIN, REQUEST_ROLLBACK
from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.outcome import Outcome
from sluicegate.api.retraining_status import RetrainingStatus, Trigger
from sluicegate.api.status import DataProductStatus, LastHandled
from sluicegate.api.versions import PastVersion, Release, Version, VersionSource
from sluicegate.policy.model.decision import Alert, Hold, Retrain, StartRollout
from sluicegate.policy.model.hold_out_margin import HoldOutMargin
from sluicegate.policy.model.observed import (
    NO_OTHER_PRODUCTS,
    ManualRequest,
    Observed,
    Portfolio,
    TrainingFailed,
    TrainingSucceeded,
)
from sluicegate.policy.model.pending_requests import approving_request, with_request_handled
from sluicegate.policy.retraining.holdout_gate import GateVerdict, judge, judge_all
from sluicegate.policy.retraining.preconditions import RetrainingRequest as Asked
from sluicegate.policy.retraining.preconditions import obstacle
from sluicegate.policy.rollout.request_decisions import request_decisions
from sluicegate.policy.training_results import process_training_result
from sluicegate.stats.counts import Count
from sluicegate.stats.paired import Pairs
from tests.support.decisions.judged import (
    START,
    V1,
    V2,
    candidate,
    judged_by,
    parked,
    series,
    serving,
)
from tests.support.decisions.scenarios import ACCURACY, AVAILABILITY

NOW = 5_000_000
TERMS = judged_by(AVAILABILITY, ACCURACY)
GATED = judged_by(
    AVAILABILITY,
    ACCURACY,
    retraining={
        "command": ["train"],
        "output": "registry.example/search",
        "gate": {"accuracy": {}},
    },
)
PARKED = parked(candidate(5, source=VersionSource.RETRAINING))
TRIED = candidate(5)


def asked(annotation: str, value: str = "one", **fields) -> Observed:
    requests = (ManualRequest(annotation, value),)
    return Observed(
        block=NOW // 300,
        desired=V1,
        requests=requests,
        **{"portfolio": NO_OTHER_PRODUCTS, **fields},
    )


def training(trigger: str) -> RetrainingStatus:
    why = Trigger(
        id=trigger, cause="ModelDecay", slo="accuracy", version="v1", trigger_time=NOW - 600
    )
    return RetrainingStatus(trigger=why, attempt=1)


def answer(observed, *, terms=TERMS, **status):
    (found,) = request_decisions(terms, serving(**status), observed, NOW)
    return found


# ---- a retraining that is asked for -----------------------------------------------------------
def test_a_manual_retraining_request_resets_the_count_of_attempts():
    waits = RetrainingStatus(unsuccessful_attempts=3, next_allowed_time=NOW + 86_400)
    found = answer(asked(REQUEST_RETRAIN), retraining=waits)
    assert isinstance(found.decision, Retrain)
    assert found.decision.reason is Reason.REQUESTED
    assert (found.decision.parent, found.decision.attempt, found.decision.slo) == (V1, 1, "")
    assert found.status.retraining is None, "neither counts nor a pause are left"
    assert found.status.last_handled == LastHandled(retrain_requested_at="one")


def test_a_manual_retraining_request_after_lost_jobs_keeps_their_count():
    """Each wait is longer than the one before, and the third lost Job needs a person."""
    lost = RetrainingStatus(lost_jobs=2, retry_time=NOW - 1, unsuccessful_attempts=3)
    found = answer(asked(REQUEST_RETRAIN), retraining=lost)
    assert isinstance(found.decision, Retrain)
    kept = found.status.retraining
    assert (kept.lost_jobs, kept.unsuccessful_attempts, kept.retry_time) == (2, 0, None)


def test_each_request_token_starts_a_separate_training():
    triggers = {answer(asked(REQUEST_RETRAIN, token)).decision.trigger for token in "ab"}
    assert len(triggers) == 2


@pytest.mark.parametrize(
    ("portfolio", "status", "reason"),
    [
        (Portfolio(slot=False), {}, Reason.NO_SLOT),
        (NO_OTHER_PRODUCTS, {"candidate": TRIED}, Reason.CANARY_IN_PROGRESS),
        (
            NO_OTHER_PRODUCTS,
            {"retraining": training("t")},
            Reason.ALREADY_RETRAINING,
        ),
    ],
)
def test_a_manual_retraining_request_stays_pending_until_a_training_slot_is_free(
    portfolio, status, reason
):
    found = answer(asked(REQUEST_RETRAIN, portfolio=portfolio), **status)
    assert (type(found.decision), found.decision.reason) == (Hold, reason)
    assert found.status.last_handled is None


@pytest.mark.parametrize(
    ("terms", "status"),
    [
        (judged_by(ACCURACY, lifecycle="Retired"), {}),
        (judged_by(ACCURACY, retraining=None), {}),
        (TERMS, {"stable": None}),
    ],
    ids=["retired", "no training", "no version"],
)
def test_an_impossible_retraining_request_is_refused_once(terms, status):
    found = answer(asked(REQUEST_RETRAIN), terms=terms, **status)
    assert isinstance(found.decision, Alert)
    assert found.status.last_handled == LastHandled(retrain_requested_at="one")


def test_a_retraining_request_without_a_stable_version_is_refused():
    found = obstacle(Asked(TERMS, DataProductStatus(), Portfolio(), NOW))
    assert found is not None
    assert found.reason is Reason.NO_STABLE
    assert not found.needs_person


# ---- promote --------------------------------------------------------------------------------
def test_a_promote_request_for_an_inconclusive_candidate_restarts_its_rollout_and_is_no_approval():
    """Else it would jump to the last step without having taken one."""
    status = serving(candidate=PARKED)
    assert approving_request(status, asked(REQUEST_PROMOTE)) is None
    rows = {"accuracy": Pairs(1700, 60, 60, 180)}
    found = answer(asked(REQUEST_PROMOTE), candidate=PARKED.replace(pairs=rows))
    assert isinstance(found.decision, StartRollout)
    assert found.decision.pairs == rows, "what its hold-out showed still counts"
    assert (found.decision.candidate, found.decision.weight) == (V2, TERMS.steps[0])
    assert found.decision.source is VersionSource.RETRAINING


@pytest.mark.parametrize(
    ("value", "approved"), [("one", True), ("v2/one", True), ("v9/one", False), ("", False)]
)
def test_an_approval_applies_to_the_named_candidate_or_without_a_name_to_the_current_one(
    value, approved
):
    found = approving_request(serving(candidate=TRIED), asked(REQUEST_PROMOTE, value))
    assert (found is not None) is approved


def test_an_approval_of_an_absent_candidate_is_refused():
    found = answer(asked(REQUEST_PROMOTE, "v9/one"), candidate=TRIED)
    assert isinstance(found.decision, Alert)
    assert not request_decisions(TERMS, serving(candidate=TRIED), asked(REQUEST_PROMOTE), NOW)


def test_a_promote_request_for_the_stable_version_is_refused_even_without_data():
    """A status that was restored doesn't know which spec.model was handled."""
    found = answer(asked(REQUEST_PROMOTE, "v1/one", problem=Reason.PROMETHEUS_UNAVAILABLE))
    assert isinstance(found.decision, Alert)


# ---- results of trainings -------------------------------------------------------------------
def result(trigger: str, parent: Release = V1) -> TrainingSucceeded:
    counts = {"accuracy": Count(500, 10_000)}
    return TrainingSucceeded(trigger, parent, V2, counts, {"accuracy": Count(1500, 10_000)})


def arrived(trained: RetrainingStatus, outcome):
    observed = Observed(block=NOW // 300, desired=V1, training=outcome)
    found = process_training_result(TERMS, serving(retraining=trained), observed, NOW)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("under_way", "outcome", "taken"),
    [
        (training("b"), result("b"), True),
        (training("b"), result("a"), False),
        (training("b"), result(""), False),
        (RetrainingStatus(), result(""), True),  # a person ran it
        (RetrainingStatus(), result("a"), False),
        (training("b"), result("b", parent=Release("v0")), False),
    ],
)
def test_only_a_result_of_the_running_training_becomes_a_candidate(under_way, outcome, taken):
    found = arrived(under_way, outcome)
    assert isinstance(found.decision, StartRollout) is taken
    if taken:
        assert found.decision.weight == TERMS.steps[0]
        assert f"gets {TERMS.steps[0]} % of the traffic" in found.decision.message
    else:
        assert found.decision.reason is Reason.SUPERSEDED


def test_a_result_of_another_training_does_not_end_the_running_training():
    assert arrived(training("b"), result("a")).status.training is not None
    failed = TrainingFailed("a", Reason.JOB_FAILED, "out of status")
    found = arrived(training("b"), failed)
    assert found.status.training is not None
    assert found.status.retraining.unsuccessful_attempts == 0


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (1450, Reason.GATE_PASSED),
        (1550, Reason.HOLD_OUT_TOO_SMALL),
        (1750, Reason.WORSE_ON_HOLD_OUT),
    ],
)
def test_a_manual_result_without_spec_retraining_may_be_one_percent_worse(bad, reason):
    made = replace(result(""), evaluation={"accuracy": Count(bad, 10_000)})
    observed = Observed(block=NOW // 300, desired=V1, training=made)
    found = process_training_result(judged_by(ACCURACY, retraining=None), serving(), observed, NOW)
    assert found.decision.reason is reason


def test_a_result_under_the_name_of_an_older_version_is_refused():
    older = PastVersion.of(
        Release("v2", "registry.example/search@sha256:older"),
        VersionSource.SPEC,
        outcome=Outcome.REPLACED,
        promotion_time=0,
        end_time=0,
    )
    status = serving(retraining=training("b"), history=(older,))
    observed = Observed(block=NOW // 300, desired=V1, training=result("b"))
    found = process_training_result(TERMS, status, observed, NOW)
    assert found.decision.reason is Reason.VERSION_REUSED
    assert found.status.retraining.unsuccessful_attempts == 1


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        ("registry.example/search@sha256:another", Reason.VERSION_REUSED),
        (V2.image, Reason.GATE_PASSED),
    ],
    ids=["another bento", "the same bento"],
)
def test_a_training_result_named_like_a_refused_candidate_is_refused_unless_its_bento_is_the_same(
    image, reason
):
    refused = PastVersion.of(
        replace(V2, image=image),
        VersionSource.RETRAINING,
        outcome=Outcome.ROLLED_BACK,
        end_time=0,
    )
    status = serving(retraining=training("b"), history=(refused,))
    observed = Observed(block=NOW // 300, desired=V1, training=result("b"))
    found = process_training_result(TERMS, status, observed, NOW)
    assert found.decision.reason is reason


# ---- the hold-out ---------------------------------------------------------------------------
FINE = {"availability": Count(0, 9000)}
POINT = HoldOutMargin(0.01, 0.01)


def test_the_hold_out_gate_requires_counts_of_both_versions_for_each_slo():
    margins = {"availability": POINT, "accuracy": POINT}
    assert judge_all(FINE, FINE, margins).verdict is GateVerdict.PASSED
    gated = judge_all(FINE, FINE, margins, {"accuracy"})
    assert (gated.slo, gated.verdict) == ("accuracy", GateVerdict.TOO_SMALL)


def test_the_hold_out_gate_names_the_slo_that_is_proved_better():
    rows = Pairs(8600, 700, 100, 600)
    ours, theirs = {"accuracy": Count(700, 10_000)}, {"accuracy": Count(1300, 10_000)}
    margins = {"availability": POINT, "accuracy": POINT}
    found = judge_all(ours | FINE, theirs | FINE, margins, pairs={"accuracy": rows})
    assert (found.slo, found.verdict) == ("accuracy", GateVerdict.PASSED)
    assert judge_all(ours | FINE, theirs | FINE, margins).slo == "availability", "the first"


def test_a_hold_out_of_one_row_is_compared_and_an_empty_hold_out_is_too_small():
    assert judge("accuracy", Count(0, 1), Count(0, 1), POINT).difference is not None
    for ours, theirs in ((0, 1), (1, 0)):
        found = judge("accuracy", Count(0, ours), Count(0, theirs), POINT)
        assert (found.verdict, found.difference) == (GateVerdict.TOO_SMALL, None)


@pytest.mark.parametrize(
    ("better", "worse", "verdict"),
    [(50, 50, GateVerdict.PASSED), (45, 50, GateVerdict.PASSED), (40, 60, GateVerdict.WORSE)],
)
def test_a_hold_out_with_the_needed_number_of_rows_is_conclusive(better, worse, verdict):
    """More than there are, and as many of the same kind aren't too few again."""

    def judged(times: float):
        rows = (round(times * n) for n in (950 - better - worse, better, worse, 50))
        pairs = Pairs(*rows)
        ours = Count(pairs.only_candidate_wrong + pairs.both_wrong, pairs.total)
        theirs = Count(pairs.only_stable_wrong + pairs.both_wrong, pairs.total)
        return judge("accuracy", ours, theirs, POINT, pairs=pairs)

    found = judged(1)
    assert found.verdict is GateVerdict.TOO_SMALL
    assert found.needed > 1_000
    assert judged(1.02 * found.needed / 1_000).verdict is verdict


def test_a_margin_of_one_percentage_point_at_ten_percent_errors_needs_about_4900_rows():
    needed = judge("accuracy", Count(50, 500), Count(50, 500), POINT).needed
    assert needed == pytest.approx(4_900, rel=0.02)
    assert judge("accuracy", Count(55, 500), Count(50, 500), POINT).needed is None, "no number does"


def test_a_training_result_without_hold_out_counts_gets_no_traffic():
    made = replace(result("b"), evaluation=FINE, stable_evaluation=FINE)
    observed = Observed(block=NOW // 300, desired=V1, training=made)
    status = serving(retraining=training("b"))
    found = process_training_result(GATED, status, observed, NOW)
    assert found.decision.reason is Reason.HOLD_OUT_TOO_SMALL
    assert "accuracy" in found.decision.message


@pytest.mark.parametrize(
    ("promotion_time", "text"),
    [
        (NOW - 7200, "v2 was stable for 2 h; 240 events of it were counted"),
        (NOW - 20 * 86_400, "v2 was stable for 20 d; 300 events of it were counted in the last 14 d"),
    ],
)  # fmt: skip
def test_a_requested_rollback_has_the_time_and_the_counted_events_of_its_version(
    promotion_time, text
):
    old = PastVersion.of(
        V1, VersionSource.SPEC, outcome=Outcome.REPLACED, end_time=START, promotion_time=START
    )
    rolled_back = Version.of(V2, VersionSource.SPEC, promotion_time=promotion_time)
    newest = NOW // 300
    counts = {"v2": {"availability": series(*[(1, 10)] * 30, first=newest - 29)}}
    request = asked(REQUEST_ROLLBACK, "v1/now", series=counts)
    found = answer(request, stable=rolled_back, history=(old,))
    assert found.decision.message == (
        f"v1 replaces v2 as requested by sluicegate.dev/rollback-to. {text}"
    )


def test_handling_a_request_token_keeps_the_tokens_of_other_requests():
    status = serving(last_handled=LastHandled(abort="a", promote="old"))
    after = with_request_handled(status, ManualRequest(REQUEST_PROMOTE, "new"))
    assert after.last_handled == LastHandled(abort="a", promote="new")
    assert with_request_handled(
        serving(), ManualRequest(REQUEST_PROMOTE, "x")
    ).last_handled == LastHandled(promote="x")
