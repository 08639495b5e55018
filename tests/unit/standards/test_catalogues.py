"""Products in the formats of catalogues hold to the schemas that their standards publish."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft7Validator, Draft201909Validator
from referencing import Registry, Resource

from sluicegate.__main__ import main
from sluicegate.api.product import DataProduct
from sluicegate.api.product_info import Lifecycle
from sluicegate.standards.backstage import backstage_documents
from sluicegate.standards.odcs import odcs_documents
from sluicegate.standards.odps import odps_documents
from tests.support.samples.product_examples import EXAMPLE, REMOVED, changed

SCHEMAS = Path(__file__).parents[2] / "data" / "standards"
LEAST = {
    f"spec.{name}": REMOVED
    for name in (
        "displayName", "description", "domain", "team", "markets", "dependsOn", "businessGoals", "support", "links",
        "slos", "route", "review",
    )
} | {"spec.lifecycle": "Draft", "spec.model.evaluation": REMOVED}  # fmt: skip
CHANGES = [
    {},
    LEAST,
    {"spec.support": [{"channel": "#help"}]},
    {"spec.inputs": [{"name": "ads", "contract": "ads-1", "promql": "max(broken)"},
                     {"name": "views", "freshnessSeconds": 3600, "promql": "max(age)"}]},
    *({"spec.lifecycle": str(stage)} for stage in Lifecycle),
]  # fmt: skip


@cache
def schema_of(name: str):
    if name == "odcs":
        text = files("open_data_contract_standard").joinpath("schema.json").read_text("utf-8")
    else:
        text = (SCHEMAS / "odps-v1.1.0.schema.json").read_text(encoding="utf-8")
    return Draft201909Validator(
        json.loads(text), format_checker=Draft201909Validator.FORMAT_CHECKER
    )


@cache
def schema_of_backstage(kind: str):
    folder = SCHEMAS / "backstage-v1alpha1"
    parts = [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json")]
    registry = Registry().with_resources(
        (part["$id"], Resource.from_contents(part)) for part in parts
    )
    name = f"{kind.title() if kind == 'API' else kind}V1alpha1"
    (root,) = (part for part in parts if part["$id"] == name)
    return Draft7Validator(root, registry=registry)


def product(change: dict) -> DataProduct:
    return DataProduct.parse(changed(change))


@pytest.mark.parametrize("change", CHANGES)
def test_an_exported_data_product_conforms_to_odps_1_1_0(change):
    (document,) = odps_documents(product(change))

    assert document["apiVersion"] == "v1.1.0"
    schema_of("odps").validate(document)


@pytest.mark.parametrize("change", CHANGES)
def test_an_exported_data_contract_conforms_to_odcs_3_2_0(change):
    (document,) = odcs_documents(product(change))

    assert document["apiVersion"] == "v3.2.0"
    schema_of("odcs").validate(document)


@pytest.mark.parametrize("change", CHANGES)
def test_exported_entities_conform_to_the_schemas_of_backstage(change):
    component, api = backstage_documents(product(change))

    assert (component["kind"], api["kind"]) == ("Component", "API")
    for entity in (component, api):
        schema_of_backstage(entity["kind"]).validate(entity)


@pytest.mark.parametrize("name", ["odps", "odcs"])
def test_a_standard_schema_refuses_an_unknown_field(name):
    (document,) = {"odps": odps_documents, "odcs": odcs_documents}[name](product({}))

    assert not schema_of(name).is_valid({**document, "owner": "catalog"})


def test_the_schema_of_backstage_refuses_a_component_without_owner():
    component, _ = backstage_documents(product({}))
    del component["spec"]["owner"]

    assert not schema_of_backstage("Component").is_valid(component)


def test_the_output_port_names_the_contract_of_the_api():
    (described,), (contract,) = odps_documents(product({})), odcs_documents(product({}))

    (port,) = described["outputPorts"]
    assert port["contractId"] == contract["id"]
    assert {input_port["contractId"] for input_port in described["inputPorts"]} == {
        "pricing/pricing/api", "catalog/photo-check/api",
    }  # fmt: skip


def test_the_service_levels_of_a_data_contract_are_the_slos():
    (contract,) = odcs_documents(product({}))

    levels = {sla_property["id"]: (sla_property["property"], sla_property["value"], sla_property.get("unit")) for sla_property in contract["slaProperties"]}  # fmt: skip
    assert levels == {
        "availability": ("availability", 99.9, "%"),
        "latency": ("latency", 250, "ms"),
        "accuracy": ("accuracy", 90, "%"),
        "accuracy-max-drop": ("accuracyMaxDrop", 3, "%"),
        "clicks-max-drop": ("clicksMaxDrop", 1, "%"),
        "conversion-max-drop": ("conversionMaxDrop", 0.4, "%"),
        "revenue": ("revenue", 0.4, None),
    }


def test_a_contract_without_version_is_refused_with_the_way_out(tmp_path, capsys):
    file = tmp_path / "product.yaml"
    file.write_text(yaml.safe_dump(changed({"spec.version": REMOVED})), encoding="utf-8")

    assert main(["export", "--format", "odcs", "--from", str(file)]) == 2
    assert "catalog/search-ranking: spec.version: a data contract needs a version: set it" in capsys.readouterr().err  # fmt: skip


def test_a_given_openapi_document_is_the_api_definition_of_the_contract(tmp_path, capsys):
    file = tmp_path / "docs.json"
    file.write_text('{"openapi": "3.0.2", "info": {}, "paths": {"/rank": {}}}', encoding="utf-8")
    command = ["export", "--format", "backstage", "--from", str(EXAMPLE), "--openapi", str(file)]

    assert main(command) == 0
    *_, api = yaml.safe_load_all(capsys.readouterr().out)
    assert api["spec"]["definition"] == file.read_text(encoding="utf-8")
    file.write_text("[]", encoding="utf-8")
    assert main(command) == 2
    assert main(["export", "--format", "odps", *command[3:]]) == 2
    assert "is for one product and the format backstage" in capsys.readouterr().err
