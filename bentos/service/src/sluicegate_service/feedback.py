"""Feedback: predictions in tokens are compared with their true outcomes, and counted.

A service has one `Feedback` a process. It signs each prediction with `token`, and passes the
requests of its /feedback route to `receive`:

    @bentoml.api(route="/feedback")
    async def feedback(self, labels: list[Label], ctx: bentoml.Context) -> dict[str, Any]:
        answer = self._feedback.receive(labels, ctx.request.headers.get("authorization"))
        ctx.response.status_code = answer.status
        return answer.body

A process counts a token once: it stores the last 100,000. That is best effort: another pod, or this
one after a restart, would count the token again, so senders should send each label once.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from pydantic import BaseModel, ConfigDict, Field

from sluicegate_service.answers import Noted, current_answer
from sluicegate_service.environment import NAMESPACE, PRODUCT, REVISION, VERSION
from sluicegate_service.keys import UNUSABLE, KeyFileError, KeyFiles
from sluicegate_service.markets import Markets, current_market
from sluicegate_service.tokens import (
    VALID_ID,
    CallerId,
    ExpiredTokenError,
    Prediction,
    ShadowPrediction,
    TokenError,
    TokenSigner,
    is_valid_id,
)
from sluicegate_service.upstream_outcomes import UpstreamOutcomes, upstream_outcomes
from sluicegate_service.upstreams import current_versions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sluicegate_service.outcomes import Event, Outcome, OutcomeCounters

WEEK: Final = 7 * 24 * 3600
LIFETIME_VARIABLE: Final = "PREDICTION_TOKEN_LIFETIME_SECONDS"
MATURITY_VARIABLE: Final = "LABEL_MATURITY_SECONDS"
MAX_LABELS: Final = 500
REMEMBERED_TOKENS: Final = 100_000
_KINDS: Final = ((bool, "a boolean"), (int | float, "a number"), (str, "a text"),
                 (list, "a list"), (dict, "an object"), (type(None), "null"))  # fmt: skip
_BY_ID: Final = (
    "labels without a token are joined by id when the log is read: this answer doesn't show whether a"
    " prediction has the id"
)
_UNREADABLE: Final = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""Errors that a comparison with a label of an unexpected form or size may raise."""
log = logging.getLogger("sluicegate.feedback")


class InvalidTruthError(Exception):
    """The service can't read a label's form."""


class Label(BaseModel):
    """The true outcome of one prediction, as it is sent to /feedback."""

    model_config = ConfigDict(extra="forbid")

    token: str = Field(default="", description="What the service returned for the prediction.")
    id: str = Field(default="", description="The caller's own id instead: for the log alone.")
    position: int = Field(default=0, ge=0, description="Of the prediction in the request with id.")
    truth: Any = Field(description="What really happened; the service's README says its form.")


@dataclass(frozen=True, slots=True)
class Score:
    """Result of the comparison of a prediction with its label; `events` by the name of their indicator."""

    outcome: Outcome
    events: Mapping[str, Event] = field(default_factory=dict)


class Scorer(Protocol):
    """A function that compares a predicted value with the truth.

    Raises InvalidTruthError for an unreadable one.
    """

    def __call__(self, prediction: Any, truth: Any) -> Score:
        """Return the score of one prediction."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer of /feedback."""

    status: HTTPStatus
    body: dict[str, Any]


class LabelLog(Protocol):
    """The log of predictions, as labels need it."""

    def samples(self, caller_id: str = "") -> bool:
        """Return whether the log has the prediction of a caller's id."""

    def label(self, identity: bytes, truth: Any) -> None:
        """Add a label."""


class SeenTokens:
    """The tokens that were counted last; the oldest are dropped first."""

    def __init__(self, limit: int = REMEMBERED_TOKENS) -> None:
        self._limit = limit
        self._digests: OrderedDict[bytes, None] = OrderedDict()

    def add(self, identity: bytes) -> bool:
        """Store a token by its prediction's identity; return False if it is stored already."""
        digest = identity[:16]
        if digest in self._digests:
            return False
        self._digests[digest] = None
        if len(self._digests) > self._limit:
            self._digests.popitem(last=False)
        return True


@dataclass(frozen=True, slots=True)
class Settings:
    """Product and version of the feedback. A label counts if its prediction's age is between the bounds."""

    namespace: str
    product: str
    version: str
    revision: str = ""
    lifetime_seconds: int = WEEK
    maturity_seconds: int = 0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the operator's variables; without them the version is `local`."""
        return cls(
            namespace=environment.get(NAMESPACE, "local"),
            product=environment.get(PRODUCT, "local"),
            version=environment.get(VERSION, "local"),
            revision=environment.get(REVISION, ""),
            lifetime_seconds=_seconds(environment, LIFETIME_VARIABLE, WEEK),
            maturity_seconds=_seconds(environment, MATURITY_VARIABLE, 0),
        )


