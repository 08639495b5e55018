"""What a client notices of another version's API: from OpenAPI documents to a sentence."""

from __future__ import annotations

import json
import random
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.policy.model.api_changes import (
    ApiSummary,
    added,
    changes,
    deprecated,
    parse_summary,
    sentence,
)
from sluicegate_service.api_summary import render, summarise

# Promised, so written as numbers here.
MAX_BYTES = 3900

Schema = dict[str, Any]
TEXT, NUMBER = {"type": "string"}, {"type": "number"}


def object_of(required: str = "", **properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": required.split()}


def operation(accepts: Schema, returns: Schema, **more: Any) -> Schema:
    return {
        "requestBody": {"content": {"application/json": {"schema": accepts}}},
        "responses": {
            200: {"content": {"application/json": {"schema": returns}}},
            400: {"content": {"application/json": {"schema": TEXT}}},
        },
        **more,
    }


def document(schemas: dict[str, Schema] | None = None, **paths: Schema) -> Schema:
    return {
        "openapi": "3.0.2",
        "components": {"schemas": schemas or {}},
        "paths": {"/livez": {"get": {}}, **{f"/{name}": {"post": o} for name, o in paths.items()}},
    }


ACCEPTS = object_of(
    "features", features={"type": "array", "items": NUMBER}, top={"type": "integer"}
)
RETURNS = object_of("label score", label=TEXT, score=NUMBER)
STABLE = document(classify=operation(ACCEPTS, RETURNS))


def compared(before: Schema, now: Schema) -> tuple[str, ...]:
    found = changes(parse_summary(render(before)), parse_summary(render(now)))
    assert found is not None
    return found


def accepting(schema: Schema) -> Schema:
    return document(classify=operation(schema, RETURNS))


def returning(schema: Schema) -> Schema:
    return document(classify=operation(ACCEPTS, schema))


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (document(predict=operation(ACCEPTS, RETURNS)), "POST /classify is removed"),
        (
            accepting(
                object_of(
                    "inputs", inputs=ACCEPTS["properties"]["features"], top={"type": "integer"}
                )
            ),
            "POST /classify: features is no longer accepted, inputs is new and required",
        ),
        (
            accepting({**ACCEPTS, "required": ["features", "top"]}),
            "POST /classify: top is required now",
        ),
        (
            accepting(
                object_of(
                    "features", features={"type": "array", "items": TEXT}, top={"type": "integer"}
                )
            ),
            "POST /classify: features[] was number and is string",
        ),
        (
            accepting(object_of("features", features=ACCEPTS["properties"]["features"])),
            "POST /classify: top is no longer accepted",
        ),
        (
            accepting({**ACCEPTS, "additionalProperties": False}),
            "POST /classify: the request was object and is object with limits",
        ),
        (
            returning(
                {**RETURNS, "properties": {"label": TEXT, "score": {**NUMBER, "maximum": 1}}}
            ),
            "POST /classify: returned score was number and is number with limits",
        ),
        (returning(object_of("label", label=TEXT)), "POST /classify: score is no longer returned"),
        (
            returning({**RETURNS, "required": ["label"]}),
            "POST /classify: score may be missing from the answer now",
        ),
        (
            returning(object_of("label score", label=TEXT, score=TEXT)),
            "POST /classify: returned score was number and is string",
        ),
        (returning(NUMBER), "POST /classify: returned the answer was object and is number"),
    ],
)
def test_a_breaking_api_change_is_named(now: Schema, said: str):
    (found,) = compared(STABLE, now)
    assert found.startswith(said)


@pytest.mark.parametrize(
    "now",
    [
        document(classify=operation(ACCEPTS, RETURNS), batch=operation(ACCEPTS, RETURNS)),
        accepting(object_of("features", **ACCEPTS["properties"], units=TEXT)),
        accepting({**ACCEPTS, "required": []}),
        accepting(
            object_of("features", **ACCEPTS["properties"], options=object_of("mode", mode=TEXT))
        ),
        returning(object_of("label score model", **RETURNS["properties"], model=TEXT)),
    ],
    ids=["operation", "optional field", "no longer required", "optional object", "answer"],
)
def test_a_compatible_schema_change_is_no_api_change(now: Schema):
    assert compared(STABLE, now) == ()


