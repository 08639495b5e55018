"""Drift and its remedy: the training that ships in the bento, run as its Job runs it."""

import json
import statistics
import time
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from pricing.model import PricingModel
from pricing.recipe import PricingRecipe
from search_ranking.features import FEATURES
from search_ranking.recipe import RankingRecipe, columns

from demo.consumers import ROUND_TO, SALES_A_DAY, SETTINGS
from sluicegate.stats.intervals import newcombe_difference
from tests.bentos.sending import send
from tests.support.samples.products import identity, pull, retrain, run_training, served
from used_car_market import SHOCKS, draw_searches
from used_car_market.exchanges import Sellers

Z95 = 1.6449
MAX_REGRESSION = 0.01
LATENCY = {"SLUICEGATE_TRIGGER": json.dumps({"slo": "latency", "indicator": "latency"})}


def accuracy(counts):
    return 1 - counts["bad"] / counts["total"]


def passes_the_gate(result):
    candidate, stable = (
        (part["accuracy"]["bad"], part["accuracy"]["total"])
        for part in (result["evaluation"], result["stableEvaluation"])
    )
    return newcombe_difference(candidate, stable, Z95).upper <= MAX_REGRESSION


@pytest.fixture(scope="module")
def moved(market):
    return market.with_shock("DieselPricesFall").later(35)


