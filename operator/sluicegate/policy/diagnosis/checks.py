"""Why is the product degraded? Named checks in one visible order; the first objection wins.

A retraining doesn't fix an overloaded node, a broken upstream or a failing gateway, and a training
on the data of a broken upstream makes the model worse. So every cause outside the model is ruled
out first. "Unknown" objects only where a wrong remedy would follow.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from sluicegate.api.base import rfc3339
from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.slo_status import SloState
from sluicegate.api.status import CheckVerdict, Diagnosis, DiagnosisEvidence
from sluicegate.api.versions import Version
from sluicegate.policy.diagnosis.symptoms import Symptoms
from sluicegate.policy.model.observed import InputReading, Portfolio, UpstreamRelease
from sluicegate.policy.slo_health.ratio_slo import SloResult
from sluicegate.slo.burn_rate import Level
from sluicegate.views.numbers import duration, events, percent

COMMON_PRODUCTS: Final = 3
COMMON_SHARE: Final = 0.3
"""At least three, and 30 %, turned bad together: it isn't this one's model. Products of the same
namespace count one by one, each other namespace as one, by the share of its products."""
_ROUNDING: Final = 1e-9
"""A sum of shares that are 30 % each may fall short of it by so much."""
TRAFFIC_FACTOR: Final = 3.0
"""Requests a pod, over the normal ones, beyond which load explains latency and failures. A daily
swing of ±80 % stays below."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one diagnosis check.

    Attributes
    ----------
    check : reason of its objection.
    verdict : Objects, Clear or Unknown.
    message : numbers behind the verdict.
    release : the upstream's release that is the cause; None for other causes.
    beside : releases of upstreams beside which the SLO changes by itself.
    """

    check: Reason
    verdict: CheckVerdict
    message: str
    release: UpstreamRelease | None = None
    beside: tuple[UpstreamRelease, ...] = ()


@dataclass(frozen=True, slots=True)
class DiagnosisResult:
    """The cause of an SLO's degradation, with the results of all checks.

    Attributes
    ----------
    slo : which one. cause : the first objection, or what remains.
    message : the cause in a sentence. findings : all checks that were made, in order.
    release : the upstream's release that is the cause; None for other causes.
    market : the market in which the evidence is; empty where it isn't in one alone.
    alone : only that market misses the SLO, and the product as a whole isn't degraded by it.
    """

    slo: str
    cause: Reason
    message: str
    findings: tuple[CheckResult, ...]
    release: UpstreamRelease | None = None
    market: str = ""
    alone: bool = False

    @property
    def outside(self) -> bool:
        """Return whether the cause lies outside the model: report it and wait."""
        return self.cause not in {*_REMAINING, Reason.RECENT_RELEASE}


Check = Callable[[Symptoms], CheckResult]


def _finding(check: Reason, objects: bool | None, message: str) -> CheckResult:  # noqa: FBT001 - a verdict
    verdict = (
        CheckVerdict.UNKNOWN
        if objects is None
        else CheckVerdict.OBJECTS
        if objects
        else CheckVerdict.CLEAR
    )
    return CheckResult(check, verdict, message)


def measurement_is_missing(symptoms: Symptoms) -> CheckResult:
    """Object while measurements are missing: without them there is no remedy."""
    missing = symptoms.problem or (
        symptoms.worst.reason if symptoms.worst.state is SloState.UNKNOWN else None
    )
    text = f"the newest block is missing: {missing}" if missing else "the newest block was measured"
    return _finding(missing or Reason.PROMETHEUS_UNAVAILABLE, missing is not None, text)


def present_is_as_accepted(symptoms: Symptoms) -> CheckResult:
    """Object if the present is as accepted although the evidence of earlier hours isn't: an incident, not a decay.

    Windows and the CUSUM forget slowly; nothing is cured for what has passed.
    """
    present_level = symptoms.present
    return _finding(Reason.RECOVERED, present_level.bad is False, present_level.message)


def upstream_is_degraded(symptoms: Symptoms) -> CheckResult:
    """Object if an upstream is degraded, was degraded in the judged blocks, or may be.

    An upstream whose state isn't confirmed yet objects for a limited time.
    """
    names, degrading = symptoms.facts.upstream_degraded, symptoms.facts.upstream_degrading
    if degrading and not names and symptoms.now < symptoms.confirmation_end:
        text = (
            f"degrading upstream, not confirmed yet: {', '.join(degrading)}; its state is awaited until"
            f" {rfc3339(symptoms.confirmation_end)}"
        )
        return _finding(Reason.UPSTREAM_DEGRADING, objects=True, message=text)
    text = f"degraded upstream: {', '.join(names)}" if names else "no product it calls is degraded"
    return _finding(Reason.UPSTREAM_DEGRADED, bool(names), text)


def upstream_was_released(symptoms: Symptoms) -> CheckResult:
    """Object if the SLO follows the traffic share of a new version of an upstream."""
    releases = symptoms.releases()
    if not releases:
        text = "no product that it calls has a version that is young enough to compare"
        return _finding(Reason.UPSTREAM_RELEASED, objects=False, message=text)
    slo, now = symptoms.worst.terms, symptoms.now
    follows = [release for release in releases if release.follows]
    until = max(release.awaited_until for release in releases)
    if not follows and now < until:
        undecided = [release for release in releases if now < release.awaited_until]
        text = "; ".join(release.message(slo, now) for release in undecided)
        text = f"{text}; more blocks are awaited until {rfc3339(until)}"
        return _finding(Reason.UPSTREAM_UNDECIDED, objects=True, message=text)
    text = "; ".join(release.message(slo, now) for release in follows or releases)
    finding = _finding(Reason.UPSTREAM_RELEASED, bool(follows), text)
    beside = () if follows else tuple(each.release for each in releases if each.own)
    return replace(finding, release=follows[0].release if follows else None, beside=beside)


def inputs_are_late(symptoms: Symptoms) -> CheckResult:
    """Object if an input has no new data, as every model and a training would use old data."""
    timed = [
        data_input
        for data_input in symptoms.facts.inputs
        if data_input.freshness_seconds is not None
    ]
    return _of_inputs(Reason.INPUT_STALE, symptoms, timed)


def inputs_have_changed(symptoms: Symptoms) -> CheckResult:
    """Object if data break their contract, as a training would learn from them."""
    ruled = [
        data_input for data_input in symptoms.facts.inputs if data_input.freshness_seconds is None
    ]
    return _of_inputs(Reason.INPUT_CHANGED, symptoms, ruled)


def _of_inputs(check: Reason, symptoms: Symptoms, readings: Sequence[InputReading]) -> CheckResult:
    """Return the finding about inputs of one kind; it lists all bad ones, so that all owners are reported.

    An input that was the cause and has no value any more remains the cause: it isn't shown to be good.
    """
    if not symptoms.worst.terms.measures_quality:
        return _finding(check, objects=False, message="is for other indicators")
    diagnosis_before = symptoms.earlier
    before = (
        f" {diagnosis_before.message}"
        if diagnosis_before is not None and diagnosis_before.cause == check
        else ""
    )
    lost_inputs = [
        reading for reading in readings if reading.is_bad is None and _mention(reading) in before
    ]
    bad = [reading for reading in readings if reading.is_bad]
    if bad or lost_inputs:
        other_inputs = [
            data_input
            for data_input in symptoms.facts.inputs
            if data_input.is_bad and data_input not in bad
        ]
        parts = [_state(one) for one in bad]
        parts += [f"{_state(lost_input)}, and it was bad before" for lost_input in lost_inputs]
        parts += [_state(other) for other in other_inputs]
        return _finding(check, objects=True, message="; ".join(parts))
    unknown = None if any(reading.is_bad is None for reading in readings) else False
    clear_text = "; ".join(_state(reading) for reading in readings)
    return _finding(check, unknown, clear_text or "no input of this kind was read")


def _state(reading: InputReading) -> str:
    """Return the age of an input's newest data, or the number of broken rules."""
    if reading.freshness_seconds is None:
        if reading.is_bad is None:
            return f"whether {reading.name} breaks {reading.contract} is unknown: its promql {_unusable(reading)}"
        return f"{reading.name} breaks {reading.value:,.6g} rules of {reading.contract}"
    if reading.value is None or reading.is_bad is None:
        return f"the age of {reading.name} is unknown: its promql {_unusable(reading)}"
    age, allowed = duration(max(reading.value, 0)), duration(reading.freshness_seconds)
    return f"the newest data of {reading.name} are {age} old, up to {allowed} is fresh"


