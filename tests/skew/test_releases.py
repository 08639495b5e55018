"""The last release and this one in turns on a real API server, each with its own CRDs and code.

Pods are played by kwok. There is no Prometheus, so a candidate is held at its first step.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from cluster.kinds import install_crds
from sluicegate.api.names import REQUEST_ABORT
from sluicegate.api.product import is_readable
from sluicegate.reviews.seal import differs_from_seal
from sluicegate.reviews.store import read_review
from tests.support.failures.product_phases import (
    NAMESPACE,
    annotate,
    begin,
    children,
    has_reconciled_all,
    operator,
    statuses,
    wait_until_idle,
    writes,
)
from tests.support.failures.replicas import apply, product, read
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from cluster.controlplane import ControlPlane
    from tests.support.failures.releases import ReleaseTree

pytestmark = pytest.mark.timeout(600)

OF_STATUS = "from tests.support.samples.product_examples import full_status as whole"
OF_REVIEW = """
from tests.support.decisions.reviewed import sealed_month
def whole(): return sealed_month(10, wrong=0.08).to_dict()
"""


def install(plane: ControlPlane, release: ReleaseTree) -> None:
    """Apply the CRDs of a release, as an upgrade or a rollback of the chart does."""
    install_crds(plane, release.crds)


def test_an_upgrade_and_a_rollback_of_the_operator_cause_no_write(
    plane, last_release, this_release, tmp_path
):
    install(plane, last_release)
    with operator(plane, last_release, "last", tmp_path):
        begin(plane)
        wait_until_idle(plane, "last")
    before, owned = statuses(plane), children(plane)
    turns = ((this_release, "upgraded"), (last_release, "rolled-back"), (this_release, "again"))
    for release, user in turns:
        install(plane, release)
        with operator(plane, release, user, tmp_path) as replica:
            eventually(lambda: has_reconciled_all(replica), seconds=60, what="all was reconciled")
        assert (user, writes(plane, user)) == (user, [])
        assert (statuses(plane), children(plane)) == (before, owned)


def test_a_decision_of_the_newer_operator_stays_after_a_rollback(
    plane, last_release, this_release, tmp_path
):
    install(plane, last_release)
    with operator(plane, last_release, "last", tmp_path):
        begin(plane)
    install(plane, this_release)
    with operator(plane, this_release, "upgraded", tmp_path):
        annotate(plane, "canary", REQUEST_ABORT)
        eventually(
            lambda: statuses(plane)["canary"].get("lastHandled", {}).get("abort") == "1",
            seconds=60,
            what="the candidate is rolled back",
        )
    install(plane, last_release)
    decided = statuses(plane)["canary"]
    assert decided["decision"]["type"] == "Rollback"
    with operator(plane, last_release, "rolled-back", tmp_path) as replica:
        eventually(lambda: has_reconciled_all(replica), seconds=60, what="all was reconciled")
    after = statuses(plane)["canary"]
    kept = ("stable", "decision", "lastHandled")
    assert {name: after[name] for name in kept} == {name: decided[name] for name in kept}


def test_a_whole_status_of_either_release_survives_a_change_of_the_crds(
    plane, last_release, this_release
):
    older, newer = (json.loads(one.run(dumped(OF_STATUS))) for one in (last_release, this_release))
    install(plane, last_release)
    store(plane, product(NAMESPACE, "older"), older)
    assert statuses(plane)["older"] == older
    install(plane, this_release)
    assert statuses(plane)["older"] == older
    assert is_readable(json.dumps(older))
    store(plane, product(NAMESPACE, "newer"), newer)
    install(plane, last_release)
    assert lacking(statuses(plane)["newer"], older) == []
    install(plane, this_release)
    assert statuses(plane) == {"older": older, "newer": newer}


def test_a_review_that_the_last_release_sealed_keeps_its_seal(plane, last_release, this_release):
    install(plane, last_release)
    review = json.loads(last_release.run(dumped(OF_REVIEW)))
    status = review.pop("status")
    namespace, name = (review["metadata"][key] for key in ("namespace", "name"))
    plane.kubectl("create", "namespace", namespace)
    store(plane, review, status)
    for release in (this_release, last_release, this_release):
        install(plane, release)
        (stored,) = read(plane, "dataproductreviews", "-n", namespace)
        assert stored["metadata"]["name"] == name
        parsed = read_review(stored)
        assert parsed.status.digest == status["digest"]
        assert not differs_from_seal(parsed)


def dumped(source: str) -> str:
    """Return a program that prints what `whole` of some code returns, as JSON."""
    return f"import json\n{source}\nprint(json.dumps(whole()))"


def store(plane: ControlPlane, body: dict[str, Any], status: dict[str, Any]) -> None:
    """Create an object with a status, as a restore does."""
    apply(plane, body)
    plane.kubectl(
        "patch", body["kind"], body["metadata"]["name"], "-n", body["metadata"]["namespace"],
        "--subresource=status", "--type=merge", "-p", json.dumps({"status": status}),
    )  # fmt: skip


def lacking(part: Any, whole: Any, path: str = "status") -> list[str]:
    """Return paths of a document that another one lacks.

    Only the first item of a list is compared.
    """
    if isinstance(whole, dict):
        if not isinstance(part, dict):
            return [path]
        return [
            missing
            for name, value in whole.items()
            for missing in (
                lacking(part[name], value, f"{path}.{name}") if name in part else [f"{path}.{name}"]
            )
        ]
    if isinstance(whole, list) and whole:
        return lacking(part[0], whole[0], f"{path}.0") if part else [path]
    return []
