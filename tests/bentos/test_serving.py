"""The products as they serve: answers, fallbacks, feedback, and the counters of both."""

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, wait

import pytest
import requests

from sluicegate_service.outcomes import AGES
from tests.bentos.sending import send
from tests.support.processes.running import free_port
from tests.support.samples.products import BEARER, identity, served
from used_car_market import Market, draw_searches
from used_car_market.exchanges import Sellers, Visitors

AUTHORIZED = {"Authorization": f"Bearer {BEARER}"}


def labelled(product, version="v1"):
    """Return outcomes of a version; products are served without a revision here."""
    counts = product.counters("sluicegate_predictions_labelled_total")
    return {
        outcome: sum(counts.get((age, outcome, "", version), 0) for age in AGES)
        for outcome in ("correct", "wrong")
    }


def events(product, indicator, version="v1"):
    counts = product.counters("sluicegate_indicator_events_total")
    return {
        outcome: counts.get((indicator, outcome, "", version), 0) for outcome in ("good", "bad")
    }


@pytest.mark.anchor
def test_each_car_gets_a_price_and_a_token(pricing, market):
    exchange = Sellers(requests=1, cars_per_request=3).draw(market, 0)[0]
    answer = pricing.post("/price", exchange.body).json()
    assert answer["version"] == "v1"
    assert [said["price"] > 500 for said in answer["prices"]] == [True] * 3
    assert len({said["token"] for said in answer["prices"]}) == 3


def test_an_answer_has_no_tokens_if_the_request_declines_them(pricing, market):
    exchange = Sellers(requests=1).draw(market, 0)[0]
    answer = pricing.post("/price", exchange.body | {"tokens": False}).json()
    assert {said["token"] for said in answer["prices"]} == {None}


def test_a_car_of_an_unknown_brand_is_priced(pricing, market):
    body = Sellers(requests=1, cars_per_request=1).draw(market, 0)[0].body
    body["cars"][0] |= {"brand": "Trabant", "model": "601", "country": "PT"}
    assert pricing.post("/price", body).json()["prices"][0]["price"] > 0


@pytest.mark.parametrize(
    "cars",
    [[], [{"brand": "Fiat"}], "Fiat", [{}] * 1001],
    ids=["none", "half a car", "no list", "too many"],
)
def test_an_invalid_request_gives_a_client_error(pricing, cars):
    assert pricing.post("/price", {"cars": cars}).status_code == 400


def test_every_car_of_a_search_is_ranked_once_by_its_price_estimate(ranking, market):
    exchange = Visitors(requests=1).draw(market, 0)[0]
    answer = ranking.post("/rank", exchange.body).json()
    assert sorted(answer["ranking"]) == sorted(car["id"] for car in exchange.body["cars"])
    assert (answer["version"], answer["estimates"]) == ("v1", "used")


def test_a_request_with_one_car_is_ranked(ranking, market):
    body = Visitors(requests=1).draw(market, 0)[0].body
    body["cars"] = body["cars"][:1]
    assert ranking.post("/rank", body).json()["ranking"] == [body["cars"][0]["id"]]


def test_more_cars_than_a_search_can_have_are_refused(ranking, market):
    record = draw_searches(market, days=1, per_day=1, widened=32).record(0)
    answer = ranking.post("/rank", record)
    assert answer.status_code == 400
    assert "1 to 500 cars, not 512" in answer.text


def test_outcome_counters_begin_at_zero(pricing_bento, tmp_path, secret):
    with served(pricing_bento, tmp_path, **identity("pricing", "v1", secret)) as product:
        assert product.counters("sluicegate_predictions_labelled_total") == {
            (age, outcome, "", "v1"): 0 for age in AGES for outcome in ("correct", "wrong")
        }


PROBE_SECONDS, PROBE_FAILURES = 3, 3
"""Of the pod's livenessProbe: timeoutSeconds and failureThreshold."""


def is_live(product):
    try:
        return requests.get(f"{product.metrics_url}/livez", timeout=PROBE_SECONDS).ok
    except requests.RequestException:
        return False


def test_large_request_bodies_do_not_block_the_probes_of_a_pod(pricing, market):
    """`/livez` wasn't answered for nine seconds, and the kubelet killed the pod."""
    labels = b'{"labels":[' + b'{"token":"","truth":1},' * 40_000 + b"{}]}"
    cars = b'{"cars":[' + b"{}," * 3_000_000 + b"{}]}"
    bodies = [("/feedback", labels)] * 8 + [("/feedback", cars), ("/price", cars)] * 2
    before = labelled(pricing)
    with ThreadPoolExecutor(len(bodies)) as senders:
        sent = [
            senders.submit(requests.post, f"{pricing.url}{path}", data=body, timeout=120)
            for path, body in bodies
        ]
        probed = ""
        while wait(sent, timeout=0.1).not_done:
            probed += "." if is_live(pricing) else "x"
    assert "x" * PROBE_FAILURES not in probed, probed
    assert probed.count(".") > 0
    codes = Counter(
        (path, one.result().status_code) for (path, _), one in zip(bodies, sent, strict=True)
    )
    assert codes == {("/feedback", 401): 10, ("/price", 400): 2}
    assert labelled(pricing) == before
    exchange = Sellers(requests=1, cars_per_request=3).draw(market, 0)[0]
    assert pricing.post("/price", exchange.body).status_code == 200


