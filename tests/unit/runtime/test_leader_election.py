"""Who leads, and until when: each way in which a leader, its connection or the Lease may fail.

The promises are numbers here: another replica leads fifteen seconds after the last renewal at the
latest that it saw, and never while the one before may still write.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from benchmarks.virtual.event_loop import virtual_loop
from sluicegate.kube.leases import LeaseRecord
from sluicegate.runtime.leader_election import LeaseTiming
from sluicegate.runtime.metrics import LEADING_GAUGE, NAME
from tests.support.apiserver.leases import LeaseServer, Replica, with_time_limit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


DURATION = 15.0
DEADLINE = 10.0
RETRY = 2.0
LOOK = 1.0


async def two() -> tuple[LeaseServer, Replica, Replica]:
    """Return an elector that leads and renews, and a waiting elector that has observed it."""
    server = LeaseServer()
    first = Replica("first", server).start()
    await first.leads()
    second = Replica("second", server).start()
    await asyncio.sleep(5.0)
    assert first.leading
    assert not second.leading
    return server, first, second


def last_renewal(server: LeaseServer, name: str) -> float:
    return max(moment for moment, holder in server.log if holder == name)


# ---- one that leads -------------------------------------------------------------------------
@with_time_limit
async def test_the_only_replica_leads_at_once_and_keeps_leading():
    server = LeaseServer()
    only = Replica("first", server).start()
    assert await only.leads() <= LOOK
    await asyncio.sleep(300.0)
    assert only.leading
    assert len(only.led) == 1
    gaps = [b - a for (a, _), (b, _) in zip(server.log, server.log[1:], strict=False)]
    assert max(gaps) == pytest.approx(RETRY, abs=0.001)
    assert LEADING_GAUGE.labels(NAME)._value.get() == 1


@with_time_limit
async def test_a_lease_has_its_holder_its_times_and_the_number_of_transitions():
    server, first, second = await two()
    assert server.stored
    stored = server.stored
    assert (stored.holder, stored.duration_seconds, stored.transitions) == ("first", 15, 0)
    assert stored.acquired
    assert stored.renewed
    assert stored.acquired <= stored.renewed
    await first.kill()
    await second.leads()
    assert (server.stored.holder, server.stored.transitions) == ("second", 1)
    assert server.stored.acquired > stored.acquired
    assert second.elector.holder == "second"
    assert second.elector.identity == "second"


@with_time_limit
async def test_a_restarted_replica_with_the_same_name_acquires_its_own_lease_at_once():
    loop = virtual_loop()
    server, first, second = await two()
    await second.kill()
    await first.kill()
    again = Replica("first", server).start()
    before = loop.time()
    assert await again.leads() - before <= LOOK
    assert server.stored.transitions == 0


@with_time_limit
async def test_exactly_one_of_two_replicas_that_find_a_free_lease_leads():
    server = LeaseServer()
    both = [Replica(name, server) for name in ("first", "second")]
    for one in both:
        one.line.request_seconds = 0.5  # both have read before either has written
        one.start()
    await asyncio.sleep(60.0)
    assert [one.leading for one in both].count(True) == 1
    assert sum(len(one.led) for one in both) == 1


# ---- one that fails -------------------------------------------------------------------------
async def killed(server: LeaseServer, first: Replica) -> None:
    await first.kill()


async def cut_off(server: LeaseServer, first: Replica) -> None:
    first.line.cut = True


async def unanswered(server: LeaseServer, first: Replica) -> None:
    first.line.request_seconds = 3600.0


@pytest.mark.parametrize("fails", [killed, cut_off, unanswered])
@with_time_limit
async def test_a_standby_leads_fifteen_seconds_and_one_poll_after_the_last_observed_renewal(
    fails: Callable[..., Awaitable[None]],
):
    server, first, second = await two()
    await fails(server, first)
    begun = await second.leads()
    since = begun - last_renewal(server, "first")
    assert DURATION <= since <= DURATION + 2 * LOOK
    await asyncio.sleep(60.0)
    assert second.leading
    assert not first.leading
    assert first.led[-1][1] <= begun


@pytest.mark.parametrize("fails", [cut_off, unanswered])
@with_time_limit
async def test_a_leader_with_failing_renewals_stops_ten_seconds_after_the_last_one(fails):
    server, first, _ = await two()
    await fails(server, first)
    ended = await first.ends()
    assert ended - last_renewal(server, "first") == pytest.approx(DEADLINE, abs=0.1)
    assert not first.elector.leading
    assert first.elector.valid_until == float("-inf")
    assert LEADING_GAUGE.labels(NAME)._value.get() == 0


@with_time_limit
async def test_a_leader_whose_connection_recovers_in_time_keeps_leading():
    _, first, second = await two()
    first.line.cut = True
    await asyncio.sleep(DEADLINE - 2 * RETRY)
    first.line.cut = False
    await asyncio.sleep(60.0)
    assert len(first.led) == 1
    assert first.leading
    assert not second.led


@with_time_limit
async def test_a_lease_is_valid_from_the_time_its_renewal_was_sent():
    server = LeaseServer()
    first = Replica("first", server)
    first.line.answer_seconds = 1.4
    first.start()
    await first.leads()
    for _ in range(100):
        await asyncio.sleep(0.3)
        # What is stored since then counts for the others from the moment it was stored.
        assert first.elector.valid_until <= last_renewal(server, "first") + DURATION


@pytest.mark.parametrize("late", ["request_seconds", "answer_seconds"])
@with_time_limit
async def test_a_lease_response_later_than_three_seconds_counts_as_failed(late):
    server, first, _ = await two()
    setattr(first.line, late, 3.2)
    known = first.elector.valid_until
    await asyncio.sleep(6.0)
    assert first.elector.valid_until <= known + RETRY  # one that was under way
    assert server.stored.holder == "first"


@with_time_limit
async def test_a_resumed_process_does_not_lead_with_its_expired_lease():
    loop = virtual_loop()
    _, first, second = await two()
    await second.kill()
    loop.skip(DURATION + 1)
    assert not first.elector.leading
    assert first.elector.valid_until < loop.time()
    await asyncio.sleep(0.0)
    await asyncio.sleep(0.1)
    assert len(first.led) == 1 or first.led[0][1] <= loop.time()


@with_time_limit
async def test_a_resumed_former_leader_becomes_a_standby():
    loop = virtual_loop()
    server, first, _ = await two()
    server.edit(holder="third")  # taken while this process was frozen
    loop.skip(DURATION + 1)
    await asyncio.sleep(10.0)
    assert not first.leading
    assert first.elector.holder == "third"


# ---- the Lease in other hands ---------------------------------------------------------------
@with_time_limit
async def test_no_write_is_sent_after_the_lease_was_lost():
    server, first, _ = await two()
    server.edit(holder="third")
    await asyncio.sleep(RETRY + 0.1)
    assert not first.leading
    assert first.after == [float("-inf")]  # already while its work was being ended
    assert first.elector.valid_until == float("-inf")


@with_time_limit
async def test_a_lease_edited_to_another_holder_is_awaited_until_it_expires():
    loop = virtual_loop()
    server, first, second = await two()
    server.edit(holder="third")
    edited = loop.time()
    await asyncio.sleep(60.0)
    begun = [led[-1][0] for led in (first.led[1:], second.led) if led]
    assert begun
    assert min(begun) - edited >= DURATION


@with_time_limit
async def test_a_lease_edited_without_a_new_holder_is_renewed():
    server, first, second = await two()
    server.edit(transitions=7)
    await asyncio.sleep(60.0)
    assert len(first.led) == 1
    assert first.leading
    assert not second.led
    assert server.stored.transitions == 7


@with_time_limit
async def test_a_deleted_lease_is_not_acquired_while_its_holder_may_still_write():
    server, first, second = await two()
    first.line.cut = True  # so it doesn't notice
    server.delete()
    until = first.elector.valid_until
    begun = await second.leads()
    assert begun >= until
    assert begun <= until + 2 * LOOK


@with_time_limit
async def test_a_leader_whose_lease_is_deleted_stops_and_another_replica_becomes_leader():
    loop = virtual_loop()
    server, first, second = await two()
    server.delete()
    await asyncio.sleep(RETRY + 0.1)
    assert first.led[0][1] <= loop.time()
    await asyncio.sleep(20.0)
    assert [first.leading, second.leading].count(True) == 1


@with_time_limit
async def test_an_unheld_lease_is_acquired_at_once():
    server = LeaseServer(LeaseRecord(holder="", resource_version="0"))
    begun = await Replica("first", server).start().leads()
    assert begun <= LOOK


@with_time_limit
async def test_the_lease_of_another_replica_is_awaited_from_its_first_observation():
    """Its renewal may be a moment old: its holder counts from before that."""
    loop = virtual_loop()
    loop.skip(100.0)
    server = LeaseServer(LeaseRecord(holder="gone", resource_version="0"))
    begun = await Replica("first", server).start().leads()
    assert DURATION <= begun - 100.0 <= DURATION + LOOK


@with_time_limit
async def test_a_lease_lasts_for_the_duration_set_by_its_holder():
    stored = LeaseRecord(holder="gone", duration_seconds=40, resource_version="0")
    begun = await Replica("first", LeaseServer(stored)).start().leads()
    assert 40 <= begun <= 40 + LOOK


# ---- giving it back -------------------------------------------------------------------------
@with_time_limit
async def test_a_released_lease_is_acquired_at_the_next_check_of_a_standby():
    loop = virtual_loop()
    server, first, second = await two()
    await first.elector.release()
    assert first.elector.valid_until == float("-inf")
    assert server.stored.holder == ""
    given = loop.time()
    await first.kill()
    assert await second.leads() - given <= LOOK


@with_time_limit
async def test_a_replica_releases_only_its_own_lease(caplog):
    caplog.set_level("INFO")
    server, first, _ = await two()
    server.edit(holder="third")
    await first.elector.release()
    assert server.stored.holder == "third"
    assert "lease released" not in caplog.text


@with_time_limit
async def test_a_stopped_leader_holds_the_lease_until_it_releases_it(caplog):
    caplog.set_level("INFO")
    server, first, _ = await two()
    await first.kill()
    assert first.elector.leading
    await first.elector.release()
    assert server.stored.holder == ""
    assert "lease released" in caplog.text


@with_time_limit
async def test_the_release_of_a_deleted_lease_does_not_create_it():
    server, first, second = await two()
    await second.kill()
    server.delete()
    await first.elector.release()
    assert server.stored is None


@with_time_limit
async def test_a_standby_releases_no_lease():
    server, _, second = await two()
    written = len(server.log)
    await second.elector.release()
    assert len(server.log) == written
    assert server.stored.holder == "first"


# ---- what leading leads to ------------------------------------------------------------------
@with_time_limit
async def test_an_error_in_the_work_of_the_leader_is_raised():
    replica = Replica("first", LeaseServer())

    async def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await replica.elector.run(broken)
    assert LEADING_GAUGE.labels(NAME)._value.get() == 0


@with_time_limit
async def test_leader_work_that_ends_early_is_restarted_while_the_lease_holds():
    loop = virtual_loop()
    replica = Replica("first", LeaseServer())
    begun: list[float] = []

    async def short() -> None:
        begun.append(loop.time())
        await asyncio.sleep(3.0)

    task = asyncio.ensure_future(replica.elector.run(short))
    await asyncio.sleep(10.0)
    task.cancel()
    await asyncio.wait({task})
    assert len(begun) >= 3


def test_the_default_lease_timings_are_the_documented_ones():
    timing = LeaseTiming()
    assert (timing.duration, timing.renew_deadline, timing.retry) == (DURATION, DEADLINE, RETRY)
    assert (timing.call, timing.poll_interval) == (3.0, LOOK)


@pytest.mark.parametrize(
    ("timing", "field"),
    [
        ({"renew_deadline": 5.0}, "renew deadline"),  # = call + retry: none would be in time
        ({"duration": 14.9}, "duration"),  # < deadline + the 5 s that a write needs
    ],
)
def test_lease_timings_at_the_limit_of_safety_are_accepted(timing, field):
    with pytest.raises(ValueError, match=field):
        LeaseTiming(**timing)
    safe = {name: value + 0.1 for name, value in timing.items()}
    assert LeaseTiming(**safe)
