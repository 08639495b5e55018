"""Reasons why the pods of a version don't become ready, in the kubelet's words.

Pods are read only when a version isn't ready, a training has ended or a product is degraded; a
healthy product costs no read.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sluicegate.api import names
from sluicegate.api.iteration import Iteration
from sluicegate.api.names import DecisionReason
from sluicegate.policy.model.api_changes import ApiSummary, parse_summary
from sluicegate.reconcile.live.log_tails import (
    log_command,
    with_exception_first,
    with_redacted_messages,
)
from sluicegate.reconcile.live.restarts import Restarts, restarts_of
from sluicegate.runtime.redaction import redact


@dataclass(frozen=True, slots=True)
class TrainingExit:
    """The exit of a training container: code, message, time.

    Attributes
    ----------
    message : its termination message, or the tail of its log; of one that succeeded as it is.
    withheld_text : where its log is, if people may not read the message.
    exit_code : of the container; None when it never ran.
    reason : the kubelet's word for its end, OOMKilled say; empty when there is none.
    ended_at : when, in seconds; 0 when it isn't known.
    """

    message: str = ""
    exit_code: int | None = None
    reason: str = ""
    ended_at: int = 0
    withheld_text: str = ""

    @property
    def readable(self) -> str:
        """Return the exit message with credentials redacted."""
        return self.withheld_text or redact(self.message)


RESTARTS_OF_A_LOOP: Final = 3
"""Restarts after which a container that never became ready counts as broken."""
UNRECOVERABLE: Final = frozenset(
    {"InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError", "CreateContainerError"}
)
"""Unrecoverable reasons of a waiting container."""
PULL_FAILED: Final = frozenset({"ErrImagePull", "ImagePullBackOff"})
ABSENT: Final = ("not found", "manifest unknown", "name unknown")
"""What registries and container runtimes say of an image that isn't there; any other failure of
a pull is a fault of the registry or the network."""
RUNTIME_CHECK: Final = "runtime-check"
"""Name of the init container that compares the bento with the runtime and with the spec."""
TEMPLATE_HASH: Final = "pod-template-hash"
"""Label by which the Deployment controller distinguishes the pods of its templates."""
TRAINER: Final = "trainer"
"""Name of a training's container; a mesh may put others beside it."""
FEEDBACK: Final = "feedback"
"""Name of the volume that holds the Secret of spec.serving.feedback."""
SECRET_LACKS: Final = re.compile(r"has [\w ',.-]{1,80}")
"""What a check may say of the Secret; anything longer isn't ours."""
SERVICE_NOT_FOUND: Final = "ServiceNotFound:"
"""How its message begins when the bento has no entry service of the name that the spec gives."""


@dataclass(frozen=True, slots=True)
class PodState:
    """The fields of a pod that decisions need.

    Attributes
    ----------
    revision : of the version that it serves; empty for a training.
    job_uid : of the Job that controls it; empty for a server. A label could be that of any pod.
    ready : it takes requests.
    out_of_memory : a container was killed for its memory since it started.
    problem : what keeps it from becoming ready, in a sentence; empty when nothing is known.
    unrecoverable : the problem doesn't end by itself.
    mismatch : the runtime lacks what the bento's lock file asks for.
    misnamed : the bento's entry service has another name than in the spec.
    unmounted : it waits for what it mounts.
    is_absent : the registry doesn't have an image of it.
    training_exit : what the container of a training left behind, once it has ended.
    killed_at : when a container was last killed for its memory, in seconds; None when it lies
        ended, or the kubelet gives no time.
    api : the API of the version that it serves, once the runtime check has passed; None if unknown.
    feedback : what the Secret of spec.serving.feedback lacked when it started, "has no key hmac";
        empty when it lacked nothing, or isn't wanted.
    outside : the cause is outside the pod: its node, the scheduler, the registry, or an eviction.
    crashed : a container ended with an error, now or the last time.
    waiting : no container of it has started, apart from sidecars among its init containers.
    is_starting : a container of it hasn't passed its startup probe.
    iteration : what the labels of its bento say was tried; None where they say nothing of it.
    restarts : those of the container that was restarted most; None without any.
    created_at : creationTimestamp, in seconds; 0 if unknown.
    template : hash of its Deployment's pod template; empty if unknown.
    is_active : its ReplicaSet counts it: it hasn't ended, and isn't being deleted.
    """

    revision: str
    job_uid: str
    ready: bool
    out_of_memory: bool
    problem: str
    unrecoverable: bool
    mismatch: bool
    misnamed: bool
    unmounted: bool
    is_absent: bool
    training_exit: TrainingExit | None
    outside: bool = False
    crashed: bool = False
    waiting: bool = False
    is_starting: bool = False
    killed_at: int | None = None
    api: ApiSummary | None = None
    feedback: str = ""
    iteration: Iteration | None = None
    restarts: Restarts | None = None
    created_at: int = 0
    template: str = ""
    is_active: bool = True

    @property
    def reason(self) -> DecisionReason:
        """Return the reason of the pod's problem."""
        if self.misnamed:
            return DecisionReason.SERVICE_NOT_FOUND
        if self.mismatch:
            return DecisionReason.RUNTIME_MISMATCH
        return DecisionReason.IMAGE_NOT_FOUND if self.is_absent else DecisionReason.CANARY_NOT_READY

    def was_killed_since(self, since: int) -> bool:
        """Return whether a container ran out of memory at `since`, in seconds, or later."""
        return self.out_of_memory and (self.killed_at is None or self.killed_at >= since)


