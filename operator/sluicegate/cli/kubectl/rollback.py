"""`sluicegate rollback`: restore an earlier version of the history."""

from typing import Final

from sluicegate.api.names import REQUEST_ROLLBACK
from sluicegate.cli.kubectl.action import Action, Request
from sluicegate.errors import invalid
from sluicegate.kube.resources import key_of
from sluicegate.views import product as facts


def ask(product: facts.Body, version: str) -> Request:
    """The rollback to a version of the history."""
    stable = facts.part(product, "status", "stable")
    accepted = [
        one
        for one in facts.entries(product, "status", "history")
        if one.get("promotionTime") and one.get("revision") != stable.get("revision")
    ]
    known = ", ".join(dict.fromkeys(str(one.get("version")) for one in accepted)) or "none"
    chosen = next((one for one in accepted if version in {"", one.get("version")}), None)
    if chosen is None:
        name = version or "an earlier version"
        text = f"{name} is not in the history of {key_of(product)}, which keeps: {known}"
        raise invalid("VERSION", text)
    degraded = ", ".join(map(str, chosen.get("degraded") or ())) or "none"
    details = [
        f"{chosen.get('version')}: revision {chosen.get('revision')}, {chosen.get('image')}",
        f"it was stable from {chosen.get('promotionTime')} to {chosen.get('endTime')}, then"
        f" {chosen.get('outcome')} {chosen.get('reason', '')}".rstrip(),
        f"SLOs that were degraded when it was replaced: {degraded}",
    ]
    sentence = f"restore {chosen.get('version')} in place of {stable.get('version')}"
    return Request(sentence, details, str(chosen.get("version")))


ROLLBACK: Final = Action(
    "rollback", REQUEST_ROLLBACK, "rollbackTo", facts.stable_identity, ask,
    "Restore a version that was stable before, without steps. The stable version is replaced at"
    " once, so this is for a version that serves badly.",
    version="the version to restore (default: the one that was stable before)",
)  # fmt: skip
"""The rollback replaces the stable version."""
configure: Final = ROLLBACK.configure
run: Final = ROLLBACK.run
