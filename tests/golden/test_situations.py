"""What one step of a product leads to in each situation: all that people and other products read."""

from __future__ import annotations

import re
from copy import deepcopy
from dataclasses import asdict, replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import pytest

from sluicegate.api.names import (
    ANNOTATION_BASELINE,
    ANNOTATION_PROMOTION_TIME,
    REQUEST_ABORT,
    REQUEST_PROMOTE,
    REQUEST_RETRAIN,
    REQUEST_ROLLBACK,
    ConditionReason,
    ConditionType,
    DecisionReason,
)
from sluicegate.api.outcome import Outcome
from sluicegate.api.retraining_status import AttemptResult, RetrainingStatus
from sluicegate.api.status import DependencyState, DependencyStatus
from sluicegate.api.versions import CandidatePhase, Release
from sluicegate.conditions import Finding
from sluicegate.kube.resources import Key
from sluicegate.policy.model.decision import (
    Advance,
    Alert,
    Decision,
    Inconclusive,
    Promote,
    Retrain,
    Rollback,
    StartRollout,
)
from sluicegate.policy.model.observed import (
    Facts,
    Failure,
    Portfolio,
    ShadowCounted,
    TrainingFailed,
    TrainingSucceeded,
)
from sluicegate.reconcile.build import build_children
from sluicegate.reconcile.decide.planner import make_plan
from sluicegate.reconcile.decide.requeue import requeue_after
from sluicegate.reconcile.decide.warm_up import only_warms_up
from sluicegate.reconcile.report.condition_events import news, true_of
from sluicegate.reconcile.report.first_version_start import FirstStarts
from sluicegate.reconcile.report.fleet_update import snapshot_of
from sluicegate.reconcile.report.product_sample import figures_of
from sluicegate.reconcile.report.status import due, report
from sluicegate.reconcile.report.traffic_status import with_first_split
from sluicegate.reconcile.routes.gateway_state import ABSENT
from sluicegate.reconcile.traffic.split_verification import Split, VerificationLevel
from sluicegate.settings import ServiceKind
from sluicegate.stats.counts import Count
from sluicegate.stats.paired import Pairs
from tests.support.decisions.changes import by_object
from tests.support.decisions.judged import series
from tests.support.decisions.observed_changes import (
    a_pod_is_evicted,
    about_to_change,
    as_it_is,
    pods_that_dont_come,
    refused,
    with_a_stranger,
)
from tests.support.decisions.product_moments import (
    IN_A_PIPELINE,
    IN_THE_COLUMN,
    REFUSED,
    SCORES,
    TRAINING,
    canary,
    on_its_way,
    remembered,
    starting,
    trained,
    waiting_for_a_node,
    with_status,
)
from tests.support.decisions.rollout_world import (
    ACCURACY,
    BLOCK,
    RUNTIME,
    START,
    World,
    broken_pod,
    document,
    image,
)
from tests.support.decisions.rollouts import at_weight, serving
from tests.support.decisions.rule_inputs import job

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sluicegate.reconcile.observe.observation import Observation

    Situation = (
        Callable[[], World] | tuple[Callable[[], World], Callable[[Observation], Observation]]
    )
    """A product, and what else is observed of it, if anything is."""

pytestmark = pytest.mark.slow

AVAILABILITY = {"name": "availability", "indicator": {"availability": {}}, "objective": "0.99"}
SCALED = {
    "runtimeImage": "registry.example/runtime:1",
    "autoscaling": {"minReplicas": 2, "maxReplicas": 9},
    "resources": {"requests": {"cpu": "1"}},
    "feedback": {"secretRef": {"name": "search-feedback"}},
}
EVALUATED = document()["spec"]["model"] | {"evaluation": {"accuracy": {"bad": 20, "total": 100}}}
MIRROR = {"mirror": {"percent": 10}, "intervalSeconds": 600}


