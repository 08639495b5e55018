"""Goldens of differences leave nothing out."""

from __future__ import annotations

from tests.support.decisions.changes import by_difference, by_object


def test_each_later_golden_record_is_printed_as_a_difference_from_the_first():
    records = {
        "usual": {"pods": 1, "ready": True},
        "as usual": {"pods": 1, "ready": True},
        "more": {"pods": 2, "ready": True, "image": "a"},
        "less": {"pods": 1},
        "of another type": {"pods": True, "ready": True},
        "empty": {},
    }
    assert list(by_difference(records)) == [
        "usual:",
        "  pods: 1",
        "  ready: True",
        "as usual: the same",
        "more: pods 2; image 'a'",
        "less: no ready",
        "of another type: pods True",
        "empty: none",
    ]


def test_fields_of_one_object_share_a_line_and_a_long_value_has_its_own():
    leaves = [("state", "Met"), ("slo.bad", "1"), ("slo.message", "a" * 81), ("slo.total", "2")]
    assert list(by_object(leaves)) == [
        "state: Met",
        "slo: bad 1; total 2",
        f"slo.message: {'a' * 81}",
    ]


def test_a_golden_with_a_dotted_field_name_shows_all_long_values():
    leaves = [("pods.v1.1", "2"), ("pods.v1", "a" * 81)]
    assert list(by_object(leaves)) == [f"pods.v1: 1 2; {'a' * 81}"]
