"""How pods and shares are laid out, and how far a split is verified, in each combination."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

from sluicegate.api.route import ParentRef
from sluicegate.api.status import DataProductStatus
from sluicegate.kube.resources import Key
from sluicegate.measurement.canary_blocks import Requests
from sluicegate.reconcile.live.children import ParentStatus
from sluicegate.reconcile.traffic.allocation import allocation_of, split_by_replicas, with_capacity
from sluicegate.reconcile.traffic.split_verification import (
    Split,
    VerificationLevel,
    is_drained,
    is_taken,
    verify_acceptance,
    verify_share,
)
from tests.support.decisions.combinations import combined
from tests.support.decisions.rollouts import serving
from tests.support.decisions.rule_inputs import (
    BEFORE,
    CANDIDATES,
    MODES,
    REFUSED,
    STABLE,
    laid_out,
    named,
    status,
)

if TYPE_CHECKING:
    from sluicegate.api.product import DataProduct
    from sluicegate.api.versions import Candidate
    from sluicegate.reconcile.live.children import RouteRecord


def test_how_pods_and_weights_are_laid_out(golden):
    def of(mode: DataProduct, one: Candidate | None, pods: int) -> str:
        return laid_out(allocation_of(mode, status(one), stable_pods=pods))

    pods = {f"{one} pods": one for one in (1, 2, 4, 9)}
    golden("rules/layouts.txt", combined(of, MODES, CANDIDATES, pods))


def test_how_pods_follow_the_traffic(golden):
    def of(
        mode: DataProduct, one: Candidate | None, ready: int | None, followed: bool, kept: Any
    ) -> str:
        known = {STABLE.revision: kept[0], CANDIDATES["at 25"].revision: kept[1]} if kept else None
        state = status(one, REFUSED, BEFORE)
        return laid_out(
            allocation_of(mode, state, stable_pods=4, followed=followed, ready=ready, kept=known)
        )

    tables = (
        named(MODES, "a route", "no route"),
        named(
            CANDIDATES, "from 5 to 25", "promoting from 50", "promoting at 100", "back from 25", "parked", "no candidate"
        ),
        {"none ready": 0, "two ready": 2},
        {"followed": True, "not followed": False},
        {"nothing kept": None, "4 + 1 kept": (4, 1), "2 + 4 kept": (2, 4)},
    )  # fmt: skip
    golden("rules/paces.txt", combined(of, *tables))


def test_a_version_lives_once(golden):
    twin = CANDIDATES["at 25"].replace(**STABLE.identity_fields)
    before = BEFORE.replace(**CANDIDATES["at 25"].identity_fields)
    found = {
        "candidate is stable": status(twin),
        "candidate was before": status(CANDIDATES["at 25"], before, BEFORE),
        "two before": status(None, REFUSED, BEFORE, BEFORE.replace(revision="other", version="w")),
        "stable was before": status(None, BEFORE.replace(**STABLE.identity_fields)),
        "the first": DataProductStatus(candidate=CANDIDATES["starting"]),
        "none": DataProductStatus(),
    }

    def of(mode: DataProduct, one: DataProductStatus) -> str:
        return laid_out(allocation_of(mode, one, stable_pods=4))

    golden("rules/once.txt", combined(of, MODES, found))


def test_how_replicas_split_the_traffic(golden):
    rows = [
        f"{weight:2} % of {stable}: {' + '.join(map(str, split_by_replicas(weight, stable)))}"
        for weight in (0, 1, 5, 20, 25, 33, 50, 60, 75, 90, 99)
        for stable in (1, 2, 3, 4, 7, 10)
    ]
    golden("rules/replicas.txt", rows)


def test_the_pods_that_all_of_the_traffic_needs(golden):
    def of(mode: DataProduct, one: Candidate | None, known: int, pods: int) -> str:
        one = one and one.replace(capacity=known)
        found = with_capacity(mode, status(one), pods).candidate
        return "-" if found is None else str(found.capacity)

    modes = named(MODES, "scaled", "scaled, no route")
    known = {"unknown": 0, "4 known": 4}
    pods = {f"{one} pods": one for one in (2, 4, 5, 8, 12)}
    golden("rules/capacity.txt", combined(of, modes, CANDIDATES, known, pods))


def test_how_far_a_share_is_verified(golden):
    def of(weight: int, requests: Requests, seconds: int, gateway: bool) -> str:
        accepted = (VerificationLevel.ACCEPTED, "accepted")
        one = verify_share(accepted, weight, requests, seconds=seconds, gateway=gateway)
        share = "-" if one.share is None else f"{one.share:.3f}"
        return f"{one.level.name}{' enough' * one.enough}{' mismatched' * one.mismatched} {share} of {one.requests}: {one.message}"

    weights = {f"{one} %": one for one in (0, 5, 50, 100)}
    counts = (
        (0, 0), (49, 0), (40, 9), (40, 10), (395, 5), (380, 20), (361, 39), (360, 40), (359, 41), (399, 0),
        (400, 0), (0, 400), (390, 10), (391, 9), (391, 10), (220, 180), (310, 90),
    )  # fmt: skip
    requests = {
        f"{one} + {other}": Requests(stable=one, candidate=other, blocks=3) for one, other in counts
    }
    requests["2 blocks of 1 + 1"] = Requests(stable=1, candidate=1, blocks=2)
    seconds, counted = {"59 s": 59, "60 s": 60}, {"counted by pods": False, "by the gateway": True}
    golden("rules/shares.txt", combined(of, weights, requests, seconds, counted))
    written = verify_share(
        (VerificationLevel.WRITTEN, "written"), 5, Requests(stable=1, candidate=3), seconds=9
    )
    assert written == Split(VerificationLevel.WRITTEN, "written", 0.75, 4)


def test_when_pods_may_go():
    for stable in (True, False):
        quiet = {"quiet_stable" if stable else "quiet_candidate": 1}
        assert not is_drained(Requests(**quiet), stable=stable, pods=1)
        assert is_drained(Requests(**dict.fromkeys(quiet, 2)), stable=stable, pods=1)
        other = {"quiet_candidate" if stable else "quiet_stable": 9}
        assert not is_drained(Requests(**other), stable=stable, pods=1)
        assert is_drained(Requests(), stable=stable, pods=0)


@cache
def live_route() -> RouteRecord:
    found = serving().observation().route
    assert found is not None
    return replace(found, weights=(("a", 95), ("b", 5), ("c", 0)))


class Gateway:
    def __init__(self, word: str) -> None:
        self._word = word

    def objection(self, section: str | None) -> str:
        return f"{self._word} {section}" if self._word else ""


def test_whether_a_route_is_accepted(golden):
    one = ParentStatus("gateway", "web", "", True, True, 2, "")
    parents = {
        "no parent": (),
        "accepted": (one,),
        "accepted before": (replace(one, observed=1),),
        "accepted later": (replace(one, observed=3),),
        "not accepted": (replace(one, accepted=False, message="no"),),
        "not resolved": (replace(one, resolved=False, message="no Service"),),
        "accepted by one of two": (replace(one, accepted=False, message="no"), one),
        "accepted by one before": (
            replace(one, accepted=False, message="no"),
            replace(one, observed=1),
        ),
        "another section": (replace(one, section="https"),),
        "another Gateway": (replace(one, name="other"),),
        "another namespace": (replace(one, namespace="catalog"),),
    }
    references = {
        "web": (ParentRef(name="web", namespace="gateway"),),
        "web of its namespace": (ParentRef(name="web"),),
        "a section": (ParentRef(name="web", namespace="gateway", section_name="https"),),
        "two": (
            ParentRef(name="web", namespace="gateway"),
            ParentRef(name="other", namespace="gateway"),
        ),
    }

    def of(told: Any, asked: Any, word: str) -> str:
        route = replace(live_route(), parents=told)
        gateways = {Key("gateway", "web"): Gateway(word)}
        level, message = verify_acceptance(route, {"a": 95, "b": 5, "d": 0}, asked, gateways)
        return f"{level.name}{' taken' * is_taken(route, asked)}: {message}"

    doors = {"up": "", "down": "isn't programmed"}
    golden("rules/acceptance.txt", combined(of, parents, references, doors))
    assert verify_acceptance(None, {}, ()) == (VerificationLevel.NONE, "the route isn't there yet")
    others = {"other weights": {"a": 100}, "none": {}, "more": {"a": 95, "b": 5, "d": 1}}
    words = {name: verify_acceptance(live_route(), weights, ()) for name, weights in others.items()}
    lines = (f"{name}: {level.name}: {text}" for name, (level, text) in words.items())
    golden("rules/weights.txt", lines)
