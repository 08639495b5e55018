"""What the pods of a version say when they don't become ready: the cause, in the kubelet's words.

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
from sluicegate.reconcile.live.container_messages import readable, reference
from sluicegate.reconcile.live.restarts import Restarts, restarts_of
from sluicegate.runtime.redaction import redact


@dataclass(frozen=True, slots=True)
class TrainingExit:
    """What the training container left behind.

    Attributes
    ----------
    message : its termination message, or the tail of its log; of one that succeeded as it is.
    withheld : where its log is, if people may not read the message.
    exit_code : of the container; None when it never ran.
    reason : the kubelet's word for its end, OOMKilled say; empty when there is none.
    ended_at : when, in seconds; 0 when it isn't known.
    """

    message: str = ""
    exit_code: int | None = None
    reason: str = ""
    ended_at: int = 0
    withheld: str = ""

    @property
    def readable(self) -> str:
        """The message as people may read it."""
        return self.withheld or redact(self.message)


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
    """One pod, as far as it matters.

    Attributes
    ----------
    revision : of the version that it serves; empty for a training.
    job : name of the Job that it belongs to; empty for a server.
    ready : it takes requests.
    out_of_memory : a container was killed for its memory since it started.
    problem : what keeps it from becoming ready, in a sentence; empty when nothing is known.
    unrecoverable : the problem doesn't end by itself.
    mismatch : the runtime lacks what the bento's lock file asks for.
    misnamed : the bento's entry service has another name than in the spec.
    unmounted : it waits for what it mounts.
    absent : the registry doesn't have an image of it.
    ended : what the container of a training left behind, once it has ended.
    killed_at : when a container was last killed for its memory, in seconds; None when it lies
        ended, or the kubelet gives no time.
    api : the API of the version that it serves, once the runtime check has passed; None if unknown.
    feedback : what the Secret of spec.serving.feedback lacked when it started, "has no key hmac";
        empty when it lacked nothing, or isn't wanted.
    outside : the cause is outside the pod: its node, the scheduler, the registry, or an eviction.
    crashed : a container ended with an error, now or the last time.
    waiting : no container of it has started.
    starting : a container of it hasn't passed its startup probe.
    iteration : what the labels of its bento say was tried; None where they say nothing of it.
    restarts : those of the container that was restarted most; None without any.
    """

    revision: str
    job: str
    ready: bool
    out_of_memory: bool
    problem: str
    unrecoverable: bool
    mismatch: bool
    misnamed: bool
    unmounted: bool
    absent: bool
    ended: TrainingExit | None
    outside: bool = False
    crashed: bool = False
    waiting: bool = False
    starting: bool = False
    killed_at: int | None = None
    api: ApiSummary | None = None
    feedback: str = ""
    iteration: Iteration | None = None
    restarts: Restarts | None = None

    @property
    def reason(self) -> DecisionReason:
        """What its problem is."""
        if self.misnamed:
            return DecisionReason.SERVICE_NOT_FOUND
        if self.mismatch:
            return DecisionReason.RUNTIME_MISMATCH
        return DecisionReason.IMAGE_NOT_FOUND if self.absent else DecisionReason.CANARY_NOT_READY

    def was_killed_since(self, since: int) -> bool:
        """Return whether a container ran out of memory at `since`, in seconds, or later."""
        return self.out_of_memory and (self.killed_at is None or self.killed_at >= since)


def pod_state(body: Mapping[str, Any], *, log_tails: bool = True) -> PodState:
    """Slim a Pod; without `log_tails`, commands stand in place of the last lines of logs."""
    body = readable(body, tails=log_tails, own=RUNTIME_CHECK)
    labels = body["metadata"].get("labels") or {}
    status = body.get("status") or {}
    containers = [
        *_statuses(status, "initContainerStatuses"),
        *_statuses(status, "containerStatuses"),
    ]
    problems = [problem for one in containers if (problem := _problem(one)) is not None]
    unmounted = ""
    taken = _taken_away(body)
    passed = _left_by_check(status)
    if taken:  # how its containers ended then says nothing
        problems = [_Problem(taken, outside=True)]
    elif not problems and (around := _unscheduled(status) or _unreachable(status)):
        problems = [_Problem(around, outside=True)]
    elif not problems:
        unmounted = _unmounted(body.get("spec") or {}, status)
    beside = list(_statuses(status, "containerStatuses"))
    trainer = next((one for one in beside if one["name"] == TRAINER), beside[0] if beside else {})
    return PodState(
        revision=labels.get(names.LABEL_REVISION, ""),
        job=labels.get("batch.kubernetes.io/job-name", ""),
        ready=any(
            one["type"] == "Ready" and one["status"] == "True"
            for one in status.get("conditions") or ()
        ),
        out_of_memory=any(_is_kill(_terminated(one)) for one in containers),
        problem=problems[0].text if problems else unmounted,
        unrecoverable=any(problem.unrecoverable for problem in problems),
        mismatch=any(problem.mismatch for problem in problems),
        misnamed=any(problem.misnamed for problem in problems),
        unmounted=bool(unmounted),
        absent=any(problem.absent for problem in problems),
        ended=_ended(trainer, "" if log_tails else reference(body["metadata"], TRAINER)),
        killed_at=_killed_at(containers),
        api=parse_summary(passed),
        feedback=_feedback(passed),
        iteration=_iteration(passed),
        outside=bool(problems) and all(problem.outside for problem in problems),
        crashed=any(_terminated(one).get("exitCode") for one in containers),
        waiting=not any("running" in (one.get("state") or {}) for one in containers),
        starting=any(one.get("started") is False for one in beside),
        restarts=restarts_of(beside),
    )


def _is_kill(ended: Mapping[str, Any]) -> bool:
    return ended.get("reason") == "OOMKilled"


def _killed_at(containers: list[Mapping[str, Any]]) -> int | None:
    """Return when a container was last killed for its memory; a kubelet keeps it until the next restart."""
    if any(_is_kill((one.get("state") or {}).get("terminated") or {}) for one in containers):
        return None
    kills = [ended for one in containers if _is_kill(ended := _terminated(one))]
    times = [datetime.fromisoformat(one["finishedAt"]) for one in kills if one.get("finishedAt")]
    return int(max(times).timestamp()) if times and len(times) == len(kills) else None


@dataclass(frozen=True, slots=True)
class _Problem:
    text: str
    unrecoverable: bool = False
    mismatch: bool = False
    misnamed: bool = False
    absent: bool = False
    outside: bool = False


def _statuses(status: Mapping[str, Any], field: str) -> Iterator[Mapping[str, Any]]:
    return iter(status.get(field) or ())


def _terminated(container: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return how the container ended, now or the last time."""
    for state in ("state", "lastState"):
        ended: Mapping[str, Any] | None = (container.get(state) or {}).get("terminated")
        if ended:
            return ended
    return {}


