"""How far a split is verified: by its Gateways' words, and by the requests that were counted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sluicegate.api.route import ParentRef
from sluicegate.kube.resources import Key
from sluicegate.measurement.canary_blocks import Requests, count_requests
from sluicegate.reconcile.live.children import ParentStatus, RouteRecord
from sluicegate.reconcile.traffic.split_verification import (
    VerificationLevel,
    is_drained,
    verify_acceptance,
    verify_draws,
    verify_share,
)
from sluicegate.slo.blocks import Block, Quality
from sluicegate.stats.counts import Count

WEB = ParentRef(name="web", namespace="gateway")
EDGE = ParentRef(name="edge", namespace="gateway")


def route(*parents: ParentStatus, generation: int = 2, **weights: int) -> RouteRecord:
    key = Key("catalog", "search")
    return RouteRecord(
        key=key, parent=key, uid="1", version=1, owner="1", fingerprint="",
        generation=generation, weights=tuple((weights or {"a": 75, "b": 25}).items()),
        parents=parents,
    )  # fmt: skip


def told(name: str = "web", *, accepted=True, resolved=True, observed=2) -> ParentStatus:
    return ParentStatus("gateway", name, "", accepted, resolved, observed, "NoMatchingParent: no")


@pytest.mark.parametrize(
    ("found", "parents", "level", "says"),
    [
        (None, [WEB], VerificationLevel.NONE, "isn't there yet"),
        (route(told(), a=100), [WEB], VerificationLevel.NONE, "instead of a 75, b 25"),
        (route(told(), a=75, b=25, c=0), [WEB], VerificationLevel.ACCEPTED, "has accepted"),
        (route(), [WEB], VerificationLevel.WRITTEN, "has no status"),
        (route(told(observed=1)), [WEB], VerificationLevel.WRITTEN, "newest generation"),
        (route(told(accepted=False)), [WEB], VerificationLevel.WRITTEN, "NoMatchingParent"),
        (route(told(resolved=False)), [WEB], VerificationLevel.WRITTEN, "does not accept"),
        (route(told()), [WEB, EDGE], VerificationLevel.WRITTEN, "gateway/edge"),
        (route(told(), told("edge")), [WEB, EDGE], VerificationLevel.ACCEPTED, "has accepted"),
        (route(told(observed=1), told()), [WEB], VerificationLevel.ACCEPTED, "has accepted"),
        (route(told(accepted=False), told()), [WEB], VerificationLevel.ACCEPTED, "has accepted"),
    ],
)
def test_a_route_is_accepted_once_each_parent_accepted_its_newest_generation(
    found, parents, level, says
):
    seen, message = verify_acceptance(found, {"a": 75, "b": 25}, parents)
    assert seen is level
    assert says in message


def drawn(*parents: ParentStatus) -> RouteRecord:
    return replace(route(*parents), fingerprint="f")


@pytest.mark.parametrize(
    ("live", "desired", "level", "says"),
    [
        (None, None, None, ""),
        (drawn(told()), None, VerificationLevel.NONE, "isn't deleted yet"),
        (None, "f", VerificationLevel.NONE, "isn't written yet"),
        (drawn(told()), "g", VerificationLevel.NONE, "isn't written yet"),
        (drawn(told(observed=1)), "f", VerificationLevel.WRITTEN, "newest generation"),
        (drawn(told(accepted=False)), "f", VerificationLevel.WRITTEN, "draws: Gateway gateway/web"),
        (drawn(told()), "f", None, ""),
    ],
)
def test_the_route_of_draws_is_verified_once_each_parent_accepted_it_or_it_was_deleted(
    live, desired, level, says
):
    seen, message = verify_draws(live, desired, [WEB]) or (None, "")
    assert seen is level
    assert says in message


ACCEPTED = (VerificationLevel.ACCEPTED, "each Gateway has accepted the route")


def seen(weight, stable, candidate, *, blocks=9, seconds=600.0, gateway=False, accepted=ACCEPTED):
    requests = Requests(stable, candidate, blocks, measured=blocks)
    return verify_share(accepted, weight, requests, seconds=seconds, gateway=gateway)


@pytest.mark.parametrize(
    ("blocks", "seconds", "enough"), [(3, 60, True), (2, 60, False), (3, 59, False)]
)
def test_fewer_than_50_requests_do_not_verify_a_weight_and_are_awaited_for_three_blocks(
    blocks, seconds, enough
):
    split = seen(50, 49, 0, blocks=blocks, seconds=seconds)
    assert (split.level, split.enough, split.mismatched) == (
        VerificationLevel.ACCEPTED,
        enough,
        False,
    )
    assert "49 requests since then are too few" in split.message


@pytest.mark.parametrize(("measured", "says"), [(0, "aren't measured"), (1, "0 requests since")])
def test_requests_that_are_not_measured_are_not_counted_as_none(measured, says):
    requests = Requests(blocks=3, measured=measured)
    split = verify_share(ACCEPTED, 40, requests, seconds=600.0)
    assert says in split.message
    assert (split.level, split.enough) == (VerificationLevel.ACCEPTED, True)


@pytest.mark.parametrize(
    ("weight", "stable", "candidate", "gateway", "says"),
    [
        (40, 50, 0, False, "none of 50 requests reached the canary; 20 were expected"),
        (40, 41, 9, True, "18.0 % of 50 requests reached the canary at a weight of 40 %"),
        (10, 79, 21, False, "21.0 % of 100 requests reached the canary at a weight of 10 %"),
        (0, 99, 1, False, "1.0 % of 100 requests reached the canary at a weight of 0 %"),
        (50, 0, 328, True, "none of 328 requests reached stable; 164 were expected"),
    ],
    ids=[
        "none",
        "less than half of it",
        "more than twice as much",
        "some after it went back",
        "all",
    ],
)
def test_requests_that_contradict_the_weight_hold_the_rollout(
    weight, stable, candidate, gateway, says
):
    split = seen(weight, stable, candidate, gateway=gateway)
    assert (split.mismatched, split.enough, split.level) == (
        True,
        False,
        VerificationLevel.ACCEPTED,
    )
    assert split.message == says


@pytest.mark.parametrize(
    ("weight", "stable", "candidate", "gateway"),
    [
        (39, 50, 0, False),  # 19.5 were expected
        (40, 40, 10, True),
        (40, 49, 1, False),  # callers past the gateway
        (10, 80, 20, False),
        (0, 100, 0, False),
        (90, 0, 199, False),  # 19.9 were expected of stable
        (39, 46, 4, True),
    ],
)
def test_requests_consistent_with_the_weight_verify_it(weight, stable, candidate, gateway):
    split = seen(weight, stable, candidate, gateway=gateway)
    assert (split.mismatched, split.enough, split.level) == (
        False,
        True,
        VerificationLevel.OBSERVED,
    )


def test_a_route_that_no_gateway_accepted_is_not_verified_by_any_number_of_requests():
    split = seen(
        50, 500, 500, accepted=(VerificationLevel.WRITTEN, "Gateway a/b doesn't take the route")
    )
    assert (split.level, split.enough, split.mismatched) == (
        VerificationLevel.WRITTEN,
        False,
        False,
    )
    assert (split.share, split.requests) == (0.5, 1000)


def blocks(*found: Quality | int) -> list[Block]:
    """Return blocks by the requests that they hold, or by why nothing is known of them."""
    return [
        Block(number, one)
        if isinstance(one, Quality)
        else Block(number, Quality.COUNTED, Count(0, one))
        for number, one in enumerate(found)
    ]


@pytest.mark.parametrize(
    ("found", "quiet"),
    [
        (blocks(5, 0, 0), 2),
        (blocks(0, Quality.NO_SERIES), 2),
        (blocks(0, 5, 0), 1),
        (blocks(0, 0, 5), 0),
        (blocks(0, Quality.UNAVAILABLE, 0), 1),
        (blocks(0, Quality.LOW_COVERAGE), 0),
    ],
)
def test_pods_are_removed_after_two_blocks_without_a_request(found, quiet):
    requests = count_requests(found, blocks(9))
    assert (requests.quiet_stable, requests.quiet_candidate) == (quiet, 0)
    assert is_drained(requests, stable=True, pods=1) is (quiet >= 2)
    assert not is_drained(requests, stable=False, pods=1)
    assert is_drained(requests, stable=False, pods=0)
    assert (requests.candidate, requests.blocks) == (9, max(len(found), 1))
