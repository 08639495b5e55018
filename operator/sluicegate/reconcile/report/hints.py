"""What there is to correct, named beside what is wrong. Pure."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from sluicegate.api.names import ConditionReason as Reason
from sluicegate.api.names import ConditionType as Type
from sluicegate.api.names import DecisionReason
from sluicegate.api.status import DataProductStatus
from sluicegate.conditions import Finding, find_condition
from sluicegate.reconcile.live.pods import PodState, missing_secret_key, pods_of_revision
from sluicegate.reconcile.observe.observation import Observation, lacks_labels

MAX_WORDS: Final = 400
"""Characters of an outage that a condition has; the log has all."""
_UNRESOLVED: Final = re.compile(r"DNSError: Cannot connect to host (\S+)")
"""What aiohttp reports of an upstream whose name has no address; `bentoml.depends(url=…)` calls it at its start."""
_START_PREFIX: Final = "saw at its start"
"""Words of a report that holds until pods of the version are read again."""


def first_reason(pod: PodState | None) -> Reason:
    """Return why the first version failed; `pod` is the pod with the most relevant problem."""
    if pod is not None and pod.misnamed:
        return Reason.SERVICE_NOT_FOUND
    return Reason.RUNTIME_MISMATCH if pod and pod.mismatch else Reason.INITIAL_VERSION_FAILED


def way_out(pod: PodState | None, *, pods_refused: bool = False) -> str:
    """Return the correction that the pod's problem needs; with `pods_refused` no pod exists."""
    if pod is None and pods_refused:
        return "; free capacity for its pods, or request less in spec.serving"
    if pod is not None and (pod.misnamed or pod.unmounted or pod.outside):
        return ""
    if pod is not None and pod.out_of_memory:
        return "; raise the memory limit in spec.serving.resources"
    if pod is not None and (upstream := _UNRESOLVED.search(pod.problem)):
        return (
            f"; the host of {upstream.group(1)} doesn't resolve: correct the name, or if it is the url of"
            " bentoml.depends, apply the upstream, whose Service has this name"
        )
    return "; correct spec.model"


def with_hints(
    observation: Observation, status: DataProductStatus, findings: Iterator[Finding]
) -> Iterator[Finding]:
    """Yield the findings, with the outage, the inputs without value and the feedback Secret in MetricsAvailable."""
    for finding in findings:
        if finding.type == Type.METRICS_AVAILABLE:
            with_inputs = _about_secret(observation, status, _about_inputs(observation, finding))
            yield _about_outage(observation, with_inputs)
        else:
            yield finding


def _about_outage(observation: Observation, finding: Finding) -> Finding:
    """Return the finding, with address and error if Prometheus does not answer."""
    words = observation.observed.facts.outage
    if not words or finding.reason != DecisionReason.PROMETHEUS_UNAVAILABLE:
        return finding
    return replace(finding, message=f"{finding.message}: {words[:MAX_WORDS]}")


def _about_inputs(observation: Observation, finding: Finding) -> Finding:
    """Return the finding, with the inputs of spec.inputs that have no value while blocks are measured.

    Nothing is concluded from such an input, so a wrong expression would never be noticed.
    """
    observed = observation.observed
    missing = [data_input.name for data_input in observed.facts.inputs if data_input.is_bad is None]
    if not missing or finding.reason != Reason.MEASURED or observed.problem is not None:
        return finding
    text = (
        f"the promql of {', '.join(missing)} in spec.inputs has no value, or one below 0: nothing is"
        " concluded from it. Correct the expression, or check that Prometheus has its series with"
        f" the label namespace={observation.product.metadata.namespace}"
    )
    text = f"{text}; {finding.message}" if finding.message else text
    return replace(finding, reason=Reason.INPUT_UNKNOWN, message=text)


def _about_secret(observation: Observation, status: DataProductStatus, finding: Finding) -> Finding:
    """Return the finding with the feedback Secret that pods report as unusable.

    The operator reads no Secrets. Pods report at their start whether theirs is usable, and by a gauge
    while they run; without such a report nothing is said of it.
    """
    product, version = observation.product, status.candidate or status.stable
    feedback = product.spec.serving.feedback
    if feedback is None or version is None:
        return finding
    name = f"the Secret {feedback.secret_ref.name} of spec.serving.feedback.secretRef"
    has_no_labels = lacks_labels(product.spec, status)
    missing_key = missing_secret_key(observation.pods, version.revision) if has_no_labels else ""
    if missing_key:
        feedback_problem = f"{missing_key}, as a pod of {version.version} saw at its start"
    elif observation.observed.facts.secret_missing:
        feedback_problem = (
            "doesn't exist or isn't usable, as running pods report"
            " (sluicegate_feedback_secret_usable is 0)"
        )
    else:
        condition_before = find_condition(product.status.conditions, Type.METRICS_AVAILABLE)
        has_no_pods = not pods_of_revision(observation.pods, version.revision)
        is_kept = (
            condition_before is not None
            and condition_before.reason == Reason.FEEDBACK_SECRET_UNUSABLE
        )
        if (
            is_kept
            and condition_before is not None
            and has_no_pods
            and has_no_labels
            and _START_PREFIX in condition_before.message
        ):
            return replace(
                finding, reason=condition_before.reason, message=condition_before.message
            )
        return finding
    text = (
        f"{name} {feedback_problem}: give it the keys hmac and bearer, each of at least 16 bytes; predictions are"
        " served, and no label is counted"
    )
    return replace(finding, reason=Reason.FEEDBACK_SECRET_UNUSABLE, message=text)
