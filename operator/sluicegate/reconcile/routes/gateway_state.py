"""State of a Gateway, by its status. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sluicegate.reconcile.routes.claim_reading import listeners_of
from sluicegate.reconcile.routes.claims import Listener

GATEWAY_ITSELF: Final = ""
"""In place of a listener's name: the Gateway itself."""


@dataclass(frozen=True, slots=True)
class GatewayState:
    """The conditions of a Gateway and of its listeners.

    Attributes
    ----------
    objections : by listener, why it isn't in service; under "" for the Gateway as a whole.
        A part that is missing is programmed.
    listeners : as its spec has them.
    """

    objections: Mapping[str, str]
    listeners: tuple[Listener, ...] = ()

    def objection(self, section: str | None) -> str:
        """Return why the listener or the Gateway isn't in service; empty if it is."""
        return self.objections.get(GATEWAY_ITSELF, "") or self.objections.get(
            section or GATEWAY_ITSELF, ""
        )


ABSENT: Final = GatewayState({GATEWAY_ITSELF: "doesn't exist"})


def gateway_state(body: Mapping[str, Any]) -> GatewayState:
    """Convert a Gateway into its state."""
    generation, status = body["metadata"].get("generation", 0), body.get("status") or {}
    parts = {GATEWAY_ITSELF: status.get("conditions") or ()}
    parts |= {
        listener["name"]: listener.get("conditions") or ()
        for listener in status.get("listeners") or ()
    }
    all_objections = {
        name: _objection(conditions, generation) for name, conditions in parts.items()
    }
    objections = {name: text for name, text in all_objections.items() if text}
    return GatewayState(objections, listeners_of(body))


def _objection(conditions: Iterable[Mapping[str, Any]], generation: int) -> str:
    programmed = next(
        (condition for condition in conditions if condition["type"] == "Programmed"), None
    )
    if programmed is None:
        return "has not reported yet whether it is programmed"
    if programmed.get("observedGeneration", generation) < generation:
        return "hasn't programmed its newest generation yet"
    if programmed["status"] != "True":
        return f"isn't programmed: {programmed.get('reason', '')}: {programmed.get('message', '')}"
    return ""
