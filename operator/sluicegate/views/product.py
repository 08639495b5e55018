"""What people ask of a product, read from the object as the API server sends it; the standard library alone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from sluicegate.views import numbers
from sluicegate.views.initial import (
    FIRST,
    InitialDistance,
    distance_text,
    initial_distance,
)
from sluicegate.views.lift import Lift, headline, lift_of, short_lift
from sluicegate.views.trials import tried_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Body = dict[str, Any]

ENDED: Final = frozenset(
    {"RolledBack", "Inconclusive", "Superseded", "Failed", "Rejected", "Replaced"}
)
"""Outcomes with which a version did not become stable, or does not remain it."""


def part(body: Mapping[str, Any], *path: str) -> Body:
    """A mapping within an object; empty where it is left out."""
    for name in path:
        found = body.get(name)
        body = found if isinstance(found, dict) else {}
    return dict(body)


def entries(body: Mapping[str, Any], *path: str) -> list[Body]:
    """A list of mappings within an object; empty where it is left out."""
    found = part(body, *path[:-1]).get(path[-1])
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def condition(product: Body, name: str) -> Body:
    """A condition of the product; empty where it is left out."""
    return next(
        (one for one in entries(product, "status", "conditions") if one.get("type") == name), {}
    )


def candidate(product: Body) -> Body:
    """The version on trial; empty without one, and for an earlier version that is restored."""
    found = part(product, "status", "candidate")
    return {} if found.get("restoring") else found


def identity(version: Body) -> tuple[str, ...]:
    """Version and revision, by which a version is known again; empty for none."""
    return (str(version.get("version")), str(version.get("revision"))) if version else ()


def stable_identity(product: Body) -> tuple[str, ...]:
    """Version and revision of the stable version; empty before the first."""
    return identity(part(product, "status", "stable"))


def step_line(trial: Body) -> str:
    """Version, phase and share of a candidate."""
    return f"{trial.get('version')}: {trial.get('phase')} at {trial.get('weight', 0)} %"


def hold_line(trial: Body) -> str:
    """The check that holds a candidate, since when, with its numbers; empty without one."""
    hold = part(trial, "hold")
    if not hold:
        return ""
    pending = f"; {hold['request']} is pending until then" if hold.get("request") else ""
    return f"held by {hold.get('check')} since {hold.get('startTime')}: {hold.get('message', '')}{pending}"


def observed(product: Body) -> bool:
    """Whether status is about the spec as it is."""
    seen = part(product, "status").get("observedGeneration", -1)
    return bool(seen >= product["metadata"].get("generation", 0))


def age(since: str, now: datetime) -> str:
    """How long ago a time of the API is, as kubectl shows it; empty for no time."""
    if not since:
        return ""
    seconds = max(0, int((now - parse_time(since)).total_seconds()))
    return numbers.age(seconds)


def parse_time(text: str) -> datetime:
    """A time of the API; the Unix epoch for what is none."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return datetime.fromtimestamp(0, UTC)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def team_of(owner: str) -> str:
    """The owner without its kind and namespace: pricing of group:default/pricing and of group:pricing."""
    return owner.rpartition("/")[2].rpartition(":")[2]


def matches(product: Body, *, team: str = "", market: str = "", state: str = "") -> bool:
    """Whether a product is of this team, sold in this market, and in this state; empty for any.

    A team is the owner as written (`group:default/pricing`), its name, or the user name of a
    member.
    """
    spec = part(product, "spec")
    if team:
        owner = str(spec.get("owner", ""))
        members = {str(one.get("username")) for one in entries(spec, "team", "members")}
        if team not in {owner, team_of(owner), *members}:
            return False
    if market and market.upper() not in (spec.get("markets") or ()):
        return False
    return not state or state.lower() == state_of(product).lower()


def state_of(product: Body) -> str:
    """Healthy, Degrading, Degraded or Unknown."""
    return str(part(product, "status").get("state") or "Unknown")


def managers(product: Body) -> list[str]:
    """User names of the people who may approve, roll back, abort and retrain."""
    return [
        str(one.get("username"))
        for one in entries(product, "spec", "team", "members")
        if one.get("role") in {"DataProductManager", "EngineeringManager"}
    ]


def versions(product: Body) -> list[Body]:
    """The versions that a product has and had, the newest first.

    Each has version, outcome, reason, source, revision, image, weight, startTime, endTime, and what
    it showed beside stable in its canary (brought, lifts); what is not known is left out.
    """
    found = []
    status = part(product, "status")
    if trial := candidate(product):
        found.append(
            _version(trial, str(trial.get("phase", "")), trial.get("decisionReason"))
            | {"weight": trial.get("weight", 0), "startTime": trial.get("startTime")}
        )
    if stable := part(status, "stable"):
        traffic = 100 - int(trial.get("weight", 0)) if trial else 100
        found.append(
            _version(stable, "Stable", "Restored" if stable.get("restored") else "")
            | {"weight": traffic, "startTime": stable.get("promotionTime")}
        )
    found += [
        _version(past, str(past.get("outcome", "")), past.get("reason"))
        | {"startTime": past.get("promotionTime"), "endTime": past.get("endTime")}
        for past in entries(status, "history")
    ]
    return [
        {name: value for name, value in one.items() if value is not None and value != ""}
        for one in found
    ]


