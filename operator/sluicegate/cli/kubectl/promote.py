"""`sluicegate promote`: approve a candidate's last step, or try a version again."""

from collections.abc import Iterator
from typing import Final

from sluicegate.api.names import REQUEST_PROMOTE
from sluicegate.cli.kubectl.action import Action, Request, require_candidate
from sluicegate.errors import invalid
from sluicegate.kube.resources import key_of
from sluicegate.views import product as facts

AGAIN: Final = frozenset({"RolledBack", "Inconclusive"})
"""Outcomes of spec.model after which it may be tried again."""


def identify(product: facts.Body) -> tuple[str, ...]:
    """Version and revision of what would be promoted; empty for nothing."""
    if trial := facts.candidate(product):
        return facts.identity(trial)
    model = facts.part(product, "status", "specModel")
    stable = facts.part(product, "status", "stable")
    if model.get("outcome") in AGAIN and model.get("image") != stable.get("image"):
        return str(model.get("version")), str(model.get("image")).rpartition("sha256:")[2]
    wanted = facts.part(product, "spec", "model", "bento")
    if wanted.get("version") and wanted.get("version") not in {
        stable.get("version"), model.get("version"),
    }:  # fmt: skip
        return str(wanted["version"]), str(wanted.get("image") or wanted.get("url"))
    return ()


def ask(product: facts.Body, version: str) -> Request:
    """The approval of the candidate."""
    identity = identify(product)
    key, stable = key_of(product), facts.part(product, "status", "stable").get("version", "none")
    if not identity:
        text = f"has no candidate, and {stable} is stable: there is nothing to promote"
        raise invalid(str(key), text)
    require_candidate(key, identity[0], version)
    trial = facts.candidate(product)
    if not trial or trial.get("phase") == "Parked":
        sentence = f"try {identity[0]} again in place of {stable}"
    else:
        sentence = f"promote {identity[0]} in place of {stable}"
    return Request(sentence, list(_details(product, trial)), identity[0])


def _details(product: facts.Body, trial: facts.Body) -> Iterator[str]:
    model = facts.part(product, "status", "specModel")
    if trial:
        yield f"revision {trial.get('revision')}, from {trial.get('source')}, {trial.get('image')}"
        yield f"{trial.get('phase')} at {trial.get('weight', 0)} % of the traffic"
        if held := facts.hold_line(trial):
            yield held
        if trial.get("api"):
            yield f"API compared with the stable version: {trial['api']}"
        evidence = list(facts.evidence_lines(trial))
        yield from evidence or ["no evidence was collected yet"]
    elif model.get("outcome") in AGAIN:
        yield f"its last rollout: {model['outcome']} {model.get('reason', '')}".rstrip()
    if decision := facts.decision_line(product):
        yield f"last decision: {decision}"
    for slo in facts.entries(product, "status", "slos"):
        yield f"stable now: {slo.get('name')} {slo.get('state')} {slo.get('message', '')}".rstrip()


def pending(product: facts.Body) -> str:
    """Why an approval is not answered soon."""
    trial = facts.candidate(product)
    reason = facts.condition(product, "RolloutProgressing").get("reason")
    hold = facts.part(trial, "hold")
    if hold and hold.get("check") != "AwaitingApproval":
        return (
            f"approved; it is pending until {hold.get('check')} no longer holds"
            f" {trial.get('version')} at {trial.get('weight', 0)} % ({hold.get('message', '')}):"
            " `kubectl sluicegate status --for=promoted` waits for it"
        )
    if trial.get("phase") in {"Starting", "Stepping"} and reason != "ApiChanged":
        return (
            f"approved; it counts at the last step, and {trial.get('version')} is at"
            f" {trial.get('weight', 0)} %: `kubectl sluicegate status --for=promoted` waits for it"
        )
    return ""


PROMOTION: Final = Action(
    "promote", REQUEST_PROMOTE, "promote", identify, ask,
    "Approve the candidate of a product with its evidence, or try a version again that ended"
    " without being promoted. Refused if the candidate is replaced meanwhile.",
    version="the version that is approved (default: the candidate)",
    pending=pending,
)  # fmt: skip
configure: Final = PROMOTION.configure
run: Final = PROMOTION.run