@pytest.mark.anchor
async def test_outcome_counts_of_the_service_equal_those_of_the_sender(pricing, market):
    before = labelled(pricing)
    tally = await send(pricing, Sellers(seed=11), market, requests=100)
    after = labelled(pricing)
    version = tally.versions["v1"]
    assert (tally.failed, tally.refused) == (0, {})
    assert {key: after[key] - before[key] for key in after} == {
        "correct": version.correct,
        "wrong": version.wrong,
    }
    assert version.accuracy > 0.88


async def test_a_ranking_is_right_when_the_opened_car_is_on_the_first_page(ranking, market):
    before, conversions = labelled(ranking), events(ranking, "conversion")
    tally = await send(ranking, Visitors(seed=11), market, requests=200)
    after = labelled(ranking)
    version = tally.versions["v1"]
    assert (tally.failed, tally.refused, tally.fallbacks) == (0, {}, 0)
    assert after["correct"] - before["correct"] == version.correct
    assert version.accuracy > 0.85
    counted = events(ranking, "conversion")
    assert sum(counted.values()) - sum(conversions.values()) == 200


async def test_without_the_pricing_product_the_ranking_serves_with_a_warning_and_is_worse(
    ranking_bento, tmp_path, secret, market
):
    nobody = {"PRICING_URL": f"http://127.0.0.1:{free_port()}"}
    variables = identity("search-ranking", "v1", secret) | nobody
    with served(ranking_bento, tmp_path, **variables) as product:
        tally = await send(product, Visitors(seed=12), market, requests=200)
        assert (tally.failed, tally.fallbacks) == (0, 200)
        assert tally.versions["v1"].accuracy < 0.85
        assert events(product, "pricing-estimates") == {"good": 0, "bad": 200}


@pytest.mark.anchor
def test_labels_are_accepted_only_with_the_bearer_token(pricing, market):
    exchange = Sellers(requests=1, cars_per_request=1).draw(market, 3)[0]
    answer = pricing.post("/price", exchange.body).json()
    (truth,) = exchange.judge(answer)
    labels = {"labels": [{"token": truth.token, "truth": truth.content}]}
    assert pricing.post("/feedback", labels).status_code == 401
    assert pricing.post("/feedback", labels, **AUTHORIZED).json() == {"counted": 1, "refused": []}
    again = pricing.post("/feedback", labels, **AUTHORIZED).json()
    assert [refusal["reason"] for refusal in again["refused"]] == ["Repeated"]


@pytest.mark.parametrize("truth", [None, {}, {"price": "12000"}, {"price": True}, {"price": -1}])
def test_a_malformed_label_is_refused_and_counted(pricing, market, truth):
    exchange = Sellers(requests=1, cars_per_request=1).draw(market, 4)[0]
    token = pricing.post("/price", exchange.body).json()["prices"][0]["token"]
    labels = {"labels": [{"token": token, "truth": truth}]}
    (refusal,) = pricing.post("/feedback", labels, **AUTHORIZED).json()["refused"]
    assert refusal["reason"] == "InvalidTruth"


def test_a_feedback_token_of_another_product_does_not_count(pricing, ranking, market):
    exchange = Visitors(requests=1).draw(market, 5)[0]
    token = ranking.post("/rank", exchange.body).json()["token"]
    labels = {"labels": [{"token": token, "truth": {"price": 1.0}}]}
    (refusal,) = pricing.post("/feedback", labels, **AUTHORIZED).json()["refused"]
    assert refusal["reason"] == "InvalidToken"


def test_without_the_secret_answers_have_no_tokens(pricing_bento, tmp_path, market):
    variables = identity("pricing", "v1", tmp_path / "no-secret")
    with served(pricing_bento, tmp_path, **variables) as product:
        exchange = Sellers(requests=1).draw(market, 0)[0]
        answer = product.post("/price", exchange.body).json()
        assert {said["token"] for said in answer["prices"]} == {None}
        assert product.post("/feedback", {"labels": []}, **AUTHORIZED).status_code == 404


async def test_a_shock_in_one_country_worsens_only_its_market(
    pricing_bento, tmp_path, secret, market
):
    rule = {"markets": ["AT", "BE", "ES", "FR", "GB", "IT"], "from": "Header", "name": "x-market",
            "thresholdsMilliseconds": [250]}  # fmt: skip
    variables = identity("pricing", "v1", secret) | {"SLUICEGATE_MARKETS": json.dumps(rule)}
    moved = market.with_shock("AustriaTaxesCars").later(35)
    with served(pricing_bento, tmp_path, **variables) as product:
        await send(product, Sellers(seed=13), moved, requests=300)
        outcomes, answered = Counter(), Counter()
        counts = product.counters("sluicegate_market_events_total")
        for (indicator, country, outcome, *_), count in counts.items():
            if indicator == "outcomes":
                outcomes[country, outcome] += int(count)
            if indicator == "availability":
                answered[outcome] += int(count)
        assert answered == {"good": 300, "bad": 0}
        assert outcomes["other", "good"] + outcomes["other", "bad"] == 0
        of = labelled(product)
        for outcome, name in (("good", "correct"), ("bad", "wrong")):
            of_all = sum(count for (_, said), count in outcomes.items() if said == outcome)
            assert of_all == of[name], "each truth counts for one market"
    wrong = {
        country: outcomes[country, "bad"] / (outcomes[country, "good"] + outcomes[country, "bad"])
        for country in rule["markets"]
    }
    assert wrong["AT"] > 0.5
    assert max(share for country, share in wrong.items() if country != "AT") < 0.2


async def test_a_changed_market_is_priced_less_accurately(pricing, market: Market):
    moved = market.with_shock("DieselPricesFall").later(35)
    tally = await send(pricing, Sellers(seed=13), moved, requests=300)
    assert tally.versions["v1"].accuracy < 0.85
