"""What people's requests and a changed spec.model lead to, in each phase of a candidate."""

from __future__ import annotations

from dataclasses import replace
from itertools import product as every
from typing import Any

import pytest

from sluicegate.api import names
from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.outcome import Outcome
from sluicegate.api.retraining_status import RetrainingStatus, Trigger
from sluicegate.api.status import SpecModel
from sluicegate.api.versions import CandidatePhase, PastVersion, Release, VersionSource
from sluicegate.policy import new_versions
from sluicegate.policy.canary.setbacks import setback
from sluicegate.policy.manual_requests import answers
from sluicegate.policy.model.observed import (
    Facts,
    Failure,
    ManualRequest,
    Portfolio,
    RolloutObservation,
)
from sluicegate.policy.model.pending_requests import approves
from tests.support.decisions.changes import changes, plain
from tests.support.decisions.combinations import by_line, by_outcome
from tests.support.decisions.judged import (
    START,
    V1,
    V2,
    V3,
    candidate,
    judged_by,
    observed,
    parked,
    serving,
    stable,
)
from tests.support.decisions.scenarios import ACCURACY

pytestmark = pytest.mark.slow

NOW = START + 3600
TERMS = judged_by(ACCURACY, rollout={"steps": [5, 50]})
ENDED = judged_by(ACCURACY, rollout={"steps": [5, 50]}, lifecycle="Deprecated")
RENEWED = replace(V1, runtime_image="registry.example/runtime:2")
OWN = judged_by(
    ACCURACY, rollout={"steps": [5, 50]}, serving={"runtimeImage": "registry.example/own:1"}
)
KEPT = Release("v0", "registry.example/search@sha256:v0")
PAST = tuple(
    PastVersion.of(one, VersionSource.SPEC, outcome=outcome, promotion_time=when, end_time=when + 5)
    for one, outcome, when in ((KEPT, Outcome.ROLLED_BACK, 50), (V1, Outcome.REPLACED, 10))
)
TRIED = candidate(5, pairs={}, trigger="t", decision_message="so it was decided")


def moving(phase: CandidatePhase, **fields):
    return TRIED.replace(phase=phase, **fields)


CANDIDATES = {
    "none": None,
    "starting": candidate(),
    "stepping": TRIED,
    "parked": parked(TRIED),
    "parked, again in time": parked(TRIED).replace(retry_time=NOW, retries=1),
    "parked, again later": parked(TRIED).replace(retry_time=NOW + 1, retries=2),
    "promoting": moving(CandidatePhase.PROMOTING, weight=100),
    "promoting in part": moving(CandidatePhase.PROMOTING, weight=50),
    "rolling back": moving(CandidatePhase.ROLLING_BACK, weight=0),
    "restored": moving(CandidatePhase.PROMOTING, weight=100, restoring=True, decision_reason="ProbationFailed"),
    "restored on request": moving(
        CandidatePhase.PROMOTING, weight=100, restoring=True, decision_reason="RollbackRequested"
    ),
}  # fmt: skip
REQUESTS = [
    (names.REQUEST_ABORT, ("t", "v2/t", "v9/t")),
    (names.REQUEST_ROLLBACK, ("t", "v0/t", "v1/t", "v9/t")),
    (names.REQUEST_PROMOTE, ("t", "v2/t", "v3/t")),
    (names.REQUEST_RETRAIN, ("t",)),
    ("sluicegate.dev/another", ("t",)),
]


def status_of(one, model=V1, outcome=Outcome.PROMOTED, **fields):
    return serving(
        stable=stable(since=20),
        candidate=one,
        history=PAST,
        spec_model=model and SpecModel.of(model, outcome, START),
        **fields,
    )


def words_of(request: ManualRequest) -> str:
    return f"{request.annotation.rpartition('/')[2]} {request.value}"


def told_of(made, before, after) -> str:
    """A decision, and below it what differs in status once it was carried out."""
    changed = (f"  {line}" for line in changes(before, after))
    return "\n".join([f"{made.type} {made.reason}: {made.message}", *changed])