def _unusable(reading: InputReading) -> str:
    return (
        "has no value" if reading.value is None else f"has the value {reading.value:,.6g}, below 0"
    )


def _mention(reading: InputReading) -> str:
    """Return the name of an input for a message."""
    return (
        f" {reading.name} breaks " if reading.freshness_seconds is None else f" of {reading.name} "
    )


def many_turned_bad_together(symptoms: Symptoms) -> CheckResult:
    """Object if many products became bad in the same blocks: their gateway, label pipeline or Prometheus is shared."""
    portfolio = symptoms.portfolio
    kind = symptoms.worst.terms.kind.value
    silent_share = portfolio.silent.get(kind, 0.0)
    text = (
        f"{portfolio.degraded_products} of {portfolio.products} products of this namespace and products of"
        f" {portfolio.degraded_namespaces} of {portfolio.namespaces} other namespaces turned bad within"
        f" three blocks, {percent(silent_share)} no longer have {kind}"
    )
    return _finding(Reason.COMMON_CAUSE, common_cause(portfolio, kind), text)


def common_cause(portfolio: Portfolio, kind: str) -> bool:
    """Return whether so many products became bad, or lost their data, that a shared cause is likely."""
    parties = portfolio.degraded_products + portfolio.degraded_namespaces
    together = portfolio.degraded_products + portfolio.namespaces_share
    share = together / (portfolio.products + portfolio.namespaces)
    is_common = parties >= COMMON_PRODUCTS and share >= COMMON_SHARE - _ROUNDING
    return is_common or portfolio.silent.get(kind, 0.0) > COMMON_SHARE


