"""What people ask of a product, read from the object as the API server sends it; the standard library alone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from sluicegate.views import numbers
from sluicegate.views.approval_texts import (
    absent_consumer_text,
    held_silence_text,
    parties_text,
    silence_text,
)
from sluicegate.views.initial import (
    SINCE_FIRST_ACCEPTANCE,
    InitialDistance,
    distance_text,
    initial_distance,
)
from sluicegate.views.lift import Lift, brought_text, headline_lift, lift_document, lift_of
from sluicegate.views.trials import tried_text
from sluicegate.views.words import DEGRADATION_OVER_TEXT, has_ended

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Body = dict[str, Any]

UNSUCCESSFUL_OUTCOMES: Final = frozenset(
    {"RolledBack", "Inconclusive", "Superseded", "Failed", "Rejected", "Replaced"}
)
"""Outcomes with which a version did not become stable, or does not remain it."""


def section(body: Mapping[str, Any], *path: str) -> Body:
    """Return a mapping within an object; empty if it is absent."""
    for name in path:
        value = body.get(name)
        body = value if isinstance(value, dict) else {}
    return dict(body)


def entries(body: Mapping[str, Any], *path: str) -> list[Body]:
    """Return a list of mappings within an object; empty if it is absent."""
    items = section(body, *path[:-1]).get(path[-1])
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def condition(product: Body, name: str) -> Body:
    """Return a condition of the product; empty if it is absent."""
    return next(
        (entry for entry in entries(product, "status", "conditions") if entry.get("type") == name),
        {},
    )


def candidate(product: Body) -> Body:
    """Return the version on trial; empty without one, or for a restored version."""
    candidate_status = section(product, "status", "candidate")
    return {} if candidate_status.get("restoring") else candidate_status


def identity(version: Body) -> tuple[str, ...]:
    """Return version and revision, which identify a version; empty without one."""
    return (str(version.get("version")), str(version.get("revision"))) if version else ()


def stable_identity(product: Body) -> tuple[str, ...]:
    """Return the version and revision of the stable version; empty before the first."""
    return identity(section(product, "status", "stable"))


def share_in_force(candidate_status: Body) -> int:
    """Return the present share of a candidate, in percent; 0 without one, and once it is rolled back."""
    if candidate_status.get("phase") == "RollingBack":
        return int(candidate_status.get("returning", 0))
    is_parked = candidate_status.get("phase") == "Parked"
    return 0 if is_parked else int(candidate_status.get("weight", 0))


def step_line(candidate_status: Body) -> str:
    """Return version, phase and share of a candidate."""
    return f"{candidate_status.get('version')}: {candidate_status.get('phase')} at {share_in_force(candidate_status)} %"


def hold_line(candidate_status: Body) -> str:
    """Return the check that holds a candidate, since when, with its numbers; empty without one."""
    hold = section(candidate_status, "hold")
    if not hold:
        return ""
    request_note = f"; {hold['request']} is pending until then" if hold.get("request") else ""
    return f"held by {hold.get('check')} since {hold.get('startTime')}: {hold.get('message', '')}{request_note}"


def rollout_end_line(product: Body) -> str:
    """Return when the rollout ends without a verdict; empty without a held candidate that takes steps.

    The duration doesn't count all time, so the end is no fixed time.
    """
    candidate_status = candidate(product)
    start_time = candidate_status.get("firstTrafficTime")
    derived_seconds = section(candidate_status, "derived").get("maxDurationSeconds")
    seconds = derived_seconds or section(product, "spec", "rollout").get("maxDurationSeconds")
    is_held = section(candidate_status, "hold") and candidate_status.get("phase") == "Stepping"
    if not (is_held and start_time and seconds):
        return ""
    silence = " or requests" if derived_seconds else ""
    return (
        f"without a verdict the rollout ends as Inconclusive {numbers.duration(int(seconds))} after"
        f" {start_time}, without time of a suspension or without measurements{silence}"
    )


DECIDED_PHASES: Final = frozenset({"Promoting", "RollingBack"})
"""Phases of a candidate in which an answer changes nothing."""


def approval_lines(candidate_status: Body) -> list[str]:
    """Return the agreements to a candidate, their evidence, and the missing parties with their deadline, a line each."""
    approvals = section(candidate_status, "approvals")
    lines = []
    for answer in entries(approvals, "answers"):
        reason = f": {answer['reason']}" if answer.get("reason") else ""
        text = (
            f"{answer.get('verdict')} of {answer.get('user')} as {answer.get('party')} at {answer.get('answerTime')}{reason}"
            f" ({answer.get('evidence', '')})"
        )
        lines.append(
            f"{text}; it doesn't count: {answer['problem']}" if answer.get("problem") else text
        )
    waiting_parties = approvals.get("waitingFor")
    if candidate_status.get("phase") in DECIDED_PHASES:
        return lines
    if isinstance(waiting_parties, list) and waiting_parties:
        wait_start, silence_time = approvals.get("waitStartTime"), approvals.get("silenceTime")
        more_waiting = approvals.get("moreWaiting")
        text = f"waits for {', '.join(map(str, waiting_parties))}{f' and {more_waiting} more' if more_waiting else ''}"
        text += f" since {wait_start}" if wait_start else ", once it has passed"
        parties = parties_text(list(map(str, waiting_parties)), int(more_waiting or 0))
        silence_clause = silence_text(
            str(silence_time or ""), meaning=str(approvals.get("silenceCountsAs") or "")
        )
        if held_meaning := str(approvals.get("heldSilence") or ""):
            silence_clause = held_silence_text(
                str(silence_time), meaning=held_meaning, parties=parties
            )
        lines.append("; ".join(filter(None, (text, silence_clause))))
        absent_parties = approvals.get("absent")
        lines += map(
            absent_consumer_text,
            map(str, absent_parties if isinstance(absent_parties, list) else ()),
        )
    return lines


def is_observed(product: Body) -> bool:
    """Return whether status belongs to the present spec."""
    generation = section(product, "status").get("observedGeneration", -1)
    return bool(generation >= product["metadata"].get("generation", 0))


def age(timestamp: str, now: datetime) -> str:
    """Return the age of an API time in kubectl's format; empty without a time."""
    if not timestamp:
        return ""
    seconds = max(0, int((now - parse_time(timestamp)).total_seconds()))
    return numbers.age(seconds)


