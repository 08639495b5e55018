"""How far a split of the traffic is verified: written, accepted, observed.

`Accepted` is a promise of the gateway's control plane; its data plane may follow a moment later,
and no gateway reads weights back. So the share is also counted, by the gateway where its counters
are known, else in the products' own requests, before anything is scaled down.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Protocol

from sluicegate.api.route import ParentRef
from sluicegate.kube.resources import Key
from sluicegate.measurement.canary_blocks import Requests
from sluicegate.reconcile.live.children import ParentStatus, RouteRecord
from sluicegate.views.numbers import percent

FEW_REQUESTS: Final = 50
"""Requests since the change below which a share says nothing."""
EXPECTED_REQUESTS: Final = 20
"""Requests that a version should have had before silence, or too small a share, means a fault."""
QUIET_BLOCKS: Final = 2
"""Blocks without a request before a version's pods may go."""
PATIENCE_BLOCKS: Final = 3
PATIENCE_SECONDS: Final = 60
"""With few requests, how long after the change `accepted` is enough to change weights again."""
TOO_LARGE: Final = 2
"""A share beyond this many times the weight isn't what was asked for."""


class VerificationLevel(IntEnum):
    """The extent to which a traffic split is verified; each level includes the previous ones."""

    NONE = 0
    WRITTEN = 1
    ACCEPTED = 2
    OBSERVED = 3


@dataclass(frozen=True, slots=True)
class Split:
    """The verification of the present split.

    Attributes
    ----------
    level : how far it is verified.
    message : why it isn't verified further, or the numbers that verify it.
    share : the canary's share of the requests since the change; None without requests.
    requests : requests since the change.
    enough : weights may change again.
    mismatched : the requests contradict the weight.
    """

    level: VerificationLevel
    message: str
    share: float | None = None
    requests: int = 0
    enough: bool = False
    mismatched: bool = False

    @property
    def objection(self) -> str:
        """Return why a Gateway doesn't accept the route that has the weights; empty where each does."""
        return self.message if self.level is VerificationLevel.WRITTEN else ""


class InService(Protocol):
    """The conditions of a Gateway that decide whether it is in service."""

    def objection(self, section: str | None) -> str:
        """Return why the listener or the Gateway isn't in service; empty if it is."""


def verify_acceptance(
    route: RouteRecord | None,
    weights: Mapping[str, int],
    parents: Iterable[ParentRef],
    gateways: Mapping[Key, InService] | None = None,
) -> tuple[VerificationLevel, str]:
    """Return whether the route has these weights, and each of its Gateways has accepted it and is in service.

    Parameters
    ----------
    route : as it lives.
    weights : by backend; a backend without weight may be missing in the route.
    parents : the references of spec.route.
    gateways : what those Gateways say of themselves, as far as it has to be asked.
    """
    if route is None:
        return VerificationLevel.NONE, "the route isn't there yet"
    live = {name: weight for name, weight in route.weights if weight}
    if live != {name: weight for name, weight in weights.items() if weight}:
        return (
            VerificationLevel.NONE,
            f"the route has {_weights_text(live)} instead of {_weights_text(weights)}",
        )
    if (objection := _any_objection(route, parents, gateways)) is not None:
        return VerificationLevel.WRITTEN, objection
    return VerificationLevel.ACCEPTED, "each Gateway has accepted the route"


def verify_draws(
    live: RouteRecord | None,
    desired: str | None,
    parents: Iterable[ParentRef],
    gateways: Mapping[Key, InService] | None = None,
) -> tuple[VerificationLevel, str] | None:
    """Return why the HTTPRoute for draws isn't verified; None if it is or isn't desired.

    Parameters
    ----------
    live : as it lives; None without one.
    desired : the fingerprint that it is to have; None if there is to be none.
    parents : its references, and gateways what those Gateways report.
    """
    if desired is None:
        is_absent = live is None
        return (
            None if is_absent else (VerificationLevel.NONE, "the route of draws isn't deleted yet")
        )
    if live is None or live.fingerprint != desired:
        return VerificationLevel.NONE, "the route of draws isn't written yet"
    objection = _any_objection(live, parents, gateways)
    return None if objection is None else (VerificationLevel.WRITTEN, f"draws: {objection}")


def is_taken(route: RouteRecord, parents: Iterable[ParentRef]) -> bool:
    """Return whether each Gateway has accepted the present generation of the route."""
    return all(_objection(route, parent) is None for parent in parents)