def pods_are_unhealthy(symptoms: Symptoms) -> CheckResult:
    """Object if pods aren't ready, restart or run out of memory: that explains failures and latency."""
    unhealthy = symptoms.facts.pods_unhealthy
    text = "pods aren't ready, or restart" if unhealthy else "all pods are ready"
    return _finding(Reason.PODS_UNHEALTHY, unhealthy, text)


def node_is_busy(symptoms: Symptoms) -> CheckResult:
    """Object if other pods overload the node: any version is slow on it, also the previous one."""
    if not symptoms.worst.terms.definition.explained_by_cpu:
        return _finding(Reason.NODE_BUSY, objects=False, message="is for other indicators")
    busy = symptoms.facts.node_busy
    text = "a pod waits for CPU on its node, though it uses no more than it requests"
    clear_text = "no node is known to keep a pod from the CPU that it requests"
    return _finding(Reason.NODE_BUSY, busy, text if busy else clear_text)


def containers_are_at_their_limits(symptoms: Symptoms) -> CheckResult:
    """Object if containers are throttled or out of memory: the cause is their limits. Only latency depends on it."""
    if not symptoms.worst.terms.definition.explained_by_cpu:
        return _finding(Reason.CPU_THROTTLED, objects=False, message="is for other indicators")
    facts = symptoms.facts
    if facts.cpu_throttled:
        return _finding(Reason.CPU_THROTTLED, objects=True, message="CPU is throttled at its limit")
    if facts.memory_pressure:
        return _finding(Reason.MEMORY_PRESSURE, objects=True, message="memory is at its limit")
    if facts.cpu_throttled is None or facts.memory_pressure is None:
        text = "CPU throttling and memory aren't known: scrape the kubelet's cAdvisor"
        return _finding(Reason.INFRASTRUCTURE_UNKNOWN, objects=True, message=text)
    return _finding(Reason.CPU_THROTTLED, objects=False, message="CPU and memory are within limits")


def traffic_is_far_above_normal(symptoms: Symptoms) -> CheckResult:
    """Object if each pod serves a multiple of the load that it has served well."""
    if not symptoms.worst.terms.definition.about_requests:
        return _finding(Reason.TRAFFIC_ANOMALY, objects=False, message="is for other indicators")
    load = symptoms.load
    if load is None:
        text = "too few blocks with good service to know the normal load"
        return _finding(Reason.TRAFFIC_ANOMALY, objects=None, message=text)
    accepted_text = "when it was accepted" if load.accepted else "that were served well before"
    text = (
        f"{load.ratio:.1f} times the requests a pod: {load.present:,.0f} a block, against"
        f" {load.normal:,.0f} {accepted_text}; up to {TRAFFIC_FACTOR:g} times counts as normal"
    )
    return _finding(Reason.TRAFFIC_ANOMALY, load.ratio > TRAFFIC_FACTOR, text)


def is_recent(stable: Version, age_seconds: int, day_seconds: int) -> bool:
    """Return whether the release is recent enough to be suspected; a restored version isn't."""
    return not stable.restored and age_seconds < day_seconds


def release_is_recent(symptoms: Symptoms) -> CheckResult:
    """Object if the release is recent and an earlier version would be a remedy."""
    is_young = is_recent(symptoms.stable, symptoms.age_seconds, symptoms.day_seconds)
    is_recent_release = symptoms.can_return and is_young
    text = (
        f"{symptoms.stable.release.version} has been stable for {duration(symptoms.age_seconds)},"
        f" a release counts as recent for {duration(symptoms.day_seconds)}"
    )
    return _finding(Reason.RECENT_RELEASE, is_recent_release, text)


def present_is_silent(symptoms: Symptoms) -> CheckResult:
    """Object if too few recent events confirm the past ones.

    The last check, as a known cause is more specific.
    """
    present_level = symptoms.present
    return _finding(Reason.INSUFFICIENT_DATA, present_level.bad is None, present_level.message)


