"""`sluicegate retrain`: ask for a training, whatever the service levels are."""

import argparse
from typing import Final

from sluicegate.api.names import REQUEST_RETRAIN
from sluicegate.cli.kubectl import facts
from sluicegate.cli.kubectl.action import Action, Request, configure_action, run_action
from sluicegate.errors import invalid


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.description = (
        "Ask for one training of a product. It also ends a suspension after three attempts without"
        " a promotion."
    )
    configure_action(parser, version=None)


def run(args: argparse.Namespace) -> int:
    """Show the last attempt, ask, retrain, wait."""
    return run_action(RETRAINING, args)


def identify(product: facts.Body) -> tuple[str, ...]:
    """Version and revision of the stable version, from which the training starts."""
    return facts.identity(facts.part(product, "status", "stable"))


def ask(product: facts.Body, _: str) -> Request:
    """The training of the stable version's successor."""
    identity = identify(product)
    if not identity:
        text = "has no stable version yet: a training needs one to start from"
        raise invalid(str(facts.key(product)), text)
    training = facts.part(product, "status", "retraining")
    last = facts.part(training, "lastResult")
    details = [f"attempts in a row without a promotion: {training.get('unsuccessfulAttempts', 0)}"]
    if last:
        text = f"the last attempt: {last.get('outcome')} {last.get('reason', '')}: {last.get('message', '')}"
        details.append(text)
    if training.get("waitingFor"):
        details.append(f"a training waits already: {training['waitingFor']}")
    return Request(f"retrain {identity[0]}", details, "", identity)


RETRAINING: Final = Action("retrain", REQUEST_RETRAIN, "retrainRequestedAt", ask, identify)
