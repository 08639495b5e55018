"""What a gateway counted: whose counter that is, what it calls a backend, and how to ask for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sluicegate.slo import metric_names as names
from sluicegate.slo.promql import (
    Scope,
    any_of,
    escape_regex,
    quote,
    render_count,
    select,
    sum_by,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

EVERYTHING: Final = Scope()


@dataclass(frozen=True, slots=True)
class GatewayMetric:
    """A gateway's request counter, which also sees requests that no pod answered.

    `label` is the one that tells backends apart, such as `service` of Traefik's
    `traefik_service_requests_total`. A gateway's series carry its own namespace, not the
    product's, so `namespaces` are those of the gateways. `before` and `after` are patterns (RE2)
    of what the gateway puts around a backend's name.
    """

    metric: str
    label: str
    namespaces: tuple[str, ...] = ()
    before: str = ""
    after: str = ""

    def pattern(self, scope: Scope = EVERYTHING) -> str:
        """What the label must match; its one group is the backend's name (see `backend_of`)."""
        backend = ".*"
        if scope.namespaces or scope.products:
            backend = f"{_any(scope.namespaces)}-{_any(scope.products)}-[0-9a-f]+"
        return f"{self.before}({backend}){self.after}"


TRAEFIK: Final = GatewayMetric(
    "traefik_service_requests_total",
    "service",
    before="(?:httproute-.+-[0-9]+-[0-9a-f]+-svc-)?",
    after="-[0-9]+@kubernetesgateway",
)
"""By its Gateway provider: 3.7 puts the rule of the route before a Service, older ones nothing."""


def backend_of(namespace: str, service: str) -> str:
    """What a gateway's counter calls a Service, inside its label.

    Where `a-b`/`c` and `a`/`b-c` both exist, the revision in a version's Service tells them apart.
    """
    return f"{namespace}-{service}"


def _any(values: Iterable[str]) -> str:
    among = "|".join(sorted(map(escape_regex, values)))
    return f"(?:{among})" if among else ".+"


def render_gateway(gateway: GatewayMetric, window: int, scope: Scope = EVERYTHING) -> str:
    """Requests by backend, as the gateway counted them, of the products in a scope."""
    pattern = quote(gateway.pattern(scope))
    namespace = (
        any_of(names.NAMESPACE, gateway.namespaces)
        if gateway.namespaces
        else f'{names.NAMESPACE}!=""'
    )
    # A product's pod may expose whatever it likes, also under the name of the gateway's counter.
    of_gateway = [namespace, f'{names.PRODUCT}=""']
    counted = render_count(
        select(gateway.metric, [*of_gateway, f"{gateway.label}=~{pattern}"]),
        window,
        up=select(names.UP, of_gateway),
    )
    sent = sum_by((gateway.label,), counted)
    backend = f'label_replace(\n{sent}\n, "{names.BACKEND}", "$1", "{gateway.label}", {pattern})'
    return sum_by((names.BACKEND,), backend)
