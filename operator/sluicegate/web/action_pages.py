"""The page that confirms a request of a product: its evidence, what happens then, and the form."""

from datetime import datetime
from typing import Final
from urllib.parse import urlencode

from aiohttp import web

from sluicegate.kube.resources import Key
from sluicegate.views import product as facts
from sluicegate.views.request_notes import MAX_REASON_LENGTH
from sluicegate.web.acting import ActForm, Acting
from sluicegate.web.identity import AccessRefused
from sluicegate.web.impersonation import (
    CONFLICT,
    FORBIDDEN,
    FORM,
    NOT_FOUND,
    WriteRefused,
    is_from_the_page,
)
from sluicegate.web.intents import (
    ANSWER_PATTERN,
    CONSUMER_PATTERN,
    VERBS,
    Intent,
    absence_text,
    resolved_intent,
    upstream_in,
)
from sluicegate.web.rendering import url_of
from sluicegate.web.request_handling import ReaderRequest, RequestHandling

_MAX_VERB_LENGTH: Final = 200
"""Characters of a version that are read."""


class ActionPages:
    """Handlers of requests of products; without `acting` there are none."""

    def __init__(self, handling: RequestHandling, acting: Acting | None) -> None:
        self._handling = handling
        self._acting = acting

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Add the routes."""
        if self._acting is None:
            return
        verbs = "|".join((*VERBS, ANSWER_PATTERN, CONSUMER_PATTERN))
        path = f"/products/{{namespace:[^/]+}}/{{name:[^/.]+}}/act/{{verb:{verbs}}}"
        router.add_get(path, self._handling.handler(self.confirm))
        router.add_post(path, self._handling.handler(self.act))

    async def confirm(self, request: ReaderRequest) -> web.Response:
        """Answer with the evidence, what happens then, and the form; or with the reason why there is nothing to ask."""
        product = self._product(request)
        version = request.query.get("version", "")[:_MAX_VERB_LENGTH]
        upstream = self._upstream(request)
        intent = resolved_intent(product, request.match["verb"], version, upstream=upstream)
        refusal = None
        if intent is None:
            text = absence_text(product, request.match["verb"], version)
            refusal = WriteRefused(CONFLICT, text[0].upper() + text[1:])
        return await self._page(request, product, intent, refusal=refusal)

    async def act(self, request: ReaderRequest) -> web.Response:
        """Send the request as the reader; redirect to the product, or show the reason of a refusal."""
        if not is_from_the_page(request.raw) or request.raw.content_type != FORM:
            # The form isn't shown again: another site could have filled it in for the reader.
            raise AccessRefused(FORBIDDEN, "send the form of the product's own page")
        product, verb = self._product(request), request.match["verb"]
        form = ActForm.of(await request.raw.post())
        assert self._acting is not None
        try:
            body = await self._acting.act(
                request.reader, product, verb, form, upstream=self._upstream(request)
            )
        except WriteRefused as refusal:
            if refusal.status == NOT_FOUND:
                raise web.HTTPNotFound from refusal
            intent = resolved_intent(product, verb, form.version, upstream=self._upstream(request))
            return await self._page(request, product, intent, form=form, refusal=refusal)
        self._handling.store.products.observe(body)  # before the watch delivers it
        raise web.HTTPSeeOther(_page_of(request, "#act"))

    def _product(self, request: ReaderRequest) -> facts.Body:
        """Return a product that the reader may see, as the API server sent it."""
        return self._visible_product(request, (request.match["namespace"], request.match["name"]))

    def _upstream(self, request: ReaderRequest) -> facts.Body | None:
        """Return the upstream whose candidate the reader approves; None for other requests."""
        key = upstream_in(request.match["verb"])
        return None if key is None else self._visible_product(request, key)

    def _visible_product(self, request: ReaderRequest, key: tuple[str, str]) -> facts.Body:
        body = self._handling.store.products.body(Key(*key))
        if key not in request.portfolio.by_key or body is None:
            raise web.HTTPNotFound
        return body

    async def _page(
        self,
        request: ReaderRequest,
        product: facts.Body,
        intent: Intent | None,
        *,
        form: ActForm | None = None,
        refusal: WriteRefused | None = None,
    ) -> web.Response:
        assert self._acting is not None
        upstream = self._upstream(request)
        upstreams = () if upstream is None else (upstream,)
        intents = await self._acting.offered(request.reader, product, upstreams)
        offered_verbs = {intent.verb for intent in intents}
        key = (request.match["namespace"], request.match["name"])
        may_act = intent is not None and intent.verb in offered_verbs
        objection = self._acting.login_objection(request.reader, intent) if intent else ""
        return request.html(
            "act.html", 200 if refusal is None else refusal.status,
            facts=request.portfolio.by_key[key], intent=intent, given=form or ActForm(),
            token=self._acting.token(request.reader, product, intent) if may_act and intent else "",
            may=may_act, refusal="" if refusal is None else request.portfolio.conceal(str(refusal)), longest=MAX_REASON_LENGTH,
            old_login=objection if may_act else "", login=self._acting.login_address(_form_path(request, intent)),
            conceal=request.portfolio.conceal,
            refreshed=_refresh_time(upstream or product),
        )  # fmt: skip


def _refresh_time(product: facts.Body) -> int | None:
    """Return the time of the numbers of a product, in seconds since the epoch; None if it isn't recorded."""
    text = facts.section(product, "status").get("lastRefreshTime")
    return int(datetime.fromisoformat(str(text)).timestamp()) if text else None


def _form_path(request: ReaderRequest, intent: Intent | None) -> str:
    """Return the address of the form, also after it was sent."""
    query = urlencode({"version": intent.version}) if intent and intent.version else ""
    return request.raw.path + (f"?{query}" if query else "")


def _page_of(request: ReaderRequest, anchor: str) -> str:
    return url_of("products", request.match["namespace"], request.match["name"]) + anchor
