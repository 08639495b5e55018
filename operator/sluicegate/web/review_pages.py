"""The page of one review: its report, and the form that signs it."""

from typing import Any, Final

from aiohttp import web

from sluicegate.api.review import DataProductReview, ReviewState, SignVerdict
from sluicegate.kube.resources import Key
from sluicegate.reporting.facts import facts_of
from sluicegate.reporting.text import as_csv, documents
from sluicegate.reviews.signing import roles_in
from sluicegate.web.answering import CSV, HTML, JSON, Answering, ReaderRequest
from sluicegate.web.detail import conceal_review
from sluicegate.web.identity import AccessRefused
from sluicegate.web.rendering import url_of
from sluicegate.web.signing import (
    FORBIDDEN,
    GONE,
    LONGEST_NOTE,
    SignForm,
    Signing,
    SigningRefused,
    is_from_the_page,
)

OPEN: Final = (ReviewState.TO_REVIEW, ReviewState.OVERDUE)
"""States in which a review takes signatures."""
FORM: Final = "application/x-www-form-urlencoded"


class ReviewPages:
    """Handlers of one review; without `signing` it is only shown."""

    def __init__(self, answering: Answering, signing: Signing | None) -> None:
        self._answering = answering
        self._signing = signing

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Declare the addresses."""
        path = "/reviews/{namespace:[a-z0-9][-a-z0-9]*}/{name:[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?}"
        router.add_get(path, self._answering.handler(self.review))
        if self._signing is not None:
            router.add_post(path, self._answering.handler(self.sign))

    async def review(self, asked: ReaderRequest) -> web.Response:
        """The report of one review."""
        name, extension = asked.match["name"], HTML
        for one in (JSON, CSV):
            if name.endswith(one):
                name, extension = name.removesuffix(one), one
        key = Key(asked.match["namespace"], name)
        review, before = self._found(asked, key)
        if extension == HTML:
            return self._page(asked, key, review, before)
        shown = conceal_review(facts_of(review, before), asked.seen.conceal)
        if extension == JSON:
            return asked.json(documents([shown]))
        return asked.csv(as_csv([shown]), name)

    async def sign(self, asked: ReaderRequest) -> web.Response:
        """Sign as the reader; the page of the review then, or again with the reason of a refusal."""
        if not is_from_the_page(asked.request) or asked.request.content_type != FORM:
            # Nothing of it is shown: another site could fill in what the reader then sends.
            raise AccessRefused(FORBIDDEN, "send the form of the review's own page")
        key = Key(asked.match["namespace"], asked.match["name"])
        review, before = self._found(asked, key)
        form = SignForm.of(await asked.request.post())
        assert self._signing is not None
        try:
            body = await self._signing.sign(asked.reader, key, review, form)
        except SigningRefused as refusal:
            if refusal.status == GONE:
                raise web.HTTPNotFound from refusal
            return self._page(asked, key, review, before, form=form, refusal=refusal)
        self._answering.store.reviews.observe(body)  # the watch brings it only a moment later
        raise web.HTTPSeeOther(url_of("reviews", *key))

    def _found(
        self, asked: ReaderRequest, key: Key
    ) -> tuple[DataProductReview, DataProductReview | None]:
        """A review that the reader may see, and the one of the period before."""
        found = self._answering.store.reviews.review(key)
        if found is None or not asked.sight.sees_reviews(key.namespace):
            raise web.HTTPNotFound
        return found

    def _page(
        self,
        asked: ReaderRequest,
        key: Key,
        review: DataProductReview,
        before: DataProductReview | None,
        *,
        form: SignForm | None = None,
        refusal: SigningRefused | None = None,
    ) -> web.Response:
        # The digest was checked of the ledger as it is; what is shown names no product of others.
        shown = conceal_review(facts_of(review, before), asked.seen.conceal)
        product = (key.namespace, review.spec.product_ref.name)
        return asked.html(
            "review.html", 200 if refusal is None else refusal.status,
            one=shown, key=key, product=product, known=product in asked.seen.by_key,
            is_open=review.status.state in OPEN,
            own=[one for one in review.spec.sign_offs if one.username == asked.reader.user],
            sign=self._form(asked, key, review, form or SignForm()),
            refusal="" if refusal is None else str(refusal),
        )  # fmt: skip

    def _form(
        self, asked: ReaderRequest, key: Key, review: DataProductReview, form: SignForm
    ) -> dict[str, Any] | None:
        signing, reader = self._signing, asked.reader
        if signing is None or review.status.state not in OPEN or not signing.offered(reader):
            return None
        return {
            "roles": roles_in(review, reader.user), "verdicts": tuple(map(str, SignVerdict)),
            "given": form, "token": signing.token(reader, key), "longest": LONGEST_NOTE,
        }  # fmt: skip
