"""The API server is away for a while, or answers nothing that helps, in each way it can.

All ways at once, each to an operator of its own behind its own proxy, as the length counts: it
must exceed the lease and every time-out and back-off that grows. `--outage-seconds` sets it.
"""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from cluster.errors import ClusterError
from tests.support.faults import (
    EVERYTHING,
    NOT_LEASES,
    WATCHES,
    WRITES,
    Answer,
    Delay,
    Fault,
    Hang,
    LoseAnswer,
    Requests,
)
from tests.support.kept_promises import Promises
from tests.support.proxied_operator import RECOVERY_SECONDS, ProxiedOperator, proxied_operator
from tests.support.replicas import SHIPPED_LEASE
from tests.support.waiting import eventually, took

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.bar,
]  # whichever comes first waits for all outages

RETRY_AFTER = 7
IN_FLIGHT_SECONDS = 0.25
"""A request that arrives so soon after another was sent before the other's answer was read."""
PODS = {"cars": 2, "late": 1}


def refused(operator: ProxiedOperator) -> AbstractContextManager[Any]:
    return operator.proxy.refusing()


def frozen(operator: ProxiedOperator) -> AbstractContextManager[Any]:
    return operator.proxy.frozen()


def broken(
    fault: Fault, requests: Requests = EVERYTHING
) -> Callable[[ProxiedOperator], AbstractContextManager[Any]]:
    return lambda operator: operator.proxy.broken(fault, requests)


@contextmanager
def swallowed(operator: ProxiedOperator) -> Iterator[None]:
    """Requests are taken and never answered; what was sent before the end stays unanswered."""
    with operator.proxy.broken(Hang()):
        operator.proxy.cut()
        yield


@contextmanager
def unknown(operator: ProxiedOperator) -> Iterator[None]:
    """Its token isn't valid any more, and only at the end there is a new one."""
    operator.account.revoke()
    yield
    operator.account.issue()


@dataclass(frozen=True, slots=True)
class Way:
    """A way of being away; with `leads`, the operator keeps the lease and may go on leading."""

    begin: Callable[[ProxiedOperator], AbstractContextManager[Any]]
    leads: bool = False
    lease: Mapping[str, str] = field(default_factory=dict)


WAYS = {
    "nobody listens": Way(refused),
    "everything is answered with 503": Way(broken(Answer(503, "ServiceUnavailable"))),
    "connections are made and nothing answers": Way(frozen),
    "requests are taken and never answered": Way(swallowed),
    "everything is answered with 404": Way(broken(Answer(404, "NotFound"))),
    "the token is refused": Way(unknown),
    "writes are answered with 503": Way(broken(Answer(503), WRITES), leads=True),
    "writes are answered with 409": Way(broken(Answer(409, "Conflict"), WRITES), leads=True),
    "writes are carried out and the answers lost": Way(broken(LoseAnswer(), WRITES), leads=True),
    "all but the lease is answered with 429": Way(
        broken(
            Answer(429, "TooManyRequests", {"Retry-After": str(RETRY_AFTER)}),
            NOT_LEASES,
        ),
        leads=True,
    ),
    # The shorter lease of the tests would be lost with one renewal that takes a second longer.
    "answers come two seconds late": Way(broken(Delay(2.0)), leads=True, lease=SHIPPED_LEASE),
}
# A watch that is open already isn't touched by these; it has to be asked for anew.
CUT_AT_FIRST = {
    "everything is answered with 503",
    "everything is answered with 404",
    "all but the lease is answered with 429",
    "answers come two seconds late",
}


@dataclass(slots=True)
class Course:
    """How one operator came through."""

    operator: ProxiedOperator
    began: float = 0.0
    ended: float = 0.0
    recovered: float | None = None
    led_at_the_end: bool = False
    unhealthy: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def seconds(outage_seconds: float) -> float:
    return outage_seconds


@pytest.fixture(scope="module")
def courses(control_plane, tmp_path_factory, seconds) -> Iterator[dict[str, Course]]:
    """What came of all ways at once."""
    with ExitStack() as stack:
        courses: dict[str, Course] = {}
        for number, (name, way) in enumerate(WAYS.items()):
            namespace = f"outage-{number}"
            control_plane.kubectl("create", "namespace", namespace)
            folder = tmp_path_factory.mktemp(namespace)
            started = proxied_operator(control_plane, namespace, folder, extra=way.lease)
            courses[name] = Course(stack.enter_context(started))
        for course in courses.values():
            course.operator.apply(course.operator.routed("cars"))
        for course in courses.values():
            course.operator.until_ready("cars", seconds=120)
            eventually(course.operator.settled, what="nothing more to do")
        go_through(courses, seconds)
        await_recovery(courses)
        yield courses


