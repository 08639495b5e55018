"""`sluicegate plan --changes`: what it reads of the cluster, how it prints, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import jsonschema
import pytest
import yaml

import sluicegate.cli
from sluicegate.__main__ import main
from sluicegate.cli.printing.junit import JunitCase, as_junit
from sluicegate.kube.resources import DATA_PRODUCTS, HTTP_ROUTES
from tests.support.apiserver.api_stand_in import ApiStandIn
from tests.support.apiserver.command_line import CommandLine
from tests.support.samples.product_examples import changed, example, full_status

SCHEMA = json.loads(
    (Path(sluicegate.cli.__file__).parent / "schemas/output.json").read_text(encoding="utf-8")
)


@pytest.fixture
async def run(tmp_path):
    async with ApiStandIn() as server:
        yield CommandLine(server, tmp_path)


def write(path, *documents):
    path.write_text(yaml.safe_dump_all(documents), encoding="utf-8")
    return str(path)


def files(tmp_path):
    """A product that doesn't exist yet, and one with a mistake."""
    wrong = changed({"metadata.name": "wrong", "spec.rollout.steps": [50, 5]})
    return write(tmp_path / "products.yaml", example(), wrong)


async def test_plan_reports_the_first_version_of_a_new_product_and_refuses_an_invalid_one(
    run, tmp_path
):
    ran = await run("plan", files(tmp_path), "--changes", "-o", "json")
    jsonschema.validate(ran.document, SCHEMA)
    assert ran.code == 1
    first, second = ran.document["changes"]
    assert (first["change"], second["change"]) == ("FirstVersion", "Refused")
    assert first["effects"][0].endswith("receives all of the traffic once its pods are ready")
    assert second["problems"][0]["path"] == "spec.rollout.steps"


async def test_the_junit_report_of_plan_has_a_test_per_product_and_a_failure_per_refused_one(
    run, tmp_path
):
    ran = await run("plan", files(tmp_path), "--changes", "-o", "junit")
    suite = ET.fromstring(ran.out)
    assert ran.code == 1
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    good, bad = suite.findall("testcase")
    assert good.find("failure") is None
    assert "FirstVersion" in good.findtext("system-out", "")
    assert bad.find("failure").get("message").startswith("spec.rollout.steps: ")


def kept(run, manifest, **spec):
    """A live product that serves the manifest's bento, and these other parts of a spec."""
    bento, serving = manifest["spec"]["model"]["bento"], manifest["spec"]["serving"]
    stable = full_status()["stable"] | {
        "version": bento["version"], "image": bento["image"], "service": bento["service"],
        "runtimeImage": serving["runtimeImage"],
    }  # fmt: skip
    live = run.keep(stable=stable, history=None, candidate=None, specModel=None)
    live["spec"] |= spec
    live["metadata"].pop("resourceVersion", None)
    return run.server.keep(DATA_PRODUCTS, live)


def pricing(change=None):
    """The manifest of the product that is kept."""
    manifest = changed(change or {})
    manifest["metadata"] = {"name": "pricing"}  # its namespace is the context's
    return manifest


async def planned(run, tmp_path, *documents, code=0, words=()):
    """What plan says of each document, as JSON."""
    file = write(tmp_path / "a.yaml", *documents)
    ran = await run("plan", file, "--changes", "-o", "json", *words)
    assert ran.code == code, ran
    jsonschema.validate(ran.document, SCHEMA)
    return ran.document["changes"]


async def test_plan_reports_no_change_for_a_product_equal_to_the_live_one(run, tmp_path):
    manifest = pricing()
    kept(run, manifest)
    ran = await run("plan", write(tmp_path / "a.yaml", manifest), "--changes")
    assert ran.code == 0, ran
    assert ran.out.splitlines()[1].split() == ["catalog", "pricing", "Nothing"]
    assert not [one for one in run.server.sent if one.method != "GET"]


ANOTHER_MODEL = {
    "spec.model.bento.image": f"registry.example/a@sha256:{'b' * 64}",
    "spec.model.bento.version": "2030.1",
}


async def test_plan_names_an_invalid_live_object_and_reports_on_each_document(run, tmp_path):
    manifest = pricing(ANOTHER_MODEL)
    kept(run, pricing(), rollout={"steps": [50, 5]})
    new, correction = await planned(run, tmp_path, changed({"metadata.name": "new"}), manifest)
    assert (new["change"], correction["change"]) == ("FirstVersion", "Canary")
    assert correction["problems"] == []
    effects = correction["effects"]
    assert effects[0].startswith("the live object isn't valid, and the manifest corrects it: spec.")
    assert any(effect.startswith("2030.1 starts with") for effect in effects)


