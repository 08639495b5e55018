"""What the children of a product look like, by what it says."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from sluicegate.api import names
from sluicegate.api.baseline import Baseline, BaselineSource
from sluicegate.api.errors import InvalidProduct
from sluicegate.api.operator_checks import check_context
from sluicegate.api.outcome import Outcome
from sluicegate.api.pod_types import check_pod_fields
from sluicegate.api.product import DataProduct
from sluicegate.api.retraining_status import Trigger
from sluicegate.api.versions import (
    REVISION_LENGTH,
    PastVersion,
    Version,
    VersionBase,
    VersionSource,
    revision_of,
)
from sluicegate.manifests import names as derived
from sluicegate.manifests.container import container_security
from sluicegate.manifests.deployment import build_deployment
from sluicegate.manifests.plan import example_training, spec_version
from sluicegate.manifests.pod import build_pod_template, inputs_hash
from sluicegate.manifests.route import Backend, build_route
from sluicegate.manifests.scaling import build_autoscaler, build_disruption_budget
from sluicegate.manifests.service import (
    build_candidate_service,
    build_stable_service,
    build_version_service,
)
from sluicegate.manifests.shadow import ShadowInterval, build_shadow_job
from sluicegate.manifests.training import Attempt, build_training_job
from sluicegate.manifests.version_annotations import memory_annotations, read_version
from sluicegate.settings import ServiceKind, Settings
from sluicegate_service.environment import CONSUMERS, UPSTREAMS
from sluicegate_service.log_settings import LogSettings
from sluicegate_service.markets import Markets
from sluicegate_service.mirroring import Mirror
from sluicegate_service.token_headers import AnswerSettings
from sluicegate_service.version_marks import products_in
from tests.support.samples.product_examples import BENTO_URL, HEX, REMOVED, changed

RUNTIME = "registry.example/runtime@sha256:" + "d" * 64
WEB = [{"name": "web", "namespace": "gateway"}]


def product(**changes: Any) -> DataProduct:
    """The example; without upstreams, as those whose versions count are in its pods."""
    return DataProduct.parse(changed({"metadata.uid": "u-1", "spec.dependsOn": REMOVED} | changes))


def version_of(owner: DataProduct) -> VersionBase:
    return spec_version(owner, RUNTIME)


def pod_of(**changes: Any) -> dict[str, Any]:
    owner = product(**changes)
    return build_pod_template(owner, version_of(owner))["spec"]


def env_of(container: dict[str, Any]) -> dict[str, Any]:
    return {item["name"]: item.get("value") for item in container["env"]}


def job_of(*, random_ids: bool = False, **changes: Any) -> dict[str, Any]:
    owner = product(**changes)
    trigger = Trigger(id="0a1b2c3d", cause="ModelDecay", slo="accuracy", indicator="outcomes",
                      version="v1", trigger_time=0)  # fmt: skip
    attempt = Attempt(trigger=trigger, number=2, stable=version_of(owner), random_ids=random_ids)
    return build_training_job(owner, owner.spec.retraining, attempt)


def shadow_job_of(*, random_ids: bool = False, **changes: Any) -> dict[str, Any]:
    spec = {"command": ["score"], "intervalSeconds": 3600, "timeoutSeconds": 60}
    owner = product(**{"spec.rollout.shadow": spec} | changes)
    interval = ShadowInterval(
        name="search-shadow-0a1b2c3d-1",
        stable=version_of(owner),
        candidate=version_of(owner).replace(
            version="v2", image=f"registry.example/other@sha256:{HEX}"
        ),
        since=0,
        until=3600,
        random_ids=random_ids,
    )
    return build_shadow_job(owner, owner.spec.rollout.shadow, interval)


# ---- names ---------------------------------------------------------------------------------
def test_the_longest_names_fit_the_kubernetes_limits():
    longest = "a" * names.MAX_NAME_LENGTH
    assert len(derived.version_name(longest, "0" * REVISION_LENGTH)) <= 63
    assert len(derived.job_name(longest, "0" * derived.TRIGGER_LENGTH, 999_999)) <= 63
    assert len(derived.shadow_job_name(longest, "0" * REVISION_LENGTH, 0, 99_999)) <= 63


def test_a_revision_depends_on_bento_and_runtime_image():
    pairs = [("sha256:a", "runtime:1"), ("sha256:b", "runtime:1"), ("sha256:a", "runtime:2")]
    assert len({revision_of(*pair) for pair in pairs}) == len(pairs)
    assert all(re.fullmatch("[0-9a-f]{10}", revision_of(*pair)) for pair in pairs)


# ---- pods ----------------------------------------------------------------------------------
def test_a_bento_image_is_mounted_as_a_volume_without_a_fetch():
    pod = pod_of()
    image = product().spec.model.bento.image
    assert {"name": "bento", "image": {"reference": image, "pullPolicy": "IfNotPresent"}} in pod[
        "volumes"
    ]
    assert [container["name"] for container in pod["initContainers"]] == ["runtime-check"]


def test_an_archive_is_fetched_and_verified_by_the_first_init_container():
    url = BENTO_URL | {"spec.model.bento.sha256": HEX,
                       "spec.model.bento.credentialsSecretRef": {"name": "s3"}}  # fmt: skip
    pod = pod_of(**url)
    fetch, check = pod["initContainers"]
    assert fetch["command"][-3:] == ["https://files.example/search.tar", HEX, "/bento"]
    assert fetch["envFrom"] == [{"secretRef": {"name": "s3"}}]
    assert check["name"] == "runtime-check"
    assert {"name": "bento", "emptyDir": {"sizeLimit": "17Gi"}} in pod["volumes"]


@pytest.mark.parametrize(
    ("limits", "size"), [({}, "16Gi"), ({"ephemeral-storage": "40Gi"}, "40Gi")], ids=["none", "given"]
)  # fmt: skip
def test_each_empty_dir_of_a_pod_has_a_size_limit(limits, size):
    resources = {"limits": limits}
    owner = product(**{"spec.serving.resources": resources, "spec.retraining.resources": resources})
    version = version_of(owner)
    pods = [
        build_pod_template(owner, version)["spec"],
        *(job["spec"]["template"]["spec"] for job in example_training(owner, version)),
    ]
    assert len(pods) == 2
    for pod in pods:
        sizes = {
            volume["name"]: volume["emptyDir"]["sizeLimit"]
            for volume in pod["volumes"]
            if "emptyDir" in volume
        }
        assert sizes == {"home": size, "tmp": size}


def test_an_archive_on_a_claim_mounts_the_claim():
    url = BENTO_URL | {"spec.model.bento.sha256": HEX,
                       "spec.model.bento.url": "pvc://models/search/v1.tar"}  # fmt: skip
    pod = pod_of(**url)
    claim = {"claimName": "models", "readOnly": True}
    assert {"name": "claim", "persistentVolumeClaim": claim} in pod["volumes"]
    assert "claim" in {mount["name"] for mount in pod["initContainers"][0]["volumeMounts"]}


def test_a_terminating_pod_has_time_for_its_longest_request():
    pod = pod_of(**{"spec.serving.requestTimeoutSeconds": 30, "spec.serving.preStopSeconds": 7})
    assert pod["terminationGracePeriodSeconds"] == 7 + 30 + 5
    assert pod["containers"][0]["lifecycle"] == {"preStop": {"sleep": {"seconds": 7}}}


@pytest.mark.parametrize(
    ("resources", "threads"),
    [({}, "1"), ({"requests": {"cpu": "0"}}, "1"), ({"requests": {"cpu": "500m"}}, "1"), ({"requests": {"cpu": "2500m"}}, "3"),
     ({"limits": {"cpu": 4}}, "4")],
)  # fmt: skip
def test_numeric_libraries_use_as_many_threads_as_requested_cpus(resources, threads):
    pod = pod_of(**{"spec.serving.resources": resources})
    assert env_of(pod["containers"][0])["OMP_NUM_THREADS"] == threads


def test_a_user_variable_replaces_the_operators_and_no_variable_occurs_twice():
    pod = pod_of(**{"spec.serving.env": [{"name": "OMP_NUM_THREADS", "value": "8"}]})
    listed = [item["name"] for item in pod["containers"][0]["env"]]
    assert env_of(pod["containers"][0])["OMP_NUM_THREADS"] == "8"
    assert len(listed) == len(set(listed))


def test_latency_bounds_of_the_product_are_passed_to_the_service():
    """Under the name that the version's entry service has; where it isn't known, the product's."""
    owner = product()
    for own, service in (("SearchRanking", "SearchRanking"), ("Old", "Old"), ("", "SearchRanking")):
        pod = build_pod_template(owner, version_of(owner).replace(service=own))["spec"]
        override = json.loads(env_of(pod["containers"][0])["BENTOML_CONFIG_OVERRIDES"])
        buckets = [0.01, 0.05, 0.1, 0.25, 1.0]
        assert override == {"services": {service: {"metrics": {"duration": {"buckets": buckets}}}}}


