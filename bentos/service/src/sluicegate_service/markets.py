"""Find the market of a request, and count requests and predictions by market.

The operator says where a request names its market (`serving.market`), and which markets the product
has (`spec.markets`). What isn't one of them is counted as `other`, so however callers spell it
there is one series more than the product has markets.

The counters stand beside BentoML's own: those keep their labels.
"""

from __future__ import annotations

import json
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache, partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import REGISTRY, CollectorRegistry, Counter

from sluicegate_service.answer_status import is_counted, is_good, watch_answer
from sluicegate_service.environment import MARKETS, MARKETS_METRIC

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sluicegate_service.paths import Application, Receive, Scope, Send

OTHER: Final = "other"
"""Market of a request without one of the product's."""
AVAILABILITY: Final = "availability"
LATENCY: Final = "latency"
OUTCOMES: Final = "outcomes"
GOOD: Final = "good"
BAD: Final = "bad"
MOST_MARKETS: Final = 64
_LONGEST: Final = 256
"""Most characters of a market's name in a request."""

current_market: ContextVar[str] = ContextVar("current_market", default="")
"""Market of the current request; empty if markets aren't counted."""


def latency_indicator(threshold_milliseconds: int) -> str:
    """Return the label under which answers within a threshold are counted."""
    return f"{LATENCY}:{threshold_milliseconds}"


@dataclass(frozen=True, slots=True)
class Markets:
    """Place of a request's market, and the markets of the product.

    Attributes
    ----------
    codes : the product's markets.
    source : Header, Host or Path. name : of the header.
    values : other names of markets, in lower case, e.g. `uk` or `cars.example`.
    thresholds : milliseconds of each latency SLO.
    """

    codes: frozenset[str]
    source: str
    name: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    thresholds: tuple[int, ...] = ()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Markets | None:
        """Read the operator's variable; None if it isn't set. ValueError has the mistake."""
        text = environment.get(MARKETS)
        if not text:
            return None
        try:
            settings_json = json.loads(text)
            markets = cls(
                codes=frozenset(map(str, settings_json["markets"])),
                source=settings_json["from"],
                name=str(settings_json.get("name", "")).lower(),
                values={
                    str(key).lower(): value
                    for key, value in settings_json.get("values", {}).items()
                },
                thresholds=tuple(map(int, settings_json.get("thresholdsMilliseconds", ()))),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{MARKETS} isn't as the operator writes it: {error!r}") from error
        if len(markets.codes) > MOST_MARKETS or markets.source not in {"Header", "Host", "Path"}:
            raise ValueError(
                f"{MARKETS} names {len(markets.codes)} markets (at most {MOST_MARKETS}) from"
                f" {markets.source!r} (Header, Host or Path)"
            )
        return markets

    def named(self, text: str) -> str:
        """Return the market of a text: one of the product's, or `other`."""
        if len(text) > _LONGEST:
            return OTHER
        code = self.values.get(text.strip().lower(), text.strip().upper())
        return code if code in self.codes else OTHER

    def of(self, scope: Scope) -> str:
        """Return the market of a request."""
        if self.source == "Path":
            return self.named(scope["path"].lstrip("/").partition("/")[0])
        if self.source == "Header":
            return self.named(_header(scope, self.name))
        host = _header(scope, "host").partition(":")[0].lower()
        whole_host = self.named(host)
        # The first label (fr.cars.example), else the last (cars.fr).
        markets = (self.named(label) for label in (host.partition(".")[0], host.rpartition(".")[2]))
        return (
            whole_host
            if whole_host != OTHER
            else next((market for market in markets if market != OTHER), OTHER)
        )


def _header(scope: Scope, name: str) -> str:
    key_bytes = name.encode()
    values = [value for key, value in scope["headers"] if key == key_bytes]
    # Two different values have no market: either choice could be wrong.
    return values[0].decode("latin-1") if len(set(values)) == 1 else ""


def market_events(registry: CollectorRegistry = REGISTRY) -> Counter:
    """Return the counter family, the same one for each call."""
    return _create_counter(registry)


@cache
def _create_counter(registry: CollectorRegistry) -> Counter:
    """Create the family; prometheus_client allows that once for each registry."""
    labels = ["indicator", "outcome", "market", "prediction_version", "prediction_revision"]
    return Counter(MARKETS_METRIC, "Good and bad events by market.", labels, registry=registry)


def know(
    counter: Counter,
    codes: Collection[str],
    indicators: Collection[str],
    made_by: Mapping[str, str],
) -> None:
    """Create all series of a version at 0; otherwise a rate would miss the first events."""
    for market in (*sorted(codes), OTHER):
        for indicator in indicators:
            for outcome in (GOOD, BAD):
                counter.labels(indicator=indicator, outcome=outcome, market=market, **made_by)


class MarketCounts:
    """An ASGI application that counts the answers of another one by market.

    `counted` are the paths of the API without /feedback, which no customer calls. An answer counts
    as bad for availability from 500 on; for a latency only 2xx count, as an early refusal isn't
    fast.
    """

    def __init__(
        self,
        application: Application,
        markets: Markets,
        *,
        counted: frozenset[str],
        made_by: Mapping[str, str],
        counter: Counter | None = None,
    ) -> None:
        self._application = application
        self._markets = markets
        self._counted = counted
        self._made_by = dict(made_by)
        self._counter = counter or market_events()
        indicators = [AVAILABILITY, *map(latency_indicator, markets.thresholds)]
        know(self._counter, markets.codes, indicators, self._made_by)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, and count the answer once it is complete."""
        if scope["type"] != "http" or scope["path"] not in self._counted:
            await self._application(scope, receive, send)
            return
        market = self._markets.of(scope)
        token = current_market.set(market)
        try:
            await watch_answer(
                self._application, scope, receive, send, count=partial(self._count, market)
            )
        finally:
            current_market.reset(token)

    def _count(self, market: str, status: int, seconds: float) -> None:
        if not is_counted(status):
            return
        self._add(AVAILABILITY, market, good=is_good(status))
        if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            for threshold in self._markets.thresholds:
                is_fast = seconds * 1000 <= threshold
                self._add(latency_indicator(threshold), market, good=is_fast)

    def _add(self, indicator: str, market: str, *, good: bool) -> None:
        labels: dict[str, Any] = {"indicator": indicator, "market": market, **self._made_by}
        self._counter.labels(outcome=GOOD if good else BAD, **labels).inc()
