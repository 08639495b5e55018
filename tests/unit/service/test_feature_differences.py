"""The features that differ between a training's rows and the requests are named, and no others."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from math import comb, exp
from typing import Any

import pytest

from sluicegate_service.feature_differences import (
    ERROR_RATE,
    LEAST_DIFFERENCE,
    MAX_ROWS,
    compare,
    differences_of_product,
)
from sluicegate_service.warehouse import LoggedRequest, WarehouseError
from tests.support.samples.logged import log_variable, write_log

KILOMETRES_A_MILE = 1.609


def cars(seed: int, count: int = 600, **changes: Any) -> list[dict[str, Any]]:
    """Return requests of cars, with other values of some features."""
    dice = random.Random(seed)

    def car() -> dict[str, Any]:
        drawn = {
            "mileage": round(62_000 * exp(dice.gauss(0, 0.6))),
            "fuel": dice.choices(["petrol", "diesel", "electric"], [5, 4, 1])[0],
            "age": dice.randrange(15),
            "imported": dice.random() < 0.1,
            "colour": None if dice.random() < 0.3 else dice.choice(["red", "blue"]),
            "plate": f"{dice.getrandbits(40):010x}",
        }
        drawn |= {name: change(drawn) for name, change in changes.items()}
        return {"cars": {name: value for name, value in drawn.items() if value != "absent"}}

    return [car() for _ in range(count)]


def requests(rows, path="/price"):
    return [LoggedRequest(path, row) for row in rows]


def found(rows, served):
    return compare(rows, requests(served)).largest


def miles(car):
    return round(car["mileage"] / KILOMETRES_A_MILE)


def test_a_feature_in_another_unit_is_named_with_the_medians_of_both_sides():
    (text,) = found(cars(1), cars(2, mileage=miles))
    name, _, numbers = text.partition(" (median ")
    ours, theirs = numbers.removesuffix(" in the requests)").split(" in the training's rows, ")
    assert name == "cars.mileage"
    assert float(ours.replace(",", "")) == pytest.approx(62_000, rel=0.1)
    assert float(theirs.replace(",", "")) == pytest.approx(62_000 / KILOMETRES_A_MILE, rel=0.1)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"mileage": lambda _: "absent"}, "cars.mileage (missing in 0 % of the training's rows, in 100 % of the requests)"),
        ({"mileage": lambda _: None}, "cars.mileage (missing in 0 % of the training's rows, in 100 % of the requests)"),
        ({"mileage": lambda car: str(car["mileage"])}, "cars.mileage (a number in 100 % of the training's rows, in 0 % of the requests)"),
        ({"imported": lambda car: not car["imported"]}, "cars.imported (\"false\" in 88.7 % of the training's rows, in 10 % of the requests)"),
        ({"fuel": lambda car: car["fuel"].upper()}, 'cars.fuel ("petrol" in '),
        ({"age": lambda car: 7 + 3 * (car["age"] - 7)}, "cars.age (up to 14 in 100 % of the training's rows, in 65.3 % of the requests)"),
    ],
    ids=["a renamed feature", "null", "a number as text", "a reversed flag", "a renamed category", "another spread"],
)  # fmt: skip
def test_a_feature_that_is_served_otherwise_is_named_with_its_shares(changes, text):
    (named,) = found(cars(1), cars(2, **changes))
    assert named.startswith(text)


def test_rare_categories_are_not_quoted():
    rows, served = cars(1), cars(2)
    for number, row in enumerate(rows):
        row["cars"]["plate"] = f"owner {number % 200}"  # three rows each
    (named,) = found(rows, served)
    assert named == (
        "cars.plate (the values of 87.5 % of the training's rows are in 0 % of the requests)"
    )


def test_at_most_three_features_are_named_and_the_largest_difference_is_first():
    changes = {
        "mileage": miles, "fuel": lambda _: "absent", "age": lambda car: car["age"] + 6,
        "imported": lambda car: not car["imported"],
    }  # fmt: skip
    named = found(cars(1), cars(2, **changes))
    assert [text.partition(" ")[0] for text in named] == ["cars.fuel", "cars.imported", "cars.age"]


def test_each_text_is_at_most_two_hundred_printable_characters():
    names = {f"{'a' * 300}\n{number}": "b" * 300 for number in range(3)}
    served = dict.fromkeys(names, "c\n" * 300)
    named = found([names] * 100, [served] * 100)
    assert len(named) == 3
    assert all(len(text) <= 200 and text.isprintable() for text in named)


def test_the_same_rows_give_the_same_texts():
    served = cars(2, count=MAX_ROWS + 500, mileage=miles)
    assert found(cars(1), served) == found(cars(1), served)


def test_requests_to_the_most_frequent_path_alone_are_compared():
    served = requests(cars(2)) + requests([{"text": "why"}] * 500, path="/explain")
    assert compare(cars(1), served).largest == ()


def test_requests_of_any_json_are_compared():
    nested: Any = {}
    for _ in range(5000):
        nested = [nested]
    odd = [None, "text", {"cars": nested}, {"cars": {"mileage": 10**400}}, [], {"cars": 1}]
    assert [text[:20] for text in found(cars(1), cars(2, mileage=miles) + odd)] == [
        "cars.mileage (median"
    ]
    assert compare(cars(1), requests([None] * 500)).compared == 0


@pytest.mark.parametrize(("rows", "served"), [([], cars(2)), (cars(1), [])])
def test_without_rows_or_requests_no_feature_is_compared(rows, served):
    assert compare(rows, requests(served)).compared == 0


def test_rows_that_are_not_the_json_of_requests_are_refused():
    with pytest.raises(TypeError, match="return the JSON of a request for each row"):
        compare(["mileage", "fuel"], requests(cars(2)))


def false_rate_is_at_most(named: int, of: int, rate: float) -> bool:
    """Return whether so many, or more, are named with a probability of 1 % at least where `rate` holds."""
    tail = sum(
        comb(of, count) * rate**count * (1 - rate) ** (of - count) for count in range(named, of + 1)
    )
    return tail >= 0.01


def test_rows_of_the_same_distribution_name_a_feature_at_most_as_often_as_promised():
    seeds = range(200)
    named = sum(bool(found(cars(seed, 200), cars(-seed - 1, 200))) for seed in seeds)
    assert false_rate_is_at_most(named, len(seeds), ERROR_RATE)


def test_a_difference_as_large_as_the_least_one_is_named_at_most_as_often_as_promised():
    named, seeds = 0, range(200)
    for seed in seeds:
        dice = random.Random(seed)
        rows = [{"a": "x" if dice.random() < 0.5 else "y"} for _ in range(600)]
        served = [{"a": "x" if dice.random() < 0.5 - LEAST_DIFFERENCE else "y"} for _ in range(600)]
        named += bool(found(rows, served))
    assert false_rate_is_at_most(named, len(seeds), ERROR_RATE)


# ---- with the log of a product ----------------------------------------------------------------
NOW = datetime.now(UTC)
SINCE = NOW - timedelta(hours=6)


def logged(served, tmp_path, monkeypatch, **features):
    """Write the log of a product, which has some settings of features."""
    given = log_variable(tmp_path / "log")
    settings = json.loads(given["SLUICEGATE_LOG"]) | {"features": features}
    given = {"SLUICEGATE_LOG": json.dumps(settings)}
    monkeypatch.setenv("SLUICEGATE_LOG", given["SLUICEGATE_LOG"])
    write_log(given, [(NOW - timedelta(hours=2), row, 1) for row in served])


def differences(rows, version="v1", since=SINCE):
    return differences_of_product(lambda *_: rows, since, NOW, version)


def test_rows_are_compared_with_the_logged_requests_of_the_version_and_the_time(
    tmp_path, monkeypatch
):
    logged(cars(2, mileage=miles), tmp_path, monkeypatch)
    assert "cars.mileage (median" in str(differences(cars(1)).largest)
    assert differences(cars(1), version="v2").compared == 0
    assert differences(cars(1), since=NOW - timedelta(hours=1)).compared == 0


@pytest.mark.parametrize(
    "features",
    [{"redact": ["cars.mileage"]}, {"person": "cars.mileage"}, {"only": ["cars.age", "cars.fuel"]}],
    ids=["redacted", "the key of a person", "not chosen"],
)
def test_a_feature_that_the_log_must_not_show_is_not_named(features, tmp_path, monkeypatch):
    logged(
        cars(2, mileage=miles, age=lambda car: car["age"] + 9), tmp_path, monkeypatch, **features
    )
    named = str(differences(cars(1)).largest)
    assert "cars.age (median" in named
    assert "mileage" not in named


def test_without_a_log_nothing_is_compared_and_a_log_that_is_away_is_an_error(
    tmp_path, monkeypatch
):
    monkeypatch.delenv("SLUICEGATE_LOG", raising=False)
    assert differences(cars(1)) is None
    logged([], tmp_path, monkeypatch)
    (tmp_path / "log").rmdir()
    with pytest.raises(WarehouseError, match="can't be read"):
        differences(cars(1))
