"""The pages of products, and the list of reviews, each as HTML, JSON or CSV."""

from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

from aiohttp import web

from sluicegate.api.engine import ProductState
from sluicegate.kube.resources import Key
from sluicegate.portfolio.affected import MAX_CAUSES, Graph
from sluicegate.portfolio.matrix import market_of, matrix_of
from sluicegate.portfolio.overview import SORT_KEYS, Wanted, of_person, table_rows
from sluicegate.views.product_facts import ProductFacts
from sluicegate.web import exports
from sluicegate.web.acting import Acting
from sluicegate.web.drawing import Picture, edges_of, picture_of
from sluicegate.web.intents import asked_of, awaiting_products, required_answer
from sluicegate.web.layout_process import LayoutProcesses, NotDrawnError
from sluicegate.web.product_content import detail_of
from sluicegate.web.request_handling import CSV, JSON, ReaderRequest, RequestHandling
from sluicegate.web.results import ReviewResult
from sluicegate.web.store import ReviewFacts

PAGE: Final = 200
"""Products of one page."""
QUEUE: Final = 30
"""Needs on the first page; a filter shows all of them."""
CHANGES: Final = 8
"""Products that changed since the last visit, on the first page."""
MAX_MOVERS: Final = 6
"""Products that changed most, on the first page."""
MAX_LATE_ACTIONS: Final = 6
"""Actions that are late, on the first page."""
MAX_LISTED: Final = 50
"""Degraded products, and affected ones of each, that the page of the graph lists."""
_MAX_NAME_LENGTH: Final = 200
"""Characters of a filter that are read."""