async def test_plan_refuses_an_object_as_invalid_as_the_live_one(run, tmp_path):
    kept(run, pricing(), rollout={"steps": [50, 5]})
    (change,) = await planned(run, tmp_path, pricing({"spec.rollout.steps": [50, 5]}), code=1)
    assert change["change"] == "Refused"


async def test_plan_of_a_resumption_reports_the_pending_changes(run, tmp_path):
    kept(run, pricing(), suspend=True)
    run.server.refused |= {HTTP_ROUTES.path("catalog")}
    (change,) = await planned(run, tmp_path, pricing())
    (waits,) = await planned(run, tmp_path, pricing({"spec.suspend": True}))
    assert change["change"] == "Update"
    (deployment,) = [
        effect for effect in change["effects"] if effect.startswith("Deployment pricing-")
    ]
    assert deployment.endswith(" is created")
    assert f"once spec.suspend is unset: {deployment}" in waits["effects"]
    assert waits["change"] == "Suspended"
    hidden = f"{HTTP_ROUTES.qualified} aren't compared: you may not list them"
    assert hidden in change["effects"]
    assert not [effect for effect in change["effects"] if effect.startswith("HTTPRoute")]


async def test_plan_reports_that_a_new_name_of_the_same_bento_is_not_used(run, tmp_path):
    manifest = pricing({"spec.model.bento.version": "renamed"})
    version = pricing()["spec"]["model"]["bento"]["version"]
    kept(run, pricing())
    (change,) = await planned(run, tmp_path, manifest)
    name, *others = change["effects"]
    assert change["change"] == "Nothing"
    assert name == (
        f"the name renamed isn't used: the same bento is there as {version}, and keeps that name"
    )
    assert all(one.startswith("spec.dependsOn: there is no DataProduct ") for one in others)


@pytest.mark.parametrize(
    ("change", "consequence"),
    [
        ({}, "a training starts unless the diagnosis finds a cause outside the model"),
        ({"spec.retraining.mode": "Manual"}, "a training waits for a person (spec.retraining.mode Manual)"),
        ({"spec.retraining.mode": "Disabled"}, "and no training follows"),
        ({"spec.suspend": True}, "a training starts once spec.suspend is unset"),
    ],
)  # fmt: skip
async def test_plan_reports_the_numbers_and_the_consequence_of_an_objective_above_the_present_level(
    run, tmp_path, change, consequence
):
    kept(run, pricing())
    (raised,) = await planned(run, tmp_path, pricing(change | {"spec.slos.2.objective": "0.97"}))
    (effect,) = [effect for effect in raised["effects"] if "objective" in effect]
    assert raised["change"] == "Degraded"
    assert effect.startswith(
        "accuracy is below its new objective: 86.0 % (n=900) at present, 92.0 % at acceptance, and"
        " 97.0 % are required; the product becomes Degraded"
    )
    assert effect.endswith(consequence)


async def test_plan_reports_replaced_pods_for_a_changed_entry_service(run, tmp_path):
    kept(run, pricing())
    (change,) = await planned(run, tmp_path, pricing({"spec.model.bento.service": "Other"}))
    assert change["change"] == "Restart"


@pytest.mark.parametrize("lifecycle", ["Retired", "Deprecated"])
async def test_plan_reports_no_rollout_for_a_retired_product(run, tmp_path, lifecycle):
    kept(run, pricing())
    manifest = pricing(ANOTHER_MODEL | {"spec.lifecycle": lifecycle})
    (change,) = await planned(run, tmp_path, manifest)
    assert change["change"] == "Nothing"
    text = f"LifecycleEnded: the product is {lifecycle}, so 2030.1 isn't rolled out"
    assert text in change["effects"]


async def test_plan_reports_that_the_first_version_of_a_suspended_product_waits(run, tmp_path):
    (change,) = await planned(run, tmp_path, pricing({"spec.suspend": True}))
    assert change["change"] == "Suspended"
    assert change["effects"][0].startswith("once spec.suspend is unset: ")


