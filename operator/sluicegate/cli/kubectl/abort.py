"""`sluicegate abort`: roll a candidate back."""

from typing import Final

from sluicegate.api.names import REQUEST_ABORT
from sluicegate.cli.kubectl.action import Action, Request, require_candidate
from sluicegate.errors import invalid
from sluicegate.kube.resources import key_of
from sluicegate.views import product as facts


def identify(product: facts.Body) -> tuple[str, ...]:
    """Version and revision of the candidate; empty without one."""
    return facts.identity(facts.part(product, "status", "candidate"))


def ask(product: facts.Body, version: str) -> Request:
    """The rollback of the candidate."""
    identity, key = identify(product), key_of(product)
    if not identity:
        raise invalid(str(key), "has no candidate: there is nothing to abort")
    require_candidate(key, identity[0], version)
    trial = facts.part(product, "status", "candidate")
    stable = facts.part(product, "status", "stable").get("version", "none")
    details = [f"{trial.get('phase')} at {trial.get('weight', 0)} % of the traffic"]
    details += facts.evidence_lines(trial)
    return Request(f"roll {identity[0]} back to {stable}", details, identity[0])


ABORTION: Final = Action(
    "abort", REQUEST_ABORT, "abort", identify, ask,
    "Give all traffic to the stable version again, and end the rollout.",
    version="the version that is rolled back (default: the candidate)",
)  # fmt: skip
configure: Final = ABORTION.configure
run: Final = ABORTION.run
