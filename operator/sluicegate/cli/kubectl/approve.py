"""`sluicegate approve`: agree to a candidate, for a role or a consumer."""

from typing import Final

from sluicegate.cli.kubectl.answer import APPROVE

configure: Final = APPROVE.configure
run: Final = APPROVE.run
