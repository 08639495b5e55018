"""Reviews of a product as the operator seals them, from seeded months."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sluicegate.api import names
from sluicegate.api.base import rfc3339
from sluicegate.reviews.seal import sealed_review
from sluicegate.reviews.store import parse_review

if TYPE_CHECKING:
    from sluicegate.api.review import DataProductReview

BOUNDS = {"0.05": 0.4, "0.1": 0.7, "0.25": 0.95, "0.5": 0.99, "+Inf": 1.0}


def month(
    number: int,
    *,
    wrong: float,
    seed: int = 1,
    austria: float | None = None,
    namespace: str = "pricing",
) -> dict[str, Any]:
    """Return a review of one month of 2026 whose predictions are wrong at this share, as a document."""
    rng = random.Random(f"{seed} {number}")
    first = date(2026, number, 1)
    after = date(2026 + number // 12, number % 12 + 1, 1)
    days = []
    day = first
    while day < after:
        requests = rng.randrange(9000, 11000)
        labels = {market: rng.randrange(30, 60) for market in ("AT", "FR", "IT")}
        labels["BE"] = int(day.day <= 5)
        markets = {}
        for market, total in labels.items():
            share = austria if market == "AT" and austria is not None else wrong
            markets[market] = [sum(rng.random() < share for _ in range(total)), total]
        slow = rng.randrange(0, 120)
        days.append(
            {
                "date": day.isoformat(), "final": True, "coverage": "1", "versions": ["v14"],
                "slos": [
                    {"name": "availability", "bad": rng.randrange(0, 2), "total": requests},
                    {"name": "latency", "bad": slow, "total": requests},
                    {"name": "accuracy", "bad": sum(market[0] for market in markets.values()),
                     "total": sum(labels.values()), "markets": markets},
                ],
                "podSeconds": 2 * 86_400, "podRequests": {"cpu": "500m", "memory": "1Gi"},
                "responses": {bound: int(share * requests) for bound, share in BOUNDS.items()},
            }
        )  # fmt: skip
        day += timedelta(days=1)
    start, end = (
        int(datetime(one.year, one.month, one.day, tzinfo=UTC).timestamp())
        for one in (first, after)
    )
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.REVIEW_KIND,
        "metadata": {"name": f"pricing-2026-{number:02}", "namespace": namespace},
        "spec": {
            "productRef": {"name": "pricing", "uid": "u-1"},
            "period": {"startTime": rfc3339(start), "endTime": rfc3339(end)},
        },
        "status": {
            "timeZone": "UTC", "signedBy": ["DataProductManager"], "graceDays": 7,
            "team": [{"username": "acb", "role": "DataProductManager"}],
            "slos": [
                {"name": "availability", "indicator": "availability", "objective": "0.999"},
                {"name": "latency", "indicator": "latency", "objective": "0.99",
                 "thresholdMilliseconds": 250},
                {"name": "accuracy", "indicator": "outcomes", "objective": "0.88", "maxDrop": "0.03",
                 "accepted": [865, 10500], "original": [865, 10500]},
            ],
            "days": days,
            "readiness": [
                {"name": "ProductManager", "state": "Met"},
                {"name": "Runbook", "state": "Missing",
                 "message": "add a link of type Runbook to spec.links"},
                {"name": "RiskAssessed", "state": "Exempt",
                 "message": "until 2026-12-31: the assessment is under way"},
            ],
            "decisions": [
                {"decisionTime": rfc3339(start + 9 * 86_400), "type": "Retrain", "reason": "ModelDecay",
                 "message": "accuracy is at 85.9 % (n=9,064) against 88.0 %", "version": "v13"},
                {"decisionTime": rfc3339(start + 10 * 86_400), "type": "Promote",
                 "reason": "CanaryNotWorse", "message": "v14 isn't worse by 1.5 points",
                 "version": "v14"},
            ],
            "trainings": [
                {"job": "pricing-train-0a1b2c3d-1", "startTime": rfc3339(start + 9 * 86_400),
                 "endTime": rfc3339(start + 9 * 86_400 + 3 * 3600),
                 "requests": {"cpu": "4", "memory": "8Gi"}},
            ],
            "versions": [
                {"version": "v14", "source": "Retraining",
                 "promotionTime": rfc3339(start + 10 * 86_400)},
            ],
        },
    }  # fmt: skip


def sealed_month(number: int, **fields: Any) -> DataProductReview:
    """Return the same, sealed."""
    review = parse_review(month(number, **fields))
    assert review is not None
    now = review.spec.period.end + 3 * 86_400
    return review.model_copy(
        update={"status": sealed_review(review, now, seal_reason="PeriodOver")}
    )


def document_of(review: DataProductReview, **spec: Any) -> dict[str, Any]:
    """Return a review as a file has it."""
    document = review.to_dict()
    document["spec"] |= spec
    return document
