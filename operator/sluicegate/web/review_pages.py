"""The page of one review: its report, and the form that signs it."""

from typing import Any, Final

from aiohttp import web

from sluicegate.api.review import DataProductReview, ReviewState, SignVerdict
from sluicegate.kube.resources import Key
from sluicegate.reporting.facts import ReportFacts, facts_of
from sluicegate.reporting.text import as_csv, documents
from sluicegate.reviews.seal import differs_from_seal
from sluicegate.reviews.signing import is_member, roles_in, signing_state_of
from sluicegate.web.identity import AccessRefused
from sluicegate.web.impersonation import (
    FORBIDDEN,
    FORM,
    NOT_FOUND,
    WriteRefused,
    is_from_the_page,
    may_write,
)
from sluicegate.web.product_content import conceal_review
from sluicegate.web.rendering import url_of
from sluicegate.web.request_handling import CSV, HTML, JSON, ReaderRequest, RequestHandling
from sluicegate.web.signing import LONGEST_NOTE, SignForm, Signing

OPEN_STATES: Final = (ReviewState.TO_REVIEW, ReviewState.OVERDUE)
"""States in which a review can be signed."""


class ReviewPages:
    """Handlers of one review; without `signing` it is read-only."""

    def __init__(self, handling: RequestHandling, signing: Signing | None) -> None:
        self._handling = handling
        self._signing = signing

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Add the routes."""
        path = "/reviews/{namespace:[a-z0-9][-a-z0-9]*}/{name:[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?}"
        router.add_get(path, self._handling.handler(self.review))
        if self._signing is not None:
            router.add_post(path, self._handling.handler(self.sign))

    async def review(self, request: ReaderRequest) -> web.Response:
        """Answer with the report of one review."""
        name, extension = request.match["name"], HTML
        for suffix in (JSON, CSV):
            if name.endswith(suffix):
                name, extension = name.removesuffix(suffix), suffix
        key = Key(request.match["namespace"], name)
        reviews = self._visible_reviews(request, key)
        if extension == HTML:
            return self._page(request, key, reviews)
        report = self._report(request, reviews)
        if extension == JSON:
            return request.json(documents([report]))
        return request.csv(as_csv([report]), name)

    async def sign(self, request: ReaderRequest) -> web.Response:
        """Sign a review as the reader; redirect to its page, or show the reason of a refusal."""
        if not is_from_the_page(request.raw) or request.raw.content_type != FORM:
            # The form isn't shown again: another site could have filled it in for the reader.
            raise AccessRefused(FORBIDDEN, "send the form of the review's own page")
        key = Key(request.match["namespace"], request.match["name"])
        reviews = self._visible_reviews(request, key)
        form = SignForm.of(await request.raw.post())
        assert self._signing is not None
        try:
            body = await self._signing.sign(request.reader, key, reviews[-1], form)
        except WriteRefused as refusal:
            if refusal.status == NOT_FOUND:
                raise web.HTTPNotFound from refusal
            return self._page(request, key, reviews, form=form, refusal=refusal)
        self._handling.store.reviews.observe(body)  # before the watch delivers it
        raise web.HTTPSeeOther(url_of("reviews", *key))

    def _visible_reviews(self, request: ReaderRequest, key: Key) -> list[DataProductReview]:
        """Return the reviews until one that the reader may see, the oldest first."""
        reviews = self._handling.store.reviews.until(key)
        if not reviews or not request.visible_namespaces.sees_reviews(key.namespace):
            raise web.HTTPNotFound
        return reviews

    def _report(self, request: ReaderRequest, reviews: list[DataProductReview]) -> ReportFacts:
        """Return the report on the last of these reviews, without names of hidden products."""
        *_, previous_review = (None, *reviews[:-1])
        now = int(self._handling.store.clock())
        report = facts_of(reviews[-1], previous_review, reviews, now=now)
        return conceal_review(report, request.portfolio.conceal)

    def _page(
        self,
        request: ReaderRequest,
        key: Key,
        reviews: list[DataProductReview],
        *,
        form: SignForm | None = None,
        refusal: WriteRefused | None = None,
    ) -> web.Response:
        # The digest is that of the whole ledger; the page doesn't show names of hidden products.
        report, review = self._report(request, reviews), reviews[-1]
        product = (key.namespace, review.spec.product_ref.name)
        return request.html(
            "review.html", 200 if refusal is None else refusal.status,
            one=report, key=key, product=product, has_page=product in request.portfolio.by_key,
            is_open=self._is_open(review),
            own=[
                signature
                for signature in review.spec.sign_offs
                if signature.username == request.reader.user
            ],
            sign=self._form(request, key, review, form or _initial_form(review)),
            refusal="" if refusal is None else str(refusal),
        )  # fmt: skip

    def _is_open(self, review: DataProductReview) -> bool:
        """Return whether a review waits for signatures, by the signatures that it has now."""
        signing_state = signing_state_of(review, self._handling.store.clock())
        return review.status.state in OPEN_STATES and signing_state.state in OPEN_STATES

    def _form(
        self, request: ReaderRequest, key: Key, review: DataProductReview, form: SignForm
    ) -> dict[str, Any] | None:
        signing, reader = self._signing, request.reader
        if signing is None or not self._is_open(review) or not may_write(reader):
            return None
        return {
            "roles": roles_in(review, reader.user), "verdicts": tuple(map(str, SignVerdict)),
            "is_member": is_member(review, reader.user), "given": form, "token": signing.token(reader, key, review), "longest": LONGEST_NOTE,
        }  # fmt: skip


def _initial_form(review: DataProductReview) -> SignForm:
    """Return the form before it is filled in; a ledger that was changed since its seal is objected to."""
    return SignForm(verdict=str(SignVerdict.OBJECT)) if differs_from_seal(review) else SignForm()
