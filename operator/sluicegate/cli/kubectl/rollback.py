"""`sluicegate rollback`: restore an earlier version of the history."""

from typing import Final

from sluicegate.cli.kubectl.action import Action
from sluicegate.views.person_actions import ROLLBACK_ACTION

COMMAND: Final = Action(
    ROLLBACK_ACTION,
    "Restore a version that was stable before, without steps. The stable version is replaced at"
    " once, so this is for a version that serves badly.",
    version="the version to restore (default: the one that was stable before)",
)
configure: Final = COMMAND.configure
run: Final = COMMAND.run
