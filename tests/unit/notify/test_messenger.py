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
from tests.support.receivers.changing_product import ChangingProduct
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
    messengers = defaultdict(list)
    for one in found:
        messengers[one.product].append(one.kind)
    return messengers


class Killer:
    """Kills the messenger at a random one of its next effects, or just before it, and starts another."""

    def __init__(self, messengers, kills):
        self.messengers, self.left, self.countdown = messengers, kills, 0
        self.replica = messengers.start()
        messengers.happens = self.strike

    def aim(self):
        self.countdown = self.messengers.world.dice.randrange(1, 9) if self.left else 0

    def strike(self):
        if self.countdown:
            self.countdown -= 1
            if not self.countdown:
                self.left -= 1
                self.replica.kill()
                self.replica = self.messengers.start()
                self.aim()


@pytest.mark.slow
@virtually
async def test_a_messenger_killed_fifty_times_sends_each_message_once_and_in_order():
    """Killed at random times, also between a receiver's answer and the write that records it.

    What a receiver gets twice then has the same source and id, by which CloudEvents knows it.
    """
    async with messenger(seed=7, groupProducts=1000) as messengers:
        dice = messengers.world.dice
        keys = [messengers.create(f"product-{number}") for number in range(6)]
        killer = Killer(messengers, kills=50)
        await messengers.world.until(lambda: all(map(messengers.has_cursor, keys)), seconds=120)
        killer.aim()
        for _ in range(200):
            await messengers.world.run(dice.choice([0.0, 0.0, 0.3, 2.0]))
            # What a status doesn't show any more can't be sent: the next change waits for this one.
            ready = [key for key in keys if messengers.has_passed_all(key)]
            if not ready:
                await messengers.world.until(
                    lambda: any(map(messengers.has_passed_all, keys)), seconds=120
                )
                ready = [key for key in keys if messengers.has_passed_all(key)]
            messengers.any_step(dice.choice(ready))
        await messengers.settle(200)
        await messengers.world.run(60)
        assert killer.left == 0
    distinct = messengers.bus.distinct()
    assert len(distinct) == 200
    assert by_product(distinct) == {str(key): kinds for key, kinds in messengers.done.items()}
    # A process that is killed leaves at most one message unrecorded.
    assert len(messengers.bus.got) - len(distinct) <= 50
    state = messengers.world.server.get(CONFIG_MAPS, STATE)["data"]
    assert not [name for name in state if name[:2] in ("t.", "m.", "s.")]


@asynccontextmanager
async def messenger(**parts):
    """A world of messengers, none of which logs an error: that would be a bug."""
    messengers = MessengerWorld(**parts)
    async with messengers.world:
        yield messengers
    assert not messengers.world.errors.found


async def start_messengers(messengers, *names, replicas=1):
    keys = [messengers.create(name) for name in names]
    for _ in range(replicas):
        messengers.start()
    await messengers.world.until(lambda: all(map(messengers.has_cursor, keys)), seconds=120)
    return keys


def kinds(messengers):
    return [one.kind for one in messengers.bus.got]


@virtually
async def test_a_sink_receives_its_messages_after_an_outage_without_delaying_other_sinks():
    other = "http://other.example/events"
    sinks = {"bus": BUS, "other": {"kind": "CloudEvents", "url": other}}
    async with messenger(sinks=sinks, routes=[{"to": ["bus", "other"]}]) as messengers:
        (key,) = await start_messengers(messengers, "search")
        down_until = messengers.world.loop.wall() + HOUR
        messengers.bus.answer = lambda now: None if now < down_until else (202, {})
        messengers.step(key, ChangingProduct.degrade)
        await messengers.world.until(lambda: len(messengers.receivers[other].got) == 1, seconds=30)
        for step in (ChangingProduct.recover, ChangingProduct.start, ChangingProduct.end):
            await messengers.world.run(600)
            messengers.step(key, step)
        await messengers.settle(4, seconds=HOUR)
        assert min(one.at for one in messengers.bus.got) >= down_until
    assert kinds(messengers) == ["degraded", "recovered", "rollout.started", "rolledback"]
    assert [one.kind for one in messengers.receivers[other].got] == kinds(messengers)
    # It is left alone for longer and longer: not an attempt each two seconds.
    assert messengers.bus.tried < 60


@virtually
async def test_thirty_products_that_degrade_at_once_are_reported_in_one_message():
    async with messenger(groupSeconds=30) as messengers:
        keys = await start_messengers(messengers, *(f"product-{number}" for number in range(30)))
        for key in keys:
            messengers.step(key, lambda one: one.degrade("PrometheusUnavailable"))
            await messengers.world.run(0.3)
        await messengers.settle(1)
        await messengers.world.run(300)
    (one,) = messengers.bus.got
    assert one.body["type"] == "dev.sluicegate.products.degraded.v1"
    assert one.data["title"] == "[bad] 30 products are degraded"
    assert one.data["text"].startswith("Common reason: PrometheusUnavailable\n")
    assert len({each["product"] for each in one.data["products"]}) == 30


