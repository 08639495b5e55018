"""What there is to correct, named beside what is wrong. Pure."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from sluicegate.api.names import ConditionReason as Reason
from sluicegate.api.names import ConditionType as Type
from sluicegate.api.names import DecisionReason
from sluicegate.api.status import DataProductStatus
from sluicegate.conditions import Finding, find_condition
from sluicegate.reconcile.live.pods import PodState, of_revision, secret_lacks
from sluicegate.reconcile.observe.observation import Observation, lacks_labels

_SILENT: Final = frozenset(
    {DecisionReason.NO_DATA, DecisionReason.NO_TRAFFIC, DecisionReason.NO_LABELS}
)


def first_reason(pod: PodState | None) -> Reason:
    """Why the first version has failed; `pod` is the one that explains it best."""
    if pod is not None and pod.misnamed:
        return Reason.SERVICE_NOT_FOUND
    return Reason.RUNTIME_MISMATCH if pod and pod.mismatch else Reason.INITIAL_VERSION_FAILED


def way_out(pod: PodState | None, *, refused: bool = False) -> str:
    """What to correct, where the pod doesn't say it itself; `refused` pods aren't there at all."""
    if pod is None and refused:
        return "; free capacity for its pods, or request less in spec.serving"
    if pod is not None and (pod.misnamed or pod.unmounted or pod.outside):
        return ""
    if pod is not None and pod.out_of_memory:
        return "; raise the memory limit in spec.serving.resources"
    return "; correct spec.model"


def with_secret(
    observation: Observation, status: DataProductStatus, findings: Iterator[Finding]
) -> Iterator[Finding]:
    """The findings; where no label is counted, with the Secret that feedback can't do without.

    The operator reads no Secrets. Pods report at their start whether theirs is usable; before that
    the message can only name the Secret.
    """
    for finding in findings:
        if finding.type == Type.METRICS_AVAILABLE and lacks_labels(
            observation.product.spec, status
        ):
            yield _about_secret(observation, status, finding)
        else:
            yield finding


def _about_secret(observation: Observation, status: DataProductStatus, finding: Finding) -> Finding:
    product, version = observation.product, status.candidate or status.stable
    feedback = product.spec.serving.feedback
    assert feedback is not None
    revision = version.revision if version is not None else ""
    name = f"the Secret {feedback.secret_ref.name} of spec.serving.feedback.secretRef"
    lacks = secret_lacks(observation.pods, revision)
    if version is not None and lacks:
        text = (
            f"{name} {lacks}, as a pod of {version.version} saw at its start: give it the keys hmac"
            " and bearer, each of at least 16 bytes; predictions are served, and no label is counted"
        )
        return replace(finding, reason=Reason.FEEDBACK_SECRET_UNUSABLE, message=text)
    before = find_condition(product.status.conditions, Type.METRICS_AVAILABLE)
    if before is not None and before.reason == Reason.FEEDBACK_SECRET_UNUSABLE:
        unread = not of_revision(observation.pods, revision)
        if unread and name in before.message:
            return replace(finding, reason=before.reason, message=before.message)
    if not any(slo.reason in _SILENT for slo in status.slos):
        return finding
    text = (
        f"{finding.message}; labels need {name} with the keys hmac and bearer, each of at least 16"
        " bytes: the pods' sluicegate_feedback_secret_usable is 0 where it lacks one"
    )
    return replace(finding, message=text)
