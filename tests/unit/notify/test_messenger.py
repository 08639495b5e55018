"""The whole messenger on virtual time: killed, cut off from its receivers, and flooded."""

from __future__ import annotations

from collections import defaultdict
from contextlib import asynccontextmanager

import pytest
from jsonschema import Draft202012Validator
from prometheus_client import REGISTRY

from benchmarks.virtual.event_loop import virtually
from benchmarks.virtual.network import NetworkFault
from sluicegate.api.base import rfc3339
from sluicegate.api.names import LABEL_REVIEW
from sluicegate.kube.resources import CONFIG_MAPS, DATA_PRODUCT_REVIEWS, DATA_PRODUCTS, Key
from tests.support.receivers.told_product import ToldProduct
from tests.support.receivers.virtual_messenger import BUS, STATE, MessengerWorld, VirtualReceiver

HOUR = 3600.0
WORDS = {"type": "object", "additionalProperties": {"type": "string"}}
TIME = {"type": "string", "format": "date-time"}
POSTABLE = Draft202012Validator(
    {
        "type": "array",
        "items": {
            "type": "object",
            "required": ["labels"],
            "additionalProperties": False,
            "properties": {
                "labels": WORDS,
                "annotations": WORDS,
                "startsAt": TIME,
                "endsAt": TIME,
                "generatorURL": {"type": "string", "format": "uri"},
            },
        },
    }
)
"""postableAlerts, as Alertmanager's API v2 defines it; no other field is known there."""


def sample(name, **labels):
    return REGISTRY.get_sample_value(name, labels) or 0.0


def by_product(found):
    told = defaultdict(list)
    for one in found:
        told[one.product].append(one.kind)
    return told


class Killer:
    """Kills the messenger at a random one of its next effects, or just before it, and starts another."""

    def __init__(self, told, kills):
        self.told, self.left, self.countdown = told, kills, 0
        self.replica = told.start()
        told.happens = self.strike

    def aim(self):
        self.countdown = self.told.world.dice.randrange(1, 9) if self.left else 0

    def strike(self):
        if self.countdown:
            self.countdown -= 1
            if not self.countdown:
                self.left -= 1
                self.replica.kill()
                self.replica = self.told.start()
                self.aim()


@pytest.mark.slow
@virtually
async def test_a_messenger_killed_fifty_times_sends_each_message_once_and_in_order():
    """Killed at random times, also between a receiver's answer and the write that records it.

    What a receiver gets twice then has the same source and id, by which CloudEvents knows it.
    """
    async with messenger(seed=7, groupProducts=1000) as told:
        dice = told.world.dice
        keys = [told.create(f"product-{number}") for number in range(6)]
        killer = Killer(told, kills=50)
        await told.world.until(lambda: all(map(told.has_cursor, keys)), seconds=120)
        killer.aim()
        for _ in range(200):
            await told.world.run(dice.choice([0.0, 0.0, 0.3, 2.0]))
            # What a status doesn't show any more can't be sent: the next change waits for this one.
            ready = [key for key in keys if told.has_passed_all(key)]
            if not ready:
                await told.world.until(lambda: any(map(told.has_passed_all, keys)), seconds=120)
                ready = [key for key in keys if told.has_passed_all(key)]
            told.any_step(dice.choice(ready))
        await told.settle(200)
        await told.world.run(60)
        assert killer.left == 0
    distinct = told.bus.distinct()
    assert len(distinct) == 200
    assert by_product(distinct) == {str(key): kinds for key, kinds in told.done.items()}
    # A process that is killed leaves at most one message unrecorded.
    assert len(told.bus.got) - len(distinct) <= 50
    state = told.world.server.get(CONFIG_MAPS, STATE)["data"]
    assert not [name for name in state if name[:2] in ("t.", "m.", "s.")]


@asynccontextmanager
async def messenger(**parts):
    """A world of messengers, none of which logs an error: that would be a bug."""
    told = MessengerWorld(**parts)
    async with told.world:
        yield told
    assert not told.world.errors.found


async def started(told, *names, replicas=1):
    keys = [told.create(name) for name in names]
    for _ in range(replicas):
        told.start()
    await told.world.until(lambda: all(map(told.has_cursor, keys)), seconds=120)
    return keys


def kinds(told):
    return [one.kind for one in told.bus.got]


