"""`sluicegate abort`: roll a candidate back."""

import argparse
from typing import Final

from sluicegate.api.names import REQUEST_ABORT
from sluicegate.cli.kubectl import facts
from sluicegate.cli.kubectl.action import Action, Request, Stale, configure_action, run_action
from sluicegate.errors import invalid


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.description = "Give all traffic to the stable version again, and end the rollout."
    configure_action(parser, version="the version that is rolled back (default: the candidate)")


def run(args: argparse.Namespace) -> int:
    """Show the candidate, ask, abort, wait."""
    return run_action(ABORTION, args)


def identify(product: facts.Body) -> tuple[str, ...]:
    """Version and revision of the candidate; empty without one."""
    return facts.identity(facts.part(product, "status", "candidate"))


def ask(product: facts.Body, version: str) -> Request:
    """The rollback of the candidate."""
    identity, key = identify(product), facts.key(product)
    if not identity:
        raise invalid(str(key), "has no candidate: there is nothing to abort")
    if version and version != identity[0]:
        raise Stale(
            f"{version} is not the candidate of {key}, {identity[0]} is: nothing was written"
        )
    trial = facts.part(product, "status", "candidate")
    stable = facts.part(product, "status", "stable").get("version", "none")
    details = [f"{trial.get('phase')} at {trial.get('weight', 0)} % of the traffic"]
    details += facts.evidence_lines(trial)
    sentence = f"roll {identity[0]} back to {stable}"
    return Request(sentence, details, identity[0], identity)


ABORTION: Final = Action("abort", REQUEST_ABORT, "abort", ask, identify)