def go_through(courses: dict[str, Course], seconds: float) -> None:
    """Break everything, let people and the cluster go on meanwhile, and mend it."""
    with ExitStack() as faults:
        for name, course in courses.items():
            course.began = time.monotonic()
            faults.enter_context(WAYS[name].begin(course.operator))
            if name in CUT_AT_FIRST:
                course.operator.proxy.cut(WATCHES)
        for course in courses.values():
            operator = course.operator
            operator.apply(
                operator.routed("cars", serving={"replicas": 2}), operator.routed("late")
            )
            operator.plane.kubectl(
                "delete", "service", "cars", "-n", operator.namespace, "--wait=false"
            )
        until = max(course.began for course in courses.values()) + seconds
        while time.monotonic() < until:
            look_at(courses)
            time.sleep(1)  # the outage itself: its length is what is tested
        for course in courses.values():
            course.led_at_the_end = course.operator.replica.leads()
    for course in courses.values():
        course.ended = time.monotonic()


def look_at(courses: dict[str, Course]) -> None:
    for course in courses.values():
        status, text = course.operator.replica.get("/healthz")
        if status != 200:
            course.unhealthy.append(text)


def await_recovery(courses: dict[str, Course]) -> None:
    """Look at all in turn, so that a slow one doesn't spoil the others' times."""
    waiting = dict(courses)

    def all_are_well() -> bool:
        for name, course in list(waiting.items()):
            if is_well(course.operator):
                course.recovered = time.monotonic() - course.ended
                del waiting[name]
        return not waiting

    with suppress(AssertionError):  # each way's own test says so
        eventually(all_are_well, seconds=2 * RECOVERY_SECONDS)


def is_well(operator: ProxiedOperator) -> bool:
    try:
        return operator.well(**PODS) and operator.has_service("cars")
    except ClusterError:
        return False  # no answer yet


@pytest.fixture(params=list(WAYS))
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def course(courses, way) -> Course:
    return courses[way]


def test_what_people_and_the_cluster_did_meanwhile_is_made_up_for(course, way):
    assert course.recovered is not None, course.operator.replica.tail()
    took(course.recovered, RECOVERY_SECONDS, f"recovery after {way}")


def test_nothing_is_lost_nothing_decided_and_stable_never_without_pods(course):
    operator = course.operator
    Promises(operator.plane, operator.namespace, operator.replica).check_without_data()


def test_it_is_no_reason_to_restart_the_operator(course):
    assert not course.unhealthy


def test_a_leader_stops_leading_when_it_cannot_renew_and_else_goes_on(course, way):
    assert course.led_at_the_end == WAYS[way].leads


def test_nobody_is_asked_again_and_again(course):
    """Less often than each second and target on the average: back-offs grow."""
    during = [one for one in course.operator.proxy.seen() if course.began <= one.at <= course.ended]
    targets: dict[str, int] = {}
    for one in during:
        if "/leases" not in one.path:
            targets[one.target] = targets.get(one.target, 0) + 1
    most = max(targets.values(), default=0)
    busiest = [f"{count} × {target}" for target, count in targets.items() if count == most]
    assert most <= (course.ended - course.began) / 2 + 10, busiest


def test_a_server_that_asks_for_patience_is_given_it(courses):
    """No request, of any kind, comes sooner than it was asked for."""
    course = courses["all but the lease is answered with 429"]
    refused_at: dict[str, float] = {}
    for one in course.operator.proxy.seen(NOT_LEASES, since=course.began):
        if one.at > course.ended:
            break
        waited = one.at - refused_at.get(one.target, float("-inf"))
        crossed = waited < IN_FLIGHT_SECONDS
        assert crossed or waited >= RETRY_AFTER, f"{one.target} after {waited:.1f} s"
        if one.answer == 429 and not crossed:
            refused_at[one.target] = one.at


def test_the_next_change_is_carried_out_as_ever(course):
    operator = course.operator
    operator.apply(operator.routed("next"))
    eventually(lambda: operator.scaled("next", 1), seconds=60, what="the next product")
