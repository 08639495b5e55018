"""The market: deterministic, of realistic size, and moved by its shocks alone."""

from dataclasses import fields
from datetime import date
from typing import Any

import numpy as np
import pytest

from used_car_market import SHOCKS, Market, MarketError, draw_sales, draw_searches
from used_car_market.catalogue import COUNTRIES, COUNTRY_CODES, FUELS, MODELS
from used_car_market.exchanges import Sellers, Visitors
from used_car_market.prices import fair_price

MARKET = Market(seed=7, today=date(2026, 3, 1))
DIESEL = FUELS.index("diesel")


def shocked(name, days=35):
    return MARKET.with_shock(name).later(days)


def equal(one, other):
    return all(
        np.array_equal(getattr(one, f.name), getattr(other, f.name), equal_nan=f.name == "estimate")
        for f in fields(one)
        if f.name != "cars"
    ) and all(
        np.array_equal(getattr(one.cars, f.name), getattr(other.cars, f.name))
        for f in fields(one.cars)
    )


def test_the_same_seed_and_day_give_the_same_car_market():
    assert equal(draw_sales(MARKET, days=3, per_day=50), draw_sales(MARKET, days=3, per_day=50))
    assert equal(
        draw_searches(MARKET, days=2, per_day=20), draw_searches(MARKET, days=2, per_day=20)
    )


def test_another_seed_gives_another_car_market():
    other = Market(seed=8, today=MARKET.today)
    assert not equal(draw_sales(MARKET, days=1, per_day=50), draw_sales(other, days=1, per_day=50))


def test_a_market_day_is_independent_of_the_current_day():
    later = draw_sales(MARKET.later(1), days=2, per_day=50)
    assert np.array_equal(later.price[:50], draw_sales(MARKET, days=1, per_day=50).price)


def test_the_hold_out_is_drawn_from_its_own_random_stream():
    sales = draw_sales(MARKET, days=1, per_day=500)
    aside = draw_sales(MARKET, days=1, per_day=500, stream="hold-out")
    assert not np.isin(aside.price * aside.cars.mileage, sales.price * sales.cars.mileage).any()


def test_simulated_prices_are_in_the_range_of_used_cars():
    price = draw_sales(MARKET, days=4, per_day=1000).price
    low, middle, high = np.percentile(price, [1, 50, 99])
    assert 2_000 < low < 7_000
    assert 13_000 < middle < 22_000
    assert 35_000 < high < 70_000


def test_cars_are_sold_in_each_of_the_six_countries_only():
    cars = draw_sales(MARKET, days=1, per_day=3000).cars
    sold = {COUNTRY_CODES[code] for code in np.unique(cars.country)}
    assert sold == {"FR", "BE", "ES", "GB", "AT", "IT"}


def test_older_and_more_driven_cars_are_worth_less():
    cars = draw_sales(MARKET, days=1, per_day=1).cars
    many = cars.take(np.zeros(3, dtype=np.int64))
    conditions = MARKET.conditions(MARKET.today)
    many.age[:], many.mileage[:] = [4, 8, 8], [60, 120, 200]
    first, second, third = fair_price(many, conditions)
    assert first > second > third


def test_a_search_offers_different_cars_around_its_budget():
    searches = draw_searches(MARKET, days=1, per_day=300)
    assert searches.candidates == 16
    ratio = np.median(searches.asking / searches.budget[:, None])
    assert 0.6 < ratio < 1.0
    abroad = searches.cars.country.reshape(300, 16) != searches.country[:, None]
    assert np.array_equal(abroad.sum(axis=1), np.full(300, 2))


def test_widening_a_search_adds_rarely_opened_cars():
    searches = draw_searches(MARKET, days=1, per_day=300, widened=8)
    assert searches.candidates == 128
    abroad = searches.cars.country.reshape(300, 128) != searches.country[:, None]
    assert abroad[np.arange(300), searches.opened].mean() < 0.05


def test_opened_cars_are_spread_evenly_over_the_result_positions():
    places = np.bincount(draw_searches(MARKET, days=4, per_day=500).opened, minlength=16)
    assert places.min() > 2000 / 16 * 0.6


@pytest.mark.parametrize("name", SHOCKS)
def test_a_market_shock_changes_nothing_before_its_day(name):
    before = Market(seed=7, today=MARKET.today).with_shock(name, date(2026, 3, 2))
    assert equal(draw_sales(MARKET, days=2, per_day=50), draw_sales(before, days=2, per_day=50))


@pytest.mark.parametrize("name", SHOCKS)
def test_a_market_shock_grows_to_its_full_size(name):
    shock = MARKET.with_shock(name).shocks[0]
    sizes = [shock.size(date(2026, 3, day)) for day in range(1, 10)]
    assert 0 < sizes[0] < 0.2
    assert sizes == sorted(sizes)
    assert sizes[-1] == 1.0
    assert shock.size(date(2026, 2, 28)) == 0.0