@pytest.fixture(scope="module")
def retrained_pricing(pricing_bento, registry, moved, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pricing-v2")
    log = folder / "termination-log"
    finished = retrain(pricing_bento, registry, log, USED_CAR_MARKET=moved.dump())
    assert finished.returncode == 0, finished.stderr
    result = json.loads(log.read_text())
    return result, pull(result["image"], folder / "bento")


def test_a_training_result_names_the_next_version_and_counts_both_on_one_hold_out(
    retrained_pricing, registry
):
    result, bento = retrained_pricing
    assert result["version"] == "v2"
    assert result["image"].startswith(f"{registry}/bentos/pricing@sha256:")
    totals = {
        part["accuracy"]["total"] for part in (result["evaluation"], result["stableEvaluation"])
    }
    assert totals == {10_500}
    assert (bento / "src" / "train.py").is_file(), "the successor carries its own training"


def test_a_retraining_restores_the_pricing_accuracy_lost_to_falling_diesel_prices(
    pricing_bento, retrained_pricing, market
):
    result, _ = retrained_pricing
    recipe = PricingRecipe(market)
    before = 1 - bad_ratio(recipe.evaluate(recipe.load(pricing_bento / "src"), lighter=False))
    during, after = (
        accuracy(result["stableEvaluation"]["accuracy"]),
        accuracy(result["evaluation"]["accuracy"]),
    )
    assert before - during > 0.08
    assert abs(after - before) < 0.01
    assert passes_the_gate(result)


def test_the_shadow_phase_scores_both_versions_and_measures_the_improvement(
    pricing_bento, retrained_pricing, moved, tmp_path
):
    """The command of the sample, run as its Job runs it: on the sales of one day."""
    _, candidate = retrained_pricing
    variables = {
        "SLUICEGATE_SINCE": "2026-09-01T00:00:00Z",
        "SLUICEGATE_UNTIL": "2026-09-02T00:00:00Z",
        "SLUICEGATE_STABLE": str(pricing_bento),
        "SLUICEGATE_CANDIDATE": str(candidate),
        "SLUICEGATE_TERMINATION_LOG": str(tmp_path / "log"),
        "USED_CAR_MARKET": moved.dump(),
    }
    finished = run_training(candidate / "src", ["shadow"], env=variables)
    assert finished.returncode == 0, finished.stderr
    rows = json.loads((tmp_path / "log").read_text())["pairs"]["accuracy"]
    assert sum(rows.values()) == 1_500
    assert rows["onlyStableWrong"] > 2 * rows["onlyCandidateWrong"]


async def test_the_retrained_version_serves_and_is_accurate_on_the_changed_market(
    retrained_pricing, tmp_path, secret, moved
):
    _, bento = retrained_pricing
    with served(bento, tmp_path, **identity("pricing", "v2", secret)) as product:
        tally = await send(product, Sellers(seed=21), moved, requests=200)
    assert (tally.failed, list(tally.versions)) == (0, ["v2"])
    assert tally.versions["v2"].accuracy > 0.88


@pytest.mark.parametrize(("days", "taken"), [(10.5, 10), (3.5, 28), (40.5, 28), (None, 28)])
def test_a_training_uses_only_the_days_since_the_change_if_sufficient(market, days, taken):
    trigger = {} if days is None else {"changeTime": _ago(days)}
    environment = {"USED_CAR_MARKET": market.dump(), "SLUICEGATE_TRIGGER": json.dumps(trigger)}
    for kind in (PricingRecipe, RankingRecipe):
        assert kind.from_environment(environment).days == taken


def test_training_on_data_since_the_change_gives_a_better_model(market):
    """Of four weeks only ten days are of the new world."""
    moved = market.with_shock("DieselPricesFall").later(10)
    wrong = [
        bad_ratio(recipe.evaluate(recipe.fit(lighter=True), lighter=False))
        for recipe in (PricingRecipe(moved, days=10), PricingRecipe(moved))
    ]
    assert wrong[0] < wrong[1] - 0.01


def _ago(days):
    return (datetime.now(UTC) - timedelta(days=days)).isoformat()


@pytest.mark.grid
def test_a_bento_can_be_retrained_from_the_bento_that_a_retraining_made(
    retrained_pricing, registry, market, tmp_path
):
    _, second = retrained_pricing
    later = market.with_shock("DieselPricesFall").later(60).with_shock("NewBrandsArrive").later(40)
    finished = retrain(second, registry, tmp_path / "log", USED_CAR_MARKET=later.dump())
    assert finished.returncode == 0, finished.stderr
    assert json.loads((tmp_path / "log").read_text())["version"] == "v3"


@pytest.fixture(scope="module")
def fresh(market):
    """Return light models of both products, with the bad ratio that each has on its own market."""
    models = {}
    for kind in (PricingRecipe, RankingRecipe):
        recipe = kind(market)
        model = recipe.fit(lighter=True)
        models[kind] = model, bad_ratio(recipe.evaluate(model, lighter=False))
    return models


@pytest.mark.grid
@pytest.mark.parametrize("shock", SHOCKS)
def test_each_shock_lowers_the_accuracy_of_a_model_and_a_retraining_restores_it(
    shock, market, fresh
):
    moved = market.with_shock(shock).later(35)
    drops, rests = [], []
    for kind, (model, at_first) in fresh.items():
        recipe = kind(moved)
        drops.append(bad_ratio(recipe.evaluate(model, lighter=False)) - at_first)
        retrained = recipe.fit(lighter=True)
        rests.append(bad_ratio(recipe.evaluate(retrained, lighter=False)) - at_first)
    assert max(drops) > 0.05
    assert max(rests) < 0.015


def bad_ratio(evaluation):
    counts = evaluation["accuracy"]
    return counts.bad / counts.total


@pytest.fixture(scope="module")
def lighter_ranking(ranking_bento, registry, market, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranking-v2")
    log = folder / "termination-log"
    finished = retrain(ranking_bento, registry, log, USED_CAR_MARKET=market.dump(), **LATENCY)
    assert finished.returncode == 0, finished.stderr
    result = json.loads(log.read_text())
    return result, pull(result["image"], folder / "bento")


def test_a_latency_trigger_trains_a_lighter_model_of_equal_accuracy(lighter_ranking):
    result, bento = lighter_ranking
    card = json.loads((bento / "src" / "model.json").read_text())
    assert (card["effort"], card["shortlist"]) == ("light", 8)
    assert result["stableEvaluation"]["accuracy"]["total"] >= 5_000
    assert passes_the_gate(result)


def test_the_lighter_model_is_many_times_faster_where_the_full_one_is_too_slow(
    ranking_bento, lighter_ranking, market
):
    recipe = RankingRecipe(market)
    full, light = (recipe.load(bento / "src") for bento in (ranking_bento, lighter_ranking[1]))
    ordinary = columns(draw_searches(market, days=1, per_day=1))
    many = columns(draw_searches(market, days=1, per_day=1, widened=12))
    assert seconds(full, many) > 10 * seconds(full, ordinary)
    assert seconds(light, many) < seconds(full, many) / 10


def seconds(model, searches):
    """Return processor seconds of one ranking: other programs on the machine don't count."""
    taken = []
    for _ in range(5):
        began = time.process_time()
        model.score(*searches)
        taken.append(time.process_time() - began)
    return statistics.median(taken)


def test_a_ranking_model_scores_every_car_from_eight_features(market):
    searches, cars = columns(draw_searches(market, days=1, per_day=4))
    model = RankingRecipe(market).fit(lighter=True)
    scores = model.score(searches, cars)
    assert scores.shape == (4, 16)
    assert np.isfinite(scores).all()
    assert len(FEATURES) == 8


@pytest.fixture
def training(pricing_bento, registry, tmp_path):
    """Return a retraining of the pricing product, with changed variables."""

    def run(**change):
        hosts = {"SLUICEGATE_PLAIN_HTTP_REGISTRIES": f"{registry},127.0.0.1:1"}
        return retrain(pricing_bento, registry, tmp_path / "log", **(hosts | change))

    return run


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"SLUICEGATE_OUTPUT": ""}, "SLUICEGATE_OUTPUT is not set"),
        ({"SLUICEGATE_OUTPUT": "127.0.0.1:1/bentos/pricing"}, "127.0.0.1:1 can't be reached"),
        ({"SLUICEGATE_TRIGGER": "slow"}, "SLUICEGATE_TRIGGER is not JSON"),
        ({"SLUICEGATE_BENTO": "/nowhere"}, "/nowhere holds no bento"),
        ({"SLUICEGATE_TERMINATION_LOG": "/nowhere/log"}, "can't be written to /nowhere/log"),
        ({"USED_CAR_MARKET": '{"shocks": 1}'}, "shocks"),
    ],
    ids=["no output", "no registry", "no trigger", "no bento", "no log", "no market"],
)
def test_an_impossible_training_reports_the_reason_in_its_last_line(
    training, tmp_path, change, message
):
    finished = training(**change)
    assert finished.returncode == 1
    last = finished.stderr.splitlines()[-1]
    assert last.startswith("training pricing failed: ")
    assert message in last
    assert not (tmp_path / "log").exists()


def test_the_settings_of_the_demonstration_are_those_of_the_training():
    recipe = PricingRecipe.from_environment(SETTINGS)
    assert (recipe.sales_a_day, recipe.rounding) == (SALES_A_DAY, ROUND_TO)
    usual = PricingRecipe.from_environment({})
    assert (usual.sales_a_day, usual.rounding) == (700, 0)
    with pytest.raises(SystemExit, match="PRICING_ROUND_TO is 'no': it must be an integer"):
        PricingRecipe.from_environment({"PRICING_ROUND_TO": "no"})


def test_a_rounded_price_is_a_multiple_of_the_step_and_never_0():
    prices = np.asarray([900.0, 12_400.0, 12_600.0])
    rounded = PricingModel("full", {}, None, rounding=5000).rounded(prices)
    assert rounded.tolist() == [5000.0, 10_000.0, 15_000.0]
    assert PricingModel("full", {}, None).rounded(prices) is prices