def test_a_request_leads_to_what_its_golden_says(golden):
    outcomes = {}
    asked = [ManualRequest(name, value) for name, values in REQUESTS for value in values]
    for request, (phase, one), committed in every(asked, CANDIDATES.items(), (False, True)):
        if committed and phase not in {"promoting", "restored"}:
            continue
        status = status_of(one)
        seen = observed(
            rollout=one and RolloutObservation(committed=committed), requests=(request,)
        )
        outcomes[words_of(request), phase, "committed" if committed else "not committed"] = [
            f"approves {approves(status, seen) is not None}",
            *(
                told_of(one.decision, status, one.status)
                for one in answers(TERMS, status, seen, NOW)
            ),
        ]
    golden("wishes/requests.txt", by_line(outcomes))


def test_a_request_in_another_state_of_the_product(golden):
    trains = RetrainingStatus(
        trigger=Trigger(id="t", cause="Requested", version="v1", trigger_time=NOW - 60),
        unsuccessful_attempts=2,
    )
    states: dict[str, dict[str, Any]] = {
        "another model is wanted": {"wanted": V3},
        "another model is wanted and known": {"wanted": V3, "model": V3},
        "it is in progress": {"wanted": V3, "model": V3, "outcome": Outcome.IN_PROGRESS},
        "it was refused": {"wanted": V3, "model": V3, "outcome": Outcome.ROLLED_BACK},
        "it can't be measured": {"wanted": V3, "problem": Reason.PROMETHEUS_STALE},
        "nothing is known of spec.model": {"wanted": V3, "model": None},
        "no slot": {"portfolio": Portfolio(slot=False)},
        "a training runs": {"retraining": trains},
        "no version serves": {"stable": None},
        "deprecated": {
            "terms": ENDED,
            "wanted": V3,
            "model": V3,
            "problem": Reason.PROMETHEUS_STALE,
        },
    }
    asked = [
        ManualRequest(name, value) for name, values in REQUESTS[1:4] for value in (*values, "v3/u")
    ]
    outcomes = {}
    for request, (name, given), phase in every(asked, states.items(), ("none", "parked")):
        known = dict(given)
        terms, wanted = known.pop("terms", TERMS), known.pop("wanted", V1)
        read = {one: known.pop(one) for one in ("problem", "portfolio") if one in known}
        if "stable" in known:
            status = status_of(CANDIDATES[phase]).replace(**known)
        else:
            status = status_of(CANDIDATES[phase], **known)
        seen = replace(observed(requests=(request,), **read), wanted=wanted)
        outcomes[words_of(request), name, phase] = [
            told_of(one.decision, status, one.status) for one in answers(terms, status, seen, NOW)
        ]
    golden("wishes/states.txt", by_line(outcomes))


MODELS = {
    "stable": (V1, Outcome.PROMOTED),
    "v2 in progress": (V2, Outcome.IN_PROGRESS),
    "v2 refused": (V2, Outcome.ROLLED_BACK),
    "v2 accepted": (V2, Outcome.PROMOTED),
    "unknown": (None, Outcome.PROMOTED),
}


def told(decision) -> str:
    if decision is None:
        return "nothing"
    superseded = getattr(decision, "superseded", None)
    weight = getattr(decision, "weight", None)
    return f"{decision.type} {decision.reason}: {decision.message} {plain([weight, superseded])}"


