"""The Helm chart: it renders for each way to install it, installs, and grants what is needed only."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from cluster.addons.scraping import LIMITS, configuration
from cluster.builds import program
from sluicegate.__main__ import _parser
from sluicegate.cli.operations.web import check
from sluicegate.notify.configuration import parse
from sluicegate.settings import parse_settings
from tests.support.apiserver.chart import CHART, environment_of, helm, rendered, template
from tests.support.apiserver.people import may

if TYPE_CHECKING:
    from cluster.controlplane import ControlPlane

ROOT = Path(__file__).resolve().parents[2]
NOTIFY = {
    "sinks": {"bus": {"kind": "CloudEvents", "urlFile": "/secrets/bus"}},
    "routes": [{"when": {"type": ["promoted"]}, "to": ["bus"]}],
}
WAYS = {
    "as it is": [],
    "two namespaces": ["--set", "watchNamespaces={catalog,pricing}"],
    "all but one": ["--set", "excludedNamespaces={finance}"],
    "one replica": ["--set", "replicas=1"],
    "by digest": ["--set", f"image.digest=sha256:{'a' * 64}"],
    "without network policies": ["--set", "networkPolicy.enabled=false"],
    "with peers, and policies of products": [
        "--set-json", 'networkPolicy.metricsFrom=[{"ipBlock": {"cidr": "10.0.0.0/8"}}]',
        "--set", "networkPolicy.productNamespaces={default}",
    ],
    "with the Prometheus Operator": [
        "--set", "serviceMonitor.enabled=true,podMonitor.enabled=true,prometheusRule.enabled=true",
    ],
    "with a dashboard": ["--set", "dashboard.enabled=true,dashboard.namespace=grafana"],
    "with traces": [
        "--set", "tracing.endpoint=http://collector:4318,networkPolicy.enabled=true",
    ],
    "with all policies": [
        "--set", "roles.enforce=Deny,tenants.enforce=Deny,tenants.allowed.gateways={gateway/web}",
    ],
    "without policies": ["--set", "roles.enforce=Off,operatorPolicy.enforce=Off"],
    "with an archive on a claim": ["--set", "archive.enabled=true,archive.claimName=reviews"],
    "with an archive in a bucket": [
        "--set", "archive.enabled=true,archive.url=s3://reviews/sluicegate,networkPolicy.enabled=true",
        "--set", "archive.envFrom[0].secretRef.name=review-archive,watchNamespaces={catalog,pricing}",
    ],
    "with a messenger": [
        "--set-json", 'notify={"enabled": true, "replicas": 2, "secretName": "sinks", "ports": [443, 9093]}',
        "--set-json", f"notify.config={json.dumps(NOTIFY)}", "--set", "networkPolicy.enabled=true",
        "--set", "watchNamespaces={catalog,pricing}",
    ],
    "with settings of one's own": [
        "--set", "extraSettings.SLUICEGATE_MAX_CONCURRENT_RETRAININGS=4",
    ],
}  # fmt: skip
MAY = [
    ("get", "sluicegate.dev", "dataproducts"),
    ("watch", "sluicegate.dev", "dataproducts"),
    ("patch", "sluicegate.dev", "dataproducts/status"),
    ("patch", "apps", "deployments"),
    ("delete", "", "services"),
    ("create", "batch", "jobs"),
    ("patch", "gateway.networking.k8s.io", "httproutes"),
    ("list", "", "pods"),
    ("create", "events.k8s.io", "events"),
]
MAY_NOT = [
    ("patch", "sluicegate.dev", "dataproducts"),
    ("update", "sluicegate.dev", "dataproducts"),
    ("delete", "sluicegate.dev", "dataproducts"),
    ("get", "", "secrets"),
    ("list", "", "secrets"),
    ("create", "", "pods"),
    ("create", "", "pods/exec"),
    ("patch", "gateway.networking.k8s.io", "gateways"),
    ("create", "rbac.authorization.k8s.io", "clusterroles"),
    ("create", "", "serviceaccounts/token"),
    ("patch", "coordination.k8s.io", "leases"),
]


def operator_environment(objects: list[dict[str, Any]]) -> dict[str, str]:
    return environment_of("operator", objects)


def test_helm_lint_reports_no_problem_of_the_chart():
    done = helm("lint", "--strict", str(CHART))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("arguments", WAYS.values(), ids=WAYS)
def test_the_chart_renders_environment_variables_that_the_operator_accepts(arguments):
    environment = operator_environment(rendered(*arguments))
    settings = parse_settings(environment)
    assert settings.prometheus_url == "http://prometheus.monitoring.svc:9090"
    if "watchNamespaces={catalog,pricing}" in arguments:
        assert settings.watch_namespaces == ("catalog", "pricing")
    if "excludedNamespaces={finance}" in arguments:
        assert settings.excluded_namespaces == ("finance",)


def test_the_operator_deletes_no_review_before_its_archive_if_archiving_is_enabled():
    (by_claim, by_bucket) = (
        rendered(*WAYS[way])
        for way in ("with an archive on a claim", "with an archive in a bucket")
    )
    for objects in (by_claim, by_bucket):
        assert parse_settings(operator_environment(objects)).reviews_archived
    assert not parse_settings(operator_environment(rendered())).reviews_archived
    (job,) = (one for one in by_claim if one["kind"] == "CronJob")
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["containers"][0]["args"] == ["archive", "--to=/archive"]
    assert {"name": "archive", "persistentVolumeClaim": {"claimName": "reviews"}} in pod["volumes"]
    (job,) = (one for one in by_bucket if one["kind"] == "CronJob")
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["containers"][0]["args"] == [
        "archive", "--to=s3://reviews/sluicegate", "--namespace=catalog", "--namespace=pricing",
    ]  # fmt: skip
    roles = [one for one in by_bucket if one["metadata"]["name"] == "sluicegate-archive"]
    assert {role["kind"] for role in roles} == {
        "CronJob", "ServiceAccount", "Role", "RoleBinding", "NetworkPolicy",
    }  # fmt: skip


PROXY = ("--set", "web.enabled=true,web.proxy.cidrs={10.0.0.0/24},web.proxy.secretName=portfolio")


@pytest.mark.parametrize(
    "arguments",
    [PROXY, ("--set", "web.enabled=true,web.auth=Token,web.signing=true"),
     (*PROXY, "--set", "web.acting=true,web.recentLogin.minutes=5,web.recentLogin.url=/oauth2/start,web.proxy.loginTimeHeader=X-Id-Token"),
     ("--set", "web.enabled=true,web.auth=Anonymous,web.anonymous.user=wall"),
     (*PROXY, "--set", "watchNamespaces={catalog,pricing}")],
)  # fmt: skip
def test_the_chart_starts_the_page_with_valid_arguments(arguments, tmp_path):
    objects = {
        (
            manifest["kind"],
            manifest["metadata"]["name"],
            manifest["metadata"].get("namespace"),
        ): manifest
        for manifest in rendered(*arguments)
        if manifest["metadata"]["name"].startswith("sluicegate-web")
    }
    pod = objects["Deployment", "sluicegate-web", "sluicegate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    mounted = tmp_path / "secret"
    mounted.write_text("of the proxy")
    given = [
        argument.replace("/secrets/proxy/secret", str(mounted)) for argument in container["args"]
    ]
    parsed = _parser("web").parse_args(given)
    check(parsed)
    assert "env" not in container
    narrow = "watchNamespaces={catalog,pricing}" in arguments
    kinds = {kind for kind, name, _ in objects if name == "sluicegate-web"}
    roles = {"Role", "RoleBinding"} if narrow else {"ClusterRole", "ClusterRoleBinding"}
    assert kinds == {"Deployment", "Service", "ServiceAccount", "NetworkPolicy"} | roles
    assert parsed.namespace == (["catalog", "pricing"] if narrow else [])
    verbs = {
        verb
        for obj in objects.values()
        for rule in obj.get("rules", ())
        for verb in rule["verbs"]
        if "impersonate" in verb
    }
    granted = {"impersonate:user-info", "impersonate-on:user-info:patch"}
    assert verbs == (granted if parsed.signing or parsed.acting else set())


def test_the_messenger_has_an_account_of_its_own_and_its_configuration():
    objects = rendered(*WAYS["with a messenger"])
    ours = [obj for obj in objects if obj["metadata"]["name"].startswith("sluicegate-notify")]
    settings = parse_settings(environment_of("notify", ours))
    assert (settings.lease_name, settings.watch_namespaces) == (
        "sluicegate-notify", ("catalog", "pricing"),
    )  # fmt: skip
    (config,) = (one for one in ours if one["kind"] == "ConfigMap")
    assert parse(yaml.safe_load(config["data"]["notify.yaml"])) == parse(NOTIFY)
    (pod,) = (one["spec"]["template"]["spec"] for one in ours if one["kind"] == "Deployment")
    assert pod["serviceAccountName"] == "sluicegate-notify"
    mounted = {
        volume_mount["name"]: volume_mount["mountPath"]
        for volume_mount in pod["containers"][0]["volumeMounts"]
    }
    assert (mounted["config"], mounted["secrets"]) == ("/config", "/secrets")
    granted = {
        (group, resource, verb)
        for one in ours if one["kind"] in {"Role", "ClusterRole"}
        for rule in one["rules"] for group in rule["apiGroups"]
        for resource in rule["resources"] for verb in rule["verbs"]
    }  # fmt: skip
    reads = {("sluicegate.dev", kind, verb) for kind in ("dataproducts", "dataproductreviews")
             for verb in ("get", "list", "watch")}  # fmt: skip
    assert granted == reads | {
        ("", "configmaps", "create"), ("", "configmaps", "get"), ("", "configmaps", "patch"),
        ("coordination.k8s.io", "leases", "create"), ("coordination.k8s.io", "leases", "get"),
        ("coordination.k8s.io", "leases", "update"),
    }  # fmt: skip


@pytest.mark.parametrize("lease", ["sluicegate-operator", "other"])
def test_the_operator_may_change_only_the_lease_of_its_setting(lease):
    objects = rendered("--set", f"settings.leaseName={lease}")
    (role,) = (
        obj
        for obj in objects
        if obj["kind"] == "Role" and obj["metadata"]["name"].endswith("-lease")
    )
    assert [(rule["verbs"], rule.get("resourceNames")) for rule in role["rules"]] == [
        (["create"], None), (["get", "update"], [lease]),
    ]  # fmt: skip


@pytest.mark.parametrize("lease", ["sluicegate-operator", "other"])
def test_the_page_may_get_only_the_lease_of_its_operator(lease):
    objects = rendered(*PROXY, "--set", f"settings.leaseName={lease}")
    (role,) = (
        obj
        for obj in objects
        if obj["metadata"]["name"] == "sluicegate-web-lease" and obj["kind"] == "Role"
    )
    (rule,) = role["rules"]
    assert (rule["resources"], rule["verbs"], rule["resourceNames"]) == (
        ["leases"],
        ["get"],
        [lease],
    )


def test_only_the_messenger_may_reach_the_ports_of_sinks():
    objects = rendered(*WAYS["with a messenger"])
    ports = {
        obj["metadata"]["name"]: {
            port["port"] for rule in obj["spec"]["egress"] for port in rule["ports"]
        }
        for obj in objects
        if obj["kind"] == "NetworkPolicy"
    }
    assert 9093 in ports["sluicegate-notify"]
    assert 9093 not in ports["sluicegate"]
    assert not [manifest for manifest in rendered() if "notify" in manifest["metadata"]["name"]]


@pytest.mark.parametrize("arguments", WAYS.values(), ids=WAYS)
def test_kustomize_accepts_the_rendered_chart(arguments, tmp_path: Path):
    """Flux has Kustomize label it. Kustomize refuses a key that is there twice; Helm takes it."""
    (tmp_path / "rendered.yaml").write_text(template(*arguments), encoding="utf-8")
    (tmp_path / "kustomization.yaml").write_text("resources: [rendered.yaml]", encoding="utf-8")

    subprocess.run([program("kubectl"), "kustomize", tmp_path], capture_output=True, check=True)


def test_the_operator_pod_has_no_environment_variables_of_services():
    """`SLUICEGATE_…_SERVICE_HOST` is no setting: a Service of such a name kept it from starting."""
    (deployment,) = (manifest for manifest in rendered() if manifest["kind"] == "Deployment")
    assert deployment["spec"]["template"]["spec"]["enableServiceLinks"] is False


def test_a_setting_that_is_zero_or_false_reaches_the_operator():
    given = rendered("--set", "settings.productMetrics=0,settings.shareDependencyStates=false")
    settings = parse_settings(operator_environment(given))
    assert settings.product_metrics == 0
    assert settings.share_dependency_states is False


def test_the_chart_has_the_alerts_of_the_file_with_a_configurable_runbook_url():
    ours = "https://wiki.example/sluicegate"
    objects = rendered(
        "--set", f"prometheusRule.enabled=true,prometheusRule.runbookUrl={ours},"
        "prometheusRule.labels.release=kube-prometheus-stack",
    )  # fmt: skip
    (rule,) = (obj for obj in objects if obj["kind"] == "PrometheusRule")
    file = (CHART / "files" / "alerts.yaml").read_text(encoding="utf-8")
    assert rule["spec"] == yaml.safe_load(
        file.replace("https://sluicegate.dev/docs/operations", ours)
    )
    assert rule["metadata"]["labels"]["release"] == "kube-prometheus-stack"


def test_an_alert_without_an_address_of_the_runbook_has_no_link_and_names_its_section():
    objects = rendered("--set", "prometheusRule.enabled=true")
    (rule,) = (obj for obj in objects if obj["kind"] == "PrometheusRule")
    page = (CHART.parents[1] / "docs" / "operations.md").read_text(encoding="utf-8")
    alerts = [one for group in rule["spec"]["groups"] for one in group["rules"] if "alert" in one]
    assert len(alerts) > 20
    for alert in alerts:
        assert "runbook_url" not in alert["annotations"]
        file, _, section = alert["annotations"]["runbook"].partition("#")
        assert file == "docs/operations.md"
        assert f"### {alert['alert']}\n" in page
        assert section == alert["alert"].lower()


def test_the_chart_has_the_dashboards_of_the_files_with_the_label_of_the_grafana_sidecar():
    objects = rendered(*WAYS["with a dashboard"])
    (config,) = (obj for obj in objects if obj["kind"] == "ConfigMap")
    assert config["metadata"]["namespace"] == "grafana"
    assert config["metadata"]["labels"]["grafana_dashboard"] == "1"
    for board in ("", "-portfolio", "-product"):
        file = (CHART / "files" / f"dashboard{board}.json").read_text(encoding="utf-8")
        assert json.loads(config["data"][f"sluicegate{board}.json"]) == json.loads(file)


def pod_monitor(*values: str) -> dict[str, Any]:
    (monitor,) = (
        manifest
        for manifest in rendered("--set", ",".join(["podMonitor.enabled=true", *values]))
        if manifest["kind"] == "PodMonitor"
    )
    return monitor["spec"]


def test_the_pod_monitor_has_the_limits_of_the_documented_scrape_job():
    """So that no pod fills Prometheus, or writes labels that the operator's queries set."""
    spec, (job, *_) = pod_monitor(), configuration(15)["scrape_configs"]
    names = {"".join(part.title() for part in limit.split("_")): limit for limit in LIMITS}
    assert len(names) == 5
    for name, limit in names.items():
        assert spec[name[0].lower() + name[1:]] == job[limit]
    (endpoint,) = spec["podMetricsEndpoints"]
    sent = [
        {("source_labels" if key == "sourceLabels" else key): value for key, value in rule.items()}
        for rule in endpoint["metricRelabelings"]
    ]
    assert sent == job["metric_relabel_configs"]
    assert {"action": "labeldrop", "regex": "endpoint"} in endpoint["relabelings"]


