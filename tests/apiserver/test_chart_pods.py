"""Pods of the chart's four programs, as platforms need them: one template makes all of them."""

from __future__ import annotations

import json
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from sluicegate.api.names import Component
from sluicegate.settings import parse_settings
from tests.support.apiserver.chart import (
    container_of,
    environment_of,
    pod_of,
    refusal,
    rendered,
    volumes_of,
)

CONFIG = {
    "sinks": {"pager": {"kind": "Alertmanager", "url": "http://alertmanager:9093"}},
    "routes": [{"to": ["pager"]}],
}
ALL = (
    "--set", "web.enabled=true,web.auth=Token,web.replicas=2,archive.enabled=true,archive.claimName=reviews",
    "--set", "notify.enabled=true,notify.replicas=2", "--set-json", "notify.ports=[443, 9093]",
    "--set-json", f"notify.config={json.dumps(CONFIG)}",
)  # fmt: skip
PROGRAMS = ("operator", "web", "notify", "archive")


def everywhere(*values: str) -> list[dict[str, Any]]:
    return rendered(*ALL, *values)


def templates(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the template of the pods of each program."""
    pods = [pod_of(obj) for obj in objects if obj["kind"] in {"Deployment", "CronJob"}]
    return {pod["spec"]["containers"][0]["name"]: pod for pod in pods}


def test_a_common_chart_value_applies_to_the_pods_of_each_program():
    objects = everywhere(
        "--set-json", 'env=[{"name": "TZ", "value": "UTC"}]',
        "--set-json", 'envFrom=[{"secretRef": {"name": "keys"}}]',
        "--set-json", 'volumes=[{"name": "keys", "secret": {"secretName": "keys"}}]',
        "--set-json", 'volumeMounts=[{"name": "keys", "mountPath": "/keys"}]',
        "--set", "podLabels.team=platform,podAnnotations.note=x,priorityClassName=platform",
        "--set", "nodeSelector.pool=system,commonLabels.cost=shared",
        "--set-json", 'tolerations=[{"operator": "Exists"}]', "--set", "imagePullSecrets[0].name=pull",
    )  # fmt: skip
    assert set(templates(objects)) == set(PROGRAMS)
    for name, pod in templates(objects).items():
        container, spec = container_of(name, objects)
        assert {"name": "TZ", "value": "UTC"} in container["env"]
        assert container["envFrom"] == [{"secretRef": {"name": "keys"}}]
        assert volumes_of(name, objects)["/keys"]["secret"] == {"secretName": "keys"}
        assert pod["metadata"]["labels"]["team"] == "platform"
        assert pod["metadata"]["labels"]["app.kubernetes.io/component"] == name
        assert pod["metadata"]["annotations"]["note"] == "x"
        assert (spec["priorityClassName"], spec["nodeSelector"]) == ("platform", {"pool": "system"})
        assert spec["tolerations"] == [{"operator": "Exists"}]
        assert spec["imagePullSecrets"] == [{"name": "pull"}]
        (spread,) = spec["topologySpreadConstraints"]
        assert spread["labelSelector"]["matchLabels"]["app.kubernetes.io/component"] == name
    for obj in objects:
        if obj["kind"] != "CustomResourceDefinition":
            assert obj["metadata"]["labels"].get("cost") == "shared", obj["metadata"]["name"]


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_chart_value_extends_lists_and_replaces_other_fields_of_that_program_only(
    program,
):
    objects = everywhere(
        "--set", f"priorityClassName=all,{program}.priorityClassName=own,{program}.podLabels.team=own",
        "--set-json", 'env=[{"name": "TZ", "value": "UTC"}]',
        "--set-json", f'{program}.env=[{{"name": "OWN", "value": "1"}}]',
    )  # fmt: skip
    for name, pod in templates(objects).items():
        own = name == program
        environment = environment_of(name, objects)
        assert environment["TZ"] == "UTC"
        assert environment.get("OWN") == ("1" if own else None)
        assert pod["spec"]["priorityClassName"] == ("own" if own else "all")
        assert pod["metadata"]["labels"].get("team") == ("own" if own else None)


def test_a_pod_without_user_ids_passes_the_restricted_v2_profile_of_openshift():
    """That SCC assigns user and group of the namespace's range, and refuses others."""
    for objects, ids in ((everywhere(), 65532), (everywhere("--set", "randomIds=true"), None)):
        for name in PROGRAMS:
            container, spec = container_of(name, objects)
            security = spec["securityContext"]
            assert security["runAsNonRoot"] is True
            assert security["seccompProfile"] == {"type": "RuntimeDefault"}
            assert [security.get(one) for one in ("runAsUser", "runAsGroup", "fsGroup")] == [
                ids
            ] * 3
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


def test_random_ids_of_the_chart_are_those_of_the_products_pods_too():
    for arguments, expected in (((), False), (("--set", "randomIds=true"), True)):
        assert (
            parse_settings(environment_of("operator", everywhere(*arguments))).random_ids
            is expected
        )


def test_a_security_context_is_added_to_the_defaults():
    objects = everywhere("--set", "podSecurityContext.fsGroup=7,web.securityContext.runAsUser=8")
    container, spec = container_of("web", objects)
    assert spec["securityContext"]["fsGroup"] == 7
    assert spec["securityContext"]["runAsUser"] == 65532
    assert container["securityContext"]["runAsUser"] == 8
    assert container["securityContext"]["readOnlyRootFilesystem"] is True


def test_a_program_with_several_replicas_has_a_disruption_budget():
    budgets = {
        one["spec"]["selector"]["matchLabels"]["app.kubernetes.io/component"]
        for one in everywhere()
        if one["kind"] == "PodDisruptionBudget"
    }
    assert budgets == {"operator", "web", "notify"}
    objects = everywhere("--set", "web.replicas=1,podDisruptionBudget.enabled=true")
    names = [obj["metadata"]["name"] for obj in objects if obj["kind"] == "PodDisruptionBudget"]
    assert names == ["sluicegate", "sluicegate-notify"]


def test_a_proxy_and_a_bundle_of_cas_reach_each_program_and_the_api_server_is_reached_directly():
    objects = everywhere(
        "--set", "proxy.https=http://proxy:3128,proxy.noProxy=.corp.example,caBundle.configMapName=corp",
    )  # fmt: skip
    for name in PROGRAMS:
        environment = environment_of(name, objects)
        assert environment["HTTPS_PROXY"] == "http://proxy:3128"
        hosts = environment["NO_PROXY"].split(",")
        assert {"$(KUBERNETES_SERVICE_HOST)", ".svc", ".corp.example"} <= set(hosts)
        assert environment["SSL_CERT_FILE"] == "/etc/sluicegate/ca/ca.crt"
        bundle = volumes_of(name, objects)["/etc/sluicegate/ca"]
        assert bundle["configMap"]["name"] == "corp"
    settings = parse_settings(environment_of("operator", objects))
    assert str(settings.prometheus_ca_file) == "/etc/sluicegate/ca/ca.crt"


def test_extra_arguments_follow_those_of_the_chart():
    objects = everywhere("--set", "web.extraArgs={--group-prefix=oidc:}")
    assert container_of("web", objects)[0]["args"][-1] == "--group-prefix=oidc:"


REFUSED = {
    "a variable that the chart sets": (
        ("--set-json", 'operator.env=[{"name": "SLUICEGATE_POD_NAME", "value": "x"}]'),
        "operator.env: SLUICEGATE_POD_NAME is there twice",
    ),
    "a variable that a setting sets": (
        ("--set-json", 'env=[{"name": "SLUICEGATE_LOG_LEVEL", "value": "DEBUG"}]'),
        "SLUICEGATE_LOG_LEVEL is there twice",
    ),
    "a volume of the chart's name": (
        ("--set-json", 'volumes=[{"name": "tmp", "emptyDir": {}}]'), "volumes: tmp is there twice",
    ),
    "a mount at a place of the chart": (
        ("--set-json", 'volumeMounts=[{"name": "a", "mountPath": "/tmp"}]'), "/tmp is there twice",
    ),
    "a label of the chart": (
        ("--set", r"web.podLabels.app\.kubernetes\.io/component=x"),
        "web.podLabels: has app.kubernetes.io/component",
    ),
    "a token in two places": (
        ("--set", "prometheus.token.secretName=a,settings.prometheusTokenFile=/a"),
        "SLUICEGATE_PROMETHEUS_TOKEN_FILE",
    ),
    "a CA of two kinds": (
        ("--set", "prometheus.ca.secretName=a,prometheus.ca.configMapName=b"), "prometheus.ca: name one",
    ),
    "a sink whose port the policy blocks": (
        ("--set", "networkPolicy.enabled=true", "--set-json", "notify.ports=[443]"),
        "notify.ports: lacks 9093 of the sink pager",
    ),
    "a Prometheus whose port the policy blocks": (
        ("--set", "networkPolicy.enabled=true,settings.prometheusUrl=http://mimir:8080/prometheus"),
        "networkPolicy.prometheusPorts: lacks 8080",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("values", "words"), REFUSED.values(), ids=REFUSED)
def test_contradicting_chart_values_are_refused(values, words):
    assert words in refusal(*ALL, *values)


def test_the_network_policies_allow_the_port_of_a_proxy():
    objects = everywhere("--set", "networkPolicy.enabled=true,proxy.https=http://proxy:3128")
    for obj in objects:
        if obj["kind"] == "NetworkPolicy" and not obj["metadata"]["name"].endswith("-web"):
            ports = {port["port"] for rule in obj["spec"]["egress"] for port in rule["ports"]}
            assert 3128 in ports, obj["metadata"]["name"]


def network_policies(*values: str) -> dict[str, dict[str, Any]]:
    """Return the specs of the NetworkPolicies of all programs, by the part of the name after the release's."""
    return {
        one["metadata"]["name"].removeprefix("sluicegate").removeprefix("-"): one["spec"]
        for one in everywhere(*values)
        if one["kind"] == "NetworkPolicy"
    }


def test_each_program_has_a_network_policy_by_default():
    assert set(network_policies()) == {"", "web", "notify", "archive"}
    assert network_policies("--set", "networkPolicy.enabled=false") == {}


def test_only_the_given_peers_and_the_release_reach_metrics_and_page():
    monitoring = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}
    }
    gateway = {"podSelector": {"matchLabels": {"app": "oauth2-proxy"}}}
    policies = network_policies(
        "--set-json", f"networkPolicy.metricsFrom={json.dumps([monitoring])}",
        "--set-json", f"networkPolicy.webFrom={json.dumps([gateway])}",
    )  # fmt: skip
    for name, peer in (("", monitoring), ("notify", monitoring), ("web", gateway)):
        (rule,) = policies[name]["ingress"]
        first, release = rule["from"]
        assert first == peer
        assert set(release["podSelector"]["matchLabels"]) == {
            "app.kubernetes.io/name", "app.kubernetes.io/instance",
        }  # fmt: skip
    (rule,) = network_policies()["web"]["ingress"]
    assert set(rule) == {"ports"}


def test_servers_and_trainings_of_a_product_reach_no_metadata_service_of_a_cloud():
    policies = network_policies("--set", "networkPolicy.productNamespaces={shop}")
    for name in ("servers", "trainings"):
        rules = [rule for rule in policies[name]["egress"] if "to" in rule]
        blocks = [peer["ipBlock"] for rule in rules for peer in rule["to"]]
        for address in ("169.254.169.254", "fd00:ec2::254", "100.100.100.200"):
            reached = ip_address(address)
            assert not any(
                reached in ip_network(block["cidr"])
                and not any(reached in ip_network(less) for less in block["except"])
                for block in blocks
            ), (name, address)
        others = [rule["ports"] for rule in policies[name]["egress"] if "to" not in rule]
        assert {port["port"] for ports in others for port in ports} == {53}
    trainings = policies["trainings"]
    assert trainings["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in trainings
    assert [rule["ports"] for rule in trainings["egress"] if "to" in rule] == [[{"port": 443}]]
    labels = {
        name: policies[name]["podSelector"]["matchLabels"]["app.kubernetes.io/component"]
        for name in ("servers", "trainings")
    }
    assert labels == {"servers": Component.SERVER, "trainings": Component.TRAINER}
