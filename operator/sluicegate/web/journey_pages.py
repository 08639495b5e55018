"""The pages of journeys: all of them, and one with its steps and the response times of their ledgers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from sluicegate.portfolio.dependencies import name_of
from sluicegate.portfolio.facts import ProductKey
from sluicegate.portfolio.journeys import Journey
from sluicegate.reporting.response_times import Histogram, histogram_of, quantile, quantiles_of_sum
from sluicegate.web import exports
from sluicegate.web.answering import CSV, JSON, Answering, ReaderRequest
from sluicegate.web.pages import paged

MOST_STEPS: Final = 16
"""Steps whose ledgers are read for a page; a longer journey has no response time."""
DAYS: Final = 7
SHARES: Final = (0.5, 0.95)


@dataclass(frozen=True, slots=True)
class JourneyTimes:
    """Response times in seconds at the shares of `SHARES`, of the last days that ledgers have.

    `steps` by product; `total` of all answers of a journey, one after another. None where the time is
    not known: a step has no ledger, or is slower than the last bound of its histogram.
    """

    steps: Mapping[ProductKey, tuple[float | None, ...]]
    total: tuple[float | None, ...]


class JourneyPages:
    """Handlers of the addresses of journeys."""

    def __init__(self, answering: Answering) -> None:
        self._answering = answering

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Declare the addresses."""
        extension = r"{extension:(\.json|\.csv)?}"
        answer = self._answering.handler
        router.add_get(f"/journeys{extension}", answer(self.journeys))
        router.add_get(r"/journeys/{journey:[^/.]+}" + extension, answer(self.journey))

    async def journeys(self, asked: ReaderRequest) -> web.Response:
        """All journeys."""
        found = list(asked.seen.journeys.values())
        if asked.extension == JSON:
            return asked.json(exports.journeys_json(found))
        if asked.extension == CSV:
            return asked.csv(exports.journeys_csv(found), "journeys")
        page, pages, shown = paged(asked, found)
        return asked.html("journeys.html", journeys=shown, page=page, pages=pages)

    async def journey(self, asked: ReaderRequest) -> web.Response:
        """The steps of one journey, in order."""
        found = asked.seen.journeys.get(asked.match["journey"])
        if found is None:
            raise web.HTTPNotFound
        if asked.extension == CSV:
            return asked.csv(exports.journeys_csv([found]), found.name)
        times = self._times(asked, found)
        if asked.extension == JSON:
            told = exports.journeys_json([found])[0]
            return asked.json(
                told | {"responseSeconds": dict(zip(("p50", "p95"), times.total, strict=True))}
            )
        nodes = asked.seen.graph.nodes
        causes = {one.product.key: nodes[name_of(one.product.key)].causes for one in found.steps}
        return asked.html(
            "journey.html", journey=found, causes=causes, nodes=nodes, times=times, days=DAYS
        )

    def _times(self, asked: ReaderRequest, journey: Journey) -> JourneyTimes:
        """From the ledgers of the steps, as far as the reader may see them."""
        steps = journey.steps if len(journey.steps) <= MOST_STEPS else ()
        found: dict[ProductKey, Histogram] = {}
        for one in steps:
            key = one.product.key
            if asked.sight.sees_reviews(key[0]):
                ledgers = self._answering.store.reviews.of(*key, one.product.uid, newest=2)
                days = sorted(
                    (day for ledger in ledgers for day in ledger.status.days),
                    key=lambda day: day.date,
                )
                found[key] = histogram_of(days[-DAYS:])
        return JourneyTimes(
            steps={
                key: tuple(quantile(histogram, share) for share in SHARES)
                for key, histogram in found.items()
            },
            total=quantiles_of_sum([found.get(one.product.key, ()) for one in steps], SHARES),
        )