def test_a_product_without_a_feedback_secret_has_no_feedback_variables():
    pod = pod_of(**{"spec.serving.feedback": None})
    assert "SLUICEGATE_FEEDBACK_DIRECTORY" not in env_of(pod["containers"][0])
    assert "feedback" not in {volume["name"] for volume in pod["volumes"]}


def test_every_container_keeps_to_the_restricted_profile():
    pod = pod_of(**(BENTO_URL | {"spec.model.bento.sha256": HEX}))
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    for container in pod["initContainers"] + pod["containers"]:
        security = container["securityContext"]
        assert security["readOnlyRootFilesystem"] is True
        assert security["allowPrivilegeEscalation"] is False
        assert security["capabilities"] == {"drop": ["ALL"]}


PASSED_ON = {
    "spec.serving.runtimeClassName": "nvidia",
    "spec.serving.resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "one-gpu"}],
    "spec.serving.volumes": [{"name": "weights", "persistentVolumeClaim": {"claimName": "weights"}}],
    "spec.serving.volumeMounts": [{"name": "weights", "mountPath": "/weights", "readOnly": True}],
    "spec.serving.initContainers": [
        {"name": "wait", "image": "registry.example/wait:1", "env": [
            {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
            {"name": "CPUS", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
        ]}
    ],
}  # fmt: skip


def test_the_parts_of_a_pod_that_a_product_gives_reach_its_servers():
    pod = pod_of(**PASSED_ON)
    (server,) = pod["containers"]
    assert pod["runtimeClassName"] == "nvidia"
    assert pod["resourceClaims"] == [{"name": "gpu", "resourceClaimTemplateName": "one-gpu"}]
    assert server["resources"]["claims"] == [{"name": "gpu"}]
    assert server["volumeMounts"][-1] == {
        "name": "weights",
        "mountPath": "/weights",
        "readOnly": True,
    }
    assert pod["volumes"][-1]["persistentVolumeClaim"] == {"claimName": "weights"}
    own, check = pod["initContainers"]
    assert (own["name"], check["name"]) == ("wait", "runtime-check")
    assert own["securityContext"]["readOnlyRootFilesystem"] is True


def test_an_init_container_of_a_product_is_built_as_the_api_server_stores_it():
    own, _ = pod_of(**PASSED_ON)["initContainers"]
    node, cpus = (variable["valueFrom"] for variable in own["env"])
    assert node == {"fieldRef": {"apiVersion": "v1", "fieldPath": "spec.nodeName"}}
    assert cpus == {"resourceFieldRef": {"divisor": "0", "resource": "limits.cpu"}}


def test_a_sidecar_starts_before_the_check_of_the_bento_and_keeps_to_the_restricted_profile():
    sidecar = {"name": "proxy", "image": "registry.example/proxy:1", "restartPolicy": "Always"}
    product = DataProduct.parse(changed({"spec.serving.initContainers": [sidecar]}))
    init = build_pod_template(product, spec_version(product, RUNTIME))["spec"]["initContainers"]
    assert [one["name"] for one in init][-2:] == ["proxy", "runtime-check"]
    assert init[-2]["restartPolicy"] == "Always"
    assert init[-2]["securityContext"] == container_security()


def test_parts_of_servers_that_are_too_large_are_refused_with_their_size():
    volume = {"name": "data", "configMap": {"name": "a", "items": [
        {"key": "k" * 253, "path": "p" * 1024} for _ in range(30)
    ]}}  # fmt: skip
    spec = product(**{"spec.serving.volumes": [volume]}).spec
    (problem,) = check_context(spec, Settings())
    assert problem.path == "spec.serving"
    assert "bytes: keep it to 32768" in problem.message


def test_the_liveness_probe_period_follows_from_its_timeout():
    (server,) = pod_of(**{"spec.serving.progressDeadlineSeconds": 77})["containers"]

    def asked(name: str) -> tuple[str, int, int]:
        probe = server[f"{name}Probe"]
        return probe["httpGet"]["path"], probe["periodSeconds"], probe["failureThreshold"]

    assert asked("startup") == ("/readyz", 1, 77)
    assert asked("readiness") == ("/readyz", 2, 5)
    assert asked("liveness") == ("/livez", 10, 3)


@pytest.mark.parametrize("random_ids", [False, True])
def test_pods_and_jobs_have_no_fixed_ids_where_the_platform_assigns_them(random_ids):
    owner = product()
    server = build_pod_template(owner, version_of(owner), random_ids=random_ids)["spec"]
    jobs = (job_of(random_ids=random_ids), shadow_job_of(random_ids=random_ids))
    for pod in (server, *(job["spec"]["template"]["spec"] for job in jobs)):
        security = dict(pod["securityContext"])
        assert security.pop("runAsNonRoot")
        assert security.pop("seccompProfile") == {"type": "RuntimeDefault"}
        ids = {} if random_ids else dict.fromkeys(("runAsUser", "runAsGroup", "fsGroup"), 1034)
        assert security == ids
        for container in (*pod.get("initContainers", ()), *pod["containers"]):
            assert not {"runAsUser", "runAsGroup"} & container["securityContext"].keys()


# ---- what makes a new pod ------------------------------------------------------------------
@pytest.mark.parametrize(
    "change",
    [{"spec.serving.resources": {}}, {"spec.serving.env": []}, {"spec.serving.podLabels": {}},
     {"spec.serving.latencyBucketsMilliseconds": [250]}, {"spec.serving.feedback": None},
     {"spec.serving.runtimeClassName": "nvidia"}, {"spec.serving.volumes": [{"name": "a", "emptyDir": {}}]}],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_a_spec_field_used_in_pods_changes_the_inputs_hash(change):
    owner, other = product(), product(**change)
    assert inputs_hash(owner, version_of(owner)) != inputs_hash(other, version_of(owner))


@pytest.mark.parametrize(
    "change",
    [{"spec.serving.replicas": 5}, {"spec.owner": "group:default/other"}, {"spec.rollout": {}},
     {"spec.slos": [], "spec.model.evaluation": {}}, {"spec.serving.runtimeImage": RUNTIME}, {"metadata.generation": 9}],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_a_spec_field_not_used_in_pods_keeps_the_inputs_hash(change):
    by_market = {"spec.serving.market": REMOVED}
    owner, other = product(**by_market), product(**change, **by_market)
    assert inputs_hash(owner, version_of(owner)) == inputs_hash(other, version_of(owner))
    assert build_pod_template(owner, version_of(owner)) == build_pod_template(
        other, version_of(owner)
    )


@pytest.mark.parametrize(
    "change",
    [{"spec.serving.market": {"from": "Host"}}, {"spec.markets": ["FR"]},
     {"spec.slos": [], "spec.model.evaluation": {}}],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_pods_of_a_product_with_markets_have_its_markets_and_thresholds(change):
    owner, other = product(), product(**change)
    assert inputs_hash(owner, version_of(owner)) != inputs_hash(other, version_of(owner))
    told = json.loads(env_of(pod_of()["containers"][0])["SLUICEGATE_MARKETS"])
    assert told == {
        "markets": ["FR", "BE", "ES", "GB", "AT", "IT"],
        "from": "Header",
        "name": "x-market",
        "values": {"uk": "GB"},
        "thresholdsMilliseconds": [250],
    }
    found = Markets.from_environment({"SLUICEGATE_MARKETS": json.dumps(told)})
    assert found.thresholds == (250,)


def test_the_mirror_variable_of_pods_targets_the_service_of_the_candidate():
    shadow = {"mirror": {"percent": 10}, "intervalSeconds": 3600}
    owner, other = product(**{"spec.rollout.shadow": shadow}), product()
    version = version_of(owner)
    assert inputs_hash(owner, version) != inputs_hash(other, version_of(other))
    (server,) = build_pod_template(owner, version)["spec"]["containers"]
    found = Mirror.from_environment(env_of(server))
    service = build_candidate_service(owner, version.revision)
    meta, (port,) = service["metadata"], service["spec"]["ports"]
    url = f"http://{meta['name']}.{meta['namespace']}.svc:{port['port']}"
    assert found == Mirror(url, share=0.1, seconds=0.1, most=4)
    assert service["spec"]["selector"]["sluicegate.dev/revision"] == version.revision
    nobody = build_candidate_service(owner, "")["spec"]["selector"]
    assert nobody["sluicegate.dev/revision"] == "none"
    (server,) = build_pod_template(other, version_of(other))["spec"]["containers"]
    assert Mirror.from_environment(env_of(server)) is None


@pytest.mark.parametrize(
    ("variable", "changes", "products"),
    [
        (
            CONSUMERS,
            {
                "spec.route": {"parentRefs": WEB},
                "spec.rollout.consumers": {"names": ["ranking", "finance/loan"], "parentRefs": WEB},
            },
            {"catalog/ranking", "finance/loan"},
        ),
        (
            UPSTREAMS,
            {
                "spec.dependsOn": [
                    {"name": "pricing", "evidence": "Required"},
                    {"name": "photos", "namespace": "media", "evidence": "IfAvailable"},
                    {"name": "stock"},
                ]
            },
            {"catalog/pricing", "media/photos"},
        ),
    ],
)
def test_pods_have_the_variables_of_consumers_and_upstreams_and_the_hash_includes_them(
    variable, changes, products
):
    owner, other = product(**changes), product()
    version = version_of(owner)
    assert inputs_hash(owner, version) != inputs_hash(other, version)
    (server,) = build_pod_template(owner, version)["spec"]["containers"]
    assert products_in(env_of(server), variable) == products
    (server,) = build_pod_template(other, version)["spec"]["containers"]
    assert variable not in env_of(server)


def test_pods_have_the_variable_of_the_prediction_path():
    place = {"field": "rows.0.label", "tolerancePercent": 5, "id": {"header": "X-Order-Id"}}
    owner, other = product(**{"spec.serving.feedback.prediction": place}), product()
    version = version_of(owner)
    assert inputs_hash(owner, version) != inputs_hash(other, version_of(other))
    (server,) = build_pod_template(owner, version)["spec"]["containers"]
    found = AnswerSettings.from_environment(env_of(server))
    assert found == AnswerSettings("rows.0.label", id_header="x-order-id", tolerance_percent=5)
    (server,) = build_pod_template(other, version_of(other))["spec"]["containers"]
    assert AnswerSettings.from_environment(env_of(server)) is None


LOG = {"sample": 10, "features": {"redact": ["vin"], "person": "owner"}, "retentionDays": 30}
ON_A_VOLUME = LOG | {"to": {"file": {"claimName": "predictions"}}}
IN_A_BUCKET = LOG | {
    "to": {"s3": {"bucket": "logs", "prefix": "a", "credentialsSecretRef": {"name": "s3"}}}
}


@pytest.mark.parametrize(
    ("log", "target"),
    [
        (ON_A_VOLUME, {"file": {"path": "/var/log/sluicegate"}}),
        (IN_A_BUCKET, {"s3": {"bucket": "logs", "prefix": "a"}}),
    ],
    ids=["on a volume", "in a bucket"],
)
def test_pods_and_trainings_have_the_variables_of_the_prediction_log(log, target):
    owner, other = product(**{"spec.serving.log": log}), product()
    version = version_of(owner)
    assert inputs_hash(owner, version) != inputs_hash(other, version_of(other))
    job, *_ = example_training(owner, version)
    for pod, read_only in (
        (build_pod_template(owner, version)["spec"], False),
        (job["spec"]["template"]["spec"], True),
    ):
        (container,) = pod["containers"]
        assert LogSettings.from_environment(env_of(container)) == LogSettings(
            owner.metadata.namespace, owner.metadata.name, 10, target,
            redact=("vin",), person="owner", retention_days=30,
        )  # fmt: skip
        mounts = [mount for mount in container["volumeMounts"] if mount["name"] == "sluicegate-log"]
        claims = [volume for volume in pod["volumes"] if volume["name"] == "sluicegate-log"]
        if "file" in target:
            assert [mount.get("readOnly", False) for mount in mounts] == [read_only]
            assert [volume["persistentVolumeClaim"]["claimName"] for volume in claims] == [
                "predictions"
            ]
        else:
            assert (mounts, claims) == ([], [])
            assert container["envFrom"] == [{"secretRef": {"name": "s3"}}]


@pytest.mark.parametrize(
    ("changes", "released"),
    [
        ({"spec.serving.market": REMOVED}, "3257064d57af1565"),
        ({"spec.serving": {}}, "f4c4697f5010e32b"),
    ],
    ids=["much is set", "nothing is set"],
)
def test_the_inputs_hash_is_unchanged_since_the_first_release(changes, released):
    """Another hash would restart every pod of every product when the operator is upgraded."""
    owner = product(**changes)
    assert inputs_hash(owner, version_of(owner)) == released


def test_pods_have_the_request_size_limit_if_it_is_set():
    (server,) = pod_of()["containers"]
    assert "SLUICEGATE_MAX_REQUEST_BYTES" not in env_of(server)
    change = {"spec.serving.maxRequestBytes": 2**20}
    (server,) = pod_of(**change)["containers"]
    assert env_of(server)["SLUICEGATE_MAX_REQUEST_BYTES"] == str(2**20)
    owner, other = product(), product(**change)
    assert inputs_hash(owner, version_of(owner)) != inputs_hash(other, version_of(other))


# ---- memory --------------------------------------------------------------------------------
def accepted() -> Version:
    base = version_of(product())
    baseline = Baseline(bad=4, total=40, start=0, end=300, source=BaselineSource.PRODUCTION)
    return Version(
        version=base.version, image=base.image, service=base.service,
        runtime_image=base.runtime_image, revision=base.revision, source=VersionSource.RETRAINING,
        promotion_time=900, baseline={"accuracy": baseline},
    )  # fmt: skip


def test_a_lost_status_is_rebuilt_from_the_deployment():
    body = build_deployment(product(), accepted(), replicas=2)["metadata"]
    remembered = read_version(body["labels"], body["annotations"])
    hashed = body["annotations"][names.ANNOTATION_INPUTS_HASH]
    assert remembered == accepted().model_copy(update={"inputs_hash": hashed})


def test_the_recorded_state_of_a_version_does_not_depend_on_the_order_of_its_baselines():
    one = accepted()
    two = one.model_copy(update={"baseline": {"a": one.baseline["accuracy"]} | dict(one.baseline)})
    other = two.model_copy(update={"baseline": dict(reversed(two.baseline.items()))})
    assert list(two.baseline) != list(other.baseline)
    assert memory_annotations(two) == memory_annotations(other)


def test_a_version_that_was_never_promoted_is_not_recorded_as_stable():
    never = PastVersion(**dict(version_of(product())), outcome=Outcome.ROLLED_BACK, end_time=900)
    for version in (version_of(product()), never):
        annotations = memory_annotations(version)
        assert names.ANNOTATION_PROMOTION_TIME not in annotations
        assert read_version({}, annotations) is None


@pytest.mark.parametrize("broken", ["no time", ""])
def test_an_unreadable_recorded_state_counts_as_absent(broken):
    annotations = memory_annotations(accepted()) | {names.ANNOTATION_PROMOTION_TIME: broken}
    assert read_version({names.LABEL_REVISION: "0"}, annotations) is None


# ---- services, route, scaling ----------------------------------------------------------------
def test_the_replica_count_owned_by_an_autoscaler_is_not_applied():
    owner = product()
    assert "replicas" not in build_deployment(owner, version_of(owner), replicas=None)["spec"]
    assert build_deployment(owner, version_of(owner), replicas=0)["spec"]["replicas"] == 0


def test_an_autoscaler_has_the_metrics_of_the_spec_beside_cpu():
    labels = {"service": "search"}
    owner = product(**{
        "spec.serving.replicas": REMOVED,
        "spec.serving.autoscaling": {
            "maxReplicas": 4,
            "metrics": [
                {"pods": {"name": "in_progress", "matchLabels": labels, "averageValue": "4"}},
                {"external": {"name": "p99_seconds", "value": "0.2"}},
                {"external": {"name": "requests_per_second", "averageValue": 50}},
            ],
        },
    })  # fmt: skip
    scaling = owner.spec.serving.autoscaling
    cpu, *metrics = build_autoscaler(owner, version_of(owner), scaling)["spec"]["metrics"]
    assert cpu["resource"]["name"] == "cpu"
    assert metrics == [
        {
            "type": "Pods",
            "pods": {
                "metric": {"name": "in_progress", "selector": {"matchLabels": labels}},
                "target": {"type": "AverageValue", "averageValue": "4"},
            },
        },
        {
            "type": "External",
            "external": {
                "metric": {"name": "p99_seconds"},
                "target": {"type": "Value", "value": "0.2"},
            },
        },
        {
            "type": "External",
            "external": {
                "metric": {"name": "requests_per_second"},
                "target": {"type": "AverageValue", "averageValue": "50"},
            },
        },
    ]


def test_pods_are_replaced_one_by_one_after_the_new_pod_is_ready():
    owner = product()
    version = version_of(owner)
    spec = build_deployment(owner, version, replicas=2)["spec"]
    del spec["template"]
    assert spec == {
        "replicas": 2,
        "revisionHistoryLimit": 1,
        "progressDeadlineSeconds": owner.spec.serving.progress_deadline_seconds,
        "selector": {
            "matchLabels": {
                "sluicegate.dev/product": "search-ranking",
                "app.kubernetes.io/component": "server",
                "sluicegate.dev/revision": version.revision,
            }
        },
        "strategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
        },
    }


@pytest.mark.parametrize(
    ("capacity", "replicas", "pods", "update"),
    [
        ("Double", 2, 0, {"maxUnavailable": 0, "maxSurge": 1}),
        ("Replace", 2, 0, {"maxUnavailable": 1, "maxSurge": 0}),
        ("Replace", None, 2, {"maxUnavailable": 1, "maxSurge": 0}),
        ("Replace", 1, 0, {"maxUnavailable": 0, "maxSurge": 1}),
    ],
)
def test_where_pods_cannot_be_doubled_a_changed_one_takes_the_place_of_another(
    capacity, replicas, pods, update
):
    """The only pod of a version stays until its successor is ready."""
    owner = product(**{"spec.rollout.capacity": capacity, "spec.serving.replicas": 2})
    spec = build_deployment(owner, version_of(owner), replicas=replicas, pods=pods)["spec"]
    assert spec["strategy"]["rollingUpdate"] == update


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, (2, 8)),
        ({"minimum_replicas": 5}, (5, 8)),
        ({"minimum_replicas": 3, "maximum_replicas": 5}, (3, 5)),
        ({"maximum_replicas": 1}, (1, 1)),
    ],
)
def test_an_autoscaler_leaves_the_pods_of_another_version(limits, expected):
    scaling = {"minReplicas": 2, "maxReplicas": 8}
    owner = product(**{"spec.serving.replicas": REMOVED, "spec.serving.autoscaling": scaling})
    autoscaling = owner.spec.serving.autoscaling
    spec = build_autoscaler(owner, version_of(owner), autoscaling, **limits)["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == expected


def test_the_example_training_job_is_the_first_attempt_of_a_sample_trigger():
    shadow = {"command": ["score"], "intervalSeconds": 3600}
    for change, jobs in (
        ({}, ["search-ranking-train-00000000-1"]),
        (
            {"spec.rollout.shadow": shadow},
            ["search-ranking-train-00000000-1", r"search-ranking-shadow-[0-9a-f]{8}-1"],
        ),
        (
            {"spec.rollout.shadow": shadow, "spec.retraining": REMOVED},
            [r"search-ranking-shadow-[0-9a-f]{8}-1"],
        ),
    ):
        owner = product(**change)
        found = [one["metadata"]["name"] for one in example_training(owner, version_of(owner))]
        assert len(found) == len(jobs)
        assert all(map(re.fullmatch, jobs, found))
    (scored,) = example_training(owner, version_of(owner))
    assert scored["metadata"]["name"] == derived.shadow_job_name(
        "search-ranking", version_of(owner).revision, 0, 1
    )
    values = env_of(scored["spec"]["template"]["spec"]["containers"][0])
    assert values["SLUICEGATE_SINCE"] == values["SLUICEGATE_UNTIL"] == "1970-01-01T00:00:00Z"


def test_no_service_exposes_the_metrics_port():
    owner = product()
    services = [
        build_version_service(owner, version_of(owner), kind=ServiceKind.CLUSTER_IP),
        build_stable_service(owner, "0123456789"),
    ]
    assert [[port["port"] for port in service["spec"]["ports"]] for service in services] == [
        [3000]
    ] * 2


def test_the_product_service_selects_one_version_or_all():
    one = build_stable_service(product(), "0123456789")["spec"]["selector"]
    every = build_stable_service(product(), None)["spec"]["selector"]
    assert one == every | {names.LABEL_REVISION: "0123456789"}
    assert every[names.LABEL_COMPONENT] == "server"


@pytest.mark.parametrize(
    ("path", "prefix", "hidden"),
    [({}, "/", False), ({"path": "/"}, "/", False), ({"path": "/search"}, "/search", True)],
)
def test_a_route_without_rules_matches_its_path_prefix_or_everything(path, prefix, hidden):
    own = {f"spec.route.{name}": value for name, value in path.items()}
    owner = product(**own, **{"spec.route.rules": []})
    (rule,) = build_route(owner, owner.spec.route, [Backend("a", 100)])["spec"]["rules"]
    assert rule["matches"] == [{"path": {"type": "PathPrefix", "value": prefix}}]
    replaced = {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}}
    assert rule.get("filters") == (
        [{"type": "URLRewrite", "urlRewrite": replaced}] if hidden else None
    )


def test_each_rule_of_the_route_has_the_same_weights():
    rules = [{"matches": [{"path": {"value": "/a"}}]}, {"timeouts": {"request": "5s"}}]
    owner = product(**{"spec.route.rules": rules})
    route = build_route(owner, owner.spec.route, [Backend("a", 75), Backend("b", 25)])
    shares = [
        [(b["name"], b["weight"]) for b in rule["backendRefs"]] for rule in route["spec"]["rules"]
    ]
    assert shares == [[("a", 75), ("b", 25)]] * 2
    assert route["spec"]["rules"][1]["matches"] == [{"path": {"type": "PathPrefix", "value": "/"}}]


def test_every_child_has_a_controller_reference_that_does_not_block_owner_deletion():
    owner = product()
    for child in (
        build_deployment(owner, version_of(owner), replicas=1),
        build_stable_service(owner, None),
        build_disruption_budget(owner),
        job_of(),
    ):
        (reference,) = child["metadata"]["ownerReferences"]
        assert reference["uid"] == "u-1"
        assert reference["controller"] is True
        assert "blockOwnerDeletion" not in reference
        assert child["metadata"]["namespace"] == "catalog"


def test_a_field_that_is_no_longer_rendered_changes_the_hash():
    with_host, without = product(), product(**{"spec.route.hostnames": []})
    hashes = {
        build_route(owner, owner.spec.route, [])["metadata"]["annotations"][
            names.ANNOTATION_INPUTS_HASH
        ]
        for owner in (with_host, without)
    }
    assert len(hashes) == 2


# ---- training --------------------------------------------------------------------------------
def test_a_training_job_has_the_variables_of_its_trigger():
    trainer = job_of()["spec"]["template"]["spec"]["containers"][0]
    environment = env_of(trainer)
    assert environment["SLUICEGATE_VERSION"] == "v1"
    assert environment["SLUICEGATE_OUTPUT"] == "registry.example/bentos/search-ranking"
    assert json.loads(environment["SLUICEGATE_TRIGGER"])["slo"] == "accuracy"
    assert environment["DOCKER_CONFIG"] == "/var/run/sluicegate/push"
    assert trainer["command"] == ["python", "-m", "train"]


def test_a_training_job_has_no_retries_and_ignores_evictions():
    job = job_of()
    assert job["metadata"]["name"] == "search-ranking-train-0a1b2c3d-2"
    assert job["spec"]["backoffLimit"] == 0
    assert job["spec"]["podFailurePolicy"]["rules"][0]["action"] == "Ignore"
    assert job["spec"]["template"]["spec"]["restartPolicy"] == "Never"
    assert "ttlSecondsAfterFinished" not in job["spec"]


def test_a_token_is_mounted_only_for_a_named_account():
    named = job_of()["spec"]["template"]["spec"]
    other = job_of(**{"spec.retraining.serviceAccountName": None})["spec"]["template"]["spec"]
    assert (named["serviceAccountName"], named["automountServiceAccountToken"]) == ("trainer", True)
    assert other["automountServiceAccountToken"] is False


def test_no_service_selects_a_training_pod():
    selector = build_stable_service(product(), None)["spec"]["selector"]
    pod = job_of()["spec"]["template"]["metadata"]["labels"]
    assert not selector.items() <= pod.items()
    assert names.LABEL_VERSION not in pod


WILD_TEMPLATE = {
    "metadata": {"labels": {"app.kubernetes.io/component": "server", "team": "a"}},
    "spec": {
        "hostNetwork": True,
        "serviceAccountName": "admin",
        "restartPolicy": "Always",
        "containers": [{
            "name": "train", "image": "registry.example/train:1", "command": ["train"],
            "securityContext": {"privileged": True},
            "env": [{"name": "SLUICEGATE_OUTPUT", "value": "elsewhere"}, {"name": "A", "value": "b"}],
            "volumeMounts": [{"name": "data", "mountPath": "/data"},
                             {"name": "data", "mountPath": "/bento"}],
        }],
        "initContainers": [{"name": "get", "image": "registry.example/get:1",
                            "securityContext": {"runAsUser": 0}}],
        "volumes": [{"name": "host", "hostPath": {"path": "/"}}, {"name": "data", "emptyDir": {}},
                    {"name": "bento", "emptyDir": {}}],
    },
}  # fmt: skip
TAME_TEMPLATE: dict[str, Any] = {
    "metadata": {"labels": {"team": "a"}},
    "spec": {
        "terminationGracePeriodSeconds": 7,
        "containers": [{
            "name": "train", "image": "registry.example/train:1", "command": ["train"],
            "env": [{"name": "A", "value": "b"}],
            "volumeMounts": [{"name": "data", "mountPath": "/data"},
                             {"name": "data", "mountPath": "/bento"}],
        }],
        "initContainers": [{"name": "get", "image": "registry.example/get:1"}],
        "volumes": [{"name": "data", "emptyDir": {}}],
    },
}  # fmt: skip


def template_of(template: dict) -> dict:
    changes = {"spec.retraining.command": [], "spec.retraining.podTemplate": template}
    return job_of(**changes, **{"spec.retraining.serviceAccountName": None})["spec"]["template"]


def test_a_pod_template_is_refused_with_the_paths_of_all_forbidden_fields():
    with pytest.raises(InvalidProduct) as refusal:
        template_of(WILD_TEMPLATE)
    at = "spec.retraining.podTemplate"
    assert {problem.path for problem in refusal.value.problems} == {
        f"{at}.metadata.labels", f"{at}.spec.hostNetwork", f"{at}.spec.serviceAccountName",
        f"{at}.spec.restartPolicy", f"{at}.spec.containers[0].securityContext",
        f"{at}.spec.containers[0].env[0].name", f"{at}.spec.initContainers[0].securityContext",
        f"{at}.spec.volumes[0].hostPath", f"{at}.spec.volumes[2].name",
    }  # fmt: skip


def test_enforced_fields_override_a_pod_template():
    template = template_of(TAME_TEMPLATE)
    spec, trainer = template["spec"], template["spec"]["containers"][0]
    assert spec["restartPolicy"] == "Never"
    assert spec["terminationGracePeriodSeconds"] == 7
    assert (trainer["name"], trainer["image"]) == ("trainer", "registry.example/train:1")
    assert trainer["securityContext"]["readOnlyRootFilesystem"] is True
    assert env_of(trainer)["SLUICEGATE_OUTPUT"] == "registry.example/bentos/search-ranking"
    assert env_of(trainer)["A"] == "b"
    assert [m["name"] for m in trainer["volumeMounts"] if m["mountPath"] == "/bento"] == ["bento"]
    assert spec["initContainers"][-1]["securityContext"]["readOnlyRootFilesystem"] is True
    assert [v["name"] for v in spec["volumes"]].count("bento") == 1
    assert template["metadata"]["labels"] | {"team": "a"} == template["metadata"]["labels"]
    assert template["metadata"]["labels"][names.LABEL_COMPONENT] == "trainer"


def test_allowed_fields_of_a_pod_template_are_kept():
    own = {
        "args": ["--fast"], "workingDir": "/src", "imagePullPolicy": "Always",
        "envFrom": [{"configMapRef": {"name": "a"}}], "resources": {"requests": {"cpu": "1"}},
    }  # fmt: skip
    (desired,) = TAME_TEMPLATE["spec"]["containers"]
    spec = {**TAME_TEMPLATE["spec"], "containers": [desired | own]}
    template = template_of({"metadata": {"annotations": {"team": "a"}}, "spec": spec})
    trainer = template["spec"]["containers"][0]
    assert {name: trainer[name] for name in own} == own
    assert {"name": "data", "mountPath": "/data"} in trainer["volumeMounts"]
    assert {"name": "data", "emptyDir": {}} in template["spec"]["volumes"]
    assert "get" in [
        init_container["name"] for init_container in template["spec"]["initContainers"]
    ]
    assert template["metadata"]["annotations"] == {"team": "a"}
    without = template_of(TAME_TEMPLATE)["spec"]["containers"][0]
    assert (
        without["resources"] == job_of()["spec"]["template"]["spec"]["containers"][0]["resources"]
    )


WRONG_SHAPES = [
    {}, {"spec": []}, {"spec": {}}, {"spec": {"containers": "a"}}, {"spec": {"containers": []}},
    {"spec": {"containers": [{}, {}]}}, {"spec": {"containers": ["a"]}}, {"metadata": "a"},
    *({"metadata": {"labels": value}, "spec": TAME_TEMPLATE["spec"]} for value in ("a", [], {"a": 1})),
    *({"spec": TAME_TEMPLATE["spec"] | {"volumes": value}}
      for value in ("a", {"a": 1}, ["a"], [{}], [{"name": []}], [{"name": "a", "emptyDir": 1}])),
    *({"spec": TAME_TEMPLATE["spec"] | {"initContainers": value}}
      for value in ("a", [1], [{"name": {}}], [{"env": "a"}])),
    *({"spec": {"containers": [{field: value}]}}
      for field in ("env", "volumeMounts", "envFrom", "resources", "command", "image")
      for value in ("", 1, [1], {"a": 1}, [{"value": "a"}], [["a"]], True)
      if (field, value) != ("image", "")),
]  # fmt: skip


@pytest.mark.parametrize("template", WRONG_SHAPES, ids=lambda one: json.dumps(one)[:60])
def test_a_malformed_pod_template_is_refused_with_its_field(template):
    with pytest.raises(InvalidProduct) as refusal:
        template_of(template)
    assert all(
        problem.path.startswith("spec.retraining.podTemplate") and problem.message
        for problem in refusal.value.problems
    )


def test_the_size_of_a_pod_template_is_limited():
    large = {"spec": {"containers": [{"args": ["x" * 8000] * 5}]}}
    (problem,) = check_pod_fields(large)
    assert "bytes" in problem.message


# ---- shadow phase --------------------------------------------------------------------------
def test_a_shadow_job_has_both_bentos_and_the_interval():
    job = shadow_job_of()
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    mounted = {
        volume_mount["mountPath"]: volume_mount["name"]
        for volume_mount in container["volumeMounts"]
    }
    images = {
        volume["name"]: volume["image"]["reference"]
        for volume in pod["volumes"]
        if "image" in volume
    }
    assert images[mounted["/candidate"]] == f"registry.example/other@sha256:{HEX}"
    assert images[mounted["/stable"]] != images[mounted["/candidate"]]
    assert container["command"] == ["score"]
    told = env_of(container)
    assert told["SLUICEGATE_SINCE"] == "1970-01-01T00:00:00Z"
    assert told["SLUICEGATE_UNTIL"] == "1970-01-01T01:00:00Z"
    assert job["spec"]["activeDeadlineSeconds"] == 60
    assert job["spec"]["backoffLimit"] == 0


def test_a_shadow_job_of_archives_fetches_both():
    archive = BENTO_URL | {"spec.model.bento.sha256": HEX}
    owner = product(**archive)
    interval = ShadowInterval(
        name="one", stable=version_of(owner), candidate=version_of(owner), since=0, until=1
    )
    shadow = product(
        **{"spec.rollout.shadow": {"command": ["score"], "intervalSeconds": 60}}
    ).spec.rollout.shadow
    pod = build_shadow_job(owner, shadow, interval)["spec"]["template"]["spec"]
    assert [init_container["command"][-1] for init_container in pod["initContainers"]] == [
        "/stable",
        "/candidate",
    ]
    assert len({init_container["name"] for init_container in pod["initContainers"]}) == 2
    names_of = [volume["name"] for volume in pod["volumes"]]
    assert len(set(names_of)) == len(names_of)


def test_a_shadow_job_has_the_template_of_trainings_and_its_own_command():
    trainer = {
        "name": "train", "image": "registry.example/own:1", "command": ["train"], "args": ["-v"],
        "env": [{"name": "WAREHOUSE", "value": "w"}], "resources": {"requests": {"cpu": "2"}},
    }  # fmt: skip
    template = {
        "spec.retraining.command": REMOVED,
        "spec.retraining.podTemplate": {
            "spec": {"containers": [trainer], "nodeSelector": {"disk": "ssd"}}
        },
    }
    pod = shadow_job_of(**template)["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["nodeSelector"] == {"disk": "ssd"}
    assert container["image"] == "registry.example/own:1"
    assert container["command"] == ["score"]
    assert "args" not in container
    assert env_of(container)["WAREHOUSE"] == "w"
    assert container["resources"] == {"requests": {"cpu": "2"}}
    assert container["workingDir"] == "/candidate/src"
    for own in ({"limits": {"memory": "1Gi"}}, {"requests": {"cpu": "3"}}):
        shadow = {"command": ["score"], "intervalSeconds": 60, "resources": own}
        job = shadow_job_of(**template, **{"spec.rollout.shadow": shadow})
        assert job["spec"]["template"]["spec"]["containers"][0]["resources"] == own
