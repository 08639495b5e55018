"""`kubectl sluicegate` by the real kubectl, on a real API server with the chart's roles and policies."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from cluster.builds import program
from cluster.kinds import install_crds
from sluicegate.api import names
from tests.support.apiserver.people import Person, bind, install_policies, path_of
from tests.support.samples.product_examples import changed, full_status
from tests.support.waiting import eventually, took

SHOP, RELEASE = "plugin-shop", "plugin-sluicegate"
MANAGER, SCIENTIST = "plugin-dpm", "plugin-scientist"
TRIAL = full_status()["candidate"] | {
    "version": "v2", "revision": "aaaaaaaaaa", "phase": "AwaitingApproval", "restoring": False, "hold": None, "approvals": None,
}  # fmt: skip


class Kubectl:
    """Runs kubectl with the plugin on its PATH, as a person with a client certificate."""

    def __init__(self, plane):
        self._kubectl = str(program("kubectl"))
        self._plane = plane
        found = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.environment = {name: value for name, value in os.environ.items() if "_proxy" not in name.lower()} | {"PATH": found}  # fmt: skip

    def command(self, user, *words):
        self.environment["KUBECONFIG"] = str(
            self._plane.kubeconfig_for(user) if user else self._plane.kubeconfig
        )
        return [self._kubectl, *words]

    def __call__(self, user, *words):
        return subprocess.run(
            self.command(user, *words), env=self.environment, capture_output=True, text=True,
            stdin=subprocess.DEVNULL, check=False, timeout=60,
        )  # fmt: skip

    def plugin(self, user, *words):
        return self(user, "sluicegate", *words)


@pytest.fixture(scope="module")
def kubectl(control_plane):
    plane = control_plane
    install_crds(plane)
    plane.kubectl("create", "namespace", SHOP)
    install_policies(plane, RELEASE, "roles.enforce=Deny", f"watchNamespaces={{{SHOP}}}")
    bind(plane, f"{RELEASE}-product-manager", MANAGER, SHOP)
    bind(plane, f"{RELEASE}-data-scientist", SCIENTIST, SHOP)
    for name in ("pricing", "ranking"):
        members = [{"username": MANAGER, "role": "DataProductManager"}]
        document = changed({"metadata.namespace": SHOP, "metadata.name": name, "spec.team.members": members, "spec.dependsOn": []})  # fmt: skip
        answer = Person(plane, "").create(document, dry=False)
        assert answer.allowed, answer.refusal
    refused = {"metadata": {"annotations": {names.REQUEST_PROMOTE: "x"}}}
    eventually(
        lambda: (
            "verb promote" in Person(plane, SCIENTIST).patch((SHOP, "pricing"), refused).refusal
        ),
        what="the policy and the roles to be in force",
    )
    eventually(lambda: Person(plane, MANAGER).patch((SHOP, "pricing"), refused).allowed, what="the role")  # fmt: skip
    return Kubectl(plane)


@pytest.fixture
def status(control_plane, kubectl):
    """Return writes the status of pricing, as the operator does."""
    admin = Person(control_plane, "")

    def write(**fields):
        path = f"{path_of(SHOP, 'pricing')}/status"
        body = {"status": full_status() | {"candidate": TRIAL, "lastHandled": None} | fields}
        answer = admin.send("PATCH", path, body, kind="application/merge-patch+json")
        assert answer.allowed, answer.refusal
        return answer.body

    write()
    return write


def written(plane):
    answer = Person(plane, "").send("GET", path_of(SHOP, "pricing"))
    return answer.body["metadata"].get("annotations") or {}


def test_kubectl_runs_the_plugin_and_completes_its_arguments(kubectl):
    assert "kubectl-sluicegate" in kubectl("", "plugin", "list").stdout
    assert kubectl.plugin("", "--help").stdout.startswith("usage: kubectl sluicegate")
    found = kubectl("", "__complete", "sluicegate", "prom").stdout
    assert found.startswith("promote\tapprove a candidate")
    found = kubectl("", "__complete", "sluicegate", "get", "-n", SHOP, "pri").stdout
    assert found.splitlines()[0] == "pricing"


def test_products_of_all_namespaces_are_listed(kubectl, status):
    lines = kubectl.plugin("", "get", "-A", "--team", MANAGER).stdout.splitlines()
    assert lines[0].split() == ["NAMESPACE", "NAME", "STATE", "SLO", "MODEL", "CANARY", "TEAM", "MARKETS", "AGE", "REASON"]  # fmt: skip
    assert [line.split()[:3] for line in lines[1:]] == [
        [SHOP, "pricing", "Degraded"], [SHOP, "ranking", "Unknown"],
    ]  # fmt: skip
    found = json.loads(kubectl.plugin("", "get", "-n", SHOP, "-o", "json").stdout)
    assert [item["kind"] for item in found["items"]] == [names.KIND] * 2
    needs = kubectl.plugin(MANAGER, "get", "-n", SHOP, "--needs-me").stdout
    assert "Waits for approval" in needs
    assert "No product needs" in kubectl.plugin(SCIENTIST, "get", "-n", SHOP, "--needs-me").stderr


def test_a_forbidden_plugin_command_names_the_missing_verb_and_its_holders(kubectl, status):
    refused = kubectl.plugin(MANAGER, "get", "-A")
    assert refused.returncode == 1
    assert "the verb list on dataproducts.sluicegate.dev in all namespaces is needed" in refused.stderr  # fmt: skip
    refused = kubectl.plugin(SCIENTIST, "promote", "pricing", "-n", SHOP, "--yes")
    assert refused.returncode == 1
    assert f"DataProductManager or EngineeringManager ({MANAGER})" in refused.stderr
    assert "holders of the verb promote" in refused.stderr
    refused = kubectl.plugin(MANAGER, "suspend", "pricing", "-n", SHOP, "--live", "--yes")
    assert refused.returncode == 1
    assert "holders of the verb edit-spec" in refused.stderr


def test_a_manager_with_patch_rights_alone_approves_and_reads_the_outcome(
    control_plane, kubectl, status
):
    decision = {"type": "Promote", "reason": "CanaryNotWorse", "message": "not worse", "decisionTime": "2026-01-01T09:00:00Z"}  # fmt: skip

    def operator():
        value = eventually(lambda: written(control_plane).get(names.REQUEST_PROMOTE, ""))
        assert value.startswith("v2/")
        status(decision=decision, lastHandled={"promote": value})

    handling = threading.Thread(target=operator)
    handling.start()
    done = kubectl.plugin(MANAGER, "promote", "pricing", "-n", SHOP, "--yes", "-o", "json")
    handling.join()
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["code"], result["decision"]["type"]) == (0, "Promote")
    assert "evidence in favour" in done.stderr


def test_an_approval_of_a_candidate_replaced_during_the_prompt_writes_nothing(
    control_plane, kubectl, status
):
    before = written(control_plane)
    screen, terminal = pty.openpty()
    command = kubectl.command(MANAGER, "sluicegate", "promote", "pricing", "-n", SHOP)
    with subprocess.Popen(
        command, env=kubectl.environment, stdin=terminal, stderr=subprocess.PIPE, text=True
    ) as asking:
        os.close(terminal)
        read = ""
        while "[y/N]" not in read:
            read += asking.stderr.readline()
        status(candidate=TRIAL | {"version": "v3", "revision": "bbbbbbbbbb"})
        os.write(screen, b"y\n")
        read += asking.stderr.read()
    os.close(screen)
    assert asking.returncode == 1
    assert "has changed since it was shown: v2 aaaaaaaaaa then, v3 bbbbbbbbbb now" in read
    assert written(control_plane) == before


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, ["status", "pricing", "--for=promoted", "--version=v1"]),
        (1, ["status", "pricing", "--for=promoted", "--version=v0"]),
        (2, ["status", "nothing", "--for=promoted"]),
        (3, ["status", "pricing", "--for=promoted", "--timeout=1s"]),
    ],
)
def test_the_plugin_returns_each_documented_exit_code(kubectl, status, code, words):
    done = kubectl.plugin(MANAGER, *words, "-n", SHOP)
    assert done.returncode == code, done.stderr


@pytest.mark.bar
def test_the_plugin_starts_about_as_fast_as_kubectl(kubectl, status):
    def fastest(*words):
        return min(_seconds(lambda: kubectl(MANAGER, *words)) for _ in range(5))

    own = fastest("get", "dataproducts", "-n", SHOP)
    plugin = fastest("sluicegate", "get", "-n", SHOP)
    took(plugin, 0.5 * own + 0.3, f"kubectl sluicegate get, beside {own:.2f} s of kubectl get")


def _seconds(run):
    began = time.monotonic()
    assert run().returncode == 0
    return time.monotonic() - began
