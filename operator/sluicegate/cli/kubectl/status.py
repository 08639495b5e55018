"""`sluicegate status`: the state of a product in a few lines; with --for, waits for it."""

import argparse
from collections.abc import Callable
from typing import Final

from sluicegate.cli.kubectl.operator_lease import warn_of_abandoned_leases
from sluicegate.cli.kubectl.session import Session, add_product, opened
from sluicegate.cli.kubectl.waiting import (
    CODES,
    FAILED,
    REACHED,
    WaitResult,
    seconds_of,
    wait,
)
from sluicegate.cli.printing.output import add_output, document, write, write_names
from sluicegate.cli.printing.terminal import print_progress
from sluicegate.errors import invalid
from sluicegate.kube.resources import Key, key_of
from sluicegate.views import product as facts
from sluicegate.views.plain_text import clean_text
from sluicegate.views.suspension import suspension_reason

SHOWN: Final = frozenset(
    {
        ("Stalled", "True"), ("Ready", "False"), ("OperatorOverlap", "True"), ("ReviewDue", "True"), ("ActionsLate", "True"),
        ("EvidenceOneSided", "True"), ("DegradesDependents", "True"), ("PreviewRefused", "True"),
    }
)  # fmt: skip
"""Conditions that are shown, each with its status."""
PROGRESS: Final = frozenset({"RetrainingActive", "RolloutProgressing"})
"""Conditions that are shown unless their reason is one of IDLE."""
IDLE: Final = frozenset({"Idle", "NoRollout"})
GOALS: Final = ("healthy", "promoted", "reviewed")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_product(parser)
    parser.add_argument(
        "--for", dest="goal", choices=GOALS,
        help="wait until it is Healthy and Ready; until a version is promoted; until no sealed"
        " review waits for a signature",
    )  # fmt: skip
    parser.add_argument(
        "--version", default="", help="with --for=promoted: the version (default: the candidate's,"
        " otherwise that of spec.model)",
    )  # fmt: skip
    parser.add_argument("--timeout", default="5m", help="how long to wait, e.g. 90s (default: 5m)")
    add_output(parser)
    parser.epilog = f"{CODES} Without --for it does not wait."


def run(args: argparse.Namespace) -> int:
    """Print the state; wait for a state if requested."""
    seconds = seconds_of(args.timeout)
    if args.version and args.goal != "promoted":
        raise invalid("--version", "is about a promotion: add --for=promoted")
    with opened(args) as session:
        key = session.key(args.product)
        product = session.product(key)
        if args.goal is None:
            _print(product, WaitResult(REACHED, ""), args.output)
            warn_of_abandoned_leases(session.client, [product])
            return REACHED
        judge = _judge(session, key, product, args)
        outcome, product = wait(
            session, key, judge, seconds, progress=lambda text: print_progress(clean_text(text))
        )
    _print(product, outcome, args.output)
    return REACHED if outcome.code is None else outcome.code


def _judge(
    session: Session, key: Key, product: facts.Body, args: argparse.Namespace
) -> Callable[[facts.Body], WaitResult]:
    if args.goal == "healthy":
        return healthy
    if args.goal == "promoted":
        version = args.version or awaited_version(product)
        return lambda body: promoted(body, version)
    return lambda _: reviews(session.reviews(key))


def healthy(product: facts.Body) -> WaitResult:
    """Return whether the product is Healthy and Ready for its present spec."""
    if not facts.is_observed(product):
        return WaitResult(None, "the operator has not reconciled this spec yet")
    if stalled := _stalled(product):
        return stalled
    ready, state = facts.condition(product, "Ready"), facts.state_of(product)
    if ready.get("status") == "True" and state == "Healthy":
        return WaitResult(REACHED, "Healthy and Ready")
    return WaitResult(
        None, f"{state}, Ready={ready.get('status', 'Unknown')} ({ready.get('reason')})"
    )


def awaited_version(product: facts.Body) -> str:
    """Return the version that a promotion is waited for."""
    version = str(facts.section(product, "spec", "model", "bento").get("version", ""))
    spec_model = facts.section(product, "status", "specModel")
    if not facts.is_observed(product) or spec_model.get("version") != version:
        return version
    return str(facts.candidate(product).get("version") or version)


def promoted(product: facts.Body, version: str) -> WaitResult:
    """Return whether a version is stable, or ended otherwise."""
    if not facts.is_observed(product):
        return WaitResult(None, "the operator has not reconciled this spec yet")
    status = facts.section(product, "status")
    stable, trial = facts.section(status, "stable"), facts.candidate(product)
    if trial.get("version") == version:
        return _tried(product, trial)
    if stable.get("version") == version:
        return WaitResult(REACHED, f"{version} is stable")
    past = next(
        (entry for entry in facts.entries(status, "history") if entry.get("version") == version), {}
    )
    model = facts.section(status, "specModel")
    outcome_name = past.get("outcome") or (
        model.get("outcome") if model.get("version") == version else ""
    )
    if outcome_name in facts.UNSUCCESSFUL_OUTCOMES:
        return WaitResult(FAILED, f"{version} is {outcome_name}: {_last(product)}")
    return _stalled(product) or WaitResult(None, f"{version} is no candidate yet")