def seen(**fields: Any) -> Callable[[Observation], Observation]:
    """What else is observed."""
    return lambda observation: replace(observation, **fields)


def observed(**fields: Any) -> Callable[[Observation], Observation]:
    return lambda one: replace(one, observed=replace(one.observed, **fields))


def stable_has(**fields: Any) -> Callable[[Observation], Observation]:
    """What else the Deployment of stable says."""

    def change(observation: Observation) -> Observation:
        stable = observation.product.status.stable
        assert stable is not None
        live = dict(observation.live)
        live[stable.revision] = replace(live[stable.revision], **fields)
        return replace(observation, live=live)

    return change


def with_pod(**fields: Any) -> Callable[[Observation], Observation]:
    """A pod of the newest version says this."""

    def change(observation: Observation) -> Observation:
        status = observation.product.status
        version = status.candidate or status.stable
        assert version is not None
        pod = replace(
            broken_pod(), **{"revision": version.revision, "unrecoverable": False} | fields
        )
        return replace(observation, pods=(pod,))

    return change


def both(*changes: Callable[[Observation], Observation]) -> Callable[[Observation], Observation]:
    def change(observation: Observation) -> Observation:
        for one in changes:
            observation = one(observation)
        return observation

    return change


def split(level: VerificationLevel, **fields: Any) -> Callable[[Observation], Observation]:
    return seen(split=Split(level, f"it is {level.name}", **fields))


def later(seconds: int) -> Callable[[Observation], Observation]:
    return lambda one: replace(one, now=one.now + seconds)


def with_candidate(make: Callable[[], World], **fields: Any) -> World:
    world = make()
    candidate = world.current.candidate
    assert candidate is not None
    return with_status(world, candidate=candidate.replace(**fields))


def tried(outcome: Outcome, reason: str = "") -> World:
    """A training has ended."""
    world = serving(retraining=TRAINING)
    result = AttemptResult(outcome=outcome, reason=reason, version="v2", completion_time=world.now)
    return with_status(
        world, retraining=RetrainingStatus(last_result=result, last_reason=reason, attempt=1)
    )


def decaying(*, slot: bool = True, **spec: Any) -> World:
    """Stable is wrong more often than it may be, from now on."""
    world = serving(**spec)
    world.bad["v1"] = 0.5
    world.portfolio = Portfolio(slot=slot)
    return world


@remembered
def degraded(*, slot: bool = True, **spec: Any) -> World:
    return decaying(slot=slot, **spec).until(lambda one: one.current.state == "Degraded").run()


def deciding(kind: type[Decision], make: Callable[[], World]) -> World:
    """Just before this is decided."""
    world = make()
    for _ in range(200):
        world.pass_block()
        evaluation = make_plan(world.observation()).evaluation
        if evaluation is not None and isinstance(evaluation.decision, kind):
            return world
        world.settle()
    raise AssertionError(f"it is never decided: {world.current.decision}")


def asked(make: Callable[[], World], annotation: str, value: str) -> World:
    world = make()
    world.requests[annotation] = value
    return world


def pushed(**spec: Any) -> World:
    return serving(**spec).push("b", "v2")


def bad_canary() -> World:
    world = pushed()
    world.bad["v2"] = 0.4
    return world


def unseen_canary() -> World:
    """No request is counted, so no evidence comes."""
    world = on_its_way(5, rollout={"steps": [5, 50], "maxDurationSeconds": 600})
    world.rate = 0
    return world


@remembered
def scored(**fields: Any) -> World:
    """A Job of the shadow phase is named."""
    world = on_its_way(5, rollout={"steps": [5, 50], "shadow": SCORES})
    world.now += 600
    world.step()
    assert world.current.shadow is not None
    return with_candidate(lambda: world, shadow=world.current.shadow.replace(**fields))


def unmeasured(blocks: int = 4) -> World:
    world = serving()
    world.problem = DecisionReason.PROMETHEUS_STALE
    return world.run(blocks)