def _problem(container: Mapping[str, Any]) -> _Problem | None:
    if container.get("ready"):
        return None
    name = container["name"]
    waiting = (container.get("state") or {}).get("waiting") or {}
    reason, message = waiting.get("reason", ""), waiting.get("message", "")
    ended = _terminated(container)
    if ended.get("exitCode") and name == RUNTIME_CHECK:
        said = ended.get("message", "").strip()
        misnamed = said.startswith(SERVICE_NOT_FOUND)
        return _Problem(said, unrecoverable=True, mismatch=not misnamed, misnamed=misnamed)
    if ended.get("exitCode"):
        said = ended.get("message", "").strip() or "it left no message"
        text = f"container {name} ended with {ended['exitCode']} ({ended.get('reason')}): {said}"
        return _Problem(text, unrecoverable=container.get("restartCount", 0) >= RESTARTS_OF_A_LOOP)
    if reason in PULL_FAILED:
        # The kubelet says this of an image volume too, so the message names the image, not we.
        text = f"container {name} waits for an image that can't be pulled: {message}"
        absent = any(words in message.lower() for words in ABSENT)
        return _Problem(text, unrecoverable=absent, absent=absent, outside=not absent)
    if reason in UNRECOVERABLE:
        return _Problem(f"container {name}: {reason}: {message}", unrecoverable=True)
    return None


def _taken_away(body: Mapping[str, Any]) -> str:
    """Return who ended the pod, or is about to: its node, the scheduler, a drain, a person; else empty."""
    status = body.get("status") or {}
    if status.get("reason", "") not in {"", "DeadlineExceeded"}:  # the kubelet's own, Evicted say
        return f"its node ended it ({status['reason']}): {status.get('message', '')}".rstrip(": ")
    for one in status.get("conditions") or ():
        if one["type"] == "DisruptionTarget" and one["status"] == "True":
            return f"it is being evicted from its node ({one.get('reason', '')}): {one.get('message', '')}"
    return "it is being deleted" if body["metadata"].get("deletionTimestamp") else ""


def _unreachable(status: Mapping[str, Any]) -> str:
    """Return a pod whose containers are ready and that isn't: its node's kubelet was given up; else empty."""
    conditions = {one["type"]: one["status"] for one in status.get("conditions") or ()}
    containers = list(_statuses(status, "containerStatuses"))
    up = bool(containers) and all(one.get("ready") for one in containers)
    return "its node doesn't answer" if up and conditions.get("Ready") == "False" else ""


def _unscheduled(status: Mapping[str, Any]) -> str:
    """Return why no node takes the pod; empty when one did."""
    for one in status.get("conditions") or ():
        if one["type"] == "PodScheduled" and one["status"] == "False":
            return f"the pod can't be scheduled: {one.get('message', '')}"
    return ""