def _tried(product: facts.Body, trial: facts.Body) -> WaitResult:
    if trial.get("phase") == "Parked" and not trial.get("retryTime"):
        version = trial.get("version")
        return WaitResult(FAILED, f"{version} ended without a verdict: {_last(product)}")
    return WaitResult(None, facts.step_line(trial))


def _stalled(product: facts.Body) -> WaitResult | None:
    stalled = facts.condition(product, "Stalled")
    if stalled.get("status") != "True":
        return None
    return WaitResult(FAILED, f"Stalled ({stalled.get('reason')}): {stalled.get('message', '')}")


def _last(product: facts.Body) -> str:
    return facts.decision_line(product) or "no decision was made"


def reviews(sealed: list[facts.Body]) -> WaitResult:
    """Return whether the sealed reviews of a product have their signatures."""
    states = {
        review["metadata"]["name"]: facts.section(review, "status").get("state")
        for review in sealed
    }
    waiting = sorted(name for name, state in states.items() if state in {"ToReview", "Overdue"})
    if waiting:
        names = ", ".join(f"{name} ({states[name]})" for name in waiting)
        return WaitResult(None, f"needs signatures: {names}")
    if not set(states.values()) & {"Reviewed", "Skipped"}:
        return WaitResult(None, "no review is sealed yet")
    return WaitResult(REACHED, "each sealed review is signed")


def _print(product: facts.Body, outcome: WaitResult, output: str) -> None:
    if output == "name":
        write_names([product])
        return
    if output in {"table", "wide"}:
        for line in lines(product):
            print(clean_text(line))
        if outcome.message:
            print(clean_text(outcome.message))
        return
    key, trial = key_of(product), facts.candidate(product)
    answer = document(
        "ProductStatus", namespace=key.namespace, name=key.name, state=facts.state_of(product),
        stable=facts.section(product, "status", "stable").get("version", ""),
        candidate=trial.get("version", ""), weight=trial.get("weight", 0),
        hold=facts.section(trial, "hold"),
        approvals=facts.section(trial, "approvals"),
        decision=facts.section(product, "status", "decision"),
        sinceFirstAcceptance={
            name: {"version": distance.version, "drop": distance.drop, "interval": [distance.lower, distance.upper]}
            for name, distance in facts.initial_distances(product).items()
        },
        conditions=facts.entries(product, "status", "conditions"),
        message=outcome.message,
    )  # fmt: skip
    write(answer, output)


def lines(product: facts.Body) -> list[str]:
    """Return state, versions, SLOs and needs of a person, a line each."""
    status, key, trial = facts.section(product, "status"), key_of(product), facts.candidate(product)
    stable = facts.section(status, "stable").get("version", "none")
    text = [f"{key}: {facts.state_of(product)}, stable {stable}"]
    if trial:
        text.append(f"candidate {facts.step_line(trial)}")
        hold_lines = facts.hold_line(trial), facts.rollout_end_line(product)
        text += [f"  {line}" for line in hold_lines if line]
        text += [f"  {line}" for line in facts.approval_lines(trial)]
    if why := suspension_reason(product):
        text.append(f"suspended by {why}")
    if refreshed := status.get("lastRefreshTime"):
        text.append(f"status refreshed at {refreshed}")
    initial = facts.initial_distances(product)
    for slo in facts.entries(status, "slos"):
        text.append(f"SLO {slo.get('name')}: {slo.get('state')} {slo.get('message', '')}".rstrip())
        if distance := facts.distance_line(slo, initial.get(str(slo.get("name")))):
            text.append(f"  {distance}")
    if cause := facts.section(status, "diagnosis"):
        text.append(f"diagnosis {cause.get('cause')}: {cause.get('message', '')}")
    if decision := facts.decision_line(product):
        text.append(f"last decision {decision}")
    text += [
        f"request {request.get('annotation')}={request.get('value')} waits since"
        f" {request.get('waitStartTime')} ({request.get('reason')}): {request.get('message', '')}"
        for request in facts.entries(status, "pendingRequests")
    ]
    return text + [
        f"{status_condition.get('type')}={status_condition.get('status')} {status_condition.get('reason')}: {status_condition.get('message', '')}"
        for status_condition in facts.entries(status, "conditions")
        if _is_shown(status_condition)
    ]


def _is_shown(condition: facts.Body) -> bool:
    """Return whether a condition is shown: a problem, a change under way, or a wait."""
    name, truth = condition.get("type"), condition.get("status")
    if name in PROGRESS:
        return truth != "Unknown" and condition.get("reason") not in IDLE
    return (name, truth) in SHOWN