@dataclass(slots=True)
class Feedback:
    """Signatures of predictions, and counts of their outcomes. Off (no tokens) without the Secret.

    With an invalid Secret there are no tokens and labels, but predictions are answered.
    """

    settings: Settings
    keys: KeyFiles
    counters: OutcomeCounters
    score: Scorer
    clock: Callable[[], float] = time.time
    log: LabelLog | None = None
    """The log of predictions, which gets their labels; None if the product has none."""
    markets: Markets | None = field(default_factory=lambda: Markets.from_environment(os.environ))
    upstreams: UpstreamOutcomes = field(default_factory=upstream_outcomes)
    _seen: SeenTokens = field(default_factory=SeenTokens, init=False)
    """Predictions whose label was counted."""
    _logged: SeenTokens = field(default_factory=SeenTokens, init=False)
    """Those whose label was logged, perhaps by the caller's id alone."""

    def token(
        self,
        value: Any,
        *,
        market: str | None = None,
        shadow: ShadowPrediction | None = None,
        header: bool = False,
    ) -> str | None:
        """Return a token for a new prediction; None without a key to sign it.

        `market` is that of the prediction, if a request has several; else it is that of the
        request. `shadow` is another version's prediction for the same request. With `header`, the
        token is also put into the answer's header.
        """
        answer = current_answer.get()
        caller_id = answer.next_id() if answer else None
        is_logged = answer is not None and answer.logged
        subject = ""
        if self.markets is not None:
            subject = current_market.get() if market is None else self.markets.named(market)
        token = None
        if keys := self.keys.signing():
            token = self._signer(keys).issue(
                value,
                version=self.settings.version,
                revision=self.settings.revision,
                market=subject,
                now=self.clock(),
                shadow=shadow,
                caller_id=caller_id,
                logged=is_logged,
                upstreams=current_versions(),
            )
        if answer is not None and is_logged:
            answer.predictions.append(Noted(value, token, caller_id, subject))
        if answer is not None and header and token is not None:
            answer.header.append(token)
        return token

    def receive(self, labels: Sequence[Label], authorization: str | None) -> Answer:
        """Count the valid labels, and return the others with the reasons."""
        try:
            keys = self.keys.current()
        except KeyFileError:
            return _refusal(HTTPStatus.SERVICE_UNAVAILABLE, UNUSABLE)
        if keys is None:
            return _refusal(HTTPStatus.NOT_FOUND, "feedback is off: serving.feedback is not set")
        if not keys.admits(authorization):
            return _refusal(HTTPStatus.UNAUTHORIZED, "send the Secret's bearer token")
        if len(labels) > MAX_LABELS:
            message = f"{len(labels)} labels in one request; send at most {MAX_LABELS}"
            return _refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message)
        signer = self._signer(keys.hmac)
        refused_rows = [
            {"index": index, "reason": reason, "message": message}
            for index, label in enumerate(labels)
            for reason, message in self._accept(label, signer)
        ]
        by_id = {index for index, label in enumerate(labels) if _has_id_alone(label)}
        accepted = set(range(len(labels))) - {objection["index"] for objection in refused_rows}
        body = {"counted": len(accepted - by_id), "refused": refused_rows}
        logged = sum(self._is_sampled(labels[index].id) for index in accepted & by_id)
        return Answer(
            HTTPStatus.OK, body | ({"logged": logged, "message": _BY_ID} if by_id else {})
        )

    def _accept(self, label: Label, signer: TokenSigner) -> list[tuple[str, str]]:
        """Count a label, or log one that has no token; return the objection, if there is one."""
        if not _is_json(label.truth):
            return [("InvalidTruth", "NaN and Infinity are no JSON: send a finite number, or null")]
        if not _has_id_alone(label):
            return self._count(label, signer)
        if self.log is None:
            return [("NoLog", "a label by id needs serving.log: set it, or send the token")]
        if not is_valid_id(label.id):
            return [("InvalidId", f"an id has {VALID_ID}")]
        identity = CallerId(label.id, label.position).identity
        if self._is_sampled(label.id):
            if not self._logged.add(identity):
                return [("Repeated", "the label of this id was accepted already")]
            self.log.label(identity, label.truth)
        return []

    def _is_sampled(self, caller_id: str) -> bool:
        return self.log is not None and self.log.samples(caller_id)

    def _count(self, label: Label, signer: TokenSigner) -> list[tuple[str, str]]:
        """Count one label; return the objection, if there is one."""
        now = self.clock()
        try:
            prediction = signer.read(label.token, now=now)
        except ExpiredTokenError as error:
            return [("Expired", str(error))]
        except TokenError as error:
            return [("InvalidToken", str(error))]
        age = max(now - prediction.issued_at, 0.0)  # the other pod's clock may be ahead
        if age < self.settings.maturity_seconds:
            wait = self.settings.maturity_seconds
            return [("Immature", f"the prediction is {int(age)} s old; it counts from {wait} s on")]
        return self._count_mature(label, prediction, age)

    def _count_mature(
        self, label: Label, prediction: Prediction, age: float
    ) -> list[tuple[str, str]]:
        try:
            score = self.score(prediction.value, label.truth)
        except InvalidTruthError as error:
            return [("InvalidTruth", str(error))]
        except _UNREADABLE as error:
            # The labels after it count. The log has the traceback, in case of a bug.
            log.warning("a truth can't be compared with its prediction", exc_info=True)
            return [("InvalidTruth", _incomparable(prediction.value, label.truth, error))]
        if not self._seen.add(prediction.identity):
            return [
                (
                    "Repeated",
                    "a label of this prediction, or of another one with its id, was counted already",
                )
            ]
        if self.log is not None and prediction.logged and self._logged.add(prediction.identity):
            self.log.label(prediction.identity, label.truth)
        made_by = {
            "version": prediction.version,
            "revision": prediction.revision,
            "market": self._market(prediction),
        }
        self.counters.count(score.outcome, age=age, **made_by)
        for indicator, event in score.events.items():
            self.counters.count_event(indicator, event, **made_by)
        self._count_by_upstream(prediction, score, age)
        self._count_pair(prediction, score.outcome, label.truth)
        return []

    def _count_by_upstream(self, prediction: Prediction, score: Score, age: float) -> None:
        """Count the outcome by the versions of upstreams that answered for the prediction."""
        at = prediction.issued_at
        for version in prediction.upstreams:
            self.upstreams.count_outcome(version, score.outcome, age=age, issued_at=at)
            for indicator, event in score.events.items():
                self.upstreams.count_event(version, indicator, event, issued_at=at)

    def _count_pair(self, prediction: Prediction, outcome: Outcome, truth: Any) -> None:
        """Count both versions' predictions if the token has both; only the outcome, not events.

        An event may be an effect of the answer, and only one of them was answered.
        """
        shadow = prediction.shadow
        if shadow is None:
            return
        try:
            other = self.score(shadow.value, truth).outcome
        except (InvalidTruthError, *_UNREADABLE):
            # Its form differs from the answer's: the candidate predicts another value.
            log.warning("the shadow's prediction can't be compared with a truth", exc_info=True)
            return
        self.counters.count_pair(
            outcome,
            other,
            prediction=(prediction.version, prediction.revision),
            shadow=(shadow.version, shadow.revision),
        )

    def _market(self, prediction: Prediction) -> str:
        """Return the market of a prediction's outcome: one that the product still has."""
        if self.markets is None:
            return ""
        return self.markets.named(prediction.market)

    def _signer(self, keys: Sequence[bytes]) -> TokenSigner:
        return TokenSigner(
            namespace=self.settings.namespace,
            product=self.settings.product,
            keys=keys,
            lifetime_seconds=self.settings.lifetime_seconds,
        )


def kind_of(value: Any) -> str:
    """Return the kind of a JSON value with its article, such as `a text`."""
    return next((name for kind, name in _KINDS if isinstance(value, kind)), "no JSON")


def _incomparable(prediction: Any, truth: Any, error: Exception) -> str:
    """Return why a service's comparison failed, with the kinds of both values."""
    return (
        f"the truth is {kind_of(truth)}, and predictions are {kind_of(prediction)}: they can't be compared"
        f" ({type(error).__name__})"
    )


def _has_id_alone(label: Label) -> bool:
    return bool(label.id) and not label.token


def _is_json(truth: Any) -> bool:
    """Return whether a truth is JSON; Python also parses NaN and Infinity, which are none."""
    try:
        json.dumps(truth, allow_nan=False)
    except (RecursionError, TypeError, ValueError):
        return False
    return True


def _refusal(status: HTTPStatus, message: str) -> Answer:
    return Answer(status, {"error": message})


def _seconds(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name, str(default))
    if not text.isdecimal():
        raise ValueError(f"{name} must be a number of seconds, not {text!r}")
    return int(text)