def _any_objection(
    route: RouteRecord, parents: Iterable[ParentRef], gateways: Mapping[Key, InService] | None
) -> str | None:
    """Return why a parent hasn't accepted the route or isn't in service; None if all have."""
    for parent in parents:
        if (objection := _objection(route, parent)) is not None:
            return objection
        key = Key(parent.namespace or route.key.namespace, parent.name)
        if gateways and key in gateways and (text := gateways[key].objection(parent.section_name)):
            return f"Gateway {key} {text}"
    return None


def _objection(route: RouteRecord, parent: ParentRef) -> str | None:
    """Return why a parent hasn't accepted the route; None if it has.

    Each controller has an entry of its own, and one that is gone leaves its last one behind: any
    that takes the newest generation will do.
    """
    namespace = parent.namespace or route.key.namespace
    gateway_text = f"Gateway {namespace}/{parent.name}"
    parent_statuses = [status for status in route.parents if _speaks_of(status, parent, namespace)]
    newest = [status for status in parent_statuses if status.observed >= route.generation]
    if any(parent_status.accepted and parent_status.resolved for parent_status in newest):
        return None
    if newest:
        return f"{gateway_text} does not accept the route: {newest[0].message}"
    if parent_statuses:
        return f"{gateway_text} has not observed the newest generation of the route yet"
    return (
        f"{gateway_text} has no status for the route: check that the Gateway exists and admits it"
    )


def _speaks_of(status: ParentStatus, parent: ParentRef, namespace: str) -> bool:
    return (status.namespace, status.name, status.section) == (
        namespace,
        parent.name,
        parent.section_name or "",
    )


def verify_share(
    accepted: tuple[VerificationLevel, str],
    weight: int,
    requests: Requests,
    *,
    seconds: float,
    gateway: bool = False,
) -> Split:
    """Return whether the requests' share matches the weight.

    Parameters
    ----------
    accepted : what `verify_acceptance` said.
    weight : the candidate's, in percent.
    requests : counted since the change.
    seconds : since the change.
    gateway : the gateway counted them, so no request bypassed it, and too small a share is a fault.
    """
    level, message = accepted
    total = requests.stable + requests.candidate
    share = requests.candidate / total if total else None
    if level < VerificationLevel.ACCEPTED:
        return Split(level, message, share, total)
    if total < FEW_REQUESTS:
        has_waited = requests.blocks >= PATIENCE_BLOCKS and seconds >= PATIENCE_SECONDS
        requests_text = "requests through the gateway" if gateway else "requests"
        text = f"{message}; {total} {requests_text} since then are too few to see the share"
        if not total and not requests.measured:
            text = f"{message}; the {requests_text} since then aren't measured"
        return Split(level, text, share, total, enough=has_waited)
    min_share = weight / TOO_LARGE / 100 if gateway else 0.0
    observed_share = requests.candidate / total
    if (
        mismatch_text := _mismatch_text(weight, observed_share, total, min_share=min_share)
    ) is not None:
        return Split(level, mismatch_text, share, total, mismatched=True)
    observed_text = f"{percent(observed_share)} of {total:,} requests went to the canary at a weight of {weight} %"
    return Split(VerificationLevel.OBSERVED, observed_text, share, total, enough=True)


def _mismatch_text(weight: int, share: float, total: int, *, min_share: float) -> str | None:
    expected = total * weight / 100
    if not share and expected >= EXPECTED_REQUESTS:
        return f"none of {total:,} requests reached the canary; {expected:.0f} were expected"
    expected_stable = total - expected
    if share == 1 and expected_stable >= EXPECTED_REQUESTS:
        return f"none of {total:,} requests reached stable; {expected_stable:.0f} were expected"
    too_small = share < min_share and expected >= EXPECTED_REQUESTS
    if too_small or share > TOO_LARGE * weight / 100:
        return (
            f"{percent(share)} of {total:,} requests reached the canary at a weight of {weight} %"
        )
    return None


def is_drained(requests: Requests, *, stable: bool, pods: int) -> bool:
    """Return whether a version's pods may be removed: two blocks without a request, or no sender.

    Parameters
    ----------
    pods : of the version, that may get requests.
    """
    is_quiet = requests.quiet_stable if stable else requests.quiet_candidate
    return is_quiet >= QUIET_BLOCKS or pods == 0


def _weights_text(weights: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {weight}" for name, weight in sorted(weights.items())) or "nothing"
