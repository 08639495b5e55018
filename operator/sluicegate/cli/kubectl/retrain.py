"""`sluicegate retrain`: ask for a training, whatever the service levels are."""

from typing import Final

from sluicegate.api.names import REQUEST_RETRAIN
from sluicegate.cli.kubectl.action import Action, Request
from sluicegate.errors import invalid
from sluicegate.kube.resources import key_of
from sluicegate.views import product as facts


def ask(product: facts.Body, _: str) -> Request:
    """The training of the stable version's successor."""
    identity = facts.stable_identity(product)
    if not identity:
        text = "has no stable version yet: a training needs one to start from"
        raise invalid(str(key_of(product)), text)
    training = facts.part(product, "status", "retraining")
    last = facts.part(training, "lastResult")
    details = [f"attempts in a row without a promotion: {training.get('unsuccessfulAttempts', 0)}"]
    if last:
        text = f"the last attempt: {last.get('outcome')} {last.get('reason', '')}: {last.get('message', '')}"
        details.append(text)
    if training.get("waitingFor"):
        details.append(f"a training waits already: {training['waitingFor']}")
    return Request(f"retrain {identity[0]}", details)


RETRAINING: Final = Action(
    "retrain", REQUEST_RETRAIN, "retrainRequestedAt", facts.stable_identity, ask,
    "Ask for one training of a product. It also ends a suspension after three attempts without a"
    " promotion.",
)  # fmt: skip
"""The training starts from the stable version."""
configure: Final = RETRAINING.configure
run: Final = RETRAINING.run