@virtually
async def test_a_sink_receives_its_messages_after_an_outage_without_delaying_other_sinks():
    other = "http://other.example/events"
    sinks = {"bus": BUS, "other": {"kind": "CloudEvents", "url": other}}
    async with messenger(sinks=sinks, routes=[{"to": ["bus", "other"]}]) as told:
        (key,) = await started(told, "search")
        down_until = told.world.loop.wall() + HOUR
        told.bus.answer = lambda now: None if now < down_until else (202, {})
        told.step(key, ToldProduct.degrade)
        await told.world.until(lambda: len(told.receivers[other].got) == 1, seconds=30)
        for step in (ToldProduct.recover, ToldProduct.start, ToldProduct.end):
            await told.world.run(600)
            told.step(key, step)
        await told.settle(4, seconds=HOUR)
        assert min(one.at for one in told.bus.got) >= down_until
    assert kinds(told) == ["degraded", "recovered", "rollout.started", "rolledback"]
    assert [one.kind for one in told.receivers[other].got] == kinds(told)
    # It is left alone for longer and longer: not an attempt each two seconds.
    assert told.bus.tried < 60


@virtually
async def test_thirty_products_that_degrade_at_once_are_reported_in_one_message():
    async with messenger(groupSeconds=30) as told:
        keys = await started(told, *(f"product-{number}" for number in range(30)))
        for key in keys:
            told.step(key, lambda one: one.degrade("PrometheusUnavailable"))
            await told.world.run(0.3)
        await told.settle(1)
        await told.world.run(300)
    (one,) = told.bus.got
    assert one.body["type"] == "dev.sluicegate.products.degraded.v1"
    assert one.data["title"] == "[bad] 30 products are degraded"
    assert one.data["text"].startswith("Common reason: PrometheusUnavailable\n")
    assert len({each["product"] for each in one.data["products"]}) == 30


@virtually
async def test_two_replicas_send_each_message_once():
    async with messenger() as told:
        (key,) = await started(told, "search", replicas=2)
        told.step(key, ToldProduct.degrade)
        await told.settle(1)
        leader = told.world.leader()
        await leader.stop()
        told.step(key, ToldProduct.recover)
        await told.settle(2)
        await told.world.run(120)
    assert kinds(told) == ["degraded", "recovered"]


@virtually
async def test_a_cursor_write_without_a_response_sends_no_message_twice():
    async with messenger() as told:
        (key,) = await started(told, "search")
        lost = iter([NetworkFault.UNANSWERED, NetworkFault.SWALLOWED, NetworkFault.UNANSWERED])
        told.world.network.faults["lost"] = lambda _, request: (
            next(lost, None) if request.verb == "patch" else None
        )
        told.step(key, ToldProduct.degrade)
        await told.settle(1)
        told.step(key, ToldProduct.recover)
        await told.settle(2)
        await told.world.run(120)
    assert [one.kind for one in told.bus.distinct()] == ["degraded", "recovered"]


@virtually
async def test_a_flapping_state_sends_one_message_and_then_its_final_state():
    async with messenger(foldSeconds=600) as told:
        (key,) = await started(told, "search")
        for step in (ToldProduct.degrade, ToldProduct.recover) * 3 + (ToldProduct.degrade,):
            told.step(key, step)
            await told.world.run(60)
        await told.world.run(900)
    assert kinds(told) == ["degraded", "recovered", "degraded"]
    assert told.bus.got[-1].data["folded"] == 4


@virtually
async def test_a_flapping_state_that_returns_to_its_start_sends_no_second_message():
    async with messenger(foldSeconds=600) as told:
        (key,) = await started(told, "search")
        for step in (ToldProduct.degrade, ToldProduct.recover) * 3:
            told.step(key, step)
            await told.world.run(60)
        await told.world.run(900)
    assert kinds(told) == ["degraded", "recovered"]


@virtually
async def test_an_outage_soon_after_another_outage_is_sent():
    async with messenger(foldSeconds=600) as told:
        (key,) = await started(told, "search")
        told.step(key, lambda one: one.lose_metrics("UnreadableSeries"))
        await told.world.run(60)
        told.step(key, ToldProduct.find_metrics)
        await told.world.run(60)
        told.step(key, ToldProduct.lose_metrics)
        await told.world.run(500)
        told.step(key, ToldProduct.find_metrics)
        await told.world.run(900)
    assert kinds(told) == ["metrics.lost", "metrics.restored"] * 2


