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
from tests.support.receivers.told_product import ToldProduct
from tests.support.receivers.virtual_messenger import BUS, STATE, MessengerWorld

if TYPE_CHECKING:
    from sluicegate.kube.resources import Key

PRICING = [{"name": "pricing"}]


@asynccontextmanager
async def messenger(*dependents: str, **parts):
    """Pricing, and products that depend on it; none of the messengers logs an error."""
    told = MessengerWorld(**parts)
    async with told.world:
        pricing = told.create("pricing", owner="group:default/pricing")
        keys = [
            told.create(name, dependsOn=PRICING, owner=f"group:default/{name}")
            for name in dependents
        ]
        other = told.create("elsewhere")
        told.start()
        await told.world.until(
            lambda: all(map(told.has_cursor, [pricing, other, *keys])), seconds=120
        )
        yield told, pricing
    assert not told.world.errors.found


def received(told: MessengerWorld) -> list[tuple[str, str]]:
    return [(one.product.rpartition("/")[2], one.kind) for one in told.bus.got]


async def release(told: MessengerWorld, pricing: Key) -> None:
    for step in (ToldProduct.start, ToldProduct.advance, ToldProduct.promote):
        told.step(pricing, step)
        await told.world.run(120)


@virtually
async def test_a_dependent_receives_each_step_of_an_upstreams_release():
    async with messenger("search") as (told, pricing):
        await release(told, pricing)
        told.step(pricing, ToldProduct.start)
        await told.world.run(60)
        told.step(pricing, ToldProduct.end)
        await told.world.run(60)
    own = [kind for product, kind in received(told) if product == "pricing"]
    assert own == [
        "rollout.started",
        "rollout.advanced",
        "promoted",
        "rollout.started",
        "rolledback",
    ]
    assert [kind for product, kind in received(told) if product == "search"] == [
        "upstream.started", "upstream.advanced", "upstream.promoted", "upstream.started", "upstream.ended",
    ]  # fmt: skip
    assert not [product for product, _ in received(told) if product == "elsewhere"]
    (first, *_) = (one for one in told.bus.got if one.kind == "upstream.started")
    assert first.data["upstream"] == "catalog/pricing"
    assert first.data["owner"] == "group:default/search"
    assert (
        "catalog/pricing, on which catalog/search depends, starts a rollout" in first.data["title"]
    )


@virtually
async def test_messages_about_an_upstream_are_stored_and_sent_where_messages_fold():
    async with messenger("search", foldSeconds=600) as (told, pricing):
        await release(told, pricing)
        await told.world.run(1200)
        data = told.world.server.get(CONFIG_MAPS, STATE)["data"]
        told.world.replicas[-1].kill()
        told.start()
        told.step(pricing, ToldProduct.start)
        await told.world.run(1200)
    assert "f.catalog.search_catalog.pricing" in data
    kinds = [kind for product, kind in received(told) if product == "search"]
    assert (kinds[0], kinds[-1]) == ("upstream.started", "upstream.started")
    assert ("pricing", "promoted") in received(told)


@virtually
async def test_a_product_without_dependents_sends_no_additional_message():
    async with messenger() as (told, pricing):
        await release(told, pricing)
    assert received(told) == [
        ("pricing", kind) for kind in ("rollout.started", "rollout.advanced", "promoted")
    ]


@virtually
async def test_forty_seven_dependents_receive_one_message_for_each_step():
    names = [f"product-{number}" for number in range(47)]
    async with messenger(*names, groupSeconds=30, foldSeconds=600) as (told, pricing):
        await release(told, pricing)
        await told.world.run(1200)
    upstream = [one for one in told.bus.got if ".upstream." in one.body["type"]]
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
    async with messenger("search", sinks=sinks, routes=routes) as (told, pricing):
        await release(told, pricing)
    assert [one.kind for one in told.receivers[ours].got] == [
        "upstream.started", "upstream.advanced", "upstream.promoted",
    ]  # fmt: skip


def deprecating(told: ToldProduct) -> Kind:
    changed = ApiChanges(added=("POST /rank",), deprecated=("POST /predict",))
    told.status = told.status.with_candidate(api_changes=changed)
    return told.promote()


@virtually
async def test_a_dependent_receives_the_operations_that_a_promoted_version_deprecates():
    async with messenger("search") as (told, pricing):
        for step in (ToldProduct.start, deprecating):
            told.step(pricing, step)
            await told.world.run(120)
    messages = {one.kind: one for one in told.bus.got if one.product == "catalog/search"}
    assert list(messages) == ["upstream.started", "upstream.promoted", "upstream.deprecates"]
    deprecates = messages["upstream.deprecates"]
    assert deprecates.data["message"].endswith(" deprecates POST /predict")
    assert deprecates.data["now"] == "the operations still answer; a later version may remove them"


