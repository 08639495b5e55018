"""What the pure rules of a step say of each combination of their inputs."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from sluicegate.api import names
from sluicegate.api.containers import Resources
from sluicegate.api.engine import EngineState, ProductState, SloRecord, Streak
from sluicegate.api.names import ConditionReason, ConditionType, DecisionReason
from sluicegate.api.outcome import Outcome
from sluicegate.api.product import DataProduct
from sluicegate.api.retraining_status import AttemptResult, RetrainingStatus, Trigger
from sluicegate.api.route import ParentRef
from sluicegate.api.shadow import ShadowStatus
from sluicegate.api.slo_status import SloState, SloStatus
from sluicegate.api.status import Condition, DataProductStatus, LastHandled, SpecModel
from sluicegate.api.versions import (
    Candidate,
    CandidatePhase,
    PastVersion,
    Release,
    Share,
    SplitMode,
    Version,
    VersionSource,
)
from sluicegate.conditions import Finding
from sluicegate.kube.errors import Conflict, Invalid, TooManyRequests, Transient
from sluicegate.kube.resources import Key
from sluicegate.manifests.names import version_name
from sluicegate.manifests.version_annotations import memory_annotations
from sluicegate.measurement.canary_blocks import Requests
from sluicegate.policy.diagnosis.remedy import WaitingRetraining
from sluicegate.policy.model.decision import Alert, Hold, StartRollout
from sluicegate.policy.model.observed import Failure, ManualRequest, Portfolio
from sluicegate.policy.transitions import with_share
from sluicegate.prometheus.targets import TargetFacts
from sluicegate.reconcile.decide.api_gate import at_the_gate
from sluicegate.reconcile.decide.planner import make_plan
from sluicegate.reconcile.decide.requeue import next_for
from sluicegate.reconcile.decide.retraining_attempt import (
    with_ended_training,
    with_outcome,
    with_pending,
    with_result,
)
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
from sluicegate.reconcile.decide.status_recovery import (
    restored_status,
    was_there_before,
    with_requests_handled,
)
from sluicegate.reconcile.decide.versions import (
    acceptance_time,
    referred_to,
    version_reused,
    without_twin,
)
from sluicegate.reconcile.fleet.snapshot import ProductSnapshot, snapshot_before
from sluicegate.reconcile.fleet.training_slots import Reserved, is_overdue, runs
from sluicegate.reconcile.live.children import JobRecord, ParentStatus, job_record
from sluicegate.reconcile.observe.container_limits import at_limit, is_node_busy
from sluicegate.reconcile.observe.observation import lacks_labels
from sluicegate.reconcile.report.condition_events import news
from sluicegate.reconcile.report.first_version_start import FirstStarts
from sluicegate.reconcile.routes.arbitration import RouteRefusal
from sluicegate.reconcile.routes.claims import Claim
from sluicegate.reconcile.routes.live_claims import Strength
from sluicegate.reconcile.traffic.allocation import (
    Allocation,
    allocation_of,
    split_by_replicas,
    with_capacity,
)
from sluicegate.reconcile.traffic.split_verification import (
    Split,
    VerificationLevel,
    is_drained,
    is_taken,
    verify_acceptance,
    verify_share,
)
from sluicegate.runtime.interfaces import Done, RequeueAfter
from tests.support.decisions.combinations import combined
from tests.support.decisions.rollout_world import START, World, broken_pod, document, image
from tests.support.decisions.rollouts import serving

if TYPE_CHECKING:
    from sluicegate.reconcile.live.children import DeploymentRecord, RouteRecord

GOLDENS = Path(__file__).parent / "rules"
SCALED = {
    "runtimeImage": "registry.example/runtime:1",
    "autoscaling": {"minReplicas": 2, "maxReplicas": 9},
    "resources": {"requests": {"cpu": "1"}},
}
STABLE = Version.of(Release("v1", image("a"), "r"), VersionSource.SPEC, promotion_time=START)
BEFORE = PastVersion.of(
    Release("v0", image("c"), "r"), VersionSource.SPEC, outcome=Outcome.REPLACED, end_time=START
)
REFUSED = PastVersion.of(
    Release("vx", image("e"), "r"), VersionSource.SPEC, outcome=Outcome.ROLLED_BACK, end_time=START
)
Phase = CandidatePhase


def candidate(phase: CandidatePhase, weight: int = 0, target: int = 0, **fields: Any) -> Candidate:
    shares = (Share(weight=weight, start_time=START),) if weight else ()
    known = {
        "phase": phase,
        "weight": weight,
        "target": target,
        "start_time": START,
        "shares": shares,
    }
    return Candidate.of(Release("v2", image("b"), "r"), VersionSource.SPEC, **known | fields)


def product(**spec: Any) -> DataProduct:
    steps = {"steps": [10, 30, 60]}
    return DataProduct.parse(document(**{"rollout": steps} | spec))


CANDIDATES: dict[str, Candidate | None] = {
    "no candidate": None,
    "starting": candidate(Phase.STARTING),
    "starting at 10": candidate(Phase.STARTING, target=10),
    "from 5 to 25": candidate(Phase.STEPPING, 5, 25),
    "at 25": candidate(Phase.STEPPING, 25, 25),
    "at 50, approved by nobody": candidate(Phase.AWAITING_APPROVAL, 50, 50),
    "promoting from 50": candidate(Phase.PROMOTING, 50, 50),
    "promoting at 100": candidate(Phase.PROMOTING, 100, 50),
    "back from 25": candidate(Phase.ROLLING_BACK, 25, 25),
    "back from 100": candidate(Phase.ROLLING_BACK, 100, 50),
    "back from the start": candidate(Phase.ROLLING_BACK),
    "parked": candidate(Phase.PARKED, 25, 25),
}
MODES = {
    "a route": product(),
    "no route": product(route=None),
    "scaled": product(serving=SCALED),
    "scaled, no route": product(serving=SCALED, route=None),
}


def status(one: Candidate | None, *history: PastVersion) -> DataProductStatus:
    return DataProductStatus(stable=STABLE, candidate=one, history=history)


def laid_out(allocation: Allocation) -> str:
    """An allocation in a line."""
    names = {one.version.revision: one.version.version for one in allocation.placements} | {
        None: "-"
    }
    pods = [
        f"{one.version.version} {one.replicas}{' scaled' * one.autoscaled}{f' floor {one.floor}' * bool(one.floor)}"
        for one in allocation.placements
    ]
    weights = [f"{names[revision]} {weight} %" for revision, weight in allocation.weights]
    mirror = f"; mirrored to {names.get(allocation.mirrored_to)}" if allocation.mirrored_to else ""
    return (
        f"{', '.join(pods)}; {', '.join(weights) or 'no weights'}; {names[allocation.selected]} selected;"
        f" {allocation.needed} needed{mirror}"
    )


def test_how_pods_and_weights_are_laid_out(golden):
    def of(mode: DataProduct, one: Candidate | None, pods: int) -> str:
        return laid_out(allocation_of(mode, status(one), stable_pods=pods))

    pods = {f"{one} pods": one for one in (1, 2, 4, 9)}
    golden(GOLDENS / "layouts.txt", combined(of, MODES, CANDIDATES, pods))


def test_how_pods_follow_the_traffic(golden):
    def of(
        mode: DataProduct, one: Candidate | None, ready: int | None, followed: bool, kept: Any
    ) -> str:
        known = {STABLE.revision: kept[0], CANDIDATES["at 25"].revision: kept[1]} if kept else None
        found = allocation_of(
            mode,
            status(one, REFUSED, BEFORE),
            stable_pods=4,
            followed=followed,
            ready=ready,
            kept=known,
        )
        return laid_out(found)

    names = (
        "from 5 to 25",
        "promoting from 50",
        "promoting at 100",
        "back from 25",
        "parked",
        "no candidate",
    )
    tables = (
        {name: MODES[name] for name in ("a route", "no route")},
        {name: CANDIDATES[name] for name in names},
        {"none ready": 0, "two ready": 2},
        {"followed": True, "not followed": False},
        {"nothing kept": None, "4 + 1 kept": (4, 1), "2 + 4 kept": (2, 4)},
    )
    golden(GOLDENS / "paces.txt", combined(of, *tables))


def test_a_version_lives_once(golden):
    twin = CANDIDATES["at 25"].replace(**STABLE.identity_fields)
    before = BEFORE.replace(**CANDIDATES["at 25"].identity_fields)
    found = {
        "candidate is stable": status(twin),
        "candidate was before": status(CANDIDATES["at 25"], before, BEFORE),
        "two before": status(None, REFUSED, BEFORE, BEFORE.replace(revision="other", version="w")),
        "stable was before": status(None, BEFORE.replace(**STABLE.identity_fields)),
        "the first": DataProductStatus(candidate=CANDIDATES["starting"]),
        "none": DataProductStatus(),
    }

    def of(mode: DataProduct, one: DataProductStatus) -> str:
        return laid_out(allocation_of(mode, one, stable_pods=4))

    golden(GOLDENS / "once.txt", combined(of, MODES, found))


def test_how_replicas_split_the_traffic(golden):
    rows = [
        f"{weight:2} % of {stable}: {' + '.join(map(str, split_by_replicas(weight, stable)))}\n"
        for weight in (0, 1, 5, 20, 25, 33, 50, 60, 75, 90, 99)
        for stable in (1, 2, 3, 4, 7, 10)
    ]
    golden(GOLDENS / "replicas.txt", "".join(rows))


def test_the_pods_that_all_of_the_traffic_needs(golden):
    def of(mode: DataProduct, one: Candidate | None, known: int, pods: int) -> str:
        one = one and one.replace(capacity=known)
        found = with_capacity(mode, status(one), pods).candidate
        return "-" if found is None else str(found.capacity)

    modes = {name: MODES[name] for name in ("scaled", "scaled, no route")}
    known = {"unknown": 0, "4 known": 4}
    pods = {f"{one} pods": one for one in (2, 4, 5, 8, 12)}
    golden(GOLDENS / "capacity.txt", combined(of, modes, CANDIDATES, known, pods))


# ---- the split of the traffic --------------------------------------------------------------------
def test_how_far_a_share_is_verified(golden):
    def of(weight: int, requests: Requests, seconds: int, gateway: bool) -> str:
        accepted = (VerificationLevel.ACCEPTED, "accepted")
        one = verify_share(accepted, weight, requests, seconds=seconds, gateway=gateway)
        share = "-" if one.share is None else f"{one.share:.3f}"
        return f"{one.level.name}{' enough' * one.enough}{' mismatched' * one.mismatched} {share} of {one.requests}: {one.message}"

    weights = {f"{one} %": one for one in (0, 5, 50, 100)}
    counts = (
        (0, 0),
        (49, 0),
        (40, 9),
        (40, 10),
        (395, 5),
        (380, 20),
        (361, 39),
        (360, 40),
        (359, 41),
        (399, 0),
        (400, 0),
        (0, 400),
        (390, 10),
        (391, 9),
        (391, 10),
        (220, 180),
        (310, 90),
    )
    requests = {
        f"{one} + {other}": Requests(stable=one, candidate=other, blocks=3) for one, other in counts
    }
    requests["2 blocks of 1 + 1"] = Requests(stable=1, candidate=1, blocks=2)
    golden(
        GOLDENS / "shares.txt",
        combined(
            of,
            weights,
            requests,
            {"59 s": 59, "60 s": 60},
            {"counted by pods": False, "by the gateway": True},
        ),
    )
    written = verify_share(
        (VerificationLevel.WRITTEN, "written"), 5, Requests(stable=1, candidate=3), seconds=9
    )
    assert written == Split(VerificationLevel.WRITTEN, "written", 0.75, 4)


def test_when_pods_may_go():
    for stable in (True, False):
        quiet = {"quiet_stable" if stable else "quiet_candidate": 1}
        assert not is_drained(Requests(**quiet), stable=stable, pods=1)
        assert is_drained(Requests(**dict.fromkeys(quiet, 2)), stable=stable, pods=1)
        other = {"quiet_candidate" if stable else "quiet_stable": 9}
        assert not is_drained(Requests(**other), stable=stable, pods=1)
        assert is_drained(Requests(), stable=stable, pods=0)


@cache
def live_route() -> RouteRecord:
    found = serving().observation().route
    assert found is not None
    return replace(found, weights=(("a", 95), ("b", 5), ("c", 0)))


class Gateway:
    def __init__(self, word: str) -> None:
        self._word = word

    def objection(self, section: str | None) -> str:
        return f"{self._word} {section}" if self._word else ""


def test_whether_a_route_is_accepted(golden):
    one = ParentStatus("gateway", "web", "", True, True, 2, "")
    parents = {
        "no parent": (),
        "accepted": (one,),
        "accepted before": (replace(one, observed=1),),
        "accepted later": (replace(one, observed=3),),
        "not accepted": (replace(one, accepted=False, message="no"),),
        "not resolved": (replace(one, resolved=False, message="no Service"),),
        "accepted by one of two": (replace(one, accepted=False, message="no"), one),
        "accepted by one before": (
            replace(one, accepted=False, message="no"),
            replace(one, observed=1),
        ),
        "another section": (replace(one, section="https"),),
        "another Gateway": (replace(one, name="other"),),
        "another namespace": (replace(one, namespace="catalog"),),
    }
    references = {
        "web": (ParentRef(name="web", namespace="gateway"),),
        "web of its namespace": (ParentRef(name="web"),),
        "a section": (ParentRef(name="web", namespace="gateway", section_name="https"),),
        "two": (
            ParentRef(name="web", namespace="gateway"),
            ParentRef(name="other", namespace="gateway"),
        ),
    }

    def of(told: Any, asked: Any, word: str) -> str:
        route = replace(live_route(), parents=told)
        gateways = {Key("gateway", "web"): Gateway(word)}
        level, message = verify_acceptance(route, {"a": 95, "b": 5, "d": 0}, asked, gateways)
        return f"{level.name}{' taken' * is_taken(route, asked)}: {message}"

    golden(
        GOLDENS / "acceptance.txt",
        combined(of, parents, references, {"up": "", "down": "isn't programmed"}),
    )
    assert verify_acceptance(None, {}, ()) == (VerificationLevel.NONE, "the route isn't there yet")
    others = {"other weights": {"a": 100}, "none": {}, "more": {"a": 95, "b": 5, "d": 1}}
    words = {name: verify_acceptance(live_route(), weights, ()) for name, weights in others.items()}
    golden(
        GOLDENS / "weights.txt",
        "".join(f"{name}: {level.name}: {text}\n" for name, (level, text) in words.items()),
    )


# ---- how a rollout goes on -------------------------------------------------------------------------
@cache
def deployment() -> DeploymentRecord:
    return next(iter(serving().observation().live.values()))


def pods(ready: int, replicas: int = 4, total: int = 4, **fields: Any) -> DeploymentRecord:
    return replace(deployment(), ready=ready, replicas=replicas, total=total, **fields)


SPLITS = {
    "no split": None,
    "written": Split(VerificationLevel.WRITTEN, "written"),
    "accepted": Split(VerificationLevel.ACCEPTED, "accepted"),
    "mismatched": Split(VerificationLevel.ACCEPTED, "another share", mismatched=True),
}
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


PHASES = {name: one for name, one in CANDIDATES.items() if one is not None}


def test_how_far_a_rollout_may_go(golden):
    def of(one: Candidate, coming: Any, split: Any) -> str:
        state = status(one)
        allocation = allocation_of(MODES["a route"], state, stable_pods=4)
        return gone_on(progress(MODES["a route"], state, allocation, rolling(coming, split, 5)))

    golden(GOLDENS / "progress.txt", combined(of, PHASES, COMING, SPLITS))


def test_when_what_loses_its_share_may_go(golden):
    names = ("promoting at 100", "back from 25")
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
        GOLDENS / "drains.txt",
        combined(
            of, {name: PHASES[name] for name in names},
            {name: COMING[name] for name in ("no Deployment", "none ready", "one ready", "none wanted")},
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
        GOLDENS / "shown.txt",
        combined(
            of, {name: COMING[name] for name in ("no Deployment", "none ready")},
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
    problems = {
        "no problem": None,
        "a lasting problem": replace(broken_pod(), unrecoverable=True),
    }

    def of(
        one: Candidate, coming: Any, split: Any, problem: Any, waited: int | None, term: int
    ) -> str:
        one = one.replace(wait_start_time=None if waited is None else START + waited)
        known = rolling(
            coming,
            split,
            100,
            problem=problem,
            term=term,
            attribution=Failure(DecisionReason.INFRASTRUCTURE, "a"),
        )
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
        GOLDENS / "facts.txt",
        combined(
            of,
            {name: PHASES[name] for name in ("starting", "from 5 to 25", "promoting from 50", "promoting at 100")},
            {name: COMING[name] for name in ("none ready", "all ready")},
            SPLITS,
            problems, {"at once": None, "since 60 s": 60}, {"led before": 0, "leads since 80 s": START + 80},
        ),
    )  # fmt: skip


# ---- which Jobs start ----------------------------------------------------------------------------
def test_which_training_starts(golden):
    world = serving(retraining={"command": ["train"], "output": "registry.example/search"})
    usual = world.observation()

    def trigger(name: str, cause: str) -> RetrainingStatus:
        return RetrainingStatus(
            trigger=Trigger(id=name, cause=cause, version="v1", trigger_time=START)
        )

    trainings = {
        "none": None,
        "no trigger": RetrainingStatus(),
        "for a decay": trigger("a", "ModelDecay"),
        "for a person": trigger("a", "Requested"),
        "another": trigger("b", "ModelDecay"),
    }

    def of(before: Any, after: Any, suspend: bool, slot: bool, trains: bool) -> str:
        spec = usual.product.spec.replace(suspend=suspend)
        current = usual.product.status.replace(retraining=before)
        observed = replace(usual.observed, portfolio=Portfolio(slot=slot))
        seen = replace(
            usual,
            product=usual.product.replace(spec=spec, status=current),
            trains=trains,
            observed=observed,
        )
        state = current.replace(retraining=after)
        words = {
            "may": seen.may_train(state),
            "new": seen.is_new(state),
            "starts": seen.starts_training(state),
        }
        return ", ".join(name for name, holds in words.items() if holds) or "nothing"

    befores = {f"{name} before": trainings[name] for name in ("none", "no trigger", "for a decay")}
    flags = {"suspended": True, "not suspended": False}
    golden(
        GOLDENS / "trainings.txt",
        combined(
            of,
            befores,
            trainings,
            flags,
            {"a slot": True, "no slot": False},
            {"trains": True, "idle": False},
        ),
    )
    state = usual.product.status.replace(retraining=trainings["for a decay"])
    assert usual.starts_training(state)
    assert not usual.starts_training(state.replace(stable=None))
    nothing = usual.product.replace(spec=usual.product.spec.replace(retraining=None))
    assert not replace(usual, product=nothing).starts_training(state)


def test_which_shadow_job_starts(golden):
    world = serving(
        rollout={"steps": [5, 50], "shadow": {"command": ["score"], "intervalSeconds": 600}}
    )
    usual = (
        world.push("b", "v2")
        .until(lambda one: one.current.candidate is not None and one.current.candidate.weight == 5)
        .observation()
    )
    one = usual.product.status.candidate
    assert one is not None

    def shadow(job: str) -> ShadowStatus | None:
        return ShadowStatus(since_time=START, job=job)

    def of(before: Any, after: Any, suspend: bool, slot: bool, trains: bool) -> str:
        spec = usual.product.spec.replace(suspend=suspend)
        current = usual.product.status.with_candidate(shadow=before)
        observed = replace(usual.observed, portfolio=Portfolio(slot=slot))
        seen = replace(
            usual,
            product=usual.product.replace(spec=spec, status=current),
            trains=trains,
            observed=observed,
        )
        return "starts" if seen.starts_shadow(current.with_candidate(shadow=after)) else "waits"

    shadows = {
        "no phase": None,
        "no Job": shadow(""),
        "a Job": shadow("a"),
        "another Job": shadow("b"),
    }
    befores = {f"{name} before": each for name, each in shadows.items()}
    flags = {"suspended": True, "not suspended": False}
    golden(
        GOLDENS / "shadow-jobs.txt",
        combined(
            of,
            befores,
            shadows,
            flags,
            {"a slot": True, "no slot": False},
            {"trains": True, "idle": False},
        ),
    )


def test_what_suspend_holds():
    usual = World(spec=document(suspend=True)).observation()
    reasons = ("", "RollbackRequested", "AbortRequested", "PromoteRequested", "CanaryWorse")
    states = [status(candidate(Phase.STEPPING, decision_reason=reason)) for reason in reasons]
    assert [usual.is_frozen(one) for one in states] == [True, False, False, False, True]
    assert not usual.is_frozen(status(candidate(Phase.STEPPING, requested=True)))
    assert usual.is_frozen(status(None))


def test_from_when_on_a_candidate_is_past_an_abort():
    for route, level, weight, followed, committed in (
        (True, VerificationLevel.ACCEPTED, 100, True, True),
        (True, VerificationLevel.OBSERVED, 100, True, True),
        (True, VerificationLevel.WRITTEN, 100, False, False),
        (True, VerificationLevel.ACCEPTED, 99, False, False),
        (True, None, 100, False, False),
        (True, VerificationLevel.ACCEPTED, None, False, False),
        (False, None, 100, False, True),
        (False, None, 99, False, False),
        (False, None, None, False, False),
    ):
        one = None if weight is None else candidate(Phase.PROMOTING, weight)
        current = (MODES["a route"] if route else MODES["no route"]).replace(status=status(one))
        split = None if level is None else Split(level, "")
        seen = replace(serving().observation(), product=current, split=split)
        assert (seen.followed, seen.committed) == (followed, committed)


def test_whose_word_forbids_a_training():
    usual = serving().observation()
    for reason, forbidden in (
        (ConditionReason.FORBIDDEN_SERVICE_ACCOUNT, True),
        (ConditionReason.VERSION_REUSED, False),
    ):
        stalled = Finding(ConditionType.STALLED, "True", reason)
        assert replace(usual, stalled=stalled).is_forbidden is forbidden
    assert not usual.is_forbidden


def test_how_many_pods_stable_has_to_have():
    usual = serving().observation()
    revision = usual.product.status.stable.revision
    for mode, live, wanted in (
        ("scaled", pods(6, 6, scaled=True), 6),
        ("scaled", pods(6, 6, scaled=False), 2),
        ("scaled", pods(1, 1, scaled=True), 2),
        ("scaled", None, 2),
        ("a route", pods(6, 6, scaled=True), 4),
    ):
        current = MODES[mode].replace(status=usual.product.status)
        seen = replace(usual, product=current, live={revision: live} if live else {})
        assert seen.stable_pods == wanted
        assert replace(seen, product=MODES[mode]).stable_pods == (2 if mode == "scaled" else 4)


def test_how_long_a_training_may_take():
    usual = serving().observation()
    assert usual.training_seconds == 604_800
    for asked, most, seconds in ((60, 90, 60), (90, 60, 60), (60, 60, 60)):
        retraining = {"command": ["train"], "output": "registry.example/a", "timeoutSeconds": asked}
        seen = replace(usual, product=product(retraining=retraining), most_training_seconds=most)
        assert seen.training_seconds == seconds


def test_when_no_label_is_counted():
    counted = SloStatus(name="accuracy", state=SloState.MET)
    other = SloStatus(name="availability", state=SloState.UNKNOWN, reason="NoData")
    spec, silent = MODES["a route"].spec, counted.replace(reason="NoLabels")
    for slos, lacks in (
        ((), True),
        ((other,), True),
        ((counted, other), False),
        ((silent,), True),
        ((counted.replace(reason="NoTraffic"),), True),
        ((counted.replace(reason="NoData"),), True),
        ((counted.replace(reason="WarmingUp"),), True),
        ((counted.replace(reason="PrometheusStale"),), False),
    ):
        assert lacks_labels(spec, DataProductStatus(slos=slos)) is lacks
    no_feedback = spec.replace(serving=spec.serving.replace(feedback=None))
    assert not lacks_labels(no_feedback, DataProductStatus(slos=(silent,)))
    assert not lacks_labels(spec.replace(slos=()), DataProductStatus(slos=(silent,)))


def test_a_refusal_without_an_event_is_looked_at_again():
    claim = Claim((), (), ())
    passes, lasts = (
        RouteRefusal(Key("a", "b"), Key("a", "c"), claim, claim, strength)
        for strength in (Strength.WRITTEN, Strength.HELD)
    )
    assert next_for(passes, Done()) == RequeueAfter(30)
    assert next_for(passes, RequeueAfter(5)) == RequeueAfter(5)
    assert next_for(lasts, Done()) == Done()
    assert next_for(None, Done()) == Done()


def test_for_how_long_a_start_need_not_be_told():
    def waits(seconds: int, products: int = 1, deadline: int = 600, **seen: Any) -> bool:
        world = World(spec=document())
        world.spec["spec"]["serving"]["progressDeadlineSeconds"] = deadline
        observation = replace(world.observation(), now=START + seconds, **seen)
        starts = FirstStarts({Key("a", f"{number}"): START for number in range(products)})
        return starts.can_wait(observation, make_plan(observation))

    assert [waits(seconds) for seconds in (0, 29, 30)] == [True, True, False]
    assert [waits(seconds, products=310) for seconds in (30, 31)] == [True, False]
    assert [waits(seconds, products=310, deadline=30) for seconds in (29, 30)] == [True, False]
    finding = Finding(ConditionType.STALLED, "True", ConditionReason.VERSION_REUSED)
    for name, seen in (("begun", None), ("conflict", "a"), ("refused", "a"), ("stalled", finding)):
        assert not waits(0, **{name: seen})
    ready = World(spec=document())
    ready.settle()
    ready.pass_block()
    observation = replace(ready.observation(), begun=ready.now)
    plan = make_plan(observation)
    assert plan.status.stable is not None
    for split, word in SPLITS.items():
        found = FirstStarts().can_wait(replace(observation, split=word), plan)
        assert found is (split == "written")
    served = replace(serving().observation(), begun=None)
    assert not FirstStarts().can_wait(replace(served, begun=served.now), make_plan(served))


def test_which_conditions_are_news(golden):
    def of(known: Any, was: Any, now: Any) -> str:
        kind, stable = known

        def status_of(one: Any, version: Any) -> DataProductStatus:
            found = (
                () if one is None else (Condition(type=kind, last_transition_time=START, **one),)
            )
            return DataProductStatus(stable=version, conditions=found)

        told = news(status_of(was, stable), status_of(now, STABLE))
        return (
            ", ".join(f"{one.action} {one.reason}{'!' * one.warning} {one.message}" for one in told)
            or "nothing"
        )

    def table(*each: tuple[str, str, str]) -> dict[str, Any]:
        return {
            f"{status} {reason} {text}": {"status": status, "reason": reason, "message": text}
            for status, reason, text in each
        }

    none: dict[str, Any] = {"none": None}
    stalled = table(
        *[
            ("True", reason, text)
            for reason in ("ModelRejected", "ApiChanged", "ApplyRefused", "VersionReused")
            for text in "ab"
        ]
    )
    ready = table(
        ("True", "Serving", "a"),
        *[
            ("False", reason, text)
            for reason in ("PodsNotReady", "NameConflict", "RouteNotAccepted")
            for text in "ab"
        ],
    )
    measured = table(
        ("True", "FeedbackSecretUnusable", "a"),
        ("False", "FeedbackSecretUnusable", "b"),
        ("False", "NoData", "a"),
    )
    text = ""
    for kind, found in (
        (ConditionType.STALLED, stalled),
        (ConditionType.READY, ready),
        (ConditionType.METRICS_AVAILABLE, measured),
    ):
        last = [name for name in found if name.endswith("a")]
        serves = (
            {"served": (kind, STABLE), "is new": (kind, None)}
            if kind is ConditionType.READY
            else {str(kind): (kind, STABLE)}
        )
        text += combined(
            of,
            serves,
            {
                f"after {name}": one
                for name, one in (none | {name: found[name] for name in last}).items()
            },
            found,
        )
    golden(GOLDENS / "news.txt", text)


# ---- what others may know --------------------------------------------------------------------------
def test_when_a_product_turned_bad(golden):
    known = ProductSnapshot(block_seconds=10, judged=100)
    snapshots = {
        "fine": replace(known, fine_at=100),
        "bad since 60": replace(known, bad_since=60),
        "bad since 60, fine at 20": replace(known, bad_since=60, fine_at=20),
        "bad since 60, fine at 50": replace(known, bad_since=60, fine_at=50),
        "bad since 60, fine at 90": replace(known, bad_since=60, fine_at=90),
        "bad since 60, in blocks of 20": replace(known, bad_since=60, block_seconds=20),
    }
    moments = {
        f"{first} to {last}": (first, last)
        for first, last in ((0, 29), (0, 30), (30, 60), (90, 95), (91, 95), (120, 130))
    }

    def of(one: ProductSnapshot, moment: tuple[int, int]) -> str:
        return f"near {one.near(moment)}, turned {one.turned(100)}"

    golden(GOLDENS / "turned-bad.txt", combined(of, snapshots, moments))
    assert [known.is_due(end) for end in (109, 110, 111)] == [False, True, True]
    bad = replace(known, state=ProductState.DEGRADING, bad_since=60)
    assert bad.turns_bad
    for fields in ({"aside": True}, {"bad_since": None}, {"state": ProductState.DEGRADED}):
        assert not replace(bad, **fields).turns_bad


def test_what_a_snapshot_takes_over_from_the_one_before(golden):
    values = {
        "empty": ProductSnapshot(),
        "early": ProductSnapshot(
            degraded_at=1,
            fine_at=2,
            trained_at=3,
            waiting_since=4,
            reserved=Reserved("a", 5),
            training=True,
        ),
        "late": ProductSnapshot(
            degraded_at=11,
            fine_at=12,
            trained_at=13,
            waiting_since=14,
            reserved=Reserved("a", 15),
            aside=True,
        ),
        "for another Job": ProductSnapshot(reserved=Reserved("b", 25)),
    }

    def told(one: ProductSnapshot) -> str:
        return str(
            [
                one.degraded_at,
                one.fine_at,
                one.trained_at,
                one.waiting_since,
                one.reserved,
                one.training,
                one.aside,
            ]
        )

    def follows(one: ProductSnapshot, before: ProductSnapshot) -> str:
        return told(one.following(before))

    befores = {f"after {name}": one for name, one in values.items()}
    golden(GOLDENS / "following.txt", combined(follows, values, befores))

    def aside(one: ProductSnapshot, trains: bool, keeps: bool, failed: bool) -> str:
        return told(one.stepped_aside(trains=trains, keeps=keeps, failed=failed))

    flags = [{name: True, f"not {name}": False} for name in ("trains", "keeps", "failed")]
    golden(GOLDENS / "aside.txt", combined(aside, values, *flags))


def test_which_slots_outlive_a_restart(golden):
    trigger = Trigger(id="a", cause="ModelDecay", version="v1", trigger_time=START)
    trainings = {
        "none": None,
        "no trigger": RetrainingStatus(start_time=START, job="j"),
        "not begun": RetrainingStatus(trigger=trigger, job="j"),
        "begun": RetrainingStatus(trigger=trigger, start_time=START, job="j"),
        "ended": RetrainingStatus(
            last_result=AttemptResult(outcome=Outcome.FAILED, completion_time=START - 5)
        ),
    }
    streaks = {
        "accuracy": SloRecord(streak=Streak(first=9, last=9, evaluations=1, fresh=1)),
        "other": SloRecord(),
    }
    healths = {
        "unknown": {},
        "recovered": {"conditions": (degraded("False"),)},
        "degraded": {"conditions": (degraded("True"),), "state": ProductState.DEGRADED, "engine": EngineState(slos=streaks)},
        "degrading": {"state": ProductState.DEGRADING, "engine": EngineState(slos=streaks)},
        "renews": {"candidate": candidate(Phase.STEPPING).replace(image=STABLE.image)},
    }  # fmt: skip
    jobs = {
        "no Job": (),
        "a Job": (training_job(),),
        "a Job that ended": (training_job(finished=True),),
    }

    def of(training: Any, health: Any, found: Any, late: int) -> str:
        known = DataProductStatus(stable=STABLE, retraining=training, **health)
        record = SimpleNamespace(status=known, block_seconds=60)
        one = snapshot_before(record, found, now=START + late, most_training_seconds=60)
        usual = asdict(ProductSnapshot())
        told = {name: value for name, value in asdict(one).items() if value != usual[name]}
        return ", ".join(f"{name} {value}" for name, value in told.items()) or "nothing"

    late = {f"{seconds} s later": seconds for seconds in (59, 60, 650, 651)}
    usual, none = {"unknown": healths.pop("unknown")}, {"none": None}
    text = combined(of, trainings, usual, jobs, late) + combined(
        of, none, healths, {"no Job": ()}, {"at once": 0}
    )
    golden(GOLDENS / "begun.txt", text)


def degraded(truth: str) -> Condition:
    return Condition(
        type=ConditionType.DEGRADED, status=truth, reason="R", last_transition_time=START - 9
    )  # fmt: skip


def training_job(**fields: Any) -> JobRecord:
    meta = {
        "namespace": "a",
        "name": "a",
        "uid": "a",
        "resourceVersion": "1",
        "labels": {names.LABEL_PRODUCT: "a"},
    }
    found = job_record({"metadata": meta, "spec": {}})
    assert found is not None
    return replace(found, **{"created": START + 1, "deadline": 50} | fields)


def test_for_how_long_a_slot_is_kept():
    slot = Reserved("a", 100)
    for error, kept in (
        (Conflict("a"), True),
        (Transient("a"), True),
        (TooManyRequests("a", retry_after=1), False),
        (Invalid("a"), False),
        (None, False),
    ):
        assert slot.is_kept(error, 159) is kept
        assert not slot.is_kept(error, 160)


def test_from_when_on_a_job_is_overdue():
    job = partial(training_job, created=1000)

    first = next(now for now in range(1000, 3000) if is_overdue(job(), now, 60))
    assert first == 1000 + 50 + 600
    for one, most, late in (
        (job(), 40, first - 10),
        (job(deadline=0), 60, first + 10),
        (job(created=1), 60, first - 999),
    ):
        assert not is_overdue(one, late - 1, most)
        assert is_overdue(one, late, most)
    assert not is_overdue(job(created=0), first, 60)
    assert not is_overdue(job(finished=True), first, 60)
    assert runs(job(), first - 1, 60)
    for one in (job(finished=True), job(deleting=True)):
        assert not runs(one, 1000, 60)
    assert not runs(job(), first, 60)


def test_what_containers_lack(golden):
    limits = {
        "no limits": Resources(),
        "a CPU limit": Resources(limits={"cpu": "1"}),
        "a memory limit": Resources(limits={"memory": "1Gi"}),
        "both limits": Resources(limits={"cpu": "1", "memory": "1Gi"}),
        "a request": Resources(requests={"cpu": "500m"}),
        "a request and a limit": Resources(requests={"cpu": "500m"}, limits={"cpu": "1"}),
    }
    shares = {"cpu_throttled": (None, 0.25, 0.26), "memory_used": (None, 0.95, 0.96)}
    measured: dict[str, TargetFacts | None] = {"nothing measured": None}
    for throttled in shares["cpu_throttled"]:
        for used in shares["memory_used"]:
            measured[f"throttled {throttled}, memory {used}"] = TargetFacts(
                cpu_throttled=throttled, memory_used=used
            )

    def lacks(facts: Any, resources: Resources) -> str:
        return str(tuple(at_limit(facts, resources)))

    golden(GOLDENS / "limits.txt", combined(lacks, measured, limits))

    def busy(waited: Any, used: Any, throttled: Any, resources: Resources) -> str:
        facts = TargetFacts(cpu_waited=waited, cpus_used=used, cpu_throttled=throttled)
        return "its node is busy" if is_node_busy(facts, resources) else "its node has room"

    def table(name: str, *values: float | None) -> dict[str, Any]:
        return {f"{name} {one}": one for one in values}

    golden(
        GOLDENS / "nodes.txt",
        combined(
            busy, table("waited", None, 0.2, 0.21, 0.5), table("used", None, 0.5, 0.51, 1.0, 1.01),
            table("throttled", None, 0.0, 0.3), limits,
        ),
    )  # fmt: skip
    assert not is_node_busy(None, limits["a request"])


# ---- what becomes of attempts ------------------------------------------------------------------
def test_what_became_of_a_candidate(golden):
    one = CANDIDATES["at 25"]
    trained = one.replace(source=VersionSource.RETRAINING, decision_message="it is worse")
    rejected = SpecModel.of(one.release, Outcome.ROLLED_BACK, START).replace(reason="before")
    result = AttemptResult(
        outcome=Outcome.IN_PROGRESS, image=one.image, message="m", completion_time=START
    )
    models = {
        "no model": None,
        "its model, rejected": rejected,
        "another model, rejected": SpecModel.of(
            BEFORE.release, Outcome.INCONCLUSIVE, START
        ).replace(reason="before"),
        "its model, promoted": rejected.replace(outcome=Outcome.PROMOTED),
    }
    attempts = {
        "no attempt": None,
        "no result": RetrainingStatus(),
        "its result": RetrainingStatus(last_result=result),
        "another result": RetrainingStatus(last_result=result.replace(image=STABLE.image)),
    }
    candidates = {
        "of the spec": one,
        "of a training": trained,
        "of a training, without a word": trained.replace(decision_message=""),
        "restored": one.replace(restoring=True),
        "restored, of a training": trained.replace(restoring=True, image=STABLE.image),
    }
    ends = {
        "promoted": (Outcome.PROMOTED, DecisionReason.CANARY_NOT_WORSE),
        "rolled back": (Outcome.ROLLED_BACK, DecisionReason.CANARY_WORSE),
        "at a person's request": (Outcome.ROLLED_BACK, DecisionReason.ROLLBACK_REQUESTED),
    }

    def of(model: Any, attempt: Any, candidate: Candidate, end: Any) -> str:
        before = status(candidate, BEFORE).replace(spec_model=model, retraining=attempt)
        found = with_outcome(before, candidate, *end)
        last = found.retraining and found.retraining.last_result
        said = last and f"{last.outcome} {last.reason} '{last.message}'"
        return f"model {found.spec_model and found.spec_model.reason!r}, attempt {said}"

    golden(GOLDENS / "outcomes.txt", combined(of, models, attempts, candidates, ends))


def test_what_is_said_of_a_retraining_that_waits():
    usual = serving().observation()
    asked = WaitingRetraining("a", "accuracy", DecisionReason.MODEL_DECAY, DecisionReason.NO_SLOT)
    known = Trigger(id="a", cause="Requested", version="v0", trigger_time=START)
    for before, waiting, after in (
        (None, None, None),
        (RetrainingStatus(attempt=2), None, "- ''"),
        (RetrainingStatus(attempt=2, pending=known, waiting_for="CoolingDown"), None, "- ''"),
        (None, asked, "a ModelDecay accuracy True v1 now 'NoSlot'"),
        (RetrainingStatus(), asked, "a ModelDecay accuracy True v1 now 'NoSlot'"),
        (RetrainingStatus(pending=known), asked, "a Requested  False v0 then 'NoSlot'"),
        (RetrainingStatus(pending=known.replace(id="b")), asked, "a ModelDecay accuracy True v1 now 'NoSlot'"),
    ):  # fmt: skip
        current = usual.product.status.replace(retraining=before)
        seen = replace(usual, product=usual.product.replace(status=current))
        found = with_pending(seen, current, waiting).retraining
        one = found and found.pending
        said = one and (
            f"{one.id} {one.cause} {one.slo} {bool(one.indicator)} {one.version}"
            f" {'now' if one.trigger_time == usual.now else 'then'}"
        )
        assert (found and f"{said or '-'} {found.waiting_for!r}") == after


def test_what_is_said_of_a_training_that_ended():
    usual, long = serving().observation(), "a" * 4097
    state = usual.product.status.replace(retraining=RetrainingStatus(attempt=2))
    for decision, outcome in (
        (StartRollout(reason=DecisionReason.MODEL_DECAY, message=long, candidate=STABLE.release, source=VersionSource.RETRAINING, weight=5), "InProgress"),
        (Alert(reason=DecisionReason.WORSE_ON_HOLD_OUT, message=long), "Rejected"),
        (Alert(reason=DecisionReason.JOB_FAILED, message=long), "Failed"),
        (Alert(reason=DecisionReason.SUPERSEDED, message=long), "Superseded"),
        (Hold(reason=DecisionReason.HEALTHY, message=long), "Superseded"),
    ):  # fmt: skip
        last = with_result(usual, state, decision).retraining.last_result
        assert (str(last.outcome), last.reason, last.message) == (
            outcome,
            str(decision.reason),
            "a" * 4096,
        )
        assert (last.version, last.image, last.completion_time) == ("", "", usual.now)
    assert with_result(usual, usual.product.status, decision) is usual.product.status
    trained = CANDIDATES["at 25"].replace(source=VersionSource.RETRAINING, decision_message=long)
    result = AttemptResult(outcome=Outcome.IN_PROGRESS, image=trained.image, completion_time=START)
    before = state.with_retraining(last_result=result)
    found = with_outcome(before, trained, Outcome.ROLLED_BACK, DecisionReason.CANARY_WORSE)
    assert found.retraining.last_result.message == "a" * 4096


def test_what_is_left_of_a_training(golden):
    usual = serving().observation()
    asks = product(
        retraining={
            "command": ["train"],
            "output": "registry.example/a",
            "resources": {"requests": {"cpu": "2"}},
        }
    )
    attempts = {
        "none": None,
        "no Job": RetrainingStatus(start_time=START),
        "not started": RetrainingStatus(job="a"),
        "a": RetrainingStatus(job="a", start_time=START),
        "b": RetrainingStatus(job="b", start_time=START + 9),
    }

    def of(spec: DataProduct, before: Any, after: Any) -> str:
        current = usual.product.status
        seen = replace(usual, product=spec.replace(status=current.replace(retraining=before)))
        found = with_ended_training(seen, current.replace(retraining=after)).retraining
        last = found and found.last_job
        return (
            f"{last.job} {last.start_time - START} {last.end_time - usual.now} {last.requests}"
            if last
            else "nothing"
        )

    befores = {f"{name} before": each for name, each in attempts.items()}
    golden(
        GOLDENS / "ended-trainings.txt",
        combined(of, {"trains": asks, "doesn't": MODES["a route"]}, befores, attempts),
    )


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

    modes = {name: MODES[name] for name in ("a route", "no route")}
    golden(
        GOLDENS / "removals.txt",
        combined(of, modes, traffics, {"it is there": usual.route, "it is gone": None}),
    )


def test_what_is_rebuilt_of_a_lost_status(golden):
    def lives(version: Any, ready: int, replicas: int) -> DeploymentRecord:
        labels = ((names.LABEL_REVISION, version.revision),)
        return pods(
            ready,
            replicas,
            replicas,
            labels=labels,
            annotations=tuple(memory_annotations(version).items()),
        )

    old = Version.of(BEFORE.release, VersionSource.SPEC, promotion_time=START - 99)
    one = CANDIDATES["at 25"]
    lives_now = {
        "nothing": (),
        "stable": ((STABLE, 4, 4),),
        "stable, not ready": ((STABLE, 0, 4),),
        "a candidate": ((one, 4, 4),),
        "stable and a candidate": ((STABLE, 4, 4), (one, 1, 1)),
        "stable and a candidate without pods": ((STABLE, 4, 4), (one, 0, 0)),
        "two accepted": ((STABLE, 4, 4), (old, 1, 1)),
        "two accepted, one scaled down": ((STABLE, 0, 0), (old, 4, 4)),
        "two accepted and a candidate": ((STABLE, 4, 4), (old, 0, 0), (one, 3, 3)),
    }
    usual = serving().observation().route
    assert usual is not None

    def weighted(*each: tuple[Any, int]) -> Any:
        return replace(
            usual,
            weights=tuple(
                (version_name("search", version.revision), share) for version, share in each
            ),
        )

    routes = {
        "no route": None,
        "all to stable": weighted((STABLE, 100)),
        "some to the candidate": weighted((STABLE, 75), (one, 25)),
        "all to the version before": weighted((old, 100)),
    }
    wants = {"stable": STABLE, "the candidate": one, "another": BEFORE.replace(revision="x")}

    def of(spec: DataProduct, found: Any, route: Any, wanted: Any) -> str:
        live = {
            version.revision: lives(version, ready, replicas) for version, ready, replicas in found
        }
        after = restored_status(spec, wanted, live, route, now=START + 50)
        if after is None:
            return "-"
        leaves = after.candidate and (
            f"{after.candidate.version} {after.candidate.phase} {after.candidate.weight} % {after.candidate.restoring}"
            f" since {after.candidate.start_time - START} {after.candidate.shares[0].weight}"
        )
        past = [f"{each.version} {each.outcome} {each.end_time - START}" for each in after.history]
        model = (
            after.spec_model
            and f"{after.spec_model.version} {after.spec_model.outcome} {after.spec_model.outcome_time - START}"
        )
        return f"{after.stable.version}, leaving {leaves}, before {past}, model {model}"

    modes = {name: MODES[name] for name in ("a route", "no route")}
    wanted = {f"spec.model is {name}": each for name, each in wants.items()}
    golden(GOLDENS / "restored.txt", combined(of, modes, lives_now, routes, wanted))


def test_what_shows_that_a_product_was_there_before():
    empty, one = DataProductStatus(), CANDIDATES["starting"]
    assert not was_there_before(empty, ())
    assert not was_there_before(empty, ("Deployment",))
    assert not was_there_before(empty, ("Deployment", "Service"))
    assert was_there_before(empty, ("Service",))
    assert not was_there_before(empty.replace(candidate=one), ("Service",))
    for fields in (
        {"history": (BEFORE,)},
        {"retraining": RetrainingStatus()},
        {"spec_model": SpecModel.of(one.release, Outcome.PROMOTED, START)},
    ):
        assert was_there_before(empty.replace(**fields), ())


def test_what_lives_without_pods():
    """Shares of pods behind one Service, should there be none; and a pod that is about to end."""
    one = CANDIDATES["at 25"]

    def lives(version: Any, replicas: int, total: int) -> DeploymentRecord:
        labels = ((names.LABEL_REVISION, version.revision),)
        kept = tuple(memory_annotations(version).items())
        return pods(total, replicas, total, labels=labels, annotations=kept)

    for stable, tried, left in (((0, 0), (0, 0), None), ((4, 4), (0, 1), 20), ((4, 4), (1, 0), 1)):
        live = {STABLE.revision: lives(STABLE, *stable), one.revision: lives(one, *tried)}
        after = restored_status(MODES["no route"], STABLE, live, None, now=START)
        assert after is not None
        assert (after.candidate and after.candidate.weight) == left


def test_which_requests_a_lost_status_leaves():
    usual = MODES["a route"]
    asked = usual.replace(metadata=usual.metadata.replace(annotations={names.REQUEST_ABORT: "b"}))
    known = LastHandled(abort="a")
    for spec, before, after in (
        (usual, None, None), (usual, known, known), (asked, None, LastHandled(abort="b")), (asked, known, known),
    ):  # fmt: skip
        found = with_requests_handled(spec.replace(status=DataProductStatus(last_handled=before)))
        assert found.status.last_handled == after


def test_when_a_first_version_counts_as_accepted():
    one = CANDIDATES["starting"]
    assert [acceptance_time(one, START + late) - START for late in (0, 29, 30)] == [0, 0, 30]


def test_what_the_spec_calls_a_bento_is_taken_in_place():
    moved = STABLE.replace(image=STABLE.image.replace("registry.example", "mirror.example"))
    before = DataProductStatus(stable=STABLE, candidate=CANDIDATES["at 25"], history=(BEFORE,))
    after = referred_to(before, moved)
    assert after == before.replace(stable=moved)
    renamed = STABLE.replace(service="Other")
    assert referred_to(before, renamed).stable == renamed
    assert referred_to(before, STABLE) is before
    again = referred_to(before, BEFORE.replace(service="Other"))
    assert again.history[0].service == "Other"
    assert again.stable == STABLE
    tried = referred_to(before, CANDIDATES["at 25"].replace(service="Other"))
    assert tried.candidate.service == "Other"
    assert (tried.stable, tried.history) == (STABLE, (BEFORE,))
    twin = before.replace(candidate=CANDIDATES["at 25"].replace(revision=STABLE.revision))
    assert without_twin(twin).candidate is None
    assert without_twin(before) is before


def test_a_version_s_name_stands_for_one_bento():
    known = DataProductStatus(stable=STABLE, history=(BEFORE,))
    other = STABLE.replace(image=image("f"))
    found = version_reused(known, other)
    assert found is not None
    assert found.message == (
        f"spec.model.bento.version: v1 is already the name of {STABLE.image}: give the new bento a new version"
    )
    assert version_reused(known, other.replace(version="v9")) is None
    assert version_reused(known, STABLE) is None
    assert version_reused(known.replace(stable=None), BEFORE.replace(image=image("f"))) is None
    assert version_reused(known, BEFORE.replace(image=image("f"))) is not None
