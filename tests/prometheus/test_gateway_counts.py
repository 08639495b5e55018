"""What a gateway counts, by backend and by product."""

from __future__ import annotations

from sluicegate.api.names import DRAW_ROUTE_SUFFIX
from sluicegate.slo.gateway import (
    TRAEFIK_METRIC,
    backend_of,
    render_gateway,
    render_sent,
    route_of,
)
from sluicegate.slo.promql import Scope
from tests.support.prometheus.promtool import (
    check_values,
    up,
)


def rule(number: int) -> str:
    """Return Traefik 3.7's prefix of a backend's name, which identifies its rule and its route."""
    return (
        f"httproute-catalog-search-gw-gateway-web-ep-web-{number}-fbc06bc18e81773c8b5{number}-svc-"
    )


def test_gateway_metrics_count_requests_by_backend_for_any_rule(promtool, tmp_path):
    gateway = 'namespace="gateway", pod="traefik-0", job="t", instance="t"'
    series = [
        up(target=gateway),
        *(
            {
                "series": f"traefik_service_requests_total{{{gateway}, service="
                f'"{name}@kubernetesgateway", code="{code}"}}',
                "values": values,
            }
            for name, code, values in (
                (f"{rule(0)}catalog-search-0123456789-0", 200, "0+8x40"),
                (f"{rule(0)}catalog-search-0123456789-0", 502, "0+1x40"),
                (f"{rule(1)}catalog-search-0123456789-0", 200, "0+1x40"),
                (f"{rule(1)}catalog-search-abcdef0123-1", 200, "_x15 3x10"),
                (f"{rule(1)}catalog-vans-abcdef0123-1", 200, "0+5x40"),
                (f"{rule(1)[:-4]}wrr", 200, "0+5x40"),
                ("catalog-search-00000000aa-3000", 200, "0+2x40"),  # of an older Traefik
            )
        ),
    ]
    samples = [
        {"labels": f'{{sluicegate_backend="{backend_of("catalog", service)}"}}', "value": value}
        for service, value in (
            ("search-0123456789", 100),
            ("search-abcdef0123", 3),
            ("search-00000000aa", 20),
        )
    ]
    text = render_gateway(TRAEFIK_METRIC, 300, Scope(("catalog", "x"), ("search", "cars")))
    check_values(promtool, tmp_path, series, {text: samples})


def test_gateway_counts_include_requests_without_a_pod_by_product(promtool, tmp_path):
    gateway = 'namespace="gateway", pod="traefik-0", job="t", instance="t"'

    def counter(metric, label, name, code, values):
        labels = f'{gateway}, {label}="{name}@kubernetesgateway", code="{code}"'
        return {"series": f"{metric}{{{labels}}}", "values": values}

    routers, services = "traefik_router_requests_total", "traefik_service_requests_total"
    route, other = (
        rule(0).removesuffix("-svc-"),
        rule(0).removesuffix("-svc-").replace("search", "vans"),
    )
    drawn = route.replace("search", f"search{DRAW_ROUTE_SUFFIX.replace('.', '-')}")
    series = [
        up(target=gateway),
        counter(routers, "router", route, 200, "0+8x40"),
        counter(routers, "router", route, 503, "0+4x40"),
        counter(routers, "router", drawn, 503, "0+1x40"),
        counter(routers, "router", other, 503, "0+9x40"),
        counter(services, "service", f"{rule(0)}catalog-search-0123456789-0", 503, "0+1x40"),
        counter(services, "service", f"{rule(1)}catalog-search-0", 503, "0+1x40"),  # labels
        counter(services, "service", f"{rule(0)}catalog-search-abcdef0123-1", 502, "0+3x40"),
        counter(services, "service", f"{rule(0)}catalog-vans-abcdef0123-1", 502, "0+3x40"),
    ]
    samples = [
        {
            "labels": f'{{sluicegate_backend="{route_of("catalog", "search")}",'
            f' sluicegate_fact="{fact}"}}',
            "value": value,
        }
        for fact, value in (("routed", 130), ("unsent", 50), ("own", 20), ("refused", 30))
    ]
    text = render_sent(TRAEFIK_METRIC, 300, Scope(("catalog", "x"), ("search", "cars")))
    check_values(promtool, tmp_path, series, {text: samples})