@virtually
async def test_two_replicas_send_each_message_once():
    async with messenger() as messengers:
        (key,) = await start_messengers(messengers, "search", replicas=2)
        messengers.step(key, ChangingProduct.degrade)
        await messengers.settle(1)
        leader = messengers.world.leader()
        await leader.stop()
        messengers.step(key, ChangingProduct.recover)
        await messengers.settle(2)
        await messengers.world.run(120)
    assert kinds(messengers) == ["degraded", "recovered"]


@virtually
async def test_a_cursor_write_without_a_response_sends_no_message_twice():
    async with messenger() as messengers:
        (key,) = await start_messengers(messengers, "search")
        lost = iter([NetworkFault.UNANSWERED, NetworkFault.SWALLOWED, NetworkFault.UNANSWERED])
        messengers.world.network.faults["lost"] = lambda _, request: (
            next(lost, None) if request.verb == "patch" else None
        )
        messengers.step(key, ChangingProduct.degrade)
        await messengers.settle(1)
        messengers.step(key, ChangingProduct.recover)
        await messengers.settle(2)
        await messengers.world.run(120)
    assert [one.kind for one in messengers.bus.distinct()] == ["degraded", "recovered"]


@virtually
async def test_a_flapping_state_sends_one_message_and_then_its_final_state():
    async with messenger(foldSeconds=600) as messengers:
        (key,) = await start_messengers(messengers, "search")
        for step in (ChangingProduct.degrade, ChangingProduct.recover) * 3 + (
            ChangingProduct.degrade,
        ):
            messengers.step(key, step)
            await messengers.world.run(60)
        await messengers.world.run(900)
    assert kinds(messengers) == ["degraded", "recovered", "degraded"]
    assert messengers.bus.got[-1].data["folded"] == 4


@virtually
async def test_a_flapping_state_that_returns_to_its_start_sends_no_second_message():
    async with messenger(foldSeconds=600) as messengers:
        (key,) = await start_messengers(messengers, "search")
        for step in (ChangingProduct.degrade, ChangingProduct.recover) * 3:
            messengers.step(key, step)
            await messengers.world.run(60)
        await messengers.world.run(900)
    assert kinds(messengers) == ["degraded", "recovered"]


@virtually
async def test_an_outage_soon_after_another_outage_is_sent():
    async with messenger(foldSeconds=600) as messengers:
        (key,) = await start_messengers(messengers, "search")
        messengers.step(key, lambda one: one.lose_metrics("UnreadableSeries"))
        await messengers.world.run(60)
        messengers.step(key, ChangingProduct.find_metrics)
        await messengers.world.run(60)
        messengers.step(key, ChangingProduct.lose_metrics)
        await messengers.world.run(500)
        messengers.step(key, ChangingProduct.find_metrics)
        await messengers.world.run(900)
    assert kinds(messengers) == ["metrics.lost", "metrics.restored"] * 2


@virtually
async def test_a_suppressed_outage_message_is_named_in_the_next_message():
    async with messenger(foldSeconds=600) as messengers:
        (key,) = await start_messengers(messengers, "search")
        for step in (ChangingProduct.lose_metrics, ChangingProduct.find_metrics) * 2:
            messengers.step(key, step)
            await messengers.world.run(60)
        await messengers.world.run(900)
    assert kinds(messengers) == ["metrics.lost", "metrics.restored", "metrics.restored"]
    assert "; not measured from " in messengers.bus.got[-1].data["message"]


@virtually
async def test_a_message_refused_by_a_sink_for_too_long_is_dropped():
    dropped = sample("sluicegate_notify_dropped_total", sink="bus", cause="too_old")
    async with messenger(dropAfterSeconds=3600) as messengers:
        (key,) = await start_messengers(messengers, "search")
        messengers.bus.answer = lambda _: (500, {})
        messengers.step(key, ChangingProduct.degrade)
        await messengers.world.run(1.1 * HOUR)
        messengers.bus.answer = lambda _: (202, {})
        messengers.step(key, ChangingProduct.recover)
        await messengers.settle(1)
    assert kinds(messengers) == ["recovered"]
    assert sample("sluicegate_notify_dropped_total", sink="bus", cause="too_old") == dropped + 1


@virtually
async def test_a_refused_message_does_not_delay_others():
    async with messenger() as messengers:
        keys = await start_messengers(messengers, "search", "pricing")
        answers = iter([(422, {})])
        messengers.bus.answer = lambda _: next(answers, (202, {}))
        messengers.step(keys[0], ChangingProduct.degrade)
        await messengers.world.until(lambda: messengers.bus.tried == 1, seconds=30)
        messengers.step(keys[0], ChangingProduct.recover)
        await messengers.settle(1)
    assert kinds(messengers) == ["recovered"]


