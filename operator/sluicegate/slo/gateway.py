"""Counters of gateways: their metrics, their names for backends and routes, and the queries for them."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from sluicegate.api.names import DRAW_ROUTE_SUFFIX
from sluicegate.slo import metric_names as names
from sluicegate.slo.promql import (
    Scope,
    any_expression,
    escape_regex,
    quote,
    render_count,
    select_series,
    sum_by,
    tag,
)

WHOLE_SCOPE: Final = Scope()


class GatewayCount(StrEnum):
    """Kinds of requests that a gateway counts."""

    ROUTED = "routed"
    """All requests that arrived by its routes."""
    UNSENT = "unsent"
    """503 by its routes: from a pod, or from the gateway if there was no pod to send it to."""
    OWN = "own"
    """503 from its pods."""
    REFUSED = "refused"
    """502: the pod refused the connection, or closed it."""


@dataclass(frozen=True, slots=True)
class RouterMetric:
    """A gateway's counter of requests by route, including those that reached no backend.

    `label` identifies the route; `before` and `after` are patterns (RE2) of the text that the
    gateway puts around namespace and name of an HTTPRoute. `draws` is the pattern of what the name
    of a product's route of draws has beyond the product's. `code` is the label of the status code.
    """

    metric: str
    label: str
    before: str
    after: str
    draws: str
    code: str = "code"


@dataclass(frozen=True, slots=True)
class GatewayMetric:
    """A gateway's request counter, which also sees requests that no pod answered.

    `label` identifies the backend, such as `service` of Traefik's `traefik_service_requests_total`.
    A gateway's series carry its own namespace, not the product's, so `namespaces` are those of the
    gateways. `before` and `after` are patterns (RE2) of the text that the gateway puts around a
    backend's name. `router` counts requests that were sent to no backend, too; None where the
    gateway has no such counter.
    """

    metric: str
    label: str
    namespaces: tuple[str, ...] = ()
    before: str = ""
    after: str = ""
    router: RouterMetric | None = None

    def pattern(self, scope: Scope = WHOLE_SCOPE) -> str:
        """Return the pattern that the label must match.

        Its one group is the backend's name (see `backend_of`).
        """
        backend = ".*"
        if scope.namespaces or scope.products:
            backend = f"{_any_value_pattern(scope.namespaces)}-{_any_value_pattern(scope.products)}-[0-9a-f]+"
        return f"{self.before}({backend}){self.after}"


TRAEFIK_METRIC: Final = GatewayMetric(
    "traefik_service_requests_total",
    "service",
    before="(?:httproute-.+-[0-9]+-[0-9a-f]+-svc-)?",
    after="-[0-9]+@kubernetesgateway",
    router=RouterMetric(
        "traefik_router_requests_total",
        "router",
        before="httproute-",
        after="-gw-.+-ep-.+-[0-9]+-[0-9a-f]+@kubernetesgateway",
        draws=DRAW_ROUTE_SUFFIX.replace(".", "-"),
    ),
)
"""Metrics of Traefik's Gateway provider: 3.7 puts the rule of the route before a Service, older
versions don't."""


def backend_of(namespace: str, service: str) -> str:
    """Return a Service's name as it appears in a gateway's metric label.

    If `a-b`/`c` and `a`/`b-c` both exist, the revision in a version's Service differs.
    """
    return f"{namespace}-{service}"


def route_of(namespace: str, product: str) -> str:
    """Return a product's route name as it appears in a gateway's metrics; `a-b`/`c` and `a`/`b-c` have the same."""
    return f"{namespace}-{product}"


def _any_value_pattern(values: Iterable[str]) -> str:
    alternatives_pattern = "|".join(sorted(map(escape_regex, values)))
    return f"(?:{alternatives_pattern})" if alternatives_pattern else ".+"


def render_gateway(gateway: GatewayMetric, window: int, scope: Scope = WHOLE_SCOPE) -> str:
    """Render the query for requests by backend, as the gateway counted them, of the products in a scope."""
    counter = _Counter(gateway.metric, gateway.label, gateway.pattern(scope))
    return _sum_by_backend(gateway, counter, window)


def render_sent(gateway: GatewayMetric, window: int, scope: Scope = WHOLE_SCOPE) -> str:
    """Render the query for each product's requests by kind, as the gateway counted them (see `GatewayCount`)."""
    product = ".+?"
    if scope.namespaces or scope.products:
        product = f"{_any_value_pattern(scope.namespaces)}-{_any_value_pattern(scope.products)}"
    # Labels go to the product's own Service while a candidate has a share.
    backends = f"{gateway.before}({product})(?:-[0-9a-f]{{10}})?{gateway.after}"
    if (router := gateway.router) is None:
        raise ValueError(f"{gateway.metric}: its gateway doesn't count by route")
    routes = f"{router.before}({product})(?:{router.draws})?{router.after}"
    by_route = _Counter(router.metric, router.label, routes, ends=router.draws)
    by_backend = _Counter(gateway.metric, gateway.label, backends)
    unsent_matcher, refused_matcher = (f'{router.code}="{code}"' for code in (503, 502))
    counters = {
        GatewayCount.ROUTED: by_route,
        GatewayCount.UNSENT: replace(by_route, matcher=unsent_matcher),
        GatewayCount.OWN: replace(by_backend, matcher=unsent_matcher),
        GatewayCount.REFUSED: replace(by_backend, matcher=refused_matcher),
    }
    return any_expression(
        tag(_sum_by_backend(gateway, counter, window), names.FACT_LABEL, fact_name)
        for fact_name, counter in counters.items()
    )


@dataclass(frozen=True, slots=True)
class _Counter:
    """A gateway's counter; the group of `pattern` in its `label` identifies a request's backend.

    `ends` is a pattern of what doesn't belong to it at its end.
    """

    metric: str
    label: str
    pattern: str
    matcher: str = ""
    ends: str = ""


def _sum_by_backend(gateway: GatewayMetric, counter: _Counter, window: int) -> str:
    namespace = Scope(gateway.namespaces).namespace_matcher()
    # A product's pod may expose whatever it likes, also under the name of the gateway's counter.
    gateway_labels = [namespace, f'{names.PRODUCT}=""']
    label, pattern = counter.label, quote(counter.pattern)
    matchers = [*gateway_labels, f"{label}=~{pattern}", *filter(None, [counter.matcher])]
    counted_requests = render_count(
        select_series(counter.metric, matchers),
        window,
        up_selector=select_series(names.UP_METRIC, gateway_labels),
    )
    sent_requests = sum_by((label,), counted_requests)
    backend = f'label_replace(\n{sent_requests}\n, "{names.BACKEND}", "$1", "{label}", {pattern})'
    if counter.ends:
        backend_pattern = quote(f"(.+){counter.ends}")
        backend = f'label_replace(\n{backend}\n, "{names.BACKEND}", "$1", "{names.BACKEND}", {backend_pattern})'
    return sum_by((names.BACKEND,), backend)
