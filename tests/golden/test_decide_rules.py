"""What becomes of attempts, versions and a lost status, and when a step is due again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sluicegate.api import names
from sluicegate.api.names import DecisionReason
from sluicegate.api.outcome import Outcome
from sluicegate.api.retraining_status import AttemptResult, RetrainingStatus, Trigger
from sluicegate.api.status import DataProductStatus, LastHandled, SpecModel
from sluicegate.api.versions import Candidate, Version, VersionSource
from sluicegate.kube.resources import Key
from sluicegate.manifests.names import version_name
from sluicegate.manifests.version_annotations import memory_annotations
from sluicegate.policy.diagnosis.remedy import WaitingRetraining
from sluicegate.policy.model.decision import Alert, Hold, StartRollout
from sluicegate.reconcile.decide.requeue import next_for
from sluicegate.reconcile.decide.retraining_attempt import (
    with_ended_training,
    with_outcome,
    with_pending,
    with_result,
)
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
from sluicegate.reconcile.routes.arbitration import RouteRefusal
from sluicegate.reconcile.routes.claims import Claim
from sluicegate.reconcile.routes.live_claims import Strength
from sluicegate.runtime.interfaces import Done, RequeueAfter
from tests.support.decisions.combinations import combined
from tests.support.decisions.rollout_world import START, image
from tests.support.decisions.rollouts import serving
from tests.support.decisions.rule_inputs import (
    BEFORE,
    CANDIDATES,
    MODES,
    STABLE,
    named,
    pods,
    product,
    status,
)

if TYPE_CHECKING:
    from sluicegate.api.product import DataProduct
    from sluicegate.reconcile.live.children import DeploymentRecord


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

    golden("rules/outcomes.txt", combined(of, models, attempts, candidates, ends))


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
        "rules/ended-trainings.txt",
        combined(of, {"trains": asks, "doesn't": MODES["a route"]}, befores, attempts),
    )


def lives(version: Any, ready: int, replicas: int, total: int) -> DeploymentRecord:
    """The Deployment of a version, with what it remembers of it."""
    labels = ((names.LABEL_REVISION, version.revision),)
    kept = tuple(memory_annotations(version).items())
    return pods(ready, replicas, total, labels=labels, annotations=kept)


def test_what_is_rebuilt_of_a_lost_status(golden):
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
            version.revision: lives(version, ready, replicas, replicas)
            for version, ready, replicas in found
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

    wanted = {f"spec.model is {name}": each for name, each in wants.items()}
    modes = named(MODES, "a route", "no route")
    golden("rules/restored.txt", combined(of, modes, lives_now, routes, wanted))


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

    for stable, tried, left in (
        ((0, 0, 0), (0, 0, 0), None),
        ((4, 4, 4), (1, 0, 1), 20),
        ((4, 4, 4), (0, 1, 0), 1),
    ):
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