def pod_state(body: Mapping[str, Any], *, log_tails: bool = True) -> PodState:
    """Convert a Pod into its state; without `log_tails`, commands are given in place of log lines."""
    body = with_redacted_messages(body, with_tails=log_tails, own_container=RUNTIME_CHECK)
    labels = body["metadata"].get("labels") or {}
    status = body.get("status") or {}
    containers = [
        *_statuses(status, "initContainerStatuses"),
        *_statuses(status, "containerStatuses"),
    ]
    problems = [problem for container in containers if (problem := _problem(container)) is not None]
    unmounted = ""
    disruption = _external_end(body)
    check_message = _left_by_check(status)
    if disruption:  # how its containers ended then says nothing
        problems = [_Problem(disruption, outside=True)]
    elif not problems and (external_problem := _unscheduled(status) or _unreachable(status)):
        problems = [_Problem(external_problem, outside=True)]
    elif not problems:
        unmounted = _unmounted(body.get("spec") or {}, status)
    app_statuses = list(_statuses(status, "containerStatuses"))
    sidecars = {
        container["name"]
        for container in (body.get("spec") or {}).get("initContainers") or ()
        if container.get("restartPolicy") == "Always"
    }
    trainer = next(
        (container for container in app_statuses if container["name"] == TRAINER),
        app_statuses[0] if app_statuses else {},
    )
    return PodState(
        revision=labels.get(names.LABEL_REVISION, ""),
        job_uid=_job_uid(body["metadata"]),
        ready=any(
            condition["type"] == "Ready" and condition["status"] == "True"
            for condition in status.get("conditions") or ()
        ),
        out_of_memory=any(_is_kill(_terminated(container)) for container in containers),
        problem=problems[0].text if problems else unmounted,
        unrecoverable=any(problem.unrecoverable for problem in problems),
        mismatch=any(problem.mismatch for problem in problems),
        misnamed=any(problem.misnamed for problem in problems),
        unmounted=bool(unmounted),
        is_absent=any(problem.is_absent for problem in problems),
        training_exit=_training_exit(
            trainer, "" if log_tails else log_command(body["metadata"], TRAINER)
        ),
        killed_at=_killed_at(containers),
        api=parse_summary(check_message),
        feedback=_feedback(check_message),
        iteration=_iteration(check_message),
        outside=bool(problems) and all(problem.outside for problem in problems),
        crashed=any(_terminated(container).get("exitCode") for container in containers),
        waiting=not any(
            "running" in (container.get("state") or {})
            for container in containers
            if container["name"] not in sidecars
        ),
        is_starting=any(container.get("started") is False for container in app_statuses),
        restarts=restarts_of(app_statuses),
        created_at=_created_at(body["metadata"]),
        template=labels.get(TEMPLATE_HASH, ""),
        is_active=not body["metadata"].get("deletionTimestamp")
        and status.get("phase") not in {"Failed", "Succeeded"},
    )


def _created_at(meta: Mapping[str, Any]) -> int:
    time_text = meta.get("creationTimestamp")
    return int(datetime.fromisoformat(time_text).timestamp()) if time_text else 0


def _is_kill(terminated: Mapping[str, Any]) -> bool:
    return terminated.get("reason") == "OOMKilled"


def _killed_at(containers: list[Mapping[str, Any]]) -> int | None:
    """Return when a container was last killed for its memory; the kubelet reports it until the next restart."""
    if any(
        _is_kill((container.get("state") or {}).get("terminated") or {}) for container in containers
    ):
        return None
    memory_kills = [
        terminated for container in containers if _is_kill(terminated := _terminated(container))
    ]
    times = [
        datetime.fromisoformat(termination["finishedAt"])
        for termination in memory_kills
        if termination.get("finishedAt")
    ]
    return int(max(times).timestamp()) if times and len(times) == len(memory_kills) else None


