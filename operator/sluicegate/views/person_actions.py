"""What a person can ask of a product: what happens, the evidence, and the annotation; for page and plugin. Pure.

An object is read as the API server sends it. The annotation carries the version that the person saw.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sluicegate.api.names import (
    REQUEST_ABORT,
    REQUEST_PROMOTE,
    REQUEST_RETRAIN,
    REQUEST_ROLLBACK,
    ConditionType,
)
from sluicegate.errors import SluicegateError, invalid
from sluicegate.views import product as facts
from sluicegate.views.suspension import is_suspended

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

RETRYABLE_OUTCOMES: Final = frozenset({"RolledBack", "Inconclusive"})
"""Outcomes of spec.model after which it may be tried again."""

GIT_OPS_MARKERS: Final = {
    "kustomize.toolkit.fluxcd.io/name": "the Flux Kustomization",
    "helm.toolkit.fluxcd.io/name": "the Flux HelmRelease",
    "argocd.argoproj.io/tracking-id": "the Argo CD application",
    "app.kubernetes.io/managed-by": "the tool",
}
"""Labels and annotations by which controllers mark what they apply."""


class Stale(SluicegateError):  # noqa: N818 - says what is the case
    """The object changed after it was displayed, so nothing was written."""


@dataclass(frozen=True, slots=True)
class Request:
    """The request of a person: annotation, version, reason.

    Attributes
    ----------
    sentence : what happens, e.g. `promote v15`.
    details : what it is decided by, a line each.
    version : what the annotation names; empty for requests about no version.
    """

    sentence: str
    details: Sequence[str]
    version: str = ""

    def value(self, token: str) -> str:
        """Return the value of the annotation; `token` is used once."""
        return f"{self.version}/{token}" if self.version else token


@dataclass(frozen=True, slots=True)
class PersonAction:
    """A kind of manual request.

    Attributes
    ----------
    verb : the name of RBAC. annotation, echo : the annotation, and its field of status.lastHandled.
    identity_of : what the request is about, as the product is; empty where there is nothing.
    request_of : the request, of a product and a version (empty for the default); InvalidInput or Stale
        where there is nothing of the kind.
    pending_reason_of : why a request may wait for long, e.g. for the last step; empty where it does not.
    """

    verb: str
    annotation: str
    handled_field: str
    identity_of: Callable[[facts.Body], tuple[str, ...]]
    request_of: Callable[[facts.Body, str], Request]
    pending_reason_of: Callable[[facts.Body], str] = lambda _: ""


def _name(product: facts.Body) -> str:
    meta = product["metadata"]
    return f"{meta['namespace']}/{meta['name']}"


def applied_by(product: facts.Body) -> str:
    """Return the controller that applies a product, as words after its name; empty without one."""
    meta = product["metadata"]
    labels_and_annotations = {**facts.section(meta, "labels"), **facts.section(meta, "annotations")}
    for name, controller in GIT_OPS_MARKERS.items():
        if name in labels_and_annotations:
            return f" is applied by {controller} {labels_and_annotations[name]}"
    return ""


def require_candidate(product: facts.Body, candidate: str, requested_version: str) -> None:
    """Refuse a named version that is another one than the candidate; empty for none."""
    if requested_version and requested_version != candidate:
        raise Stale(
            f"{requested_version} is not the candidate of {_name(product)}, {candidate} is: nothing was written"
        )


# ---- promote --------------------------------------------------------------------------------
def promotable_identity(product: facts.Body) -> tuple[str, ...]:
    """Return version and revision of the version that would be promoted; empty without one."""
    if candidate_status := facts.candidate(product):
        return facts.identity(candidate_status)
    model = facts.section(product, "status", "specModel")
    stable = facts.section(product, "status", "stable")
    if model.get("outcome") in RETRYABLE_OUTCOMES and model.get("image") != stable.get("image"):
        return str(model.get("version")), str(model.get("image")).rpartition("sha256:")[2]
    bento = facts.section(product, "spec", "model", "bento")
    if bento.get("version") and bento.get("version") not in {
        stable.get("version"), model.get("version"),
    }:  # fmt: skip
        return str(bento["version"]), str(bento.get("image") or bento.get("url"))
    return ()


def _promotion_request(product: facts.Body, version: str) -> Request:
    """Return the approval of the candidate."""
    identity = promotable_identity(product)
    stable = facts.section(product, "status", "stable").get("version", "none")
    if not identity:
        text = f"has no candidate, and {stable} is stable: there is nothing to promote"
        raise invalid(_name(product), text)
    require_candidate(product, identity[0], version)
    candidate_status = facts.candidate(product)
    if facts.section(candidate_status, "approvals") and candidate_status.get("weight"):
        text = (
            f"{identity[0]} needs the agreement of the parties in spec.rollout.approvals: each answers by"
            f" `kubectl sluicegate approve {_name(product)}`"
        )
        raise invalid(_name(product), text)
    if is_retry(product):
        sentence = f"try {identity[0]} again in place of {stable}"
    elif not candidate_status:
        sentence = f"start the rollout of {identity[0]} in place of {stable}"
    else:
        sentence = f"promote {identity[0]} in place of {stable}"
    return Request(sentence, list(promotion_details(product, candidate_status)), identity[0])


def is_retry(product: facts.Body) -> bool:
    """Return whether a promotion starts the rollout of a version again that was tried before."""
    if candidate_status := facts.candidate(product):
        return candidate_status.get("phase") == "Parked"
    model = facts.section(product, "status", "specModel")
    return promotable_identity(product)[:1] == (str(model.get("version")),)


def promotion_details(product: facts.Body, candidate_status: facts.Body) -> Iterator[str]:
    """Yield the evidence for an approval, a line each."""
    model = facts.section(product, "status", "specModel")
    if is_suspended(product):
        yield "spec.suspend is set: requests and answers of people act all the same"
    if candidate_status:
        yield from _candidate_details(product, candidate_status)
    elif model.get("outcome") in RETRYABLE_OUTCOMES:
        last_rollout = _last_rollout(product, model.get("image")) or model
        yield f"its last rollout: {last_rollout.get('outcome')} {last_rollout.get('reason', '')}".rstrip()
    if decision := facts.decision_line(product):
        yield f"last decision: {decision}"
    for slo in facts.entries(product, "status", "slos"):
        yield f"stable now: {slo.get('name')} {slo.get('state')} {slo.get('message', '')}".rstrip()
    if candidate_status:
        yield f"revision {candidate_status.get('revision')}, {_source_text(candidate_status)}, {candidate_status.get('image')}"


def _candidate_details(product: facts.Body, candidate_status: facts.Body) -> Iterator[str]:
    """Yield the step of a candidate, objections to it, and its evidence, a line each."""
    yield f"{candidate_status.get('phase')} at {facts.share_in_force(candidate_status)} % of the traffic"
    if hold_text := facts.hold_line(candidate_status):
        yield hold_text
    degrades = facts.condition(product, ConditionType.DEGRADES_DEPENDENTS)
    if degrades.get("status") == "True":
        yield f"condition DegradesDependents, by any version of the product: {degrades.get('message', '')}"
    if earlier_end := _earlier_end(product, candidate_status):
        yield earlier_end
    if candidate_status.get("api"):
        yield f"API compared with the stable version: {candidate_status['api']}"
    evidence = list(facts.evidence_lines(candidate_status))
    yield from evidence or ["no evidence was collected yet"]


def _earlier_end(product: facts.Body, candidate_status: facts.Body) -> str:
    """Return how the last rollout of the same image ended; empty without one, or if it was promoted and not rolled back."""
    image = candidate_status.get("image")
    entry = _last_rollout(product, image) if image else {}
    if not entry or (entry.get("promotionTime") and entry.get("outcome") != "RolledBack"):
        return ""
    reason = f" {entry['reason']}" if entry.get("reason") else ""
    end = f"its last rollout: {entry.get('outcome')}{reason} at {entry.get('endTime')}"
    verdict = facts.section(entry, "verdict").get("message", "")
    return f"{end}: {verdict}" if verdict else end


def _last_rollout(product: facts.Body, image: object) -> facts.Body:
    """Return the newest entry of an image in the history; empty without one."""
    history = facts.entries(product, "status", "history")
    return next((entry for entry in history if entry.get("image") == image), {})


def _source_text(candidate_status: facts.Body) -> str:
    """Return where a candidate comes from."""
    is_trained = candidate_status.get("source") == "Retraining"
    return "from a training" if is_trained else "from spec.model"


def _pending_promotion_reason(product: facts.Body) -> str:
    """Return why an approval is not answered soon."""
    candidate_status = facts.candidate(product)
    reason = facts.condition(product, "RolloutProgressing").get("reason")
    hold = facts.section(candidate_status, "hold")
    if hold and hold.get("check") != "AwaitingApproval":
        return (
            f"approved; it is pending until {hold.get('check')} no longer holds"
            f" {candidate_status.get('version')} at {candidate_status.get('weight', 0)} % ({hold.get('message', '')}):"
            " `kubectl sluicegate status --for=promoted` waits for it"
        )
    if candidate_status.get("phase") in {"Starting", "Stepping"} and reason != "ApiChanged":
        return (
            f"approved; it counts at the last step, and {candidate_status.get('version')} is at"
            f" {candidate_status.get('weight', 0)} %: `kubectl sluicegate status --for=promoted` waits for it"
        )
    return ""


# ---- abort ----------------------------------------------------------------------------------
def _candidate_identity(product: facts.Body) -> tuple[str, ...]:
    """Return version and revision of the candidate; empty without one."""
    return facts.identity(facts.section(product, "status", "candidate"))


def _abort_request(product: facts.Body, version: str) -> Request:
    """Return the rollback of the candidate."""
    identity = _candidate_identity(product)
    if not identity:
        raise invalid(_name(product), "has no candidate: there is nothing to abort")
    require_candidate(product, identity[0], version)
    candidate_status = facts.section(product, "status", "candidate")
    if candidate_status.get("phase") == "RollingBack":
        text = f"rolls {identity[0]} back already: {candidate_status.get('decisionMessage', '')}"
        raise invalid(_name(product), text)
    stable = facts.section(product, "status", "stable").get("version", "none")
    details = [
        f"{candidate_status.get('phase')} at {facts.share_in_force(candidate_status)} % of the traffic"
    ]
    details += facts.evidence_lines(candidate_status)
    return Request(f"roll {identity[0]} back to {stable}", details, identity[0])


# ---- roll back ------------------------------------------------------------------------------
def _rollback_request(product: facts.Body, version: str) -> Request:
    """Return the request to roll back to a version of the history."""
    stable = facts.section(product, "status", "stable")
    accepted_versions = [
        entry
        for entry in facts.entries(product, "status", "history")
        if entry.get("promotionTime") and entry.get("revision") != stable.get("revision")
    ]
    names = (
        ", ".join(
            dict.fromkeys(
                str(accepted_version.get("version")) for accepted_version in accepted_versions
            )
        )
        or "none"
    )
    chosen_version = next(
        (
            accepted_version
            for accepted_version in accepted_versions
            if version == accepted_version.get("version")
            or (not version and accepted_version.get("outcome") != "RolledBack")
        ),
        None,
    )
    if chosen_version is None and accepted_versions and not version:
        text = f"is missing, and each version of the history was rolled back: name one of {names}"
        raise invalid("VERSION", text)
    if chosen_version is None:
        name = version or "an earlier version"
        text = f"{name} is not in the history of {_name(product)}, which keeps: {names}"
        raise invalid("VERSION", text)
    degraded_slos = ", ".join(map(str, chosen_version.get("degraded") or ())) or "none"
    details = [
        f"{chosen_version.get('version')}: revision {chosen_version.get('revision')}, {chosen_version.get('image')}",
        f"it was stable from {chosen_version.get('promotionTime')} to {chosen_version.get('endTime')}, then"
        f" {chosen_version.get('outcome')} {chosen_version.get('reason', '')}".rstrip(),
        f"SLOs that were degraded when it was replaced: {degraded_slos}",
    ]
    sentence = f"restore {chosen_version.get('version')} in place of {stable.get('version')}"
    return Request(sentence, details, str(chosen_version.get("version")))


# ---- retrain --------------------------------------------------------------------------------
def _retraining_request(product: facts.Body, _: str) -> Request:
    """Return the training of the stable version's successor."""
    identity = facts.stable_identity(product)
    if not identity:
        text = "has no stable version yet: a training needs one to start from"
        raise invalid(_name(product), text)
    training = facts.section(product, "status", "retraining")
    last_result = facts.section(training, "lastResult")
    details = [f"attempts in a row without a promotion: {training.get('unsuccessfulAttempts', 0)}"]
    if last_result:
        text = f"the last attempt: {last_result.get('outcome')} {last_result.get('reason', '')}: {last_result.get('message', '')}"
        details.append(text)
    if training.get("waitingFor"):
        details.append(f"a training waits already: {training['waitingFor']}")
    return Request(f"retrain {identity[0]}", details)


PROMOTE_ACTION: Final = PersonAction(
    "promote",
    REQUEST_PROMOTE,
    "promote",
    promotable_identity,
    _promotion_request,
    _pending_promotion_reason,
)
ABORT_ACTION: Final = PersonAction(
    "abort", REQUEST_ABORT, "abort", _candidate_identity, _abort_request
)
ROLLBACK_ACTION: Final = PersonAction(
    "rollback", REQUEST_ROLLBACK, "rollbackTo", facts.stable_identity, _rollback_request
)
"""The rollback replaces the stable version."""
RETRAIN_ACTION: Final = PersonAction(
    "retrain", REQUEST_RETRAIN, "retrainRequestedAt", facts.stable_identity, _retraining_request
)
"""The training starts from the stable version."""