def _version(one: Body, outcome: str, reason: object) -> Body:
    kept = {name: one.get(name) for name in ("version", "source", "revision", "image")}
    lifts = [
        {"slo": lift.slo, "gain": lift.gain, "interval": [lift.lower, lift.upper]}
        for lift in lifts_of(one)
    ]
    main = headline(lifts_of(one), str(one.get("causeSlo", "")))
    brought = "" if main is None else short_lift(main)
    return kept | {
        "outcome": outcome,
        "reason": reason,
        "tried": tried_text(one),
        "iteration": part(one, "iteration") or None,
        "brought": brought,
        "lifts": lifts or None,
    }


def lifts_of(version: Body) -> list[Lift]:
    """What a version showed beside stable at the end of its canary, by SLO; nothing without one."""
    found = []
    for one in entries(version, "verdict", "slos"):
        candidate, stable = part(one, "candidate"), part(one, "stable")
        lift = lift_of(
            str(one.get("name")),
            (int(candidate.get("bad", 0)), int(candidate.get("total", 0))),
            (int(stable.get("bad", 0)), int(stable.get("total", 0))),
            phi=float(one.get("dispersion", 1)),
            indicator=str(one.get("indicator", "")),
        )
        found += [lift] if lift is not None else []
    return found


def evidence_lines(trial: Body) -> Iterator[str]:
    """What speaks in favour of a candidate and against it, a line for each SLO."""
    for one in entries(trial, "evidence"):
        needed = "" if one.get("required", True) else " (not required)"
        yield (
            f"{one.get('slo')}: evidence in favour {one.get('promote')} of {one.get('promoteAt')},"
            f" against {one.get('rollBack')} of {one.get('rollBackAt')};"
            f" bad {arm(one, 'candidate')} of the candidate, {arm(one, 'stable')} of stable{needed}"
        )
    shadow = part(trial, "shadow")
    for one in entries(shadow, "evidence"):
        rows = part(one, "pairs")
        yield (
            f"{one.get('slo')} on rows labelled after the training: {sum(rows.values()):,} in"
            f" {one.get('blocks', 0)} intervals, {rows.get('onlyCandidateWrong', 0):,} wrong of the"
            f" candidate alone, {rows.get('onlyStableWrong', 0):,} of stable alone"
        )
    if shadow.get("message"):
        yield f"shadow phase, {shadow.get('reason')}: {shadow['message']}"
    counts = trial.get("evaluation")
    for slo, pair in (counts if isinstance(counts, dict) else {}).items():
        yield f"{slo}: {pair.get('bad')} of {pair.get('total')} bad on the hold-out"


def arm(one: Body, which: str) -> str:
    """Bad events of all events of the candidate or of stable, as evidence counts them; a dash without any."""
    bad, total = one.get(f"{which}Bad"), one.get(f"{which}Total")
    if not isinstance(bad, int) or not isinstance(total, int) or not total:
        return "-"
    return f"{bad}/{total} ({100 * bad / total:.2f} %)"


def initial_distances(product: Body) -> dict[str, InitialDistance]:
    """The distance of each SLO from its first accepted baseline, by name; what isn't measured is left out."""
    original = part(product, "status", "engine", "originalBaseline")
    baselines = part(original, "slos")
    found: dict[str, InitialDistance] = {}
    for slo in entries(product, "status", "slos"):
        name = str(slo.get("name"))
        baseline = part(baselines, name)
        if not baseline or slo.get("bad") is None:
            continue
        distance = initial_distance(
            name,
            str(original.get("version", "")),
            initial=(int(baseline.get("bad", 0)), int(baseline.get("total", 0))),
            present=(int(slo["bad"]), int(slo.get("total", 0))),
            phi=float(baseline.get("dispersion", 1)),
        )
        found |= {name: distance} if distance is not None else {}
    return found


def distance_line(slo: Body, initial: InitialDistance | None) -> str:
    """How an SLO does against both its baselines, that of the stable version and the first one; empty without any."""
    parts = []
    if (drop := slo.get("drop")) is not None:
        interval = [float(bound) for bound in slo.get("interval") or ()]
        lower, upper = (interval[0], interval[-1]) if interval else (None, None)
        parts.append(f"since acceptance: {distance_text(float(drop), lower, upper)}")
    if initial is not None:
        parts.append(f"{FIRST} ({initial.then}): {initial.text}")
    return "; ".join(parts)


def decision_line(product: Body) -> str:
    """The last decision in a sentence; empty before the first."""
    made = part(product, "status", "decision")
    if not made:
        return ""
    return f"{made.get('type')} ({made.get('reason')}): {made.get('message', '')}".rstrip(": ")


def join(values: Sequence[object], room: int = 3) -> str:
    """The first few values, and how many more there are."""
    shown = [str(one) for one in values[:room]]
    return ",".join(shown) + (f",+{len(values) - room}" if len(values) > room else "")