def test_a_scrape_limit_of_zero_means_unlimited():
    spec = pod_monitor("podMonitor.sampleLimit=0", "podMonitor.bodySizeLimit=")
    assert not {"sampleLimit", "bodySizeLimit"} & spec.keys()
    assert spec["labelLimit"] == 64


def test_the_traces_endpoint_reaches_the_settings_and_the_network_policy():
    objects = rendered(*WAYS["with traces"])
    settings = parse_settings(operator_environment(objects))
    assert settings.traces_endpoint == "http://collector:4318"
    (policy,) = (obj for obj in objects if obj["kind"] == "NetworkPolicy")
    ports = [port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]]
    assert 4318 in ports


def test_the_chart_has_the_generated_crds_and_keeps_them_on_uninstall():
    shipped = {path.name: path.read_text() for path in (CHART / "files" / "crds").iterdir()}
    assert shipped == {path.name: path.read_text() for path in (ROOT / "crds").iterdir()}, (
        "make crds"
    )
    crds = [manifest for manifest in rendered() if manifest["kind"] == "CustomResourceDefinition"]
    assert len(crds) == len(shipped) == 2
    for crd in crds:
        assert crd["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_with_namespaces_set_the_operator_has_no_rights_outside_them():
    objects = rendered(*WAYS["two namespaces"])
    roles = {obj["metadata"].get("namespace") for obj in objects if obj["kind"] == "Role"}
    assert roles == {"sluicegate", "catalog", "pricing"}
    (cluster_wide,) = (
        obj
        for obj in objects
        if obj["kind"] == "ClusterRole" and obj["metadata"]["name"] == "sluicegate"
    )
    touched = {group for rule in cluster_wide["rules"] for group in rule["resources"]}
    assert touched == {"gatewayclasses"}


def aggregated(*arguments: str) -> dict[str, set[str]]:
    """Return the verbs that the chart adds to roles of Kubernetes' own."""
    verbs: dict[str, set[str]] = {"view": set(), "edit": set(), "admin": set()}
    for manifest in rendered(*arguments):
        labels = manifest["metadata"].get("labels") or {}
        for role, granted in verbs.items():
            if labels.get(f"rbac.authorization.k8s.io/aggregate-to-{role}") == "true":
                assert manifest["kind"] == "ClusterRole"
                granted.update(verb for rule in manifest["rules"] for verb in rule["verbs"])
    return verbs


def test_view_may_read_products_and_edit_may_write_them_only_with_aggregate_to_edit():
    # Kubernetes itself lets `edit` and `admin` do what `view` may.
    reading = {"get", "list", "watch"}
    assert aggregated() == {"view": reading, "edit": set(), "admin": set()}
    writing = {"create", "update", "patch", "delete", "deletecollection", "edit-spec"}
    desired = aggregated("--set", "rbac.aggregateToEdit=true")
    assert desired == {"view": reading, "edit": writing, "admin": writing}


def test_the_chart_installs_and_grants_only_the_needed_rights(
    control_plane: ControlPlane, namespace
):
    release = f"release-{namespace}"
    kubeconfig = ("--kubeconfig", str(control_plane.kubeconfig), "--namespace", namespace)
    # Other tests apply the definition as another manager: Helm needn't fight for it.
    done = helm("install", release, str(CHART), *kubeconfig, "--set", "crds.install=false")
    assert done.returncode == 0, done.stderr
    account = f"system:serviceaccount:{namespace}:{release}-sluicegate"
    granted = {one: may(control_plane, account, *one) for one in (*MAY, *MAY_NOT)}
    assert granted == dict.fromkeys(MAY, True) | dict.fromkeys(MAY_NOT, False)
    helm("uninstall", release, *kubeconfig)


def test_the_chart_notes_name_the_missing_prerequisites_of_a_fresh_installation():
    done = helm("install", "sluicegate", str(CHART), "--dry-run=client")

    assert "settings.defaultRuntimeImage is empty" in done.stdout
    assert "podMonitor.enabled is false" in done.stdout


def test_the_values_of_the_install_page_render_the_features_that_they_enable(tmp_path: Path):
    page = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    (values,) = (
        block
        for block in re.findall(r"```yaml[^\n]*\n(.*?)```", page, re.DOTALL)
        if "image:" in block
    )
    (tmp_path / "values.yaml").write_text(values)

    objects = rendered("--values", str(tmp_path / "values.yaml"))

    kinds = {obj["kind"] for obj in objects}
    assert {"PodMonitor", "ServiceMonitor", "PrometheusRule", "ConfigMap"} <= kinds
    settings = parse_settings(operator_environment(objects))
    assert settings.scrape_interval_seconds == 15
    assert settings.default_runtime_image.startswith("registry.example/sluicegate/runtime@sha256:")