def test_descriptions_order_references_and_defaults_are_no_api_change():
    noisy = {**ACCEPTS, "title": "Input", "description": "what", "x-order": 1}
    noisy["properties"] = {
        "top": {"type": "integer", "default": 10, "example": 3},
        "features": {"$ref": "#/components/schemas/Features"},
    }
    schemas = {"Features": {**ACCEPTS["properties"]["features"], "title": "Features"}}
    now = document(schemas, classify=operation(noisy, RETURNS, description="new words"))
    assert parse_summary(render(now)) == parse_summary(render(STABLE))


@pytest.mark.parametrize("name", ["image.url", "a[]", "b{}", ".", "x|y", "really?"])
def test_a_removed_or_newly_required_field_is_detected_whatever_its_name(name: str):
    kept = object_of("id", id=TEXT, **{name: TEXT})
    (found,) = compared(accepting(kept), accepting(object_of("id", id=TEXT)))
    assert found == f"POST /classify: {name} is no longer accepted"
    (found,) = compared(
        accepting(object_of("id", id=TEXT)), accepting({**kept, "required": [name]})
    )
    assert found == f"POST /classify: {name} is new and required"


@pytest.mark.parametrize(("fields", "more"), [("abcde", ""), ("abcdef", " and 1 more")])
def test_five_changes_of_an_operation_are_named(fields: str, more: str):
    accepts = object_of(**dict.fromkeys(fields, TEXT))
    before, now = (document(op=operation(one, RETURNS)) for one in (accepts, object_of()))
    (found,) = compared(before, now)
    assert found.count("is no longer accepted") == 5
    assert found.endswith(f"is no longer accepted{more}")


@pytest.mark.parametrize(("length", "shown"), [(80, "x" * 80), (81, "x" * 79 + "…")])
def test_an_api_change_message_cuts_a_long_name_to_eighty_characters(length: int, shown: str):
    before = accepting(object_of("id", id=TEXT, **{"x" * length: TEXT}))
    (found,) = compared(before, accepting(object_of("id", id=TEXT)))
    assert found == f"POST /classify: {shown} is no longer accepted"


def test_a_changed_content_type_is_a_breaking_api_change():
    def as_kind(kind: str) -> Schema:
        one = operation(ACCEPTS, RETURNS)
        one["requestBody"]["content"] = {kind: {"schema": ACCEPTS}}
        return document(classify=one)

    (found,) = compared(STABLE, as_kind("application/vnd.x.v2"))
    assert found.startswith("POST /classify: the request is no longer accepted")
    (found,) = compared(as_kind("application/vnd.x.v2"), STABLE)
    assert "(application/vnd.x.v2) is no longer accepted" in found


def test_a_removed_enum_value_is_a_breaking_api_change_and_an_added_value_is_not():
    def with_kinds(*kinds: str) -> Schema:
        return accepting(object_of("kind", kind={"type": "string", "enum": list(kinds)}))

    assert compared(with_kinds("a", "b"), with_kinds("b", "a", "c")) == ()
    (found,) = compared(with_kinds("a", "b"), with_kinds("a"))
    assert found == "POST /classify: kind no longer accepts b"
    free = accepting(object_of("kind", kind=TEXT))
    assert compared(free, with_kinds("a"))


def test_a_newly_nullable_field_breaks_only_clients_that_read_it():
    nullable = {"anyOf": [TEXT, {"type": "null"}]}
    sent, got = object_of("a", a=TEXT), object_of("a", a=nullable)
    assert compared(accepting(sent), accepting(got)) == ()
    assert compared(accepting(got), accepting(sent))
    assert compared(returning(sent), returning(got))


def test_a_recursive_schema_is_compared_in_finite_time():
    node = object_of("name", name=TEXT, child={"$ref": "#/components/schemas/Node"})
    reference = {"$ref": "#/components/schemas/Node"}
    before = document({"Node": node}, walk=operation(reference, reference))
    assert compared(before, before) == ()
    renamed = document(
        {"Node": object_of("title", title=TEXT, child=reference)},
        walk=operation(reference, reference),
    )
    assert "name is no longer accepted" in compared(before, renamed)[0]


