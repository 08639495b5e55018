"""The pages of products, and the list of reviews: each a view of what the reader may see, as HTML, JSON or CSV."""

from collections import Counter
from typing import Any, Final

from aiohttp import web

from sluicegate.api.engine import ProductState
from sluicegate.kube.resources import Key
from sluicegate.portfolio.facts import ProductFacts
from sluicegate.portfolio.matrix import market_of, matrix_of
from sluicegate.portfolio.overview import SORTS, Wanted, rows
from sluicegate.web import exports
from sluicegate.web.answering import CSV, JSON, Answering, ReaderRequest
from sluicegate.web.detail import NEWEST_REVIEWS, detail_of
from sluicegate.web.drawing import MOST_NODES, picture_of

PAGE: Final = 200
"""Products of a page."""
QUEUE: Final = 30
"""Needs that the first page lists at once; a filter has all of them."""
_LONGEST: Final = 200
"""Characters of a filter that are read."""


class PortfolioPages:
    """Handlers of all addresses that show products, or list reviews."""

    def __init__(self, answering: Answering) -> None:
        self._answering = answering

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Declare the addresses."""
        extension = r"{extension:(\.json|\.csv)?}"
        add = router.add_get
        answer = self._answering.handler
        add("/", answer(self.portfolio))
        add(r"/portfolio{extension:\.json|\.csv}", answer(self.portfolio))
        add(f"/markets{extension}", answer(self.markets))
        add(r"/markets/{market:[^/.]+}" + extension, answer(self.market))
        add(f"/graph{extension}", answer(self.graph))
        add(f"/reviews{extension}", answer(self.reviews))
        add(r"/products/{namespace:[^/]+}/{name:[^/.]+}" + extension, answer(self.product))
        add(f"/me{extension}", answer(self.me))

    def add_missing_to(self, router: web.UrlDispatcher) -> None:
        """Declare what answers all other addresses; last, as the first that fits answers."""
        router.add_get("/{rest:.*}", self._answering.handler(self.missing))

    async def missing(self, asked: ReaderRequest) -> web.Response:  # noqa: ARG002 - as all have it
        """No page."""
        raise web.HTTPNotFound

    async def portfolio(self, asked: ReaderRequest) -> web.Response:
        """The sentence, the queue, the table."""
        seen, wanted = asked.seen, wanted_of(asked.query)
        sort = asked.query.get("sort", "state")
        sort = sort if sort in SORTS else "state"
        backwards = asked.query.get("desc") == "1"
        found = rows(seen.products, wanted, sort, backwards=backwards)
        if asked.extension == JSON:
            return asked.json(exports.portfolio_json(seen.overview, found))
        if asked.extension == CSV:
            return asked.csv(exports.portfolio_csv(found), "portfolio")
        page, pages, shown = paged(asked, found)
        return asked.html(
            "portfolio.html",
            overview=seen.overview, queue=seen.overview.queue[:QUEUE], choices=seen.choices,
            wanted=wanted, sort=sort, backwards=backwards, found=len(found), pages=pages,
            page=page, products=shown,
        )  # fmt: skip

    async def markets(self, asked: ReaderRequest) -> web.Response:
        """Products by market; with `market` only those that serve it."""
        wanted = wanted_of(asked.query)
        found = rows(asked.seen.products, wanted)
        matrix = matrix_of([one for one in found if one.markets or one.by_market])
        if asked.extension == JSON:
            return asked.json(exports.matrix_json(matrix))
        if asked.extension == CSV:
            return asked.csv(exports.matrix_csv(matrix), "markets")
        page, pages, shown = paged(asked, matrix.rows)
        return asked.html(
            "markets.html",
            matrix=matrix, wanted=wanted, choices=asked.seen.choices, page=page, pages=pages,
            rows=shown,
        )  # fmt: skip

    async def market(self, asked: ReaderRequest) -> web.Response:
        """The products of one market, the worst first."""
        market = asked.match["market"]
        found = market_of(asked.seen.products, market)
        if not found:
            raise web.HTTPNotFound
        if asked.extension == JSON:
            return asked.json(exports.market_json(market, found))
        if asked.extension == CSV:
            return asked.csv(exports.market_csv(found), "market")
        page, pages, shown = paged(asked, found)
        counts = Counter(str(one.level.state) if one.level else "" for one in found)
        return asked.html(
            "market.html",
            market=market, found=len(found), counts=counts, rows=shown, page=page, pages=pages,
            alone=sum(one.alone for one in found), named=market in asked.seen.choices.markets,
        )  # fmt: skip

    async def graph(self, asked: ReaderRequest) -> web.Response:
        """Who depends on whom; with `of` the part around one product."""
        graph = asked.seen.graph.linked()
        of = asked.query.get("of", "")[:_LONGEST]
        if of in asked.seen.graph.nodes:
            graph = asked.seen.graph.near(of)
        else:
            of = ""
        if asked.extension == JSON:
            return asked.json(exports.graph_json(graph))
        if asked.extension == CSV:
            return asked.csv(exports.graph_csv(graph), "graph")
        picture = picture_of(graph) if 0 < len(graph.nodes) <= MOST_NODES else None
        affected = {
            name: [other for other, node in sorted(graph.nodes.items()) if name in node.causes]
            for name, one in graph.nodes.items() if one.state == ProductState.DEGRADED
        }  # fmt: skip
        return asked.html(
            "graph.html",
            graph=graph, picture=picture, of=of, affected=affected,
            degraded=sorted(affected, key=lambda name: (-len(affected[name]), name)),
        )  # fmt: skip

    async def product(self, asked: ReaderRequest) -> web.Response:
        """One product."""
        key = (asked.match["namespace"], asked.match["name"])
        facts = asked.seen.by_key.get(key)
        if facts is None:
            raise web.HTTPNotFound
        product = self._answering.store.products.product(Key(*key))
        if product is None:
            if asked.extension == JSON:
                return asked.json({"product": exports.product_json(facts)})
            return asked.html("unreadable.html", facts=facts)
        ledgers = (
            self._answering.store.reviews.of(*key, facts.uid, newest=NEWEST_REVIEWS)
            if asked.sight.sees_reviews(key[0])
            else []
        )
        detail = detail_of(facts, product, asked.seen, ledgers)
        if asked.extension == JSON:
            return asked.json(exports.detail_json(detail))
        if asked.extension == CSV:
            return asked.csv(exports.detail_csv(detail), key[1])
        return asked.html("product.html", it=detail, names=_titles(asked.seen.products))

    async def reviews(self, asked: ReaderRequest) -> web.Response:
        """All reviews, the newest period first; `q` is in a name, `period` and `state` are exact."""
        text, state, begin = (
            asked.query.get(name, "")[:_LONGEST] for name in ("q", "state", "period")
        )
        every = asked.seen.reviews
        found = [
            one
            for one in every
            if state in {"", one.state}
            and begin in {"", one.first_day}
            and text.lower() in f"{one.key.namespace}/{one.product}"
        ]
        if asked.extension == JSON:
            return asked.json(exports.reviews_json(found))
        if asked.extension == CSV:
            return asked.csv(exports.reviews_csv(found), "reviews")
        page, pages, shown = paged(asked, found)
        states = sorted({one.state for one in every})
        periods = sorted({one.first_day for one in every}, reverse=True)
        return asked.html(
            "reviews.html",
            reviews=shown, text=text, state=state, states=states, begin=begin, periods=periods,
            found=len(found), page=page, pages=pages,
        )  # fmt: skip

    async def me(self, asked: ReaderRequest) -> web.Response:
        """Who reads, and which namespaces this reader sees."""
        sight = asked.sight
        told: dict[str, Any] = {
            "user": asked.reader.user,
            "groups": list(asked.reader.groups),
            "products": self._seen_namespaces(sight.products),
            "reviews": self._seen_namespaces(sight.reviews),
        }
        if asked.extension == JSON:
            return asked.json(told)
        return asked.html("me.html", me=told)

    def _seen_namespaces(self, allowed: frozenset[str] | None) -> str | list[str]:
        """Those that the reader may see (None: all), as far as the page reads them."""
        read = self._answering.store.read
        if allowed is None:
            return sorted(read) or "all"
        return sorted(allowed.intersection(read) if read else allowed)


def wanted_of(query: Any) -> Wanted:
    """The filter in an address."""
    fields = {"text": "q", **{one: one for one in Wanted.__slots__ if one != "text"}}
    return Wanted(**{field: str(query.get(name, ""))[:_LONGEST] for field, name in fields.items()})


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 7 else 1  # noqa: PLR2004 - digits


def paged(asked: ReaderRequest, items: Any) -> tuple[int, int, Any]:
    """Which part of a list is asked for, of how many, and what is in it."""
    pages = max(1, -(-len(items) // PAGE))
    page = min(max(1, _number(asked.query.get("page", ""))), pages)
    return page, pages, items[(page - 1) * PAGE : page * PAGE]


def _titles(products: tuple[ProductFacts, ...]) -> dict[tuple[str, str], str]:
    return {one.key: one.title for one in products}