def parse_time(text: str) -> datetime:
    """Return a time of the API; the Unix epoch for what is none."""
    try:
        parsed_time = datetime.fromisoformat(text)
    except ValueError:
        return datetime.fromtimestamp(0, UTC)
    return parsed_time if parsed_time.tzinfo else parsed_time.replace(tzinfo=UTC)


def team_of(owner: str) -> str:
    """Return the owner without its kind and namespace: pricing of group:default/pricing and of group:pricing."""
    return owner.rpartition("/")[2].rpartition(":")[2]


def matches(product: Body, *, team: str = "", market: str = "", state: str = "") -> bool:
    """Return whether a product is of this team, sold in this market, and in this state; empty for any.

    A team is the owner as written (`group:default/pricing`), its name, or the user name of a
    member.
    """
    spec = section(product, "spec")
    if team:
        owner = str(spec.get("owner", ""))
        members = {str(member.get("username")) for member in entries(spec, "team", "members")}
        if team not in {owner, team_of(owner), *members}:
            return False
    if market and market.upper() not in (spec.get("markets") or ()):
        return False
    return not state or state.lower() == state_of(product).lower()


def state_of(product: Body) -> str:
    """Return the state: Healthy, Degrading, Degraded or Unknown."""
    return str(section(product, "status").get("state") or "Unknown")


def managers(product: Body) -> list[str]:
    """Return the user names of the people who may approve, roll back, abort and retrain."""
    return [
        str(entry.get("username"))
        for entry in entries(product, "spec", "team", "members")
        if entry.get("role") in {"DataProductManager", "EngineeringManager"}
    ]


