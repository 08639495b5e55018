"""Whether a live object says all that we would apply: what counts, and what doesn't."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.api.containers import amount
from sluicegate.manifests.subset import is_subset

SCALARS = st.one_of(st.booleans(), st.integers(-5, 5), st.text(min_size=1, max_size=4))
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3),
        st.dictionaries(st.text(min_size=1, max_size=4), inner, min_size=1, max_size=3),
    ),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text(min_size=1, max_size=4), DOCUMENTS, max_size=4)


@given(OBJECTS)
def test_everything_says_itself(document):
    assert is_subset(document, copy.deepcopy(document))


@given(OBJECTS, OBJECTS)
def test_what_the_api_server_adds_beside_it_does_not_count(document, defaults):
    live = {f"default {key}": value for key, value in defaults.items()} | document
    assert is_subset(document, live)


@given(OBJECTS, st.data())
def test_what_somebody_changed_or_removed_counts(document, data):
    if not document:
        return
    key = data.draw(st.sampled_from(sorted(document)))
    changed = document | {key: "changed by hand"}
    removed = {name: value for name, value in document.items() if name != key}
    assert not is_subset(document, changed)
    assert not is_subset(document, removed)


@given(OBJECTS, OBJECTS, OBJECTS)
def test_saying_all_of_what_says_all_is_saying_all(one, two, three):
    middle, large = two | one, three | (two | one)
    assert is_subset(one, middle)
    assert is_subset(middle, large)
    assert is_subset(one, large)


AMOUNTS = [
    ("0.5", "500m"), ("1000m", "1"), ("1024Mi", "1Gi"), (1, "1"), ("1", 1), ("0.1Gi", "107374182400m"),
    ("1e3", "1k"), ("2000k", "2M"), ("1Ti", "1024Gi"), ("500000u", "500m"),
]  # fmt: skip


@pytest.mark.parametrize(("rendered", "live"), AMOUNTS)
def test_an_amount_is_the_same_however_it_is_written(rendered, live):
    assert is_subset({"requests": {"cpu": rendered}}, {"requests": {"cpu": live}})
    assert amount(rendered) == amount(live)


@pytest.mark.parametrize(
    ("rendered", "live"),
    [
        ({"requests": {"cpu": "1"}}, {"requests": {"cpu": "2"}}),
        ({"value": "500m"}, {"value": "0.5"}),
        ({"env": [{"name": "A", "value": "1"}]}, {"env": [{"name": "A", "value": "2"}]}),
        ({"env": [{"name": "A", "value": "1"}]}, {"env": [{"name": "B", "value": "1"}]}),
        ({"backendRefs": [{"name": "a"}]}, {"backendRefs": [{"name": "a"}, {"name": "b"}]}),
        ({"steps": [1, 2]}, {"steps": [2, 1]}),
        ({"port": 80}, {"port": "80"}),
        ({"optional": True}, {"optional": 1}),
        ({"emptyDir": {}}, {"hostPath": {"path": "/"}}),
        ({"replicas": 0}, {}),
    ],
)
def test_a_difference_is_a_difference(rendered: dict[str, Any], live: dict[str, Any]):
    assert not is_subset(rendered, live)


@pytest.mark.parametrize(
    ("rendered", "live"),
    [
        ({"tolerations": []}, {}),
        ({"value": ""}, {}),
        ({"value": None}, {}),
        ({"containers": [{"name": "a"}]}, {"containers": [{"name": "injected"}, {"name": "a"}]}),
        ({"emptyDir": {}}, {"emptyDir": {"sizeLimit": "1Gi"}}),
    ],
)
def test_what_an_api_server_drops_or_another_adds_is_none(rendered, live):
    assert is_subset(rendered, live)
