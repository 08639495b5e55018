"""Settings are read from the environment, all mistakes are reported at once, and the docs list all."""

from __future__ import annotations

import ast
import asyncio
from pathlib import Path

import pytest
import yaml

from sluicegate.__main__ import main
from sluicegate.kube.resources import DATA_PRODUCTS
from sluicegate.prometheus.timing import Timing
from sluicegate.settings import (
    GatewayMetrics,
    InvalidSettings,
    ServiceKind,
    Settings,
    parse_settings,
    render_settings_page,
    variable,
)
from sluicegate.slo.gateway import TRAEFIK_METRIC
from sluicegate.wiring import GATEWAYS, evaluation_settings, timing_of
from tests.support.apiserver.api_stand_in import ApiStandIn
from tests.support.apiserver.kubeconfigs import kubeconfig_of
from tests.support.samples.product_examples import EXAMPLE

EXIT_WRONG_INPUT = 2

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"
CODE = Path(__file__).parents[2] / "operator" / "sluicegate"


def refused(**environment: str) -> dict[str, str]:
    with pytest.raises(InvalidSettings) as error:
        parse_settings({f"SLUICEGATE_{name}": value for name, value in environment.items()})
    return {
        problem.path.removeprefix("SLUICEGATE_"): problem.message
        for problem in error.value.problems
    }


def test_an_empty_environment_gives_the_defaults():
    assert parse_settings({}) == Settings()
    assert parse_settings({"PATH": "/bin", "SLUICEGATE_WORKERS": ""}) == Settings()


@pytest.mark.parametrize("name", ["BACKEND", "CLUSTER", "CACHE", "NODE_IMAGE", "SCRAPE_SECONDS"])
def test_a_command_ignores_environment_variables_of_other_tools(name, monkeypatch):
    monkeypatch.setenv(f"SLUICEGATE_{name}", "local")
    assert main(["plan", str(EXAMPLE)]) == 0


@pytest.mark.parametrize("name", ["BACKEND", "CLUSTER", "CACHE"])
async def test_a_command_that_reads_a_cluster_ignores_variables_of_other_tools(
    name, monkeypatch, tmp_path, capsys
):
    body = yaml.safe_load(EXAMPLE.read_text())
    meta = body["metadata"]
    async with ApiStandIn() as server:
        server.keep(DATA_PRODUCTS, body)
        kubeconfig = kubeconfig_of(tmp_path, server.configuration.host)
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
        monkeypatch.setenv(f"SLUICEGATE_{name}", "local")
        key = f"{meta['namespace']}/{meta['name']}"
        assert await asyncio.to_thread(main, ["explain", key]) == 0
    assert key in capsys.readouterr().out


def test_a_command_refuses_an_unusable_setting(monkeypatch, capsys):
    monkeypatch.setenv("SLUICEGATE_SCRAPE_INTERVAL_SECONDS", "often")
    assert main(["plan", str(EXAMPLE)]) == EXIT_WRONG_INPUT
    assert "SLUICEGATE_SCRAPE_INTERVAL_SECONDS" in capsys.readouterr().err


def test_settings_are_parsed_by_their_type():
    settings = parse_settings(
        {
            "SLUICEGATE_WATCH_NAMESPACES": "catalog, pricing",
            "SLUICEGATE_WORKERS": "4",
            "SLUICEGATE_SETTLE_SECONDS": "2.5",
            "SLUICEGATE_SERVICE_KIND": "clusterip",
            "SLUICEGATE_SHARE_DEPENDENCY_STATES": "False",
            "SLUICEGATE_PROMETHEUS_URL": "http://prometheus:9090/",
            "SLUICEGATE_PROMETHEUS_TOKEN_FILE": "/var/run/token",
            "SLUICEGATE_PLAIN_HTTP_REGISTRIES": "localhost:5000,10.0.0.1:5000",
        }
    )
    assert settings.watch_namespaces == ("catalog", "pricing")
    assert (settings.workers, settings.settle_seconds) == (4, 2.5)
    assert settings.service_kind is ServiceKind.CLUSTER_IP
    assert settings.share_dependency_states is False
    assert settings.prometheus_url == "http://prometheus:9090"
    assert settings.prometheus_token_file == Path("/var/run/token")
    assert settings.plain_http_registries == ("localhost:5000", "10.0.0.1:5000")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WORKERS", "0"), ("WORKERS", "many"), ("WRITE_RATE", "nan"), ("WRITE_RATE", "-1"),
        ("PROMETHEUS_URL", "prometheus:9090"), ("PROMETHEUS_CA_FILE", "ca.pem"),
        ("LOG_LEVEL", "loud"), ("SHARE_DEPENDENCY_STATES", "yes"), ("WATCH_NAMESPACES", "Catalog"),
        ("DEFAULT_RUNTIME_IMAGE", "registry.example/rt:1 x"), ("METRICS_PORT", "70000"),
        ("PLAIN_HTTP_REGISTRIES", "http://localhost"), ("WORKERS", "4.5"), ("RESYNC_SECONDS", "inf"),
        ("HEALTH_LOOP_LAG_SECONDS", "0"), ("HEALTH_LOOP_LAG_SECONDS", "61"), ("PRODUCT_METRICS", "-1"),
        ("HEALTH_WATCH_AGE_SECONDS", "300"),  # each watch is renewed that often
        ("PROMETHEUS_URL", "http://"), ("PROMETHEUS_URL", "http://a b"), ("PROMETHEUS_URL", "http://a?b"),
        ("NAMESPACE", "a\nb"), ("PROMETHEUS_CONCURRENCY", "true"), ("HOUR_SECONDS", "[60]"),
    ],
)  # fmt: skip
def test_an_invalid_setting_is_reported_with_its_variable_its_value_and_the_way_out(name, value):
    message = refused(**{name: value})[name]
    assert f'"{value}"' in message
    assert "set it to" in message


