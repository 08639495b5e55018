"""The CRD on a real API server: each rule refuses and accepts what the types do, and says why."""

from __future__ import annotations

import itertools
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kubernetes import client
from kubernetes.client.exceptions import ApiException
from kubernetes.config import new_client_from_config

from sluicegate.api import names
from sluicegate.api.crd import build_crd
from sluicegate.api.errors import InvalidProduct
from sluicegate.api.product import DataProduct
from tests.support.samples.product_cases import CASES
from tests.support.samples.product_examples import changed, example, full_status
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from tests.support.samples.product_rules import Case

CRD = f"{names.PLURAL}.{names.GROUP}"
NAMESPACE = "catalog"


class Products:
    """DataProducts of one namespace, by the official client."""

    def __init__(self, api: client.ApiClient) -> None:
        self.api = client.CustomObjectsApi(api)

    def create(self, document: dict[str, Any], **options: Any) -> dict[str, Any]:
        return self.api.create_namespaced_custom_object(
            names.GROUP, names.VERSION, NAMESPACE, names.PLURAL, document, **options
        )

    def refusal(self, document: dict[str, Any]) -> list[tuple[str, str]]:
        """Return path and message of each cause for which the document is refused.

        Empty when it isn't.
        """
        try:
            self.create(document, dry_run="All", field_validation="Strict")
        except ApiException as error:
            body = json.loads(error.body)
            causes = body.get("details", {}).get("causes") or [body]
            return [(cause.get("field", ""), cause["message"]) for cause in causes]
        return []

    def status(self, name: str, manager: str, status: dict[str, Any]) -> dict[str, Any]:
        """Apply a status as `manager`."""
        document = {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "metadata": {"name": name, "namespace": NAMESPACE},
            "status": status,
        }
        return self.api.patch_namespaced_custom_object_status(
            names.GROUP, names.VERSION, NAMESPACE, names.PLURAL, name, document,
            field_manager=manager, _content_type="application/apply-patch+yaml",
        )  # fmt: skip


@pytest.fixture(scope="module")
def products(control_plane) -> Products:
    api = new_client_from_config(str(control_plane.kubeconfig))
    extensions = client.ApiextensionsV1Api(api)
    try:
        extensions.create_custom_resource_definition(build_crd())
    except ApiException as error:
        if error.status != 409:
            raise
    core = client.CoreV1Api(api)
    if NAMESPACE not in {item.metadata.name for item in core.list_namespace().items}:
        core.create_namespace({"metadata": {"name": NAMESPACE}})

    def established() -> bool:
        found = extensions.read_custom_resource_definition(CRD).status.conditions or []
        return any(item.type == "Established" and item.status == "True" for item in found)

    def served() -> bool:
        return not Products(api).refusal(example())

    eventually(established, what="the CRD to be established")
    eventually(served, what="the example to be accepted")
    return Products(api)


def test_the_full_example_is_accepted(products):
    assert products.refusal(example()) == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_valid_spec_is_accepted(products, case: Case):
    assert products.refusal(changed(case.accepted)) == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_invalid_spec_is_refused_with_its_path_and_the_way_out(products, case: Case):
    found = products.refusal(changed(case.refused))
    assert [
        message
        for path, message in found
        if _dotted(path).startswith(_dotted(case.at)) and case.says in message
    ], found
    for other in case.other:
        assert products.refusal(changed(other))


VALUES = st.sampled_from(
    [0, 1, 5, 100, -1, "", "0", "1", "0.5", "a", "A", "a-b", "a b", True, False, [], {}, ["FR"],
     {"name": "a"}, [{"name": "a"}], "500m", "2026-01-01T00:00:00Z", 10**12, "é" * 70, None]
)  # fmt: skip


def _paths(value: Any, path: str = "") -> list[str]:
    children: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        children = [(key, child) for key, child in value.items() if "." not in key]
    elif isinstance(value, list):
        children = list(enumerate(value))
    found = [path] if path else []
    for key, child in children:
        if path == "" or path.startswith("spec") or key == "spec":
            found += _paths(child, f"{path}.{key}" if path else str(key))
    return [each for each in found if each.startswith("spec.")]


