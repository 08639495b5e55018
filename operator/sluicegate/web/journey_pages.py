"""The pages of journeys: the list, and each with its steps and response times."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from sluicegate.portfolio.affected import name_of
from sluicegate.portfolio.journeys import Journey
from sluicegate.reporting.response_times import (
    Histogram,
    histogram_of,
    quantile_of,
    quantiles_of_sum,
)
from sluicegate.views.product_facts import ProductKey
from sluicegate.web import exports
from sluicegate.web.product_pages import select_page
from sluicegate.web.request_handling import CSV, JSON, ReaderRequest, RequestHandling

MAX_STEPS: Final = 16
"""Most steps of a journey whose ledgers are read; a longer one has no response time."""
DAYS: Final = 7
SHARES: Final = (0.5, 0.95)


@dataclass(frozen=True, slots=True)
class JourneyTimes:
    """Response times in seconds at the quantiles `SHARES`, of the last days in the ledgers.

    `steps` by product; `total` for all answers of a journey, one after another. None if unknown: a
    step has no ledger, or is slower than the last bound of its histogram.
    """

    steps: Mapping[ProductKey, tuple[float | None, ...]]
    total: tuple[float | None, ...]


class JourneyPages:
    """Handlers of the pages of journeys."""

    def __init__(self, handling: RequestHandling) -> None:
        self._handling = handling

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Add the routes."""
        extension = r"{extension:(\.json|\.csv)?}"
        handler = self._handling.handler
        router.add_get(f"/journeys{extension}", handler(self.journeys))
        router.add_get(r"/journeys/{journey:[^/.]+}" + extension, handler(self.journey))

    async def journeys(self, request: ReaderRequest) -> web.Response:
        """Answer with all journeys."""
        journeys = list(request.portfolio.journeys.values())
        if request.extension == JSON:
            return request.json(exports.journeys_json(journeys))
        if request.extension == CSV:
            return request.csv(exports.journeys_csv(journeys), "journeys")
        page, pages, selected_journeys = select_page(request, journeys)
        return request.html("journeys.html", journeys=selected_journeys, page=page, pages=pages)

    async def journey(self, request: ReaderRequest) -> web.Response:
        """Answer with the steps of one journey, in order."""
        journey = request.portfolio.journeys.get(request.match["journey"])
        if journey is None:
            raise web.HTTPNotFound
        if request.extension == CSV:
            return request.csv(exports.journeys_csv([journey]), journey.name)
        times = self._response_times(request, journey)
        if request.extension == JSON:
            document = exports.journeys_json([journey])[0]
            return request.json(
                document | {"responseSeconds": dict(zip(("p50", "p95"), times.total, strict=True))}
            )
        nodes = request.portfolio.graph.nodes
        causes = {
            step.product.key: nodes[name_of(step.product.key)].causes for step in journey.steps
        }
        return request.html(
            "journey.html", journey=journey, causes=causes, nodes=nodes, times=times, days=DAYS
        )

    def _response_times(self, request: ReaderRequest, journey: Journey) -> JourneyTimes:
        """Return response times from the ledgers of the steps that the reader may see."""
        steps = journey.steps if len(journey.steps) <= MAX_STEPS else ()
        histograms: dict[ProductKey, Histogram] = {}
        for step in steps:
            key = step.product.key
            if request.visible_namespaces.sees_reviews(key[0]):
                ledgers = self._handling.store.reviews.of(*key, step.product.uid, newest=2)
                days = sorted(
                    (day for ledger in ledgers for day in ledger.status.days),
                    key=lambda day: day.date,
                )
                histograms[key] = histogram_of(days[-DAYS:])
        return JourneyTimes(
            steps={
                key: tuple(quantile_of(histogram, quantile_share) for quantile_share in SHARES)
                for key, histogram in histograms.items()
            },
            total=quantiles_of_sum(
                [histograms.get(step.product.key, ()) for step in steps], SHARES
            ),
        )
