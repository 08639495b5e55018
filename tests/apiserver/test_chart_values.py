"""Values of the chart that nothing can be made of: Helm refuses each, and says what to write."""

from __future__ import annotations

import json

import pytest
import yaml

from tests.support.apiserver.chart import CHART, helm, refusal

MISTAKES = {
    "a URL without a scheme": ("settings.prometheusUrl=prometheus:9090", "prometheusUrl"),
    "a digest that is none": ("image.digest=sha256:abc", "digest"),
    "a value that doesn't exist": ("replica=2", "replica"),
    "a policy that isn't enforced in any known way": ("roles.enforce=Warn", "enforce"),
    "a user's name that would end a string": ("roles.gitOpsAccounts={a'b}", "gitOpsAccounts"),
    "an archive that is nowhere": ("archive.enabled=true", "archive.claimName"),
    "an archive in two places": (
        "archive.enabled=true,archive.claimName=a,archive.url=s3://b",
        "archive.claimName",
    ),
    "a page whose headers anybody may send": ("web.enabled=true", "web.proxy.cidrs"),
    "signatures of everybody": (
        "web.enabled=true,web.auth=Anonymous,web.anonymous.user=wall,web.signing=true",
        "signature",
    ),
    "requests of everybody": (
        "web.enabled=true,web.auth=Anonymous,web.anonymous.user=wall,web.acting=true",
        "web.acting",
    ),
    "a recent login for nothing": (
        "web.enabled=true,web.auth=Token,web.recentLogin.minutes=5",
        "web.acting",
    ),
    "a recent login without its time": (
        "web.enabled=true,web.proxy.cidrs={10.0.0.0/24},web.proxy.secretName=x,web.acting=true,web.recentLogin.minutes=5",
        "web.proxy.loginTimeHeader",
    ),
    "a page of no user": ("web.enabled=true,web.auth=Anonymous", "web.anonymous.user"),
    "a proxy's address that is none": ("web.proxy.cidrs={proxy}", "cidrs"),
    "a bucket of an unknown kind": ("archive.url=ftp://b", "archive/url"),
    "a schedule that is none": ("archive.schedule=daily", "schedule"),
    "a messenger without a sink": ("notify.enabled=true", "notify.config"),
    "no replica": ("replicas=0", "replicas"),
    "a limit without a unit": ("podMonitor.bodySizeLimit=16", "bodySizeLimit"),
    "a receiver of traces without a scheme": ("tracing.endpoint=collector:4318", "endpoint"),
}
SETTINGS = {
    "a setting in another case": ("settings.prometheusURL=http://a", "write settings.prometheusUrl"),
    "a setting with underscores": ("settings.log_level=DEBUG", "write settings.logLevel"),
    "a setting as a variable": ("settings.SLUICEGATE_WORKERS=4", "write settings.workers"),
    "a setting that is none": ("settings.foo=1", "settings.foo: is no setting"),
    "a variable that is none": (
        "extraSettings.SLUICEGATE_FOO=1", "extraSettings.SLUICEGATE_FOO: is no setting",
    ),
    "a setting that another value sets": ("settings.watchNamespaces=shop", "set watchNamespaces"),
    "a variable that another value sets": (
        "extraSettings.OTEL_EXPORTER_OTLP_ENDPOINT=http://a", "set tracing.endpoint",
    ),
    "a port that the probes don't use": ("settings.metricsPort=9000", "8080"),
    "a setting in two places": (
        "settings.workers=4,extraSettings.SLUICEGATE_WORKERS=5", "settings.workers sets it too",
    ),
    "text for a number": (
        "extraSettings.SLUICEGATE_MAX_CONCURRENT_RETRAININGS=abc", "SLUICEGATE_MAX_CONCURRENT_RETRAININGS",
    ),
    "an image with a space": ("settings.defaultRuntimeImage=bad image", "defaultRuntimeImage"),
    "an address without a host": ("settings.prometheusUrl=http://", "prometheusUrl"),
    "no training at all, and one in each namespace": (
        "settings.maxConcurrentRetrainings=0", "maxRetrainingsPerNamespace: is 1: set it to at most",
    ),
    "a burst below the rate": ("settings.writeBurst=100", "writeBurst: is 100: set it to at least"),
    "a lease without margin": ("settings.leaseDurationSeconds=12", "leaseRenewSeconds: is 10: set it"),
    "two scrape intervals": (
        "podMonitor.enabled=true,podMonitor.interval=15s", "scrapeIntervalSeconds is 30",
    ),
    "a namespace that is watched and excluded": (
        "watchNamespaces={a,b},excludedNamespaces={b}", "excludedNamespaces: has b",
    ),
}  # fmt: skip
OBJECTS = {
    "a label that Services select by": (
        r"podLabels.app\.kubernetes\.io/name=x", "has app.kubernetes.io/name",
    ),
    "a label's value with a space": ("podLabels.team=a b", "podLabels"),
    "a port that is none": ("networkPolicy.prometheusPorts={70000}", "prometheusPorts"),
    "a claim's name with a space": ("archive.claimName=A B", "claimName"),
    "an account's name with an underscore": ("serviceAccount.name=Bad_Name", "serviceAccount/name"),
    "a repository with a space": ("image.repository=a b", "repository"),
    "a namespace with a space": ("dashboard.namespace=A b", "dashboard/namespace"),
    "a quantity that is none": ("resources.limits.memory=abc", "resources/limits/memory"),
    "a prefix that is too long": ("web.proxy.cidrs={10.0.0.0/33}", "cidrs"),
    "an address beyond 255": ("web.proxy.cidrs={10.0.0.256/24}", "cidrs"),
}  # fmt: skip
APPRISE = {"kind": "Apprise", "urlFile": "/secrets/a"}
EVENTS = {"kind": "CloudEvents", "url": "http://a"}
NOTIFY = {
    "a name alone": ({"cluster": "x"}, "sinks"),
    "a sink of an unknown kind": ({"sinks": {"a": {"kind": "Slack"}}, "routes": [{"to": ["a"]}]}, "kind"),
    "a route to an unknown sink": (
        {"sinks": {"a": APPRISE}, "routes": [{"to": ["b"]}]},
        "routes[0].to: names b, which is no sink: one of a",
    ),
    "a digest for an Alertmanager": (
        {
            "sinks": {"a": {"kind": "Alertmanager", "url": "http://a:9093"}},
            "routes": [{"to": ["a"]}],
            "digests": [{"at": "08:00", "to": ["a"]}],
        },
        "an Alertmanager receives no digest",
    ),
    "two digests of one name": (
        {
            "sinks": {"a": EVENTS},
            "routes": [{"to": ["a"]}],
            "digests": [{"at": "08:00", "to": ["a"]}, {"at": "09:00", "to": ["a"]}],
        },
        "digests[1].name: is daily",
    ),
    "a sink without an address": (
        {"sinks": {"a": {"kind": "CloudEvents"}}, "routes": [{"to": ["a"]}]},
        "needs one of url and urlFile",
    ),
}  # fmt: skip
VALUES = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
PLACES = [
    *VALUES,
    *(f"{name}.{key}" for name, values in VALUES.items() if isinstance(values, dict) for key in values),
]  # fmt: skip