def versions(product: Body) -> list[Body]:
    """Return a product's present and past versions, the newest first.

    Each has version, outcome, reason, source, revision, image, weight, startTime, endTime, and what
    it showed beside stable in its canary (brought, lifts); what is not known is left out.
    """
    rows = []
    status = section(product, "status")
    if candidate_status := candidate(product):
        rows.append(
            _version_row(
                candidate_status,
                str(candidate_status.get("phase", "")),
                candidate_status.get("decisionReason"),
            )
            | {
                "weight": share_in_force(candidate_status),
                "startTime": candidate_status.get("startTime"),
            }
        )
    moved = section(status, "candidate")
    if stable := section(status, "stable"):
        rows.append(
            _version_row(stable, "Stable", "Restored" if stable.get("restored") else "")
            | {"weight": 100 - share_in_force(moved), "startTime": stable.get("promotionTime")}
        )
    for past_version in entries(status, "history"):
        row = _version_row(
            past_version, str(past_version.get("outcome", "")), past_version.get("reason")
        ) | {"startTime": past_version.get("promotionTime"), "endTime": past_version.get("endTime")}
        was_stable = past_version.get("promotionTime") is not None
        if moved.get("restoring") and was_stable and identity(past_version) == identity(moved):
            row |= {"outcome": moved.get("phase"), "weight": share_in_force(moved)}
        rows.append(row)
    return [
        {name: value for name, value in row.items() if value is not None and value != ""}
        for row in rows
    ]


def rollback_text(version: Body) -> str:
    """Return why the canary of a version was rolled back, with its numbers; empty for another outcome and a restored one."""
    verdict = section(version, "verdict")
    is_rolled_back = verdict.get("type") == "Rollback" and not version.get("restored")
    return str(verdict.get("message", "")) if is_rolled_back else ""


def _version_row(version: Body, outcome: str, reason: object) -> Body:
    version_fields = {
        name: version.get(name) for name in ("version", "source", "revision", "image")
    }
    lifts = lifts_of(version)
    main = headline_lift(lifts, str(version.get("causeSlo", "")))
    rolled_back_text = rollback_text(version) if main is None else ""
    return version_fields | {
        "outcome": outcome,
        "reason": reason,
        "tried": tried_text(version),
        "iteration": section(version, "iteration") or None,
        "brought": rolled_back_text or brought_text(lifts, main),
        "lifts": [{"slo": lift.slo, **lift_document(lift)} for lift in lifts] or None,
    }


def lifts_of(version: Body) -> list[Lift]:
    """Return a version's changes against stable at the end of its canary, by SLO; empty without a canary."""
    lifts = []
    for slo in entries(version, "verdict", "slos"):
        candidate, stable = section(slo, "candidate"), section(slo, "stable")
        lift = lift_of(
            str(slo.get("name")),
            (int(candidate.get("bad", 0)), int(candidate.get("total", 0))),
            (int(stable.get("bad", 0)), int(stable.get("total", 0))),
            phi=float(slo.get("dispersion", 1)),
            indicator=str(slo.get("indicator", "")),
            markets=section(slo, "markets"),
            hold_out=bool(slo.get("holdOut")),
        )
        lifts += [lift] if lift is not None else []
    return lifts


def _evidence_text(evidence: Body, name: str) -> str:
    """Return evidence and the bound that the decision needs, e.g. 3.4 of 3.0."""
    value, limit = (float(evidence.get(key) or 0) for key in (name, f"{name}At"))
    return f"{value:z,.1f} of {limit:z,.1f}"


