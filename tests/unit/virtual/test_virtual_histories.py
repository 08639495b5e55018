"""Histories of a product that end in the same spec end in the same state: the whole operator.

`KIND=histories make fuzz` lives more of them.
"""

from __future__ import annotations

import pytest

from tests.support.lives.histories import NAMED, WORSE, Ending, History, draw_history


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("last", ["a", "b", WORSE])
@pytest.mark.slow
def test_the_final_state_depends_only_on_the_last_edit_of_a_spec(seed, last):
    """Edits, reverts, suspensions, mistakes, names that are taken and restarts are drawn."""
    lived = History(seed, last).live()
    assert not lived.violations, "\n".join([*map(str, lived.violations), *lived.story])


@pytest.mark.parametrize(
    ("last", "end", "differs"),
    [
        ("a", Ending("v1", "v1", "Promoted", stalled="", under_way=False), False),
        ("b", Ending("v1", "v1", "Promoted", stalled="", under_way=False), True),
        ("b", Ending("v2", "v2", "Promoted", stalled="", under_way=True), True),
        (WORSE, Ending("v1", "v3", "RolledBack", "ModelRejected", under_way=False), False),
        (WORSE, Ending("v2", "v3", "RolledBack", "ModelRejected", under_way=False), False),
        (WORSE, Ending("v2", "v3", "RolledBack", stalled="", under_way=False), True),
        (WORSE, Ending(NAMED[WORSE], "v3", "Promoted", stalled="", under_way=False), True),
    ],
)
def test_the_final_state_is_compared_with_that_of_the_last_spec_alone(last, end, differs):
    assert bool(end.difference(last)) is differs


def test_a_failing_history_is_shrunk_from_its_last_events():
    history = draw_history(5)
    assert history == draw_history(5)
    assert [one.events for one in history.simpler()] == [history.events - 1]
    assert not list(History(5, "a", events=0).simpler())
