"""`sluicegate refuse`: refuse a candidate, for a role or a consumer."""

from typing import Final

from sluicegate.cli.kubectl.answer import REFUSAL

configure: Final = REFUSAL.configure
run: Final = REFUSAL.run
