"""The Grafana dashboards of the portfolio and of one product.

    python -m charts.product_boards portfolio > charts/sluicegate/files/dashboard-portfolio.json
    python -m charts.product_boards product > charts/sluicegate/files/dashboard-product.json

States, budgets and weights are the operator's own metrics; requests, outcomes and markets are those
of the services, as the operator's queries read them. What a panel counts is of its own window, so it
may differ from the numbers of a decision, which are in status.
"""
# ruff: noqa: INP001 - a script beside the chart that it writes for, not a package

from __future__ import annotations

import sys
from typing import Final

from charts.grafana import Board, Panel, Rows, Variable, render

NAMESPACES: Final = 'namespace=~"$namespace"'
ONE: Final = 'namespace="$namespace",product="$product"'
EACH: Final = "{{namespace}}/{{product}}"
WINDOW: Final = "$__rate_interval"
LABELLED: Final = "sluicegate_predictions_labelled_total"
MARKETS: Final = "sluicegate_market_events_total"
MIRRORED: Final = "sluicegate_mirrored_requests_total"
PAIRED: Final = "sluicegate_predictions_paired_total"
REQUESTS: Final = "bentoml_service_request_total"
FAILED: Final = 'http_response_code=~"5.."'
WRONG: Final = 'outcome="wrong"'
SHADOW_WRONG: Final = 'shadow_outcome="wrong"'
BAD: Final = 'outcome="bad"'
ALL_OUTCOMES: Final = f'{NAMESPACES},indicator="outcomes"'
OWN_OUTCOMES: Final = f'{ONE},indicator="outcomes"'
OWN_AVAILABILITY: Final = f'{ONE},indicator="availability"'
BUCKETS: Final = "bentoml_service_request_duration_seconds_bucket"


def share(metric: str, bad: str, by: str, match: str) -> str:
    """The share of bad events of a counter in the last hour."""
    total = f"sum by ({by}) (increase({metric}{{{match}}}[1h]))"
    return f"sum by ({by}) (increase({metric}{{{match},{bad}}}[1h])) / ({total} > 0)"


def quantile(of: float, by: str) -> str:
    """A quantile of response times; an estimate between two bounds of the histogram."""
    rates = f"rate({BUCKETS}{{{ONE}}}[{WINDOW}])"
    return f"histogram_quantile({of}, sum by ({by}, le) ({rates}))"