@virtually
async def test_the_end_of_a_version_of_an_upstream_names_the_version_that_is_stable():
    async with messenger("search") as (told, pricing):
        for step in (ToldProduct.start, ToldProduct.end):
            told.step(pricing, step)
            await told.world.run(120)
    (ended,) = (one for one in told.bus.got if one.kind == "upstream.ended")
    assert re.fullmatch(r"v\d+ of catalog/pricing is stable", ended.data["now"])


def breaking(told: ToldProduct) -> Kind:
    text = explain("v2", "v1", ("POST /explain is removed",))
    told._condition(ConditionType.ROLLOUT_PROGRESSING, "False", ConditionReason.API_CHANGED, text)
    return Kind.APPROVAL_REQUESTED


@virtually
async def test_a_dependent_receives_a_changed_api_without_the_commands_of_the_upstreams_owner():
    async with messenger("search") as (told, pricing):
        for step in (ToldProduct.start, breaking):
            told.step(pricing, step)
            await told.world.run(120)
    (breaks,) = (one for one in told.bus.got if one.kind == "upstream.breaks")
    changed = "v2 changes the API of v1, so it gets no traffic: POST /explain is removed"
    assert breaks.data["message"] == changed


def suspended(told: ToldProduct) -> Kind:
    told._condition(ConditionType.ROLLOUT_PROGRESSING, "False", ConditionReason.SUSPENDED, "spec.suspend is set")  # fmt: skip
    return Kind.UPSTREAM_SUSPENDED


def resumed(told: ToldProduct) -> Kind:
    told._condition(ConditionType.ROLLOUT_PROGRESSING, "False", ConditionReason.NO_ROLLOUT)
    return Kind.UPSTREAM_RESUMED


@virtually
async def test_a_dependent_receives_that_its_upstream_is_suspended_and_resumed():
    async with messenger("search") as (told, pricing):
        for step in (suspended, resumed):
            told.step(pricing, step)
            await told.world.run(120)
    assert received(told) == [("search", "upstream.suspended"), ("search", "upstream.resumed")]
    begins = "spec.suspend is unset: its rollouts and retrainings begin again"
    assert told.bus.got[-1].data["message"] == begins
    assert "reason" not in told.bus.got[-1].data


def waits(told: ToldProduct) -> Kind:
    kind = told.ask()
    approvals = CandidateApprovals(
        id="a-1", waiting_for=("RiskOfficer", "catalog/search"), wait_start_time=told.now
    )
    told.status = told.status.with_candidate(approvals=approvals)
    return kind


def waits_for_many(told: ToldProduct) -> Kind:
    kind = waits(told)
    approvals = told.status.candidate.approvals.replace(more_waiting=1)
    told.status = told.status.with_candidate(approvals=approvals)
    return kind


def answered(told: ToldProduct) -> Kind:
    answer = ApprovalAnswer(
        party="RiskOfficer", verdict=AnswerVerdict.AGREE, user="rob", reason="low risk",
        answer_time=told.now, evidence="at 50 % of the traffic",
    )  # fmt: skip
    approvals = told.status.candidate.approvals.replace(
        answers=(answer,), waiting_for=("catalog/search",)
    )
    told.status = told.status.with_candidate(approvals=approvals)
    return Kind.APPROVAL_ANSWERED


@virtually
async def test_only_a_consumer_whose_approval_is_required_receives_the_command():
    async with messenger("search", "ranking") as (told, pricing):
        told.step(pricing, ToldProduct.start)
        await told.world.run(60)
        told.step(pricing, waits)
        await told.world.run(60)
        told.step(pricing, answered)
        await told.world.run(60)
    asked = [one for one in told.bus.got if one.kind == "upstream.asks"]
    assert [one.product for one in asked] == ["catalog/search"]
    version = asked[0].data["version"]
    assert asked[0].data["command"] == (
        f"kubectl sluicegate approve catalog/pricing {version} --for catalog/search"
    )
    assert asked[0].data["title"].startswith("[needs you]")
    (own,) = (one for one in told.bus.got if one.kind == "approval.answered")
    assert "Agree of rob as RiskOfficer (low risk), at 50 % of the traffic" in own.data["message"]
    assert "Waits for catalog/search" in own.data["message"]


@virtually
async def test_a_dependent_that_status_does_not_list_receives_the_command():
    async with messenger("search", "ranking") as (told, pricing):
        told.step(pricing, ToldProduct.start)
        await told.world.run(60)
        told.step(pricing, waits_for_many)
        await told.world.run(60)
    asked = [one.product for one in told.bus.got if one.kind == "upstream.asks"]
    assert sorted(asked) == ["catalog/ranking", "catalog/search"]
