"""How a rollout goes on, and what is observed of it, in each combination of inputs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sluicegate.api import names
from sluicegate.api.names import DecisionReason
from sluicegate.api.shadow import ShadowStatus
from sluicegate.api.status import Condition
from sluicegate.api.versions import Candidate, SplitMode
from sluicegate.measurement.canary_blocks import Requests
from sluicegate.policy.model.observed import Failure, ManualRequest
from sluicegate.policy.transitions import with_share
from sluicegate.reconcile.decide.api_gate import at_the_gate
from sluicegate.reconcile.decide.rollout_completion import advance
from sluicegate.reconcile.decide.rollout_observation import (
    _moved_at,
    allocation,
    observe_rollout,
    route_removal_time,
)
from sluicegate.reconcile.decide.rollout_progress import (
    Completed,
    RolloutState,
    ShareTaken,
    Unchanged,
    facts_of,
    progress,
)
from sluicegate.reconcile.decide.serving_rollout import is_rolling, is_stuck
from sluicegate.reconcile.decide.shadow_phase import with_shadow
from sluicegate.reconcile.traffic.allocation import Allocation, allocation_of
from tests.support.decisions.combinations import combined
from tests.support.decisions.rollout_world import START, broken_pod
from tests.support.decisions.rollouts import serving
from tests.support.decisions.rule_inputs import (
    CANDIDATES,
    MODES,
    PHASES,
    SPLITS,
    STABLE,
    Phase,
    candidate,
    laid_out,
    named,
    pods,
    product,
    status,
)

if TYPE_CHECKING:
    from sluicegate.api.product import DataProduct

COMING = {
    "no Deployment": None,
    "none ready": pods(0),
    "one ready": pods(1),
    "all ready": pods(4),
    "all ready, not current": pods(4, current=False),
    "none wanted": pods(0, 0, 0),
    "none wanted, one ready": pods(1, 0, 1),
}


def rolling(coming: Any, split: Any, seconds: int = 0, **fields: Any) -> RolloutState:
    revision = CANDIDATES["at 25"].revision
    live = {STABLE.revision: pods(4)} | ({revision: coming} if coming else {})
    return RolloutState(now=START + seconds, live=live, split=split, **fields)


def gone_on(found: Any) -> str:
    match found:
        case ShareTaken(one):
            return f"takes {one.weight} % at {one.shares[-1].start_time - START} s"
        case Completed(_, uncounted):
            return f"completed{f', uncounted for {uncounted} s' if uncounted else ''}"
        case _:
            return "waits"


def test_how_far_a_rollout_may_go(golden):
    def of(one: Candidate, coming: Any, split: Any) -> str:
        state = status(one)
        allocation = allocation_of(MODES["a route"], state, stable_pods=4)
        return gone_on(progress(MODES["a route"], state, allocation, rolling(coming, split, 5)))

    golden("rules/progress.txt", combined(of, PHASES, COMING, SPLITS))


def test_when_what_loses_its_share_may_go(golden):
    quiet = {
        "quiet": Requests(quiet_stable=2, quiet_candidate=2),
        "not quiet": Requests(quiet_stable=1, quiet_candidate=1),
    }

    def of(
        one: Candidate, goes: Any, seconds: int, requests: Requests, gone: bool, moved: int
    ) -> str:
        state = status(one)
        allocation = allocation_of(MODES["a route"], state, stable_pods=4)
        candidate = pods(4) if one.phase is Phase.PROMOTING else goes
        known = rolling(
            candidate, None, seconds, requests=requests, route_gone=gone, moved_at=START + moved
        )
        stable = {STABLE.revision: goes} if one.phase is Phase.PROMOTING and goes else {}
        others = {key: each for key, each in known.live.items() if key != STABLE.revision}
        return gone_on(
            progress(MODES["a route"], state, allocation, replace(known, live=others | stable))
        )

    golden(
        "rules/drains.txt",
        combined(
            of, named(PHASES, "promoting at 100", "back from 25"),
            named(COMING, "no Deployment", "none ready", "one ready", "none wanted"),
            {f"{one} s": one for one in (9, 10, 600, 601)}, quiet, {"route gone": True, "route there": False},
            {"moved at once": 0, "moved after 5 s": 5},
        ),
    )  # fmt: skip


def test_a_version_goes_only_while_the_other_serves():
    one, spec = PHASES["promoting at 100"], MODES["a route"]
    for coming, done in (("none ready", False), ("one ready", True)):
        known = rolling(COMING[coming], SPLITS["accepted"], 20)
        known = replace(known, live={**known.live, STABLE.revision: pods(0, 0, 0)})
        found = progress(spec, status(one), Allocation((), (), None), known)
        assert (gone_on(found) == "completed") is done
    for first in (True, False):
        starts = status(PHASES["starting at 10"]).replace(**{"stable": None} if first else {})
        for coming, goes in (("none ready", False), ("one ready", True)):
            found = progress(spec, starts, Allocation((), (), None), rolling(COMING[coming], None))
            assert (gone_on(found) != "waits") is goes


def test_what_the_pods_of_a_candidate_show_with_time(golden):
    """By the age of its Deployment and of its wait, and since when this replica leads."""
    usual = serving().observation()
    route, traffic = usual.route, usual.product.status.traffic
    assert route is not None
    assert traffic is not None
    one = PHASES["at 25"].replace(wait_start_time=START)

    def of(coming: Any, found: Any, moved: int, now: int, term: int) -> str:
        live = {one.revision: replace(coming, moved=START + moved)} if coming else {}
        seen = replace(
            usual, product=MODES["a route"].replace(status=status(one)), now=START + now,
            live={STABLE.revision: pods(4)} | live, pods=found, term=START + term, split=SPLITS["accepted"],
        )  # fmt: skip
        move = observe_rollout(seen, status(one))
        assert move is not None
        why = move.facts.attribution
        return f"{why.reason} {why.message}" if why else "-"

    pod = replace(broken_pod(""), revision=one.revision, unrecoverable=False)
    golden(
        "rules/shown.txt",
        combined(
            of, named(COMING, "no Deployment", "none ready"),
            {"it runs": (pod,), "it starts": (replace(pod, starting=True),)}, {"moved at 0": 0, "moved at 571": 571},
            {f"at {now}": now for now in (600, 601)}, {"led before": -99, "leads since 1": 1},
        ),
    )  # fmt: skip
    assert observe_rollout(usual, status(None)) is None
    for weight, changed, moment in (
        (25, None, 5),
        (25, 9, 9),
        (25, 4, 5),
        (25, 900, 5),
        (24, 9, None),
    ):
        state = status(one).replace(traffic=traffic.replace(weight=weight, write_time=START + 5))
        written = None if changed is None else replace(route, written_at=START + changed)
        found = _moved_at(replace(usual, route=written, now=START + 600), state)
        assert found == (0 if moment is None else START + moment)


def test_what_is_told_of_pods_that_go_uncounted():
    for name, version, problem in (
        ("promoting at 100", "v1", None), ("back from 25", "v2", DecisionReason.PROMETHEUS_STALE),
    ):  # fmt: skip
        usual, one = serving().observation(), PHASES[name]
        seen = replace(usual, observed=replace(usual.observed, problem=problem))
        move = observe_rollout(seen, status(one))
        assert move is not None
        for seconds in (0, 700):
            told = advance(seen, status(one), replace(move, found=Completed(one, seconds)))[1]
            texts = [each.message for each in told if each.reason == "DrainNotCounted"]
            why = f" ({problem})" if problem else ""
            text = (
                f"{version} has had no share of the traffic for 11.7 min, so its pods are removed"
            )
            text += f" although its requests can't be counted{why}"
            assert texts == [text][: bool(seconds)]


def test_what_is_observed_of_a_rollout_without_pods():
    usual, one = serving().observation(), candidate(Phase.PROMOTING, 50, 50)
    bare = replace(usual, product=MODES["no route"].replace(status=status(one)))
    live = {one.revision: pods(1, 1, 1)}
    layouts = [laid_out(allocation(replace(bare, live=each), status(one))) for each in ({}, live)]
    assert layouts == [
        laid_out(allocation_of(bare.product, status(one), stable_pods=4, ready=ready, kept={}))
        for ready in (0, 1)
    ]
    for ready, serves in ((0, False), (1, True)):
        known = rolling(None, None)
        known = replace(known, live={STABLE.revision: pods(ready)})
        facts = facts_of(MODES["a route"], status(one), known, Unchanged())
        assert facts.stable_serves is serves
        assert facts.serves is False


def test_which_pods_are_stuck():
    """A Deployment that its controller hasn't seen yet says nothing of the change."""
    usual = serving().observation()
    current = usual.product.status
    assert current.stable is not None
    known = Condition(
        type="Reconciling", status="True", reason="R", last_transition_time=usual.now - 600
    )
    reported = usual.product.replace(status=current.replace(conditions=(known,)))
    for seen, waited, stuck in (
        ({"rolling": True, "stuck": True}, 0, True), ({"rolling": True, "stuck": False}, 9, False),
        ({"rolling": True, "stuck": True, "current": False}, 0, False),
        ({"rolling": True, "stuck": False, "current": False}, 1, True), ({}, 0, False), ({}, 1, True),
    ):  # fmt: skip
        live = {current.stable.revision: pods(3, **seen)}
        one = replace(usual, product=reported, live=live, now=usual.now + waited)
        assert is_stuck(one, reported.status) is stuck
        assert is_rolling(one, reported.status)
        assert not is_stuck(replace(one, changing=True), reported.status)