PORTFOLIO_ROWS: Final[Rows] = (
    ("What needs a person", (
        Panel("Products by state", (("{{state}}", "sum by (state) (sluicegate_products)"),),
              kind="stat", width=6),
        Panel("Candidates that wait for approval",
              (("approvals", 'sum(sluicegate_candidates{phase="AwaitingApproval"}) or vector(0)'),),
              kind="stat", width=4),
        Panel("Stalled, by reason",
              (("{{reason}}", "sum by (reason) (sluicegate_products_stalled)"),), kind="stat", width=4),
        Panel("Longest degraded without a remedy",
              (("degraded", 'max(sluicegate_degraded_longest_seconds{remedy="None"})'),),
              "s", kind="stat", width=4),
        Panel("Reviews by state", (("{{state}}", "sum by (state) (sluicegate_reviews)"),),
              kind="stat", width=6),
    )),
    ("States and budgets: products of highest priority, up to SLUICEGATE_PRODUCT_METRICS", (
        Panel("State",
              ((EACH, f"max by (namespace, product) (sluicegate_product_state{{{NAMESPACES}}})"),),
              kind="state-timeline", states=True, width=12),
        Panel("Error budget remaining, the 20 lowest",
              ((f"{EACH} {{{{slo}}}}",
                f"bottomk(20, max by (namespace, product, slo) (sluicegate_product_error_budget_remaining{{{NAMESPACES}}}))"),),
              "percentunit", kind="bargauge", width=12),
        Panel("Reviews that are overdue",
              ((EACH, f"time() - max by (namespace, product) (sluicegate_product_review_due_timestamp_seconds{{{NAMESPACES}}}) > 0"),),
              "s", kind="bargauge"),
        Panel("Weight of the candidates",
              ((EACH, f"max by (namespace, product) (sluicegate_product_canary_weight{{{NAMESPACES}}}) > 0"),),
              "percent"),
        Panel("Age of the stable version, the 20 oldest",
              ((EACH, f"topk(20, time() - max by (namespace, product) (sluicegate_product_promoted_timestamp_seconds{{{NAMESPACES}}}))"),),
              "s", kind="bargauge"),
    )),
    ("Requests and models, as the services count them", (
        Panel("Requests a second, the 20 largest",
              ((EACH, f"topk(20, sum by (namespace, product) (rate({REQUESTS}{{{NAMESPACES}}}[{WINDOW}])))"),),
              "reqps"),
        Panel("Share of failed requests, the 20 largest",
              ((EACH, f"topk(20, {share(REQUESTS, FAILED, 'namespace, product', NAMESPACES)})"),),
              "percentunit"),
        Panel("Share of wrong predictions, the 20 largest",
              ((EACH, f"topk(20, {share(LABELLED, WRONG, 'namespace, product', NAMESPACES)})"),),
              "percentunit"),
    )),
    ("Markets", (
        Panel("Share of bad outcomes by market, all products together",
              (("{{market}}", share(MARKETS, BAD, "market", ALL_OUTCOMES)),),
              "percentunit", width=12),
        Panel("Product and market, the 20 worst",
              ((f"{EACH} {{{{market}}}}",
                f"topk(20, {share(MARKETS, BAD, 'namespace, product, market', ALL_OUTCOMES)})"),),
              "percentunit", kind="bargauge", width=12,
              text="The last hour; a market with few events moves much by chance."),
    )),
)  # fmt: skip
PRODUCT_ROWS: Final[Rows] = (
    ("State", (
        Panel("State", (("state", f"max(sluicegate_product_state{{{ONE}}})"),),
              kind="state-timeline", states=True),
        Panel("Error budget remaining",
              (("{{slo}}", f"max by (slo) (sluicegate_product_error_budget_remaining{{{ONE}}})"),),
              "percentunit"),
        Panel("Weight of the candidate",
              (("weight", f"max(sluicegate_product_canary_weight{{{ONE}}})"),), "percent"),
    )),
    ("Requests, by version", (
        Panel("Requests a second",
              (("{{version}}", f"sum by (version) (rate({REQUESTS}{{{ONE}}}[{WINDOW}]))"),), "reqps"),
        Panel("Share of failed requests",
              (("{{version}}", share(REQUESTS, FAILED, "version", ONE)),),
              "percentunit"),
        Panel("Requests by status",
              (("{{http_response_code}}", f"sum by (http_response_code) (rate({REQUESTS}{{{ONE}}}[{WINDOW}]))"),),
              "reqps"),
        Panel("Response time, p50", (("{{version}}", quantile(0.5, "version")),), "s"),
        Panel("Response time, p95", (("{{version}}", quantile(0.95, "version")),), "s"),
        Panel("Response time, p99", (("{{version}}", quantile(0.99, "version")),), "s",
              text="Quantiles are estimates between two bounds of the histogram."),
    )),
    ("The model, by the version that predicted", (
        Panel("Share of wrong predictions",
              (("{{prediction_version}}", share(LABELLED, WRONG, "prediction_version", ONE)),),
              "percentunit"),
        Panel("Known outcomes a second",
              (("{{prediction_version}}", f"sum by (prediction_version) (rate({LABELLED}{{{ONE}}}[{WINDOW}]))"),),
              "cps"),
        Panel("Share of bad events of own indicators",
              (("{{indicator}}", share("sluicegate_indicator_events_total", BAD, "indicator", ONE)),),
              "percentunit"),
    )),
    ("Requests mirrored to the candidate", (
        Panel("Mirrored requests by result",
              (("{{result}}", f"sum by (result) (rate({MIRRORED}{{{ONE}}}[{WINDOW}]))"),), "reqps",
              text="Requests to which the candidate's answer was late or failed have no pair."),
        Panel("Pairs of known outcomes a second",
              (("stable {{outcome}}, candidate {{shadow_outcome}}",
                f"sum by (outcome, shadow_outcome) (rate({PAIRED}{{{ONE}}}[{WINDOW}]))"),),
              "cps"),
        Panel("Share of wrong predictions on the same requests",
              (("stable beside {{shadow_version}}", share(PAIRED, WRONG, "shadow_version", ONE)),
               ("{{shadow_version}}", share(PAIRED, SHADOW_WRONG, "shadow_version", ONE))),
              "percentunit"),
    )),
    ("Markets", (
        Panel("Share of bad outcomes by market",
              (("{{market}}", share(MARKETS, BAD, "market", OWN_OUTCOMES)),),
              "percentunit", width=12),
        Panel("Share of failed requests by market",
              (("{{market}}", share(MARKETS, BAD, "market", OWN_AVAILABILITY)),),
              "percentunit", width=12),
    )),
    ("Pods", (
        Panel("Pods that answer scrapes", (("{{version}}", f"sum by (version) (up{{{ONE}}})"),)),
        Panel("Requests refused before the service", (("{{reason}}",
              f"sum by (reason) (rate(sluicegate_requests_refused_total{{{ONE}}}[{WINDOW}]))"),), "reqps"),
        Panel("Versions with pods", (("versions", f"max(sluicegate_product_versions{{{ONE}}})"),)),
    )),
)  # fmt: skip

BOARDS: Final = {
    "portfolio": Board(
        uid="sluicegate-portfolio",
        title="Sluicegate: portfolio",
        rows=PORTFOLIO_ROWS,
        variables=(Variable("namespace", "sluicegate_product_state"),),
        text="All products: states, what needs a person, requests, outcomes, markets.",
    ),
    "product": Board(
        uid="sluicegate-product",
        title="Sluicegate: product",
        rows=PRODUCT_ROWS,
        variables=(
            Variable("namespace", REQUESTS, single=True),
            Variable("product", f'{REQUESTS}{{namespace="$namespace"}}', single=True),
        ),
        text="One product: state, requests and outcomes by version, markets, pods.",
    ),
}


if __name__ == "__main__":
    sys.stdout.write(render(BOARDS[sys.argv[1]]))