@remembered
def promoted(**spec: Any) -> World:
    """A second version has just taken over."""
    return serving(**spec).push("b", "v2").until(lambda one: one.serving == "v2", most=400)


def about_to_wait() -> World:
    """Before a canary that lost its pods through no fault of its own waits to be tried again."""
    world = canary(25)
    world.facts = Facts(canary_lost="it is being deleted")
    world.run()
    world.facts = Facts()
    while make_plan(world.observation()).status.candidate.retry_time is None:
        world.settle()
        world.pass_block()
    return world


def lost() -> World:
    return canary(25).lose_status()


def suspended_canary() -> World:
    world = canary(25)
    world.spec["spec"]["suspend"] = True
    return world.run(2)


def turned_back(**spec: Any) -> World:
    world = serving(**spec).push("b", "v2").until(at_weight(5)).run(2)
    world.requests[REQUEST_ABORT] = "one"
    world.now += BLOCK
    world.step()
    return world


def worse() -> World:
    world = on_its_way(25)
    world.bad["v2"] = 0.15
    return world.run(1)


def two(**facts: Any) -> World:
    """Two service levels, of which one has no data."""
    return serving(slos=[ACCURACY, AVAILABILITY | facts])


def markets(observation: Observation) -> Observation:
    newest = observation.observed.block
    first = newest - 11
    by_market = {
        "FR": series(*[(60, 100)] * 12, first=first),
        "AT": series(*[(2, 100)] * 12, first=first),
        "DE": series(*[(3, 100)] * 12, first=first),
        "NL": series(*[(1, 2)] * 12, first=first),
    }
    return observed(markets={"accuracy": by_market})(observation)


def suspend(observation: Observation) -> Observation:
    product = observation.product
    return replace(observation, product=product.replace(spec=product.spec.replace(suspend=True)))


def without_shadow(observation: Observation) -> Observation:
    spec = observation.product.spec
    spec = spec.replace(rollout=spec.rollout.replace(shadow=None))
    return replace(observation, product=observation.product.replace(spec=spec))


def all_ready(observation: Observation) -> Observation:
    live = {
        key: replace(one, replicas=4, ready=4, total=4) for key, one in observation.live.items()
    }
    return replace(observation, live=live)


def made(bad: int = 100) -> TrainingSucceeded:
    parent = Release("v1", image("a"), RUNTIME, "Search")
    release = Release("v2", image("b"), RUNTIME, "Search")
    counts = {"accuracy": Count(bad, 1000)}
    return TrainingSucceeded(
        "0123abcd", parent, release, counts, {"accuracy": Count(300, 1000)}, data_end=START
    )


def without_route(product: Any) -> Any:
    return product.replace(spec=product.spec.replace(route=None))


def dependency(state: str) -> DependencyStatus:
    return DependencyStatus(
        namespace="catalog", name=state.lower(), state=DependencyState(state), in_cycle=False
    )


def reported(change: Callable[[Observation], Observation], world: World | None = None) -> World:
    """The product once what is observed was reported."""
    world = serving() if world is None else world
    observation = change(world.observation())
    return with_status(world, **dict(report(observation, make_plan(observation))))


@remembered
def bad_again() -> World:
    """A version that took over and is bad after all."""
    world = promoted()
    world.bad["v2"] = 0.5
    return world.run(4)


@remembered
def silent() -> World:
    """No label comes."""
    world = serving()
    world.rate = 0
    return world.run(40)


