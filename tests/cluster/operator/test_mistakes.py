"""A mistake in a DataProduct is refused by `kubectl apply`, or told by the condition, by its field."""

from __future__ import annotations

import itertools
import json
import re

import pytest
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from cluster.errors import ClusterError
from sluicegate.api import names
from sluicegate.api.crd import build_crd
from tests.support.live_product import connection
from tests.support.product_cases import RULES, Case, changed, example

pytestmark = pytest.mark.timeout(120)
OF_ANOTHER_KIND = {"string": ["no", "text"], "array": "no list", "object": "no object"}
"""Nothing else is a number or a boolean, so a list is neither."""


def dotted(text):
    """Both ways to write an item of a list or map, as one: a[0].b and a.0.b."""
    return re.sub(r"\[([^\]]*)\]", r".\1", text)


def fields(schema, path=("spec",)):
    """Path and schema of every field that a person can write, items of lists and maps included."""
    children = list(schema.get("properties", {}).items())
    if "items" in schema:
        children.append((0, schema["items"]))
    if isinstance(schema.get("additionalProperties"), dict):
        children.append(("any", schema["additionalProperties"]))
    for name, child in children:
        yield (*path, name), child
        yield from fields(child, (*path, name))


def with_mistake(path, value):
    """The example with a value in one field, whatever else its parents need."""
    document = target = example()
    for name, following in itertools.pairwise(path):
        empty = [] if following == 0 else {}
        if name == 0:
            target[:] = target or [empty]
            target = target[0]
        else:
            target = target.setdefault(name, empty)
    if path[-1] == 0:
        target[:] = [value]
    else:
        target[path[-1]] = value
    return document


@pytest.fixture(scope="module")
def refusal(cluster, where):
    """What the API server says when it refuses a document, by field; nothing if it takes it."""
    products = client.CustomObjectsApi(connection(cluster.kubeconfig))

    def ask(document):
        where_to = (names.GROUP, names.VERSION, "default", names.PLURAL)
        document["metadata"]["namespace"] = "default"
        try:
            products.create_namespaced_custom_object(*where_to, document, dry_run="All")
        except ApiException as error:
            causes = json.loads(error.body)["details"]["causes"]
            return {dotted(cause["field"]): cause["message"] for cause in causes}
        return {}

    return ask


def test_a_value_of_the_wrong_kind_is_refused_by_the_name_of_its_field_whichever_it_is(refusal):
    (version,) = build_crd()["spec"]["versions"]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert not refusal(example())
    unnamed = {}
    for path, schema in fields(spec):
        wrong = OF_ANOTHER_KIND.get(schema.get("type"), ["no number"])
        said = refusal(with_mistake(path, wrong))
        named = ".".join(map(str, path))
        if named not in said:
            unnamed[named] = said

    assert not unnamed


@pytest.mark.parametrize("case", RULES, ids=lambda case: case.name)
def test_kubectl_says_which_field_is_wrong_and_what_to_do(cluster, where, case: Case):
    document = changed(case.refused)
    document["metadata"]["namespace"] = "default"

    with pytest.raises(ClusterError) as refused:
        cluster.run_kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(document))

    said = dotted(str(refused.value))
    assert dotted(case.at) in said
    assert case.says in said


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"serving": {"replicas": 1}}, "spec.serving.runtimeImage: is required"),
        (
            {
                "retraining": {
                    "podTemplate": {
                        "spec": {"containers": [{"name": "a", "args": ["x" * 8000] * 5}]}
                    },
                    "output": "registry.example/learner",
                }
            },
            "spec.retraining.podTemplate: has",
        ),
    ],
    ids=["nobody names a runtime", "a training of 40 KB"],
)
def test_what_only_the_operator_can_know_is_told_by_the_condition(world, change, says):
    product = world.spec("v1")
    product["spec"] |= change
    world.product.apply(product)

    status = world.product.until(
        lambda status: any(one["reason"] == "InvalidSpec" for one in status.get("conditions", ())),
        seconds=30,
        what="InvalidSpec",
    )

    assert says in world.product.condition("Stalled")["message"]
    assert any(says in problem for problem in status["problems"])
    assert not world.product.listed("apps/v1/deployments")
