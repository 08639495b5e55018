"""The base class of a product's service, with the parts that all have in common.

    @bentoml.service(name="Pricing")
    class Pricing(ProductService):
        @bentoml.api(route="/price")
        async def price(self, cars: list[Car]) -> Prices:
            ...                                      # await self.tokens(prices), one beside each

        def score(self, prediction, truth):          # right, or not
            return within_tolerance(prediction, truth["price"])

It signs predictions, answers at /feedback, and counts outcomes. A service without feedback needs no
base class: availability and latency are counted without any code.
"""

from __future__ import annotations

import os
from dataclasses import replace
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import bentoml

from sluicegate_service.answers import current_answer
from sluicegate_service.feedback import Feedback, Label, Score, Settings
from sluicegate_service.keys import KeyFiles
from sluicegate_service.markets import current_market
from sluicegate_service.mirroring import Received, Sent, current_request
from sluicegate_service.outcomes import Event, Outcome, OutcomeCounters
from sluicegate_service.prediction_log import current_log
from sluicegate_service.upstream_outcomes import upstream_outcomes
from sluicegate_service.upstreams import current_versions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sluicegate_service.feedback import Scorer


@cache
def settings() -> Settings:
    """Return the operator's settings of this process."""
    return Settings.from_environment(os.environ)


def feedback_of(counters: OutcomeCounters, score: Scorer) -> Feedback:
    """Return the feedback of this process, with the Secret that the operator mounts."""
    return Feedback(
        settings(), KeyFiles.from_environment(os.environ), counters, score, log=current_log()
    )


@cache
def families() -> OutcomeCounters:
    """Return the counters; prometheus_client allows each family once a process."""
    return OutcomeCounters.create(version=settings().version, revision=settings().revision)


class ProductService:
    """Tokens, /feedback and outcome counters; a product adds its API and `score`."""

    indicators: ClassVar[tuple[str, ...]] = ()
    """Names of its indicators of kind `events`."""

    def __init_subclass__(cls, **options: Any) -> None:  # type: ignore[explicit-override]
        """Create the series of this version at 0 when the service is imported."""
        super().__init_subclass__(**options)
        cls._counters = replace(families(), indicators=cls.indicators)
        cls._counters.know(settings().version, settings().revision)
        upstream_outcomes().know(cls.indicators)

    _counters: ClassVar[OutcomeCounters]

    @property
    def version(self) -> str:
        """Version of this process; `local` without an operator."""
        return settings().version

    def score(self, prediction: Any, truth: Any) -> Score | bool:
        """Return whether a prediction was right; a `Score` adds events of the product's indicators.

        Raise InvalidTruthError, with the expected form, for a label of another form.
        """
        raise NotImplementedError(f"{type(self).__name__}.score(prediction, truth) isn't written")

    def token(
        self, prediction: Any, *, market: str | None = None, header: bool = False
    ) -> str | None:
        """Return the token for a prediction, for the answer's JSON; None if feedback is off.

        `market` is that of the prediction, if a request has several; else it is that of the
        request. With `header`, the token is also put into the header `sluicegate-token`, so that
        the answer's JSON may stay as it is.
        """
        if self.is_mirrored:
            return None
        return self._feedback.token(prediction, market=market, header=header)

    async def tokens(
        self,
        predictions: Sequence[Any],
        *,
        markets: Sequence[str] | None = None,
        header: bool = False,
    ) -> list[str | None]:
        """Return the tokens for the predictions of one request; call it once a request.

        If the request was mirrored (`rollout.shadow.mirror`), it waits for the candidate's
        predictions within the time budget, and the tokens contain them, sealed. `markets` are those
        of the predictions, if a request has several. With `header`, the tokens are also put into
        the header `sluicegate-token`, separated by commas.
        """
        request = current_request.get()
        if isinstance(request, Received):  # no label of the answer is to count
            request.predictions = list(predictions)
            return [None] * len(predictions)
        if (answer := current_answer.get()) is not None:
            answer.batch = True
        count = len(predictions)
        shadows = await request.shadows(count) if isinstance(request, Sent) else (None,) * count
        return [
            self._feedback.token(prediction, market=market, shadow=shadow, header=header)
            for prediction, market, shadow in zip(
                predictions, markets or (None,) * count, shadows, strict=True
            )
        ]

    @property
    def is_mirrored(self) -> bool:
        """Whether this request is a copy without an answer to a user, or a preview: omit side effects."""
        return isinstance(current_request.get(), Received)

    def count(self, indicator: str, *, good: bool) -> None:
        """Count one event of an indicator of this version; nothing for a mirrored request or a preview."""
        if self.is_mirrored:
            return
        self._counters.count_event(
            indicator,
            Event.of(good=good),
            version=settings().version,
            revision=settings().revision,
            market=current_market.get(),
        )
        for version in current_versions():
            upstream_outcomes().count_event(version, indicator, Event.of(good=good))

    @bentoml.api(route="/feedback")
    async def feedback(self, labels: list[Label], ctx: bentoml.Context) -> dict[str, Any]:
        """Receive the true outcomes of predictions, identified by their tokens."""
        answer = self._feedback.receive(labels, ctx.request.headers.get("authorization"))
        ctx.response.status_code = int(answer.status)
        return answer.body

    @cached_property
    def _feedback(self) -> Feedback:
        return feedback_of(self._counters, self._score_of)

    def _score_of(self, prediction: Any, truth: Any) -> Score:
        score = self.score(prediction, truth)
        return score if isinstance(score, Score) else Score(Outcome.of(correct=bool(score)))
