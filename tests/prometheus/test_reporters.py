"""A candidate's pods that export outcomes of the stable version, on Prometheus' own engine."""

from __future__ import annotations

from sluicegate.slo import metric_names as names
from sluicegate.slo.promql import Scope
from sluicegate.slo.queries import render_outcomes
from tests.support.prometheus.promtool import check_values, up


def test_outcomes_are_distinguished_by_the_version_whose_pods_count_them(promtool, tmp_path):
    def pod(version: str) -> str:
        return (
            f'namespace="catalog", pod="{version}", product="search", version="{version}",'
            f' revision="{version}", job="pods", instance="{version}"'
        )

    def labelled(reporter: str, maker: str, outcome: str, values: str) -> dict[str, str]:
        made = f'prediction_version="{maker}", prediction_revision="{maker}"'
        labels = f'{pod(reporter)}, {made}, outcome="{outcome}"'
        return {"series": f"{names.LABELLED_PREDICTIONS}{{{labels}}}", "values": values}

    series = [
        up(target=pod("v1")),
        up(target=pod("v2")),
        labelled("v1", "v1", "correct", "0+15x40"),
        labelled("v1", "v2", "correct", "0+2x40"),
        labelled("v2", "v1", "wrong", "0+75x40"),
    ]
    samples = [
        {
            "labels": f'{{namespace="catalog", product="search", version="{reporter}",'
            f' revision="{reporter}", prediction_version="{maker}",'
            f' prediction_revision="{maker}", outcome="{outcome}"}}',
            "value": value,
        }
        for reporter, maker, outcome, value in (
            ("v1", "v1", "correct", 150),
            ("v1", "v2", "correct", 20),
            ("v2", "v1", "wrong", 750),
        )
    ]
    text = render_outcomes(Scope(("catalog",), ("search",)), 300, names.LABELLED_PREDICTIONS)
    check_values(promtool, tmp_path, series, {text: samples})