@pytest.mark.parametrize(("value", "words"), SETTINGS.values(), ids=SETTINGS)
def test_a_chart_setting_that_the_operator_refuses_or_ignores_fails_with_the_way_out(value, words):
    assert words in refusal("--set", value)


@pytest.mark.parametrize(("value", "words"), OBJECTS.values(), ids=OBJECTS)
def test_a_value_that_the_api_server_refuses_is_refused_by_helm(value, words):
    assert words in refusal("--set", value)


@pytest.mark.parametrize(("value", "words"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_in_the_chart_values_is_reported_before_the_installation(value, words):
    assert words in refusal("--set", value)


@pytest.mark.parametrize(("configuration", "words"), NOTIFY.values(), ids=NOTIFY)
def test_a_configuration_that_the_messenger_refuses_is_refused_by_helm(configuration, words):
    assert words in refusal("--set-json", f"notify.config={json.dumps(configuration)}")


def test_all_mistakes_in_the_chart_values_are_listed_at_once():
    text = refusal("--set", "settings.foo=1,settings.prometheusURL=http://a,settings.writeBurst=1")
    assert text.count("\n- ") == 3


@pytest.mark.parametrize("place", PLACES)
def test_a_null_chart_value_renders_or_is_reported(place):
    """Helm removes it, and a template that reads below it fails by a nil pointer."""
    done = helm("template", "sluicegate", str(CHART), "--set", f"{place}=null")
    assert done.returncode == 0 or place.partition(".")[0] in done.stderr
    assert "nil pointer" not in done.stderr