class PortfolioPages:
    """Handlers of the pages of products, and of the list of reviews."""

    def __init__(self, handling: RequestHandling, acting: Acting | None) -> None:
        self._handling = handling
        self._acting = acting
        self._layouts = LayoutProcesses()

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Add the routes."""
        extension = r"{extension:(\.json|\.csv)?}"
        add_get = router.add_get
        handler = self._handling.handler
        add_get("/", handler(self.portfolio))
        add_get(r"/portfolio{extension:\.json|\.csv}", handler(self.portfolio))
        add_get(f"/markets{extension}", handler(self.markets))
        add_get(r"/markets/{market:[^/.]+}" + extension, handler(self.market))
        add_get(f"/graph{extension}", handler(self.graph))
        add_get(f"/reviews{extension}", handler(self.reviews))
        add_get(r"/products/{namespace:[^/]+}/{name:[^/.]+}" + extension, handler(self.product))
        add_get(
            r"/products/{namespace:[^/]+}/{name:[^/.]+}/iterations{extension:\.csv}",
            handler(self.product),
        )
        add_get(f"/me{extension}", handler(self.me))

    def add_missing_to(self, router: web.UrlDispatcher) -> None:
        """Add the route for all other addresses; last, as the first matching route answers."""
        router.add_get("/{rest:.*}", self._handling.handler(self.missing))

    async def missing(self, request: ReaderRequest) -> web.Response:  # noqa: ARG002 - the parameter of all handlers
        """Answer 404 with a page."""
        raise web.HTTPNotFound

    async def portfolio(self, request: ReaderRequest) -> web.Response:
        """Answer with the summary, the queue of needs, and the table of products."""
        portfolio, filters = request.portfolio, parse_filter(request.query)
        sort_key = request.query.get("sort", "state")
        sort_key = sort_key if sort_key in SORT_KEYS else "state"
        is_descending = request.query.get("desc") == "1"
        products = table_rows(portfolio.products, filters, sort_key, backwards=is_descending)
        if request.extension == JSON:
            return request.json(
                exports.portfolio_json(portfolio.overview, products, portfolio.movers)
            )
        if request.extension == CSV:
            return request.csv(exports.portfolio_csv(products), "portfolio")
        page, pages, selected_products = select_page(request, products)
        reader_needs = of_person(portfolio.overview, portfolio.products, request.reader.user)
        reader_pairs = {(product.key, need) for product, need in reader_needs}
        other_pairs = [
            product_need
            for product_need in portfolio.overview.queue
            if (product_need[0].key, product_need[1]) not in reader_pairs
        ]
        visit = self._handling.visit(request)
        changes = () if visit is None else visit.changes(portfolio.products)
        response = request.html(
            "portfolio.html", visit=visit, changes=changes[:CHANGES], changed=len(changes),
            overview=portfolio.overview, mine=reader_needs[:QUEUE], queue=other_pairs[:QUEUE], others=len(other_pairs), choices=portfolio.choices,
            filters=filters, sort=sort_key, backwards=is_descending, found=len(products), pages=pages,
            page=page, products=selected_products, movers=portfolio.movers, shown=MAX_MOVERS,
            histories=portfolio.histories,
            late=portfolio.histories.late_actions(self._handling.store.clock()), max_late=MAX_LATE_ACTIONS,
        )  # fmt: skip
        if visit is not None:
            visit.add_cookie(response)
        return response

    async def markets(self, request: ReaderRequest) -> web.Response:
        """Answer with products by market; with `market` only those that serve it."""
        filters = parse_filter(request.query)
        products = table_rows(request.portfolio.products, filters)
        matrix = matrix_of([facts for facts in products if facts.markets or facts.by_market])
        if request.extension == JSON:
            return request.json(exports.matrix_json(matrix))
        if request.extension == CSV:
            return request.csv(exports.matrix_csv(matrix), "markets")
        page, pages, selected_rows = select_page(request, matrix.rows)
        return request.html(
            "markets.html",
            matrix=matrix, filters=filters, choices=request.portfolio.choices, page=page, pages=pages,
            rows=selected_rows,
        )  # fmt: skip

    async def market(self, request: ReaderRequest) -> web.Response:
        """Answer with the products of one market, the worst first."""
        market = request.match["market"]
        products = market_of(request.portfolio.products, market)
        if not products:
            raise web.HTTPNotFound
        if request.extension == JSON:
            return request.json(exports.market_json(market, products))
        if request.extension == CSV:
            return request.csv(exports.market_csv(products), "market")
        page, pages, selected_products = select_page(request, products)
        counts = Counter(str(row.level.state) if row.level else "" for row in products)
        return request.html(
            "market.html",
            market=market, found=len(products), counts=counts, rows=selected_products, page=page, pages=pages,
            alone=sum(row.alone for row in products), named=market in request.portfolio.choices.markets,
        )  # fmt: skip

    async def graph(self, request: ReaderRequest) -> web.Response:
        """Answer with the graph of dependencies; with `of` the part around one product."""
        graph = request.portfolio.graph.linked()
        centre_name = request.query.get("of", "")[:_MAX_NAME_LENGTH]
        if centre_name in request.portfolio.graph.nodes:
            graph = request.portfolio.graph.near(centre_name)
        else:
            centre_name = ""
        if request.extension == JSON:
            return request.json(exports.graph_json(graph))
        if request.extension == CSV:
            return request.csv(exports.graph_csv(graph), "graph")
        picture, reason = await self._picture(request, graph)
        affected_names = {
            name: causes_of
            for name, causes_of in graph.affected().items()
            if graph.nodes[name].state == ProductState.DEGRADED
        }
        return request.html(
            "graph.html",
            graph=graph, picture=picture, not_drawn=reason, of=centre_name, affected=affected_names,
            degraded=sorted(affected_names, key=lambda name: (-len(affected_names[name]), name)),
            most=MAX_LISTED, max_causes=MAX_CAUSES,
        )  # fmt: skip

    async def _picture(self, request: ReaderRequest, graph: Graph) -> tuple[Picture | None, str]:
        """Return the picture of a graph, or None and the reason why there is none."""
        if not graph.nodes:
            return None, ""
        try:
            layout = await self._layouts.layout(
                request.reader.user, edges_of(graph), len(graph.nodes)
            )
        except NotDrawnError as reason:
            return None, str(reason)
        return picture_of(graph, layout), ""

    async def product(self, request: ReaderRequest) -> web.Response:
        """Answer with one product."""
        key = (request.match["namespace"], request.match["name"])
        facts = request.portfolio.by_key.get(key)
        if facts is None:
            raise web.HTTPNotFound
        product = self._handling.store.products.product(Key(*key))
        if product is None:
            if request.extension == JSON:
                return request.json({"product": exports.product_json(facts)})
            return request.html("unreadable.html", facts=facts)
        ledgers = (
            self._handling.store.reviews.of(*key, facts.uid)
            if request.visible_namespaces.sees_reviews(key[0])
            else []
        )
        detail = detail_of(facts, product, request.portfolio, ledgers)
        if request.extension == JSON:
            return request.json(exports.detail_json(detail))
        if request.extension == CSV and request.raw.path.endswith("/iterations.csv"):
            return request.csv(exports.iterations_csv(detail), f"{key[1]}-iterations")
        if request.extension == CSV:
            return request.csv(exports.detail_csv(detail), key[1])
        body = self._handling.store.products.body(Key(*key)) or {}
        awaiting = awaiting_products(request.portfolio.products, facts)
        waiting = {upstream.key for upstream, _ in awaiting}
        callees = (upstream.key for upstream in facts.upstream if upstream.key is not None)
        bodies = {
            key: self._handling.store.products.body(Key(*key))
            for key in dict.fromkeys((*waiting, *callees))
            if key in request.portfolio.by_key
        }
        candidates = {
            key: required_answer(body, facts)
            for key, body in bodies.items()
            if body is not None and key not in waiting
        }
        upstreams = [
            body
            for key, body in bodies.items()
            if body is not None and (key in waiting or candidates[key])
        ]
        early = [
            (request.portfolio.by_key[key], candidate)
            for key, candidate in candidates.items()
            if candidate
        ]
        offered_intents = (
            await self._acting.offered(request.reader, body, upstreams) if self._acting else []
        )
        return request.html(
            "product.html", it=detail, names=_titles(request.portfolio.products),
            offered=offered_intents, asked=list(asked_of(body, upstreams)), awaited=awaiting,
            early=early,
        )  # fmt: skip

    async def reviews(self, request: ReaderRequest) -> web.Response:
        """Answer with all reviews, the newest period first.

        The filter `q` is a part of a name; `period` and `state` are exact.
        """
        text, state, first_day = (
            request.query.get(name, "")[:_MAX_NAME_LENGTH] for name in ("q", "state", "period")
        )
        all_reviews = request.portfolio.reviews
        reviews = [
            review
            for review in all_reviews
            if state in {"", review.state}
            and first_day in {"", review.first_day}
            and text.lower() in f"{review.key.namespace}/{review.product}"
        ]
        histories, products = request.portfolio.histories, request.portfolio.by_key
        now = self._handling.store.clock()

        def results(reviews: Iterable[ReviewFacts]) -> list[ReviewResult]:
            keys = ((review, (review.key.namespace, review.product)) for review in reviews)
            return [histories.result(review, products.get(key)) for review, key in keys]

        if request.extension == JSON:
            return request.json(exports.reviews_json(results(reviews), now))
        if request.extension == CSV:
            return request.csv(exports.reviews_csv(results(reviews), now), "reviews")
        page, pages, selected_reviews = select_page(request, reviews)
        states = sorted({review.state for review in all_reviews})
        periods = sorted({review.first_day for review in all_reviews}, reverse=True)
        return request.html(
            "reviews.html",
            results=results(selected_reviews), text=text, state=state, states=states, begin=first_day, periods=periods,
            found=len(reviews), page=page, pages=pages, now=now,
        )  # fmt: skip

    async def me(self, request: ReaderRequest) -> web.Response:
        """Answer with the reader, and the namespaces that this reader may see."""
        visible_namespaces = request.visible_namespaces
        identity: dict[str, Any] = {
            "user": request.reader.user,
            "groups": list(request.reader.groups),
            "products": self._visible_namespaces(visible_namespaces.products),
            "reviews": self._visible_namespaces(visible_namespaces.reviews),
        }
        if request.extension == JSON:
            return request.json(identity)
        return request.html("me.html", me=identity)

    def _visible_namespaces(self, namespaces: frozenset[str] | None) -> str | list[str]:
        """Return the namespaces that both the reader and the page may read; None for all."""
        read_namespaces = self._handling.store.read
        if namespaces is None:
            return sorted(read_namespaces) or "all"
        return sorted(namespaces.intersection(read_namespaces) if read_namespaces else namespaces)


def parse_filter(query: Any) -> Wanted:
    """Parse the filter of an address."""
    fields = {"text": "q", **{name: name for name in Wanted.__slots__ if name != "text"}}
    return Wanted(
        **{field: str(query.get(name, ""))[:_MAX_NAME_LENGTH] for field, name in fields.items()}
    )


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 7 else 1  # noqa: PLR2004 - digits


def select_page(request: ReaderRequest, items: Any) -> tuple[int, int, Any]:
    """Return the number of the selected page, the number of pages, and its items."""
    pages = max(1, -(-len(items) // PAGE))
    page = min(max(1, _number(request.query.get("page", ""))), pages)
    return page, pages, items[(page - 1) * PAGE : page * PAGE]


def _titles(products: tuple[ProductFacts, ...]) -> dict[tuple[str, str], str]:
    return {product.key: product.title for product in products}
