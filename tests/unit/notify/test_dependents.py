"""Owners of products that depend on another one receive its releases, each by its own routes."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from benchmarks.virtual.event_loop import virtually
from sluicegate.api.api_changes import ApiChanges
from sluicegate.api.approvals import AnswerVerdict, ApprovalAnswer, CandidateApprovals
from sluicegate.api.names import ConditionReason, ConditionType
from sluicegate.kube.resources import CONFIG_MAPS
from sluicegate.notify.catalogue import Kind
from sluicegate.policy.rollout.api_gate import explain
from tests.support.receivers.changing_product import ChangingProduct
from tests.support.receivers.virtual_messenger import BUS, STATE, MessengerWorld

if TYPE_CHECKING:
    from sluicegate.kube.resources import Key

PRICING = [{"name": "pricing"}]


@asynccontextmanager
async def messenger(*dependents: str, **parts):
    """Pricing, and products that depend on it; none of the messengers logs an error."""
    messengers = MessengerWorld(**parts)
    async with messengers.world:
        pricing = messengers.create("pricing", owner="group:default/pricing")
        keys = [
            messengers.create(name, dependsOn=PRICING, owner=f"group:default/{name}")
            for name in dependents
        ]
        other = messengers.create("elsewhere")
        messengers.start()
        await messengers.world.until(
            lambda: all(map(messengers.has_cursor, [pricing, other, *keys])), seconds=120
        )
        yield messengers, pricing
    assert not messengers.world.errors.found


def received(messengers: MessengerWorld) -> list[tuple[str, str]]:
    return [(one.product.rpartition("/")[2], one.kind) for one in messengers.bus.got]


async def release(messengers: MessengerWorld, pricing: Key) -> None:
    for step in (ChangingProduct.start, ChangingProduct.advance, ChangingProduct.promote):
        messengers.step(pricing, step)
        await messengers.world.run(120)


@virtually
async def test_a_dependent_receives_each_step_of_an_upstreams_release():
    async with messenger("search") as (messengers, pricing):
        await release(messengers, pricing)
        messengers.step(pricing, ChangingProduct.start)
        await messengers.world.run(60)
        messengers.step(pricing, ChangingProduct.end)
        await messengers.world.run(60)
    own = [kind for product, kind in received(messengers) if product == "pricing"]
    assert own == [
        "rollout.started",
        "rollout.advanced",
        "promoted",
        "rollout.started",
        "rolledback",
    ]
    assert [kind for product, kind in received(messengers) if product == "search"] == [
        "upstream.started", "upstream.advanced", "upstream.promoted", "upstream.started", "upstream.ended",
    ]  # fmt: skip
    assert not [product for product, _ in received(messengers) if product == "elsewhere"]
    (first, *_) = (one for one in messengers.bus.got if one.kind == "upstream.started")
    assert first.data["upstream"] == "catalog/pricing"
    assert first.data["owner"] == "group:default/search"
    assert (
        "catalog/pricing, on which catalog/search depends, starts a rollout" in first.data["title"]
    )


@virtually
async def test_messages_about_an_upstream_are_stored_and_sent_where_messages_fold():
    async with messenger("search", foldSeconds=600) as (messengers, pricing):
        await release(messengers, pricing)
        await messengers.world.run(1200)
        data = messengers.world.server.get(CONFIG_MAPS, STATE)["data"]
        messengers.world.replicas[-1].kill()
        messengers.start()
        messengers.step(pricing, ChangingProduct.start)
        await messengers.world.run(1200)
    assert "f.catalog.search_catalog.pricing" in data
    kinds = [kind for product, kind in received(messengers) if product == "search"]
    assert (kinds[0], kinds[-1]) == ("upstream.started", "upstream.started")
    assert ("pricing", "promoted") in received(messengers)


@virtually
async def test_a_product_without_dependents_sends_no_additional_message():
    async with messenger() as (messengers, pricing):
        await release(messengers, pricing)
    assert received(messengers) == [
        ("pricing", kind) for kind in ("rollout.started", "rollout.advanced", "promoted")
    ]


@virtually
async def test_forty_seven_dependents_receive_one_message_for_each_step():
    names = [f"product-{number}" for number in range(47)]
    async with messenger(*names, groupSeconds=30, foldSeconds=600) as (messengers, pricing):
        await release(messengers, pricing)
        await messengers.world.run(1200)
    upstream = [one for one in messengers.bus.got if ".upstream." in one.body["type"]]
    assert [one.body["type"] for one in upstream] == [
        f"dev.sluicegate.products.upstream.{step}.v1"
        for step in ("started", "advanced", "promoted")
    ]
    assert all(len(one.data["products"]) == 47 for one in upstream)


@virtually
async def test_a_notification_route_of_the_consumer_team_receives_messages_of_the_upstream():
    ours = "http://search.example/events"
    sinks = {"bus": BUS, "ours": {"kind": "CloudEvents", "url": ours}}
    routes = [{"when": {"team": ["group:default/search"]}, "to": ["ours"]}, {"to": ["bus"]}]
    async with messenger("search", sinks=sinks, routes=routes) as (messengers, pricing):
        await release(messengers, pricing)
    assert [one.kind for one in messengers.receivers[ours].got] == [
        "upstream.started", "upstream.advanced", "upstream.promoted",
    ]  # fmt: skip


def deprecating(messengers: ChangingProduct) -> Kind:
    changed = ApiChanges(added=("POST /rank",), deprecated=("POST /predict",))
    messengers.status = messengers.status.with_candidate(api_changes=changed)
    return messengers.promote()


@virtually
async def test_a_dependent_receives_the_operations_that_a_promoted_version_deprecates():
    async with messenger("search") as (messengers, pricing):
        for step in (ChangingProduct.start, deprecating):
            messengers.step(pricing, step)
            await messengers.world.run(120)
    messages = {one.kind: one for one in messengers.bus.got if one.product == "catalog/search"}
    assert list(messages) == ["upstream.started", "upstream.promoted", "upstream.deprecates"]
    deprecates = messages["upstream.deprecates"]
    assert deprecates.data["message"].endswith(" deprecates POST /predict")
    assert deprecates.data["now"] == "the operations still answer; a later version may remove them"


@virtually
async def test_the_end_of_a_version_of_an_upstream_names_the_version_that_is_stable():
    async with messenger("search") as (messengers, pricing):
        for step in (ChangingProduct.start, ChangingProduct.end):
            messengers.step(pricing, step)
            await messengers.world.run(120)
    (ended,) = (one for one in messengers.bus.got if one.kind == "upstream.ended")
    assert re.fullmatch(r"v\d+ of catalog/pricing is stable", ended.data["now"])


def breaking(messengers: ChangingProduct) -> Kind:
    text = explain("v2", "v1", ("POST /explain is removed",))
    messengers._condition(
        ConditionType.ROLLOUT_PROGRESSING, "False", ConditionReason.API_CHANGED, text
    )
    return Kind.APPROVAL_REQUESTED


@virtually
async def test_a_dependent_receives_a_changed_api_without_the_commands_of_the_upstreams_owner():
    async with messenger("search") as (messengers, pricing):
        for step in (ChangingProduct.start, breaking):
            messengers.step(pricing, step)
            await messengers.world.run(120)
    (breaks,) = (one for one in messengers.bus.got if one.kind == "upstream.breaks")
    changed = "v2 changes the API of v1, so it gets no traffic: POST /explain is removed"
    assert breaks.data["message"] == changed


def suspended(messengers: ChangingProduct) -> Kind:
    messengers._condition(ConditionType.ROLLOUT_PROGRESSING, "False", ConditionReason.SUSPENDED, "spec.suspend is set")  # fmt: skip
    return Kind.UPSTREAM_SUSPENDED


def resumed(messengers: ChangingProduct) -> Kind:
    messengers._condition(ConditionType.ROLLOUT_PROGRESSING, "False", ConditionReason.NO_ROLLOUT)
    return Kind.UPSTREAM_RESUMED


@virtually
async def test_a_dependent_receives_that_its_upstream_is_suspended_and_resumed():
    async with messenger("search") as (messengers, pricing):
        for step in (suspended, resumed):
            messengers.step(pricing, step)
            await messengers.world.run(120)
    assert received(messengers) == [
        ("search", "upstream.suspended"),
        ("search", "upstream.resumed"),
    ]
    begins = "spec.suspend is unset: its rollouts and retrainings begin again"
    assert messengers.bus.got[-1].data["message"] == begins
    assert "reason" not in messengers.bus.got[-1].data


def waits(messengers: ChangingProduct) -> Kind:
    kind = messengers.ask()
    approvals = CandidateApprovals(
        id="a-1", waiting_for=("RiskOfficer", "catalog/search"), wait_start_time=messengers.now
    )
    messengers.status = messengers.status.with_candidate(approvals=approvals)
    return kind


def waits_for_many(messengers: ChangingProduct) -> Kind:
    kind = waits(messengers)
    approvals = messengers.status.candidate.approvals.replace(more_waiting=1)
    messengers.status = messengers.status.with_candidate(approvals=approvals)
    return kind


def answered(messengers: ChangingProduct) -> Kind:
    answer = ApprovalAnswer(
        party="RiskOfficer", verdict=AnswerVerdict.AGREE, user="rob", reason="low risk",
        answer_time=messengers.now, evidence="at 50 % of the traffic",
    )  # fmt: skip
    approvals = messengers.status.candidate.approvals.replace(
        answers=(answer,), waiting_for=("catalog/search",)
    )
    messengers.status = messengers.status.with_candidate(approvals=approvals)
    return Kind.APPROVAL_ANSWERED


@virtually
async def test_only_a_consumer_whose_approval_is_required_receives_the_command():
    async with messenger("search", "ranking") as (messengers, pricing):
        messengers.step(pricing, ChangingProduct.start)
        await messengers.world.run(60)
        messengers.step(pricing, waits)
        await messengers.world.run(60)
        messengers.step(pricing, answered)
        await messengers.world.run(60)
    asked = [one for one in messengers.bus.got if one.kind == "upstream.asks"]
    assert [one.product for one in asked] == ["catalog/search"]
    version = asked[0].data["version"]
    assert asked[0].data["command"] == (
        f"kubectl sluicegate approve catalog/pricing {version} --for catalog/search"
    )
    assert asked[0].data["title"].startswith("[needs you]")
    (own,) = (one for one in messengers.bus.got if one.kind == "approval.answered")
    assert "Agree of rob as RiskOfficer (low risk), at 50 % of the traffic" in own.data["message"]
    assert "Waits for catalog/search" in own.data["message"]


@virtually
async def test_a_dependent_that_status_does_not_list_receives_the_command():
    async with messenger("search", "ranking") as (messengers, pricing):
        messengers.step(pricing, ChangingProduct.start)
        await messengers.world.run(60)
        messengers.step(pricing, waits_for_many)
        await messengers.world.run(60)
    asked = [one.product for one in messengers.bus.got if one.kind == "upstream.asks"]
    assert sorted(asked) == ["catalog/ranking", "catalog/search"]
