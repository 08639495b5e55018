"""The labels of live requests are the next training set, hold-out and shadow rows, without code of the product."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from search_ranking.recipe import RankingRecipe
from sklearn.datasets import load_digits

from sluicegate.__main__ import main
from sluicegate_service.log_settings import LogSettings
from sluicegate_service.log_stores import store_of
from sluicegate_service.logged_recipes import Rows
from sluicegate_service.warehouse import Warehouse
from tests.bentos.sending import send
from tests.bentos.test_token_headers import feedback
from tests.support.samples.logged import log_variable, write_log
from tests.support.samples.products import build, identity, launched, pull, retrain, run_training
from tests.support.waiting import eventually
from used_car_market import draw_sales
from used_car_market.exchanges import Visitors

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.samples.products import ServedProduct
    from used_car_market import Market

COUNT = 1200


def ask_and_label(product: ServedProduct) -> None:
    """Send digits, and their labels: those of a world in which a 3 is called 7."""
    digits, labels = load_digits(return_X_y=True)
    for begin in range(0, COUNT, 400):
        rows = digits[begin : begin + 400].tolist()
        answers = product.post("/predict", {"rows": rows}).json()
        truth = [7 if label == 3 else int(label) for label in labels[begin : begin + 400]]
        told = [
            {"token": answer["token"], "truth": one}
            for answer, one in zip(answers, truth, strict=True)
        ]
        assert feedback(product, *told)["counted"] == 400


def settle(variables: dict[str, str]) -> None:
    """Make the rows of a log an hour old, and number their ids.

    Trainings leave out labels of the last minute, and hold out by id: numbers hold out the same rows
    in each run, where tokens differ.
    """
    settings = LogSettings.from_environment(variables)
    assert settings is not None
    store = store_of(settings)
    earlier = timedelta(hours=1)
    numbers: dict[str, str] = {}
    for date in store.dates():
        for name in store.names(date):
            rows = [json.loads(line) for line in store.read(date, name).splitlines()]
            for row in rows:
                row["time"] = (datetime.fromisoformat(row["time"]) - earlier).isoformat(
                    timespec="milliseconds"
                )
                row["id"] = numbers.setdefault(row["id"], str(len(numbers)))
            lines = [json.dumps(row, separators=(",", ":")) + "\n" for row in rows]
            store.remove(date)  # with its one file, as there is one process
            store.add(date, name, "".join(lines).encode())


def test_the_next_version_of_the_template_is_trained_on_the_labels_of_its_pods(
    registry: str, secret: Path, tmp_path: Path
):
    source, given = tmp_path / "digits", log_variable(tmp_path / "log")
    command = ["init", "digits", "--template", "outcomes", "--log-claim", "digits-log"]
    assert main([*command, "--directory", str(source)]) == 0
    bento = build(source, tmp_path / "v1")
    variables = identity("digits", "v1", secret) | given
    with launched(bento, tmp_path / "served", **variables) as product:
        ask_and_label(product)
        rows = "sluicegate_log_rows_written_total"
        eventually(
            lambda: product.counters(rows)[()] == 2 * COUNT, seconds=60, what="the log's rows"
        )
    settle(variables)
    message = tmp_path / "message"
    finished = retrain(
        bento, registry, message, **given, SLUICEGATE_NAMESPACE=variables["SLUICEGATE_NAMESPACE"]
    )
    assert finished.returncode == 0, finished.stderr
    result = json.loads(message.read_text())
    total = result["evaluation"]["accuracy"]["total"]
    assert 0.25 * COUNT < total < 0.35 * COUNT
    wrong = {
        part: result[part]["accuracy"]["bad"] / total for part in ("evaluation", "stableEvaluation")
    }
    assert wrong["stableEvaluation"] > 0.07
    assert wrong["evaluation"] < 0.05
    assert result["holdOutStartTime"] < result["dataEndTime"]

    candidate = pull(result["image"], tmp_path / "v2")
    until = datetime.now(UTC)
    scored = run_training(
        candidate / "src",
        ["shadow"],
        env={
            **variables,
            "SLUICEGATE_SINCE": (until - timedelta(hours=2)).isoformat(),
            "SLUICEGATE_UNTIL": until.isoformat(),
            "SLUICEGATE_STABLE": str(bento),
            "SLUICEGATE_CANDIDATE": str(candidate),
            "SLUICEGATE_TERMINATION_LOG": str(message),
        },
    )
    assert scored.returncode == 0, scored.stderr
    pairs = json.loads(message.read_text())["pairs"]["accuracy"]
    assert sum(pairs.values()) == COUNT
    assert pairs["onlyStableWrong"] > 0.07 * COUNT
    assert pairs["onlyCandidateWrong"] < 0.05 * COUNT


def test_the_pricing_sample_is_trained_on_the_sales_of_its_log(
    pricing_bento: Path, registry: str, market: Market, tmp_path: Path
):
    moved = market.with_shock("DieselPricesFall").later(35)
    sales = draw_sales(moved, days=1, per_day=8000, stream="log")
    given = log_variable(tmp_path / "log") | {"SLUICEGATE_NAMESPACE": "catalog"}
    begin = datetime.now(UTC) - timedelta(days=2)
    write_log(
        given | {"SLUICEGATE_PRODUCT": "pricing"},
        [
            (begin + timedelta(seconds=number), {"cars": [car], "tokens": True}, {"price": price})
            for number, (car, price) in enumerate(
                zip(sales.cars.records(), sales.price.tolist(), strict=True)
            )
        ],
    )
    message = tmp_path / "message"
    # The market of the environment has not moved: rows of the log alone know it.
    given |= {"SLUICEGATE_OUTPUT": f"{registry}/logged/pricing", "USED_CAR_MARKET": market.dump()}
    finished = retrain(pricing_bento, registry, message, **given)
    assert finished.returncode == 0, finished.stderr
    result = json.loads(message.read_text())
    total = result["evaluation"]["accuracy"]["total"]
    assert 2200 < total < 2600
    assert (
        result["pairs"]["accuracy"]["onlyStableWrong"]
        > 2 * (result["pairs"]["accuracy"]["onlyCandidateWrong"])
    )


async def test_logged_searches_score_a_ranking_as_its_live_answers_were(
    ranking_bento: Path, secret: Path, pricing: ServedProduct, market: Market, tmp_path: Path
):
    """With the estimates of the time of each request: without them its accuracy is another one."""
    variables = identity("search-ranking", "v1", secret) | log_variable(tmp_path / "log")
    variables["PRICING_URL"] = pricing.url
    with launched(ranking_bento, tmp_path, **variables) as product:
        tally = await send(product, Visitors(seed=3), market, requests=100)
        written = "sluicegate_log_rows_written_total"
        eventually(lambda: product.counters(written)[()] == 200, seconds=60, what="the log's rows")
    settings = LogSettings.from_environment(variables)
    assert settings is not None
    warehouse = Warehouse(store_of(settings), settings.namespace, settings.product)
    now, hour = datetime.now(UTC), timedelta(hours=1)
    rows = Rows.logged(warehouse.labelled(now - hour, now + hour))
    recipe = RankingRecipe(market)
    scored = recipe.evaluate_rows(recipe.load(ranking_bento / "src"), rows)["accuracy"]
    live = tally.versions["v1"]
    assert (scored.total, scored.bad) == (100, round(100 * (1 - live.accuracy)))
    # On a busy machine pricing may answer too late for some.
    assert any("estimates" in row for row in rows.monitored)