def training_contradicts(symptoms: Symptoms) -> CheckResult:
    """Object if a training scores stable as accepted on rows of the time in which its live SLO is bad.

    A fall that began with a release is due to its code, any other to the data that are served.
    """
    if not symptoms.worst.terms.measures_quality:
        return _finding(Reason.SERVING_SKEW, objects=False, message="is for other indicators")
    skew = symptoms.skew
    if skew is None:
        text = "no training has scored the stable version since it is degraded"
        return _finding(Reason.SERVING_SKEW, objects=False, message=text)
    reason, text = Reason.SERVING_SKEW, skew.message
    if skew.differs and skew.since_release:
        version = symptoms.stable.release.version
        reason, text = skew.cause, f"{text} since the release of {version}: its code, not the data"
    return _finding(reason, skew.differs, text)


CONTRADICTED: Final = frozenset({Reason.SERVING_SKEW, Reason.CODE_NOT_DATA})
"""Causes that a training has shown, and that no training remedies."""
MARKET_CHECKS: Final[tuple[Check, ...]] = (
    measurement_is_missing,
    present_is_as_accepted,
    upstream_is_degraded,
    upstream_was_released,
    inputs_are_late,
    inputs_have_changed,
    many_turned_bad_together,
    pods_are_unhealthy,
    node_is_busy,
    containers_are_at_their_limits,
    traffic_is_far_above_normal,
    present_is_silent,
)
"""Causes outside the model of one market alone: what a training has scored isn't known by market."""
OUTSIDE_CHECKS: Final = (*MARKET_CHECKS, training_contradicts)
"""Causes outside the model, in the order they are asked for."""
AUTO_CHECKS: Final = (*MARKET_CHECKS, release_is_recent, training_contradicts)
PROBATION_CHECKS: Final = (
    measurement_is_missing,
    present_is_as_accepted,
    upstream_is_degraded,
    upstream_was_released,
    inputs_are_late,
    inputs_have_changed,
    many_turned_bad_together,
    node_is_busy,
    present_is_silent,
)
"""A release on probation answers for its own pods and resources, not for those of its node."""
_REMAINING: Final = frozenset({Reason.AVAILABILITY_ONLY, Reason.MODEL_TOO_SLOW, Reason.MODEL_DECAY})


def diagnose(symptoms: Symptoms, checks: tuple[Check, ...]) -> DiagnosisResult:
    """Return the cause of a degraded SLO: the first objection, else the cause that its indicator implies."""
    findings: list[CheckResult] = []
    for check in checks:
        finding = check(symptoms)
        findings.append(finding)
        if finding.verdict is CheckVerdict.OBJECTS:
            return DiagnosisResult(
                symptoms.worst.terms.name,
                finding.check,
                finding.message,
                tuple(findings),
                finding.release,
            )
    terms = symptoms.worst.terms
    message = _unreached_objective(symptoms.worst) or terms.definition.remaining_text
    if symptoms.skew is not None and symptoms.skew.undated:
        message = f"no cause outside the model was found; but {symptoms.skew.message}"
    return DiagnosisResult(terms.name, terms.definition.remaining_cause, message, tuple(findings))


def _unreached_objective(result: SloResult) -> str:
    """Return that an SLO is missed because its version was accepted below the objective; empty if something fell."""
    baseline, drift, allowed = result.baseline, result.drift, result.terms.allowed_bad_ratio
    if baseline is None or drift is None or allowed is None or drift.level is not Level.MET:
        return ""
    accepted_ratio = baseline.count.ratio
    if not result.terms.measures_quality or accepted_ratio is None or accepted_ratio <= allowed:
        return ""
    return (
        "no cause outside the model was found, and its answers are as good as at its acceptance:"
        f" {percent(1 - accepted_ratio)} ({events(baseline.count.total)}), which is below the objective of"
        f" {percent(1 - allowed)}"
    )


def diagnosis_status(
    before: Diagnosis | None, cause: DiagnosisResult | None, now: int
) -> Diagnosis | None:
    """Return the diagnosis for status; None for a product that isn't degraded.

    Parameters
    ----------
    before : diagnosis in status; the time of the same cause is kept. now : in seconds.
    """
    if cause is None:
        return None
    cause_and_market = (str(cause.cause), cause.market)
    same_cause = before is not None and (before.cause, before.market) == cause_and_market
    return Diagnosis(
        cause=str(cause.cause),
        market=cause.market,
        message=cause.message,
        diagnosis_time=before.diagnosis_time if same_cause and before is not None else now,
        evidence=tuple(
            DiagnosisEvidence(
                check=str(finding.check), verdict=finding.verdict, message=finding.message
            )
            for finding in cause.findings
        ),
    )
