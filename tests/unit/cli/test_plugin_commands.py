"""The commands of the plugin over real HTTP: what they read, write and wait for, and their exit codes."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import sluicegate.cli
from sluicegate.__main__ import ROOMS, complete, main
from sluicegate.api import names
from sluicegate.cli.inputs.operator_settings import operator_settings
from sluicegate.kube.leases import render_time
from sluicegate.kube.resources import (
    DATA_PRODUCT_REVIEWS,
    DATA_PRODUCTS,
    DEPLOYMENTS,
    EVENTS,
    JOBS,
    LEASES,
    PODS,
    Key,
)
from tests.support.apiserver.api_stand_in import ApiStandIn, failure
from tests.support.apiserver.command_line import CommandLine
from tests.support.samples.product_examples import full_status
from tests.support.waiting import eventually

KEY = Key("catalog", "pricing")
PATH = DATA_PRODUCTS.path(*KEY)
SCHEMA = json.loads(
    (Path(sluicegate.cli.__file__).parent / "schemas" / "output.json").read_text(encoding="utf-8")
)
VERSION = {"image": "r.example/a@sha256:" + "c" * 64, "runtimeImage": "r", "source": "Spec"}
TRIAL = VERSION | {"version": "v2", "revision": "aaaaaaaaaa", "phase": "AwaitingApproval", "weight": 50}  # fmt: skip
REPLACED = TRIAL | {"version": "v3", "revision": "bbbbbbbbbb"}
RENEWED = TRIAL | {"revision": "cccccccccc"}
"""The same bento under the same name, in another runtime."""


@pytest.fixture
async def run(tmp_path):
    async with ApiStandIn() as server:
        yield CommandLine(server, tmp_path)


def written(server):
    return [one.body["metadata"]["annotations"] for one in server.sent if one.method == "PATCH"]


async def answer(run, **status):
    """Be the operator: handle the request that comes, with this status."""
    (found,) = await asyncio.to_thread(eventually, lambda: written(run.server), every=0.01)
    ((annotation, value),) = found.items()
    echo = {
        names.REQUEST_PROMOTE: "promote", names.REQUEST_ABORT: "abort",
        names.REQUEST_ROLLBACK: "rollbackTo", names.REQUEST_RETRAIN: "retrainRequestedAt",
    }[annotation]  # fmt: skip
    live = run.server.objects[PATH]
    run.server.keep(
        DATA_PRODUCTS,
        {**live, "status": live["status"] | status | {"lastHandled": {echo: value}}},
    )
    return value


@pytest.mark.parametrize(
    ("words", "annotation", "begins"),
    [
        (["promote", "pricing"], names.REQUEST_PROMOTE, "v2/"),
        (["promote", "pricing", "v2"], names.REQUEST_PROMOTE, "v2/"),
        (["abort", "catalog/pricing"], names.REQUEST_ABORT, "v2/"),
        (["rollback", "pricing", "v0"], names.REQUEST_ROLLBACK, "v0/"),
        (["retrain", "dataproduct.sluicegate.dev/pricing"], names.REQUEST_RETRAIN, "20"),
    ],
)
async def test_a_plugin_action_sends_the_version_and_waits_for_the_outcome(
    run, words, annotation, begins
):
    past = VERSION | {"version": "v0", "revision": "dddddddddd", "outcome": "Replaced", "promotionTime": "2026-01-01T00:00:00Z"}  # fmt: skip
    run.keep(candidate=TRIAL, history=[past])
    decision = {"type": "Promote", "reason": "CanaryNotWorse", "message": "not worse: 92 of 100"}
    ran, value = await asyncio.gather(run(*words, "--yes"), answer(run, decision=decision))
    assert ran.code == 0, ran.err
    assert "Promote (CanaryNotWorse): not worse: 92 of 100" in ran.out
    assert written(run.server) == [{annotation: value}]
    assert value.startswith(begins)
    assert value.endswith("Z")


async def test_approve_prompts_with_the_evidence_of_the_candidate(run, monkeypatch):
    run.keep(candidate=TRIAL | {"evidence": [{
        "slo": "accuracy", "promote": "3.4", "promoteAt": "3.0", "rollBack": "-1", "rollBackAt": "4",
        "candidateBad": 3, "candidateTotal": 40, "stableBad": 90, "stableTotal": 900,
    }]})  # fmt: skip
    monkeypatch.setattr(sys, "stdin", Asked(lambda: "n"))
    ran = await run("promote", "pricing")
    assert (ran.code, written(run.server)) == (1, [])
    assert "promote v2 in place of v1" in ran.err
    assert "evidence in favour 3.4 of 3.0" in ran.err
    assert "92.5 % (n=40) of the candidate" in ran.err


class Asked(io.StringIO):
    """A terminal whose user does something, and then answers."""

    def __init__(self, answer):
        super().__init__()
        self._answer = answer

    def isatty(self):
        return True

    def readline(self, *_):
        return f"{self._answer()}\n"


@pytest.mark.parametrize("now", [REPLACED, RENEWED, None])
async def test_approve_writes_nothing_if_the_candidate_was_replaced_during_the_prompt(
    run, monkeypatch, now
):
    run.keep(candidate=TRIAL)
    loop = asyncio.get_running_loop()

    def replace():
        async def keep():
            run.keep(candidate=now)

        asyncio.run_coroutine_threadsafe(keep(), loop).result(10)
        return "y"

    monkeypatch.setattr(sys, "stdin", Asked(replace))
    ran = await run("promote", "pricing")
    assert (ran.code, written(run.server)) == (1, [])
    assert "has changed since it was shown: v2 aaaaaaaaaa then" in ran.err


async def test_approve_of_a_version_other_than_the_candidate_writes_nothing(run):
    run.keep(candidate=REPLACED)
    ran = await run("promote", "pricing", "v2", "--yes")
    assert (ran.code, written(run.server)) == (1, [])
    assert "v2 is not the candidate of catalog/pricing, v3 is" in ran.err


async def test_a_conflicting_plugin_write_is_retried_while_the_candidate_is_the_same(
    run,
):
    run.keep(candidate=TRIAL)
    refuse = run.server._is_stale
    moved = []

    def stale(sent, live):
        if sent.method == "PATCH" and len(moved) < 2:
            moved.append(run.server.move(DATA_PRODUCTS, KEY))
            return True
        return refuse(sent, live)

    run.server._is_stale = stale
    ran = await run("promote", "pricing", "--yes", "--no-wait")
    assert ran.code == 0, ran.err
    assert names.REQUEST_PROMOTE in run.server.objects[PATH]["metadata"]["annotations"]


async def test_a_request_refused_by_the_operator_is_a_failed_command(run):
    run.keep(candidate=TRIAL)
    decision = {"type": "Alert", "reason": "NotFound", "message": "there is no such candidate"}
    ran, _ = await asyncio.gather(run("abort", "pricing", "-y"), answer(run, decision=decision))
    assert ran.code == 1
    assert "there is no such candidate" in ran.out


async def test_approve_before_the_last_step_returns_without_waiting(run):
    run.keep(candidate=TRIAL | {"phase": "Stepping", "weight": 5})
    ran = await run("promote", "pricing", "-y")
    assert ran.code == 0
    assert "it counts at the last step, and v2 is at 5 %" in ran.out


async def test_an_action_without_a_target_exits_with_2(run):
    run.keep(candidate=None, specModel={"version": "v1", "outcome": "Promoted"}, stable=VERSION | {"version": "v8", "revision": "x"})  # fmt: skip
    document = run.server.objects[PATH]
    document["spec"]["model"]["bento"]["version"] = "v8"
    for words in (["promote"], ["abort"], ["rollback", "v77"]):
        ran = await run(words[0], "pricing", *words[1:], "--yes")
        assert (ran.code, written(run.server)) == (2, []), ran


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["promote", "pricing", "--yes", "--timeout", "1s"], 3, "timed out: waits for the operator"),
        (["promote", "pricing", "--yes", "--timeout", "soon"], 2, 'is "soon": write seconds'),
        (["promote", "pricing"], 2, "add --yes"),
        (["promote", "nothing", "--yes"], 2, "there is no DataProduct nothing"),
        (["promote", "a/b/c", "--yes"], 2, "write NAME or NAMESPACE/NAME"),
        (["get", "-o", "xml"], 2, "invalid choice"),
        (["status", "pricing", "--for=promoted", "--timeout=1s"], 3, "v2: AwaitingApproval at 50 %"),
        (["status", "pricing", "--for=promoted", "--version=v1"], 0, "v1 is stable"),
        (["status", "pricing", "--for=promoted", "--version=v0"], 1, "v0 is Replaced"),
        (["status", "pricing", "--for=healthy", "--timeout=1s"], 3, "Degraded, Ready=True"),
        (["status", "pricing", "--version=v1"], 2, "add --for=promoted"),
        (["status", "pricing", "--for=reviewed"], 0, "each sealed review is signed"),
    ],
)  # fmt: skip
async def test_the_plugin_has_the_documented_exit_codes(run, words, code, said):
    run.keep(candidate=TRIAL)
    run.server.keep(DATA_PRODUCT_REVIEWS, review("pricing-2026-01", "Reviewed"))
    ran = await run(*words)
    assert ran.code == code, ran
    assert said in ran.out + ran.err


LEASE = {"metadata": {"namespace": "platform", "name": "sluicegate"}}


@pytest.mark.parametrize("words", [["get"], ["get", "-A", "--needs-action"], ["status", "pricing"]])
async def test_a_command_that_shows_products_warns_of_an_operator_without_a_renewed_lease(
    run, words
):
    run.keep()
    run.server.keep(LEASES, LEASE | {"spec": {"renewTime": "2026-01-01T00:00:00.000000Z"}})
    assert (
        "Warning: the operator platform/sluicegate has not renewed its Lease since"
        " 2026-01-01 00:00:00 UTC: what is shown is as of then" in (await run(*words)).err
    )
    run.server.keep(LEASES, LEASE | {"spec": {"renewTime": render_time(datetime.now(UTC))}})
    assert "Lease" not in (await run(*words)).err
    run.server.refused.add(LEASES.path("platform", "sluicegate"))
    assert "Lease" not in (await run(*words)).err


async def test_a_request_that_times_out_names_an_operator_without_a_renewed_lease(run):
    run.keep(candidate=TRIAL)
    words = ("promote", "pricing", "--yes", "--timeout", "0")
    run.server.keep(LEASES, LEASE | {"spec": {"renewTime": "2026-01-01T00:00:00.000000Z"}})
    ran = await run(*words)
    assert ran.code == 3
    assert "the operator platform/sluicegate has not renewed its Lease since 2026" in ran.out
    run.server.refused.add(LEASES.path("platform", "sluicegate"))
    assert "the verb get on the Lease platform/sluicegate is needed" in (await run(*words)).out
    run.keep(candidate=TRIAL, writtenBy=None)
    assert "no operator has written its status yet" in (await run(*words)).out


def review(name, state):
    return {
        "metadata": {"namespace": "catalog", "name": name, "labels": {names.LABEL_PRODUCT: "pricing"}},
        "status": {"state": state, "decisions": [
            {"decisionTime": "2026-01-02T00:00:00Z", "type": "Promote", "reason": "CanaryNotWorse",
             "message": "95 of 1000", "version": "v0"},
        ]},
    }  # fmt: skip


async def test_the_wait_command_ends_with_the_awaited_change(run):
    run.keep(candidate=TRIAL)
    run.server.keep(DATA_PRODUCT_REVIEWS, review("pricing-2026-01", "ToReview"))

    async def change():
        watched = DATA_PRODUCTS.path("catalog")
        await asyncio.to_thread(
            eventually, lambda: any(one.path == watched for one in run.server.sent), every=0.01
        )
        run.keep(candidate=None, stable=VERSION | {"version": "v2", "revision": "x"})

    ran, _ = await asyncio.gather(run("status", "pricing", "--for=promoted"), change())
    assert ran.code == 0
    assert "v2 is stable" in ran.out
    ran = await run("status", "pricing", "--for=reviewed", "--timeout=0")
    assert ran.code == 3
    assert "needs signatures: pricing-2026-01 (ToReview)" in ran.out


async def test_a_stalled_product_ends_the_wait_for_a_healthy_state(run):
    stalled = {
        "type": "Stalled",
        "status": "True",
        "reason": "InvalidSpec",
        "message": "spec.owner",
    }
    run.keep(conditions=[stalled], candidate=None)
    ran = await run("status", "pricing", "--for=healthy")
    assert (ran.code, "Stalled (InvalidSpec): spec.owner" in ran.out) == (1, True)


async def test_a_forbidden_action_names_the_verb_and_the_permitted_roles(run):
    run.keep(candidate=TRIAL)
    run.server.refused = {DATA_PRODUCTS.path("")}
    ran = await run("get", "-A")
    assert ran.code == 1
    assert "the verb list on dataproducts.sluicegate.dev in all namespaces is needed" in ran.err
    assert "-n NAMESPACE" in ran.err
    run.server._refusal = lambda method, _: None if method == "GET" else failure(403, "Forbidden")
    ran = await run("promote", "pricing", "--yes")
    assert ran.code == 1
    assert "the verb patch on dataproducts.sluicegate.dev in the namespace catalog" in ran.err
    assert "who may promote: its managers in spec.team (acb)" in ran.err


async def test_the_tree_command_shows_only_kinds_that_the_user_may_list(run):
    run.keep(candidate=TRIAL)
    labels = {names.LABEL_PRODUCT: "pricing", names.LABEL_REVISION: "aaaaaaaaaa"}
    pod = {
        "metadata": {"namespace": "catalog", "name": "pricing-x", "labels": labels},
        "status": {"phase": "Pending", "containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff"}}}]},
    }  # fmt: skip
    failed = {"conditions": [{"type": "Failed", "status": "True"}]}
    jobs = {"pricing-train-1": failed, "pricing-train-2": {"active": 1}, "pricing-train-3": {}}
    for name, status in jobs.items():
        of_product = {names.LABEL_PRODUCT: "pricing"}
        meta = {"namespace": "catalog", "name": name, "labels": of_product}
        run.server.keep(JOBS, {"metadata": meta, "status": status})
    run.server.keep(PODS, pod)
    run.server.keep(DATA_PRODUCT_REVIEWS, review("pricing-2026-01", "Overdue"))
    run.server.refused = {"/api/v1/namespaces/catalog/services"}
    ran = await run("tree", "pricing")
    assert ran.out.splitlines() == [
        "✖ DataProduct/pricing  Degraded",
        "├─✔ Version/v1  stable, 50 % of the traffic",
        "├─◌ Version/v2  AwaitingApproval, 50 % of the traffic",
        "│ └─✖ Pod/pricing-x  Pending, ImagePullBackOff",
        "├─✖ Job/pricing-train-1  failed",
        "├─◌ Job/pricing-train-2  running",
        "├─◌ Job/pricing-train-3  not running",
        "├─✖ DataProductReview/pricing-2026-01  Overdue",
        "├─✔ DataProduct/pricing/pricing  dependency, Healthy",
        "└─  Service/(services)  not shown: you may not list services",
    ]


async def test_suspend_prints_the_change_for_git_and_applies_it_to_the_live_object(run):
    run.keep(candidate=TRIAL)
    run.server.objects[PATH]["metadata"]["labels"] = {"kustomize.toolkit.fluxcd.io/name": "shop"}
    ran = await run("suspend", "pricing")
    assert ran.code == 0
    assert ran.out.endswith("spec:\n  suspend: true\n")
    assert "is applied by the Flux Kustomization shop" in ran.out
    assert written_specs(run.server) == []
    ran = await run("suspend", "pricing", "--live", "--yes")
    assert ran.code == 0, ran.err
    assert written_specs(run.server) == [{"suspend": True}]
    assert "which may revert the change" in ran.err


async def test_suspend_live_prompts_first_and_writes_the_reason_beside_the_user(run, monkeypatch):
    run.keep(candidate=TRIAL)
    monkeypatch.setattr(sys, "stdin", Asked(lambda: "n"))
    ran = await run("suspend", "pricing", "--live", "--reason", "a price war")
    assert (ran.code, written_specs(run.server)) == (1, [])
    assert "No rollout and no retraining begins" in ran.err
    monkeypatch.setattr(sys, "stdin", Asked(lambda: "y"))
    ran = await run("suspend", "pricing", "--live", "--reason", "a price war")
    assert ran.code == 0, ran.err
    (annotations,) = written(run.server)
    value, _, reason = annotations[names.REQUEST_NOTE].split("\n")
    assert value.startswith("suspend/")
    assert reason == "a price war"
    assert "suspended by" in (await run("status", "pricing")).out


def written_specs(server):
    return [one.body["spec"] for one in server.sent if one.method == "PATCH"]


@pytest.mark.parametrize(
    "words",
    [
        ["status", "pricing"], ["history", "pricing"], ["history", "pricing", "--decisions"],
        ["history", "pricing", "--iterations"],
        ["tree", "pricing"], ["promote", "pricing", "--yes", "--no-wait"], ["resume", "pricing"],
        ["suspend", "pricing", "--live", "--yes"], ["graph"],
    ],
)  # fmt: skip
async def test_json_output_conforms_to_its_schema_and_yaml_is_equal(run, words):
    run.keep(candidate=TRIAL)
    run.server.keep(DATA_PRODUCT_REVIEWS, review("pricing-2026-01", "Reviewed"))
    ran = await run(*words, "-o", "json")
    assert ran.code == 0, ran.err
    jsonschema.validate(ran.document, SCHEMA)
    assert (await run(*words, "-o", "yaml")).out.startswith("apiVersion: cli.sluicegate.dev/v1alpha1\nkind:")  # fmt: skip


@pytest.mark.parametrize("command", ["status", "tree", "explain", "graph", "get"])
async def test_each_reading_command_supports_name_and_wide_output(run, command, monkeypatch):
    run.keep(candidate=TRIAL)["spec"]["dependsOn"] = []
    monkeypatch.setenv("KUBECONFIG", str(run.kubeconfig))
    assert (
        await run(command, "pricing", "-o", "name")
    ).out == "dataproduct.sluicegate.dev/pricing\n"
    wide = await run(command, "pricing", "-o", "wide")
    assert (wide.code, "pricing" in wide.out) == (0, True)


async def test_explain_without_prometheus_reports_the_missing_newest_blocks(run, monkeypatch):
    run.keep()
    monkeypatch.setenv("KUBECONFIG", str(run.kubeconfig))
    monkeypatch.delenv("SLUICEGATE_PROMETHEUS_URL", raising=False)
    last = " ".join((await run("explain", "pricing")).out.split()).rpartition("now:")[2]
    assert "set SLUICEGATE_PROMETHEUS_URL" in last


def operator(**variables: str) -> dict[str, Any]:
    """The operator's Deployment, as the chart makes it."""
    env = [{"name": name, "value": value} for name, value in variables.items()]
    labels = {"app.kubernetes.io/name": "sluicegate", "app.kubernetes.io/component": "operator"}
    return {
        "metadata": {"namespace": "sluicegate", "name": "sluicegate", "labels": labels},
        "spec": {"template": {"spec": {"containers": [{"name": "operator", "env": env}]}}},
    }