def test_what_the_gate_notes_of_an_api():
    usual, known = serving().observation(), PHASES["starting at 10"]
    for api, changes, request, said, handles in (
        ("", None, "", "Unknown", False), ("", (), "", "Kept", False), ("", ("a",), "", None, False),
        ("", ("a",), "v2/go", "Changed", True), ("Changed", ("a",), "v2/go", "Changed", False),
    ):  # fmt: skip
        one = known.replace(api=api) if api else known
        asked = (ManualRequest(names.REQUEST_PROMOTE, request),) if request else ()
        facts = replace(usual.observed.facts, api_changes=changes)
        seen = replace(usual, observed=replace(usual.observed, facts=facts, requests=asked))
        found, after = at_the_gate(seen, status(one), ShareTaken(with_share(one, 10, START)))
        assert (str(found.candidate.api) if isinstance(found, ShareTaken) else None) == said
        assert (after.last_handled is not None) is handles
        assert at_the_gate(seen, status(one), Unchanged())[0] == Unchanged()


def test_what_a_mirror_says_is_said_until_it_counts():
    spec = product(
        rollout={"steps": [10], "shadow": {"mirror": {"percent": 10}, "intervalSeconds": 600}}
    )
    usual = serving().observation()
    for job, said in (("", "m"), ("a", "")):
        known = ShadowStatus(since_time=START, reason="NoPairs", message="m", job=job)
        state = status(CANDIDATES["at 25"].replace(shadow=known))
        after, told = with_shadow(replace(usual, product=spec.replace(status=state)), state)
        assert after.candidate.shadow.message == said
        assert told == ()


