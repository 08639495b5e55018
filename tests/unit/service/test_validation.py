"""What a body of the wrong form costs, with BentoML's own inputs and readers of bodies."""

from __future__ import annotations

import json
import warnings
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel, Field, ValidationError
from starlette.requests import Request

from sluicegate_service.validation import bound_validation

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of what BentoML itself imports
    from _bentoml_impl.serde import JSONSerde, MultipartSerde
    from _bentoml_sdk.io_models import IODescriptor
    from bentoml.exceptions import BadInput

pytestmark = pytest.mark.filterwarnings("ignore:.*__get_pydantic_core_schema__")  # BentoML's


class Item(BaseModel):
    name: str = Field(max_length=8)
    sizes: list[int] = Field(default_factory=list)


def inputs(**fields: Any) -> Any:
    """Return inputs of a route, as BentoML makes them from a method's parameters."""
    annotations = {name: annotation for name, (annotation, _) in fields.items()}
    defaults = {name: default for name, (_, default) in fields.items() if default is not ...}
    model: Any = type("Input", (IODescriptor,), {"__annotations__": annotations, **defaults})
    bound_validation(SimpleNamespace(apis={"predict": SimpleNamespace(input_spec=model)}))
    return model


async def read(model: Any, body: bytes, content_type: str = "application/json") -> Any:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    headers = [(b"content-type", content_type.encode())]
    request = Request({"type": "http", "method": "POST", "headers": headers, "app": None}, receive)
    serde = JSONSerde() if content_type == "application/json" else MultipartSerde()
    return await model.from_http_request(request, serde)


async def test_valid_inputs_are_read_unchanged():
    model = inputs(items=(list[Item], ...), limit=(int, 3))
    found = await read(model, b'{"items": [{"name": "a", "sizes": ["1", 2]}]}')
    assert (found.items, found.limit) == ([Item(name="a", sizes=[1, 2])], 3)


@pytest.mark.parametrize(
    ("annotation", "wrong"),
    [
        (list[float], [{}] * 1000),
        (tuple[int, ...], ["x"] * 1000),
        (set[int], [[]] * 1000),
        (list[Item], [{}] * 1000),
        (list[Item], [{"name": "a", "sizes": ["x"] * 1000}]),
        (dict[str, list[int]], {"a": ["x"] * 1000}),
    ],
)
async def test_a_list_is_refused_at_its_first_invalid_item(annotation: Any, wrong: Any):
    model = inputs(value=(annotation, ...))
    with pytest.raises(ValidationError) as raised:
        await read(model, json.dumps({"value": wrong}).encode())
    assert raised.value.error_count() == 1


async def test_all_invalid_fields_are_named_up_to_a_limit():
    model = inputs(value=(dict[str, int], ...))
    with pytest.raises(ValidationError) as raised:
        await read(model, json.dumps({"value": dict.fromkeys("abc", "x")}).encode())
    assert raised.value.error_count() == 3
    with pytest.raises(BadInput, match=r"^1000 validation errors for Input$"):
        await read(model, json.dumps({"value": {str(i): "x" for i in range(1000)}}).encode())


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"value=" + b"[" * 100_000, "application/x-www-form-urlencoded"),
        (b"value=" + b"1" * 5000, "application/x-www-form-urlencoded"),
        (b"--x\r\nbroken", "multipart/form-data; boundary=x"),
        (b"", "multipart/form-data"),
    ],
    ids=["nested deeply", "a number of 5,000 digits", "a broken form", "a form without a boundary"],
)
async def test_an_unreadable_request_body_gives_a_client_error(body: bytes, content_type: str):
    with pytest.raises((BadInput, ValidationError)):
        await read(inputs(value=(list[int], ...)), body, content_type)


async def test_deeply_nested_json_gives_a_client_error():
    with pytest.raises(ValidationError):
        await read(inputs(value=(Any, ...)), b'{"value":' + b"[" * 100_000)