@virtually
async def test_a_retry_after_of_a_receiver_delays_the_next_attempt():
    async with messenger() as messengers:
        (key,) = await start_messengers(messengers, "search")
        begun = messengers.world.loop.wall()
        answers = iter([(429, {"Retry-After": "600"})])
        messengers.bus.answer = lambda _: next(answers, (202, {}))
        messengers.step(key, ChangingProduct.degrade)
        await messengers.settle(1, seconds=1200)
        assert messengers.bus.got[0].at - begun >= 600
        assert messengers.bus.tried == 2


@virtually
async def test_a_slow_message_of_one_product_does_not_delay_those_of_others():
    async with messenger() as messengers:
        keys = await start_messengers(messengers, "search", "pricing")

        def poisoned(_):
            return (500, {}) if messengers.bus.tried in {1, 3} else (202, {})

        messengers.bus.answer = poisoned
        messengers.step(keys[0], ChangingProduct.degrade)
        await messengers.world.until(lambda: messengers.bus.tried == 1, seconds=30)
        messengers.step(keys[1], ChangingProduct.degrade)
        messengers.step(keys[0], ChangingProduct.start)
        await messengers.settle(3)
    assert by_product(messengers.bus.got)["catalog/search"] == ["degraded", "rollout.started"]


@virtually
async def test_a_deleted_cursor_config_map_is_recreated_and_repeats_only_lasting_states():
    async with messenger() as messengers:
        (key,) = await start_messengers(messengers, "search")
        messengers.step(key, ChangingProduct.start)
        messengers.step(key, ChangingProduct.promote)
        messengers.step(key, ChangingProduct.degrade)
        await messengers.settle(2)
        messengers.world.server.delete(CONFIG_MAPS, STATE)
        messengers.step(key, ChangingProduct.stall)
        await messengers.world.run(120)
    found = kinds(messengers)
    assert found[-2:] == ["degraded", "stalled"]
    assert found.count("promoted") == 1


@virtually
async def test_each_stage_of_a_review_and_its_closing_send_a_message():
    async with messenger() as messengers:
        (key,) = await start_messengers(messengers, "search")
        reviews, name = messengers.world.server, Key(key.namespace, "search-2025-12")
        uid = messengers.world.product(key)["metadata"]["uid"]
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
            await messengers.world.run(60)
    assert kinds(messengers) == [
        "review.due", "review.signed", "review.overdue", "review.closed",
    ]  # fmt: skip
    _, signed, _, closed = messengers.bus.got
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
    async with messenger(excluded=("catalog",)) as messengers:
        key = messengers.create("search")
        messengers.start()
        await messengers.world.run(60)
        messengers.step(key, ChangingProduct.degrade)
        await messengers.world.run(60)
        assert not messengers.has_cursor(key)
    assert kinds(messengers) == []


@virtually
async def test_a_product_that_is_deleted_ends_with_a_message_and_without_a_cursor():
    async with messenger() as messengers:
        (key,) = await start_messengers(messengers, "search")
        messengers.world.server.delete(DATA_PRODUCTS, key)
        await messengers.settle(1)
        assert not messengers.has_cursor(key)
    assert kinds(messengers) == ["deleted"]


@virtually
async def test_the_digest_is_sent_once_a_day_despite_restarts():
    """Virtual time begins at midnight of 1 January 2026, UTC; Paris is an hour ahead."""
    digest = {"at": "01:30", "timeZone": "Europe/Paris", "to": ["bus"]}
    async with messenger(digests=[digest]) as messengers:
        keys = await start_messengers(messengers, "search", "pricing")
        messengers.step(keys[0], ChangingProduct.degrade)
        messengers.step(keys[1], ChangingProduct.stall)
        replica = messengers.world.replicas[-1]
        for _ in range(3):
            await messengers.world.run(1200)
            replica.kill()
            replica = messengers.start()
        await messengers.world.run(1200)
    (found,) = [one for one in messengers.bus.got if one.body["type"] == "dev.sluicegate.digest.v1"]
    assert 1800 <= found.at - messengers.bus.got[0].at < 1860
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
    async with messenger(sinks=sinks, routes=routes) as messengers:
        messengers.receivers[f"{url}/api/v2/alerts"] = receiver = VirtualReceiver()
        (key,) = await start_messengers(messengers, "search")
        messengers.step(key, ChangingProduct.degrade)
        await messengers.world.run(300)
        assert len(receiver.got) >= 4, "it forgets what isn't posted again"
        begun = {(one.body[0]["startsAt"], str(one.body[0]["labels"])) for one in receiver.got}
        assert len(begun) == 1
        assert receiver.got[0].body[0]["labels"]["alertname"] == "SluicegateDegraded"
        for one in receiver.got:
            POSTABLE.validate(one.body)
        messengers.step(key, ChangingProduct.recover)
        await messengers.world.run(60)
        now = rfc3339(int(messengers.world.loop.wall()))
        assert all(one["endsAt"] <= now for one in receiver.got[-1].body)
        await messengers.world.run(600)
        silent = len(receiver.got)
        await messengers.world.run(600)
        assert len(receiver.got) == silent
