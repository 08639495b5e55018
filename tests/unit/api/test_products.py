"""The sample products fit the operator: their manifests, their variables, their pinned runtime."""

import importlib.metadata
import json
import sys
from pathlib import Path

import pytest
import yaml

from sluicegate.api.product import DataProduct
from sluicegate.manifests.deployment import build_deployment
from sluicegate.manifests.plan import example_training, spec_version
from sluicegate_service.constraints import PYTHON
from sluicegate_service.environment import DEFAULT_FEEDBACK_DIRECTORY
from sluicegate_service.feedback import Settings
from sluicegate_service.keys import KeyFiles
from sluicegate_service.request_limits import Limits
from sluicegate_service.training import TrainingTask

BENTOS = Path(__file__).resolve().parents[3] / "bentos"
PRODUCTS = ("pricing", "search-ranking")


def parsed(name: str) -> DataProduct:
    return DataProduct.parse(yaml.safe_load((BENTOS / name / "dataproduct.yaml").read_text()))


def variables(container: dict) -> dict[str, str]:
    return {entry["name"]: entry.get("value", "") for entry in container["env"]}


@pytest.fixture(params=PRODUCTS)
def product(request) -> DataProduct:
    return parsed(request.param)


@pytest.fixture
def version(product):
    return spec_version(product, product.spec.serving.runtime_image)


def test_the_dependencies_of_an_example_product_exist():
    products = {name: parsed(name).metadata for name in PRODUCTS}
    for name in PRODUCTS:
        for dependency in parsed(name).spec.depends_on:
            assert dependency.namespace == products[dependency.name].namespace


def test_a_serving_pod_has_the_variables_of_its_product_and_version(product, version):
    template = build_deployment(product, version, replicas=1)["spec"]["template"]
    (container,) = template["spec"]["containers"]
    settings = Settings.from_environment(variables(container))
    assert (settings.namespace, settings.product, settings.version) == (
        product.metadata.namespace,
        product.metadata.name,
        "v1",
    )
    secret = KeyFiles.from_environment(variables(container)).directory
    assert str(secret) == DEFAULT_FEEDBACK_DIRECTORY
    assert str(secret) in {mount["mountPath"] for mount in container["volumeMounts"]}


def test_operator_and_launcher_have_the_same_request_size_limit():
    assert (
        parsed("pricing").spec.serving.max_request_bytes == Limits.from_environment({}).body_bytes
    )


def test_a_training_job_has_every_variable_that_the_training_task_reads(product, version, tmp_path):
    job, *_ = example_training(product, version)
    (container,) = job["spec"]["template"]["spec"]["containers"]
    given = variables(container)
    assert given["SLUICEGATE_BENTO"] == "/bento"
    (tmp_path / "bento.yaml").touch()
    task = TrainingTask.from_environment(given | {"SLUICEGATE_BENTO": str(tmp_path)})
    assert (task.product, task.version) == (product.metadata.name, "v1")
    assert task.output == product.spec.retraining.output
    assert task.trigger.details == json.loads(given["SLUICEGATE_TRIGGER"])


def test_the_training_runs_in_the_source_folder_of_the_bento(product, version):
    folders = []
    for job in example_training(product, version):
        (container,) = job["spec"]["template"]["spec"]["containers"]
        folders.append(container["workingDir"])
        module = container["command"][-1]
        assert (BENTOS / product.metadata.name / f"{module}.py").is_file()
    assert folders[0] == "/bento/src"
    assert folders[1:] in ([], ["/candidate/src"])


@pytest.mark.skipif(
    sys.version_info[:2] != tuple(map(int, PYTHON.split("."))),
    reason="the lock has other releases for a Python that is not the runtime image's",
)
@pytest.mark.parametrize("name", PRODUCTS)
def test_an_example_bento_pins_the_locked_versions(name):
    bentofile = yaml.safe_load((BENTOS / name / "bentofile.yaml").read_text())
    pinned = dict(package.split("==") for package in bentofile["python"]["packages"])
    assert pinned == {package: importlib.metadata.version(package) for package in pinned}
    assert bentofile["python"]["lock_packages"] is False
    assert bentofile["name"] == name


@pytest.mark.parametrize("name", PRODUCTS)
def test_the_entry_service_of_an_example_manifest_is_that_of_its_bento(name):
    module, _, variable = yaml.safe_load((BENTOS / name / "bentofile.yaml").read_text())[
        "service"
    ].partition(":")
    assert variable == parsed(name).spec.model.bento.service
    assert (BENTOS / name / f"{module.replace('.', '/')}.py").is_file()