@pytest.mark.parametrize(("operations", "fields"), [(3, 4), (12, 30), (900, 3)])
def test_an_api_summary_of_any_size_fits_the_limit_and_detects_removed_operations(
    operations: int, fields: int
):
    """What doesn't fit is a digest: then any change is for a person to judge."""
    schema = object_of("f0", **{f"field_number_{n}": TEXT for n in range(fields)}, f0=TEXT)
    before = document(**{f"operation-{n}": operation(schema, TEXT) for n in range(operations)})
    now = deepcopy(before)
    del now["paths"]["/operation-1"]
    assert len(render(before).encode()) <= MAX_BYTES
    assert compared(before, deepcopy(before)) == ()
    found = sentence(compared(before, now))
    assert ("POST /operation-1 is removed" in found) is (operations < 100)
    assert f"{operations}" in found or operations < 100


def test_new_and_deprecated_operations_are_listed_as_compatible_api_changes():
    now = document(
        classify=operation(ACCEPTS, RETURNS, deprecated=True), rank=operation(ACCEPTS, RETURNS)
    )
    before, after = parse_summary(render(STABLE)), parse_summary(render(now))
    assert added(before, after) == ("POST /rank",)
    assert deprecated(before, after) == ("POST /classify",)
    assert changes(before, after) == ()
    assert (added(after, after), deprecated(after, after)) == ((), ())
    assert (added(None, after), deprecated(None, after)) == ((), ())


def test_a_deprecation_leaves_the_api_digest_unchanged():
    old = document(classify=operation(ACCEPTS, RETURNS, deprecated=True))
    assert json.loads(render(old))["api"]["digest"] == json.loads(render(STABLE))["api"]["digest"]
    assert "deprecated" not in render(STABLE)


def test_a_bento_label_marks_the_operations_that_it_lists_as_deprecated():
    listed = render(STABLE, deprecated="POST  /classify, POST /unknown")
    assert parse_summary(listed).deprecated == {"POST /classify"}


def test_versions_whose_api_is_unknown_are_not_compared(tmp_path):
    """An older runtime writes no summary, and what isn't OpenAPI is none."""
    known = parse_summary(render(STABLE))
    assert changes(None, known) is None
    assert changes(known, None) is None
    assert summarise(tmp_path) == ""
    (tmp_path / "apis").mkdir()
    for text in ("", "[1]", "paths: {/a: 3}", "paths: [", "{" * 20_000, "a: &a [*a]"):
        (tmp_path / "apis" / "openapi.yaml").write_text(text)
        assert summarise(tmp_path) == ""
    (tmp_path / "apis" / "openapi.yaml").write_text(json.dumps(STABLE))
    assert parse_summary(summarise(tmp_path)) == known


@pytest.mark.parametrize(
    "api",
    [
        '{"digest": "x", "count": 1e999}',
        '{"digest": "x", "count": Infinity}',
        '{"digest": "x", "count": NaN}',
        '{"digest": "x", "count": 1, "operations": []}',
        '{"digest": "x", "count": 1, "fields": {"GET /": "ab"}}',
        '{"digest": "x", "count": 1, "operations": {"GET /\\ud800": "1"}}',
        '{"digest": "x"}',
        "[]",
        "null",
    ],
)
def test_a_runtime_that_writes_no_summary_of_an_api_has_none(api):
    """What is read there is a runtime's own text, and a product chooses its runtime."""
    assert parse_summary(f'{{"api": {api}}}') is None


def test_an_openapi_document_with_exponential_expansion_gives_no_summary(tmp_path):
    """Each schema refers twice to the next: a million fields in a few lines."""
    schemas = {
        f"S{n}": object_of(
            a={"$ref": f"#/components/schemas/S{n + 1}"},
            b={"$ref": f"#/components/schemas/S{n + 1}"},
        )
        for n in range(25)
    }
    (tmp_path / "apis").mkdir()
    bomb = document(schemas, run=operation({"$ref": "#/components/schemas/S0"}, TEXT))
    (tmp_path / "apis" / "openapi.yaml").write_text(json.dumps(bomb))
    assert summarise(tmp_path) == ""


