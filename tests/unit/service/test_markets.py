"""By market: whose request it is, what became of it, and that no request makes more series than that."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY, CollectorRegistry

from sluicegate_service.feedback import Feedback, Label, Score, Settings
from sluicegate_service.keys import KeyFiles
from sluicegate_service.markets import OTHER, MarketCounts, Markets, current_market, market_events
from sluicegate_service.outcomes import Event, Outcome, OutcomeCounters

NAME = "sluicegate_market_events_total"
MADE_BY = {"prediction_version": "v1", "prediction_revision": "abc"}
SIX = ["AT", "BE", "ES", "FR", "GB", "IT"]


def environment(**given):
    rule = {"markets": SIX, "from": "Header", "name": "x-market", "values": {"uk": "GB"}} | given
    return {"SLUICEGATE_MARKETS": json.dumps(rule)}


def markets(**given) -> Markets:
    found = Markets.from_environment(environment(**given))
    assert found is not None
    return found


def request(path="/price", **headers):
    fields = [(name.replace("_", "-").encode(), text.encode()) for name, text in headers.items()]
    return {"type": "http", "path": path, "headers": fields}


@pytest.mark.parametrize(
    ("given", "scope", "market"),
    [
        ({}, request(x_market="AT"), "AT"),
        ({}, request(x_market=" at "), "AT"),
        ({}, request(x_market="uk"), "GB"),
        ({}, request(x_market="DE"), OTHER),
        ({}, request(x_market="A" * 5000), OTHER),
        ({}, request(), OTHER),
        ({"from": "Path"}, request("/fr/price"), "FR"),
        ({"from": "Path"}, request("/price"), OTHER),
        ({"from": "Host"}, request(host="fr.cars.example:8080"), "FR"),
        ({"from": "Host"}, request(host="www.cars.it"), "IT"),
        ({"from": "Host", "values": {"cars.example": "ES"}}, request(host="cars.example"), "ES"),
        ({"from": "Host"}, request(host="cars.example"), OTHER),
    ],
)
def test_a_request_counts_for_a_market_of_the_product_or_for_other(given, scope, market):
    assert markets(**given).of(scope) == market


def test_the_market_counters_are_created_once_for_each_registry():
    """The launcher asks without a registry, feedback with one: a pod that made both didn't start."""
    assert market_events() is market_events(REGISTRY)
    mine = CollectorRegistry()
    assert market_events(mine) is market_events(registry=mine)


def test_two_headers_that_differ_name_no_market():
    scope = request()
    scope["headers"] = [(b"x-market", b"AT"), (b"x-market", b"FR")]
    assert markets().of(scope) == OTHER


@pytest.mark.parametrize(
    "text", ["[]", "{", '{"markets": ["AT"], "from": "Cookie"}', '{"from": "Header"}']
)
def test_a_malformed_markets_variable_is_refused_by_its_name(text):
    with pytest.raises(ValueError, match="SLUICEGATE_MARKETS"):
        Markets.from_environment({"SLUICEGATE_MARKETS": text})


def service(status, chunks=2):
    async def answer(_scope, _receive, send):
        await send({"type": "http.response.start", "status": status, "headers": []})
        for number in range(chunks):
            last = number == chunks - 1
            await send({"type": "http.response.body", "body": b"x", "more_body": not last})

    return answer


async def broken(_scope, _receive, _send):
    raise RuntimeError("a bug of the service")


class Counting:
    """A service whose answers are counted by market."""

    def __init__(self, application, **given):
        self.registry = CollectorRegistry()
        self.app = MarketCounts(
            application,
            markets(thresholdsMilliseconds=[250], **given),
            counted=frozenset({"/price"}),
            made_by=MADE_BY,
            counter=market_events(self.registry),
        )

    async def ask(self, path="/price", **headers):
        async def nowhere(_message):
            pass

        await self.app(request(path, **headers), None, nowhere)

    def counted(self):
        """Return the counters other than zero, by indicator, outcome and market."""
        return {
            (
                sample.labels["indicator"],
                sample.labels["outcome"],
                sample.labels["market"],
            ): sample.value
            for family in self.registry.collect()
            for sample in family.samples
            if sample.name == NAME and sample.value
        }

    def series(self):
        return sum(
            sample.name == NAME for family in self.registry.collect() for sample in family.samples
        )


async def test_a_complete_response_counts_once_for_its_market():
    desk = Counting(service(200))
    await desk.ask(x_market="AT")
    assert desk.counted() == {
        ("availability", "good", "AT"): 1,
        ("latency:250", "good", "AT"): 1,
    }


@pytest.mark.parametrize(
    ("status", "counted"),
    [
        (503, {("availability", "bad", "FR"): 1}),
        (400, {("availability", "good", "FR"): 1}),
        (404, {}),
    ],
)
async def test_market_counts_include_failures_and_exclude_unknown_paths(status, counted):
    desk = Counting(service(status))
    await desk.ask(x_market="FR")
    assert desk.counted() == counted


async def test_an_exception_of_the_service_counts_as_bad_for_its_market():
    desk = Counting(broken)
    with pytest.raises(RuntimeError, match="a bug"):
        await desk.ask(x_market="FR")
    assert desk.counted() == {("availability", "bad", "FR"): 1}


async def test_requests_outside_the_product_api_are_not_counted_by_market():
    desk = Counting(service(200))
    await desk.ask("/feedback", x_market="FR")
    assert not desk.counted()


@given(st.lists(st.text(alphabet=st.characters(max_codepoint=255), max_size=40), max_size=60))
async def test_arbitrary_market_headers_create_no_further_series(names):
    desk = Counting(service(200))
    before = desk.series()
    for name in names:
        scope = request()
        scope["headers"] = [(b"x-market", name.encode("latin-1"))]
        await desk.app(scope, None, nothing)
    assert desk.series() == before == 2 * 2 * (len(SIX) + 1)
    counted = sum(value for key, value in desk.counted().items() if key[0] == "availability")
    assert counted == len(names)


async def nothing(_message):
    pass


def test_a_label_counts_for_the_market_of_its_prediction(tmp_path):
    for name in ("hmac", "bearer"):
        (tmp_path / name).write_bytes(b"k" * 32)
    registry = CollectorRegistry()
    found = markets()
    counters = OutcomeCounters.create(
        version="v1", indicators=("click",), registry=registry, environment=environment()
    )

    def score(prediction, truth):
        correct = prediction == truth
        return Score(Outcome.of(correct=correct), {"click": Event.of(good=correct)})

    feedback = Feedback(
        Settings("pricing", "pricing", "v1"), KeyFiles(tmp_path), counters, score, markets=found
    )
    entered = current_market.set("IT")
    tokens = [feedback.token(1), feedback.token(1, market="at"), feedback.token(1, market="DE")]
    current_market.reset(entered)
    sent = [Label(token=token, truth=truth) for token, truth in zip(tokens, (1, 2, 1), strict=True)]
    answer = feedback.receive(sent, f"Bearer {'k' * 32}")
    assert answer.body["counted"] == 3

    def value(indicator, outcome, market):
        return registry.get_sample_value(
            NAME,
            {"indicator": indicator, "outcome": outcome, "market": market,
             "prediction_version": "v1", "prediction_revision": ""},
        )  # fmt: skip

    assert value("outcomes", "good", "IT") == 1
    assert value("outcomes", "bad", "AT") == value("click", "bad", "AT") == 1
    assert value("outcomes", "good", OTHER) == 1
    assert value("outcomes", "bad", "FR") == 0
