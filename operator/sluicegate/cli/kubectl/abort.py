"""`sluicegate abort`: roll a candidate back."""

from typing import Final

from sluicegate.cli.kubectl.action import Action
from sluicegate.views.person_actions import ABORT_ACTION

COMMAND: Final = Action(
    ABORT_ACTION,
    "Give all traffic to the stable version again, and end the rollout.",
    version="the version that is rolled back (default: the candidate)",
)
configure: Final = COMMAND.configure
run: Final = COMMAND.run