# ---- any document ---------------------------------------------------------------------------
LEAVES = st.sampled_from(
    [TEXT, NUMBER, {"type": "integer"}, {"type": "boolean"}, {"type": "string", "format": "binary"}]
)
NAMES = st.sampled_from(["query", "items", "price", "x", "limit", "name"])


def objects(inner: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
    properties = st.dictionaries(NAMES, inner, min_size=1, max_size=4)
    return st.tuples(properties, st.randoms(use_true_random=False)).map(
        lambda pair: {
            "type": "object",
            "properties": pair[0],
            "required": [name for name in pair[0] if pair[1].random() < 0.5],
        }
    )


SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(objects(inner), inner.map(lambda one: {"type": "array", "items": one})),
    max_leaves=8,
)
BODIES = objects(SCHEMAS)
DOCUMENTS = st.dictionaries(
    st.sampled_from(["a", "b", "c"]), st.builds(operation, BODIES, BODIES), min_size=1, max_size=3
).map(lambda operations: document(**operations))


def shuffled(value: Any, source: random.Random) -> Any:
    """Return the same JSON in another order, with words that say nothing."""
    if isinstance(value, dict):
        pairs = [(key, shuffled(one, source)) for key, one in value.items()]
        source.shuffle(pairs)
        noise = {"description": "words"} if "type" in value and value["type"] == "object" else {}
        return {**dict(pairs), **noise}
    return [shuffled(one, source) for one in value] if isinstance(value, list) else value


def objects_in(schema: Schema) -> list[Schema]:
    found = [schema] if schema.get("properties") else []
    for one in schema.get("properties", {}).values():
        found += objects_in(one)
    return found + (objects_in(schema["items"]) if "items" in schema else [])


def body(one: Schema, which: str) -> Schema:
    holder = one["requestBody"] if which == "accepts" else one["responses"][200]
    schema: Schema = holder["content"]["application/json"]["schema"]
    return schema


@given(DOCUMENTS, st.integers())
def test_an_equivalent_openapi_document_has_no_api_changes(before: Schema, seed: int):
    now = shuffled(deepcopy(before), random.Random(seed))
    assert parse_summary(render(now)) == parse_summary(render(before))
    assert compared(before, now) == ()


@pytest.mark.slow
@given(DOCUMENTS, st.data())
def test_each_breaking_mutation_of_an_api_is_detected_and_each_addition_is_compatible(
    before: Schema, data: Any
):
    now = deepcopy(before)
    path = data.draw(st.sampled_from([name for name in now["paths"] if name != "/livez"]))
    which = data.draw(st.sampled_from(["accepts", "returns"]))
    chosen = data.draw(st.sampled_from(objects_in(body(now["paths"][path]["post"], which))))
    name = data.draw(st.sampled_from(sorted(chosen["properties"])))
    how = data.draw(
        st.sampled_from(["add", "operation", "remove", "rename", "retype", "demand", "drop"])
    )
    if how == "add":
        chosen["properties"]["new"] = TEXT
    elif how == "operation":
        now["paths"]["/new"] = {"post": operation(TEXT, TEXT)}
    elif how == "drop":
        del now["paths"][path]
    elif how == "demand":
        chosen["properties"]["new"] = TEXT
        chosen["required"].append("new")
    else:
        one = chosen["properties"].pop(name)
        if how == "rename":
            chosen["properties"]["renamed"] = one
        if how == "retype":
            chosen["properties"][name] = {"type": "string", "format": "date"}
    breaks = how in {"remove", "rename", "retype", "drop"} or (
        how == "demand" and which == "accepts"
    )
    assert bool(compared(before, now)) is breaks


@pytest.mark.parametrize("listed", [(True, False), (False, True), (False, False)])
def test_api_summaries_without_operation_lists_report_any_difference_as_a_change(listed):
    ours, theirs = (
        ApiSummary(digest, count, {"GET /": digest} if has else {})
        for digest, count, has in zip("ab", (9, 7), listed, strict=True)
    )
    text = "its 7 operations differ from the 9 before, and are too many for a list of the changes"
    assert changes(ours, theirs) == (text,)
    assert changes(ours, ours) == ()
    assert changes(ours, None) is None