@virtually
async def test_a_suppressed_outage_message_is_named_in_the_next_message():
    async with messenger(foldSeconds=600) as told:
        (key,) = await started(told, "search")
        for step in (ToldProduct.lose_metrics, ToldProduct.find_metrics) * 2:
            told.step(key, step)
            await told.world.run(60)
        await told.world.run(900)
    assert kinds(told) == ["metrics.lost", "metrics.restored", "metrics.restored"]
    assert "; not measured from " in told.bus.got[-1].data["message"]


@virtually
async def test_a_message_refused_by_a_sink_for_too_long_is_dropped():
    dropped = sample("sluicegate_notify_dropped_total", sink="bus", cause="too_old")
    async with messenger(dropAfterSeconds=3600) as told:
        (key,) = await started(told, "search")
        told.bus.answer = lambda _: (500, {})
        told.step(key, ToldProduct.degrade)
        await told.world.run(1.1 * HOUR)
        told.bus.answer = lambda _: (202, {})
        told.step(key, ToldProduct.recover)
        await told.settle(1)
    assert kinds(told) == ["recovered"]
    assert sample("sluicegate_notify_dropped_total", sink="bus", cause="too_old") == dropped + 1


@virtually
async def test_a_refused_message_does_not_delay_others():
    async with messenger() as told:
        keys = await started(told, "search", "pricing")
        answers = iter([(422, {})])
        told.bus.answer = lambda _: next(answers, (202, {}))
        told.step(keys[0], ToldProduct.degrade)
        await told.world.until(lambda: told.bus.tried == 1, seconds=30)
        told.step(keys[0], ToldProduct.recover)
        await told.settle(1)
    assert kinds(told) == ["recovered"]


@virtually
async def test_a_retry_after_of_a_receiver_delays_the_next_attempt():
    async with messenger() as told:
        (key,) = await started(told, "search")
        begun = told.world.loop.wall()
        answers = iter([(429, {"Retry-After": "600"})])
        told.bus.answer = lambda _: next(answers, (202, {}))
        told.step(key, ToldProduct.degrade)
        await told.settle(1, seconds=1200)
        assert told.bus.got[0].at - begun >= 600
        assert told.bus.tried == 2


@virtually
async def test_a_slow_message_of_one_product_does_not_delay_those_of_others():
    async with messenger() as told:
        keys = await started(told, "search", "pricing")

        def poisoned(_):
            return (500, {}) if told.bus.tried in {1, 3} else (202, {})

        told.bus.answer = poisoned
        told.step(keys[0], ToldProduct.degrade)
        await told.world.until(lambda: told.bus.tried == 1, seconds=30)
        told.step(keys[1], ToldProduct.degrade)
        told.step(keys[0], ToldProduct.start)
        await told.settle(3)
    assert by_product(told.bus.got)["catalog/search"] == ["degraded", "rollout.started"]


@virtually
async def test_a_deleted_cursor_config_map_is_recreated_and_repeats_only_lasting_states():
    async with messenger() as told:
        (key,) = await started(told, "search")
        told.step(key, ToldProduct.start)
        told.step(key, ToldProduct.promote)
        told.step(key, ToldProduct.degrade)
        await told.settle(2)
        told.world.server.delete(CONFIG_MAPS, STATE)
        told.step(key, ToldProduct.stall)
        await told.world.run(120)
    found = kinds(told)
    assert found[-2:] == ["degraded", "stalled"]
    assert found.count("promoted") == 1