def _unmounted(spec: Mapping[str, Any], status: Mapping[str, Any]) -> str:
    """Return what a pod that has a node waits for before its first container; empty when it doesn't.

    Only events say which volume it is that can't be mounted, so the message names those that a
    person makes.
    """
    known = {one["type"]: one["status"] for one in status.get("conditions") or ()}
    if known.get("PodScheduled") != "True" or known.get("PodReadyToStartContainers") != "False":
        return ""
    desired = list(_made_by_hand(spec))
    if not desired:
        return ""
    listed = " and ".join(desired)
    return f"the pod waits for its volumes: make sure that there is the {listed}"


def _made_by_hand(spec: Mapping[str, Any]) -> Iterator[str]:
    for volume in spec.get("volumes") or ():
        secret, claim = volume.get("secret") or {}, volume.get("persistentVolumeClaim") or {}
        if (name := secret.get("secretName")) and not secret.get("optional"):
            field = " of spec.serving.feedback.secretRef, with the keys hmac and bearer of at least"
            field = f"{field} 16 bytes each" if volume.get("name") == FEEDBACK else ""
            yield f"Secret {name}{field}"
        if name := claim.get("claimName"):
            yield f"PersistentVolumeClaim {name}"


def _ended(container: Mapping[str, Any], withheld: str) -> TrainingExit | None:
    ended = (container.get("state") or {}).get("terminated")
    if not ended:
        return None
    at = ended.get("finishedAt")
    return TrainingExit(
        message=ended.get("message", ""),
        exit_code=ended.get("exitCode"),
        reason=ended.get("reason", ""),
        ended_at=int(datetime.fromisoformat(at).timestamp()) if at else 0,
        withheld=withheld if ended.get("message") else "",
    )


def _left_by_check(status: Mapping[str, Any]) -> str:
    """Return what the runtime check left behind as it passed; empty before that."""
    for one in _statuses(status, "initContainerStatuses"):
        ended = (one.get("state") or {}).get("terminated") or {}
        if one["name"] == RUNTIME_CHECK and ended.get("exitCode") == 0:
            return str(ended.get("message", ""))
    return ""


def _feedback(left: str) -> str:
    """Return what the check says that the feedback Secret lacks; empty for nothing, or for other words."""
    try:
        said = json.loads(left)["feedback"]
    except (LookupError, RecursionError, TypeError, ValueError):
        return ""
    return said if isinstance(said, str) and SECRET_LACKS.fullmatch(said) else ""


def _iteration(left: str) -> Iteration | None:
    """Return what the check says that the labels of the bento state; None for nothing, or for other words."""
    try:
        labels = json.loads(left)["labels"]
        json.dumps(labels, ensure_ascii=False).encode()  # half a character can be in no status
    except (LookupError, RecursionError, TypeError, ValueError):
        return None
    return Iteration.of_labels(labels) if isinstance(labels, dict) else None


def secret_lacks(pods: Iterable[PodState], revision: str) -> str:
    """Return what the feedback Secret lacked when a pod of a version started; empty for nothing."""
    return next((pod.feedback for pod in of_revision(pods, revision) if pod.feedback), "")


def api_of(pods: Iterable[PodState], revision: str) -> ApiSummary | None:
    """Return the API of a version, as one of its pods reports it."""
    return next((pod.api for pod in of_revision(pods, revision) if pod.api is not None), None)


def iteration_of(pods: Iterable[PodState], revision: str) -> Iteration | None:
    """Return what the labels of a version's bento say was tried, as one of its pods reports them."""
    return next((pod.iteration for pod in of_revision(pods, revision) if pod.iteration), None)


def of_revision(pods: Iterable[PodState], revision: str) -> tuple[PodState, ...]:
    """Return the pods of one version."""
    return tuple(pod for pod in pods if pod.revision == revision)


def of_job(pods: Iterable[PodState], job: str) -> TrainingExit:
    """Return what a training's container left behind; nothing when it never ran.

    A Job may have had several pods, as one that is evicted is replaced: the one that succeeded
    counts, else the one that ended last.
    """
    ends = [pod.ended for pod in pods if pod.job == job and pod.ended is not None]
    return max(ends, key=lambda one: (one.exit_code == 0, one.ended_at), default=TrainingExit())


def problem_of(pods: Iterable[PodState]) -> PodState | None:
    """Return the pod that best explains why a version isn't ready; unrecoverable problems first."""
    troubled = sorted((pod for pod in pods if pod.problem), key=lambda pod: not pod.unrecoverable)
    return troubled[0] if troubled else None


UNREADY_SECONDS: Final = 10
"""The same for pods that aren't: the interval of reads while a start fails."""
