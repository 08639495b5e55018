"""A service whose caller says what becomes of each request, so that the caller can count."""

import asyncio

import bentoml
from bentoml.exceptions import BadInput, ServiceUnavailable
from prometheus_client import Counter, Gauge

LABELLED = Counter(
    "sluicegate_predictions_labelled",
    "Predictions whose truth is known.",
    ["outcome", "prediction_version"],
)
EVENTS = Counter(
    "sluicegate_indicator_events",
    "Events of an indicator.",
    ["indicator", "outcome", "prediction_version"],
)
SERVED = Counter("traffic_served", "Searches answered.")
CLICKED = Counter("traffic_clicked", "Results clicked.")
BASKET = Gauge("traffic_basket", "Mean value of a basket.", multiprocess_mode="max")

for outcome in ("correct", "wrong"):
    LABELLED.labels(outcome, "v1")
for outcome in ("good", "bad"):
    EVENTS.labels("conversion", outcome, "v1")
BASKET.set(41.5)


@bentoml.service(name="Traffic", traffic={"timeout": 30}, threads=8)
class Traffic:
    """Answers as it is asked to."""

    @bentoml.api
    async def predict(self, answer: str = "fast") -> str:
        """Return be fast, slow, wrong or broken."""
        match answer:
            case "slow":
                await asyncio.sleep(1.5)
            case "invalid":
                raise BadInput("asked to refuse")
            case "unavailable":
                raise ServiceUnavailable("asked to be unavailable")
            case "broken":
                raise RuntimeError("asked to break")
        return answer

    @bentoml.api
    async def count(self, what: str) -> str:
        """Count one event of the product's own."""
        match what:
            case "correct" | "wrong":
                LABELLED.labels(what, "v1").inc()
            case "good" | "bad":
                EVENTS.labels("conversion", what, "v1").inc()
            case "served":
                SERVED.inc()
            case "clicked":
                CLICKED.inc()
        return what
