"""What is decided about a candidate at its last step: who waits, who is held, and what ends it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sluicegate.api.base import rfc3339
from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.versions import CandidatePhase
from sluicegate.policy.canary.case import CanaryCase
from sluicegate.policy.canary.evidence_gathering import assess
from sluicegate.policy.canary.slo_evidence import MarketHarm
from sluicegate.policy.canary.verdict import decide
from sluicegate.policy.model.decision import Decision, Hold, Inconclusive, Promote, Rollback
from sluicegate.policy.model.observed import CanaryBlock, Facts
from sluicegate.policy.rollout.candidates import with_share
from sluicegate.policy.rollout.decision_status import carry_out_at_once
from sluicegate.slo.blocks import Quality
from sluicegate.stats.counts import Count
from tests.support.decisions.judged import (
    CANARY,
    START,
    both_arms,
    candidate,
    judged_by,
    observed,
    serving,
    stable,
)
from tests.support.decisions.scenarios import ACCURACY, AVAILABILITY

EASY = {**AVAILABILITY, "objective": "0.9"}
STEPS: dict[str, Any] = {"steps": [50], "maxDurationSeconds": 86_400}
MANUAL = judged_by(EASY, {**ACCURACY, "objective": "0.8"}, rollout=STEPS | {"approval": "Manual"})
AUTOMATIC = judged_by(EASY, {**ACCURACY, "objective": "0.8"}, rollout=STEPS)
WEEKEND = 3 * 86_400
ONE = {"availability": (0, 900), "accuracy": (90, 900)}
QUIET = {"availability": (0, 0), "accuracy": (0, 0)}


def beside(ours: dict[str, tuple[int, int]], theirs: dict[str, tuple[int, int]] = ONE, number=60):
    """Return this many blocks of both arms."""
    return both_arms(ours, theirs, number)


ALIKE = beside(ONE)
BETTER = beside({"availability": (0, 900), "accuracy": (135, 900)}, {**ONE, "accuracy": (360, 900)})
SHORT = beside({"availability": (0, 900), "accuracy": (240, 900)}, {**ONE, "accuracy": (240, 900)})
WORSE = beside({"availability": (0, 900), "accuracy": (400, 900)})
"""The objective allows 20 % bad."""
UNMEASURED = CanaryBlock(ALIKE[-1].end + CANARY, Quality.UNAVAILABLE)


def then(blocks: list[CanaryBlock], *more: CanaryBlock) -> list[CanaryBlock]:
    return [*blocks, *more]


def quiet(blocks: list[CanaryBlock]) -> CanaryBlock:
    """Return a block without a request."""
    return replace(both_arms(QUIET, QUIET, 1)[0], end=blocks[-1].end + CANARY)


def decided(
    blocks: list[CanaryBlock],
    *,
    terms: Any = MANUAL,
    phase: CandidatePhase = CandidatePhase.AWAITING_APPROVAL,
    seconds: int = WEEKEND,
    facts: Facts = Facts(),  # noqa: B008 - frozen
    harmed: tuple[MarketHarm, ...] = (),
    **wishes: bool,
) -> Decision:
    one = candidate(50, phase=phase)
    status = serving(stable=stable(since=START - 86_400), candidate=one)
    found = replace(assess(terms, status, one, observed(blocks)), harmed=harmed)
    wishes = {"approved": False, **wishes}
    return decide(CanaryCase(terms, status, one, found, facts=facts, now=START + seconds, **wishes))


@pytest.mark.parametrize(
    ("sentence", "blocks"),
    [
        ("the newest block is as those before", ALIKE),
        ("the newest block has no request", then(ALIKE, quiet(ALIKE))),
        ("the newest block wasn't measured", then(ALIKE, UNMEASURED)),
        ("nothing was read yet after a restart", []),
        ("the evidence is too little by now", ALIKE[:4]),
    ],
)
def test_a_candidate_that_waits_for_approval_keeps_its_pass_over_a_weekend(sentence, blocks):
    made = decided(blocks)
    assert isinstance(made, Hold), sentence
    assert made.reason is Reason.AWAITING_APPROVAL, sentence


def test_an_outage_does_not_end_a_wait_for_approval():
    one = candidate(50, phase=CandidatePhase.AWAITING_APPROVAL)
    status = serving(
        stable=stable(since=START - 86_400), candidate=one, outage_start_time=START + 3600
    )
    found = assess(MANUAL, status, one, observed(then(ALIKE, UNMEASURED)))
    now = START + WEEKEND
    made = decide(CanaryCase(MANUAL, status, one, found, facts=Facts(), now=now, approved=False))
    assert made.reason is Reason.AWAITING_APPROVAL


@pytest.mark.parametrize(
    ("sentence", "blocks", "facts", "kind", "reason"),
    [
        ("it is worse", WORSE, Facts(), Rollback, Reason.CANARY_WORSE),
        ("its pods fail", ALIKE, Facts(canary_unhealthy=True), Rollback, Reason.CANARY_NOT_READY),
        ("its pods are gone", ALIKE, Facts(canary_lost="x"), Inconclusive, Reason.INFRASTRUCTURE),
    ],
)
def test_worse_evidence_or_failing_pods_end_a_candidates_wait_for_approval(
    sentence, blocks, facts, kind, reason
):
    made = decided(blocks, facts=facts)
    assert isinstance(made, kind), sentence
    assert made.reason is reason, sentence


def test_an_objection_holds_a_candidate_that_has_passed_beyond_its_max_duration():
    made = decided(SHORT)
    assert isinstance(made, Hold)
    assert made.reason is Reason.OBJECTIVE_NOT_MET


@pytest.mark.parametrize(
    ("sentence", "blocks", "kind"),
    [
        ("the newest block is as those before", ALIKE, Promote),
        ("the newest block has no request", then(ALIKE, quiet(ALIKE)), Promote),
        ("what isn't read yet may be against it", [], Hold),
        ("what couldn't be read may be against it", then(ALIKE, UNMEASURED), Hold),
    ],
)
def test_an_approval_promotes_a_candidate_that_has_passed_if_its_newest_block_was_read(
    sentence, blocks, kind
):
    assert isinstance(decided(blocks, approved=True), kind), sentence


def test_a_candidate_that_has_not_passed_ends_with_its_duration():
    made = decided(then(ALIKE[:4], quiet(ALIKE[:4])), phase=CandidatePhase.STEPPING)
    assert isinstance(made, Inconclusive)
    assert made.reason is Reason.MAX_DURATION


def test_the_phase_of_a_candidate_is_awaiting_approval_once_its_event_was_emitted():
    one = candidate(50)
    status = serving(stable=stable(since=START - 86_400), candidate=one)
    found = assess(MANUAL, status, one, observed(ALIKE))
    first = decide(
        CanaryCase(MANUAL, status, one, found, facts=Facts(), now=START + 3600, approved=False)
    )
    after = carry_out_at_once(MANUAL, status, first, START + 3600)
    assert after.candidate.phase is CandidatePhase.AWAITING_APPROVAL
    again = decide(
        CanaryCase(
            MANUAL, after, after.candidate, found, facts=Facts(), now=START + 3600, approved=False
        )
    )
    assert (first.type, again.type) == ("Alert", "Hold")
    moved = with_share(after.candidate, 80, START + 3600)
    assert moved.phase is CandidatePhase.STEPPING, "its steps were edited"


# ---- objectives ---------------------------------------------------------------------------------
def test_a_candidate_proved_better_is_promoted_though_it_misses_the_objective():
    terms = judged_by(EASY, {**ACCURACY, "objective": "0.9"}, rollout=STEPS)
    made = decided(BETTER, terms=terms, phase=CandidatePhase.STEPPING, seconds=3600)
    assert isinstance(made, Promote)
    assert made.reason is Reason.CANARY_NOT_WORSE
    assert "10.0 % are allowed: the objective is still missed" in made.message


def test_a_candidate_equal_to_a_stable_version_below_the_objective_is_held():
    made = decided(SHORT, terms=AUTOMATIC, phase=CandidatePhase.STEPPING, seconds=3600)
    assert made.reason is Reason.OBJECTIVE_NOT_MET
    assert "isn't shown to be better than stable" in made.message


@pytest.mark.parametrize(
    ("sentence", "terms", "wishes", "kind"),
    [
        ("by its name", AUTOMATIC, {"forced": True}, Promote),
        ("as an approval", MANUAL, {}, Promote),
        ("without its name it waits", AUTOMATIC, {}, Promote),
    ],
)
def test_a_promote_request_is_accepted_if_candidate_and_stable_miss_the_objective(
    sentence, terms, wishes, kind
):
    made = decided(
        SHORT, terms=terms, phase=CandidatePhase.STEPPING, seconds=3600, approved=True, **wishes
    )
    assert isinstance(made, kind), sentence
    assert made.reason is Reason.PROMOTE_REQUESTED, sentence


def test_a_promote_request_is_refused_if_the_candidate_alone_misses_the_objective():
    blocks = beside(
        {"availability": (0, 900), "accuracy": (190, 900)}, {**ONE, "accuracy": (170, 900)}
    )
    made = decided(
        blocks,
        terms=AUTOMATIC,
        phase=CandidatePhase.STEPPING,
        seconds=3600,
        approved=True,
        forced=True,
    )
    assert not isinstance(made, Promote)


HELD = judged_by(
    EASY,
    {**ACCURACY, "objective": "0.8", "markets": {"onCandidateWorse": "Hold"}},
    rollout=STEPS,
    markets=["AT", "BE", "DE", "ES", "FR"],
    serving={
        "runtimeImage": "r:1",
        "market": {"from": "Header"},
        "feedback": {"secretRef": {"name": "f"}},
    },
)


def worse_in(*markets: str, terms: Any = HELD) -> tuple[MarketHarm, ...]:
    return tuple(
        MarketHarm(terms.slos[1], market, Count(40, 100), Count(9, 100), 9.0, 5.5)
        for market in markets
    )


AUSTRIA = "worse in AT in accuracy: 60.0 % (n=100) against stable's 91.0 % (n=100)"


def test_a_candidate_that_is_worse_in_a_market_is_held_until_a_manual_request_or_max_duration():
    made = decided(
        ALIKE, terms=HELD, phase=CandidatePhase.STEPPING, seconds=3600, harmed=worse_in("AT")
    )
    assert isinstance(made, Hold)
    assert made.reason is Reason.MARKET_WORSE
    assert made.message.endswith(
        "set sluicegate.dev/promote=v2/<token> to promote it all the same, or sluicegate.dev/abort to"
        f" end its rollout; otherwise all traffic returns to stable at {rfc3339(START + 86_400)}"
        " (rollout.maxDurationSeconds)"
    )


def test_a_candidate_held_by_a_market_past_max_duration_names_the_market_in_its_verdict():
    made = decided(ALIKE, terms=HELD, phase=CandidatePhase.STEPPING, harmed=worse_in("AT"))
    assert isinstance(made, Inconclusive)
    assert made.reason is Reason.MAX_DURATION
    assert made.message.startswith(f"v2 has no verdict after 3 d: it is {AUSTRIA}")


def test_a_promotion_over_a_worse_market_names_the_worse_markets_that_its_hold_does_not_name():
    harmed = (*worse_in("AT"), *worse_in("BE", terms=AUTOMATIC))
    made = decided(
        ALIKE, terms=HELD, phase=CandidatePhase.STEPPING, seconds=3600, harmed=harmed, forced=True
    )
    assert isinstance(made, Promote)
    assert made.reason is Reason.PROMOTE_REQUESTED
    assert made.message.count(AUSTRIA) == 1
    assert f"; but {AUSTRIA.replace(' AT ', ' BE ')}" in made.message


@pytest.mark.parametrize(
    ("sentence", "blocks", "kind"),
    [
        ("it is worse on the whole", WORSE, Rollback),
        ("its time is over", SHORT, Inconclusive),
    ],
)
def test_a_verdict_names_worse_markets_whatever_reason_ends_the_candidate(sentence, blocks, kind):
    harmed = worse_in("AT", "BE", "DE", "ES", "FR", terms=AUTOMATIC)
    made = decided(blocks, terms=AUTOMATIC, phase=CandidatePhase.STEPPING, harmed=harmed)
    assert isinstance(made, kind), sentence
    assert f"; it is {AUSTRIA}" in made.message, sentence
    assert "; and in 2 more" in made.message, sentence


@pytest.mark.parametrize(
    ("harmed", "words"),
    [
        ((), "; but accuracy in AT fell by 20.0 points ["),
        (worse_in("AT", terms=AUTOMATIC), f"; but {AUSTRIA}"),
    ],
)
def test_a_promotion_names_a_market_that_fell_once(harmed, words):
    one = candidate(50, phase=CandidatePhase.STEPPING)
    status = serving(stable=stable(since=START - 86_400), candidate=one)
    found = assess(AUTOMATIC, status, one, observed(ALIKE))
    by_market = {"accuracy": {
        "AT": (Count(300, 1000), Count(100, 1000)), "FR": (Count(100, 1000), Count(100, 1000)),
    }}  # fmt: skip
    found = replace(found, harmed=harmed, by_market=by_market)
    made = decide(
        CanaryCase(AUTOMATIC, status, one, found, facts=Facts(), now=START + 7200, approved=False)
    )
    assert isinstance(made, Promote)
    assert words in made.message
    assert made.message.count(" in AT ") == 1
    assert " in FR " not in made.message