GROUPS: dict[str, dict[str, Situation]] = {
    "the column": {**IN_THE_COLUMN, **REFUSED},
    "a pipeline": {**IN_A_PIPELINE},
    "service levels and trainings": {
        "no service levels": partial(serving, slos=[]),
        "degraded": degraded,
        "degrading": lambda: decaying().until(lambda one: one.current.state == "Degrading"),
        "degraded, with a retraining": partial(degraded, retraining=TRAINING),
        "degraded, and no slot is free": partial(degraded, slot=False, retraining=TRAINING),
        "bad after its promotion": bad_again,
        "unmeasured": unmeasured,
        "unmeasured again": (serving, observed(problem=DecisionReason.BACKFILLING)),
        "one service level without data": two,
        "no service level has data": (
            two,
            observed(problems={"accuracy": DecisionReason.INVALID_DATA, "availability": DecisionReason.NO_DATA}),
        ),
        "bad in one market": (degraded, markets),
        "bad in one market, not degraded": (serving, markets),
        "a training waits for its Job": (trained, observed(portfolio=Portfolio(slot=False))),
        "a training asks for its Job again": trained,
        "a training runs": (trained, seen(job=job(), trains=True, most_training_seconds=3600)),
        "a training of a person runs": (partial(trained, slo=""), seen(job=job(), trains=True)),
        "a training while suspended": partial(trained, suspend=True),
        "a training has ended while suspended": (
            partial(trained, suspend=True), seen(job=job(finished=True, succeeded=True)),
        ),
        "a training runs while suspended": (partial(trained, suspend=True), seen(job=job())),
        "a training of a person while suspended": (
            partial(trained, suspend=True, cause="Requested"), observed(portfolio=Portfolio(slot=False)),
        ),
        "a training is refused": (trained, seen(refusal="exceeded quota")),
        "a training is refused, and no slot is free": (
            trained, both(seen(refusal="exceeded quota"), observed(portfolio=Portfolio(slot=False))),
        ),
        "another Job runs in place of a training": (trained, seen(trains=True)),
        "a training without a service account": (
            trained,
            seen(stalled=Finding(ConditionType.STALLED, "True", ConditionReason.FORBIDDEN_SERVICE_ACCOUNT, "no")),
        ),
        "a training is in its rollout": partial(tried, Outcome.IN_PROGRESS),
        "a training was in vain": (
            partial(tried, Outcome.REJECTED, "WorseOnHoldOut"), seen(most_training_seconds=3600),
        ),
        "its feedback Secret lacks a key": (silent, with_pod(ready=True, problem="", feedback="has no key hmac")),
        "its feedback Secret lacked a key": (
            lambda: reported(with_pod(ready=True, problem="", feedback="has no key hmac"), silent())
        ),
        "its feedback Secret is whole again": (
            lambda: reported(with_pod(ready=True, problem="", feedback="has no key hmac"), silent()),
            with_pod(ready=True, problem=""),
        ),
        "no label comes": silent,
    },
    "first versions": {
        "it starts": starting,
        "no service levels, starting": partial(World, spec=document(slos=[])),
        "its first Gateway is absent": (starting, seen(gateways={Key("gateway", "web"): ABSENT})),
        "its first pods wait": (starting, with_pod()),
        "its first pods have waited": (starting, later(601)),
        "its first pods have waited just long enough": (starting, later(600)),
        "its first pods lack memory": (starting, with_pod(unrecoverable=True, out_of_memory=True)),
        "its first pods lack a library": (starting, with_pod(unrecoverable=True, mismatch=True)),
        "its first pods have another service": (starting, with_pod(unrecoverable=True, misnamed=True)),
        "its first pods lack a volume": (starting, both(later(601), with_pod(unmounted=True))),
        "it is refused while it starts": (starting, refused),
        "its first version is ready, and not yet accepted": (
            starting, both(all_ready, split(VerificationLevel.WRITTEN), seen(begun=None)),
        ),
        "its first version is ready and accepted": (starting, both(all_ready, split(VerificationLevel.ACCEPTED))),
        "its first version is slow and its name is taken": (starting, both(later(31), with_a_stranger)),
        "it starts quietly": partial(World, spec=document()),
        "its first version was ready at once": (starting, all_ready),
        "its first version was evaluated": partial(World, spec=document(model=EVALUATED)),
        "its first version was evaluated, after a loss": (
            partial(World, spec=document(model=EVALUATED)), seen(lost=True),
        ),
    },
    "rollouts": {
        "a canary": partial(on_its_way, 25),
        "no route": partial(serving, route=None),
        "no route, a canary": partial(on_its_way, 25, route=None),
        "no route, rolled back": partial(turned_back, route=None),
        "the route is removed": (
            partial(on_its_way, 25), lambda one: replace(one, product=without_route(one.product)),
        ),
        "an autoscaler": (partial(serving, serving=SCALED), stable_has(replicas=6, ready=6, scaled=True)),
        "an autoscaler, a canary": (
            partial(on_its_way, 25, serving=SCALED), stable_has(replicas=6, ready=6, scaled=True),
        ),
        "an autoscaler, no route, a canary": (
            partial(on_its_way, 25, serving=SCALED, route=None),
            stable_has(replicas=6, ready=6, scaled=True),
        ),
        "a mirror": partial(on_its_way, 5, rollout={"steps": [5, 50], "shadow": MIRROR}),
        "shadow Jobs": (partial(on_its_way, 5, rollout={"steps": [5, 50], "shadow": SCORES}), later(600)),
        "shadow Jobs without a slot": (
            partial(on_its_way, 5, rollout={"steps": [5, 50], "shadow": SCORES}),
            both(later(600), observed(portfolio=Portfolio(slot=False))),
        ),
        "a suspended canary": suspended_canary,
        "a canary that is turned back": turned_back,
        "a canary that is worse": worse,
        "a canary whose pods fail": (partial(on_its_way, 25), with_pod(unrecoverable=True)),
        "a canary without its share": (
            partial(on_its_way, 25), split(VerificationLevel.ACCEPTED, share=0.6, requests=900, mismatched=True),
        ),
        "a canary whose share is seen": (
            partial(on_its_way, 25), split(VerificationLevel.OBSERVED, share=0.25, requests=900, enough=True),
        ),
        "a canary after a restart": (partial(on_its_way, 25), seen(term=10**10)),
        "a retried canary": (waiting_for_a_node, later(86_400)),
        "a canary that an autoscaler grew before": partial(with_candidate, partial(on_its_way, 25), capacity=8),
        "a parked canary": partial(with_candidate, partial(on_its_way, 25), phase=CandidatePhase.PARKED),
        "status was lost": lost,
        "just promoted": promoted,
        "just promoted, no route": partial(promoted, route=None),
        "the route isn't written": (serving, split(VerificationLevel.NONE)),
    },
    "a version that serves": {
        "its dependencies are fine": (serving, seen(dependencies=(dependency("Healthy"),))),
        "its dependencies are degraded": (serving, seen(dependencies=(dependency("Degraded"), dependency("Unknown")))),
        "its dependencies are unknown": (serving, seen(dependencies=(dependency("Healthy"), dependency("NotFound")))),
        "two operators": (serving, seen(overlap="operator b writes its status too")),
        "a review is due": (serving, seen(review=Finding(ConditionType.REVIEW_DUE, "True", "ReviewDue", "sign it"))),
        "a person is needed": (
            serving,
            seen(stalled=Finding(ConditionType.STALLED, "True", ConditionReason.VERSION_REUSED, "v1 is taken")),
        ),
        "its newest pods take their time": (
            serving, both(stable_has(rolling=True, ready=3), with_pod(problem="it waits for a node", outside=True)),
        ),
        "its newest pods have taken their time": (
            lambda: reported(about_to_change), both(stable_has(ready=3), later(601)),
        ),
        "its newest pods are nearly there": (lambda: reported(about_to_change), both(stable_has(ready=3), later(600))),
        "its newest pods were stuck": (lambda: reported(pods_that_dont_come), a_pod_is_evicted),
        "its newest pods came": lambda: reported(pods_that_dont_come),
        "it was refused": lambda: reported(refused),
        "no pod was ready": lambda: reported(stable_has(ready=0)),
        "no pod has room": (serving, stable_has(ready=0, refused="exceeded quota")),
        "its Gateways are asked": (
            serving,
            both(seen(gateways={Key("gateway", "web"): ABSENT}), split(VerificationLevel.WRITTEN)),
        ),
        "its Gateways are asked, and have accepted": (
            serving,
            both(seen(gateways={Key("gateway", "web"): ABSENT}), split(VerificationLevel.ACCEPTED)),
        ),
        "its split isn't known": (serving, seen(split=None)),
        "it is accepted after a while": (
            lambda: reported(split(VerificationLevel.WRITTEN)), split(VerificationLevel.ACCEPTED),
        ),
    },
    "decisions": {
        "a canary": partial(on_its_way, 5),
        "a rollout starts": partial(deciding, StartRollout, pushed),
        "a canary goes on": partial(deciding, Advance, pushed),
        "a canary is promoted": partial(deciding, Promote, pushed),
        "a canary is promoted by a person": partial(asked, partial(on_its_way, 5), REQUEST_PROMOTE, "v2/one"),
        "a canary is promoted without a route": partial(deciding, Promote, partial(pushed, route=None)),
        "a canary is rolled back": partial(deciding, Rollback, bad_canary),
        "a canary is aborted by a person": partial(asked, partial(on_its_way, 5), REQUEST_ABORT, "one"),
        "a canary gives way to a third version": (lambda: on_its_way(25).push("c", "v3"), later(BLOCK)),
        "a canary without shares gives way": (
            lambda: with_candidate(partial(on_its_way, 5), shares=(), weight=0).push("c", "v3"), later(BLOCK),
        ),
        "a fault of the cluster ended a canary": about_to_wait,
        "a canary tells nothing": partial(deciding, Inconclusive, unseen_canary),
        "a canary waits for a person": (
            partial(deciding, Alert, partial(pushed, rollout={"steps": [5, 50], "approval": "Manual"}))
        ),
        "the version before is asked for": partial(asked, partial(promoted), REQUEST_ROLLBACK, "v1/one"),
        "the version before is asked for in a canary": (
            lambda: asked(lambda: promoted().push("c", "v3").until(at_weight(25)), REQUEST_ROLLBACK, "v1/one")
        ),
        "a retraining": partial(deciding, Retrain, partial(decaying, retraining=TRAINING)),
        "a retraining by a person": partial(asked, partial(serving, retraining=TRAINING), REQUEST_RETRAIN, "one"),
        "an alert": partial(deciding, Alert, decaying),
        "bad after its promotion, and rolled back": partial(deciding, Rollback, bad_again),
        "a training made a version": (trained, observed(training=made())),
        "a training failed": (
            trained, observed(training=TrainingFailed("0123abcd", DecisionReason.JOB_FAILED, "it ended with 1")),
        ),
        "a training is of no use": (trained, observed(training=made(bad=600))),
        "its shadow Job runs": (scored, seen(shadow_job=job())),
        "its shadow Job waits": (scored, observed(portfolio=Portfolio(slot=False))),
        "its shadow Job is refused": (
            scored, both(seen(shadow_refusal="exceeded quota"), observed(portfolio=Portfolio(slot=False))),
        ),
        "its shadow Job counted": (scored, observed(shadow=ShadowCounted({"accuracy": Pairs(90, 5, 3, 2)}))),
        "its shadow Job failed": (scored, observed(shadow=Failure(DecisionReason.JOB_FAILED, "it ended with 1"))),
        "its shadow Job while suspended": (scored, suspend),
        "its shadow Job without the phase": (scored, without_shadow),
    },
}  # fmt: skip


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Each part of a value that has none itself, with its path; a condition is one."""
    if isinstance(value, dict) and "lastTransitionTime" in value:
        words = [value["status"], value["reason"], f"since {value['lastTransitionTime'][11:19]}"]
        yield path, " ".join([*words, *filter(None, [value.get("message")])])
    elif isinstance(value, dict) and value:
        for name, part in value.items():
            yield from leaves(part, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for place, part in enumerate(value):
            name = part.pop("type", "") or part.pop("name", "") or part.pop("slo", "") or place
            yield from leaves(part, f"{path}.{name}")
    elif value is not None:
        yield path, re.sub(r"(\w)\1{9,}", r"\1…", str(value))


def outcome(observation: Observation) -> dict[str, str]:
    """All that a step leads to, by path."""
    before, plan = observation.product.status, make_plan(observation)
    observation = with_first_split(observation, plan)
    status = report(observation, plan)
    reason = plan.evaluation.decision.reason if plan.evaluation else None
    children = build_children(
        observation.product, plan.allocation, observation.live, service_kind=ServiceKind.HEADLESS
    )
    told = (*true_of(plan.told, status), *news(before, status))
    return dict(
        leaves(
            {
                "status": status.to_dict(),
                "worth a write": due(before, status, now=observation.now, refresh_seconds=0)
                is not before,
                "told": [asdict(one) for one in told],
                "pods": {
                    one.version.version: (one.replicas, one.autoscaled, one.floor)
                    for one in plan.allocation.placements
                },
                "weights": plan.allocation.weights,
                "selected": plan.allocation.selected,
                "needed": plan.allocation.needed,
                "mirrored to": plan.allocation.mirrored_to,
                "children": [f"{one.resource.kind} {one.key.name}" for one in children],
                "remembered": {
                    one.key.name: [
                        known.get(name) for name in (ANNOTATION_PROMOTION_TIME, ANNOTATION_BASELINE)
                    ]
                    for one in children
                    if one.resource.kind == "Deployment"
                    and (known := one.manifest["metadata"]["annotations"])
                },
                "requeue": requeue_after(observation, plan, conflicted=False, untold=False),
                "requeue, untold": requeue_after(observation, plan, conflicted=False, untold=True),
                "can wait": FirstStarts().can_wait(observation, plan),
                "only warms up": only_warms_up(observation, plan),
                "snapshot": asdict(snapshot_of(observation, plan)),
                "figures": asdict(figures_of(observation.product, status, reason)),
            }
        )
    )


@cache
def usual() -> dict[str, str]:
    return outcome(serving().observation())


def differences(found: dict[str, str], known: dict[str, str]) -> Iterator[str]:
    """What isn't as it is in another situation."""
    yield from by_object(one for one in found.items() if known.get(one[0]) != one[1])
    lost = [one for one in known if not any(f"{path}.".startswith(f"{one}.") for path in found)]
    if lost:
        yield f"no {', '.join(dict.fromkeys(whole(path, found) for path in lost))}"


def whole(path: str, found: dict[str, str]) -> str:
    """The largest part that isn't there, of which this path is one."""
    parts = path.split(".")
    heads = (".".join(parts[:length]) for length in range(1, len(parts)))
    there = {f"{one}." for one in found}
    return next((one for one in heads if not any(f.startswith(f"{one}.") for f in there)), path)


@pytest.mark.parametrize("group", GROUPS)
def test_what_a_step_leads_to(group, golden):
    """Of each situation is told what isn't as in the nearest one that was told before."""
    lines, told = [], {"what is usual": usual()}
    for name, one in GROUPS[group].items():
        make, change = one if isinstance(one, tuple) else (one, as_it_is)
        found = outcome(change(deepcopy(make()).observation()))
        near = min(told, key=lambda one: len(found.items() ^ told[one].items()))
        told[name] = found
        lines += [f"{name}, other than {near}:"]
        lines += (f"  {line}" for line in differences(found, told[near]))
    golden(f"situations/{group.replace(' ', '-')}.txt", lines)


def test_what_is_usual(golden):
    golden("situations/it-serves.txt", by_object(usual().items()))