async def test_explain_uses_the_operator_settings_and_shell_variables_override_them(
    run, monkeypatch
):
    run.keep()
    monkeypatch.setenv("KUBECONFIG", str(run.kubeconfig))
    monkeypatch.setenv("SLUICEGATE_PROMETHEUS_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("SLUICEGATE_SETTLE_SECONDS", "5")
    variables = {"SLUICEGATE_HOUR_SECONDS": "60", "SLUICEGATE_SETTLE_SECONDS": "7"}
    run.server.keep(DEPLOYMENTS, operator(**variables, SLUICEGATE_PROMETHEUS_URL="http://inside"))
    found = await operator_settings(os.environ, "sluicegate")
    assert (found.settings.hour_seconds, found.settings.settle_seconds) == (60, 5)
    assert found.settings.prometheus_url == "http://127.0.0.1:9"
    assert found.source == (
        "settings of the operator's Deployment sluicegate/sluicegate; SLUICEGATE_SETTLE_SECONDS of"
        " this shell"
    )


async def test_explain_uses_shell_settings_if_no_operator_deployment_is_found(run, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(run.kubeconfig))
    found = await operator_settings({"SLUICEGATE_HOUR_SECONDS": "60"})
    assert found.settings.hour_seconds == 60
    assert "as no Deployment has the labels app.kubernetes.io/name=sluicegate" in found.source


async def test_explain_accepts_namespace_kubeconfig_and_user_like_kubectl(run, monkeypatch):
    run.keep()
    monkeypatch.delenv("KUBECONFIG", raising=False)
    given = [
        "-n",
        "catalog",
        "--kubeconfig",
        str(run.kubeconfig),
        "--as",
        "anna",
        "--as-group",
        "ops",
    ]
    ran = await run("explain", "pricing", *given)
    assert (ran.code, "pricing" in ran.out or "v1" in ran.out) == (0, True)
    assert run.server.sent[-1].user == "anna"
    elsewhere = await run("explain", "pricing", "-n", "other", *given[2:])
    assert "/namespaces/other/" in run.server.sent[-1].path
    assert elsewhere.code == 1


CLUSTER = [
    ["explain"], ["record"], ["report"], ["dossier"], ["export", "--format", "openslo"], ["review", "sign"], ["review", "calendar"],
    ["archive"], ["doctor"], ["writeback"], ["web"], *([one] for one in ROOMS["kubectl"] if one != "completion"),
]  # fmt: skip


@pytest.mark.parametrize("words", CLUSTER, ids=" ".join)
def test_each_command_that_reads_a_cluster_accepts_the_options_of_kubectl(words, capsys):
    with pytest.raises(SystemExit):
        main([*words, "--help"])
    said = capsys.readouterr().out
    assert all(option in said for option in ("-n", "--context", "--kubeconfig", "--as "))


async def test_export_reads_the_product_from_the_cluster(run, monkeypatch):
    run.keep()
    monkeypatch.setenv("KUBECONFIG", str(run.kubeconfig))
    ran = await run("export", "pricing", "--format", "odps", "-o", "json")
    assert (ran.code, ran.document["kind"]) == (0, "DataProduct")
    assert ran.document["id"].endswith("/pricing")


async def test_the_json_of_explain_conforms_to_its_schema(run, monkeypatch):
    run.keep(candidate=TRIAL)
    monkeypatch.setenv("KUBECONFIG", str(run.kubeconfig))
    ran = await run("explain", "pricing", "-o", "json")
    jsonschema.validate(ran.document, SCHEMA)
    assert "engine" not in ran.document["status"]


async def test_needs_are_listed_by_urgency(run):
    due = {"type": "ReviewDue", "status": "True", "reason": "Overdue", "message": "sign it", "observedGeneration": 3, "lastTransitionTime": "2026-01-01T09:00:00Z"}  # fmt: skip
    run.keep(
        "ranking",
        candidate=None,
        state="Healthy",
        retraining=None,
        conditions=[due],
        pendingRequests=[],
        slos=[],
    )
    waiting = full_status()["candidate"] | TRIAL
    del waiting["hold"], waiting["approvals"]
    run.keep(candidate=waiting, retraining=None, pendingRequests=[])
    lines = (await run("get", "-A", "--needs-action")).out.splitlines()
    assert [line.split()[1] for line in lines[1:]] == ["pricing", "ranking"]
    assert "Waits for approval" in lines[1]
    assert "kubectl sluicegate promote catalog/pricing" in lines[1]
    assert "Review overdue" in lines[2]
    found = (await run("get", "-A", "--needs-action", "-o", "name")).out.splitlines()
    assert found == ["dataproduct.sluicegate.dev/pricing", "dataproduct.sluicegate.dev/ranking"]


async def test_the_graph_command_shows_dependencies_with_their_states(run):
    document = run.keep()
    document["spec"]["dependsOn"] = [{"name": "price"}]
    run.keep("price", state="Degraded")["spec"]["dependsOn"] = []
    run.keep("alone", state="Healthy")["spec"]["dependsOn"] = []
    mermaid = (await run("graph")).out.splitlines()
    assert mermaid[0] == "flowchart LR"
    assert '  p2["catalog/pricing<br/>Degraded, affected"]' in mermaid
    assert "  p2 --> p1" in mermaid
    dot = (await run("graph", "price", "--format", "dot")).out
    assert '"catalog/pricing" -> "catalog/price";' in dot
    assert "alone" not in dot
    run.server.refused = {DATA_PRODUCTS.path("")}
    ran = await run("graph", "price")
    assert (ran.code, "Only products of the namespace catalog are shown" in ran.err) == (0, True)
    ran = await run("graph", "nothing")
    assert (ran.code, "is not among the 3 products" in ran.err) == (2, True)


async def test_commands_options_values_and_products_are_completed(run, monkeypatch, capsys):
    run.keep()
    monkeypatch.setenv("KUBECONFIG", str(run.kubeconfig))
    for words, expected in (
        (["pro"], ["promote\tapprove a candidate, with its evidence"]),
        (
            ["get", "--needs-m"],
            [
                "--needs-me\tthe same, of products whose team lists you, or that wait for the answer of one of these"
            ],
        ),
        (["status", "--for", "heal"], ["healthy"]),
        (["promote", "-n", "catalog", "pri"], ["pricing"]),
        (["promote", "-n", "empty", "pri"], []),
    ):
        monkeypatch.setattr(sys, "argv", ["kubectl_complete-sluicegate", *words])
        assert await asyncio.to_thread(complete) == 0
        assert capsys.readouterr().out.splitlines() == [*expected, ":4"], words
    for shell in ("bash", "zsh", "fish"):
        assert "kubectl_complete-sluicegate" in (await asyncio.to_thread(printed, shell, capsys))


def printed(shell, capsys):
    assert main(["completion", shell]) == 0
    return capsys.readouterr().out


async def test_get_prints_objects_as_kubectl_does(run):
    run.keep()
    run.keep("ranking")
    found = (await run("get", "-o", "json")).document
    assert (found["kind"], [item["metadata"]["name"] for item in found["items"]]) == ("List", ["pricing", "ranking"])  # fmt: skip
    assert (await run("get", "pricing", "-o", "json")).document["kind"] == names.KIND
    assert (await run("get", "-o", "name")).out.splitlines()[0] == "dataproduct.sluicegate.dev/pricing"  # fmt: skip
    assert (await run("get", "-n", "empty")).out == ""


async def test_the_iteration_log_combines_reviews_and_status_as_csv(run):
    stated = {"hypothesis": "=margins raise conversion", "author": "ana", "gitRevision": "0a1b2c3"}
    verdict = {"type": "Promote", "reason": "CanaryNotWorse", "slos": [
        {"name": "conversion", "candidate": {"bad": 900, "total": 1000}, "stable": {"bad": 950, "total": 1000}},
    ]}  # fmt: skip
    run.keep(candidate=None, history=None, retraining=None, stable=VERSION | {
        "version": "v3", "promotionTime": "2026-03-01T00:00:00Z", "iteration": stated, "verdict": verdict,
    })  # fmt: skip
    candidate = {
        "version": "v2", "digest": "sha256:aa", "source": "Retraining", "cause": "ModelDecay",
        "causeSlo": "accuracy", "outcome": "RolledBack", "endTime": "2026-02-01T00:00:00Z",
    }  # fmt: skip
    run.server.keep(DATA_PRODUCT_REVIEWS, {
        "metadata": {"namespace": "catalog", "name": "pricing-2026-02", "labels": {names.LABEL_PRODUCT: "pricing"}},
        "spec": {"productRef": {"name": "pricing"}}, "status": {"candidates": [candidate]},
    })  # fmt: skip

    shown = (await run("history", "pricing", "--iterations")).out
    assert shown.index("v3") < shown.index("v2")
    assert "=margins raise conversion (by ana, revision 0a1b2c3, pushed)" in shown
    assert "conversion +5.0 [2.7, 7.3]" in shown
    assert "retrained: model decay of accuracy" in shown
    rows = list(
        csv.DictReader(
            io.StringIO((await run("history", "pricing", "--iterations", "-o", "csv")).out)
        )
    )
    assert [row["version"] for row in rows] == ["v3", "v2"]
    assert rows[0]["hypothesis"] == "'=margins raise conversion"
    assert float(rows[0]["gain"]) == pytest.approx(0.05)
    document = json.loads((await run("history", "pricing", "--iterations", "-o", "json")).out)
    jsonschema.validate(document, SCHEMA)
    assert document["iterations"][1]["origin"] == "retrained: model decay of accuracy"
    refused = await run("history", "pricing", "-o", "csv")
    assert (refused.code, "csv is for --iterations" in refused.err) == (2, True)


async def test_the_history_command_lists_each_version_with_its_outcome(run):
    run.keep(candidate=TRIAL)
    lines = (await run("history", "pricing")).out.splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [
        ["v2", "AwaitingApproval"], ["v1", "Stable"], ["v0", "Replaced"],
    ]  # fmt: skip
    run.server.keep(DATA_PRODUCT_REVIEWS, review("pricing-2026-01", "Reviewed"))
    lines = (await run("history", "pricing", "--decisions")).out.splitlines()
    assert [line.split()[1] for line in lines[1:]] == ["Promote", "Retrain"]


async def test_watch_appends_a_line_for_each_change_until_the_candidate_is_promoted(run):
    run.keep(candidate=TRIAL)

    async def operate():
        await asyncio.sleep(0)
        run.server.keep(EVENTS, {
            "metadata": {"namespace": "catalog", "name": "pricing.1", "uid": "e1"}, "reason": "Promoted",
            "note": "v2 serves all traffic", "eventTime": datetime.now(UTC).isoformat(),
            "regarding": {"kind": "DataProduct", "name": "pricing"},
        })  # fmt: skip
        run.keep(candidate=TRIAL | {"phase": "Stepping", "weight": 75})
        await asyncio.to_thread(eventually, lambda: watches(run.server) >= 2, every=0.01)
        run.keep(
            candidate=None,
            stable=VERSION | {"version": "v2", "promotionTime": "2026-03-01T00:00:00Z"},
        )

    ran, _ = await asyncio.gather(run("watch", "pricing", "--until", "promoted"), operate())
    assert ran.code == 0, ran.err
    assert "v2 is stable" in ran.err
    lines = [line.partition(" ")[2] for line in ran.out.splitlines()]
    assert lines[0].startswith("Degraded, stable v1")
    assert "Degraded, stable v2" in lines
    assert len([line for line in lines if line.startswith("SLO accuracy: ")]) == 1, (
        "it didn't change"
    )


@pytest.mark.parametrize(
    ("words", "again"),
    [
        (["watch", "pricing"], False),
        (["watch", "pricing", "--until", "idle"], True),
        (["status", "pricing", "--for", "promoted", "--timeout", "1m"], False),
    ],
)  # fmt: skip
async def test_a_product_that_is_deleted_while_its_watch_is_interrupted_ends_the_command(
    run, words, again
):
    run.keep(candidate=TRIAL)

    async def operate():
        await asyncio.to_thread(eventually, lambda: watches(run.server) >= 1, every=0.01)
        run.server.go_away()
        await asked(run.server)
        del run.server.objects[PATH]
        if again:
            run.keep(candidate=TRIAL)
        run.server.answer_again()

    ran, _ = await asyncio.gather(run(*words), operate())
    assert ran.code == 1
    assert "catalog/pricing was deleted" in ran.out + ran.err


async def test_the_watch_command_reports_the_begin_and_end_of_an_api_server_outage(run):
    run.keep(candidate=TRIAL)

    async def operate():
        await asyncio.to_thread(eventually, lambda: watches(run.server) >= 1, every=0.01)
        run.server.go_away()
        await asked(run.server, times=2)
        run.server.answer_again()
        run.keep(
            candidate=None,
            stable=VERSION | {"version": "v2", "promotionTime": "2026-03-01T00:00:00Z"},
        )

    ran, _ = await asyncio.gather(run("watch", "pricing", "--until", "promoted"), operate())
    assert ran.code == 0, ran.err
    lines = [line for line in ran.err.splitlines() if "API server" in line]
    assert len(lines) == 2, lines
    assert re.match(r"The API server can't be reached since \d\d:\d\d:\d\d UTC", lines[0])
    assert "503" in lines[0]
    assert re.match(r"The API server is reached again, after [\d.]+ s from \d\d:", lines[1])


async def test_the_watch_command_names_the_missing_verb_and_the_roles_that_grant_it(run):
    run.keep(candidate=TRIAL)
    run.server.refused.add(DATA_PRODUCTS.path("catalog"))
    ran = await run("watch", "pricing")
    assert ran.code == 1
    assert (
        "the verb watch on dataproducts.sluicegate.dev in the namespace catalog is needed"
        in ran.err
    )
    assert "403" not in ran.err


async def asked(server, *, times=1):
    """Wait until the product was requested so often since the call."""
    before = len(server.sent)
    products = (PATH, DATA_PRODUCTS.path("catalog"))
    await asyncio.to_thread(
        eventually,
        lambda: sum(one.path in products for one in server.sent[before:]) >= times,
        every=0.01,
    )


def watches(server):
    return sum("watch=true" in one.query for one in server.sent)


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        ({"candidate": None, "retraining": None, "pendingRequests": None, "conditions": None}, 0, "idle: Degraded, stable v1"),
        ({"candidate": TRIAL}, 3, "timed out: candidate v2: AwaitingApproval at 50 %"),
        ({"candidate": None, "pendingRequests": None}, 3, "timed out: a training is under way"),
        ({"candidate": None, "retraining": None}, 3, "timed out: a request waits"),
        ({"observedGeneration": 2}, 3, "timed out: the operator has not reconciled this spec yet"),
    ],
)  # fmt: skip
async def test_watch_until_idle_waits_for_rollouts_and_trainings(run, status, code, said):
    run.keep(**status)
    ran = await run("watch", "pricing", "--until", "idle", "--timeout", "1s")
    assert ran.code == code
    assert said in ran.err