def test_whose_doing_it_was_shows_after_a_while():
    for reason, wait, seconds, ends in (
        ("", 0, 29, True),
        ("Infrastructure", 0, 29, False),
        ("Infrastructure", 0, 30, True),
        ("Infrastructure", None, 0, True),
    ):
        waiting = None if wait is None else START + wait
        one = candidate(Phase.ROLLING_BACK, 25, decision_reason=reason, wait_start_time=waiting)
        state = rolling(None, None, seconds)
        found = progress(MODES["a route"], status(one), Allocation((), (), None), state)
        assert (gone_on(found) == "completed") is ends


def test_what_a_decision_may_know_of_a_rollout(golden):
    problems = {"no problem": None, "a lasting problem": replace(broken_pod(), unrecoverable=True)}

    def of(
        one: Candidate, coming: Any, split: Any, problem: Any, waited: int | None, term: int
    ) -> str:
        one = one.replace(wait_start_time=None if waited is None else START + waited)
        why = Failure(DecisionReason.INFRASTRUCTURE, "a")
        known = rolling(coming, split, 100, problem=problem, term=term, attribution=why)
        state = status(one)
        found = progress(
            MODES["a route"], state, allocation_of(MODES["a route"], state, stable_pods=4), known
        )
        facts = facts_of(MODES["a route"], state, known, found)
        said = facts.problem and f"{facts.problem.reason} {facts.problem.message}"
        return (
            f"moves {facts.moves}, wants {facts.wants_share}, waited {facts.waited} of {facts.deadline}, problem {said}"
            f" {facts.unrecoverable}, serves {facts.serves} {facts.stable_serves}, given {facts.given_since},"
            f" '{facts.not_followed}' {facts.attribution.message}"
        )

    golden(
        "rules/facts.txt",
        combined(
            of,
            named(PHASES, "starting", "from 5 to 25", "promoting from 50", "promoting at 100"),
            named(COMING, "none ready", "all ready"),
            SPLITS,
            problems, {"at once": None, "since 60 s": 60}, {"led before": 0, "leads since 80 s": START + 80},
        ),
    )  # fmt: skip


def test_until_when_a_removed_route_counts(golden):
    usual = serving().observation()
    traffics = {
        "unknown": None,
        "by the gateway": usual.product.status.traffic,
        "by replicas": usual.product.status.traffic.replace(mode=SplitMode.REPLICAS),
        "by replicas since": usual.product.status.traffic.replace(
            mode=SplitMode.REPLICAS, route_removal_time=START
        ),
    }

    def of(spec: DataProduct, traffic: Any, route: Any) -> str:
        current = usual.product.status.replace(traffic=traffic)
        seen = replace(usual, product=spec.replace(status=current), route=route)
        found = route_removal_time(seen)
        return "-" if found is None else f"{found - START} s"

    routes = {"it is there": usual.route, "it is gone": None}
    golden(
        "rules/removals.txt", combined(of, named(MODES, "a route", "no route"), traffics, routes)
    )
