"""The applications around a service's API, in their order: marks, limits, previews, mirrors, markets, calls, tokens.

Each reads the operator's variables of its own, and is left out if the product doesn't have what it
does. Several import modules whose counters read the environment when they are imported, so they are
imported only here, once the launcher has prepared it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from sluicegate_service.environment import REFUSED_METRIC, REVISION, VERSION
from sluicegate_service.prediction_log import current_log
from sluicegate_service.request_limits import Limits, RequestLimits
from sluicegate_service.token_headers import AnswerSettings, TokensInHeaders

if TYPE_CHECKING:
    from collections.abc import Callable

    from sluicegate_service.keys import KeyFiles
    from sluicegate_service.paths import Application
    from sluicegate_service.prediction_log import PredictionLog
    from sluicegate_service.request_limits import FeedbackRoute
    from sluicegate_service.tokens import ShadowPrediction

FEEDBACK: Final = "/feedback"


def require_feedback(service: Any) -> None:
    """Add /feedback to a service without it, if the operator names the prediction in its answers.

    Raises
    ------
    ValueError
        The variable isn't as the operator writes it.
    """
    answers = AnswerSettings.from_environment(os.environ)
    if answers is None or any(api.route == FEEDBACK for api in service.apis.values()):
        return
    from sluicegate_service.added_feedback import add_feedback  # noqa: PLC0415 - see above
    from sluicegate_service.agreement import Agreement  # noqa: PLC0415 - the same
    from sluicegate_service.product import families, feedback_of  # noqa: PLC0415 - the same

    add_feedback(service, feedback_of(families(), Agreement(answers.tolerance_percent)))


def on_metrics_port(application: Application, path: str) -> Application:
    """Return the application of the metrics' port, whose page of metrics is at the path."""
    from sluicegate_service.call_layers import with_metrics  # noqa: PLC0415 - see above

    return with_metrics(application, path)


def layered(
    application: Application, declared: frozenset[str], feedback: FeedbackRoute
) -> Application:
    """Return the application of the API port; ValueError names a variable that is wrong.

    Parameters
    ----------
    declared : paths of the service's API, perhaps with that of feedback.
    """
    from sluicegate_service.call_layers import (  # noqa: PLC0415 - see above
        with_callers,
        with_calls,
        with_marks,
        with_previews,
    )

    paths = declared - {feedback.path}
    has_feedback = feedback.path in declared
    if (log := current_log()) is not None:
        application = _logged(application, log)
    if has_feedback or log is not None:
        application = _with_tokens(application, paths)
    application = with_callers(with_calls(application, paths), paths)
    application = _mirrored(_by_market(application, paths), paths, feedback.keys)
    application = with_previews(application, paths)
    limits = Limits.from_environment(os.environ)
    route = feedback if has_feedback else None
    return with_marks(RequestLimits(application, limits, route, _count_refusals()))


def _logged(application: Application, log: PredictionLog) -> Application:
    """Return the application with a log of its predictions."""
    from sluicegate_service.logged_requests import LoggedRequests  # noqa: PLC0415 - see above
    from sluicegate_service.product import settings  # noqa: PLC0415 - the same

    return LoggedRequests(application, log, settings())


def _with_tokens(application: Application, paths: frozenset[str]) -> Application:
    """Return the application with tokens in the headers of its answers."""
    from sluicegate_service.agreement import Agreement  # noqa: PLC0415 - see above
    from sluicegate_service.product import families, feedback_of  # noqa: PLC0415 - the same

    signer = feedback_of(families(), Agreement())

    def sign(value: Any, shadow: ShadowPrediction | None) -> str | None:
        return signer.token(value, shadow=shadow)

    answers = AnswerSettings.from_environment(os.environ)
    return TokensInHeaders(application, paths, answers, sign)


def _mirrored(application: Application, paths: frozenset[str], keys: KeyFiles) -> Application:
    """Return the application with mirroring of requests, if the product has it."""
    from sluicegate_service.feedback import Settings  # noqa: PLC0415 - only where it is used
    from sluicegate_service.mirroring import (  # noqa: PLC0415 - the same
        Mirror,
        MirroredRequests,
        count_mirrored,
    )

    mirror = Mirror.from_environment(os.environ)
    if mirror is None:
        return application
    identity = Settings.from_environment(os.environ)
    return MirroredRequests(application, mirror, paths, identity, keys, count_mirrored())


def _by_market(application: Application, counted_slos: frozenset[str]) -> Application:
    """Return the application with counts of its answers by market, if the product has markets."""
    # Its counters read the environment at import.
    from sluicegate_service.markets import MarketCounts, Markets  # noqa: PLC0415

    markets = Markets.from_environment(os.environ)
    if markets is None:
        return application
    made_by = {
        "prediction_version": os.environ.get(VERSION, "local"),
        "prediction_revision": os.environ.get(REVISION, ""),
    }
    return MarketCounts(application, markets, counted=counted_slos, made_by=made_by)


def _count_refusals() -> Callable[[str], None]:
    """Return a function that counts requests refused before the service, by reason."""
    from prometheus_client import Counter  # noqa: PLC0415 - reads the environment when imported

    refusals = Counter(REFUSED_METRIC, "Requests refused before the service sees them.", ["reason"])
    return lambda reason: refusals.labels(reason=reason).inc()