async def test_watch_without_a_goal_ends_at_its_timeout_with_0_and_prints_objects_as_json(run):
    run.keep(candidate=TRIAL)
    ran = await run("watch", "pricing", "--timeout", "1s", "-o", "json")
    assert ran.code == 0, ran.err
    (line,) = ran.out.splitlines()
    assert json.loads(line)["status"]["candidate"]["version"] == "v2"


def test_no_command_of_the_plugin_imports_a_client_or_the_types():
    """Each takes longer to import than kubectl takes altogether."""
    heavy = ["pydantic", "aiohttp", "kubernetes", "requests", "prometheus_client", "kopf", "numpy", "pandas", "bentoml", "matplotlib", "asyncio"]  # fmt: skip
    code = (
        "import sys; from sluicegate.__main__ import main\n"
        "codes = {main([one, 'x', '--kubeconfig', '/nowhere']) for one in sys.argv[1:]}\n"
        f"print(codes, sorted(set(sys.modules) & set({heavy!r})))"
    )
    commands = ("get", "tree", "history", "status", "watch", "promote", "abort", "rollback", "retrain", "suspend", "resume")  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", code, *commands], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "{2} []", (done.stdout, done.stderr)


async def test_the_status_names_a_pause_of_trainings_with_its_end(run, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(run.kubeconfig))
    pause = "the training for accuracy waits until 2026-01-03T09:00:00Z, or until a person corrects spec.retraining"
    rest = {"observedGeneration": 3, "lastTransitionTime": "2026-01-01T09:00:00Z"}
    idle = {"type": "RetrainingActive", "status": "False", "reason": "Idle", "message": "promoted"}
    for reason, text in (
        ("CoolingDown", pause),
        ("JobPending", "0/3 nodes are available"),
        ("JobRefused", "exceeded quota"),
        ("NoRemedyFound", "3 attempts made a version that isn't shown to be a remedy"),
        ("ChallengersFail", "3 challengers in a row failed"),
        ("RetrainSuspended", "attempts are suspended until a person corrects spec.retraining"),
        ("WaitingToRetry", "the next Job is created at 2026-01-03T09:00:00Z"),
    ):
        run.keep(conditions=[idle | {"reason": reason, "message": text} | rest])
        for command in ("status", "explain"):
            lines = " ".join((await run(command, "pricing")).out.split())
            assert f"RetrainingActive=False {reason}" in lines
            assert text in lines
    run.keep(conditions=[idle | rest])
    assert "RetrainingActive" not in (await run("status", "pricing")).out