def test_a_model_that_is_wanted_begins_or_waits(golden):
    outcomes = {}
    renewed = replace(V2, runtime_image="registry.example/runtime:2")
    for wanted, model, phase in every((V1, V2, V3, RENEWED, renewed), MODELS, CANDIDATES):
        status = status_of(CANDIDATES[phase], *MODELS[model])
        for rollout in (RolloutObservation(), RolloutObservation(committed=True)):
            seen = replace(observed(rollout=rollout), wanted=wanted)
            after = new_versions.handle_unchanged_model(status, seen, NOW)
            found = {
                "back": new_versions.back_to_stable(status, after),
                "changed": new_versions.model_changed(TERMS, after, seen),
                "again": new_versions.retry_due(TERMS, status, seen, NOW),
                "overtakes": new_versions.overtakes(TERMS, status, seen, NOW),
            }
            said = [f"{name}: {told(one)}" for name, one in found.items() if one is not None]
            words = (f"{wanted.version} {wanted.runtime_image}".strip(), model, phase)
            if not rollout.committed:
                outcomes[*words, "not committed"] = [*said, *changes(status, after)]
            elif phase.startswith(("promoting", "restored")):
                outcomes[*words, "committed"] = said
    golden("wishes/models.txt", by_line(outcomes))


def test_what_keeps_a_model_from_its_rollout(golden):
    cases: dict[str, dict[str, Any]] = {
        "nothing": {},
        "stale": {"problem": Reason.PROMETHEUS_STALE},
        "stale, of a product that is down": {"problem": Reason.PROMETHEUS_STALE, "facts": Facts(stable_down=True)},
        "read back": {"problem": Reason.BACKFILLING},
        "four others": {"portfolio": Portfolio(renewing=4)},
        "five others": {"portfolio": Portfolio(renewing=5)},
    }  # fmt: skip
    outcomes = {}
    products = {"usual": TERMS, "ended": ENDED, "its own runtime": OWN}
    for (name, given), wanted, kind, lost, said in every(
        cases.items(), (V3, RENEWED), products, (False, True), (False, True)
    ):
        status = status_of(
            None,
            outage_start_time=NOW if lost else None,
            emitted_alerts=("PrometheusStale/v3",) if said else (),
        )
        seen = replace(observed(**given), wanted=wanted)
        found = new_versions.model_changed(products[kind], status, seen)
        words = (
            name,
            wanted.version,
            kind,
            "blind" if lost else "seen",
            "told" if said else "untold",
        )
        outcomes[words] = told(found)
    golden("wishes/obstacles.txt", by_outcome(outcomes))


def test_a_candidate_that_cannot_go_on_is_taken_back(golden):
    image = Failure(Reason.IMAGE_NOT_FOUND, "there is no such image")
    node = Failure(Reason.INFRASTRUCTURE, "no node has room")
    seen: dict[str, dict[str, Any]] = {
        "it moves": {"moves": True, "wants_share": True, "waited": 601},
        "suspended": {"frozen": True, "wants_share": True, "waited": 601},
        "in time": {"wants_share": True, "waited": 600},
        "too late": {"wants_share": True, "waited": 601},
        "too late for the node": {"wants_share": True, "waited": 601, "attribution": node, "problem": node},
        "hopeless": {"wants_share": True, "problem": image, "unrecoverable": True},
        "hopeless for the node": {
            "wants_share": True, "problem": image, "unrecoverable": True, "attribution": node
        },
        "not hopeless": {"wants_share": True, "problem": image},
        "wants nothing": {"problem": image, "unrecoverable": True, "waited": 601},
        "doesn't serve": {"serves": False},
        "doesn't serve by the node": {"serves": False, "attribution": node},
        "neither serves yet": {"serves": False, "stable_serves": False, "given_since": 600},
        "neither serves": {"serves": False, "stable_serves": False, "given_since": 601},
        "not followed yet": {"not_followed": "it has 3 %", "given_since": 600},
        "not followed": {"not_followed": "it has 3 %", "given_since": 601},
    }  # fmt: skip
    outcomes = {}
    for (phase, one), (name, given), broken in every(
        CANDIDATES.items(), seen.items(), ((), ("GET / is removed",))
    ):
        status = status_of(one)
        read = observed(rollout=RolloutObservation(**given), facts=Facts(api_changes=broken))
        found = setback(status, read)
        words = (phase, name, "another API" if broken else "the same API")
        outcomes[words] = told(found) if found is None else f"{told(found)} by {found.cause}"
    golden("wishes/setbacks.txt", by_outcome(outcomes))