def test_a_setting_is_not_taken_from_the_process_or_by_another_name(monkeypatch):
    """The page names one variable for each; what a process is started with has no say in tests."""
    monkeypatch.setenv("SLUICEGATE_WORKERS", "9")
    assert Settings().workers == 8
    assert parse_settings({"sluicegate_workers": "9", "workers": "9"}).workers == 8
    with pytest.raises(InvalidSettings, match="is no setting"):
        parse_settings({"SLUICEGATE_workers": "9"})
    with pytest.raises(InvalidSettings, match="OTEL_EXPORTER_OTLP_ENDPOINT"):
        parse_settings({"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"})


def test_an_environment_variable_of_another_name_is_no_setting():
    with pytest.raises(InvalidSettings, match="is no setting"):
        parse_settings({"SLUICEGATE_TRACES_ENDPOINT": "http://collector"})


def test_a_namespace_that_is_both_watched_and_excluded_is_refused():
    found = refused(WATCH_NAMESPACES="shop,stock", EXCLUDED_NAMESPACES="stock")
    assert found == {
        "EXCLUDED_NAMESPACES": "has stock, which WATCH_NAMESPACES has too: remove it from one of them"
    }


def test_all_mistakes_in_the_settings_are_reported_at_once():
    found = refused(WORKERS="0", LOG_LEVEL="loud", WRITE_RAET="3", LEASE_RENEW_SECONDS="20")
    assert set(found) == {"WORKERS", "LOG_LEVEL", "WRITE_RAET", "LEASE_RENEW_SECONDS"}


@pytest.mark.parametrize(
    "environment",
    [
        {"LEASE_RENEW_SECONDS": "15"},
        {"LEASE_RETRY_SECONDS": "8"},
        {"WRITE_BURST": "10"},
        {"MAX_CONCURRENT_RETRAININGS": "0"},
    ],
)
def test_contradicting_settings_are_refused(environment):
    assert refused(**environment)


def test_the_operator_refuses_to_start_with_an_invalid_setting_and_names_it(monkeypatch, capsys):
    monkeypatch.setenv("SLUICEGATE_WORKERS", "none")
    monkeypatch.setenv("SLUICEGATE_WRITE_RATE", "-1")
    assert main(["run"]) == EXIT_WRONG_INPUT
    told = capsys.readouterr().err
    assert "SLUICEGATE_WORKERS" in told
    assert "SLUICEGATE_WRITE_RATE" in told


def test_the_settings_page_is_generated_from_the_code():
    assert PAGE.read_text(encoding="utf-8") == render_settings_page(), (
        "run: python -m sluicegate.settings > docs/settings.md"
    )


def test_each_setting_is_documented():
    page = PAGE.read_text(encoding="utf-8")
    assert all(f"`{variable(name)}`" in page for name in Settings.model_fields)


def test_each_setting_is_read_by_the_operator():
    """A setting without a reader promises what doesn't happen."""
    read = {
        node.attr
        for path in CODE.rglob("*.py")
        if path.name != "settings.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and getattr(node.value, "attr", getattr(node.value, "id", "")).endswith("settings")
    }
    assert Settings.model_fields.keys() <= read


def test_each_kind_of_gateway_metrics_has_its_counter():
    assert GATEWAYS.keys() == set(GatewayMetrics)
    settings = parse_settings({"SLUICEGATE_GATEWAY_METRICS": "traefik"})
    assert evaluation_settings(settings, timing_of(settings)).gateway is TRAEFIK_METRIC
    assert evaluation_settings(Settings(), Timing()).gateway is None
