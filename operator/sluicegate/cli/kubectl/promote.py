"""`sluicegate promote`: approve a candidate's last step, or try a version again."""

from typing import Final

from sluicegate.cli.kubectl.action import Action
from sluicegate.views.person_actions import PROMOTE_ACTION

COMMAND: Final = Action(
    PROMOTE_ACTION,
    "Approve the candidate of a product with its evidence, or try a version again that ended"
    " without being promoted. Refused if the candidate is replaced meanwhile.",
    version="the version that is approved (default: the candidate)",
)
configure: Final = COMMAND.configure
run: Final = COMMAND.run
