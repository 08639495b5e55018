"""Watches that lose what happened: silence, and a break in the middle of an event; the first lists.

tests/unit/virtual/test_virtual_api_server has watches whose version is too old.
"""

from __future__ import annotations

import time
from functools import partial

import pytest

from sluicegate.reconcile.live.children import watched
from tests.support.failures.faults import (
    WATCHES,
    WRITES,
    Answer,
    ArrivedRequest,
    CutInLine,
    Requests,
    Silence,
)
from tests.support.failures.proxied_operator import RECOVERY_SECONDS
from tests.support.waiting import eventually

INACTIVITY_SECONDS = 70.0
"""A watch that is silent for so long is taken for dead; the server's bookmarks come each minute."""


def delete(operator, kind: str, name: str) -> None:
    operator.plane.kubectl("delete", kind, name, "-n", operator.namespace, "--wait=false")


def lists(operator, since: float = 0.0) -> list[ArrivedRequest]:
    """Return the operator's own lists of Services, which would find what a watch didn't report."""
    found = operator.proxy.matching(Requests(path="/services$", watch=False), since=since)
    return [one for one in found if one.agent == "sluicegate"]


@pytest.mark.timeout(240)
def test_a_silent_watch_is_detected_by_its_silence_alone(operator, promises):
    operator.serve("cars")
    # At first, as the watches begin, and half a minute later.
    eventually(lambda: len(lists(operator)) >= 3, seconds=60, what="the lists after the start")
    with operator.proxy.broken(Silence(), WATCHES) as silence:
        pass  # those that are open now stay silent, new ones speak
    assert silence.uses >= len(watched())
    silent = time.monotonic()
    delete(operator, "service", "cars")
    eventually(
        lambda: operator.has_service("cars"),
        seconds=INACTIVITY_SECONDS + RECOVERY_SECONDS,
        what="the Service",
    )
    print(f"a silent watch was made up for after {time.monotonic() - silent:.1f} s")
    assert not lists(operator, since=silent)
    assert operator.replica.leads()
    promises.check_without_data()


def test_a_watch_broken_within_an_event_loses_no_event(operator, promises):
    operator.serve("cars")
    with operator.proxy.broken(CutInLine(), WATCHES) as cut:
        pass  # those that are open now break with their next event
    assert cut.uses >= len(watched())
    broken = time.monotonic()
    operator.apply(operator.routed("cars", serving={"replicas": 2}))
    operator.recovers(what="watches broke in the middle of an event", cars=2)

    def begun(kind: str) -> bool:
        again = operator.proxy.matching(WATCHES, since=broken)
        return any(one.path.endswith(f"/{kind}") for one in again)

    for kind in ("dataproducts", "deployments"):  # each had an event, so each broke
        eventually(partial(begun, kind), what=f"a new watch of {kind}")
    promises.check_without_data()


def test_no_write_is_sent_before_every_kind_was_listed(start):
    """Not even a lease, though all that a product is made of could be."""
    last = watched()[-1].resource
    missing = Requests(path=f"/{last.plural}$", watch=False)
    with start(born_into=Answer(503), among=missing) as operator:
        operator.apply(operator.routed("cars"))
        eventually(lambda: len(operator.proxy.matching(missing)) >= 3, what="three attempts")
        for one in watched()[:-1]:
            listed = operator.proxy.matching(Requests(path=f"/{one.resource.plural}$", watch=False))
            assert [request.answer for request in listed] == [200], one.resource.plural
        assert not operator.proxy.matching(Requests(methods=WRITES.methods))
        operator.proxy.restore()
        operator.recovers(what=f"{last.plural} could be listed", cars=1)