def test_diesels_lose_a_tenth_when_their_prices_fall():
    cars = draw_sales(MARKET, days=1, per_day=2000).cars
    market = shocked("DieselPricesFall")
    change = fair_price(cars, market.conditions(market.today)) / fair_price(
        cars, MARKET.conditions(MARKET.today)
    )
    assert change[cars.fuel == DIESEL] == pytest.approx(np.exp(-0.12))
    assert change[cars.fuel == FUELS.index("petrol")] == pytest.approx(1.0)


def test_new_brands_take_their_share_and_scale_the_others_proportionally():
    before, market = MARKET.conditions(MARKET.today), shocked("NewBrandsArrive")
    after = market.conditions(market.today)
    new = np.asarray([model.brand in {"MG", "BYD"} for model in MODELS])
    assert before.model_share[new].sum() == 0
    assert after.model_share[new].sum() == pytest.approx(0.24)
    assert after.model_share[~new] == pytest.approx(before.model_share[~new] * 0.76)


def test_a_new_country_starts_selling_on_its_day():
    market = shocked("NewCountryOpens")
    share = market.conditions(market.today).country_share
    assert share[COUNTRY_CODES.index("PT")] == pytest.approx(0.35)
    assert share.sum() == pytest.approx(1.0)


def test_a_tax_of_one_country_moves_no_price_of_another():
    cars = draw_sales(MARKET, days=1, per_day=2000).cars
    market = shocked("AustriaTaxesCars")
    change = fair_price(cars, market.conditions(market.today)) / fair_price(
        cars, MARKET.conditions(MARKET.today)
    )
    austria = cars.country == COUNTRY_CODES.index("AT")
    assert change[austria] == pytest.approx(np.exp(-0.28))
    assert change[~austria] == pytest.approx(1.0)


def test_the_country_tables_are_complete():
    assert sum(country.share for country in COUNTRIES) == pytest.approx(1.0)
    assert all(sum(country.fuel_mix) == pytest.approx(1.0) for country in COUNTRIES)


def test_the_market_document_round_trips_the_whole_market():
    market = MARKET.with_shock("NewBrandsArrive").later(3).with_shock("NewCountryOpens")
    assert Market.parse(market.dump()) == market


def test_an_empty_market_document_is_the_market_of_the_first_day():
    assert Market.from_environment({}) == Market()
    assert Market.from_environment({"USED_CAR_MARKET": ""}) == Market()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "must be a JSON object"),
        ('{"sed": 1}', r"unknown fields \['sed'\]"),
        ('{"seed": "x"}', "seed must be an integer"),
        ('{"today": "yesterday"}', "today must be a date"),
        ('{"shocks": 1}', "shocks must be a list"),
        ('{"shocks": [{"name": "Flood", "from": "2026-01-05"}]}', "unknown shock 'Flood'"),
        ('{"shocks": [{"name": "NewCountryOpens"}]}', "a shock is"),
        ('{"shocks": [{"name": "NewCountryOpens", "from": 5}]}', "from must be a date"),
    ],
)
def test_an_invalid_market_document_names_the_field(text, message):
    with pytest.raises(MarketError, match=message):
        Market.parse(text)


@pytest.mark.parametrize("visits", [Sellers(seed=3, requests=5), Visitors(seed=3, requests=5)])
def test_traffic_of_the_same_seed_sends_the_same_requests(visits):
    first, again = visits.draw(MARKET, 4), visits.draw(MARKET, 4)
    assert [exchange.body for exchange in first] == [exchange.body for exchange in again]
    assert visits.draw(MARKET, 5)[0].body != first[0].body


def test_the_label_of_a_price_is_the_selling_price():
    exchange: Any = Sellers(requests=1, cars_per_request=2).draw(MARKET, 0)[0]
    sold = exchange.sold_for
    said = [{"price": sold[0] * 1.14, "token": "a"}, {"price": sold[1] * 0.84, "token": "b"}]
    near, far = exchange.judge({"prices": said})
    assert (near.correct, near.content) == (True, {"price": sold[0]})
    assert not far.correct


def test_the_label_of_a_ranking_is_the_opened_car():
    exchange: Any = Visitors(requests=1).draw(MARKET, 0)[0]
    others = [f"c{place}" for place in range(16) if f"c{place}" != exchange.opened]
    found = exchange.judge({"ranking": [*others[:3], exchange.opened, *others[3:]], "token": "t"})
    missed = exchange.judge({"ranking": [*others, exchange.opened], "token": "t"})
    assert found[0].correct
    assert not missed[0].correct
    assert found[0].content["opened"] == exchange.opened