def evidence_lines(candidate_status: Body) -> Iterator[str]:
    """Yield the evidence in favour of a candidate and against it, a line for each SLO."""
    for row in entries(candidate_status, "evidence"):
        optional_note = "" if row.get("required", True) else " (not required)"
        yield (
            f"{row.get('slo')}: {arm_text(row, 'candidate')} of the candidate, {arm_text(row, 'stable')} of stable;"
            f" evidence in favour {_evidence_text(row, 'promote')},"
            f" against {_evidence_text(row, 'rollBack')}{optional_note}"
        )
    shadow = section(candidate_status, "shadow")
    for row in entries(shadow, "evidence"):
        rows = section(row, "pairs")
        yield (
            f"{row.get('slo')} on rows labelled after the training: {sum(rows.values()):,} in"
            f" {row.get('blocks', 0)} intervals, {rows.get('onlyCandidateWrong', 0):,} wrong of the"
            f" candidate alone, {rows.get('onlyStableWrong', 0):,} of stable alone"
        )
    if shadow.get("message"):
        yield f"shadow phase, {shadow.get('reason')}: {shadow['message']}"
    evaluation_counts = candidate_status.get("evaluation")
    for slo, slo_counts in (
        evaluation_counts if isinstance(evaluation_counts, dict) else {}
    ).items():
        yield f"{slo}: {share_text(slo_counts.get('bad'), slo_counts.get('total'))} on the hold-out"


def arm_text(row: Body, arm_name: str) -> str:
    """Return the share of good events of the candidate or of stable, as evidence counts them."""
    return share_text(row.get(f"{arm_name}Bad"), row.get(f"{arm_name}Total"))


def share_text(bad_count: object, total: object) -> str:
    """Return a share of good events with the number of events: 90.1 % (n=1,040)."""
    if not isinstance(bad_count, int) or not isinstance(total, int) or not total:
        return "no events"
    return f"{numbers.percent(1 - bad_count / total)} ({numbers.events(total)})"


def initial_distances(product: Body) -> dict[str, InitialDistance]:
    """Return the distance of each measured SLO from its first accepted baseline, by name."""
    original_baseline = section(product, "status", "engine", "originalBaseline")
    baselines = section(original_baseline, "slos")
    distances: dict[str, InitialDistance] = {}
    for slo in entries(product, "status", "slos"):
        name = str(slo.get("name"))
        baseline = section(baselines, name)
        if not baseline or slo.get("bad") is None:
            continue
        distance = initial_distance(
            name,
            str(original_baseline.get("version", "")),
            initial_counts=(int(baseline.get("bad", 0)), int(baseline.get("total", 0))),
            present_counts=(int(slo["bad"]), int(slo.get("total", 0))),
            phi=float(baseline.get("dispersion", 1)),
        )
        distances |= {name: distance} if distance is not None else {}
    return distances


def distance_line(slo: Body, original_distance: InitialDistance | None) -> str:
    """Return an SLO's distance from the baselines of stable and of the first version; empty without any."""
    distance_texts = []
    if (drop := slo.get("drop")) is not None:
        interval = [float(interval_bound) for interval_bound in slo.get("interval") or ()]
        lower, upper = (interval[0], interval[-1]) if interval else (None, None)
        distance_texts.append(f"since acceptance: {distance_text(float(drop), lower, upper)}")
    if original_distance is not None:
        distance_texts.append(
            f"{SINCE_FIRST_ACCEPTANCE} ({original_distance.then}): {original_distance.text}"
        )
    return "; ".join(distance_texts)


def decision_line(product: Body) -> str:
    """Return the last decision in a sentence; empty before the first."""
    decision = section(product, "status", "decision")
    if not decision:
        return ""
    kind, reason = str(decision.get("type")), str(decision.get("reason"))
    text = f"{kind} ({reason}): {decision.get('message', '')}".rstrip(": ")
    has_missed_market = any(
        condition.get("type") == "MarketsMet" and condition.get("status") == "False"
        for condition in entries(product, "status", "conditions")
    )
    is_over = has_ended(kind, reason, state_of(product), has_missed_market=has_missed_market)
    return f"{text.rstrip('.')}. {DEGRADATION_OVER_TEXT}" if is_over else text


def join_values(values: Sequence[object], max_values: int = 3) -> str:
    """Return the first few values, and the number of the others."""
    texts = [str(value) for value in values[:max_values]]
    return ",".join(texts) + (f",+{len(values) - max_values}" if len(values) > max_values else "")
