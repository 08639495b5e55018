"""A slot is a Job that runs, or is created in this step: nothing else keeps others from training."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from sluicegate.kube.resources import JOBS
from sluicegate.settings import Settings
from tests.support.apiserver.training_fleet import TRAINING, Fleet, RefusingServer, serving

if TYPE_CHECKING:
    from sluicegate.kube.resources import Key

MINUTE, HOUR = 60, 3600
INVALID, FORBIDDEN, WEBHOOK = (422, "Invalid"), (403, "Forbidden"), (500, "InternalError")


@pytest.fixture(scope="module")
def product():
    return serving()


@pytest.fixture
async def fleet(product):
    async with RefusingServer() as server:
        yield Fleet(server, Settings(), product)


async def asked(fleet: Fleet, name: str, **spec: Any) -> Key:
    """Return a product with a requested training, after a reconcile."""
    key = fleet.add(name, **spec)
    fleet.ask(key)
    await fleet.run_passes()
    return key


async def test_two_products_train_at_once_and_the_third_gets_the_released_slot(fleet):
    keys = [fleet.add(f"team-{n}") for n in range(3)]
    for key in keys:
        fleet.ask(key)
    await fleet.run_passes()
    first = fleet.training()
    assert fleet.slots() == first
    assert len(first) == 2
    fleet.end(min(first))
    await fleet.run_passes(rounds=1)
    assert fleet.slots() == fleet.training() == {*keys} - {min(first)}


@pytest.mark.parametrize("answer", [INVALID, FORBIDDEN, WEBHOOK], ids=lambda one: one[1])
async def test_products_whose_jobs_are_refused_hold_no_training_slot(fleet, answer):
    broken = [fleet.add(f"broken-{n}", priority="Critical") for n in range(2)]
    for key in broken:
        fleet.server.refuses[key.namespace] = answer
        fleet.ask(key)
    await fleet.run_passes()
    waiting = [fleet.add(f"team-{n}") for n in range(2)]
    for key in waiting:
        fleet.ask(key)
    await fleet.run_passes(2 * MINUTE)
    assert fleet.training() == fleet.slots() == {*waiting}


async def test_a_job_that_is_invalid_ends_the_attempt_at_once_with_the_servers_message(fleet):
    fleet.server.refuses["broken"] = INVALID
    key = await asked(fleet, "broken")
    retraining = fleet.retraining(key)
    assert "trigger" not in retraining
    assert retraining["unsuccessfulAttempts"] == 1
    assert retraining["lastResult"]["reason"] == "JobRefused"
    assert "Invalid" in retraining["lastResult"]["message"]
    assert fleet.condition(key)[:2] == ("False", "CoolingDown")


@pytest.mark.parametrize("answer", [FORBIDDEN, WEBHOOK], ids=lambda one: one[1])
async def test_a_job_that_cannot_be_created_ends_the_attempt_after_its_timeout(fleet, answer):
    fleet.server.refuses["broken"] = answer
    key = await asked(fleet, "broken", retraining=TRAINING | {"timeoutSeconds": HOUR})
    await fleet.run_passes(2 * MINUTE)
    status, reason, message = fleet.condition(key)
    assert (status, reason) == ("False", "JobRefused")
    assert answer[1] in message
    # After an error of the server's own it may have been created: that is waited for.
    assert fleet.slots() == ({key} if answer == WEBHOOK else set())
    await fleet.run_passes(HOUR)
    retraining = fleet.retraining(key)
    assert not fleet.slots()
    assert "trigger" not in retraining
    assert retraining["lastResult"]["reason"] == "TimedOut"
    assert answer[1] in retraining["lastResult"]["message"]


async def test_a_refused_job_is_created_once_the_api_server_accepts_it(fleet):
    fleet.server.refuses["mended"] = FORBIDDEN
    key = await asked(fleet, "mended")
    del fleet.server.refuses["mended"]
    await fleet.run_passes(10 * MINUTE)
    assert fleet.slots() == fleet.training() == {key}
    assert fleet.condition(key)[:2] == ("True", "Training")


async def test_a_training_with_a_forbidden_service_account_holds_no_slot_and_times_out(fleet):
    retraining = TRAINING | {"serviceAccountName": "trainer", "timeoutSeconds": HOUR}
    fleet.account("broken", allowed=False)
    key = await asked(fleet, "broken", retraining=retraining)
    assert not fleet.slots()
    assert not fleet.jobs(key)
    assert fleet.condition(key, "Stalled")[1] == "ForbiddenServiceAccount"
    await fleet.run_passes(HOUR)
    assert fleet.retraining(key)["lastResult"]["reason"] == "TimedOut"
    assert "allow-training" in fleet.retraining(key)["lastResult"]["message"]


async def test_an_invalid_job_template_ends_the_attempt(fleet, monkeypatch):
    key, other = fleet.add("broken"), fleet.add("fine")

    def broken(product, *_):
        raise KeyError("name")

    with monkeypatch.context() as patched:
        patched.setattr("sluicegate.reconcile.apply.training_jobs.build_training_job", broken)
        fleet.ask(key)
        await fleet.run_passes()
    fleet.ask(other)
    await fleet.run_passes()
    assert fleet.slots() == {other}
    assert fleet.retraining(key)["lastResult"]["reason"] == "JobRefused"


async def test_an_unowned_job_with_the_name_of_the_training_holds_no_slot(fleet):
    fleet.server.refuses["squatted"] = (409, "AlreadyExists")
    key = await asked(fleet, "squatted", retraining=TRAINING | {"timeoutSeconds": HOUR})
    job = fleet.retraining(key)["job"]
    meta = {"namespace": "squatted", "name": job, "ownerReferences": []}
    fleet.server.keep(JOBS, {"metadata": meta, "spec": {}})
    await fleet.run_passes()
    assert not fleet.slots()
    await fleet.run_passes(HOUR)
    last = fleet.retraining(key)["lastResult"]
    assert last["reason"] == "TimedOut"
    assert job in last["message"]


# ---- edits ----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "edit",
    [{"retraining": None}, {"lifecycle": "Deprecated"}, {"lifecycle": "Retired"}],
    ids=["retraining removed", "Deprecated", "Retired"],
)
async def test_an_unneeded_training_is_superseded_and_frees_its_slot(fleet, edit):
    key = await asked(fleet, "changes")
    assert fleet.training() == {key}
    fleet.edit(key, **edit)
    await fleet.run_passes()
    assert fleet.slots() == fleet.training() == set()
    retraining = fleet.retraining(key)
    assert "trigger" not in retraining
    assert retraining["lastResult"]["outcome"] == "Superseded"
    assert retraining.get("unsuccessfulAttempts", 0) == 0


async def test_a_training_of_a_suspended_product_releases_its_slot_and_keeps_its_result(fleet):
    other, key = fleet.add("other"), await asked(fleet, "suspended")
    fleet.edit(key, suspend=True)
    await fleet.run_passes(HOUR)
    assert fleet.slots() == {key}, "it uses capacity"
    fleet.end(key)
    await fleet.run_passes()
    assert not fleet.slots()
    assert "trigger" in fleet.retraining(key)
    assert fleet.condition(key)[:2] == ("False", "Suspended")
    fleet.edit(key, suspend=False)
    await fleet.run_passes(HOUR)
    assert fleet.retraining(key)["lastResult"]["reason"] == "JobFailed"
    fleet.ask(other)
    await fleet.run_passes()
    assert fleet.slots() == {other}


async def test_a_product_that_becomes_invalid_during_training_keeps_its_slot_until_the_job_ends(
    fleet,
):
    key = await asked(fleet, "invalid")
    fleet.edit(key, slos=[{"name": "none"}])
    await fleet.run_passes()
    assert key in fleet.refused
    assert fleet.slots() == {key}
    fleet.end(key)
    await fleet.run_passes()
    assert not fleet.slots()


async def test_a_waiting_product_that_becomes_invalid_leaves_the_training_queue(fleet):
    keys = [fleet.add(f"team-{n}") for n in range(2)]
    waits = fleet.add("waits", priority="Critical")
    for key in [*keys, waits]:
        fleet.ask(key)
        await fleet.run_passes(rounds=1)
    assert fleet.training() == {*keys}
    fleet.edit(waits, slos=[{"name": "none"}])
    await fleet.run_passes()
    last = fleet.add("last", priority="Low")
    fleet.ask(last)
    fleet.end(keys[0])
    await fleet.run_passes(rounds=2)
    assert fleet.slots() == fleet.training() == {keys[1], last}


async def test_a_job_that_is_suspended_holds_no_slot_and_waits(fleet):
    key = await asked(fleet, "queues-jobs", retraining=TRAINING | {"timeoutSeconds": HOUR})
    fleet.patch_job(key, suspend=True)
    await fleet.run_passes(25 * HOUR)
    assert not fleet.slots()
    assert "lastResult" not in fleet.retraining(key)


async def test_a_job_whose_deadline_was_edited_is_ended_and_holds_no_slot(fleet):
    key = await asked(fleet, "edits-jobs", retraining=TRAINING | {"timeoutSeconds": HOUR})
    fleet.patch_job(key, activeDeadlineSeconds=10**8)
    await fleet.run_passes(25 * HOUR)
    assert fleet.slots() == fleet.training() == set()
    assert fleet.retraining(key)["lastResult"]["reason"] == "TimedOut"


async def test_a_training_deadline_above_the_operators_limit_is_reported_on_the_product(
    fleet,
):
    key = await asked(fleet, "long", retraining=TRAINING | {"timeoutSeconds": 604_800})
    (job,) = fleet.jobs(key)
    assert job.deadline == 86_400
    message = fleet.condition(key)[2]
    assert "spec.retraining.timeoutSeconds is 604800" in message
    assert "86400 (SLUICEGATE_MAX_RETRAINING_SECONDS)" in message


# ---- restarts -------------------------------------------------------------------------------
async def test_the_budget_holds_over_a_restart_between_the_trigger_and_its_job(fleet):
    keys = [fleet.add(f"team-{n}") for n in range(4)]
    for key in keys[:2]:
        fleet.server.refuses[key.namespace] = WEBHOOK
        fleet.ask(key)
    await fleet.run_passes(rounds=1)
    assert not fleet.training()
    fleet.server.refuses.clear()
    for key in keys[2:]:
        fleet.ask(key)
    await fleet.restart()
    assert fleet.slots() == {*keys[:2]}, "their Jobs may be on their way"
    await fleet.run_passes()
    assert fleet.training() == fleet.slots() == {*keys[:2]}


async def test_after_a_restart_running_jobs_hold_the_slots_and_no_job_is_created_twice(fleet):
    keys = [fleet.add(f"team-{n}") for n in range(3)]
    for key in keys:
        fleet.ask(key)
    await fleet.run_passes()
    training = fleet.training()
    fleet.server.sent.clear()
    await fleet.restart()
    assert fleet.slots() == training
    await fleet.run_passes()
    assert fleet.slots() == fleet.training() == training
    assert not [write for write in fleet.server.writes if "/jobs" in write.path]


# ---- any history ----------------------------------------------------------------------------
def wants(fleet: Fleet, key: Key) -> bool:
    """Return whether a product would train at once if it had a slot."""
    body, retraining = fleet.body(key), fleet.retraining(key)
    spec, asked = body["spec"], body["metadata"].get("annotations", {}).values()
    if "retraining" not in spec or spec.get("lifecycle") == "Retired":
        return False
    if "trigger" in retraining:  # its result waits, if it is suspended and its Job has ended
        return not fleet.has_job(key, retraining["job"])
    retried = retraining.get("retryTime")  # a Job was lost to the cluster
    if retried and datetime.fromisoformat(retried).timestamp() > fleet.server.now:
        return False
    handled = (body["status"].get("lastHandled") or {}).get("retrainRequestedAt")
    return any(token != handled for token in asked)


def has_room(fleet: Fleet, key: Key) -> bool:
    """Return whether the budget of two, one a namespace, lets this product train beside those that do."""
    training = fleet.training()
    return len(training) < 2 and key.namespace not in {one.namespace for one in training}


async def happen(fleet: Fleet, random: Random) -> None:
    """Change one of the products, or restart the operator."""
    key = random.choice(fleet.keys)
    match random.randrange(9):
        case 0 | 1 | 2:
            fleet.ask(key)
        case 3:
            fleet.server.refuses[key.namespace] = random.choice([INVALID, FORBIDDEN])
        case 4:
            fleet.server.refuses.clear()
        case 5 if fleet.training():
            fleet.end(random.choice(sorted(fleet.training())))
        case 6:
            fleet.edit(key, suspend=random.random() < 0.5)
        case 7:
            fleet.edit(key, retraining=random.choice([None, TRAINING]))
        case 8:
            fleet.edit(key, lifecycle=random.choice(["Retired", "Development"]))
        case _:
            await fleet.restart()


@pytest.mark.slow
@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2, 3))]
)
async def test_used_slots_equal_running_jobs_and_no_slot_stays_unused(fleet, seed):
    """Two passes over each product are enough for a slot that is free to be taken."""
    random = Random(seed)
    for number in range(5):
        fleet.add(f"team-{number % 3}", f"p{number}")
    await fleet.run_passes(rounds=1)
    for _ in range(16):
        await happen(fleet, random)
        await fleet.run_passes(random.choice([1, 2 * MINUTE]), rounds=2)
        assert fleet.slots() == fleet.training()
        counted = Counter(key.namespace for key in fleet.training())
        assert counted.total() <= 2
        assert set(counted.values()) <= {1}
        waiting = [key for key in fleet.keys if wants(fleet, key) and not fleet.jobs(key)]
        able = [key for key in waiting if key.namespace not in fleet.server.refuses]
        assert not [key for key in able if has_room(fleet, key)]