@given(path=st.sampled_from(_paths(example())), value=VALUES)
@settings(max_examples=400, derandomize=True)
def test_the_pydantic_types_and_the_crd_agree_on_any_changed_field(products, path, value):
    document = changed({path: value})
    by_server, by_types = products.refusal(document), _refused_by_types(document)
    assert bool(by_server) == bool(by_types), f"{path} = {value!r}: {by_server}; {by_types}"


def _refused_by_types(document: dict[str, Any]) -> tuple[Any, ...]:
    try:
        DataProduct.parse(document)
    except InvalidProduct as error:
        return error.problems
    return ()


def test_omitted_fields_get_their_defaults_and_a_new_status_has_no_observed_generation(products):
    document = changed({"metadata.name": "defaults"})
    for field in ("analysis", "rollout", "lifecycle", "priority", "serving", "suspend"):
        del document["spec"][field]
    document["spec"]["slos"] = []
    del document["spec"]["model"]["evaluation"]
    stored = products.create(document)
    spec = stored["spec"]
    assert spec["analysis"] == {"blockSeconds": 300}
    assert not spec["rollout"].keys() & {"steps", "maxDurationSeconds"}, "those are derived"
    assert spec["lifecycle"] == "Development"
    assert spec["priority"] == "Medium"
    assert spec["suspend"] is False
    assert stored["status"] == {"observedGeneration": -1}
    parsed = DataProduct.parse(document).spec.to_dict()
    assert {key: parsed[key] for key in ("analysis", "rollout", "priority")} == {
        key: spec[key] for key in ("analysis", "rollout", "priority")
    }


def test_conditions_of_two_writers_are_merged_by_type(products):
    products.create(changed({"metadata.name": "conditions"}))
    both, one = [_condition("Ready"), _condition("SLOMet")], [_condition("Ready")]
    products.status("conditions", "sluicegate", {"conditions": both})
    products.status("conditions", "other", {"conditions": [_condition("Reviewed")]})
    merged = products.status("conditions", "sluicegate", {"conditions": one})
    kinds = {condition["type"] for condition in merged["status"]["conditions"]}
    assert kinds == {"Ready", "Reviewed"}


def test_every_status_field_is_stored_unchanged(products):
    products.create(changed({"metadata.name": "reported"}))
    stored = products.status("reported", "sluicegate", full_status())
    assert stored["status"] == full_status()
    assert DataProduct.parse(stored).status.to_dict() == full_status()


def _condition(kind: str) -> dict[str, Any]:
    return {
        "type": kind,
        "status": "True",
        "reason": "Serving",
        "message": "",
        "observedGeneration": 1,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }


def _dotted(path: str) -> str:
    """Return both ways to write an item of a list or map, as one: a[0].b and a.0.b."""
    return re.sub(r"\[([^\]]*)\]", r".\1", path)


OF_ANOTHER_KIND = {"string": ["no", "text"], "array": "no list", "object": "no object"}
"""Nothing else is a number or a boolean, so a list is neither."""


def _fields(schema, path=("spec",)):
    """Yield path and schema of every field that a person can write, items of lists and maps included."""
    children = list(schema.get("properties", {}).items())
    if "items" in schema:
        children.append((0, schema["items"]))
    if isinstance(schema.get("additionalProperties"), dict):
        children.append(("any", schema["additionalProperties"]))
    for name, child in children:
        yield (*path, name), child
        yield from _fields(child, (*path, name))


def _with_mistake(path, value):
    """Return the example with a value in one field, whatever else its parents need."""
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


@pytest.mark.timeout(400)
def test_a_value_of_the_wrong_type_is_refused_with_the_name_of_its_field(products):
    (version,) = build_crd()["spec"]["versions"]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert not products.refusal(example())
    unnamed = {}
    for path, schema in _fields(spec):
        wrong = OF_ANOTHER_KIND.get(schema.get("type"), ["no number"])
        named = ".".join(map(str, path))
        said = products.refusal(_with_mistake(path, wrong))
        if named not in {re.sub(r"\[([^\]]*)\]", r".\1", field) for field, _ in said}:
            unnamed[named] = said
    assert not unnamed
