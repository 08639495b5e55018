"""Programs of the chart with a Secret of type kubernetes.io/tls: their servers, and the clients of these."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sluicegate.settings import parse_settings
from tests.support.apiserver.chart import (
    container_of,
    environment_of,
    refusal,
    rendered,
    volumes_of,
)

CONFIG = {
    "sinks": {"pager": {"kind": "Alertmanager", "url": "http://alertmanager:9093"}},
    "routes": [{"to": ["pager"]}],
}
ALL = (
    "--set", "web.enabled=true,web.auth=Token,archive.enabled=true,archive.claimName=reviews",
    "--set", "notify.enabled=true,serviceMonitor.enabled=true", "--set-json", "notify.ports=[443, 9093]",
    "--set-json", f"notify.config={json.dumps(CONFIG)}",
)  # fmt: skip
SERVERS = ("operator", "notify", "web")
TLS = ("--set", ",".join(f"{name}.tls.secretName={name}-tls" for name in SERVERS))
PROBES = ("startupProbe", "livenessProbe", "readinessProbe")
FILES = ["/etc/sluicegate/tls/tls.crt", "/etc/sluicegate/tls/tls.key"]


def named(kind: str, name: str, objects: list[dict[str, Any]]) -> dict[str, Any]:
    (found,) = (one for one in objects if one["kind"] == kind and one["metadata"]["name"] == name)
    return found


def schemes(name: str, objects: list[dict[str, Any]]) -> set[str]:
    """Return the schemes of a program's probes."""
    container, _ = container_of(name, objects)
    probes = [container[one]["httpGet"] for one in PROBES if one in container]
    assert len(probes) >= 2
    return {one.get("scheme", "HTTP") for one in probes}


def ports(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    services = ("sluicegate-metrics", "sluicegate-notify-metrics", "sluicegate-web")
    return {one: named("Service", one, objects)["spec"]["ports"][0] for one in services}


def endpoints(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    names = ("sluicegate", "sluicegate-notify")
    return [named("ServiceMonitor", one, objects)["spec"]["endpoints"][0] for one in names]


@pytest.mark.parametrize("name", SERVERS)
def test_a_program_with_a_tls_secret_has_https_probes_and_mounts_the_secret(name):
    objects = rendered(*ALL, *TLS)
    assert schemes(name, objects) == {"HTTPS"}
    volume = volumes_of(name, objects)["/etc/sluicegate/tls"]["secret"]
    assert volume["secretName"] == f"{name}-tls"
    assert [one["path"] for one in volume["items"]] == ["tls.crt", "tls.key"]
    container, _ = container_of(name, objects)
    if name == "web":
        options = dict(one.split("=") for one in container["args"] if "--tls-" in one)
        assert options == dict(
            zip(("--tls-cert-file", "--tls-private-key-file"), FILES, strict=True)
        )
    else:
        environment = environment_of(name, objects)
        settings = parse_settings(
            {key: value for key, value in environment.items() if "_TLS_" in key}
        )
        assert [str(settings.tls_cert_file), str(settings.tls_private_key_file)] == FILES


def test_a_chart_without_a_tls_secret_has_http_alone():
    objects = rendered(*ALL)
    for name in SERVERS:
        assert schemes(name, objects) == {"HTTP"}
        assert "/etc/sluicegate/tls" not in volumes_of(name, objects)
    assert [(one["name"], one["port"]) for one in ports(objects).values()] == [
        ("metrics", 8080), ("metrics", 8080), ("http", 80),
    ]  # fmt: skip
    assert not any("appProtocol" in one for one in ports(objects).values())
    assert not any({"scheme", "tlsConfig"} & one.keys() for one in endpoints(objects))


def test_services_of_programs_with_a_tls_secret_name_the_protocol():
    objects = rendered(*ALL, *TLS)
    assert {name: (one["name"], one["port"]) for name, one in ports(objects).items()} == {
        "sluicegate-metrics": ("metrics", 8080),
        "sluicegate-notify-metrics": ("metrics", 8080),
        "sluicegate-web": ("https", 443),
    }
    assert {one["appProtocol"] for one in ports(objects).values()} == {"https"}


def test_prometheus_verifies_the_authority_of_the_secret_and_the_name_of_the_service():
    of_operator, of_messenger = endpoints(rendered(*ALL, *TLS))
    for endpoint, secret, service in (
        (of_operator, "operator-tls", "sluicegate-metrics"),
        (of_messenger, "notify-tls", "sluicegate-notify-metrics"),
    ):
        assert endpoint["scheme"] == "https"
        assert endpoint["tlsConfig"] == {
            "ca": {"secret": {"name": secret, "key": "ca.crt"}},
            "serverName": f"{service}.sluicegate.svc",
        }
    given = {
        "ca": {"configMap": {"name": "company-ca", "key": "ca.crt"}},
        "serverName": "a.example",
    }
    objects = rendered(*ALL, *TLS, "--set-json", f"serviceMonitor.tlsConfig={json.dumps(given)}")
    assert [one["tlsConfig"] for one in endpoints(objects)] == [given] * 2


def test_network_policies_are_the_same_with_and_without_tls():
    def policies(*values: str) -> list[dict[str, Any]]:
        return [one for one in rendered(*ALL, *values) if one["kind"] == "NetworkPolicy"]

    assert policies(*TLS) == policies()


def test_helm_test_requests_the_readiness_over_the_protocol_of_the_operator():
    for values, scheme in (((), "http"), (TLS, "https")):
        pod = named("Pod", "sluicegate-test", rendered(*ALL, *values))
        (program,) = pod["spec"]["containers"][0]["args"]
        assert f'"{scheme}://sluicegate-metrics.sluicegate.svc:8080/readyz"' in program
        compile(program, "ready", "exec")


WRONG = {
    "a secret's name with a space": ("operator.tls.secretName=A B", "operator/tls/secretName"),
    "a field that is none": ("web.tls.secret=a", "web/tls"),
    "the archive, which has no server": ("archive.tls.secretName=a", "archive"),
    "a file of the container": ("settings.tlsCertFile=/a", "set operator.tls.secretName"),
    "a file as a variable": ("extraSettings.SLUICEGATE_TLS_PRIVATE_KEY_FILE=/a", "set operator.tls.secretName"),
}  # fmt: skip


@pytest.mark.parametrize(("values", "words"), WRONG.values(), ids=WRONG)
def test_a_tls_value_of_the_chart_that_no_program_can_use_is_refused(values, words):
    assert words in refusal("--set", values)
