"""A route is in service when its Gateway is: what a Gateway says, and when it is asked."""

import asyncio
from dataclasses import replace

import pytest

from sluicegate.api.names import ConditionType
from sluicegate.api.route import ParentRef
from sluicegate.conditions import find_condition
from sluicegate.kube.errors import Forbidden, NotFound
from sluicegate.kube.resources import GATEWAYS, Key
from sluicegate.reconcile.decide.planner import make_plan
from sluicegate.reconcile.observe.gateway_reader import Gateways, needs_gateway_check
from sluicegate.reconcile.report.status import report
from sluicegate.reconcile.routes.gateway_state import ABSENT, GatewayState, gateway_state
from sluicegate.reconcile.traffic.split_verification import VerificationLevel, verify_acceptance
from tests.support.decisions.rollout_world import World, serving_world

# Promised, so written as numbers here.
FRESH_SECONDS = 4.0

WEB = Key("gateway", "web")


def said(status="True", observed=3, kind="Programmed"):
    return {
        "type": kind, "status": status, "observedGeneration": observed, "reason": "Invalid",
        "message": "port 80 is taken",
    }  # fmt: skip


def gateway(*conditions, listeners=()):
    return {
        "metadata": {"namespace": "gateway", "name": "web", "generation": 3},
        "status": {
            "conditions": list(conditions),
            "listeners": [{"name": name, "conditions": list(own)} for name, *own in listeners],
        },
    }


@pytest.mark.parametrize(
    ("body", "section", "says"),
    [
        (gateway(said()), None, ""),
        (gateway(said("False")), None, "isn't programmed: Invalid: port 80 is taken"),
        (gateway(said("Unknown")), None, "isn't programmed"),
        (gateway(said(observed=2)), None, "newest generation"),
        (gateway(said(kind="Accepted")), None, "has not reported yet"),
        ({"metadata": {"name": "web"}}, None, "has not reported yet"),
        (gateway(said(), listeners=[("http", said("False"))]), "http", "isn't programmed"),
        (gateway(said(), listeners=[("http", said("False"))]), None, ""),
        (gateway(said(), listeners=[("http", said("False"))]), "https", ""),
    ],
    ids=["yes", "no", "unknown", "older", "silent", "new", "listener", "all", "other listener"],
)
def test_a_gateway_is_in_service_when_its_newest_generation_is_programmed(body, section, says):
    found = gateway_state(body).objection(section)
    assert (found == "") == (says == "")
    assert says in found


def serving():
    return serving_world(0).run()


def test_a_route_that_its_gateway_accepted_isnt_verified_before_the_gateway_is_programmed():
    world = serving()
    weights, parents = dict(world.written), [ParentRef(name="web", namespace="gateway")]
    route = world._route()
    level, message = verify_acceptance(route, weights, parents, {WEB: ABSENT})
    assert level is VerificationLevel.WRITTEN
    assert message == "Gateway gateway/web doesn't exist"
    in_service = {WEB: GatewayState({})}
    assert verify_acceptance(route, weights, parents, in_service)[0] is VerificationLevel.ACCEPTED


def test_a_gateway_is_read_only_while_an_accepted_route_is_unverified_or_requests_have_stopped():
    world = serving()
    assert not needs_gateway_check(world.product, world._route(), silent=False, now=world.now), (
        "it serves already"
    )
    assert needs_gateway_check(world.product, world._route(), silent=True, now=world.now)
    world.push("b", "v2").until(lambda w: w.current.candidate and w.current.candidate.weight == 5)
    assert not needs_gateway_check(world.product, world._route(), silent=False, now=world.now), (
        "the route isn't taken yet"
    )
    world.pass_block()
    assert needs_gateway_check(world.product, world._route(), silent=False, now=world.now)
    world.run(14)
    assert not needs_gateway_check(world.product, world._route(), silent=False, now=world.now), (
        "it is verified"
    )
    assert not needs_gateway_check(world.product, None, silent=False, now=world.now)


class Api:
    """Answers for one Gateway, and counts who asks."""

    def __init__(self, answer):
        self.answer, self.asked = answer, 0

    async def get(self, resource, key):
        assert (resource, key) == (GATEWAYS, WEB)
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


async def test_a_missing_gateway_is_reported_while_the_first_version_starts():
    """A wrong name was reported only once a version served, which takes minutes where models are large."""
    world = World()
    gateways = await Gateways(Api(NotFound("no such Gateway")), lambda: 0.0).of(
        world.product, None, silent=False, now=world.now
    )
    observation = replace(world.observation(), gateways=gateways)
    status = report(observation, make_plan(observation))
    ready = find_condition(status.conditions, ConditionType.READY)
    assert (ready.status, ready.reason) == ("False", "Progressing")
    assert ready.message == "no version is stable yet. Gateway gateway/web doesn't exist"


async def asked(api, clock=lambda: 0.0):
    world = serving()
    world.status["traffic"]["verification"] = "Written"
    return await Gateways(api, clock).of(world.product, world._route(), silent=False, now=world.now)


async def test_a_gateway_is_read_once_until_its_state_expires():
    api, moments = Api(gateway(said())), [0.0]
    world = serving()
    world.status["traffic"]["verification"] = "Written"
    gateways = Gateways(api, lambda: moments[0])
    for _ in range(3):
        assert await gateways.of(world.product, world._route(), silent=False, now=world.now) == {
            WEB: GatewayState({})
        }
    assert api.asked == 1
    moments[0] = FRESH_SECONDS + 1
    await gateways.of(world.product, world._route(), silent=False, now=world.now)
    assert api.asked == 2


async def test_concurrent_readers_of_a_gateway_share_one_request():
    class Slow(Api):
        async def get(self, resource, key):
            await asyncio.sleep(0)
            return await super().get(resource, key)

    api, world = Slow(gateway(said())), serving()
    world.status["traffic"]["verification"] = "Written"
    gateways = Gateways(api, lambda: 0.0)
    found = await asyncio.gather(
        *(gateways.of(world.product, world._route(), silent=False, now=world.now) for _ in range(8))
    )
    assert found == [{WEB: GatewayState({})}] * 8
    assert api.asked == 1


async def test_a_missing_gateway_is_an_objection_and_an_unreadable_gateway_is_not():
    assert await asked(Api(NotFound("no such Gateway"))) == {WEB: ABSENT}
    assert await asked(Api(Forbidden("not in this namespace"))) == {}
