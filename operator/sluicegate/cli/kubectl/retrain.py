"""`sluicegate retrain`: ask for a training, whatever the service levels are."""

from typing import Final

from sluicegate.cli.kubectl.action import Action
from sluicegate.views.person_actions import RETRAIN_ACTION

COMMAND: Final = Action(
    RETRAIN_ACTION,
    "Ask for one training of a product. It also ends a suspension after three attempts without a"
    " promotion.",
)
configure: Final = COMMAND.configure
run: Final = COMMAND.run