async def test_plan_refuses_a_namespace_that_contradicts_the_manifest(run, tmp_path):
    manifest = changed({"metadata.namespace": "catalog"})
    other = pricing()
    first, second = await planned(run, tmp_path, manifest, other, code=1, words=("-n", "shop"))
    assert (first["change"], second["change"]) == ("Refused", "FirstVersion")
    assert first["problems"][0]["path"] == "metadata.namespace"
    assert "--namespace=catalog" in first["problems"][0]["message"]
    assert second["namespace"] == "shop"


async def test_plan_refuses_the_second_of_two_equal_products_in_a_file(run, tmp_path):
    first, second = await planned(run, tmp_path, pricing(), pricing(), code=1)
    assert (first["change"], second["change"]) == ("FirstVersion", "Refused")
    assert second["problems"][0]["message"].startswith("catalog/pricing is in the file already")


@pytest.mark.parametrize("metadata", [{}, {"name": ""}, "pricing"], ids=str)
async def test_plan_refuses_a_document_without_a_name(run, tmp_path, metadata):
    (change,) = await planned(run, tmp_path, example() | {"metadata": metadata}, code=1)
    assert change["change"] == "Refused"
    assert change["problems"] == [{"path": "metadata.name", "message": "is required: set it"}]


@pytest.mark.parametrize("kind", ["List", "DataProductList"])
async def test_plan_reads_the_items_of_a_list(run, tmp_path, kind):
    items = [{"kind": "ConfigMap"}, pricing(), changed({"metadata.name": "new"})]
    listed = {"apiVersion": "v1", "kind": kind, "items": items}
    changes = await planned(run, tmp_path, listed)
    assert [change["name"] for change in changes] == ["pricing", "new"]


def test_plan_with_junit_but_without_changes_exits_with_2(tmp_path, capsys):
    assert main(["plan", write(tmp_path / "a.yaml", example()), "-o", "junit"]) == 2
    assert "--changes" in capsys.readouterr().err


def test_the_junit_report_is_valid_xml_for_any_text():
    case = JunitCase('a"<b>&\x1b[31m', failures=("x < y & z\x00",), notes=("]]>",))
    (found,) = ET.fromstring(as_junit("s", [case])).findall("testcase")
    assert found.get("name") == 'a"<b>&'
    assert found.findtext("failure") == "x < y & z"
    assert found.findtext("system-out") == "]]>"


def test_check_has_the_same_formats(tmp_path, capsys):
    file = write(tmp_path / "a.yaml", changed({"spec.rollout.steps": [50, 5]}))
    assert main(["check", file, "-o", "json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    jsonschema.validate(answer, SCHEMA)
    assert answer["findings"][0]["where"] == "spec.rollout.steps"
    assert main(["check", file, "-o", "junit"]) == 1
    suite = ET.fromstring(capsys.readouterr().out)
    assert (suite.get("name"), suite.get("failures")) == ("sluicegate check", "1")


async def test_plan_names_a_dependency_that_does_not_exist_with_a_similar_name(run, tmp_path):
    run.keep(name="ranking")
    one = changed({"metadata.name": "new", "spec.dependsOn": [{"name": "rankign"}]})
    ran = await run("plan", write(tmp_path / "a.yaml", one), "--changes", "-o", "json")
    effects = ran.document["changes"][0]["effects"]
    namespace = one["metadata"]["namespace"]
    text = f"spec.dependsOn: there is no DataProduct {namespace}/rankign: did you mean ranking?"
    assert effects[-1] == text


async def test_plan_keeps_to_the_note_where_products_may_not_be_listed(run, tmp_path):
    run.keep(name="ranking")
    one = changed({"metadata.name": "new", "spec.dependsOn": [{"name": "rankign"}]})
    namespace = one["metadata"]["namespace"]
    run.server.refused |= {DATA_PRODUCTS.path(namespace)}
    ran = await run("plan", write(tmp_path / "a.yaml", one), "--changes", "-o", "json")
    effects = ran.document["changes"][0]["effects"]
    text = f"spec.dependsOn: there is no DataProduct {namespace}/rankign: create it, or correct the name"
    assert effects[-1] == text


async def test_plan_names_no_dependency_that_the_file_creates(run, tmp_path):
    new = changed({"metadata.name": "new", "spec.dependsOn": [{"name": "first"}]})
    items = [new, changed({"metadata.name": "first"})]
    changes = await planned(run, tmp_path, {"apiVersion": "v1", "kind": "List", "items": items})
    assert not [text for text in changes[0]["effects"] if "dependsOn" in text]