@virtually
async def test_each_stage_of_a_review_and_its_closing_send_a_message():
    async with messenger() as told:
        (key,) = await started(told, "search")
        reviews, name = told.world.server, Key(key.namespace, "search-2025-12")
        uid = told.world.product(key)["metadata"]["uid"]
        period = {"startTime": "2025-12-01T00:00:00Z", "endTime": "2026-01-01T00:00:00Z"}
        meta = {"name": name.name, "namespace": name.namespace, "labels": {LABEL_REVIEW: "open"}}
        reviews.create(
            DATA_PRODUCT_REVIEWS,
            {
                "metadata": meta,
                "spec": {"productRef": {"name": "search", "uid": uid}, "period": period},
            },
        )
        roles = ["DataProductManager", "DataScientist"]
        for state, label, signatures in (
            ("ToReview", "sealed", ()),
            ("ToReview", "sealed", ("ada",)),
            ("Overdue", "sealed", ("ada",)),
            ("Overdue", "sealed", ("ada", "bob")),
            ("Reviewed", "closed", ("ada", "bob")),
        ):
            signed = [
                {
                    "username": one,
                    "role": role,
                    "verdict": "Agree",
                    "signTime": "2026-01-02T00:00:00Z",
                }
                for one, role in zip(signatures, roles, strict=False)
            ]
            reviews.write(
                DATA_PRODUCT_REVIEWS,
                name,
                {
                    "spec": {"signOffs": signed},
                    "status": {
                        "state": state,
                        "signedBy": roles,
                        "dueTime": "2026-01-08T00:00:00Z",
                    },
                },
            )
            reviews.write(
                DATA_PRODUCT_REVIEWS, name, {"metadata": {"labels": {LABEL_REVIEW: label}}}
            )
            await told.world.run(60)
    assert kinds(told) == [
        "review.due", "review.signed", "review.overdue", "review.closed",
    ]  # fmt: skip
    _, signed, _, closed = told.bus.got
    assert signed.data["message"] == (
        "search-2025-12, about 2025-12-01 to 2025-12-31, has 1 of 2 signatures (Agree of ada as"
        " DataProductManager); to sign by 2026-01-08T00:00:00Z: DataScientist"
    )
    assert signed.data["time"] == "2026-01-02T00:00:00Z"
    assert (
        "has 2 of 2 signatures (Agree of ada as DataProductManager; Agree of bob"
        in closed.data["message"]
    )
    assert signed.data["review"] == name.name


@virtually
async def test_the_messenger_ignores_namespaces_of_another_operator():
    async with messenger(excluded=("catalog",)) as told:
        key = told.create("search")
        told.start()
        await told.world.run(60)
        told.step(key, ToldProduct.degrade)
        await told.world.run(60)
        assert not told.has_cursor(key)
    assert kinds(told) == []


@virtually
async def test_a_product_that_is_deleted_ends_with_a_message_and_without_a_cursor():
    async with messenger() as told:
        (key,) = await started(told, "search")
        told.world.server.delete(DATA_PRODUCTS, key)
        await told.settle(1)
        assert not told.has_cursor(key)
    assert kinds(told) == ["deleted"]


@virtually
async def test_the_digest_is_sent_once_a_day_despite_restarts():
    """Virtual time begins at midnight of 1 January 2026, UTC; Paris is an hour ahead."""
    digest = {"at": "01:30", "timeZone": "Europe/Paris", "to": ["bus"]}
    async with messenger(digests=[digest]) as told:
        keys = await started(told, "search", "pricing")
        told.step(keys[0], ToldProduct.degrade)
        told.step(keys[1], ToldProduct.stall)
        replica = told.world.replicas[-1]
        for _ in range(3):
            await told.world.run(1200)
            replica.kill()
            replica = told.start()
        await told.world.run(1200)
    (found,) = [one for one in told.bus.got if one.body["type"] == "dev.sluicegate.digest.v1"]
    assert 1800 <= found.at - told.bus.got[0].at < 1860
    assert found.data["title"] == "2 data products on 2026-01-01: 1 needs a person"
    assert found.data["products"] == {
        "Stalled": ["catalog/pricing"],
        "Degraded": ["catalog/search"],
        "Promoted since yesterday": ["catalog/pricing", "catalog/search"],
    }


@virtually
async def test_open_alerts_are_posted_to_an_alertmanager_until_resolved():
    url = "http://alerts.example"
    sinks = {"bus": BUS, "on-call": {"kind": "Alertmanager", "url": url}}
    routes = [{"when": {"urgency": ["BadNews"]}, "to": ["on-call"]}]
    async with messenger(sinks=sinks, routes=routes) as told:
        told.receivers[f"{url}/api/v2/alerts"] = receiver = VirtualReceiver()
        (key,) = await started(told, "search")
        told.step(key, ToldProduct.degrade)
        await told.world.run(300)
        assert len(receiver.got) >= 4, "it forgets what isn't posted again"
        begun = {(one.body[0]["startsAt"], str(one.body[0]["labels"])) for one in receiver.got}
        assert len(begun) == 1
        assert receiver.got[0].body[0]["labels"]["alertname"] == "SluicegateDegraded"
        for one in receiver.got:
            POSTABLE.validate(one.body)
        told.step(key, ToldProduct.recover)
        await told.world.run(60)
        now = rfc3339(int(told.world.loop.wall()))
        assert all(one["endsAt"] <= now for one in receiver.got[-1].body)
        await told.world.run(600)
        silent = len(receiver.got)
        await told.world.run(600)
        assert len(receiver.got) == silent
