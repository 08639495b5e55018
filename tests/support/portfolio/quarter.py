"""A seeded quarter of the demo's 47 products: sealed ledgers of three months, versions with events by market, and statuses."""

from __future__ import annotations

import random
from typing import Any, Final

from demo.portfolio import documents
from sluicegate.api.base import rfc3339
from sluicegate.reviews.seal import sealed_review
from sluicegate.reviews.store import parse_review
from tests.support.decisions.reviewed import document_of, month
from tests.support.portfolio.products import degraded, document, slo, version

MONTHS: Final = (9, 10, 11)
INITIAL: Final = {
    "bad": 865, "total": 10_500, "startTime": "2026-01-01T00:00:00Z", "endTime": "2026-01-08T00:00:00Z",
    "source": "Production", "dispersion": "1",
}  # fmt: skip
"""Events of accuracy at the first acceptance of each product."""
FALLEN: Final = "price"
"""Its accuracy falls most from month to month."""
HARMED: Final = "residual-value"
"""Its v7 is better as a whole, and worse in Austria."""
MINE: Final = "price"
"""Needs a person of its team."""
ME: Final = "everybody"
"""The reader."""
HYPOTHESIS: Final = "mileage in bands"


def quarter() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the products and their ledgers, as the API server has them."""
    products, ledgers = [], []
    for number, body in enumerate(documents()):
        namespace, name = body["metadata"]["namespace"], body["metadata"]["name"]
        reviews = [_ledger(namespace, name, number, place) for place in range(len(MONTHS))]
        ledgers += reviews
        products.append(_product(body, number, reviews[-1]))
    return products, ledgers


def _wrong(name: str, number: int, place: int) -> float:
    """Return the share of wrong predictions of a product in a month."""
    if name == FALLEN:
        return 0.08 + 0.06 * place
    return 0.08 + 0.002 * (number % 10) + (0.01 * place if number % 9 == 0 else 0)


def _ledger(namespace: str, name: str, number: int, place: int) -> dict[str, Any]:
    body = month(MONTHS[place], wrong=_wrong(name, number, place), seed=number, namespace=namespace)
    body["metadata"]["name"] = f"{name}-2026-{MONTHS[place]:02}"
    body["spec"]["productRef"] = {"name": name, "uid": f"{namespace}-{name}"}
    body["status"]["slos"][-1]["original"] = [INITIAL["bad"], INITIAL["total"]]
    if number % 3 == 0 or name == HARMED:
        body["status"]["candidates"] = [
            _candidate(name, number, place, turn) for turn in range(1 + (place == 2))
        ]
    review = parse_review(body)
    assert review is not None
    now = review.spec.period.end + 3 * 86_400
    review = review.model_copy(
        update={"status": sealed_review(review, now, seal_reason="PeriodOver")}
    )
    spec = {}
    if name == FALLEN and place == 0:
        spec["actions"] = [
            {"title": "ask the label job", "owner": "mvr", "dueDate": "2026-10-20"},
            {
                "title": "drop the old feature",
                "owner": "jlb",
                "dueDate": "2026-10-20",
                "done": True,
            },
        ]
    return document_of(review, **spec)


def _candidate(name: str, number: int, place: int, turn: int) -> dict[str, Any]:
    """Return a version whose canary ended in a month, with its events by market."""
    rng = random.Random(f"{name} {place} {turn}")
    markets = {}
    for market in ("AT", "FR", "IT"):
        total, stable_total = rng.randrange(300, 900), rng.randrange(800, 2000)
        share = 0.2 if name == HARMED and market == "AT" else 0.05
        bad = sum(rng.random() < share for _ in range(total))
        stable_bad = sum(rng.random() < 0.1 for _ in range(stable_total))
        markets[market] = [bad, total, stable_bad, stable_total]
    bad, total, stable_bad, stable_total = (
        sum(column) for column in zip(*markets.values(), strict=True)
    )
    requests, stable_requests = rng.randrange(5000, 9000), rng.randrange(5000, 9000)
    return {
        "version": f"v{5 + place + turn}", "digest": f"sha256:{number:063x}{place}",
        "source": "Retraining", "cause": "ModelDecay", "causeSlo": "accuracy",
        "outcome": "Promoted" if turn == 0 or number % 2 else "RolledBack",
        "reason": "CanaryNotWorse", "endTime": rfc3339(1_788_220_800 + place * 30 * 86_400 + turn * 86_400 + 12 * 86_400),
        "iteration": {"hypothesis": HYPOTHESIS, "author": "jlb"},
        "slos": [
            {"name": "availability", "indicator": "availability",
             "candidate": {"bad": 3, "total": requests}, "stable": {"bad": 2, "total": stable_requests}},
            {"name": "accuracy", "indicator": "outcomes", "dispersion": "1.3",
             "candidate": {"bad": bad, "total": total}, "stable": {"bad": stable_bad, "total": stable_total},
             "markets": markets},
        ],
    }  # fmt: skip


def _product(product: dict[str, Any], number: int, ledger: dict[str, Any]) -> dict[str, Any]:
    """Return a product whose present numbers are those of its newest day."""
    namespace, name = product["metadata"]["namespace"], product["metadata"]["name"]
    (accuracy,) = (
        level for level in ledger["status"]["days"][-1]["slos"] if level["name"] == "accuracy"
    )
    ratio = 1 - accuracy["bad"] / accuracy["total"]
    status: dict[str, Any] = {
        "stable": version("v7"), "summary": {"slo": "Met"},
        "slos": [
            slo("accuracy", objective="0.88", ratio=f"{ratio:.6f}", bad=accuracy["bad"], total=accuracy["total"])
        ],
    }  # fmt: skip
    if name == FALLEN:
        status |= degraded("ModelDecay")
    status["engine"] = {"originalBaseline": {"version": "v1", "slos": {"accuracy": INITIAL}}}
    spec = product["spec"] | {
        "slos": [{"name": "accuracy", "indicator": {"outcomes": {}}, "objective": "0.88"}],
        "businessGoals": [{"name": "prices-in-tolerance", "slo": "accuracy", "target": "90", "unit": "%"}],
    }  # fmt: skip
    if name == MINE:
        spec["team"] = {"members": [{"username": ME, "role": "DataProductManager"}]}
    return document(name, namespace, spec=spec, status=status)
