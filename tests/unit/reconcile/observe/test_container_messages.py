"""What containers leave behind reaches people without credentials, or as a reference to the log."""

from __future__ import annotations

import json

import pytest

from sluicegate.reconcile.live.pods import job_exit, pod_state
from sluicegate.reconcile.observe.shadow_result import shadow_result
from sluicegate.reconcile.observe.training_result import training_result
from tests.support.decisions.kubelet_words import job
from tests.unit.reconcile.observe.test_training_result import GOOD, OUTPUT, PARENT

SECRETS = ("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "hunter2")
LOG = (
    f"epoch 3\nAWS_SECRET_ACCESS_KEY={SECRETS[0]}\npostgresql://u:{SECRETS[1]}@db/x: no such column"
)
JOB = "uid-of-the-job"
COMMAND = "kubectl logs --namespace shop search-1 --container"


def pod(
    code: int, message: str, *, name: str = "trainer", state: str = "state", init: bool = False
):
    ended = {
        "exitCode": code, "reason": "Error", "message": message,
        "startedAt": "2026-09-01T09:00:00Z", "finishedAt": "2026-09-01T10:00:00Z",
    }  # fmt: skip
    container = {"name": name, "ready": False, "restartCount": 4, state: {"terminated": ended}}
    return {
        "metadata": {
            "name": "search-1", "namespace": "shop",
            "ownerReferences": [{"kind": "Job", "name": "search-train-1", "uid": JOB, "controller": True}],
        },
        "status": {"initContainerStatuses" if init else "containerStatuses": [container]},
    }  # fmt: skip


def failures(body, *, log_tails: bool) -> dict[str, str]:
    """Return each text about a pod that people may read."""
    state = pod_state(body, log_tails=log_tails)
    ended = job_exit([state], JOB)
    texts = {"problem": state.problem, "restarts": state.restarts.words if state.restarts else ""}
    if ended.exit_code is not None:
        condition = "Failed" if ended.exit_code else "Complete"
        result = training_result(job(condition=condition), ended, "t", PARENT, output=OUTPUT)
        texts["training"] = result.message
        texts["shadow"] = shadow_result(job(condition=condition), ended, ["accuracy"]).message
    return texts


@pytest.mark.parametrize("state", ["state", "lastState"])
def test_the_termination_message_of_a_container_is_reported_without_credentials(state):
    texts = failures(pod(1, LOG, state=state), log_tails=True)
    assert "no such column" in texts["problem"]
    assert texts["restarts" if state == "lastState" else "training"].endswith("no such column")
    assert not [secret for secret in SECRETS for text in texts.values() if secret in text]


@pytest.mark.parametrize("message", [LOG, json.dumps({"image": 1, "note": LOG})])
def test_a_training_without_a_result_is_reported_without_credentials(message):
    texts = failures(pod(0, message), log_tails=True)
    assert "not a result" in texts["training"]
    assert not [secret for secret in SECRETS for text in texts.values() if secret in text]


@pytest.mark.parametrize(("code", "state"), [(1, "state"), (1, "lastState"), (0, "state")])
def test_with_the_setting_status_names_the_log_command_instead_of_log_lines(code, state):
    texts = failures(pod(code, LOG, state=state), log_tails=False)
    assert not [text for text in texts.values() if "epoch" in text or "column" in text]
    before = " --previous" if state == "lastState" else ""
    assert any(f"{COMMAND} trainer{before}" in text for text in texts.values())


def test_a_training_result_is_read_unchanged():
    message = json.dumps(GOOD | {"version": "zq3vt8xk1mn6br2wy9pl4sd7fg0h"})
    for log_tails in (True, False):
        ended = job_exit([pod_state(pod(0, message), log_tails=log_tails)], JOB)
        result = training_result(job(condition="Complete"), ended, "t", PARENT, output=OUTPUT)
        assert result.release.version == "zq3vt8xk1mn6br2wy9pl4sd7fg0h"


def test_the_message_of_the_runtime_check_is_reported_with_and_without_the_log_setting():
    body = pod(
        1, "ServiceNotFound: the bento has the services a, b", name="runtime-check", init=True
    )
    assert "services a, b" in pod_state(body, log_tails=False).problem
