"""What an export of status brings back, and what a manifest alone does, on a real API server.

Pods are played by kwok.
"""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from cluster.kinds import install_crds, install_gateway_api
from sluicegate.__main__ import main
from sluicegate.api import names
from sluicegate.api.versions import Release, Version, VersionSource
from sluicegate.reviews.seal import differs_from_seal, digest_of
from sluicegate.reviews.store import read_review
from tests.support.apiserver.people import bind, install_policies
from tests.support.decisions.reviewed import document_of, sealed_month
from tests.support.failures.replicas import apply, product, read, replicas
from tests.support.samples.product_examples import full_status
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cluster.controlplane import ControlPlane

pytestmark = pytest.mark.timeout(300)

RUNTIME = f"registry.example/runtime@sha256:{'d' * 64}"
RETRAINED = f"registry.example/bentos/pricing@sha256:{'b' * 64}"


@pytest.fixture(autouse=True)
def kinds(control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install the CRDs, and set an administrator's kubeconfig for the commands."""
    install_crds(control_plane)
    install_gateway_api(control_plane)
    monkeypatch.setenv("KUBECONFIG", str(control_plane.kubeconfig))


@contextlib.contextmanager
def operator(plane: ControlPlane, namespace: str, user: str, folder: Path) -> Iterator[None]:
    """Yield the operator of the namespace, until it is stopped."""
    settings = {
        "SLUICEGATE_NAMESPACE": namespace,
        "SLUICEGATE_WATCH_NAMESPACES": namespace,
        "SLUICEGATE_DEFAULT_RUNTIME_IMAGE": RUNTIME,
    }
    with replicas(plane, folder, user, extra=settings):
        yield


def live(plane: ControlPlane, namespace: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Return all products and reviews of a namespace, by kind and name."""
    kinds = f"{names.PLURAL},{names.REVIEW_PLURAL}"
    return {
        (body["kind"], body["metadata"]["name"]): body
        for body in read(plane, kinds, "-n", namespace)
    }


def delete_all(plane: ControlPlane, namespace: str) -> None:
    plane.kubectl("delete", f"{names.PLURAL},{names.REVIEW_PLURAL}", "--all", "-n", namespace)
    eventually(
        lambda: not read(plane, "deployments,services", "-n", namespace),
        seconds=60,
        what="the objects of the products are collected",
    )


def store(plane: ControlPlane, body: dict[str, Any], status: dict[str, Any]) -> None:
    apply(plane, body)
    plane.kubectl(
        "patch", body["kind"], body["metadata"]["name"], "-n", body["metadata"]["namespace"],
        "--subresource=status", "--type=merge", "-p", json.dumps({"status": status}),
    )  # fmt: skip


def review_in(
    namespace: str, *, is_sealed: bool, uid: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a review of the product with its status, sealed or of the month that is open."""
    review = sealed_month(10 if is_sealed else 11, wrong=0.08)
    reference = review.spec.product_ref.model_copy(update={"uid": uid})
    body = document_of(review, productRef=reference.to_dict())
    body["metadata"] = {"name": "sealed" if is_sealed else "open", "namespace": namespace}
    status = body.pop("status")
    if not is_sealed:
        for name in ("digest", "sealTime", "sealReason", "dueTime"):
            status.pop(name, None)
        return body, status | {"state": "NotStarted"}
    parsed = read_review({**body, "status": status})
    return body, status | {"digest": digest_of(parsed)}


def test_an_import_restores_products_and_reviews_of_an_export(control_plane, namespace, tmp_path):
    body = product(namespace, "pricing")
    store(control_plane, body, full_status())
    former = live(control_plane, namespace)[names.KIND, "pricing"]["metadata"]["uid"]
    for is_sealed in (True, False):
        store(control_plane, *review_in(namespace, is_sealed=is_sealed, uid=former))
    before = live(control_plane, namespace)
    file = tmp_path / "backup.yaml"
    command = ["export", "--format", "status", "-n", namespace, "--file", str(file)]
    assert main(command) == 0
    delete_all(control_plane, namespace)
    restore = ["import", "--format", "status", str(file)]
    assert main([*restore, "--dry-run"]) == 0
    assert live(control_plane, namespace) == {}
    assert main(restore) == 0
    after = live(control_plane, namespace)
    assert after.keys() == before.keys()
    stored = after[names.KIND, "pricing"]
    assert stored["status"] == full_status() | {"observedGeneration": 1, "conditions": [
        condition | {"observedGeneration": 1} for condition in full_status()["conditions"]
    ]}  # fmt: skip
    assert stored["spec"] == before[names.KIND, "pricing"]["spec"]
    sealed, opened = (after[names.REVIEW_KIND, name] for name in ("sealed", "open"))
    assert not differs_from_seal(read_review(sealed))
    assert sealed["spec"]["productRef"]["uid"] == former
    assert opened["spec"]["productRef"]["uid"] == stored["metadata"]["uid"]
    assert opened["status"] == before[names.REVIEW_KIND, "open"]["status"]


def test_an_import_keeps_the_status_of_a_product_that_serves(
    control_plane, namespace, tmp_path, capsys
):
    store(control_plane, product(namespace, "pricing"), full_status())
    file = tmp_path / "backup.yaml"
    assert main(["export", f"{namespace}/pricing", "--format", "status", "--file", str(file)]) == 0
    newer = full_status() | {"state": "Unknown"}
    store(control_plane, product(namespace, "pricing"), newer)
    restore = ["import", "--format", "status", str(file)]
    assert main(restore) == 0
    assert "--overwrite" in capsys.readouterr().out
    assert live(control_plane, namespace)[names.KIND, "pricing"]["status"]["state"] == "Unknown"
    assert main([*restore, "--overwrite"]) == 0
    assert live(control_plane, namespace)[names.KIND, "pricing"]["status"]["state"] == "Degraded"


def test_only_a_holder_of_the_verb_restore_imports_reviews_and_answers_of_people(
    control_plane, namespace, tmp_path, capsys
):
    install_policies(
        control_plane,
        f"{namespace}-backup",
        "roles.enforce=Deny",
        f"watchNamespaces={{{namespace}}}",
    )
    bind(control_plane, "cluster-admin", "restorer", namespace)
    bind(control_plane, "edit", "editor", namespace)
    file = tmp_path / "backup.yaml"
    body, status = review_in(namespace, is_sealed=True, uid="u")
    answered = product(namespace, "pricing")
    answers = {
        f"approval.{names.GROUP}/DataProductManager": "Agree/v2/0000000000-1\nanna\nfor Spain",
        names.REQUEST_NOTE: "v1/t1\nanna\nthe prices of Spain",
    }
    answered["metadata"]["annotations"] = answers
    file.write_text(
        yaml.safe_dump_all([answered | {"status": full_status()}, body | {"status": status}])
    )
    restore = ["import", "--format", "status", str(file)]
    assert main([*restore, "--as", "editor"]) == 1
    assert live(control_plane, namespace) == {}
    assert main([*restore, "--as", "restorer"]) == 0, capsys.readouterr().err
    restored = live(control_plane, namespace)
    assert restored[names.REVIEW_KIND, "sealed"]["status"] == status
    annotations = restored[names.KIND, "pricing"]["metadata"]["annotations"]
    assert answers.items() <= annotations.items()


def test_an_operator_continues_an_imported_status_and_begins_again_with_a_manifest_alone(
    control_plane, namespace, tmp_path
):
    body = product(namespace, "pricing")
    release = Release("v2", RETRAINED, RUNTIME, "Service")
    with operator(control_plane, namespace, "first", tmp_path):
        apply(control_plane, body)
        serving = eventually(
            lambda: (
                live(control_plane, namespace)[names.KIND, "pricing"]
                .get("status", {})
                .get("stable")
            ),
            seconds=90,
            what="the first version serves",
        )
    file = tmp_path / "backup.json"
    command = ["export", f"{namespace}/pricing", "--format", "status", "-o", "json"]
    assert main([*command, "--file", str(file)]) == 0
    backup = retrained(json.loads(file.read_text()), serving, release)
    file.write_text(json.dumps(backup))
    delete_all(control_plane, namespace)

    apply(control_plane, body)
    with operator(control_plane, namespace, "manifest", tmp_path):
        eventually(
            lambda: images(control_plane, namespace) == {body["spec"]["model"]["bento"]["image"]},
            seconds=90,
            what="the version of the spec runs",
        )
    assert not live(control_plane, namespace)[names.KIND, "pricing"]["status"].get("history")
    delete_all(control_plane, namespace)

    apply(control_plane, body)
    assert main(["import", "--format", "status", str(file)]) == 0
    with operator(control_plane, namespace, "imported", tmp_path):
        eventually(
            lambda: images(control_plane, namespace) == {RETRAINED},
            seconds=90,
            what="the retrained version runs",
        )
        status = live(control_plane, namespace)[names.KIND, "pricing"]["status"]
    assert status["stable"]["version"] == "v2"
    assert [version["version"] for version in status["history"]] == ["v1"]
    assert "candidate" not in status


def retrained(
    document: dict[str, Any], serving: dict[str, Any], release: Release
) -> dict[str, Any]:
    """Return the export of a product whose model was retrained since: v2 serves, and the spec names v1."""
    when = serving["promotionTime"]
    stable = Version.of(release, VersionSource.RETRAINING, promotion_time=0).to_dict()
    stable["promotionTime"] = when
    past = {name: value for name, value in serving.items() if name != "evaluation"}
    document["status"] |= {
        "stable": stable,
        "history": [past | {"outcome": "Replaced", "endTime": when}],
    }
    return document


def images(plane: ControlPlane, namespace: str) -> set[str]:
    """Return the bentos that ready pods mount."""
    return {
        volume["image"]["reference"]
        for pod in read(plane, "pods", "-n", namespace)
        for condition in pod.get("status", {}).get("conditions", [])
        if condition["type"] == "Ready" and condition["status"] == "True"
        for volume in pod["spec"]["volumes"]
        if "image" in volume
    }
