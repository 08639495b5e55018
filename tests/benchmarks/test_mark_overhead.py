"""The time that marks and draws of consumers' calls add to a service."""

import pytest

from tests.bentos.mark_overhead import measured

MAX_MICROSECONDS = 20


@pytest.mark.bar
def test_a_mark_adds_at_most_20_microseconds_to_an_answer_and_a_draw_to_a_call():
    found = measured(repeats=5_000)
    assert {name: value for name, value in found.items() if value > MAX_MICROSECONDS} == {}
