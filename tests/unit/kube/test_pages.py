"""Lists are read an object at a time, in pages of bounded size, whatever the objects hold."""

from __future__ import annotations

import json

import pytest

from sluicegate.kube.errors import Transient
from sluicegate.kube.pages import MAX_DEPTH, Page, cut_deep_values


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("first", ["items", "metadata"])
def test_a_list_page_has_its_objects_and_its_continue_token(indent, first):
    parts = {"items": [{"a": 1}, {"b": []}], "metadata": {"resourceVersion": "7", "continue": "x"}}
    ordered = {"kind": "List", first: parts[first], **parts}
    page = Page(json.dumps(ordered, indent=indent))
    assert list(page.items) == [{"a": 1}, {"b": []}]
    assert (page.resource_version, page.token) == ("7", "x")


@pytest.mark.parametrize("items", ["null", "[]"])
def test_a_list_page_may_be_empty(items):
    page = Page(f'{{"items":{items},"metadata":{{"resourceVersion":"7"}}}}')
    assert (page.resource_version, page.token, list(page.items)) == ("7", "", [])


@pytest.mark.parametrize("text", ["", "[]", "{", '{"items":[{}', '{"items":[1 2]}', "<html>"])
def test_a_malformed_list_page_raises_a_transient_error(text):
    with pytest.raises(Transient):
        _ = Page(text).token


def test_a_too_deeply_nested_object_is_cut_without_affecting_others():
    # Python 3.13 parses 9,000 levels.
    deep = "[" * 100_000 + '"]}"' + "]" * 100_000
    text = f'{{"items":[{{"a":1}},{{"deep":{deep},"z":2}},{{"b":1}}],"metadata":{{}}}}'
    first, cut_off, last = Page(text).items
    assert (first, last, cut_off["z"]) == ({"a": 1}, {"b": 1}, 2)
    levels, value = 0, cut_off["deep"]
    while isinstance(value, list) and value:
        levels, value = levels + 1, value[0]
    assert (levels, MAX_DEPTH) == (198, 200)


def test_cutting_nested_objects_keeps_shallow_values():
    text = '{"a": ["\\"[", {"b": "]"}]} '
    assert cut_deep_values(text) == (text.strip(), len(text) - 1)