@dataclass(frozen=True, slots=True)
class _Problem:
    text: str
    unrecoverable: bool = False
    mismatch: bool = False
    misnamed: bool = False
    is_absent: bool = False
    outside: bool = False


def _statuses(status: Mapping[str, Any], field: str) -> Iterator[Mapping[str, Any]]:
    return iter(status.get(field) or ())


def _terminated(container: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the container's termination: the present one, or the last."""
    for state in ("state", "lastState"):
        terminated: Mapping[str, Any] | None = (container.get(state) or {}).get("terminated")
        if terminated:
            return terminated
    return {}


def _problem(container: Mapping[str, Any]) -> _Problem | None:
    if container.get("ready"):
        return None
    name = container["name"]
    waiting = (container.get("state") or {}).get("waiting") or {}
    reason, message = waiting.get("reason", ""), waiting.get("message", "")
    terminated = _terminated(container)
    if terminated.get("exitCode") and name == RUNTIME_CHECK:
        message_left = terminated.get("message", "").strip()
        misnamed = message_left.startswith(SERVICE_NOT_FOUND)
        return _Problem(message_left, unrecoverable=True, mismatch=not misnamed, misnamed=misnamed)
    if terminated.get("exitCode"):
        log_end = with_exception_first(terminated.get("message", "").strip())
        message_left = log_end or "it left no message"
        text = f"container {name} ended with {terminated['exitCode']} ({terminated.get('reason')}): {message_left}"
        return _Problem(text, unrecoverable=container.get("restartCount", 0) >= RESTARTS_OF_A_LOOP)
    if reason in PULL_FAILED:
        # The kubelet says this of an image volume too, so the message names the image, not we.
        text = f"container {name} waits for an image that can't be pulled: {message}"
        image_absent = any(words in message.lower() for words in ABSENT)
        return _Problem(
            text, unrecoverable=image_absent, is_absent=image_absent, outside=not image_absent
        )
    if reason in UNRECOVERABLE:
        return _Problem(f"container {name}: {reason}: {message}", unrecoverable=True)
    return None


def _external_end(body: Mapping[str, Any]) -> str:
    """Return the external cause of the pod's end: node, scheduler, drain or deletion; else empty."""
    status = body.get("status") or {}
    if status.get("reason", "") not in {"", "DeadlineExceeded"}:  # the kubelet's own, Evicted say
        return f"its node ended it ({status['reason']}): {status.get('message', '')}".rstrip(": ")
    for condition in status.get("conditions") or ():
        if condition["type"] == "DisruptionTarget" and condition["status"] == "True":
            return f"it is being evicted from its node ({condition.get('reason', '')}): {condition.get('message', '')}"
    return "it is being deleted" if body["metadata"].get("deletionTimestamp") else ""


def _unreachable(status: Mapping[str, Any]) -> str:
    """Return the problem of an unready pod with ready containers, whose node is unreachable; else empty."""
    conditions = {
        condition["type"]: condition["status"] for condition in status.get("conditions") or ()
    }
    containers = list(_statuses(status, "containerStatuses"))
    containers_ready = bool(containers) and all(container.get("ready") for container in containers)
    return (
        "its node doesn't answer" if containers_ready and conditions.get("Ready") == "False" else ""
    )


def _unscheduled(status: Mapping[str, Any]) -> str:
    """Return why the pod isn't scheduled; empty if it is."""
    for condition in status.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return f"the pod can't be scheduled: {condition.get('message', '')}"
    return ""


def _unmounted(spec: Mapping[str, Any], status: Mapping[str, Any]) -> str:
    """Return the volumes that a scheduled pod waits for; empty without a wait.

    Only events say which volume it is that can't be mounted, so the message names those that a
    person makes.
    """
    conditions = {
        condition["type"]: condition["status"] for condition in status.get("conditions") or ()
    }
    if (
        conditions.get("PodScheduled") != "True"
        or conditions.get("PodReadyToStartContainers") != "False"
    ):
        return ""
    desired = list(_manual_deletion(spec))
    if not desired:
        return ""
    volumes_text = " and ".join(desired)
    return f"the pod waits for its volumes: make sure that there is the {volumes_text}"


def _manual_deletion(spec: Mapping[str, Any]) -> Iterator[str]:
    for volume in spec.get("volumes") or ():
        secret, claim = volume.get("secret") or {}, volume.get("persistentVolumeClaim") or {}
        if (name := secret.get("secretName")) and not secret.get("optional"):
            field = " of spec.serving.feedback.secretRef, with the keys hmac and bearer of at least"
            field = f"{field} 16 bytes each" if volume.get("name") == FEEDBACK else ""
            yield f"Secret {name}{field}"
        if name := claim.get("claimName"):
            yield f"PersistentVolumeClaim {name}"


def _training_exit(container: Mapping[str, Any], withheld_text: str) -> TrainingExit | None:
    terminated = (container.get("state") or {}).get("terminated")
    if not terminated:
        return None
    finish_time = terminated.get("finishedAt")
    return TrainingExit(
        message=terminated.get("message", ""),
        exit_code=terminated.get("exitCode"),
        reason=terminated.get("reason", ""),
        ended_at=int(datetime.fromisoformat(finish_time).timestamp()) if finish_time else 0,
        withheld_text=withheld_text if terminated.get("message") else "",
    )


def _job_uid(metadata: Mapping[str, Any]) -> str:
    """Return the uid of the Job that controls a pod; empty without one."""
    for owner in metadata.get("ownerReferences") or ():
        if owner.get("controller") and owner["kind"] == "Job":
            return str(owner["uid"])
    return ""


def _left_by_check(status: Mapping[str, Any]) -> str:
    """Return the message of the passed runtime check; empty before that."""
    for container in _statuses(status, "initContainerStatuses"):
        terminated = (container.get("state") or {}).get("terminated") or {}
        if container["name"] == RUNTIME_CHECK and terminated.get("exitCode") == 0:
            return str(terminated.get("message", ""))
    return ""


def _feedback(check_message: str) -> str:
    """Return the missing key of the feedback Secret, from the check's message; empty without one."""
    try:
        missing_key = json.loads(check_message)["feedback"]
    except (LookupError, RecursionError, TypeError, ValueError):
        return ""
    return (
        missing_key if isinstance(missing_key, str) and SECRET_LACKS.fullmatch(missing_key) else ""
    )


def _iteration(check_message: str) -> Iteration | None:
    """Return the iteration in the bento's labels by the check's message; None for none, or an unknown message."""
    try:
        labels = json.loads(check_message)["labels"]
        json.dumps(labels, ensure_ascii=False).encode()  # half a character can be in no status
    except (LookupError, RecursionError, TypeError, ValueError):
        return None
    return Iteration.of_labels(labels) if isinstance(labels, dict) else None


def missing_secret_key(pods: Iterable[PodState], revision: str) -> str:
    """Return the feedback Secret's missing key when a pod of a version started; empty without one."""
    return next((pod.feedback for pod in pods_of_revision(pods, revision) if pod.feedback), "")


def api_of(pods: Iterable[PodState], revision: str) -> ApiSummary | None:
    """Return the API of a version as reported by one of its pods."""
    return next((pod.api for pod in pods_of_revision(pods, revision) if pod.api is not None), None)


def iteration_of(pods: Iterable[PodState], revision: str) -> Iteration | None:
    """Return the iteration from a version's bento labels as reported by one of its pods."""
    return next((pod.iteration for pod in pods_of_revision(pods, revision) if pod.iteration), None)


def pods_of_revision(pods: Iterable[PodState], revision: str) -> tuple[PodState, ...]:
    """Return the pods of one version."""
    return tuple(pod for pod in pods if pod.revision == revision)


def job_exit(pods: Iterable[PodState], job_uid: str) -> TrainingExit:
    """Return the exit of a Job's container; None if it hasn't run.

    A Job may have had several pods, as one that is evicted is replaced: the one that succeeded
    counts, else the one that ended last.
    """
    job_exits = [
        pod.training_exit
        for pod in pods
        if pod.job_uid == job_uid and pod.training_exit is not None
    ]
    return max(
        job_exits,
        key=lambda training_exit: (training_exit.exit_code == 0, training_exit.ended_at),
        default=TrainingExit(),
    )


def problem_of(pods: Iterable[PodState]) -> PodState | None:
    """Return the pod whose problem best explains why a version isn't ready, unrecoverable problems first."""
    problem_pods = sorted(
        (pod for pod in pods if pod.problem), key=lambda pod: not pod.unrecoverable
    )
    return problem_pods[0] if problem_pods else None


UNREADY_SECONDS: Final = 10
"""The same for pods that aren't: the interval of reads while a start fails."""
